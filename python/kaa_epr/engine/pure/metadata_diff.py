"""Rule 12: the diff of a 15/EME metadata updated event, read whole and strictly, and carried out on texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from kaa_epr.engine.pure.checked import Reader
from kaa_epr.engine.pure.json_check import is_compact_json
from kaa_epr.errors import KaaEprError

_NULL: Final = "null"
T = TypeVar("T")


class DoesNotFit(KaaEprError):
    """A diff that is not exact against what it is to be carried out on; the text never repeats a value."""

    def message(self) -> str:
        """That it does not."""
        return "the diff does not fit"


@dataclass(frozen=True, slots=True)
class MetadataDiff:
    """JSON texts of values by key, in the order of the payload; a key is in one of the maps only."""

    app_version: str
    removed: Mapping[str, str]
    added: Mapping[str, str]
    updated: Mapping[str, tuple[str, str]]
    """New and old."""

    def carried_out(self, old: Mapping[str, str]) -> dict[str, str]:
        """``old`` (values by key) afterwards. Raises DoesNotFit."""
        touched = {**self.removed, **{key: before for key, (_, before) in self.updated.items()}}
        if any(old.get(key) != before for key, before in touched.items()) or self.added.keys() & old.keys():
            raise DoesNotFit
        new = {key: value for key, value in old.items() if key not in self.removed}
        new.update((key, value) for key, (value, _) in self.updated.items())
        return {**new, **self.added}


def decode_diff(payload: bytes) -> MetadataDiff:
    """Reads a metadata updated event to its last byte. Raises DecodeError or DoesNotFit."""
    reader = Reader(payload)
    reader.string()
    reader.long()
    reader.long()
    app_version = reader.string()
    reader.string()
    removed = list(_map(reader, _text))
    added = list(_map(reader, _text))
    updated = list(_map(reader, lambda reader: (_text(reader), _text(reader))))
    reader.string()
    reader.end()
    keys = [key for key, _ in (*removed, *added, *updated)]
    texts = [text for _, text in added] + [text for _, (text, _) in updated]
    if len(set(keys)) != len(keys) or not all(map(is_compact_json, texts)):
        raise DoesNotFit
    return MetadataDiff(app_version, dict(removed), dict(added), dict(updated))


def _map(reader: Reader, read_value: Callable[[Reader], T]) -> Iterable[tuple[str, T]]:
    while count := reader.block():
        for _ in range(count):
            yield reader.string(), read_value(reader)


def _text(reader: Reader) -> str:
    """The text of a ``["null", "string"]``: the schema has a null of its own for JSON null."""
    branch = reader.long()
    if branch == 0:
        return _NULL
    if branch != 1 or (text := reader.string()) == _NULL:
        raise DoesNotFit
    return text
