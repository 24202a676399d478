"""Packets of a run go through the tunnel or nowhere."""

import re
import signal
import subprocess

import pytest
from lab import Lab, output, require, wait_until

FETCH = """
import urllib.request
body = urllib.request.urlopen("http://%s:8080/%d", timeout=30).read()
print(len(body))
"""


@pytest.fixture(scope="module", params=["warren-engine", "wireguard-go"])
def far(request):
    made = Lab(request.param)
    yield made
    made.close()


@pytest.mark.parametrize("address", ["10.77.0.1", "fd77::1"])
def test_ping(far, address):
    done = far.run("ping", "-n", "-c", "3", "-i", "0.05", "-w", "15", address)
    assert " 3 received" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("host", ["10.77.0.1", "[fd77::1]"])
def test_tcp(far, host):
    assert far.check(FETCH % (host, 3_000_000)) == "3000000\n"


@pytest.mark.parametrize("address", ["10.77.0.1", "fd77::1"])
def test_udp(far, address):
    family = "AF_INET6" if ":" in address else "AF_INET"
    assert far.check(f"""
import socket
s = socket.socket(socket.{family}, socket.SOCK_DGRAM)
s.settimeout(10)
s.sendto(b"hello" * 200, ("{address}", 9))
print(len(s.recv(2000)))
""") == "1000\n"


def test_tunnel_over_ipv6(far):
    far.profile("six", far.conf(endpoint="[2001:db8::2]:51820"))
    assert far.check(FETCH % ("10.77.0.1", 7), profile="six") == "7\n"


def test_names_are_asked_in_the_network(lab):
    assert lab.check("""
import socket
print(open("/etc/resolv.conf").read(), end="")
print(socket.gethostbyname("anything.example"))
""") == "nameserver 10.77.0.1\n10.77.0.99\n"


def test_search_domains(lab):
    lab.profile("search", lab.conf(dns="10.77.0.1, corp.example, lab.example"))
    text = lab.run("cat", "/etc/resolv.conf", profile="search").stdout
    assert text == "nameserver 10.77.0.1\nsearch corp.example lab.example\n"


def test_without_dns_no_name_is_looked_up(lab):
    lab.profile("nodns", lab.conf(dns=""))
    script = """
import socket
try: print(socket.gethostbyname('a.example'))
except OSError: print('no')
"""
    assert lab.check(script, profile="nodns") == "no\n"
    text = lab.run("cat", "/etc/resolv.conf", profile="nodns").stdout
    assert "nameserver" not in text


def test_nothing_but_the_tunnel_is_reachable(lab):
    links = lab.run("ip", "-br", "link").stdout.split("\n")
    assert sorted(line.split()[0] for line in links if line) == ["lo", "warren0"]
    for address in ("192.0.2.1", "192.0.2.2", "2001:db8::2", "198.51.100.1"):
        done = lab.run("ping", "-n", "-c", "1", "-W", "1", address)
        assert done.returncode == 2 and "unreachable" in done.stderr.lower(), done


def test_the_wire_carries_only_udp_to_the_endpoint(lab):
    require("tcpdump")
    capture = lab.start(lab.in_host("tcpdump", "-nn", "-l", "-i", "e0", "not arp and not icmp6"),
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "listening" in "".join(capture.stderr.readline() for _ in range(2))
    assert lab.check(FETCH % ("10.77.0.1", 50_000)) == "50000\n"
    lab.check("import socket\nprint(socket.gethostbyname('b.example'))")
    # A packet of ours behind all others tells when the capture has seen everything.
    output(*lab.in_host("ping", "-c", "1", "-w", "15", "192.0.2.2"))
    seen = []
    for line in capture.stdout:
        if "ICMP echo reply" in line:
            break
        seen.append(line)
    capture.send_signal(signal.SIGTERM)
    packets = [line for line in seen if "ICMP" not in line]
    assert len(packets) > 20
    ours, theirs = r"192\.0\.2\.1\.\d+", r"192\.0\.2\.2\.51820"
    expected = re.compile(f"IP ({ours} > {theirs}|{theirs} > {ours}): UDP")
    assert [line for line in packets if not expected.search(line)] == []


def test_mtu_of_the_profile(lab):
    lab.profile("mtu", lab.conf("MTU = 1300"))
    assert "mtu 1300" in lab.run("ip", "link", "show", "warren0", profile="mtu").stdout


def test_all_traffic_profile_has_default_routes(lab):
    lab.profile("all", lab.conf(allowed="0.0.0.0/0, ::/0"))
    assert "default dev warren0" in lab.run("ip", "route", profile="all").stdout
    assert "default dev warren0" in lab.run("ip", "-6", "route", profile="all").stdout
    assert lab.check(FETCH % ("10.77.0.1", 5), profile="all") == "5\n"


RESOLVED = "mkdir -p /run/systemd/resolve; mount -t tmpfs tmpfs /run/systemd/resolve; "
ETC = ("mkdir -p $D/e; mount -t tmpfs tmpfs $D/e; mkdir $D/e/u $D/e/w; %s "
       "mount -t overlay overlay -o lowerdir=/etc,upperdir=$D/e/u,workdir=$D/e/w /etc; ")


@pytest.mark.parametrize("upper, before", [
    ("ln -s ../run/systemd/resolve/stub-resolv.conf $D/e/u/resolv.conf;",
     RESOLVED + "echo nameserver 127.0.0.53 > /run/systemd/resolve/stub-resolv.conf; "),
    ("ln -s /run/nowhere/resolv.conf $D/e/u/resolv.conf;", ""),
    ("mknod $D/e/u/resolv.conf c 0 0;", ""),
], ids=["link-to-systemd-resolved", "dangling-link", "missing"])
def test_resolv_conf_of_other_hosts(upper, before):
    made = Lab(etc_setup="D=$(mktemp -d); " + before + ETC % upper)
    try:
        text = made.run("cat", "/etc/resolv.conf")
        assert text.stdout == "nameserver 10.77.0.1\n", text.stderr
        lookup = "import socket\nprint(socket.gethostbyname('c.example'))"
        assert made.check(lookup) == "10.77.0.99\n"
        # and the host sees what it saw
        host = subprocess.run(["nsenter", "-t", str(made.holder.pid), "-m", "cat",
                               "/etc/resolv.conf"], capture_output=True, text=True)
        assert "10.77" not in host.stdout
    finally:
        made.close()


def test_engine_crash_keeps_the_run_and_the_port(lab):
    run = lab.begin("/usr/bin/python3", "-uc", """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.2)
def alive():
    for _ in range(100):
        try:
            s.sendto(b"x", ("10.77.0.1", 9)); s.recv(10); return True
        except TimeoutError: pass
    return False
print(alive()); sys.stdin.readline(); print(alive()); sys.stdin.readline()
""", stdin=subprocess.PIPE)
    assert run.stdout.readline() == "True\n"
    port = udp_address(lab)
    engine = wait_until(lambda: lab.engine(), "the engine")
    subprocess.run(["kill", "-9", str(engine)], check=True)
    wait_until(lambda: lab.engine() not in (None, engine), "a new engine")
    run.stdin.write("go\n")
    run.stdin.flush()
    assert run.stdout.readline() == "True\n"
    assert udp_address(lab) == port
    run.stdin.close()
    assert run.wait(10) == 0


def udp_address(lab):
    """The local addresses of the UDP sockets in the host's namespace."""
    table = subprocess.run(lab.in_host("cat", "/proc/net/udp"), capture_output=True, text=True)
    addresses = [line.split()[1] for line in table.stdout.splitlines()[1:]]
    assert len(addresses) == 1, table.stdout
    return addresses
