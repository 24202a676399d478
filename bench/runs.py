#!/usr/bin/env python3
"""runs.py BIN_DIR: `warren run` measured: its start, its throughput, many of them at once; see
bench/README.md. Prints tables and targets, and writes everything as JSON."""
import argparse
import datetime
import os
import shutil
import signal
import sys
import tempfile

import report
import run_many
import run_rivals
import run_start
import run_throughput
from run import HERE, machine, say, write_results
from run_world import RunWorld
from world import Wire


def arguments():
    parser = argparse.ArgumentParser(description="warren run, measured")
    parser.add_argument("binaries")
    parser.add_argument("--runs", type=int, default=500, help="how many at once")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which processes are killed")
    parser.add_argument("--only", default="", help="comma-separated: start, throughput, many")
    parser.add_argument("--quick", action="store_true", help="few starts, one short round, 50 runs")
    chosen = parser.parse_args()
    chosen.binaries = os.path.abspath(chosen.binaries)
    chosen.parts = [word for word in chosen.only.split(",") if word] or ["start", "throughput", "many"]
    return chosen


def everything(world, folder, chosen):
    promises = report.Promises("Targets of warren run")
    found = {}
    ways = run_rivals.Ways(world, folder) if {"start", "throughput"} & set(chosen.parts) else None
    for name, reason in ways.absent.items() if ways else ():
        say(f"!!! {name} is NOT MEASURED: {reason}")
    if "start" in chosen.parts:
        found["start"] = run_start.measure(world, ways, 20 if chosen.quick else 200, say)
        print(run_start.text(found["start"], report.table))
        run_start.targets(found["start"], promises.add)
    if "throughput" in chosen.parts:
        found["throughput"] = run_throughput.measure(world, ways, *((1, 1) if chosen.quick else (3, 2)), say)
        print(run_throughput.text(found["throughput"], report.table, report.cell))
    if ways:
        ways.close()
    if "many" in chosen.parts:
        found["many"] = run_many.measure(world, 50 if chosen.quick else chosen.runs, chosen.seed, say)
        print(run_many.text(found["many"]))
        run_many.targets(found["many"], promises.add)
    print(promises.text())
    return found | {"absent": ways.absent if ways else {}, "targets": promises.rows}


def main():
    if os.geteuid() != 0:
        say("runs: only root may make the network namespaces; run it as root")
        return 1
    chosen = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was made is then removed
    os.chdir(os.path.dirname(HERE))
    results = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"), "machine": machine()}
    folder = tempfile.mkdtemp(prefix="warren-bench-")
    try:
        with Wire() as wire:
            world = RunWorld(wire, chosen.binaries, folder, chosen.runs)
            try:
                results |= everything(world, folder, chosen)
            finally:
                world.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    write_results(results, whole=not chosen.only and not chosen.quick, kind="run-")
    return 0


if __name__ == "__main__":
    sys.exit(main())
