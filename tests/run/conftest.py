import pytest
from lab import Lab
from vpn_lab import VpnLab


@pytest.fixture(scope="module")
def lab():
    made = Lab()
    yield made
    made.close()


@pytest.fixture(scope="module")
def vpn():
    made = VpnLab()
    yield made
    made.close()
