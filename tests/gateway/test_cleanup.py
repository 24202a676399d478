"""Whatever happened, the host can be had back as it was."""

import os
import signal
import sqlite3

from lab import API_SOCKETS, is_alive


def sockets_of(names):
    return [name for name in names if (API_SOCKETS / f"{name}.sock").exists()]


def test_cleanup_leaves_the_host_as_it_was(world):
    gateway = world.gateway
    before = gateway.snapshot()
    gateway.start()
    gateway.create("a")
    gateway.create("b", "--subnet6", "none")
    world.members[0].join("a")
    world.members[0].ping(1)
    engines = [gateway.engine(letter) for letter in "ab"]
    assert gateway.snapshot() != before
    gateway.end(signal.SIGKILL)

    done = gateway.call("cleanup")
    assert done.returncode == 0, done.stderr
    assert gateway.snapshot() == before
    assert sockets_of(name for name, _ in engines) == []
    assert not any(is_alive(pid) for _, pid in engines)
    assert not gateway.run_dir.exists()
    again = gateway.call("cleanup")
    assert again.returncode == 0
    # The state is kept: the next daemon builds the same networks again.
    gateway.start()
    assert [gateway.engine(letter)[0] for letter in "ab"] == [name for name, _ in engines]


def test_cleanup_is_refused_while_a_daemon_runs(gateway):
    gateway.create("a")
    _, engine = gateway.engine("a")
    before = gateway.snapshot()
    refused = gateway.call("cleanup")
    assert refused.returncode == 6
    assert "hint:" in refused.stderr and str(gateway.process.pid) in refused.stderr
    assert gateway.snapshot() == before and is_alive(engine)


def test_create_tells_what_a_network_lacks(gateway):
    six = gateway.call("network", "create", gateway.network("s"))
    assert "IPv4: none; give --subnet to have one\n  IPv6: fd" in six.stdout, six
    four = gateway.call("network", "create", gateway.network("f"), "--subnet", "10.93.0.0/24",
                        "--subnet6", "none")
    assert "IPv4: 10.93.0.0/24\n  IPv6: none\n" in four.stdout, four


def test_deleting_a_network_leaves_no_trace(gateway):
    before = gateway.snapshot()
    gateway.create("a")
    name, engine = gateway.engine("a")
    done = gateway.call("network", "delete", gateway.network("a"), "--yes")
    assert done.returncode == 0, done.stderr
    assert gateway.snapshot() == before
    assert sockets_of([name]) == [] and not is_alive(engine)
    assert list((gateway.run_dir / "engines").iterdir()) == []


def test_network_that_cannot_be_made_leaves_no_trace(gateway):
    """The engine cannot get its port: host, engines and database are as before."""
    gateway.create("a")

    def everything():
        with sqlite3.connect(gateway.state_dir / "warren.db") as database:
            rows = database.execute("SELECT * FROM networks").fetchall()
        return gateway.snapshot(), rows, sorted(os.listdir(gateway.run_dir / "engines"))

    before = everything()
    taken = str(gateway.show("a")["port"])
    refused = gateway.call("network", "create", gateway.network("b"), "--subnet", "10.9.0.0/24",
                           "--port", taken)
    assert refused.returncode == 6, refused.stderr
    assert gateway.network("a") in refused.stderr
    assert everything() == before


def test_engine_of_a_network_deleted_behind_its_back_is_ended(gateway):
    """The daemon died between committing a deletion and ending the engine."""
    gateway.create("a")
    name, engine = gateway.engine("a")
    gateway.end(signal.SIGKILL)
    with sqlite3.connect(gateway.state_dir / "warren.db") as database:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("DELETE FROM networks")
    gateway.start()
    assert not is_alive(engine)
    assert sockets_of([name]) == []
    assert gateway.snapshot()["namespaces"] == []
