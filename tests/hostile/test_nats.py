"""Hostile and odd requests over NATS: each is answered as its entry says, and nobody else notices."""

from __future__ import annotations

import pytest

from tests.support.hostile.attack import Attack
from tests.support.hostile.corpus import OVER_NATS, Entry, corpus


@pytest.mark.parametrize("entry", [entry for file in OVER_NATS for entry in corpus(file)], ids=str)
async def test_each_is_answered_and_harms_nobody(attack: Attack, entry: Entry) -> None:
    await attack.check(entry)
