"""The interface between server and applications: ASGI 3, HTTP only.

https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
"""The next piece of the body. Ours also raises a ``Refusal``: the application answers it, as any other."""
Send: TypeAlias = Callable[[Message], Awaitable[None]]
"""Ours raises ``ClientGone`` when nobody is there any more, and waits where the client reads slowly."""
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
"""What is served."""
END_WITH_CLIENT: Final = "kaa_epr.end_with_client"
"""Extension of ours, a function: what the application does for this request may be cancelled as soon as the
connection is lost. Once an answer has begun that is so anyway."""
Headers: TypeAlias = list[tuple[bytes, bytes]]
"""Names in lower case, in the order of the wire."""


class ClientGone(OSError):
    """The connection ended before the answer did."""
