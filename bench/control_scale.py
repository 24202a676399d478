#!/usr/bin/python3 -B
"""control_scale.py BIN_DIR [--quick]: what the control plane takes with many networks and members.

A gateway and two members on one wire, as in tests/gateway/lab.py. In this order: `apply` of a file
with PEERS members into one network, `peer list` of it, a revocation beside 1 ms pings with few and
with PEERS members, without and with a policy; then the database is filled up to NETWORKS networks
and ALL peers, and the daemon is started with all of their namespaces and engines. Prints each
figure; the last line is JSON, which also goes to bench/results. With --start-only nothing but the
last part, for --networks with 100 peers each, and what `cleanup` of it all takes.
"""
import argparse
import base64
import datetime
import http.client
import json
import os
import pathlib
import random
import re
import secrets
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
PING_EVERY_S = 0.001
KERNEL_S = 60
"""Longer nobody waits for the kernel to take namespaces down; the figure is null then."""


class Api(http.client.HTTPConnection):
    """The daemon's unix socket; a connection for each call, as the command line makes it."""

    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def ask(gateway, method, path, body=None):
    api = Api(gateway.run_dir / "warren.sock")
    api.request(method, "/v1" + path, json.dumps({"schema": 1, **body}) if body else None)
    answer = api.getresponse()
    text = answer.read()
    api.close()
    assert answer.status == 200, text[:500]
    return text


def milliseconds(call, times=5):
    took = []
    for _ in range(times):
        began = time.monotonic()
        call()
        took.append((time.monotonic() - began) * 1000)
    return round(statistics.median(took), 1)


def key():
    return base64.b64encode(secrets.token_bytes(32)).decode()


def document(network, count, policy):
    lines = ["warren: 1", "networks:", f"  {network}:", "    subnet: 10.64.0.0/16", "    nat: false",
             "    roles:", "      node:", "      management:"]
    if policy:
        lines += ["    policy:", "      rules:", "        - node -> management: tcp 1883, icmp",
                  "        - node -> gateway: any"]
    lines.append("    peers:")
    for number in range(count):
        lines.append(f"      p{number}: {{role: node, key: {key()}}}")
    return "\n".join(lines) + "\n"


def memory_mib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: round(int(re.search(rf"^{name}:\s+(\d+)", text, re.M).group(1)) / 1024, 1)
            for name in ("Rss", "Pss")}


def apply(gateway, letter, count, policy):
    file = gateway.folder / "many.yaml"
    file.write_text(document(gateway.network(letter), count, policy))
    began = time.monotonic()
    done = gateway.call("apply", "-f", file)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    began = time.monotonic()
    again = gateway.call("apply", "-f", file)
    assert "nothing to do" in again.stdout, again.stdout[:500]
    return {"first_s": round(took, 2), "again_s": round(time.monotonic() - began, 2)}


def revoke(gateway, member, letter, rounds):
    """Milliseconds of each step, and from the last answered ping to the return of the call."""
    network = gateway.network(letter)
    found = {}
    for number in range(rounds):
        name = f"m{number}x{random.randrange(10 ** 9)}"
        member.join(letter, name)
        member.ping(count=1)
        ping = member.start_ping(count=3000, every_s=PING_EVERY_S)
        # Pings are answered by then; after some 0.7 s a pipe that nobody reads yet is full of them, and
        # ping waits.
        time.sleep(0.3)
        answer = json.loads(ask(gateway, "POST", f"/networks/{network}/peers/{name}/revoke"))
        returned = time.time()
        ping.send_signal(signal.SIGINT)  # so that it writes what it still holds
        text, _ = ping.communicate(timeout=30)
        answered = [float(m) for m in re.findall(r"^\[([\d.]+)\] .* ttl", text, re.M)]
        member.leave_tunnel()
        found.setdefault("gap_ms", []).append((returned - max(answered)) * 1000)
        found.setdefault("total_ms", []).append(answer["total_ms"])
        for step in answer["steps"]:
            found.setdefault(step["step"] + "_ms", []).append(step["ms"])
    return {name: round(statistics.median(values), 3) for name, values in found.items()}


def fill(gateway, letter, networks, peers):
    """More networks with members, as rows: what made them is not what is measured."""
    database = sqlite3.connect(gateway.state_dir / "warren.db")
    names = [row[1] for row in database.execute("PRAGMA table_info(networks)")]
    template = dict(zip(names, database.execute("SELECT * FROM networks WHERE name = ?",
                                                (gateway.network(letter),)).fetchone()))
    each = (peers - database.execute("SELECT count(*) FROM peers").fetchone()[0]) // networks
    next_peer = database.execute("SELECT next_peer_id FROM meta").fetchone()[0]
    transits = {row[0] for row in database.execute("SELECT transit FROM networks")}
    ports = {row[0] for row in database.execute("SELECT port FROM networks")}
    free_transits = (n for n in range(100_000) if n not in transits)
    free_ports = (n for n in range(20_000, 60_000) if n not in ports)
    for number in range(networks):
        row = {**template, "id": 1_000_000 + number, "name": f"{gateway.network('z')}{number}",
               "port": next(free_ports), "transit": next(free_transits), "policy": "",
               "default_role": "", "subnet4": "10.20.0.0/16"}
        database.execute(f"INSERT INTO networks ({','.join(names)}) "
                         f"VALUES ({','.join('?' * len(names))})", [row[n] for n in names])
        database.executemany(
            "INSERT INTO peers (id, network, name, role, state, address4, public_key, invited, "
            "enrolled, revoked) VALUES (?, ?, ?, 'member', 'enrolled', ?, ?, 1, 1, 0)",
            [(next_peer + i, row["id"], f"p{i}", f"10.20.{(i + 2) // 250}.{(i + 2) % 250}",
              secrets.token_bytes(32)) for i in range(each)])
        next_peer += each
    database.execute("UPDATE meta SET next_peer_id = ?", (next_peer,))
    database.commit()
    database.close()


def start(gateway):
    """Until it answers, and until every engine that shall run does."""
    began = time.monotonic()
    with open(gateway.log, "a") as log:
        gateway.process = subprocess.Popen(
            gateway.inside(os.environ["WARREN"], "daemon", "--config", gateway.settings),
            env=gateway.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    while not (gateway.run_dir / "warren.sock").exists():
        assert gateway.process.poll() is None, gateway.log.read_text()[-2000:]
        time.sleep(0.01)
    while True:
        try:
            status = json.loads(ask(gateway, "GET", "/status"))
            break
        except (ConnectionError, FileNotFoundError):
            time.sleep(0.01)
    return {"s": round(time.monotonic() - began, 2), "networks": status["networks"],
            "peers": status["peers"], "problems": len(status["problems"]),
            "load": round(os.getloadavg()[0], 1)}


def kernel_spaces():
    """Namespaces that the kernel holds, those too that it is still taking down."""
    text = pathlib.Path("/proc/slabinfo").read_text()
    return int(re.search(r"^net_namespace\s+(\d+)", text, re.M).group(1))


def cleanup(gateway, networks):
    before = kernel_spaces()
    began = time.monotonic()
    done = subprocess.run(gateway.inside(os.environ["WARREN"], "cleanup"), env=gateway.environment,
                          capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    took = time.monotonic() - began
    # Others of the machine come and go, and the kernel counts a few late.
    while (kernel := time.monotonic() - began) < KERNEL_S:
        if kernel_spaces() <= before - networks * 9 // 10:
            break
        time.sleep(0.02)
    else:
        kernel = None
    ours = "warren-" + gateway.network("")
    assert not [path for path in pathlib.Path("/run/netns").iterdir() if path.name.startswith(ours)]
    return {"s": round(took, 2), "until_the_kernel_is_done_s": kernel and round(kernel, 2),
            "load": round(os.getloadavg()[0], 1)}


def engines(gateway):
    pids = [json.loads(path.read_text())["pid"] for path in (gateway.run_dir / "engines").glob("*.json")]
    sample = [memory_mib(pid)["Pss"] for pid in random.sample(pids, min(20, len(pids)))]
    return {"count": len(pids), "pss_mib_each": round(statistics.mean(sample), 2) if sample else 0}


def measure(world, options, say):
    gateway, member = world.gateway, world.members[0]
    member.leave_tunnel = lambda: leave(member)
    gateway.settings.write_text("log: {level: warning}\nports: {first: 20000, last: 60000}\n")
    gateway.start()
    for letter, policy in (("a", False), ("b", True)):
        small = gateway.folder / "small.yaml"
        small.write_text(document(gateway.network(letter), 10, policy))
        gateway.ask("apply", "-f", small)
        kind = "policy" if policy else "plain"
        say(f"revoke_10_{kind}", revoke(gateway, member, letter, options.rounds))
    for letter, policy in (("c", False), ("d", True)):
        kind = "policy" if policy else "plain"
        say(f"apply_{options.big}_{kind}", apply(gateway, letter, options.big, policy))
        # A network is full with them: one makes room for who comes and is revoked.
        gateway.ask("revoke", "p0", "--network", gateway.network(letter))
        say(f"revoke_{options.big}_{kind}", revoke(gateway, member, letter, options.rounds))
    network = gateway.network("c")
    lists = lambda: {
        "api_ms": milliseconds(lambda: ask(gateway, "GET", f"/networks/{network}/peers")),
        "command_ms": milliseconds(lambda: gateway.call("peer", "list", network)),
        "command_json_ms": milliseconds(lambda: gateway.call("--json", "peer", "list", network))}
    say(f"list_{options.big}", lists())
    say("daemon_before", memory_mib(daemon_pid(gateway)))
    gateway.end()
    fill(gateway, "c", options.networks - 4, options.peers)
    say("start_new", start(gateway))
    say("engines", engines(gateway))
    say(f"list_{options.big}_of_all", lists())
    say(f"revoke_{options.big}_of_all", revoke(gateway, member, "d", options.rounds))
    say("daemon", memory_mib(daemon_pid(gateway)))
    gateway.end()
    say("start_again", start(gateway))
    say("network_list_ms", milliseconds(lambda: ask(gateway, "GET", "/networks"), 1))


def measure_start(world, options, say):
    gateway = world.gateway
    gateway.settings.write_text("log: {level: warning}\nports: {first: 20000, last: 60000}\n")
    gateway.start()
    gateway.create("c", subnet="10.64.0.0/16")  # with a way out, as is the default
    gateway.end()
    fill(gateway, "c", options.networks - 1, 100 * options.networks)
    start(gateway)  # makes the authorities that rows do not have
    gateway.end()
    say("cleanup", cleanup(gateway, options.networks))
    say("start_new", start(gateway))
    say("engines", engines(gateway))
    say("daemon", memory_mib(daemon_pid(gateway)))
    gateway.end()
    say("start_again", start(gateway))
    began = time.monotonic()
    gateway.ask("network", "delete", gateway.network("z") + "0", "--yes")
    say("delete_one", {"s": round(time.monotonic() - began, 2)})


def daemon_pid(gateway):
    """What nsenter became."""
    return gateway.process.pid


def leave(member):
    if member.program is not None:
        member.program.terminate()
        member.program.wait(timeout=10)
        member.program = None
    for profile in (member.folder / "warren").glob("*"):
        profile.unlink()


def clean_up(gateway):
    """A thousand networks take longer than a lab waits."""
    if gateway.process is not None:
        gateway.end()
    if gateway.state_dir.exists():
        subprocess.run(gateway.inside(os.environ["WARREN"], "cleanup"), env=gateway.environment,
                       stdout=subprocess.DEVNULL, timeout=600, check=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bin")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--start-only", action="store_true")
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--peers", type=int, default=100_000)
    parser.add_argument("--big", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.networks, options.peers, options.big, options.rounds = 100, 10_000, 1000, 2
    os.environ["WARREN"] = str(pathlib.Path(options.bin).resolve() / "warren")
    sys.path.insert(0, str(HERE.parent / "tests" / "gateway"))
    import lab  # reads WARREN when it is loaded

    figures = {"networks": options.networks, "peers": options.peers, "big": options.big}

    def say(name, value):
        figures[name] = value
        print(f"{name:<24} {json.dumps(value)}", flush=True)

    world = lab.World()
    try:
        (measure_start if options.start_only else measure)(world, options, say)
    finally:
        clean_up(world.gateway)
        world.close()
    if not options.quick and not options.start_only:
        day = datetime.date.today().isoformat()
        (HERE / "results" / f"control-{day}.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
