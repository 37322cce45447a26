"""Bearer tokens on the running service: what is let in, what is not, and what listening openly takes."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from pydantic import ValidationError

from kaa_epr.config.settings import Settings
from kaa_epr.embedded import MongoServer, NatsServer
from kaa_epr.register.rest.operations import OPERATIONS
from tests.flows.register_support import register_settings, rest_client, serving

ISSUER = "https://auth.example/realms/kaa"
AUDIENCE = "epr"
ALL = " ".join({operation.scope for operation in OPERATIONS})


class Issuer:
    """Signs tokens, and publishes its key."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())

    def jwks(self) -> dict[str, Any]:
        public: dict[str, Any] = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [public | {"kid": "k1", "alg": "ES256", "use": "sig"}]}

    def token(self, *, kid: str = "k1", **claims: Any) -> str:
        body = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 60, "scope": ALL, **claims}
        body = {name: value for name, value in body.items() if value is not None}
        return jwt.encode(body, self.key, algorithm="ES256", headers={"kid": kid})


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def http(
    nats_server: NatsServer,
    mongod: MongoServer,
    mongo_database: str,
    instance_name: str,
    issuer: Issuer,
    tmp_path: Path,
) -> AsyncIterator[httpx.AsyncClient]:
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps(issuer.jwks()))
    security = {"jwks": str(keys), "issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["ES256"]}
    settings = register_settings(
        nats_server.url, mongod.uri, instance_name, mongo_database, register={"security": security}
    )
    async with serving(settings) as service:
        assert service.register is not None
        async with rest_client(service, 5) as client:
            yield client


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}"}


async def test_a_good_token_is_let_in(http: httpx.AsyncClient, issuer: Issuer) -> None:
    for headers in (bearer(issuer.token()), bearer(issuer.token(), "bearer")):
        assert (await http.get("/endpoints", headers=headers)).status_code == 200
    listed = issuer.token(scope=None, scp=["endpoint:read"])
    assert (await http.get("/endpoints", headers=bearer(listed))).status_code == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"exp": None},
        {"iss": "https://elsewhere.example"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"kid": "k2"},
        {"nbf": 4_000_000_000},
    ],
)
async def test_a_token_that_does_not_hold(
    http: httpx.AsyncClient, issuer: Issuer, claims: dict[str, Any]
) -> None:
    answer = await http.get("/endpoints", headers=bearer(issuer.token(**claims)))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert list(answer.json()) == ["message"]


async def test_no_token_and_forged_ones(http: httpx.AsyncClient, issuer: Issuer) -> None:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 60, "scope": ALL}
    forged = Issuer().token()
    unsigned = jwt.encode(claims, "", algorithm="none", headers={"kid": "k1"})
    symmetric = jwt.encode(claims, "k" * 64, algorithm="HS256", headers={"kid": "k1"})
    tampered = issuer.token()[:-4] + "AAAA"
    for token in (forged, unsigned, symmetric, tampered, "x", "a.b.c", "x" * 20_000):
        assert (await http.get("/endpoints", headers=bearer(token))).status_code == 401
    assert (await http.get("/endpoints")).status_code == 401
    assert (await http.get("/endpoints", headers={"Authorization": "Basic eDp5"})).status_code == 401


async def test_every_operation_asks_for_its_scope(http: httpx.AsyncClient, issuer: Issuer) -> None:
    for operation in OPERATIONS:
        path = operation.path.format(endpointId="e", metadataKey="k", applicationName="a")
        others = " ".join(set(ALL.split()) - {operation.scope})
        refused = await http.request(operation.method, path, headers=bearer(issuer.token(scope=others)))
        assert refused.status_code == 403, operation.name
        assert operation.scope in refused.json()["message"]
        passed = await http.request(
            operation.method, path, headers=bearer(issuer.token(scope=operation.scope))
        )
        assert passed.status_code in (200, 400, 404, 415), operation.name
    document = (await http.get("/openapi.json")).json()
    assert all(o["security"] for path in document["paths"].values() for o in path.values())


@pytest.mark.parametrize(
    ("register", "key"),
    [
        ({}, "security.jwks"),
        ({"security": {"jwks": "x"}}, "issuer"),
        ({"security": {"enabled": False}, "rest": {"host": "0.0.0.0"}}, "rest.host"),
        ({"security": {"jwks": "x", "issuer": "i", "audience": "a", "algorithms": ["HS256"]}}, "algorithms"),
        ({"security": {"enabled": False}, "rest": {"tls": {"cert_file": "x"}}}, "key_file"),
    ],
)
def test_settings_that_would_leave_the_door_open(register: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        Settings.model_validate({"register": {"enabled": True, **register}})
    forced = {"enabled": True, "security": {"enabled": False}, "rest": {"host": "::", "allow_open": True}}
    assert Settings.model_validate({"register": forced}).register_.enabled


async def test_tls(
    nats_server: NatsServer, mongod: MongoServer, mongo_database: str, instance_name: str, tmp_path: Path
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    chain, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    tls = {"cert_file": str(chain), "key_file": str(key)}
    settings = register_settings(
        nats_server.url, mongod.uri, instance_name, mongo_database, register={"rest": {"tls": tls}}
    )
    with authority.cert_pem.tempfile() as trusted:
        import ssl

        context = ssl.create_default_context(cafile=trusted)
        async with serving(settings) as service:
            assert service.register is not None
            assert (service.register.url or "").startswith("https://")
            async with httpx.AsyncClient(base_url=service.register.url or "", verify=context) as client:
                made = await client.post("/api/v1/endpoints", json={"appVersion": {"name": "a-v1"}})
    assert made.status_code == 201
    assert made.headers["location"].startswith("https://")


SCOPES = {
    "application:endpoint:create": {
        "POST /endpoints",
        "POST /endpoints/batch",
        "GET /endpoints/batch/status",
    },
    "endpoint:read": {
        "GET /endpoints",
        "GET /endpoints/{endpointId}",
        "GET /endpoints/{endpointId}/app-version",
        "GET /endpoints/{endpointId}/metadata",
        "GET /endpoints/{endpointId}/metadata/{metadataKey}",
        "GET /endpoints/{endpointId}/metadata-keys",
    },
    "endpoint:update": {
        "PUT /endpoints/{endpointId}/app-version",
        "PUT /endpoints/{endpointId}/metadata",
        "PATCH /endpoints/{endpointId}/metadata",
        "PUT /endpoints/{endpointId}/metadata/{metadataKey}",
        "DELETE /endpoints/{endpointId}/metadata/{metadataKey}",
    },
    "endpoint:delete": {"DELETE /endpoints/{endpointId}"},
    "application:endpoints-metadata-keys:read": {"GET /applications/{applicationName}/metadata-keys"},
}
"""As Kaa's documentation of API security has them; for the status of a batch, who may make one may ask."""


async def test_scopes_are_kaas(http: httpx.AsyncClient, issuer: Issuer) -> None:
    document = (await http.get("/openapi.json")).json()
    served = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert served == set().union(*SCOPES.values())
    for scope, operations in SCOPES.items():
        for operation in operations:
            method, _, path = operation.partition(" ")
            place = path.format(endpointId="e", metadataKey="k", applicationName="a")
            allowed = await http.request(method, place, headers=bearer(issuer.token(scope=scope)))
            assert allowed.status_code not in (401, 403), operation
            others = " ".join(SCOPES.keys() - {scope})
            refused = await http.request(method, place, headers=bearer(issuer.token(scope=others)))
            assert refused.status_code == 403, operation
