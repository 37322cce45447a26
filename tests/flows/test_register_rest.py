"""Every row of the REST interface against the running service: statuses, headers, bodies, events."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from bson import Int64

from kaa_epr.config.settings import Settings
from kaa_epr.service import Service
from tests.flows.register_support import Heard, Listener, serving
from tests.support.http_client import plain_client

API = "/api/v1"
VERSION = {"name": "app-v1"}


@pytest.fixture(params=[("motor", "rust"), ("pymongo", "pure")], ids="-".join)
async def service(
    request: pytest.FixtureRequest, settings_here: Callable[..., Settings]
) -> AsyncIterator[Service]:
    driver, engine = request.param
    settings = settings_here(
        engine=engine,
        mongo={"driver": driver},
        register={"restricted_keys": {"app": ["lock"]}, "rest": {"max_body_bytes": 700_000}},
    )
    async with serving(settings) as running:
        yield running


async def register(http: httpx.AsyncClient, endpoint_id: str = "e-1", **metadata: Any) -> httpx.Response:
    return await http.post(
        "/endpoints",
        json={
            "endpointId": endpoint_id,
            "appVersion": VERSION,
            "metadata": metadata,
            "endpointToken": f"t{endpoint_id}",
        },
    )


def kinds(heard: list[Heard]) -> list[tuple[str, int]]:
    return [(event.kind, event.version) for event in heard]


async def test_row_1_registering(http: httpx.AsyncClient, listener: Listener, collection: Any) -> None:
    answer = await http.post(
        "/endpoints",
        json={"endpointId": "e-1", "appVersion": VERSION, "metadata": {"a": 1}, "endpointToken": "tok"},
        headers={"Correlation-ID": "trace-7"},
    )
    assert answer.status_code == 201
    assert answer.json() == {"token": "tok", "status": "Inactive", "endpointId": "e-1"}
    assert answer.headers["location"] == f"{http.base_url}endpoints/e-1"
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["correlation-id"] == "trace-7"
    assert answer.headers["content-type"] == "application/json"
    (event,) = await listener.settle()
    assert (event.kind, event.version) == ("ep-registered", 1)
    assert event.fields["correlationId"] == "trace-7"
    stored = collection.find_one({"_id": "e-1"})
    assert (stored["application"], stored["application_version"]) == ("app", "app-v1")
    assert stored["metadata"] == [{"key": "a", "value": 1}]
    assert stored["version"] == 1


async def test_row_1_what_is_not_given_is_made(http: httpx.AsyncClient) -> None:
    answer = await http.post("/endpoints", json={"appVersion": VERSION})
    assert answer.status_code == 201
    made = answer.json()
    assert re.fullmatch(r"[0-9a-f-]{36}", made["endpointId"])
    assert re.fullmatch(r"[a-zA-Z0-9]{20}", made["token"])
    assert re.fullmatch(r"[0-9a-v]{20}", answer.headers["correlation-id"])


async def test_row_1_duplicates(http: httpx.AsyncClient, listener: Listener) -> None:
    await register(http)
    again = await register(http)
    assert (again.status_code, "endpointId" in again.json()["message"]) == (409, True)
    other = await http.post(
        "/endpoints", json={"endpointId": "e-2", "appVersion": VERSION, "endpointToken": "te-1"}
    )
    assert (other.status_code, "endpointToken" in other.json()["message"]) == (409, True)
    elsewhere = await http.post(
        "/endpoints", json={"endpointId": "e-2", "appVersion": {"name": "b-v1"}, "endpointToken": "te-1"}
    )
    assert elsewhere.status_code == 201
    assert kinds(await listener.settle()) == [("ep-registered", 1), ("ep-registered", 1)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "appVersion"),
        ({"appVersion": {}}, "appVersion.name"),
        ({"appVersion": {"name": "A b"}}, "appVersion.name"),
        ({"appVersion": VERSION, "endpointId": "a/b"}, "endpointId"),
        ({"appVersion": VERSION, "endpointToken": "a.b"}, "endpointToken"),
        ({"appVersion": VERSION, "metadata": []}, "metadata"),
        ({"appVersion": VERSION, "metadata": {"": 1}}, "metadata"),
        ({"appVersion": VERSION, "metadata": {"n": 2**63}}, "metadata.n"),
        ({"appVersion": VERSION, "relations": []}, "relations"),
    ],
)
async def test_row_1_refusals_name_the_field(
    http: httpx.AsyncClient, collection: Any, body: Any, field: str
) -> None:
    answer = await http.post("/endpoints", json=body)
    assert answer.status_code == 400
    assert field in answer.json()["message"]
    assert collection.count_documents({}) == 0


async def test_row_2_listing(http: httpx.AsyncClient, collection: Any) -> None:
    for n in range(30):
        await register(http, f"e-{n:02}", n=n, even=n % 2 == 0)
    await http.post("/endpoints", json={"endpointId": "other", "appVersion": {"name": "b-v2"}})
    await http.delete("/endpoints/e-29")
    page = (await http.get("/endpoints")).json()
    assert page["totalElements"] == 30
    assert [item["endpointId"] for item in page["content"]] == [f"e-{n:02}" for n in range(20)]
    assert "metadata" not in page["content"][0]
    assert page["content"][0]["appVersion"]["name"] == "app-v1"
    rest = (await http.get("/endpoints", params={"offset": 28, "limit": 1000})).json()
    assert [item["endpointId"] for item in rest["content"]] == ["e-28", "other"]
    for params, expected in (
        ({"endpointId": "e-03"}, 1),
        ({"applicationName": "app"}, 29),
        ({"applicationVersionName": "b-v2"}, 1),
        ({"metadataFilter": '{"even": true}'}, 15),
        ({"metadataFilter": '{"even": true, "n": 4}'}, 1),
        ({"metadataFilter": '{"n": {"$gt": 1}}'}, None),
    ):
        answer = await http.get("/endpoints", params=params)
        if expected is None:
            assert answer.status_code == 400
        else:
            assert answer.json()["totalElements"] == expected
    full = (await http.get("/endpoints", params={"endpointId": "e-04", "include": "metadata"})).json()
    assert full["content"][0]["metadata"] == {"n": 4, "even": True}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "offset=-1",
        "include=filters",
        "filterId=f",
        "metadataFilter=1",
        "metadataFilter=%7B",
    ],
)
async def test_row_2_refusals(http: httpx.AsyncClient, query: str) -> None:
    answer = await http.get(f"/endpoints?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["message"]


async def test_rows_5_and_6_batches(http: httpx.AsyncClient, listener: Listener, collection: Any) -> None:
    await register(http, "taken")
    items = [{"endpointId": f"b-{n}", "metadata": {"n": n}} for n in range(997)]
    items += [{"endpointId": "taken", "metadata": {}}, {"endpointId": "b-1", "metadata": {}}]
    items += [{"endpointId": "locked", "metadata": {"lock": 1}}]
    answer = await http.post("/endpoints/batch", json={"appVersion": VERSION, "endpoints": items})
    assert answer.status_code == 202
    async with asyncio.timeout(60):
        heard = await listener.wait_for(998)
        while not (status := (await http.get(answer.headers["location"])).json())["finished"]:
            pass
    assert (status["createdCount"], status["failedCount"]) == (997, 3)
    assert status["created"][5]["endpointId"] == "b-5"
    assert status["created"][5]["metadata"] == {"n": 5}
    assert {item["status"] for item in status["failed"]} == {"FAILED"}
    reasons = [item["statusReason"] for item in status["failed"]]
    assert [word in reason for word, reason in zip(("exists", "twice", "restricted"), reasons, strict=True)]
    assert len(heard) == 998
    task = answer.json()["taskId"]
    unknown = await http.get("/endpoints/batch/status", params={"appName": "other", "taskId": task})
    assert unknown.status_code == 404
    assert (await http.get("/endpoints/batch/status")).status_code == 400
    many: list[dict[str, Any]] = [{"metadata": {}}] * 1001
    refused = await http.post("/endpoints/batch", json={"appVersion": VERSION, "endpoints": many})
    assert refused.status_code == 400


async def test_row_7_reading(http: httpx.AsyncClient) -> None:
    await register(http, a=1)
    answer = await http.get("/endpoints/e-1")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"endpointId", "createdDate", "appVersion", "metadataUpdatedDate", "endpointToken"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["createdDate"])
    assert (await http.get("/endpoints/e-1?include=metadata")).json()["metadata"] == {"a": 1}
    assert answer.headers["etag"] == '"1"'
    for tag in ('"1"', 'W/"1"', '"0", "1"', "*"):
        cached = await http.get("/endpoints/e-1", headers={"If-None-Match": tag})
        assert (cached.status_code, cached.content, cached.headers["etag"]) == (304, b"", '"1"')
    assert (await http.get("/endpoints/e-1", headers={"If-None-Match": '"2"'})).status_code == 200
    missing = await http.get("/endpoints/none")
    assert (missing.status_code, missing.json()) == (404, {"message": "Endpoint not found"})


async def test_row_8_deleting(http: httpx.AsyncClient, listener: Listener, collection: Any) -> None:
    await register(http, a=1)
    assert (await http.delete("/endpoints/e-1", headers={"If-Match": '"9"'})).status_code == 412
    answer = await http.delete("/endpoints/e-1", headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await http.delete("/endpoints/e-1")).status_code == 404
    assert (await http.get("/endpoints/e-1")).status_code == 404
    assert (await register(http, b=2)).headers["etag"] == '"3"'
    assert kinds(await listener.settle()) == [
        ("ep-registered", 1),
        ("ep-unregistered", 2),
        ("ep-registered", 3),
    ]
    assert "deleted_at" not in collection.find_one({"_id": "e-1"})


async def test_a_tombstone_keeps_only_what_it_must(
    service: Service, http: httpx.AsyncClient, collection: Any
) -> None:
    await register(http, a=1)
    collection.update_one({"_id": "e-1"}, {"$set": {"foreign": 1}})
    await http.delete("/endpoints/e-1")
    assert service.register is not None
    await service.register.pipeline.drain(20)
    assert set(collection.find_one({"_id": "e-1"})) == {"_id", "version", "deleted_at"}


async def test_rows_10_and_11_application_version(http: httpx.AsyncClient, listener: Listener) -> None:
    await register(http)
    answer = await http.get("/endpoints/e-1/app-version")
    assert answer.json()["name"] == "app-v1"
    moved = await http.put("/endpoints/e-1/app-version", json={"name": "app-v2"})
    assert (moved.status_code, moved.json()["name"], moved.headers["etag"]) == (200, "app-v2", '"2"')
    same = await http.put("/endpoints/e-1/app-version", json={"name": "app-v2"})
    assert same.headers["etag"] == '"2"'
    event = (await listener.settle())[-1]
    assert event.kind == "ep-appversion-updated"
    assert (event.fields["appVersionName"], event.fields["previousAppVersionName"]) == ("app-v2", "app-v1")


async def test_rows_12_to_14_metadata(http: httpx.AsyncClient, listener: Listener) -> None:
    await register(http, a=1, b={"x": [1, None]}, c="y")
    url = "/endpoints/e-1/metadata"
    assert (await http.get(url)).text == '{"a":1,"b":{"x":[1,null]},"c":"y"}'
    assert (await http.get(f"{url}?include=c,none&include=a")).json() == {"a": 1, "c": "y"}
    put = await http.put(url, json={"c": "z", "a": 1, "d": 2.0})
    assert (put.status_code, put.text, put.headers["etag"]) == (200, '{"a":1,"c":"z","d":2.0}', '"2"')
    stale = await http.put(url, json={}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    patch_type = {"Content-Type": "application/json-patch+json"}
    patch = json.dumps([{"op": "test", "path": "/c", "value": "z"}, {"op": "remove", "path": "/c"}])
    patched = await http.patch(url, content=patch, headers=patch_type | {"If-Match": '"2"'})
    assert (patched.status_code, patched.json(), patched.headers["etag"]) == (200, {"a": 1, "d": 2.0}, '"3"')
    assert (await http.patch(url, content=patch, headers=patch_type)).status_code == 409
    assert (await http.patch(url, content=patch)).status_code == 415
    event = (await listener.settle())[1]
    assert event.fields["removed"] == {"b": '{"x":[1,null]}'}
    assert event.fields["added"] == {"d": "2.0"}
    assert event.fields["updated"] == {"c": {"newValue": '"z"', "oldValue": '"y"'}}


async def test_rows_15_to_18_keys(http: httpx.AsyncClient, listener: Listener) -> None:
    await register(http, a=1)
    url = "/endpoints/e-1/metadata"
    put = await http.put(f"{url}/city", json="Kyiv")
    assert (put.status_code, put.json(), put.headers["etag"]) == (200, "Kyiv", '"2"')
    assert (await http.get(f"{url}/city")).json() == "Kyiv"
    as_json = {"Content-Type": "application/json"}
    null = await http.put(f"{url}/sl%2Fash%20%C3%A9", content=b"null", headers=as_json)
    assert null.status_code == 200
    assert (await http.get(f"{url}/sl%2Fash%20%C3%A9")).text == "null"
    assert (await http.get("/endpoints/e-1/metadata-keys")).json() == ["a", "city", "sl/ash é"]
    only_new = {"If-None-Match": "*"}
    assert (await http.put(f"{url}/city", json=1, headers=only_new)).status_code == 412
    assert (await http.put(f"{url}/fresh", json=1, headers=only_new)).status_code == 200
    assert (await http.put(f"{url}/absent", json=1, headers={"If-Match": "*"})).status_code == 412
    gone = await http.delete(f"{url}/city")
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await http.delete(f"{url}/city")).status_code == 404
    assert (await http.get(f"{url}/city")).status_code == 404
    refused = await http.put(f"{url}/lock", json=1)
    assert (refused.status_code, refused.json()["message"]) == (403, "metadata.lock: the key is restricted")
    assert [version for _, version in kinds(await listener.settle())] == [1, 2, 3, 4, 5]


async def test_row_24_keys_of_an_application(http: httpx.AsyncClient) -> None:
    await register(http, "e-1", a=1, b=1)
    await register(http, "e-2", b=1, c=1)
    await http.post(
        "/endpoints", json={"appVersion": {"name": "app-v2"}, "metadata": {"z": 1}, "endpointToken": "q"}
    )
    answer = await http.get("/applications/app/metadata-keys")
    assert answer.json() == {"app-v1": ["a", "b", "c"], "app-v2": ["z"]}
    assert (await http.get("/applications/none/metadata-keys")).json() == {}


async def test_limits_and_methods(http: httpx.AsyncClient) -> None:
    await register(http)
    large = await http.put("/endpoints/e-1/metadata", json={"a": "x" * 800_000})
    assert (large.status_code, large.json()["message"]) == (413, "body: larger than 700000 bytes")
    stored = await http.put("/endpoints/e-1/metadata", json={"a": "x" * 600_000})
    assert stored.status_code == 413
    bad = await http.put(
        "/endpoints/e-1/metadata", content=b"{", headers={"Content-Type": "application/json"}
    )
    assert bad.status_code == 400
    wrong = await http.post("/endpoints/e-1")
    assert wrong.status_code == 405
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "HEAD", "DELETE"}
    nowhere = await http.get("/nothing")
    assert (nowhere.status_code, list(nowhere.json())) == (404, ["message"])
    assert (await http.head("/endpoints/e-1")).headers["etag"] == '"1"'


async def test_the_prefix_the_document_and_the_page(service: Service, http: httpx.AsyncClient) -> None:
    assert service.register is not None
    async with plain_client(f"{service.register.url}/epr/api/v1") as behind:
        made = await behind.post("/endpoints", json={"endpointId": "p-1", "appVersion": VERSION})
        assert made.headers["location"] == f"{behind.base_url}endpoints/p-1"
        assert (await behind.get("/endpoints/p-1")).status_code == 200
    document = (await http.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    page = await http.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"(src|href)=['\"](https?:)?//", page.text)
    for path in document["paths"]:
        assert path.replace("{", "").replace("}", "").split("/")[1] in page.text


async def test_a_foreign_document_can_be_read_and_changed(http: httpx.AsyncClient, collection: Any) -> None:
    collection.insert_one({"_id": "f", "metadata": {"a": Int64(5), "b": 1.5}, "x": 1})
    answer = await http.get("/endpoints/f/metadata")
    assert answer.text == '{"a":5,"b":1.5}'
    assert "etag" not in answer.headers
    assert (await http.put("/endpoints/f/metadata/a", json=6)).headers["etag"] == '"1"'
    assert collection.find_one({"_id": "f"})["x"] == 1
