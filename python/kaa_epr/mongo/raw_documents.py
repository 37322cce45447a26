"""Raw documents as the store hands them out, one behind the other in batches, and takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne

from kaa_epr.mongo.api import Write
from kaa_epr.mongo.lenient import LENIENT


def by_id(batches: Iterable[bytes]) -> dict[str, bytes]:
    """Raw documents by their ``_id``, nothing else of them decoded."""
    documents: dict[str, bytes] = {}
    for batch in batches:
        for document in split(batch):
            documents[_id_of(document)] = document
    return documents


def _id_of(document: bytes) -> Any:
    # MongoDB keeps `_id` first. RawBSONDocument would look at everything that follows.
    if document[4:9] == b"\x02_id\0":
        return document[13 : 12 + int.from_bytes(document[9:13], "little")].decode()
    return RawBSONDocument(document, LENIENT)["_id"]


def insertion(document: bytes) -> Write:
    """Stores a document that is not there yet, as it is."""
    return InsertOne(RawBSONDocument(document))


def split(batch: bytes) -> Iterator[bytes]:
    """The documents of a raw batch, one by one."""
    position = 0
    while position < len(batch):
        end = position + int.from_bytes(batch[position : position + 4], "little")
        yield batch[position:end]
        position = end
