"""Settings of the connection to MongoDB and of the documents there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, SecretStr

from kaa_epr.config.types import Conflict, Count, File, Group, Text

_URI: Final = re.compile(r"mongodb(?:\+srv)?://[^\s/]\S*")
_FORBIDDEN_IN_DATABASE: Final = frozenset('/\\. "$*<>:|?\0')


def _uri(value: SecretStr) -> SecretStr:
    if not _URI.fullmatch(value.get_secret_value()):
        raise ValueError("a URI such as mongodb://host:27017 or mongodb+srv://host")
    return value


def _database(value: str) -> str:
    if any(c in _FORBIDDEN_IN_DATABASE for c in value) or len(value.encode()) > 63:
        raise ValueError('at most 63 bytes without / \\ . " $ * < > : | ? and blanks')
    return value


def _collection(value: str) -> str:
    if "$" in value or "\0" in value or value.startswith(("system.", ".")) or value.endswith("."):
        raise ValueError("a collection name: no $ or NUL, no dot at its ends, not system.*")
    return value


def _field(value: str) -> str:
    if value.startswith("$") or "." in value or "\0" in value:
        raise ValueError("a top-level field name: no dots or NUL, no $ at its start")
    return value


FieldName = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_field)]


class MongoFields(Group):
    """Names of the top-level document fields, where another service made the documents."""

    id: FieldName = Field("_id", description="Endpoint ID (string); should have a unique index.")
    metadata: FieldName = Field(
        "metadata", description="Metadata: array of {key, value}, or a plain sub-document."
    )
    application_version: FieldName = Field(
        "application_version", description="Application version name (string)."
    )
    version: FieldName = Field("version", description="Document version (integer), shown as eTag.")
    deleted_at: FieldName = Field("deleted_at", description="When present and not null: a tombstone.")

    def _conflicts(self) -> Iterator[Conflict]:
        names = {key: str(getattr(self, key)) for key in type(self).model_fields}
        shared = {name for name, uses in Counter(names.values()).items() if uses > 1}
        for key, name in names.items():
            if name in shared:
                yield Conflict(key, "a field of its own for each of id, metadata and the others")


class MongoTlsSettings(Group):
    """TLS towards MongoDB. Setting any of these turns it on; otherwise the URI decides."""

    enabled: bool = Field(False, description="Ask for TLS although no file is set and the URI is silent.")
    ca_file: File | None = Field(
        None, description="PEM file of the certificate authorities to trust instead of the system's."
    )
    cert_key_file: File | None = Field(
        None, description="PEM file with our own certificate and private key (mutual TLS, X.509)."
    )

    @property
    def configured(self) -> bool:
        """Whether this group by itself asks for TLS."""
        return bool(self.enabled or self.ca_file or self.cert_key_file)


class MongoSettings(Group):
    """The MongoDB deployment that holds the endpoints."""

    uri: Annotated[SecretStr, AfterValidator(_uri)] = Field(
        SecretStr("mongodb://127.0.0.1:27017"),
        description="Connection string; replica sets and SRV names as the driver takes them.",
    )
    database: Annotated[Text, AfterValidator(_database)] = Field("epr", description="Database name.")
    collection: Annotated[Text, AfterValidator(_collection)] = Field(
        "endpoints", description="Collection of the endpoint documents."
    )
    driver: Literal["motor", "pymongo"] = Field(
        "motor", description="Driver: Motor, or PyMongo's own asynchronous client."
    )
    username: Text | None = Field(None, description="User name; better here than in the URI.")
    password: SecretStr | None = Field(None, description="Password of `mongo.username`.")
    auth_source: Text | None = Field(
        None, description="Database that knows the user; default: the URI's, else `admin`."
    )
    tls: MongoTlsSettings = Field(default_factory=MongoTlsSettings, description="TLS.")
    max_pool_size: Annotated[Count, Field(le=1000)] = Field(
        16, description="Most connections to each server; loads, probes and the register share them."
    )
    max_lists: Annotated[Count, Field(le=100)] = Field(
        4,
        description="Most lists, counts and listings of keys in use at once; they have connections (and with "
        "Motor threads) of their own, as many and one more.",
    )
    max_waiting_lists: Count = Field(
        64, description="Most of these that wait for their turn; one more is answered 503."
    )
    fields: MongoFields = Field(default_factory=MongoFields, description="Field mapping.")

    def _conflicts(self) -> Iterator[Conflict]:
        if self.password and not self.username:
            yield Conflict("username", "a user name, since password is set")
        if self.username and not self.password and not self.tls.cert_key_file:
            yield Conflict("password", "a password, since username is set without tls.cert_key_file")
        if self.username and self._names_a_user():
            yield Conflict("username", "nothing, since the URI names a user already")

    def _names_a_user(self) -> bool:
        authority = self.uri.get_secret_value().partition("://")[2].partition("/")[0].partition("?")[0]
        return "@" in authority
