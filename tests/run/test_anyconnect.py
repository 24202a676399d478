"""`warren run openconnect://…` against a real ocserv keeps the promises of every run."""

import json
import os
import pathlib
import signal
import subprocess

import pytest
from capture import Capture, told_late
from lab import namespaces_of, anyone_in, output, wait_until
from vpn_lab import (CERTIFICATE_PORT, PASSWORD_PORT, dtls_is_up, end, heard, nobody_is_logged_in, nothing_left, refused,
                     supervisor, talk)

MARK = "LEAK-MARK-2001"

ADDRESS = "import subprocess; print(subprocess.run(['ip', '-4', '-o', 'addr', 'show', 'warren0'], " \
          "capture_output=True, text=True).stdout.split()[3])"

def python(vpn, script, **login):
    return vpn.check(script, **(login or vpn.login()))


# --- logging in ---


def test_a_password_leads_in_over_dtls(vpn):
    run = talk(vpn)
    session, = dtls_is_up(vpn)
    assert session["Username"] == "alice", session
    assert pathlib.Path(f"/proc/{supervisor(vpn)['pid']}/status").read_text().count(f"Uid:\t{65534}")
    holder = vpn.holder_of_session(supervisor(vpn)["pid"])
    status = pathlib.Path(f"/proc/{holder}/status").read_text()
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status and "CapEff:\t0000000000000000" in status
    assert vpn.password.encode() not in pathlib.Path(f"/proc/{supervisor(vpn)['pid']}/cmdline").read_bytes()
    end(run)
    nobody_is_logged_in(vpn)
    nothing_left(vpn)


def test_a_certificate_leads_in(vpn):
    assert python(vpn, ADDRESS, **vpn.by_certificate()).startswith("10.98.1.")


@pytest.mark.parametrize("source", ["stdin", "environment"])
def test_a_password_from_elsewhere(vpn, source):
    options = vpn.trust() + (("--password-file", "-") if source == "stdin" else ())
    command = vpn.warren("run", vpn.url(), *options, "--", "sh", "-c", "echo in ${WARREN_PASSWORD-without}; cat")
    if source == "environment":
        command.insert(command.index("env") + 4, f"WARREN_PASSWORD={vpn.password}")
    done = subprocess.run(command, input=f"{vpn.password}\nrest" if source == "stdin" else "rest",
                          capture_output=True, text=True, timeout=60)
    assert done.stdout == "in without\nrest", done.stderr


@pytest.mark.parametrize("family", ["192.0.2.2", "[2001:db8::2]"])
def test_what_the_server_says_is_what_the_program_has(vpn, family):
    said = python(vpn, """
import json, socket, subprocess
def ip(*words): return json.loads(subprocess.run(["ip", "-j", *words], capture_output=True).stdout)
link, = [one for one in ip("addr") if one["ifname"] != "lo"]
print(json.dumps({"name": link["ifname"], "mtu": link["mtu"],
    "addresses": sorted(a["local"] for a in link["addr_info"]),
    "routes": [r["dst"] for r in ip("route")], "routes6": [r["dst"] for r in ip("-6", "route")],
    "resolv": open("/etc/resolv.conf").read(), "host": socket.gethostbyname("any.example"),
    "v6": socket.create_connection(("fd98::1", 8080), 20).getpeername()[0]}))
""", **vpn.login(host=family))
    said = json.loads(said)
    assert said["name"] == "warren0" and 1280 <= said["mtu"] <= 1400
    assert said["addresses"][0].startswith("10.98.0.") and said["addresses"][1].startswith("fd98:")
    assert said["routes"] == ["default"] and "default" in said["routes6"]
    assert said["resolv"] == "nameserver 10.77.0.1\nsearch corp.example\n"
    assert said["host"] == "10.77.0.99"


def test_a_server_s_list_of_routes(vpn):
    login = vpn.login(user="split")
    login["options"] += ("--routes", "server")
    said = python(vpn, """
import socket
def reaches(host, seconds=1):
    try: socket.create_connection((host, 8080), seconds).close(); return "yes"
    except OSError: return "no"
print(reaches("10.77.0.1", 20), reaches("10.77.0.65"), reaches("10.88.0.1"), reaches("192.0.2.2"))
""", **login)
    assert said == "yes no no no\n"
    everything = python(vpn, "import socket; socket.create_connection(('10.88.0.1', 8080), 20); print('yes')",
                        **vpn.login(user="split"))
    assert everything == "yes\n"


# --- refusals: one clear line, code 125, nothing left ---


def test_a_wrong_password_is_refused(vpn):
    wrong = vpn.user_file("wrong", "not-it\n")
    said = refused(vpn, vpn.url(), *vpn.trust(), "--password-file", wrong)
    assert "192.0.2.2 refused the login of alice" in said and "not-it" not in said


def test_without_a_password_and_a_terminal(vpn):
    said = refused(vpn, vpn.url(), *vpn.trust(), stdin=subprocess.DEVNULL)
    assert "there is no terminal to ask on" in said and "--password-file" in said


def test_an_unknown_server_is_refused_with_its_pin(vpn):
    said = refused(vpn, vpn.url(), "--password-file", vpn.secret)
    assert "is not trusted" in said and "--servercert pin-sha256:" in said
    pin = said.split("--servercert ", 1)[1].split(",")[0].strip()
    right = vpn.run("true", profile=vpn.url(), options=("--password-file", vpn.secret, "--servercert", pin))
    assert right.returncode == 0, right.stderr
    wrong = pin[:-8] + "AAAAAAA="
    assert "its key is another" in refused(vpn, vpn.url(), "--password-file", vpn.secret, "--servercert", wrong)


def test_another_ca_is_refused(vpn):
    nobody_is_logged_in(vpn)
    said = refused(vpn, vpn.url(), "--cafile", vpn.directory / "other-ca.pem", "--password-file", vpn.secret)
    assert "is not trusted" in said
    assert not vpn.sessions()


def test_files_that_cannot_be_used(vpn):
    assert "--cafile" in refused(vpn, vpn.url(), "--cafile", "/nowhere.pem", "--password-file", vpn.secret)
    junk = vpn.user_file("junk.pem", "no certificate\n")
    said = refused(vpn, vpn.url(port=CERTIFICATE_PORT), *vpn.trust(), "--cert", junk)
    assert "certificate" in said and "--cert" in said


@pytest.mark.parametrize("url, word", [
    ("openconnect://alice:word@192.0.2.2", "does not belong into an argument"),
    ("openconnect://", "no host"), ("openconnect://192.0.2.2:x", "not a port"),
    ("openconnect://no-such-host.invalid", "look up no-such-host.invalid"),
    ("openconnect://192.0.2.2:4999", "192.0.2.2")])
def test_addresses_that_lead_nowhere(vpn, url, word):
    assert word in refused(vpn, url, *vpn.trust(), "--password-file", vpn.secret)


def test_the_program_that_is_left_out(vpn):
    path = vpn.directory / "warren-openconnect"
    path.rename(path.with_suffix(".away"))
    try:
        said = refused(vpn, vpn.url(), *vpn.trust(), "--password-file", vpn.secret)
        assert "warren-openconnect" in said and "this build has no AnyConnect" in said
    finally:
        path.with_suffix(".away").rename(path)


def test_options_of_another_kind_of_network(vpn):
    assert "--user is for AnyConnect servers" in refused(vpn, "lab", "--user", "alice")


# --- staying ---


def test_a_killed_session_process_is_replaced(vpn):
    run = talk(vpn)
    state = supervisor(vpn)
    inside = namespaces_of(state["init"])
    holder = vpn.holder_of_session(state["pid"])
    address = vpn.sessions()[0]["IPv4"]
    os.kill(holder, signal.SIGKILL)
    wait_until(lambda: vpn.holder_of_session(state["pid"]) not in (None, holder), "another one is started", 30)
    heard(run, "answered", vpn)
    wait_until(lambda: [s["IPv4"] for s in vpn.sessions()] == [address], lambda: vpn.sessions(), 30)
    assert namespaces_of(supervisor(vpn)["init"]) == inside
    end(run)
    nothing_left(vpn)


def test_a_connection_inside_outlives_the_session_process(vpn):
    """The new one resumes the session by its cookie, with the address it had."""
    run = vpn.begin("/usr/bin/python3", "-c", """
import socket
s = socket.create_connection(("10.77.0.1", 8080), 10)
s.sendall(b"GET /3 HTTP/1.0\\r\\n")
print("half", flush=True)
input()
s.settimeout(30)
s.sendall(b"\\r\\n")
print(s.makefile("rb").read()[-3:])
""", stdin=subprocess.PIPE, **vpn.login())
    assert run.stdout.readline() == "half\n", run.stderr.read()
    os.kill(vpn.holder_of_session(supervisor(vpn)["pid"]), signal.SIGKILL)
    said, complaint = run.communicate("\n", timeout=40)
    assert said == "b'xxx'\n", complaint


def test_a_restarted_server_is_found_again(vpn):
    run = talk(vpn)
    state = supervisor(vpn)
    inside = namespaces_of(state["init"])
    vpn.stop_server()
    heard(run, "silent", vpn)
    vpn.start_server(PASSWORD_PORT)
    wait_until(lambda: len(vpn.sessions()) == 1, lambda: vpn.server_log(), 30)
    for _ in range(3):
        heard(run, "answered", vpn)
    assert namespaces_of(supervisor(vpn)["init"]) == inside
    end(run)
    nothing_left(vpn)


def test_other_addresses_after_a_restart(vpn):
    """The tun stays; its address, routes and MTU are what the server says now."""
    run = talk(vpn)
    state = supervisor(vpn)
    vpn.stop_server()
    conf = vpn.server_conf
    vpn.server_conf = lambda port: conf(port).replace("10.98.0.0", "10.98.7.0").replace("mtu = 1400", "mtu = 1350")
    vpn.start_server(PASSWORD_PORT)
    try:
        look = ["nsenter", f"--net=/proc/{state['init']}/ns/net", "ip", "-j", "addr", "show", "warren0"]
        now = lambda: [a["local"] for a in json.loads(output(*look))[0]["addr_info"] if a["family"] == "inet"]
        wait_until(lambda: [address[:8] for address in now()] == ["10.98.7."],
                   lambda: f"{now()}{vpn.server_log()}", 30)
        heard(run, "silent", vpn)
        heard(run, "answered", vpn)
        wait_until(lambda: supervisor(vpn)["addresses"].startswith("10.98.7."), "the state tells it", 30)
    finally:
        end(run)
        vpn.server_conf = conf
        vpn.stop_server()
        vpn.start_server(PASSWORD_PORT)


def test_a_server_that_refuses_later_ends_the_run(vpn):
    run = talk(vpn)
    vpn.stop_server()
    users = vpn.users.read_text()
    vpn.users.write_text("\n".join(line for line in users.splitlines() if not line.startswith("alice")) + "\n")
    vpn.start_server(PASSWORD_PORT)
    try:
        assert run.wait(60) == 125
        assert "refuse" in run.stderr.read()
    finally:
        vpn.users.write_text(users)
    nothing_left(vpn)


# --- the other promises ---


def test_two_runs_have_two_addresses(vpn):
    runs = [vpn.begin("sh", "-c", "ip -4 -o addr show warren0 | tr -s ' ' | cut -d' ' -f4; cat",
                      stdin=subprocess.PIPE, **vpn.login()) for _ in range(2)]
    addresses = {run.stdout.readline() for run in runs}
    assert len(addresses) == 2 and all(address.startswith("10.98.0.") for address in addresses)
    for run in runs:
        run.communicate("", timeout=20)
        assert run.returncode == 0
    nothing_left(vpn)


def test_ps_status_attach_stop_and_detach(vpn):
    nobody_is_logged_in(vpn)
    login = vpn.login()
    started = subprocess.run(
        vpn.warren("run", "--detach", "--name", "job", "--wait-ready", "30s", *login["options"], login["profile"],
                   "--", "sleep", "300"), capture_output=True, text=True, timeout=60)
    assert started.stdout == "job\n", started.stderr
    inside = namespaces_of(vpn.state("job")["init"])
    attached = subprocess.run(vpn.warren("attach", "job", "--", "ping", "-c", "2", "-w", "15", "-i", "0.1", "10.77.0.1"),
                              capture_output=True, text=True, timeout=30)
    assert " 2 received" in attached.stdout, attached.stderr
    listed = json.loads(subprocess.run(vpn.warren("--json", "ps"), capture_output=True, text=True, timeout=20).stdout)
    job, = listed["runs"]
    assert job["name"] == "job" and job["profile"] == login["profile"], job
    assert vpn.sessions()[0]["IPv4"] in json.dumps(job)
    assert min(job["rx_bytes"], job["tx_bytes"]) >= 2 * 84, job
    ready = subprocess.run(vpn.warren("status", "job", "--check", "ready", "--wait", "30s"),
                           capture_output=True, text=True, timeout=60)
    assert ready.returncode == 0, ready.stdout + ready.stderr
    stopped = subprocess.run(vpn.warren("stop", "job"), capture_output=True, text=True, timeout=20)
    assert stopped.returncode == 0, stopped.stderr
    nothing_left(vpn)
    wait_until(lambda: not anyone_in(inside), "everybody inside is gone")
    nobody_is_logged_in(vpn)


def test_an_exposed_port(vpn):
    serve = ("import socket\ns = socket.create_server(('', 80))\nprint('up', flush=True)\n"
             "c, _ = s.accept()\nc.sendall(b'hello')")
    run = vpn.begin("/usr/bin/python3", "-c", serve, profile=vpn.url(),
                    options=(*vpn.login()["options"], "--expose", "8080:80/tcp"))
    assert run.stdout.readline() == "up\n", run.stderr.read()
    got = output(*vpn.in_host("/usr/bin/python3", "-c", "import socket; "
                              "print(socket.create_connection(('127.0.0.1', 8080), 15).recv(9))"))
    assert got == "b'hello'"
    assert run.wait(10) == 0


def test_a_run_that_starts_without_its_tunnel(vpn):
    login = vpn.login()
    run = vpn.begin("sh", "-c", "ip -o link | grep -c warren0; read go; ping -c 1 -w 15 10.77.0.1",
                    stdin=subprocess.PIPE, profile=login["profile"],
                    options=(*login["options"], "--no-net", "--name", "bare"))
    assert run.stdout.readline() == "0\n", run.stderr.read()
    subprocess.run(vpn.warren("attach", "bare", "--start-net"), check=True, timeout=20)
    said, _ = run.communicate("go\n", timeout=30)
    assert " 1 received" in said


def test_killed_supervisor_takes_everything_along(vpn):
    run = talk(vpn)
    state = supervisor(vpn)
    inside = namespaces_of(state["init"])
    os.kill(int(state["pid"]), signal.SIGKILL)
    run.wait(10)
    wait_until(lambda: not anyone_in(inside), "everybody inside is gone")
    nothing_left(vpn)
    nobody_is_logged_in(vpn)


def test_nothing_but_the_session_is_on_the_wire(vpn):
    """The program shouts all the while; its server goes, its session process dies; no mark leaks, and all
    that leaves is TLS and DTLS to the server."""
    capture = Capture(vpn)
    shout = """
import socket, time
MARK = b"LEAK-MARK-2001" * 4
while True:
    for place in ("192.0.2.2", "192.0.2.1", "10.77.0.1", "224.0.0.251", "2001:db8::2", "127.0.0.1", "198.51.100.7"):
        with socket.socket(socket.AF_INET6 if ":" in place else socket.AF_INET, socket.SOCK_DGRAM) as s:
            try: s.sendto(MARK, (place, 9))
            except OSError: pass
    print("shouted", flush=True)
    time.sleep(0.02)
"""
    run = vpn.begin("/usr/bin/python3", "-c", shout, **vpn.login())
    heard(run, "shouted", vpn)
    dtls_is_up(vpn)
    for _ in range(20):
        heard(run, "shouted", vpn)
    os.kill(vpn.holder_of_session(supervisor(vpn)["pid"]), signal.SIGKILL)
    for _ in range(20):
        heard(run, "shouted", vpn)
    vpn.stop_server()
    for _ in range(40):
        heard(run, "shouted", vpn)
    vpn.start_server(PASSWORD_PORT)
    wait_until(lambda: len(vpn.sessions()) == 1, lambda: vpn.server_log(), 30)
    for _ in range(20):
        heard(run, "shouted", vpn)
    end(run)
    capture.end()
    assert not capture.marked(MARK)
    counted = lambda rule: len(output("tcpdump", "-nr", capture.file, rule).splitlines())
    server = f"host 192.0.2.2 and port {PASSWORD_PORT}"
    assert counted(f"udp and {server}") > 20, "DTLS is used"
    # The session process speaks with itself before it speaks with the server (Rehearsal).
    own = "not (ip6 multicast or arp or icmp6 or host 127.0.0.1)"
    others = output("tcpdump", "-nr", capture.file,
                    f"{own} and not ({server}) and not ({told_late(PASSWORD_PORT)})")
    assert others == "", others
