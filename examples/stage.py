"""What the examples play on: hosts made from network namespaces, on one bridge that is the internet.

Everything that a Stage starts ends with it: by process id, never by name. Needs root for the hosts
alone; the people on them have no privilege.
"""
import glob
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from tun_access import TunAccess  # noqa: E402

BIN = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release/bin").resolve()
UNPACKED = pathlib.Path(os.environ.get("WARREN_UNPACKED", ROOT / "build/debian")).resolve()
PYTHON = "/usr/bin/python3"
FIRST_UID = 64100
SKIPPED = 77


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def sh(*command, timeout=60, **more):
    if "input" not in more:
        more["stdin"] = subprocess.DEVNULL
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, **more)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
    return done.stdout


def wait_for(what, check, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"not after {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.02)


def unpacked(name):
    """A program that `make packages` unpacks and does not install, with what it needs in front."""
    paths = [path for path in (UNPACKED / f"usr/sbin/{name}", UNPACKED / f"usr/bin/{name}") if path.exists()]
    if not paths:
        raise Skipped(f"{name} is not below {UNPACKED}; `make packages` unpacks it")
    libraries = [path for part in ("usr/lib", "lib") for path in glob.glob(f"{UNPACKED}/{part}/*-linux-gnu")]
    return ["env", "LD_LIBRARY_PATH=" + ":".join(libraries), str(paths[0])]


class Person:
    """Somebody without any privilege on one of the hosts, with a home of their own."""

    def __init__(self, stage, name, host, uid):
        self.stage, self.name, self.host, self.uid = stage, name, host, uid
        self.home = stage.work / name
        (self.home / "runtime").mkdir(parents=True, mode=0o700)
        for path in (self.home, self.home / "runtime"):
            os.chown(path, uid, uid)

    def command(self, *command):
        environment = [f"PATH={self.stage.work}:/usr/bin:/bin", f"HOME={self.home}", "LANG=C.UTF-8",
                       f"XDG_RUNTIME_DIR={self.home}/runtime"]
        tun = self.stage.tun
        return self.stage.on(self.host, *(["nsenter", *tun.enter()] if tun.needed else []), "setpriv",
                             f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", "--inh-caps=-all",
                             "--no-new-privs", "env", "-i", "-C", self.home, *environment, *command)

    def does(self, *command, **more):
        """What the command prints; Failed when it fails."""
        return sh(*self.command(*command), **more)

    def fails(self, *command, **more):
        """What the command says; Failed when it does not fail."""
        done = subprocess.run([str(word) for word in self.command(*command)], capture_output=True, text=True,
                              timeout=60, **more)
        if done.returncode == 0:
            raise Failed(f"{self.name}: this should have failed: {' '.join(map(str, command))}: {done.stdout}")
        return done.stdout + done.stderr

    def starts(self, log, *command):
        return self.stage.start(self.command(*command), log)

    def stops(self, child):
        self.stage.end(child)

    def beside(self, *command):
        """A command on the same machine as what runs there already."""
        return self.command(*command)

    def secret(self, name, text):
        """A file that this person alone can read."""
        path = self.home / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        os.chown(path, self.uid, self.uid)
        return path


class Stage:
    """The hosts, the internet between them (192.0.2.0/24), and a warren gateway on the host `gate`."""

    person_type = Person

    def __init__(self, name, hosts):
        self.tag = f"{name}{os.getpid()}"
        self.address = {host: f"192.0.2.{number}" for number, host in enumerate(hosts, 1)}
        self.children = []
        self.people = 0
        self.work = pathlib.Path(tempfile.mkdtemp(prefix=f"warren-{name}-"))
        self.work.chmod(0o755)
        self.outbox = self.work  # where the gateway may write files for others
        for path in BIN.glob("warren*"):
            shutil.copy(path, self.work)
        self.tun = TunAccess(self.work)
        for host in ("net", *hosts):
            sh("ip", "netns", "add", f"{self.tag}-{host}")
            sh("ip", "-n", f"{self.tag}-{host}", "link", "set", "lo", "up")
        sh("ip", "-n", f"{self.tag}-net", "link", "add", "internet", "up", "type", "bridge")
        sh("ip", "-n", f"{self.tag}-net", "address", "add", "192.0.2.254/24", "dev", "internet")
        for host, address in self.address.items():
            sh("ip", "-n", f"{self.tag}-net", "link", "add", host, "type", "veth", "peer", "name", "eth0",
               "netns", f"{self.tag}-{host}")
            sh("ip", "-n", f"{self.tag}-net", "link", "set", host, "master", "internet", "up")
            sh("ip", "-n", f"{self.tag}-{host}", "address", "add", f"{address}/24", "dev", "eth0")
            sh("ip", "-n", f"{self.tag}-{host}", "link", "set", "eth0", "up")
            sh("ip", "-n", f"{self.tag}-{host}", "route", "add", "default", "via", "192.0.2.254")

    def on(self, host, *command):
        return ["nsenter", f"--net=/run/netns/{self.tag}-{host}", *map(str, command)]

    def person(self, name, host):
        self.people += 1
        return self.person_type(self, name, host, FIRST_UID + self.people)

    # --- the gateway ---

    def gateway(self, *command):
        return self.on("gate", "env", f"WARREN_STATE_DIR={self.work}/state", f"WARREN_RUN_DIR={self.work}/run",
                       f"PATH={self.work}:/usr/sbin:/usr/bin:/sbin:/bin", *command)

    def start_daemon(self):
        daemon = self.start(self.gateway("warren-gateway", "daemon"), "gateway")
        wait_for(f"the gateway answers: {self.log('gateway')}",
                 lambda: subprocess.run(self.gateway("warren", "status", "--check", "ready", "--daemon"),
                                        capture_output=True).returncode == 0)
        return daemon

    def warren(self, *command, **more):
        return sh(*self.gateway("warren", *command), **more)

    def ask(self, *command):
        """The answer as a document; `policy test` and `verify` say "no" with code 1 and a document too."""
        done = subprocess.run(self.gateway("warren", "--json", *command), capture_output=True, text=True, timeout=60)
        answer = json.loads(done.stdout or "{}")
        if "error" in answer or not answer:
            raise Failed(f"warren {' '.join(map(str, command))}: {done.stdout or done.stderr}")
        return answer

    def inside(self, network, *command):
        """A command of the gateway's host inside a network."""
        return self.gateway("warren", "network", "exec", network, "--", *command)

    # --- programs that stay ---

    def start(self, command, log):
        with open(self.work / f"{log}.log", "w") as file:
            child = subprocess.Popen([str(word) for word in command], stdout=file, stderr=subprocess.STDOUT, cwd="/")
        self.children.append(child)
        return child

    def log(self, name):
        return (self.work / f"{name}.log").read_text(errors="replace")

    def serve(self, command, log):
        child = self.start(command, log)
        wait_for(f"{log} is ready: {self.log(log)}", lambda: "ready" in self.log(log))
        return child

    def kill(self, child):
        child.kill()
        child.wait()
        self.children.remove(child)

    def end(self, child):
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        self.children.remove(child)

    def close(self):
        for child in reversed(list(self.children)):
            self.end(child)
        if (self.work / "state").exists():
            subprocess.run(self.gateway("warren-gateway", "cleanup"), capture_output=True)
        for host in ("net", *self.address):
            subprocess.run(["ip", "netns", "delete", f"{self.tag}-{host}"], capture_output=True)
        self.tun.remove()
        shutil.rmtree(self.work, ignore_errors=True)


def play(name, hosts, story, stage_type=Stage):
    """Runs a story on a stage and exits: 0 done, 1 failed, 77 when what it needs is missing."""
    if os.geteuid() != 0:
        print("skipped: needs root, to make the hosts of the example")
        sys.exit(SKIPPED)
    stage = None
    code = 0
    try:
        stage = stage_type(name, hosts)
        story(stage)
    except Skipped as missing:
        print(f"skipped: {missing}")
        code = SKIPPED
    except (Failed, subprocess.TimeoutExpired) as error:
        print(f"failed: {error}", file=sys.stderr)
        code = 1
    finally:
        if stage is not None:
            stage.close()
    sys.exit(code)
