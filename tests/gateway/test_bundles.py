"""Members that cannot join by themselves: added by hand, configured with a bundle."""

import base64
import hashlib
import json
import os
import pathlib
import shutil
import sqlite3
import stat
import struct
import subprocess
import time
import zipfile
import zlib

import pytest

from lab import WARREN, forms, output, replies, unanswered, wait_until


def keys():
    private = output("wg", "genkey").strip()
    return private, output("wg", "pubkey", input=private + "\n").strip()


def in_network(gateway, *words):
    return [*words, "--network", gateway.network("a")]


def add(gateway, *words):
    return gateway.ask("peer", "add", *in_network(gateway, *words))


def export(gateway, *words, code=0):
    done = gateway.call("peer", "export", *in_network(gateway, *words))
    assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout if code == 0 else done.stderr


def everything(gateway):
    """What a refusal must leave as it was: the database but for its audit, and the engine."""
    database = sqlite3.connect(gateway.state_dir / "warren.db")
    tables = {
        name: database.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()
        for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        if name not in ("audit", "sqlite_sequence")
    }
    database.close()
    assert tables["peers"]
    name, pid = gateway.engine("a")
    lines = gateway.run("wg", "show", name, "dump").splitlines()
    return tables, lines, pid


def test_a_refused_peer_changes_nothing(gateway, member):
    """The member's session goes on, with its counters."""
    _, second_key = keys()
    _, gone_key = keys()
    _, fresh = keys()
    add(gateway, "second", "--key", second_key, "--address", "10.20.0.40")
    add(gateway, "gone", "--key", gone_key)
    gateway.ask("revoke", *in_network(gateway, "gone"))
    add(gateway, "waiting")
    gateway_key = gateway.show("a")["public_key"]
    before = everything(gateway)
    refusals = [
        (("new", "--key", second_key), 6, "belongs to second already"),
        (("new", "--key", gone_key), 4, "was revoked and stays refused"),
        (("new", "--key", gateway_key), 6, "the gateway's own"),
        (("new", "--key", "nonsense"), 2, "not 32 bytes in base64"),
        (("new", "--key", "A" * 43 + "="), 2, "low order"),
        (("second", "--key", fresh), 6, "second is enrolled in network"),
        (("waiting", "--key", fresh), 6, "waiting waits for its key"),
        (("m0", "--key", fresh), 6, "m0 is enrolled in network"),
        (("new", "--key", fresh, "--address", "10.99.0.1"), 2, "is outside network"),
        (("new", "--key", fresh, "--address", "10.20.0.40"), 6, "belongs to second already"),
        (("new", "--key", fresh, "--address", "10.20.0.1"), 6, "the gateway's own"),
        (("new", "--key", fresh, "--address", "10.20.0.255"), 2, "broadcast"),
        (("node", "new", "--key", fresh), 2, 'has no role "node"'),
        (("new", "--key", fresh, "--expires", "3s"), 2, "cannot last 3 s"),
        (("No", "--key", fresh), 2, "is not valid"),
    ]
    for words, code, text in refusals:
        done = gateway.call("peer", "add", *in_network(gateway, *words))
        assert done.returncode == code, (words, done)
        assert text in done.stderr and "hint: " in done.stderr, (words, done.stderr)
    for key in (second_key, gone_key, gateway_key, "nonsense"):
        assert gateway.call(
            "peer", "set-key", *in_network(gateway, "waiting", key)).returncode in (2, 4, 6)
    assert gateway.call("peer", "rename", *in_network(gateway, "waiting", "m0")).returncode == 6
    after = everything(gateway)
    assert after[0] == before[0] and after[2] == before[2]
    # Counters only grow: nobody's session was touched.
    for old, new in zip(before[1], after[1], strict=True):
        old, new = old.split("\t"), new.split("\t")
        assert old[:4] == new[:4]
        if len(old) == 8:
            assert old[4] == new[4] and int(new[5]) >= int(old[5]) and int(new[6]) >= int(old[6])
    member.ping(2, "-i", "0.05")


def test_a_key_that_its_member_made(world, gateway):
    """The gateway is given the public half, later; the conf has a line for the private one."""
    gateway.create("a")
    private, public = keys()
    added = add(gateway, "sensor", "--address", "10.20.0.9")
    assert (added["state"], added["address"]) == ("waits-for-key", "10.20.0.9")
    name, _ = gateway.engine("a")
    assert gateway.run("wg", "show", name, "peers") == ""
    done = gateway.call("peer", "set-key", *in_network(gateway, "sensor", "-"), input=public + "\n")
    assert done.returncode == 0, done.stderr
    assert gateway.peer("a", "sensor")["state"] == "enrolled"
    conf = export(gateway, "sensor")
    assert "# PrivateKey = made by the member" in conf and public in conf
    assert "\nPrivateKey" not in conf
    member = world.members[0]
    use_conf(member, conf.replace("[Interface]", f"[Interface]\nPrivateKey = {private}"), "a")
    member.ping(3, "-i", "0.05")
    assert gateway.peer("a", "sensor")["rx_bytes"] > 0


def use_conf(member, conf, letter):
    folder = member.folder / "warren"
    folder.mkdir(parents=True)
    (folder / "bundle.conf").write_text(conf)
    member.up(letter)


def value_of(conf, key):
    return next(l.split("=", 1)[1].strip() for l in conf.splitlines() if l.startswith(key))


def traces_of(private, *folders):
    """Files that hold a private key in any form."""
    raw = base64.b64decode(private)
    needles = [form.encode() for form in forms(raw)] + [raw]
    return [path for folder in folders for path in pathlib.Path(folder).rglob("*")
            if path.is_file() and any(needle in path.read_bytes() for needle in needles)]


def test_a_phone_whose_keys_the_gateway_makes(world, gateway):
    """Shown once and kept nowhere; a foreign program reaches the network with it, at once."""
    gateway.create("a")
    add(gateway, "phone")
    conf = export(gateway, "phone", "--generate-keys")
    private = value_of(conf, "PrivateKey")
    public = output("wg", "pubkey", input=private + "\n").strip()
    assert gateway.peer("a", "phone")["public_key"] == public
    use_conf(world.members[0], conf, "a")
    world.members[0].ping(3, "-i", "0.05")

    assert traces_of(private, world.members[0].folder)  # the search finds what is there
    assert traces_of(private, gateway.state_dir, gateway.run_dir) == []
    assert private not in gateway.log.read_text()
    assert private not in json.dumps(gateway.ask("audit"))
    for pid in (gateway.process.pid, gateway.engine("a")[1]):
        memory = memory_of(pid)
        assert len(memory) > 100_000
        assert base64.b64decode(private) not in memory and private.encode() not in memory

    again = export(gateway, "phone", "--generate-keys", code=6)
    assert "phone has its key already" in again and "revoke it and add it again" in again
    assert private not in export(gateway, "phone")


def memory_of(pid):
    out = b""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in open(f"/proc/{pid}/maps"):
            span, mode = line.split()[:2]
            if "rw" not in mode:
                continue
            begin, end = (int(x, 16) for x in span.split("-"))
            try:
                memory.seek(begin)
                out += memory.read(end - begin)
            except (OSError, ValueError):
                pass  # a hole, or the kernel's own pages
    return out


def png_of_half_blocks(text):
    rows = []
    for line in text.splitlines():
        rows.append([c in "█▀" for c in line])
        rows.append([c in "█▄" for c in line])
    assert len({len(row) for row in rows}) == 1 and len(rows[0]) <= len(rows)
    pixels = b"".join(
        (b"\0" + b"".join(b"\xff" * 4 if light else b"\0" * 4 for light in row)) * 4
        for row in rows)
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data +
                struct.pack(">I", zlib.crc32(kind + data)))
    header = struct.pack(">IIBBBBB", 4 * len(rows[0]), 4 * len(rows), 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) +
            chunk(b"IEND", b""))


def test_a_qr_code_in_the_terminal_and_as_an_image(gateway, tmp_path):
    if shutil.which("zbarimg") is None:
        pytest.skip("needs zbarimg (zbar-tools), to read QR codes")
    gateway.create("a")
    for name in ("one", "two"):
        add(gateway, name)
    drawn = export(gateway, "one", "--format", "qr", "--generate-keys")
    (tmp_path / "drawn.png").write_bytes(png_of_half_blocks(drawn))
    printed = export(gateway, "two", "--format", "qr", "--generate-keys", "-o",
                     tmp_path / "two.png")
    assert printed == f"{tmp_path / 'two.png'}\n"
    for name, image in (("one", "drawn.png"), ("two", "two.png")):
        conf = output("zbarimg", "--raw", "-q", tmp_path / image)
        assert conf.startswith("[Interface]\nPrivateKey = ")
        public = output("wg", "pubkey", input=value_of(conf, "PrivateKey") + "\n").strip()
        assert gateway.peer("a", name)["public_key"] == public
    assert stat.S_IMODE(os.stat(tmp_path / "two.png").st_mode) == 0o600
    add(gateway, "three")
    assert "--generate-keys" in export(gateway, "three", "--format", "qr", code=2)
    taken = export(gateway, "three", "--generate-keys", "-o", tmp_path / "two.png", code=6)
    assert "exists already" in taken
    assert gateway.peer("a", "three")["state"] == "waits-for-key"


def test_an_environment_that_shells_and_containers_read(gateway, tmp_path):
    gateway.create("a", "--dns", "10.20.0.1")
    add(gateway, "job")
    text = export(gateway, "job", "--format", "env", "--generate-keys")
    (tmp_path / "job.env").write_text(text)
    plain = dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))
    script = f". {tmp_path}/job.env; set | grep -E '^(WG|WARREN)_' ; true"
    sourced = output("env", "-i", "/bin/sh", "-c", script)
    for key, value in plain.items():
        assert not set(value) & set(" \"'$`\\;&|<>")
        assert sourced.count(f"{key}={value}\n") + sourced.count(f"{key}='{value}'\n") == 1, key
    assert plain["WARREN_PEER"] == "job" and plain["WG_DNS"] == "10.20.0.1"
    assert plain["WG_PEER_PUBLIC_KEY"] == gateway.show("a")["public_key"]
    assert plain["WG_ENDPOINT"] == gateway.show("a")["endpoint"]


def nobody(*command, cwd):
    return subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command],
                          cwd=cwd, capture_output=True, text=True, timeout=30)


def test_a_zip_unpacks_as_anybody_and_notices_changes(world, gateway, tmp_path):
    gateway.create("a")
    add(gateway, "site")
    add(gateway, "other")
    others = value_of(export(gateway, "other", "--generate-keys"), "PrivateKey")
    path = world.folder / "site.zip"
    export(gateway, "site", "--format", "zip", "--generate-keys", "-o", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    network = gateway.network("a")
    top = f"{network}-site"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        modes = {i.filename: stat.S_IMODE(i.external_attr >> 16) for i in archive.infolist()}
        content = {name: archive.read(name) for name in archive.namelist()}
    assert modes == {f"{top}/{network}.conf": 0o600, f"{top}/{network}.env": 0o600,
                     f"{top}/start.sh": 0o700, f"{top}/SHA256SUMS": 0o600}
    for line in content[f"{top}/SHA256SUMS"].decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(content[f"{top}/{name}"]).hexdigest() == digest
    conf = content[f"{top}/{network}.conf"].decode()
    secrets = {value_of(conf, "PrivateKey")}
    assert all(others.encode() not in data for data in content.values())
    assert sum(data.count(next(iter(secrets)).encode()) for data in content.values()) == 2

    # As nobody, with a stock unzip.
    if shutil.which("unzip") is None:
        pytest.skip("needs unzip for the rest")
    world.folder.chmod(0o755)
    path.chmod(0o644)
    place = world.folder / "nobody"
    place.mkdir()
    os.chown(place, 65534, 65534)
    unpacked = nobody("unzip", "-q", str(path), cwd=place)
    assert unpacked.returncode == 0, unpacked
    folder = place / top
    for name in ("start.sh", f"{network}.conf"):
        status = (folder / name).stat()
        assert status.st_uid == 65534 and stat.S_IMODE(status.st_mode) == modes[f"{top}/{name}"]
    (folder / "warren").write_text("#!/bin/sh\necho ran \"$@\"\n")  # what would run it
    (folder / "warren").chmod(0o755)
    ran = nobody("./start.sh", "ping", "two words", cwd=folder)
    assert ran.stdout == f"ran run {folder}/{network}.conf -- ping two words\n", ran
    with open(folder / f"{network}.env", "a") as file:
        file.write("# changed\n")
    refused = nobody("./start.sh", "ping", cwd=folder)
    assert refused.returncode == 1 and "is not what was packed" in refused.stderr


def test_a_zip_whose_member_makes_its_key(world, gateway):
    """The first start makes the key and says what to hand in; the second has all it needs."""
    gateway.create("a")
    add(gateway, "site")
    path = world.folder / "site.zip"
    export(gateway, "site", "--format", "zip", "-o", path)
    output("unzip", "-q", path, "-d", world.folder)
    network = gateway.network("a")
    folder = world.folder / f"{network}-site"
    first = subprocess.run(["./start.sh"], cwd=folder, capture_output=True, text=True, timeout=30)
    assert first.returncode == 3, first
    words = first.stdout.split()
    assert words[:3] == ["warren", "peer", "set-key"]
    assert gateway.call(*words[1:]).returncode == 0
    (folder / "wg-quick").write_text("#!/bin/sh\ncat \"$2\"\n")
    (folder / "wg-quick").chmod(0o755)
    second = subprocess.run(["./start.sh"], cwd=folder, capture_output=True, text=True, timeout=30)
    assert second.returncode == 0, second
    member = world.members[0]
    use_conf(member, second.stdout, "a")
    member.ping(3, "-i", "0.05")
    assert traces_of(value_of(second.stdout, "PrivateKey"), gateway.state_dir) == []


def test_a_zip_with_the_program(world, gateway):
    """What a machine without internet needs is in it, and runs as anybody."""
    gateway.create("a")
    add(gateway, "site")
    path = world.folder / "site.zip"
    export(gateway, "site", "--format", "zip", "--generate-keys", "--with-program", "-o", path)
    world.folder.chmod(0o755)
    path.chmod(0o644)
    place = world.folder / "nobody"
    place.mkdir()
    os.chown(place, 65534, 65534)
    assert nobody("unzip", "-q", str(path), cwd=place).returncode == 0
    folder = place / f"{gateway.network('a')}-site"
    assert nobody("sha256sum", "--quiet", "--check", "SHA256SUMS", cwd=folder).returncode == 0
    assert nobody("./warren", "--version", cwd=folder).stdout.startswith("warren ")
    for name in ("warren", "warren-engine"):
        packed = pathlib.Path(WARREN).parent / name
        assert (folder / name).read_bytes() == packed.read_bytes()


def user_data(text):
    yaml = pytest.importorskip("yaml", reason="needs python3-yaml, to read user data")
    assert text.startswith("#cloud-config\n")
    return yaml.safe_load(text)


def test_user_data_of_a_machine(world, gateway):
    """With its key where the gateway made it; otherwise with a token with which it joins."""
    gateway.create("a")
    add(gateway, "stock")
    add(gateway, "own")
    network = gateway.network("a")
    stock = user_data(export(gateway, "stock", "--format", "cloud-init", "--generate-keys"))
    (file,) = stock["write_files"]
    assert (file["path"], file["permissions"]) == (f"/etc/wireguard/{network}.conf", "0600")
    assert stock["runcmd"] == [["systemctl", "enable", "--now", f"wg-quick@{network}.service"]]
    use_conf(world.members[0], file["content"], "a")
    world.members[0].ping(2, "-i", "0.05")

    own = user_data(export(gateway, "own", "--format", "cloud-init"))
    assert gateway.peer("a", "own")["state"] == "invited"
    (file,) = own["write_files"]
    (script,) = own["runcmd"]
    # The script as the machine would run it, with its folders and its init system replaced.
    root = world.folder / "root"
    (root / "etc/warren").mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "etc/warren/join.token").write_text(file["content"])
    (root / "bin/systemctl").write_text("#!/bin/sh\necho systemctl \"$@\"\n")
    (root / "bin/systemctl").chmod(0o755)
    (root / "bin/warren").symlink_to(WARREN)
    done = world.members[1].run(
        "sh", "-c", script.replace("/etc", str(root / "etc")),
        env={**os.environ, "PATH": f"{root}/bin:{os.environ['PATH']}"})
    assert f"systemctl enable --now wg-quick@{network}.service" in done
    conf = (root / f"etc/wireguard/{network}.conf").read_text()
    assert "PrivateKey = " in conf and not (root / "etc/warren/join.token").exists()
    assert gateway.peer("a", "own")["state"] == "enrolled"
    # Its key is there now, and not here: there is nothing to make another one of.
    assert "without the private key" in export(gateway, "own", "--format", "cloud-init", code=2)


def test_every_peer_into_a_folder_of_its_own(gateway, member, tmp_path):
    for name in ("one", "two"):
        add(gateway, name)
    folder = tmp_path / "bundles"
    network = gateway.network("a")
    export(gateway, "--all", folder, "--format", "env", "--generate-keys")
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert files == [f"member/{name}/{network}.env" for name in ("one", "two")]
    secrets = {(folder / f).read_text().split("WG_PRIVATE_KEY=")[1].split("\n")[0] for f in files}
    assert len(secrets) == 2
    for path in [folder, *folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    export(gateway, "--all", folder)  # now without keys, of all three
    confs = sorted(p.parent.name for p in folder.rglob("*.conf"))
    assert confs == ["m0", "one", "two"]


def test_a_membership_that_ends_by_itself(world, gateway):
    gateway.create("a")
    add(gateway, "guest", "--expires", "10s")
    conf = export(gateway, "guest", "--generate-keys")
    use_conf(world.members[0], conf, "a")
    world.members[0].ping(1)
    listed = gateway.call("peer", "list", gateway.network("a")).stdout
    assert "EXPIRES" in listed
    wait_until(lambda: gateway.peer("a", "guest")["state"] == "expired", "it expires", 20)
    name, _ = gateway.engine("a")
    wait_until(lambda: gateway.run("wg", "show", name, "peers") == "", "it is out", 20)
    lost = world.members[0].attempt("ping", "-c", "1", "-W", "1", world.members[0].target)
    assert lost.returncode != 0


def test_a_new_name_for_a_peer_that_talks(gateway, member):
    ping = member.start_ping(20, 0.05)
    gateway.ask("peer", "rename", *in_network(gateway, "m0", "laptop"))
    answered = replies(ping)
    assert len(answered) == 20 and unanswered(answered) == []
    assert gateway.peer("a", "laptop")["rx_bytes"] > 0
    assert gateway.call("peer", "show", *in_network(gateway, "m0")).returncode == 5


def test_a_token_for_several_machines(world, gateway):
    """Each brings a key of its own and gets an address of its own."""
    gateway.create("a", "--endpoint", "192.0.2.1")
    done = gateway.call("invite", *in_network(gateway, "job", "--uses", "2"))
    assert "job-1 to job-2 may join" in done.stderr
    profiles = []
    for number in range(3):
        folder = world.folder / f"job{number}"
        joined = world.members[0].attempt(WARREN, "--json", "join", "-", input=done.stdout,
                                          env={**os.environ, "XDG_CONFIG_HOME": str(folder)})
        profiles.append((joined.returncode, json.loads(joined.stdout)))
    assert [code for code, _ in profiles[:2]] == [0, 0]
    assert [p["name"] for _, p in profiles[:2]] == ["job-1", "job-2"]
    assert profiles[0][1]["address"] != profiles[1][1]["address"]
    assert profiles[2][0] == 1 and profiles[2][1]["error"]["kind"] == "expired"
    name, _ = gateway.engine("a")
    assert len(gateway.run("wg", "show", name, "peers").split()) == 2
