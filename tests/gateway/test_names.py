"""Names inside a network: who is asked, what is answered, what never leaves."""

import json
import os
import pathlib
import signal
import subprocess
import time

import pytest

import lab
from lab import WARREN, is_alive, wait_until
from test_members import Home

# Asks SERVER for NAME of TYPE; prints {"code": …, "answers": [text …]}, or {"code": "silent"}.
ASK = """
import ipaddress, json, socket, struct, sys
server, name, kind = sys.argv[1:]
types = {"A": 1, "PTR": 12, "AAAA": 28, "SRV": 33}
s = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
labels = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".") if l) + b"\\0"
s.sendto(struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack(">HH", types[kind], 1),
         (server, 53))
try:
    m = s.recv(4096)
except OSError:
    print(json.dumps({"code": "silent", "answers": []}))
    sys.exit()
def read_name(at):
    parts = []
    while m[at]:
        if m[at] >= 0xc0:
            rest, _ = read_name(struct.unpack(">H", m[at:at + 2])[0] & 0x3fff)
            return ".".join(parts + [rest] if rest else parts), at + 2
        parts.append(m[at + 1:at + 1 + m[at]].decode())
        at += 1 + m[at]
    return ".".join(parts), at + 1
_, flags, _, count = struct.unpack(">4H", m[:8])
_, at = read_name(12)
at += 4
answers = []
for _ in range(count):
    _, at = read_name(at)
    found, _, _, size = struct.unpack(">HHIH", m[at:at + 10])
    at += 10
    if found in (1, 28):
        answers.append(str(ipaddress.ip_address(m[at:at + size])))
    elif found == 12:
        answers.append(read_name(at)[0])
    elif found == 33:
        answers.append(f"{read_name(at + 6)[0]}:{struct.unpack('>H', m[at + 4:at + 6])[0]}")
    at += size
print(json.dumps({"code": flags & 15, "answers": answers}))
"""
PYTHON = "/usr/bin/python3"
NO_SUCH_NAME, REFUSED = 3, 5


def ask(host, server, name, kind="A"):
    done = json.loads(host.run(PYTHON, "-c", ASK, server, name, kind))
    return done["answers"] if done["code"] == 0 else done["code"]


class Names:
    """Network "a" of a gateway, with names."""

    def __init__(self, world):
        self.world = world
        self.gateway = world.gateway
        self.name = self.gateway.network("a")
        world.folder.chmod(0o755)  # for the account that dnsmasq runs as
        self.gateway.environment["WARREN_RESOLV_CONF"] = str(world.folder / "resolv.conf")
        (world.folder / "resolv.conf").write_text("nameserver 127.0.0.53\n")

    def begin(self, *options):
        self.gateway.start()
        self.gateway.create("a", "--names", *options)

    @property
    def directory(self):
        return self.gateway.run_dir / "names" / self.gateway.show("a")["interface_name"]

    @property
    def pid(self):
        return int((self.directory / "process").read_text().split()[0])

    def full(self, name):
        return f"{name}.{self.name}.internal"

    def ask(self, host, name, kind="A", server=None):
        return ask(host, server or self.gateway.show("a")["gateway"], name, kind)

    def expect_soon(self, host, name, answer, seconds=1.0):
        """Within a second of what changed it; how long it took (a machine may be busy)."""
        began = time.monotonic()
        wait_until(lambda: self.ask(host, name) == answer,
                   lambda: f"{name} is {self.ask(host, name)}, not {answer}", seconds + 10)
        print(f"{name} {answer}: {(time.monotonic() - began) * 1e3:.0f} ms", flush=True)

    def set(self, *options):
        return self.gateway.call("network", "set", self.name, *options)


@pytest.fixture
def names(world):
    lab.require("dnsmasq")
    return Names(world)


@pytest.fixture
def forwarder(names):
    """A name server in the internet: knows example.org and notes all it is asked."""
    folder = names.world.folder
    log = folder / "forwarder.log"
    program = subprocess.Popen(
        names.world.members[0].inside(
            "dnsmasq", "-k", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=",
            "--bind-interfaces", "--listen-address=192.0.2.2", "--address=/example.org/203.0.113.7",
            "--log-queries", f"--log-facility={log}"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: ask(names.world.members[0], "192.0.2.2", "example.org") == ["203.0.113.7"],
               "the forwarder answers")
    yield log
    program.terminate()
    program.wait(timeout=10)


def test_members_have_names_from_their_first_to_their_last_second(names):
    names.begin()
    ann, bob = names.world.members
    ann.join("a", "ann")
    bob.join("a", "bob")
    shown = names.gateway.show("a")
    peer = names.gateway.peer("a", "ann")
    names.expect_soon(bob, names.full("ann"), [peer["address"]])
    for server in (shown["gateway"], shown["gateway6"]):
        assert names.ask(bob, names.full("ann"), "A", server) == [peer["address"]]
        assert names.ask(bob, names.full("ann"), "AAAA", server) == [peer["address6"]]
        assert names.ask(bob, "ann", "AAAA", server) == [peer["address6"]]
        assert names.ask(bob, names.full("gateway"), "A", server) == [shown["gateway"]]
        assert names.ask(bob, names.full("nobody"), "A", server) == NO_SUCH_NAME
    reverse = ".".join(reversed(peer["address"].split("."))) + ".in-addr.arpa"
    assert names.ask(bob, reverse, "PTR") == [names.full("ann")]
    conf = ann.profile.read_text()
    assert f"DNS = {shown['gateway']}, {shown['gateway6']}" in conf
    assert f"DNS = {names.name}.internal" in conf

    pid = names.pid
    names.gateway.ask("peer", "rename", "ann", "anna", "--network", names.name)
    names.expect_soon(bob, names.full("anna"), [peer["address"]])
    assert names.ask(bob, names.full("ann")) == NO_SUCH_NAME
    # Names go through a policy that denies everything else.
    policy = names.world.folder / "policy"
    policy.write_text("rules: []\n")
    names.gateway.ask("policy", "set", names.name, str(policy))
    assert names.ask(bob, names.full("anna")) == [peer["address"]]
    names.gateway.ask("revoke", "anna", "--network", names.name)
    names.expect_soon(bob, names.full("anna"), NO_SUCH_NAME)
    assert names.pid == pid, "members come and go without another process"
    assert names.gateway.ask("verify")["differences"] == []


def test_names_of_the_network_never_leave_it(names, forwarder):
    names.begin("--forwarder", "192.0.2.2")
    bob = names.world.members[1]
    bob.join("a", "bob")
    wait_until(lambda: names.ask(bob, "example.org") == ["203.0.113.7"], "other names are answered")
    reverse = "9.0.20.10.in-addr.arpa"
    for name, kind in ((names.full("nobody"), "A"), (names.full("nobody"), "AAAA"),
                       (names.full("bob"), "SRV"), ("deep." + names.full("nobody"), "A"),
                       ("nobody", "A"), (reverse, "PTR")):
        assert names.ask(bob, name, kind) in ([], NO_SUCH_NAME), name
    asked = forwarder.read_text()
    assert "example.org" in asked
    assert "internal" not in asked and "nobody" not in asked and reverse not in asked
    assert "10.20.0.9" not in asked


def test_others_are_asked_as_the_host_asks_them(names, forwarder):
    names.begin()
    bob = names.world.members[1]
    bob.join("a", "bob")
    # A resolver of the host's own is out of reach from the network: nobody is asked instead.
    assert names.ask(bob, "example.org") == REFUSED
    [warning] = names.gateway.show("a")["warnings"]
    assert "--forwarder" in warning
    assert names.gateway.ask("status")["daemon"]["problems"] == []
    (names.world.folder / "resolv.conf").write_text("nameserver 192.0.2.2\n")
    wait_until(lambda: names.ask(bob, "example.org") == ["203.0.113.7"], "the host's is asked")
    assert names.gateway.show("a")["warnings"] == []
    assert names.set("--no-nat").returncode == 0
    wait_until(lambda: names.ask(bob, "example.org") == REFUSED, "no way out, no names from there")
    assert names.ask(bob, "bob") == [names.gateway.peer("a", "bob")["address"]]


def test_a_killed_name_server_is_back_within_a_second(names):
    names.begin()
    bob = names.world.members[1]
    bob.join("a", "bob")
    address = names.gateway.peer("a", "bob")["address"]
    names.expect_soon(bob, "bob", [address])
    status = pathlib.Path(f"/proc/{names.pid}/status").read_text()
    assert "CapEff:\t0000000000000000" in status and "Uid:\t0\t" not in status
    before = names.pid
    began = time.monotonic()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: names.pid != before and is_alive(names.pid), "another process runs")
    names.expect_soon(bob, "bob", [address])
    print(f"back after {(time.monotonic() - began) * 1e3:.0f} ms", flush=True)
    # A daemon that dies takes no names along, and its successor adopts the server.
    before = names.pid
    directory = names.directory
    names.gateway.end(signal.SIGKILL)
    assert ask(bob, "10.20.0.1", "bob") == [address]
    names.gateway.start()
    names.gateway.ask("peer", "rename", "bob", "bert", "--network", names.name)
    names.expect_soon(bob, "bert", [address])
    assert names.pid == before
    # Both at once.
    names.gateway.end(signal.SIGKILL)
    os.kill(before, signal.SIGKILL)
    names.gateway.start()
    names.expect_soon(bob, "bert", [address])
    assert names.pid != before
    # A server that its network has no more goes, by whoever comes first.
    before = names.pid
    assert names.set("--no-names").returncode == 0
    assert not is_alive(before) and not directory.exists()
    assert names.set("--names").returncode == 0
    before = names.pid
    names.gateway.end(signal.SIGKILL)
    assert names.gateway.call("cleanup").returncode == 0
    assert not is_alive(before) and not directory.exists()


def test_names_are_turned_on_whole_or_not_at_all(names):
    names.gateway.environment["WARREN_DNSMASQ"] = "/nonexistent/dnsmasq"
    names.gateway.start()
    names.gateway.create("a")
    before = names.gateway.show("a")
    refused = names.set("--names")
    assert refused.returncode == 5 and "dnsmasq-base" in refused.stderr
    assert names.gateway.show("a") == before
    refused = names.gateway.call("network", "create", names.gateway.network("b"), "--names",
                                 "--subnet", "10.21.0.0/24")
    assert refused.returncode == 5 and "dnsmasq-base" in refused.stderr
    assert [n["name"] for n in names.gateway.ask("network", "list")["networks"]] == [names.name]


SERVICES = """\
services:
  mqtt: {peer: broker, port: 1883, env: MQTT_BROKER}
"""


@pytest.fixture
def home(names):
    names.begin()
    made = Home(names.world)
    yield made
    made.close()


def test_services_are_named_and_told(names, home):
    broker = names.world.members[1]
    broker.join("a", "broker")
    broker_address = names.gateway.peer("a", "broker")["address"]
    policy = names.world.folder / "policy"
    policy.write_text(SERVICES)
    set_policy = names.gateway.call("policy", "set", names.name, policy)
    assert set_policy.returncode == 0, set_policy.stderr
    expected = f"MQTT_BROKER=mqtt.{names.name}.internal\nMQTT_BROKER_PORT=1883\n"
    assert names.gateway.call("env", names.name).stdout == expected
    names.expect_soon(broker, names.full("mqtt"), [broker_address])
    assert names.ask(broker, f"_mqtt._tcp.{names.name}.internal", "SRV") == [
        names.full("broker") + ":1883"]
    # Members reach each other: services alone filter nothing.
    assert names.gateway.ask("policy", "test", names.name, "broker", "broker", "tcp/22")["allowed"]

    assert home.warren("join", names.gateway.invite("a", "job")).returncode == 0
    assert home.warren("env", names.name).stdout == expected
    # The program looks the broker's name up as programs do.
    look = "import os, socket; print(socket.gethostbyname(os.environ['MQTT_BROKER']))"
    run = home.warren("run", names.name, "--wait-ready", "10s", "--", PYTHON, "-c", look)
    assert run.stdout == broker_address + "\n", run.stderr
    run = home.warren("run", names.name, "-e", "MQTT_BROKER=other", "--", "sh", "-c",
                      "echo $MQTT_BROKER:$MQTT_BROKER_PORT")
    assert run.stdout == "other:1883\n", run.stderr
    done = names.gateway.call("network", "exec", names.name, "--", PYTHON, "-c",
                              "import socket; print(socket.gethostbyname('mqtt'))")
    assert done.stdout == broker_address + "\n", done.stderr

    # A name stands for one.
    taken = names.gateway.call("invite", "mqtt", "--network", names.name)
    assert taken.returncode == 6 and "service" in taken.stderr
    # What changes reaches a member that runs: it is in the profile of the next program.
    holding = home.begin(names.name, "--wait-ready", "10s", "--", "cat")
    policy.write_text(SERVICES.replace("1883", "8883"))
    names.gateway.ask("policy", "set", names.name, str(policy))
    wait_until(lambda: "MQTT_BROKER_PORT=8883" in home.warren("env", names.name).stdout,
               "the profile knows the new port", 20)
    holding.stdin.close()
    assert holding.wait(timeout=10) == 0
    bundle = names.gateway.call("peer", "export", "broker", "--network", names.name, "--format",
                                "env").stdout
    assert f"MQTT_BROKER=mqtt.{names.name}.internal\n" in bundle
    assert f"WG_DNS_SEARCH={names.name}.internal\n" in bundle


def test_members_that_run_hear_of_names(names, world):
    names.gateway.start()
    names.gateway.create("a")
    home = Home(world)
    try:
        assert home.warren("join", names.gateway.invite("a", "job")).returncode == 0
        program = home.begin(names.name, "--wait-ready", "10s", "--", "sh", "-c",
                             "while read _; do cat /etc/resolv.conf; echo end; done")

        def resolv_conf():
            program.stdin.write("\n")
            program.stdin.flush()
            return "".join(iter(program.stdout.readline, "end\n"))

        assert "nameserver" not in resolv_conf()
        assert names.set("--names").returncode == 0
        began = time.monotonic()
        shown = names.gateway.show("a")
        wait_until(lambda: f"nameserver {shown['gateway']}\n" in resolv_conf(), resolv_conf)
        print(f"told after {(time.monotonic() - began) * 1e3:.0f} ms", flush=True)
        assert f"search {names.name}.internal\n" in resolv_conf()
        assert names.set("--no-names").returncode == 0
        wait_until(lambda: "nameserver" not in resolv_conf(), resolv_conf)
        assert "DNS" not in home.host.profile.read_text()
    finally:
        home.close()
