"""Runs inside containers, containers inside runs, FUSE on both sides of the border."""

import os
import pathlib
import subprocess
import time

import pytest
from lab import USER, require, wait_until

PING = ("ping", "-n", "-c", "1", "-w", "15", "10.77.0.1")
# The whole host, in namespaces of a container; /proc is its own, as container engines do it.
BWRAP = ("bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
         "--dev-bind", "/", "/", "--proc", "/proc")


def test_a_container_inside_a_run_has_its_network(lab):
    require("bwrap")
    done = lab.run(*BWRAP, *PING)
    assert done.returncode == 0, done
    seen = lab.run(*BWRAP, "cat", "/etc/resolv.conf").stdout
    assert seen == "nameserver 10.77.0.1\n"
    alone = lab.run(*BWRAP, "--unshare-net", *PING)
    assert alone.returncode != 0


def test_a_run_inside_an_unprivileged_container(lab):
    require("bwrap")
    idle = lab.own_processes()
    inner = [*BWRAP, str(lab.directory / "warren"), "run", "lab", "--", *PING]
    done = subprocess.run(lab.as_user(*inner), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done
    wait_until(lambda: lab.own_processes() == idle, "nothing is left")


def test_a_run_inside_a_container_of_several_namespaces(lab):
    """User namespaces nest: a container in a container, and the run in that."""
    require("bwrap")
    inner = [*BWRAP, *BWRAP, str(lab.directory / "warren"), "run", "lab", "--", *PING]
    done = subprocess.run(lab.as_user(*inner), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done


def test_a_container_with_a_hidden_proc_is_named(lab):
    """Engines mask parts of /proc; the kernel then refuses a new one."""
    require("bwrap")
    masked = [*BWRAP, "--ro-bind", "/dev/null", "/proc/version",
              str(lab.directory / "warren"), "run", "lab", "--", "true"]
    done = subprocess.run(lab.as_user(*masked), capture_output=True, text=True, timeout=30)
    assert done.returncode == 125, done
    assert "mount /proc of the run" in done.stderr and "unmask=ALL" in done.stderr


# --- FUSE ---

def need_fuse():
    require("bindfs", "fusermount3")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("this machine has no /dev/fuse")


@pytest.fixture
def source(lab):
    need_fuse()
    folder = lab.home / "fuse-source"
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text("through FUSE\n")
    (lab.home / "fuse-mount").mkdir(exist_ok=True)
    for path in (folder, folder / "file", lab.home / "fuse-mount"):
        os.chown(path, USER, USER)
    return folder


def test_a_fuse_file_system_of_before_is_visible_inside(lab, source):
    """Its daemon stays outside, with the host's network."""
    mount = lab.home / "fuse-mount"
    daemon = lab.start(lab.as_user("bindfs", "-f", "--no-allow-other", source, mount),
                       stderr=subprocess.PIPE, text=True)
    wait_until(lambda: daemon.poll() is not None or str(mount) in lab.mounts(), "it is mounted")
    assert daemon.poll() is None, daemon.stderr.read()
    try:
        host = os.readlink(f"/proc/{daemon.pid}/ns/net")
        done = lab.run("sh", "-c", f"cat {mount}/file; echo written > {mount}/new; "
                       "readlink /proc/self/ns/net")
        assert done.stdout.splitlines()[0] == "through FUSE", done
        assert (source / "new").read_text() == "written\n"
        assert done.stdout.splitlines()[1] != host
    finally:
        umount = ["nsenter", "-t", str(lab.holder.pid), "-m", "umount", str(mount)]
        wait_until(lambda: subprocess.run(umount, capture_output=True).returncode == 0, "it is unmounted")
        daemon.wait(10)


def test_fuse_mounts_are_made_inside(lab, source):
    """The command has no privilege; in a user namespace of its own it mounts as anywhere."""
    mount = lab.home / "fuse-mount"
    script = (f"bindfs --no-allow-other {source} {mount} && cat {mount}/file && "
              f"readlink /proc/$(pgrep -x bindfs)/ns/net /proc/self/ns/net | uniq | wc -l && "
              f"fusermount3 -u {mount} && ls {mount} | wc -l")
    done = lab.run("unshare", "-Urm", "sh", "-c", script)
    assert done.stdout.split("\n") == ["through FUSE", "1", "0", ""], done
    assert not list(mount.iterdir())


# --- a batch system's cgroup ---

def cgroup_root():
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        words = line.split()
        if words[2] == "cgroup2":
            return pathlib.Path(words[1])
    pytest.skip("this machine has no cgroup2")


def test_a_run_stays_in_the_cgroup_of_its_job(lab):
    job = cgroup_root() / f"{lab.name}-job"
    try:
        job.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    try:
        held = (job / "pids.max").exists()
        if held:
            (job / "pids.max").write_text("64")
        enter = ["sh", "-c", f'echo $$ > {job}/cgroup.procs && exec "$@"', "sh"]
        command = [*enter, *lab.warren("run", "lab", "--", "sh", "-c",
                                       "echo ready; read _; cat /proc/self/cgroup")]
        run = lab.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert run.stdout.readline() == "ready\n"
        members = set((job / "cgroup.procs").read_text().split())
        state = lab.state()
        assert {state["pid"], state["init"], str(lab.engine(state["pid"]))} <= members
        run.stdin.close()
        assert f"/{job.name}" in run.stdout.read() and run.wait(10) == 0
        # What the batch system kills is gone as a whole.
        run = lab.start([*enter, *lab.warren("run", "lab", "--", "sleep", "300")])
        lab.state()
        wait_until(lambda: len((job / "cgroup.procs").read_text().split()) >= 4, "it runs")
        if (job / "cgroup.kill").exists():
            (job / "cgroup.kill").write_text("1")
            assert run.wait(10) == -9
            wait_until(lambda: not (job / "cgroup.procs").read_text(), "the job is empty")
        else:
            run.terminate()
            run.wait(10)
    finally:
        for _ in range(100):
            try:
                job.rmdir()
                break
            except OSError:
                time.sleep(0.05)
