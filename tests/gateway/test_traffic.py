"""Networks carry traffic, keep it apart, and shut a revoked peer out."""

import json
import pathlib
import sqlite3

from lab import forms


def test_a_stock_client_joins_and_talks(gateway, member):
    member.ping(5, "-i", "0.05")
    peer = gateway.peer("a", "m0")
    assert peer["state"] == "enrolled"
    assert peer["endpoint"].startswith(member.outer + ":")
    assert peer["rx_bytes"] > 0 and peer["tx_bytes"] > 0
    assert gateway.show("a")["connected"] == 1
    # The engine is on the standard socket, under its interface's name.
    name, _ = gateway.engine("a")
    assert member.outer in gateway.run("wg", "show", name, "endpoints")


def test_two_networks_share_one_subnet(world, gateway):
    """Each member reaches its own gateway, and finds nobody else there."""
    for letter, member in zip("ab", world.members):
        gateway.create(letter, "--endpoint", member.outer.rsplit(".", 1)[0] + ".1")
    for letter, member in zip("ab", world.members):
        member.join(letter)
        member.ping(3, "-i", "0.05")
    first, second = gateway.show("a"), gateway.show("b")
    assert first["gateway"] == second["gateway"] == "10.20.0.1"
    assert first["port"] != second["port"]
    for letter in "ab":
        assert gateway.show(letter)["connected"] == 1
    # Both members have the same inner address, each in a network of its own.
    addresses = [gateway.peer(letter, f"m{i}")["address"] for i, letter in enumerate("ab")]
    assert addresses[0] == addresses[1]


def test_revoked_is_out_at_once(gateway, member):
    answer = gateway.ask("revoke", "m0", "--network", gateway.network("a"), "--yes")
    assert answer["pending"] == []
    steps = ", ".join(f"{step['step']} {step['ms']:.2f}" for step in answer["steps"])
    print(f"\nrevoke: {answer['total_ms']:.2f} ms ({steps})")
    lost = member.attempt("ping", "-c", "3", "-i", "0.2", "-W", "1", member.target)
    assert lost.returncode != 0, lost.stdout
    name, _ = gateway.engine("a")
    assert gateway.run("wg", "show", name, "peers") == ""


def test_revoked_stays_out_of_a_daemon_that_starts_again(gateway, member):
    gateway.ask("revoke", "m0", "--network", gateway.network("a"), "--yes")
    gateway.end()
    gateway.start()
    name, _ = gateway.engine("a")
    assert gateway.run("wg", "show", name, "peers") == ""


def test_no_secret_is_ever_logged(world, gateway, member):
    token = gateway.invite("a", "second")
    name, _ = gateway.engine("a")
    gateway.run("wg", "show", name, "private-key")
    database = sqlite3.connect(gateway.state_dir / "warren.db")
    (gateway_key,) = database.execute("SELECT gateway_private_key FROM networks").fetchone()
    database.close()
    secrets = forms(gateway_key) | {token, token[len("warren1"):]}
    for line in member.profile.read_text().splitlines():
        if line.startswith("PrivateKey"):
            secrets.add(line.split("=", 1)[1].strip())
    pem = (gateway.state_dir / "identity.key").read_text().splitlines()
    secrets |= {line for line in pem if not line.startswith("-----")}
    assert len(secrets) >= 8

    logs = [gateway.log, *pathlib.Path(gateway.run_dir / "engines").glob("*.log")]
    records = json.dumps(gateway.ask("audit"))
    assert "peer.invite" in records
    for text in [*(log.read_text() for log in logs), records]:
        for secret in secrets:
            assert secret not in text
