"""Administration from elsewhere: tokens, what each may do, the pinned key, the audit."""

import json
import os
import subprocess
import time

import pytest

from lab import WARREN, output, wait_until

PORT = 51801
URL = f"https://192.0.2.1:{PORT}"


class Administrator:
    """Somebody on another host, with a home of his own."""

    def __init__(self, host, folder):
        self.host = host
        folder.mkdir(parents=True, mode=0o700)
        self.folder = folder
        self.environment = {**os.environ, "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}

    def warren(self, *words, **options):
        return self.host.attempt(WARREN, *words, env=self.environment, **options)

    def ask(self, *words, **options):
        done = self.warren("--json", *words, **options)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    def add(self, name, bundle, *words):
        done = self.warren("remote", "add", name, *words, "--token-file", "-", input=bundle + "\n")
        assert done.returncode == 0, done.stderr

    def curl(self, token, method, path, body=None, pin=None, content="application/json"):
        """A foreign program: the status, the headers and the document of the answer."""
        headers = self.folder / "headers"
        headers.write_text(f"Authorization: Bearer {token}\n" if token else "")
        command = ["curl", "-sSk", "-i", "-m", "20", "-X", method, "-H", f"@{headers}"]
        if pin:
            command += ["--pinnedpubkey", pin]
        if body is not None:
            command += ["-H", f"Content-Type: {content}", "--data-binary", "@-"]
        done = self.host.attempt(*command, URL + path, input=body)
        if done.returncode != 0:
            return done.returncode, {}, done.stderr
        head, _, text = done.stdout.replace("\r\n", "\n").partition("\n\n")
        lines = head.splitlines()
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        return int(lines[0].split()[1]), fields, json.loads(text) if text.strip() else None


@pytest.fixture
def gateway(world):
    world.gateway.settings.write_text(
        f"log: {{level: debug}}\nadmin: {{listen: '[::]:{PORT}'}}\n")
    world.gateway.start()
    return world.gateway


@pytest.fixture
def administrator(world, gateway):
    return Administrator(world.members[0], world.folder / "admin")


def token(gateway, name, *words):
    return gateway.ask("token", "create", name, *words)


def test_there_is_no_listener_unless_it_is_asked_for(world):
    world.gateway.start()
    listening = world.gateway.run("ss", "-Hltn")
    assert f":{PORT} " not in listening
    made = world.gateway.call("token", "create", "ci")
    assert "admin.listen" in made.stderr
    assert "bundle" not in made.stdout


def test_everything_a_person_does_works_from_elsewhere(gateway, administrator, world):
    admin = administrator
    admin.add("gw", token(gateway, "ann")["bundle"])
    files = [path for path in (admin.folder / "warren" / "remotes").iterdir()]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files)
    name = gateway.network("a")
    far = ("--remote", "gw")
    assert admin.ask(*far, "network", "create", name, "--subnet", "10.20.0.0/24")["name"] == name
    assert [n["name"] for n in admin.ask(*far, "network", "list")["networks"]] == [name]
    assert admin.ask(*far, "invite", "laptop", "--network", name)["token"].startswith("warren1")
    assert admin.ask(*far, "peer", "add", "phone", "--network", name)["state"] == "waits-for-key"
    assert admin.warren(*far, "peer", "export", "phone", "--network", name,
                        "--generate-keys").stdout.startswith("[Interface]")
    assert admin.warren(*far, "role", "add", name, "node").returncode == 0
    policy = admin.folder / "policy"
    policy.write_text("rules:\n- node -> gateway: tcp 22\n")
    assert admin.warren(*far, "policy", "set", name, policy).returncode == 0
    assert "node" in admin.warren(*far, "policy", "show", name).stdout
    exported = admin.warren(*far, "export", name)
    assert exported.returncode == 0, exported.stderr
    document = admin.folder / "networks.yaml"
    document.write_text(exported.stdout)
    assert admin.warren(*far, "diff", "-f", document).returncode == 0
    assert admin.warren(*far, "apply", "-f", document).returncode == 0
    assert admin.warren(*far, "verify").returncode == 0
    assert admin.warren(*far, "status").returncode == 0
    assert admin.warren(*far, "audit", "verify").returncode == 0
    assert admin.warren(*far, "revoke", "phone", "--network", name).returncode == 0
    assert admin.warren(*far, "reload").returncode == 0
    done = [r for r in gateway.ask("audit", "--limit", "200")["records"]
            if r["action"] == "peer.revoke"]
    assert done[0]["actor"] == "token ann from 192.0.2.2"
    # `use` stands in for --remote, and `local` is this host again.
    assert admin.warren("remote", "use", "gw").returncode == 0
    assert admin.ask("network", "show", name)["name"] == name
    inside = admin.warren("network", "exec", name, "--", "true")
    assert inside.returncode == 125 and "needs the gateway's own host" in inside.stderr
    listed = admin.ask("remote", "list")["remotes"]
    assert listed == [{"name": "gw", "address": f"192.0.2.1:{PORT}", "in_use": True}]
    assert admin.warren("remote", "use", "local").returncode == 0
    assert admin.warren("network", "list").returncode == 3, "no daemon runs here"
    refused = admin.warren("--remote", "gw", "run", "lab", "--", "true")
    assert refused.returncode == 2 and "about this host" in refused.stderr
    assert admin.warren("remote", "delete", "gw").returncode == 0
    missing = admin.warren("--remote", "gw", "status")
    assert missing.returncode == 5, missing.stderr


def test_a_token_for_one_network_sees_and_touches_that_one_alone(gateway, administrator):
    admin = administrator
    own, other = gateway.network("a"), gateway.network("b")
    gateway.create("a")
    gateway.create("b", subnet="10.30.0.0/24")
    gateway.ask("peer", "add", "secret-peer", "--network", other)
    gateway.ask("forward", "add", "8080/tcp", "secret-peer", "--network", other)
    secret = token(gateway, "ci", "--network", own)["secret"]
    before = [gateway.show("b"), gateway.ask("audit")["records"][0]["number"]]

    def ask(method, path, body=None):
        status, _, document = admin.curl(secret, method, path, body)
        return status, document

    status, networks = ask("GET", "/v1/networks")
    assert status == 200 and [n["name"] for n in networks["networks"]] == [own]
    assert ask("GET", "/v1/forwards")[1]["forwards"] == []
    assert ask("GET", "/v1/verify")[1]["networks"] == [own]
    assert ask("GET", "/v1/status")[1]["networks"] == 1
    audit = ask("GET", "/v1/audit?limit=100")[1]["records"]
    assert audit and all(r["target"].startswith(own) for r in audit)
    for method, path in (("GET", f"/v1/networks/{other}"), ("DELETE", "/v1/forwards/tcp/8080"),
                         ("GET", f"/v1/networks/{other}/peers"),
                         ("POST", f"/v1/networks/{other}/peers/secret-peer/revoke"),
                         ("PATCH", f"/v1/networks/{other}"), ("GET", "/v1/events?network=" + other)):
        status, document = ask(method, path)
        assert status == 404, (method, path, document)
        assert "secret" not in json.dumps(document)
    for method, path in (("POST", "/v1/networks"), ("POST", "/v1/reload"), ("GET", "/v1/tokens"),
                         ("POST", "/v1/tokens"), ("DELETE", "/v1/tokens/ci"),
                         ("DELETE", f"/v1/networks/{own}"), ("GET", "/v1/audit/span"),
                         ("GET", "/v1/audit?after=0")):
        assert ask(method, path)[0] == 403, (method, path)
    assert ask("POST", f"/v1/networks/{own}/peers",
               '{"schema":1,"name":"mine"}')[0] == 200
    assert gateway.show("b") == before[0]
    actions = [r for r in gateway.ask("audit")["records"] if r["number"] > before[1]]
    assert [(r["actor"], r["action"]) for r in actions] == [("token ci from 192.0.2.2", "peer.add")]
    # The network goes, and its token with it.
    gateway.ask("network", "delete", own, "--yes")
    assert ask("GET", "/v1/status")[0] == 401
    assert gateway.ask("token", "list")["tokens"] == []


def test_a_token_that_may_look_changes_nothing(gateway, administrator):
    admin = administrator
    name = gateway.create("a")["name"]
    secret = token(gateway, "eye", "--read-only")["secret"]
    assert admin.curl(secret, "GET", f"/v1/networks/{name}")[0] == 200
    for method, path in (("POST", "/v1/networks"), ("POST", f"/v1/networks/{name}/stop"),
                         ("DELETE", f"/v1/networks/{name}"), ("POST", "/v1/tokens")):
        status, _, document = admin.curl(secret, method, path)
        assert status == 403, (method, path, document)
    assert gateway.show("a")["stopped"] is False


def test_tokens_end_when_they_are_deleted_and_when_their_time_is_over(gateway, administrator):
    admin = administrator
    secret = token(gateway, "ci")["secret"]
    streams = subprocess.Popen(
        admin.host.inside("curl", "-sNk", "-H", f"Authorization: Bearer {secret}",
                          URL + "/v1/events"), stdout=subprocess.PIPE, text=True)
    assert streams.stdout.readline().startswith("retry:")
    assert admin.curl(secret, "GET", "/v1/status")[0] == 200
    gateway.ask("token", "delete", "ci")
    assert admin.curl(secret, "GET", "/v1/status")[0] == 401
    rest, _ = streams.communicate(timeout=5)
    assert "token.delete" not in rest, "cut before it is told anything more"
    short = token(gateway, "brief", "--expires", "1s")["secret"]
    wait_until(lambda: admin.curl(short, "GET", "/v1/status")[0] == 401, "its time is over", 15)
    again = gateway.call("token", "delete", "ci")
    assert again.returncode == 5 and "brief" not in again.stdout


def test_guessing_is_slow_and_then_not_even_looked_at(gateway, administrator):
    admin = administrator
    good = token(gateway, "ci")["secret"]
    began = time.monotonic()
    status, fields, _ = admin.curl("AAAAAAAAAAAAAAAAAAAAAA", "GET", "/v1/status")
    assert status == 401 and fields["www-authenticate"] == "bearer"
    assert time.monotonic() - began > 0.9
    assert admin.curl(None, "GET", "/v1/status")[0] == 401
    guesses = [subprocess.Popen(
        admin.host.inside("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}\n", "-H",
                          "Authorization: Bearer AAAAAAAAAAAAAAAAAAAAAA", URL + "/v1/status"),
        stdout=subprocess.PIPE, text=True) for _ in range(20)]
    codes = [guess.communicate(timeout=30)[0].strip() for guess in guesses]
    assert "429" in codes and set(codes) <= {"401", "429"}
    status, fields, _ = admin.curl(good, "GET", "/v1/status")
    assert status == 429 and int(fields["retry-after"]) > 0
    wait_until(lambda: admin.curl(good, "GET", "/v1/status")[0] == 200, "it may ask again", 30)


def test_another_key_is_refused_before_anything_is_sent(gateway, administrator, world):
    admin = administrator
    made = token(gateway, "ann")
    admin.add("gw", made["bundle"])
    pin = admin.ask("remote", "add", "same", "--token-file", "-", input=made["bundle"] + "\n")["pin"]
    assert admin.curl(made["secret"], "GET", "/v1/status", pin=pin)[0] == 200
    wrong = "sha256//" + "A" * 43 + "="
    assert admin.curl(made["secret"], "GET", "/v1/status", pin=wrong)[0] == 90  # curl's own word
    # Somebody else sits there now: another gateway's key, on the same address.
    gateway.end()
    key = world.folder / "other.pem"
    output("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
           "-nodes", "-keyout", key, "-out", key.with_suffix(".crt"), "-subj", "/CN=x")
    seen = world.folder / "seen"
    with open(seen, "wb") as log:
        impostor = subprocess.Popen(
            gateway.inside("openssl", "s_server", "-accept", str(PORT), "-key", key, "-cert",
                           key.with_suffix(".crt"), "-quiet"),
            stdin=subprocess.PIPE, stdout=log, stderr=subprocess.DEVNULL)
        wait_until(lambda: f":{PORT} " in gateway.run("ss", "-Hltn"), "the impostor listens")
        refused = admin.warren("--remote", "gw", "network", "list")
        impostor.kill()
        impostor.wait()
    assert refused.returncode == 4, refused.stderr
    assert "another key" in refused.stderr and "nothing was sent" in refused.stderr
    assert b"Bearer" not in seen.read_bytes()


def test_what_goes_wrong_when_a_remote_is_added_is_said(gateway, administrator):
    admin = administrator
    made = token(gateway, "ann")
    invitation = gateway.create("a") and gateway.invite("a", "m")
    for text, words, said in ((invitation, (), "admits a member"), ("nonsense", (), "no token"),
                              (made["secret"], (), "does not say whose"),
                              (made["bundle"][:-4], (), "cut off"),
                              (made["bundle"], ("https://192.0.2.1:1",), "Connection refused"),
                              (made["bundle"], ("ftp://x/y",), "not the address")):
        refused = admin.warren("remote", "add", "gw", *words, "--token-file", "-",
                               input=text + "\n")
        assert refused.returncode != 0 and said in refused.stderr, refused.stderr
        assert made["secret"] not in refused.stderr
    assert not (admin.folder / "warren" / "remotes").exists()
    join = admin.warren("join", "-", input=made["bundle"] + "\n")
    assert join.returncode == 2 and "for administrators" in join.stderr
    admin.add("gw", made["bundle"])
    assert admin.warren("remote", "add", "gw", "--token-file", "-",
                        input=made["bundle"] + "\n").returncode == 6
    file = admin.folder / "warren" / "remotes" / "gw.token"
    file.chmod(0o644)
    assert "others can read it" in admin.warren("--remote", "gw", "status").stderr
