"""Exports all endpoints as JSON lines, in the order of their ids, a page at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from kaa_epr.config.mongo import MongoFields
from kaa_epr.mongo.api import Store
from kaa_epr.mongo.documents import DocumentInvalid
from kaa_epr.mongo.errors import StoreUnavailable
from kaa_epr.mongo.lenient import LENIENT
from kaa_epr.mongo.raw_documents import split
from kaa_epr.mongo.transfer.lines import format_line, stored_endpoint

_PAGE: Final = 500
"""Documents of one page; the store ends it at 16 MiB."""
_SECONDS: Final = 30.0


class NotExported(NamedTuple):
    """A stored document that no line stands for."""

    endpoint_id: str
    reason: str


class ExportProgress(NamedTuple):
    """Where an export stands."""

    exported: int
    tombstones: int
    """Unregistered endpoints, left out."""
    not_exported: int
    estimated: int
    """About how many documents there are."""

    def behind(self, page: _Page) -> ExportProgress:
        """Where it stands after ``page``."""
        return ExportProgress(
            self.exported + len(page.lines),
            self.tombstones + page.tombstones,
            self.not_exported + len(page.refused),
            self.estimated,
        )


@dataclass(slots=True)
class _Page:
    lines: list[str] = field(default_factory=list)
    tombstones: int = 0
    refused: list[NotExported] = field(default_factory=list)
    last: str = ""


async def export_endpoints(
    store: Store,
    write: Callable[[str], object],
    *,
    on_progress: Callable[[ExportProgress], None] | None = None,
    on_not_exported: Callable[[NotExported], None] | None = None,
) -> ExportProgress:
    """Gives ``write`` the lines, each with its line end, and returns the final counts.

    Importing them elsewhere makes the same metadata, byte by byte, and the same names; versions and dates
    begin anew. Endpoints that change meanwhile are exported as they were or as they are. Raises what the
    store raises.
    """
    progress = ExportProgress(0, 0, 0, await store.estimate(_SECONDS))
    after: str | None = None
    while documents := await store.page(after, _PAGE, _SECONDS):
        page = await asyncio.to_thread(_format, documents, store.fields)
        if after is not None and page.last <= after:
            raise StoreUnavailable("documents came in another order than that of their ids")
        after = page.last
        if page.lines:
            write("".join(page.lines))
        if on_not_exported is not None:
            for refused in page.refused:
                on_not_exported(refused)
        progress = progress.behind(page)
        if on_progress is not None:
            on_progress(progress)
    return progress


def _format(documents: bytes, fields: MongoFields) -> _Page:
    page = _Page()
    for document in split(documents):
        page.last = RawBSONDocument(document, LENIENT)[fields.id]
        try:
            endpoint = stored_endpoint(document, fields)
            if endpoint is None:
                page.tombstones += 1
            else:
                page.lines.append(format_line(endpoint) + "\n")
        except DocumentInvalid as error:
            page.refused.append(NotExported(page.last, str(error)))
        except (BSONError, ValueError, TypeError):
            page.refused.append(NotExported(page.last, "not valid BSON or UTF-8"))
    return page
