"""Certificates of members, judged by a foreign program: openssl verifies them, and a TLS server
that wants certificates lets members in and keeps those out who were revoked."""

import json
import os
import re
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


def test_lists_are_served_to_everybody_with_an_etag(gateway, home, world):
    gateway.create("a")
    join(gateway, home)
    gateway.ask("revoke", "ann", "--network", gateway.network("a"), "-y")
    ask = (
        "import http.client, ssl, sys\n"
        "c = http.client.HTTPSConnection('192.0.2.1', 51800, timeout=10,\n"
        "                                context=ssl._create_unverified_context())\n"
        "def get(path, **headers):\n"
        "    c.request('GET', path, headers=headers)\n"
        "    a = c.getresponse()\n"
        "    return a.status, a.headers, a.read()\n"
        "base = '/v1/networks/' + sys.argv[1]\n"
        "for form, media in (('pem', 'x-pem-file'), ('der', 'pkix-crl')):\n"
        "    status, headers, body = get(f'{base}/crl.{form}')\n"
        "    assert status == 200 and media in headers['Content-Type'], (status, str(headers))\n"
        "    open(f'{sys.argv[2]}/served.{form}', 'wb').write(body)\n"
        "    again, _, empty = get(f'{base}/crl.{form}', **{'If-None-Match': headers['ETag']})\n"
        "    assert again == 304 and not empty, again\n"
        "    other, _, _ = get(f'{base}/crl.{form}', **{'If-None-Match': '\"other\"'})\n"
        "    assert other == 200\n"
        "assert get('/v1/networks/nosuch/crl.pem')[0] == 404\n"
        "assert get(f'{base}/ca')[0] == 404, 'only the lists are public'\n")
    home.host.run("python3", "-c", ask, gateway.network("a"), world.folder)
    pem = openssl("crl", "-in", world.folder / "served.pem", "-noout", "-text").stdout
    der = openssl("crl", "-inform", "DER", "-in", world.folder / "served.der", "-noout",
                  "-text").stdout
    assert "Serial Number" in pem and pem == der


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
