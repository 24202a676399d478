"""A gateway moves to another host in one file, and its members do not notice more than a pause."""

import json
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from lab import PID, WARREN, Gateway, output, wait_until


@pytest.fixture
def other(world):
    """A second host; nothing runs there."""
    (world.folder / "other").mkdir()
    made = Gateway(world.folder / "other", "h")
    yield made
    made.close()
    output("ip", "netns", "del", made.namespace)


@pytest.fixture
def secret(world):
    path = world.folder / "passphrase"
    path.write_text("correct horse\n")
    path.chmod(0o600)
    return path


def settings_of(gateway):
    return ["--config", gateway.settings]


def back_up(gateway, *options):
    file = gateway.folder / "gateway.backup"
    done = gateway.call("backup", *settings_of(gateway), *options, file)
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    return file


def restore(gateway, file, *options):
    return gateway.call("--json", "restore", *settings_of(gateway), *options, file)


def error_of(done):
    assert done.returncode != 0, done.stdout
    return json.loads(done.stdout)["error"]


def die(gateway):
    """The host is gone: no daemon, no engine, nothing in its kernel."""
    gateway.end(signal.SIGKILL)
    gateway.call("cleanup")


def move_wires(world, old, new):
    """What was plugged into one host is plugged into the other, which takes its addresses."""
    for number, prefix in enumerate(("192.0.2", "198.51.100")):
        output("ip", "-n", old.namespace, "link", "set", f"u{number}", "netns", new.namespace)
        output("ip", "-n", new.namespace, "address", "add", f"{prefix}.1/24", "dev", f"u{number}")
        output("ip", "-n", new.namespace, "link", "set", f"u{number}", "up")
    output("ip", "-n", new.namespace, "route", "add", "default", "via", "192.0.2.2")


class Invitations(threading.Thread):
    """Somebody who invites all the while."""

    def __init__(self, gateway):
        super().__init__()
        self.gateway, self.made, self.over = gateway, 0, threading.Event()

    def run(self):
        while not self.over.is_set():
            self.gateway.invite("a", f"guest{self.made}")
            self.made += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


def test_a_gateway_moves_and_its_members_come_back_by_themselves(world, member, other, secret):
    gateway = world.gateway
    world.members[1].join("a")
    world.members[1].ping(count=1)
    gone = gateway.peer("a", "m1")["public_key"]
    gateway.ask("revoke", "m1", "--network", gateway.network("a"))
    with Invitations(gateway) as guests:
        wait_until(lambda: guests.made > 3, "somebody is invited")
        file = back_up(gateway, "--passphrase-file", secret)
        made = guests.made
        wait_until(lambda: guests.made > made, "the daemon goes on writing")
    identity = (gateway.state_dir / "identity.key").read_bytes()
    die(gateway)
    move_wires(world, gateway, other)
    other.settings.unlink()

    done = restore(other, file, "--passphrase-file", secret)
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["networks"] == 1 and report["peers"] >= 4 and report["aside"] == ""
    assert other.settings.read_text() == gateway.settings.read_text()
    assert (other.state_dir / "identity.key").read_bytes() == identity
    other.start()
    began = time.monotonic()
    wait_until(lambda: member.attempt("ping", "-c", "1", "-W", "1", member.target).returncode == 0,
               "the member is answered again", 60)
    print(f"answered {time.monotonic() - began:.1f} s after the new daemon")
    assert other.call("audit", "verify").returncode == 0
    assert other.call("verify").returncode == 0
    # Who was out stays out, and so does its key.
    assert other.peer("a", "m1")["state"] == "revoked"
    stranger = world.members[1]
    assert stranger.attempt("ping", "-c", "1", "-W", "1", stranger.target).returncode != 0
    error = error_of(other.call("--json", "peer", "add", "again", "--key", gone,
                                "--network", other.network("a")))
    assert error["kind"] == "not-permitted"
    assert other.ask("peer", "list", other.network("a"))["peers"]


def test_what_is_not_whole_is_refused_and_nothing_is_changed(gateway, other, secret):
    gateway.create("a")
    file = back_up(gateway, "--passphrase-file", secret)
    plain = gateway.folder / "plain.backup"
    done = gateway.call("backup", *settings_of(gateway), plain)
    assert done.returncode == 0 and "in the clear" in done.stderr
    wrong = gateway.folder / "wrong"
    wrong.write_text("another horse\n")
    wrong.chmod(0o600)
    good = ("--passphrase-file", secret)
    text = file.read_bytes()

    def changed(content):
        path = gateway.folder / f"changed-{os.urandom(4).hex()}"
        path.write_bytes(content)
        return path

    flipped = bytearray(text)
    flipped[len(text) // 2] ^= 4
    newer = bytearray(plain.read_bytes())
    newer[8] = 9
    for path, options, said in (
        (file, ("--passphrase-file", wrong), "passphrase is wrong"),
        (file, (), "sealed with a passphrase"),
        (plain, good, "not sealed"),
        (changed(text[:-1]), good, "damaged"),
        (changed(text[:len(text) // 2]), good, "damaged"),
        (changed(bytes(flipped)), good, "damaged"),
        (changed(plain.read_bytes()[:-100]), (), "damaged"),
        (changed(bytes(newer)), (), "version 9"),
        (changed(b"something else"), (), "no backup"),
        (gateway.folder / "missing", (), "No such file"),
    ):
        assert said in error_of(restore(other, path, *options))["message"], said
        assert not other.state_dir.exists()
    # A daemon that runs keeps its state, with --force too.
    assert error_of(restore(gateway, plain, "--force"))["kind"] == "conflict"
    gateway.end()
    error = error_of(restore(gateway, plain))
    assert error["kind"] == "conflict" and "--force" in error["hint"]
    done = restore(gateway, plain, "--force")
    aside = json.loads(done.stdout)["aside"]
    assert os.path.exists(f"{aside}/warren.db")
    gateway.start()
    assert gateway.call("verify").returncode == 0


def test_a_recipient_opens_it_with_openssl_or_with_restore(gateway, other):
    gateway.create("a")
    for kind in (("rsa:2048",), ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
        key, certificate = gateway.folder / "key.pem", gateway.folder / "certificate.pem"
        output("openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-subj", "/CN=backups",
               "-keyout", key, "-out", certificate)
        file = back_up(gateway, "--force", "--recipient", certificate)
        opened = gateway.folder / "opened"
        output("openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", file,
               "-inkey", key, "-recip", certificate, "-out", opened)
        assert json.loads(restore(other, opened).stdout)["networks"] == 1
        done = restore(other, file, "--recipient-key", key, "--force")
        assert json.loads(done.stdout)["networks"] == 1
        public = gateway.folder / "public.pem"
        output("openssl", "pkey", "-in", key, "-pubout", "-out", public)
        file = back_up(gateway, "--force", "--recipient", public)
        done = restore(other, file, "--recipient-key", key, "--force")
        assert json.loads(done.stdout)["networks"] == 1
        output("rm", "-r", other.state_dir)


def test_a_backup_goes_through_a_pipe(gateway, other):
    gateway.create("a")
    made = subprocess.run(gateway.inside(WARREN, "backup", *settings_of(gateway), "-"),
                          env=gateway.environment, capture_output=True, timeout=30, check=True)
    done = subprocess.run(other.inside(WARREN, "restore", *settings_of(other), "-"),
                          env=other.environment, input=made.stdout, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert b"1 networks" in done.stdout


def test_a_restore_that_is_killed_leaves_the_former_state_or_the_restored_one(gateway, other):
    gateway.create("a")
    file = back_up(gateway)
    gateway.end()
    new = (gateway.state_dir / "instance").read_text()
    other.start()
    other.end()
    old = (other.state_dir / "instance").read_text()
    assert old != new
    saved = other.folder / "saved"
    output("cp", "-a", other.state_dir, saved)
    began = time.monotonic()
    assert restore(other, file, "--force").returncode == 0
    took = time.monotonic() - began
    chance = random.Random(PID)

    def states():
        """Every whole state beside the place, by what it is."""
        found = {}
        for path in other.folder.glob("s*"):
            if path != saved and {"identity.key", "instance", "warren.db"} <= {
                    p.name for p in path.iterdir()}:
                found[(path / "instance").read_text()] = path
        return found

    for _ in range(30):
        output("rm", "-r", *other.folder.glob("s.*"), other.state_dir)
        output("cp", "-a", saved, other.state_dir)
        program = subprocess.Popen(
            other.inside(WARREN, "restore", *settings_of(other), "--force", file),
            env=other.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            program.wait(chance.uniform(0, took * 1.2))
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
        assert other.state_dir in states().values()
        assert old in states()
    assert restore(other, file, "--force").returncode == 0
    assert states()[new] == other.state_dir and old in states()


def test_a_file_that_is_there_is_replaced_only_by_force(gateway, secret):
    file = back_up(gateway, "--passphrase-file", secret)
    sealed = file.read_bytes()
    error = error_of(gateway.call("--json", "backup", *settings_of(gateway), file))
    assert error["kind"] == "conflict" and "exists already" in error["message"]
    assert "--force" in error["hint"] and file.read_bytes() == sealed
    assert gateway.call("backup", *settings_of(gateway), "--force", file).returncode == 0
    assert file.read_bytes() != sealed


def test_files_that_are_not_there_are_told_with_what_to_do(gateway, other):
    missing = gateway.folder / "missing"
    file = back_up(gateway)
    for done, hint in (
            (restore(other, missing), "name a file that `warren backup` wrote"),
            (restore(other, gateway.folder), "name a file that `warren backup` wrote"),
            (restore(other, file, "--recipient-key", missing), "--recipient-key names the private key"),
            (gateway.call("--json", "backup", *settings_of(gateway), "--recipient", missing, gateway.folder / "b"),
             "--recipient names a PEM file"),
            (restore(other, file, "--passphrase-file", missing), "there is nothing of that name")):
        error = error_of(done)
        assert hint in error["hint"], error
    assert not other.state_dir.exists() and not (gateway.folder / "b").exists()
