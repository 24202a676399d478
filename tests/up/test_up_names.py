"""`warren up` and the host's name servers: openresolv, Debian's resolvconf, systemd-resolved."""

import contextlib
import os
import pathlib
import subprocess

import pytest

from up_lab import UpLab, changes, require, wait_until, with_resolvconf

RESOLVED = """#!/bin/sh
# Keeps what it is told, as systemd-resolved keeps it per link.
link=$2; file=/run/systemd/resolve/$link
[ -e /proc/sys/net/ipv4/conf/$link ] || { echo "Failed to resolve interface \\"$link\\"" >&2; exit 1; }
case $1 in
  revert) rm -f $file ;;
  *) echo "$@" >> $file ;;
esac
"""


@pytest.fixture(params=["openresolv", "resolvconf"])
def lab(request):
    made = UpLab(setup=with_resolvconf(request.param))
    made.kind = request.param
    made.on_host("sh", "-c", "mkdir -p /run/resolvconf/interface; "
                 "echo nameserver 198.51.100.53 > /run/base; "
                 "[ -e /etc/resolvconf/interface-order ] && ln -sf /run/resolvconf/resolv.conf "
                 "/etc/resolv.conf && resolvconf --enable-updates; "
                 "resolvconf -a e0 < /run/base; "
                 # So that the directories it keeps for itself are there before we look.
                 "resolvconf -a first -m 0 -x < /run/base; resolvconf -d first -f")
    yield made
    made.close()


def test_resolvconf_is_told_and_told_again(lab):
    before = lab.snapshot()
    assert "198.51.100.53" in before["names"]
    lab.profile("lab", lab.conf(dns="10.77.0.1, study.example"))
    done = lab.ask("up", "lab", "--wait-ready", "30s")
    assert "DNS by resolvconf" in done.stdout and done.stderr == ""
    during = lab.on_host("cat", "/etc/resolv.conf").splitlines()
    servers = [line.split()[1] for line in during if line.startswith("nameserver")]
    assert servers[0] == "10.77.0.1", during
    assert any(line.split()[:1] == ["search"] and "study.example" in line for line in during)
    assert "10.77.0.99" in lab.on_host("getent", "ahostsv4", "broker.study.example")
    lab.ask("down", "lab")
    assert changes(before, lab.snapshot()) == {}
    # And after a kill.
    lab.ask("up", "lab")
    lab.kill(*lab.pids())
    assert "10.77.0.1" in lab.on_host("cat", "/etc/resolv.conf")
    lab.ask("down", "lab")
    assert changes(before, lab.snapshot()) == {}


@contextlib.contextmanager
def gateway_on(lab):
    """`warren` of a daemon on the lab's host; what it leaves is cleaned up after its kill."""
    environment = (f"WARREN_STATE_DIR={lab.directory}/gateway", "WARREN_RUN_DIR=/run/gateway")
    program = pathlib.Path(os.environ["WARREN"])

    def warren(*words):
        return subprocess.run(lab.as_root(program, *words, environment=environment), text=True,
                              capture_output=True, timeout=60)

    with open(lab.directory / "gateway.log", "w") as log:
        daemon = subprocess.Popen(lab.as_root(program, "daemon", environment=environment),
                                  stdout=log, stderr=log)
    try:
        wait_until(lambda: warren("network", "list").returncode == 0,
                   lambda: (lab.directory / "gateway.log").read_text(), 30)
        yield warren
    finally:
        daemon.kill()
        daemon.wait()
        done = warren("cleanup")
    assert done.returncode == 0, done.stderr


def test_the_host_of_a_gateway_resolves_below_its_network(lab):
    require("dnsmasq")
    before = lab.on_host("cat", "/etc/resolv.conf")
    with gateway_on(lab) as warren:
        made = warren("network", "create", "names", "--subnet", "10.99.0.0/24", "--endpoint",
                      "192.0.2.1", "--no-nat", "--names", "--host-access")
        assert made.returncode == 0, made.stderr
        servers = [line.split()[1] for line in lab.on_host("cat", "/etc/resolv.conf").splitlines()
                   if line.startswith("nameserver")]
        assert servers == ["10.99.0.1", "198.51.100.53"]
        assert "10.99.0.1" in lab.on_host("getent", "ahostsv4", "gateway.names.internal")
    # The daemon was killed.
    assert lab.on_host("cat", "/etc/resolv.conf") == before


def test_a_resolvconf_that_fails_is_told_and_nothing_else_fails():
    broken = "#!/bin/sh\necho the disk is full >&2\nexit 3\n"
    lab = UpLab()
    try:
        folder = lab.directory / "sbin"
        folder.mkdir()
        (folder / "resolvconf").write_text(broken)
        (folder / "resolvconf").chmod(0o755)
        path = f"PATH={folder}:/usr/sbin:/usr/bin"
        before = lab.snapshot()
        done = lab.on_host("env", path, "sh", "-c", f"{lab.directory}/warren up lab 2>&1")
        assert "DNS was not changed: resolvconf failed with code 3: the disk is full" in done
        assert lab.ping("10.77.0.1").returncode == 0
        (folder / "resolvconf").unlink()
        lab.ask("down", "lab")
        assert changes(before, lab.snapshot()) == {}
    finally:
        lab.close()


def test_resolved_is_told_per_link():
    lab = UpLab()
    try:
        folder = lab.directory / "sbin"
        folder.mkdir()
        (folder / "resolvectl").write_text(RESOLVED)
        (folder / "resolvectl").chmod(0o755)
        path = f"PATH={folder}:/usr/sbin:/usr/bin"
        warren = lab.directory / "warren"
        lab.on_host("mkdir", "-p", "/run/systemd/resolve")
        before = lab.snapshot()
        for dns, told in (("10.77.0.1", ["dns lab 10.77.0.1", "domain lab ~.",
                                         "default-route lab true"]),
                          ("10.77.0.1, study.example", ["dns lab 10.77.0.1",
                                                        "domain lab study.example",
                                                        "default-route lab false"])):
            lab.profile("lab", lab.conf(dns=dns))
            assert "DNS by resolved" in lab.on_host("env", path, warren, "up", "lab")
            assert lab.on_host("cat", "/run/systemd/resolve/lab").splitlines() == told
            lab.on_host("env", path, warren, "down", "lab")
            assert changes(before, lab.snapshot()) == {}
    finally:
        lab.close()
