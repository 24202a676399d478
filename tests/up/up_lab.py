"""The lab of `warren run`, used by its administrator: the host itself joins the network.

The far end is wireguard-go where it is installed. The host has a mount namespace of its own with an
empty /run, and its /etc is writable there without a change to this machine's. Between the two stands
a wire that carries nothing but the tunnel once `only_the_tunnel` was called; the tunnel's endpoint
may then be an address behind the host's default route.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "run"))

from changes import changes  # noqa: E402,F401
from lab import Lab, output, require, wait_until  # noqa: E402

UNPACKED = pathlib.Path(os.environ.get("WARREN_RESOLVCONF", "build")).absolute()
BEHIND = "203.0.113.9"  # addresses of the far host that only the default routes lead to
BEHIND6 = "2001:db8:9::9"
RUN_DIR = "/run/warren"

OVER_ETC = ("mkdir /run/upper /run/work; mount -t overlay overlay "
            "-o lowerdir={lower}/etc,upperdir=/run/upper,workdir=/run/work /etc; "
            "echo nameserver 198.51.100.53 > /etc/resolv.conf.new; "
            "mv /etc/resolv.conf.new /etc/resolv.conf;")


# Where this machine has one of its own, the stories that want none do not see it.
NO_RESOLVCONF = ("for file in /usr/sbin/resolvconf /usr/bin/resolvconf; do "
                 "[ ! -e $file ] || mount --bind /dev/null $file; done;")


def with_resolvconf(folder):
    """The real program of a Debian package that is unpacked, not installed."""
    root = UNPACKED / folder
    if not (root / "sbin/resolvconf").exists():
        pytest.skip(f"needs the package {folder} below {UNPACKED} (make test unpacks it)")
    layers = "".join(f"mount -t overlay overlay -o lowerdir={root}/{part}:/usr/{part} /usr/{part};"
                     for part in ("sbin", "lib"))
    return layers + OVER_ETC.format(lower=f"{root}/etc:")


class UpLab(Lab):
    def __init__(self, setup=""):
        require("ip", "nft", "wg", "ping")
        program = "wireguard-go" if shutil.which("wireguard-go") else "warren-engine"
        super().__init__(far_program=program, etc_setup=(
            "mount -t tmpfs tmpfs /run; mkdir -p /run/wireguard;"
            f" {setup or NO_RESOLVCONF + OVER_ETC.format(lower='')}"))
        output("ip", "-n", self.far, "address", "add", f"{BEHIND}/32", "dev", "e0")
        output("ip", "-n", self.far, "address", "add", f"{BEHIND6}/128", "dev", "e0", "nodad")
        output("ip", "-n", self.host, "route", "add", "default", "via", "192.0.2.2")
        output("ip", "-n", self.host, "-6", "route", "add", "default", "via", "2001:db8::2")
        wait_until(self.is_settled, "the wire is up and every address is there")

    def is_settled(self):
        """A snapshot of the host will not change by itself: what follows a link that comes up, the kernel
        does in its own time."""
        address = self.on_host("ip", "address", "show", "dev", "e0")
        routes = self.on_host("ip", "route", "show", "table", "all") + self.on_host(
            "ip", "-6", "route", "show", "table", "all")
        return ("NO-CARRIER" not in address and "inet6 fe80:" in address and "tentative" not in address
                and "linkdown" not in routes and routes.count("fe80") >= 2)

    def close(self):
        """Supervisors are nobody's children."""
        for pid in self.own_processes():
            os.kill(pid, signal.SIGKILL)
        super().close()

    def as_root(self, *command, environment=()):
        return ["nsenter", "-t", str(self.holder.pid), "-m", "-n", "env", "-i",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"HOME={self.home}",
                f"XDG_CONFIG_HOME={self.home}/.config", *environment, *map(str, command)]

    def call(self, *words, **options):
        return subprocess.run(self.as_root(self.directory / "warren", *words), text=True,
                              capture_output=True, timeout=60, **options)

    def ask(self, *words):
        done = self.call(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}\n{self.log()}"
        return done

    def log(self, name="lab"):
        done = subprocess.run(self.as_root("cat", f"{RUN_DIR}/up/{name}.log"),
                              capture_output=True, text=True)
        return done.stdout

    def on_host(self, *command):
        return output(*self.as_root(*command))

    def ping(self, target, *options, seconds="15"):
        """One answer, whatever it takes: the first packet, which begins a session, may be late."""
        return subprocess.run(self.as_root("ping", "-c", "1", "-w", seconds, *options, target),
                              capture_output=True, text=True)

    def pids(self, name="lab"):
        """Of the supervisor and of its engine."""
        state = self.on_host("cat", f"{RUN_DIR}/up/{name}.state")
        supervisor = int(re.search(r"^pid=(\d+)$", state, re.M)[1])
        return supervisor, wait_until(lambda: self.engine(supervisor), "there is an engine")

    def kill(self, *pids):
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not set(pids) & set(self.own_processes()), "they are dead")

    def snapshot(self):
        """All that `warren up` may change, as the host's own tools tell it."""
        tell = self.on_host
        return {
            "links": tell("ip", "-d", "link"),
            "addresses": tell("ip", "-o", "address"),
            "routes": tell("ip", "route", "show", "table", "all"),
            "routes6": tell("ip", "-6", "route", "show", "table", "all"),
            "rules": tell("ip", "rule"), "rules6": tell("ip", "-6", "rule"),
            "nft": tell("nft", "list", "ruleset"),
            "sysctls": tell("sh", "-c", "sysctl -a 2>/dev/null | grep -E '^net\\.(ipv4|ipv6)\\.conf|"
                                        "forward|mark' | sort"),
            "files": tell("sh", "-c", "find /run /etc/resolv.conf ! -path '/run/work*' "
                                      "! -path '/run/upper*' | sort"),
            "names": tell("cat", "/etc/resolv.conf"),
            "processes": self.own_processes(),
        }

    def only_the_tunnel(self):
        """From now on the far host drops what is not ours: a packet that passes went through."""
        port = "udp dport 51820"
        output(*self.in_far("nft", "-f", "/dev/stdin"), input=(
            "table netdev wire { chain in { type filter hook ingress device e0 priority 0; "
            f"ether type arp accept; icmpv6 type {{ 135, 136 }} accept; {port} accept; drop\n }}\n }}\n"))

    def open_wire(self):
        subprocess.run(self.in_far("nft", "delete", "table", "netdev", "wire"), capture_output=True)
