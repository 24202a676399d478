"""What is measured on a running tunnel; each figure is a number under a fixed name (FIGURES)."""
import itertools
import json
import re
import subprocess
import time
from dataclasses import dataclass

from world import cpu_seconds, tree_kib


PORTS = itertools.count(5201)


@dataclass(frozen=True)
class Effort:
    """How long each measurement takes."""
    tcp_seconds: float
    pings: int
    trial_ms: int
    flood_seconds: int


QUICK, FULL = Effort(1, 100, 150, 1), Effort(2, 250, 250, 3)


@dataclass(frozen=True)
class Figure:
    heading: str
    unit: str
    more_is_better: bool
    decimals: int = 2


FIGURES = {
    "tcp1": Figure("TCP 1", "Gb/s", True),
    "tcp1_back": Figure("TCP 1 back", "Gb/s", True),
    "tcp8": Figure("TCP 8", "Gb/s", True),
    "tcp8_back": Figure("TCP 8 back", "Gb/s", True),
    "plain_tcp1": Figure("TCP 1", "Gb/s", True),
    "plain_tcp1_back": Figure("TCP 1 back", "Gb/s", True),
    "plain_tcp8": Figure("TCP 8", "Gb/s", True),
    "plain_tcp8_back": Figure("TCP 8 back", "Gb/s", True),
    "udp1400": Figure("1400 B", "packets/s", True, 0),
    "udp64": Figure("64 B", "packets/s", True, 0),
    "cpu": Figure("CPU", "s/GB", False),
    "ping_p50": Figure("idle p50", "ms", False, 3),
    "ping_p99": Figure("idle p99", "ms", False, 3),
    "ping_load_p50": Figure("load p50", "ms", False),
    "ping_load_p99": Figure("load p99", "ms", False),
    "memory": Figure("idle", "KiB", False, 0),
    "memory_own": Figure("its own", "KiB", False, 0),
    "memory_load": Figure("loaded", "KiB", False, 0),
    "memory_load_own": Figure("its own", "KiB", False, 0),
}
# (title, figures) in the order in which they are printed
GROUPS = [
    ("TCP throughput, the wire with all offloads", ["tcp1", "tcp1_back", "tcp8", "tcp8_back"]),
    ("TCP throughput, the wire without segmentation and receive offloads",
     ["plain_tcp1", "plain_tcp1_back", "plain_tcp8", "plain_tcp8_back"]),
    ("UDP without loss (< 0.1 %), packets of that size inside the tunnel; CPU of both ends, TCP 1",
     ["udp1400", "udp64", "cpu"]),
    ("Ping, idle and beside TCP 1 at full speed", ["ping_p50", "ping_p99", "ping_load_p50", "ping_load_p99"]),
    ("Resident memory of one end; \"its own\": without pages of program and library files",
     ["memory", "memory_own", "memory_load", "memory_load_own"]),
]


def start_server(tunnel):
    """The port of a server for one test. None serves a second: it may still be busy with the first."""
    port = next(PORTS)
    tunnel.wire.start("b", "iperf3", "-s", "-1", "-p", str(port))
    deadline = time.monotonic() + 5
    while f":{port}" not in tunnel.wire.run("b", "ss", "-ltn"):
        if time.monotonic() > deadline:
            raise RuntimeError("iperf3 does not listen")
        time.sleep(0.01)
    return str(port)


def iperf(tunnel, streams, seconds, back):
    """(Gb/s, gigabytes) received."""
    port = start_server(tunnel)
    out = json.loads(tunnel.wire.run("a", "iperf3", "-c", tunnel.address, "-p", port, "-t", str(seconds),
                                     "-P", str(streams), "-J", *(["-R"] if back else []), timeout=seconds + 20))
    if "sum_received" not in out["end"]:
        raise RuntimeError(f"iperf3 -P {streams}{' -R' if back else ''}: {out.get('error', 'no result')}")
    received = out["end"]["sum_received"]
    return received["bits_per_second"] / 1e9, received["bytes"] / 1e9


def ping(tunnel, count, interval):
    """(median, 99th percentile) in ms."""
    out = tunnel.wire.run("a", "ping", "-c", str(count), "-i", str(interval), "-W", "2", tunnel.address, timeout=60)
    times = sorted(float(text) for text in re.findall(r"time=([\d.]+) ms", out))
    return times[len(times) // 2], times[min(len(times) - 1, int(len(times) * 0.99))]


def packet_rate(tunnel, binaries, size, trial_ms):
    names = [f"/run/netns/{name}" for name in tunnel.wire.names.values()]
    out = subprocess.run([f"{binaries}/packet_rate", *names, tunnel.address, str(size), str(trial_ms)], check=True,
                         capture_output=True, text=True, timeout=60)
    return json.loads(out.stdout)["packets_per_second"]


def tcp(tunnel, seconds, prefix=""):
    return {f"{prefix}tcp{streams}{suffix}": iperf(tunnel, streams, seconds, back)[0]
            for streams in (1, 8) for suffix, back in (("", False), ("_back", True))}


# Idle memory is that of a program that came to rest: some give pages back then.
REST_S = 2.5


def memory(tunnel, name):
    everything, own = tree_kib(tunnel.pids("a"))
    return {name: everything, f"{name}_own": own} if everything else {}


def measure(tunnel, binaries, effort):
    """One round of one contender: {figure: value}; a figure that has no meaning for it is left out."""
    time.sleep(REST_S)
    figures = memory(tunnel, "memory")
    figures["ping_p50"], figures["ping_p99"] = ping(tunnel, effort.pings, 0.004)
    before = cpu_seconds(tunnel.pids())
    figures["tcp1"], gigabytes = iperf(tunnel, 1, effort.tcp_seconds, False)
    if tunnel.pids():
        figures["cpu"] = (cpu_seconds(tunnel.pids()) - before) / gigabytes
    figures["tcp1_back"] = iperf(tunnel, 1, effort.tcp_seconds, True)[0]
    figures["tcp8"] = iperf(tunnel, 8, effort.tcp_seconds, False)[0]
    figures["tcp8_back"] = iperf(tunnel, 8, effort.tcp_seconds, True)[0]
    figures |= ping_under_load(tunnel, effort)
    figures |= memory(tunnel, "memory_load")
    for size in (1400, 64):
        figures[f"udp{size}"] = packet_rate(tunnel, binaries, size, effort.trial_ms)
    tunnel.wire.set_offloads("off")
    return figures | tcp(tunnel, effort.tcp_seconds, "plain_")


def ping_under_load(tunnel, effort):
    port = start_server(tunnel)
    length = effort.pings * 0.005 + 2.5
    load = tunnel.wire.start("a", "iperf3", "-c", tunnel.address, "-p", port, "-t", str(round(length)))
    time.sleep(0.3)
    p50, p99 = ping(tunnel, effort.pings, 0.005)
    loaded = load.poll() is None  # else part of the pings met an idle tunnel
    load.terminate()
    load.wait()
    return {"ping_load_p50": p50, "ping_load_p99": p99} if loaded else {}
