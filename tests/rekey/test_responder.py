"""Real time, past a rekey (120 s) and the end of the first session (180 s), with the roles turned
round: wireguard-go starts every handshake and warren-engine only answers."""

import re
import subprocess

import lab
import pytest

SECONDS = 190
INTERVAL = 0.1  # seconds between echo requests


@pytest.fixture
def wire():
    lab.require("ip", "wg", "nsenter", "ping", "wireguard-go")
    made = lab.Lab()
    yield made
    made.close()


def test_no_packet_is_lost_when_the_other_side_rekeys(wire):
    engine, other = wire.a, wire.b
    wire.connect()
    engine.add_peer(other)  # no endpoint: it cannot begin
    other.add_peer(engine, family=4)
    assert other.pings(engine.inner[4])
    first = other.peer(engine)["handshake"]
    count = int(SECONDS / INTERVAL)
    done = subprocess.run(
        other.command("ping", "-n", "-q", "-c", count, "-i", INTERVAL, "-W", "2", engine.inner[4]),
        capture_output=True, text=True, timeout=SECONDS + 60,
    )
    received = re.search(r"(\d+) received", done.stdout)
    assert received and int(received[1]) == count, done.stdout
    assert other.peer(engine)["handshake"] >= first + 120
    assert abs(other.peer(engine)["handshake"] - engine.peer(other)["handshake"]) <= 1
