"""Public ports of the gateway that lead to members."""

import json
import signal
import subprocess

import pytest

import lab
from test_networks import untouched

# Answers each line with the address it came from; TCP and UDP, IPv4 and IPv6.
SERVER = """
import socket, sys, threading
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
s = socket.socket(socket.AF_INET6, kind)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("::", int(sys.argv[2])))
def serve(c, a):
    for line in c.makefile("rb"):
        c.sendall(f"{a[0]} {line.decode()}".encode())
if kind == socket.SOCK_STREAM:
    s.listen()
    print("ready", flush=True)
    while True:
        threading.Thread(target=serve, args=s.accept(), daemon=True).start()
print("ready", flush=True)
while True:
    data, a = s.recvfrom(2000)
    s.sendto(f"{a[0]} {data.decode()}".encode(), a)
"""

# Sends each line of its input and prints the answer, or "dead".
CLIENT = """
import socket, sys
kind = socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET, kind)
s.settimeout(5)
try:
    s.connect((sys.argv[2], int(sys.argv[3])))
    for line in sys.stdin:
        s.sendall(line.encode())
        answer = s.recv(2000)
        print(answer.decode().strip() if answer else "dead", flush=True)
except OSError as error:
    print("dead", error, flush=True)
"""

PYTHON = "/usr/bin/python3"


@pytest.fixture
def programs():
    started = []

    def start(host, text, *arguments, ready=False):
        program = subprocess.Popen(
            host.inside(PYTHON, "-c", text, *map(str, arguments)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        started.append(program)
        if ready:
            assert program.stdout.readline() == "ready\n"
        return program

    yield start
    for program in started:
        program.kill()
        program.wait(timeout=10)


def say(client, text):
    try:
        client.stdin.write(text + "\n")
        client.stdin.flush()
    except BrokenPipeError:
        pass
    return client.stdout.readline().strip()


def add(gateway, port, target, letter="a"):
    return gateway.ask("forward", "add", port, target, "--network", gateway.network(letter))


@pytest.fixture
def served(world, gateway, programs):
    """m1 is a member that serves TCP 80 and UDP 53 and routes all to the network; m0 is a stranger
    on the gateway's uplink."""
    member = world.members[1]
    for host, address in ((gateway, "fd00:5::1/64"), (world.members[0], "fd00:5::2/64")):
        link = "u0" if host is gateway else "u"
        output = ["ip", "address", "add", address, "dev", link, "nodad"]
        host.run(*output)
    gateway.run("ip", "-6", "route", "add", "default", "via", "fd00:5::2")
    gateway.create("a", "--endpoint", "198.51.100.1")
    member.join("a", "web")
    # As a profile with the default route says: everything but the tunnel's own packets.
    member.run("ip", "route", "add", "192.0.2.0/24", "dev", member.interface)
    member.run("ip", "route", "add", "100.126.0.0/16", "dev", member.interface)
    member.run("ip", "-6", "route", "add", "default", "dev", member.interface)
    member.ping(1)
    programs(member, SERVER, "tcp", 80, ready=True)
    programs(member, SERVER, "udp", 53, ready=True)
    return member


def test_tcp_and_udp_of_both_families_keep_the_source(world, gateway, served, programs):
    view = add(gateway, "8080/tcp", "web:80")
    assert (view["from"], view["peer"], view["to_port"]) == ("8080/tcp", "web", 80)
    add(gateway, "53/udp", "web")
    stranger = world.members[0]
    assert say(programs(stranger, CLIENT, "tcp", "192.0.2.1", 8080), "a") == "::ffff:192.0.2.2 a"
    assert say(programs(stranger, CLIENT, "udp", "192.0.2.1", 53), "b") == "::ffff:192.0.2.2 b"
    assert say(programs(stranger, CLIENT, "tcp", "fd00:5::1", 8080), "c") == "fd00:5::2 c"
    assert say(programs(stranger, CLIENT, "udp", "fd00:5::1", 53), "d") == "fd00:5::2 d"
    listed = gateway.ask("forward", "list")["forwards"]
    assert {forward["from"] for forward in listed} == {"8080/tcp", "53/udp"}
    shown = gateway.call("forward", "list").stdout
    for forward in [view, *listed]:
        port = forward["from"].split("/")[0]
        addresses = {f"198.51.100.1:{port}", f"192.0.2.1:{port}", f"[fd00:5::1]:{port}"}
        assert set(forward["public_addresses"]) == addresses
        assert all(address in shown for address in addresses)


def test_the_gateway_itself_reaches_it(gateway, served, programs):
    add(gateway, "8080/tcp", "web:80")
    answer = say(programs(gateway, CLIENT, "tcp", "192.0.2.1", 8080), "own")
    assert answer.startswith("::ffff:100.126.") and answer.endswith(" own")


def test_nothing_else_of_the_member_is_open(world, gateway, served, programs):
    programs(served, SERVER, "tcp", 81, ready=True)
    add(gateway, "8080/tcp", "web:80")
    for port in (80, 81):
        assert "dead" in say(programs(world.members[0], CLIENT, "tcp", "192.0.2.1", port), "x")


def test_without_nat_the_member_sees_the_gateway(world, gateway, served, programs):
    gateway.ask("network", "set", gateway.network("a"), "--no-nat")
    add(gateway, "8080/tcp", "web:80")
    stranger = world.members[0]
    assert say(programs(stranger, CLIENT, "tcp", "192.0.2.1", 8080), "a") == "::ffff:10.20.0.1 a"
    # The way out stays shut.
    assert served.attempt("ping", "-c", "1", "-W", "1", "192.0.2.2").returncode != 0


def test_a_connection_outlives_the_daemon_and_the_forward_its_restart(
        world, gateway, served, programs):
    add(gateway, "8080/tcp", "web:80")
    client = programs(world.members[0], CLIENT, "tcp", "192.0.2.1", 8080)
    assert say(client, "one").endswith("one")
    gateway.end(signal.SIGKILL)
    assert say(client, "two").endswith("two")
    gateway.start()
    assert say(client, "three").endswith("three")
    fresh = programs(world.members[0], CLIENT, "tcp", "192.0.2.1", 8080)
    assert say(fresh, "four").endswith("four")


def test_another_forward_and_nat_leave_a_connection_alone(world, gateway, served, programs):
    add(gateway, "8080/tcp", "web:80")
    client = programs(world.members[0], CLIENT, "tcp", "192.0.2.1", 8080)
    assert say(client, "one").endswith("one")
    add(gateway, "8081/tcp", "web:80")
    gateway.ask("forward", "delete", "8081/tcp")
    assert say(client, "two").endswith("two")


def test_deleting_a_forward_cuts_its_connections(world, gateway, served, programs):
    before = untouched(gateway)
    add(gateway, "8080/tcp", "web:80")
    client = programs(world.members[0], CLIENT, "tcp", "192.0.2.1", 8080)
    assert say(client, "one").endswith("one")
    gateway.ask("forward", "delete", "8080/tcp")
    assert "dead" in say(client, "two")
    assert untouched(gateway) == before, "nothing of it is left"
    assert gateway.call("forward", "delete", "8080/tcp").returncode == 5


def test_revoking_the_peer_cuts_an_established_connection(world, gateway, served, programs):
    before, _ = untouched(gateway)
    add(gateway, "8080/tcp", "web:80")
    add(gateway, "53/udp", "web")
    client = programs(world.members[0], CLIENT, "tcp", "192.0.2.1", 8080)
    assert say(client, "one").endswith("one")
    answer = gateway.ask("revoke", "web", "--network", gateway.network("a"), "--yes")
    assert answer["pending"] == []
    assert "forwards" in [step["step"] for step in answer["steps"]]
    print("\nrevoke with two forwards:", answer["total_ms"], answer["steps"])
    assert "dead" in say(client, "two")
    assert gateway.ask("forward", "list")["forwards"] == []
    assert untouched(gateway)[0] == before
    tracked = gateway.run("conntrack", "-L", "-p", "tcp", "--orig-port-dst", "8080")
    assert "ASSURED" not in tracked


def test_a_deleted_network_takes_its_forwards_along(gateway, served):
    add(gateway, "8080/tcp", "web:80")
    gateway.ask("network", "delete", gateway.network("a"), "--yes")
    assert gateway.ask("forward", "list")["forwards"] == []
    assert "8080" not in gateway.run("nft", "list", "ruleset")


def test_cleanup_removes_forwards_and_the_next_daemon_brings_them_back(
        world, gateway, served, programs):
    add(gateway, "8080/tcp", "web:80")
    gateway.end()
    done = gateway.call("cleanup")
    assert done.returncode == 0, done
    assert gateway.run("nft", "list", "ruleset") == ""
    gateway.start()
    lab.wait_until(lambda: served.attempt("ping", "-c", "1", "-W", "1", served.target).returncode
                   == 0, "the member is back", 60)
    fresh = programs(world.members[0], CLIENT, "tcp", "192.0.2.1", 8080)
    assert say(fresh, "again").endswith("again")


def test_drift_by_hand_is_repaired_at_start(gateway, served):
    add(gateway, "8080/tcp", "web:80")
    rules = gateway.snapshot()["rules"]
    table = next(entry["table"]["name"] for entry in json.loads(rules)["nftables"]
                 if "table" in entry)
    gateway.run("nft", "delete", "element", "inet", table, "forwards4", "{ tcp . 8080 }")
    gateway.run("nft", "add", "element", "inet", table, "forwards4",
                "{ udp . 99 : 192.0.2.99 . 99 }")
    gateway.end()
    gateway.start()
    text = gateway.run("nft", "list", "table", "inet", table)
    assert "tcp . 8080 :" in text and "192.0.2.99" not in text


@pytest.mark.parametrize("case", ["forward", "program", "network", "enrolment", "nobody", "zero"])
def test_what_cannot_be_is_refused_and_changes_nothing(gateway, served, programs, case):
    add(gateway, "8080/tcp", "web:80")
    programs(gateway, SERVER, "tcp", 9090, ready=True)
    port = gateway.show("a")["port"]
    words, why, code = {
        "forward": (("8080/tcp", "web:81"), "the forward to web of network", 6),
        "program": (("9090/tcp", "web"), "belongs to python3", 6),
        "network": ((f"{port}/udp", "web"), "belongs to network " + gateway.network("a"), 6),
        "enrolment": (("51800/tcp", "web"), "belongs to the enrolment", 6),
        "nobody": (("81/tcp", "wbe"), 'there is no peer "wbe"', 5),
        "zero": (("0/tcp", "web"), "is no public port", 2),
    }[case]
    before = untouched(gateway)
    refused = gateway.call("forward", "add", *words, "--network", gateway.network("a"))
    assert refused.returncode == code, refused
    assert why in refused.stderr
    assert untouched(gateway) == before


def test_a_network_does_not_take_a_forwarded_port(gateway, served):
    add(gateway, "4500/udp", "web:53")
    refused = gateway.call("network", "create", gateway.network("b"), "--port", "4500")
    assert refused.returncode == 6 and "the forward 4500/udp" in refused.stderr
