#!/usr/bin/env python3
"""peers.py BIN_DIR [ROUNDS]: very many peers on one engine, beside wireguard-go, interleaved in one run.

Each round starts every program anew for every measurement that changes it, in a namespace of its own:
configure 10,000 peers in one request (a raw socket, then `wg setconf` and `wg syncconf`), memory for each
of them, `wg show dump`; then 100,000, and with them in place one peer added and removed again and again
while TCP and ping run through the tunnel. Prints medians; the last line is the JSON of it all.
wireguard-go stays at 10,000: it would need some 3 GB and half a million goroutines.
"""
import base64
import ipaddress
import json
import os
import re
import secrets
import socket
import statistics
import sys
import tempfile
import time

from contenders import Absent, interface_name, program, start_wireguard
from world import B, INNER_A, INNER_B, Wire, process_tree, resident_kib, sh

FEW, MANY = 10_000, 100_000
CHANGES = 200


def peers(count):
    """(key in hex, key in base64, allowed IP) of `count` peers. Any 32 bytes are a public key."""
    first = int(ipaddress.ip_address("10.128.0.1"))
    for number in range(count):
        key = secrets.token_bytes(32)
        yield key.hex(), base64.b64encode(key).decode(), ipaddress.ip_address(first + number)


def request(some):
    lines = [f"public_key={hexed}\nallowed_ip={address}/32\n" for hexed, _, address in some]
    return ("set=1\nprivate_key=" + secrets.token_hex(32) + "\nreplace_peers=true\n" + "".join(lines) + "\n").encode()


def conf(some):
    sections = [f"[Peer]\nPublicKey={encoded}\nAllowedIPs={address}/32\n" for _, encoded, address in some]
    return f"[Interface]\nPrivateKey={sh('wg', 'genkey')}\n" + "".join(sections)


class Api:
    """The userspace API of one interface; every call is timed in milliseconds."""

    def __init__(self, interface):
        self.path = f"/var/run/wireguard/{interface}.sock"

    def ask(self, text):
        began = time.perf_counter()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.path)
            connection.sendall(text)
            answer = b""
            while not answer.endswith(b"\n\n"):
                got = connection.recv(1 << 16)
                if not got:
                    raise RuntimeError(f"the answer ends early: {answer[-80:]}")
                answer = answer[-2:] + got
            if b"errno=0\n\n" not in answer[-16:]:
                raise RuntimeError(f"refused: {answer[-80:]}")
        return (time.perf_counter() - began) * 1e3


def timed(function, *arguments, **named):
    began = time.perf_counter()
    function(*arguments, **named)
    return (time.perf_counter() - began) * 1e3


def memory(child):
    return sum(resident_kib(pid) for pid in process_tree(child.pid))


def configured(command, count, figures):
    """Time and memory of `count` peers, by socket and by wg."""
    some = list(peers(count))
    label = f"{count:,} peers"
    with Wire() as wire:
        interface = interface_name(wire, "a")
        child = start_wireguard(wire, "a", command, interface)
        empty = memory(child)
        figures[f"{label}: one request on the socket, ms"] = Api(interface).ask(request(some))
        figures[f"{label}: memory of each, bytes"] = (memory(child) - empty) * 1024 / count
        figures[f"{label}: get on the socket, ms"] = Api(interface).ask(b"get=1\n\n")
        figures[f"{label}: memory of each after that, bytes"] = (memory(child) - empty) * 1024 / count
        figures[f"{label}: wg show dump, ms"] = timed(wire.run, "a", "wg", "show", interface, "dump")
    with Wire() as wire, tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        interface = interface_name(wire, "a")
        start_wireguard(wire, "a", command, interface)
        file.write(conf(some))
        file.flush()
        figures[f"{label}: wg setconf, ms"] = timed(wire.run, "a", "wg", "setconf", interface, file.name)
        figures[f"{label}: wg syncconf of the same, ms"] = timed(wire.run, "a", "wg", "syncconf", interface, file.name)


def tunnel(wire, command):
    """Both ends up with one peer each; the interfaces by side."""
    keys = {side: sh("wg", "genkey").strip() for side in "ab"}
    names = {side: interface_name(wire, side) for side in "ab"}
    for side, other, inner in (("a", "b", INNER_A), ("b", "a", INNER_B)):
        start_wireguard(wire, side, command, names[side])
        public = sh("wg", "pubkey", input=keys[other]).strip()
        endpoint = f"Endpoint={B}:51820\n" if side == "a" else ""
        text = (f"[Interface]\nPrivateKey={keys[side]}\nListenPort=51820\n[Peer]\nPublicKey={public}\n"
                f"{endpoint}AllowedIPs=10.99.0.0/24\n")
        wire.run(side, "wg", "setconf", names[side], "/dev/stdin", input=text)
        wire.run(side, "ip", "addr", "add", f"{inner}/24", "dev", names[side])
        wire.run(side, "ip", "link", "set", names[side], "mtu", "1420", "up")
    wire.run("a", "ping", "-c", "3", "-i", "0.2", "-W", "5", INNER_B)
    return names


def changes_under_traffic(command, count, figures):
    """All peers come to an engine that is at work; then one is added and removed many times."""
    label = f"{count:,} peers, traffic"
    with Wire() as wire:
        names = tunnel(wire, command)
        api = Api(names["a"])
        wire.start("b", "iperf3", "-s")
        wire.run("b", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do ss -ltn | grep -q :5201 && exit 0; sleep 0.1; done; exit 1")
        load = wire.start("a", "iperf3", "-c", INNER_B, "-t", "8", "-b", "500M", "-J")
        ping = wire.start("a", "ping", "-c", "700", "-i", "0.01", "-q", INNER_B)
        some = request(list(peers(count)))
        some = b"set=1\n" + some[some.index(b"public_key="):]  # beside the peer that is talking
        figures[f"{label}: one request on the socket, ms"] = api.ask(some)
        added, removed = [], []
        for hexed, _, address in peers(CHANGES):
            added.append(api.ask(f"set=1\npublic_key={hexed}\nallowed_ip={address}/32\n\n".encode()))
            removed.append(api.ask(f"set=1\npublic_key={hexed}\nremove=true\n\n".encode()))
            time.sleep(0.01)
        figures[f"{label}: add one, ms"] = statistics.median(added)
        figures[f"{label}: remove one, ms"] = statistics.median(removed)
        ping.wait(60)
        load.wait(60)
        ping.log.seek(0)
        said = ping.log.read()
        figures[f"{label}: pings lost, %"] = float(re.search(r"([\d.]+)% packet loss", said)[1])
        figures[f"{label}: longest ping, ms"] = float(re.search(r"= [\d.]+/[\d.]+/([\d.]+)/", said)[1])
        load.log.seek(0)
        end = json.loads(load.log.read())["end"]
        figures[f"{label}: TCP of 500 Mb/s"] = end["sum_received"]["bits_per_second"] / 1e6


def contenders(binaries):
    found = {"warren-engine": [f"{binaries}/warren-engine", "-f"]}
    for name, paths in (("wireguard-go newest", ["build/newest/usr/bin/wireguard-go"]),
                        ("wireguard-go", ["wireguard-go"])):
        try:
            found[name] = [os.path.abspath(program(*paths)) if "/" in paths[0] else program(*paths), "-f"]
        except Absent:
            pass
    return found


def main():
    found = contenders(os.path.abspath(sys.argv[1]))
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    results = {name: [] for name in found}
    for number in range(rounds):
        for name, command in found.items():
            figures = {}
            configured(command, FEW, figures)
            if name == "warren-engine":
                configured(command, MANY, figures)
            changes_under_traffic(command, MANY if name == "warren-engine" else FEW, figures)
            results[name].append(figures)
            print(f"round {number + 1}/{rounds}: {name} done", file=sys.stderr)
    median = {name: {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}
              for name, runs in results.items()}
    print(f"{'':<52}" + "".join(f"{name:>22}" for name in found))
    for figure in dict.fromkeys(figure for one in median.values() for figure in one):
        cells = [f"{one[figure]:.2f}" if figure in one else "-" for one in median.values()]
        print(f"{figure:<52}" + "".join(f"{cell:>22}" for cell in cells))
    print(json.dumps({"rounds": rounds, "median": median}))


if __name__ == "__main__":
    sys.exit(main())
