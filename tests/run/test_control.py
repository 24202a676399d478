"""A run from outside: ps, attach, stop, --detach; the tunnel that starts later."""

import json
import os
import pathlib
import pty
import signal
import subprocess
import time

import pytest
from lab import USER, Terminal, anyone_in, namespaces_of, wait_until, work_in_a_shell


def warren(lab, *arguments, **more):
    return subprocess.run(lab.warren(*arguments), capture_output=True, text=True, timeout=30,
                          **more)


@pytest.fixture
def run(lab):
    """A run that waits."""
    child = lab.begin("sh", "-c", "echo ready; exec sleep 300")
    assert child.stdout.readline() == "ready\n"
    yield child
    if child.poll() is None:
        child.terminate()
    child.wait(10)


def attach(lab, *command, options=(), **more):
    return warren(lab, "attach", *options, "lab", "--", *command, **more)


def test_attach_joins_the_run(lab, run):
    done = attach(lab, "sh", "-c", "for n in user mnt net pid; do readlink /proc/self/ns/$n; done")
    inside = namespaces_of(lab.state()["init"])
    assert done.stdout.split() == [inside[n] for n in ("user", "mnt", "net", "pid")], done
    assert "sleep" in attach(lab, "ps", "-eo", "comm").stdout
    assert attach(lab, "ping", "-n", "-c", "1", "-w", "15", "10.77.0.1").returncode == 0
    assert attach(lab, "cat", "/etc/resolv.conf").stdout == "nameserver 10.77.0.1\n"


def test_attach_has_no_privilege(lab, run):
    status = attach(lab, "cat", "/proc/self/status").stdout
    sets = [line.split() for line in status.splitlines() if line.startswith("Cap")]
    assert len(sets) == 5 and all(int(value, 16) == 0 for _, value in sets), sets
    assert "NoNewPrivs:\t1" in status and f"Uid:\t{USER}\t{USER}" in status
    assert attach(lab, "ip", "link", "set", "warren0", "down").returncode != 0
    assert attach(lab, "umount", "/etc").returncode != 0


@pytest.mark.parametrize("command, code", [(["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"],
                         137), (["no-such-program"], 127), (["/etc/passwd"], 126)])
def test_attach_exit_codes(lab, run, command, code):
    assert attach(lab, *command).returncode == code


def test_attach_environment_streams_and_directory(lab, run):
    done = attach(lab, "sh", "-c", "cat; echo $ONE $WARREN_RUN; pwd; echo err >&2",
                  options=("-e", "ONE=1"), input="in\n")
    assert done.stdout == f"in\n1 lab\n{lab.home}\n" and done.stderr == "err\n"
    assert attach(lab, "true", options=("-e", "ONE")).returncode == 2
    assert warren(lab, "attach", "lab").returncode == 2


def test_attach_finds_the_run_or_says_so(lab, run):
    done = warren(lab, "attach", "other", "--", "true")
    assert done.returncode == 125 and "there is no run `other`" in done.stderr
    assert "warren ps" in done.stderr


def test_signals_reach_an_attached_command(lab, run):
    child = lab.start(lab.warren("attach", "lab", "--", "/usr/bin/python3", "-uc", """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(41))
print("ready")
while True: time.sleep(1)
"""), stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    child.terminate()
    assert child.wait(10) == 41


def test_an_attached_command_ends_with_its_caller_and_with_the_run(lab, run):
    before = set(attach(lab, "ps", "-eo", "args").stdout.splitlines())
    first = lab.start(lab.warren("attach", "lab", "--", "sh", "-c", "echo up; exec sleep 1234"),
                      stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "up\n"
    first.kill()
    first.wait(10)
    wait_until(lambda: "sleep 1234" not in attach(lab, "ps", "-eo", "args").stdout, "it ends")
    second = lab.start(lab.warren("attach", "lab", "--", "sh", "-c", "echo up; exec sleep 1234"),
                       stdout=subprocess.PIPE, text=True)
    assert second.stdout.readline() == "up\n" and before
    run.terminate()
    assert run.wait(10) == 143
    assert second.wait(10) == 137


def test_a_terminal_works_in_an_attached_shell(lab, run):
    terminal = Terminal(lab)
    work_in_a_shell(terminal, f"stty rows 40 cols 100; {lab.directory}/warren attach lab -- "
                    "bash --norc --noprofile -i", "stty size", "40 100\r\n")
    terminal.close()


def test_the_window_size_reaches_the_program(lab):
    pid, fd = pty.fork()
    script = ("import fcntl, os, signal, struct, sys, termios, time\n"
              "def show(*_):\n"
              "    size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))\n"
              "    os.write(1, b'size %d %d' % struct.unpack('HHHH', size)[:2])\n"
              "signal.signal(signal.SIGWINCH, show)\nprint('ready', flush=True)\n"
              "while True: time.sleep(1)")
    if pid == 0:
        command = lab.warren("run", "lab", "--", "/usr/bin/python3", "-c", script)
        os.execvp(command[0], command)
    import fcntl
    import struct
    import termios
    seen = b""
    while b"ready" not in seen:
        seen += os.read(fd, 4096)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    try:
        while b"size 33 77" not in seen:
            seen += os.read(fd, 4096)
    except OSError as error:
        raise AssertionError(seen.decode()) from error
    os.write(fd, b"\x03")
    os.waitpid(pid, 0)
    os.close(fd)


def test_ps(lab, run):
    assert attach(lab, "ping", "-n", "-c", "3", "-w", "15", "-i", "0.05", "10.77.0.1").returncode == 0
    document = json.loads(warren(lab, "ps", "--json").stdout)
    assert document["schema"] == 1 and len(document["runs"]) == 1
    shown = document["runs"][0]
    assert shown["name"] == "lab" and shown["profile"] == "lab" and shown["net"] == "up"
    assert shown["addresses"] == ["10.77.0.2/24", "fd77::2/64"]
    assert shown["pid"] == int(lab.state()["pid"])
    for moment in ("since", "last_handshake"):
        assert abs(shown[moment] - time.time()) < 30
    # Three echoes of 84 bytes, padded to 96 with 32 of WireGuard around, and the handshake.
    assert shown["rx_bytes"] >= 3 * 128 and shown["tx_bytes"] >= 3 * 128
    text = warren(lab, "ps").stdout
    assert "RUN" in text and "10.77.0.2/24" in text
    assert "now" in text or " s ago" in text  # on a busy machine


def test_ps_of_nobody(lab):
    assert json.loads(warren(lab, "ps", "--json").stdout) == {"schema": 1, "runs": []}
    assert warren(lab, "ps").stdout == ""


def test_stop_ends_the_run_and_waits(lab, run):
    namespaces = namespaces_of(lab.state()["init"])
    done = warren(lab, "stop", "lab")
    assert done.returncode == 0, done
    assert run.wait(10) == 143
    assert not anyone_in(namespaces)
    assert json.loads(warren(lab, "ps", "--json").stdout)["runs"] == []
    again = warren(lab, "stop", "lab")
    assert again.returncode == 5 and "there is no run `lab`" in again.stderr


def test_stop_kills_what_ignores_it(lab):
    child = lab.begin("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    assert child.stdout.readline() == "ready\n"
    began = time.monotonic()
    assert warren(lab, "stop", "-t", "1s", "lab").returncode == 0
    assert 0.9 < time.monotonic() - began < 8
    assert child.wait(20) == 137
    assert [name for name in lab.files() if not name == "warren"] == []


def test_stop_checks_its_words(lab):
    assert warren(lab, "stop", "--time", "soon", "lab").returncode == 2
    assert warren(lab, "stop").returncode == 2


# --- detached ---

def test_detach(lab):
    pid_file = lab.home / "run.pid"
    done = warren(lab, "run", "--detach", "--pid-file", pid_file, "lab", "--", "sh", "-c",
                  "trap 'echo bye; exit 5' TERM; echo out; echo err >&2; "
                  "while :; do sleep 0.05; done")
    assert (done.returncode, done.stdout, done.stderr) == (0, "lab\n", "")
    log = lab.home / ".local/state/warren/lab.log"
    wait_until(lambda: "err" in log.read_text(), "the log is written")
    assert log.stat().st_mode & 0o777 == 0o600
    assert pid_file.read_text() == lab.state()["pid"] + "\n"
    session = os.getsid(int(lab.state()["pid"]))
    assert session == int(lab.state()["pid"])
    assert warren(lab, "stop", "lab").returncode == 0
    assert log.read_text() == "out\nerr\nbye\nwarren: run lab ended with code 5\n"
    assert not pid_file.exists()


def test_the_pid_file_of_a_killed_run_goes_with_the_next_look(lab):
    pid_file = lab.home / "killed.pid"
    def start():
        done = warren(lab, "run", "--detach", "--pid-file", pid_file.name, "lab", "--", "sleep",
                      "300")  # a relative path
        assert done.returncode == 0 and pid_file.read_text() == lab.state()["pid"] + "\n", done
        spaces = namespaces_of(lab.state()["init"])
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
        wait_until(lambda: not anyone_in(spaces), "the run is gone")
    start()
    assert pid_file.exists()
    assert json.loads(warren(lab, "ps", "--json").stdout)["runs"] == []
    assert not pid_file.exists() and lab.files() == ["warren"]
    start()
    assert lab.run("true").returncode == 0
    assert not pid_file.exists()
    start()
    pid_file.write_text("1\n")  # another program's by now
    warren(lab, "ps")
    assert pid_file.read_text() == "1\n"
    pid_file.unlink()


def test_a_pid_file_that_is_anothers_by_now_stays(lab):
    pid_file = lab.home / "taken.pid"
    done = warren(lab, "run", "--detach", "--pid-file", pid_file, "lab", "--", "sleep", "300")
    assert done.returncode == 0 and pid_file.read_text() == lab.state()["pid"] + "\n", done
    pid_file.write_text("1\n")
    assert warren(lab, "stop", "lab").returncode == 0
    assert pid_file.read_text() == "1\n"
    pid_file.unlink()


def test_detach_says_why_it_could_not_start(lab):
    log = lab.home / "x.log"
    done = warren(lab, "run", "-d", "--log", log, "lab", "--", "no-such-program")
    assert done.returncode == 127 and "run no-such-program: No such file" in done.stderr
    assert "hint" in done.stderr and done.stdout == ""
    done = warren(lab, "run", "-d", "--log", "/proc/x", "lab", "--", "true")
    assert done.returncode == 125 and "open the log /proc/x" in done.stderr
    done = warren(lab, "run", "--log", log, "lab", "--", "true")
    assert done.returncode == 2
    assert json.loads(warren(lab, "ps", "--json").stdout)["runs"] == []


def test_detach_survives_the_end_of_the_terminal(lab):
    terminal = Terminal(lab)
    terminal.say(f"{lab.directory}/warren run -d lab -- sleep 300; echo code-$?\n")
    terminal.expect("code-0\r\n")
    terminal.say("exit\n")
    terminal.close()
    assert json.loads(warren(lab, "ps", "--json").stdout)["runs"][0]["name"] == "lab"
    assert warren(lab, "stop", "lab").returncode == 0


# --- a tunnel that starts later ---

PING = "ping -n -c 1 -w 15 10.77.0.1 >/dev/null && echo reached"


def test_no_net_then_from_outside(lab):
    child = lab.begin("sh", "-c", "echo ready; ip -br link; ping -c 1 -W 1 10.77.0.1 >/dev/null "
                      f"2>&1 || echo alone; read x; {PING}", options=("--no-net",),
                      stdin=subprocess.PIPE)
    assert child.stdout.readline() == "ready\n"
    link = child.stdout.readline().split()
    assert link[0] == "lo" and child.stdout.readline() == "alone\n"  # and no other link
    shown = json.loads(warren(lab, "ps", "--json").stdout)["runs"][0]
    assert shown["net"] == "off" and "rx_bytes" not in shown
    assert "no tunnel" in warren(lab, "ps").stdout
    check = warren(lab, "status", "lab", "--check", "ready")
    assert check.returncode == 3 and "--start-net" in check.stderr
    assert warren(lab, "attach", "lab", "--start-net").returncode == 0
    assert json.loads(warren(lab, "ps", "--json").stdout)["runs"][0]["net"] == "up"
    assert warren(lab, "attach", "--start-net", "lab", "--", "true").returncode == 0  # again
    child.stdin.write("\n")
    child.stdin.close()
    assert child.stdout.readline() == "reached\n"
    assert child.wait(10) == 0


def test_no_net_then_from_inside(lab):
    done = lab.run("sh", "-c", f"{lab.directory}/warren net up && {PING}", options=("--no-net",))
    assert done.stdout == "reached\n", done
    done = warren(lab, "net", "up")
    assert done.returncode == 5 and "not the inside of a run" in done.stderr


def test_a_tunnel_that_cannot_start_leaves_the_run_alone(lab):
    taken = lab.start(lab.in_host("/usr/bin/python3", "-uc", "import socket,time\n"
                                  "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                                  "s.bind(('0.0.0.0', 40002)); print('ready'); time.sleep(60)"),
                      stdout=subprocess.PIPE, text=True)
    taken.stdout.readline()
    lab.profile("late", lab.conf("ListenPort = 40002"))
    child = lab.begin("sh", "-c", "echo ready; exec sleep 60", profile="late",
                      options=("--no-net",))
    assert child.stdout.readline() == "ready\n"
    done = warren(lab, "attach", "late", "--start-net")
    assert done.returncode == 6 and "40002 is taken" in done.stderr, done
    inside = warren(lab, "attach", "late", "--", lab.directory / "warren", "net", "up")
    assert inside.returncode == 6 and "40002 is taken" in inside.stderr
    taken.kill()
    taken.wait(20)
    assert warren(lab, "attach", "late", "--start-net").returncode == 0
    assert child.poll() is None
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 143


def test_routes(lab):
    def route(*options):
        return lab.run("ip", "route", options=options).stdout
    assert "default" not in route() and "default" not in route("--routes", "server")
    assert "default dev warren0" in route("--routes", "all")
    assert lab.run("ping", "-n", "-c", "1", "-w", "15", "10.77.0.1",
                   options=("--routes", "all")).returncode == 0
    assert lab.run("true", options=("--routes", "some")).returncode == 2


def test_no_net_and_wait_ready_exclude_each_other(lab):
    done = lab.run("true", options=("--no-net", "--wait-ready", "5s"))
    assert done.returncode == 125 and "exclude each other" in done.stderr
