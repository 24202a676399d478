#!/usr/bin/env python3
"""run.py BIN_DIR: warren beside its rivals, interleaved in one run; see bench/README.md.

Prints tables and targets; writes the values of every round as JSON, and the picture in the README.
"""
import argparse
import collections
import datetime
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import contenders
import handshakes
import measures
import plot
import report
from world import Wire

HERE = os.path.dirname(os.path.abspath(__file__))
# Programs of their own, whose last line is JSON: {name: (how often in a quick run, in a whole run)}
SCRIPTS = {"member": (20, 100), "peers": (1, 2)}


def arguments():
    parser = argparse.ArgumentParser(description="warren beside its rivals")
    parser.add_argument("binaries")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="comma-separated beginnings of contenders' names, or of: "
                        "handshakes, member, peers")
    parser.add_argument("--quick", action="store_true", help="one round of short measurements")
    chosen = parser.parse_args()
    chosen.binaries = os.path.abspath(chosen.binaries)
    chosen.only = [word.strip() for word in chosen.only.split(",") if word.strip()]
    if chosen.quick:
        chosen.rounds = 1
    return chosen


class Run:
    def __init__(self, chosen):
        self.chosen = chosen
        self.effort = measures.QUICK if chosen.quick else measures.FULL
        self.failures = []
        self.all, absent = contenders.all_contenders(chosen.binaries)
        for name in absent:
            say(f"!!! {name} is NOT MEASURED: it is not on this machine")

    def wanted(self, name):
        return not self.chosen.only or any(name.startswith(word) for word in self.chosen.only)

    def attempt(self, what, measure):
        """What `measure` gives; a contender that fails is reported and does not end the run."""
        folder = tempfile.mkdtemp(prefix="warren-bench-")
        started = time.monotonic()
        try:
            found = measure(folder)
            say(f"{what}: {time.monotonic() - started:.0f} s")
            return found
        except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
            self.failures.append(f"{what}: {error}")
            say(f"!!! {what} FAILED: {error}")
            return {}
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def rounds(self, what, names, measure):
        """{name: {figure: [a value per round]}}; each round begins with another contender."""
        values = {name: collections.defaultdict(list) for name in names}
        for number in range(self.chosen.rounds):
            start = number * max(1, len(names) // self.chosen.rounds)
            for name in names[start:] + names[:start]:
                label = f"round {number + 1}/{self.chosen.rounds}: {what}{name}"
                for figure, value in self.attempt(label, lambda folder: measure(name, folder)).items():
                    values[name][figure].append(value)
        return {name: figures for name, figures in values.items() if figures}

    def one_tunnel(self, name, folder):
        with Wire() as wire:
            return measures.measure(self.all[name](wire, folder), self.chosen.binaries, self.effort)

    def one_flood(self, name, folder):
        return handshakes.measure(self.all[name], self.chosen.binaries, folder, self.effort.flood_seconds)

    def script(self, name):
        """The JSON of a benchmark that is a program of its own; its tables are passed on."""
        path = f"{HERE}/{name}.py"
        if not os.path.exists(path) or not self.wanted(name):
            return {}

        def measure(_):
            times = SCRIPTS[name][0 if self.chosen.quick else 1]
            out = subprocess.run([sys.executable, "-B", path, self.chosen.binaries, str(times)], check=True, text=True,
                                 stdout=subprocess.PIPE, timeout=240).stdout.rstrip().split("\n")
            print("\n".join(out[:-1]) + "\n")
            return json.loads(out[-1])
        return self.attempt(name, measure)

    def everything(self):
        tunnels = [name for name in self.all if self.wanted(name)]
        responders = [name for name in handshakes.RESPONDERS if name in self.all and self.wanted("handshakes")]
        results = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
                   "machine": machine(), "rounds": self.chosen.rounds, "quick": self.chosen.quick,
                   "versions": {name: self.all[name].version for name in self.all if self.all[name].version},
                   "rivals": self.rounds("", tunnels, self.one_tunnel),
                   "handshakes": self.rounds("handshakes of ", responders, self.one_flood)}
        for name in SCRIPTS:
            results |= {name: found} if (found := self.script(name)) else {}
        targets = report.Targets(results["rivals"], results["handshakes"], results.get("peers", {}))
        results |= {"medians": report.medians(results["rivals"]), "targets": targets.rows, "failures": self.failures}
        if results["rivals"]:
            print(report.figures_text(results["rivals"]))
            print(report.ratios_text(results["rivals"]))
        if results["handshakes"]:
            print(report.handshakes_text(results["handshakes"]))
        if targets.rows:
            print(targets.text())
        return results


def say(text):
    print(text, file=sys.stderr, flush=True)


def machine():
    text = open("/proc/cpuinfo").read()
    model = re.search(r"^model name\s*: (.*)", text, re.M)
    return {"cores": os.cpu_count(), "processor": model[1] if model else platform.machine(),
            "kernel": ".".join(platform.release().split(".")[:2]), "load_before": os.getloadavg()[0]}


def rounded(value):
    """No more digits than a measurement has."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value


def write_results(results, whole, kind=""):
    """A whole run is kept in the tree, a quick or partial one below build/; the folder it is in."""
    folder = f"{HERE}/results" if whole else "build/bench"
    os.makedirs(folder, exist_ok=True)
    path, number = f"{folder}/{kind}{results['date']}.json", 1
    while whole and os.path.exists(path):
        number += 1
        path = f"{folder}/{kind}{results['date']}-{number}.json"
    text = json.dumps(rounded(results), indent=1)
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda match: "[" + re.sub(r",\s+", ", ", match[1]) + "]", text)
    with open(path, "w") as out:
        out.write(text + "\n")
    print(f"kept: {os.path.relpath(path)}")
    return folder


def keep(results, whole):
    folder = write_results(results, whole)
    if contenders.WARREN in results["rivals"]:
        picture = f"{folder}/rivals.svg"
        with open(picture, "w") as out:
            out.write(plot.svg(results))
        print(f"drawn: {os.path.relpath(picture)}")


def main():
    if os.geteuid() != 0:
        say("bench: only root may make the network namespaces; run it as root")
        return 1
    chosen = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was made is then removed
    if os.getloadavg()[0] > 0.5:
        say("!!! this machine is not idle: the figures will be too low, and not by the same part")
    os.chdir(os.path.dirname(HERE))
    run = Run(chosen)
    started = time.monotonic()
    results = run.everything()
    keep(results, whole=not chosen.only and not chosen.quick)
    say(f"the whole run took {(time.monotonic() - started) / 60:.1f} minutes")
    for failure in run.failures:
        say(f"!!! {failure}")
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
