"""Settings, their errors, and what a daemon says when it cannot start."""

import json
import socket
import subprocess

import lab


def test_config_check_names_every_problem_at_its_place(world):
    gateway = world.gateway
    good = gateway.call("config", "check", gateway.settings)
    assert good.returncode == 0 and good.stdout.startswith("OK")
    gateway.settings.write_text("endpont: a\nports:\n  first: many\n")
    bad = gateway.call("config", "check", gateway.settings)
    assert bad.returncode == 1
    assert f"{gateway.settings}:1:1: unknown key 'endpont'" in bad.stderr
    assert "did you mean 'endpoint'" in bad.stderr
    assert f"{gateway.settings}:3:10: 'first': 'many' is not a port" in bad.stderr
    problems = json.loads(gateway.call("--json", "config", "check", gateway.settings).stdout)
    assert [p["line"] for p in problems["problems"]] == [1, 3]


def test_reload_takes_new_settings_and_refuses_bad_ones(gateway, member):
    name, engine = gateway.engine("a")
    handshake = gateway.run("wg", "show", name, "latest-handshakes")
    gateway.settings.write_text("endpoint: gw.example.org\nports: {first: 40000, last: 40010}\n")
    assert gateway.call("reload").returncode == 0
    made = gateway.create("b")
    assert made["endpoint"] == "gw.example.org:40000"
    gateway.settings.write_text("colour: blue\n")
    refused = gateway.call("reload")
    assert refused.returncode != 0
    assert "unknown key 'colour'" in refused.stderr
    assert gateway.create("c")["endpoint"] == "gw.example.org:40001"
    assert gateway.engine("a") == (name, engine)
    assert gateway.run("wg", "show", name, "latest-handshakes") == handshake
    member.ping(2, "-i", "0.05")


def test_reload_names_what_counts_at_the_next_start_only(world):
    gateway = world.gateway
    gateway.start()
    assert gateway.ask("reload")["at_next_start"] == []
    gateway.settings.write_text("admin: {listen: '127.0.0.1:0'}\n")
    assert gateway.ask("reload")["at_next_start"] == ["admin.listen"]
    said = gateway.call("reload")
    assert said.returncode == 0 and "admin.listen changed and counts only when" in said.stderr
    made = gateway.call("token", "create", "ci")
    assert "start the daemon again" in made.stderr
    assert "no end" in gateway.call("token", "list").stdout


def test_the_options_are_checked_as_the_settings_are(world):
    gateway = world.gateway
    for option, value, said in [
        ("--endpoint", "bad host", "is not a host name"),
        ("--endpoint", "gw.example.org:51820", "without a port"),
        ("--enrol-listen", "gw.example.org:51800", "is not ADDRESS:PORT"),
        ("--admin-listen", "51801", "is not ADDRESS:PORT"),
    ]:
        refused = gateway.call("daemon", "--config", gateway.settings, option, value)
        assert refused.returncode == 2, (option, refused)
        assert f"{option}: '{value}'" in refused.stderr and said in refused.stderr, refused.stderr
        assert not gateway.state_dir.exists()


def test_log_goes_to_a_file_with_levels_by_module(world):
    gateway = world.gateway
    log = gateway.folder / "own.log"
    gateway.settings.write_text(f"log: {{level: error, file: {log}, modules: {{server: debug}}}}\n")
    gateway.start()
    gateway.create("a")
    text = log.read_text()
    assert "debug server: " in text
    assert "gateway: " not in text
    assert gateway.log.read_text() == ""


def test_service_manager_is_told(world):
    gateway = world.gateway
    path = str(gateway.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(10)
        gateway.environment["NOTIFY_SOCKET"] = path
        gateway.start()
        assert manager.recv(100) == b"READY=1"


def test_without_privileges_the_daemon_says_what_to_do(world):
    gateway = world.gateway
    refused = gateway.attempt(
        "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
        lab.WARREN, "daemon", "--config", "/dev/null", env=gateway.environment,
    )
    assert refused.returncode == 4, refused.stderr
    assert "CAP_NET_ADMIN" in refused.stderr and "sudo" in refused.stderr
    assert not gateway.state_dir.exists()


def taken_port(gateway):
    """Somebody who listens where the daemon is to; ends with his standard input."""
    gateway.settings.write_text("enrol: {listen: '0.0.0.0:45678'}\n")
    holder = subprocess.Popen(
        gateway.inside("/usr/bin/python3", "-c",
                       "import socket,sys\ns=socket.create_server(('0.0.0.0',45678))\n"
                       "print('up',flush=True)\nsys.stdin.read()"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "up\n"
    return holder


def test_a_state_that_was_there_stays_when_the_port_is_taken(world):
    gateway = world.gateway
    gateway.start()
    gateway.create("a")
    gateway.end()
    identity = (gateway.state_dir / "identity.key").read_bytes()
    holder = taken_port(gateway)
    assert gateway.call("daemon", "--config", gateway.settings).returncode == 6
    holder.communicate()
    assert (gateway.state_dir / "identity.key").read_bytes() == identity
    gateway.start()
    assert [n["name"] for n in gateway.ask("network", "list")["networks"]] == [gateway.network("a")]


def test_enrolment_port_taken_leaves_nothing(world):
    gateway = world.gateway
    before = gateway.snapshot()
    holder = taken_port(gateway)
    refused = gateway.call("daemon", "--config", gateway.settings)
    holder.communicate()
    assert refused.returncode == 6, refused.stderr
    assert "45678" in refused.stderr
    assert gateway.snapshot() == before
    assert not (gateway.run_dir / "warren.sock").exists()
    assert not gateway.state_dir.exists()
