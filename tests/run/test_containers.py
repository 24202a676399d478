"""podman inside a run: images, containers and their network, without a second id and without root.

podman, runc and busybox come from their Debian packages, unpacked below build/ and never installed.
"""

import glob
import os
import pathlib
import shutil
import subprocess

import pytest
from lab import USER, wait_until

UNPACKED = pathlib.Path(os.environ.get("WARREN_CONTAINERS", "build/containers")).absolute()

# As the manual says it: podman begins as root of a user namespace that maps nobody but the user.
AS_ROOT = ("env", "_CONTAINERS_USERNS_CONFIGURED=done", f"_CONTAINERS_ROOTLESS_UID={USER}", "unshare", "-Urm")

CONTAINERS_CONF = """
[engine]
runtime = "runc"
conmon_path = ["{files}/conmon"]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
[engine.runtimes]
runc = ["{root}/usr/sbin/runc"]
"""
STORAGE_CONF = """
[storage]
driver = "vfs"
runroot = "{files}/run"
graphroot = "{files}/storage"
[storage.options.vfs]
ignore_chown_errors = "true"
"""
TRUST_ALL = '{"default": [{"type": "insecureAcceptAnything"}]}'


class Podman:
    """A user's podman, with one image that holds files of several owners."""

    def __init__(self, lab):
        self.lab = lab
        files = lab.home / "podman"
        rootfs = files / "rootfs"
        for name in ("bin", "proc", "dev", "sys", "etc", "run", "tmp"):
            (rootfs / name).mkdir(parents=True)
        shutil.copy(UNPACKED / "bin/busybox", rootfs / "bin/busybox")
        for name in ("sh", "ip", "cat", "id", "wget", "sleep", "nslookup"):
            (rootfs / "bin" / name).symlink_to("busybox")
        names = {"root": UNPACKED, "files": files}
        (files / "containers.conf").write_text(CONTAINERS_CONF.format(**names))
        (files / "storage.conf").write_text(STORAGE_CONF.format(**names))
        libraries = ":".join(glob.glob(f"{UNPACKED}/usr/lib/*-linux-gnu") + glob.glob(f"{UNPACKED}/lib/*-linux-gnu"))
        # podman hands conmon no variable of the loader, but the podman that cleans up comes from it.
        conmon = files / "conmon"
        conmon.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {UNPACKED}/usr/bin/conmon "$@"\n')
        conmon.chmod(0o755)
        config = lab.home / ".config/containers"
        config.mkdir(parents=True, exist_ok=True)
        (config / "policy.json").write_text(TRUST_ALL)
        self.image = files / "image.tar"
        subprocess.run(["tar", "-C", rootfs, "--owner=daemon:7", "--group=lp:9", "-cf", self.image, "."], check=True)
        for top in (files, lab.home / ".config"):
            for path, _, leaves in os.walk(top):
                for leaf in ("", *leaves):
                    os.chown(os.path.join(path, leaf), USER, USER, follow_symlinks=False)
        self.variables = (
            f"LD_LIBRARY_PATH={libraries}", f"CONTAINERS_CONF={files}/containers.conf",
            f"CONTAINERS_STORAGE_CONF={files}/storage.conf",
            f"PATH={UNPACKED}/usr/bin:{UNPACKED}/usr/sbin:/usr/bin:/bin:/usr/sbin")

    def options(self):
        return [word for variable in self.variables for word in ("-e", variable)]

    def __call__(self, *words):
        return self.lab.run(*AS_ROOT, "podman", *map(str, words), options=self.options())

    def output(self, *words):
        done = self(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def podman(lab):
    if not (UNPACKED / "usr/bin/podman").exists():
        pytest.skip(f"needs podman below {UNPACKED} (make test unpacks it)")
    made = Podman(lab)
    made.output("import", made.image, "tiny")
    return made


def test_a_container_has_the_network_and_the_names_of_its_run(podman):
    said = podman.output("run", "--rm", "--network=host", "tiny", "sh", "-c",
                         "wget -qO- http://10.77.0.1:8080/3; echo; cat /etc/resolv.conf; "
                         "nslookup -type=a any.example | grep -c 10.77.0.99; "
                         "ip -o -4 addr | grep -o 'inet [0-9.]*'; wget -qO- http://192.0.2.2:8080/3 2>&1 || echo closed")
    lines = said.splitlines()
    assert lines[:3] == ["xxx", "nameserver 10.77.0.1", "1"], said
    assert lines[-4:-2] == ["inet 127.0.0.1", "inet 10.77.0.2"], said
    assert "Network is unreachable" in lines[-2] and lines[-1] == "closed", said


def test_several_commands_share_one_namespace(podman):
    """A container that stays: whoever speaks to it does so from the namespace it was made in."""
    script = ("podman run -d --name stays --network=host tiny sleep 300 >/dev/null && "
              "podman exec stays id -u && podman ps --format '{{.Names}}' && podman rm -f -t 0 stays && podman ps -aq")
    done = podman.lab.run(*AS_ROOT, "sh", "-c", script, options=podman.options())
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "stays", "stays"], done


def test_containers_end_with_their_run(podman):
    before = podman.lab.own_processes()
    marker = podman.lab.home / "podman/running"
    script = f"podman run -d --network=host tiny sleep {SLEEP} >/dev/null && touch {marker} && exec cat"
    run = podman.lab.begin(*AS_ROOT, "sh", "-c", script, options=podman.options(), stdin=subprocess.PIPE)
    wait_until(lambda: marker.exists() or run.poll() is not None, "it runs", 30)
    assert run.poll() is None, run.stderr.read()
    wait_until(sleepers, "the container runs", 30)
    run.stdin.close()
    assert run.wait(20) == 0
    wait_until(lambda: not sleepers(), "the container is gone")
    wait_until(lambda: podman.lab.own_processes() == before, "nothing is left")


SLEEP = 10_000_000 + os.getpid()  # seconds, of this test's container alone


def sleepers():
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == f"sleep\0{SLEEP}\0".encode():
                found.append(entry.name)
        except OSError:
            pass
    return found


def test_podman_alone_says_that_it_lacks_an_id(podman):
    """What the manual's words in front are for: without them podman wants to be id 0 of our namespace."""
    done = podman.lab.run("podman", "run", "--rm", "--network=host", "tiny", "true", options=podman.options())
    assert done.returncode != 0 and "setresgid" in done.stderr, done
