"""What a change does to metadata, as 15/EME tells it: keys added, removed and updated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kaa_epr.engine.pure.bson_check import Type
from kaa_epr.refusals import Invalid
from kaa_epr.register.decide.pure import raw
from kaa_epr.register.decide.pure.judge import NO_JSON
from kaa_epr.register.decide.pure.raw import RawValue

Text = str | None
"""JSON text of a value; None stands for JSON null."""


@dataclass(frozen=True, slots=True)
class MetadataDiff:
    """The three maps of 15/EME; a key is in one of them at most."""

    added: Mapping[str, Text] = field(default_factory=dict)
    removed: Mapping[str, Text] = field(default_factory=dict)
    updated: Mapping[str, tuple[Text, Text]] = field(default_factory=dict)
    """Key → (new, old)."""
    exact: bool = True
    """Whether all old texts are those that gets printed. A value without JSON form is told as null."""

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(self.added or self.removed or self.updated)

    def keys(self) -> list[str]:
        """Every key that is touched."""
        return [*self.added, *self.updated, *self.removed]


def diff(old: Mapping[str, RawValue], new: Mapping[str, RawValue]) -> MetadataDiff:
    """From ``old`` to ``new``. The order of keys is no difference; the JSON text of a value decides."""
    added: dict[str, Text] = {}
    updated: dict[str, tuple[Text, Text]] = {}
    exact = True
    for key, value in new.items():
        before = old.get(key)
        if before is None:
            added[key] = _new_text(key, value)
        elif before != value:
            before_text = raw.text(before)
            if before_text is None or before_text != raw.text(value):
                exact = exact and before_text is not None
                updated[key] = (_new_text(key, value), _told(before, before_text))
    removed: dict[str, Text] = {}
    for key, value in old.items():
        if key not in new:
            text = raw.text(value)
            exact = exact and text is not None
            removed[key] = _told(value, text)
    return MetadataDiff(added, removed, updated, exact)


def _new_text(key: str, value: RawValue) -> Text:
    text = raw.text(value)
    if text is None:
        raise Invalid(f"metadata.{key}", NO_JSON)
    return _told(value, text)


def _told(value: RawValue, text: Text) -> Text:
    return None if value.kind in (Type.NULL, Type.UNDEFINED) else text


def merged(
    old: Mapping[str, RawValue], new: Mapping[str, RawValue], difference: MetadataDiff
) -> dict[str, RawValue]:
    """``new`` in the order that is stored: keys of ``old`` keep their places, others follow.

    A value that is not changed stays the stored one, with its BSON type.
    """
    stays = {
        key: new[key] if key in difference.updated else value
        for key, value in old.items()
        if key not in difference.removed
    }
    return stays | {key: new[key] for key in difference.added}
