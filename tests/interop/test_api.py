"""The userspace API of warren-engine, seen by wg(8) and by raw requests, beside wireguard-go."""

import errno
import json
import socket
import subprocess

import pytest

import lab


@pytest.fixture
def host(wire):
    wire.a.start(lab.ENGINE)
    return wire.a


def both(wire):
    lab.require("wireguard-go")
    wire.a.start(lab.ENGINE)
    wire.b.start("wireguard-go")
    # wireguard-go opens its socket, and so reports its port, when the link is up.
    for host in (wire.a, wire.b):
        host.run("ip", "link", "set", host.interface, "up")
    return wire.a, wire.b


def test_wg_set_conf_and_dump_agree_with_wireguard_go(wire, tmp_path):
    key, peers = lab.Keys(), [lab.Keys() for _ in range(3)]
    psk = lab.output("wg", "genpsk")
    base = f"[Interface]\nPrivateKey = {key.private}\nListenPort = 4711\nFwMark = 0x42\n"
    first = (
        f"[Peer]\nPublicKey = {peers[0].public}\nPresharedKey = {psk}\n"
        "AllowedIPs = 10.0.0.5/24, fd00::/8, 0.0.0.0/0\nEndpoint = 192.0.2.9:1234\n"
        "PersistentKeepalive = 25\n"
    )
    second = f"[Peer]\nPublicKey = {peers[1].public}\nEndpoint = [2001:db8::9]:1\nAllowedIPs = 10.1.0.0/16\n"
    third = f"[Peer]\nPublicKey = {peers[2].public}\nAllowedIPs = 10.1.0.0/16, 10.2.0.0/16\n"
    steps = [
        ["setconf", base + first + second],
        ["addconf", third],  # takes 10.1.0.0/16 away from the second
        ["syncconf", base + second + third.replace("10.2.", "10.3.")],
        ["set", "peer", peers[1].public, "persistent-keepalive", "7", "allowed-ips", "10.8.0.0/16"],
        ["set", "listen-port", "4712", "fwmark", "0"],
        ["set", "peer", peers[2].public, "remove"],
        ["setconf", base],
    ]
    ours, theirs = both(wire)
    for step in steps:
        for host in (ours, theirs):
            if step[0] == "set":
                host.run("wg", "set", host.interface, *step[1:])
            else:
                conf = tmp_path / "wg.conf"
                conf.write_text(step[1])
                host.run("wg", step[0], host.interface, conf)
        assert comparable(ours.dump()) == comparable(theirs.dump()), step[:1]
        assert ours.run("wg", "showconf", ours.interface).splitlines()[:3] == \
            theirs.run("wg", "showconf", theirs.interface).splitlines()[:3]


def comparable(dump):
    interface, peers = dump
    return interface, {
        key: [*fields[:2], sorted(fields[2].split(",")), *fields[3:]] for key, fields in peers.items()
    }


MALFORMED = [
    "listen_port=65536", "listen_port=x", "listen_port", "private_key=00", "fwmark=-1",
    "replace_peers=false", "nonsense=1", "=", "public_key=abcd",
    "public_key={peer}\nallowed_ip=10.0.0.0/33", "public_key={peer}\nendpoint=nowhere",
    "public_key={peer}\npersistent_keepalive_interval=70000", "public_key={peer}\nremove=yes",
    "public_key={peer}\nprotocol_version=9", "public_key={peer}\npreshared_key=zz",
    "public_key={peer}\nlisten_port=1", "public_key={peer}\nallowed_ip=10.0.0.1",
]


def test_malformed_requests_get_the_errno_of_wireguard_go_and_change_nothing(wire):
    ours, theirs = both(wire)
    for host in (ours, theirs):
        host.set_key()
        host.add_peer(ours if host is theirs else theirs, family=4)
    before = ours.dump()
    for line in MALFORMED:
        line = line.format(peer=lab.Keys().public_hex)
        # The good lines around it must not come into force either.
        wrapped = f"listen_port=999\nfwmark=5\n{line}\npublic_key={lab.Keys().public_hex}"
        refused = ours.errno_of(wrapped + "\n")
        assert refused in (errno.EINVAL, errno.EPROTO), line
        assert refused == theirs.errno_of(line + "\n"), line
        assert ours.dump() == before, line


def test_rubbish_on_the_socket_is_answered_and_harmless(host):
    before = host.dump()
    for text in ("x\n\n", "get=2\n\n", "set=1\nget=1\n\n", "get=1\nlisten_port=1\n\n", "\0" * 100):
        assert host.request(text).endswith(f"errno=-{errno.EINVAL}\n\n"), text
    assert host.dump() == before


def test_several_requests_on_one_connection(host):
    answer = host.request("set=1\nlisten_port=4000\n\n")
    assert answer == "errno=0\n\n"
    with socket.socket(socket.AF_UNIX) as api:
        api.connect(str(host.socket_path))
        for _ in range(3):
            api.sendall(b"get=1\n\n")
            answer = b""
            while not answer.endswith(b"\n\n"):  # it comes in pieces
                answer += api.recv(65536)
            assert answer == b"listen_port=4000\nerrno=0\n\n"


def test_allowed_ips_are_added_and_taken_away_one_by_one(host):
    peer = lab.Keys()
    key = f"public_key={peer.public_hex}"
    assert host.errno_of(f"{key}\nallowed_ip=10.1.0.0/16\nallowed_ip=+10.2.0.0/16\n") == 0
    assert host.errno_of(f"{key}\nupdate_only=true\nallowed_ip=-10.1.0.0/16\n") == 0
    assert host.dump()[1][peer.public][2] == "10.2.0.0/16"
    assert host.errno_of(f"{key}\nreplace_allowed_ips=true\nallowed_ip=fd00::/8\n") == 0
    assert host.dump()[1][peer.public][2] == "fd00::/8"


def test_update_only_makes_no_peer(host):
    assert host.errno_of(f"public_key={lab.Keys().public_hex}\nupdate_only=true\n") == 0
    assert host.dump()[1] == {}


def test_port_and_mark_change_inside_the_sandbox(wire):
    ours, theirs = both(wire)
    for host in (ours, theirs):
        host.set_key()
    ours.run("ip", "address", "add", f"{ours.inner[4]}/24", "dev", ours.interface)
    theirs.run("ip", "address", "add", f"{theirs.inner[4]}/24", "dev", theirs.interface)
    ours.add_peer(theirs, family=4)
    theirs.add_peer(ours)
    assert ours.pings(theirs.inner[4])
    assert ours.udp_ports() == [ours.port]

    ours.run("nft", "-f", "-", input=(
        "table inet t { chain c { type filter hook output priority 0;"
        " udp sport 4999 meta mark 0x1234 counter; }; }"
    ))
    ours.set("listen-port", 4999)
    assert ours.udp_ports() == [4999]
    assert ours.pings(theirs.inner[4]), "traffic from the new port"
    assert theirs.peer(ours)["endpoint"] == "192.0.2.1:4999"
    assert marked_packets(ours) == 0
    ours.set("fwmark", "0x1234")
    assert ours.pings(theirs.inner[4])
    assert marked_packets(ours) >= 3
    # A new socket keeps the mark.
    ours.set("listen-port", 4998)
    ours.set("listen-port", 4999)
    before = marked_packets(ours)
    assert ours.pings(theirs.inner[4])
    assert marked_packets(ours) >= before + 3


def marked_packets(host):
    rules = json.loads(host.run("nft", "-j", "list", "table", "inet", "t"))["nftables"]
    [counter] = [
        word["counter"] for rule in rules if "rule" in rule
        for word in rule["rule"]["expr"] if "counter" in word
    ]
    return counter["packets"]


def test_a_taken_port_is_refused_whole(host):
    host.set_key()
    before = host.dump()
    blocker = subprocess.Popen(
        host.command("/usr/bin/python3", "-c", (
            "import socket,sys\ns=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM)\n"
            "s.bind(('::',6000))\nprint('bound',flush=True)\nsys.stdin.read()"
        )),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    try:
        assert blocker.stdout.readline() == b"bound\n"
        request = f"listen_port=6000\nfwmark=3\npublic_key={lab.Keys().public_hex}\n"
        assert host.errno_of(request) == errno.EADDRINUSE
        assert host.dump() == before
        assert host.udp_ports() == sorted([6000, host.port])
    finally:
        blocker.stdin.close()
        blocker.wait(20)
        blocker.stdout.close()
    assert host.errno_of("listen_port=6000\n") == 0
    assert host.udp_ports() == [6000]


def test_a_random_port_is_one_for_both_families(host):
    host.set("private-key", "/dev/stdin", input=host.keys.private)
    [port] = host.udp_ports()
    assert host.dump()[0][2] == str(port)
    assert len(host.run("ss", "-H", "-uln").splitlines()) == 2, "IPv4 and IPv6"
    host.set("listen-port", 0)
    [other] = host.udp_ports()
    assert host.dump()[0][2] == str(other)


def test_a_thousand_peers_are_shown(host):
    peers = [f"{number:064x}" for number in range(1, 1001)]
    lines = "".join(
        f"public_key={key}\nallowed_ip=10.{n // 250}.{n % 250}.0/24\n" for n, key in enumerate(peers)
    )
    assert host.errno_of(lines) == 0
    assert len(host.dump()[1]) == 1000
    assert host.errno_of("replace_peers=true\n") == 0
    assert host.dump()[1] == {}
