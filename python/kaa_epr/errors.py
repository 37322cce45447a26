"""The one base class of everything kaa-epr raises on purpose.

A subclass takes its facts as arguments, stores them as attributes and writes its own text in ``message``.
Texts never hold metadata values or secrets: whoever stores a fact that may be secret stores it masked.
"""

from __future__ import annotations

from typing import Final

_MAX_SHOWN: Final = 120
"""Characters."""


def shown(path: str) -> str:
    """A path that fits into a line: names in it come from outside, may be long, and hold anything."""
    if not path.isprintable():
        path = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in path)
    return path if len(path) <= _MAX_SHOWN else path[:_MAX_SHOWN] + "…"


class KaaEprError(Exception):
    """Base of all errors of this package.

    Subclasses pass their facts on to ``super().__init__`` in the order of their own parameters, so that the
    error survives pickling (worker processes), and override ``message``.
    """

    def message(self) -> str:
        """One or several lines for people: what happened, to what, and what to do about it."""
        return super().__str__()

    def __str__(self) -> str:
        return self.message()
