"""Regular expressions of filters, with mongod (PCRE) as the oracle."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

import bson
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from kaa_epr._core import Filter, FilterError
from kaa_epr.embedded import MongoServer
from tests.support.filter_patterns import PatternMaker

CASED: Final = [
    code
    for code in range(0x110000)
    if not 0xD800 <= code < 0xE000
    and (
        chr(code).lower() != chr(code) or chr(code).upper() != chr(code) or chr(code).casefold() != chr(code)
    )
]

TELLING: Final = [*map(ord, "kKsSßåÅ"), 0x17F, 0x212A, 0x412, 0x432, 0x442, 0x1C80]
"""Long s, the signs of Kelvin and of old Cyrillic, and letters that fold with them or do not."""


@pytest.fixture
def collection(mongod: MongoServer, mongo_database: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        yield client[mongo_database]["texts"]


def compiled(pattern: str, options: str) -> Filter | None:
    """None if it is refused."""
    try:
        return Filter(bson.encode({"metadata": {"$regex": pattern, "$options": options}}))
    except FilterError:
        return None


def found(collection: Any, pattern: str, options: str) -> set[int]:
    """IDs of the texts that mongod finds."""
    query = {"metadata": {"$regex": pattern, "$options": options}}
    return {document["_id"] for document in collection.find(query, {"_id": 1})}


def store(collection: Any, texts: list[str]) -> list[bytes]:
    documents = [{"_id": number, "metadata": text} for number, text in enumerate(texts)]
    collection.delete_many({})
    collection.insert_many(documents)
    return [bson.encode(document) for document in documents]


def test_random_expressions_over_random_texts(collection: Any, rng: random.Random) -> None:
    accepted = 0
    for _ in range(6):
        maker = PatternMaker(rng)
        documents = store(collection, sorted({maker.text() for _ in range(100)} | {"", "\n"}))
        for pattern, options in [maker.whole() for _ in range(100)]:
            if (ours := compiled(pattern, options)) is None:
                continue
            accepted += 1
            try:
                expected = found(collection, pattern, options)
            except OperationFailure as error:
                raise AssertionError(f"accepted, but {error}: {pattern!r} {options}") from error
            matching = {number for number, document in enumerate(documents) if ours.matches(document)}
            assert matching == expected, (pattern, options)
    assert accepted > 300


def test_upper_and_lower_case_of_every_letter(collection: Any, rng: random.Random) -> None:
    """Of all letters that have a case, those that match each other with the option i."""
    documents = store(collection, [chr(code) for code in CASED])
    refused = 0
    for code in rng.sample(CASED, 300) + TELLING:
        pattern = f"^\\x{{{code:x}}}$"
        if (ours := compiled(pattern, "i")) is None:
            refused += 1
            continue
        matching = {number for number, document in enumerate(documents) if ours.matches(document)}
        assert matching == found(collection, pattern, "i"), hex(code)
    assert 0 < refused < 200


@pytest.mark.parametrize("options", ["", "i"])
def test_classes_over_every_character_of_latin_1(collection: Any, options: str) -> None:
    documents = store(collection, [chr(code) for code in range(1, 0x180)])
    names = [
        "alpha",
        "lower",
        "upper",
        "alnum",
        "ascii",
        "blank",
        "cntrl",
        "digit",
        "graph",
        "print",
        "punct",
    ]
    names += ["space", "word", "xdigit"]
    classes = [*(rf"\{letter}" for letter in "dDwWsS"), ".", r"\b", r"\B", "[^k]", "[k-s]", r"[^\W\d]"]
    classes += [f"[[:{negated}{name}:]]" for name in names for negated in ("", "^")]
    for pattern in classes:
        ours = compiled(pattern, options)
        assert ours is not None, pattern
        matching = {number for number, document in enumerate(documents) if ours.matches(document)}
        assert matching == found(collection, pattern, options), pattern
