"""Shows a captured message of a known kind as JSON (`kaa-epr decode`, later `kaa-epr events`).

The kind is told from the subject or by name; otherwise every kind is tried. Revisions are told apart by
trying: a datum must fill its bytes exactly, so at most one revision of a get's answer fits in practice.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from kaa_epr.errors import KaaEprError
from kaa_epr.messages.avro import AvroError
from kaa_epr.messages.kinds import Kind, all_kinds, by_name, by_subject

_MAX_REPORTED: Final = 3
_PLAUSIBLE_MS: Final = range(1_000_000_000_000, 4_102_444_800_000)  # September 2001 to 2100
_PLAUSIBLE_STATUS: Final = range(100, 600)


@dataclass(frozen=True, slots=True)
class DecodedMessage:
    """One reading of a payload."""

    kind: str
    record: str
    rfc: str
    revisions: tuple[int, ...]
    """The revisions whose bytes these are: (1, 2) for a get request, which both write alike."""
    fields: dict[str, Any]
    """JSON-able, in the schema's order. Bytes that are JSON text stand as the parsed value, other bytes as
    ``{"base64": ...}``."""

    def as_json(self) -> dict[str, Any]:
        """Everything as one JSON-able dict."""
        revisions: int | list[int] = list(self.revisions) if len(self.revisions) > 1 else self.revisions[0]
        return {
            "kind": self.kind,
            "record": self.record,
            "rfc": self.rfc,
            "revision": revisions,
            "message": self.fields,
        }

    def label(self) -> str:
        """Kind and revision for people."""
        return f"{self.kind} (revision {' or '.join(map(str, self.revisions))})"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a payload is not of one kind and revision."""

    kind: str
    revision: int
    error: AvroError


class UndecodableMessage(KaaEprError):
    """The payload is of no kind that was tried; ``failures`` go from the farthest reading to the nearest."""

    def __init__(self, failures: tuple[Failure, ...]) -> None:
        super().__init__(failures)
        self.failures = failures

    def message(self) -> str:
        """List the kinds that came farthest, each with its failure."""
        lines = [f"as {f.kind} (revision {f.revision}): {f.error}" for f in self.failures[:_MAX_REPORTED]]
        if hidden := len(self.failures) - len(lines):
            lines.append(f"and {hidden} more that fail earlier")
        return "the payload does not decode\n" + "\n".join(lines)


class AmbiguousMessage(KaaEprError):
    """The payload fits several kinds or revisions; the subject or a name would tell."""

    def __init__(self, candidates: tuple[DecodedMessage, ...]) -> None:
        super().__init__(candidates)
        self.candidates = candidates

    def message(self) -> str:
        """List the candidates."""
        return "the payload could be: " + ", ".join(candidate.label() for candidate in self.candidates)


def decode_message(payload: bytes, *, subject: str | None = None, kind: str | None = None) -> DecodedMessage:
    """``payload`` as the one message it is.

    ``kind`` (see ``Kind.aliases``) goes before ``subject``; with neither, or with a subject that tells
    nothing (a foreign replyTo), every kind is tried. Raises ``UnknownKind``, ``UndecodableMessage`` or
    ``AmbiguousMessage``, which carries the candidates.
    """
    kinds = by_name(kind) if kind is not None else by_subject(subject or "")
    candidates = _candidates(payload, kinds or all_kinds())
    if len(candidates) > 1:
        raise AmbiguousMessage(candidates)
    return candidates[0]


def _candidates(payload: bytes, kinds: Iterable[Kind]) -> tuple[DecodedMessage, ...]:
    """The readings of ``payload``, at least one; the implausible ones only when no other is left."""
    readings: list[DecodedMessage] = []
    plausible: list[DecodedMessage] = []
    failures: list[Failure] = []
    for kind in kinds:
        for revisions, fields in _readings(payload, kind, failures):
            shown = {name: _presentable(value) for name, value in fields.items()}
            message = DecodedMessage(kind.name, kind.record, kind.rfc, revisions, shown)
            readings.append(message)
            if _is_plausible(fields):
                plausible.append(message)
    if not readings:
        _raise_undecodable(failures)
    return tuple(plausible or readings)


def _readings(
    payload: bytes, kind: Kind, failures: list[Failure]
) -> list[tuple[tuple[int, ...], dict[str, Any]]]:
    """Every reading as one kind; revisions that read the same are one."""
    readings: list[tuple[tuple[int, ...], dict[str, Any]]] = []
    for revision, datum in sorted(kind.revisions.items()):
        try:
            fields = datum.decode(payload)
        except AvroError as error:
            failures.append(Failure(kind.name, revision, error))
            continue
        if readings and readings[-1][1] == fields:
            readings[-1] = ((*readings[-1][0], revision), fields)
        else:
            readings.append(((revision,), fields))
    return readings


def _raise_undecodable(failures: list[Failure]) -> NoReturn:
    failures.sort(key=lambda failure: failure.error.offset, reverse=True)
    raise UndecodableMessage(tuple(failures))


def _is_plausible(fields: dict[str, Any]) -> bool:
    """Whether time, status and JSON are as a service would send them: bytes of another kind seldom are."""
    if fields.get("timestamp", _PLAUSIBLE_MS.start) not in _PLAUSIBLE_MS:
        return False
    if fields.get("statusCode", _PLAUSIBLE_STATUS.start) not in _PLAUSIBLE_STATUS:
        return False
    return all(_is_json(value) for value in fields.values() if isinstance(value, bytes))


def _is_json(text: bytes) -> bool:
    try:
        strict_json(text)
    except ValueError:
        return False
    return True


def _presentable(value: Any) -> Any:
    match value:
        case bytes():
            try:
                return strict_json(value)
            except ValueError:
                return {"base64": base64.b64encode(value).decode("ascii")}
        case dict():
            return {key: _presentable(item) for key, item in value.items()}
        case list():
            return [_presentable(item) for item in value]
        case _:
            return value


def strict_json(text: bytes) -> Any:
    """The value of JSON text in UTF-8; ValueError for anything else, NaN and the infinities included."""
    try:
        return json.loads(text.decode("utf-8"), parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("number beyond the range of a double")
    return number
