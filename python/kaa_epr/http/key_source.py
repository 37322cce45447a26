"""Where the keys of tokens come from: a file, or a server that is asked within one time for all of it."""

from __future__ import annotations

import asyncio
import stat
from importlib import import_module
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from kaa_epr.errors import KaaEprError

FETCH_SECONDS: Final = 5.0
"""From looking up the name to the last byte."""
MAX_BYTES: Final = 1024 * 1024


class KeysUnreadable(KaaEprError):
    """There are no keys to be had now."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def message(self) -> str:
        """Why; nothing of the URL, which may hold a password."""
        return self.reason


def prepare(source: str) -> None:
    """Loads what ``read`` needs, so that the loop need not wait for that later."""
    if _is_url(source):
        import_module("kaa_epr.http.fetching")


async def read(source: str) -> bytes:
    """What is at a URL or in a file. Raises ``KeysUnreadable``."""
    try:
        return await (_fetched(source) if _is_url(source) else asyncio.to_thread(_read_file, source))
    except TimeoutError:
        raise KeysUnreadable(f"not read within {FETCH_SECONDS:g} s") from None
    except OSError as error:
        raise KeysUnreadable(error.strerror or type(error).__name__) from None


def _is_url(source: str) -> bool:
    return urlsplit(source).scheme.lower() in ("http", "https")


async def _fetched(url: str) -> bytes:
    # A third of a second at first, which most processes have no use for.
    from kaa_epr.http.fetching import FetchFailed, fetch

    try:
        return await fetch(url, MAX_BYTES, FETCH_SECONDS)
    except FetchFailed as error:
        raise KeysUnreadable(error.reason) from None


def _read_file(name: str) -> bytes:
    path = Path(name).expanduser()
    if not stat.S_ISREG(path.stat().st_mode):
        raise KeysUnreadable("not a file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise KeysUnreadable(f"larger than {MAX_BYTES} bytes")
    return data
