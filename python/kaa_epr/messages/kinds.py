"""The kinds of messages we know: name, RFC, subject and schemas, built from what `schemas/` holds."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from kaa_epr import schemas
from kaa_epr.errors import KaaEprError
from kaa_epr.messages import subjects
from kaa_epr.messages.avro import Datum

RFCS: Final[Mapping[str, str]] = {"0009": "9/ELCE", "0015": "15/EME", "0019": "19/EPMMP"}

_EPMMP: Final = f"{subjects.EPMMP}."
_LIFECYCLE: Final = "endpoint.lifecycle."
_CONNECTIVITY: Final = "endpoint.connectivity."

TAILS: Final[Mapping[str, str]] = {
    "0009-ep-registered": f"{_LIFECYCLE}registered",
    "0009-ep-unregistered": f"{_LIFECYCLE}unregistered",
    "0009-ep-appversion-updated": f"{_LIFECYCLE}appversion-updated",
    "0009-ep-connected": f"{_CONNECTIVITY}connected",
    "0009-ep-disconnected": f"{_CONNECTIVITY}disconnected",
    "0015-ep-metadata-updated": "endpoint.metadata.updated",
    "0019-endpoint-metadata-get-request": f"{_EPMMP}{subjects.GET_REQUEST}",
    "0019-endpoint-metadata-get-response": f"{_EPMMP}{subjects.GET_RESPONSE}",
    "0019-endpoint-metadata-keys-get-request": f"{_EPMMP}{subjects.KEYS_GET_REQUEST}",
    "0019-endpoint-metadata-keys-get-response": f"{_EPMMP}{subjects.KEYS_GET_RESPONSE}",
    "0019-endpoint-metadata-patch-request": f"{_EPMMP}{subjects.PATCH_REQUEST}",
    "0019-endpoint-metadata-patch-response": f"{_EPMMP}{subjects.PATCH_RESPONSE}",
    "0019-endpoint-metadata-key-update-request": f"{_EPMMP}{subjects.KEY_UPDATE_REQUEST}",
    "0019-endpoint-metadata-key-update-response": f"{_EPMMP}{subjects.KEY_UPDATE_RESPONSE}",
    "0019-endpoint-metadata-key-batch-update-request": f"{_EPMMP}{subjects.KEY_BATCH_UPDATE_REQUEST}",
    # 19/EPMMP recommends the replyTo of the single update for the batch too.
    "0019-endpoint-metadata-key-batch-update-response": f"{_EPMMP}{subjects.KEY_UPDATE_RESPONSE}",
    "0019-endpoints-app-version-request": f"{_EPMMP}{subjects.APP_VERSION_GET_REQUEST}",
    "0019-endpoints-app-version-response": f"{_EPMMP}{subjects.APP_VERSION_GET_RESPONSE}",
}
"""Schema file without revision -> the subject after instance, replica or originator."""


class UnknownKind(KaaEprError):
    """A name that no known kind of message has."""

    def __init__(self, name: str, nearest: tuple[str, ...]) -> None:
        super().__init__(name, nearest)
        self.name = name
        self.nearest = nearest

    def message(self) -> str:
        """Name what was asked for and what comes near."""
        hint = f"; did you mean {' or '.join(self.nearest)}?" if self.nearest else ""
        return f"no message is called {self.name!r}{hint}"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of message with its revisions."""

    name: str
    """Name of the schema file without RFC number and revision, such as `endpoint-metadata-get-request`."""
    rfc: str
    tail: str
    """The subject after instance, replica or originator."""
    record: str
    """Full name of the Avro record."""
    revisions: Mapping[int, Datum]
    """By revision number; a message with a single revision has number 1."""

    def aliases(self) -> set[str]:
        """What people may call it: its name, the end of its subject, its record; in lower case."""
        message_type = self.tail.removeprefix(_EPMMP)
        full = (self.name, self.tail, message_type, self.record, self.record.rpartition(".")[2])
        return {alias.lower() for alias in full}


@cache
def all_kinds() -> tuple[Kind, ...]:
    """Every kind that `schemas/` holds, sorted by RFC and name."""
    revisions: dict[str, dict[int, Datum]] = {}
    for name in schemas.names():
        base, _, number = name.rpartition("/")[2].partition(".rev")
        revisions.setdefault(base, {})[int(number or 1)] = Datum(schemas.load(name))
    return tuple(_kind(base, data) for base, data in sorted(revisions.items()))


def _kind(base: str, revisions: dict[int, Datum]) -> Kind:
    number, _, name = base.partition("-")
    record = next(iter(revisions.values())).name
    return Kind(name=name, rfc=RFCS[number], tail=TAILS[base], record=record, revisions=revisions)


def by_name(name: str) -> tuple[Kind, ...]:
    """The kinds called ``name`` (see ``Kind.aliases``), at least one; raises ``UnknownKind``."""
    wanted = name.lower()
    exact = tuple(kind for kind in all_kinds() if kind.name == wanted)
    found = exact or tuple(kind for kind in all_kinds() if wanted in kind.aliases())
    if not found:
        known = sorted(alias for kind in all_kinds() for alias in kind.aliases())
        raise UnknownKind(name, tuple(difflib.get_close_matches(wanted, known, n=3)))
    return found


def by_subject(subject: str) -> tuple[Kind, ...]:
    """The kinds that ``subject`` carries; none when it tells nothing (a foreign replyTo, say)."""
    tokens = subject.split(".", 4)
    if len(tokens) < 5 or tokens[:2] != ["kaa", "v1"] or tokens[2] not in {"service", "replica", "events"}:
        return ()
    return tuple(kind for kind in all_kinds() if kind.tail == tokens[4])
