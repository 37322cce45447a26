"""Where matchers of MongoDB's language go wrong: each trap as data; data and verdicts are held to mongod."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import bson
import pytest
from bson import json_util
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from kaa_epr._core import Filter, FilterError
from kaa_epr.embedded import MongoServer
from tests.property.documents import (
    NULL,
    Raw,
    array,
    bson_string,
    code_with_scope,
    document,
    int32,
    int64,
    text,
)
from tests.support.filter_oracle import Oracle
from tests.support.filter_pairs import (
    MIN_KEY,
    UNDEFINED,
    boolean,
    date,
    obj,
    regex,
    timestamp,
)

TRAPS: Final = json.loads((Path(__file__).parents[1] / "data" / "filter_traps.json").read_text())


@pytest.fixture
def collection(mongod: MongoServer, mongo_database: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        yield client[mongo_database]["traps"]


def extended(value: Any) -> Any:
    """A value that the file holds as Extended JSON."""
    return json_util.loads(json.dumps(value))


@pytest.mark.parametrize("trap", TRAPS, ids=[trap["trap"] for trap in TRAPS])
def test_trap(trap: dict[str, Any], collection: Any) -> None:
    values = [extended(value) for value in (*trap["matches"], *trap["differs"])]
    documents = [{"_id": f"trap-{number}", "metadata": value} for number, value in enumerate(values)]
    collection.insert_many(documents)
    query = extended(trap["query"])
    expected = set(range(len(trap["matches"])))
    if trap["trap"] != "the ID of an endpoint":
        assert {int(found["_id"][5:]) for found in collection.find(query)} == expected
    stored = collection.with_options(codec_options=DEFAULT_RAW_BSON_OPTIONS)
    raws = {int(found["_id"][5:]): found.raw for found in stored.find({})}
    compiled = Filter(bson.encode(query))
    assert {number for number, raw in raws.items() if compiled.matches(raw)} == {
        int(found["_id"][5:]) for found in collection.find(query)
    }


SYMBOL: Final = Raw(14, bson_string("a"))
POINTER: Final = Raw(12, bson_string("c") + bytes(12))
NOT_UTF8: Final = Raw(2, b"\4\0\0\0a\xffb\0")


def metadata(value: Raw) -> list[tuple[str, Raw]]:
    """The fields of a document that has this as its metadata, or of a query that asks for it."""
    return [("metadata", value)]


RAW_TRAPS: Final[dict[str, tuple[list[tuple[str, Raw]], list[Raw]]]] = {
    "null is equal to undefined": (metadata(NULL), [UNDEFINED, NULL, array([UNDEFINED]), int32(0)]),
    "undefined exists": (
        [("metadata.a", obj([("$exists", boolean(True))]))],
        [obj([("a", UNDEFINED)]), obj([("a", NULL)]), obj([])],
    ),
    "undefined has a type of its own": (metadata(obj([("$type", int32(6))])), [UNDEFINED, NULL]),
    "undefined is not in a list without null": (
        metadata(obj([("$in", array([int32(0), text("")]))])),
        [UNDEFINED, NULL, int32(0)],
    ),
    "undefined is greater than the least key": (
        metadata(obj([("$gt", MIN_KEY)])),
        [UNDEFINED, NULL, MIN_KEY],
    ),
    "in documents undefined is not null": (
        metadata(obj([("a", NULL)])),
        [obj([("a", UNDEFINED)]), obj([("a", NULL)])],
    ),
    "a symbol is equal to a string": (metadata(text("a")), [SYMBOL, text("a"), array([SYMBOL]), text("b")]),
    "a string is equal to a symbol": (metadata(SYMBOL), [SYMBOL, text("a"), text("b")]),
    "a symbol is less than a string": (metadata(obj([("$lt", text("b"))])), [SYMBOL, text("a"), int32(1)]),
    "a symbol matches an expression": (metadata(regex("^A", "i")), [SYMBOL, text("a"), text("b")]),
    "a symbol is no string by its type": (metadata(obj([("$type", text("string"))])), [SYMBOL, text("a")]),
    "a key that is a symbol": (
        metadata(obj([("$elemMatch", obj([("key", text("a"))]))])),
        [
            array([obj([("key", SYMBOL)])]),
            array([obj([("key", text("a"))])]),
            array([obj([("key", text("b"))])]),
        ],
    ),
    "of a field that is stored twice the first counts": (
        metadata(obj([("$elemMatch", obj([("value", int32(1))]))])),
        [
            array([obj([("value", int32(1)), ("value", int32(2))])]),
            array([obj([("value", int32(2)), ("value", int32(1))])]),
        ],
    ),
    "indices that are not numbers in order": (
        [("metadata.1", int32(5))],
        [
            Raw(4, document([("1", int32(5))])),
            Raw(4, document([("0", int32(1)), ("0", int32(5))])),
            Raw(4, document([("a", int32(5)), ("1", int32(6)), ("1", int32(5))])),
        ],
    ),
    "arrays with other indices are not equal": (
        metadata(array([int32(1)])),
        [Raw(4, document([("1", int32(1))])), array([int32(1)]), Raw(4, document([("", int32(1))]))],
    ),
    "texts that are not UTF-8 are compared by bytes": (
        metadata(obj([("$gt", text("aé"))])),
        [NOT_UTF8, text("a"), text("b")],
    ),
    "texts that are not UTF-8 match no expression": (metadata(regex("")), [NOT_UTF8, text("a")]),
    "pointers": (metadata(obj([("$lte", POINTER)])), [POINTER, Raw(12, bson_string("b") + bytes(12)), NULL]),
    "scopes are compared by value": (
        metadata(code_with_scope("f", [("x", int32(1))])),
        [
            code_with_scope("f", [("x", int64(1))]),
            code_with_scope("f", [("y", int32(1))]),
            Raw(13, bson_string("f")),
        ],
    ),
    "texts with a NUL in them": (
        metadata(obj([("$gt", text("a"))])),
        [text("a\0"), text("a"), text("\0b"), obj([("a", text("a\0b"))])],
    ),
    "dates before 1970": (
        metadata(obj([("$lt", date(0))])),
        [date(-1), date(-(2**63)), date(1), timestamp(1)],
    ),
    "old binaries are compared with their inner length": (
        metadata(Raw(5, struct.pack("<iBi", 5, 2, 1) + b"a")),
        [Raw(5, struct.pack("<iBi", 5, 2, 1) + b"a"), Raw(5, struct.pack("<iB", 1, 2) + b"a")],
    ),
    "metadata that is stored twice": (
        [("metadata.a", int32(1))],
        [obj([("a", int32(1)), ("a", int32(2))]), obj([("a", int32(2)), ("a", int32(1))])],
    ),
}


@pytest.mark.parametrize("name", RAW_TRAPS)
def test_raw_trap(name: str, collection: Any) -> None:
    """Those that Extended JSON cannot express, or that PyMongo would not encode so."""
    query, values = RAW_TRAPS[name]
    oracle = Oracle(collection)
    oracle.store(
        [
            document([("_id", int32(n)), ("n", int32(n)), ("metadata", value)])
            for n, value in enumerate(values)
        ]
    )
    found = oracle.matching(document(query))
    assert 0 < len(found) < len(values), "the trap tells something apart"
    assert oracle.judge(document(query)) == len(values)


REFUSED_BY_BOTH: Final[dict[str, Any]] = {
    "an operator that there is not": {"metadata": {"$foo": 1}},
    "a logical operator that there is not": {"$foo": [{"metadata": 1}]},
    "no queries": {"$and": []},
    "queries that are none": {"$or": [1]},
    "operators and fields": {"metadata": {"$gt": 1, "a": 1}},
    "operators in a list": {"metadata": {"$in": [{"$gt": 1}]}},
    "operators in $all": {"metadata": {"$all": [{"$gt": 1}]}},
    "no list": {"metadata": {"$in": 1}},
    "not of nothing": {"metadata": {"$not": {}}},
    "not of a value": {"metadata": {"$not": 1}},
    "an expression to be greater than": {"metadata": {"$gt": bson.Regex("a")}},
    "an expression to be unequal to": {"metadata": {"$ne": bson.Regex("a")}},
    "divided by zero": {"metadata": {"$mod": [0, 1]}},
    "divided by less than one": {"metadata": {"$mod": [0.5, 1]}},
    "divided by a text": {"metadata": {"$mod": ["a", 1]}},
    "divided by what is no number": {"metadata": {"$mod": [float("nan"), 1]}},
    "divided by what is too large": {"metadata": {"$mod": [2.0**63, 1]}},
    "a remainder too few": {"metadata": {"$mod": [2]}},
    "a remainder too many": {"metadata": {"$mod": [2, 0, 1]}},
    "a size below zero": {"metadata": {"$size": -1}},
    "half a size": {"metadata": {"$size": 1.5}},
    "a type that there is not": {"metadata": {"$type": 20}},
    "a type's name that there is not": {"metadata": {"$type": "Number"}},
    "the type of what is missing": {"metadata": {"$type": "missing"}},
    "no types": {"metadata": {"$type": []}},
    "options alone": {"metadata": {"$options": "i"}},
    "options twice": {"metadata": {"$regex": bson.Regex("a", "i"), "$options": "m"}},
    "an option that there is not": {"metadata": {"$regex": "a", "$options": "g"}},
    "an expression that is a number": {"metadata": {"$regex": 5}},
    "an expression with a NUL": {"metadata": {"$regex": "a\0b"}},
    "an expression that does not end": {"metadata": {"$regex": "(a"}},
    "a comment beside operators": {"metadata": {"$gt": 1, "$comment": "x"}},
    "an element that is no document": {"metadata": {"$elemMatch": 5}},
    "an element's operators behind a comment": {"metadata": {"$elemMatch": {"$comment": "x", "$gt": 1}}},
    "some of $all with $elemMatch": {"metadata": {"$all": [{"$elemMatch": {}}, 1]}},
}


@pytest.mark.parametrize("name", REFUSED_BY_BOTH)
def test_what_mongod_refuses_is_refused(name: str, collection: Any) -> None:
    query = REFUSED_BY_BOTH[name]
    with pytest.raises(OperationFailure):
        list(collection.find(query))
    with pytest.raises(FilterError) as refused:
        Filter(bson.encode(query))
    assert refused.value.place
    assert str(refused.value) == f"{refused.value.place}: {refused.value.reason}"


REFUSED_HERE: Final[dict[str, Any]] = {
    "another field": {"endpoint_token": "t"},
    "another field in $or": {"$or": [{"outbox.0.payload": {"$exists": True}}]},
    "a program": {"$where": "true"},
    "an expression over the document": {"$expr": {"$eq": ["$endpoint_token", "t"]}},
    "a schema": {"$jsonSchema": {"required": ["endpoint_token"]}},
    "a chance": {"$sampleRate": 0.5},
    "bits": {"metadata": {"$bitsAllSet": 1}},
    "a shape": {"metadata": {"$geoWithin": {"$box": [[0, 0], [1, 1]]}}},
    "an empty name": {"metadata.": 1},
    "look-around": {"metadata": {"$regex": "(?=a)"}},
    "the option u": {"metadata": {"$regex": "a", "$options": "u"}},
}


@pytest.mark.parametrize("name", REFUSED_HERE)
def test_what_is_not_in_the_language_is_refused(name: str) -> None:
    with pytest.raises(FilterError):
        Filter(bson.encode(REFUSED_HERE[name]))


@pytest.mark.parametrize("operator", ["$eq", "$gt", "$gte", "$lt", "$lte", "$ne", "$in", "$nin", "$all"])
def test_undefined_is_no_operand(operator: str, collection: Any) -> None:
    operand = array([UNDEFINED]) if operator in {"$in", "$nin", "$all"} else UNDEFINED
    query = document(metadata(obj([(operator, operand)])))
    with pytest.raises(OperationFailure):
        list(collection.find(RawBSONDocument(query)))
    with pytest.raises(FilterError, match="undefined"):
        Filter(query)
