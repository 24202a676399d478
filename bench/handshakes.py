"""Handshakes per second as responder, on one core: the generator (handshake_flood) has the other."""
import json
import subprocess

import contenders
from world import A, B, Wire, cpu_seconds, process_tree, tree_kib

PEERS = 2000
RESPONDERS = (contenders.WARREN, contenders.WIREGUARD_GO, contenders.WIREGUARD_GO_OLD)
SOURCES = "198.18.0.0/15"                # benchmarking networks: one source address per peer


def measure(make, binaries, folder, seconds):
    """One round of one program: handshakes per second, CPU of each, and what X25519 allows."""
    with Wire() as wire:
        wire.run("a", "ip", "route", "add", "local", SOURCES, "dev", "lo")
        wire.run("b", "ip", "route", "add", SOURCES, "via", A)
        interface = contenders.interface_name(wire, "b")
        responder = contenders.start_wireguard(wire, "b", ("taskset", "-c", "1", *make.command), interface)
        empty = tree_kib(process_tree(responder.pid))[1]
        conf = f"{folder}/flood.conf"
        flood = wire.start("a", "taskset", "-c", "0", f"{binaries}/handshake_flood", B, "51820", str(PEERS),
                           str(seconds), conf, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        expect(flood, "ready")
        wire.run("b", "wg", "setconf", interface, conf)
        wire.run("b", "ip", "link", "set", interface, "up")
        print("go", file=flood.stdin, flush=True)
        expect(flood, "flood")  # now every peer has a session
        active = (tree_kib(process_tree(responder.pid))[1] - empty) * 1024 / PEERS
        before = cpu_seconds(process_tree(responder.pid))
        found = json.loads(flood.stdout.readline())
        cpu = cpu_seconds(process_tree(responder.pid)) - before
        answered = max(1, found["answered"])
        rate = answered / found["seconds"]
        return {"per_second": rate, "cpu_us": cpu / answered * 1e6, "cookies": found["cookies"],
                "unanswered": found["unanswered"], "x25519_us": found["x25519_us"],
                "of_x25519_bound": rate * found["x25519_us"] / 1e6, "active_peer_bytes": active}


def expect(flood, word):
    line = flood.stdout.readline().strip()
    if line != word:
        flood.wait(5)
        flood.log.seek(0)
        raise RuntimeError(f"handshake_flood: {flood.log.read()[-400:] or 'ended'}")
