"""The program inside a run: who it is, what it may do, how it ends."""

import os
import pathlib
import signal
import subprocess
import time

import pytest
from lab import USER, Terminal, wait_until, work_in_a_shell


@pytest.mark.parametrize("script, code", [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137),
                                          ("kill -TERM $$", 143)])
def test_exit_code(lab, script, code):
    assert lab.run("sh", "-c", script).returncode == code


def test_not_found_is_127(lab):
    done = lab.run("no-such-program")
    assert done.returncode == 127
    assert "warren: run no-such-program: No such file" in done.stderr


def test_a_closed_directory_of_path_is_passed_over(lab):
    closed = lab.directory / "closed"
    closed.mkdir(mode=0o700)  # root's
    done = lab.run("no-such-program", options=("-e", f"PATH={closed}:/usr/bin:/etc/passwd"))
    assert done.returncode == 127, done
    assert lab.run("true", options=("-e", f"PATH={closed}:/usr/bin:/bin")).returncode == 0


def test_a_file_of_path_that_may_not_be_executed_is_126(lab):
    assert lab.run("passwd", options=("-e", "PATH=/etc")).returncode == 126


def test_low_ports_may_be_served(lab):
    assert lab.check("""
import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    socket.socket(socket.AF_INET, kind).bind(("0.0.0.0", 80))
    socket.socket(socket.AF_INET6, kind).bind(("fd77::2", 53))
print("bound")
""") == "bound\n"


def test_not_executable_is_126(lab):
    done = lab.run("/etc/passwd")
    assert done.returncode == 126
    assert "warren: run /etc/passwd: Permission denied" in done.stderr


def test_it_is_the_user_without_any_capability(lab):
    assert lab.run("id", "-u").stdout == f"{USER}\n"
    assert lab.run("id", "-g").stdout == f"{USER}\n"
    status = lab.run("cat", "/proc/self/status").stdout
    sets = [line.split() for line in status.splitlines() if line.startswith("Cap")]
    assert len(sets) == 5 and all(int(value, 16) == 0 for _, value in sets), sets
    assert "NoNewPrivs:\t1" in status


def test_it_cannot_change_the_network(lab):
    for command in (("ip", "link", "set", "warren0", "down"),
                    ("ip", "route", "add", "198.51.100.0/24", "dev", "warren0"),
                    ("nsenter", "--net=/proc/1/ns/net", "true"),
                    ("umount", "/etc/resolv.conf")):
        assert lab.run(*command).returncode != 0, command


def test_it_has_only_sockets_that_its_network_holds(lab):
    assert lab.check("""
import ctypes, errno, os, socket
for family, kind in ((socket.AF_UNIX, 1), (socket.AF_INET, 1), (socket.AF_INET6, 2),
                     (socket.AF_NETLINK, 3)):
    socket.socket(family, kind).close()
for family in (40, 31, 29, 21):  # vsock, Bluetooth, CAN, RDS
    try: print("made", family, socket.socket(family, 1))
    except OSError as error: assert error.errno == errno.EAFNOSUPPORT, error
libc = ctypes.CDLL(None, use_errno=True)
assert libc.syscall(425, 8, ctypes.create_string_buffer(120)) == -1  # io_uring_setup
print(errno.errorcode[ctypes.get_errno()])
""") == "ENOSYS\n"


# Calls the kernel as 32-bit programs do (int 0x80), which needs addresses below 4 GiB.
CALL32 = """
import ctypes, errno, struct
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
def low(data):
    at = libc.mmap(None, ctypes.c_size_t(4096), 7, 0x62, -1, ctypes.c_size_t(0))  # MAP_32BIT
    ctypes.memmove(at, data, len(data))
    return at
# push rbx; mov eax, edi; mov ebx, esi; xchg ecx, edx; int 0x80; pop rbx; ret
call = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint] * 4)(
    low(bytes.fromhex("53 89f8 89f3 87d1 cd80 5b c3")))
def tell(what, got): print(what, "made" if got >= 0 else errno.errorcode[-got])
GETPID, SOCKET, SOCKETCALL, IO_URING_SETUP = 20, 359, 102, 425
tell("getpid", call(GETPID, 0, 0, 0))
tell("inet", call(SOCKET, 2, 2, 0))
tell("vsock", call(SOCKET, 40, 1, 0))
tell("socketcall", call(SOCKETCALL, 1, low(struct.pack("3I", 40, 1, 0)), 0))
tell("io_uring", call(IO_URING_SETUP, 8, low(bytes(120)), 0))
"""


def test_32_bit_calls_make_no_other_sockets(lab):
    if os.uname().machine != "x86_64":
        pytest.skip("needs an x86-64 processor, for its 32-bit calls")
    outside = subprocess.run(["/usr/bin/python3", "-c", CALL32], capture_output=True, text=True)
    if "getpid made" not in outside.stdout:
        pytest.skip("this kernel takes no 32-bit calls")
    assert "socketcall made" in outside.stdout or "socketcall EAFNOSUPPORT" in outside.stdout
    assert lab.check(CALL32) == ("getpid made\ninet made\nvsock EAFNOSUPPORT\n"
                                 "socketcall ENOSYS\nio_uring ENOSYS\n")


def test_it_sees_only_its_own_processes(lab):
    pids = lab.check("import os\nprint(sorted(int(p) for p in os.listdir('/proc') if p.isdigit()))")
    assert pids == "[1, 2]\n"


def test_it_cannot_reach_inits_descriptors(lab):
    assert lab.run("cat", "/proc/1/fd/0").returncode != 0
    assert lab.run("readlink", "/proc/1/fd/3").stdout == ""
    assert lab.run("sh", "-c", "kill -9 1; sleep 0.1; echo alive").stdout == "alive\n"


def test_it_cannot_reach_the_socket_of_its_engine(lab):
    done = lab.run("sh", "-c", "ls -A $XDG_RUNTIME_DIR/warren; echo listed")
    assert done.stdout == "listed\n", done


def test_environment(lab):
    done = lab.run("sh", "-c", "echo $ONE-$TWO-$HOME", options=("-e", "ONE=1", "-e", "TWO=a b"))
    assert done.stdout == f"1-a b-{lab.home}\n"
    assert lab.run("true", options=("-e", "ONE")).returncode != 0


def test_standard_streams(lab):
    done = lab.run("sh", "-c", "cat; echo err >&2", input="through\n")
    assert done.stdout == "through\n"
    assert done.stderr == "err\n"


def test_without_a_command_it_is_a_usage_error(lab):
    done = subprocess.run(lab.warren("run", "lab"), capture_output=True, text=True)
    assert done.returncode == 2 and "no command" in done.stderr


def test_arguments_are_kept_as_they_are(lab):
    words = ["[a,b]", "--", "-x", "--name", "", "a b", "a;b"]
    done = lab.run("printf", "<%s>", *words)
    assert done.stdout == "".join(f"<{word}>" for word in words)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT,
                                    signal.SIGUSR1, signal.SIGUSR2])
def test_signals_reach_it(lab, number):
    run = lab.begin("/usr/bin/python3", "-uc", f"""
import signal, sys, time
def handle(number, _): print("got", number); sys.exit(40)
signal.signal({int(number)}, handle)
print("ready")
while True: time.sleep(1)
""")
    assert run.stdout.readline() == "ready\n"
    os.kill(int(lab.state()["pid"]), number)
    assert run.stdout.readline() == f"got {int(number)}\n"
    assert run.wait(10) == 40


def test_unhandled_signal_gives_its_code(lab):
    run = lab.begin("sh", "-c", "echo ready; exec sleep 60")
    assert run.stdout.readline() == "ready\n"
    os.kill(int(lab.state()["pid"]), signal.SIGTERM)
    assert run.wait(10) == 143


def test_orphans_end_with_the_command(lab):
    began = time.monotonic()
    done = lab.run("sh", "-c", "(setsid sleep 60 >/dev/null 2>&1 &) ; echo done")
    assert done.stdout == "done\n"
    assert time.monotonic() - began < 20


def test_zombies_are_reaped(lab):
    left = lab.check("""
import os, subprocess, time
subprocess.run(["sh", "-c", "for i in 1 2 3 4 5; do (sh -c 'exit 0' &) ; done"])
for _ in range(200):
    pids = [p for p in os.listdir("/proc") if p.isdigit()]
    if len(pids) == 2: break
    time.sleep(0.01)
print(len(pids))
""")
    assert left == "2\n"


def test_terminal_interrupt_stop_and_continue(lab):
    terminal = Terminal(lab)
    program = lab.directory / "warren"
    terminal.say(f"{program} run lab -- sh -c 'trap \"echo INT-CAUGHT; exit 9\" INT; echo STARTED; "
                 "while :; do sleep 0.05; done'; echo code-$?\n")
    terminal.expect("STARTED\r\n")
    terminal.say("\x03")
    terminal.expect("INT-CAUGHT\r\n")
    terminal.expect("code-9\r\n")

    terminal.say(f"{program} run lab -- sh -c 'echo BE''GUN; read word; echo GOT-$word'\n")
    terminal.expect("BEGUN\r\n")
    terminal.say("\x1a")
    terminal.expect("Stopped")
    terminal.expect("$ ")
    # The shell waits for its own child only; the command behind it may stop a moment later.
    init = lab.state()["init"]
    command = pathlib.Path(f"/proc/{init}/task/{init}/children").read_text().split()[0]
    wait_until(lambda: ") T " in pathlib.Path(f"/proc/{command}/stat").read_text(), "it stops")
    terminal.say("fg\n")
    terminal.expect("run lab")
    terminal.say("hello\n")
    terminal.expect("GOT-hello\r\n")
    terminal.say("echo end-$?\n")
    terminal.expect("end-0\r\n")
    terminal.close()


def test_an_interactive_shell_works_inside(lab):
    terminal = Terminal(lab)
    work_in_a_shell(terminal, f"{lab.directory}/warren run lab -- bash --norc --noprofile -i",
                    "echo pid-$$", "pid-2\r\n")
    terminal.close()


def test_root_runs_it_too_and_has_no_capability_inside(lab):
    (lab.directory / "root").mkdir(mode=0o700)
    command = ["nsenter", "-t", str(lab.holder.pid), "-m", "-n", "env",
               f"XDG_RUNTIME_DIR={lab.directory}/root", str(lab.directory / "warren"), "run",
               str(lab.home / ".config/warren/lab.conf"), "--"]
    status = subprocess.run([*command, "cat", "/proc/self/status"], capture_output=True, text=True)
    sets = [line.split() for line in status.stdout.splitlines() if line.startswith("Cap")]
    assert len(sets) == 5 and all(int(value, 16) == 0 for _, value in sets), status
    ping = subprocess.run([*command, "ping", "-n", "-c", "1", "-w", "15", "10.77.0.1"],
                          capture_output=True, text=True)
    assert ping.returncode == 0, ping
    down = subprocess.run([*command, "ip", "link", "set", "warren0", "down"], capture_output=True)
    assert down.returncode != 0


def test_status_and_wait_ready(lab):
    run = lab.begin("sleep", "60")
    lab.state()
    left = subprocess.run(lab.warren("leave", "lab"), capture_output=True, text=True, timeout=30)
    assert left.returncode == 6, left
    assert f"the run lab uses it (pid {lab.state()['pid']})" in left.stderr
    check = subprocess.run(lab.warren("status", "--check", "ready", "--wait", "20s", "lab"),
                           capture_output=True, text=True, timeout=30)
    assert check.returncode == 0, check
    os.kill(int(lab.state()["pid"]), signal.SIGTERM)
    run.wait(10)
    done = lab.run("echo", "up", options=("--wait-ready", "20"))
    assert done.stdout == "up\n", done.stderr
    assert lab.run("echo", "up", options=("--wait-ready", "20s")).stdout == "up\n"
    assert lab.run("true", options=("--wait-ready", "2h")).returncode == 2
    lab.profile("deaf", lab.conf(endpoint="192.0.2.2:4"))
    done = lab.run("echo", "up", profile="deaf", options=("--wait-ready", "1"))
    assert done.returncode == 125 and done.stdout == ""
    assert "no echo from 10.77.0.1" in done.stderr
