"""Real time, past both the rekey (120 s) and the reject (180 s) limit of a session."""

import lab


def test_traffic_outlives_the_session_keys(wire):
    lab.require("wireguard-go", "ping")
    wire.connect()
    wire.a.add_peer(wire.b, family=4)
    wire.b.add_peer(wire.a)
    assert wire.a.pings(wire.b.inner[4])
    first = wire.a.peer(wire.b)["handshake"]
    done = lab.subprocess.run(
        wire.a.command("ping", "-n", "-c", "950", "-i", "0.2", "-W", "2", "-q", wire.b.inner[4]),
        capture_output=True, text=True, timeout=230,
    )
    assert " 950 received" in done.stdout, done.stdout
    assert wire.a.peer(wire.b)["handshake"] >= first + 120
