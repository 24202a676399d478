"""Programs that tests run: those they need, what they print, and waiting for what they do."""

import os
import shutil
import subprocess
import time

import pytest


def require(*programs):
    """Skips the test, saying why, where it cannot run."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make network namespaces")
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs the program {program}")


def wait_until(condition, what, seconds=30.0):
    """The first true value of `condition`. `what` is a text, or makes one when the wait was in vain."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what() if callable(what) else what}")
        time.sleep(0.01)
    return value


def make_plain(namespace):
    """A network namespace begins with what this machine says of forwarding and of sources; a host of
    a test forwards nothing, as most do, and looks at no sources."""
    output("nsenter", f"--net=/run/netns/{namespace}", "sysctl", "-qw", "net.ipv4.ip_forward=0",
           "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")


def output(*command, input=None):
    done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()
