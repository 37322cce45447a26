"""One GET over HTTP(S) for a small document, by httpx; imported only where it is needed."""

from __future__ import annotations

import asyncio
import ssl
from http import HTTPStatus
from typing import Final

import httpx

from kaa_epr.errors import KaaEprError

_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}


class FetchFailed(KaaEprError):
    """The document could not be had."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def message(self) -> str:
        """Why; nothing of the URL, which may hold a password."""
        return self.reason


async def fetch(url: str, max_bytes: int, seconds: float) -> bytes:
    """The body of a 200, as sent; ``seconds`` for all of it. Raises ``FetchFailed``, TimeoutError or OSError.

    A redirect is not followed: it may lead to where nobody vouches for what is there. What the environment
    says of proxies and passwords is for others.
    """
    try:
        async with asyncio.timeout(seconds):
            # Read each time: certificates of authorities change while we run.
            context = await asyncio.to_thread(ssl.create_default_context)
            client = httpx.AsyncClient(
                verify=context, trust_env=False, follow_redirects=False, timeout=seconds
            )
            async with client, client.stream("GET", url, headers=_HEADERS) as answer:
                return await _body(answer, max_bytes)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchFailed(type(error).__name__) from None


async def _body(answer: httpx.Response, max_bytes: int) -> bytes:
    if answer.status_code != HTTPStatus.OK:
        raise FetchFailed(f"answered with status {answer.status_code}")
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchFailed("answered with a content encoding that was not asked for")
    data = bytearray()
    async for chunk in answer.aiter_raw():
        data += chunk
        if len(data) > max_bytes:
            raise FetchFailed(f"larger than {max_bytes} bytes")
    return bytes(data)
