"""The lab with a real ocserv at the far end instead of a WireGuard gateway.

Two servers run there: on port 4443 people log in with a password, on port 4444 with a certificate.
Inside they are 10.98.0.0/24 and 10.98.1.0/24 with IPv6; 10.77.0.1 behind them serves HTTP, UDP
echo and DNS. ocserv comes from its Debian package, unpacked below build/ and never installed.
"""

import glob
import json
import os
import pathlib
import secrets
import signal
import subprocess

import pytest
from lab import Lab, USER, output, require, wait_until

UNPACKED = pathlib.Path(os.environ.get("WARREN_UNPACKED", "build/debian")).absolute()
PASSWORD_PORT, CERTIFICATE_PORT = 4443, 4444
NAME = "vpn.example"


def unpacked(name):
    """The command that starts a program of an unpacked package."""
    found = [path for path in (UNPACKED / f"usr/sbin/{name}", UNPACKED / f"usr/bin/{name}") if path.exists()]
    if not found:
        pytest.skip(f"needs {name} below {UNPACKED} (make test unpacks it)")
    libraries = glob.glob(f"{UNPACKED}/usr/lib/*-linux-gnu") + glob.glob(f"{UNPACKED}/lib/*-linux-gnu")
    return ["env", "LD_LIBRARY_PATH=" + ":".join(libraries), str(found[0])]


class VpnLab(Lab):
    programs = (*Lab.programs, "warren-openconnect")

    def __init__(self, **options):
        require("openssl", "tcpdump")
        self.servers = {}
        self.password = secrets.token_hex(12)
        super().__init__(**options)
        self.secret = self.user_file("password", self.password + "\n")

    # --- the far end ---

    def start_far(self, _):
        self.make_certificates()
        self.users = self.directory / "users"
        for user in ("alice", "bob", "split"):
            output(*unpacked("ocpasswd"), "-c", self.users, user, input=f"{self.password}\n{self.password}\n")
        per_user = self.directory / "per-user"
        per_user.mkdir()
        (per_user / "split").write_text("route = 10.77.0.0/255.255.255.0\nno-route = 10.77.0.64/255.255.255.192\n")
        output("ip", "-n", self.far, "address", "add", "10.77.0.1/32", "dev", "lo")
        output("ip", "-n", self.far, "address", "add", "10.88.0.1/32", "dev", "lo")
        output("ip", "-n", self.far, "address", "add", "10.77.0.65/32", "dev", "lo")
        self.start_server(PASSWORD_PORT)
        self.start_server(CERTIFICATE_PORT)
        self.start_services()

    def make_certificates(self):
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
        for ca in ("ca", "other-ca"):
            output("openssl", "req", "-x509", *key, "-subj", f"/CN={ca}", "-keyout", self.directory / f"{ca}.key",
                   "-out", self.directory / f"{ca}.pem")
            (self.directory / f"{ca}.pem").chmod(0o644)
        for name, subject, extra in (
                ("server", f"/CN={NAME}", "subjectAltName=DNS:vpn.example,IP:192.0.2.2,IP:2001:db8::2"),
                ("carol", "/CN=carol", "extendedKeyUsage=clientAuth")):
            part = {end: self.directory / f"{name}.{end}" for end in ("key", "csr", "crt", "ext")}
            output("openssl", "req", *key, "-subj", subject, "-keyout", part["key"], "-out", part["csr"])
            part["ext"].write_text(extra + "\n")
            output("openssl", "x509", "-req", "-days", "2", "-in", part["csr"], "-CA", self.directory / "ca.pem",
                   "-CAkey", self.directory / "ca.key", "-CAcreateserial", "-extfile", part["ext"], "-out", part["crt"])
        for end in ("key", "crt"):
            os.chown(self.directory / f"carol.{end}", USER, USER)

    def server_conf(self, port):
        by_password = port == PASSWORD_PORT
        net = 0 if by_password else 1
        auth = f'auth = "plain[passwd={self.users}]"' if by_password else 'auth = "certificate"'
        return f"""
{auth}
tcp-port = {port}
udp-port = {port}
socket-file = {self.directory}/s{port}
occtl-socket-file = {self.directory}/occtl{port}
use-occtl = true
pid-file = {self.directory}/pid{port}
server-cert = {self.directory}/server.crt
server-key = {self.directory}/server.key
ca-cert = {self.directory}/ca.pem
cert-user-oid = 2.5.4.3
config-per-user = {self.directory}/per-user
isolate-workers = false
max-clients = 64
max-same-clients = 64
rate-limit-ms = 0
max-ban-score = 0
try-mtu-discovery = false
cookie-timeout = 300
persistent-cookies = true
dpd = 4
keepalive = 30
device = {self.name[2:][-8:]}v{net}
ipv4-network = 10.98.{net}.0
ipv4-netmask = 255.255.255.0
ipv6-network = fd98:{net}::/64
ipv6-subnet-prefix = 128
dns = 10.77.0.1
default-domain = corp.example
route = default
mtu = 1400
cisco-client-compat = true
dtls-legacy = true
compression = false
"""

    def start_server(self, port):
        conf = self.directory / f"ocserv{port}.conf"
        conf.write_text(self.server_conf(port))
        path = self.directory / f"ocserv{port}.log"
        log = open(path, "ab")
        began = path.stat().st_size
        self.servers[port] = self.start(self.in_far(*unpacked("ocserv"), "-f", "-d", "1", "-c", conf),
                                        stdout=log, stderr=log)
        log.close()
        # It listens at one address after the other, and before the part of it that knows passwords does.
        wait_until(lambda: output(*self.in_far("ss", "-Hltn", "sport", "=", f":{port}")).count("LISTEN") == 2
                   and b"sec-mod initialized" in path.read_bytes()[began:], lambda: self.server_log(port), 30)

    def server_log(self, port=PASSWORD_PORT):
        return (self.directory / f"ocserv{port}.log").read_text(errors="replace")[-3000:]

    def stop_server(self, port=PASSWORD_PORT):
        server = self.servers[port]
        server.terminate()
        server.wait(30)

    def sessions(self, port=PASSWORD_PORT):
        """What the server's own tool says about who is connected."""
        said = subprocess.run([*unpacked("occtl"), "-s", f"{self.directory}/occtl{port}", "--json", "show", "users"],
                              capture_output=True, text=True, timeout=10)
        return json.loads(said.stdout) if said.stdout.strip() else []

    # --- use ---

    def user_file(self, name, text, mode=0o600):
        path = self.home / name
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, USER, USER)
        return path

    def url(self, user="alice", port=PASSWORD_PORT, host="192.0.2.2"):
        return f"openconnect://{user + '@' if user else ''}{host}:{port}"

    def trust(self):
        return ("--cafile", self.directory / "ca.pem")

    def login(self, **url):
        """Arguments that log alice in."""
        return {"profile": self.url(**url), "options": (*self.trust(), "--password-file", self.secret)}

    def by_certificate(self):
        return {"profile": self.url(user="", port=CERTIFICATE_PORT),
                "options": (*self.trust(), "--cert", self.directory / "carol.crt", "--key",
                            self.directory / "carol.key")}

    def holder_of_session(self, supervisor):
        """The process id of a run's warren-openconnect, or None."""
        program = str(self.directory / "warren-openconnect")
        for pid in self.own_processes():
            try:
                entry = pathlib.Path(f"/proc/{pid}")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == int(supervisor) and os.readlink(entry / "exe") == program:
                    return pid
            except OSError:
                pass
        return None


# --- a program inside that tells whether the network answers ---

TALK = """
import socket, sys, time
def answered():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.3)
        try: s.sendto(b"alive", ("10.77.0.1", 9)); return s.recv(9) == b"alive"
        except OSError: return False
while True:
    print("answered" if answered() else "silent", flush=True)
    time.sleep(0.05)
"""


def nobody_is_logged_in(vpn):
    """The server hears of a logout a moment after the run has ended."""
    wait_until(lambda: not vpn.sessions(), lambda: f"still logged in: {vpn.sessions()}", 30)


def dtls_is_up(vpn):
    """A session begins over TLS, and DTLS comes up meanwhile. What the server says of its sessions."""
    def told():
        sessions = vpn.sessions()
        return sessions if sessions and sessions[0].get("DTLS cipher") else None
    return wait_until(told, lambda: f"DTLS: {vpn.sessions()}", 40)


def talk(vpn, **more):
    nobody_is_logged_in(vpn)
    run = vpn.begin("/usr/bin/python3", "-c", TALK, **{**vpn.login(), **more})
    heard(run, "answered", vpn)
    return run


def heard(run, word, vpn, lines=150):
    for _ in range(lines):
        line = run.stdout.readline()
        if line == f"{word}\n":
            return
        assert line, run.stderr.read() + vpn.server_log()
    raise AssertionError(f"never `{word}`: {vpn.server_log()}")


def supervisor(vpn):
    """What the only run that lives tells about itself."""
    states = [dict(line.split("=", 1) for line in path.read_text().splitlines())
              for path in (vpn.runtime / "warren").glob("*.state")]
    state, = [state for state in states if pathlib.Path(f"/proc/{state['pid']}").exists()]
    return state


def end(run):
    run.send_signal(signal.SIGTERM)
    run.wait(30)


def nothing_left(vpn):
    wait_until(lambda: not vpn.own_processes(), lambda: f"left: {vpn.own_processes()}", 30)


def refused(vpn, profile, *options, **more):
    done = vpn.run("true", profile=profile, options=options, **more)
    assert done.returncode == 125, done.stderr
    nothing_left(vpn)
    return done.stderr
