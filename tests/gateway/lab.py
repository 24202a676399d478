"""A gateway and two members on one wire.

    namespace wt<pid>-g: warren daemon          wt<pid>-m0, wt<pid>-m1: stock WireGuard tools
   +------------------------------------+      +-------------------------------------------+
   |  u0 192.0.2.1/24 ------- veth -----+------+- u 192.0.2.2/24    wt<pid>m0  (the tunnel)  |
   |  u1 198.51.100.1/24 ---- veth -----+------+- u 198.51.100.2/24 wt<pid>m1                |
   |  default route by 192.0.2.2        |      +-------------------------------------------+
   +------------------------------------+
"""

import base64
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import programs  # noqa: E402
from programs import make_plain, wait_until  # noqa: E402

WARREN = os.environ.get("WARREN") or shutil.which("warren") or "warren"
API_SOCKETS = pathlib.Path("/var/run/wireguard")
PID = os.getpid()


def require(*names):
    programs.require(*names)
    if not pathlib.Path(WARREN).exists():
        pytest.skip(f"needs {WARREN}")


def output(*command, input=None, env=None):
    done = subprocess.run(
        [str(word) for word in command],
        input=input, capture_output=True, text=True, timeout=30, env=env,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def without_link_local(listing):
    """The kernel makes these by itself, a second or two after a link is up."""
    return [line.replace(" tentative", "") for line in listing.splitlines()
            if "fe80:" not in line and "ff00:" not in line]


def is_alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the latter: it went while we read
        return False
    return state != "Z"


class Namespace:
    def __init__(self, letter):
        self.namespace = f"wt{PID}-{letter}"
        output("ip", "netns", "add", self.namespace)
        make_plain(self.namespace)
        output("ip", "-n", self.namespace, "link", "set", "lo", "up")

    def inside(self, *command):
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *map(str, command)]

    def run(self, *command, **options):
        return output(*self.inside(*command), **options)

    def is_settled(self):
        """The kernel tells links and routes a moment later that their wire is up, at times a second."""
        return ("NO-CARRIER" not in self.run("ip", "link")
                and "linkdown" not in self.run("ip", "route", "show", "table", "all"))

    def attempt(self, *command, **options):
        return subprocess.run(
            self.inside(*command), capture_output=True, text=True, timeout=30, **options
        )


class Gateway(Namespace):
    def __init__(self, folder, letter="g"):
        super().__init__(letter)
        self.folder = folder
        self.state_dir = folder / "s"
        self.run_dir = folder / "r"
        self.log = folder / "daemon.log"
        self.settings = folder / "warren.yaml"
        self.settings.write_text("log: {level: debug}\n")
        self.environment = {
            **os.environ,
            "WARREN_STATE_DIR": str(self.state_dir),
            "WARREN_RUN_DIR": str(self.run_dir),
        }
        self.process = None

    def network(self, letter):
        """The name on this machine of the network that a story calls by a letter."""
        return f"g{PID}{letter}"

    # -- the daemon

    def start(self):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                self.inside(WARREN, "daemon", "--config", self.settings),
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        wait_until(self.answers, f"the daemon answers; its log: {self.log.read_text()}")

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        return (self.run_dir / "warren.sock").exists() and self.call("network", "list").returncode == 0

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(timeout=10)
        self.process = None
        return code

    def call(self, *words, **options):
        """Any command; the caller looks at what came of it."""
        return self.attempt(WARREN, *words, env=self.environment, **options)

    def ask(self, *words):
        """A command that must succeed, as JSON."""
        done = self.call("--json", *words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}\n{self.log.read_text()}"
        return json.loads(done.stdout) if done.stdout else {}

    # -- networks

    def create(self, letter, *options, subnet="10.20.0.0/24"):
        return self.ask("network", "create", self.network(letter), "--subnet", subnet, *options)

    def show(self, letter):
        return self.ask("network", "show", self.network(letter))

    def declared(self, letter):
        """What `show` says without the engine's counters, which move by themselves."""
        return {key: value for key, value in self.show(letter).items() if key != "engine_report"}

    def invite(self, letter, name):
        return self.ask("invite", name, "--network", self.network(letter))["token"]

    def peer(self, letter, name):
        return self.ask("peer", "show", name, "--network", self.network(letter))

    def engine(self, letter):
        """The interface's name and the process id of a network's engine."""
        name = self.show(letter)["interface_name"]
        record = json.loads((self.run_dir / "engines" / f"{name}.json").read_text())
        return name, record["pid"]

    # -- what the kernel says

    def snapshot(self):
        """All that a gateway may change on its host."""
        ours = f"warren-g{PID}"
        return {
            "links": [link["ifname"] for link in json.loads(self.run("ip", "-j", "link"))],
            "addresses": without_link_local(self.run("ip", "-o", "address")),
            "routes": sorted(without_link_local(
                self.run("ip", "route", "show", "table", "all"))),
            "routes6": sorted(without_link_local(
                self.run("ip", "-6", "route", "show", "table", "all"))),
            "rules": self.run("nft", "-j", "list", "ruleset"),
            "forwarding": self.run("sysctl", "-a", "--pattern", "forwarding|accept_ra$"),
            "namespaces": [n for n in os.listdir("/run/netns") if n.startswith(ours)],
        }

    def close(self):
        if self.process is not None:
            self.end(signal.SIGKILL)
        if self.state_dir.exists():
            self.call("cleanup")


class Member(Namespace):
    def __init__(self, gateway, number, outer):
        super().__init__(f"m{number}")
        self.gateway = gateway
        self.number = number
        self.outer = outer
        self.interface = f"wt{PID}m{number}"
        self.folder = gateway.folder / f"m{number}"
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(self.folder)}
        self.program = None
        self.target = None

    @property
    def profile(self):
        return next((self.folder / "warren").glob("*.conf"))

    def join(self, letter, name=None):
        token = self.gateway.invite(letter, name or f"m{self.number}")
        self.run(WARREN, "join", "-", input=token + "\n", env=self.environment)
        self.up(letter)
        return token

    def up(self, letter):
        """What wg-quick would do, with wireguard-go (or our engine where that is not there)."""
        stock = shutil.which("wireguard-go")
        program = stock or str(pathlib.Path(WARREN).parent / "warren-engine")
        self.program = subprocess.Popen(
            self.inside(program, "-f", self.interface),
            env={**os.environ, "LOG_LEVEL": "error"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        wait_until((API_SOCKETS / f"{self.interface}.sock").exists, f"{program} answers")
        lines = self.profile.read_text().splitlines()
        addresses = next(line for line in lines if line.startswith("Address")).split("=")[1]
        plain = [l for l in lines if not re.match(r"(Address|DNS|MTU)\b", l)]
        self.run("wg", "setconf", self.interface, "/dev/stdin", input="\n".join(plain) + "\n")
        for address in addresses.split(","):
            extra = ["nodad"] if ":" in address else []
            self.run("ip", "address", "add", address.strip(), "dev", self.interface, *extra)
        self.run("ip", "link", "set", self.interface, "up", "mtu", "1420")
        self.target = self.gateway.show(letter)["gateway"]

    def ping(self, count, *options):
        """Pings until so many are answered: the first, which begins a session, may take its time."""
        return self.run("ping", "-w", "20", "-c", count, *options, self.target)

    def start_ping(self, count, every_s):
        """Pings in the background until so many are answered; see `replies`."""
        return subprocess.Popen(
            self.inside("ping", "-D", "-i", every_s, "-c", count, "-w", "40", self.target),
            stdout=subprocess.PIPE, text=True,
        )

    def close(self):
        if self.program is not None:
            self.program.terminate()
            self.program.wait(timeout=10)


def replies(ping):
    """When each reply came, by sequence number; waits for the end of a start_ping."""
    text, _ = ping.communicate(timeout=60)
    return {
        int(m.group(2)): float(m.group(1))
        for m in re.finditer(r"^\[([\d.]+)\] .*icmp_seq=(\d+) ttl", text, re.M)
    }


def unanswered(answered):
    """The requests before the last one answered that never were. (Without -w, ping waits for the last
    answer no longer than for the others, and a busy machine may be late with that one.)"""
    return sorted(set(range(1, max(answered) + 1)) - set(answered))


def longest_gap_s(answered):
    times = sorted(answered.values())
    return max(later - earlier for earlier, later in zip(times, times[1:]))


class World:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="wt", dir="/tmp"))
        self.gateway = Gateway(self.folder)
        self.members = []
        for number, prefix in enumerate(("192.0.2", "198.51.100")):
            member = Member(self.gateway, number, f"{prefix}.2")
            self.members.append(member)
            output("ip", "link", "add", f"u{number}", "netns", self.gateway.namespace,
                   "type", "veth", "peer", "name", "u", "netns", member.namespace)
            for host, link, address in ((self.gateway, f"u{number}", f"{prefix}.1/24"),
                                        (member, "u", f"{prefix}.2/24")):
                output("ip", "-n", host.namespace, "address", "add", address, "dev", link)
                output("ip", "-n", host.namespace, "link", "set", link, "up")
            output("ip", "-n", member.namespace, "route", "add", "default", "via", f"{prefix}.1")
        output("ip", "-n", self.gateway.namespace, "route", "add", "default", "via", "192.0.2.2")
        wait_until(self.gateway.is_settled, "the wires are up")

    def close(self):
        for member in self.members:
            member.close()
        self.gateway.close()
        for host in [self.gateway, *self.members]:
            output("ip", "netns", "del", host.namespace)
        shutil.rmtree(self.folder)


def forms(secret):
    """How a secret of raw bytes may be written."""
    return {
        base64.b64encode(secret).decode(),
        base64.urlsafe_b64encode(secret).decode().rstrip("="),
        secret.hex(),
        secret.hex().upper(),
    }
