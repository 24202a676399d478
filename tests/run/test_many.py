"""Many runs of one user at once: all start, and nothing of them stays, however they end."""

import os
import pathlib
import random
import signal
import subprocess

import pytest
from lab import Lab, anyone_in, namespaces_of, wait_until

COUNT = 20


@pytest.fixture(scope="module")
def crowd():
    lab = Lab()
    lab.members = lab.add_members(COUNT)
    lab.run("true")  # makes the runtime directory
    yield lab
    lab.close()


def footprint(lab):
    sockets = subprocess.run(lab.in_host("ss", "-H", "-a", "-n"), capture_output=True, text=True)
    return {"files": lab.files(), "mounts": lab.mounts(), "processes": lab.own_processes(),
            "sockets": sorted(line.split()[:2] for line in sockets.stdout.splitlines()),
            "shared memory": sorted(map(str, pathlib.Path("/dev/shm").glob("*warren*")))}


def start_all(lab):
    """Every run at once; each has an answer from its network. What they are made of."""
    script = ("ping -n -c 1 -w 30 10.77.0.1 >/dev/null && ip -4 -o address show warren0 | "
              "awk '{print $4}'; exec sleep 300")
    runs = [lab.begin("sh", "-c", script, profile=name) for name in lab.members]
    addresses = [run.stdout.readline().strip() for run in runs]
    assert addresses == [f"10.77.0.{100 + number}/24" for number in range(COUNT)], addresses
    return runs, [namespaces_of(lab.state(name)["init"]) for name in lab.members]


def assert_gone(lab, spaces):
    wait_until(lambda: not any(anyone_in(space) for space in spaces), "everybody inside is gone")


def test_stopped(crowd):
    before = footprint(crowd)
    runs, spaces = start_all(crowd)
    assert len({space["net"] for space in spaces}) == COUNT
    done = subprocess.run(crowd.warren("stop", *crowd.members), capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done
    assert {run.wait(10) for run in runs} == {143}
    assert_gone(crowd, spaces)
    wait_until(lambda: footprint(crowd) == before, lambda: f"{before}, not {footprint(crowd)}")


@pytest.mark.parametrize("seed", [1, 2])
def test_every_process_killed_in_any_order(crowd, seed):
    before = footprint(crowd)
    runs, spaces = start_all(crowd)
    inside = {pid for space in spaces for pid in anyone_in({"net": space["net"]})}
    victims = sorted({*crowd.own_processes(), *map(int, inside)} - set(before["processes"]))
    assert len(victims) >= 4 * COUNT  # supervisor, init, engine, command
    random.Random(seed).shuffle(victims)
    for pid in victims:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it went with another
    for run in runs:
        run.wait(20)
    assert_gone(crowd, spaces)
    # Only files may be left, and the next start of any run removes them.
    assert crowd.run("true").returncode == 0
    wait_until(lambda: footprint(crowd) == before, lambda: f"{before}, not {footprint(crowd)}")
