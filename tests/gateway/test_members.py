"""Members that come, change and go by themselves: runs with a token, leaving, live changes."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from lab import WARREN, wait_until

SAY = "ip -o -4 address show warren0 | sed 's/.*inet \\([0-9.]*\\).*/\\1/'; cat > /dev/null"


class Home:
    """A user's directories on a member's host."""

    def __init__(self, world, number=0):
        self.host = world.members[number]
        self.folder = self.host.folder
        self.runtime = self.folder / "run"
        self.runtime.mkdir(parents=True, mode=0o700)
        # A host has a /run of its own, where root's keys in use are known.
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(self.folder),
                            "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.runtime),
                            "WARREN_RUN_DIR": str(self.folder / "host-run")}
        self.programs = []

    def warren(self, *words, **options):
        return self.host.attempt(WARREN, *words, env=self.environment, **options)

    def begin(self, *words):
        """A `warren run` in the background; it goes on until its standard input is closed."""
        program = subprocess.Popen(
            self.host.inside(WARREN, "run", *words), env=self.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.programs.append(program)
        return program

    def files(self):
        return sorted(str(path) for path in self.folder.rglob("*") if path.is_file())

    def close(self):
        for program in self.programs:
            if program.poll() is None:
                program.kill()
                program.wait()
            for pipe in (program.stdin, program.stdout, program.stderr):
                pipe.close()


@pytest.fixture
def home(world, gateway):
    made = Home(world)
    yield made
    made.close()


def peers(gateway):
    return gateway.ask("peer", "list", "--network", gateway.network("a"))["peers"]


def ephemeral(gateway):
    return [peer for peer in peers(gateway) if "lease_s" in peer and peer["state"] == "enrolled"]


def token(gateway, name, *options):
    return gateway.ask("invite", name, "--network", gateway.network("a"), *options)["token"]


def test_ten_runs_on_one_token_and_nothing_left(gateway, home):
    gateway.create("a")
    many = token(gateway, "job", "--uses", "10")
    runs = [home.begin(many, "--", "sh", "-c", SAY) for _ in range(10)]
    addresses = [run.stdout.readline().strip() for run in runs]
    assert len(set(addresses)) == 10, (addresses, [run.stderr.read() for run in runs])
    here = ephemeral(gateway)
    assert sorted(peer["address"] for peer in here) == sorted(addresses)
    assert all(peer["lease_s"] == 120 and peer["lease_left_s"] > 60 for peer in here)
    text = gateway.call("peer", "list", "--network", gateway.network("a")).stdout
    assert len(re.findall(r"ephemeral \(\d+ s of 120 s left\)", text)) == 10
    assert many not in home.warren("ps").stdout
    used_up = home.warren("run", many, "--", "true")
    assert used_up.returncode == 125
    assert len([line for line in used_up.stderr.splitlines() if "hint:" not in line]) == 1
    for run in runs:
        run.stdin.close()
        assert run.wait(timeout=60) == 0, run.stderr.read()
        assert run.stderr.read() == ""
    assert peers(gateway) == []
    assert home.files() == []
    gateway.ask("invite", "next", "--network", gateway.network("a"))
    assert gateway.peer("a", "next")["address"] == "10.20.0.2"


def test_a_run_is_ready_where_the_gateway_is_not_the_first_address(gateway, home):
    """Who is asked for the echo is the gateway: as the profile knows it, or the token's answer."""
    gateway.create("a", "--subnet6", "none", "--gateway-address", "10.20.0.9")
    name = gateway.network("a")
    gateway.ask("peer", "add", "first", "--network", name, "--address", "10.20.0.1")
    ready = ("--wait-ready", "20s", "--", "true")
    by_token = home.warren("run", token(gateway, "job"), *ready)
    assert by_token.returncode == 0, by_token.stderr
    home.host.run(WARREN, "join", "-", input=token(gateway, "laptop") + "\n", env=home.environment)
    by_profile = home.warren("run", name, *ready)
    assert by_profile.returncode == 0, by_profile.stderr


def test_more_runs_at_once_than_the_gateway_listens_to(gateway, home):
    """From one address it takes 16 connections at a time; who is turned away asks again."""
    gateway.create("a", subnet="10.20.0.0/16")
    many = token(gateway, "job", "--uses", "1000")
    runs = [home.begin(many, "--", "sh", "-c", SAY) for _ in range(120)]
    addresses = [run.stdout.readline().strip() for run in runs]
    assert len(set(addresses)) == 120, [run.stderr.read() for run in runs if run.poll() is not None]
    for run in runs:
        run.stdin.close()
    for run in runs:
        assert run.wait(timeout=60) == 0, run.stderr.read()
    assert len(peers(gateway)) == 1000 - 120
    assert ephemeral(gateway) == []


def test_a_run_with_a_token_reaches_the_network_and_gives_its_code(gateway, home):
    shown = gateway.create("a")
    folder = home.folder / "secret.token"
    folder.write_text(token(gateway, "job") + "\n")
    done = home.warren("run", str(folder), "--wait-ready", "20s", "--", "sh", "-c",
                       f"ping -c 1 -w 10 {shown['gateway']} >&2 || exit 9; echo $WARREN_RUN; exit 7")
    assert (done.returncode, done.stdout) == (7, "job\n"), done.stderr
    assert peers(gateway) == []
    # A command that cannot be executed leaves nothing either.
    assert home.warren("run", token(gateway, "job"), "--", "no-such-command").returncode == 127
    assert peers(gateway) == []


@pytest.mark.parametrize("text, words", [
    ("expired", "expired"), ("broken", "mistyped|cut off|not a token"), ("strange", "not valid here")])
def test_a_token_that_is_no_good_is_one_line(gateway, home, text, words):
    gateway.create("a")
    good = token(gateway, "job", "--expires", "10s")
    if text == "expired":
        time.sleep(10.5)
    if text == "strange":
        gateway.ask("revoke", "job", "--network", gateway.network("a"))
    done = home.warren("run", good[:-1] if text == "broken" else good, "--", "true")
    assert done.returncode == 125
    lines = [line for line in done.stderr.splitlines() if "hint:" not in line]
    assert len(lines) == 1 and re.search(words, lines[0]), done.stderr
    assert good not in done.stderr
    assert home.files() == []


def test_a_killed_runner_is_gone_after_its_lease_although_the_daemon_was_killed(gateway, home):
    gateway.create("a")
    lease = token(gateway, "job", "--uses", "2", "--lease", "10s")
    dead = home.begin(lease, "--", "sh", "-c", SAY)
    alive = home.begin(lease, "--", "sh", "-c", SAY)
    address = dead.stdout.readline().strip()
    other = alive.stdout.readline().strip()
    dead.kill()
    gateway.end(signal.SIGKILL)
    gateway.start()
    wait_until(lambda: [p["address"] for p in ephemeral(gateway)] == [other],
               f"{address} is put out", seconds=60)
    time.sleep(11)  # longer than a lease: the other one renews it
    assert [peer["address"] for peer in ephemeral(gateway)] == [other]
    alive.stdin.close()
    assert alive.wait(timeout=60) == 0
    assert peers(gateway) == []


def test_leave_tells_the_gateway_and_removes_key_and_profile(gateway, home):
    gateway.create("a")
    home.host.run(WARREN, "join", "-", input=token(gateway, "laptop") + "\n", env=home.environment)
    profile = gateway.network("a")
    before = home.files()
    kept = home.warren("leave", profile, "--keep")
    assert kept.returncode == 0 and home.files() == before, kept.stderr
    assert peers(gateway) == []
    again = home.warren("leave", profile)
    assert again.returncode == 0, again.stderr
    assert "the gateway did not know us any more" in again.stdout
    assert sorted(line[9:] for line in again.stdout.splitlines() if line.startswith("removed: ")) == sorted(before)
    assert home.files() == []
    home.host.run(WARREN, "join", "-", input=token(gateway, "laptop") + "\n", env=home.environment)
    gateway.end()
    unreachable = home.warren("leave", profile)
    assert unreachable.returncode == 3
    assert "nothing was removed" in unreachable.stderr and "--force" in unreachable.stderr
    assert home.files() == before
    forced = home.warren("leave", profile, "--force")
    assert forced.returncode == 0 and "was not told" in forced.stdout
    assert home.files() == []


WATCH = """
import subprocess, sys, time
last = None
while True:
    routes = subprocess.run(["ip", "-4", "route", "show", "dev", "warren0"],
                            capture_output=True, text=True).stdout.split()
    names = open("/etc/resolv.conf").read().split()
    now = ("default" in routes, names[1] if names[0] == "nameserver" else "none")
    if now != last:
        print(*now, flush=True)
        last = now
    time.sleep(0.05)
"""


def test_a_run_follows_what_the_gateway_changes(gateway, home):
    shown = gateway.create("a", "--no-nat")
    name = gateway.network("a")
    home.host.run(WARREN, "join", "-", input=token(gateway, "laptop") + "\n", env=home.environment)
    run = home.begin(name, "--", "/usr/bin/python3", "-c", WATCH)
    assert run.stdout.readline() == "False none\n", run.stderr.read()
    conf = home.folder / "warren" / f"{name}.conf"
    began = time.monotonic()
    gateway.ask("network", "set", name, "--dns", shown["gateway"])
    assert run.stdout.readline() == f"False {shown['gateway']}\n"
    print(f"\nname servers changed inside the run {(time.monotonic() - began) * 1000:.0f} ms later")
    gateway.ask("network", "set", name, "--nat")
    assert run.stdout.readline() == f"True {shown['gateway']}\n"
    assert "0.0.0.0/0" in conf.read_text() and conf.stat().st_mode & 0o777 == 0o600
    # Another endpoint is set at the live engine; the session stays.
    state = dict(line.split("=", 1) for line in
                 (home.runtime / "warren" / f"{name}.state").read_text().splitlines())
    assert home.warren("attach", name, "--", "ping", "-c", "1", "-w", "15",
                       shown["gateway"]).returncode == 0
    gateway.run("ip", "address", "add", "192.0.2.77/24", "dev", "u0")
    gateway.ask("network", "set", name, "--endpoint", "192.0.2.77")
    wait_until(lambda: "192.0.2.77" in conf.read_text(), "the conf has the new endpoint")
    before = json.loads(gateway.call("--json", "peer", "show", "laptop", "--network", name).stdout)
    wait_until(lambda: f"endpoint=192.0.2.77:{shown['port']}" in ask_engine(home, state["uapi"]),
               "the engine has the new endpoint")
    home.warren("attach", name, "--", "ping", "-c", "2", "-i", "0.2", "-W", "3", shown["gateway"])
    after = gateway.peer("a", "laptop")
    assert after["last_handshake"] == before["last_handshake"]
    assert after["rx_bytes"] > before["rx_bytes"]


def ask_engine(home, path):
    script = ("import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
              "s.sendall(b'get=1\\n\\n'); print(s.recv(65536).decode())")
    return home.host.run("/usr/bin/python3", "-c", script, path)


@pytest.mark.parametrize("option", ["stay", "end"])
def test_a_revoked_run_is_told(gateway, home, option):
    gateway.create("a")
    name = gateway.network("a")
    home.host.run(WARREN, "join", "-", input=token(gateway, "laptop") + "\n", env=home.environment)
    options = ["--end-when-revoked"] if option == "end" else []
    run = home.begin(name, *options, "--", "sh", "-c", "echo up; " + SAY)
    assert run.stdout.readline() == "up\n"
    time.sleep(0.5)
    gateway.ask("revoke", "laptop", "--network", name)
    line = run.stderr.readline()
    assert "revoked by the gateway: laptop was revoked" in line
    if option == "end":
        assert run.wait(timeout=60) == 125
        return
    assert "goes on without a network" in line
    assert run.poll() is None
    run.stdin.close()
    assert run.wait(timeout=60) == 0


def test_a_run_finds_a_gateway_that_was_away(gateway, home):
    gateway.create("a")
    name = gateway.network("a")
    home.host.run(WARREN, "join", "-", input=token(gateway, "laptop") + "\n", env=home.environment)
    run = home.begin(name, "--", "/usr/bin/python3", "-c", WATCH)
    first = run.stdout.readline()
    gateway.end(signal.SIGKILL)
    time.sleep(1)
    gateway.start()
    gateway.ask("network", "set", name, "--dns", "10.20.0.1")
    assert run.stdout.readline() == first.replace("none", "10.20.0.1")


def test_one_profile_on_two_hosts_is_named(world, gateway, home):
    shown = gateway.create("a")
    name = gateway.network("a")
    home.host.run(WARREN, "join", "-", input=token(gateway, "laptop") + "\n", env=home.environment)
    other = Home(world, 1)
    try:
        (other.folder / "warren").mkdir()
        for path in (home.folder / "warren").iterdir():
            copy = other.folder / "warren" / path.name
            copy.write_bytes(path.read_bytes())
            copy.chmod(0o600)
        ping = ["--", "ping", "-i", "0.3", shown["gateway"]]
        home.begin(name, *ping)
        other.begin(name, *ping)
        wait_until(lambda: gateway.peer("a", "laptop")["alternates"], "it is noticed", seconds=60)
        text = gateway.call("peer", "show", "laptop", "--network", name).stdout
        assert re.search(r"alternates between 192\.0\.2\.2:\d+ and 198\.51\.100\.2:\d+", text), text
        assert "alternates between" in gateway.call("status").stdout
    finally:
        other.close()
