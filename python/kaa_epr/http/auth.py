"""Bearer tokens: JWT (RFC 7519) checked against a JSON Web Key Set (RFC 7517), and their scopes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jwt

from kaa_epr.config.register import SecuritySettings
from kaa_epr.log import Repeats, get_logger
from kaa_epr.refusals import Refusal, Stored, Unavailable
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)

_FETCH_SECONDS: Final = 5.0
_MAX_JWKS_BYTES: Final = 1024 * 1024
_MIN_REFRESH_SECONDS: Final = 5.0
"""Between two fetches: invented key IDs, or a server that is away, must not make each request one."""
_MAX_TOKEN_BYTES: Final = 16 * 1024
_REQUIRED: Final = ("exp", "iss", "aud")


class Unauthorized(Refusal):
    """No token, or none that holds; the reason has nothing of the token."""

    status = HTTPStatus.UNAUTHORIZED
    text = "{reason}"

    def __init__(self, reason: str, kind: str = "invalid") -> None:
        """``kind``: one of ``AUTH_FAILURES``."""
        super().__init__(reason)
        self.reason = reason
        self.kind = kind


class Forbidden(Refusal):
    """A token without the scope."""

    status = HTTPStatus.FORBIDDEN
    text = "The token lacks the scope {scope}"

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


class Authenticator:
    """Checks tokens; keys are fetched when needed and kept."""

    def __init__(
        self,
        settings: SecuritySettings,
        failures: Counter[tuple[str, ...]],
        supervisor: Supervisor | None = None,
    ) -> None:
        self._settings = settings
        self._failures = failures
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._fetches = (supervisor or Supervisor()).passing("token_keys")
        self._fetching: asyncio.Task[None] | None = None
        self._repeats = Repeats()

    async def check(self, authorization: str | None, scope: str) -> str | None:
        """Who asks; None: anybody, as no token is needed.

        Raises ``Unauthorized``, ``Forbidden``, or ``Unavailable`` when the keys cannot be had.
        """
        if not self._settings.enabled:
            return None
        try:
            return await self._check(authorization, scope)
        except Refusal as refusal:
            self._failures[(_kind(refusal),)] += 1
            raise

    async def _check(self, authorization: str | None, scope: str) -> str:
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("A bearer token is required", "missing")
        claims = await self._claims(token)
        if scope not in _scopes(claims):
            raise Forbidden(scope)
        return _caller(claims, token)

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
            raise Unauthorized("The token has expired", "expired") from None
        except jwt.PyJWTError as error:
            raise Unauthorized(f"The token is not valid ({type(error).__name__})") from None
        return claims

    async def _key(self, key_id: str | None) -> jwt.PyJWK:
        refreshing = self._refresh(key_id)
        if key_id not in self._keys and refreshing is not None:
            await asyncio.shield(refreshing)
        key = self._keys.get(key_id)
        if key is not None:
            return key
        if not self._keys:
            raise Unavailable("The keys of tokens cannot be read", Stored.NO)
        raise Unauthorized("The token is signed with an unknown key", "unknown_key")

    def _refresh(self, key_id: str | None) -> asyncio.Task[None] | None:
        """The fetch under way, begun here if it is due. Whose key is known need not wait for it."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        now = time.monotonic()
        due = key_id not in self._keys or now - self._fetched > self._settings.refresh
        if not due or now - self._tried < _MIN_REFRESH_SECONDS:
            return None
        self._tried = now
        self._fetching = self._fetches.run(self._fetch())
        return self._fetching

    async def renew(self) -> None:
        """Fetches the keys, however new those are that there are. Raises ``Unavailable``: then these stay."""
        if not self._settings.enabled:
            return
        if self._fetching is not None:
            # What it asked before the call may be what was before.
            await asyncio.wait({self._fetching})
        self._tried, before = time.monotonic(), self._fetched
        self._fetching = self._fetches.run(self._fetch())
        await asyncio.shield(self._fetching)
        if self._fetched == before:
            raise Unavailable("The keys of tokens cannot be read", Stored.NO)

    async def _fetch(self) -> None:
        """New keys; the ones before stay where there are none to be had."""
        source = self._settings.jwks or ""
        try:
            async with asyncio.timeout(2 * _FETCH_SECONDS):
                keys = _parsed(await asyncio.to_thread(_load, source))
        except (OSError, HTTPException, ValueError, jwt.PyJWTError) as error:
            self._repeats.warning(_log, "the keys of tokens could not be read", error=type(error).__name__)
            return
        self._keys = {key.key_id: key for key in keys}
        if len(keys) == 1:
            # A single key needs no ID.
            self._keys.setdefault(None, keys[0])
        self._fetched = time.monotonic()


def _kind(refusal: Refusal) -> str:
    if isinstance(refusal, Unauthorized):
        return refusal.kind
    return "scope" if isinstance(refusal, Forbidden) else "keys_unavailable"


def _load(source: str) -> bytes:
    if urlsplit(source).scheme in ("http", "https"):
        with urllib.request.urlopen(source, timeout=_FETCH_SECONDS) as answer:  # noqa: S310 - checked above
            data: bytes = answer.read(_MAX_JWKS_BYTES + 1)
    else:
        data = Path(source).expanduser().read_bytes()
    if len(data) > _MAX_JWKS_BYTES:
        raise ValueError("the key set is too large")
    return data


def _parsed(data: bytes) -> list[jwt.PyJWK]:
    """Raises ValueError or PyJWTError for what is no key set."""
    found = json.loads(data)
    if not isinstance(found, dict) or not isinstance(keys := found.get("keys"), list):
        raise ValueError("not a JSON Web Key Set")
    if not all(isinstance(key, dict) for key in keys):
        raise ValueError("a key is not an object")
    return jwt.PyJWKSet.from_dict(found).keys


def _caller(claims: Mapping[str, Any], token: str) -> str:
    """Who the token stands for; a token that does not say stands for itself."""
    for name in ("sub", "client_id", "azp"):
        if isinstance(claims.get(name), str):
            return f"{name}:{claims[name]}"
    return f"token:{hashlib.sha256(token.encode()).hexdigest()}"


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
