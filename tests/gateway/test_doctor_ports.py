"""Whether others reach what a gateway serves, and who is in the way when they do not."""

import json

import pytest

from lab import wait_until

FIREWALLS = {
    "ufw": ("table ip filter { chain ufw-user-input { }; chain INPUT { type filter hook input "
            "priority 0; policy drop; jump ufw-user-input; }; }", "ufw allow {port}/udp"),
    "firewalld": ("table inet firewalld { chain filter_INPUT { type filter hook input priority 10; "
                  "iifname lo accept; reject with icmpx admin-prohibited; }; }",
                  "firewall-cmd --permanent --add-port={port}/udp"),
    "nft": ("table inet fence { chain door { type filter hook input priority 5; policy drop; }; }",
            "nft insert rule inet fence door udp dport {port} accept"),
}

DOCKER = ("table ip filter { chain DOCKER-USER { return; }; chain FORWARD { type filter hook "
          "forward priority 0; policy drop; jump DOCKER-USER; }; }")


def settled(gateway):
    """What the host has, once the kernel has found no address to be there twice: then come their routes."""
    wait_until(lambda: "tentative" not in gateway.run("ip", "address"), "addresses are settled", seconds=20)
    return gateway.snapshot()


def findings(gateway, code):
    done = gateway.call("--json", "doctor", "ports")
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)["findings"]


@pytest.mark.parametrize("firewall", FIREWALLS)
def test_each_public_port_is_tried_and_the_remedy_helps(world, gateway, firewall):
    view = gateway.create("a", "--endpoint", "192.0.2.1", "--no-nat")
    world.members[0].join("a")
    gateway.ask("forward", "add", "8080/tcp", "m0:80", "--network", gateway.network("a"))
    before = settled(gateway)
    good = findings(gateway, 0)
    assert [one["state"] for one in good] == ["good"] * 3, good
    assert [one["what"].split()[1] for one in good] == [
        f"{view['port']}/udp", "51800/tcp", "8080/tcp"]
    assert all("warren" in one["text"] and "process" in one["text"] for one in good[:2])
    rules, remedy = FIREWALLS[firewall]
    gateway.run("nft", rules)
    bad = findings(gateway, 1)
    assert [one["state"] for one in bad] == ["bad", "bad", "good"]
    assert remedy.format(port=view["port"]) in bad[0]["remedy"]
    if firewall == "nft":
        gateway.run("nft", bad[0]["remedy"].removeprefix("nft "))
        assert [one["state"] for one in findings(gateway, 1)] == ["good", "bad", "good"]
    gateway.run("nft", "delete", "table", *rules.split()[1:3])
    assert gateway.snapshot() == before, "nothing stays of a test"


def test_each_interface_has_a_verdict_of_its_own(gateway):
    """Members dial 192.0.2.1 on u0, by which the default route leads, or 198.51.100.1 on u1."""
    gateway.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1")
    gateway.create("a", "--endpoint", "192.0.2.1", "--no-nat")
    gateway.create("b", "--endpoint", "198.51.100.1", "--no-nat", subnet="10.21.0.0/24")
    ports = {letter: gateway.show(letter)["port"] for letter in "ab"}

    def verdicts(code):
        found = {one["what"].split()[1]: one for one in findings(gateway, code)}
        return [found[f"{ports[letter]}/udp"] for letter in "ab"]

    def close(link):
        gateway.run("nft", "table inet fence { chain door { type filter hook input priority 5; "
                    f"iifname {link} udp dport 1024-65535 drop; }}; }}")

    open_to_all = verdicts(0)
    if "no filter knows" in open_to_all[0]["text"]:
        pytest.skip("this kernel cannot redirect packets (act_mirred)")
    assert ["on u0," in open_to_all[0]["text"], "on u1," in open_to_all[1]["text"]] == [True, True]
    for link, states in (("u0", ["bad", "good"]), ("u1", ["good", "bad"]), ("lo", ["good", "good"])):
        before = settled(gateway)
        close(link)
        found = verdicts(1 if "bad" in states else 0)
        assert [one["state"] for one in found] == states, found
        for one, port in zip(found, ports.values()):
            if one["state"] == "bad":
                assert f'rule "iifname "{link}" udp dport 1024-65535 drop" of chain door' in one["text"]
                assert one["remedy"] == f"nft insert rule inet fence door udp dport {port} accept"
                gateway.run("nft", one["remedy"].removeprefix("nft "))
                assert [again["state"] for again in verdicts(0)] == ["good", "good"]
        gateway.run("nft", "delete", "table", "inet", "fence")
        assert gateway.snapshot() == before, "nothing stays of a test"


def test_nobody_listens(world, gateway):
    gateway.create("a", "--no-nat")
    _, pid = gateway.engine("a")
    gateway.ask("network", "stop", gateway.network("a"))
    assert len(findings(gateway, 0)) == 1, "a stopped network has no public port"


def test_a_network_whose_members_would_not_reach_the_world_is_not_made(gateway):
    gateway.run("nft", DOCKER)
    before = gateway.snapshot()
    refused = gateway.call("network", "create", gateway.network("a"), "--subnet", "10.20.0.0/24")
    assert refused.returncode == 1
    assert "iptables -I DOCKER-USER -i wh+ -j ACCEPT" in refused.stderr
    assert gateway.snapshot() == before
    gateway.create("a", "--no-nat")
    refused = gateway.call("network", "set", gateway.network("a"), "--nat")
    assert refused.returncode == 1 and "DOCKER-USER" in refused.stderr
    gateway.run("nft", "insert", "rule", "ip", "filter", "FORWARD", "iifname", "wh*", "accept")
    gateway.run("nft", "insert", "rule", "ip", "filter", "FORWARD", "oifname", "wh*", "accept")
    assert gateway.ask("network", "set", gateway.network("a"), "--nat")["nat"]
