"""If-Match and If-None-Match as RFC 9110 has them, and bare tags."""

from __future__ import annotations

import pytest

from kaa_epr.refusals import PreconditionFailed
from kaa_epr.register.decide.preconditions import check


@pytest.mark.parametrize(
    ("header", "etag", "holds"),
    [
        ("*", '"7"', True),
        ("*", None, True),
        (' "7" ', '"7"', True),
        ("7", '"7"', True),
        ('"6", "7"', '"7"', True),
        ("6,7", '"7"', True),
        ('W/"7"', '"7"', False),
        ('"77"', '"7"', False),
        ('"7"', None, False),
        ("", '"7"', False),
    ],
)
def test_if_match(header: str, etag: str | None, holds: bool) -> None:
    if holds:
        check(header, None, etag, known=True)
    else:
        with pytest.raises(PreconditionFailed):
            check(header, None, etag, known=True)
    with pytest.raises(PreconditionFailed):
        check(header, None, etag, known=False)


@pytest.mark.parametrize(
    ("header", "etag", "matches"),
    [("*", '"7"', True), ('W/"7"', '"7"', True), ('"6",7', '"7"', True), ('"6"', '"7"', False)],
)
def test_if_none_match(header: str, etag: str, matches: bool) -> None:
    check(None, header, etag, known=False)
    if matches:
        with pytest.raises(PreconditionFailed):
            check(None, header, etag, known=True)
    else:
        check(None, header, etag, known=True)
