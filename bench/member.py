#!/usr/bin/env python3
"""member.py BIN_DIR [COUNT]: what a person waits for, on the shipped programs.

A gateway in one namespace, an unprivileged member in another: joining, the start of a run (beside
`unshare -Urn`, the least that any such program can cost; interleaved), and revoking. Prints median
and worst of COUNT; the last line is the JSON of it all.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from tun_access import TunAccess
from world import A, Wire, resident_kib

UID = 64010


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Bench:
    def __init__(self, wire, binaries, folder):
        self.wire, self.folder = wire, folder
        self.bin = f"{folder}/bin"
        os.makedirs(self.bin)
        for program in ("warren", "warren-gateway", "warren-engine", "first_instruction"):
            shutil.copy(f"{binaries}/{program}", self.bin)
        self.tun = TunAccess(folder)
        os.makedirs(f"{folder}/member/runtime", 0o700)
        for path in (f"{folder}/member", f"{folder}/member/runtime"):
            os.chown(path, UID, UID)

    def gateway(self, *arguments):
        env = dict(os.environ, WARREN_STATE_DIR=f"{self.folder}/state", WARREN_RUN_DIR=f"{self.folder}/run")
        done = subprocess.run(self.wire.inside("a", f"{self.bin}/warren", *arguments), env=env,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"warren {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def member(self, *argv, stdin=None):
        env = {"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": f"{self.folder}/member",
               "XDG_RUNTIME_DIR": f"{self.folder}/member/runtime"}
        command = self.wire.inside("b", *self.tun.enter(), "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *argv)
        done = subprocess.run(command, env=env, capture_output=True, text=True, input=stdin, cwd="/")
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr}")
        return done.stdout

    def start_daemon(self):
        env = dict(os.environ, WARREN_STATE_DIR=f"{self.folder}/state", WARREN_RUN_DIR=f"{self.folder}/run")
        self.daemon = self.wire.start("a", f"{self.bin}/warren", "daemon", env=env)
        deadline = time.monotonic() + 10
        while not os.path.exists(f"{self.folder}/run/warren.sock"):
            if time.monotonic() > deadline:
                raise RuntimeError("the daemon did not start")
            time.sleep(0.02)
        self.gateway("network", "create", "bench", "--subnet", "10.77.0.0/16", "--endpoint", A)

    def invite(self, name):
        return json.loads(self.gateway("--json", "invite", name))["token"]


def measure(bench, count):
    figures = {"join, ms": [], "run: to the first instruction, ms": [],
               "unshare -Urn: to the first instruction, ms": [], "revoke: request to closed, ms": []}
    bench.member("warren", "join", "-", stdin=bench.invite("runner") + "\n")
    program = f"{bench.bin}/first_instruction"
    for number in range(count):
        for what, argv in (("run", ["warren", "run", "bench", "--", program]),
                           ("unshare -Urn", ["unshare", "-Urn", program])):
            began = now_ns()
            reached = int(bench.member(*argv))
            figures[f"{what}: to the first instruction, ms"].append((reached - began) / 1e6)
        if number < 20:
            token = bench.invite(f"guest{number}")
            began = now_ns()
            bench.member("warren", "join", "-", "--profile", f"guest{number}", stdin=token + "\n")
            figures["join, ms"].append((now_ns() - began) / 1e6)
            answer = json.loads(bench.gateway("--json", "revoke", f"guest{number}"))
            figures["revoke: request to closed, ms"].append(answer["total_ms"])
    return figures


def main():
    binaries = os.path.abspath(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    folder = tempfile.mkdtemp(prefix="warren-bench-")
    os.chmod(folder, 0o755)
    with Wire() as wire:
        bench = Bench(wire, binaries, folder)
        try:
            bench.start_daemon()
            figures = measure(bench, count)
            engines = subprocess.run(["pgrep", "-x", "warren-engine", "-P", str(bench.daemon.pid)],
                                     capture_output=True, text=True).stdout.split()
            memory = {"daemon, KiB": resident_kib(bench.daemon.pid)}
            memory |= {"idle engine, KiB": resident_kib(pid) for pid in engines}
        finally:
            wire.stop()
            bench.tun.remove()
            try:
                bench.gateway("cleanup")
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    print(f"{'':<48}{'median':>10}{'worst':>10}")
    for what, values in figures.items():
        print(f"{what:<48}{statistics.median(values):>10.2f}{max(values):>10.2f}")
    for what, value in memory.items():
        print(f"{what:<48}{value:>10}")
    print(json.dumps({"median": {k: statistics.median(v) for k, v in figures.items()}} | memory))


if __name__ == "__main__":
    sys.exit(main())
