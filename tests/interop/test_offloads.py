"""Everything that offloads touch, between warren-engine (host a) and wireguard-go (host b), either
side as the sender: content over TCP and UDP in every kind of packet, and the outer bytes of it."""

import os
import pathlib
import shutil
import subprocess

import pytest

import lab

CARRY = pathlib.Path(__file__).with_name("carry.py")
CONTENT = 4_000_000
PROGRAMS = {"bookworm": "wireguard-go", "newest": os.environ.get("WARREN_NEWEST", "")}
NOT_ECT, ECT1, ECT0, CE = range(4)
TRANSPORT = 4  # the type of a WireGuard message that carries a packet


@pytest.fixture
def children():
    started = []
    yield started
    for child in started:
        child.kill()
        child.wait(20)
        child.stdout.close()
        if child.stdin:
            child.stdin.close()


def start(children, host, *words):
    """A carry.py in the host's namespace, and its first line."""
    child = subprocess.Popen(host.command("/usr/bin/python3", CARRY, *words),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    children.append(child)
    return child, child.stdout.readline().strip()


def lines_of(watcher):
    """All that has passed it so far, also what it has not looked at yet."""
    watcher.stdin.close()
    return list(watcher.stdout)


def connect(wire, outer, mtu, theirs="wireguard-go"):
    wire.connect(theirs=theirs)
    underlay = max(1500, mtu + 80)  # 80: what WireGuard adds over IPv6
    for host in (wire.a, wire.b):
        host.run("ip", "link", "set", host.wire, "mtu", underlay)
        host.run("ip", "link", "set", host.interface, "mtu", mtu)
    wire.a.add_peer(wire.b, family=outer)
    wire.b.add_peer(wire.a)
    assert wire.a.pings(wire.b.inner[4], 1)


def carry(children, sender, receiver, mtu):
    for family in (4, 6):
        _, port = start(children, receiver, "receive", receiver.inner[family])
        size = mtu - (28 if family == 4 else 48)
        sender.run("/usr/bin/python3", CARRY, "send", receiver.inner[family], port, CONTENT, size)


@pytest.mark.parametrize("mtu", [1280, 1420, 1500, 8920])
@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_content_arrives_unchanged_both_ways(wire, children, program, outer, mtu):
    path = shutil.which(PROGRAMS[program])
    if path is None:
        pytest.skip(f"the {program} wireguard-go is not here (make interop fetches the newest)")
    connect(wire, outer, mtu, theirs=path)
    carry(children, wire.a, wire.b, mtu)
    carry(children, wire.b, wire.a, mtu)


def test_content_of_ours_travels_in_trains(wire, children):
    """The test above would pass as well without any offload: here one is seen at work."""
    connect(wire, 4, 1420)
    watcher, _ = start(children, wire.b, "watch", wire.b.wire)
    carry(children, wire.a, wire.b, 1420)
    largest = max(int(line.split()[0]) for line in lines_of(watcher))
    assert largest > 10_000, "veth hands a train on whole"


# Datagrams whose checksum is 0, which goes out as 0xffff: the system leaves it to whoever reads the
# tun. One alone, then three in a train.
ZERO_SUMS = """
import socket, struct, sys
address, port = sys.argv[1], int(sys.argv[2])
kind = socket.AF_INET6 if ':' in address else socket.AF_INET
out = socket.socket(kind, socket.SOCK_DGRAM)
out.connect((address, port))
ours, source_port = out.getsockname()[:2]
length = 8 + 100
data = bytes(range(98))
summed = (socket.inet_pton(kind, ours) + socket.inet_pton(kind, address) + data
          + struct.pack('!6H', 17, length, source_port, port, length, 0))
rest = sum(struct.unpack('!%dH' % (len(summed) // 2), summed))
while rest > 0xffff:
    rest = (rest & 0xffff) + (rest >> 16)
data += struct.pack('!H', 0xffff - rest)
out.send(data)
out.setsockopt(17, 103, len(data))
out.send(data * 3)
"""
FOUR = """
import socket, sys
found = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
found.bind((sys.argv[1], 0))
found.settimeout(15)
print(found.getsockname()[1], flush=True)
print([len(found.recv(2000)) for _ in range(4)], flush=True)
"""


@pytest.mark.parametrize("inner", [4, 6], ids=["inner4", "inner6"])
def test_a_checksum_of_zero_goes_out_as_ffff(wire, children, inner):
    connect(wire, 4, 1420)
    found = subprocess.Popen(wire.b.command("/usr/bin/python3", "-c", FOUR, wire.b.inner[inner]),
                             stdout=subprocess.PIPE, text=True)
    children.append(found)
    port = found.stdout.readline().strip()
    wire.a.run("/usr/bin/python3", "-c", ZERO_SUMS, wire.b.inner[inner], port)
    assert found.stdout.readline() == "[100, 100, 100, 100]\n"


def outer_classes(lines, family):
    """Traffic classes of the transport messages with content among watched packets."""
    found = []
    for line in lines:
        packet = bytes.fromhex(line.split()[1])
        version, header = (4, 20) if packet[0] >> 4 == 4 else (6, 40)
        if version != family or packet[9 if version == 4 else 6] != 17:
            continue
        if packet[header + 8] == TRANSPORT and int(line.split()[0]) > header + 8 + 32:
            found.append(packet[1] if version == 4 else int.from_bytes(packet[:2], "big") >> 4 & 0xff)
    return found


@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
@pytest.mark.parametrize("inner", [4, 6], ids=["inner4", "inner6"])
def test_the_outer_header_has_no_dscp_and_the_inner_ecn(wire, children, inner, outer):
    """As the kernel's WireGuard: what priority a packet has is nobody's business on the way."""
    connect(wire, outer, 1420)
    expedited = 46 << 2
    for ecn in (NOT_ECT, ECT1, ECT0, CE):
        watcher, _ = start(children, wire.b, "watch", wire.b.wire)
        assert wire.a.pings(wire.b.inner[inner], 3, "-Q", str(expedited | ecn))
        classes = outer_classes(lines_of(watcher), outer)
        # Echoes go out with the class of the request; wireguard-go answers without any mark.
        assert classes.count(ecn) >= 3, (ecn, classes)
        assert set(classes) <= {0, ecn}, (ecn, classes)


@pytest.mark.parametrize("inner", [4, 6], ids=["inner4", "inner6"])
def test_congestion_met_on_the_way_is_told_inside(wire, children, inner):
    """RFC 6040: a mark is put on the inner packet, and a packet that cannot carry it is lost."""
    connect(wire, 4, 1420)
    wire.a.run("nft", "-f", "-", input=(
        "table ip t { chain c { type filter hook input priority 0;"
        f" udp dport {wire.a.port} ip ecn set ce; }}; }}"))
    watcher, _ = start(children, wire.a, "watch", wire.a.interface)
    wire.b.attempt("ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", "-Q", str(ECT0),
                   wire.a.inner[inner])
    wire.b.attempt("ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", "-s", "200", wire.a.inner[inner])
    seen = []
    for line in lines_of(watcher):
        packet = bytes.fromhex(line.split()[1])
        source = packet[12:16] if packet[0] >> 4 == 4 else packet[8:24]
        if source[-1] == 2:  # from host b
            ecn = (packet[1] if packet[0] >> 4 == 4 else packet[1] >> 4) & 3
            seen.append((int(line.split()[0]) > 200, ecn))
    assert (False, CE) in seen and (False, ECT0) not in seen, seen
    assert not any(large for large, _ in seen), "unmarked packets that met congestion came through"

