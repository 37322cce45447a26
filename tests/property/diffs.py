"""15/EME metadata updated events with whole diffs as tests make them: fitting ones, and ones that do not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from tests.property.messages import keys, long, string

Pairs = Sequence[tuple[str, Any]]


def _nullable(text: str | None) -> bytes:
    return long(0) if text is None else long(1) + string(text)


def _map(pairs: Pairs, blocks: int) -> bytes:
    """Avro map: in one block, in one that has its size in front, or in a block for each item."""
    items = [
        string(key) + (b"".join(map(_nullable, value)) if isinstance(value, tuple) else _nullable(value))
        for key, value in pairs
    ]
    body = b"".join(items)
    if blocks == 2:
        body = b"".join(long(1) + item for item in items)
    elif items:
        body = (long(len(items)) if blocks == 0 else long(-len(items)) + long(len(body))) + body
    return body + long(0)


@dataclass(frozen=True)
class Diff:
    """An event's diff: JSON texts by key, None for JSON null; of ``updated`` the new and the old."""

    removed: Pairs = ()
    added: Pairs = ()
    updated: Pairs = ()
    app: str = "v1"
    blocks: int = 0
    """How maps are written, see ``_map``."""

    def encode(self, endpoint_id: str = "e-1") -> bytes:
        """The payload."""
        maps = b"".join(_map(pairs, self.blocks) for pairs in (self.removed, self.added, self.updated))
        return string("c") + long(1) + long(0) + string(self.app) + string(endpoint_id) + maps + string("r")


def exact_headers(
    base: Any = 1, version: Any = 2, seq: Any = 1, writer: str | None = "w", **more: Any
) -> bytes:
    """The header block of an event; what is None is left out."""
    named = {"Writer": writer, "Seq": seq, "Version": version, "Base": base, **more}
    lines = "".join(f"Kaa-Epr-{name}: {value}\r\n" for name, value in named.items() if value is not None)
    return f"NATS/1.0\r\n{lines}\r\n".encode()


def texts_of(payload: bytes) -> dict[str, str]:
    """Key to JSON text of the metadata in an answer, where Python prints values as gets do."""
    return {key: _compact(value) for key, value in json.loads(payload).items()}


def _compact(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Halves of surrogate pairs were escaped, and cannot be anything else.
    return text.encode(errors="backslashreplace").decode()


JSON_TEXTS = ("1", "-0.0", "1e+22", '"x"', '"\\ud800\\""', "null", "true", "{}", '{"a":[1,{}]}', '"é\\u0000"')
NO_JSON = (
    *(
        "",
        " 1",
        "1 ",
        "01",
        "+1",
        "-",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "nul",
        "nullx",
        "NaN",
        "Infinity",
        "tru",
    ),
    *('"', '"a', '"\x1f"', '"\\x"', '"\\u12g4"', '"\\u123"', "'a'", '"a"b', "\u0661"),
    *("[", "]", "[1", "[1,]", "[,1]", "[1 ,2]", "[1}", "[]]", "1,2", "{}{}", "[1][2]"),
    *(
        "{",
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
        '{"a" :1}',
        '{"a": 1}',
        "{1:2}",
        '{"a":1]',
        '{"a":1',
        "{a:1}",
        "{,}",
    ),
)

_json = st.sampled_from(JSON_TEXTS).map(lambda text: None if text == "null" else text)
_fates = st.sampled_from(["keep", "keep", "remove", "update"])
_added = st.dictionaries(keys, _json, max_size=2)
_blocks = st.integers(0, 2)
_breakages = st.sampled_from(
    [None] * 16
    + ["old removed", "old updated", "missing", "existing", "twice", "across", "no json", "null text", "app"]
)
_no_json = st.sampled_from(NO_JSON)


def _carried(text: str) -> str | None:
    return None if text == "null" else text


@st.composite
def diffs(draw: st.DrawFn, fields: Mapping[str, str], app: str | None) -> Diff:
    """A diff of metadata with these texts: most fit."""
    fates = {key: draw(_fates) for key in fields}
    diff = Diff(
        removed=[(key, _carried(fields[key])) for key, fate in fates.items() if fate == "remove"],
        updated=[
            (key, (draw(_json), _carried(fields[key]))) for key, fate in fates.items() if fate == "update"
        ],
        added=[(key, value) for key, value in draw(_added).items() if key not in fields],
        app=draw(st.sampled_from([app or "", app or "", "v9"])),
        blocks=draw(_blocks),
    )
    return _broken(draw, diff, draw(_breakages), list(fields))


def _broken(draw: st.DrawFn, diff: Diff, how: str | None, existing: list[str]) -> Diff:
    """The diff, with one of the things wrong that there may be; unchanged where it lacks what that takes."""
    key = existing[0] if existing else "a"
    match how:
        case "old removed":
            return replace(diff, removed=[(name, "77") for name, _ in diff.removed])
        case "old updated":
            return replace(diff, updated=[(name, (new, "77")) for name, (new, _) in diff.updated])
        case "missing":
            return replace(diff, removed=[*diff.removed, ("missing", None)])
        case "existing":
            return replace(diff, added=[*diff.added, (key, "1")])
        case "twice":
            return replace(diff, added=[*diff.added] * 2, updated=[*diff.updated] * 2)
        case "across":
            return replace(diff, added=[*diff.added, *diff.removed])
        case "no json":
            return replace(diff, added=[*diff.added, ("bad", draw(_no_json))])
        case "null text":
            return replace(diff, updated=[(name, ("null", old)) for name, (_, old) in diff.updated])
        case "app":
            return replace(diff, app="")
        case _:
            return diff
