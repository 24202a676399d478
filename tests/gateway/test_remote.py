"""Administration from elsewhere: tokens, what each may do, the pinned key, the audit."""

import json
import os
import re
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
    before = [gateway.declared("b"), gateway.ask("audit")["records"][0]["number"]]

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
                         ("DELETE", "/v1/forwards/tcp/08080"), ("PATCH", f"/v1/networks/{other}"),
                         ("GET", "/v1/events?network=" + other)):
        status, document = ask(method, path)
        assert status == 404, (method, path, document)
        assert "secret" not in json.dumps(document)
    for method, path in (("POST", "/v1/networks"), ("POST", "/v1/reload"), ("GET", "/v1/tokens"),
                         ("POST", "/v1/tokens"), ("DELETE", "/v1/tokens/ci"),
                         ("DELETE", f"/v1/networks/{own}"), ("GET", "/v1/audit/span"),
                         ("GET", "/v1/doctor/ports")):
        assert ask(method, path)[0] == 403, (method, path)
    assert ask("POST", f"/v1/networks/{own}/peers",
               '{"schema":1,"name":"mine"}')[0] == 200
    assert gateway.declared("b") == before[0]
    actions = [r for r in gateway.ask("audit")["records"] if r["number"] > before[1]]
    assert {r["actor"] for r in actions} == {"token ci from 192.0.2.2"}
    assert [(r["action"], r["result"] == "ok") for r in actions] == [
        ("peer.add", True), ("forward.delete", False), ("forward.delete", False)]
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
    rest, _ = streams.communicate(timeout=30)
    assert "token.delete" not in rest, "cut before it is told anything more"
    short = token(gateway, "brief", "--expires", "1s")["secret"]
    wait_until(lambda: admin.curl(short, "GET", "/v1/status")[0] == 401, "its time is over", 15)
    again = gateway.call("token", "delete", "ci")
    assert again.returncode == 5 and "brief" not in again.stdout


def test_a_token_that_ended_is_told_to_whoever_uses_the_remote(gateway, administrator):
    ended = token(gateway, "ci")["bundle"]
    administrator.add("berlin", ended)
    gateway.ask("token", "delete", "ci")
    refused = administrator.warren("--remote", "berlin", "network", "list")
    assert refused.returncode == 4
    assert "the token of remote berlin is not accepted" in refused.stderr
    assert "warren token create" in refused.stderr and "warren remote add berlin" in refused.stderr
    assert "Bearer" not in refused.stderr
    again = administrator.warren("remote", "add", "paris", "--token-file", "-", input=ended + "\n")
    assert again.returncode == 4 and "warren token create" in again.stderr, again.stderr
    assert "remote delete" not in again.stderr


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


def commands(admin, *words):
    """Every command, as its help tells: ("network", "create"), ("env",) ..."""
    text = admin.warren(*words, "--help").stdout
    _, found, listed = text.partition("\nSubcommands:\n")
    names = re.findall(r"^  ([a-z-]+)", listed.partition("\n\n")[0], re.M)
    return [leaf for name in names for leaf in commands(admin, *words, name)] if found else [words]


ABOUT_THIS_HOST = ["daemon", "config check", "join", "leave", "run", "up", "down", "proxy", "attach",
                   "net up", "ps", "stop", "doctor run", "cleanup", "backup", "restore"]
ABOUT_THIS_USER = ["remote add", "remote list", "remote use", "remote delete"]


def typed(name, folder):
    """What an administrator types, in this order, and what that says."""
    key = "A" * 42 + "E="
    of = f"--network {name}"
    return [
        (f"network create {name} --subnet 10.20.0.0/24", name), ("network list", name),
        (f"network set {name} --endpoint gw.test", name), (f"network show {name}", "gw.test"),
        (f"network stop {name}", name), (f"network start {name}", name),
        (f"network restart {name}", name),
        (f"role add {name} node", "node"), (f"role set {name} node --max-members 7", "node"),
        (f"role list {name}", "node"),
        (f"policy set {name} {folder}/policy", "this policy"), (f"policy show {name}", "tcp 22"),
        (f"policy test {name} node gateway tcp/22", "allow"),
        (f"policy clear {name}", name),
        (f"invite laptop {of}", "warren1"), (f"peer delete laptop {of}", "laptop"),
        (f"peer add node phone {of}", "phone"), (f"peer set-key phone {key} {of}", "phone"),
        (f"peer rename phone tablet {of}", "tablet"), (f"peer show tablet {of}", "10.20.0."),
        (f"peer list {of}", "tablet"), (f"peer export tablet {of}", "[Interface]"),
        (f"forward add 8080/tcp tablet:80 {of}", "8080/tcp"), ("forward list", "tablet:80"),
        ("forward delete 8080/tcp", "8080/tcp"),
        (f"ca show {name}", "SHA-256"), (f"ca sign {name} {folder}/csr --peer tablet", "BEGIN CERT"),
        (f"ca list {name}", "tablet"), (f"ca crl {name}", "BEGIN X509 CRL"),
        (f"ca revoke {name} SERIAL", "revoked"), (f"ca rotate {name}", "another authority"),
        (f"env {name}", ""), ("verify", ""), ("status", name), ("reload", ""),
        ("audit --limit 5", "ca.rotate"), ("audit verify", "as they were written"),
        ("events --after 0 --count 1", "token.create"),
        ("doctor certificates", ""), ("doctor ports", "udp"), ("doctor names", ""),
        (f"export {name}", name), (f"diff -f {folder}/networks", ""),
        (f"apply -f {folder}/networks", ""),
        (f"revoke tablet {of}", "tablet"), (f"role delete {name} node", "node"),
        (f"network delete {name} --yes", name),
    ]


def test_each_command_works_from_elsewhere_or_says_why_not(gateway, administrator):
    """No command is left out: a new one has to be typed here, or be about this host."""
    admin = administrator
    admin.add("gw", token(gateway, "ann")["bundle"])
    name = gateway.network("a")
    (admin.folder / "policy").write_text("rules:\n- node -> gateway: tcp 22\n")
    admin.host.run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:P-256", "-nodes", "-keyout", admin.folder / "key", "-subj",
                   "/CN=tablet", "-out", admin.folder / "csr")
    tried, wrong = set(), []
    for line, said in typed(name, admin.folder):
        words = line.split()
        if words[-1] == "SERIAL":
            signed = admin.ask("--remote", "gw", "ca", "list", name)["certificates"]
            words[-1] = next((one["serial"] for one in signed), "none-was-signed")
        done = admin.warren("--remote", "gw", *words)
        # What examines may find something.
        fine = done.returncode == 0 or words[0] == "doctor" and done.returncode == 1
        if not fine or said not in done.stdout + done.stderr:
            wrong.append((line, done.returncode, done.stdout, done.stderr))
        if words[0] == "export":
            (admin.folder / "networks").write_text(done.stdout)
        tried.add(line)
    assert not wrong
    assert gateway.ask("network", "list")["networks"] == []
    on_the_gateway = [("token create x", 4), ("token list", 4), ("token delete x", 4),
                      (f"network exec {name} -- true", 125), (f"network capture {name} -w f", 2)]
    here = [(f"{line} x", 2) for line in ABOUT_THIS_HOST]
    for line, code in on_the_gateway + here:
        for words in (("--remote", "gw", *line.split()), (*line.split()[:2], "--remote", "gw",
                                                          *line.split()[2:])):
            done = admin.warren(*words)
            assert done.returncode == code, (words, done)
            assert re.search("on the gateway itself|own host|about this host", done.stderr), done
            assert "hint: " in done.stderr, done
        tried.add(line)
    for leaf in commands(admin):
        text = " ".join(leaf)
        assert text in ABOUT_THIS_USER or any(
            line == text or line.startswith(text + " ") for line in tried), f"never tried: {text}"
    actors = {r["actor"] for r in gateway.ask("audit", "--limit", "1000")["records"]
              if r["action"].partition(".")[0] in ("network", "role", "policy", "forward", "ca")}
    assert "token ann from 192.0.2.2" in actors and not any("uid" in actor for actor in actors)


def test_a_token_for_one_network_follows_that_one_alone(gateway, administrator):
    """As it happens and afterwards: by `events`, and by `audit --follow`."""
    admin = administrator
    own, other = gateway.network("a"), gateway.network("b")
    gateway.create("a")
    gateway.ask("peer", "add", "of-the-old-one", "--network", own)
    gateway.ask("network", "delete", own, "--yes")
    gateway.create("a")
    gateway.create("b", subnet="10.30.0.0/24")
    admin.add("gw", token(gateway, "eye", "--network", own, "--read-only")["bundle"])
    followers = {}
    for words in (("events", "--after", "0"), ("events", "--after", "0", "--network", own),
                  ("audit", "--follow")):
        followers[words] = subprocess.Popen(
            admin.host.inside(WARREN, "--remote", "gw", "--json", *words), env=admin.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    heard = {words: [] for words in followers}

    def hear(words, count):
        while len(heard[words]) < count:
            line = followers[words].stdout.readline()
            assert line, followers[words].stderr.read()
            heard[words].append(json.loads(line))

    try:
        for words in followers:
            hear(words, 1)
        for number in range(5):
            gateway.ask("peer", "add", f"secret{number}", "--network", other)
            gateway.ask("peer", "add", f"own{number}", "--network", own)
        assert gateway.call("forward", "add", f"x to {own}/y", "secret0", "--network",
                            other).returncode != 0
        gateway.ask("forward", "add", "8080/tcp", "secret0", "--network", other)
        gateway.ask("forward", "add", "8081/tcp", "own0", "--network", own)
        gateway.ask("forward", "delete", "8080/tcp")
        gateway.ask("forward", "delete", "8081/tcp")
        for words in followers:
            hear(words, 8)
            assert [r["action"] for r in heard[words]] == (
                ["network.create"] + ["peer.add"] * 5 + ["forward.add", "forward.delete"])
            assert all(own in r["target"] and other not in r["target"] for r in heard[words])
            assert other not in json.dumps(heard[words]) and "secret" not in json.dumps(heard[words])
    finally:
        for follower in followers.values():
            follower.kill()
            follower.communicate()
    refused = admin.warren("--remote", "gw", "events", "--network", other)
    missing = admin.warren("--remote", "gw", "events", "--network", "nowhere")
    assert refused.returncode == missing.returncode == 5
    assert refused.stderr == missing.stderr
    assert admin.warren("--remote", "gw", "audit", "verify").returncode == 4
    changed = admin.warren("--remote", "gw", "peer", "add", "mine", "--network", own)
    assert changed.returncode == 4 and "look, not change" in changed.stderr


def test_no_route_tells_a_token_whether_another_network_is_there(gateway, administrator):
    """Every route of the document, as somebody with a token of one network asks it."""
    admin = administrator
    own, other = gateway.network("a"), gateway.network("b")
    gateway.create("a")
    gateway.create("b", subnet="10.30.0.0/24")
    gateway.ask("peer", "add", "one", "--network", other)
    secret = token(gateway, "ci", "--network", own)["secret"]
    document = admin.curl(secret, "GET", "/v1/openapi.json")[2]
    before = gateway.declared("b"), gateway.ask("audit")["records"][0]["number"]
    tried = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["x-warren-reach"] != "network":
                continue
            answers = []
            for network in (other, "nowhere"):
                filled = re.sub(r"{\w+}", "one", path.replace("{network}", network))
                status, _, answer = admin.curl(secret, method.upper(), filled)
                answers.append((status, answer))
            assert answers[0] == answers[1] and answers[0][0] == 404, (method, path, answers)
            tried += 1
    assert tried > 30
    assert (gateway.declared("b"), gateway.ask("audit")["records"][0]["number"]) == before
