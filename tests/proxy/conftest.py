import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "run"))

import pytest
from proxy_lab import ProxyLab


@pytest.fixture(scope="module")
def lab():
    made = ProxyLab()
    yield made
    made.close()
