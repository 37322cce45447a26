"""A stored document to be shown, without its values becoming Python objects."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol


class View(Protocol):
    """A stored document to be shown: text and names, never values as Python objects.

    What cannot be read is left out; ``problem`` says that there is such a thing.
    """

    @property
    def problem(self) -> str | None:
        """Why gets cannot be answered from it, without any value of it; None: they can."""

    @property
    def endpoint_id(self) -> str | None:
        """``_id``."""

    @property
    def known(self) -> bool:
        """Whether readers see an endpoint; else it is a tombstone."""

    @property
    def version(self) -> int | None:
        """None: none, or unreadable."""

    @property
    def etag(self) -> str | None:
        """The version in quotes."""

    @property
    def application(self) -> str | None:
        """Its name."""

    @property
    def app_version(self) -> str | None:
        """The name of the application version."""

    @property
    def registration(self) -> str | None:
        """The batch task that registered the endpoint."""

    @property
    def readable(self) -> bool:
        """Whether metadata and version can be read, so that the methods below show them."""

    def keys(self) -> list[str]:
        """Metadata keys in stored order; those that can be read."""

    def keys_text(self) -> bytes:
        """The same as a JSON array."""

    def metadata_text(self, keys: Collection[str] | None = None) -> bytes | None:
        """JSON object of these keys, as far as there are any, in stored order; None: of all.

        None when a value among them has no JSON form, or the metadata cannot be read.
        """

    def key_text(self, key: str) -> bytes | None:
        """JSON of one value; None when there is none, or it has no JSON form."""

    def app_version_text(self) -> bytes | None:
        """``{"name": …, "registeredDate": …}``; None without an application version."""

    def endpoint_text(self, *, with_metadata: bool) -> bytes:
        """JSON object of the endpoint as REST shows it; what is not stored, or unreadable, is left out."""
