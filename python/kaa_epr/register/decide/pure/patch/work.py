"""What each step of a patch costs, and why a patch ends early; the numbers are those of the core."""

from __future__ import annotations

from typing import Final

from kaa_epr.refusals import Invalid, PatchConflict, Refusal, TooLarge

MAX_WORK: Final = 1024 * 1024
"""Units of one patch: some 100 ms."""
OPERATION: Final = 32
"""An operation, whatever it does."""
STEP: Final = 16
"""A step along a pointer."""
ELEMENT: Final = 8
"""An element of an array that is read out of bytes."""
MEMBER: Final = 16
"""The same of an object."""
CONTAINER: Final = 8
"""An array or object beside what it costs as an element, where it is read or copied."""
OPEN: Final = 32
"""An array or object that is copied and has changed inside."""
NODE: Final = 2
"""An element that was read before and is copied, or looked at."""
COMPARED: Final = 12
"""Two elements that were read before."""
WRITTEN: Final = 8
"""An element that is written, of an array or object that has changed inside."""
MOVED: Final = 4
"""Elements of an array that are moved by one place for a unit."""
BYTES: Final = 32
"""Bytes of names and strings that are read or compared for a unit."""


def of_moved(count: int) -> int:
    """Units for making or closing a gap in an array before so many elements."""
    return -(-count // MOVED)


class Halt(Exception):
    """An operation cannot be carried out."""


class Misfit(Halt):
    """The document is not as the operation needs it."""


class Wrong(Halt):
    """What it would make may not be stored."""


class Beyond(Halt):
    """It would make too much, or takes too much work."""


NO_LOCATION: Final = "no such location"
NO_ELEMENT: Final = "no such array element"
TOO_DEEP: Final = "nested too deeply"
NUL: Final = "a name holds a NUL character"


def refusal(halt: Halt, field: str, index: int = 0) -> Refusal:
    """Of what ``field`` names; ``index`` is that of the operation."""
    if isinstance(halt, Misfit):
        return PatchConflict(index, str(halt))
    return (TooLarge if isinstance(halt, Beyond) else Invalid)(field, str(halt))


class Meter:
    """Counts units up to a bound, before something is done."""

    __slots__ = ("left", "most")

    def __init__(self, most: int = MAX_WORK) -> None:
        self.left = self.most = most

    def reset(self) -> None:
        """For the next patch."""
        self.left = self.most

    def charge(self, units: int) -> None:
        """Raises ``Beyond``."""
        if units > self.left:
            self.exhaust()
        self.left -= units

    def exhaust(self) -> None:
        """Raises ``Beyond``."""
        self.left = 0
        raise Beyond(f"the patch takes more than {self.most} units of work")

    @property
    def spent(self) -> int:
        """Units so far."""
        return self.most - self.left
