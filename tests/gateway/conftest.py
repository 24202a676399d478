import pytest

import lab


@pytest.fixture
def world():
    """Namespaces only; nothing of warren runs yet."""
    lab.require("ip", "wg", "nft", "nsenter", "ping")
    made = lab.World()
    yield made
    made.close()


@pytest.fixture
def gateway(world):
    """A running daemon."""
    world.gateway.start()
    return world.gateway


@pytest.fixture
def member(world, gateway):
    """A member of a network "a" whose tunnel has carried a packet."""
    gateway.create("a")
    world.members[0].join("a")
    world.members[0].ping(count=1)
    return world.members[0]
