"""Ports of a program inside a run that the host's side reaches."""

import json
import os
import pathlib
import signal
import subprocess

import pytest
from lab import anyone_in, namespaces_of, wait_until

# Serves TCP and UDP echo where it is told, inside.
SERVE = """
import socket, sys, threading
def tcp(s):
    while True:
        c, _ = s.accept()
        def serve(c=c):
            while data := c.recv(65536): c.sendall(data)
            c.sendall(b"end"); c.close()
        threading.Thread(target=serve, daemon=True).start()
def udp(s):
    while True:
        data, source = s.recvfrom(65536); s.sendto(b"echo " + data, source)
for where in sys.argv[1:]:
    kind, host, port = where.split(",")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind((host, int(port)))
    if kind == "tcp": s.listen()
    threading.Thread(target=tcp if kind == "tcp" else udp, args=(s,), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""

CLIENT = """
import socket, sys, threading
kind, host, port, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
family = socket.AF_INET6 if ":" in host else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
s.settimeout(20)
try:
    s.connect((host, port))
    if kind == "udp":
        for attempt in range(10):
            s.send(b"x" * size)
            s.settimeout(0.5)
            try: print(len(s.recv(65536))); break
            except socket.timeout: pass
        else: print("nothing")
        sys.exit()
    data = bytes(i % 251 for i in range(size))
    threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR))).start()
    got = b""
    while part := s.recv(65536): got += part
    print("same" if got == data + b"end" else f"other {len(got)}")
except OSError as error: print(type(error).__name__)
"""


def serve(lab, *where, options=()):
    child = lab.begin("/usr/bin/python3", "-c", SERVE, *where, options=options,
                      stdin=subprocess.PIPE)
    line = child.stdout.readline()
    assert line == "ready\n", child.stderr.read()
    return child


@pytest.fixture(autouse=True)
def nothing_goes_on(lab):
    yield
    for child in lab.children:
        if "run" in child.args and child.poll() is None:
            child.kill()
            child.wait(10)


def end(child):
    child.stdin.close()
    assert child.wait(10) == 0, child.stderr.read()


def ask(lab, kind, host, port, size=100_000, far=False):
    command = (lab.in_far if far else lab.in_host)("/usr/bin/python3", "-c", CLIENT, kind, host,
                                                    port, size)
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout.strip()


@pytest.mark.parametrize("inside", ["127.0.0.1", "0.0.0.0", "::1", "10.77.0.2", "fd77::2"])
def test_a_port_leads_to_the_program_wherever_it_listens(lab, inside):
    child = serve(lab, f"tcp,{inside},80", f"udp,{inside},53",
                  options=("--expose", "8080:80", "--expose", "127.0.0.1:5353:53/udp"))
    assert ask(lab, "tcp", "127.0.0.1", 8080) == "same"
    assert ask(lab, "udp", "127.0.0.1", 5353, 1000) == "1005"
    end(child)


def test_much_and_many(lab):
    child = serve(lab, "tcp,127.0.0.1,80", options=("--expose", "[::1]:8080:80/tcp"))
    clients = [subprocess.Popen(lab.in_host("/usr/bin/python3", "-c", CLIENT, "tcp", "::1", 8080,
                                            3_000_000), stdout=subprocess.PIPE, text=True)
               for _ in range(8)]
    assert [client.communicate(timeout=60)[0] for client in clients] == ["same\n"] * 8
    end(child)


def test_only_loopback_unless_told(lab):
    done = lab.run("true", options=("--expose", "192.0.2.1:8080:80"))
    assert done.returncode == 125
    assert "every host that reaches 192.0.2.1 would reach the program" in done.stderr
    assert "--allow CIDR" in done.stderr and "at 10.77.0.2:80" in done.stderr
    child = serve(lab, "tcp,127.0.0.1,80", options=("--expose", "8080:80"))
    assert ask(lab, "tcp", "127.0.0.1", 8080) == "same"
    assert ask(lab, "tcp", "192.0.2.1", 8080, far=True) == "ConnectionRefusedError"
    end(child)


def test_allow_and_expose_public(lab):
    served = ("tcp,127.0.0.1,80", "udp,127.0.0.1,53")
    where = ("--expose", "192.0.2.1:8080:80/tcp", "--expose", "192.0.2.1:5353:53/udp")
    child = serve(lab, *served, options=(*where, "--allow", "192.0.2.2/32"))
    assert ask(lab, "tcp", "192.0.2.1", 8080, far=True) == "same"
    assert ask(lab, "udp", "192.0.2.1", 5353, 10, far=True) == "15"
    assert ask(lab, "tcp", "192.0.2.1", 8080) != "same"  # from 192.0.2.1 itself
    assert ask(lab, "udp", "192.0.2.1", 5353, 10) == "nothing"
    end(child)
    child = serve(lab, *served, options=(*where, "--expose-public"))
    assert ask(lab, "tcp", "192.0.2.1", 8080, far=True) == "same"
    assert ask(lab, "tcp", "192.0.2.1", 8080) == "same"
    end(child)


def test_nobody_listens_inside(lab):
    child = serve(lab, options=("--expose", "8080:80"))
    assert ask(lab, "tcp", "127.0.0.1", 8080, 10) in ("other 0", "ConnectionResetError")
    end(child)


def test_ps_shows_it_and_nothing_is_left(lab):
    idle = lab.own_processes()
    child = serve(lab, "tcp,127.0.0.1,80", options=("--expose", "8080:80"))
    shown = subprocess.run(lab.warren("ps", "--json"), capture_output=True, text=True).stdout
    assert json.loads(shown)["runs"][0]["exposed"] == ["127.0.0.1:8080:80/tcp"]
    state = lab.state()
    assert len(lab.own_processes()) > len(idle)
    namespaces = namespaces_of(state["init"])
    subprocess.run(["kill", "-9", state["pid"]], check=True)
    child.wait(10)
    wait_until(lambda: not anyone_in(namespaces), "everybody inside is gone")
    wait_until(lambda: lab.own_processes() == idle, "the forwarder is gone")
    assert ask(lab, "tcp", "127.0.0.1", 8080, 10) == "ConnectionRefusedError"


def children_of(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_a_killed_forwarder_is_replaced(lab):
    idle = lab.own_processes()
    child = serve(lab, "tcp,127.0.0.1,80", options=("--expose", "8080:80"))
    state = lab.state()
    others = {state["init"], str(lab.engine(state["pid"]))}
    (forwarder,) = set(children_of(state["pid"])) - others
    os.kill(int(forwarder), signal.SIGKILL)
    assert ask(lab, "tcp", "127.0.0.1", 8080) == "same"  # at once: the port stays open
    (another,) = set(children_of(state["pid"])) - others
    assert another != forwarder
    # It has the ports and its way to init, and nothing of the tunnel.
    def targets():  # without those of a connection that it has not closed yet
        found = [os.path.realpath(path) for path in pathlib.Path(f"/proc/{another}/fd").iterdir()
                 if int(path.name) > 2]
        return len(found) == 2 and found

    held = wait_until(targets, "it has let the connections go")
    assert all("/socket:[" in target for target in held), held
    assert subprocess.run(lab.warren("status", "lab", "--check", "ready", "--wait", "20s"),
                          capture_output=True).returncode == 0
    end(child)
    wait_until(lambda: lab.own_processes() == idle, "nothing is left")


LAST_WORDS = """
import socket, sys
s = socket.create_server(("127.0.0.1", 80))
print("ready", flush=True)
c, _ = s.accept()
c.recv(1)
print("asked", flush=True)
sys.stdin.read()
c.sendall(b"last words")
"""


def test_what_a_program_says_before_it_ends_arrives(lab):
    child = lab.begin("/usr/bin/python3", "-c", LAST_WORDS, options=("--expose", "8080:80"), stdin=subprocess.PIPE)
    assert child.stdout.readline() == "ready\n", child.stderr.read()
    client = lab.start(lab.in_host("/usr/bin/python3", "-c", "import socket\n"
                       "s = socket.create_connection(('127.0.0.1', 8080), 30)\ns.sendall(b'?')\n"
                       "print(s.makefile('rb').read())"), stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "asked\n"
    state = lab.state()
    spaces = namespaces_of(state["init"])
    (forwarder,) = set(children_of(state["pid"])) - {state["init"], str(lab.engine(state["pid"]))}
    os.kill(int(forwarder), signal.SIGSTOP)  # a busy machine
    child.stdin.close()
    wait_until(lambda: not anyone_in({"pid": spaces["pid"]}), "the program has ended")
    os.kill(int(forwarder), signal.SIGCONT)
    assert client.stdout.readline() == "b'last words'\n"
    assert child.wait(10) == 0


@pytest.mark.parametrize("text, why", [
    ("8080", "it names one port"), ("a:80", "`a` is not [ADDRESS:]PORT"),
    ("8080:x", "`x` is not a port"), ("8080:80/sctp", "`sctp` is not tcp or udp"),
    ("8080:70000", "is not a port"), ("0:80", "is not [ADDRESS:]PORT"),
    ("127.0.0.1:99999:80", "is not [ADDRESS:]PORT")])
def test_wrong_words(lab, text, why):
    done = lab.run("true", options=("--expose", text))
    assert done.returncode == 125 and why in done.stderr and "hint: write it as" in done.stderr


def test_a_port_that_is_taken_or_low(lab):
    taken = lab.start(lab.in_host("/usr/bin/python3", "-uc", "import socket,sys\n"
                                  "s = socket.create_server(('127.0.0.1', 8090)); print('ready')\n"
                                  "sys.stdin.read()"), stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE, text=True)
    taken.stdout.readline()
    done = lab.run("true", options=("--expose", "8090:80"))
    assert done.returncode == 125 and "another program has this port" in done.stderr
    taken.stdin.close()
    taken.wait(20)
    done = lab.run("true", options=("--expose", "80:80"))
    assert done.returncode == 125 and "below 1024" in done.stderr
    done = lab.run("true", options=("--expose", "198.51.100.1:8080:80", "--expose-public"))
    assert done.returncode == 125 and "no interface has this address" in done.stderr
