"""Two hosts on one wire, each with a WireGuard interface made by a program of choice.

     namespace wt<pid>-a                      namespace wt<pid>-b
    +--------------------+                   +--------------------+
    | wt<pid>a  10.9.0.1 |                   | wt<pid>b  10.9.0.2 |
    |           fd09::1  |                   |           fd09::2  |
    |      va 192.0.2.1 -+------- veth ------+- vb 192.0.2.2      |
    |    2001:db8::1     |                   |    2001:db8::2     |
    +--------------------+                   +--------------------+
"""

import base64
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from programs import make_plain, output, require, wait_until  # noqa: E402

ENGINE = os.environ.get("WARREN_ENGINE") or shutil.which("warren-engine") or "warren-engine"
SOCKETS = pathlib.Path("/var/run/wireguard")


class Keys:
    def __init__(self):
        self.private = output("wg", "genkey")
        self.public = output("wg", "pubkey", input=self.private)

    @property
    def private_hex(self):
        return hex_of(self.private)

    @property
    def public_hex(self):
        return hex_of(self.public)


def hex_of(key):
    return base64.b64decode(key).hex()


class Host:
    """One namespace and the interface in it."""

    def __init__(self, lab, letter, number):
        self.lab = lab
        self.namespace = f"wt{os.getpid()}-{letter}"
        self.interface = f"wt{os.getpid()}{letter}"
        self.wire = f"v{letter}"
        self.outer = {4: f"192.0.2.{number}", 6: f"2001:db8::{number}"}
        self.inner = {4: f"10.9.0.{number}", 6: f"fd09::{number}"}
        self.port = 51820 + number
        self.keys = Keys()
        self.process = None
        self.program = None

    def command(self, *command):
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *map(str, command)]

    def run(self, *command, input=None):
        return output(*self.command(*command), input=input)

    def attempt(self, *command, **options):
        return subprocess.run(
            self.command(*command), capture_output=True, text=True, timeout=20, **options
        )

    @property
    def socket_path(self):
        return SOCKETS / f"{self.interface}.sock"

    def start(self, program, **environment):
        """Starts `program` in the foreground and waits for its API."""
        self.program = program
        environment = {**os.environ, "LOG_LEVEL": "error", **environment}
        self.process = subprocess.Popen(
            self.command(program, "-f", self.interface),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(self.answers, f"{program} answers on {self.socket_path}")

    def answers(self):
        assert self.process is None or self.process.poll() is None, self.process.stderr.read()
        # Not with wg at first: it removes a socket that refuses it, also one about to listen.
        with socket.socket(socket.AF_UNIX) as api:
            try:
                api.connect(str(self.socket_path))
            except OSError:
                return False
        return self.attempt("wg", "show", self.interface).returncode == 0

    def engine_pid(self):
        """The sandboxed child of warren-engine."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def up(self):
        for prefix in (f"{self.inner[4]}/24", f"{self.inner[6]}/64"):
            extra = ["nodad"] if ":" in prefix else []
            self.run("ip", "address", "add", prefix, "dev", self.interface, *extra)
        self.run("ip", "link", "set", self.interface, "up")

    def set(self, *words, input=None):
        self.run("wg", "set", self.interface, *words, input=input)

    def set_key(self):
        self.set(
            "private-key", "/dev/stdin", "listen-port", self.port, input=self.keys.private + "\n"
        )

    def add_peer(self, other, family=None, psk=None):
        """Makes `other` our peer, with its endpoint if a family is given."""
        words = ["peer", other.keys.public, "allowed-ips", f"{other.inner[4]}/32,{other.inner[6]}/128"]
        if family == 4:
            words += ["endpoint", f"{other.outer[4]}:{other.port}"]
        elif family == 6:
            words += ["endpoint", f"[{other.outer[6]}]:{other.port}"]
        if psk:
            words += ["preshared-key", "/dev/stdin"]
        self.set(*words, input=psk)

    def dump(self):
        """`wg show dump` without what time changes (handshake, transfer)."""
        lines = self.run("wg", "show", self.interface, "dump").splitlines()
        peers = [line.split("\t") for line in lines[1:]]
        return lines[0].split("\t"), {peer[0]: peer[1:4] + peer[7:] for peer in peers}

    def peer(self, other):
        """The fields of `other` in the dump: endpoint, handshake, rx, tx."""
        for line in self.run("wg", "show", self.interface, "dump").splitlines()[1:]:
            fields = line.split("\t")
            if fields[0] == other.keys.public:
                return {
                    "endpoint": fields[2],
                    "handshake": int(fields[4]),
                    "rx": int(fields[5]),
                    "tx": int(fields[6]),
                }
        raise AssertionError("no such peer")

    def pings(self, address, count=3, *words, seconds=15):
        """Whether so many are answered in time. With -W alone, ping would wait for the last answer no
        longer than it took the others, which a busy machine may not keep to."""
        done = self.attempt("ping", "-n", "-c", count, "-i", "0.05", "-w", seconds, *words, address)
        return f" {count} received" in done.stdout

    def request(self, text):
        """Sends raw bytes to the API; the whole answer to one request."""
        with socket.socket(socket.AF_UNIX) as api:
            api.settimeout(20)
            api.connect(str(self.socket_path))
            api.sendall(text.encode())
            answer = b""
            while not answer.endswith(b"\n\n"):
                chunk = api.recv(65536)
                if not chunk:
                    break
                answer += chunk
            return answer.decode()

    def errno_of(self, body):
        answer = self.request(f"set=1\n{body}\n")
        assert answer.startswith("errno="), answer
        return abs(int(answer.split("=")[1]))

    def link_exists(self):
        links = json.loads(self.run("ip", "-j", "link"))
        return any(link["ifname"] == self.interface for link in links)

    def udp_ports(self):
        lines = self.run("ss", "-H", "-uln").splitlines()
        return sorted({int(line.split()[3].rsplit(":", 1)[1]) for line in lines})

    def stop(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait(10)
        self.process.stderr.close()
        self.process = None


class Lab:
    def __init__(self):
        self.a = Host(self, "a", 1)
        self.b = Host(self, "b", 2)
        a, b = self.a.namespace, self.b.namespace
        for host in (self.a, self.b):
            output("ip", "netns", "add", host.namespace)
            make_plain(host.namespace)
        output("ip", "link", "add", "va", "netns", a, "type", "veth", "peer", "vb", "netns", b)
        for host in (self.a, self.b):
            host.run("ip", "link", "set", "lo", "up")
            host.run("ip", "link", "set", host.wire, "up")
            host.run("ip", "address", "add", f"{host.outer[4]}/24", "dev", host.wire)
            host.run("ip", "address", "add", f"{host.outer[6]}/64", "dev", host.wire, "nodad")

    def close(self):
        for host in (self.a, self.b):
            host.stop()
            subprocess.run(["ip", "netns", "delete", host.namespace])
            host.socket_path.unlink(missing_ok=True)

    def connect(self, ours=ENGINE, theirs="wireguard-go"):
        """Both programs with keys and addresses, and no peers yet."""
        for host, program in ((self.a, ours), (self.b, theirs)):
            host.start(program)
            host.set_key()
            host.up()
