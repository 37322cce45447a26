"""Settings of the register: what changes endpoints, over REST and NATS."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from kaa_epr.config.types import (
    Conflict,
    Count,
    File,
    Group,
    Port,
    Seconds,
    SecondsOrZero,
    Size,
    Text,
    split_list,
    web_url,
)

_KIB: Final = 1024
_MIB: Final = 1024 * 1024
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures with a public key only: with a shared secret, whoever checks tokens could make them."""


def _prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value):
        raise ValueError("empty, or a path such as /epr without a slash at its end")
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError):
        raise ValueError("a regular expression") from None
    return value


def _none_is_empty(value: Any) -> Any:
    return {} if value is None else value


KeyList = Annotated[tuple[str, ...], BeforeValidator(split_list)]
"""Metadata keys: a list, or ``a,b``."""


class SecuritySettings(Group):
    """Who may use the REST interface: bearer tokens (JWT) of an authorization server."""

    enabled: bool = Field(
        True, description="Whether a token is asked for; off, REST listens on loopback only unless forced."
    )
    jwks: Text | None = Field(
        None, description="Keys that tokens are signed with: URL or file of a JSON Web Key Set."
    )
    jwks_over_http: bool = Field(
        False,
        description="Whether that URL may be `http` beyond loopback. Who is between can make tokens then.",
    )
    issuer: Text | None = Field(None, description="The `iss` that tokens must have.")
    audience: Text | None = Field(None, description="An `aud` that tokens must have.")
    algorithms: Annotated[tuple[Algorithm, ...], BeforeValidator(split_list), Field(min_length=1)] = Field(
        ("RS256", "ES256"), description="Signature algorithms that are accepted."
    )
    leeway: SecondsOrZero = Field(5.0, description="Tolerated difference of clocks, in seconds.")
    refresh: Seconds = Field(
        300.0, description="How long keys of a URL are used without asking again, in seconds."
    )

    def _conflicts(self) -> Iterator[Conflict]:
        yield from self._conflicts_of_jwks()
        if self.jwks is not None and self.issuer is None:
            yield Conflict("issuer", "the issuer of the tokens, since jwks is set")
        if self.jwks is not None and self.audience is None:
            yield Conflict("audience", "the audience of the tokens, since jwks is set")

    def _conflicts_of_jwks(self) -> Iterator[Conflict]:
        scheme, separator, _ = (self.jwks or "").partition("://")
        if not separator:
            return
        try:
            url = urlsplit(self.jwks or "")
            host, _port = url.hostname, url.port
        except ValueError:
            host = None
        if scheme.lower() not in ("http", "https") or host is None:
            yield Conflict("jwks", "a file, or an https URL")
        elif scheme.lower() == "http" and not self.jwks_over_http and not is_loopback(host):
            yield Conflict("jwks", "an https URL (or jwks_over_http: true)")


class RestTlsSettings(Group):
    """HTTPS instead of HTTP."""

    cert_file: File | None = Field(None, description="PEM file of the certificate chain; turns TLS on.")
    key_file: File | None = Field(None, description="PEM file of the certificate's private key.")

    def _conflicts(self) -> Iterator[Conflict]:
        if self.cert_file and not self.key_file:
            yield Conflict("key_file", "a key file, since cert_file is set")
        if self.key_file and not self.cert_file:
            yield Conflict("cert_file", "a certificate file, since key_file is set")


class RestSettings(Group):
    """The REST server."""

    host: Text = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(
        8090, description="Port to listen on; 0: any free one. Several workers listen on it together."
    )
    prefix: Annotated[str, AfterValidator(_prefix)] = Field(
        "/epr", description="`/api/v1` is served below this path too, as behind Kaa's ingress."
    )
    public_url: Annotated[str, AfterValidator(web_url)] | None = Field(
        None,
        description="What clients put before `/api/v1`, such as `https://kaa.example.com/epr`; `Location` "
        "begins with it. Unset: as the request says, which behind a proxy that ends TLS is `http`.",
    )
    allow_open: bool = Field(
        False, description="Listen beyond loopback although no token is asked for. Anybody may change all."
    )
    tls: RestTlsSettings = Field(default_factory=RestTlsSettings, description="TLS.")
    max_body_bytes: Annotated[Size, Field(ge=1024)] = Field(
        2 * _MIB, description="Largest request body, in bytes; more is answered 413."
    )
    max_batch_bytes: Annotated[Size, Field(ge=1024, le=12 * _MIB)] = Field(
        8 * _MIB, description="Largest body of a batch registration, in bytes."
    )
    max_connections: Count = Field(1024, description="Connections at once; a further one is closed.")
    request_timeout: Seconds = Field(
        15.0,
        description="Longest time for one request, from its first byte to the answer's last, in seconds.",
    )


class RegisterSettings(Group):
    """Changing endpoints over REST and NATS."""

    enabled: bool = Field(False, description="Whether this process takes writes.")
    rest: RestSettings = Field(default_factory=RestSettings, description="REST.")
    security: SecuritySettings = Field(default_factory=SecuritySettings, description="Security of REST.")
    max_keys: Annotated[Count, Field(le=10_000)] = Field(
        1024, description="Most metadata keys of one endpoint."
    )
    max_key_length: Annotated[Count, Field(le=4096)] = Field(
        256, description="Longest metadata key, in characters."
    )
    max_depth: Annotated[Count, Field(le=64)] = Field(
        32, description="Deepest nesting of one metadata value."
    )
    max_values: Annotated[Count, Field(le=10_000_000)] = Field(
        100_000,
        description="Most JSON values in one request, those in others included; in a batch registration as "
        "many times more as its body may be larger.",
    )
    max_metadata_bytes: Annotated[Size, Field(ge=1024, le=8 * _MIB)] = Field(
        512 * _KIB, description="Most metadata of one endpoint, in bytes as stored."
    )
    key_pattern: Annotated[str, AfterValidator(_pattern)] | None = Field(
        None, description="Regular expression that new metadata keys must match as a whole."
    )
    restricted_keys: Annotated[dict[str, KeyList], BeforeValidator(_none_is_empty)] = Field(
        default_factory=dict,
        description="Metadata keys that nobody may change here, by application; `*`: in all of them.",
    )
    max_pending: Count = Field(10_000, description="Most changes under way; one more is answered 503.")
    max_pending_bytes: Annotated[Size, Field(ge=1024)] = Field(
        64 * _MIB,
        description="Most bytes of requests under way, over REST and NATS; one beyond is answered 503.",
    )
    max_outbox: Annotated[Count, Field(le=1000)] = Field(
        64, description="Most events in the outbox of one endpoint, that is changes written together."
    )
    remembered_bytes: Size = Field(
        0,
        description="Most bytes of documents that are kept for half a minute after their last change, so "
        "that the next one need not read them; 0: none. Only where every program that changes documents "
        "raises their `version`: what is changed without is not noticed.",
    )
    max_tasks: Count = Field(
        1000, description="Most batch registrations that are not finished; one more is answered 503."
    )
    max_application_tasks: Count = Field(250, description="The same for those of one application.")
    claim_expiry: Annotated[Seconds, Field(ge=1)] = Field(
        15.0, description="After this, in seconds, another replica publishes what one left unpublished."
    )
    store_timeout: Seconds = Field(5.0, description="Longest time for one step with the store, in seconds.")
    tombstone_retention: SecondsOrZero = Field(
        30 * 24 * 3600.0,
        description="How long the version of an unregistered endpoint is kept, in seconds; an endpoint made "
        "again later begins at version 1. 0: for ever. At least twice every responder's cache.max_age.",
    )

    def _conflicts(self) -> Iterator[Conflict]:
        if not self.enabled:
            return
        if self.security.enabled and self.security.jwks is None:
            yield Conflict(
                "security.jwks", "where the keys of tokens are; or security.enabled: false, and loopback only"
            )
        if not self.security.enabled and not self.rest.allow_open and not is_loopback(self.rest.host):
            yield Conflict("rest.host", "a loopback address while security is off (or rest.allow_open: true)")
        if self.max_pending_bytes < max(self.rest.max_body_bytes, self.rest.max_batch_bytes):
            yield Conflict("max_pending_bytes", "at least rest.max_body_bytes and rest.max_batch_bytes")
        if self.claim_expiry < 2 * self.store_timeout:
            yield Conflict("claim_expiry", "at least twice store_timeout")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
