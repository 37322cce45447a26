"""What a user of REST meets at the edges: refusals that name the field, and patches as RFC 6902 has them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from kaa_epr.embedded import MongoServer, NatsServer
from tests.flows.register_support import register_settings, rest_client, serving

VERSION = {"name": "app-v1"}
JSON = {"Content-Type": "application/json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}
METADATA = {"a": 1, "o": {"x": [1, 2], "sl/ash": 1, "ti~lde": 2}, "n": None}


@pytest.fixture
async def http(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str
) -> AsyncIterator[httpx.AsyncClient]:
    settings = register_settings(nats_server.url, mongod.uri, instance_name, mongo_database)
    async with serving(settings) as running:
        assert running.register is not None
        async with rest_client(running) as client:
            made = await client.post(
                "/endpoints", json={"endpointId": "e", "appVersion": VERSION, "metadata": METADATA}
            )
            assert made.status_code == 201
            yield client


async def test_refusals_speak_of_json_not_of_python(http: httpx.AsyncClient) -> None:
    for body, message in (
        ([], "body: must be a JSON object"),
        ({"appVersion": "app-v1"}, "appVersion: must be a JSON object"),
        ({"appVersion": {}}, "appVersion.name: is missing"),
        ({"appVersion": {"name": 1}}, "appVersion.name: must be a string"),
        ({"appVersion": VERSION, "metadata": None}, "metadata: must be a JSON object"),
        ({"appVersion": VERSION, "relations": []}, "relations: is not a field of this request"),
    ):
        answer = await http.post("/endpoints", json=body)
        assert (answer.status_code, answer.json()) == (400, {"message": message})
    for endpoints, message in (
        ({}, "endpoints: must be an array"),
        ([], "endpoints: has too few elements"),
        ([{"metadata": {}}] * 1001, "endpoints: has too many elements"),
        ([{"endpointId": "b"}], "endpoints.0.metadata: is missing"),
    ):
        answer = await http.post("/endpoints/batch", json={"appVersion": VERSION, "endpoints": endpoints})
        assert (answer.status_code, answer.json()) == (400, {"message": message})


@pytest.mark.parametrize("endpoint_id", [".", ".."])
async def test_ids_that_no_url_can_name_are_refused(http: httpx.AsyncClient, endpoint_id: str) -> None:
    body: dict[str, Any] = {"endpointId": endpoint_id, "appVersion": VERSION}
    answer = await http.post("/endpoints", json=body)
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("endpointId: ")
    item = {"endpointId": endpoint_id, "metadata": {}}
    batch = await http.post("/endpoints/batch", json={"appVersion": VERSION, "endpoints": [item]})
    assert batch.status_code == 400
    assert batch.json()["message"].startswith("endpoints.0.endpointId: ")
    assert (await http.post("/endpoints", json=body | {"endpointId": "..."})).status_code == 201


async def test_a_url_that_is_not_utf_8_is_refused_and_stores_nothing(http: httpx.AsyncClient) -> None:
    for target, field in (
        ("/endpoints/e/metadata/a%ff", "path"),
        ("/endpoints?endpointId=%ff", "query"),
        ("/endpoints/e/metadata?include=%fe", "query"),
    ):
        answer = await http.get(target)
        assert (answer.status_code, answer.json()["message"].partition(":")[0]) == (400, field)
    answer = await http.put("/endpoints/e/metadata/a%ff", content=b"1", headers=JSON)
    assert answer.status_code == 400
    assert (await http.get("/endpoints/e/metadata")).json() == METADATA


async def test_a_metadata_filter_with_half_a_surrogate_pair_is_refused(http: httpx.AsyncClient) -> None:
    for text in (r'{"a": "\ud800"}', r'{"\udfff": 1}'):
        answer = await http.get("/endpoints", params={"metadataFilter": text})
        assert answer.status_code == 400
        assert answer.json()["message"].startswith("metadataFilter")


async def test_a_batch_tells_which_item_is_wrong_too_large_or_failed(http: httpx.AsyncClient) -> None:
    def batch(*items: Any) -> dict[str, Any]:
        return {"appVersion": VERSION, "endpoints": [{"metadata": {}}, *items]}

    for metadata, status, field in (
        ({"": 1}, 400, "endpoints.1.metadata: "),
        ({"k": 2**63}, 400, "endpoints.1.metadata.k: "),
        ({f"k{n}": n for n in range(1025)}, 413, "endpoints.1.metadata: "),
    ):
        answer = await http.post("/endpoints/batch", json=batch({"metadata": metadata}))
        assert answer.status_code == status
        assert answer.json()["message"].startswith(field)
    accepted = await http.post("/endpoints/batch", json=batch({"endpointId": "e", "metadata": {"q": [1]}}))
    async with asyncio.timeout(30):
        while not (status := (await http.get(accepted.headers["location"])).json())["finished"]:
            pass
    (failed,) = status["failed"]
    assert (failed["endpointId"], failed["metadata"]) == ("e", '{"q":[1]}')
    assert len(status["created"]) == status["createdCount"] == 1


@pytest.mark.parametrize(
    ("patch", "status", "expected"),
    [
        ([], 200, METADATA),
        ([{"op": "replace", "path": "/o/sl~1ash", "value": 5}], 200, {"sl/ash": 5}),
        ([{"op": "replace", "path": "/o/ti~0lde", "value": 5}], 200, {"ti~lde": 5}),
        ([{"op": "add", "path": "/o/x/-", "value": 3}], 200, {"x": [1, 2, 3]}),
        ([{"op": "add", "path": "/o/x/2", "value": None}], 200, {"x": [1, 2, None]}),
        ([{"op": "move", "from": "/o/x/0", "path": "/o/y"}], 200, {"x": [2], "y": 1}),
        ([{"op": "copy", "from": "/o/x", "path": "/o/y"}], 200, {"y": [1, 2]}),
        ([{"op": "test", "path": "/n", "value": None}], 200, METADATA),
        ([{"op": "test", "path": "/a", "value": 1.0}], 200, METADATA),
        ([{"op": "test", "path": "/a", "value": True}], 409, "patch[0]"),
        ([{"op": "test", "path": "/none", "value": None}], 409, "patch[0]"),
        ([{"op": "add", "path": "/q/w", "value": 1}], 409, "patch[0]"),
        ([{"op": "add", "path": "/a/w", "value": 1}], 409, "patch[0]"),
        ([{"op": "add", "path": "/o/x/3", "value": 1}], 409, "patch[0]"),
        ([{"op": "add", "path": "/o/x/01", "value": 1}], 409, "patch[0]"),
        ([{"op": "remove", "path": "/o/x/-"}], 409, "patch[0]"),
        ([{"op": "add", "path": "/z", "value": 1}, {"op": "remove", "path": "/q"}], 409, "patch[1]"),
        ([{"op": "move", "from": "/o", "path": "/o/x/0"}], 400, "patch[0].from"),
        ([{"op": "add", "path": "/a"}], 400, "patch[0].value"),
        ([{"op": "remove", "path": "/ti~2lde"}], 400, "patch[0].path"),
        ([{"op": "merge", "path": "/a"}], 400, "patch[0].op"),
        ([{"op": "add", "path": "/", "value": 1}], 400, "metadata: a key is empty"),
        ([{"op": "add", "path": "/o/\0", "value": 1}], 400, "patch[0]: a name"),
        ([{"op": "replace", "path": "", "value": [1]}], 400, "patch: "),
        ({}, 400, "patch: must be an array"),
    ],
)
async def test_row_14_patches(http: httpx.AsyncClient, patch: Any, status: int, expected: Any) -> None:
    url = "/endpoints/e/metadata"
    answer = await http.patch(url, content=json.dumps(patch), headers=JSON_PATCH)
    assert answer.status_code == status
    if status != 200:
        assert answer.json()["message"].startswith(expected)
        assert (await http.get(url)).json() == METADATA
    elif expected == METADATA:
        assert (answer.json(), answer.headers["etag"]) == (METADATA, '"1"')
    else:
        assert answer.json() == METADATA | {"o": METADATA["o"] | expected}
        assert answer.headers["etag"] == '"2"'


async def test_a_location_begins_with_the_public_url(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str
) -> None:
    """As behind an ingress that ends TLS and takes a part of the path away."""
    public = "https://kaa.example.com/epr"
    settings = register_settings(
        nats_server.url, mongod.uri, instance_name, mongo_database, register={"rest": {"public_url": public}}
    )
    async with serving(settings) as service:
        assert service.register is not None
        async with rest_client(service, 5) as http:
            made = await http.post("/endpoints", json={"endpointId": "e-1", "appVersion": VERSION})
            batch = await http.post(
                "/endpoints/batch", json={"endpoints": [{"metadata": {}}], "appVersion": VERSION}
            )
    assert made.headers["location"] == f"{public}/api/v1/endpoints/e-1"
    assert batch.headers["location"].startswith(f"{public}/api/v1/endpoints/batch/status?appName=")
