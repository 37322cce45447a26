"""Endpoints as large as MongoDB holds them: each request of one is answered, and nobody else notices."""

from __future__ import annotations

import pytest

from tests.support.hostile.attack import Attack
from tests.support.hostile.corpus import Entry, corpus


@pytest.mark.parametrize("entry", corpus("rest_large"), ids=str)
async def test_each_is_answered_and_harms_nobody(attack: Attack, entry: Entry) -> None:
    await attack.check(entry)
