"""Random queries and documents for filters, as raw BSON: of everything that MongoDB can hold.

Names and values are few and near each other, so that many pairs match."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Final

import bson
from bson.decimal128 import Decimal128

from tests.property.documents import (
    NULL,
    Raw,
    array,
    bson_string,
    code_with_scope,
    cstring,
    document,
    double,
    int32,
    int64,
    text,
)

Pairs = list[tuple[str, Raw]]


def decimal(value: str) -> Raw:
    """A Decimal128 value."""
    return Raw(19, Decimal128(value).bid)


def obj(pairs: Pairs) -> Raw:
    """A document as a value."""
    return Raw(3, document(pairs))


def regex(pattern: str, options: str = "") -> Raw:
    """A regular expression as a value."""
    return Raw(11, cstring(pattern) + cstring(options))


def binary(subtype: int, data: bytes) -> Raw:
    """A binary value."""
    return Raw(5, struct.pack("<iB", len(data), subtype) + data)


def date(value: int) -> Raw:
    """A date, in Unix milliseconds."""
    return Raw(9, struct.pack("<q", value))


def timestamp(value: int) -> Raw:
    """A timestamp."""
    return Raw(17, struct.pack("<Q", value))


def boolean(value: bool) -> Raw:
    """True or false."""
    return Raw(8, bytes([value]))


UNDEFINED: Final = Raw(6, b"")
MIN_KEY: Final = Raw(255, b"")
MAX_KEY: Final = Raw(127, b"")
NAN: Final = float("nan")
OID: Final = bytes(range(12))

NUMBERS: Final = [
    *(int32(n) for n in (0, 1, 2, -1, 5)),
    *(int64(n) for n in (0, 1, 2, 2**53, 2**53 + 1, 2**63 - 1, -(2**63))),
    *(double(n) for n in (0.0, -0.0, 1.0, 1.5, 2.0, -1.0, 0.1, 2.0**53, 2.0**63, 1e300, 5e-324, NAN)),
    *(double(float(n)) for n in ("inf", "-inf")),
    *(decimal(n) for n in ("0", "1", "1.0", "1.5", "0.1", "2", "-1", "NaN", "Infinity", "-Infinity", "-0")),
    *(decimal(n) for n in ("9007199254740993", "9223372036854775808", "1E+300", "1E-6176", "1E+6111")),
    decimal("0.1000000000000000055511151231257827"),
    decimal("4.940656458412465441765687928682214E-324"),
]
TEXTS: Final = [
    "",
    "a",
    "A",
    "ab",
    "aB",
    "b",
    "a\nb",
    "a\n",
    "é",
    "É",
    "k",
    "\u212a",
    "1",
    "key",
    "a b",
    "b1_",
]
OTHERS: Final = [
    NULL,
    UNDEFINED,
    MIN_KEY,
    MAX_KEY,
    boolean(False),
    boolean(True),
    *(date(n) for n in (0, 1, -1)),
    *(timestamp(n) for n in (0, 1, 2**63)),
    *(binary(subtype, data) for subtype in (0, 5, 128) for data in (b"", b"a", b"ab")),
    Raw(5, struct.pack("<iBi", 5, 2, 1) + b"a"),
    Raw(7, OID),
    Raw(7, OID[::-1]),
    regex("a"),
    regex("a", "i"),
    regex("b"),
    Raw(12, bson_string("c") + OID),
    Raw(12, bson_string("d") + OID),
    Raw(13, bson_string("a")),
    Raw(13, bson_string("b")),
    *(Raw(14, bson_string(name)) for name in ("a", "ab", "key")),
    code_with_scope("a", []),
    code_with_scope("a", [("x", int32(1))]),
    code_with_scope("a", [("x", int64(1))]),
    code_with_scope("b", []),
]
NAMES: Final = ["a", "b", "key", "value", "0", "1", "", "$x", "a.b", "00", "x"]
"""Names in documents."""
PATH_NAMES: Final = ["a", "b", "key", "value", "value", "0", "1", "x", "$x", "00", "2"]
KEYS: Final = ["a", "b", "ab", "key", "1"]
VERSIONS: Final = ["v1", "v2", "V1", ""]
NAMED_TYPES: Final = [
    *(
        "double",
        "string",
        "object",
        "array",
        "binData",
        "undefined",
        "objectId",
        "bool",
        "date",
        "null",
        "regex",
    ),
    *(
        "dbPointer",
        "javascript",
        "symbol",
        "javascriptWithScope",
        "int",
        "timestamp",
        "long",
        "decimal",
        "minKey",
    ),
    *("maxKey", "number", "missing", "Number", "any"),
]

PATTERNS: Final = [
    *(
        "a",
        "^a",
        "b$",
        "^$",
        "A",
        "",
        "a.b",
        "^é",
        r"\w",
        r"^\w+$",
        r"\b1",
        "[^a]",
        "k",
        "^[a-b]+$",
        r"\n$",
        "a|b",
    ),
    *("(?:a|b)b", "a{2}", "a(?=b)", r"(a)\1", "^b", r"\s", r"a\Z", r"\Aa", r"b\z", "(?i)é", "a+?"),
]


class Maker:
    """Makes what ``rng`` says."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def chance(self, percent: int) -> bool:
        """Whether something happens that happens so often."""
        return self.rng.randrange(100) < percent

    # --- values
    def scalar(self) -> Raw:
        """A value without parts."""
        which = self.rng.randrange(10)
        if which < 4:
            return self.rng.choice(NUMBERS)
        return text(self.rng.choice(TEXTS)) if which < 7 else self.rng.choice(OTHERS)

    def value(self, depth: int = 3) -> Raw:
        """A value of any type."""
        which = self.rng.randrange(10)
        if depth == 0 or which < 6:
            return self.scalar()
        if which < 8:
            return array([self.value(depth - 1) for _ in range(self.rng.randrange(4))])
        names = [self.rng.choice(NAMES) for _ in range(self.rng.randrange(4))]
        return obj([(name, self.value(depth - 1)) for name in names])

    # --- documents
    def pair(self) -> Raw:
        """An element of metadata, as the register writes it or in some other form."""
        key: Raw = text(self.rng.choice(KEYS))
        if self.chance(10):
            key = self.value(1)
        pairs = [("key", key), ("value", self.value())]
        if self.chance(15):
            pairs.append((self.rng.choice(NAMES), self.value(2)))
        if self.chance(10):
            self.rng.shuffle(pairs)
        return self.value() if self.chance(10) else obj(pairs)

    def metadata(self) -> Raw:
        """Metadata: mostly an array of pairs."""
        if self.chance(12):
            return self.value()
        pairs = [self.pair() for _ in range(self.rng.randrange(5))]
        if self.chance(5):
            return Raw(4, document([(self.rng.choice(NAMES), pair) for pair in pairs]))
        return array(pairs)

    def endpoint(self, number: int) -> bytes:
        """A document that MongoDB can hold; its field ``n`` is ``number``, and so is some of its ``_id``."""
        ids: list[Callable[[], Raw]] = [
            lambda: text(f"{self.rng.choice(['a', 'b', 'é'])}{number}"),
            lambda: int32(number),
            lambda: decimal(f"{number}.5"),
            lambda: double(number + 0.25),
            lambda: obj([("a", int32(number))]),
        ]
        fields: Pairs = [
            ("n", int32(number)),
            ("_id", ids[0 if self.chance(70) else self.rng.randrange(5)]()),
        ]
        if self.chance(90):
            version = text(self.rng.choice(VERSIONS))
            fields.append(("application_version", self.value() if self.chance(15) else version))
        if self.chance(92):
            fields.append(("metadata", self.metadata()))
        if self.chance(5):
            fields.append(("metadata", self.metadata()))
        if self.chance(20):
            fields[1:] = self.rng.sample(fields[1:], len(fields) - 1)
        return document(fields)

    # --- queries
    def path(self, start: str | None = None) -> str:
        """A path below ``start``, or one in an element of an array."""
        parts = [] if start is None else [start]
        parts += [self.rng.choice(PATH_NAMES) for _ in range(self.rng.choice([0, 0, 0, 1, 1, 2, 3]))]
        return ".".join(parts or [self.rng.choice(["key", "value", "a", "0"])])

    def top(self) -> str:
        """A path from the endpoint."""
        which = self.rng.randrange(20)
        if which < 3:
            return "application_version"
        return self.path("_id" if which == 3 else "metadata") if which < 19 else "application_version.a"

    def operand(self) -> Raw:
        """What values are compared with."""
        return text(self.rng.choice([*VERSIONS, *KEYS])) if self.chance(15) else self.value(2)

    def pattern(self) -> tuple[str, str]:
        """A regular expression and its options."""
        pattern = self.rng.choice(PATTERNS)
        options = self.rng.choice(["", "", "", "", "i", "m", "s", "x", "im", "q"])
        return pattern, options

    def conditions(self, depth: int) -> Pairs:
        """Operators on a field, side by side."""
        return [pair for _ in range(self.rng.choice([1, 1, 1, 2])) for pair in self.condition(depth)]

    def condition(self, depth: int) -> Pairs:
        """One operator and its operand; an expression may have its options beside it."""
        choice = self.rng.choice
        kinds: dict[str, Callable[[], Raw]] = {
            "$mod": lambda: array([choice(NUMBERS) for _ in range(choice([2, 2, 2, 1, 3]))]),
            "$size": lambda: choice([int32(0), int32(1), double(2.0), decimal("3"), int32(-1), double(1.5)]),
            "$type": self.types,
            "$exists": lambda: choice([boolean(True), boolean(False), int32(0), NULL, double(NAN)]),
            "$in": lambda: array([self.listed() for _ in range(self.rng.randrange(4))]),
            "$all": lambda: self.all_of(depth),
            "$elemMatch": lambda: self.element(depth),
            "$not": lambda: self.negated(depth),
        }
        kinds["$nin"] = kinds["$in"]
        which = choice(
            [
                "$eq",
                "$ne",
                "$gt",
                "$gte",
                "$lt",
                "$lte",
                "$in",
                "$nin",
                "$exists",
                "$type",
                "$all",
                "$elemMatch",
            ]
            + ["$size", "$mod", "$regex", "$not", "$eq", "$gt", "$gte", "$lt", "$lte", "$elemMatch"]
            + (["$foo", "$where", "$options", "a", "$comment"] if self.chance(4) else [])
        )
        if which == "$regex":
            pattern, options = self.pattern()
            written = regex(pattern, choice(["", "", "i"])) if self.chance(20) else text(pattern)
            return [("$regex", written), *([("$options", text(options))] if options else [])]
        return [(which, kinds.get(which, self.operand)())]

    def listed(self) -> Raw:
        """An element of ``$in``."""
        return regex(*self.pattern()) if self.chance(15) else self.operand()

    def types(self) -> Raw:
        """The operand of ``$type``."""

        def one() -> Raw:
            if self.chance(60):
                return text(self.rng.choice(NAMED_TYPES))
            return self.rng.choice([int32, int64])(self.rng.randrange(-2, 21))

        return array([one() for _ in range(self.rng.randrange(4))]) if self.chance(30) else one()

    def all_of(self, depth: int) -> Raw:
        """The operand of ``$all``."""
        count = self.rng.choice([0, 1, 1, 2, 2])
        if depth > 0 and self.chance(30):
            return array([obj([("$elemMatch", self.element(depth - 1))]) for _ in range(count)])
        return array([self.listed() for _ in range(count)])

    def element(self, depth: int) -> Raw:
        """The operand of ``$elemMatch``."""
        if depth > 0 and self.chance(35):
            return obj(self.conditions(depth - 1))
        if self.chance(60):
            wanted: Pairs = [("key", text(self.rng.choice(KEYS)))]
            wanted.append(("value", self.asked(max(depth - 1, 0))))
            return obj(wanted if self.chance(80) else wanted[::-1])
        return self.query(max(depth - 1, 0), self.path)

    def negated(self, depth: int) -> Raw:
        """The operand of ``$not``."""
        if depth == 0 or self.chance(10):
            return regex(*self.pattern())
        return obj(self.conditions(depth - 1))

    def asked(self, depth: int) -> Raw:
        """What is asked of a field."""
        which = self.rng.randrange(10)
        if which < 5:
            return obj(self.conditions(depth))
        return regex(*self.pattern()) if which == 5 else self.operand()

    def query(self, depth: int, path: Callable[[], str]) -> Raw:
        """Conditions on fields, and logical operators."""
        pairs: Pairs = []
        for _ in range(self.rng.choice([1, 1, 1, 2, 2, 0]) if depth < 3 else 1):
            if depth > 0 and self.chance(20):
                logical = self.rng.choice(["$and", "$or", "$nor"])
                several = [self.query(depth - 1, path) for _ in range(self.rng.choice([1, 2, 2, 3]))]
                pairs.append((logical, array(several)))
            else:
                pairs.append((path(), self.asked(depth)))
        if self.chance(2):
            pairs.append(("$comment", self.scalar()))
        return obj(pairs)

    def filter(self) -> bytes:
        """A query, mostly one that is accepted."""
        return self.query(3, self.top).data


def readable(raw: bytes) -> str:
    """A query or document for a person."""
    return str(bson.decode(raw, bson.CodecOptions(datetime_conversion=bson.DatetimeConversion.DATETIME_MS)))
