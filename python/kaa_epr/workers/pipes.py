"""Sending without waiting: neither side may hang because the other does not read."""

from __future__ import annotations

import select
from multiprocessing.connection import Connection
from typing import Any, Final

BEAT: Final = "beat"
"""What a worker sends to show that its loop turns."""


def send(pipe: Connection, message: Any) -> bool:
    """Sends ``message`` if there is room for it; whether there was. Raises OSError when nobody is there.

    A pipe has room only while most of its buffer is empty, and messages are much smaller than that.
    """
    poll = select.poll()
    poll.register(pipe.fileno(), select.POLLOUT)
    if not poll.poll(0):
        return False
    pipe.send(message)
    return True
