"""``If-Match`` and ``If-None-Match`` (RFC 9110, 13.1); 19/EPMMP's ``ifMatch`` is the first of them.

The eTag of an endpoint is its version in quotes. Bare tags are taken too, since 19/EPMMP does not say that
quotes belong to one.
"""

from __future__ import annotations

from collections.abc import Iterator

from kaa_epr.refusals import PreconditionFailed

_BLANKS = " \t"
"""Optional white space as HTTP has it (RFC 9110, 5.6.3)."""


def check(if_match: str | None, if_none_match: str | None, etag: str | None, *, known: bool) -> None:
    """Raises ``PreconditionFailed`` unless both hold for a resource that has ``etag``, if it is known."""
    if if_match is not None and not (known and strong_match(if_match, etag)):
        raise PreconditionFailed
    if if_none_match is not None and known and weak_match(if_none_match, etag):
        raise PreconditionFailed


def strong_match(header: str, etag: str | None) -> bool:
    """If-Match: a weak tag matches nothing."""
    if header.strip(_BLANKS) == "*":
        return True
    return etag is not None and any(not weak and tag == etag for weak, tag in _tags(header))


def weak_match(header: str, etag: str | None) -> bool:
    """If-None-Match: weak and strong tags are alike."""
    if header.strip(_BLANKS) == "*":
        return True
    return etag is not None and any(tag == etag for _, tag in _tags(header))


def _tags(header: str) -> Iterator[tuple[bool, str]]:
    """Each tag with whether it is weak. Our tags hold no commas, so none is torn apart that could match."""
    for part in header.split(","):
        text = part.strip(_BLANKS)
        weak = text.startswith("W/")
        tag = text.removeprefix("W/")
        yield weak, tag if tag.startswith('"') else f'"{tag}"'
