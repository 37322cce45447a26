"""Endpoints as REST shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kaa_epr.refusals import EndpointUnknown
from kaa_epr.register.decide.state import EndpointState


def shown(state: EndpointState, *, with_metadata: bool) -> dict[str, Any]:
    """An endpoint as REST shows it; what is not stored is left out."""
    endpoint: dict[str, Any] = {"endpointId": state.id}
    dates = {"createdDate": state.created_at, "metadataUpdatedDate": state.metadata_updated_at}
    endpoint |= {name: date_text(date) for name, date in dates.items() if date is not None}
    if state.application_version is not None:
        endpoint["appVersion"] = shown_app_version(state)
    if state.endpoint_token is not None:
        endpoint["endpointToken"] = state.endpoint_token
    if with_metadata:
        endpoint["metadata"] = dict(state.metadata)
    return endpoint


def shown_app_version(state: EndpointState) -> dict[str, Any]:
    """Its application version. Raises ``EndpointUnknown`` where it has none."""
    if state.application_version is None:
        raise EndpointUnknown(state.id)
    version = {"name": state.application_version}
    if state.app_version_registered_at is not None:
        version["registeredDate"] = date_text(state.app_version_registered_at)
    return version


def date_text(date: datetime) -> str:
    """ISO 8601, UTC, milliseconds."""
    utc = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z"
