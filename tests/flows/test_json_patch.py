"""The table of JSON Patch cases over REST and over 19/EPMMP: same statuses, same texts, same documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import MongoClient

from kaa_epr.config.settings import Settings
from kaa_epr.embedded import MongoServer
from tests.flows.register_support import EpmmpCaller, rest_client, serving
from tests.support.patch_cases import CASES
from tests.support.planning import known

JSON_PATCH = {"Content-Type": "application/json-patch+json"}


@pytest.mark.parametrize("engine", ["rust", "pure"])
async def test_cases_over_both_interfaces(
    engine: str,
    settings_here: Callable[..., Settings],
    caller: EpmmpCaller,
    mongod: MongoServer,
    mongo_database: str,
) -> None:
    interfaces = ("rest", "nats")
    documents = [
        known(**case.document) | {"_id": f"{interface}-{number}", "endpoint_token": f"{interface}-{number}"}
        for number, case in enumerate(CASES)
        for interface in interfaces
    ]
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        endpoints = client[mongo_database]["endpoints"]
        endpoints.insert_many(documents)
        async with serving(settings_here(engine=engine)) as service, rest_client(service) as http:
            for number, case in enumerate(CASES):
                text = json.dumps(case.patch).encode()
                url = f"/endpoints/rest-{number}/metadata"
                answer = await http.patch(url, content=text, headers=JSON_PATCH)
                told = await caller.call("patch", endpointId=f"nats-{number}", ifMatch=None, patch=text)
                message = answer.json()["message"] if case.made is None else ""
                assert (case.about, answer.status_code, message) == (case.about, case.status, case.text)
                assert (told["statusCode"], told["reasonPhrase"] or "") == (case.status, message)
                if case.made is not None:
                    assert answer.text == json.dumps(case.made, ensure_ascii=False, separators=(",", ":"))
            assert service.register is not None
            await service.register.pipeline.drain(20)
        for number, case in enumerate(CASES):
            expected = case.document if case.made is None else case.made
            for interface in interfaces:
                stored = endpoints.find_one({"_id": f"{interface}-{number}"})
                assert stored is not None
                metadata = {item["key"]: item["value"] for item in stored["metadata"]}
                assert (case.about, str(metadata)) == (case.about, str(expected))
