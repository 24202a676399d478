"""`warren up` of a joined profile: it follows its gateway, and is told when it is put out."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "gateway"))

import lab as gateway_lab  # noqa: E402
from lab import WARREN, wait_until, without_link_local  # noqa: E402
from changes import changes  # noqa: E402


RESOLVCONF = """#!/bin/sh
case $1 in
  -a) cat > {folder}/$2.record ;;
  -d) rm -f {folder}/$2.record ;;
esac
"""


class Member:
    """A host whose administrator joins it to the network. Its /run is its own, and so is its
    resolvconf, which only writes down what it is told: no other of this machine is found."""

    def __init__(self, world):
        self.gateway = world.gateway
        self.host = world.members[0]
        self.folder = self.host.folder
        self.run_dir = self.folder / "r"
        self.folder.mkdir()
        program = self.folder / "resolvconf"
        program.write_text(RESOLVCONF.format(folder=self.folder))
        program.chmod(0o755)
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(self.folder),
                            "WARREN_RUN_DIR": str(self.run_dir),
                            "PATH": f"{self.folder}:{os.environ['PATH']}"}
        self.name = self.gateway.network("a")
        self.holder = subprocess.Popen(
            self.host.inside("unshare", "-m", "sh", "-c",
                             "mount -t tmpfs tmpfs /run && echo ready && exec sleep 600"),
            stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"

    def attempt(self, *words, **options):
        return subprocess.run(
            ["nsenter", "-t", str(self.holder.pid), "-m", "-n", *map(str, words)],
            env=self.environment, capture_output=True, text=True, timeout=30, **options)

    def run(self, *words, **options):
        done = self.attempt(*words, **options)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def call(self, *words):
        return self.attempt(WARREN, *words)

    def ask(self, *words):
        return self.run(WARREN, *words)

    def join(self):
        self.run(WARREN, "join", "-", input=self.gateway.invite("a", "laptop") + "\n")

    def names(self):
        record = self.folder / f"{self.name}.record"
        return record.read_text() if record.exists() else ""

    def close(self):
        if self.run_dir.exists():
            self.call("down", self.name)
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()

    def snapshot(self):
        run = self.run
        return {"names": self.names(), "links": run("ip", "-d", "link"),
                "addresses": without_link_local(run("ip", "-o", "address")),
                "routes": sorted(without_link_local(run("ip", "route", "show", "table", "all"))),
                "routes6": sorted(without_link_local(
                    run("ip", "-6", "route", "show", "table", "all"))),
                "rules": run("ip", "rule") + run("ip", "-6", "rule"),
                "files": self.run_dir.exists()}

    def ping(self, target, count=1):
        return self.attempt("ping", "-c", count, "-i", "0.2", "-W", "3", target).returncode == 0

    def route_to(self, target):
        return self.attempt("ip", "route", "get", target).stdout

    def log(self):
        return (self.run_dir / "up" / f"{self.name}.log").read_text()


@pytest.fixture
def member():
    gateway_lab.require("ip", "wg", "nft", "nsenter", "ping")
    world = gateway_lab.World()
    try:
        world.gateway.start()
        wait_until(world.members[0].is_settled, "the wires are up")
        made = Member(world)
        try:
            yield made
        finally:
            made.close()
    finally:
        world.close()


def test_a_host_follows_its_gateway(member):
    gateway, name = member.gateway, member.name
    shown = gateway.create("a", "--no-nat")
    member.join()
    before = member.snapshot()
    member.ask("up", name, "--wait-ready", "30s")
    assert member.ping(shown["gateway"])
    assert "lookup 518" not in member.snapshot()["rules"]

    # Everything goes through the gateway from now on, but not the tunnel's own packets.
    began = time.monotonic()
    gateway.ask("network", "set", name, "--nat")
    wait_until(lambda: f"dev {name}" in member.route_to("203.0.113.1"), "the default route turns")
    print(f"\nroutes changed {(time.monotonic() - began) * 1000:.0f} ms later")
    assert member.ping(shown["gateway"])
    assert member.snapshot()["rules"].count("suppress_prefixlength 0") >= 1
    gateway.ask("network", "set", name, "--no-nat")
    wait_until(lambda: f"dev {name}" not in member.route_to("203.0.113.1"), "and turns back")
    wait_until(lambda: member.snapshot()["rules"] == before["rules"], "without its rules")

    gateway.ask("network", "set", name, "--dns", "10.20.0.53")
    wait_until(lambda: "nameserver 10.20.0.53\n" in member.names(), "the name servers follow")

    # Another endpoint is set at the live engine; the session stays.
    gateway.run("ip", "address", "add", "192.0.2.77/24", "dev", "u0")
    handshake = gateway.peer("a", "laptop")["last_handshake"]
    gateway.ask("network", "set", name, "--endpoint", "192.0.2.77")
    wait_until(lambda: "192.0.2.77" in member.run("wg", "show", name, "endpoints"),
               "the engine has the new endpoint")
    assert member.ping(shown["gateway"], count=2)
    assert gateway.peer("a", "laptop")["last_handshake"] == handshake
    conf = (member.folder / "warren" / f"{name}.conf").read_text()
    assert "192.0.2.77" in conf

    member.ask("down", name)
    assert changes(before, member.snapshot()) == {}


def test_a_gateway_that_was_away(member):
    gateway, name = member.gateway, member.name
    shown = gateway.create("a", "--no-nat")
    member.join()
    member.ask("up", name, "--wait-ready", "30s")
    gateway.end(signal.SIGKILL)
    gateway.start()
    assert member.ping(shown["gateway"], count=3)
    gateway.ask("network", "set", name, "--nat")
    wait_until(lambda: f"dev {name}" in member.route_to("203.0.113.1"),
               "it follows the restarted gateway", seconds=20)
    member.ask("down", name)


def test_a_revoked_host_keeps_its_link_and_is_told(member):
    gateway, name = member.gateway, member.name
    shown = gateway.create("a", "--no-nat")
    member.join()
    before = member.snapshot()
    member.ask("up", name, "--wait-ready", "30s")
    refused = member.call("leave", name)
    assert refused.returncode == 6 and f"leave {name}: it is up" in refused.stderr
    time.sleep(0.3)  # until the follower has asked; a revocation is heard either way
    gateway.ask("revoke", "laptop", "--network", name)
    wait_until(lambda: "revoked by the gateway: laptop was revoked" in member.ask("status"),
               "status says so")
    assert "the link stays, and its packets go nowhere" in member.log()
    assert not member.ping(shown["gateway"])
    assert name in member.run("ip", "-o", "link")
    assert member.call("status", name, "--check", "ready").returncode == 3
    member.ask("down", name)
    assert changes(before, member.snapshot()) == {}


def test_the_unit_is_sound(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs the program systemd-analyze")
    unit = pathlib.Path(__file__).parent.parent.parent / "packaging" / "warren-up@.service"
    text = unit.read_text()
    assert "Type=notify" in text and "/usr/bin/warren up --foreground %i" in text
    # Programs and manual pages need not be installed for this.
    text = re.sub("Documentation=.*\n", "", text.replace("/usr/bin/warren", "/bin/true"))
    copy = tmp_path / "warren-up@lab.service"
    copy.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "warren-up" in line]  # not of this machine's units
    assert (done.returncode, said) == (0, []), done.stderr
