"""Each engine against the naive model of ``model.py``, in scripts that hypothesis makes up."""

from __future__ import annotations

from hypothesis.stateful import (
    run_state_machine_as_test,
)

from tests.property.model import Model
from tests.property.support import each_engine


@each_engine
def test_no_answer_is_from_before_its_floor_and_everybody_is_answered(make: str) -> None:
    class Named(Model):
        engine_name = make

    run_state_machine_as_test(Named)
