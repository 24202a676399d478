"""A gateway that a user without any privilege runs: `warren daemon --rootless`."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

import lab
from test_names import ask

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from tun_access import TunAccess  # noqa: E402

USER = 50_000 + os.getpid() % 14_000  # nobody else's: its processes are counted


class UsersGateway(lab.Gateway):
    """Everything it does is done as the user; its directories are the user's own."""

    def __init__(self, world):
        self.__dict__.update(world.gateway.__dict__)
        self.folder.chmod(0o755)
        programs = self.folder / "bin"
        programs.mkdir()
        for path in pathlib.Path(lab.WARREN).parent.glob("warren*"):
            if path.is_file():
                shutil.copy(path, programs)
        self.program = programs / "warren"
        self.home = self.folder / "home"
        self.run_dir = self.home / "run/warren-gateway"
        self.state_dir = self.home / ".local/state/warren/gateway"
        (self.home / "run").mkdir(parents=True, mode=0o700)
        for path in (self.home, self.home / "run"):
            os.chown(path, USER, USER)
        self.environment = {"HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.home / "run"),
                            "PATH": os.environ["PATH"]}
        self.tun = TunAccess(self.folder)

    def inside(self, *command):
        command = [self.program if word == lab.WARREN else word for word in command]
        mounts = ["nsenter", *self.tun.enter()] if self.tun.needed else []
        return super().inside(*mounts, "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
                              "--inh-caps=-all", "--no-new-privs", *command)

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                self.inside(lab.WARREN, "daemon", "--rootless", "--config", self.settings, "--endpoint", "192.0.2.1"),
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        lab.wait_until(self.answers, lambda: f"the daemon answers; its log: {self.log.read_text()}")

    def processes(self):
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and entry.stat().st_uid == USER and lab.is_alive(int(entry.name)):
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
            except OSError:
                pass
        return found


@pytest.fixture
def users_gateway(world):
    gateway = UsersGateway(world)
    gateway.before = host_of(gateway)
    gateway.start()
    world.members[0].gateway = world.members[1].gateway = gateway
    yield gateway
    gateway.close()
    gateway.tun.remove()


def host_of(gateway):
    """What root could change of the host, seen by root."""
    seen = lab.Namespace.run
    return [lab.without_link_local(seen(Root(gateway), *words)) for words in (
        ("ip", "-o", "address"), ("ip", "route", "show", "table", "all"), ("nft", "list", "ruleset"))]


class Root:
    def __init__(self, gateway):
        self.namespace = gateway.namespace

    inside = lab.Namespace.inside


def test_a_user_serves_a_network_without_root(world, users_gateway):
    gateway = users_gateway
    view = gateway.create("a", "--no-nat")
    assert view["engine"] == "running"
    for member in world.members:
        member.join("a")
        member.ping(1)
    address = gateway.peer("a", "m1")["address"]
    world.members[0].run("ping", "-W", "2", "-c", "1", address)
    assert gateway.ask("verify")["differences"] == []
    assert host_of(gateway) == gateway.before, "the host is not touched"

    listing = gateway.call("network", "exec", gateway.network("a"), "--", "ip", "-o", "address").stdout
    assert view["interface_name"] in listing and "10.20.0.1" in listing
    capture = gateway.home / "a.pcap"
    ping = world.members[0].start_ping(20, 0.1)
    assert gateway.call("network", "capture", gateway.network("a"), "-w", capture, "--count", 2).returncode == 0
    assert lab.replies(ping) and capture.stat().st_size > 24


def test_its_daemon_comes_and_goes_and_traffic_stays(world, users_gateway):
    gateway = users_gateway
    gateway.create("a", "--no-nat")
    world.members[0].join("a")
    world.members[0].ping(1)
    engine = gateway.engine("a")
    ping = world.members[0].start_ping(40, 0.05)
    gateway.end(signal.SIGKILL)
    gateway.start()
    assert gateway.engine("a") == engine, "the engine is the same"
    answered = lab.replies(ping)
    assert len(answered) == 40 and lab.unanswered(answered) == []
    assert gateway.ask("verify")["differences"] == []


def test_what_needs_root_is_refused(users_gateway):
    gateway = users_gateway
    refused = gateway.call("network", "create", gateway.network("a"), "--subnet", "10.20.0.0/24")
    assert refused.returncode == 4 and "--no-nat" in refused.stderr, refused.stderr
    gateway.create("a", "--no-nat")
    gateway.invite("a", "phone")
    for words in (("forward", "add", "8080/tcp", "phone", "--network", gateway.network("a")),
                  ("network", "set", gateway.network("a"), "--nat")):
        refused = gateway.call(*words)
        assert refused.returncode == 4 and "without root" in refused.stderr, refused.stderr


def test_what_is_the_hosts_is_refused_before_it_is_looked_at(users_gateway):
    gateway = users_gateway
    gateway.create("a", "--no-nat")
    for option in (("--attach", "u0"), ("--attach", "no-such-link"), ("--host-access",)):
        refused = gateway.call("network", "create", gateway.network("b"), "--subnet", "10.21.0.0/24", "--no-nat",
                               *option)
        assert refused.returncode == 4, refused.stderr
        assert "this gateway runs without root: it cannot make a path between the network and its host" in refused.stderr
        assert "hint: leave it out, or serve the network from a gateway that root starts" in refused.stderr
    refused = gateway.call("network", "set", gateway.network("a"), "--host-access")
    assert refused.returncode == 4 and "runs without root" in refused.stderr, refused.stderr
    assert [network["name"] for network in gateway.ask("network", "list")["networks"]] == [gateway.network("a")]
    assert host_of(gateway) == gateway.before


def test_its_members_have_names(world, users_gateway):
    """dnsmasq stays who it is: there is nobody else in the place."""
    lab.require("dnsmasq")
    gateway = users_gateway
    gateway.create("a", "--no-nat", "--names")
    for member in world.members:
        member.join("a")
    address = gateway.peer("a", "m1")["address"]
    name = f"m1.{gateway.network('a')}.internal"
    lab.wait_until(lambda: ask(world.members[0], "10.20.0.1", name) == [address], "the name is answered", seconds=20)
    assert ask(world.members[1], "10.20.0.1", f"gateway.{gateway.network('a')}.internal") == ["10.20.0.1"]
    server, = [line for line in gateway.processes() if line.startswith("dnsmasq") or "/dnsmasq" in line]
    doctor = gateway.call("doctor", "names")
    assert gateway.network("a") in doctor.stdout, doctor.stdout + doctor.stderr
    gateway.end()
    assert gateway.call("cleanup").returncode == 0
    lab.wait_until(lambda: not gateway.processes(), lambda: f"still there: {gateway.processes()}")


def test_its_doctor_says_what_it_cannot_try(users_gateway):
    gateway = users_gateway
    gateway.create("a", "--no-nat")
    done = gateway.call("--json", "doctor", "ports")
    found = json.loads(done.stdout)["findings"]
    assert done.returncode == 0 and [one["state"] for one in found] == ["weak", "weak"], done
    for one in found:
        assert "process" in one["text"] and "listens" in one["text"], "who listens can be seen"
        assert "without root sends nothing as from outside" in one["text"]
    assert gateway.call("doctor", "certificates").returncode == 0
    assert host_of(gateway) == gateway.before


def test_a_run_directory_that_is_not_the_users_is_told(users_gateway):
    gateway = users_gateway
    file = gateway.home / "file"
    file.write_text("")
    os.chown(file, USER, USER)
    closed = gateway.folder / "closed"
    closed.mkdir(mode=0o700)
    before = gateway.processes()
    for run_dir in (closed / "run", file, file / "run", "/proc/run"):
        refused = gateway.call("--run-dir", run_dir, "--state-dir", gateway.home / "other", "daemon", "--rootless")
        assert refused.returncode != 0 and len(refused.stderr.splitlines()) == 2, refused.stderr
        assert refused.stderr.startswith("warren: run the daemon without root: "), refused.stderr
        assert str(run_dir).split("/run")[0] in refused.stderr
        assert "hint: the run directory must be this user's own: name one with --run-dir" in refused.stderr
    assert gateway.processes() == before
    assert not (gateway.home / "other").exists()


def test_cleanup_leaves_nothing_but_the_state(users_gateway):
    gateway = users_gateway
    gateway.create("a", "--no-nat")
    assert gateway.end() == 0
    assert any("warren-engine" in line for line in gateway.processes()), "the engine goes on"
    assert gateway.call("cleanup").returncode == 0
    lab.wait_until(lambda: not gateway.processes(), lambda: f"still there: {gateway.processes()}")
    assert not gateway.run_dir.exists() or not list(gateway.run_dir.iterdir())
    assert host_of(gateway) == gateway.before
    gateway.start()
    assert gateway.show("a")["engine"] == "running", "its state is still there"
