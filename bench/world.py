"""Two hosts on one wire, in namespaces of their own; used by the benchmarks.

     namespace wb<pid>-<n>-a                    namespace wb<pid>-<n>-b
    +------------------------+                 +------------------------+
    | tunnel  10.99.0.x      |                 |      10.99.0.x  tunnel |
    | wire    192.0.2.1 -----+------ veth -----+----- 192.0.2.2    wire |
    | clients                |                 |                servers |
    +------------------------+                 +------------------------+
"""
import itertools
import os
import re
import subprocess
import tempfile
import time

A, B = "192.0.2.1", "192.0.2.2"          # the wire (TEST-NET-1)
INNER_A, INNER_B = "10.99.0.1", "10.99.0.2"
INNER_MTU = 1420                          # the same for every tunnel
OFFLOADS = ("tso", "gso", "gro", "tx-udp-segmentation")


def sh(*argv, **kwargs):
    return subprocess.run(argv, check=True, capture_output=True, text=True, **kwargs).stdout


class Wire:
    """Namespaces <tag>-a and <tag>-b joined by a veth pair; removed on exit, with all children."""

    numbers = itertools.count()

    def __init__(self):
        self.tag = f"wb{os.getpid()}-{next(self.numbers)}"
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
        """A child that ends with the wire; what it says is in `child.log`, a file."""
        log = tempfile.TemporaryFile(mode="w+", errors="replace")
        child = subprocess.Popen(self.inside(side, *argv), stdout=kwargs.pop("stdout", log), stderr=log, **kwargs)
        child.log = log
        self.children.append(child)
        return child

    def set_offloads(self, state):
        """Segmentation and receive offloads of both ends of the wire: "on" or "off"."""
        for side in "ab":
            self.run(side, "ethtool", "-K", "wire", *(word for feature in OFFLOADS for word in (feature, state)))

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
            child.log.close()
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


def tree_kib(pids):
    """Resident memory of the processes of one end, as (all of it, what is not pages of files).
    Pages of files that several of them map count once, as if the machine ran nothing else."""
    own, files = 0, {}
    for pid in pids:
        try:
            text = open(f"/proc/{pid}/smaps").read()
        except OSError:
            continue
        mapped = {}
        for match in re.finditer(r"^[0-9a-f]+-[0-9a-f]+ \S+ (\S+) \S+ (\d+) *(.*)\n(?:(?![0-9a-f]+-).*\n)*?Rss:\s+(\d+)",
                                 text, re.M):
            offset, inode, name, size = match[1], match[2], match[3], int(match[4])
            if inode == "0":
                own += size
            else:
                mapped[name, offset] = mapped.get((name, offset), 0) + size
        for key, size in mapped.items():
            files[key] = max(files.get(key, 0), size)
    return own + sum(files.values()), own
