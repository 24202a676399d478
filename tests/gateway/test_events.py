"""Events: who comes and goes and what changes, as a stream and as programs that are run."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from lab import WARREN, is_alive, wait_until


class Listener:
    """A `warren events --json` in the background."""

    def __init__(self, gateway, *words):
        self.program = subprocess.Popen(
            gateway.inside(WARREN, "--json", "events", *words), env=gateway.environment,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        os.set_blocking(self.program.stdout.fileno(), False)
        self.text = b""

    def events(self):
        self.text += self.program.stdout.read() or b""
        return [json.loads(line) for line in self.text.split(b"\n")[:-1]]

    def wait(self, kind, seconds=20, **wanted):
        def found():
            return next((e for e in self.events() if e["kind"] == kind and
                         all(e[k] == v for k, v in wanted.items())), None)
        return wait_until(found, lambda: f"{kind} {wanted} in {self.events()}", seconds)

    def close(self):
        if self.program.poll() is None:
            self.program.kill()
        self.program.communicate()


@pytest.fixture
def listen(gateway):
    made = []

    def start(*words):
        # From the newest record on, so that nothing between here and the connection is missed.
        last = gateway.ask("audit", "--limit", "1")["records"]
        newest = last[0]["number"] if last else 0
        made.append(Listener(gateway, "--after", str(max(newest - 1, 0)), *words))
        if newest and not words:
            wait_until(made[-1].events, "it listens")
        return made[-1]

    yield start
    for listener in made:
        listener.close()


def test_who_connects_and_who_is_revoked_is_told_and_audited(world, gateway, listen):
    name = gateway.create("a")["name"]
    heard = listen("--network", name)
    member = world.members[0]
    member.join("a")
    heard.wait("enrol", peer="m0")
    member.ping(1)
    came = heard.wait("connect", peer="m0", network=name)
    assert re.fullmatch(rf"peer {name}/m0 from 192\.0\.2\.2:\d+", came["actor"])
    gateway.ask("revoke", "m0", "--network", name, "--yes")
    revoked = heard.wait("revoke", peer="m0")
    gone = heard.wait("disconnect", peer="m0")
    assert gone["result"] == "ok, revoked" and gone["number"] > revoked["number"]
    actions = [r["action"] for r in gateway.ask("audit", "--limit", "50")["records"]]
    assert actions.count("peer.connect") == 1 and actions.count("peer.disconnect") == 1
    assert gateway.call("audit", "verify").returncode == 0


def test_a_stopped_network_disconnects_and_a_restarted_daemon_does_not(gateway, member, listen):
    name = gateway.network("a")
    def records(action):
        return [r for r in gateway.ask("audit", "--limit", "100")["records"]
                if r["action"] == action]
    wait_until(lambda: records("peer.connect"), "the audit has the connection", 40)
    heard = listen()
    gateway.end()
    gateway.start()
    member.ping(2, "-i", "0.2")
    # Two rounds of looking later nobody has come anew.
    made = gateway.ask("peer", "add", "other", "--network", name)
    assert made["name"] == "other"
    heard.wait("change", action="peer.add")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        assert len(records("peer.connect")) == 1
        time.sleep(0.2)
    gateway.ask("network", "stop", name)
    assert heard.wait("disconnect")["result"] == "ok, its network was stopped"
    gateway.ask("network", "start", name)
    wait_until(lambda: member.attempt("ping", "-c", "1", "-W", "1", member.target).returncode == 0,
               "it is back", 60)
    heard.wait("connect", peer="m0")


def test_the_stream_goes_on_where_it_was(gateway, listen):
    """A listener outlives the daemon, and is told what happened between."""
    heard = listen()
    first = gateway.create("a")["name"]
    heard.wait("change", action="network.create", network=first)
    gateway.end(signal.SIGKILL)
    gateway.start()
    assert gateway.call("peer", "rename", "nobody", "n", "--network", first).returncode == 5
    second = gateway.create("b", subnet="10.30.0.0/24")["name"]
    heard.wait("change", action="network.create", network=second)
    heard.wait("refused", action="peer.rename")
    numbers = [event["number"] for event in heard.events()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "each once, in order"


def program(folder, text):
    file = folder / "act"
    file.write_text(text)
    file.chmod(0o755)
    return file


@pytest.fixture
def open_folder(world):
    """Where somebody without privileges can write."""
    world.folder.chmod(0o755)
    folder = world.folder / "out"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


def test_a_program_gets_each_event_without_privileges(gateway, open_folder, listen):
    act = program(open_folder, f"""#!/bin/sh
out={open_folder}/$$
cat > $out.tmp
{{ id -u; id -G; grep -E 'Cap(Eff|Bnd|Prm)|NoNewPrivs' /proc/self/status; pwd; env; ls /proc/self/fd; }} > $out.facts
mv $out.tmp $out.json
""")
    listen("--exec", str(act))
    name = gateway.create("a")["name"]
    gateway.ask("peer", "add", "x", "--network", name)
    files = wait_until(lambda: len(found := list(open_folder.glob("*.json"))) == 2 and found,
                       "two programs have run")
    events = sorted((json.loads(file.read_text()) for file in files), key=lambda e: e["number"])
    assert [e["action"] for e in events] == ["network.create", "peer.add"]
    facts = files[0].with_suffix(".facts").read_text()
    nobody = subprocess.run(["id", "-u", "nobody"], capture_output=True, text=True).stdout.strip()
    assert facts.splitlines()[0] == nobody
    assert re.search(r"CapEff:\s0+$", facts, re.M) and re.search(r"NoNewPrivs:\s1", facts)
    assert "WARREN_STATE_DIR" not in facts and facts.splitlines()[1] != "0"


def test_programs_are_bounded_in_number_and_time(gateway, open_folder, listen):
    act = program(open_folder, f"""#!/bin/sh
cat > /dev/null
echo $$ >> {open_folder}/started
exec sleep 600
""")
    heard = listen("--exec", str(act))
    gateway.create("a")
    for number in range(8):
        gateway.ask("peer", "add", f"p{number}", "--network", gateway.network("a"))
    started = open_folder / "started"
    wait_until(lambda: started.exists() and len(started.read_text().split()) == 4, "four run")
    pids = [int(pid) for pid in started.read_text().split()]
    heard.program.send_signal(signal.SIGTERM)
    heard.program.wait(timeout=10)
    wait_until(lambda: not any(map(is_alive, pids)), "they end with who started them")
    assert len(started.read_text().split()) == 4


def test_errors_are_said(gateway):
    for words, code, said in ((("--network", "no-such"), 5, "no network"),
                              (("--exec", "/no/such/program"), 5, "No such file"),
                              (("--exec", "true", "--exec-user", "no-such-user"), 5, "no user")):
        done = gateway.call("events", *words)
        assert done.returncode == code and said in done.stderr, done.stderr
