"""Plain HTTP to servers of a test's own."""

from __future__ import annotations

import ssl
from typing import Final

import httpx

NOBODY: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody. Otherwise httpx reads the world's certificates for each client, which takes 30 ms."""


def plain_client(url: str | None, seconds: float = 5.0) -> httpx.AsyncClient:
    """A client of ``http://`` URLs, relative to ``url``; ``seconds``: what a step of a request may take."""
    assert url is not None, "the server listens"
    return httpx.AsyncClient(base_url=url, timeout=seconds, verify=NOBODY, trust_env=False)
