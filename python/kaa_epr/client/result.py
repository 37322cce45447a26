"""What a get that succeeds gives."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from kaa_epr.client.errors import ProtocolViolation


@dataclass(frozen=True, slots=True, repr=False)
class EndpointMetadata:
    """An endpoint as the repository answered. Its repr and every error text leave the values out."""

    endpoint_id: str
    correlation_id: str
    """The caller's, or the one made for this get; log lines of both sides contain it."""
    payload: bytes | None
    """Metadata as the JSON text that came; None when it was not asked for (``include_metadata=False``)."""
    etag: str | None
    """As in HTTP, with its quotes; None in revision 1 and for endpoints without a version."""
    app_version_name: str | None
    """None before revision 3 and for endpoints without one."""
    _parsed: dict[str, Any] | None = field(default=None, init=False, compare=False)

    @property
    def metadata(self) -> dict[str, Any] | None:
        """``payload`` parsed when first asked for; None when it is None.

        Raises ``ProtocolViolation`` when the payload is not the JSON text of an object.
        """
        if self._parsed is None and self.payload is not None:
            object.__setattr__(self, "_parsed", self._parse(self.payload))
        return self._parsed

    def _parse(self, payload: bytes) -> dict[str, Any]:
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError):
            raise self._violation("the metadata is not JSON") from None
        if not isinstance(value, dict):
            raise self._violation("the metadata is not a JSON object")
        return value

    def _violation(self, what: str) -> ProtocolViolation:
        return ProtocolViolation(self.endpoint_id, self.correlation_id, what)

    def __repr__(self) -> str:
        size = "no payload" if self.payload is None else f"{len(self.payload)} bytes"
        return (
            f"EndpointMetadata(endpoint_id={self.endpoint_id!r}, correlation_id={self.correlation_id!r}, "
            f"etag={self.etag!r}, app_version_name={self.app_version_name!r}, <{size}>)"
        )
