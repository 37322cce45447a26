"""Documents that no register writes, as both implementations show them."""

from __future__ import annotations

import json

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from kaa_epr.register.shown import shown_text
from tests.support.bad_documents import BAD, Bad
from tests.support.planning import PLANNERS, planner


@pytest.mark.parametrize("with_metadata", [True, False], ids=["metadata", ""])
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_both_show_the_same(bad: Bad, with_metadata: bool) -> None:
    document = bad.document
    raw = bytes(document.raw) if isinstance(document, RawBSONDocument) else bson.encode(document)
    pure, rust = (shown_text(planner(name), raw, with_metadata=with_metadata) for name in PLANNERS)
    assert rust == pure
    text, problem = rust
    assert json.loads(text).get("problem") == problem
    if bad.listed:
        assert (problem is not None) == bad.problem
