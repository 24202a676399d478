"""Two hosts on one wire, in namespaces of their own; used by the benchmarks."""
import os
import re
import subprocess
import time

A, B = "192.0.2.1", "192.0.2.2"          # the wire (TEST-NET-1)
INNER_A, INNER_B = "10.99.0.1", "10.99.0.2"


def sh(*argv, **kwargs):
    return subprocess.run(argv, check=True, capture_output=True, text=True, **kwargs).stdout


class Wire:
    """Namespaces <tag>-a and <tag>-b joined by a veth pair; removed on exit."""

    def __init__(self):
        self.tag = f"wb{os.getpid()}"
        self.names = {"a": f"{self.tag}-a", "b": f"{self.tag}-b"}
        self.children = []

    def __enter__(self):
        for name in self.names.values():
            sh("ip", "netns", "add", name)
            sh("ip", "-n", name, "link", "set", "lo", "up")
        sh("ip", "-n", self.names["a"], "link", "add", "wire", "type", "veth", "peer", "name", "wire",
           "netns", self.names["b"])
        for side, address in (("a", A), ("b", B)):
            sh("ip", "-n", self.names[side], "addr", "add", f"{address}/24", "dev", "wire")
            sh("ip", "-n", self.names[side], "link", "set", "wire", "up")
        return self

    def __exit__(self, *_):
        self.stop()
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def inside(self, side, *argv):
        return ["nsenter", f"--net=/run/netns/{self.names[side]}", *argv]

    def run(self, side, *argv, **kwargs):
        return sh(*self.inside(side, *argv), **kwargs)

    def start(self, side, *argv, **kwargs):
        child = subprocess.Popen(self.inside(side, *argv), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, **kwargs)
        self.children.append(child)
        return child

    def stop(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.terminate()
        for child in self.children:
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.children = []


def process_tree(pid):
    """The process and its descendants."""
    pids, todo = [], [pid]
    while todo:
        parent = todo.pop()
        pids.append(parent)
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                todo += map(int, open(f"/proc/{parent}/task/{task}/children").read().split())
        except OSError:
            pass
    return pids


def cpu_seconds(pids):
    """User and system time of processes so far."""
    ticks = 0
    for pid in pids:
        try:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_kib(pid):
    """Proportional set size: what the process really adds to the machine's memory."""
    text = open(f"/proc/{pid}/smaps_rollup").read()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])


class Tunnel:
    """A WireGuard program on both ends, configured with `wg`."""

    def __init__(self, wire, program, name):
        self.wire, self.name = wire, name
        keys = {}
        self.engines = {}
        for side in "ab":
            keys[side] = sh("wg", "genkey").strip()
            interface = f"{name}{side}"
            env = dict(os.environ, LOG_LEVEL="silent", WG_PROCESS_FOREGROUND="1")
            self.engines[side] = wire.start(side, *program, interface, env=env)
            deadline = time.monotonic() + 5
            while not os.path.exists(f"/var/run/wireguard/{interface}.sock"):
                if time.monotonic() > deadline or self.engines[side].poll() is not None:
                    raise RuntimeError(f"{program[0]} did not start")
                time.sleep(0.01)
        public = {side: sh("wg", "pubkey", input=keys[side]).strip() for side in "ab"}
        for side, other, outer, inner in (("a", "b", B, INNER_A), ("b", "a", A, INNER_B)):
            interface = f"{name}{side}"
            conf = (f"[Interface]\nPrivateKey={keys[side]}\nListenPort=51820\n[Peer]\n"
                    f"PublicKey={public[other]}\nEndpoint={outer}:51820\nAllowedIPs=10.99.0.0/24\n")
            wire.run(side, "wg", "setconf", interface, "/dev/stdin", input=conf)
            wire.run(side, "ip", "addr", "add", f"{inner}/24", "dev", interface)
            wire.run(side, "ip", "link", "set", interface, "mtu", "1420", "up")
        wire.run("a", "ping", "-c", "3", "-i", "0.2", "-W", "5", INNER_B)

    def pids(self):
        return [pid for engine in self.engines.values() for pid in process_tree(engine.pid)]

    def memory_kib(self):
        return sum(resident_kib(pid) for pid in process_tree(self.engines["a"].pid))
