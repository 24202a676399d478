import pytest

import lab


@pytest.fixture
def wire():
    lab.require("ip", "wg", "nsenter")
    made = lab.Lab()
    yield made
    made.close()
