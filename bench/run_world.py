"""An unprivileged user at end a of the wire with many profiles, one WireGuard server at end b; used
by the benchmarks of `warren run`."""
import os
import shutil
import subprocess
import sys

import contenders
from world import B, INNER_MTU, sh

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from tun_access import TunAccess

UID = 64010
SERVER = "10.99.0.1"                      # inside the tunnel
DELAY_MS, DELAYED_PORT = 10, 51821        # each way, for the profile "delayed"


def address(number):
    return f"10.99.{1 + number // 250}.{1 + number % 250}"


class RunWorld:
    """Profiles p0, p1, … that reach the server directly, and `delayed`, over a long wire."""

    def __init__(self, wire, binaries, folder, profiles):
        self.wire, self.folder = wire, folder
        self.bin, self.home, self.runtime = f"{folder}/bin", f"{folder}/home", f"{folder}/home/runtime"
        os.chmod(folder, 0o755)
        os.makedirs(self.bin)
        for program in ("warren", "warren-engine", "first_instruction", "start_clock"):
            shutil.copy(f"{binaries}/{program}", self.bin)
        os.makedirs(f"{self.home}/.config/warren", 0o700)
        os.makedirs(self.runtime, 0o700)
        os.chmod(self.home, 0o700)
        self.tun = TunAccess(folder)
        # pasta and slirp4netns copy the host's way out.
        wire.run("a", "ip", "route", "add", "default", "via", B)
        self.start_server(profiles)
        for path, _, files in os.walk(self.home):
            for name in ["", *files]:
                os.chown(os.path.join(path, name), UID, UID)

    def start_server(self, profiles):
        server_key, interface = sh("wg", "genkey").strip(), contenders.interface_name(self.wire, "b")
        server_public = sh("wg", "pubkey", input=server_key).strip()
        contenders.start_wireguard(self.wire, "b", [f"{self.bin}/warren-engine", "-f"], interface)
        conf = f"[Interface]\nPrivateKey={server_key}\nListenPort=51820\n"
        for number in range(profiles + 1):
            key = sh("wg", "genkey").strip()
            name, port = (f"p{number}", 51820) if number < profiles else ("delayed", DELAYED_PORT)
            conf += f"[Peer]\nPublicKey={sh('wg', 'pubkey', input=key).strip()}\nAllowedIPs={address(number)}/32\n"
            path = f"{self.home}/.config/warren/{name}.conf"
            with open(path, "w", opener=lambda file, flags: os.open(file, flags, 0o600)) as out:
                out.write(f"[Interface]\nPrivateKey={key}\nAddress={address(number)}/16\nMTU={INNER_MTU}\n[Peer]\n"
                          f"PublicKey={server_public}\nEndpoint={B}:{port}\nAllowedIPs=10.99.0.0/16\n")
        self.wire.run("b", "wg", "setconf", interface, "/dev/stdin", input=conf)
        self.wire.run("b", "ip", "addr", "add", f"{SERVER}/16", "dev", interface)
        self.wire.run("b", "ip", "link", "set", interface, "mtu", str(INNER_MTU), "up")
        relay = os.path.join(os.path.dirname(os.path.abspath(__file__)), "delay_relay.py")
        child = self.wire.start("b", "/usr/bin/python3", "-B", relay, str(DELAYED_PORT), "51820", str(DELAY_MS),
                                stdout=subprocess.PIPE, text=True)
        if child.stdout.readline() != "ready\n":
            raise RuntimeError("the long wire did not start")

    def as_user(self, *argv, **environment):
        """The command as it must be started to be the user's, at end a."""
        variables = {"PATH": f"{self.bin}:/usr/bin:/bin:/usr/sbin", "HOME": self.home, "XDG_RUNTIME_DIR": self.runtime,
                     **environment}
        return self.wire.inside("a", *self.tun.enter(), "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups",
                                "env", "-i", "-C", "/", *(f"{name}={value}" for name, value in variables.items()), *argv)

    def close(self):
        self.wire.stop()
        self.tun.remove()
