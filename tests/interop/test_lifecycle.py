"""How warren-engine starts, is locked in, and goes without a trace."""

import errno
import os
import pathlib
import signal
import subprocess

import pytest

import lab


@pytest.fixture
def host(wire):
    wire.a.start(lab.ENGINE)
    return wire.a


def nothing_left(host):
    return not host.socket_path.exists() and not host.link_exists()


def ended(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_the_engine_is_locked_in(host):
    status = pathlib.Path(f"/proc/{host.engine_pid()}/status").read_text().splitlines()
    fields = {line.split(":")[0]: line.split(":")[1].split() for line in status}
    assert fields["Uid"] == ["65534"] * 4
    assert fields["Gid"] == ["65534"] * 4
    assert fields.get("Groups", []) == []
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(fields[kind][0], 16) == 0, kind
    assert fields["Seccomp"] == ["2"]
    assert fields["NoNewPrivs"] == ["1"]
    limits = pathlib.Path(f"/proc/{host.engine_pid()}/limits").read_text()
    assert limits.split("Max core file size")[1].split()[:2] == ["0", "0"]
    assert os.readlink(f"/proc/{host.engine_pid()}/root") != "/"


ATTACH = """
import fcntl, os, struct, sys, time
tun = open('/dev/net/tun', 'r+b', buffering=0)  # who opened it does not count, who attaches does
if sys.argv[2] != '0':
    os.setgroups([])
    os.setresgid(*[int(sys.argv[2])] * 3)
    os.setresuid(*[int(sys.argv[2])] * 3)
flags = 0x0001 | 0x1000 | int(sys.argv[3])  # IFF_TUN, IFF_NO_PI
deadline = time.monotonic() + float(sys.argv[4])
while True:
    try:
        fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22x', sys.argv[1].encode(), flags))
        print('attached')
        break
    except OSError as error:
        if time.monotonic() >= deadline:
            print(error.errno)
            break
"""
MULTI_QUEUE = 0x0100
NOBODY = 65534


def attach_command(interface, user, flags, seconds=0):
    return ["/usr/bin/python3", "-c", ATTACH, interface, user, flags, seconds]


def test_nobody_attaches_a_queue(host):
    def attach(interface, user, flags):
        return host.run(*attach_command(interface, user, flags))

    # One of the two is the kind of the interface and forbidden, the other is the wrong kind.
    refusals = {attach(host.interface, NOBODY, flags) for flags in (0, MULTI_QUEUE)}
    assert refusals == {str(errno.EPERM), str(errno.EINVAL)}
    taken = {str(errno.EBUSY), str(errno.EINVAL)}
    assert attach(host.interface, 0, 0) in taken, "a single queue is taken, others are no singles"
    host.run("ip", "tuntap", "add", "open0", "mode", "tun", "multi_queue")
    assert attach("open0", NOBODY, MULTI_QUEUE) == "attached", "the request itself is right"


def test_nobody_attaches_a_queue_while_the_interface_is_made(wire):
    attackers = [
        subprocess.Popen(
            wire.a.command(*attach_command(wire.a.interface, NOBODY, flags, 4)),
            stdout=subprocess.PIPE,
            text=True,
        )
        for flags in (0, MULTI_QUEUE)
    ]
    for _ in range(20):
        wire.a.start(lab.ENGINE)
        wire.a.process.terminate()
        assert wire.a.process.wait(20) == 0
    for attacker in attackers:
        assert attacker.communicate(timeout=20)[0].strip() != "attached"


def test_the_socket_is_for_root_alone(host):
    assert host.socket_path.stat().st_mode & 0o777 == 0o600


def test_link_deletion_ends_both_processes(host):
    engine = host.engine_pid()
    host.run("ip", "link", "delete", host.interface)
    assert host.process.wait(20) == 0
    assert ended(engine)
    assert nothing_left(host)


def test_socket_removal_ends_both_processes(host):
    engine = host.engine_pid()
    host.socket_path.unlink()
    assert host.process.wait(20) == 0
    assert ended(engine)
    assert nothing_left(host)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(host, number):
    engine = host.engine_pid()
    host.process.send_signal(number)
    assert host.process.wait(20) == 0
    assert ended(engine)
    assert nothing_left(host)


def test_a_killed_engine_takes_the_interface_along(host):
    os.kill(host.engine_pid(), signal.SIGKILL)
    assert host.process.wait(20) == 1
    assert "engine has ended unexpectedly" in host.process.stderr.read()
    assert nothing_left(host)


def test_a_killed_parent_takes_the_engine_along_and_leaves_no_obstacle(host):
    engine = host.engine_pid()
    host.process.kill()
    host.process.wait(20)
    lab.wait_until(lambda: ended(engine), "the engine ends")
    lab.wait_until(lambda: not host.link_exists(), "the interface goes")
    assert host.socket_path.exists(), "a killed process cannot clean up"
    host.process.stderr.close()
    host.start(lab.ENGINE)


def test_a_second_one_of_the_same_name_is_refused(host):
    for words in ([], ["-f"]):
        second = host.attempt(lab.ENGINE, *words, host.interface)
        assert second.returncode == 1
        assert "exists already" in second.stderr and "hint:" in second.stderr
    assert host.answers()


def test_the_background_start_returns_when_the_socket_answers(wire):
    host = wire.a
    host.run(lab.ENGINE, host.interface)
    assert host.answers()
    host.run("ip", "link", "delete", host.interface)
    lab.wait_until(lambda: nothing_left(host), "everything goes with the link")


def test_the_background_process_holds_no_pipe_of_its_starter(wire):
    host = wire.a
    # communicate() returns at end of file: only when nobody holds the pipes any more.
    done = subprocess.run(
        host.command(lab.ENGINE, host.interface), capture_output=True, timeout=10
    )
    assert done.returncode == 0
    host.run("ip", "link", "delete", host.interface)
    lab.wait_until(lambda: nothing_left(host), "everything goes with the link")


@pytest.mark.parametrize("name", ["", "a/b", "sixteen-letters-", "..", "a b"])
def test_bad_names_are_refused(wire, name):
    refused = wire.a.attempt(lab.ENGINE, "-f", "--", name)
    assert refused.returncode != 0
    assert "warren-engine:" in refused.stderr


def test_without_privilege_it_says_what_is_missing(wire):
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]
    if wire.a.attempt(*nobody, "test", "-x", lab.ENGINE).returncode != 0:
        pytest.skip("the built program is not readable for other users")
    refused = wire.a.attempt(*nobody, lab.ENGINE, "-f", wire.a.interface)
    assert refused.returncode == 1
    assert "hint:" in refused.stderr
    assert nothing_left(wire.a)


def test_wg_quick_uses_it_for_a_default_route(wire, tmp_path):
    lab.require("wg-quick", "wireguard-go", "nft")
    a, b = wire.a, wire.b
    b.start("wireguard-go")
    b.set_key()
    b.up()
    b.set("peer", a.keys.public, "allowed-ips", "10.9.0.1/32")
    conf = tmp_path / f"{a.interface}.conf"
    conf.touch(mode=0o600)
    conf.write_text(
        f"[Interface]\nPrivateKey = {a.keys.private}\nAddress = 10.9.0.1/24\n"
        f"[Peer]\nPublicKey = {b.keys.public}\nEndpoint = 192.0.2.2:{b.port}\n"
        "AllowedIPs = 0.0.0.0/0\n"
    )
    environment = {
        **os.environ,
        "WG_QUICK_USERSPACE_IMPLEMENTATION": os.path.basename(lab.ENGINE),
        "PATH": os.path.dirname(lab.ENGINE) + ":" + os.environ["PATH"],
    }
    up = a.attempt("wg-quick", "up", conf, env=environment)
    assert up.returncode == 0, up.stderr
    assert a.pings("10.9.0.2"), "the tunnel's own packets do not go into the tunnel"
    assert "fwmark" in a.run("wg", "show", a.interface)
    down = a.attempt("wg-quick", "down", conf, env=environment)
    assert down.returncode == 0, down.stderr
    lab.wait_until(lambda: nothing_left(a), "everything goes with wg-quick down")
