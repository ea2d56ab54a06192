import os

import pytest
from hypothesis import settings

from tests.helpers.processes import Processes

# Numbers are drawn, not the time limit: a first call compiles. In CI the same numbers every time.
settings.register_profile("default", deadline=None, max_examples=40)
settings.register_profile("ci", deadline=None, max_examples=40, derandomize=True, database=None)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "default")
)


@pytest.fixture(scope="session")
def processes():
    """Scripts in fresh processes."""
    server = Processes()
    yield server
    server.close()
