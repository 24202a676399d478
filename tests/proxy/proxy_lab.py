"""The lab of tests/run, whose user starts `warren proxy` where no namespace may be made.

The network's services are those of tests/run and, beside them, proxy_services.py. The host has no
route into the network: what arrives has come through the tunnel.
"""

import pathlib
import shutil
import subprocess

import pytest
from lab import BIN, Lab, USER, output

SERVICES = pathlib.Path(__file__).with_name("proxy_services.py")
FORBID = ("for kind in user net mnt pid; do "
          "echo 0 >/proc/sys/user/max_${kind}_namespaces || exit 1; done")


class ProxyLab(Lab):
    def __init__(self):
        super().__init__()
        try:
            self.forbid_namespaces()
            self.start_more_services()
        except BaseException:
            self.close()
            raise
        self.processes_of_lab = set(super().own_processes())
        self.profile("names", self.conf(dns="10.77.0.53, search.lab"))
        self.profile("nameless", self.conf(dns=""))

    def make_directories(self):
        super().make_directories()
        if not (BIN / "warren-stack").exists():
            pytest.skip("warren-stack is not built")
        shutil.copy(BIN / "warren-stack", self.directory / "warren-stack")
        client = pathlib.Path(__file__).with_name("socks_client.py")
        shutil.copy(client, self.directory / client.name)
        (self.directory / client.name).chmod(0o644)

    def forbid_namespaces(self):
        """A user namespace in which nobody can make another one, nor one of the other kinds: as
        where an administrator has switched them off."""
        inside = ["nsenter", "-t", str(self.holder.pid), "-m", "-n"]
        self.forbidder = self.start([*inside, "unshare", "-U", "sh", "-c", "echo; exec sleep 600"],
                                    stdout=subprocess.PIPE, text=True)
        assert self.forbidder.stdout.readline() == "\n"
        for kind in ("uid", "gid"):
            pathlib.Path(f"/proc/{self.forbidder.pid}/{kind}_map").write_text("0 0 65536\n")
        output("nsenter", "-t", str(self.forbidder.pid), "-U", "-m", "-n", "bash", "-c", FORBID)

    def start_more_services(self):
        for address in ("10.77.0.53/32", "10.77.0.99/32"):
            output("ip", "-n", self.far, "address", "add", address, "dev", self.name)
        services = self.start(self.in_far("/usr/bin/python3", "-B", SERVICES),
                              stdout=subprocess.PIPE, text=True)
        assert services.stdout.readline() == "ready\n"

    def own_processes(self):
        return [pid for pid in super().own_processes()
                if pid not in getattr(self, "processes_of_lab", ())]

    def as_user(self, *command, environment=()):
        return ["nsenter", "-t", str(self.forbidder.pid), "-U", "-m", "-n", "setpriv",
                f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "env", "-i", "-C",
                str(self.home), "PATH=/usr/bin:/bin", f"HOME={self.home}",
                f"XDG_RUNTIME_DIR={self.runtime}", f"PYTHONPATH={self.directory}",
                "PYTHONDONTWRITEBYTECODE=1", *environment, *map(str, command)]

    def proxy(self, *command, profile="lab", options=(), timeout=60, **more):
        """`warren proxy` to its end."""
        return subprocess.run(self.warren("proxy", *options, profile, "--", *command),
                              capture_output=True, text=True, timeout=timeout, **more)

    def begin_proxy(self, *command, profile="lab", options=(), **more):
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **more}
        tail = ("--", *command) if command else ()
        return self.start(self.warren("proxy", *options, profile, *tail), **more)

    def script(self, text, **more):
        """Python inside a proxy, with all of socks_client; what it prints."""
        done = self.proxy("/usr/bin/python3", "-c", "from socks_client import *\n" + text, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def curl(self, *arguments, **more):
        return self.proxy("curl", "-sS", "-g", "--max-time", "20", *arguments, **more)

    def child(self, program, supervisor):
        """The process of a program that a supervisor has started, or None."""
        for pid in self.own_processes():
            try:
                entry = pathlib.Path(f"/proc/{pid}")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == supervisor and (entry / "exe").readlink().name == program:
                    return pid
            except OSError:
                pass
        return None
