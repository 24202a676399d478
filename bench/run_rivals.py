"""Other ways to give a command a network of its own, or none: how each of them starts one.

A way is a function from the command to what is executed. Of programs that lie unpacked below
build/containers nothing is installed. What a machine lacks is told, with the reason.
"""
import glob
import os
import shutil
import signal
import subprocess

import contenders
from run_world import UID
from world import B

UNPACKED = "build/containers"
WARREN, UNSHARE, BWRAP, PODMAN = "warren run", "unshare -Urn", "bubblewrap", "podman run"
SLIRP, PASTA, OPENCONNECT = "slirp4netns", "pasta", "openconnect + script"

# What people write around slirp4netns: a command waits in its namespace until the way out is there.
SLIRP_SCRIPT = """#!/bin/sh
d=$(mktemp -d) && mkfifo "$d/pid" "$d/go" || exit
unshare -Urn sh -c 'd=$0; echo $$ >"$d/pid"; read -r _ <"$d/go"; exec "$@"' "$d" "$@" &
child=$!
read -r pid <"$d/pid"
slirp4netns --configure --mtu=65520 --ready-fd=3 "$pid" tap0 3>"$d/go" >/dev/null 2>&1 &
slirp=$!
wait $child; code=$?
kill $slirp; wait $slirp 2>/dev/null
rm -r "$d"
exit $code
"""

# What people write around openconnect, as root: its device goes into a namespace made for it.
OPENCONNECT_SCRIPT = """#!/bin/sh
ns=wb-oc-$$ ready=%(folder)s/$$.ready
ip netns add $ns
mkfifo $ready
NS=$ns READY=$ready %(client)s --background --pid-file=%(folder)s/$ns.pid %(server)s <%(folder)s/word >/dev/null 2>&1 || exit
read -r _ <$ready
nsenter --net=/run/netns/$ns "$@"; code=$?
kill -INT "$(cat %(folder)s/$ns.pid)"
ip netns del $ns
rm $ready
exit $code
"""
INTO_NAMESPACE = """#!/bin/sh
[ "$reason" = connect ] || exit 0
ip link set "$TUNDEV" netns "$NS"
ip -n "$NS" addr add "$INTERNAL_IP4_ADDRESS/24" dev "$TUNDEV"
ip -n "$NS" link set "$TUNDEV" mtu 1420 up
ip -n "$NS" route add default dev "$TUNDEV"
echo >"$READY"
"""

PODMAN_CONF = """[containers]
default_ulimits = ["nofile=1024:1024"]
log_driver = "passthrough"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
conmon_path = ["%(root)s/usr/bin/conmon"]
helper_binaries_dir = ["%(root)s/usr/lib/podman"]
[engine.runtimes]
runc = ["%(root)s/usr/sbin/runc"]
"""


class Ways:
    def __init__(self, world, folder):
        self.world, self.folder = world, folder
        self.found, self.absent = {}, {}
        self.add(WARREN, lambda: lambda *argv: world.as_user("warren", "run", "p0", "--", *argv))
        self.add(UNSHARE, lambda: lambda *argv: world.as_user("unshare", "-Urn", *argv))
        self.add(BWRAP, self.bubblewrap)
        self.add(PASTA, self.pasta)
        self.add(SLIRP, self.slirp)
        self.add(PODMAN, self.podman)
        self.add(OPENCONNECT, self.openconnect)

    def add(self, name, make):
        """Kept when it can start a command here."""
        try:
            way = make()
            done = subprocess.run(way("/usr/bin/true" if name != PODMAN else "/true"), capture_output=True, text=True, timeout=30)
            if done.returncode != 0:
                raise contenders.Absent((done.stderr.strip().splitlines() or ["it fails"])[-1])
            self.found[name] = way
        except contenders.Absent as reason:
            self.absent[name] = str(reason)
        except (RuntimeError, OSError, subprocess.SubprocessError) as reason:
            self.absent[name] = str(reason)[-200:]

    def close(self):
        """Podman leaves a process that keeps its user namespace."""
        for path, _, names in os.walk(self.world.runtime):
            if "pause.pid" in names:
                os.kill(int(open(f"{path}/pause.pid").read()), signal.SIGKILL)

    def script(self, name, text):
        path = f"{self.folder}/{name}"
        with open(path, "w") as out:
            out.write(text)
        os.chmod(path, 0o755)
        return path

    def bubblewrap(self):
        program = contenders.program("bwrap")
        return lambda *argv: self.world.as_user(program, "--unshare-user", "--unshare-net", "--unshare-pid", "--dev-bind",
                                                "/", "/", "--proc", "/proc", *argv)

    def pasta(self):
        program = contenders.program("pasta")
        return lambda *argv: self.world.as_user(program, "--config-net", "-4", "--quiet", "--no-map-gw", "--", *argv)

    def slirp(self):
        contenders.program("slirp4netns")
        path = self.script("slirp", SLIRP_SCRIPT)
        return lambda *argv: self.world.as_user(path, *argv)

    def podman(self):
        """Rootless, on a directory, without a network of its own and without an image."""
        root = os.path.abspath(UNPACKED)
        program = contenders.program(f"{root}/usr/bin/podman")
        files = f"{self.folder}/podman"
        os.makedirs(f"{files}/rootfs")
        for name in ("proc", "dev", "sys", "etc", "run", "tmp"):
            os.makedirs(f"{files}/rootfs/{name}")
        shutil.copy(f"{self.world.bin}/first_instruction", f"{files}/rootfs/first_instruction")
        shutil.copy(f"{self.world.bin}/first_instruction", f"{files}/rootfs/true")
        with open(f"{files}/containers.conf", "w") as out:
            out.write(PODMAN_CONF % {"root": root})
        with open(f"{files}/storage.conf", "w") as out:
            out.write(f'[storage]\ndriver = "vfs"\nrunroot = "{files}/run"\ngraphroot = "{files}/storage"\n')
        for path, _, names in os.walk(files):
            for name in ["", *names]:
                os.chown(os.path.join(path, name), UID, UID)
        libraries = ":".join(glob.glob(f"{root}/usr/lib/*-linux-gnu") + glob.glob(f"{root}/lib/*-linux-gnu"))
        environment = {"LD_LIBRARY_PATH": libraries, "CONTAINERS_CONF": f"{files}/containers.conf",
                       "CONTAINERS_STORAGE_CONF": f"{files}/storage.conf",
                       "PATH": f"{root}/usr/bin:{root}/usr/sbin:/usr/bin:/bin:/usr/sbin"}

        def way(command, *arguments):
            return self.world.as_user(program, "--log-level=error", "run", "--rm", "--detach", "--network=none", "--rootfs",
                                      f"{files}/rootfs", f"/{os.path.basename(command)}", *arguments, **environment)
        return way

    def openconnect(self):
        files = f"{self.folder}/openconnect"
        os.makedirs(files)
        self.server = OpenconnectServer(self.world.wire, files)
        os.makedirs("/run/netns", exist_ok=True)
        into = self.script("into-namespace", INTO_NAMESPACE)
        path = self.script("openconnect-run", OPENCONNECT_SCRIPT % {
            "client": " ".join(self.server.client(into)), "folder": files, "server": f"{B}:4443"})
        return lambda *argv: self.world.wire.inside("a", path, *argv)


class OpenconnectServer(contenders.AnyConnect):
    def start(self):
        self.start_server()
