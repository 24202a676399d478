"""Runs `warren` in a home of its own, where no daemon listens."""
import json
import os
import subprocess

import pytest

WARREN = os.environ.get("WARREN", "warren")


class Cli:
    def __init__(self, home):
        self.home = home
        self.env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(home),
                    "XDG_RUNTIME_DIR": str(home / "runtime"),
                    "WARREN_RUN_DIR": str(home / "run"), "WARREN_STATE_DIR": str(home / "state")}
        (home / "runtime").mkdir(mode=0o700)

    def __call__(self, *args, stdin="", env=None):
        return subprocess.run([WARREN, *args], input=stdin, capture_output=True, text=True,
                              env=self.env | (env or {}), timeout=30)

    def fails(self, code, *args, **kwargs):
        """The standard error of a command that must fail with this exit code."""
        done = self(*args, **kwargs)
        assert done.returncode == code, (args, done)
        assert done.stdout == "", done
        return done.stderr

    def error(self, code, *args, **kwargs):
        """The error document of a command that must fail with this exit code."""
        done = self("--json", *args, **kwargs)
        assert done.returncode == code, (args, done)
        assert done.stderr == "", done
        document = json.loads(done.stdout)
        assert document["schema"] == 1
        assert set(document["error"]) == {"kind", "message", "hint"}
        return document["error"]


@pytest.fixture
def warren(tmp_path):
    return Cli(tmp_path)
