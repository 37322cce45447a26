"""The endpoints of the soak: who writes which, as documents, as requests, and as answers that may come."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from bson import Int64

from kaa_epr.messages.outgoing import EventKind, encode, write_datum

APP_VERSION: Final = "soak-v1"
CORRELATION: Final = "s"
PAD: Final = "x" * 200


class Writer(Enum):
    """Who changes an endpoint; each has one writer only, so that its numbers grow."""

    BULK = "bulk"
    """Majority writes in batches, numbered events."""
    REGISTER = "register"
    """Key updates over 19/EPMMP, which the fleet's registers write and publish."""
    FOREIGN = "foreign"
    """Majority writes, events without headers, as a stock Kaa service publishes them."""
    SILENT = "silent"
    """Numbered events of a writer that can fall silent."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint, and the bytes that its gets and answers hold."""

    number: int
    id: str
    writer: Writer
    get: bytes
    """A get as it follows the reply subject: size, payload, line end."""
    echo: bytes
    """In a right answer, behind correlation ID, timestamp and timeout."""
    event: bytes
    """Payload of 15/EME metadata updated."""


def endpoints(shares: dict[Writer, int]) -> list[Endpoint]:
    """So many endpoints of each writer, numbered through."""
    writers = [writer for writer, count in shares.items() for _ in range(count)]
    return [_endpoint(number, writer) for number, writer in enumerate(writers)]


def document(endpoint: Endpoint) -> dict[str, Any]:
    """As it is stored before the first write; the number that is judged stands first in the metadata."""
    return {
        "_id": endpoint.id,
        "application": "soak",
        "application_version": APP_VERSION,
        "version": Int64(1),
        "metadata": [{"key": "n", "value": 1}, {"key": "pad", "value": PAD}],
    }


def _endpoint(number: int, writer: Writer) -> Endpoint:
    id_ = f"{writer.value}-{number:05}"
    head = {"correlationId": CORRELATION, "timestamp": 1, "timeout": 0}
    get = write_datum(
        "epmmp/0019-endpoint-metadata-get-request.rev3",
        head | {"endpointId": id_, "include": [], "includeMetadata": True},
    )
    event = encode(
        EventKind.METADATA_UPDATED,
        head
        | {
            "appVersionName": APP_VERSION,
            "endpointId": id_,
            "removed": {},
            "added": {"n": "1"},
            "updated": {},
            "originatorReplicaId": "soak",
        },
    )
    echo = bytes([len(id_) * 2]) + id_.encode()
    return Endpoint(number, id_, writer, b" %d\r\n%b\r\n" % (len(get), get), echo, event)
