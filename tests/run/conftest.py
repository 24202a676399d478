import pytest
from lab import Lab


@pytest.fixture(scope="module")
def lab():
    made = Lab()
    yield made
    made.close()
