"""From settings to the options of a MongoDB client, the same for both drivers."""

from __future__ import annotations

from typing import Any, Final

from kaa_epr.config.groups import StoreSettings
from kaa_epr.config.mongo import MongoSettings

APP_NAME: Final = "kaa-epr"
SOCKET_GRACE: Final = 0.5
"""Seconds the socket waits beyond ``store.timeout``. The server stops a load itself at ``store.timeout``
(maxTimeMS); reading its refusal keeps the connection, where a socket time-out would close it and make a slow
server slower by a storm of handshakes."""
_LEAST_CONNECT_MS: Final = 2_000
"""Heartbeats have this limit too: a strict ``store.timeout`` must not make a healthy server look dead."""


def client_options(mongo: MongoSettings, store: StoreSettings) -> dict[str, Any]:
    """Keyword arguments for ``MongoClient`` and its kin; they go before what the URI says.

    Every step of an operation (finding the primary, waiting for a connection, connecting, waiting for the
    answer) has a limit, so that what nobody waits for any more ends by itself.
    """
    limit_ms = max(1, round(store.timeout * 1000))
    options: dict[str, Any] = {
        "appname": APP_NAME,
        "serverSelectionTimeoutMS": limit_ms,
        "connectTimeoutMS": max(limit_ms, _LEAST_CONNECT_MS),
        "waitQueueTimeoutMS": limit_ms,
        "socketTimeoutMS": limit_ms + round(SOCKET_GRACE * 1000),
        "maxPoolSize": mongo.max_pool_size,
        "retryReads": True,
        "retryWrites": True,
    }
    return options | _credentials(mongo) | _tls(mongo)


def _credentials(mongo: MongoSettings) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if mongo.username:
        options["username"] = mongo.username
        if mongo.password:
            options["password"] = mongo.password.get_secret_value()
        else:
            # The settings allow a user without password only with a certificate of our own.
            options["authMechanism"] = "MONGODB-X509"
    if mongo.auth_source:
        options["authSource"] = mongo.auth_source
    return options


def _tls(mongo: MongoSettings) -> dict[str, Any]:
    if not mongo.tls.configured:
        return {}
    options: dict[str, Any] = {"tls": True}
    if mongo.tls.ca_file:
        options["tlsCAFile"] = str(mongo.tls.ca_file)
    if mongo.tls.cert_key_file:
        options["tlsCertificateKeyFile"] = str(mongo.tls.cert_key_file)
    return options
