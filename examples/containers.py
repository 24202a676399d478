"""A stage whose gateway and people live in containers of their own (podman): no --privileged, no
capability but NET_ADMIN, a user id that is given, state on a mounted folder that belongs to it.

The containers' programs are this machine's /usr, read-only, and the warren that is tried.
"""
import glob
import itertools
import os
import pathlib
import resource
import subprocess

from stage import FIRST_UID, ROOT, Person, Skipped, Stage, sh, wait_for

UNPACKED = pathlib.Path(os.environ.get("WARREN_CONTAINERS", ROOT / "build/containers")).resolve()
GATEWAY_UID = FIRST_UID

CONF = """
[engine]
runtime = "runc"
conmon_path = ["{podman}/usr/bin/conmon"]
conmon_env_vars = ["LD_LIBRARY_PATH={libraries}", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
tmp_dir = "{files}/tmp"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
[engine.runtimes]
runc = ["{podman}/usr/sbin/runc"]
"""
STORAGE = """
[storage]
driver = "vfs"
runroot = "{files}/run"
graphroot = "{files}/storage"
"""


class ContainerPerson(Person):
    """Each command is a container; what stays of them is the home, which is mounted."""

    numbers = itertools.count(1)

    def environment(self):
        return ["env", f"HOME={self.home}", f"XDG_RUNTIME_DIR={self.home}/runtime",
                f"PATH={self.stage.work}:/usr/bin:/bin"]

    def command(self, *command):
        self.last = f"{self.stage.tag}-{self.name}-{next(self.numbers)}"
        return self.stage.container(self.last, self.host, self.uid, self.home, "-i",
                                    command=[*self.environment(), *command])

    def starts(self, log, *command):
        child = super().starts(log, *command)
        self.running = self.last
        return child

    def beside(self, *command):
        return self.stage.podman("exec", "-i", self.running, *self.environment(), *command)

    def stops(self, child):
        sh(*self.stage.podman("stop", "--time", "5", self.running))
        child.wait(10)
        self.stage.children.remove(child)


class ContainerStage(Stage):
    person_type = ContainerPerson

    def __init__(self, name, hosts):
        if not (UNPACKED / "usr/bin/podman").exists():
            raise Skipped(f"podman is not below {UNPACKED}; `make packages` unpacks it")
        super().__init__(name, hosts)
        self.files = self.work / "podman"
        self.files.mkdir()
        (self.files / "containers.conf").write_text(CONF.format(podman=UNPACKED, libraries=self.libraries(), files=self.files))
        (self.files / "storage.conf").write_text(STORAGE.format(files=self.files))
        self.make_root()
        self.outbox = self.work / "gateway"
        self.outbox.mkdir(mode=0o700)
        os.chown(self.outbox, GATEWAY_UID, GATEWAY_UID)
        self.try_podman()

    def make_root(self):
        """An empty root with places for what is mounted."""
        self.root = self.files / "root"
        for name in ("usr", "etc", "proc", "dev", "sys", "run", "tmp", "var"):
            (self.root / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.root / name).symlink_to(f"usr/{name}")
        (self.root / "var/run").symlink_to("../run")
        (self.root / "tmp").chmod(0o1777)
        (self.root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
        (self.root / "etc/ld.so.cache").write_bytes(pathlib.Path("/etc/ld.so.cache").read_bytes())

    @staticmethod
    def libraries():
        return ":".join(glob.glob(f"{UNPACKED}/usr/lib/*-linux-gnu") + glob.glob(f"{UNPACKED}/lib/*-linux-gnu"))

    def podman(self, *words):
        return [*(["nsenter", *self.tun.enter()] if self.tun.needed else []), "env", f"LD_LIBRARY_PATH={self.libraries()}",
                f"CONTAINERS_CONF={self.files}/containers.conf", f"CONTAINERS_STORAGE_CONF={self.files}/storage.conf",
                f"PATH={UNPACKED}/usr/bin:{UNPACKED}/usr/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
                f"{UNPACKED}/usr/bin/podman", *map(str, words)]

    def container(self, name, host, uid, home, *options, command):
        files = min(1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        return self.podman(
            "run", "--rm", "--name", name, "--ulimit", f"nofile={files}:{files}", "--ulimit", "nproc=1000:1000",
            "--network", f"ns:/run/netns/{self.tag}-{host}", "--user", f"{uid}:{uid}", "--cap-drop", "all",
            "--cap-add", "NET_ADMIN", "--security-opt", "no-new-privileges", "--device", "/dev/net/tun",
            "--volume", "/usr:/usr:ro", "--volume", f"{self.work}:{self.work}:ro", "--volume", f"{ROOT}:{ROOT}:ro",
            "--volume", f"{home}:{home}", "--workdir", home, *options, "--rootfs", self.root, *command)

    def try_podman(self):
        done = subprocess.run(self.container(f"{self.tag}-try", "gate", GATEWAY_UID, self.outbox, command=["true"]),
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            self.close()
            raise Skipped(f"podman cannot run a container here: {done.stderr.strip()}")

    # --- the gateway ---

    @property
    def gateway_name(self):
        return f"{self.tag}-gateway"

    def start_daemon(self):
        # It makes the namespaces of its networks itself, and sets what they forward.
        daemon = self.start(self.container(
            self.gateway_name, "gate", GATEWAY_UID, self.outbox, "--security-opt", "unmask=/proc/sys", command=[
                self.work / "warren-gateway", "daemon", "--rootless", "--state-dir", self.outbox / "state",
                "--run-dir", self.outbox / "run", "--endpoint", self.address["gate"]]), "gateway")
        wait_for(lambda: f"the gateway answers: {self.log('gateway')}",
                 lambda: subprocess.run(self.gateway("warren", "status", "--check", "ready", "--daemon"),
                                        capture_output=True).returncode == 0)
        return daemon

    def gateway(self, *command):
        return self.podman("exec", "-i", self.gateway_name, "env", f"WARREN_STATE_DIR={self.outbox}/state",
                           f"WARREN_RUN_DIR={self.outbox}/run", f"PATH={self.work}:/usr/sbin:/usr/bin:/sbin:/bin",
                           *command)

    def close(self):
        subprocess.run(self.podman("rm", "--force", "--all", "--time", "2"), capture_output=True)
        super().close()
