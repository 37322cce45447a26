"""A stored document to be shown."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

from kaa_epr.engine.api import FieldMapping
from kaa_epr.engine.pure.bson_check import DocumentError
from kaa_epr.engine.pure.entry import from_bson
from kaa_epr.register.decide.pure import raw
from kaa_epr.register.decide.pure.raw import RawValue
from kaa_epr.register.decide.pure.state import State, read_state
from kaa_epr.register.decide.pure.stored import read

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999
"""Of the year 9999."""
_FIRST_MS = -62_135_596_800_000
"""Of the year 1."""


class PureView:
    """See ``kaa_epr.register.decide.view.View``."""

    def __init__(self, document: bytes) -> None:
        """Raises DocumentError when nothing can be shown."""
        stored = read(document)
        self.endpoint_id = stored.text("_id")
        self._state = read_state(self.endpoint_id or "", stored)
        self._document = document

    @property
    def problem(self) -> str | None:
        """Why gets cannot be answered from it."""
        if self.endpoint_id is None:
            return "the id is not a string"
        try:
            from_bson(self._document, self.endpoint_id, FieldMapping())
        except DocumentError as error:
            return str(error)
        return None

    @property
    def known(self) -> bool:
        """Whether readers see an endpoint."""
        return self._state.known

    @property
    def version(self) -> int | None:
        """Its version."""
        return self._state.version

    @property
    def etag(self) -> str | None:
        """The version in quotes."""
        return self._state.etag

    @property
    def application(self) -> str | None:
        """Its name."""
        return self._state.names.application

    @property
    def app_version(self) -> str | None:
        """The name of the application version."""
        return self._state.names.app_version

    @property
    def registration(self) -> str | None:
        """The batch task that registered it."""
        return self._state.registration

    @property
    def readable(self) -> bool:
        """Whether metadata and version can be read."""
        return self._state.readable

    def keys(self) -> list[str]:
        """Metadata keys in stored order."""
        return list(self._state.metadata)

    def keys_text(self) -> bytes:
        """The same as a JSON array."""
        return _json(self.keys())

    def metadata_text(self, keys: Collection[str] | None = None) -> bytes | None:
        """JSON object of these keys."""
        if not self.readable:
            return None
        wanted = None if keys is None else frozenset(keys)
        metadata = self._state.metadata
        return metadata_text(
            {key: value for key, value in metadata.items() if wanted is None or key in wanted}
        )

    def key_text(self, key: str) -> bytes | None:
        """JSON of one value."""
        value = self._state.metadata.get(key)
        text = None if value is None else raw.text(value)
        return None if text is None else text.encode()

    def app_version_text(self) -> bytes | None:
        """``{"name": …, "registeredDate": …}``"""
        return app_version_text(self._state)

    def endpoint_text(self, *, with_metadata: bool) -> bytes:
        """As REST shows it."""
        state = self._state
        dates = {"createdDate": state.created_at, "metadataUpdatedDate": state.metadata_updated_at}
        members: list[tuple[str, bytes | None]] = [
            ("endpointId", None if self.endpoint_id is None else _json(self.endpoint_id)),
            *((name, _date_json(value)) for name, value in dates.items()),
            ("appVersion", self.app_version_text()),
            ("endpointToken", None if state.names.token is None else _json(state.names.token)),
        ]
        if with_metadata:
            members.append(("metadata", self.metadata_text()))
        return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), text) for name, text in members if text)


def metadata_text(metadata: Mapping[str, RawValue]) -> bytes | None:
    """JSON object; None when a value has no JSON form."""
    members = []
    for key, value in metadata.items():
        text = raw.text(value)
        if text is None:
            return None
        members.append(b"%b:%b" % (_json(key), text.encode()))
    return b"{%b}" % b",".join(members)


def app_version_text(state: State) -> bytes | None:
    """``{"name": …, "registeredDate": …}``; None without an application version."""
    if state.names.app_version is None:
        return None
    date = _date_json(state.app_version_registered_at)
    more = b"" if date is None else b',"registeredDate":' + date
    return b'{"name":%b%b}' % (_json(state.names.app_version), more)


def _date_json(unix_ms: int | None) -> bytes | None:
    """ISO 8601, UTC, milliseconds; None for what lies outside of the years 1 to 9999."""
    if unix_ms is None or not _FIRST_MS <= unix_ms <= _LAST_MS:
        return None
    moment = _EPOCH + timedelta(milliseconds=unix_ms)
    return b'"%bZ"' % moment.replace(tzinfo=None).isoformat(timespec="milliseconds").encode()


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
