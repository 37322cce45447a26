"""mongod as the judge of filters: documents are stored as they are and found by a query as it is."""

from __future__ import annotations

import struct
from typing import Any

from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from pymongo.errors import OperationFailure

from kaa_epr._core import Filter, FilterError
from tests.support.filter_pairs import readable


def number_of(document: bytes) -> int:
    """What the field ``n`` of a document that ``Maker.endpoint`` made says."""
    at = document.index(b"\x10n\0") + 3
    number: int = struct.unpack_from("<i", document, at)[0]
    return number


class Oracle:
    """Judges by ``find`` on a collection of its own."""

    def __init__(self, collection: Any) -> None:
        self.collection = collection
        self.documents: dict[int, bytes] = {}

    def store(self, documents: list[bytes]) -> None:
        """Store documents in place of those of before, and read them back.

        mongod puts ``_id`` first, and the time in place of a timestamp of zeros.
        """
        self.collection.delete_many({})
        self.collection.insert_many([RawBSONDocument(document) for document in documents])
        raw = self.collection.with_options(codec_options=DEFAULT_RAW_BSON_OPTIONS)
        self.documents = {number_of(document.raw): document.raw for document in raw.find({})}

    def matching(self, query: bytes) -> set[int]:
        """Numbers of the documents that match; raises OperationFailure for a query that mongod refuses."""
        found = self.collection.find(RawBSONDocument(query), {"n": 1, "_id": 0})
        return {document["n"] for document in found}

    def judge(self, query: bytes) -> int:
        """Hold a filter's verdicts on the stored documents to those of mongod; how many of them there were.

        A query that we refuse has none. One that mongod refuses must be refused.
        """
        try:
            compiled = Filter(query)
        except FilterError:
            return 0
        try:
            expected = self.matching(query)
        except OperationFailure as error:
            raise AssertionError(f"accepted, but {error}: {readable(query)}") from error
        for number, document in self.documents.items():
            found = compiled.matches(document)
            assert found == (number in expected), f"{found}: {readable(query)} on {readable(document)}"
        return len(self.documents)
