"""The gateway's own host on a network: a route to the members, and nothing left of it."""

import pytest

from test_networks import untouched


def leads_in(gateway, address):
    """Whether the host's way to an address is a network's uplink."""
    return " dev wh" in gateway.attempt("ip", "route", "get", address).stdout


@pytest.mark.parametrize("nat", [True, False])
def test_the_host_reaches_members_and_they_see_the_gateway(world, gateway, nat):
    gateway.create("a", *([] if nat else ["--no-nat"]), "--subnet6", "fd20::/64")
    member = world.members[0]
    member.join("a")
    member.ping(1)
    view = gateway.peer("a", "m0")
    before = untouched(gateway)[0]
    assert not leads_in(gateway, view["address"])
    shown = gateway.ask("network", "set", gateway.network("a"), "--host-access")
    assert shown["host_access"]
    for address in (view["address"], view["address6"]):
        assert leads_in(gateway, address)
        gateway.run("ping", "-w", "15", "-c", "1", address)
    # With a policy that denies everything too: the host is the gateway.
    policy = world.folder / "policy.yaml"
    policy.write_text("rules: []\n")
    gateway.ask("policy", "set", gateway.network("a"), policy)
    gateway.run("ping", "-w", "15", "-c", "1", view["address"])
    assert gateway.ask("verify")["differences"] == []
    gateway.ask("policy", "clear", gateway.network("a"))
    gateway.ask("network", "set", gateway.network("a"), "--no-host-access")
    assert not leads_in(gateway, view["address"])
    assert untouched(gateway)[0] == before


def test_only_one_may_have_a_prefix(gateway):
    gateway.create("a", "--host-access", "--no-nat")
    gateway.create("b", "--no-nat")
    before = untouched(gateway)
    refused = gateway.call("network", "set", gateway.network("b"), "--host-access")
    assert refused.returncode == 6 and gateway.network("a") in refused.stderr
    gateway.run("ip", "route", "add", "10.77.0.0/16", "via", "192.0.2.2")
    taken = gateway.call("network", "create", gateway.network("c"), "--subnet", "10.77.5.0/24",
                         "--host-access")
    assert taken.returncode == 6 and "10.77.0.0/16 dev u0" in taken.stderr
    gateway.run("ip", "route", "del", "10.77.0.0/16")
    kernel, _ = untouched(gateway)
    assert kernel == before[0]
