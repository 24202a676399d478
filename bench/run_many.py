"""Many runs at once: how fast they start, what one costs, and whether anything stays behind, after an
end in order and after `kill -9` of every process in random order."""
import ctypes
import json
import os
import random
import re
import signal
import statistics
import subprocess
import time

from run_world import SERVER, UID
from world import resident_kib

AT_ONCE = 4                     # starts going on at the same time
TARGET_MIB = 6


def processes():
    """The user's processes: {pid: command line}"""
    found = {}
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == UID:
                found[int(name)] = open(f"/proc/{name}/cmdline").read().replace("\0", " ").strip()
        except OSError:
            pass
    return found


def snapshot(world):
    """What a run could leave behind, as the host sees it."""
    spaces = json.loads(subprocess.run(["lsns", "-J", "-o", "NS,TYPE,UID"], capture_output=True, text=True).stdout or '{"namespaces": []}')
    files = [os.path.join(path, name) for path, folders, names in os.walk(world.home) for name in [*folders, *names]]
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        files += [entry.path for entry in os.scandir(folder) if entry.stat(follow_symlinks=False).st_uid == UID]
    mounts = [line for line in open("/proc/self/mountinfo") if " - nsfs " not in line]
    sockets = [line for line in world.wire.run("a", "ss", "-H", "-a", "-n").splitlines() if "TIME-WAIT" not in line]
    return {"processes": len(processes()), "namespaces": sum(space["uid"] == UID for space in spaces["namespaces"]),
            "mounts": len(mounts), "files": sorted(files), "sockets": len(sockets)}


def states(world):
    """What the runs tell about themselves."""
    found = []
    folder = f"{world.runtime}/warren"
    for name in os.listdir(folder):
        if name.endswith(".state"):
            found.append(dict(line.split("=", 1) for line in open(f"{folder}/{name}").read().splitlines()))
    return found


def for_all(world, count, script, seconds=400):
    """The script (with {} as a profile's name) for all profiles, several at once, as the user."""
    names = "\n".join(f"p{number}" for number in range(count))
    command = world.as_user("xargs", "-P", str(AT_ONCE), "-I{}", "sh", "-c", script)
    done = subprocess.run(command, input=names, capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0:
        raise RuntimeError(f"{script}: {done.stderr.strip()[-500:]}")


def start_all(world, count):
    began = time.monotonic()
    for_all(world, count, "exec warren run -d --log /dev/null {} -- sh -c "
            f"'{world.bin}/first_instruction {SERVER} >/dev/null || exit; exec sleep 86400' >/dev/null")
    took = time.monotonic() - began
    wait_for(lambda: sum("sleep 86400" == line for line in processes().values()) == count, "every command has its answer")
    return took


def adopt_orphans():
    """A dead process that nobody reaps holds its namespaces: do not wait for a slow pid 1."""
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def wait_for(condition, what, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        reap()
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited in vain: {what}")
        time.sleep(0.05)


def memory(world):
    """KiB of each run: supervisor, init and engine. Pages that several share count in parts."""
    of = {"supervisor": [], "init": [], "engine": []}
    for state in states(world):
        supervisor, init = int(state["pid"]), int(state["init"])
        children = open(f"/proc/{supervisor}/task/{supervisor}/children").read().split()
        for kind, pid in (("supervisor", supervisor), ("init", init),
                          ("engine", next(int(child) for child in children if int(child) != init))):
            of[kind].append(resident_kib(pid))
    return {kind: statistics.mean(values) for kind, values in of.items()}


def available_kib():
    return int(re.search(r"^MemAvailable:\s+(\d+)", open("/proc/meminfo").read(), re.M)[1])


def difference(before, after):
    return {what: [entry for entry in after[what] if entry not in before[what]] if what == "files" else after[what] - before[what]
            for what in before if before[what] != after[what]}


def kill_everything(seed):
    """Every process of every run, in random order."""
    victims = sorted(processes())
    random.Random(seed).shuffle(victims)
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it went with another
    wait_for(lambda: not processes(), "the killed are gone")


def measure(world, count, seed, say):
    adopt_orphans()
    wait_for(lambda: not processes(), "no process of the user's")
    try:
        return measure_all(world, count, seed, say)
    finally:
        kill_everything(seed)


def measure_all(world, count, seed, say):
    subprocess.run(world.as_user("warren", "run", "p0", "--", "true"), check=True)
    before, free = snapshot(world), available_kib()
    took = start_all(world, count)
    say(f"{count} runs are there")
    found = {"runs": count, "start_seconds": took, "runs_per_second": count / took, "memory_kib": memory(world),
             "processes": len(processes()), "machine_kib_per_run": (free - available_kib()) / count}
    began = time.monotonic()
    for_all(world, count, "exec warren stop {}")
    found["stop_seconds"] = time.monotonic() - began
    wait_for(lambda: not processes(), "the stopped are gone")
    found["left_after_stop"] = difference(before, snapshot(world))
    say("stopped; once more, for kill -9")
    start_all(world, count)
    kill_everything(seed)
    found["seed"], found["left_after_kill"] = seed, difference(before, snapshot(world))
    found["left_after_kill"]["files"] = len(found["left_after_kill"].get("files", []))
    subprocess.run(world.as_user("warren", "run", "p0", "--", "true"), check=True)
    found["left_after_next_start"] = difference(before, snapshot(world))
    return found


def text(found):
    parts = found["memory_kib"]
    total = sum(parts.values())
    return (f"{found['runs']} runs at once: started in {found['start_seconds']:.1f} s ({found['runs_per_second']:.0f} a second), "
            f"stopped in {found['stop_seconds']:.1f} s\n"
            f"memory of one: {total / 1024:.2f} MiB (" + ", ".join(f"{kind} {kib / 1024:.2f}" for kind, kib in parts.items()) +
            f"); of the machine for each run, its command included: {found['machine_kib_per_run'] / 1024:.2f} MiB\n"
            f"left after stop: {found['left_after_stop'] or 'nothing'}; after kill -9 in random order (seed {found['seed']}): "
            f"{found['left_after_kill']}; after the next start: {found['left_after_next_start'] or 'nothing'}\n")


def targets(found, add):
    add(f"memory of one of {found['runs']} runs, MiB", sum(found["memory_kib"].values()) / 1024, "<=", TARGET_MIB)
    left = len(found["left_after_stop"]) + len(found["left_after_next_start"])
    add("kinds of things left behind", left, "<=", 0)
