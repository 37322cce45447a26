"""The table of JSON texts, over both intakes."""

from __future__ import annotations

from typing import Any

import pytest

from kaa_epr.errors import shown
from kaa_epr.refusals import FieldRefusal, Invalid, TooLarge
from kaa_epr.register.intake.api import JsonLimits
from kaa_epr.register.intake.engines import RustIntake, select_intake
from tests.property.intakes import each_intake, intake
from tests.support.cases import cases, text_of

KINDS = {"invalid": Invalid, "too_large": TooLarge}
TABLE = [pytest.param(case, id=case["name"]) for case in cases("json_texts")]


@each_intake
@pytest.mark.parametrize("case", TABLE)
def test_the_table(name: str, case: dict[str, Any]) -> None:
    limits = JsonLimits(case.get("max_depth", 32), case.get("max_values", 1000))
    envelope = case.get("envelope", 0)
    if "gives" in case:
        value = intake(name).parse_json(text_of(case), "body", limits, envelope=envelope)
        assert value.text() == case["gives"]
        return
    kind, path, reason = case["refused"]
    with pytest.raises(FieldRefusal) as caught:
        intake(name).parse_json(text_of(case), "body", limits, prefix="metadata.k", envelope=envelope)
    assert type(caught.value) is KINDS[kind]
    assert caught.value.field == ("body" if path is None else shown("metadata.k" + path))
    assert caught.value.reason == reason


@each_intake
def test_a_path_without_a_prefix_begins_with_its_first_name(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        intake(name).parse_json(b'{"metadata":{"a":1e999}}', "body", JsonLimits(), prefix="", envelope=2)
    assert caught.value.field == "metadata.a"


@each_intake
def test_what_a_path_holds_is_shown_in_one_line_and_not_too_long(name: str) -> None:
    text = '{"\\n\u202e' + "x" * 200 + '":1e999}'
    with pytest.raises(Invalid) as caught:
        intake(name).parse_json(text.encode(), "body", JsonLimits())
    assert caught.value.field.startswith("body.\\n\\u202exxx")
    assert caught.value.field.endswith("x…")
    assert len(caught.value.field) == 121


def test_the_setting_chooses() -> None:
    assert isinstance(select_intake("auto"), RustIntake)
    assert not isinstance(select_intake("pure"), RustIntake)
