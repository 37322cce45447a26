"""Counting what became of changes."""

from __future__ import annotations

from typing import get_args

from kaa_epr.register.intake.commands import Command
from kaa_epr.register.stats import OPERATIONS


def test_every_command_is_counted_under_a_name_of_its_own() -> None:
    assert set(OPERATIONS) == set(get_args(Command))
    assert len(set(OPERATIONS.values())) == len(OPERATIONS)
