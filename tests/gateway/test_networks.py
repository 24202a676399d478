"""A network is stopped and started, looked into, and changed under live sessions."""

import json
import signal
import struct
import subprocess

import pytest

import lab


def counters(gateway, letter, name="m0"):
    """What the engine has counted for a peer: grows with traffic, starts anew with a new engine."""
    peer = gateway.peer(letter, name)
    return peer["rx_bytes"], peer["tx_bytes"]


def reaches(member):
    return member.attempt("ping", "-c", "1", "-W", "1", member.target).returncode == 0


# -- stop, start, restart


def test_a_stopped_network_serves_nobody_and_comes_back(gateway, member):
    before = gateway.show("a")
    view = gateway.ask("network", "stop", gateway.network("a"))
    assert view["stopped"] and view["engine"] == "stopped"
    assert not reaches(member)
    ready = gateway.call("status", "--daemon", "--check", "ready")
    assert ready.returncode == 0, "a stopped network is no problem"
    gateway.ask("network", "stop", gateway.network("a"))  # again: done already

    view = gateway.ask("network", "start", gateway.network("a"))
    assert not view["stopped"] and view["engine"] == "running"
    for key in ("id", "port", "public_key", "gateway", "gateway6", "endpoint", "interface_name"):
        assert view[key] == before[key]
    lab.wait_until(lambda: reaches(member), "the member connects by itself", 60)


def test_stopped_stays_stopped_when_the_daemon_starts_again(gateway, member):
    gateway.ask("network", "stop", gateway.network("a"))
    gateway.end(signal.SIGKILL)
    gateway.start()
    assert gateway.show("a")["engine"] == "stopped"
    assert not reaches(member)
    gateway.ask("network", "start", gateway.network("a"))
    lab.wait_until(lambda: reaches(member), "the member connects by itself", 60)


def test_restart_is_a_new_engine_with_the_same_keys(gateway, member):
    name, first = gateway.engine("a")
    view = gateway.ask("network", "restart", gateway.network("a"))
    assert view["engine"] == "running"
    again, second = gateway.engine("a")
    assert again == name and second != first and not lab.is_alive(first)
    lab.wait_until(lambda: reaches(member), "the member connects by itself", 60)


def test_a_restart_knows_where_a_silent_member_is(gateway, member):
    address = gateway.peer("a", "m0")["address"]
    # From here on it says nothing of its own accord, nor does its kernel (to all routers).
    peer = member.run("wg", "show", member.interface, "peers").strip()
    member.run("wg", "set", member.interface, "peer", peer, "persistent-keepalive", "off",
               "allowed-ips", member.target + "/32")
    member.ping(1)

    def is_reached():
        return gateway.call("network", "exec", gateway.network("a"), "--",
                            "ping", "-c", "1", "-W", "1", address).returncode == 0

    gateway.ask("network", "restart", gateway.network("a"))
    lab.wait_until(is_reached, "the restarted network reaches it", 60)
    gateway.ask("network", "stop", gateway.network("a"))
    gateway.ask("network", "start", gateway.network("a"))
    lab.wait_until(is_reached, "the started network reaches it", 60)


def test_a_start_whose_port_was_taken_is_refused_and_stays_stopped(gateway, member):
    gateway.ask("network", "stop", gateway.network("a"))
    port = gateway.show("a")["port"]
    thief = subprocess.Popen(
        gateway.inside("/usr/bin/python3", "-c",
                       "import socket,sys;s=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM);"
                       f"s.bind(('::',{port}));print('ready',flush=True);sys.stdin.read()"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert thief.stdout.readline() == "ready\n"
        refused = gateway.call("network", "start", gateway.network("a"))
        assert refused.returncode != 0
        assert gateway.show("a")["stopped"]
    finally:
        thief.stdin.close()
        thief.wait(timeout=10)
    gateway.ask("network", "start", gateway.network("a"))
    lab.wait_until(lambda: reaches(member), "the member connects by itself", 60)


def test_a_member_joins_a_stopped_network_and_is_let_in_when_it_starts(world, gateway, member):
    gateway.ask("network", "stop", gateway.network("a"))
    other = world.members[1]
    other.join("a")
    assert gateway.peer("a", "m1")["state"] == "enrolled"
    gateway.ask("network", "start", gateway.network("a"))
    name, _ = gateway.engine("a")
    assert len(gateway.run("wg", "show", name, "peers").split()) == 2


# -- looking inside


def test_show_tells_what_the_engine_uses(gateway, member):
    def report():
        return gateway.show("a").get("engine_report")

    lab.wait_until(lambda: report() and "; udp " in report()["features"], "the engine reports", 10)
    assert "; aead " in report()["features"] and "; workers 1 of " in report()["features"]
    assert all(counter["value"] > 0 for counter in report()["counters"])
    assert report()["features"] in gateway.call("status").stdout
    before = report()["features"]
    gateway.end(signal.SIGKILL)
    gateway.start()
    lab.wait_until(lambda: report() and report()["features"] == before, "an adopted engine, too", 10)
    names = [counter["name"] for counter in report()["counters"]]
    assert "udp-received" in names, "counted before the daemon came"


def test_exec_runs_inside_and_keeps_the_exit_code(gateway, member):
    network = gateway.network("a")
    name = gateway.show("a")["interface_name"]
    inside = gateway.call("network", "exec", network, "--", "ip", "-j", "link")
    assert name in [link["ifname"] for link in json.loads(inside.stdout)]
    for code in (0, 7, 255):
        assert gateway.call("network", "exec", network, "--", "sh", "-c", f"exit {code}"
                            ).returncode == code
    assert gateway.call("network", "exec", network, "--", "no-such-program").returncode == 127
    assert gateway.call("network", "exec", network, "--", "/").returncode == 126
    assert gateway.call("network", "exec", "nobody", "--", "true").returncode == 125
    assert gateway.call("network", "exec", network).returncode == 2
    # Options of the program are its own.
    echo = gateway.call("network", "exec", network, "--", "echo", "--json", "[a,b]")
    assert echo.stdout == "--json [a,b]\n"


def packets_of(path):
    """The packets of a pcap file, read by hand."""
    data = path.read_bytes()
    magic, major, minor, _, _, _, link = struct.unpack("<IHHIIII", data[:24])
    assert (hex(magic), major, minor, link) == ("0xa1b23c4d", 2, 4, 101)
    at, out = 24, []
    while at < len(data):
        _, nanoseconds, kept, length = struct.unpack("<IIII", data[at:at + 16])
        assert nanoseconds < 10**9 and kept <= length
        out.append(data[at + 16:at + 16 + kept])
        assert len(out[-1]) == kept
        at += 16 + kept
    return out


def start_capture(gateway, *options):
    capture = subprocess.Popen(
        gateway.inside(lab.WARREN, "network", "capture", gateway.network("a"), *options),
        env=gateway.environment, stderr=subprocess.PIPE, text=True)
    assert "capturing" in capture.stderr.readline()
    return capture


def test_capture_writes_what_passes_decrypted(world, gateway, member):
    file = world.folder / "all.pcap"
    capture = start_capture(gateway, "-w", str(file), "--count", "6")
    member.ping(3, "-i", "0.05", "-p", "c0ffee")
    assert capture.wait(timeout=10) == 0
    assert "6 packets captured, 0 dropped" in capture.stderr.read()
    packets = packets_of(file)
    assert len(packets) == 6
    pings = [packet for packet in packets if packet[0] >> 4 == 4]
    assert pings, "a kernel's own IPv6 multicast may be among them"
    for packet in pings:
        assert packet[9] == 1, "ICMP in IPv4"
        assert bytes.fromhex("c0ffee") * 5 in packet
    assert file.stat().st_mode & 0o777 == 0o600
    if lab.shutil.which("tcpdump"):
        text = lab.output("tcpdump", "-nr", str(file))
        assert text.count("ICMP echo request") + text.count("ICMP echo reply") == len(pings)


def test_capture_of_one_peer_ends_with_a_signal(world, gateway, member):
    other = world.members[1]
    other.join("a")
    file = world.folder / "one.pcap"
    capture = start_capture(gateway, "-w", str(file), "--peer", "m1")
    member.ping(3, "-i", "0.05")
    other.ping(2, "-i", "0.05")
    lab.wait_until(lambda: file.stat().st_size >= 24 + 4 * (16 + 84), "the four packets are in the file")
    capture.send_signal(signal.SIGINT)
    assert capture.wait(timeout=10) == 0
    address = bytes(int(part) for part in gateway.peer("a", "m1")["address"].split("."))
    packets = packets_of(file)
    assert len(packets) >= 4
    for packet in packets:
        assert address in (packet[12:16], packet[16:20])


def test_capture_ends_after_its_time(world, gateway, member):
    capture = start_capture(gateway, "-w", str(world.folder / "none.pcap"), "--seconds", "1")
    assert capture.wait(timeout=10) == 0


# -- network set


def test_settings_change_under_a_live_session(gateway, member):
    network = gateway.network("a")
    name, process = gateway.engine("a")
    member.ping(3, "-i", "0.05")
    before = counters(gateway, "a")
    handshake = gateway.run("wg", "show", name, "latest-handshakes")
    view = gateway.ask("network", "set", network, "--endpoint", "vpn2.example.org",
                       "--dns", "10.20.0.1", "--no-nat", "--reserve", "10.20.0.100-10.20.0.109")
    assert view["endpoint"].startswith("vpn2.example.org:")
    assert view["dns"] == ["10.20.0.1"] and view["nat"] is False
    assert view["reserved"] == ["10.20.0.100-10.20.0.109"]
    inside = gateway.call("network", "exec", network, "--", "ip", "-j", "link").stdout
    assert "up0" not in [link["ifname"] for link in json.loads(inside)]
    member.ping(3, "-i", "0.05")
    view = gateway.ask("network", "set", network, "--nat", "--dns", "none", "--reserve", "none")
    assert view["nat"] and view["dns"] == [] and view["reserved"] == []
    member.ping(3, "-i", "0.05")
    after = counters(gateway, "a")
    assert after[0] > before[0] and after[1] > before[1]
    assert gateway.engine("a") == (name, process)
    assert gateway.run("wg", "show", name, "latest-handshakes") == handshake


def database_of(gateway):
    """Every row but the audit's."""
    text = lab.output("/usr/bin/python3", "-c",
                      "import sqlite3,sys\n"
                      "d=sqlite3.connect(sys.argv[1])\n"
                      "print('\\n'.join(l for l in d.iterdump() if 'audit' not in l"
                      " and 'sqlite_sequence' not in l))",
                      gateway.state_dir / "warren.db")
    return text


def untouched(gateway):
    """All that a refused change must leave as it was: the kernel's side, then the database."""
    kernel = gateway.snapshot()
    kernel["rules"] = gateway.run("nft", "list", "ruleset")
    for name in kernel["namespaces"]:
        inside = ("nsenter", f"--net=/run/netns/{name}")
        kernel[name] = [lab.without_link_local(gateway.run(*inside, *words)) for words in (
            ("nft", "list", "ruleset"), ("ip", "-o", "address"), ("ip", "route"))]
    return kernel, database_of(gateway)


@pytest.mark.parametrize("options, why", [
    (("--subnet", "10.99.0.0/24"), "its members hold addresses of it"),
    (("--subnet6", "none"), "its members hold addresses of it"),
    (("--port", "4444"), "its members dial it"),
    (("--gateway-address", "10.20.0.9"), "its members route and resolve by it"),
    (("--endpoint", "10.20.0.7"), "lies inside the subnet"),
    (("--endpoint", "not a host"), "is no host"),
    (("--dns", "nobody"), "is no address"),
    (("--reserve", "10.21.0.1"), "is not inside"),
    (("--reserve", "10.20.0.0/28"), "the address of m0"),
    (("--no-nat", "--reserve", "10.20.0.9-10.20.0.1"), "is no range"),
])
def test_a_refused_change_leaves_everything_as_it_was(gateway, member, options, why):
    before = untouched(gateway)
    refused = gateway.call("network", "set", gateway.network("a"), *options)
    assert refused.returncode in (1, 2, 6), refused
    assert why in refused.stderr
    assert untouched(gateway) == before


def test_what_cannot_change_is_accepted_as_it_is(gateway, member):
    view = gateway.show("a")
    gateway.ask("network", "set", gateway.network("a"), "--subnet", view["subnet"],
                "--port", str(view["port"]), "--gateway-address", view["gateway"])


# -- the address plan


def test_reserved_addresses_are_never_handed_out(gateway):
    network = gateway.network("a")
    gateway.create("a", "--subnet6", "none", "--gateway-address", "10.20.0.6",
                   "--reserve", "10.20.0.2-10.20.0.3", subnet="10.20.0.0/29")
    assert gateway.show("a")["gateway"] == "10.20.0.6"
    for name in ("p0", "p1", "p2"):
        gateway.invite("a", name)
    taken = {gateway.peer("a", name)["address"] for name in ("p0", "p1", "p2")}
    assert taken == {"10.20.0.1", "10.20.0.4", "10.20.0.5"}
    full = gateway.call("invite", "p3", "--network", network)
    assert full.returncode == 6
    for word in ("10.20.0.0/29 is full", "3 addresses are used", "2 are reserved",
                 "10.20.0.2-10.20.0.3"):
        assert word in full.stderr
    gateway.ask("network", "set", network, "--reserve", "10.20.0.3")
    gateway.invite("a", "p3")
    assert gateway.peer("a", "p3")["address"] == "10.20.0.2"


def test_a_gateway_answers_at_the_chosen_address(world, gateway):
    gateway.create("a", "--gateway-address", "10.20.0.254")
    world.members[0].join("a")
    assert world.members[0].target == "10.20.0.254"
    world.members[0].ping(count=1)


def test_a_subnet_that_overlaps_the_hosts_own_is_told(gateway):
    view = gateway.create("a", subnet="198.51.0.0/16")
    assert any("198.51.100.0/24 dev u1" in warning for warning in view["warnings"])
    refused = gateway.call("network", "create", gateway.network("b"),
                           "--subnet", "192.0.2.0/24", "--endpoint", "192.0.2.1")
    assert refused.returncode == 6 and "lies inside the subnet" in refused.stderr


def test_a_network_listens_where_it_shall(world, gateway):
    view = gateway.create("a", "--listen", "192.0.2.1")
    assert view["listen"] == ["192.0.2.1"]
    world.members[0].join("a")
    world.members[0].ping(count=1)
    bound = gateway.run("ss", "-Huln", "sport", "=", f":{view['port']}").splitlines()
    assert bound and all(f" 192.0.2.1:{view['port']} " in line for line in bound), bound


@pytest.mark.parametrize("addresses, why", [
    (("203.0.113.9",), "no such address"),
    (("192.0.2.1", "198.51.100.1"), "one address of each family"),
    (("0.0.0.0",), "is no address to listen on"),
    (("here",), "is no address to listen on"),
])
def test_an_address_that_cannot_be_listened_on_is_refused(gateway, addresses, why):
    before = untouched(gateway)
    options = [word for address in addresses for word in ("--listen", address)]
    refused = gateway.call("network", "create", gateway.network("b"), "--subnet", "10.30.0.0/24",
                           "--endpoint", "vpn.example.org", *options)
    assert refused.returncode != 0 and why in refused.stderr, refused.stderr
    assert untouched(gateway) == before
