"""Documents of others: values of every type read over NATS and REST as `bson.json_util` prints them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from bson.raw_bson import RawBSONDocument
from pymongo.collection import Collection

from tests.hostile.stored_values import READABLE
from tests.property.documents import NULL, Raw, document, int64, metadata_array, oracle_json, text
from tests.support.hostile.attack import Attack
from tests.support.hostile.http import Answer, exchange
from tests.support.hostile.watched import Watched, complaints

LAYOUTS = ("array of items", "sub-document")


def endpoint(endpoint_id: str, layout: str, pairs: list[tuple[str, Raw]]) -> RawBSONDocument:
    stored = metadata_array(pairs) if layout == LAYOUTS[0] else Raw(3, document(pairs))
    fields = [("_id", text(endpoint_id)), ("metadata", stored), ("version", int64(1))]
    return RawBSONDocument(document([*fields, ("application_version", text("app-v1"))]))


def printed(value: Raw) -> str:
    return oracle_json(document([("v", value)]))


@pytest.fixture
def raw(endpoints: Collection[dict[str, Any]]) -> Collection[RawBSONDocument]:
    """The collection, for documents that are bytes."""
    options = endpoints.codec_options.with_options(document_class=RawBSONDocument)
    return endpoints.with_options(codec_options=options)


async def get(service: Watched, path: str) -> Answer:
    return await exchange(service.rest, f"GET /api/v1{path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("name", "value"), READABLE.items(), ids=READABLE)
async def test_each_type_reads_as_the_oracle_prints_it(
    attack: Attack, service: Watched, raw: Collection[RawBSONDocument], layout: str, name: str, value: Raw
) -> None:
    victim = f"stored-{quote(name, safe='').replace('%', '~')}-{layout[:3]}"
    raw.insert_one(endpoint(victim, layout, [("before", NULL), ("k", value), ("behind", NULL)]))
    whole = f'{{"before":null,"k":{printed(value)},"behind":null}}'
    assert (await attack.metadata(victim)).decode() == whole
    key = await get(service, f"/endpoints/{victim}/metadata/k")
    assert (key.status, key.text) == (200, printed(value))
    shown = await get(service, f"/endpoints/{victim}?include=metadata")
    assert f'"metadata":{whole}' in shown.text
    listed = await get(service, f"/endpoints?include=metadata&endpointId={victim}")
    assert f'"metadata":{whole}' in listed.text
    assert json.loads(listed.text)["totalElements"] == 1
    assert not complaints(service.told())
