"""Every program that is compared: how to start it at both ends of a wire.

A contender is a class whose instance is a running tunnel: `address` is the inner address of end b as
end a sees it, `pids(side)` the processes of one end. All tunnels have the same inner MTU. Ciphers
are the program's default or what its name says; nothing else is tuned, neither ours nor theirs.
"""
import glob
import os
import secrets
import shutil
import time

from world import A, B, INNER_A, INNER_B, INNER_MTU, process_tree, sh

START_SECONDS = 15


class Absent(Exception):
    """The program is not on this machine."""


def program(*names):
    """The path of the first that exists; a name with a slash counts from the current folder."""
    for name in names:
        path = shutil.which(name) if "/" not in name else name
        if path and os.path.exists(path):
            return path
    raise Absent(names[0])


def unpacked(name):
    """The command that starts a program which lies, with its libraries, below build/debian."""
    path = program(f"build/debian/usr/sbin/{name}", f"build/debian/usr/bin/{name}")
    libraries = glob.glob("build/debian/usr/lib/*-linux-gnu") + glob.glob("build/debian/lib/*-linux-gnu")
    return ["env", "LD_LIBRARY_PATH=" + ":".join(map(os.path.abspath, libraries)), os.path.abspath(path)]


def wait(condition, child, what):
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline or child.poll() is not None:
            child.log.seek(0)
            raise RuntimeError(f"{what}: {child.log.read()[-800:]}")
        time.sleep(0.02)


def interface_name(wire, side):
    return f"{wire.tag}{side}"[-15:]


def start_wireguard(wire, side, command, interface):
    """One end, running in the foreground until the wire ends it; not yet configured."""
    env = dict(os.environ, LOG_LEVEL=os.environ.get("LOG_LEVEL", "error"), WG_PROCESS_FOREGROUND="1", WG_LOG_LEVEL="error")
    child = wire.start(side, *command, interface, env=env)
    wait(lambda: os.path.exists(f"/var/run/wireguard/{interface}.sock"), child, "no start")
    return child


class Contender:
    address = INNER_B

    def __init__(self, wire, folder):
        self.wire, self.folder = wire, folder
        self.ends = {}
        self.start()
        if "a" in self.ends:
            wait(lambda: self.answers(), self.ends["a"], "no packet passes")

    def start(self):
        raise NotImplementedError

    def answers(self):
        try:
            self.wire.run("a", "ping", "-c", "1", "-W", "1", self.address)
            return True
        except Exception:
            return False

    def interface(self, side):
        return interface_name(self.wire, side)

    def pids(self, sides="ab"):
        return [pid for side in sides if side in self.ends for pid in process_tree(self.ends[side].pid)]

    def file(self, name, text):
        path = f"{self.folder}/{name}"
        with open(path, "w") as out:
            out.write(text)
        return path


class Veth(Contender):
    """No tunnel: what the wire, two TCP stacks and iperf3 can do."""
    address = B

    def start(self):
        pass


class Wireguard(Contender):
    """A WireGuard program with the userspace API at both ends, configured with `wg`."""
    command = ()

    def start(self):
        keys = {}
        for side in "ab":
            keys[side] = sh("wg", "genkey").strip()
            self.start_end(side)
        public = {side: sh("wg", "pubkey", input=keys[side]).strip() for side in "ab"}
        for side, other, outer, inner in (("a", "b", B, INNER_A), ("b", "a", A, INNER_B)):
            conf = (f"[Interface]\nPrivateKey={keys[side]}\nListenPort=51820\n[Peer]\n"
                    f"PublicKey={public[other]}\nEndpoint={outer}:51820\nAllowedIPs=10.99.0.0/24\n")
            self.configure(side, conf, inner)

    def start_end(self, side):
        self.ends[side] = start_wireguard(self.wire, side, self.command, self.interface(side))
        for pid in process_tree(self.ends[side].pid):  # and no other program that it starts
            running = os.path.realpath(f"/proc/{pid}/exe")
            if running != os.path.realpath(self.command[0]):
                raise RuntimeError(f"{self.command[0]} runs {running}")

    def configure(self, side, conf, inner):
        interface = self.interface(side)
        self.wire.run(side, "wg", "setconf", interface, "/dev/stdin", input=conf)
        self.wire.run(side, "ip", "addr", "add", f"{inner}/24", "dev", interface)
        self.wire.run(side, "ip", "link", "set", interface, "mtu", str(INNER_MTU), "up")


class OpenVpn(Contender):
    """Two ends point to point, TLS with pinned certificates, no kernel offload."""
    cipher = ""

    def start(self):
        command = unpacked("openvpn")
        certs = {side: certificate(self.folder, f"openvpn-{side}") for side in "ab"}
        pins = {side: sh("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", certs[side][0])
                .strip().split("=", 1)[1] for side in "ab"}
        for side, other, role, inner in (("b", "a", ["--tls-server", "--dh", "none", "--float"], (INNER_B, INNER_A)),
                                         ("a", "b", ["--tls-client", "--remote", B], (INNER_A, INNER_B))):
            self.ends[side] = self.wire.start(
                side, *command, "--dev", self.interface(side), "--dev-type", "tun", "--proto", "udp", "--port", "1194",
                "--disable-dco", "--ifconfig", *inner, "--cert", certs[side][0], "--key", certs[side][1],
                "--peer-fingerprint", pins[other], "--data-ciphers", self.cipher, "--tun-mtu", str(INNER_MTU),
                "--mssfix", "0", "--verb", "1", *role)


class Nebula(Contender):
    def start(self):
        path, cert = program("build/rivals/usr/bin/nebula"), program("build/rivals/usr/bin/nebula-cert")
        sh(cert, "ca", "-name", "bench", "-duration", "24h", "-out-crt", f"{self.folder}/ca.crt",
           "-out-key", f"{self.folder}/ca.key")
        for side, inner in (("a", INNER_A), ("b", INNER_B)):
            sh(cert, "sign", "-name", side, "-networks", f"{inner}/24", "-ca-crt", f"{self.folder}/ca.crt",
               "-ca-key", f"{self.folder}/ca.key", "-out-crt", f"{self.folder}/{side}.crt",
               "-out-key", f"{self.folder}/{side}.key")
            other, outer = (INNER_B, B) if side == "a" else (INNER_A, A)
            conf = self.file(f"{side}.yml", f"""
pki: {{ca: {self.folder}/ca.crt, cert: {self.folder}/{side}.crt, key: {self.folder}/{side}.key}}
static_host_map: {{"{other}": ["{outer}:4242"]}}
lighthouse: {{am_lighthouse: false, hosts: []}}
listen: {{host: 0.0.0.0, port: 4242}}
tun: {{dev: {self.interface(side)}, mtu: {INNER_MTU}}}
logging: {{level: error}}
firewall:
  outbound: [{{port: any, proto: any, host: any}}]
  inbound: [{{port: any, proto: any, host: any}}]
""")
            self.ends[side] = self.wire.start(side, path, "-config", conf)


class AnyConnect(Contender):
    """ocserv at b, openconnect at a; data over DTLS."""
    address = "10.99.0.1"

    def start(self):
        self.start_server()
        script = self.file("script", "#!/bin/sh\n[ \"$reason\" = connect ] || exit 0\n"
                           f"ip addr add $INTERNAL_IP4_ADDRESS/24 dev $TUNDEV\nip link set $TUNDEV mtu {INNER_MTU} up\n")
        os.chmod(script, 0o755)
        self.ends["a"] = self.wire.start("a", *self.client(script), f"--interface={self.interface('a')}", f"{B}:4443",
                                         stdin=open(f"{self.folder}/word"))

    def client(self, script):
        """The command that connects, but for the server's name; the password goes to its standard input."""
        return [*unpacked("openconnect"), "--protocol=anyconnect", "--user=bench", "--passwd-on-stdin", "--non-inter",
                "--base-mtu=1500", f"--servercert=pin-sha256:{self.pin}", f"--script={script}"]

    def start_server(self):
        cert, key = certificate(self.folder, "ocserv")
        word = secrets.token_hex(16)
        users = f"{self.folder}/users"
        sh(*unpacked("ocpasswd"), "-c", users, "bench", input=f"{word}\n{word}\n")
        conf = self.file("ocserv.conf", f"""
auth = "plain[passwd={users}]"
tcp-port = 4443
udp-port = 4443
socket-file = {self.folder}/ocserv-socket
pid-file = {self.folder}/ocserv.pid
server-cert = {cert}
server-key = {key}
isolate-workers = false
max-clients = 4
max-same-clients = 4
try-mtu-discovery = false
device = {self.wire.tag[-9:]}o
ipv4-network = 10.99.0.0
ipv4-netmask = 255.255.255.0
mtu = 1500
cisco-client-compat = true
dtls-legacy = true
use-occtl = false
compression = false
keepalive = 32400
dpd = 90
""")
        os.chmod(self.folder, 0o755)
        self.ends["b"] = self.wire.start("b", *unpacked("ocserv"), "-f", "-c", conf)
        wait(lambda: ":4443" in self.wire.run("b", "ss", "-ltn"), self.ends["b"], "no start")
        self.pin = sh("sh", "-c", f"openssl x509 -pubkey -noout -in {cert} | openssl pkey -pubin -outform der | "
                      "openssl dgst -sha256 -binary | base64").strip()
        self.file("word", word + "\n")


def certificate(folder, name):
    cert, key = f"{folder}/{name}.crt", f"{folder}/{name}.key"
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
       "-subj", f"/CN={name}", "-days", "2", "-keyout", key, "-out", cert)
    return cert, key


def wireguard(name, *command):
    return type(name, (Wireguard,), {"command": command})


def openvpn(name, cipher):
    return type(name, (OpenVpn,), {"cipher": cipher})


VETH, WARREN, WARREN_NO_AEAD, WIREGUARD_GO, WIREGUARD_GO_OLD = (
    "no tunnel", "warren-engine", "warren, AEAD off", "wireguard-go newest", "wireguard-go 2022")


def version(name):
    """What was measured, as its package calls it."""
    if name == WIREGUARD_GO_OLD:
        return sh("dpkg-query", "-W", "-f", "${Version}", "wireguard-go")
    archive = {WIREGUARD_GO: "rivals/wireguard-go", "nebula": "rivals/nebula", "openvpn AES-GCM": "debian/cache/openvpn",
               "openvpn ChaCha20": "debian/cache/openvpn", "ocserv+openconnect": "debian/cache/ocserv"}.get(name)
    found = glob.glob(f"build/{archive}_*.deb") if archive else []
    return sh("dpkg-deb", "-f", found[0], "Version").strip() if found else ""


def all_contenders(binaries):
    """{name: class}, and the names of programs that this machine does not have."""
    found, absent = {VETH: Veth}, []
    Veth.version = ""

    def add(name, make):
        try:
            found[name] = make()
            found[name].version = version(name)
        except Absent:
            absent.append(name)

    add(WARREN, lambda: wireguard(WARREN, program(f"{binaries}/warren-engine"), "-f"))
    add(WARREN_NO_AEAD, lambda: wireguard(WARREN_NO_AEAD, program(f"{binaries}/warren-engine-no-aead"), "-f"))
    add(WIREGUARD_GO, lambda: wireguard(WIREGUARD_GO, program("build/rivals/usr/bin/wireguard-go"), "-f"))
    add(WIREGUARD_GO_OLD, lambda: wireguard(WIREGUARD_GO_OLD, program("wireguard-go"), "-f"))
    add("boringtun", lambda: wireguard("boringtun", program("boringtun-cli"), "-f", "--disable-drop-privileges"))
    add("gotatun", lambda: wireguard("gotatun", program("gotatun"), "-f", "--disable-drop-privileges"))
    for name, cipher in (("openvpn AES-GCM", "AES-256-GCM"), ("openvpn ChaCha20", "CHACHA20-POLY1305")):
        add(name, lambda: unpacked("openvpn") and openvpn(name, cipher))
    add("nebula", lambda: program("build/rivals/usr/bin/nebula") and Nebula)
    add("ocserv+openconnect", lambda: unpacked("ocserv") and unpacked("openconnect") and AnyConnect)
    return found, absent
