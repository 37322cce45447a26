"""Numbers of more than 19 digits: reading one takes long if it is close to the middle of two doubles."""

from __future__ import annotations

import re
from typing import Final

_PARTS: Final = re.compile(rb"(-?)([0-9]++)(?:\.([0-9]++))?(?:[eE]([+-]?)([0-9]++))?")
_LEADING_DIGITS: Final = 19
_MAX_EXPONENT: Final = 1 << 40
_EXPONENT_DIGITS: Final = 13
"""Of an exponent that is not certainly beyond the one above."""
_ENOUGH_DIGITS: Final = 800
"""No middle of two doubles has more; of what follows it only matters whether it is zero."""


def decided(text: bytes) -> float | None:
    """The double nearest to a JSON number, unless its first 19 digits leave two to choose from."""
    if len(text) <= _LEADING_DIGITS:
        return float(text)
    sign, digits, exponent = _split(text)
    if len(digits) <= _LEADING_DIGITS:
        # Python has no bound on the exponent, but takes its time for the zeros before the digits.
        return float(b"%b%be%d" % (sign, digits or b"0", exponent))
    leading = int(digits[:_LEADING_DIGITS])
    exponent += len(digits) - _LEADING_DIGITS
    least, most = float(f"{leading}e{exponent}"), float(f"{leading + 1}e{exponent}")
    if least != most:
        return None
    return -least if sign else least


def shortened(text: bytes) -> bytes:
    """A number of not many more digits for which the same double is nearest."""
    sign, digits, exponent = _split(text)
    if len(digits) <= _ENOUGH_DIGITS:
        return text
    more = b"1" if digits[_ENOUGH_DIGITS:].strip(b"0") else b"0"
    exponent += len(digits) - _ENOUGH_DIGITS - 1
    return b"%b%b%be%d" % (sign, digits[:_ENOUGH_DIGITS], more, exponent)


def _split(text: bytes) -> tuple[bytes, bytes, int]:
    """Sign, all digits behind the zeros in front, and the exponent if they are an integer."""
    match = _PARTS.fullmatch(text)
    assert match is not None, "the grammar is checked"
    sign, whole, fraction, exponent_sign, exponent_digits = match.groups(b"")
    digits = (whole + fraction).lstrip(b"0")
    exponent_digits = exponent_digits.lstrip(b"0") or b"0"
    exponent = _MAX_EXPONENT
    if len(exponent_digits) <= _EXPONENT_DIGITS:
        exponent = min(int(exponent_digits), _MAX_EXPONENT)
    return sign, digits, (-exponent if exponent_sign == b"-" else exponent) - len(fraction)
