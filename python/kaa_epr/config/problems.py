"""What is wrong with a configuration, and the error that says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from kaa_epr.config.masking import MASK, mask_userinfo
from kaa_epr.errors import KaaEprError

_SHOWN: Final = 80
"""Characters of a wrong value that an error text shows."""


class Entry(NamedTuple):
    """One value that some source gives for one key."""

    path: tuple[str, ...]
    value: Any
    origin: str
    """Where it was said: ``epr.yaml, line 3``, ``environment variable X``, ``flag x``."""

    @property
    def key(self) -> str:
        """The path as people write it."""
        return ".".join(self.path)


class Problem(NamedTuple):
    """One thing that is wrong with a configuration."""

    key: str | None
    """Dotted key, or None where the whole file is meant."""
    shown: str | None
    """The value, fit to be printed, or None where it may be secret or does not matter."""
    origin: str | None
    """Where the value was said; None: nowhere, it is a default or missing."""
    wrong: str
    """What was expected instead."""

    def __str__(self) -> str:
        subject = self.key or "configuration"
        if self.shown is not None:
            subject = f"{subject} = {self.shown}"
        where = f" ({self.origin})" if self.origin else ""
        return f"{subject}{where}: {self.wrong}"


class ConfigError(KaaEprError):
    """A configuration that is refused, with everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def message(self) -> str:
        """A heading and one line for each problem."""
        count = len(self.problems)
        head = "The configuration is refused:" if count == 1 else f"The configuration has {count} problems:"
        return "\n".join([head, *(f"  {problem}" for problem in self.problems)])


def show(value: Any, *, secret: bool) -> str:
    """``value`` as an error text may show it: secrets masked, long ones cut, line breaks escaped."""
    if secret:
        return MASK
    text = mask_userinfo(value if isinstance(value, str) else repr(value))
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return repr(shown) if isinstance(value, str) else shown
