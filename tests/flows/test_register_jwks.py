"""Keys of tokens from an HTTPS server: rotation, unknown keys, a server that is away or talks nonsense."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from kaa_epr.config.register import SecuritySettings
from kaa_epr.http import auth
from kaa_epr.http.auth import Authenticator, Forbidden, Unauthorized
from kaa_epr.refusals import Unavailable
from kaa_epr.register.stats import Stats
from tests.flows.test_register_security import AUDIENCE, ISSUER, Issuer

SCOPE = "endpoint:read"


class KeyServer:
    """Serves ``body`` over TLS on loopback, and counts the requests."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.body: bytes = b""
        self.status = 200
        self.requests = 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - named by the library
                """Nothing to tell."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_address[1]}/certs"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.running = True

    def publish(self, *issuers: tuple[str, Issuer]) -> None:
        keys = [issuer.jwks()["keys"][0] | {"kid": name} for name, issuer in issuers]
        self.body = json.dumps({"keys": keys}).encode()

    def stop(self) -> None:
        if self.running:
            self.running = False
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyServer]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with authority.cert_pem.tempfile() as trusted:
        monkeypatch.setenv("SSL_CERT_FILE", trusted)
        server = KeyServer(context)
        yield server
        server.stop()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetches may follow each other."""
    monkeypatch.setattr(auth, "_MIN_REFRESH_SECONDS", 0.0)


def authenticator(url: str, stats: Stats | None = None, refresh: float = 300) -> Authenticator:
    settings = SecuritySettings(
        jwks=url, issuer=ISSUER, audience=AUDIENCE, algorithms=("ES256",), refresh=refresh
    )
    return Authenticator(settings, (stats or Stats()).auth_failures)


def bearer(issuer: Issuer, kid: str, **claims: Any) -> str:
    return f"Bearer {issuer.token(kid=kid, **claims)}"


@pytest.mark.usefixtures("at_once")
async def test_keys_are_rotated(keys: KeyServer) -> None:
    old, new = Issuer(), Issuer()
    keys.publish(("old", old))
    check = authenticator(keys.url).check
    await check(bearer(old, "old"), SCOPE)
    keys.publish(("old", old), ("new", new))
    await check(bearer(new, "new"), SCOPE)
    await check(bearer(old, "old"), SCOPE)
    assert keys.requests == 2
    keys.publish(("new", new))
    with pytest.raises(Unauthorized):
        await check(bearer(old, "unknown"), SCOPE)
    with pytest.raises(Unauthorized, match="unknown key"):
        await check(bearer(old, "old"), SCOPE)


async def test_invented_keys_do_not_become_fetches(keys: KeyServer) -> None:
    issuer, stats = Issuer(), Stats()
    keys.publish(("k1", issuer))
    check = authenticator(keys.url, stats).check
    await check(bearer(issuer, "k1"), SCOPE)
    for number in range(20):
        with pytest.raises(Unauthorized):
            await check(bearer(issuer, f"invented-{number}"), SCOPE)
    assert keys.requests == 1
    assert stats.auth_failures["unknown_key",] == 20


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"keys": 1}', b'{"keys": [1]}', b'{"keys": []}', b"\xff"]
)
async def test_nonsense_keeps_the_last_keys(keys: KeyServer, body: bytes) -> None:
    issuer = Issuer()
    keys.publish(("k1", issuer))
    check = authenticator(keys.url).check
    await check(bearer(issuer, "k1"), SCOPE)
    keys.body = body
    with pytest.raises(Unauthorized):
        await check(bearer(issuer, "k2"), SCOPE)
    assert keys.requests == 2
    await check(bearer(issuer, "k1"), SCOPE)


@pytest.mark.usefixtures("at_once")
async def test_a_server_that_is_away_keeps_the_last_keys(keys: KeyServer) -> None:
    issuer = Issuer()
    keys.publish(("k1", issuer))
    checker = authenticator(keys.url, refresh=0.001)
    await checker.check(bearer(issuer, "k1"), SCOPE)
    keys.stop()
    for _ in range(3):
        await checker.check(bearer(issuer, "k1"), SCOPE)
    with pytest.raises(Unauthorized):
        await checker.check(bearer(issuer, "k2"), SCOPE)


@pytest.mark.parametrize("status", [404, 500])
async def test_without_any_keys_it_is_unavailable(keys: KeyServer, status: int) -> None:
    issuer, stats = Issuer(), Stats()
    keys.status = status
    check = authenticator(keys.url, stats).check
    for _ in range(3):
        with pytest.raises(Unavailable):
            await check(bearer(issuer, "k1"), SCOPE)
    # The second and third did not ask again.
    assert keys.requests == 1
    assert stats.auth_failures["keys_unavailable",] == 3


async def test_a_server_that_is_not_trusted(keys: KeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer()
    keys.publish(("k1", issuer))
    with trustme.CA().cert_pem.tempfile() as other:
        monkeypatch.setenv("SSL_CERT_FILE", other)
        with pytest.raises(Unavailable):
            await authenticator(keys.url).check(bearer(issuer, "k1"), SCOPE)
    assert keys.requests == 0


async def test_failures_are_counted_by_reason(keys: KeyServer) -> None:
    issuer, stats = Issuer(), Stats()
    keys.publish(("k1", issuer))
    check = authenticator(keys.url, stats).check
    for header in (None, "Basic x", "Bearer x", bearer(issuer, "k1", exp=1), bearer(issuer, "k1", iss="x")):
        with pytest.raises(Unauthorized):
            await check(header, SCOPE)
    with pytest.raises(Forbidden):
        await check(bearer(issuer, "k1", scope="other"), SCOPE)
    counted = {reason: count for (reason,), count in stats.auth_failures.items() if count}
    assert counted == {"missing": 2, "invalid": 2, "expired": 1, "scope": 1}
