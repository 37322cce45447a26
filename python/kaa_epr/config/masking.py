"""Keeping credentials out of texts: settings dumps, error texts and logs."""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "***"

_USERINFO: Final = re.compile(r"://(?:(?!://)\S)*@")
"""From ``://`` to the last ``@`` before the next URL or blank. A password with a raw ``/`` or ``@`` in it
makes a wrong URL, yet must not be printed either; masking too much costs only a readable host."""


def mask_userinfo(text: str) -> str:
    """``text`` with ``user:password@`` of every URL in it replaced by ``***@``."""
    if "@" not in text:
        return text
    return _USERINFO.sub(f"://{MASK}@", text)
