"""Two engines built with sanitizers, two workers each, under traffic while their configuration
changes. Whatever a sanitizer has to say fails it. `make asan` and `make tsan` run it."""

import os
import re
import select
import subprocess
import threading
import time

import pytest

import lab
from test_offloads import CARRY, children, start  # noqa: F401 (a fixture)

SECONDS = float(os.environ.get("WARREN_SANITIZED_SECONDS", "20"))
REPORT = re.compile(r"Sanitizer|runtime error", re.IGNORECASE)


class Traffic(threading.Thread):
    """Content over TCP and UDP, again and again, until `ended`."""

    def __init__(self, sender, receiver, family, port):
        super().__init__()
        size = 1420 - (28 if family == 4 else 48)
        self.command = sender.command("/usr/bin/python3", CARRY, "send", receiver.inner[family], port,
                                      3_000_000, size)
        self.ended = threading.Event()
        self.rounds = 0
        self.failure = None

    def run(self):
        while not self.ended.is_set():
            try:
                done = subprocess.run(self.command, capture_output=True, text=True, timeout=120)
            except subprocess.TimeoutExpired as late:
                self.failure = f"{late}: {late.stdout} {late.stderr}"
                return
            if done.returncode != 0:
                self.failure = done.stdout + done.stderr
                return
            self.rounds += 1


def change_something(host, other, number):
    """What a gateway's life brings: peers come and go, all at once too, keys and ports change."""
    stranger = lab.hex_of(lab.output("wg", "genpsk"))
    lines = [f"public_key={stranger}", f"endpoint=192.0.2.9:{1000 + number}", "allowed_ip=10.77.0.1/32"]
    assert host.errno_of("\n".join(lines) + "\n") == 0
    host.pings("10.77.0.1", 1, seconds=1) if number % 8 == 0 else None
    assert host.errno_of(f"public_key={stranger}\nremove=true\n") == 0
    peer = [f"public_key={other.keys.public_hex}", f"endpoint={other.outer[4]}:{other.port}",
            f"allowed_ip={other.inner[4]}/32", f"allowed_ip={other.inner[6]}/128"]
    if number % 10 == 5:
        assert host.errno_of("replace_peers=true\n" + "\n".join(peer) + "\n") == 0
    if number % 10 == 8:
        host.port += 2
        assert host.errno_of(f"listen_port={host.port}\n") == 0
        other.set("peer", host.keys.public, "endpoint", f"{host.outer[4]}:{host.port}")
    host.run("wg", "show", host.interface, "dump")


def said(host):
    """What the program has written so far."""
    text = ""
    while select.select([host.process.stderr], [], [], 0)[0]:
        chunk = os.read(host.process.stderr.fileno(), 65536)
        if not chunk:
            break
        text += chunk.decode(errors="replace")
    return text


def test_traffic_and_changes_with_two_workers(wire, children):
    lab.require("ping")
    options = {"WARREN_WORKERS": "2", "ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "exitcode=66",
               "UBSAN_OPTIONS": "print_stacktrace=1"}
    for host in (wire.a, wire.b):
        host.start(lab.ENGINE, **options)
        host.set_key()
        host.up()
    wire.a.add_peer(wire.b, family=4)
    wire.b.add_peer(wire.a, family=4)
    assert wire.a.pings(wire.b.inner[4])
    streams = []
    for sender, receiver in ((wire.a, wire.b), (wire.b, wire.a)):
        for family in (4, 6):
            _, port = start(children, receiver, "receive", receiver.inner[family])
            streams.append(Traffic(sender, receiver, family, port))
    for stream in streams:
        stream.start()
    text = ""
    end = time.monotonic() + SECONDS
    number = 0
    while time.monotonic() < end and not any(stream.failure for stream in streams):
        change_something(wire.a, wire.b, number)
        number += 1
        text += said(wire.a) + said(wire.b)
        time.sleep(0.1)  # packets must flow between two changes
    for stream in streams:
        stream.ended.set()
    for stream in streams:
        stream.join()
    assert not [stream.failure for stream in streams if stream.failure], text
    assert all(stream.rounds > 0 for stream in streams), "every stream carried something"
    for host in (wire.a, wire.b):
        host.process.terminate()
        text += host.process.communicate(timeout=20)[1]
        code, host.process = host.process.returncode, None
        assert not REPORT.search(text), text
        assert code == 0, text
    print(f"{number} changes, {sum(stream.rounds for stream in streams)} rounds of content")
