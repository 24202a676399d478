#!/usr/bin/env python3
"""plot.py RESULTS.json OUT.svg: the picture in the README, from the medians of one run.

Four panels of bars with one row per program, in the same order everywhere. Plain SVG with its own
background, dark where the reader's screen is dark; it needs no fonts, scripts or other files.
"""
import json
import sys
from xml.sax.saxutils import escape

from contenders import VETH, WARREN, WARREN_NO_AEAD
from report import medians

PANELS = [
    ("TCP, one stream", "Gb/s", "more is better", "tcp1", 1),
    ("CPU per gigabyte, both ends", "s", "less is better", "cpu", 1),
    ("UDP without loss, 1400-byte packets", "thousands/s", "more is better", "udp1400", 1000),
    ("Ping under load, 99th percentile", "ms", "less is better", "ping_load_p99", 1),
]
MARGIN, PANEL_WIDTH, GAP = 24, 434, 28
LABEL_WIDTH, VALUE_WIDTH = 142, 50
ROW, BAR, PANEL_HEAD = 22, 13, 52
HEAD, FOOT = 62, 36

STYLE = """
  .paper { fill: #ffffff; stroke: #d9dee5 }
  text { font-family: system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2733 }
  .title { font-size: 18px; font-weight: 650 }
  .panel { font-size: 14px; font-weight: 600 }
  .quiet { font-size: 11.5px; fill: #667180 }
  .name, .value { font-size: 12px }
  .value { font-variant-numeric: tabular-nums }
  .ours { font-weight: 700 }
  .track { fill: #eef1f5 }
  .bar { fill: #93a1b3 }
  .bar.ours { fill: #0b7a75 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #12171e; stroke: #2c3541 }
    text { fill: #e4e9f0 }
    .quiet { fill: #93a0b0 }
    .track { fill: #1d242e }
    .bar { fill: #5d6c7f }
    .bar.ours { fill: #2cc0b4 }
  }
"""


def text(x, y, kind, words, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def shown(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def panel(x, y, rows, what):
    title, unit, better, key, scale = what
    values = {name: figures[key] / scale for name, figures in rows.items() if key in figures}
    largest = max(values.values(), default=1)
    room = PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH
    parts = [text(x, y + 14, "panel", title), text(x, y + 31, "quiet", f"{unit} · {better}")]
    for index, name in enumerate(rows):
        top = y + PANEL_HEAD + index * ROW - 4
        ours = " ours" if name == WARREN else ""
        parts.append(text(x + LABEL_WIDTH - 8, top + 10.5, f"name{ours}", name, "end"))
        parts.append(f'<rect x="{x + LABEL_WIDTH}" y="{top}" width="{room}" height="{BAR}" rx="3" class="track"/>')
        value = values.get(name)
        if value is not None:
            width = max(2.0, room * value / largest)
            parts.append(f'<rect x="{x + LABEL_WIDTH}" y="{top}" width="{width:.1f}" height="{BAR}" rx="3" class="bar{ours}"/>')
        parts.append(text(x + PANEL_WIDTH, top + 10.5, f"value{ours}", "–" if value is None else shown(value), "end"))
    return parts


def svg(results):
    middle = medians(results["rivals"])
    names = [name for name in middle if name not in (VETH, WARREN_NO_AEAD)]
    names.sort(key=lambda name: (name != WARREN, -middle[name].get("tcp1", 0)))
    rows = {name: middle[name] for name in names}
    height_of_panel = PANEL_HEAD + len(rows) * ROW + 14
    width = 2 * MARGIN + 2 * PANEL_WIDTH + GAP
    height = HEAD + 2 * height_of_panel + FOOT
    machine = results["machine"]
    rounds = results["rounds"]
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
             f"<title>warren-engine beside other tunnels</title><style>{STYLE}</style>",
             f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="10" class="paper"/>',
             text(MARGIN, 36, "title", "warren-engine beside other userspace tunnels")]
    for index, what in enumerate(PANELS):
        parts += panel(MARGIN + index % 2 * (PANEL_WIDTH + GAP), HEAD + index // 2 * height_of_panel, rows, what)
    foot = (f"{results['date']} · both ends and the load on the same {machine['cores']} cores, Linux {machine['kernel']} · "
            f"median of {rounds} interleaved round{'s' if rounds > 1 else ''} · make bench")
    parts += [text(MARGIN, height - 16, "quiet", foot), "</svg>"]
    return "\n".join(parts) + "\n"


def main():
    with open(sys.argv[1]) as source:
        drawn = svg(json.load(source))
    with open(sys.argv[2], "w") as out:
        out.write(drawn)


if __name__ == "__main__":
    main()
