"""How long a run takes to the first instruction of its command, and to the first answered ping."""
import re
import statistics
import subprocess

import run_rivals
from run_world import DELAY_MS, SERVER

BATCH = 10
TARGET_MS, TARGET_ROUND_TRIPS = 20, 2


def starts(world, way, count, *arguments):
    """[(ms to the first instruction, what the program said behind it)]"""
    command = way(f"{world.bin}/first_instruction", *arguments)
    # The clock itself runs as the user in the namespace: what it starts is the way alone.
    at = next(i for i, word in enumerate(command) if word.startswith("PATH=")) if "env" in command else None
    if at is None:
        split = 2  # nsenter --net=…
    else:
        split = next(i for i in range(at, len(command)) if "=" not in command[i])
    full = [*command[:split], f"{world.bin}/start_clock", str(count), *command[split:]]
    done = subprocess.run(full, capture_output=True, text=True, timeout=120)
    lines = [line.split() for line in done.stdout.splitlines()]
    if done.returncode != 0 or len(lines) != count:
        raise RuntimeError(f"{done.stderr.strip()[-300:] or done.stdout[-300:]}")
    return [(int(line[1]) / 1e6, line[2:]) for line in lines]


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def first_answer(world, count):
    """Over a wire of 2 · DELAY_MS: from the command's first instruction, and from exec."""
    def way(*argv):
        return world.as_user("warren", "run", "delayed", "--", *argv)
    said = subprocess.run(way("ping", "-n", "-c", "20", "-i", "0.05", SERVER), capture_output=True, text=True, timeout=30)
    trips = [float(text) for text in re.findall(r"time=([\d.]+) ms", said.stdout)][1:]
    round_trip = statistics.median(trips)
    took = [(ms, int(words[0]) / 1e6) for ms, words in starts(world, way, count, SERVER)]
    answers = [answer for _, answer in took]
    return {"round_trip_ms": round_trip, "answer_ms": statistics.median(answers), "answer_p99_ms": percentile(answers, 0.99),
            "from_exec_ms": statistics.median(sum(one) for one in took),
            "round_trips": statistics.median(answers) / round_trip, "count": count}


def measure(world, ways, count, say):
    times = {name: [] for name in ways.found}
    for batch in range(0, count, BATCH):
        order = list(times)
        order = order[batch // BATCH % len(order):] + order[:batch // BATCH % len(order)]
        for name in order:
            try:
                times[name] += [ms for ms, _ in starts(world, ways.found[name], BATCH)]
            except (RuntimeError, subprocess.SubprocessError) as error:
                say(f"!!! {name} FAILED: {error}")
                times.pop(name)
                ways.absent[name] = str(error)
    say("starts: done")
    return {"first_instruction_ms": {name: {"median": statistics.median(all_of), "p99": percentile(all_of, 0.99),
                                            "min": min(all_of), "count": len(all_of)} for name, all_of in times.items()},
            "first_answer": first_answer(world, min(count, 50)), "delay_ms": DELAY_MS}


def text(found, table):
    starts_of = found["first_instruction_ms"]
    of = found["first_answer"]
    return (table("Start: from exec to the command's first instruction, ms", starts_of, ["median", "p99", "least", "of"],
                  lambda name: [f"{starts_of[name]['median']:.2f}", f"{starts_of[name]['p99']:.2f}",
                                f"{starts_of[name]['min']:.2f}", str(starts_of[name]["count"])]) +
            f"\nFirst answered ping over a wire with a round trip of {of['round_trip_ms']:.1f} ms: "
            f"{of['answer_ms']:.1f} ms after the command's first instruction ({of['round_trips']:.2f} round trips), "
            f"{of['from_exec_ms']:.1f} ms after exec\n")


def targets(found, add):
    ours = found["first_instruction_ms"].get(run_rivals.WARREN)
    if ours:
        add("start of a run, median, ms", ours["median"], "<=", TARGET_MS)
    add("first answered ping, round trips", found["first_answer"]["round_trips"], "<=", TARGET_ROUND_TRIPS)
