"""From failures of the store's writes to refusals."""

from __future__ import annotations

from kaa_epr.mongo import conditional
from kaa_epr.mongo.api import WriteFailure
from kaa_epr.mongo.errors import Effect, StoreError
from kaa_epr.refusals import (
    Invalid,
    Refusal,
    Stored,
    Taken,
    TooLarge,
    Unavailable,
    WriteRefused,
    store_unavailable,
)


def unavailable(error: StoreError, version: int | None = None) -> Unavailable:
    """The refusal of a change of an endpoint at ``version`` whose write ended with ``error``."""
    if error.effect is Effect.NONE:
        return store_unavailable()
    return Unavailable("the endpoint store did not confirm it", Stored.UNKNOWN, version)


def refusal(failure: WriteFailure) -> Refusal:
    """Why the server refused a write that was no race. Its own text may quote values, so it is not used."""
    if conditional.is_taken_token(failure):
        return Taken("endpointToken", "another endpoint of the application has it")
    if conditional.is_duplicate(failure):
        return Taken("endpoint", f"another document has the same {', '.join(failure.index_fields)}")
    if conditional.is_too_large(failure):
        return TooLarge("metadata", "the document would grow beyond MongoDB's limit of 16 MiB")
    if conditional.is_not_valid(failure):
        return Invalid("endpoint", "the collection's validation rules refuse it")
    return WriteRefused(failure.code)
