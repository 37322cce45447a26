"""Projection to what a get names, against `json` on the parsed document."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.property.documents import endpoint, metadata_pairs, text
from tests.property.messages import Get, keys
from tests.property.support import answers, ask, each_engine, load, started


def compact(value: object) -> bytes:
    """JSON as the engines print it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@each_engine
@given(pairs=metadata_pairs, include=st.lists(keys, max_size=6))
def test_named_fields_in_stored_order(make: str, pairs: list[tuple[str, object]], include: list[str]) -> None:
    engine = started(make)
    ask(engine, Get().encode())
    [whole] = answers(load(engine, endpoint("e-1", pairs)))  # type: ignore[arg-type]
    if whole["statusCode"] == 500:
        return
    stored = json.loads(whole["payload"])
    assert list(stored) == list(dict(pairs))
    wanted = {key: value for key, value in stored.items() if key in include or not include}
    [part] = answers(ask(engine, Get(include=tuple(include)).encode()))
    assert part["payload"] == compact(wanted)


@each_engine
def test_many_names_against_many_fields(make: str) -> None:
    fields = [(f"key-{number}", text(str(number))) for number in range(3_000)]
    include = tuple(f"key-{number}" for number in range(0, 6_000, 2)) * 2
    engine = started(make)
    ask(engine, Get(include=include[::-1]).encode())
    [answer] = answers(load(engine, endpoint("e-1", fields)))
    assert answer["payload"] == compact({f"key-{number}": str(number) for number in range(0, 3_000, 2)})
