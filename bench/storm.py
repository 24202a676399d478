#!/usr/bin/env python3
"""storm.py BIN_DIR [ROUNDS]: what an established session feels while thousands of members knock.

End b is a hub with PEERS members that knock as fast as the generator's core can make them
(handshake_flood); one more member, end a, has a session and carries UDP and pings all the while.
Twice: with few initiations on their way at once, so that the hub keeps up, and with thousands, so
that it has to defend itself with cookies. Prints loss and latency without and with the storm,
and where the kernel lost packets, medians of interleaved rounds; the last line is JSON.
"""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

import contenders
import handshakes
from world import A, B, INNER_A, INNER_B, Wire, sh

PEERS = 5000
WINDOWS = {"storm": 64, "overload": 4096}  # initiations on their way at once: the hub keeps up, or not
SECONDS = 4
MEGABITS = 200
# The receiving iperf3 must not be what loses packets while it waits for a processor.
IPERF_BUFFER = "2M"


def carry(wire):
    """UDP at a steady rate and pings beside it: (loss in %, ping p50, p99 in ms)."""
    server = wire.start("b", "iperf3", "-s", "-1", "-p", "5301")
    for _ in range(100):
        if ":5301" in wire.run("b", "ss", "-ltn"):
            break
    ping = subprocess.Popen(wire.inside("a", "ping", "-c", str(SECONDS * 100), "-i", "0.01", INNER_B),
                            stdout=subprocess.PIPE, text=True)
    out = json.loads(wire.run("a", "iperf3", "-u", "-c", INNER_B, "-p", "5301", "-b", f"{MEGABITS}M", "-l", "1200",
                              "-w", IPERF_BUFFER, "-t", str(SECONDS), "-J", timeout=SECONDS + 20))
    times = sorted(float(text) for text in re.findall(r"time=([\d.]+) ms", ping.communicate(timeout=30)[0]))
    server.wait(10)
    lost = out["end"]["sum"]["lost_percent"]
    return {"lost_percent": lost, "ping_lost": SECONDS * 100 - len(times), "ping_p50": times[len(times) // 2],
            "ping_p99": times[int(len(times) * 0.99)]}


def losses(wire, interfaces):
    """What the kernel has counted as lost: before end a's tunnel, before end b's socket, behind it."""
    def link(side, what):
        found = json.loads(wire.run(side, "ip", "-j", "-s", "link", "show", interfaces[side]))[0]
        return found["stats64"][what]["dropped"]

    def sockets(*filter):
        found = wire.run("b", "ss", "-H", "-u", "-a", "-n", "-m", *filter)
        return sum(int(dropped) for dropped in re.findall(r",d(\d+)\)", found))

    return {"lost_before_tunnel": link("a", "tx"), "lost_before_hub": sockets("sport = :51820"),
            "lost_behind_hub": link("b", "rx")}


def member(wire, engine, hub_interface, hub_key):
    """A session of end a with the hub."""
    interface = contenders.interface_name(wire, "a")
    contenders.start_wireguard(wire, "a", engine, interface)
    key = sh("wg", "genkey").strip()
    conf = (f"[Interface]\nPrivateKey={key}\nListenPort=51820\n[Peer]\nPublicKey={hub_key}\n"
            f"Endpoint={B}:51820\nAllowedIPs={INNER_B}/32\n")
    wire.run("a", "wg", "setconf", interface, "/dev/stdin", input=conf)
    wire.run("b", "wg", "set", hub_interface, "peer", sh("wg", "pubkey", input=key).strip(),
             "allowed-ips", f"{INNER_A}/32")
    for side, name, address in (("a", interface, INNER_A), ("b", hub_interface, INNER_B)):
        wire.run(side, "ip", "addr", "add", f"{address}/24", "dev", name)
        wire.run(side, "ip", "link", "set", name, "mtu", "1420", "up")
    wire.run("a", "ping", "-c", "3", "-i", "0.2", "-W", "5", INNER_B)
    return {"a": interface, "b": hub_interface}


def measure(binaries, engine, folder, window):
    with Wire() as wire:
        wire.run("a", "ip", "route", "add", "local", handshakes.SOURCES, "dev", "lo")
        wire.run("b", "ip", "route", "add", handshakes.SOURCES, "via", A)
        interface = contenders.interface_name(wire, "b")
        contenders.start_wireguard(wire, "b", engine, interface)
        conf = f"{folder}/storm.conf"
        flood = wire.start("a", f"{binaries}/handshake_flood", B, "51820", str(PEERS), str(SECONDS + 2), conf, str(window),
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        handshakes.expect(flood, "ready")
        wire.run("b", "wg", "setconf", interface, conf)
        interfaces = member(wire, engine, interface, wire.run("b", "wg", "show", interface, "public-key").strip())
        calm = carry(wire)
        print("go", file=flood.stdin, flush=True)
        handshakes.expect(flood, "flood")
        before = losses(wire, interfaces)
        storm = carry(wire)
        storm |= {place: lost - before[place] for place, lost in losses(wire, interfaces).items()}
        found = json.loads(flood.stdout.readline())
        storm |= {"handshakes_per_second": found["answered"] / found["seconds"], "cookies": found["cookies"]}
        return calm, storm


def main():
    binaries = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    engines = {contenders.WARREN: [f"{binaries}/warren-engine", "-f"]}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for name, engine in engines.items():
                for weather, window in WINDOWS.items():
                    calm, storm = measure(binaries, engine, folder, window)
                    found.setdefault((name, "calm"), []).append(calm)
                    found.setdefault((name, weather), []).append(storm)
    medians = {}
    for (name, weather), values in found.items():
        middle = {key: statistics.median(one[key] for one in values) for key in values[0]}
        medians.setdefault(name, {})[weather] = middle
        print(f"{name:16} {weather:9} " + "  ".join(f"{key} {value:.2f}" for key, value in middle.items()))
    print(json.dumps(medians))


if __name__ == "__main__":
    main()
