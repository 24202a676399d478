"""Networks served into what exists: members on a bridge or an interface of the gateway's host.

    i0, i1: instances that know nothing of warren
   +----------------------+    namespace wt<pid>-g        m0, m1: members
   | eth0 10.20.0.100/24 -+--- s0 --- br100 ... daemon ===  10.20.0.x, fd20::x  (the tunnel)
   |      fd20::100/64    |    s1 ---/
   +----------------------+
"""

import json
import re
import signal
import subprocess

import pytest

import lab
from test_forwards import CLIENT, SERVER, programs, say  # noqa: F401  (a fixture)


class Instance(lab.Namespace):
    """A host of the segment; `port` is its link in the gateway's host."""

    def __init__(self, gateway, number):
        super().__init__(f"i{number}")
        self.address = f"10.20.0.{100 + number}"
        self.address6 = f"fd20::{100 + number}"
        self.port = f"s{number}"
        lab.output("ip", "link", "add", self.port, "netns", gateway.namespace,
                   "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        self.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "address", "add", f"{self.address6}/64", "dev", "eth0", "nodad")
        self.run("ip", "link", "set", "eth0", "up")
        gateway.run("ip", "link", "set", self.port, "up")

    def pings(self, *words):
        return self.attempt("ping", "-W", "2", "-c", "2", "-i", "0.2", *words).returncode == 0


@pytest.fixture
def segment(world):
    """Two instances behind br100 of the gateway's host."""
    gateway = world.gateway
    lab.require("tcpdump", "bridge")
    gateway.run("ip", "link", "add", "br100", "type", "bridge")
    gateway.run("ip", "link", "set", "br100", "up")
    instances = [Instance(gateway, number) for number in range(2)]
    for one in instances:
        gateway.run("ip", "link", "set", one.port, "master", "br100")
    yield instances
    for one in instances:
        lab.output("ip", "netns", "del", one.namespace)


WANTED = ("--subnet6", "fd20::/64", "--gateway-address", "10.20.0.250", "--gateway-address",
          "fd20::250", "--reserve", "10.20.0.100-10.20.0.199")


def attach(gateway, link="br100"):
    return gateway.create("a", "--attach", link, *WANTED)


def proxies(gateway):
    return gateway.run("ip", "-n", "warren-" + gateway.network("a"), "neigh", "show", "proxy")


def reaches(member, address):
    """On a busy machine the first packet, which begins a session, may take its time."""
    return member.attempt("ping", "-W", "2", "-c", "3", "-i", "0.2", address).returncode == 0


def bridge_of(gateway):
    """What of br100 a network may change."""
    ports = json.loads(gateway.run("bridge", "-j", "link"))
    return (gateway.snapshot(), sorted((p["ifname"], p.get("master")) for p in ports),
            re.findall(r"mtu \d+|link/ether \S+", gateway.run("ip", "link", "show", "br100")))


def member_addresses(gateway, name):
    view = gateway.peer("a", name)
    return view["address"], view["address6"]


def test_members_and_instances_reach_each_other(world, segment, gateway, programs):
    before = bridge_of(gateway)
    view = attach(gateway)
    assert view["attach"] == "br100"
    for member in world.members:
        member.join("a")
    one, two = segment
    capture = subprocess.Popen(
        two.inside("tcpdump", "-n", "-l", "-i", "eth0", "arp", "or", "icmp6"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "listening" in (capture.stderr.readline() + capture.stderr.readline())
    addresses = [member_addresses(gateway, f"m{member.number}") for member in world.members]
    for member in world.members:
        for instance in segment:
            assert reaches(member, instance.address) and reaches(member, instance.address6)
    for address4, address6 in addresses:
        assert one.pings(address4) and one.pings(address6)
        assert two.pings(address4) and two.pings(address6)
    # TCP, begun by either side, and what is too large for the tunnel is told so.
    programs(one, SERVER, "tcp", 80, ready=True)
    programs(world.members[0], SERVER, "tcp", 81, ready=True)
    for family in (0, 1):
        target = (one.address, one.address6)[family]
        assert say(programs(world.members[0], CLIENT, "tcp", target, 80), "up").endswith(" up")
        assert say(programs(one, CLIENT, "tcp", addresses[0][family], 81), "in").endswith(" in")
        size = (1472, 1452)[family]
        sent = one.attempt("ping", "-M", "do", "-s", size, "-W", "10", "-c", "1",
                           addresses[0][family])
        told = sent.stdout + sent.stderr
        assert re.search(r"mtu ?= ?1420", told), told
    # Nobody answers for who is not there, from either side.
    assert not two.pings("10.20.0.77") and not two.pings("fd20::77")
    assert world.members[0].attempt("ping", "-W", "1", "-c", "1", "10.20.0.77").returncode != 0
    capture.send_signal(signal.SIGINT)
    seen, _ = capture.communicate(timeout=10)
    answered = set(re.findall(r"Reply (\S+) is-at", seen))
    members4 = {address4 for address4, _ in addresses}
    assert members4 <= answered <= members4 | {one.address, two.address, "10.20.0.250"}
    assert "fd20::77," not in "".join(re.findall(r"tgt is \S+", seen))
    gateway.ask("network", "delete", gateway.network("a"), "--yes")
    assert bridge_of(gateway) == before


def attach_beside(gateway, address, link="br100", code=0):
    done = gateway.call("network", "create", gateway.network("b"), "--subnet", "10.20.0.0/24",
                        "--attach", link, "--gateway-address", address,
                        "--reserve", "10.20.0.100-10.20.0.199")
    assert done.returncode == code, done
    return done


@pytest.mark.parametrize("kind", ["bridge", "wire"])
def test_two_networks_of_one_link_give_no_address_twice(world, segment, gateway, kind):
    link, instance = "br100", segment[0]
    if kind == "wire":
        instance = Instance(gateway, 2)
        link = instance.port
    try:
        attach(gateway, link)
        world.members[0].join("a")
        first = gateway.peer("a", "m0")["address"]
        for taken, owner in (("10.20.0.250", "the gateway of network "), (first, "m0 of network ")):
            refused = attach_beside(gateway, taken, link, code=6)
            assert f"address {taken} belongs to {owner}{gateway.network('a')}" in refused.stderr
        attach_beside(gateway, "10.20.0.251", link)
        world.members[1].join("b")
        second = gateway.peer("b", "m1")["address"]
        assert second != first
        refused = gateway.call("peer", "add", "third", "--network", gateway.network("b"),
                               "--address", first)
        assert refused.returncode == 6 and "m0 of network" in refused.stderr
        gateway.invite("a", "fourth")
        assert gateway.peer("a", "fourth")["address"] not in (first, second)
        assert instance.pings(first) and instance.pings(second)
        assert gateway.ask("verify")["differences"] == []
    finally:
        if kind == "wire":
            lab.output("ip", "netns", "del", instance.namespace)


def test_a_revoked_member_is_answered_for_no_more(world, segment, gateway):
    attach(gateway)
    world.members[0].join("a")
    address, address6 = member_addresses(gateway, "m0")
    one, two = segment
    assert one.pings(address)
    assert address in proxies(gateway) and address6 in proxies(gateway)
    answer = gateway.ask("revoke", "m0", "--network", gateway.network("a"), "--yes")
    assert answer["pending"] == [] and "segment" in [s["step"] for s in answer["steps"]]
    print("\nrevoke of an attached member:", answer["total_ms"], answer["steps"])
    assert proxies(gateway) == ""
    one.run("ip", "neigh", "flush", "all")
    assert not one.pings(address)
    # An instance may have it now, and then no member gets it.
    two.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
    one.run("ip", "neigh", "flush", "all")
    assert one.pings(address)
    gateway.invite("a", "other")
    assert gateway.peer("a", "other")["address"] != address
    refused = gateway.call("peer", "add", "third", "--network", gateway.network("a"),
                           "--address", address)
    assert refused.returncode == 6 and "br100" in refused.stderr


def test_it_outlives_the_daemon(world, segment, gateway):
    attach(gateway)
    world.members[0].join("a")
    address, address6 = member_addresses(gateway, "m0")
    for number in (signal.SIGTERM, signal.SIGKILL):
        gateway.end(number)
        assert segment[0].pings(address), "while no daemon runs"
        gateway.start()
        assert segment[0].pings(address) and segment[1].pings(address6)
        assert gateway.ask("verify")["differences"] == []


def test_a_bridge_that_goes_and_comes_back(world, segment, gateway):
    attach(gateway)
    world.members[0].join("a")
    address, _ = member_addresses(gateway, "m0")
    gateway.run("ip", "link", "del", "br100")
    assert any("br100" in text for text in gateway.ask("status")["daemon"]["problems"])
    found = gateway.call("--json", "verify")
    assert found.returncode == 1
    assert "segment" in [one["part"] for one in json.loads(found.stdout)["differences"]]
    # Another network is served as ever.
    gateway.create("b", subnet="10.30.0.0/24")
    world.members[0].ping(1)
    gateway.run("ip", "link", "add", "br100", "type", "bridge")
    gateway.run("ip", "link", "set", "br100", "up")
    for one in segment:
        gateway.run("ip", "link", "set", one.port, "master", "br100")
    lab.wait_until(lambda: gateway.ask("status")["daemon"]["problems"] == [],
                   "nothing is wrong any more")
    lab.wait_until(lambda: gateway.call("verify").returncode == 0,
                   "the network is attached again", 20)
    assert segment[0].pings(address)


def test_an_interface_that_is_no_bridge(world, segment, gateway):
    wire = Instance(gateway, 2)
    try:
        before = gateway.snapshot()
        view = attach(gateway, wire.port)
        assert any("no bridge" in text for text in view["warnings"])
        world.members[0].join("a")
        address, address6 = member_addresses(gateway, "m0")
        assert wire.pings(address) and wire.pings(address6)
        gateway.ask("network", "delete", gateway.network("a"), "--yes")
        assert gateway.snapshot() == before
    finally:
        lab.output("ip", "netns", "del", wire.namespace)


@pytest.mark.parametrize("link, options, why", [
    ("br200", (), "there is no link br200"),
    ("s0", (), "s0 is a port of br100"),
    ("lo", (), "lo is no Ethernet link"),
    ("br100", ("--gateway-address", "10.20.0.100"), "10.20.0.100 belongs to "),
])
def test_what_cannot_be_is_refused(segment, gateway, link, options, why):
    before = bridge_of(gateway)
    refused = gateway.call("network", "create", gateway.network("a"), "--subnet", "10.20.0.0/24",
                           "--attach", link, *options)
    assert refused.returncode != 0 and why in refused.stderr, refused.stderr
    assert bridge_of(gateway) == before


def test_a_policy_for_the_segment(world, segment, gateway):
    attach(gateway)
    world.members[0].join("a")
    address, _ = member_addresses(gateway, "m0")
    policy = world.folder / "policy.yaml"
    policy.write_text("rules:\n  - any -> segment: icmp\n")
    gateway.ask("policy", "set", gateway.network("a"), policy)
    assert reaches(world.members[0], segment[0].address)
    assert not segment[0].pings(address)
    policy.write_text("rules:\n  - segment -> any: icmp\n")
    gateway.ask("policy", "set", gateway.network("a"), policy)
    assert segment[0].pings(address)
    assert world.members[0].attempt(
        "ping", "-W", "1", "-c", "1", segment[0].address).returncode != 0
    assert gateway.ask("verify")["differences"] == []
