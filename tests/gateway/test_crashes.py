"""Daemon and engines are killed while packets flow."""

import os
import pathlib
import signal

from lab import is_alive, longest_gap_s, replies, unanswered, wait_until


def rss_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def test_killed_daemon_loses_no_packet_and_its_successor_adopts(gateway, member):
    name, engine = gateway.engine("a")
    print(f"\nRSS: daemon {rss_kib(gateway.process.pid)} KiB, idle engine {rss_kib(engine)} KiB")
    count = 300
    ping = member.start_ping(count, 0.01)
    before = gateway.peer("a", "m0")
    handshake = gateway.run("wg", "show", name, "latest-handshakes")
    gateway.end(signal.SIGKILL)
    gateway.start()
    assert gateway.engine("a") == (name, engine)
    assert is_alive(engine)
    answered = replies(ping)
    assert len(answered) == count and unanswered(answered) == []
    after = gateway.peer("a", "m0")
    assert after["rx_bytes"] > before["rx_bytes"] > 0
    assert gateway.run("wg", "show", name, "latest-handshakes") == handshake
    assert "adopted engine" in gateway.log.read_text()


def test_daemon_that_stops_leaves_its_networks_up(gateway, member):
    _, engine = gateway.engine("a")
    assert gateway.end(signal.SIGTERM) == 0
    assert is_alive(engine)
    member.ping(3, "-i", "0.05")
    gateway.start()
    assert gateway.engine("a")[1] == engine


def test_killed_engine_resumes_by_itself(gateway, member):
    _, engine = gateway.engine("a")
    ping = member.start_ping(300, 0.01)
    wait_until(lambda: gateway.peer("a", "m0")["rx_bytes"] > 5000, "pings are under way")
    os.kill(engine, signal.SIGKILL)
    answered = replies(ping)
    gap = longest_gap_s(answered)
    print(f"\nengine killed: {gap * 1000:.0f} ms without a reply, {len(unanswered(answered))} of {max(answered)} lost")
    assert len(answered) == 300
    assert gap < 5.0, "the member's own timers would need 15 s"
    assert gateway.engine("a")[1] != engine
    assert gateway.show("a")["engine"] == "running"


def test_adopted_engine_is_supervised_too(gateway, member):
    gateway.end(signal.SIGKILL)
    gateway.start()
    _, engine = gateway.engine("a")
    os.kill(engine, signal.SIGKILL)
    wait_until(lambda: gateway.engine("a")[1] != engine, "a successor runs")
    member.ping(3, "-i", "0.1")


def test_both_killed_and_all_is_back(gateway, member):
    _, engine = gateway.engine("a")
    gateway.end(signal.SIGKILL)
    os.kill(engine, signal.SIGKILL)
    wait_until(lambda: not is_alive(engine), "the engine is dead")
    gateway.start()
    assert gateway.engine("a")[1] != engine
    # The hints died with both: the member finds out by its own timers (10 s and 5 s).
    wait_until(lambda: member.attempt("ping", "-c", "1", "-W", "1", member.target).returncode == 0,
               "the member shakes hands again", seconds=60)


def test_peer_revoked_behind_the_daemons_back_is_removed_at_adoption(gateway, member):
    """A peer that an engine has and the state has not: as after a revocation cut short."""
    name, _ = gateway.engine("a")
    stranger = gateway.run("wg", "pubkey", input=gateway.run("wg", "genkey")).strip()
    gateway.run("wg", "set", name, "peer", stranger, "allowed-ips", "10.20.0.99/32")
    gateway.end(signal.SIGKILL)
    gateway.start()
    peers = gateway.run("wg", "show", name, "peers").split()
    assert stranger not in peers and len(peers) == 1


def test_second_daemon_on_the_same_state_is_refused(gateway):
    before = gateway.snapshot()
    refused = gateway.call("daemon", "--config", gateway.settings)
    assert refused.returncode == 6
    assert str(gateway.process.pid) in refused.stderr
    assert "hint:" in refused.stderr
    assert gateway.snapshot() == before
    assert gateway.answers()
