"""Every key, and every endpoint, has its URL over real HTTP, and nothing else reaches it."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from kaa_epr.config.settings import Settings
from kaa_epr.service import Service
from tests.flows.register_support import serving
from tests.support.raw_http import Client, connected

VERSION = {"name": "app-v1"}
K = {"key": "k", "value": 1}
JSON = {"Content-Type": "application/json"}
HARD = (
    *(
        "room",
        "room\n",
        "room\r\n",
        "a\nb",
        "\n",
        " ",
        "\t",
        "/",
        "//",
        "a/",
        "/a",
        "a/b",
        "a//b",
        "a/../b",
        "./a",
    ),
    *(
        ".",
        "..",
        "...",
        ".a",
        "%",
        "%41",
        "%2F",
        "%zz",
        "a%0A",
        "+",
        "a+b",
        "?",
        "a?b=c",
        "#",
        "a#b",
        "&",
        ";",
        "=",
    ),
    *(
        "metadata",
        "app-version",
        "é",
        "e\u0301",
        "\u2028",
        "\U0001f600",
        "\x7f",
        "\x01",
        "\ufeff",
        '"',
        "\\",
        "{}",
    ),
    *("[1]", "$ref", "a.b", "key", "items", "__iter__", "~", "~0", "a" * 256, "é" * 256),
)
ALPHABET = "ab/%.\n\r +?#&=;\\~é\u2028\U0001f600\x01"


@pytest.fixture
async def service(settings_here: Callable[..., Settings], engine: Any) -> AsyncIterator[Service]:
    async with serving(settings_here(engine=engine)) as running:
        yield running


def escaped(key: str) -> str:
    """As a part of a path: all that is not a letter or digit. Dots alone would be a direction."""
    return "".join(f"%{byte:02X}" for byte in key.encode()) if key in (".", "..") else quote(key, safe="")


async def register(http: httpx.AsyncClient, metadata: dict[str, Any]) -> None:
    body = {"endpointId": "e", "appVersion": VERSION, "metadata": metadata}
    assert (await http.post("/endpoints", json=body)).status_code == 201


async def test_every_key_that_put_takes_is_read_written_and_deleted_by_its_url(
    http: httpx.AsyncClient, rng: random.Random
) -> None:
    drawn = {"".join(rng.choices(ALPHABET, k=rng.randint(1, 6))) for _ in range(60)}
    metadata = {key: number for number, key in enumerate(dict.fromkeys((*HARD, *drawn)))}
    await register(http, metadata)
    for key, number in metadata.items():
        url = f"/endpoints/e/metadata/{escaped(key)}"
        assert (await http.get(url)).text == str(number), key
        put = await http.put(url, content=str(-number), headers=JSON)
        assert (put.status_code, put.text) == (200, str(-number))
        read = await http.get("/endpoints/e/metadata", params={"include": key.replace(",", "")})
        assert read.json() == {key: -number}
    assert (await http.get("/endpoints/e/metadata")).json() == {key: -n for key, n in metadata.items()}
    left = dict(metadata)
    for key in rng.sample(list(metadata), 40):
        assert (await http.delete(f"/endpoints/e/metadata/{escaped(key)}")).status_code == 204
        del left[key]
    assert (await http.get("/endpoints/e/metadata-keys")).json() == list(left)


async def test_a_line_break_is_part_of_a_key(http: httpx.AsyncClient) -> None:
    await register(http, {"room": 1})
    assert (await http.get("/endpoints/e/metadata/room%0A")).status_code == 404
    assert (await http.put("/endpoints/e/metadata/room%0A", content="2", headers=JSON)).status_code == 200
    assert (await http.get("/endpoints/e/metadata")).json() == {"room": 1, "room\n": 2}
    assert (await http.delete("/endpoints/e/metadata/room%0A")).status_code == 204
    for path in (
        "/endpoints/e%0A",
        "/endpoints%0A",
        "/endpoints/e/metadata%0A",
        "/endpoints/e/app-version%0a",
    ):
        assert (await http.get(path)).status_code == 404


async def ask(client: Client, method: str, path: str, content: bytes = b"") -> tuple[int, Any]:
    """Bytes as they are: no client resolves or escapes anything."""
    client.send(
        f"{method} {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n".encode()
        + b"Content-Length: %d\r\n\r\n%b" % (len(content), content)
    )
    answer = await client.answer(method)
    return answer.status, json.loads(answer.body) if answer.body else None


async def test_a_key_may_hold_slashes_as_they_are(service: Service, http: httpx.AsyncClient) -> None:
    await register(http, {"a/b": 1, "/a": 2, "a/": 3, "/": 4, "a//b": 5, "a": 6})
    where = "/api/v1/endpoints/e/metadata"
    assert service.register is not None
    async with connected(service.register) as client:
        for path, value in (
            *(
                ("a/b", 1),
                ("a%2Fb", 1),
                ("a%2fb", 1),
                ("%61/b", 1),
                ("/a", 2),
                ("%2Fa", 2),
                ("a/", 3),
                ("a%2F", 3),
            ),
            *(("/", 4), ("%2F", 4), ("a//b", 5), ("a%2F/b", 5), ("a/%2Fb", 5), ("a", 6)),
        ):
            assert await ask(client, "GET", f"{where}/{path}") == (200, value)
        assert (await ask(client, "GET", f"{where}/"))[0] == 404
        assert (await ask(client, "PUT", f"{where}/", b"1"))[0] == 404
        assert (await ask(client, "GET", f"{where}"))[1]["a/b"] == 1


async def test_dots_are_a_key_only_when_they_are_escaped(service: Service, http: httpx.AsyncClient) -> None:
    await register(http, {".": 1, "..": 2, "a/../b": 3})
    where = "/api/v1/endpoints/e/metadata"
    assert service.register is not None
    async with connected(service.register) as client:
        for path, value in (("%2E", 1), ("%2e", 1), ("%2E%2E", 2), (".%2E", 2), ("a%2F..%2Fb", 3)):
            assert await ask(client, "GET", f"{where}/{path}") == (200, value)
        for path in (
            f"{where}/.",
            f"{where}/..",
            f"{where}/a/../b",
            "/api/v1/./endpoints",
            "/../api/v1/endpoints",
        ):
            status, body = await ask(client, "GET", path)
            assert (status, body["message"].partition(":")[0]) == (400, "path")


@pytest.mark.parametrize(
    "path", ["/endpoints/", "//endpoints", "/endpoints//e", "/endpoints/e/", "/endpoints/e//metadata"]
)
async def test_empty_parts_are_nothing(http: httpx.AsyncClient, path: str) -> None:
    await register(http, {})
    assert (await http.get(path)).status_code == 404


async def test_endpoints_are_named_by_their_path_alone(http: httpx.AsyncClient) -> None:
    ids = ["e", "batch", "metadata", "status", "~.-_", "...", "A" * 256]
    for endpoint_id in ids:
        body = {"endpointId": endpoint_id, "appVersion": VERSION, "metadata": {"id": endpoint_id}}
        assert (await http.post("/endpoints", json=body)).status_code == 201
    for endpoint_id in ids:
        assert (await http.get(f"/endpoints/{endpoint_id}")).json()["endpointId"] == endpoint_id
        spelt = "".join(f"%{byte:02x}" for byte in endpoint_id.encode())
        assert (await http.get(f"/endpoints/{spelt}/metadata")).json() == {"id": endpoint_id}
    assert (await http.delete("/endpoints/batch")).status_code == 204
    gone = await http.get("/endpoints/batch/metadata")
    assert (gone.status_code, gone.json()) == (404, {"message": "Endpoint not found"})
    assert (await http.post("/endpoints/batch")).status_code == 415
    for path in ("/endpoints/e%2Fmetadata", "/endpoints/%65%00", "/endpoints/E"):
        assert (await http.get(path)).status_code == 404


async def test_applications_may_have_any_name(http: httpx.AsyncClient, collection: Any) -> None:
    for name in ("a b", "a/b", "ä", "a\n", "batch"):
        collection.insert_one({"_id": name, "application": name, "application_version": "v", "metadata": [K]})
        answer = await http.get(f"/applications/{quote(name, safe='')}/metadata-keys")
        assert (answer.status_code, answer.json()) == (200, {"v": ["k"]})
    assert (await http.get("/applications//metadata-keys")).status_code == 404


async def test_absolute_targets_and_the_server_as_a_whole(service: Service) -> None:
    assert service.register is not None
    async with connected(service.register) as client:
        target = "http://epr.example:8090/epr/api/v1/endpoints"
        content = json.dumps({"endpointId": "e", "appVersion": VERSION}).encode()
        client.send(
            f"POST {target} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n".encode()
            + b"Content-Length: %d\r\n\r\n%b" % (len(content), content)
        )
        made = await client.answer()
        assert (made.status, made.headers["location"]) == (201, f"{target}/e")
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
        options = await client.answer()
        assert (options.status, options.headers["allow"]) == (
            204,
            "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
        )
        client.send(b"GET /api/v1/endpoints/e HTTP/1.0\r\n\r\n")
        assert (await client.answer()).status == 200


async def test_a_location_without_a_host_is_a_path(service: Service) -> None:
    assert service.register is not None
    content = json.dumps({"endpointId": "e", "appVersion": VERSION}).encode()
    async with connected(service.register) as client:
        client.send(
            b"POST /epr/api/v1/endpoints HTTP/1.0\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(content), content)
        )
        assert (await client.answer()).headers["location"] == "/epr/api/v1/endpoints/e"


@pytest.mark.parametrize(
    ("headers", "content", "status", "message"),
    [
        (
            {},
            b"",
            415,
            "Content-Type: must be application/json; the body is the value as JSON text (null for null)",
        ),
        (
            {},
            b"1",
            415,
            "Content-Type: must be application/json; the body is the value as JSON text (null for null)",
        ),
        (JSON, b"", 400, "body: is empty; it must be the value as JSON text (null for null)"),
        (JSON, b" \r\n", 400, "body: is empty; it must be the value as JSON text (null for null)"),
        (JSON, b"null", 200, None),
    ],
)
async def test_what_is_wanted_of_a_value_is_said(
    http: httpx.AsyncClient, headers: dict[str, str], content: bytes, status: int, message: str | None
) -> None:
    await register(http, {"a": 1})
    answer = await http.put("/endpoints/e/metadata/a", content=content, headers=headers)
    assert (answer.status_code, answer.json()) == (status, message and {"message": message})


async def test_the_server_refuses_in_the_same_words(service: Service) -> None:
    assert service.register is not None
    async with connected(service.register) as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        answer = await client.answer()
    assert (answer.status, json.loads(answer.body)) == (400, {"message": "HTTP: there is no Host header"})
    assert len(answer.headers["correlation-id"]) == 20
    assert answer.headers["content-type"] == "application/json"
