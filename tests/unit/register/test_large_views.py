"""Documents that are printed while other threads may run: shown as small ones are."""

from __future__ import annotations

import bson
import pytest

from kaa_epr.refusals import Unusable
from tests.property.support import needs_rust
from tests.property.test_planners_differential import shown
from tests.support.planning import known, planner

pytestmark = needs_rust
MANY = {f"key-{number}": ["x" * 100, number, {"a": None}] for number in range(2000)}
KEYS = ["key-7", "a", "key-1999"]


def test_both_planners_show_the_same() -> None:
    stored = bson.encode(known(**MANY))
    pure, rust = (shown(planner(name).view(stored), KEYS) for name in ("pure", "rust"))
    assert pure == rust
    assert len(planner("rust").view(stored).metadata_text() or b"") > 200_000


def test_one_that_ends_early_is_unusable() -> None:
    stored = bson.encode(known(**MANY))
    with pytest.raises(Unusable):
        planner("rust").view(stored[:-100])
