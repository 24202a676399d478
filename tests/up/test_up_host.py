"""`warren up` with a stock WireGuard conf and a stock far end: what it does to a host, and undoes."""

import subprocess
import time

import pytest

from up_lab import BEHIND, BEHIND6, UpLab, changes, output, wait_until


@pytest.fixture(scope="module")
def world():
    made = UpLab()
    # Strict: an answer must come in where it would go out.
    made.on_host("sysctl", "-q", "-w", "net.ipv4.conf.all.rp_filter=1",
                 "net.ipv4.conf.e0.rp_filter=1")
    for target in ("192.0.2.2", "2001:db8::2"):
        assert made.ping(target).returncode == 0, target
    yield made
    made.close()


@pytest.fixture
def lab(world):
    """Whatever a story does, the host is as it was afterwards."""
    wait_until(world.is_settled, "addresses are settled")
    before = world.snapshot()
    yield world
    world.open_wire()
    for name in ("lab", "full", "second"):
        world.call("down", name)
    assert changes(before, world.snapshot()) == {}


def everything(lab, endpoint=f"{BEHIND}:51820"):
    lab.profile("full", lab.conf(allowed="0.0.0.0/0, ::/0", endpoint=endpoint, dns=""))


def test_up_and_down(lab):
    done = lab.ask("up", "lab", "--wait-ready", "30s")
    assert done.stdout.startswith("lab is up: 10.77.0.2/24, fd77::2/64 (process "), done.stdout
    assert "DNS was not changed: neither systemd-resolved nor resolvconf" in done.stderr
    lab.only_the_tunnel()
    for target in ("10.77.0.1", "fd77::1"):
        assert lab.ping(target).returncode == 0, target
    assert lab.on_host("curl", "-sS", "-m", "20", "http://10.77.0.1:8080/9") == "x" * 9
    assert lab.on_host("curl", "-sS", "-m", "20", "http://[fd77::1]:8080/70000") == "x" * 70000
    shown = lab.on_host("wg", "show", "lab", "latest-handshakes").split()
    assert int(shown[1]) > time.time() - 60
    assert "lookup 518" not in lab.on_host("ip", "rule")
    status = lab.ask("status").stdout
    assert "lab" in status and "10.77.0.2/24" in status
    assert lab.ask("status", "lab", "--check", "ready").returncode == 0
    again = lab.call("up", "lab")
    assert again.returncode == 6 and "lab is up already (process " in again.stderr
    assert len(again.stderr.splitlines()) == 2
    assert lab.ask("down", "lab").stdout == "lab is down\n"
    twice = lab.call("down", "lab")
    assert twice.returncode == 3 and "lab is not up" in twice.stderr


SERVE = """
import socket
with socket.create_server(("10.77.0.2", 8000)) as server:
    print("ready", flush=True)
    server.accept()[0].sendall(b"from the host")
"""


def test_a_far_program_opens_connections_to_the_host(lab):
    lab.ask("up", "lab", "--wait-ready", "30s")
    server = lab.start(lab.as_root("/usr/bin/python3", "-c", SERVE), stdout=subprocess.PIPE,
                       text=True)
    assert server.stdout.readline() == "ready\n"
    fetch = "import socket; print(socket.create_connection(('10.77.0.2', 8000), 20).recv(99))"
    assert "from the host" in output(*lab.in_far("/usr/bin/python3", "-c", fetch))
    assert server.wait(20) == 0


@pytest.mark.parametrize("endpoint", [f"{BEHIND}:51820", f"[{BEHIND6}]:51820"])
def test_all_traffic_goes_through_the_tunnel_and_does_not_loop(lab, endpoint):
    everything(lab, endpoint)
    output("ip", "-n", lab.far, "address", "replace", "198.18.0.1/32", "dev", "lo")
    output("ip", "-n", lab.far, "-6", "address", "replace", "2001:db8:f::1/128", "dev", "lo",
           "nodad")
    wait = lab.ask("up", "full", "--wait-ready", "30s")
    assert "all traffic" in wait.stdout
    lab.only_the_tunnel()
    for target in ("198.18.0.1", "2001:db8:f::1", "10.77.0.1", BEHIND, BEHIND6):
        assert lab.ping(target).returncode == 0, target
    assert lab.on_host("curl", "-sS", "-m", "20", "http://198.18.0.1:8080/200000") == "x" * 200000
    # Loops would be counted here: a packet of ours in a packet of ours in …
    sent = int(lab.on_host("wg", "show", "full", "transfer").split()[2])
    assert sent < 100_000, sent
    rules = lab.on_host("ip", "rule")
    assert "suppress_prefixlength 0" in rules and "not from all fwmark 0xca6c lookup 51820" in rules
    # What the host reaches more exactly it still reaches so.
    assert "dev e0" in lab.on_host("ip", "route", "get", "192.0.2.2")
    assert "dev full" in lab.on_host("ip", "route", "get", "198.18.0.1")


def test_two_networks_at_once(lab):
    everything(lab)
    lab.add_members(1)
    lab.profile("second", (lab.home / ".config/warren/m0.conf").read_text().replace(
        "10.77.0.0/24, fd77::/64", "10.77.0.1/32").replace("10.77.0.100/24", "10.77.0.100/32"))
    lab.ask("up", "second", "--wait-ready", "30s")
    lab.ask("up", "full", "--wait-ready", "30s")
    lab.only_the_tunnel()
    assert "dev second" in lab.on_host("ip", "route", "get", "10.77.0.1")
    assert lab.ping("198.18.0.1").returncode == 0
    assert lab.ping("10.77.0.1", "-I", "10.77.0.100").returncode == 0
    lab.ask("down", "second")
    assert lab.ping("198.18.0.1").returncode == 0


STREAM = """
import socket, sys, time
with socket.create_connection(("10.77.0.1", 8080), timeout=20) as s:
    print("connected", flush=True)
    sys.stdin.readline()
    s.sendall(b"GET /300000 HTTP/1.0\\r\\n\\r\\n")
    total = 0
    while got := s.recv(65536):
        total += len(got)
    print(total > 300000, flush=True)
"""


@pytest.mark.parametrize("victim", ["engine", "supervisor and engine"])
def test_a_connection_lives_on(lab, victim):
    lab.ask("up", "lab", "--wait-ready", "30s")
    stream = lab.start(lab.as_root("/usr/bin/python3", "-c", STREAM), stdin=subprocess.PIPE,
                       stdout=subprocess.PIPE, text=True)
    assert stream.stdout.readline() == "connected\n"
    supervisor, engine = lab.pids()
    link = lab.on_host("ip", "-o", "link", "show", "lab").split(":")[0]
    if victim == "engine":
        lab.kill(engine)
        assert lab.pids()[1] != engine
        assert lab.on_host("ip", "-o", "link", "show", "lab").split(":")[0] == link
    else:
        lab.kill(supervisor, engine)
        again = lab.ask("up", "lab")
        assert "removed what a killed `warren up lab` had left" in again.stderr
    stream.stdin.write("go\n")
    stream.stdin.flush()
    assert stream.stdout.readline() == "True\n"


def test_an_engine_that_keeps_ending_is_tried_again(lab):
    lab.ask("up", "lab", "--wait-ready", "30s")
    supervisor, engine = lab.pids()
    deadline = time.monotonic() + 60
    while "no engine" not in lab.ask("status").stdout and time.monotonic() < deadline:
        for _ in range(5):
            if engine := lab.engine(supervisor):
                lab.kill(engine)
    assert "5 times in a few seconds" in lab.ask("status").stdout
    assert lab.call("status", "lab", "--check", "ready").returncode == 3
    assert "dev lab" in lab.on_host("ip", "route", "get", "10.77.0.1")
    wait_until(lambda: lab.engine(supervisor), "there is an engine again", 30)
    assert lab.ping("10.77.0.1").returncode == 0, "packets flow again"
    assert "no engine" not in lab.ask("status").stdout


@pytest.mark.parametrize("name", ["lab", "full"])
@pytest.mark.parametrize("whom", ["supervisor", "both"])
def test_down_after_a_kill(lab, name, whom):
    everything(lab)
    lab.ask("up", name, "--wait-ready", "30s")
    supervisor, engine = lab.pids(name)
    lab.kill(*([supervisor] if whom == "supervisor" else [supervisor, engine]))
    wait_until(lambda: not lab.own_processes(), "the engine ends with its supervisor")
    # Nothing leaves by another way meanwhile.
    assert f"dev {name}" in lab.on_host("ip", "route", "get", "10.77.0.1")
    assert lab.ping("10.77.0.1", seconds="1").returncode != 0
    assert "its supervisor was killed" in lab.call("status").stdout
    assert lab.call("status", name, "--check", "live").returncode == 3
    assert "had left" in lab.ask("down", name).stdout


def test_down_twice_at_once_and_a_kill_on_the_way_up(lab):
    for delay in (0.01, 0.03, 0.06, 0.1):
        up = lab.start(lab.as_root(lab.directory / "warren", "up", "-f", "lab"),
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        up.kill()
        up.wait()
        wait_until(lambda: not lab.own_processes(), "all are dead")
        lab.call("down", "lab")
        assert "lab" not in lab.on_host("ip", "-o", "link")


def test_a_link_that_is_removed_takes_the_rest_along(lab):
    everything(lab)
    lab.ask("up", "full", "--wait-ready", "30s")
    lab.on_host("ip", "link", "delete", "full")
    wait_until(lambda: not lab.own_processes(), "the supervisor ends")
    assert lab.call("down", "full").returncode == 3


REFUSALS = {
    "link": (["ip", "tuntap", "add", "lab", "mode", "tun"], ["ip", "link", "delete", "lab"],
             "the interface lab exists already: a tun link that no process here holds"),
    "route": (["ip", "route", "add", "10.77.0.0/24", "via", "192.0.2.2"],
              ["ip", "route", "delete", "10.77.0.0/24"],
              r"this host has a route to 10.77.0.0/24 already, on e0 (by 192.0.2.2)"),
    "address": (["ip", "address", "add", "10.77.0.2/32", "dev", "lo"],
                ["ip", "address", "delete", "10.77.0.2/32", "dev", "lo"],
                "this host has the address 10.77.0.2 already, on lo"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_is_in_the_way_is_named(lab, what):
    place, remove, words = REFUSALS[what]
    lab.on_host(*place)
    before = lab.snapshot()
    done = lab.call("up", "lab")
    after = lab.snapshot()
    lab.on_host(*remove)
    assert done.returncode == 6, done.stderr
    assert words in done.stderr and len(done.stderr.splitlines()) == 2, done.stderr
    assert changes(before, after) == {}


def test_who_holds_a_link_is_named(lab):
    holder = lab.start(lab.as_root(lab.directory / "warren-engine", "-f", "lab"),
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: "lab" in lab.on_host("ip", "-o", "link"), "there is a link")
    done = lab.call("up", "lab")
    holder.terminate()
    holder.wait()
    assert done.returncode == 6 and f"(process {holder.pid})" in done.stderr, done.stderr


def test_errors_leave_nothing(lab):
    lab.profile("full", lab.conf(interface="Table = vpn"))
    assert lab.call("up", "full").returncode == 2
    assert lab.call("up", "nosuch").returncode == 5
    lab.profile("all", lab.conf())
    assert lab.call("up", "all").returncode == 2
    lab.profile("a-name-that-is-too-long", lab.conf())
    assert lab.call("up", "a-name-that-is-too-long").returncode == 2
    lab.profile("full", lab.conf(endpoint="192.0.2.2:9"))
    unheard = lab.call("up", "full", "--wait-ready", "1s")
    assert unheard.returncode == 3 and "no handshake" in unheard.stderr
    user = subprocess.run(lab.warren("up", "lab"), capture_output=True, text=True)
    assert user.returncode == 4 and "`warren run lab -- COMMAND` needs no root" in user.stderr
    assert subprocess.run(lab.warren("down", "lab"), capture_output=True).returncode == 4


def test_a_service_manager_is_told(lab):
    path = lab.directory / "notify"
    script = ("import socket, subprocess, sys\n"
              "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1])\n"
              "p = subprocess.Popen(sys.argv[2:]); s.settimeout(10); print(s.recv(100).decode())\n"
              "p.terminate(); sys.exit(p.wait())")
    said = lab.on_host("env", f"NOTIFY_SOCKET={path}", "/usr/bin/python3", "-c", script, path,
                       lab.directory / "warren", "up", "--foreground", "lab")
    assert "READY=1" in said
    path.unlink()
