"""Bearer tokens: JWT (RFC 7519) checked against a JSON Web Key Set (RFC 7517), and their scopes."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jwt

from kaa_epr.changes.errors import Refusal, Unavailable
from kaa_epr.config.register import SecuritySettings
from kaa_epr.log import Repeats, get_logger

_log = get_logger(__name__)

_FETCH_SECONDS: Final = 5.0
_MAX_JWKS_BYTES: Final = 1024 * 1024
_MIN_REFRESH_SECONDS: Final = 5.0
"""Between two fetches for keys that are not known: tokens with invented key IDs must not become fetches."""
_MAX_TOKEN_BYTES: Final = 16 * 1024
_REQUIRED: Final = ("exp", "iss", "aud")


class Unauthorized(Refusal):
    """No token, or none that holds."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def message(self) -> str:
        """Why, without anything of the token."""
        return self.reason


class Forbidden(Refusal):
    """A token without the scope."""

    status = HTTPStatus.FORBIDDEN

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope

    def message(self) -> str:
        """The scope that is missing."""
        return f"The token lacks the scope {self.scope}"


class Authenticator:
    """Checks tokens; keys are fetched when needed and kept."""

    def __init__(self, settings: SecuritySettings) -> None:
        self._settings = settings
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched: float | None = None
        self._lock = asyncio.Lock()
        self._repeats = Repeats()

    async def check(self, authorization: str | None, scope: str) -> None:
        """Raises ``Unauthorized``, ``Forbidden``, or ``Unavailable`` when the keys cannot be had."""
        if not self._settings.enabled:
            return
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("A bearer token is required")
        claims = await self._claims(token)
        if scope not in _scopes(claims):
            raise Forbidden(scope)

    async def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > _MAX_TOKEN_BYTES:
            raise Unauthorized("The token is too long")
        settings = self._settings
        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(header.get("kid"))
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=settings.algorithms,
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=settings.leeway,
                options={"require": list(_REQUIRED)},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthorized("The token has expired") from None
        except jwt.PyJWTError as error:
            raise Unauthorized(f"The token is not valid ({type(error).__name__})") from None
        return claims

    async def _key(self, key_id: str | None) -> jwt.PyJWK:
        async with self._lock:
            age = None if self._fetched is None else time.monotonic() - self._fetched
            stale = age is None or age > self._settings.refresh
            unknown = age is not None and key_id not in self._keys and age > _MIN_REFRESH_SECONDS
            if stale or unknown:
                await self._fetch()
        key = self._keys.get(key_id)
        if key is None:
            raise Unauthorized("The token is signed with an unknown key")
        return key

    async def _fetch(self) -> None:
        source = self._settings.jwks or ""
        try:
            text = await asyncio.to_thread(_load, source)
            keys = jwt.PyJWKSet.from_json(text).keys
        except (OSError, urllib.error.URLError, ValueError, jwt.PyJWTError) as error:
            self._repeats.warning(_log, "the keys of tokens could not be read", error=type(error).__name__)
            if self._fetched is None:
                raise Unavailable("The keys of tokens cannot be read") from None
            return
        self._keys = {key.key_id: key for key in keys}
        if len(keys) == 1:
            # A single key needs no ID.
            self._keys.setdefault(None, keys[0])
        self._fetched = time.monotonic()


def _load(source: str) -> str:
    if urlsplit(source).scheme in ("http", "https"):
        with urllib.request.urlopen(source, timeout=_FETCH_SECONDS) as answer:  # noqa: S310 - checked above
            data: bytes = answer.read(_MAX_JWKS_BYTES)
    else:
        data = Path(source).expanduser().read_bytes()[:_MAX_JWKS_BYTES]
    return json.dumps(json.loads(data))


def _scopes(claims: Mapping[str, Any]) -> set[str]:
    """``scope`` as one string (RFC 8693, 4.2), or ``scp`` as a list, as other servers have it."""
    scopes: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name)
        if isinstance(value, str):
            scopes.update(value.split())
        elif isinstance(value, list):
            scopes.update(item for item in value if isinstance(item, str))
    return scopes
