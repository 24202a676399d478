"""Names inside a network: who is asked, what is answered, what never leaves."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

import lab
from lab import WARREN, is_alive, wait_until
from test_members import Home

# Asks SERVER ("tcp ADDRESS": over TCP) for NAME of TYPE; prints {"code": …, "answers": [text …]}, or {"code": "silent"}.
ASK = """
import ipaddress, json, socket, struct, sys
server, name, kind = sys.argv[1:]
types = {"A": 1, "PTR": 12, "AAAA": 28, "SRV": 33}
stream = server.startswith("tcp ")
server = server.split()[-1]
s = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET,
                  socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
s.settimeout(6)
labels = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".") if l) + b"\\0"
q = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack(">HH", types[kind], 1)
try:
    s.connect((server, 53))
    s.sendall(struct.pack(">H", len(q)) + q if stream else q)
    m = s.recv(4096)
    if stream:
        while len(m) < 2 or len(m) - 2 < struct.unpack(">H", m[:2])[0]:
            more = s.recv(4096)
            if not more:
                raise OSError("cut off")
            m += more
        m = m[2:]
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
# Takes the place of a name server that ended.
BLOCK = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.20.0.1", 53))
print("there")
sys.stdin.read()
"""
PYTHON = "/usr/bin/python3"
FAILURE, NO_SUCH_NAME, REFUSED = 2, 3, 5


def answer_of(printed):
    done = json.loads(printed)
    return done["answers"] if done["code"] == 0 else done["code"]


def ask(host, server, name, kind="A"):
    return answer_of(host.run(PYTHON, "-c", ASK, server, name, kind))


class Names:
    """Network "a" of a gateway, with names."""

    def __init__(self, world):
        self.world = world
        self.gateway = world.gateway
        self.name = self.gateway.network("a")
        world.folder.chmod(0o755)  # for the account that dnsmasq runs as
        self.gateway.environment["WARREN_RESOLV_CONF"] = str(world.folder / "resolv.conf")
        self.resolvers("127.0.0.53")

    def resolvers(self, *addresses):
        """Whom the gateway's host asks."""
        new = self.world.folder / "resolv.conf.new"
        new.write_text("".join(f"nameserver {address}\n" for address in addresses))
        new.rename(self.world.folder / "resolv.conf")

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

    def ask_now(self, host, name):
        """Also while no daemon runs."""
        return ask(host, "10.20.0.1", name)

    def ask_inside(self, letter, name):
        """As a program in the network's namespace."""
        done = self.gateway.call("network", "exec", self.gateway.network(letter), "--", PYTHON,
                                 "-c", ASK, self.gateway.show(letter)["gateway"], name, "A")
        return answer_of(done.stdout)

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


class Resolver:
    """A name server of a host: knows example.org, and notes all it is asked."""

    def __init__(self, host, address, answer, log, *options):
        self.host, self.address, self.answer, self.log = host, address, answer, log
        self.program = subprocess.Popen(
            host.inside("dnsmasq", "-k", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                        "--pid-file=", "--bind-interfaces", f"--listen-address={address}",
                        f"--address=/example.org/{answer}", "--log-queries",
                        f"--log-facility={log}", *options),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: ask(host, address, "example.org") == [answer], "the resolver answers")

    def end(self):
        self.program.terminate()
        self.program.wait(timeout=10)


@pytest.fixture
def resolver(names):
    """Starts resolvers; `resolver(host, address, answer)`."""
    made = []

    def start(host, address, answer, *options):
        log = names.world.folder / f"resolver{len(made)}.log"
        made.append(Resolver(host, address, answer, log, *options))
        return made[-1]

    yield start
    for one in made:
        one.end()


@pytest.fixture
def forwarder(names, resolver):
    """The log of a name server in the internet."""
    return resolver(names.world.members[0], "192.0.2.2", "203.0.113.7").log


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
    names.resolvers()
    names.begin()
    bob = names.world.members[1]
    bob.join("a", "bob")
    assert names.ask(bob, "example.org") == REFUSED
    [warning] = names.gateway.show("a")["warnings"]
    assert "--forwarder" in warning
    assert names.gateway.ask("status")["daemon"]["problems"] == []
    names.resolvers("192.0.2.2")
    wait_until(lambda: names.ask(bob, "example.org") == ["203.0.113.7"], "the host's is asked")
    assert names.gateway.show("a")["warnings"] == []
    assert names.set("--no-nat").returncode == 0
    wait_until(lambda: names.ask(bob, "example.org") == REFUSED, "no way out, no names from there")
    assert names.ask(bob, "bob") == [names.gateway.peer("a", "bob")["address"]]
    # Unless that is what its administrator says: the host asks, and the network has no other way.
    assert names.set("--forwarder", "192.0.2.2").returncode == 0
    assert names.gateway.show("a")["warnings"] == []
    wait_until(lambda: names.ask(bob, "example.org") == ["203.0.113.7"], "it is asked by the host")
    assert bob.attempt("ping", "-c", "1", "-W", "1", "-I", bob.interface,
                       "192.0.2.2").returncode != 0


def test_a_resolver_on_the_hosts_loopback_is_asked(names, resolver):
    gateway, bob = names.world.gateway, names.world.members[1]
    local = resolver(gateway, "127.0.0.53", "203.0.113.9")
    other = resolver(gateway, "127.0.0.1", "203.0.113.8")
    names.begin()
    bob.join("a", "bob")
    shown = gateway.show("a")
    assert shown["warnings"] == []
    wait_until(lambda: names.ask(bob, "example.org") == ["203.0.113.9"], "the host's own is asked")
    # The name server's own memory answers the second time; over TCP and for other names it asks.
    stream = f"tcp {shown['gateway']}"
    assert names.ask(bob, "deep.example.org", server=stream) == ["203.0.113.9"]
    assert names.ask(bob, "AAAA.example.org") == ["203.0.113.9"]
    assert "deep.example.org" in local.log.read_text()
    assert names.full("bob") not in local.log.read_text()
    # It listens where nobody but the name server comes: inside, and on the loopback there.
    listening = gateway.run("ip", "netns", "exec", f"warren-{names.name}", "ss", "-Hlntu")
    addresses = {line.split()[4].rsplit(":", 1)[0].strip("[]") for line in listening.splitlines()
                 if line.split()[4].endswith(":53")}
    assert addresses == {"127.0.53.1", shown["gateway"], shown["gateway6"]}
    # Another one, without a restart.
    names.resolvers("127.0.0.1")
    wait_until(lambda: names.ask(bob, "other.example.org") == ["203.0.113.8"], "it follows")
    # One that is silent is no reason to wait.
    other.end()
    assert names.ask(bob, "third.example.org") == FAILURE
    # Without a way out only where it is said, and then still.
    assert names.set("--no-nat").returncode == 0
    wait_until(lambda: names.ask(bob, "fourth.example.org") == REFUSED, "nobody is asked")
    assert names.set("--forwarder", "127.0.0.53").returncode == 0
    wait_until(lambda: names.ask(bob, "fifth.example.org") == ["203.0.113.9"], "it is asked again")
    # A daemon that is killed takes the way along, and the next one brings it back.
    gateway.end(signal.SIGKILL)
    assert names.ask_now(bob, "sixth.example.org") in ("silent", FAILURE, REFUSED)
    assert names.ask_now(bob, names.full("bob")) == [
        line.split("=")[1].strip().split("/")[0] for line in bob.profile.read_text().splitlines()
        if line.startswith("Address")][:1]
    gateway.start()
    wait_until(lambda: names.ask(bob, "sixth.example.org") == ["203.0.113.9"], "it is back")
    assert gateway.ask("verify")["differences"] == []
    # Nor does it outlive its network.
    assert gateway.call("network", "restart", names.name).returncode == 0
    wait_until(lambda: names.ask_inside("a", "seventh.example.org") == ["203.0.113.9"],
               "after a restart")
    gateway.ask("network", "delete", names.name, "--yes")


KEEPER = """#!/bin/sh
# Keeps what it is told in a file per record, and counts how often it is asked.
cd "{folder}"
echo "$0 $@" >> asked
case "$(basename "$0") $1" in
  "resolvectl revert" | "resolvconf -d") rm -f "kept-$2" ;;
  "resolvectl"*) echo "$@" >> "kept-$2" ;;
  "resolvconf -a") cat > "kept-$2" ;;
esac
"""


class Keeper:
    """Whoever keeps the name servers of the gateway's host: what it was told."""

    def __init__(self, names, program):
        if program == "resolvectl" and not pathlib.Path("/run/systemd/resolve").exists():
            pytest.skip("needs a host on which systemd-resolved runs, or did")
        if program == "resolvconf" and shutil.which("resolvectl"):
            pytest.skip("this host has resolvectl, which comes before resolvconf")
        self.names, self.kind = names, program
        self.folder = names.world.folder / "keeper"
        self.folder.mkdir()
        self.path = self.folder / program
        names.gateway.environment["PATH"] = f"{self.folder}:{os.environ['PATH']}"
        self.install()

    def install(self):
        self.path.write_text(KEEPER.format(folder=self.folder))
        self.path.chmod(0o755)

    def kept(self):
        text = ""
        for path in self.folder.glob("kept-*"):
            with contextlib.suppress(FileNotFoundError):  # it goes while we look
                text += path.read_text()
        return text

    def asked(self):
        return len((self.folder / "asked").read_text().splitlines())

    def expected(self):
        shown = self.names.gateway.show("a")
        link = shown["interface_name"].replace("wr", "wh")
        if self.kind == "resolvconf":
            return f"nameserver {shown['gateway']}\n"
        return (f"dns {link} {shown['gateway']} {shown['gateway6']}\n"
                f"domain {link} ~{self.names.name}.internal\ndefault-route {link} false\n")


@pytest.fixture(params=["resolvectl", "resolvconf"])
def keeper(names, request):
    return Keeper(names, request.param)


def test_the_host_with_access_asks_for_names(names, keeper):
    gateway, bob = names.gateway, names.world.members[1]
    names.begin("--host-access")
    assert keeper.kept() == keeper.expected() and gateway.show("a")["warnings"] == []
    bob.join("a", "bob")
    address = gateway.peer("a", "bob")["address"]
    names.expect_soon(gateway, names.full("bob"), [address])
    gateway.run("ping", "-w", "15", "-c", "1", address)
    # It is told once, whoever comes and goes, and a successor knows.
    asked = keeper.asked()
    gateway.ask("peer", "rename", "bob", "bert", "--network", names.name)
    names.expect_soon(gateway, names.full("bert"), [address])
    gateway.end(signal.SIGKILL)
    gateway.start()
    names.expect_soon(gateway, names.full("bert"), [address])
    assert (keeper.asked(), keeper.kept()) == (asked, keeper.expected())
    # It is undone when the command returns, whichever command that is.
    for off, on in ((("set", "--no-host-access"), ("set", "--host-access")),
                    (("set", "--no-names"), ("set", "--names")), (("stop",), ("start",))):
        gateway.ask("network", off[0], names.name, *off[1:])
        assert keeper.kept() == "", off
        gateway.ask("network", on[0], names.name, *on[1:])
        wait_until(lambda: keeper.kept() == keeper.expected(), on)
    gateway.ask("network", "delete", names.name, "--yes")
    assert keeper.kept() == ""
    # And after a kill.
    gateway.create("a", "--names", "--host-access")
    assert keeper.kept() != ""
    gateway.end(signal.SIGKILL)
    assert gateway.call("cleanup").returncode == 0
    assert keeper.kept() == ""


def test_a_host_that_cannot_be_told_says_so(names, keeper):
    if shutil.which("resolvectl") or shutil.which("resolvconf"):
        pytest.skip("this host has somebody who keeps its name servers")
    keeper.path.unlink()
    names.begin("--host-access")
    [warning] = names.gateway.show("a")["warnings"]
    assert f"{names.name}.internal" in warning and "/etc/resolv.conf" in warning
    assert "neither systemd-resolved nor resolvconf" in warning and "10.20.0.1" in warning
    assert "weak" in names.gateway.call("doctor", "names").stdout
    keeper.install()
    wait_until(lambda: keeper.kept() == keeper.expected(), "it is told when it is there")
    assert names.gateway.show("a")["warnings"] == []
    # One that fails is told of, and nothing else fails.
    names.gateway.ask("network", "set", names.name, "--no-host-access")
    keeper.path.write_text("#!/bin/sh\necho the disk is full >&2\nexit 3\n")
    shown = names.gateway.ask("network", "set", names.name, "--host-access")
    assert "the disk is full" in "".join(shown["warnings"])
    assert names.ask(names.gateway, names.full("gateway")) == [shown["gateway"]]


def test_what_the_host_knows_of_one_network_is_not_told_in_another(names, keeper, resolver):
    # The host's resolver answers for the first network, as one that was told of it does.
    known = names.full("bob")
    local = resolver(names.gateway, "127.0.0.53", "203.0.113.9", f"--address=/{known}/10.20.0.9")
    names.begin()
    names.gateway.create("b", "--names", subnet="10.21.0.0/24")
    wait_until(lambda: names.ask_inside("b", "example.org") == ["203.0.113.9"], "the host is asked")
    # So it would be told, if nothing was withheld.
    assert names.ask_inside("b", known) == ["10.20.0.9"]
    names.gateway.ask("network", "set", names.name, "--host-access")
    wait_until(lambda: names.ask_inside("b", known) == NO_SUCH_NAME, "it is withheld", 20)
    before = local.log.read_text().count(known)
    assert names.ask_inside("b", known) == NO_SUCH_NAME
    assert local.log.read_text().count(known) == before, "nobody is asked"
    assert names.ask(names.gateway, names.full("gateway")) == ["10.20.0.1"]


def test_doctor_tells_what_is_the_matter_with_names(names, resolver):
    gateway, bob = names.gateway, names.world.members[1]
    local = resolver(gateway, "127.0.0.53", "203.0.113.9")
    names.begin()
    bob.join("a", "bob")
    names.expect_soon(bob, "bob", [gateway.peer("a", "bob")["address"]])

    def findings():
        done = gateway.call("--json", "doctor", "names")
        report = json.loads(done.stdout)["findings"]
        assert (done.returncode == 0) == all(one["state"] != "bad" for one in report)
        return {one["what"]: one for one in report}

    server = f"name server of network {names.name}"
    forwarder = f"forwarder 127.0.0.53 of network {names.name}"
    found = findings()
    assert {what: one["state"] for what, one in found.items()} == {server: "good",
                                                                   forwarder: "good"}
    assert "10.20.0.1" in found[server]["text"]
    local.end()
    found = findings()
    assert found[server]["state"] == "good" and found[forwarder]["state"] == "bad"
    assert "--forwarder" in found[forwarder]["remedy"]
    # One that hangs.
    os.kill(names.pid, signal.SIGSTOP)
    assert "does not answer" in findings()[server]["text"]
    os.kill(names.pid, signal.SIGCONT)
    # One whose port somebody else has inside.
    pid = names.pid
    gateway.process.send_signal(signal.SIGSTOP)  # so that it does not start another one first
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), "it ended")
    blocker = subprocess.Popen(
        gateway.inside("ip", "netns", "exec", f"warren-{names.name}", PYTHON, "-uc", BLOCK),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert blocker.stdout.readline() == "there\n"
        gateway.process.send_signal(signal.SIGCONT)
        wait_until(lambda: "in use" in findings()[server]["text"], findings, 20)
        found = findings()[server]
        assert found["state"] == "bad" and "sport = :53" in found["remedy"]
    finally:
        gateway.process.send_signal(signal.SIGCONT)
        blocker.communicate()
    wait_until(lambda: findings()[server]["state"] == "good", findings, 40)
    assert names.set("--no-names").returncode == 0
    assert findings() == {} and "--names" in gateway.call("doctor", "names").stdout


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
    before = names.gateway.declared("a")
    refused = names.set("--names")
    assert refused.returncode == 5 and "dnsmasq-base" in refused.stderr
    assert names.gateway.declared("a") == before
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
    holding = home.begin(names.name, "--wait-ready", "10s", "--", "sh", "-c", "echo up; exec cat")
    assert holding.stdout.readline() == "up\n"
    tell = ("--", "sh", "-c", "echo $MQTT_BROKER:$MQTT_BROKER_PORT")
    second = home.warren("attach", names.name, *tell)
    assert second.stdout == f"mqtt.{names.name}.internal:1883\n", second.stderr
    second = home.warren("attach", "-e", "MQTT_BROKER=other", names.name, *tell)
    assert second.stdout == "other:1883\n", second.stderr
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
