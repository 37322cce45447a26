"""Documents of others: values of every type in place of every field, asked for and changed in every way."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import pytest
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from kaa_epr.mongo.lenient import LENIENT
from kaa_epr.refusals import Unusable
from tests.hostile.stored_values import READABLE, UNREADABLE, embedded
from tests.property.documents import Raw, array, document, int64, metadata_array, text
from tests.support.hostile.attack import Attack
from tests.support.hostile.watched import complaints

VALUES: Final = READABLE | UNREADABLE
USUAL: Final[dict[str, Raw]] = {
    "application": text("app"),
    "application_version": text("app-v1"),
    "metadata": metadata_array([("k", int64(1))]),
    "version": int64(1),
}
PLACES: Final = (
    *("application", "application_version", "endpoint_token", "version", "registration"),
    *("created_at", "metadata_updated_at", "app_version_registered_at", "deleted_at", "metadata"),
    *("an item of metadata", "the key of an item", "metadata, twice"),
)
READS: Final = (
    "GET /endpoints/{E}?include=metadata",
    "GET /endpoints/{E}/metadata",
    "GET /endpoints/{E}/metadata/k",
    "GET /endpoints/{E}/metadata-keys",
    "GET /endpoints/{E}/app-version",
    "GET /endpoints?include=metadata&endpointId={E}",
)
SMALL: Final = (
    "PUT /endpoints/{E}/metadata/k",
    "DELETE /endpoints/{E}/metadata/k",
    "PUT /endpoints/{E}/app-version",
)
REPAIRS: Final = ("PUT /endpoints/{E}/metadata", "DELETE /endpoints/{E}")
BODIES: Final = {SMALL[0]: "2", SMALL[2]: '{"name":"app-v2"}', REPAIRS[0]: '{"k":3}'}
NOT_FOUND_AGAIN: Final = {("version", "array of odd names")}
"""MongoDB does not find a document by such a version, so no write's condition holds: 503, nothing stored."""
GONE_OR_DONE: Final = (HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND)


def stored(endpoint_id: str, place: str, value: Raw) -> RawBSONDocument:
    """A document that is as it should be but for one place."""
    fields = [("_id", text(endpoint_id)), *USUAL.items()]
    name, _, twice = place.partition(", ")
    if twice:
        return RawBSONDocument(document([*fields, (name, value)]), LENIENT)
    if name == "an item of metadata":
        name, value = "metadata", array([value])
    elif name == "the key of an item":
        name, value = "metadata", array([embedded(("key", value), ("value", int64(1)))])
    return RawBSONDocument(document([*(dict(fields) | {name: value}).items()]), LENIENT)


def request(line: str) -> dict[str, Any]:
    method, _, path = line.partition(" ")
    body = {"body": BODIES[line]} if line in BODIES else {}
    return {"method": method, "path": path, **body}


@pytest.mark.parametrize("place", PLACES)
async def test_no_value_in_any_place_costs_more_than_its_endpoint(
    attack: Attack, endpoints: Collection[dict[str, Any]], place: str
) -> None:
    options = endpoints.codec_options.with_options(document_class=RawBSONDocument)
    raw = endpoints.with_options(codec_options=options)
    wrong: list[str] = []
    refused = 0
    for name, value in VALUES.items():
        victim = attack.victim(b"{}")
        attack.forget(victim)
        try:
            raw.insert_one(stored(victim, place, value))
        except (PyMongoError, BSONError):
            # What neither driver nor MongoDB takes, nobody stores.
            refused += 1
            continue
        replies = {"keys over NATS": await attack.send({"kind": "keys-get"}, victim)}
        for line in (*READS, *SMALL, *REPAIRS):
            replies[line] = await attack.send(request(line), victim)
        for line, reply in replies.items():
            told = reply.status < 500 or reply.message == Unusable().message()
            done = line not in REPAIRS or reply.status in GONE_OR_DONE
            lost = (place, name) in NOT_FOUND_AGAIN and reply.status == HTTPStatus.SERVICE_UNAVAILABLE
            if not (told and done) and not lost:
                wrong.append(f"{name}: {line}: {reply.status} {reply.message[:100]}")
        attack.forget(victim)
    await attack.bystanders()
    lines = attack.service.told()
    bugs = [line for line in complaints(lines) if line["event"] != "stored endpoint is unusable"]
    assert not wrong, "\n".join(wrong)
    assert not bugs
    assert refused < len(VALUES) / 2
