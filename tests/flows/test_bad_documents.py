"""Documents that no register writes, among good ones: lists, gets, keys, exports, repair."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import httpx
import pytest

from kaa_epr.client import EndpointMetadata, EpmmpClient
from kaa_epr.config.settings import Settings
from kaa_epr.mongo import open_store
from kaa_epr.service import Service
from tests.flows.register_support import Listener, serving
from tests.flows.test_store_transfer import exported
from tests.support.bad_documents import BAD, ODD, READABLE, REFERENCE, UNUSABLE, WHOLE

GOOD: Final = ("a-good", "zz-good")
LISTED: Final = sorted([*(bad.name for bad in BAD if bad.listed), *GOOD])


@pytest.fixture(params=[("motor", "rust"), ("pymongo", "pure")], ids="-".join)
def settings(settings_here: Callable[..., Settings], request: pytest.FixtureRequest) -> Settings:
    driver, engine = request.param
    return settings_here(engine=engine, mongo={"driver": driver})


@pytest.fixture
async def service(settings: Settings, collection: Any) -> AsyncIterator[Service]:
    async with serving(settings) as running:
        collection.insert_many([{"_id": endpoint_id, **WHOLE} for endpoint_id in GOOD])
        collection.insert_many([bad.document for bad in BAD])
        yield running


async def test_a_list_shows_of_each_what_can_be_shown(service: Service, http: httpx.AsyncClient) -> None:
    page = (await http.get("/endpoints", params={"limit": 1000, "include": "metadata"})).json()
    shown = {item["endpointId"]: item for item in page["content"]}
    assert list(shown) == LISTED
    assert page["totalElements"] == len(LISTED)
    assert {name for name, item in shown.items() if "problem" in item} == {
        bad.name for bad in (*UNUSABLE, *ODD)
    }
    for name in GOOD:
        assert shown[name] == {
            "endpointId": name,
            "createdDate": "2024-05-01T00:00:00.000Z",
            "appVersion": {"name": "app-v1"},
            "metadata": {"room": "12"},
        }
    assert shown["version-number"]["metadata"] == {"room": "12"}
    assert shown["metadata-number"]["appVersion"] == {"name": "app-v1"}
    assert shown["reference"]["metadata"] == REFERENCE
    assert shown["value"]["metadata"] == {"r": REFERENCE}
    assert service.register is not None
    assert service.register.stats.unusable == len(UNUSABLE) + len(ODD)


@pytest.mark.parametrize("limit", [1, 3, 1000])
@pytest.mark.parametrize("include", [{}, {"include": "metadata"}], ids=["", "metadata"])
async def test_pages_of_any_size_show_each_once(
    service: Service, http: httpx.AsyncClient, limit: int, include: dict[str, str]
) -> None:
    seen: list[str] = []
    while True:
        page = (await http.get("/endpoints", params={"offset": len(seen), "limit": limit, **include})).json()
        assert page["totalElements"] == len(LISTED)
        if not page["content"]:
            break
        seen += [item["endpointId"] for item in page["content"]]
    assert seen == LISTED


@pytest.mark.parametrize(
    ("params", "absent"),
    [
        ({"applicationName": "app"}, {"application-document", "application-null", "bare", "null"}),
        (
            {"applicationVersionName": "app-v1"},
            {"bare", "null", "version-number", "version-document", "bad-utf8-version"},
        ),
    ],
)
async def test_lists_of_some_endpoints(
    service: Service, http: httpx.AsyncClient, params: dict[str, str], absent: set[str]
) -> None:
    page = (await http.get("/endpoints", params={**params, "limit": 1000})).json()
    names = [item["endpointId"] for item in page["content"]]
    assert names == [name for name in LISTED if name not in absent]
    assert page["totalElements"] == len(names)


async def test_a_list_by_a_value(service: Service, http: httpx.AsyncClient) -> None:
    params = {"metadataFilter": '{"room": "12"}', "limit": "1000"}
    page = (await http.get("/endpoints", params=params)).json()
    assert {*GOOD, "twice", "items-without-key"} <= {item["endpointId"] for item in page["content"]}


async def test_the_keys_of_their_application(service: Service, http: httpx.AsyncClient) -> None:
    answer = await http.get("/applications/app/metadata-keys")
    assert answer.json()["app-v1"] == ["$id", "$ref", "a", "b", "d", "n", "o", "r", "room", "t"]
    assert answer.headers["kaa-epr-incomplete"] == "true"
    good = await http.get("/applications/none/metadata-keys")
    assert (good.json(), "kaa-epr-incomplete" in good.headers) == ({}, False)


async def test_gets_over_nats(service: Service, client: EpmmpClient) -> None:
    for bad in (bad for bad in BAD if not bad.name.startswith("id-")):
        if bad.get == 200:
            assert isinstance(await client.get(bad.name), EndpointMetadata), bad.name
        else:
            with pytest.raises(Exception, match=str(bad.get)):
                await client.get(bad.name)


async def test_exports(service: Service, settings: Settings) -> None:
    store = open_store(settings.mongo, settings.store)
    try:
        text = await exported(store)
    finally:
        await store.close()
    assert all(f'"endpointId":"{name}"' in text for name in GOOD)


METADATA_READABLE: Final = ("version-number", "version-document")
"""Of those that gets cannot be answered from: REST shows their metadata without the application version."""


async def test_reads_over_rest_fail_alone(service: Service, http: httpx.AsyncClient) -> None:
    for bad in UNUSABLE:
        status = 200 if bad.name in METADATA_READABLE else 500
        for below in ("metadata", "metadata-keys", "metadata/room"):
            assert (await http.get(f"/endpoints/{bad.name}/{below}")).status_code == status, bad.name
        assert (await http.get(f"/endpoints/{GOOD[0]}/metadata")).json() == {"room": "12"}, bad.name


async def test_reads_over_rest(service: Service, http: httpx.AsyncClient) -> None:
    for bad in [*ODD, *READABLE]:
        for below in ("metadata", "metadata-keys"):
            assert (await http.get(f"/endpoints/{bad.name}/{below}")).status_code == 200, bad.name


async def test_an_endpoint_alone_is_shown_as_in_a_list(service: Service, http: httpx.AsyncClient) -> None:
    for bad in (bad for bad in BAD if bad.listed):
        params = {"include": "metadata", "endpointId": bad.name}
        (listed,) = (await http.get("/endpoints", params=params)).json()["content"]
        answer = await http.get(f"/endpoints/{bad.name}", params={"include": "metadata"})
        assert (answer.status_code, answer.json()) == (200, listed), bad.name
        assert ("problem" in listed) == bad.problem, bad.name


async def test_a_full_put_repairs(
    service: Service, http: httpx.AsyncClient, listener: Listener, client: EpmmpClient
) -> None:
    for bad in (bad for bad in BAD if bad.listed):
        listener.heard.clear()
        answer = await http.put(f"/endpoints/{bad.name}/metadata", json={"room": "14", "n": 1})
        assert (answer.status_code, answer.json()) == (200, {"room": "14", "n": 1}), bad.name
        (event,) = await listener.settle()
        assert f'"{event.version}"' == answer.headers["etag"], bad.name
        got = await client.get(bad.name)
        assert (got.metadata, got.etag) == ({"room": "14", "n": 1}, answer.headers["etag"]), bad.name
        again = await http.put(f"/endpoints/{bad.name}/metadata/n", json=2)
        assert (again.status_code, again.json()) == (200, 2), bad.name


async def test_a_deletion_leaves_nothing_of_it(
    service: Service, http: httpx.AsyncClient, listener: Listener, collection: Any
) -> None:
    for bad in (bad for bad in BAD if bad.listed):
        listener.heard.clear()
        assert (await http.delete(f"/endpoints/{bad.name}")).status_code == 204, bad.name
        assert [event.kind for event in await listener.settle()] == ["ep-unregistered"], bad.name
        assert (await http.get(f"/endpoints/{bad.name}")).status_code == 404, bad.name
        stored = collection.find_one({"_id": bad.name}).items()
        left = {name for name, value in stored if value is not None}
        assert left - {"outbox", "outbox_claim"} == {"_id", "version", "deleted_at"}, bad.name
        made = await http.post("/endpoints", json={"endpointId": bad.name, "appVersion": {"name": "app-v1"}})
        assert made.status_code == 201, bad.name
