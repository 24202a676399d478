"""From the values of all rounds to what people read: medians with their spread, ratios, targets."""
import statistics

from contenders import VETH, WARREN, WARREN_NO_AEAD, WIREGUARD_GO
from measures import FIGURES, GROUPS

NAME, CELL = 22, 18


def medians(rivals):
    """{contender: {figure: median over the rounds}}"""
    return {name: {figure: statistics.median(values) for figure, values in figures.items()}
            for name, figures in rivals.items()}


def cell(values, figure):
    """The median and how far the farthest round is from it."""
    if not values:
        return "-"
    middle = statistics.median(values)
    text = f"{middle:,.{figure.decimals}f}"
    if len(values) == 1 or middle == 0:
        return text
    return f"{text} ±{max(abs(v - middle) for v in values) / middle:.0%}"


def table(title, names, heads, row):
    lines = [title, " " * NAME + "".join(f"{head:>{CELL}}" for head in heads)]
    return "\n".join(lines + [f"{name:<{NAME}}" + "".join(f"{text:>{CELL}}" for text in row(name)) for name in names]) + "\n"


def figures_text(rivals):
    parts = []
    for title, keys in GROUPS:
        heads = [f"{FIGURES[key].heading}, {FIGURES[key].unit}" for key in keys]
        names = [name for name in rivals if any(key in rivals[name] for key in keys)]
        parts.append(table(title, names, heads, lambda name: [cell(rivals[name].get(key), FIGURES[key]) for key in keys]))
    return "\n".join(parts)


def ratios_text(rivals):
    """How many times better warren-engine is, per figure; below 1 it is worse."""
    middle = medians(rivals)
    if WARREN not in middle:
        return ""
    keys = ["tcp1", "tcp8", "plain_tcp1", "plain_tcp8", "udp1400", "udp64", "cpu", "ping_load_p99"]

    def ratio(name, key):
        ours, theirs = middle[WARREN].get(key), middle[name].get(key)
        if not ours or not theirs:
            return "-"
        return f"{ours / theirs if FIGURES[key].more_is_better else theirs / ours:.2f} ×"

    heads = ["TCP 1", "TCP 8", "plain TCP 1", "plain TCP 8", "UDP 1400 B", "UDP 64 B", "CPU per GB", "ping load p99"]
    return table("warren-engine beside each (times better; plain: the wire without offloads)",
                 [name for name in rivals if name != WARREN], heads,
                 lambda name: [ratio(name, key) for key in keys])


def handshakes_text(handshakes):
    def row(name):
        of = {key: statistics.median(values) for key, values in handshakes[name].items()}
        return [f"{of['per_second']:,.0f}", f"{of['cpu_us']:.0f}", f"{of['x25519_us']:.0f}", f"{of['of_x25519_bound']:.2f}",
                f"{of['cookies']:.0f} / {of['unanswered']:.0f}", f"{of['active_peer_bytes']:,.0f}"]
    return table("Handshakes as responder on one core, and the memory of each peer with a session", handshakes,
                 ["per second", "CPU µs each", "its X25519, µs", "of that bound", "cookies / lost", "bytes per peer"], row)


class Promises:
    """Figures beside what was promised of them."""

    def __init__(self, title):
        self.title, self.rows = title, []

    def add(self, what, value, relation, target):
        if value is not None:
            reached = value >= target if relation == ">=" else value <= target
            self.rows.append({"what": what, "value": round(value, 3), "target": f"{relation} {target}", "reached": reached})

    def text(self):
        lines = [f"{self.title:<44}{'value':>10}{'target':>12}"]
        for row in self.rows:
            lines.append(f"{row['what']:<44}{row['value']:>10.2f}{row['target']:>12}  "
                         f"{'reached' if row['reached'] else 'MISSED'}")
        return "\n".join(lines) + "\n"


class Targets(Promises):
    """Of the engine, as ratios in one run. A target whose rival was not measured is left out."""

    def __init__(self, rivals, handshakes, peers):
        super().__init__("Targets (the worse of both directions)")
        self.middle, self.handshakes = medians(rivals), handshakes
        if WARREN in self.middle:
            self.throughput()
            self.rest()
        if WARREN in handshakes:
            ours = {key: statistics.median(values) for key, values in handshakes[WARREN].items()}
            self.add("handshakes/s ÷ what X25519 allows", ours["of_x25519_bound"], ">=", 0.8)
            self.add("memory of an active peer, KiB", ours["active_peer_bytes"] / 1024, "<=", 4)
        configured = peers.get("median", {}).get(WARREN, {})
        for key, what, scale, limit in (("10,000 peers: memory of each, bytes", "memory of an idle peer, KiB", 1024, 1),
                                        ("10,000 peers: wg setconf, ms", "10,000 peers by wg setconf, ms", 1, 150)):
            self.add(what, configured[key] / scale if key in configured else None, "<=", limit)

    def ratio(self, rival, *keys):
        """The smallest of the figures' ratios to one rival."""
        found = [self.middle[WARREN][key] / self.middle[rival][key] for key in keys
                 if rival in self.middle and self.middle[rival].get(key) and self.middle[WARREN].get(key) is not None]
        return min(found, default=None)

    def throughput(self):
        for streams in (1, 8):
            both = (f"tcp{streams}", f"tcp{streams}_back")
            plain = tuple(f"plain_{key}" for key in both)
            name = f"TCP {streams}"
            self.add(f"{name} ÷ {WIREGUARD_GO}", self.ratio(WIREGUARD_GO, *both), ">=", 3)
            for rival in self.middle:
                if rival.startswith(("boringtun", "gotatun", "openvpn")):
                    self.add(f"{name} ÷ {rival}", self.ratio(rival, *both), ">=", 8)
            self.add(f"{name} ÷ {WARREN_NO_AEAD}", self.ratio(WARREN_NO_AEAD, *both), ">=", 0.65)
            self.add(f"{name}, plain wire ÷ {WIREGUARD_GO}", self.ratio(WIREGUARD_GO, *plain), ">=", 2.5)

    def rest(self):
        ours = self.middle[WARREN]
        for size in (1400, 64):
            key = f"udp{size}"
            best = max((figures.get(key, 0) for name, figures in self.middle.items()
                        if name not in (VETH, WARREN, WARREN_NO_AEAD)), default=0)
            self.add(f"UDP {size} B ÷ best rival", ours[key] / best if best and key in ours else None, ">=", 1.7)
        self.add(f"ping under load, p99 ÷ {WIREGUARD_GO}", self.ratio(WIREGUARD_GO, "ping_load_p99"), "<=", 0.5)
        self.add(f"CPU s/GB ÷ {WIREGUARD_GO}", self.ratio(WIREGUARD_GO, "cpu"), "<=", 0.333)
        for key, what, limit in (("memory", "idle", 4), ("memory_load", "loaded", 16)):
            if key in ours:
                self.add(f"memory {what}, MiB", ours[key] / 1024, "<=", limit)
                self.add(f"memory {what}, its own, MiB", ours[f"{key}_own"] / 1024, "<=", limit)
