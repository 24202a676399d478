"""The least that a user may be: no group, no capability to gain, no privilege by exec, no home."""

import subprocess

import pytest
from lab import wait_until

LOOK = ("id -un; grep -E '^(NoNewPrivs|CapBnd|CapPrm|Groups):' /proc/self/status; "
        "ping -n -c 1 -w 15 10.77.0.1 >/dev/null && echo reached")
EXPECTED = ("nobody\nGroups:\t \nCapPrm:\t0000000000000000\nCapBnd:\t0000000000000000\n"
            "NoNewPrivs:\t1\nreached\n")


def bare(lab, *arguments, home=None):
    """warren as such a user; `home`: what stands instead of HOME=… in the environment."""
    command = lab.warren(*arguments)
    at = command.index("--clear-groups") + 1
    command[at:at] = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    if home is not None:
        at = command.index(f"HOME={lab.home}")
        command[at : at + 1] = home
        command[command.index("-C") + 1] = "/"
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("home", [None, [], ["HOME=/nonexistent"], ["HOME=/proc"], ["HOME="]],
                         ids=["own", "missing", "not-there", "not-writable", "empty"])
def test_it_runs(lab, home):
    done = bare(lab, "run", lab.home / ".config/warren/lab.conf", "--", "sh", "-c", LOOK, home=home)
    assert (done.returncode, done.stdout, done.stderr) == (0, EXPECTED, "")


def test_with_a_home_that_is_read_only(lab):
    on_host = ["nsenter", "-t", str(lab.holder.pid), "-m"]
    subprocess.run([*on_host, "mount", "--bind", lab.home, lab.home], check=True)
    try:
        subprocess.run([*on_host, "mount", "-o", "remount,bind,ro", lab.home], check=True)
        done = bare(lab, "run", "lab", "--", "sh", "-c", f"touch {lab.home}/x 2>/dev/null; {LOOK}")
        assert (done.returncode, done.stdout, done.stderr) == (0, EXPECTED, "")
        detached = bare(lab, "run", "--detach", "lab", "--", "sleep", "300")
        assert (detached.returncode, detached.stdout) == (0, "lab\n"), detached
        assert bare(lab, "ps", "--json").stdout.count('"name":"lab"') == 1
        assert bare(lab, "attach", "lab", "--", "sh", "-c", LOOK).stdout == EXPECTED
        assert bare(lab, "stop", "lab").returncode == 0
    finally:
        subprocess.run([*on_host, "umount", lab.home], check=True)


def test_nothing_is_left(lab):
    before = (lab.files(), lab.mounts(), lab.own_processes())
    assert bare(lab, "run", "lab", "--", "true").returncode == 0
    wait_until(lambda: (lab.files(), lab.mounts(), lab.own_processes()) == before,
               "everything is as before")


@pytest.mark.parametrize("arguments", [("status",), ("ps",), ("doctor", "run")])
def test_it_may_look(lab, arguments):
    done = bare(lab, *arguments, home=[])
    assert "warren: " not in done.stderr or arguments == ("status",), done
    assert done.returncode in (0, 3), done
