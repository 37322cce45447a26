"""Records of plain fields, coded by the core: most messages of a service that changes much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from kaa_epr import schemas

if TYPE_CHECKING:
    from kaa_epr import _core

_OPTIONAL_STRING: Final = ["null", "string"]


def flat_record(schema: str) -> _core.FlatRecord | None:
    """For the record whose schema is named as ``kaa_epr.schemas`` names it; None: it has other fields.

    What it does not decode, ``messages.avro`` does not decode either, and says why.
    """
    # Imported here: the extension may not be there.
    from kaa_epr import _core

    try:
        return _core.FlatRecord(_fields(schemas.load(schema)))
    except ValueError:
        return None


def _fields(schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    kinds = [(field["name"], field["type"]) for field in schema["fields"]]
    return [(name, "null|string" if kind == _OPTIONAL_STRING else str(kind)) for name, kind in kinds]
