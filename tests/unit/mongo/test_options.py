"""From settings to driver options, and from driver errors to ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bson.errors import InvalidBSON
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    CursorNotFound,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
)

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings, MongoTlsSettings
from kaa_epr.mongo.errors import StoreTimeout, StoreUnavailable, from_driver
from kaa_epr.mongo.options import client_options


def options(seconds: float = 2.0, **mongo: Any) -> dict[str, Any]:
    return client_options(MongoSettings(**mongo), StoreSettings(timeout=seconds))


def test_every_step_has_a_limit() -> None:
    made = options(3.0)
    assert made["serverSelectionTimeoutMS"] == made["waitQueueTimeoutMS"] == made["connectTimeoutMS"] == 3000
    assert made["socketTimeoutMS"] == 3500


def test_a_strict_limit_leaves_heartbeats_alone() -> None:
    made = options(0.001)
    assert made["serverSelectionTimeoutMS"] == 1
    assert made["connectTimeoutMS"] == 2000


def test_silent_settings_leave_the_rest_to_the_uri() -> None:
    made = options()
    assert not {"tls", "username", "password", "authSource", "authMechanism"} & set(made)


@pytest.mark.parametrize(
    ("tls", "made"),
    [
        ({"enabled": True}, {"tls": True}),
        ({"ca_file": "ca"}, {"tls": True, "tlsCAFile": "ca"}),
        ({"cert_key_file": "own"}, {"tls": True, "tlsCertificateKeyFile": "own"}),
    ],
)
def test_tls(tls: dict[str, Any], made: dict[str, Any]) -> None:
    all_made = options(tls=MongoTlsSettings(**tls))
    assert {name: value for name, value in all_made.items() if name.startswith("tls")} == made


def test_a_user_with_a_password() -> None:
    made = options(username="u", password="p", auth_source="db")
    assert (made["username"], made["password"], made["authSource"]) == ("u", "p", "db")
    assert "authMechanism" not in made


def test_a_user_with_a_certificate() -> None:
    made = options(username="CN=u", tls=MongoTlsSettings(cert_key_file=Path("own")))
    assert made["authMechanism"] == "MONGODB-X509"
    assert "password" not in made


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (NetworkTimeout("x"), StoreTimeout, "did not answer within 2 s (load)"),
        (WaitQueueTimeoutError("x"), StoreTimeout, "within 2 s"),
        (ExecutionTimeout("hush", 50), StoreTimeout, "within 2 s"),
        (ServerSelectionTimeoutError("h:1: refused"), StoreUnavailable, "no primary is reachable (h:1: ref"),
        (AutoReconnect("h:1: closed, full error: hush"), StoreUnavailable, "unavailable: h:1: closed"),
        (AutoReconnect("mongodb://u:hush@h"), StoreUnavailable, "mongodb://***@h"),
        (AutoReconnect("x" * 9999), StoreUnavailable, "…"),
        (
            OperationFailure("hush", 13, {"codeName": "Unauthorized"}),
            StoreUnavailable,
            "Unauthorized (code 13)",
        ),
        (CursorNotFound("hush", 43), StoreUnavailable, "no code name (code 43)"),
        (BulkWriteError({"writeErrors": [{"errmsg": "hush"}]}), StoreUnavailable, "code 65"),
        (InvalidBSON("hush"), StoreUnavailable, "load failed with InvalidBSON"),
    ],
)
def test_driver_errors(error: Exception, kind: type[Exception], text: str) -> None:
    made = from_driver(error, "load", 2.0)  # type: ignore[arg-type]
    assert type(made) is kind
    assert text in str(made)
    assert "hush" not in str(made)
    assert len(str(made)) < 500
