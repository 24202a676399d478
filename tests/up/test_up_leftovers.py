"""What a killed `warren up` leaves is cleaned up, and no key is at two places of root's at once."""

import json
import pathlib
import re
import subprocess

import pytest

from up_lab import RUN_DIR, UNPACKED, UpLab, changes, wait_until, with_resolvconf

ROOTS_RUNS = "/run/root"  # XDG_RUNTIME_DIR


def has_ended(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


class RootLab(UpLab):
    programs = (*UpLab.programs, "warren-gateway", "warren-stack")

    def kill(self, *pids):
        """And waits until the locks of the dead are free: they are closed after the rest of it is gone."""
        super().kill(*pids)
        wait_until(lambda: all(has_ended(pid) for pid in pids), "they have let go of their files")

    def clean(self, *options):
        return self.call(*options, "cleanup", "--state-dir", self.directory / "state")

    def end(self, child):
        child.terminate()
        child.wait(10)

    def as_runner(self, *words):
        return self.as_root(self.directory / "warren", *words,
                            environment=[f"XDG_RUNTIME_DIR={ROOTS_RUNS}"])

    def begin_run(self, profile):
        """A run of root's that is ready, and the process id of its supervisor."""
        run = self.start(self.as_runner("run", profile, "--", "sh", "-c", "echo ready; exec sleep 60"),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert run.stdout.readline() == "ready\n", run.stderr.read()
        state = self.on_host("cat", f"{ROOTS_RUNS}/warren/{profile}.state")
        return run, int(re.search(r"^pid=(\d+)$", state, re.M)[1])

    def try_run(self, profile, command="run"):
        return subprocess.run(self.as_runner(command, profile, "--", "true"), capture_output=True,
                              text=True, timeout=30)


@pytest.fixture(scope="module")
def world():
    openresolv = (UNPACKED / "openresolv/sbin/resolvconf").exists()
    made = RootLab(setup=with_resolvconf("openresolv") if openresolv else "")
    made.on_host("mkdir", "-p", "-m", "0700", ROOTS_RUNS, f"{ROOTS_RUNS}/warren")
    if openresolv:
        made.on_host("sh", "-c", "echo nameserver 198.51.100.53 > /run/base; resolvconf -a e0 "
                     "< /run/base; resolvconf -a first -m 0 -x < /run/base; resolvconf -d first -f")
    made.has_resolvconf = openresolv
    yield made
    made.close()


@pytest.fixture
def lab(world):
    """Whatever a story does, the host is as it was afterwards."""
    wait_until(lambda: "tentative" not in world.on_host("ip", "address"), "addresses are settled")
    before = world.snapshot()
    yield world
    for name in ("lab", "other"):
        world.call("down", name)
    assert changes(before, world.snapshot()) == {}


def everything(lab, name):
    """A profile of the same key that takes all traffic, with routing rules of its own."""
    lab.profile(name, lab.conf(allowed="0.0.0.0/0, ::/0", endpoint="203.0.113.9:51820"))


def test_cleanup_undoes_a_killed_up_and_names_it(lab):
    everything(lab, "other")
    before = lab.snapshot()
    lab.ask("up", "other", "--wait-ready", "30s")
    lab.kill(*lab.pids("other"))
    assert changes(before, lab.snapshot()) != {}, "link, routes and rules stay"
    if lab.has_resolvconf:
        assert "10.77.0.1" in lab.on_host("cat", "/etc/resolv.conf")

    done = lab.clean()
    assert done.returncode == 0, done.stderr
    assert "other: undone what its killed `warren up` had left on this host\n" in done.stdout
    assert "interfaces removed" in done.stdout and "rules removed" in done.stdout
    assert changes(before, lab.snapshot()) == {}
    assert lab.clean().stdout == "nothing to clean up\n"


def test_cleanup_leaves_alone_who_lives(lab):
    lab.ask("up", "lab", "--wait-ready", "30s")
    supervisor, engine = lab.pids()
    during = lab.snapshot()
    done = lab.clean()
    assert done.returncode == 0, done.stderr
    assert done.stdout == (f"lab: left alone, this host is in it (process {supervisor}); "
                           "`warren down lab` ends that\n")
    assert changes(during, lab.snapshot()) == {}
    assert lab.ping("10.77.0.1").returncode == 0
    links = json.loads(lab.clean("--json").stdout)["links"]
    assert links == {"undone": [], "left_alone": [{"name": "lab", "pid": supervisor}]}


def test_cleanup_names_both_kinds(lab):
    lab.add_members(1)
    lab.profile("other", (lab.home / ".config/warren/m0.conf").read_text().replace(
        "10.77.0.0/24, fd77::/64", "10.77.0.1/32").replace("10.77.0.100/24", "10.77.0.100/32"))
    lab.ask("up", "other")
    lab.ask("up", "lab")
    living, _ = lab.pids("other")
    lab.kill(*lab.pids("lab"))
    done = lab.clean("--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["links"] == {"undone": ["lab"], "left_alone": [{"name": "other", "pid": living}]}
    assert "ip link del lab" in said["removed"], said
    assert lab.on_host("ip", "-o", "link", "show", "other")


def test_a_run_of_root_is_refused_while_the_host_uses_the_key(lab):
    lab.profile("other", lab.conf())  # the same key by another name
    lab.ask("up", "lab")
    supervisor, _ = lab.pids()
    for profile, command in (("lab", "run"), ("other", "run"), ("other", "proxy")):
        refused = lab.try_run(profile, command)
        assert refused.returncode == 125, refused.stdout
        assert (f"this profile's key is in use by `warren up lab` (process {supervisor})"
                in refused.stderr), refused.stderr
        assert "hint: `warren down lab` ends it" in refused.stderr
    assert lab.on_host("ls", f"{ROOTS_RUNS}/warren") == ""
    lab.ask("down", "lab")
    assert lab.try_run("lab").returncode == 0


def test_up_is_refused_while_a_run_of_root_uses_the_key(lab):
    lab.profile("other", lab.conf())
    run, supervisor = lab.begin_run("lab")
    for profile in ("lab", "other"):
        refused = lab.call("up", profile)
        assert refused.returncode == 6, refused.stdout
        assert (f"this profile's key is in use by run lab (process {supervisor})"
                in refused.stderr), refused.stderr
        assert "hint: end that run first (`warren stop lab`)" in refused.stderr
    # Another network may be joined meanwhile.
    lab.add_members(1)
    lab.ask("up", "m0")
    lab.ask("down", "m0")
    lab.end(run)
    lab.ask("up", "lab", "--wait-ready", "30s")


def test_records_of_the_dead_refuse_nobody(lab):
    run, supervisor = lab.begin_run("lab")
    lab.kill(supervisor)
    run.wait(10)
    assert "key-" in lab.on_host("ls", f"{RUN_DIR}/up"), "a record is left"
    lab.ask("up", "lab")
    lab.kill(*lab.pids())
    # The link is still there, but nobody uses the key.
    assert lab.try_run("lab").returncode == 0
    run, supervisor = lab.begin_run("lab")
    lab.kill(supervisor)
    run.wait(10)
    assert lab.clean().returncode == 0
    # What the dead run itself left is for the next look at runs.
    subprocess.run(lab.as_runner("ps"), check=True, capture_output=True)
