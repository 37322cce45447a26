"""Numbers close to the middle of two doubles: both intakes find the nearest double, as Python does."""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from kaa_epr.register.intake.api import JsonLimits
from tests.property.intakes import each_intake, verdict


def middle(mantissa: int, exponent: int, digits: int, up: int) -> str:
    """About so many digits of the middle of ``mantissa * 2**exponent`` and the next double."""
    value = Fraction(2 * mantissa + 1) * Fraction(2) ** (exponent - 1)
    power = len(str(value.numerator)) - len(str(value.denominator))
    return f"{int(value * Fraction(10) ** (digits - power)) + up}e{power - digits}"


MIDDLES = st.builds(
    middle,
    st.integers(0, 2**52 - 1) | st.integers(2**52, 2**53 - 1),
    st.integers(-1074, 971) | st.sampled_from([-1074, -1073, 970, 971]),
    st.sampled_from([17, 18, 19, 20, 21, 40, 100, 765, 768, 799, 800, 801, 1000]),
    st.sampled_from([-1, 0, 0, 1]),
)


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """A middle, perhaps with a point somewhere and zeros where they do not matter."""
    digits, _, exponent = draw(MIDDLES).partition("e")
    if draw(st.booleans()):
        at = draw(st.integers(1, len(digits)))
        exponent = str(int(exponent) + len(digits) - at)
        digits = f"{digits[:at]}.{digits[at:]}" + "0" * draw(st.sampled_from([1, 20, 900]))
        digits = digits.lstrip("0") if digits[1] != "." and digits.lstrip("0")[0] != "." else digits
    return f"{draw(st.sampled_from(['', '-']))}{digits}{draw(st.sampled_from('eE'))}{exponent}"


@each_intake
@given(st.data())
def test_the_nearest_double_is_found(name: str, data: st.DataObject) -> None:
    text = data.draw(numbers())
    nearest = float(text)
    value = verdict(name, text.encode(), JsonLimits())
    if math.isinf(nearest):
        assert value == ("Invalid", "body", "a number is beyond the range of a double")
    else:
        assert not isinstance(value, tuple)
        read = value.python()
        assert (read, math.copysign(1, read)) == (nearest, math.copysign(1, nearest))
