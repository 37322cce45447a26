"""Both intakes behind one name, and JSON texts of every kind: right ones, almost right ones, and noise."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import strategies as st

from kaa_epr.refusals import FieldRefusal
from kaa_epr.register.intake.api import Intake, JsonLimits, Value
from kaa_epr.register.intake.engines import PureIntake, RustIntake
from tests.property.support import needs_rust

INTAKES: Final[dict[str, type[PureIntake | RustIntake]]] = {"pure": PureIntake, "rust": RustIntake}
each_intake = pytest.mark.parametrize(
    "name", [pytest.param("pure", id="pure"), pytest.param("rust", id="rust", marks=needs_rust)]
)
"""Runs a test with the name of each intake, for ``intake``."""

NAMES = st.sampled_from(["a", "b", "", "é", "😀", "$ref", "$id", "items", "__iter__", "x" * 200]) | st.text(
    max_size=5
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.sampled_from([0, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, 2**63, -(2**63)])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=12) | st.dictionaries(NAMES, below, max_size=12)
)
TOKENS: Final = [
    *["{", "}", "[", "]", ",", ":", " ", "\n", "\t\r", "\ufeff", "é", "\\", "'a'", "/**/"],
    *["0", "-1", "-0", "-0.0", "1.5", "1e400", "-1e-400", "1E+5", "01", "1.", ".5", "-", "+"],
    *["12345678901234567890", "9" * 400, "true", "false", "null", "nul", "tru"],
    *["NaN", "Infinity", "-Infinity"],
    *['"a"', '"b"', '""', '"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\ud800\\ud800\\udc00"'],
    *['"\\udc00\\ud800"', '"\\u12"', '"\\ud800\\u12G4"', '"\\x"', '"open', '"\x01"', '"\\/\\b\\f\\n\\r\\t"'],
    *['"$ref"', '"$id"', '"items"'],
]
"""Parts of texts, some of them right."""
TEXTS: st.SearchStrategy[bytes] = st.one_of(
    st.builds(
        lambda value, ascii_only, blank: json.dumps(
            value, ensure_ascii=ascii_only, indent=1 if blank else None
        ).encode(),
        VALUES,
        st.booleans(),
        st.booleans(),
    ),
    st.lists(st.sampled_from(TOKENS)).map(lambda parts: "".join(parts).encode()),
    st.binary(max_size=30),
)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """A text, perhaps with a byte changed, taken out or put in, or cut off."""
    text = draw(TEXTS)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(text)))
        end = draw(st.sampled_from([at, at, at + 1, at + 1, len(text)]))
        put_in = st.binary(max_size=1) | st.sampled_from(TOKENS).map(str.encode)
        text = text[:at] + draw(put_in) + text[end:]
    return text


def intake(name: str) -> Intake:
    """The intake of this name."""
    return INTAKES[name]()


def verdict(name: str, text: bytes, limits: JsonLimits, **place: Any) -> Value | tuple[str, str, str]:
    """The value, or the refusal in a form that can be compared."""
    try:
        return intake(name).parse_json(text, "body", limits, **place)
    except FieldRefusal as refusal:
        return type(refusal).__name__, refusal.field, refusal.reason
