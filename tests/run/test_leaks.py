"""Whatever a program tries, and whatever happens to its tunnel, nothing is on the host's wires.

A program inside a run makes noise in every way it can think of, each packet with a mark, while a
capture runs on all interfaces of the host. Between rounds its engine is killed, the host roams,
and the server goes away. The mark must be in no packet, and no packet may be other than
WireGuard's.
"""

import os
import pathlib
import signal
import subprocess

import pytest
from capture import Capture, told_late
from lab import Lab, make_plain, output, wait_until

MARK = "LEAK-MARK-0451"

NOISE = r"""
import ctypes, os, socket, struct, subprocess, sys, time
MARK = b"LEAK-MARK-0451" * 4
DNS = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\x0eleak-mark-0451\7example\0\0\1\0\1"
PLACES = ["192.0.2.1", "192.0.2.2", "198.51.100.53", "224.0.0.251", "239.255.255.250",
          "255.255.255.255", "127.0.0.53", "2001:db8::1", "2001:db8::2", "2001:db8:5::1",
          "ff02::fb%1", "ff02::fb%2", "ff05::2"]
reached = set()

def attempt(what):
    try: what()
    except (OSError, ValueError, subprocess.SubprocessError): pass

def udp(place, port, payload, device=None):
    family = socket.AF_INET6 if ":" in place else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if device: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
        s.sendto(payload, (place, port))

def tcp(place, port):
    family = socket.AF_INET6 if ":" in place else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(0.05)
        s.connect((place, port))
        s.sendall(MARK)
        reached.add(place)

def icmp(place):
    v6 = ":" in place
    kind, protocol = (socket.AF_INET6, 58) if v6 else (socket.AF_INET, 1)
    with socket.socket(kind, socket.SOCK_DGRAM, protocol) as s:
        s.sendto(struct.pack("!BBHHH", 128 if v6 else 8, 0, 0, 1, 1) + MARK, (place, 0))

def raw(family, protocol):
    with socket.socket(family, socket.SOCK_RAW, protocol) as s:
        s.sendto(MARK, ("224.0.0.251", 0))

def packet():
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind(("e0", 0)); s.send(b"\xff" * 12 + b"\x08\0" + MARK)

def vsock():
    with socket.socket(40, socket.SOCK_STREAM) as s:
        s.settimeout(0.05); s.connect((2, 22)); reached.add("vsock")

def command(*words): subprocess.run(words, capture_output=True, timeout=5)

ENVOY = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
         "s.sendto(b'LEAK-MARK-0451', ('192.0.2.2', 53))")

def round_of_noise():
    for place in PLACES:
        attempt(lambda: udp(place, 53, DNS))
        attempt(lambda: udp(place, 9, MARK))
        attempt(lambda: icmp(place))
        for device in (b"e0", b"lo", b"warren0"): attempt(lambda: udp(place, 9, MARK, device))
    for place in ("127.0.0.1", "192.0.2.1", "::1", "2001:db8::1"): attempt(lambda: tcp(place, 7777))
    for protocol in (1, 2, 17, 255): attempt(lambda: raw(socket.AF_INET, protocol))
    attempt(packet); attempt(vsock)
    for words in (("ip", "route", "add", "192.0.2.0/24", "dev", "lo"),
                  ("ip", "route", "add", "default", "dev", "e0"),
                  ("ip", "link", "add", "v0", "type", "veth", "peer", "v1"),
                  ("ip", "link", "set", "warren0", "netns", "1"),
                  ("nsenter", "--net=/proc/1/ns/net", "ip", "link", "del", "warren0"),
                  ("unshare", "-Urn", "/usr/bin/python3", "-c", ENVOY),
                  ("unshare", "-Urm", "umount", "/run"),
                  ("timeout", "0.5", "getent", "hosts", "leak-mark.example")):
        attempt(lambda: command(*words))

def answered():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.3)
        try: s.sendto(b"alive", ("10.77.0.1", 9)); return s.recv(9) == b"alive"
        except OSError: return False

number = 0
while True:
    round_of_noise()
    number += 1
    state = "answered" if answered() else "silent"
    print(number, state, " ".join(sorted(reached)) or "-", flush=True)
"""


def strangers(capture):
    """Packets that are neither WireGuard's nor made by the kernel on its own account."""
    ours = ("arp or icmp6 or (ip6 and dst host ff02::16) or "
            "(udp and host 192.0.2.2 and port 51820) or (icmp and src host 192.0.2.2) or "
            f"({told_late(51820)}) or (host 127.0.0.1 and (icmp or udp port {Capture.LAST_PORT}))")
    return output("tcpdump", "-nn", "-r", capture.file, f"not ({ours})")


@pytest.fixture(params=["split", "all"])
def noisy(request):
    lab = Lab()
    lab.profile("lab", lab.conf(allowed="0.0.0.0/0, ::/0" if request.param == "all" else
                                "10.77.0.0/24, fd77::/64", peer="PersistentKeepalive = 1"))
    try:
        yield lab
    finally:
        lab.close()


def rounds(run, wanted, several=2):
    """Waits for whole rounds after now; the last of them must tell what is wanted, in time."""
    for number in range(40):
        line = run.stdout.readline().split()
        assert line and line[2:] == ["-"], (line, run.poll() is not None and run.stderr.read())
        if number >= several and line[1] == wanted:
            return
    raise AssertionError(f"never {wanted}")


def listen_on_host(lab):
    script = ("import socket, threading\n"
              "for host in ('127.0.0.1', '192.0.2.1'): \n"
              "    s = socket.create_server((host, 7777)); globals()[host] = s\n"
              "s6 = socket.create_server(('::', 7777), family=socket.AF_INET6)\n"
              "print('ready', flush=True)\nthreading.Event().wait()")
    child = lab.start(lab.in_host("/usr/bin/python3", "-c", script), stdout=subprocess.PIPE,
                      text=True)
    assert child.stdout.readline() == "ready\n"


def test_nothing_leaves_but_the_tunnel(noisy):
    listen_on_host(noisy)
    resolv_conf = pathlib.Path("/etc/resolv.conf").read_bytes()
    capture = Capture(noisy)
    run = noisy.begin("/usr/bin/python3", "-uc", NOISE)
    rounds(run, "answered")
    engine = wait_until(lambda: noisy.engine(), "the engine")
    os.kill(engine, signal.SIGKILL)
    rounds(run, "answered")
    roam = ("ip", "-n", noisy.host, "address")
    subprocess.run([*roam, "del", "192.0.2.1/24", "dev", "e0"], check=True)
    rounds(run, "silent", 0)  # no uplink at all
    subprocess.run([*roam, "add", "192.0.2.7/24", "dev", "e0"], check=True)
    rounds(run, "answered")
    noisy.far_process.kill()
    rounds(run, "silent")
    run.send_signal(signal.SIGTERM)
    assert run.wait(10) == 143
    capture.end()
    assert not capture.marked(MARK)
    assert strangers(capture) == ""
    assert pathlib.Path("/etc/resolv.conf").read_bytes() == resolv_conf


def test_the_capture_would_see_it(noisy):
    capture = Capture(noisy)
    subprocess.run(noisy.in_host("/usr/bin/python3", "-c", "import socket\n"
                   "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                   f"s.sendto(b'{MARK}', ('192.0.2.2', 53))"), check=True)
    capture.end()
    assert capture.marked(MARK) and "192.0.2.2.53" in strangers(capture)


# --- TunnelCrack: routes that VPN clients except from their tunnel ---

WHO = "import urllib.request\nprint(urllib.request.urlopen('http://%s:8080/%d', timeout=20).status)"


class Rogue:
    """Another network at the host, with the addresses that only the tunnel should lead to."""

    def __init__(self, lab, *addresses):
        self.name, self.lab = f"{lab.name}-rogue", lab
        output("ip", "netns", "add", self.name)
        make_plain(self.name)
        output("ip", "link", "add", "e1", "netns", lab.host, "type", "veth", "peer", "name", "e1",
               "netns", self.name)
        for namespace, ending in ((lab.host, 200), (self.name, 1)):
            ip = ("ip", "-n", namespace)
            for address in addresses:
                output(*ip, "address", "add", f"{address}.{ending}/24", "dev", "e1")
            output(*ip, "link", "set", "e1", "up")
        self.listener = lab.start(
            ["nsenter", f"--net=/run/netns/{self.name}", "/usr/bin/python3", "-uc",
             "import socket\ns = socket.create_server(('0.0.0.0', 8080)); print('ready')\n"
             "while True:\n    s.accept()[0].close(); print('caught')"],
            stdout=subprocess.PIPE, text=True)
        assert self.listener.stdout.readline() == "ready\n"

    def close(self):
        """What it has caught and nobody has read yet."""
        if self.listener.poll() is not None:
            return None
        self.listener.kill()
        self.listener.wait(20)
        subprocess.run(["ip", "netns", "delete", self.name], check=True)
        return self.listener.stdout.read()


@pytest.mark.parametrize("allowed", ["0.0.0.0/0, ::/0", "10.77.0.0/24, 198.51.100.0/24"],
                         ids=["all", "split"])
def test_local_networks_of_the_host_do_not_catch_traffic(allowed):
    """LocalNet: the host's network claims to hold the addresses that the victim wants to reach."""
    lab = Lab()
    lab.profile("lab", lab.conf(allowed=allowed))
    rogue = None
    try:
        rogue = Rogue(lab, "10.77.0", "198.51.100")
        outside = subprocess.run(lab.in_host("/usr/bin/python3", "-c", "import socket\n"
                                 "socket.create_connection(('198.51.100.1', 8080))"))
        assert outside.returncode == 0 and rogue.listener.stdout.readline() == "caught\n"
        wait_until(lambda: not lab.ending_connections(), "that connection has ended")
        capture = Capture(lab)
        assert lab.check(WHO % ("10.77.0.1", 5)) == "200\n"
        lost = lab.run("/usr/bin/python3", "-c", WHO.replace("timeout=20", "timeout=1") %
                       ("198.51.100.1", 5))
        assert lost.returncode != 0 and "200" not in lost.stdout
        capture.end()
        assert strangers(capture) == ""
        assert rogue.close() == ""
    finally:
        if rogue:
            rogue.close()
        lab.close()


def test_the_servers_own_address_is_inside_the_tunnel_too():
    """ServerIP: no route around the tunnel leads to the address that the tunnel itself uses."""
    lab = Lab()
    lab.profile("lab", lab.conf(allowed="0.0.0.0/0, ::/0"))
    lab.profile("split", lab.conf())
    try:
        capture = Capture(lab)
        # The far end answers on its outer addresses as well: what arrives there came by the tunnel.
        assert lab.check(WHO % ("192.0.2.2", 5)) == "200\n"
        assert lab.check(WHO % ("[2001:db8::2]", 5)) == "200\n"
        for host in ("192.0.2.2", "[2001:db8::2]"):
            done = lab.run("/usr/bin/python3", "-c", WHO % (host, 5), profile="split")
            assert "unreachable" in done.stderr, done
        capture.end()
        assert strangers(capture) == ""
    finally:
        lab.close()
