"""Packets with every other WireGuard program at hand: the newest wireguard-go that `make interop`
fetched, boringtun and gotatun."""

import os
import shutil

import pytest

import lab

PROGRAMS = {
    "wireguard-go": os.environ.get("WARREN_NEWEST", ""),
    "boringtun": "boringtun-cli",
    "gotatun": "gotatun",
}


@pytest.mark.parametrize("psk", [False, True], ids=["plain", "psk"])
@pytest.mark.parametrize("outer", [4, 6], ids=["outer4", "outer6"])
@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_packets_pass_whoever_starts(wire, program, first, outer, psk):
    path = shutil.which(PROGRAMS[program])
    if path is None:
        pytest.skip(f"{program} is not here (make interop fetches the newest wireguard-go)")
    lab.require("ping")
    wire.connect(theirs=path)
    key = lab.output("wg", "genpsk") if psk else None
    initiator, responder = (wire.a, wire.b) if first == "ours" else (wire.b, wire.a)
    initiator.add_peer(responder, family=outer, psk=key)
    responder.add_peer(initiator, psk=key)
    for family in (4, 6):
        assert initiator.pings(responder.inner[family]), f"inner IPv{family}"
        assert responder.pings(initiator.inner[family]), f"inner IPv{family}, back"
