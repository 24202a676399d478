"""Several workers of one engine on real traffic: one joins under load and leaves when it is quiet,
and the two directions of a heavy peer are the work of two, each in order."""

import os
import pathlib
import select
import subprocess
import time

import pytest

import lab

PYTHON = "/usr/bin/python3"
# One flow per socket; the kernel cuts each call's bytes into datagrams (UDP_SEGMENT), so that
# whoever floods needs a tenth of the time of whoever seals.
FLOOD = """
import socket, sys, time
flows = []
for _ in range(8):
    flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    flow.setsockopt(17, 103, 1372)
    flow.connect((sys.argv[1], 9))
    flows.append(flow)
data, end = bytes(1372 * 44), time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    for flow in flows:
        try:
            flow.send(data)
        except OSError:  # nobody listens, or no room
            pass
"""
# Echoes on 32 flows, each asked again as soon as it is answered, until a line comes; an answer that
# stays away for three seconds is lost.
ECHO = """
import socket, sys
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.bind((sys.argv[1], 7))
print('ready', flush=True)
while True:
    data, sender = end.recvfrom(2048)
    end.sendto(data, sender)
"""
ASK = """
import select, socket, sys, time
flows, number, lost, asking = {}, 0, 0, True
for _ in range(32):
    flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    flow.connect((sys.argv[1], 7))
    flows[flow] = None
def ask(flow):
    global number
    number += 1
    flows[flow] = (number, time.monotonic())
    flow.send(number.to_bytes(8, 'big'))
for flow in flows:
    ask(flow)
first = set(flows)
while any(flows.values()):
    for ready in select.select([*flows, sys.stdin] if asking else [*flows], [], [], 0.1)[0]:
        if ready is sys.stdin:
            asking = False
            continue
        got = int.from_bytes(ready.recv(2048), 'big')
        if flows[ready] and got == flows[ready][0]:
            flows[ready] = None
            if ready in first:
                first.discard(ready)
                first or print('answered', flush=True)
    for flow, asked in flows.items():
        if asked and time.monotonic() - asked[1] > 3:
            lost, flows[flow] = lost + 1, None
        if asking and not flows[flow]:
            ask(flow)
    time.sleep(0.01)
print('lost', lost)
"""
# Both ends send and receive BYTES at the same time on one connection.
BOTH_WAYS = """
import socket, sys, threading
role, address, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
if role == 'server':
    listening = socket.socket()
    listening.bind((address, 7000))
    listening.listen()
    print('ready', flush=True)
    connection = listening.accept()[0]
else:
    connection = socket.create_connection((address, 7000))
def send():
    data = bytes(1 << 20)
    for _ in range(size >> 20):
        connection.sendall(data)
thread = threading.Thread(target=send)
thread.start()
left, room = size >> 20 << 20, bytearray(1 << 20)
while left:
    got = connection.recv_into(room)
    assert got
    left -= got
thread.join()
"""
LOAD_SECONDS = 40
BOTH_WAYS_BYTES = 400 << 20


@pytest.fixture
def children():
    started = []
    yield started
    for child in started:
        child.kill()
        child.wait(20)


def start(children, host, script, *words):
    child = subprocess.Popen(
        host.command(PYTHON, "-c", script, *words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    children.append(child)
    return child


def connect(wire, **environment):
    for host in (wire.a, wire.b):
        host.start(lab.ENGINE, **environment)
        host.set_key()
        host.up()
    wire.a.add_peer(wire.b, family=4)
    wire.b.add_peer(wire.a)
    assert wire.a.pings(wire.b.inner[4], 1)


def tasks(host):
    return sorted(int(task) for task in os.listdir(f"/proc/{host.engine_pid()}/task"))


def processor_times(host):
    """Of each thread of the engine, in clock ticks."""
    times = {}
    for task in tasks(host):
        stat = pathlib.Path(f"/proc/{host.engine_pid()}/task/{task}/stat").read_text()
        times[task] = sum(map(int, stat.rsplit(")", 1)[1].split()[11:13]))
    return times


def used_since(before, host):
    return sorted(now - before[task] for task, now in processor_times(host).items())


def wait_for_line(host, text, seconds):
    stderr, seen, deadline = host.process.stderr, "", time.monotonic() + seconds
    os.set_blocking(stderr.fileno(), False)
    while text not in seen:
        left = deadline - time.monotonic()
        ready = left > 0 and select.select([stderr], [], [], left)[0]
        assert ready, f"no '{text}' within {seconds} s: {seen}"
        seen += os.read(stderr.fileno(), 65536).decode()


def two_processors():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("two workers need two processors")


def queues_and_sockets(host):
    """Descriptors of the engine that packets come through."""
    found = [os.readlink(entry) for entry in pathlib.Path(f"/proc/{host.engine_pid()}/fd").iterdir()]
    return sum(name == "/dev/net/tun" for name in found), sum(name.startswith("socket:") for name in found)


def test_a_worker_joins_under_load_and_leaves_when_it_is_quiet(wire, children):
    two_processors()
    # The slower cipher: it, and not whoever makes the load, is what a processor is too slow for.
    connect(wire, LOG_LEVEL="verbose", WARREN_AEAD="openssl", WARREN_QUIET_SECONDS="1")
    alone = queues_and_sockets(wire.a)
    assert len(tasks(wire.a)) > 1, "workers are parked from the start"
    try:
        for task in tasks(wire.a):  # it gets the processor it asks for, whatever else runs here
            os.sched_setscheduler(task, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pytest.skip("no real-time budget in this control group: others may take the processor")
    flood = start(children, wire.a, FLOOD, wire.b.inner[4], LOAD_SECONDS)
    wait_for_line(wire.a, "a worker joins, now 2", LOAD_SECONDS)
    before = processor_times(wire.a)
    enough = os.sysconf("SC_CLK_TCK") / 10
    lab.wait_until(lambda: used_since(before, wire.a)[-2] > enough, "both carry packets", 20)
    assert queues_and_sockets(wire.a) > alone
    flood.kill()
    flood.wait(20)
    # Echoes go on meanwhile, on many flows: whichever worker had one, it goes on. A packet that comes
    # between the last look at a queue and its end would be lost; one in some hundred runs may be.
    ends = start(children, wire.b, ECHO, wire.b.inner[4])
    assert ends.stdout.readline() == "ready\n"
    asks = start(children, wire.a, ASK, wire.b.inner[4])
    assert asks.stdout.readline() == "answered\n", "every flow has been answered once"
    wait_for_line(wire.a, "a worker leaves, now 1", 20)
    assert queues_and_sockets(wire.a) == alone, "its queue and its sockets are closed"
    out, _ = asks.communicate("enough\n", timeout=20)
    assert out in ("lost 0\n", "lost 1\n")


def tcp_counters(host):
    """Of the kernel's TCP in the host's namespace."""
    names, values = [line.split()[1:] for line in host.run("cat", "/proc/net/netstat").splitlines()
                     if line.startswith("TcpExt:")]
    return dict(zip(names, map(int, values)))


def test_each_direction_of_a_peer_has_a_worker(wire, children):
    two_processors()
    connect(wire, WARREN_WORKERS="2")
    before = {host: processor_times(host) for host in (wire.a, wire.b)}
    server = start(children, wire.b, BOTH_WAYS, "server", wire.b.inner[4], BOTH_WAYS_BYTES)
    assert server.stdout.readline() == "ready\n"
    client = start(children, wire.a, BOTH_WAYS, "client", wire.b.inner[4], BOTH_WAYS_BYTES)
    for child in (client, server):
        assert child.wait(60) == 0
    for host in (wire.a, wire.b):
        used = used_since(before[host], host)
        assert used[-2] > sum(used) / 4, f"one worker did nearly all of it: {used}"
        counters = tcp_counters(host)
        moved = {name: counters[name] for name in ("TCPSACKReorder", "TCPTSReorder")}
        assert not any(moved.values()), f"segments were overtaken: {moved}"
