"""What a change does to metadata, as 15/EME tells it: keys added, removed and updated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kaa_epr.register.decide.values import event_text, same

Text = str | None
"""JSON text of a value; None stands for JSON null."""


@dataclass(frozen=True, slots=True)
class MetadataDiff:
    """The three maps of 15/EME; a key is in one of them at most."""

    added: Mapping[str, Text]
    removed: Mapping[str, Text]
    updated: Mapping[str, tuple[Text, Text]]
    """Key → (new, old)."""

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(self.added or self.removed or self.updated)

    def keys(self) -> set[str]:
        """Every key that is touched."""
        return {*self.added, *self.removed, *self.updated}


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> MetadataDiff:
    """From ``old`` to ``new``. The order of keys is no difference; the JSON text of a value decides."""
    added: dict[str, Text] = {}
    updated: dict[str, tuple[Text, Text]] = {}
    for key, value in new.items():
        if key not in old:
            added[key] = event_text(value)
        elif old[key] is not value and not same(old[key], value):
            updated[key] = (event_text(value), event_text(old[key]))
    removed = {key: event_text(value) for key, value in old.items() if key not in new}
    return MetadataDiff(added, removed, updated)


def merged(old: Mapping[str, Any], new: Mapping[str, Any], difference: MetadataDiff) -> dict[str, Any]:
    """``new`` in the order that is stored: keys of ``old`` keep their places, others follow.

    A value that is not changed stays the stored one, with its BSON type.
    """
    stays = {
        key: new[key] if key in difference.updated else value
        for key, value in old.items()
        if key not in difference.removed
    }
    return stays | {key: new[key] for key in difference.added}
