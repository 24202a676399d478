"""Roles, policies and verify: real members, real packets."""

import json
import re
import signal

import pytest

import lab
from test_forwards import CLIENT, SERVER, programs, say  # noqa: F401  (programs is a fixture)

ALLOW = "rules:\n  - node -> broker: tcp 1883, tcp 22\n"
TIGHT = "rules:\n  - node -> broker: tcp 1883\n"


def set_policy(gateway, text, code=0):
    done = gateway.call("policy", "set", gateway.network("a"), "-", input=text)
    assert done.returncode == code, done
    return done


def may(gateway, *words):
    done = gateway.call("policy", "test", gateway.network("a"), *words)
    assert done.returncode in (0, 1), done
    return done.returncode == 0, done.stdout.strip()


def differences(gateway, *network):
    done = gateway.call("--json", "verify", *network)
    found = json.loads(done.stdout)["differences"]
    assert (done.returncode == 1) == bool(found), done
    return [f"{d['part']} {d['what']}" for d in found]


def join_as(gateway, member, name, role):
    network = gateway.network("a")
    token = gateway.ask("invite", name, "--network", network, "--role", role)["token"]
    member.run(lab.WARREN, "join", "-", input=token + "\n", env=member.environment)
    member.up("a")
    member.ping(count=1)


@pytest.fixture
def project(request, world, gateway, programs):
    """n1 is a node, broker belongs to the management and serves TCP 22 and 1883, UDP 53."""
    gateway.create("a", "--role", "management=10.220.0.0/24", "--role", "node=10.220.1.0/24",
                   *getattr(request, "param", []), subnet="10.220.0.0/16")
    node, broker = world.members
    join_as(gateway, node, "n1", "node")
    join_as(gateway, broker, "broker", "management")
    for kind, port in (("tcp", 22), ("tcp", 1883), ("udp", 53)):
        programs(broker, SERVER, kind, port, ready=True)
    broker.address = gateway.peer("a", "broker")["address"]
    broker.address6 = gateway.peer("a", "broker")["address6"]
    return gateway, node, broker


def talk(programs, node, kind, address, port):
    return say(programs(node, CLIENT, kind, address, port), "hello")


def test_roles_have_addresses_and_the_policy_decides(project, programs):
    gateway, node, broker = project
    assert gateway.peer("a", "n1")["address"].startswith("10.220.1.")
    assert broker.address.startswith("10.220.0.")
    assert talk(programs, node, "tcp", broker.address, 22).endswith("hello")

    set_policy(gateway, ALLOW)
    assert may(gateway, "n1", "broker", "tcp/22") == (
        True, "allow (line 2: node -> broker: tcp 1883, tcp 22)")
    for address in (broker.address, broker.address6):
        assert talk(programs, node, "tcp", address, 22).endswith("hello")
        assert "dead" in talk(programs, node, "udp", address, 53)
        assert node.attempt("ping", "-c", "1", "-W", "1", address).returncode != 0
    assert not may(gateway, "n1", "broker", "udp/53")[0]
    assert not may(gateway, "broker", "n1", "tcp/1883")[0]
    node.ping(1)  # the gateway still answers
    assert differences(gateway) == []

    gateway.ask("policy", "clear", gateway.network("a"))
    assert talk(programs, node, "udp", broker.address, 53).endswith("hello")
    assert node.attempt("ping", "-c", "1", "-W", "2", broker.address).returncode == 0


@pytest.mark.parametrize("project", [[], ["--no-nat"]], indirect=True, ids=["nat", "no-nat"])
def test_a_change_cuts_what_it_denies_and_leaves_the_rest(project, programs):
    gateway, node, broker = project
    streams = {port: programs(node, CLIENT, "tcp", broker.address, port) for port in (22, 1883)}
    for stream in streams.values():
        assert say(stream, "one").endswith("one")
    set_policy(gateway, ALLOW)
    for stream in streams.values():
        assert say(stream, "two").endswith("two"), "the first policy cuts nothing it allows"
    set_policy(gateway, TIGHT)
    assert "dead" in say(streams[22], "three")
    assert say(streams[1883], "three").endswith("three")
    set_policy(gateway, ALLOW)
    assert say(streams[1883], "four").endswith("four")
    assert talk(programs, node, "tcp", broker.address, 22).endswith("hello")


def test_it_is_in_force_while_the_daemon_is_away_and_when_it_is_back(project, programs):
    gateway, node, broker = project
    set_policy(gateway, TIGHT)
    stream = programs(node, CLIENT, "tcp", broker.address, 1883)
    assert say(stream, "one").endswith("one")
    gateway.end(signal.SIGKILL)
    assert say(stream, "two").endswith("two")
    assert "dead" in talk(programs, node, "tcp", broker.address, 22)
    netns = gateway.network("a")
    lab.output("nsenter", f"--net=/run/netns/warren-{netns}", "nft", "delete", "table", "inet",
               "warren_policy")
    gateway.start()
    assert say(stream, "three").endswith("three")
    assert "dead" in talk(programs, node, "tcp", broker.address, 22)
    assert differences(gateway) == []


def test_members_come_and_go_with_the_policy(project, programs):
    gateway, node, broker = project
    set_policy(gateway, "rules:\n  - node -> management: tcp 22\n")
    assert talk(programs, node, "tcp", broker.address, 22).endswith("hello")
    answer = gateway.ask("revoke", "broker", "--network", gateway.network("a"), "--yes")
    assert answer["pending"] == []
    assert "policy" in [step["step"] for step in answer["steps"]]
    print("\nrevoke under a policy:", answer["total_ms"], answer["steps"])
    assert differences(gateway) == []
    elements = lab.output("nsenter", f"--net=/run/netns/warren-{gateway.network('a')}",
                          "nft", "list", "map", "inet", "warren_policy", "groups4")
    assert broker.address + " " not in elements


@pytest.mark.parametrize("drift", ["rule", "element", "table", "route", "address", "engine"])
def test_verify_sees_what_was_changed_by_hand(project, drift):
    gateway, node, broker = project
    set_policy(gateway, TIGHT)
    name = gateway.network("a")
    assert differences(gateway, name) == []
    inside = ["nsenter", f"--net=/run/netns/warren-{name}"]
    link = gateway.show("a")["interface_name"]
    nft = [*inside, "nft"]
    command, expected = {
        "rule": ([*nft, "insert", "rule", "inet", "warren", "forward", "accept"],
                 "host different: table"),
        "element": ([*nft, "delete", "element", "inet", "warren_policy", "groups4",
                     "{ " + broker.address + " }"],
                    f"policy missing: {broker.address}"),
        "table": ([*nft, "add", "table", "ip", "evil"], "unexpected: nft table ip evil"),
        "route": ([*inside, "ip", "route", "add", "10.99.0.0/16", "dev", link],
                  "unexpected: route 10.99.0.0/16"),
        "address": ([*inside, "ip", "address", "add", "10.9.9.9/32", "dev", link],
                    "unexpected: address"),
        "engine": ([*gateway.inside("wg", "set", link, "peer",
                                    gateway.peer("a", "n1")["public_key"], "allowed-ips",
                                    "0.0.0.0/0")],
                   "engine different: n1 may use 0.0.0.0/0"),
    }[drift]
    lab.output(*command)
    found = differences(gateway, name)
    assert len(found) == 1 and expected in found[0], found
    if drift in ("table", "route"):
        return  # others' things are named, not touched
    gateway.end(signal.SIGKILL)
    gateway.start()
    assert differences(gateway) == []


def test_one_cause_is_few_differences_and_repairs_can_be_pasted(gateway):
    for number, letter in enumerate("abc"):
        gateway.create(letter, subnet=f"10.{20 + number}.0.0/24")
    gateway.ask("peer", "add", "web", "--network", gateway.network("a"))
    gateway.ask("forward", "add", "8080/tcp", "web:80", "--network", gateway.network("a"))
    link = gateway.show("b")["interface_name"].replace("wr", "wh")
    right = gateway.run("nft", "list", "ruleset")
    # With the link its IPv6 address goes, by which the host's table knows whose part is whose.
    gateway.run("ip", "link", "set", link, "down")
    found = json.loads(gateway.call("--json", "verify").stdout)["differences"]
    assert 0 < len(found) <= 4, found
    for one in found:
        assert "nft" not in one["repair"] and "\n" not in one["repair"], one
        gateway.run("sh", "-c", one["repair"])
    lab.wait_until(lambda: differences(gateway) == [], "all is as declared")
    assert gateway.run("nft", "list", "ruleset") == right

    table = re.search(r"table inet (warren_\w+)", right).group(1)
    gateway.run("nft", "insert", "rule", "inet", table, "forward", "accept")
    found = json.loads(gateway.call("--json", "verify").stdout)["differences"]
    assert [one["repair"] for one in found] == ["warren export | warren apply -f -"], found
    exported = gateway.call("export")
    assert exported.returncode == 0, exported
    applied = gateway.call("apply", "-f", "-", input=exported.stdout)
    assert applied.returncode == 0, applied
    assert differences(gateway) == [] and gateway.run("nft", "list", "ruleset") == right


def test_a_service_is_asked_for_by_its_name(project):
    gateway, _, _ = project
    set_policy(gateway, "services:\n  mqtt: {peer: broker, port: 1883}\nrules:\n  - node -> mqtt\n")
    for words in (["n1", "mqtt"], ["n1", "mqtt", "tcp/1883"], ["n1", "broker", "mqtt"]):
        assert may(gateway, *words) == (True, "allow (line 4: node -> mqtt)")
    assert not may(gateway, "n1", "mqtt", "tcp/22")[0]
    for words in (["n1", "mqtt"], ["n1", "broker", "tcp/1883"], ["n1", "broker", "mqtt"]):
        done = gateway.call("policy", "test", *words)  # the only network may be left out
        assert done.returncode == 0, done
    for words, hint in ((["n1", "mqqt"], "did you mean mqtt?"),
                        (["node", "managment", "tcp/22"], "did you mean management?")):
        done = gateway.call("policy", "test", gateway.network("a"), *words)
        assert done.returncode not in (0, 1) and hint in done.stderr, done


def test_what_cannot_be_is_refused_with_its_place(project):
    gateway, _, _ = project
    set_policy(gateway, TIGHT)
    before = gateway.ask("policy", "show", gateway.network("a"))
    refused = set_policy(gateway, "rules:\n  - nod -> broker: tcp 22\n", code=2)
    assert 'line 2, column 5: network' in refused.stderr and '"nod"' in refused.stderr
    assert "did you mean node?" in refused.stderr
    refused = set_policy(gateway, "rules:\n  - node -> broker: tpc 22\n", code=2)
    assert "line 2, column 21" in refused.stderr
    assert gateway.ask("policy", "show", gateway.network("a")) == before
    network = gateway.network("a")
    full = gateway.call("role", "add", network, "one", "--range", "10.220.9.9")
    assert full.returncode == 0, full
    key = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
    first = gateway.call("peer", "add", "one", "x", "--key", key, "--network", network)
    assert first.returncode == 0, first
    second = gateway.call("peer", "add", "one", "y", "--network", network)
    assert second.returncode == 6, second
    assert "range 10.220.9.9 of role one is full: 1 addresses are used" in second.stderr


def test_a_forward_that_the_policy_denies_is_warned_of(project):
    gateway, _, _ = project

    def add(port):
        done = gateway.call("forward", "add", port, "broker:22", "--network", gateway.network("a"))
        assert done.returncode == 0, done
        return done.stderr

    set_policy(gateway, TIGHT)
    assert "- internet -> broker: tcp 22" in add("8080/tcp")
    set_policy(gateway, TIGHT + "  - internet -> broker: tcp 22\n")
    assert add("8081/tcp") == ""
    assert differences(gateway) == []


def test_which_network_is_meant_is_asked_the_way_the_command_is_told(gateway):
    gateway.create("a")
    gateway.create("b", subnet="10.30.0.0/24")
    first = min(gateway.network("a"), gateway.network("b"))
    for words, how in ((("policy", "show"), "as the first word: "), (("role", "list"), "as the first word: "),
                       (("peer", "list"), "--network ")):
        asked = gateway.call(*words)
        assert asked.returncode == 2 and f"name one of them{':' if how[0] == '-' else ','} {how}{first}" in asked.stderr
