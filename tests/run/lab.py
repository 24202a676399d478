"""An unprivileged user on one host, a WireGuard gateway on another.

     namespace wt<pid>-host                   namespace wt<pid>-far
    +--------------------------+             +--------------------------+
    | uid 65534: warren run    |             | wt<pid>  10.77.0.1       |
    |   inside: 10.77.0.2      |             |          fd77::1         |
    |           fd77::2        |             |  HTTP, UDP echo, DNS     |
    |           e0 192.0.2.1 --+--- veth ----+-- e0 192.0.2.2 :51820    |
    |        2001:db8::1       |             |   2001:db8::2            |
    +--------------------------+             +--------------------------+

The host also has a mount namespace of its own, in which users may open /dev/net/tun.
"""

import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from programs import make_plain, output, require, wait_until  # noqa: E402

BIN = pathlib.Path(os.environ.get("WARREN_BIN", "build/dev/bin"))
USER = 65534
SOCKETS = pathlib.Path("/var/run/wireguard")
SERVICES = pathlib.Path(__file__).with_name("services.py")


class Lab:
    programs = ("warren", "warren-engine")

    def __init__(self, far_program="warren-engine", etc_setup=""):
        require("wg", "ip", "nsenter", "unshare", "setpriv")
        Lab.count = getattr(Lab, "count", 0) + 1
        self.name = f"wt{os.getpid()}n{Lab.count}"
        self.host = f"{self.name}-host"
        self.far = f"{self.name}-far"
        self.children = []
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self.home = self.directory / "home"
        self.runtime = self.directory / "runtime"
        self.user_key = output("wg", "genkey")
        self.user_public = output("wg", "pubkey", input=self.user_key)
        self.far_key = output("wg", "genkey")
        self.far_public = output("wg", "pubkey", input=self.far_key)
        try:
            self.make_directories()
            self.make_wire()
            self.start_far(far_program)
            self.start_host(etc_setup)
            self.profile("lab", self.conf())
        except BaseException:
            self.close()
            raise

    # --- building ---

    def make_directories(self):
        self.directory.chmod(0o755)
        for path in (self.home, self.runtime):
            path.mkdir(mode=0o700)
            os.chown(path, USER, USER)
        for program in self.programs:
            if not (BIN / program).exists():
                pytest.skip(f"{program} is not built")
            shutil.copy(BIN / program, self.directory / program)
            (self.directory / program).chmod(0o755)

    def make_wire(self):
        output("ip", "netns", "add", self.host)
        output("ip", "netns", "add", self.far)
        output("ip", "link", "add", "e0", "netns", self.host, "type", "veth",
               "peer", "name", "e0", "netns", self.far)
        for namespace, number in ((self.host, 1), (self.far, 2)):
            ip = ("ip", "-n", namespace)
            make_plain(namespace)
            # Link-local addresses are there with the link, not after a second of asking around.
            output("nsenter", f"--net=/run/netns/{namespace}", "sysctl", "-qw",
                   "net.ipv6.conf.e0.accept_dad=0")
            output(*ip, "address", "add", f"192.0.2.{number}/24", "dev", "e0")
            output(*ip, "address", "add", f"2001:db8::{number}/64", "dev", "e0", "nodad")
            output(*ip, "link", "set", "e0", "up")
            output(*ip, "link", "set", "lo", "up")

    def start(self, command, **options):
        child = subprocess.Popen(list(map(str, command)), **options)
        self.children.append(child)
        return child

    def in_far(self, *command):
        return ["nsenter", f"--net=/run/netns/{self.far}", *map(str, command)]

    def in_host(self, *command):
        return ["nsenter", f"--net=/run/netns/{self.host}", *map(str, command)]

    def start_far(self, program):
        require(program) if program != "warren-engine" else None
        path = self.directory / program if program == "warren-engine" else program
        log = self.directory / "far.log"
        # A foreign program that ends while it starts is started again: its troubles are not ours.
        for _ in range(1 if program == "warren-engine" else 3):
            with open(log, "a") as errors:
                self.far_process = self.start(self.in_far(path, "-f", self.name), stderr=errors,
                                              stdout=subprocess.DEVNULL,
                                              env={**os.environ, "LOG_LEVEL": "error"})
            wait_until(lambda: self.far_answers() or self.far_process.poll() is not None,
                       lambda: f"{program} answers; its log: {log.read_text()}")
            if self.far_process.poll() is None:
                break
        else:
            raise AssertionError(f"{program} ended: {log.read_text()}")
        self.far_set_peer()
        ip = ("ip", "-n", self.far)
        output(*ip, "address", "add", "10.77.0.1/24", "dev", self.name)
        output(*ip, "address", "add", "fd77::1/64", "dev", self.name, "nodad")
        output(*ip, "link", "set", self.name, "up")
        self.start_services()

    def start_services(self):
        services = self.start(self.in_far("/usr/bin/python3", "-B", SERVICES),
                              stdout=subprocess.PIPE, text=True)
        assert services.stdout.readline() == "ready\n"

    def far_answers(self):
        shown = subprocess.run(self.in_far("wg", "show", self.name), capture_output=True)
        return (SOCKETS / f"{self.name}.sock").exists() and shown.returncode == 0

    def far_set_peer(self):
        conf = (f"[Interface]\nPrivateKey={self.far_key}\nListenPort=51820\n[Peer]\n"
                f"PublicKey={self.user_public}\nAllowedIPs=10.77.0.2/32,fd77::2/128\n")
        output(*self.in_far("wg", "setconf", self.name, "/dev/stdin"), input=conf)

    def start_host(self, etc_setup):
        device = self.directory / "dev"
        device.mkdir()
        # Namespaces of the tests beside this one come and go, and are no mounts of this host.
        script = (f"while umount -R -l /run/netns 2>/dev/null; do :; done; set -e; mount -t tmpfs tmpfs {device}; mknod -m 666 {device}/tun c 10 200; "
                  f"mount --bind {device}/tun /dev/net/tun; {etc_setup} echo ready; "
                  "exec sleep 600")
        self.holder = self.start(self.in_host("unshare", "-m", "bash", "-c", script),
                                 stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n"

    # --- use ---

    def conf(self, interface="", peer="", endpoint="192.0.2.2:51820", dns="10.77.0.1",
             allowed="10.77.0.0/24, fd77::/64"):
        return (f"[Interface]\nPrivateKey = {self.user_key}\n"
                f"Address = 10.77.0.2/24, fd77::2/64\n" + (f"DNS = {dns}\n" if dns else "") +
                f"{interface}\n[Peer]\nPublicKey = {self.far_public}\n"
                f"AllowedIPs = {allowed}\nEndpoint = {endpoint}\n{peer}\n")

    def profile(self, name, text, mode=0o600):
        directory = self.home / ".config" / "warren"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{name}.conf"
        path.write_text(text)
        path.chmod(mode)
        for part in (path, directory, directory.parent):
            os.chown(part, USER, USER)
        return path

    def add_members(self, count):
        """More profiles, each with a key and an address of its own: their names."""
        words = []
        for number in range(count):
            key = output("wg", "genkey")
            words += ["peer", output("wg", "pubkey", input=key), "allowed-ips",
                      f"10.77.0.{100 + number}/32"]
            self.profile(f"m{number}", self.conf().replace(self.user_key, key).replace(
                "10.77.0.2/24, fd77::2/64", f"10.77.0.{100 + number}/24"))
        output(*self.in_far("wg", "set", self.name, *words))
        return [f"m{number}" for number in range(count)]

    def as_user(self, *command, environment=()):
        """The command as it must be started to be the user's, in the host's namespaces."""
        return ["nsenter", "-t", str(self.holder.pid), "-m", "-n", "setpriv",
                f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "env", "-i", "-C",
                str(self.home), "PATH=/usr/bin:/bin", f"HOME={self.home}",
                f"XDG_RUNTIME_DIR={self.runtime}", *environment, *map(str, command)]

    def warren(self, *arguments):
        return self.as_user(self.directory / "warren", *arguments)

    def warren_after(self, setup, *arguments):
        """`warren` after root changed the mounts of a namespace of the test's own."""
        inner = self.warren(*arguments)
        return [*inner[:5], "unshare", "-m", "sh", "-c", f'{setup}; exec "$@"', "sh", *inner[5:]]

    def warren_without_namespaces(self, *arguments):
        """A user namespace that allows no further ones stands for a host that allows none."""
        inner = self.warren(*arguments)
        at = inner.index("setpriv") + 4
        forbid = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
        return [*inner[:at], "unshare", "-Ur", "sh", "-c", forbid, "sh", *inner[at:]]

    def run(self, *command, profile="lab", options=(), **more):
        """`warren run` to its end."""
        return subprocess.run(self.warren("run", profile, *options, "--", *command),
                              capture_output=True, text=True, timeout=60, **more)

    def begin(self, *command, profile="lab", options=(), **more):
        """`warren run` in the background."""
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **more}
        return self.start(self.warren("run", profile, *options, "--", *command), **more)

    def check(self, script, **more):
        """Python code inside a run; its output."""
        done = self.run("/usr/bin/python3", "-c", script, **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # --- looking ---

    def state(self, name="lab"):
        """The state file of a run, once it is there."""
        path = self.runtime / "warren" / f"{name}.state"
        wait_until(path.exists, "the run tells its state")
        return dict(line.split("=", 1) for line in path.read_text().splitlines())

    def files(self):
        return sorted(str(path.relative_to(self.runtime)) for path in self.runtime.rglob("*"))

    def mounts(self):
        """Mounts as the host's processes see them. Named network namespaces are left out: they come
        and go with the tests beside this one."""
        lines = pathlib.Path(f"/proc/{self.holder.pid}/mountinfo").read_text().splitlines()
        return "\n".join(line for line in lines if " - nsfs " not in line)

    def ending_connections(self):
        """TCP connections of the host that still have something to say."""
        return output(*self.in_host("ss", "-Hnt", "state", "connected", "exclude", "time-wait"))

    def own_processes(self):
        """Processes of programs in this lab's directory, without the far end's."""
        mine = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if not entry.name.isdigit():
                    continue
                if not os.readlink(entry / "exe").startswith(f"{self.directory}/"):
                    continue
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if self.name.encode() not in words:
                mine.append(int(entry.name))
        return mine

    def engine(self, supervisor=None):
        """The process id of a run's engine, or None."""
        supervisor = int(supervisor or self.state()["pid"])
        for pid in self.own_processes():
            try:
                entry = pathlib.Path(f"/proc/{pid}")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == supervisor and b"--opener-fd" in (entry / "cmdline").read_bytes():
                    return pid
            except OSError:
                pass
        return None

    def close(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                try:
                    child.wait(5)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
            for pipe in (child.stdout, child.stderr, child.stdin):
                if pipe:
                    pipe.close()
        for namespace in (self.host, self.far):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)


class Terminal:
    """A shell with job control on a terminal of its own, in which the user works."""

    def __init__(self, lab):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            command = lab.as_user("bash", "--norc", "--noprofile", "--noediting", "-i",
                                  environment=["TERM=dumb", "PS1=$ "])
            os.execvp(command[0], command)
        self.seen = ""
        self.expect("$ ")

    def say(self, text):
        os.write(self.fd, text.encode())

    def expect(self, text):
        deadline = time.monotonic() + 30
        while text not in self.seen:
            left = max(0, deadline - time.monotonic())
            assert select.select([self.fd], [], [], left)[0], f"no `{text}` in: {self.seen}"
            self.seen += os.read(self.fd, 4096).decode(errors="replace")
        before, self.seen = self.seen.split(text, 1)
        return before

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def work_in_a_shell(terminal, command, look, expected):
    """An interactive shell that the command starts, used as a person does; in it, `look` answers
    what is expected."""
    terminal.say(f"{command}\n")
    terminal.say(f"echo inside-$((6*7)); {look}\n")
    terminal.expect("inside-42\r\n")
    terminal.expect(expected)
    # Whoever says this has been given the terminal by the shell.
    terminal.say("sh -c 'echo asleep-$((1+1)); exec sleep 60'\n")
    terminal.expect("asleep-2\r\n")
    terminal.say("\x03")
    terminal.say("echo back-$((1+1))\n")
    terminal.expect("back-2\r\n")
    terminal.say("exit 3\n")
    terminal.say("echo code-$?\n")
    terminal.expect("code-3\r\n")


class Namespaces(dict):
    """The names of a process's namespaces. While this object lives so do they: the kernel would give
    the name of one that is gone to the next that is made, by whatever test that runs beside this."""

    def __init__(self, pid):
        super().__init__()
        self.held = []
        for kind in ("net", "pid", "mnt", "user"):
            self.held.append(os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY))
            self[kind] = os.readlink(f"/proc/self/fd/{self.held[-1]}")

    def __del__(self):
        for descriptor in self.held:
            os.close(descriptor)


def namespaces_of(pid):
    return Namespaces(pid)


def anyone_in(namespaces):
    """Processes in any of these namespaces."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        for kind, name in namespaces.items():
            try:
                if os.readlink(entry / "ns" / kind) == name:
                    found.append(entry.name)
            except OSError:
                pass
    return found


if __name__ == "__main__":
    sys.exit("this is a library of the tests")
