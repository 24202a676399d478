#!/usr/bin/env python3
"""demo.py BIN_DIR: warren's main job on real traffic, in network namespaces that it makes and removes.

        gateway 192.0.2.1 ──┐
        web     192.0.2.2 ──┤ bridge of a namespace that plays the internet
        alice   192.0.2.3 ──┘

A gateway serves the network "demo". "web" joins by token and serves HTTP; "alice", a user without
any privilege, fetches a page and runs iperf3 from inside `warren run`; then web is revoked while it
streams to her. Exits non-zero when a step fails, and leaves the machine as it was.
"""
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from tun_access import TunAccess

BIN = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build/release/bin")
TOOLS = os.path.dirname(os.path.abspath(__file__))
TAG = f"demo{os.getpid()}"
NETS = {"net": f"{TAG}-net", "gateway": f"{TAG}-gw", "web": f"{TAG}-web", "alice": f"{TAG}-alice"}
ADDRESS = {"gateway": "192.0.2.1", "web": "192.0.2.2", "alice": "192.0.2.3"}
UID = {"web": 64001, "alice": 64002}
PORT = 8080
BOLD, DIM, END = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("",) * 3


class Failed(Exception):
    pass


def traces():
    """What the demo could leave on the machine: compared before and after."""
    def lines(*argv):
        return sorted(subprocess.run(argv, capture_output=True, text=True).stdout.splitlines())

    def names(folder):
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    def program(pid):
        try:
            return os.readlink(f"/proc/{pid}/exe")
        except OSError:
            return ""
    processes = [pid for pid in names("/proc") if pid.isdigit() and "/warren-demo-" in program(pid)]
    return {"links": [line.split(":")[1] for line in lines("ip", "-o", "link")],
            "rules": lines("nft", "list", "ruleset"), "namespaces": names("/run/netns"),
            "sockets": names("/var/run/wireguard"), "processes": processes,
            "mounts": [line.split()[1] for line in open("/proc/mounts")]}


def now_ms():
    return time.clock_gettime(time.CLOCK_BOOTTIME) * 1000


class Demo:
    def __init__(self):
        self.children = []
        self.figures = []
        self.work = tempfile.mkdtemp(prefix="warren-demo-")
        os.chmod(self.work, 0o755)

    # --- saying and running what a user types ---

    def argv(self, who, command):
        """The command as `who` runs it: in its namespace, members without privilege."""
        env = {"PATH": f"{self.bin}:{os.environ.get('PATH', '/usr/bin:/bin')}", "LANG": "C.UTF-8"}
        enter = ["nsenter", f"--net=/run/netns/{NETS[who]}"]
        if who == "gateway":
            env |= {"HOME": self.work, "WARREN_STATE_DIR": f"{self.work}/state",
                    "WARREN_RUN_DIR": f"{self.work}/run"}
        else:
            home = f"{self.work}/{who}"
            env |= {"HOME": home, "XDG_RUNTIME_DIR": f"{home}/runtime", "USER": who}
            enter += self.tun.enter() + ["setpriv", f"--reuid={UID[who]}", f"--regid={UID[who]}", "--clear-groups",
                      "--inh-caps=-all", "--no-new-privs"]
        return enter + ["env", "-i"] + [f"{k}={v}" for k, v in env.items()] + command

    def show(self, who, command):
        prompt = "#" if who == "gateway" else "$"
        text = " ".join(c if re.fullmatch(r"[\w@%+=:,./-]+", c) else "'" + c + "'" for c in command)
        print(f"{BOLD}{who}{prompt} {text}{END}", flush=True)

    def run(self, who, command, quiet=False, timeout=60, stdin=None, hide=None):
        if not quiet:
            self.show(who, [hide if hide and c == stdin else c for c in command])
        began = now_ms()
        try:
            done = subprocess.run(self.argv(who, command), capture_output=True, text=True,
                                  timeout=timeout, input=stdin, cwd="/")
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{who}: {' '.join(command)}: no end after {timeout} s") from error
        took = now_ms() - began
        if not quiet:
            for line in (done.stdout + done.stderr).rstrip().splitlines():
                print(f"{DIM}  {line[:110]}{END}")
        if done.returncode != 0:
            raise Failed(f"{who}: {' '.join(command)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
        return done.stdout, took

    def start(self, who, command, **kwargs):
        self.show(who, command + ["&"])
        child = subprocess.Popen(self.argv(who, command), cwd="/", **kwargs)
        self.children.append(child)
        return child

    def figure(self, what, value):
        self.figures.append((what, value))

    # --- the machine ---

    def ip(self, *args):
        subprocess.run(["ip", *args], check=True, capture_output=True)

    def build_world(self):
        self.bin = f"{self.work}/bin"  # readable for the members, wherever the build is
        os.mkdir(self.bin)
        for program in ("warren", "warren-gateway", "warren-engine", "first_instruction"):
            shutil.copy(f"{BIN}/{program}", self.bin)
        shutil.copy(f"{TOOLS}/demo_server.py", self.bin)
        self.tun = TunAccess(self.work)
        for name in NETS.values():
            self.ip("netns", "add", name)
            self.ip("-n", name, "link", "set", "lo", "up")
        self.ip("-n", NETS["net"], "link", "add", "internet", "type", "bridge")
        self.ip("-n", NETS["net"], "link", "set", "internet", "up")
        for who, address in ADDRESS.items():
            self.ip("-n", NETS["net"], "link", "add", who, "type", "veth", "peer", "name", "eth0",
                    "netns", NETS[who])
            self.ip("-n", NETS["net"], "link", "set", who, "master", "internet", "up")
            self.ip("-n", NETS[who], "addr", "add", f"{address}/24", "dev", "eth0")
            self.ip("-n", NETS[who], "link", "set", "eth0", "up")
        for who, uid in UID.items():
            for folder in ("", "/runtime"):
                os.mkdir(f"{self.work}/{who}{folder}", 0o700)
                os.chown(f"{self.work}/{who}{folder}", uid, uid)

    def tear_down(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in reversed(self.children):
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if os.path.exists(f"{self.work}/state"):
            try:
                self.run("gateway", ["warren", "cleanup"], quiet=True)
            except Failed as error:
                print(error, file=sys.stderr)
        for name in NETS.values():
            if os.path.exists(f"/run/netns/{name}"):
                subprocess.run(["ip", "netns", "del", name], check=False)
        self.tun.remove()
        shutil.rmtree(self.work, ignore_errors=True)

    def wait_until(self, what, check, seconds=20):
        deadline = now_ms() + seconds * 1000
        while now_ms() < deadline:
            if check():
                return
            time.sleep(0.05)
        raise Failed(f"{what}: not after {seconds} s")

    # --- the story ---

    def gateway_serves(self):
        log = open(f"{self.work}/daemon.log", "w")
        self.start("gateway", ["warren", "daemon"], stdout=log, stderr=subprocess.STDOUT)

        def ready():
            if self.children[-1].poll() is not None:
                raise Failed("the daemon ended: " + open(log.name).read())
            return os.path.exists(f"{self.work}/run/warren.sock")
        self.wait_until("the daemon listens", ready)
        _, took = self.run("gateway", ["warren", "network", "create", "demo", "--subnet",
                                       "10.20.0.0/24", "--endpoint", ADDRESS["gateway"]])
        self.figure("network create", f"{took:.0f} ms")

    def member_joins(self, who):
        out, _ = self.run("gateway", ["warren", "--json", "invite", who], quiet=True)
        self.show("gateway", ["warren", "invite", who])
        token = json.loads(out)["token"]
        print(f"{DIM}  {token[:24]}…  (shown once, valid for a day, for one member){END}")
        self.show(who, ["warren", "join", token[:16] + "…"])
        out, took = self.run(who, ["warren", "join", "-"], quiet=True, stdin=token + "\n")
        for line in out.rstrip().splitlines():
            print(f"{DIM}  {line}{END}")
        self.figure(f"join of {who} (keys made, token proved, profile written)", f"{took:.0f} ms")

    def web_serves(self):
        self.start("web", ["warren", "run", "demo", "--", "sh", "-c",
                           f"iperf3 -s -p 5201 >/dev/null & exec python3 {self.bin}/demo_server.py {PORT}"])
        out, _ = self.run("gateway", ["warren", "--json", "peer", "show", "web"], quiet=True)
        self.web = json.loads(out)["address"].split("/")[0]

    def alice_uses_it(self):
        starts = []
        for _ in range(5):
            began = now_ms()
            out, _ = self.run("alice", ["warren", "run", "demo", "--", f"{self.bin}/first_instruction"],
                              quiet=True)
            starts.append(int(out) / 1e6 - began)
        out, _ = self.run("alice", ["warren", "run", "demo", "--", "sh", "-c", f"ping -c 5 -i 0.2 -W 2 {self.web}"])
        pings = re.findall(r"time=([\d.]+) ms", out)
        if len(pings) < 4:
            raise Failed("fewer than four answers to five pings")
        self.figure("start of a run to the command's first instruction (median of 5)",
                    f"{sorted(starts)[2]:.1f} ms")
        self.figure("first ping inside (with the handshakes)", f"{pings[0]} ms")
        self.figure("later pings", f"{sorted(map(float, pings[1:]))[len(pings[1:]) // 2]:.2f} ms")
        out, _ = self.run("alice", ["warren", "run", "demo", "--", "curl", "-sS", "--max-time", "10",
                                    f"http://{self.web}:{PORT}/"])
        if "inside the private network" not in out:
            raise Failed("the page did not arrive")
        out, _ = self.run("alice", ["warren", "run", "demo", "--", "iperf3", "-c", self.web, "-t", "4",
                                    "--json"], quiet=True)
        self.show("alice", ["warren", "run", "demo", "--", "iperf3", "-c", self.web, "-t", "4"])
        rate = json.loads(out)["end"]["sum_received"]["bits_per_second"] / 1e6
        print(f"{DIM}  received {rate:.0f} Mbit/s{END}")
        self.figure("TCP, one stream, member to gateway to member", f"{rate:.0f} Mbit/s")

    def leak_check(self):
        """Outside of the run, alice's own host has no way into the network."""
        command = ["curl", "-sS", "--max-time", "2", f"http://{self.web}:{PORT}/"]
        self.show("alice", command)
        done = subprocess.run(self.argv("alice", command), capture_output=True, text=True, cwd="/")
        print(f"{DIM}  {done.stderr.strip()[:100]}{END}")
        if done.returncode == 0:
            raise Failed("the page was reachable without the tunnel")

    def revoke_while_streaming(self):
        stream = self.start("alice", ["warren", "run", "demo", "--", "curl", "-sS", "-N", "--max-time", "20",
                                      f"http://{self.web}:{PORT}/stream"], stdout=subprocess.PIPE)
        received, last = 0, None
        revoke = returned = began = None
        deadline = now_ms() + 20000
        while now_ms() < deadline:
            readable, _, _ = select.select([stream.stdout], [], [], 0.002)
            if readable:
                piece = os.read(stream.stdout.fileno(), 65536)
                if not piece:
                    break
                received, last = received + len(piece), now_ms()
            if revoke is None and received > 2_000_000:
                self.show("gateway", ["warren", "revoke", "web"])
                began = now_ms()
                revoke = subprocess.Popen(self.argv("gateway", ["warren", "--json", "revoke", "web"]),
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if revoke is not None and returned is None and revoke.poll() is not None:
                returned = now_ms()
            if returned is not None and now_ms() > returned + 1500:
                break
        if returned is None or revoke.returncode != 0:
            raise Failed("revoke failed: " + (revoke.stderr.read() if revoke else "the stream never began"))
        answer = json.loads(revoke.stdout.read())
        for step in answer["steps"]:
            print(f"{DIM}  {step['step']:<14}{step['ms']:8.2f} ms{END}")
        print(f"{DIM}  {'total':<14}{answer['total_ms']:8.2f} ms{END}")
        if last > returned:
            raise Failed(f"bytes arrived {last - returned:.1f} ms after revoke had returned")
        self.figure("revoke, request to every way closed", f"{answer['total_ms']:.2f} ms")
        self.figure("revoke command, typed to returned", f"{returned - began:.0f} ms")
        self.figure("last byte of the stream, before revoke returned", f"{returned - last:.1f} ms")
        stream.send_signal(signal.SIGTERM)

    def play(self):
        self.build_world()
        print("A gateway serves a private network:")
        self.gateway_serves()
        print("\nA member joins by token and serves a page, without root:")
        self.member_joins("web")
        self.web_serves()
        print("\nA second member uses it, without root:")
        self.member_joins("alice")
        self.alice_uses_it()
        print("\nOutside of the run there is no way in:")
        self.leak_check()
        print("\nThe first member must leave, while it streams:")
        self.revoke_while_streaming()
        self.run("gateway", ["warren", "peer", "list"])
        print("\nMeasured just now:")
        width = max(len(what) for what, _ in self.figures)
        for what, value in self.figures:
            print(f"  {what:<{width}}  {value}")


def main():
    if os.geteuid() != 0:
        print("demo: the gateway needs root (its members do not); run it as root", file=sys.stderr)
        return 4
    before = traces()
    demo = Demo()
    try:
        demo.play()
        code = 0
    except (Failed, subprocess.CalledProcessError) as error:
        print(f"\ndemo: FAILED: {error}", file=sys.stderr)
        log = f"{demo.work}/daemon.log"
        if os.path.exists(log):
            print(open(log).read()[-3000:], file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 130
    finally:
        demo.tear_down()
    left = {what: sorted(set(after) - set(before[what])) for what, after in traces().items()}
    left = {what: items for what, items in left.items() if items}
    if left:
        print(f"\ndemo: FAILED: left behind: {left}", file=sys.stderr)
        return 1
    print("\nNothing is left behind: no process, namespace, interface, rule, mount or socket.")
    return code


if __name__ == "__main__":
    sys.exit(main())
