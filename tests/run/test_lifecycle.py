"""Nothing of a run stays behind, however it ends; a second one is refused."""

import hashlib
import os
import pathlib
import signal

import pytest
from lab import anyone_in, namespaces_of, wait_until


def footprint(lab):
    resolv_conf = pathlib.Path("/etc/resolv.conf").read_bytes()
    return {"files": lab.files(), "mounts": lab.mounts(), "processes": lab.own_processes(),
            "resolv.conf": hashlib.sha256(resolv_conf).hexdigest()}


@pytest.fixture(scope="module")
def before(lab):
    lab.run("true")  # makes the runtime directory
    return footprint(lab)


def begin(lab, name="lab", **more):
    run = lab.begin("sh", "-c", "sleep 300 & echo ready; wait", **more)
    assert run.stdout.readline() == "ready\n"
    state = lab.state(name)
    return run, state, namespaces_of(state["init"])


def assert_gone(lab, before, namespaces):
    wait_until(lambda: not anyone_in(namespaces), "everybody inside is gone")
    wait_until(lambda: lab.own_processes() == before["processes"],
               lambda: f"only {before['processes']} are left, not {lab.own_processes()}")


def test_a_normal_end_leaves_nothing(lab, before):
    run, state, namespaces = begin(lab)
    os.kill(int(state["pid"]), signal.SIGTERM)
    assert run.wait(10) == 143
    assert_gone(lab, before, namespaces)
    assert footprint(lab) == before


def test_a_failed_start_leaves_nothing(lab, before):
    assert lab.run("no-such-program").returncode == 127
    lab.profile("bad", "[Interface]\n")
    assert lab.run("true", profile="bad").returncode == 125
    assert footprint(lab) == before


def test_killed_supervisor_takes_everything_along(lab, before):
    run, state, namespaces = begin(lab)
    os.kill(int(state["pid"]), signal.SIGKILL)
    assert run.wait(10) == -9
    assert_gone(lab, before, namespaces)
    assert lab.mounts() == before["mounts"]
    # Only files are left, and the next run removes them.
    assert "warren/lab.state" in lab.files()
    assert lab.run("true").returncode == 0
    assert footprint(lab) == before


def test_stale_files_of_one_run_are_removed_by_another(lab, before):
    run, state, namespaces = begin(lab)
    os.kill(int(state["pid"]), signal.SIGKILL)
    run.wait(10)
    assert_gone(lab, before, namespaces)
    other = lab.conf().replace(lab.user_key, lab.far_key)
    lab.profile("other", other)
    assert lab.run("true", profile="other").returncode == 0
    assert lab.files() == before["files"]


def test_killed_init_ends_the_run(lab, before):
    run, state, namespaces = begin(lab)
    os.kill(int(state["init"]), signal.SIGKILL)
    assert run.wait(10) == 137
    assert_gone(lab, before, namespaces)
    assert footprint(lab) == before


def test_killed_engine_is_replaced(lab, before):
    run, state, namespaces = begin(lab)
    engine = wait_until(lambda: lab.engine(state["pid"]), "the engine")
    os.kill(engine, signal.SIGKILL)
    wait_until(lambda: lab.engine(state["pid"]) not in (None, engine), "another engine")
    assert run.poll() is None
    os.kill(int(state["pid"]), signal.SIGTERM)
    assert run.wait(10) == 143
    assert_gone(lab, before, namespaces)
    assert footprint(lab) == before


def test_an_engine_that_keeps_dying_ends_the_run(lab, before):
    run, state, namespaces = begin(lab)
    killed = set()
    while run.poll() is None and len(killed) < 20:
        engine = lab.engine(state["pid"])
        if engine and engine not in killed:
            try:
                os.kill(engine, signal.SIGKILL)
                killed.add(engine)
            except ProcessLookupError:
                pass
    assert run.wait(10) == 125
    assert "the engine ended" in run.stderr.read()
    assert_gone(lab, before, namespaces)
    assert footprint(lab) == before


def test_the_second_run_of_a_key_is_refused(lab, before):
    run, state, namespaces = begin(lab)
    second = lab.run("true", options=("--name", "second"))
    assert second.returncode == 125
    assert f"in use by run lab (process {state['pid']})" in second.stderr
    copy = lab.profile("copy", lab.conf())
    assert lab.run("true", profile=str(copy)).returncode == 125
    os.kill(int(state["pid"]), signal.SIGTERM)
    run.wait(10)
    assert_gone(lab, before, namespaces)
    assert lab.run("true", options=("--name", "second")).returncode == 0


def test_two_runs_of_different_keys_live_together(lab, before):
    other = lab.conf().replace(lab.user_key, lab.far_key).replace("10.77.0.2/24", "10.77.0.3/24")
    lab.profile("twin", other)
    run, state, namespaces = begin(lab)
    second = lab.run("ip", "-br", "-4", "address", "show", "warren0", profile="twin")
    assert "10.77.0.3/24" in second.stdout, second.stderr
    clash = lab.run("true", profile="twin", options=("--name", "lab"))
    assert clash.returncode == 125 and "the name `lab` is in use" in clash.stderr
    assert lab.state()["pid"] == state["pid"]
    os.kill(int(state["pid"]), signal.SIGTERM)
    assert run.wait(10) == 143
    assert_gone(lab, before, namespaces)
