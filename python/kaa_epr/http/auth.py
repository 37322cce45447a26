"""Bearer tokens: JWT (RFC 7519) checked against a JSON Web Key Set (RFC 7517), and their scopes."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import jwt

from kaa_epr.config.register import SecuritySettings
from kaa_epr.http import key_source, keys
from kaa_epr.http.key_source import KeysUnreadable
from kaa_epr.http.keys import Key, KeySet
from kaa_epr.log import Repeats, get_logger
from kaa_epr.refusals import Refusal, Stored, Unavailable
from kaa_epr.supervised import Supervisor

_log = get_logger(__name__)

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


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a token stands for."""

    name: str
    """Nobody else has it: subject or client, with the claim that says so; else the token's hash."""
    subject: str | None
    """The claim ``sub``."""
    issuer: str
    scopes: frozenset[str]
    tenant: str | None = None
    """None: there is one for all."""


class Authenticator:
    """Checks tokens; keys are fetched when needed and kept."""

    def __init__(
        self,
        settings: SecuritySettings,
        failures: Counter[tuple[str, ...]],
        supervisor: Supervisor | None = None,
        known: Counter[tuple[str, ...]] | None = None,
    ) -> None:
        """``known`` is kept at the number of keys, by whether they are ``usable`` or ``skipped``."""
        self._settings = settings
        self._failures = failures
        self._known = Counter[tuple[str, ...]]() if known is None else known
        key_source.prepare(settings.jwks or "")
        self._keys = KeySet()
        self._fetched = float("-inf")
        self._tried = float("-inf")
        self._fetches = (supervisor or Supervisor()).passing("token_keys")
        self._fetching: asyncio.Task[None] | None = None
        self._repeats = Repeats()

    async def check(self, authorization: str | None, scope: str) -> Principal | None:
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

    async def stop(self) -> None:
        """Fetches no more keys; who waits for some hears that there are none."""
        await self._fetches.stop()

    async def _check(self, authorization: str | None, scope: str) -> Principal:
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized("A bearer token is required", "missing")
        if len(token) > _MAX_TOKEN_BYTES:
            raise Unauthorized("The token is too long")
        principal = _principal(await self._claims(token), token)
        if scope not in principal.scopes:
            raise Forbidden(scope)
        return principal

    async def _claims(self, token: str) -> Mapping[str, Any]:
        """What the token says, its signature and its time checked."""
        try:
            header = jwt.get_unverified_header(token)
            key_id, algorithm = header.get("kid"), header.get("alg")
            if algorithm not in self._settings.algorithms or "crit" in header:
                raise Unauthorized("The token is not signed in a way that is accepted")
            # Keys without IDs cannot be told apart: perhaps they have been replaced since.
            for anew in (False, True) if key_id is None else (False,):
                for key in await self._candidates(key_id, algorithm, anew=anew):
                    try:
                        return self._decoded(token, key, algorithm)
                    except jwt.InvalidSignatureError:
                        # Several keys may have the same ID, or the token names none.
                        continue
        except jwt.ExpiredSignatureError:
            raise Unauthorized("The token has expired", "expired") from None
        except jwt.PyJWTError as error:
            raise Unauthorized(f"The token is not valid ({type(error).__name__})") from None
        raise Unauthorized("The token is not valid (InvalidSignatureError)")

    def _decoded(self, token: str, key: Key, algorithm: str) -> Mapping[str, Any]:
        settings = self._settings
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key.public,
            algorithms=[algorithm],
            audience=settings.audience,
            issuer=settings.issuer,
            leeway=settings.leeway,
            options={"require": list(_REQUIRED)},
        )
        return claims

    async def _candidates(self, key_id: str | None, algorithm: str, *, anew: bool) -> list[Key]:
        """The keys that may have signed, of which there is one at least; ``anew``: not those known before."""
        known = not anew and bool(self._keys.fitting(key_id, algorithm))
        refreshing = self._refresh(known=known)
        if not known and refreshing is not None:
            # Whose key is known need not wait. One that gives up waiting leaves the fetch to the others.
            await asyncio.wait({refreshing})
        found = self._keys.fitting(key_id, algorithm)
        if found:
            return found
        if not self._keys:
            raise Unavailable("The keys of tokens cannot be read", Stored.NO)
        raise Unauthorized("The token is signed with an unknown key", "unknown_key")

    def _refresh(self, *, known: bool) -> asyncio.Task[None] | None:
        """The fetch under way, begun here if it is due."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        now = time.monotonic()
        due = not known or now - self._fetched > self._settings.refresh
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
        try:
            found = keys.parse(await key_source.read(self._settings.jwks or ""))
        except (KeysUnreadable, ValueError, RecursionError) as error:
            # The text of a ValueError may quote what was read.
            reason = str(error) if isinstance(error, KeysUnreadable) else type(error).__name__
            self._repeats.warning(_log, "the keys of tokens could not be read", reason=reason)
            return
        if (len(found), found.skipped) != (len(self._keys), self._keys.skipped):
            _log.info("keys of tokens read", usable=len(found), skipped=found.skipped)
        self._keys = found
        self._known[("usable",)], self._known[("skipped",)] = len(found), found.skipped
        self._fetched = time.monotonic()


def _kind(refusal: Refusal) -> str:
    if isinstance(refusal, Unauthorized):
        return refusal.kind
    return "scope" if isinstance(refusal, Forbidden) else "keys_unavailable"


def _principal(claims: Mapping[str, Any], token: str) -> Principal:
    subject, issuer = claims.get("sub"), claims["iss"]
    return Principal(
        name=_name(claims, token),
        subject=subject if isinstance(subject, str) else None,
        issuer=issuer,
        scopes=frozenset(_scopes(claims)),
    )


def _name(claims: Mapping[str, Any], token: str) -> str:
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
