"""Certificates of members, judged by a foreign program: openssl verifies them, and a TLS server
that wants certificates lets members in and keeps those out who were revoked."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import stat
import subprocess

import pytest

import lab
from lab import wait_until
from test_members import Home


@pytest.fixture
def home(world, gateway):
    lab.require("openssl")
    made = Home(world)
    yield made
    made.close()


def join(gateway, home, name="ann"):
    """Joins network "a"; the paths of certificate, key and authorities."""
    token = gateway.invite("a", name)
    done = home.warren("--json", "join", "-", input=token + "\n")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    base = answer["conf"].removesuffix(".conf")
    return {"crt": base + ".crt", "key": base + ".key", "ca": base + ".ca.crt"}


def openssl(*words, input=None):
    return subprocess.run(["openssl", *map(str, words)], input=input, capture_output=True,
                          text=True, timeout=30)


def text_of(path, *what):
    return openssl("x509", "-in", path, "-noout", *what).stdout


def crl(gateway, folder, *options):
    path = folder / "list.pem"
    path.write_text(gateway.call("ca", "crl", gateway.network("a"), *options).stdout)
    return path


def verify(paths, crl_path, ca=None):
    return openssl("verify", "-crl_check", "-CAfile", ca or paths["ca"], "-CRLfile", crl_path,
                   paths["crt"])


def test_openssl_agrees(gateway, home, world):
    gateway.create("a")
    paths = join(gateway, home)
    for path in paths.values():
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, path
    assert "subject=O = %s, OU = member, CN = ann" % gateway.network("a") in text_of(
        paths["crt"], "-subject")
    verified = verify(paths, crl(gateway, world.folder))
    assert verified.returncode == 0, verified.stderr
    key = "".join(open(paths["key"]).read().splitlines()[1:-1])
    for path in gateway.state_dir.rglob("*"):
        if path.is_file():
            assert key[64:104].encode() not in path.read_bytes(), f"the key is in {path}"
    shown = gateway.call("ca", "show", gateway.network("a"), "--pem").stdout
    assert shown == open(paths["ca"]).read()
    assert "current" in gateway.call("ca", "show", gateway.network("a")).stdout
    assert gateway.call("verify").returncode == 0
    assert gateway.call("doctor", "certificates").returncode == 0

    answer = gateway.ask("revoke", "ann", "--network", gateway.network("a"), "-y")
    steps = {step["step"]: step["ms"] for step in answer["steps"]}
    assert "certificates" in steps
    print(f"\nrevoke with a certificate: {answer['total_ms']:.2f} ms, of it "
          f"{steps['certificates']:.2f} ms for the list")
    refused = verify(paths, crl(gateway, world.folder))
    assert refused.returncode != 0 and "revoked" in refused.stderr
    number = ("crl", "-noout", "-crlnumber", "-in")
    before = openssl(*number, world.folder / "list.pem").stdout
    gateway.end()
    gateway.start()
    after = openssl(*number, crl(gateway, world.folder)).stdout
    grown = [int(line.split("=")[1], 16) for line in (before, after)]
    assert grown[1] > grown[0], grown
    assert verify(paths, world.folder / "list.pem").returncode != 0
    assert gateway.call("verify").returncode == 0


class TlsServer:
    """openssl s_server with a certificate of the network's; it wants one of whoever comes."""

    def __init__(self, host, folder, server, crl_path):
        self.host = host
        self.process = subprocess.Popen(
            host.inside("openssl", "s_server", "-accept", "8443", "-cert", server["crt"], "-key",
                        server["key"], "-CAfile", server["ca"], "-CRL", crl_path, "-crl_check",
                        "-Verify", "1", "-verify_return_error", "-quiet"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until(lambda: ":8443 " in host.run("ss", "-lnt"), "the TLS server listens")

    def close(self):
        self.process.kill()
        self.process.communicate()


def knock(host, address, paths):
    """Whether the server at this address lets the holder of these files in."""
    done = host.attempt(
        "openssl", "s_client", "-connect", f"{address}:8443", "-cert", paths["crt"], "-key",
        paths["key"], "-CAfile", paths["ca"], "-verify_ip", address, "-verify_return_error",
        "-tls1_2", "-brief", input="")
    return done.returncode == 0


def test_a_server_lets_members_in_and_keeps_the_revoked_out(gateway, home, world):
    gateway.create("a")
    member, broker = world.members
    broker.join("a", "broker")
    member.join("a", "ann")
    paths = {end: str(member.profile).removesuffix(".conf") + "." + end for end in ("crt", "key")}
    paths["ca"] = str(member.profile).removesuffix(".conf") + ".ca.crt"
    inside = gateway.peer("a", "broker")["address"].split("/")[0]
    server = {end: str(world.folder / f"server.{end}") for end in ("crt", "key", "csr", "ca")}
    made = openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                   "-subj", "/CN=x", "-keyout", server["key"], "-out", server["csr"])
    assert made.returncode == 0, made.stderr
    rsa = str(world.folder / "rsa.csr")
    assert openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout",
                   str(world.folder / "rsa.key"), "-out", rsa).returncode == 0
    for words, said, hint in (
            ((server["key"], "--server", "--dns", "a"), f"request {server['key']}: sign a certificate: this is no certificate req",
             "openssl req"),
            ((rsa, "--server", "--dns", "a"), "another kind of key", "ec_paramgen_curve:P-256"),
            ((server["csr"], "--server", "--dns", "a b"), "'a b' is no name", "www.example.org"),
            ((server["csr"], "--server", "--ip", "10.0"), "'10.0' is no address", "10.20.0.7"),
            ((server["csr"], "--dns", "x", "--peer", "broker"), "for a server's", "add --server")):
        refused = gateway.call("ca", "sign", gateway.network("a"), *words)
        assert refused.returncode == 2, refused
        assert said in refused.stderr and hint in refused.stderr.split("hint: ")[1], refused.stderr
    signed = gateway.ask("ca", "sign", gateway.network("a"), server["csr"], "--server", "--ip",
                         f"{inside},192.0.2.1", "--peer", "broker")
    open(server["crt"], "w").write(signed["certificate"])
    open(server["ca"], "w").write(signed["authorities"])

    first = TlsServer(broker, world.folder, server, crl(gateway, world.folder))
    try:
        assert knock(member, inside, paths), "a member is let in, through the network"
        assert not knock(member, inside, {**paths, "crt": server["crt"], "key": server["key"]}), \
            "a server's certificate is none of a client"
    finally:
        first.close()
    gateway.ask("revoke", "ann", "--network", gateway.network("a"), "-y")
    # Another server, on the wire outside: it knows the new list alone.
    second = TlsServer(gateway, world.folder, server, crl(gateway, world.folder))
    try:
        assert not knock(member, "192.0.2.1", paths), "who was revoked is kept out"
        base = str(broker.profile).removesuffix(".conf")
        others = {**paths, "crt": base + ".crt", "key": base + ".key"}
        assert knock(broker, "192.0.2.1", others), "others are not"
    finally:
        second.close()


FETCH = """
import http.client, ssl, sys
c = http.client.HTTPSConnection('192.0.2.1', 51800, timeout=10,
                                context=ssl._create_unverified_context())
c.request('GET', sys.argv[1], headers=dict(h.split('=', 1) for h in sys.argv[2:]))
a = c.getresponse()
sys.stdout.buffer.write(f"{a.status} {a.headers['Content-Type']} {a.headers['ETag']}\\n".encode())
sys.stdout.buffer.write(a.read())
"""


def fetch(host, path, **headers):
    """Anybody's GET at the enrolment listener: status, media type, ETag, content."""
    done = subprocess.run(
        host.inside("python3", "-c", FETCH, path, *(f"{k}={v}" for k, v in headers.items())),
        capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    head, _, content = done.stdout.partition(b"\n")
    return (*head.decode().split(" "), content)


def list_path(gateway):
    """Where the list of the network's first authority is, as whoever has its certificate knows."""
    chain = gateway.ask("ca", "show", gateway.network("a"))["authorities"][0]["chain"]
    return f"/v1/authorities/{chain[0]['fingerprint']}/crl."


def test_lists_are_served_to_everybody_with_an_etag(gateway, home, world):
    gateway.create("a")
    join(gateway, home)
    gateway.ask("revoke", "ann", "--network", gateway.network("a"), "-y")
    path = list_path(gateway)
    assert path in gateway.call("ca", "show", gateway.network("a")).stdout
    for form, media in (("pem", "application/x-pem-file"), ("der", "application/pkix-crl")):
        status, kind, tag, content = fetch(home.host, path + form)
        assert (status, kind) == ("200", media), content
        (world.folder / f"served.{form}").write_bytes(content)
        again = fetch(home.host, path + form, **{"If-None-Match": tag})
        assert again[0] == "304" and not again[3], again
        assert fetch(home.host, path + form, **{"If-None-Match": '"other"'})[0] == "200"
    pem = openssl("crl", "-in", world.folder / "served.pem", "-noout", "-text").stdout
    der = openssl("crl", "-inform", "DER", "-in", world.folder / "served.der", "-noout",
                  "-text").stdout
    assert "Serial Number" in pem and pem == der


def test_nobody_learns_from_lists_which_networks_there_are(gateway, home, world):
    gateway.create("a")
    guesses = [f"/v1/authorities/{name}/crl.pem" for name in (gateway.network("a"), "0" * 64)]
    answers = {fetch(home.host, path) for path in guesses}
    assert len(answers) == 1 and answers.pop()[0] == "404"
    of_network = {fetch(home.host, f"/v1/networks/{name}/{what}")
                  for name in (gateway.network("a"), "nosuch")
                  for what in ("crl.pem", "crl.der", "ca", "certificates")}
    assert len(of_network) == 1 and of_network.pop()[0] == "404", "all that is for administrators"


def test_a_deleted_network_keeps_its_members_out(gateway, home, world):
    gateway.create("a")
    paths = join(gateway, home)
    place = world.folder / "served.pem"
    path = list_path(gateway) + "pem"
    place.write_bytes(fetch(home.host, path)[3])
    assert verify(paths, place).returncode == 0
    gateway.ask("network", "delete", gateway.network("a"), "-y")
    place.write_bytes(fetch(home.host, path)[3])
    refused = verify(paths, place)
    assert refused.returncode != 0 and "revoked" in refused.stderr
    # Killed, started again, and a network of the same name: it says the same.
    gateway.end(signal.SIGKILL)
    gateway.start()
    gateway.create("a")
    served = fetch(home.host, path)
    assert served[0] == "200" and served[3] == place.read_bytes()
    assert gateway.call("verify").returncode == 0


def test_verify_reads_back_what_is_on_the_disk(gateway, home, world):
    gateway.create("a")
    join(gateway, home)
    world.members[1].join("a", "bob")
    gateway.ask("revoke", "bob", "--network", gateway.network("a"), "-y")
    document = gateway.call("export", gateway.network("a")).stdout
    assert gateway.call("verify").returncode == 0
    database = gateway.state_dir / "warren.db"

    def verify_fails(said):
        done = gateway.call("verify", gateway.network("a"))
        assert done.returncode == 1 and said in done.stdout, (said, done.stdout, done.stderr)

    for statement, said in (
        ("UPDATE authorities SET private_key = 'none'", "authority 1: its private key"),
        ("UPDATE authorities SET certificate = 'none'", "authority 1: its certificate"),
        ("UPDATE authorities SET list_number = 1", "authority 1: its list's number"),
        ("UPDATE certificates SET revoked = 0 WHERE name = 'bob'", "it is revoked, and not there"),
        ("UPDATE certificates SET name = 'mallory' WHERE name = 'ann'", "mallory as member"),
        ("DELETE FROM certificates WHERE name = 'bob'", "missing in the database: certificate"),
        ("DELETE FROM authorities", "missing in the database: authority 1"),
        ("INSERT INTO last_lists VALUES (printf('%064d', 1), x'30', 1)",
         "unexpected in the database: the last list"),
    ):
        with contextlib.closing(sqlite3.connect(database, timeout=10)) as disk, disk:
            disk.execute("PRAGMA foreign_keys = ON")
            assert disk.execute(statement).rowcount > 0, statement
        verify_fails(said)
        repaired = gateway.call("apply", "-f", "-", input=document)
        assert repaired.returncode == 0, repaired.stderr
        done = gateway.call("verify")
        assert done.returncode == 0, (statement, done.stdout)
    database.chmod(0o644)
    verify_fails("has mode 0644")
    database.chmod(0o600)
    assert gateway.call("verify").returncode == 0


def test_members_renew_within_seconds_of_a_rollover_and_a_rename(gateway, home, world):
    gateway.create("a")
    paths = join(gateway, home)
    profile = gateway.network("a")
    run = home.begin(profile, "--", "sh", "-c", "echo up; cat > /dev/null")
    assert run.stdout.readline() == "up\n", run.stderr.read()
    key = open(paths["key"]).read()
    gateway.ask("ca", "rotate", profile)
    wait_until(lambda: "authority 2" in text_of(paths["crt"], "-issuer"), "ann has renewed",
               seconds=20)
    wait_until(lambda: len(gateway.ask("ca", "show", profile)["authorities"]) == 1,
               "the old authority is dropped", seconds=20)
    wait_until(lambda: open(paths["ca"]).read().count("BEGIN") == 1, "ann trusts the new one alone",
               seconds=20)
    assert open(paths["key"]).read() == key
    assert verify(paths, crl(gateway, world.folder)).returncode == 0
    gateway.ask("peer", "rename", "ann", "anna", "--network", profile)
    wait_until(lambda: "CN = anna" in text_of(paths["crt"], "-subject"), "she is called anna",
               seconds=20)
    assert verify(paths, crl(gateway, world.folder)).returncode == 0
    run.stdin.close()
    assert run.wait(timeout=20) == 0
    environment = home.warren("run", profile, "--", "env")
    assert environment.returncode == 0, environment.stderr
    assert "PRIVATE" not in environment.stdout and ".key" not in environment.stdout
    left = home.warren("leave", profile)
    assert left.returncode == 0, left.stderr
    for path in paths.values():
        assert f"removed: {path}" in left.stdout and not os.path.exists(path)


def test_a_run_with_a_token_has_a_certificate_while_it_lives(gateway, home, world):
    gateway.create("a")
    token = gateway.invite("a", "job")
    place = world.folder / "place"
    place.mkdir()
    run = home.begin("--certificate-dir", str(place), token, "--", "sh", "-c",
                     "echo up; cat > /dev/null")
    assert run.stdout.readline() == "up\n", run.stderr.read()
    assert sorted(path.name for path in place.iterdir()) == [
        "member.ca.crt", "member.crt", "member.key"]
    paths = {"crt": place / "member.crt", "ca": place / "member.ca.crt"}
    assert verify(paths, crl(gateway, world.folder)).returncode == 0
    copies = {key: world.folder / path.name for key, path in paths.items()}
    for key, path in paths.items():
        copies[key].write_bytes(path.read_bytes())
    run.stdin.close()
    assert run.wait(timeout=20) == 0
    assert list(place.iterdir()) == []
    refused = verify(copies, crl(gateway, world.folder))
    assert refused.returncode != 0 and "revoked" in refused.stderr


def test_an_authority_is_brought_with_its_chain(gateway, home, world):
    folder = world.folder
    (folder / "ext").write_text("basicConstraints=critical,CA:TRUE,pathlen:0\n"
                                "keyUsage=critical,keyCertSign,cRLSign\n"
                                "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for words in (
        ("req", "-x509", *curve, "-subj", "/CN=root", "-days", "900", "-keyout",
         folder / "root.key", "-out", folder / "root.crt"),
        ("req", "-new", *curve, "-subj", "/CN=below", "-keyout", folder / "sub.key", "-out",
         folder / "sub.csr"),
        ("x509", "-req", "-in", folder / "sub.csr", "-CA", folder / "root.crt", "-CAkey",
         folder / "root.key", "-CAcreateserial", "-days", "800", "-extfile", folder / "ext", "-out",
         folder / "sub.crt"),
    ):
        made = openssl(*words)
        assert made.returncode == 0, made.stderr
    chain = folder / "chain.pem"
    chain.write_text((folder / "sub.crt").read_text() + (folder / "root.crt").read_text())
    create = ("network", "create", gateway.network("a"), "--subnet", "10.20.0.0/24", "--ca-cert")
    for arguments, reason in (((chain,), "needs certificate and key"),
                              ((chain, "--ca-key", folder / "root.key"), "not the one"),
                              ((folder / "root.key", "--ca-key", folder / "sub.key"), "read the")):
        refused = gateway.call(*create, *arguments)
        assert refused.returncode != 0 and reason in refused.stderr, refused.stderr
    assert gateway.ask("network", "list")["networks"] == []
    gateway.ask(*create, chain, "--ca-key", folder / "sub.key")
    shown = gateway.ask("ca", "show", gateway.network("a"))["authorities"][0]
    assert [link["subject"] for link in shown["chain"]] == ["CN=below", "CN=root"]
    paths = join(gateway, home)
    verified = openssl("verify", "-CAfile", folder / "root.crt", "-untrusted", folder / "sub.crt",
                       paths["crt"])
    assert verified.returncode == 0, verified.stderr
    assert re.search(r"issuer=.*below", text_of(paths["crt"], "-issuer"))
