"""schemathesis against the running service: the OpenAPI document and the answers do not contradict."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import httpx
import pytest

from kaa_epr.embedded import MongoServer, NatsServer
from tests.conftest import SEED
from tests.flows.register_support import register_settings, serving

SECONDS = 60
ARGUMENTS = (
    "--checks=all",
    # Tokens are off here. What was made up may be refused: by 412, or for an integer of over 64 bits, which
    # JSON Schema cannot tell from a double. An endpoint may have the ID ``batch``: its path takes
    # more than OpenAPI, which knows no such overlap, tells of it.
    "--exclude-checks=ignored_auth,positive_data_acceptance,allow_header_conformance",
    "--max-examples=25",
    "--request-timeout=20",
    "--generation-database=none",
    "--phases=examples,coverage,fuzzing",
    "--no-color",
    f"--max-time={SECONDS}",
    f"--seed={SEED}",
)
# Its own list of what a request may be refused with lacks 412 and 413: 10,001 operations of a patch, one more
# than the schema allows, may well be a body that is too large.
CONFIGURATION = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429, "5xx"]
"""


@pytest.mark.slow
async def test_no_contradiction(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str, tmp_path: Path
) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    settings = register_settings(nats_server.url, mongod.uri, instance_name, mongo_database)
    async with serving(settings) as service:
        assert service.register is not None
        base = f"{service.register.url}/api/v1"
        async with httpx.AsyncClient() as http:
            for n in range(3):
                body = {"endpointId": f"e-{n}", "appVersion": {"name": "app-v1"}, "metadata": {"a": n}}
                assert (await http.post(f"{base}/endpoints", json=body)).status_code == 201
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "schemathesis.cli",
            "run",
            f"{base}/openapi.json",
            f"--url={base}",
            *ARGUMENTS,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
            env=os.environ | {"COLUMNS": "160"},
        )
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-8000:]
