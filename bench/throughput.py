#!/usr/bin/env python3
"""throughput.py BIN_DIR [ROUNDS]: warren-engine beside wireguard-go, interleaved in one run.

Two namespaces joined by a veth pair; both ends and iperf3 share the machine's cores. Prints medians
(and the spread) per program and the ratio to wireguard-go; the last line is the JSON of it all.
"""
import json
import os
import re
import shutil
import statistics
import sys

from world import B, INNER_B, Tunnel, Wire, cpu_seconds

SECONDS = 3


def iperf(wire, address, streams):
    out = json.loads(wire.run("a", "iperf3", "-c", address, "-t", str(SECONDS), "-P", str(streams), "-J"))
    received = out["end"]["sum_received"]
    return received["bits_per_second"] / 1e9, received["bytes"] / 1e9


def ping_ms(wire, address, count):
    out = wire.run("a", "ping", "-c", str(count), "-i", "0.01", "-q", address)
    return float(re.search(r"= [\d.]+/([\d.]+)/", out)[1])


def measure(program, name):
    """One round of one program: {figure: value}."""
    with Wire() as wire:
        tunnel = Tunnel(wire, program, name) if program else None
        address = INNER_B if tunnel else B
        figures = {}
        if tunnel:
            figures["memory idle, KiB"] = tunnel.memory_kib()
        figures["ping idle, ms"] = ping_ms(wire, address, 100)
        wire.start("b", "iperf3", "-s")
        wire.run("b", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do ss -ltn | grep -q :5201 && exit 0; sleep 0.1; done; exit 1")
        before = cpu_seconds(tunnel.pids()) if tunnel else 0
        figures["TCP 1 stream, Gb/s"], gigabytes = iperf(wire, address, 1)
        if tunnel:
            figures["CPU s/GB, both ends"] = (cpu_seconds(tunnel.pids()) - before) / gigabytes
        figures["TCP 8 streams, Gb/s"], _ = iperf(wire, address, 8)
        load = wire.start("a", "iperf3", "-c", address, "-t", str(SECONDS))
        figures["ping under load, ms"] = ping_ms(wire, address, 200)
        load.wait()
        if tunnel:
            figures["memory loaded, KiB"] = tunnel.memory_kib()
        return figures


def main():
    binaries = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    contenders = {"veth": None, "warren-engine": [f"{binaries}/warren-engine", "-f"]}
    for rival in ("wireguard-go", "build/newest/usr/bin/wireguard-go"):
        path = shutil.which(rival) or (os.path.abspath(rival) if os.path.exists(rival) else None)
        if path:
            contenders["wireguard-go" if "/" not in rival else "wireguard-go newest"] = [path, "-f"]
    results = {name: [] for name in contenders}
    for number in range(rounds):
        for index, (name, program) in enumerate(contenders.items()):
            results[name].append(measure(program, f"wb{index}"))
            print(f"round {number + 1}/{rounds}: {name} done", file=sys.stderr)
    median = {name: {figure: statistics.median(r[figure] for r in runs) for figure in runs[0]}
              for name, runs in results.items()}
    print(f"{'':<24}" + "".join(f"{name:>26}" for name in contenders) + f"{'warren / wireguard-go':>24}")
    for figure in median["warren-engine"]:
        row = f"{figure:<24}"
        for name in contenders:
            values = [r[figure] for r in results[name] if figure in r]
            row += f"{f'{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})' if values else '-':>26}"
        if "wireguard-go" in median:
            row += f"{median['warren-engine'][figure] / max(1e-9, median['wireguard-go'][figure]):>24.2f}"
        print(row)
    print(json.dumps({"rounds": rounds, "median": median}))


if __name__ == "__main__":
    sys.exit(main())
