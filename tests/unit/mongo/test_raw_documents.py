"""Raw documents told apart by their IDs, nothing else of them decoded."""

from __future__ import annotations

import bson

from kaa_epr.mongo.raw_documents import by_id


def test_documents_by_id() -> None:
    one, two, three = (bson.encode({"_id": id_, "x": id_ * 3}) for id_ in ("one", "two", "three"))
    assert by_id([one + two, three, b""]) == {"one": one, "two": two, "three": three}


def test_what_cannot_be_read_beside_the_id_does_not_matter() -> None:
    broken = bson.encode({"_id": "e", "value": "XX"}).replace(b"XX", b"\xff\xff")
    behind = bson.encode({"value": "XX", "_id": "late"}).replace(b"XX", b"\xff\xff")
    assert by_id([broken + behind]) == {"e": broken, "late": behind}
