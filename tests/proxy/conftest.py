import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "run"))

import pytest
from proxy_lab import ProxyLab


@pytest.fixture(scope="module")
def lab():
    made = ProxyLab()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def sessions_apart():
    """A responder takes an initiation of one key every 20 ms at most, and each must have a later
    timestamp, of which one step is 17 ms; whoever comes sooner has to wait 5 s for the next try."""
    time.sleep(0.06)
