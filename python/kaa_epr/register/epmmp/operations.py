"""The table of 19/EPMMP's writes: which handler takes which request."""

from __future__ import annotations

from kaa_epr.messages import subjects
from kaa_epr.register.epmmp.handlers import EpmmpHandlers
from kaa_epr.register.epmmp.service import Operation


def operations_of(handlers: EpmmpHandlers) -> tuple[Operation, ...]:
    """One operation a request type."""
    epmmp = "epmmp/0019-endpoint-metadata"
    return (
        Operation(
            subjects.PATCH_REQUEST, f"{epmmp}-patch-request", f"{epmmp}-patch-response", handlers.patch
        ),
        Operation(
            subjects.KEY_UPDATE_REQUEST,
            f"{epmmp}-key-update-request",
            f"{epmmp}-key-update-response",
            handlers.key_update,
        ),
        Operation(
            subjects.KEY_BATCH_UPDATE_REQUEST,
            f"{epmmp}-key-batch-update-request",
            f"{epmmp}-key-batch-update-response",
            handlers.key_batch_update,
            echoes=(),
        ),
    )
