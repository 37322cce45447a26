"""The table of 19/EPMMP's writes: which handler takes which request."""

from __future__ import annotations

from typing import Any

from kaa_epr.messages import subjects
from kaa_epr.register.epmmp.codec import Begin, Operation
from kaa_epr.register.epmmp.handlers import MAX_COMMANDS, EpmmpHandlers


def operations_of(handlers: EpmmpHandlers, *, is_native: bool) -> tuple[Operation, ...]:
    """One operation a request type; ``is_native``: the core codes what it can."""
    return (
        _operation(subjects.PATCH_REQUEST, "patch", handlers.patch, is_native=is_native),
        _operation(subjects.KEY_UPDATE_REQUEST, "key-update", handlers.key_update, is_native=is_native),
        _operation(
            subjects.KEY_BATCH_UPDATE_REQUEST,
            "key-batch-update",
            handlers.key_batch_update,
            echoes=(),
            is_native=is_native,
            max_items=MAX_COMMANDS,
        ),
    )


def _operation(message_type: str, name: str, begin: Begin, **more: Any) -> Operation:
    schema = f"epmmp/0019-endpoint-metadata-{name}"
    return Operation(message_type, f"{schema}-request", f"{schema}-response", begin, **more)
