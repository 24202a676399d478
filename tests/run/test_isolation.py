"""Names and sockets: what the host has of them does not lead out of a run."""

import pathlib
import subprocess

import pytest
from filters import NO_ETC_MOUNTS, behind
from lab import USER, Lab, wait_until
from vpn_lab import unpacked

# A /run and an /etc of the host's own, so that a test may change them.
RUN = ("mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p /run/nscd /run/dbus /run/media/stick "
       "/run/netns; echo here > /run/media/stick/file; ")
ETC = ("D=$(mktemp -d); mount -t tmpfs tmpfs $D; mkdir $D/u $D/w; mount -t overlay overlay "
       "-o lowerdir=/etc,upperdir=$D/u,workdir=$D/w /etc; ")
LOCKED = "echo '203.0.113.9 host.example' > $D/hosts; mount --bind $D/hosts /etc/hosts; "

LISTEN = """
import os, socket, sys, threading
def serve(s):
    while True: s.accept()[0].close()
for name in sys.argv[1:]:
    s = socket.socket(socket.AF_UNIX)
    s.bind("\\0" + name[1:] if name[0] == "@" else name)
    if name[0] != "@": os.chmod(name, 0o777)
    s.listen(); threading.Thread(target=serve, args=(s,), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""
CONNECT = """
import socket, sys
for name in sys.argv[1:]:
    s = socket.socket(socket.AF_UNIX)
    try: s.connect("\\0" + name[1:] if name[0] == "@" else name); print(name, "reached")
    except OSError as e: print(name, "refused")
"""


@pytest.fixture(scope="module")
def host():
    made = Lab(etc_setup=RUN + ETC)
    yield made
    made.close()


def on_host(lab, *command, **more):
    """As root on the lab's host."""
    return subprocess.run(["nsenter", "-t", str(lab.holder.pid), "-m", "-n", *command],
                          capture_output=True, text=True, check=True, **more)


def listen(lab, *names):
    child = lab.start(["nsenter", "-t", str(lab.holder.pid), "-m", "-n", "/usr/bin/python3", "-c",
                       LISTEN, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    return child


def connect(lab, *names, **more):
    done = lab.run("/usr/bin/python3", "-c", CONNECT, *names, **more)
    assert done.returncode == 0, done
    return dict(line.split() for line in done.stdout.splitlines())


def test_sockets_of_the_host_are_not_reached(host):
    names = ["/run/nscd/socket", "/run/dbus/system_bus_socket", "/run/docker.sock",
             f"{host.runtime}/bus", "@abstract-service"]
    listen(host, *names)
    outside = subprocess.run(host.as_user("/usr/bin/python3", "-c", CONNECT, *names),
                             capture_output=True, text=True)
    assert outside.stdout.count("reached") == len(names), outside  # the test can fail
    assert set(connect(host, *names).values()) == {"refused"}


def test_kept_paths_are_seen_and_nothing_else(host):
    listen(host, "/run/wanted.sock", "/run/unwanted.sock", f"{host.runtime}/mine")
    got = connect(host, "/run/wanted.sock", "/run/unwanted.sock", f"{host.runtime}/mine",
                  options=("--keep", "/run/wanted.sock", "--keep", f"{host.runtime}/mine"))
    assert got == {"/run/wanted.sock": "reached", "/run/unwanted.sock": "refused",
                   f"{host.runtime}/mine": "reached"}
    assert host.run("cat", "/run/media/stick/file").stdout == "here\n"
    lost = host.run("true", options=("--keep", "/run/nowhere"))
    assert lost.returncode == 125 and "keep /run/nowhere visible: No such file" in lost.stderr


def test_the_display_stays_and_other_sockets_named_by_the_environment_go(host):
    bus = f"{host.directory}/bus"
    listen(host, f"{host.runtime}/wayland-7", bus)
    command = host.warren("run", "lab", "--", "/usr/bin/python3", "-c", CONNECT,
                          f"{host.runtime}/wayland-7", bus)
    at = command.index(f"HOME={host.home}")
    command[at:at] = ["WAYLAND_DISPLAY=wayland-7", f"DBUS_SESSION_BUS_ADDRESS=unix:path={bus},g=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.stdout == f"{host.runtime}/wayland-7 reached\n{bus} refused\n", done.stderr


def test_environment_names_the_run_and_no_bus(host):
    command = host.warren("run", "lab", "--", "env")
    at = command.index(f"HOME={host.home}")
    command[at:at] = ["DBUS_SESSION_BUS_ADDRESS=unix:path=/run/bus", "TMUX=/tmp/t,1,0"]
    text = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    assert "WARREN_RUN=lab\n" in text and "DBUS" not in text and "TMUX" not in text


def test_run_directories_are_private_and_writable(host):
    script = "touch /run/x $XDG_RUNTIME_DIR/y && stat -c %a $XDG_RUNTIME_DIR && ls /run/lock"
    done = host.run("sh", "-c", script)
    assert done.stdout == "700\n" and done.returncode == 0, done
    assert on_host(host, "sh", "-c", "ls /run").stdout.split().count("x") == 0


def names_inside(run):
    """What the C library and the files say, asked in a run that reads lines."""
    run.stdin.write("look\n")
    run.stdin.flush()
    return [run.stdout.readline().strip() for _ in range(3)]


LOOK = """
import socket, sys
for line in sys.stdin:
    print(open("/etc/resolv.conf").read().strip())
    try: print(socket.gethostbyname("host.example"))
    except OSError: print("none")
    print([l.split(":")[1].strip() for l in open("/etc/nsswitch.conf") if l.startswith("hosts")][0])
    sys.stdout.flush()
"""


@pytest.mark.parametrize("locked", [False, True], ids=["overlay", "mounts-inside-etc"])
def test_names_stay_the_profiles_while_the_host_changes_its_own(locked):
    lab = Lab(etc_setup=RUN + ETC + (LOCKED if locked else ""))
    try:
        kind = lab.run("findmnt", "-no", "FSTYPE", "/etc").stdout.split()[-1]
        assert kind == ("tmpfs" if locked else "overlay")
        run = lab.begin("/usr/bin/python3", "-c", LOOK, stdin=subprocess.PIPE)
        expected = ["nameserver 10.77.0.1", "10.77.0.99", "files dns"]
        assert names_inside(run) == expected
        before = on_host(lab, "cat", "/etc/resolv.conf").stdout
        for name, text in (("resolv.conf", "nameserver 203.0.113.1"),
                           ("nsswitch.conf", "hosts: files"),
                           ("hosts", "203.0.113.9 host.example")):
            if locked and name == "hosts":
                continue
            on_host(lab, "sh", "-c", f"echo '{text}' > /etc/new; mv /etc/new /etc/{name}")
        # A name service that starts again makes its socket again.
        listen(lab, "/run/nscd/socket")
        assert names_inside(run) == expected
        assert on_host(lab, "cat", "/etc/resolv.conf").stdout != before
        run.stdin.close()
        assert run.wait(10) == 0
    finally:
        lab.close()


NSCD_CONF = ("enable-cache hosts yes\\npersistent hosts no\\nshared hosts no\\n"
             "check-files hosts yes\\npositive-time-to-live hosts 600\\n")


def test_a_name_service_cache_restarted_during_the_run_is_not_asked():
    """With a real nscd, which answers every program of the host for its C library."""
    program = unpacked("nscd")
    lab = Lab(etc_setup=RUN + ETC + "mkdir -p /var/cache/nscd /var/db/nscd; "
              f"printf '{NSCD_CONF}' > /etc/nscd.conf; ")
    inside = ["nsenter", "-t", str(lab.holder.pid), "-m", "-n"]

    def start_nscd():
        on_host(lab, "rm", "-rf", "/run/nscd")
        on_host(lab, "mkdir", "-p", "/run/nscd")
        daemon = lab.start([*inside, *program, "-F"], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
        wait_until(lambda: subprocess.run([*inside, "test", "-S", "/run/nscd/socket"]).returncode
                   == 0 or daemon.poll() is not None, "nscd listens")
        assert daemon.poll() is None
        return daemon

    def rename_over(name, text):
        on_host(lab, "sh", "-c", f"echo '{text}' > /etc/new; mv /etc/new /etc/{name}")

    ask = [*inside, "/usr/bin/python3", "-c", "import socket\n"
           "print(socket.gethostbyname('host.example'))"]
    try:
        rename_over("nsswitch.conf", "hosts: files")
        rename_over("hosts", "203.0.113.8 host.example")
        first = start_nscd()
        # As the host's programs see it, by way of the cache: the test can fail.
        assert subprocess.run(ask, capture_output=True, text=True).stdout == "203.0.113.8\n"
        run = lab.begin("/usr/bin/python3", "-c", LOOK, stdin=subprocess.PIPE)
        expected = ["nameserver 10.77.0.1", "10.77.0.99", "files dns"]
        assert names_inside(run) == expected
        first.kill()
        first.wait(20)
        rename_over("resolv.conf", "nameserver 203.0.113.1")
        rename_over("hosts", "203.0.113.9 host.example")
        before = on_host(lab, "cat", "/etc/resolv.conf").stdout
        start_nscd()
        assert subprocess.run(ask, capture_output=True, text=True).stdout == "203.0.113.9\n"
        assert names_inside(run) == expected
        assert on_host(lab, "cat", "/etc/resolv.conf").stdout == before
        run.stdin.close()
        assert run.wait(10) == 0
        # One that starts now, with the cache running, does not ask it either.
        look = "import socket\nprint(socket.gethostbyname('host.example'))"
        assert lab.check(look) == "10.77.0.99\n"
    finally:
        lab.close()


def test_the_rest_of_etc_is_the_hosts_and_read_only(host):
    assert host.run("cat", "/etc/passwd").stdout == pathlib.Path("/etc/passwd").read_text()
    assert "Read-only" in host.run("touch", "/etc/new").stderr


@pytest.mark.parametrize("locked", ["", LOCKED], ids=["overlay", "mounts-inside-etc"])
def test_links_and_directories_of_etc_survive(locked):
    lab = Lab(etc_setup=RUN + ETC + locked)
    try:
        script = ("cd /etc; for f in *; do [ -L $f ] && echo $f $(readlink $f); done; "
                  "ls | sort; true")
        inside = lab.run("sh", "-c", script).stdout
        assert inside == on_host(lab, "sh", "-c", script).stdout
        assert "alternatives" in inside
    finally:
        lab.close()


def without_etc_mounts(lab, *arguments):
    command = lab.as_user(*behind(NO_ETC_MOUNTS, lab.directory / "warren", *arguments))
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_where_etc_cannot_be_covered_the_run_fails_unless_told_otherwise(host):
    refused = without_etc_mounts(host, "run", "lab", "--", "cat", "/etc/resolv.conf")
    assert refused.returncode == 125 and refused.stdout == ""
    assert "lay the run's files over /etc: Operation not permitted" in refused.stderr
    assert "--weak-dns" in refused.stderr and refused.stderr.count("\n") == 2
    weak = without_etc_mounts(host, "run", "--weak-dns", "lab", "--", "cat", "/etc/resolv.conf",
                              "/etc/nsswitch.conf")
    assert weak.returncode == 0, weak
    assert weak.stdout.startswith("nameserver 10.77.0.1\n# Of this run")


def test_dns_options(lab):
    def resolv(*options):
        return lab.run("cat", "/etc/resolv.conf", options=options)
    assert resolv("--dns", "10.77.0.5", "--dns", "fd77::5", "--dns-search", "x.example").stdout == (
        "nameserver 10.77.0.5\nnameserver fd77::5\nsearch x.example\n")
    assert "nameserver" not in resolv("--dns", "none").stdout
    wrong = resolv("--dns", "ns.example")
    assert wrong.returncode == 125 and "`ns.example` is not an IP address" in wrong.stderr


def test_hosts_is_the_runs_own(host):
    on_host(host, "sh", "-c", "echo 203.0.113.9 secret.example >> /etc/hosts")
    text = host.run("cat", "/etc/hosts").stdout
    assert "127.0.0.1 localhost" in text and "secret" not in text
    name = pathlib.Path("/proc/sys/kernel/hostname").read_text().strip()
    if name != "localhost":
        assert f"10.77.0.2 {name}\n" in text


def test_sys_shows_the_network_of_the_run(lab):
    assert sorted(lab.run("ls", "/sys/class/net").stdout.split()) == ["lo", "warren0"]
    assert lab.run("ls", "/sys/fs/cgroup").stdout != ""


def test_sys_that_cannot_be_mounted_shows_no_network():
    # What a container engine does to /sys.
    lab = Lab(etc_setup="mount -t tmpfs -o ro tmpfs /sys/firmware 2>/dev/null || "
                        "mount -t tmpfs -o ro tmpfs /sys/kernel; ")
    try:
        done = lab.run("sh", "-c", "ls /sys/class/net; ls /sys/devices/virtual/net; echo end")
        assert done.stdout == "end\n", done
    finally:
        lab.close()


def test_the_working_directory_is_no_way_out(host):
    hidden = host.runtime / "work"
    hidden.mkdir(exist_ok=True)
    command = host.warren("run", "lab", "--", "ls", "..")
    command[command.index("-C") + 1] = str(hidden)
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 125 and f"--keep {hidden}" in done.stderr, done
    command[command.index("lab")] = f"--keep={hidden}"
    command.insert(command.index("--"), "lab")
    assert subprocess.run(command, capture_output=True, text=True, timeout=30).stdout == "work\n"
    hidden.rmdir()


def test_descriptors_are_not_inherited(lab):
    command = lab.warren("run", "lab", "--", "sh", "-c", "ls /proc/self/fd | tr '\\n' ' '")
    shell = ["sh", "-c", 'exec 3</etc/hosts 4</etc/passwd; exec "$@"', "sh"]
    done = subprocess.run(shell + command, capture_output=True, text=True, timeout=30)
    assert done.stdout == "0 1 2 3 ", done  # the last one is ls's own
    command[command.index("lab")] = "--preserve-fds=1"
    command.insert(command.index("--"), "lab")
    done = subprocess.run(shell + command, capture_output=True, text=True, timeout=30)
    assert done.stdout == "0 1 2 3 4 ", done


def test_private_tmp(lab):
    marker = lab.directory / "marker"
    marker.touch()
    assert lab.run("ls", str(marker)).returncode == 0
    command = lab.warren("run", "--private-tmp", "lab", "--", "ls", "-A", "/tmp")
    command[command.index("-C") + 1] = "/"
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    # The lab is in /tmp, so the way to its XDG_RUNTIME_DIR is there, and nothing else.
    assert done.returncode == 0 and done.stdout.split() == [lab.directory.name], done
    marked = subprocess.run([*command[:-3], "ls", str(lab.directory)], capture_output=True,
                            text=True, timeout=30)
    assert marked.stdout == "runtime\n", marked
