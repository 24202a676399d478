"""AnyConnect: passwords of one use, the prompt on a terminal, names that change, UDP that is dropped."""

import hashlib
import hmac
import os
import struct
import subprocess
import time

import pytest
from lab import Terminal, namespaces_of, output, wait_until
from vpn_lab import PASSWORD_PORT, VpnLab, dtls_is_up, end, heard, nothing_left, refused, supervisor, talk

SEED = b"12345678901234567890"  # of RFC 4226, appendix D
FIRST_CODE = "755224"


class OneTimeLab(VpnLab):
    """A server that asks for the password and then for one of use once (HOTP, RFC 4226)."""

    counter = -1

    def server_conf(self, port):
        seeds = self.directory / "seeds"
        if not seeds.exists():
            seeds.write_text(f"HOTP alice - {SEED.hex()}\n")
        plain = f"plain[passwd={self.users}]"
        return super().server_conf(port).replace(plain, f"{plain[:-1]},otp={seeds}]")

    def next_code(self):
        self.counter += 1
        digest = hmac.new(SEED, struct.pack(">Q", self.counter), hashlib.sha1).digest()
        at = digest[-1] & 15
        return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7fffffff) % 1000000:06}"

    def login(self, **url):
        secret = self.user_file("two-lines", f"{self.password}\n{self.next_code()}\n")
        return {"profile": self.url(**url), "options": (*self.trust(), "--password-file", secret)}


@pytest.fixture(scope="module")
def once():
    made = OneTimeLab()
    yield made
    made.close()


@pytest.fixture
def terminal(request):
    made = Terminal(request.getfixturevalue("once" if "once" in request.fixturenames else "vpn"))
    yield made
    made.close()


def words(lab, *more):
    """`warren run` as it is typed."""
    return " ".join(map(str, (lab.directory / "warren", "run", lab.url(), *lab.trust(), *more)))


# --- passwords of one use ---


def test_the_second_line_is_the_password_of_one_use(once):
    done = once.run("echo", "in", **once.login())
    assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr + once.server_log()
    assert once.counter == 0 and FIRST_CODE in (once.home / "two-lines").read_text()
    again = once.run("true", profile=once.url(), options=(*once.trust(), "--password-file", once.home / "two-lines"))
    assert again.returncode == 125 and "192.0.2.2 refused the login: 401" in again.stderr, again.stderr
    nothing_left(once)


def test_a_pipe_gives_both_and_keeps_the_rest(once):
    command = once.warren("run", once.url(), *once.trust(), "--password-file", "-", "--", "cat")
    done = subprocess.run(command, input=f"{once.password}\n{once.next_code()}\nrest", capture_output=True, text=True,
                          timeout=60)
    assert done.stdout == "rest", done.stderr


def test_nobody_who_could_be_asked(once):
    said = refused(once, once.url(), *once.trust(), "--password-file", once.secret, stdin=subprocess.DEVNULL)
    assert "there is no terminal to ask on" in said and "a second line answers" in said


def test_it_is_asked_on_the_terminal_and_not_shown(once, terminal):
    terminal.say(words(once, "--", "sh", "-c", "'echo in-$((6*7))'") + "\n")
    terminal.expect("192.0.2.2: Password: ")
    terminal.say(once.password + "\n")
    seen = terminal.expect("192.0.2.2: Password: ")
    assert "enter your OTP" in seen and once.password not in seen
    code = once.next_code()
    terminal.say(code + "\n")
    assert code not in terminal.expect("in-42\r\n")
    terminal.say("stty -a | grep -o -w -- '-*echo'; echo done-$((1+1))\n")
    assert "-echo" not in terminal.expect("done-2\r\n").split("\r\n", 1)[1]
    nothing_left(once)


def test_only_what_the_file_lacks_is_asked(once, terminal):
    terminal.say(words(once, "--password-file", once.secret, "--", "sh", "-c", "'echo in-$((6*7))'") + "\n")
    assert "enter your OTP" in terminal.expect("192.0.2.2: Password: ")
    terminal.say(once.next_code() + "\n")
    terminal.expect("in-42\r\n")
    nothing_left(once)


def test_a_lost_session_is_resumed_without_another_password(once):
    run = talk(once)
    pid = supervisor(once)["pid"]
    holder = once.holder_of_session(pid)
    os.kill(holder, 9)
    wait_until(lambda: once.holder_of_session(pid) not in (None, holder), "another one is started")
    heard(run, "answered", once)
    end(run)
    nothing_left(once)


def test_a_server_that_forgot_the_session_ends_the_run(once):
    run = talk(once)
    once.stop_server()
    once.start_server(PASSWORD_PORT)
    assert run.wait(60) == 125
    assert "a password of one use" in run.stderr.read()
    nothing_left(once)


# --- the terminal ---


def test_a_wrong_word_is_asked_again_until_the_server_refuses(vpn, terminal):
    """ocserv 1.1.6 takes no right one either behind a wrong one; its own client fails there, too."""
    terminal.say(words(vpn, "--", "true") + "; echo code-$?\n")
    terminal.expect("192.0.2.2: Password: ")
    for _ in range(2):
        terminal.say("wrong\n")
        assert "Login failed. Please enter" in terminal.expect("192.0.2.2: Password: ")
    terminal.say("wrong\n")
    said = terminal.expect("code-125\r\n")
    assert "192.0.2.2 refused the login: 401" in said and "wrong" not in said, said
    nothing_left(vpn)


def test_ctrl_c_at_the_prompt_leaves_the_terminal_as_it_was(vpn, terminal):
    terminal.say(words(vpn, "--", "true") + "\n")
    terminal.expect("192.0.2.2: Password: ")
    terminal.say("half\x03")
    terminal.expect("$ ")
    terminal.say("echo code-$?; stty -a | grep -o -w -- '-*echo'; echo done-$((1+1))\n")
    seen = terminal.expect("done-2\r\n")
    assert "code-130\r\n" in seen and "\n-echo" not in seen and "half" not in seen, seen
    nothing_left(vpn)


# --- names ---


def test_other_names_after_a_restart(vpn):
    """A program that runs reads a resolv.conf that follows the server."""
    run = vpn.begin("sh", "-c", "while :; do cat /etc/resolv.conf | tr '\\n' ' '; echo; sleep 0.1; done", **vpn.login())
    heard(run, "nameserver 10.77.0.1 search corp.example ", vpn)
    inside = namespaces_of(supervisor(vpn)["init"])
    vpn.stop_server()
    conf = vpn.server_conf
    vpn.server_conf = lambda port: conf(port).replace("dns = 10.77.0.1", "dns = 10.77.0.65").replace(
        "corp.example", "new.example")
    vpn.start_server(PASSWORD_PORT)
    try:
        heard(run, "nameserver 10.77.0.65 search new.example ", vpn, 300)
        assert namespaces_of(supervisor(vpn)["init"]) == inside
    finally:
        end(run)
        vpn.server_conf = conf
        vpn.stop_server()
        vpn.start_server(PASSWORD_PORT)


def test_own_names_stay_when_the_server_says_others(vpn):
    login = vpn.login()
    login["options"] += ("--dns", "10.77.0.9")
    run = vpn.begin("sh", "-c", "while :; do head -1 /etc/resolv.conf; sleep 0.1; done", **login)
    heard(run, "nameserver 10.77.0.9", vpn)
    vpn.stop_server()
    conf = vpn.server_conf
    vpn.server_conf = lambda port: conf(port).replace("dns = 10.77.0.1", "dns = 10.77.0.65").replace("10.98.0.0", "10.98.5.0")
    vpn.start_server(PASSWORD_PORT)
    try:
        wait_until(lambda: supervisor(vpn)["addresses"].startswith("10.98.5."), "it logged in again", 30)
        for _ in range(5):
            assert run.stdout.readline() == "nameserver 10.77.0.9\n"
    finally:
        end(run)
        vpn.server_conf = conf
        vpn.stop_server()
        vpn.start_server(PASSWORD_PORT)


# --- UDP ---


def test_where_udp_is_dropped_in_silence_a_run_starts_at_once(vpn):
    """libopenconnect gives DTLS up after 12 s; nobody waits for that. It is used once it comes up."""
    in_far = lambda *nft: output(*vpn.in_far("nft", *nft))
    began = time.monotonic()
    end(talk(vpn))
    usual = time.monotonic() - began
    in_far("add", "table", "inet", "wall")
    in_far("add", "chain", "inet", "wall", "in", "{ type filter hook input priority 0; }")
    in_far("add", "rule", "inet", "wall", "in", "udp", "dport", str(PASSWORD_PORT), "drop")
    try:
        began = time.monotonic()
        run = talk(vpn)
        took = time.monotonic() - began
        assert not vpn.sessions()[0].get("DTLS cipher"), vpn.sessions()
        in_far("delete", "table", "inet", "wall")
        dtls_is_up(vpn)
        for _ in range(3):
            heard(run, "answered", vpn)
        end(run)
        assert took < usual + 8, f"it took {took:.1f} s, and without the wall {usual:.1f} s"
    finally:
        subprocess.run(vpn.in_far("nft", "delete", "table", "inet", "wall"), capture_output=True)
    nothing_left(vpn)
