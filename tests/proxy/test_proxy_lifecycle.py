"""How a proxy begins and ends, what it says, and what it may do."""

import json
import os
import pathlib
import signal
import subprocess

from lab import wait_until

PAGE = "http://10.77.0.1:8080/5"


def test_it_says_that_it_is_weaker_and_is_named_where_runs_are_forbidden(lab):
    refused = lab.run("true")
    assert refused.returncode == 125
    assert "warren proxy" in refused.stderr
    doctor = subprocess.run(lab.warren("doctor", "run"), capture_output=True, text=True)
    assert doctor.returncode == 1
    assert "warren proxy" in doctor.stdout
    done = lab.proxy("true")
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1 and "weaker than `warren run`" in done.stderr


def test_exit_codes(lab):
    assert lab.proxy("sh", "-c", "exit 7").returncode == 7
    assert lab.proxy("sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM
    missing = lab.proxy("no-such-program")
    assert missing.returncode == 127 and "PATH" in missing.stderr
    assert lab.proxy("/etc/passwd").returncode == 126
    assert lab.proxy("true", profile="none").returncode == 125
    assert lab.proxy("true", options=("--listen", "0.0.0.0:0")).returncode == 125


def test_the_environment(lab):
    done = lab.proxy("env", options=("-e", "NO_PROXY=own", "-e", "FTP_PROXY=x"))
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines())
    socks, http = variables["ALL_PROXY"], variables["HTTP_PROXY"]
    assert socks.startswith("socks5h://warren:") and http.startswith("http://warren:")
    assert socks.split("//")[1] == http.split("//")[1]
    assert variables["all_proxy"] == socks
    assert {variables[name] for name in ("http_proxy", "https_proxy", "HTTPS_PROXY")} == {http}
    assert variables["NO_PROXY"] == "own" and "no_proxy" not in variables
    again = lab.proxy("sh", "-c", "echo $ALL_PROXY $no_proxy").stdout
    assert again.strip() != socks  # a password of its own


def test_listening_on_ipv6_and_a_chosen_port(lab):
    done = lab.curl(PAGE, options=("--listen", "[::1]:0"))
    assert done.stdout == "xxxxx", done.stderr
    done = lab.proxy("sh", "-c", "echo $ALL_PROXY; curl -sS " + PAGE,
                     options=("--listen", "127.0.0.1:10800"))
    assert "@127.0.0.1:10800\nxxxxx" in done.stdout, done.stderr


def test_without_a_command_it_serves_until_it_is_told(lab):
    proxy = lab.begin_proxy()
    socks, http = proxy.stdout.readline().strip(), proxy.stdout.readline().strip()
    for url in (socks, http):
        done = subprocess.run(lab.as_user("curl", "-sS", "-m", "10", "-x", url, PAGE),
                              capture_output=True, text=True)
        assert done.stdout == "xxxxx", done.stderr
    runs = json.loads(subprocess.run(lab.warren("ps", "--json"), capture_output=True).stdout)["runs"]
    assert [run["name"] for run in runs] == ["lab"] and runs[0]["rx_bytes"] > 0
    second = lab.proxy("true")
    assert second.returncode == 125 and "in use by run lab" in second.stderr
    attached = subprocess.run(lab.warren("attach", "lab", "--", "true"), capture_output=True,
                              text=True)
    assert attached.returncode != 0 and "is a proxy" in attached.stderr
    os.kill(int(lab.state()["pid"]), signal.SIGINT)
    assert proxy.wait(10) == 0
    assert lab.own_processes() == [] and not any("lab." in name for name in lab.files())


def test_warren_stop_ends_it(lab):
    proxy = lab.begin_proxy("sleep", "60")
    lab.state()
    stopped = subprocess.run(lab.warren("stop", "lab"), capture_output=True, text=True, timeout=20)
    assert stopped.returncode == 0, stopped.stderr
    assert proxy.wait(10) == 128 + signal.SIGTERM
    assert lab.own_processes() == []


def test_wait_ready(lab):
    done = lab.curl(PAGE, options=("--wait-ready", "20s"))
    assert done.stdout == "xxxxx", done.stderr
    lab.profile("deaf", lab.conf(endpoint="192.0.2.2:9"))
    done = lab.proxy("true", profile="deaf", options=("--wait-ready", "1s"))
    assert done.returncode == 125 and "no echo came back" in done.stderr


def status_of(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_what_parses_packets_is_confined(lab):
    proxy = lab.begin_proxy("sleep", "60")
    supervisor = int(lab.state()["pid"])
    for program in ("warren-stack", "warren-engine"):
        pid = wait_until(lambda: lab.child(program, supervisor), f"{program} runs")
        wait_until(lambda: status_of(pid)["Seccomp"] == "2", f"{program} is locked in")
        status = status_of(pid)
        assert status["NoNewPrivs"] == "1", program
        assert int(status["CapEff"], 16) == 0
        kinds = {os.readlink(path).split(":")[0]
                 for path in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
        assert not any(kind.startswith("/") and kind not in ("/dev/null", "/memfd") for kind in kinds), kinds
    stack = lab.child("warren-stack", supervisor)
    assert pathlib.Path(f"/proc/{stack}/environ").read_bytes() == b""
    assert b"warren:" not in pathlib.Path(f"/proc/{stack}/cmdline").read_bytes()
    proxy.terminate()
    os.kill(supervisor, signal.SIGTERM)
    proxy.wait(10)


def test_a_killed_engine_comes_back_and_connections_live_on(lab):
    proxy = lab.begin_proxy("/usr/bin/python3", "-c", """
from socks_client import *
import sys
sock = connect("10.77.0.1", 70)
for line in sys.stdin:
    sock.sendall(line.encode())
    print(read(sock, len(line)).decode(), end="", flush=True)
""", stdin=subprocess.PIPE)

    def say(word):
        proxy.stdin.write(word + "\n")
        proxy.stdin.flush()
        assert proxy.stdout.readline() == word + "\n"
    say("before")
    supervisor = int(lab.state()["pid"])
    old = lab.child("warren-engine", supervisor)
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: lab.child("warren-engine", supervisor) not in (None, old), "a new engine")
    say("after")
    proxy.stdin.close()
    assert proxy.wait(10) == 0


def test_a_killed_stack_ends_it_all(lab):
    proxy = lab.begin_proxy("sleep", "60")
    supervisor = int(lab.state()["pid"])
    os.kill(wait_until(lambda: lab.child("warren-stack", supervisor), "the stack runs"), signal.SIGKILL)
    assert proxy.wait(10) == 125
    assert "warren-stack ended" in proxy.stderr.read()
    assert lab.own_processes() == []


def test_a_killed_supervisor_leaves_no_process(lab):
    proxy = lab.begin_proxy("sleep", "60")
    os.kill(int(lab.state()["pid"]), signal.SIGKILL)
    proxy.wait(10)
    wait_until(lambda: lab.own_processes() == [], "all have ended")
