"""Whole networks from a file, what differs from it, and the audit as a chain."""

import base64
import os
import sqlite3
import subprocess
import time

import lab

KEYS = [subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)]
PUBLIC = [subprocess.run(["wg", "pubkey"], input=key, capture_output=True, text=True,
                         check=True).stdout.strip() for key in KEYS]


def document(gateway, extra=""):
    return f"""warren: 1
networks:
  {gateway.network("a")}:
    subnet: 10.220.0.0/16
    nat: false
    dns: [10.220.0.1]
    roles:
      management: {{range: 10.220.0.0/24}}
      node: {{range: 10.220.1.0/24}}
    policy:
      # nodes may ask the broker, nobody else anything
      rules:
        - node -> broker: tcp 1883
    peers:
      broker: {{role: management, key: {PUBLIC[0]}, address: 10.220.0.5}}
      ward-3: {{role: node, key: {PUBLIC[1]}}}
    forwards:
      18080/tcp: {{peer: broker, port: 80}}
{extra}"""


def apply(gateway, text, *options, command="apply"):
    return gateway.call(command, "-f", "-", *options, input=text)


def test_applying_twice_changes_nothing(world, gateway):
    first = apply(gateway, document(gateway))
    assert first.returncode == 0, first.stderr
    assert "+ network" in first.stdout and first.stdout.endswith("done\n")
    assert gateway.peer("a", "broker")["address"] == "10.220.0.5"
    assert gateway.peer("a", "ward-3")["address"].startswith("10.220.1.")
    denied = gateway.call("policy", "test", gateway.network("a"), "broker", "ward-3", "tcp/22")
    assert denied.returncode == 1

    last = gateway.ask("audit", "--limit", "1")["records"][0]["number"]
    again = apply(gateway, document(gateway))
    assert (again.returncode, again.stdout) == (0, "nothing to do\n")
    assert apply(gateway, document(gateway), command="diff").returncode == 0
    assert gateway.ask("audit", "--limit", "1")["records"][0]["number"] == last

    written = gateway.call("export", gateway.network("a"))
    assert written.returncode == 0 and "# nodes may ask the broker" in written.stdout
    assert apply(gateway, written.stdout, "--prune").stdout == "nothing to do\n"


def test_drift_shows_and_is_repaired(world, gateway):
    assert apply(gateway, document(gateway)).returncode == 0
    space = "warren-" + gateway.network("a")
    interface = gateway.show("a")["interface_name"]
    address = subprocess.run(["ip", "-n", space, "-4", "-o", "address", "show", "dev", interface],
                             capture_output=True, text=True, check=True).stdout.split()[3]
    subprocess.run(["ip", "-n", space, "address", "del", address, "dev", interface], check=True)
    subprocess.run(["ip", "netns", "exec", space, "wg", "set", interface, "peer", PUBLIC[0],
                    "remove"], check=True)
    differs = apply(gateway, document(gateway), command="diff")
    assert differs.returncode == 1
    assert address in differs.stdout and "missing: peer broker" in differs.stdout
    repaired = apply(gateway, document(gateway))
    assert repaired.returncode == 0, repaired.stderr
    assert gateway.call("verify", gateway.network("a")).returncode == 0
    assert apply(gateway, document(gateway), command="diff").returncode == 0


def test_what_is_not_named_goes_only_when_pruned(world, gateway):
    assert apply(gateway, document(gateway)).returncode == 0
    text = document(gateway)
    text = text[:text.index("    forwards:")].replace(
        f"      ward-3: {{role: node, key: {PUBLIC[1]}}}\n", "")
    assert apply(gateway, text).stdout == "nothing to do\n"
    pruned = apply(gateway, text, "--prune", "--yes")
    assert pruned.returncode == 0, pruned.stderr
    assert "- peer ward-3" in pruned.stdout and "- forward 18080/tcp" in pruned.stdout
    assert gateway.peer("a", "ward-3")["state"] == "revoked"
    assert gateway.ask("forward", "list")["forwards"] == []
    refused = apply(gateway, document(gateway))
    assert refused.returncode != 0 and "revoked" in refused.stderr, "its key is refused for ever"


def test_mistakes_are_named_and_change_nothing(world, gateway):
    assert apply(gateway, document(gateway)).returncode == 0
    before = gateway.snapshot()
    last = gateway.ask("audit", "--limit", "1")["records"][0]["number"]
    for wrong, right, said in [
        ("subnett: 10.220.0.0/16", "subnet: 10.220.0.0/16", "did you mean subnet?"),
        ("node -> brokr", "node -> broker", "brokr"),
        ("subnet: 10.221.0.0/16", "subnet: 10.220.0.0/16", "cannot become"),
        ("role: guest, key", "role: node, key", "guest"),
    ]:
        done = apply(gateway, document(gateway).replace(right, wrong))
        assert done.returncode not in (0, 125), wrong
        assert said in done.stderr, (wrong, done.stderr)
    assert gateway.snapshot() == before
    records = gateway.ask("audit", "--limit", "50")["records"]
    assert all(r["result"] != "ok" for r in records if r["number"] > last)


def test_what_means_nothing_is_named_at_its_place_before_anything_is_sent(world, gateway):
    file = world.folder / "study.yaml"
    whole = document(gateway)
    for wrong, right, said in [
        ("role: nodee", "role: node", 'has no role "nodee"'),
        ("address: 10.221.0.5", "address: 10.220.0.5", "is outside network"),
        ("address: 10.220.1.5", "address: 10.220.0.5", "the range of role management"),
        ("peer: nobody, port", "peer: broker, port", 'has no peer "nobody"'),
        ("-> brokr", "-> broker", 'has no role or peer "brokr"'),
        ("tcp 99999", "tcp 1883", '"99999" is no port'),
        ("subnet: 10.220.0.1/16", "subnet: 10.220.0.0/16", "bits set after its length"),
        (f"key: {PUBLIC[0]}}}", f"key: {PUBLIC[1]}}}", "is that of peer broker already"),
        ("nat: perhaps", "nat: false", "neither true nor false"),
    ]:
        assert whole.count(right) == 1, right
        file.write_text(whole.replace(right, wrong))
        begin = next(i for i, line in enumerate(file.read_text().split("\n"), 1) if wrong in line)
        for command in ("apply", "diff"):
            done = gateway.call(command, "-f", file)
            assert done.returncode not in (0, 125), (wrong, done)
            assert said in done.stderr and "  hint: " in done.stderr, (wrong, done.stderr)
            assert f"warren: {file}:{begin}:" in done.stderr, (begin, done.stderr)
        assert gateway.ask("network", "list")["networks"] == [], wrong
    file.write_text(whole.replace("    nat: false", "\tnat: false"))
    tabbed = gateway.call("apply", "-f", file)
    assert "this is no YAML" in tabbed.stderr and "line 5 begins with a tab" in tabbed.stderr


def test_what_the_gateway_alone_knows_is_named_at_its_place(world, gateway):
    file = world.folder / "study.yaml"
    whole = document(gateway)
    port = gateway.create("b")["endpoint"].rsplit(":", 1)[1]
    file.write_text(whole.replace("    nat: false\n", f"    port: {port}\n    nat: false\n"))
    taken = gateway.call("apply", "-f", file)
    assert taken.returncode not in (0, 125)
    assert f"warren: {file}:5:11: " in taken.stderr, taken.stderr
    assert "(0 of " in taken.stderr
    file.write_text(whole)
    assert gateway.call("apply", "-f", file).returncode == 0

    gateway.ask("revoke", "ward-3", "--network", gateway.network("a"))
    refused = gateway.call("apply", "-f", file)
    line = next(i for i, text in enumerate(whole.split("\n"), 1) if "ward-3:" in text)
    assert f"warren: {file}:{line}:" in refused.stderr and "revoked" in refused.stderr
    # In the policy, too, the line is the file's.
    file.write_text(whole.replace("node -> broker", "segment -> broker").replace(
        f"      ward-3: {{role: node, key: {PUBLIC[1]}}}\n", ""))
    refused = gateway.call("apply", "-f", file)
    line = next(i for i, text in enumerate(file.read_text().split("\n"), 1) if "segment" in text)
    assert f"warren: {file}:{line}:" in refused.stderr, refused.stderr


def certificate_authority(folder, name):
    """The paths of an authority that somebody else made: its certificate and its key."""
    lab.require("openssl")
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", f"/CN={name}", "-days", "900", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
         "-out", str(paths[0]), "-keyout", str(paths[1])], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return paths


def subjects(gateway):
    authorities = gateway.ask("ca", "show", gateway.network("a"))["authorities"]
    return [authority["chain"][0]["subject"] for authority in authorities]


def test_authorities_are_part_of_a_document(world, gateway):
    folder = world.folder
    first = certificate_authority(folder, "first")
    certificate_authority(folder, "second")
    file = folder / "study.yaml"

    def written(authority):
        file.write_text(document(gateway, f"    ca: {authority}\n"))
        return str(file)

    # Refused with its place, and before anything is made.
    for authority, said in (
        ("{certificate: first.crt, kye: first.key}", "did you mean key?"),
        ("{certificate: first.crt}", "key: FILE"),
        ("{certificate: first.crt, key: nosuch.key}", "nosuch.key"),
        ("{certificate: first.key, key: first.key}", "no certificate in"),
    ):
        refused = gateway.call("apply", "-f", written(authority))
        assert refused.returncode not in (0, 125) and said in refused.stderr, refused.stderr
        assert gateway.ask("network", "list")["networks"] == []

    def applied(*options):
        done = gateway.call("apply", "-f", str(file), *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    written("{certificate: first.crt, key: first.key}")
    assert "+ network" in applied()
    assert subjects(gateway) == ["CN=first"]
    assert applied() == "nothing to do\n"
    first[1].unlink()  # the key is needed no more
    assert applied() == "nothing to do\n"
    exported = gateway.call("export", gateway.network("a")).stdout
    assert first[0].read_text().splitlines()[1] in exported and "PRIVATE" not in exported
    file.write_text(exported)
    assert applied("--prune") == "nothing to do\n"

    written("{certificate: second.crt, key: second.key}")
    assert "~ authority of" in applied()
    assert subjects(gateway)[0] == "CN=second"
    assert applied() == "nothing to do\n"
    written("own")
    assert "CN=second -> its own" in applied()
    assert "authority" in subjects(gateway)[0]
    assert applied() == "nothing to do\n"
    exported = gateway.call("export", gateway.network("a")).stdout
    assert "    ca: own\n" in exported and "PRIVATE" not in exported


def test_ten_thousand_peers_from_one_file(world, gateway):
    keys = [base64.b64encode(os.urandom(32)).decode() for _ in range(10_000)]
    peers = "".join(f"      p{i}: {{key: {key}}}\n" for i, key in enumerate(keys))
    text = f"""warren: 1
networks:
  {gateway.network("a")}:
    subnet: 10.100.0.0/16
    peers:
{peers}"""
    began = time.monotonic()
    done = apply(gateway, text)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    began = time.monotonic()
    listed = gateway.ask("peer", "list", gateway.network("a"))
    print(f"10,000 peers: apply {took:.1f} s, list {time.monotonic() - began:.2f} s")
    assert [peer["public_key"] for peer in listed["peers"]] == [
        key for _, key in sorted((f"p{i}", key) for i, key in enumerate(keys))]
    assert took < 60


def test_the_audit_is_a_chain(world, gateway):
    gateway.create("a")
    gateway.ask("peer", "add", "ann", "--network", gateway.network("a"))
    verified = gateway.call("audit", "verify")
    assert verified.returncode == 0, verified.stderr
    head = verified.stdout.split("head ")[1].strip()
    gateway.ask("peer", "add", "bob", "--network", gateway.network("a"))
    assert gateway.call("audit", "verify", "--head", head).returncode == 0

    follower = subprocess.Popen(
        gateway.inside(lab.WARREN, "audit", "--follow", "--limit", "1"),
        env=gateway.environment, stdout=subprocess.PIPE, text=True)
    try:
        assert "bob" in follower.stdout.readline()
        gateway.ask("peer", "add", "eve", "--network", gateway.network("a"))
        assert "eve" in follower.stdout.readline()
    finally:
        follower.kill()
        follower.wait()

    gateway.end()
    with sqlite3.connect(gateway.state_dir / "warren.db") as database:
        database.execute("DROP TRIGGER audit_is_never_changed")
        database.execute("UPDATE audit SET actor = 'uid 7' WHERE target LIKE '%/ann'")
    gateway.start()
    broken = gateway.call("audit", "verify")
    assert broken.returncode == 1
    assert "is not what was written" in broken.stderr
