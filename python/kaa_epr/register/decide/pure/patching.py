"""JSON Patch over raw metadata: values that it leaves alone keep their bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import bson

from kaa_epr.refusals import Invalid
from kaa_epr.register.decide.json_patch import Operation, apply_patch
from kaa_epr.register.decide.pure import raw
from kaa_epr.register.decide.pure.raw import RawValue
from kaa_epr.register.decide.values import DECODING


def patched(metadata: Mapping[str, RawValue], operations: Sequence[Operation]) -> dict[str, RawValue]:
    """Raises ``PatchConflict``, ``TooLarge`` or ``Invalid``."""
    plain = {key: bson.decode(value.bson, DECODING)[""] for key, value in metadata.items()}
    before = {key: bson.encode({"": value}) for key, value in plain.items()}
    made = apply_patch(plain, operations)
    if not isinstance(made, dict):
        raise Invalid("patch", "what it makes of the metadata is not an object")
    new: dict[str, RawValue] = {}
    for key, value in made.items():
        encoded = bson.encode({"": value})
        same = key in before and before[key] == encoded
        new[key] = metadata[key] if same else raw.of_bson(encoded)
    return new
