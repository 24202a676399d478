"""TCP from inside a run to a server on the other host, beside other ways to get out of a namespace.

All cross the same wire. slirp4netns and pasta only translate addresses, warren and openconnect also
encrypt; each has the MTU it works best with or was made for (65,520 for the first two).
"""
import collections

import measures
import run_rivals
from run_world import SERVER
from world import B, sh

FIGURES = ["tcp1", "tcp1_back", "tcp8", "tcp8_back"]


class Inside:
    """What measures.py asks of a tunnel: end a is a command of this way."""

    def __init__(self, wire, way, address):
        self.real, self.way, self.address, self.wire = wire, way, address, self

    def run(self, side, *argv, **options):
        return sh(*self.way(*argv), **options) if side == "a" else self.real.run(side, *argv, **options)

    def start(self, side, *argv, **options):
        return self.real.start(side, *argv, **options)


def measure(world, ways, rounds, seconds, say):
    places = {"no namespace": (lambda *argv: world.as_user(*argv), B)}
    inside = {run_rivals.WARREN: SERVER, run_rivals.SLIRP: B, run_rivals.PASTA: B, run_rivals.OPENCONNECT: "10.99.0.1"}
    places |= {name: (ways.found[name], inside[name]) for name in inside if name in ways.found}
    values = {name: collections.defaultdict(list) for name in places}
    for number in range(rounds):
        order = list(places)
        for name in order[number % len(order):] + order[:number % len(order)]:
            for figure in FIGURES:
                streams, back = int(figure[3]), figure.endswith("back")
                try:
                    values[name][figure].append(measures.iperf(Inside(world.wire, *places[name]), streams, seconds, back)[0])
                except Exception as error:  # one way that fails does not end the others
                    say(f"!!! {name} {figure} FAILED: {str(error)[-200:]}")
            say(f"throughput, round {number + 1}/{rounds}: {name}")
    return {name: dict(figures) for name, figures in values.items()}


def text(found, table, cell):
    heads = [f"{measures.FIGURES[key].heading}, Gb/s" for key in FIGURES]
    return table("TCP throughput from inside, over one wire", found, heads,
                 lambda name: [cell(found[name].get(key), measures.FIGURES[key]) for key in FIGURES]) + (
        "slirp4netns, pasta and no namespace carry plain TCP; warren and openconnect encrypt, and both ends share the cores\n")
