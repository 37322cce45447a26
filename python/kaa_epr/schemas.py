"""Avro schemas of the messages, one `.avsc` per message and revision, as shipped in the wheel.

Names are paths below ``schemas/`` without the ending: ``epmmp/0019-endpoint-metadata-get-request.rev3``.
``schemas/README.md`` says which RFC and which revision each belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]
"""A record schema as its JSON says."""

_ENDING: Final = ".avsc"


def names() -> tuple[str, ...]:
    """Names of all schemas, sorted."""
    return tuple(sorted(_walk(_root(), "")))


def text(name: str) -> str:
    """The `.avsc` text of ``name``; KeyError when there is no such schema."""
    if name not in names():
        raise KeyError(name)
    return _root().joinpath(f"{name}{_ENDING}").read_text(encoding="utf-8")


def load(name: str) -> Schema:
    """The schema ``name`` as a dict of the caller's own; KeyError when there is no such schema."""
    schema: Schema = json.loads(text(name))
    return schema


def fingerprints() -> dict[str, dict[str, str]]:
    """Recorded fingerprints of the parsing canonical forms: name -> {algorithm: hexadecimal digest}.

    Algorithms are named as in the Avro specification: ``CRC-64-AVRO`` and ``SHA-256``.
    """
    recorded: dict[str, dict[str, str]] = json.loads(
        _root().joinpath("fingerprints.json").read_text(encoding="utf-8")
    )
    return recorded


@cache
def _root() -> Traversable:
    return files("kaa_epr").joinpath("_schemas")


def _walk(folder: Traversable, prefix: str) -> Iterator[str]:
    for item in folder.iterdir():
        if item.is_dir():
            yield from _walk(item, f"{prefix}{item.name}/")
        elif item.name.endswith(_ENDING):
            yield prefix + item.name.removesuffix(_ENDING)
