"""Each planner, for tests that both must pass."""

from __future__ import annotations

import pytest

from kaa_epr.register.decide.api import Planner
from tests.support.planning import PLANNERS, planner


@pytest.fixture(params=PLANNERS)
def engine(request: pytest.FixtureRequest) -> Planner:
    """Under the usual rules."""
    return planner(request.param)
