"""The verdict on a request's reply subject: who may only ask must not get us to publish what only others may.

The twin of ``rust/core/src/frame/reply.rs``, for whatever is answered without the core.
"""

from __future__ import annotations

import re
from typing import Final

MAX_REPLY_BYTES: Final = 1024
"""Those of client libraries have some 50. What we write in front of an answer stays far below the 4 KiB of a
control line that every server takes."""

_TOKEN: Final = rb"[^\x00-\x20\x7f.*>]+"
_SUBJECT: Final = re.compile(rb"%b(?:\.%b)*" % (_TOKEN, _TOKEN))
_KAA: Final = b"kaa."
_REPLICAS: Final = b"kaa.v1.replica."
"""Where the replicas of Kaa's services take answers (3/ISM, session affinity)."""
_GATEWAY: Final = b"_GR_."
_TOKENS_OF_GATEWAY: Final = 2
"""Behind ``_GR_``. A server puts all of that before the reply subject of a request out of another cluster,
and takes it off again when the answer comes by."""


def may_answer_to(reply: bytes | str) -> bool:
    """Whether an answer may go there.

    Not to what is longer than ``MAX_REPLY_BYTES``, not UTF-8, or has an empty token, a wildcard, white space
    or a control character; nor to subjects of servers (``$…``) or of Kaa (``kaa.…``) but for its replicas'.
    """
    try:
        subject = reply.encode() if isinstance(reply, str) else reply
        subject.decode()
    except UnicodeError:
        return False
    if len(subject) > MAX_REPLY_BYTES or _SUBJECT.fullmatch(subject) is None:
        return False
    return not _is_reserved(subject)


def _is_reserved(subject: bytes) -> bool:
    """Whether somebody listens there for something else than answers."""
    while subject.startswith(_GATEWAY):
        tokens = subject.split(b".", _TOKENS_OF_GATEWAY + 1)
        if len(tokens) <= _TOKENS_OF_GATEWAY + 1:
            return True
        subject = tokens[-1]
    return subject.startswith((b"$", _KAA)) and not subject.startswith(_REPLICAS)
