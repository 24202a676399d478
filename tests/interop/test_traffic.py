"""Packets between warren-engine (host a) and wireguard-go (host b)."""

import json

import pytest

import lab


@pytest.fixture(autouse=True)
def programs():
    lab.require("wireguard-go", "ping")


@pytest.mark.parametrize("psk", [False, True], ids=["plain", "psk"])
@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_packets_pass_whoever_starts(wire, first, outer, psk):
    wire.connect()
    key = lab.output("wg", "genpsk") if psk else None
    initiator, responder = (wire.a, wire.b) if first == "ours" else (wire.b, wire.a)
    initiator.add_peer(responder, family=outer, psk=key)
    responder.add_peer(initiator, psk=key)
    for family in (4, 6):
        assert initiator.pings(responder.inner[family]), f"inner IPv{family}"
        assert responder.pings(initiator.inner[family]), f"inner IPv{family}, back"
    assert responder.peer(initiator)["endpoint"].startswith("[" if outer == 6 else "192.0.2.")
    # wg counts outer transport bytes on both sides: what one sent, the other got. (wireguard-go counts
    # a packet a moment after it has sent it.)
    def counted():
        ours, theirs = wire.a.peer(wire.b), wire.b.peer(wire.a)
        return ours["tx"], ours["rx"], theirs["rx"], theirs["tx"]
    lab.wait_until(lambda: counted()[:2] == counted()[2:], lambda: f"sent and got differ: {counted()}")


def test_different_preshared_keys_do_not_connect(wire):
    wire.connect()
    wire.a.add_peer(wire.b, family=4, psk=lab.output("wg", "genpsk"))
    wire.b.add_peer(wire.a, family=4, psk=lab.output("wg", "genpsk"))
    assert not wire.a.pings(wire.b.inner[4], 1, seconds=2)


def test_packets_of_every_size_up_to_the_mtu(wire):
    wire.connect()
    wire.a.add_peer(wire.b, family=4)
    wire.b.add_peer(wire.a)
    for size in (0, 1, 15, 16, 17, 1000, 1391, 1392):
        assert wire.a.pings(wire.b.inner[4], 2, "-M", "do", "-s", size), size


@pytest.mark.parametrize("roamer", ["ours", "theirs"])
def test_a_roaming_peer_is_followed(wire, roamer):
    wire.connect()
    moves, stays = (wire.a, wire.b) if roamer == "ours" else (wire.b, wire.a)
    moves.add_peer(stays, family=4)
    stays.add_peer(moves)
    assert moves.pings(stays.inner[4])
    moves.run("ip", "address", "add", "192.0.2.77/32", "dev", moves.wire)
    moves.run("ip", "address", "delete", f"{moves.outer[4]}/24", "dev", moves.wire)
    moves.run("ip", "route", "add", "192.0.2.0/24", "dev", moves.wire, "src", "192.0.2.77")
    if roamer == "theirs":
        # wireguard-go keeps to its lost source address until its socket is opened anew.
        moves.port = 4444
        moves.set("listen-port", moves.port)
    assert moves.pings(stays.inner[4], 1), "traffic after the move"
    assert stays.peer(moves)["endpoint"] == f"192.0.2.77:{moves.port}"
    assert stays.pings(moves.inner[4]), "and back to the new address"


def test_a_roaming_peer_changes_family(wire):
    wire.connect()
    wire.a.add_peer(wire.b, family=4)
    wire.b.add_peer(wire.a)
    assert wire.a.pings(wire.b.inner[4])
    wire.a.set("peer", wire.b.keys.public, "endpoint", f"[{wire.b.outer[6]}]:{wire.b.port}")
    assert wire.a.pings(wire.b.inner[4])
    assert wire.b.peer(wire.a)["endpoint"] == f"[{wire.a.outer[6]}]:{wire.a.port}"


def test_the_answer_leaves_from_the_address_that_was_asked(wire):
    """A host with several addresses answers from the one the peer knows."""
    wire.connect()
    wire.a.run("ip", "address", "add", "192.0.2.200/24", "dev", wire.a.wire)
    wire.b.set(
        "peer", wire.a.keys.public, "allowed-ips", "10.9.0.1/32",
        "endpoint", f"192.0.2.200:{wire.a.port}",
    )
    wire.a.add_peer(wire.b)
    assert wire.b.pings(wire.a.inner[4])
    assert wire.b.peer(wire.a)["endpoint"] == f"192.0.2.200:{wire.a.port}"


def test_a_source_outside_the_allowed_ips_is_dropped(wire):
    wire.connect()
    wire.a.add_peer(wire.b, family=4)
    wire.b.add_peer(wire.a, family=4)
    assert wire.b.pings(wire.a.inner[4])
    wire.b.run("ip", "address", "add", "10.9.0.66/24", "dev", wire.b.interface)
    assert not wire.b.pings(wire.a.inner[4], 1, "-I", "10.9.0.66", seconds=2)


def test_a_removed_peer_is_cut_at_once(wire):
    wire.connect()
    wire.a.add_peer(wire.b, family=4)
    wire.b.add_peer(wire.a, family=4)
    assert wire.b.pings(wire.a.inner[4])
    wire.a.run("nft", "-f", "-", input=(
        "table inet t { chain c { type filter hook input priority 0;"
        f' iifname "{wire.a.interface}" counter; }}; }}'
    ))
    wire.a.set("peer", wire.b.keys.public, "remove")
    assert not wire.b.pings(wire.a.inner[4], 1, seconds=2)
    rules = json.loads(wire.a.run("nft", "-j", "list", "table", "inet", "t"))["nftables"]
    [counter] = [
        word["counter"] for rule in rules if "rule" in rule
        for word in rule["rule"]["expr"] if "counter" in word
    ]
    assert counter["packets"] == 0, "a packet of a removed peer came out of the tunnel"


def test_two_of_ours_agree(wire):
    wire.connect(theirs=lab.ENGINE)
    wire.a.add_peer(wire.b, family=6)
    wire.b.add_peer(wire.a)
    assert wire.a.pings(wire.b.inner[6], 20)
