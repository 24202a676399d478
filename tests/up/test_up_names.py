"""`warren up` and the host's name servers: openresolv, Debian's resolvconf, systemd-resolved."""

import pytest

from up_lab import UpLab, changes, with_resolvconf

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
