"""JSON Patch for the planner in the core, which asks back for what a patch makes of metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kaa_epr import _core
from kaa_epr.log import get_logger
from kaa_epr.refusals import FieldRefusal, Invalid, PatchConflict, TooLarge
from kaa_epr.register.decide.json_patch import Operation, parse
from kaa_epr.register.decide.pure import raw
from kaa_epr.register.decide.pure.commands import raw_of
from kaa_epr.register.decide.pure.judge import Judge
from kaa_epr.register.decide.pure.patching import patched
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.intake.api import Value

_log = get_logger(__name__)

Wrapped = Sequence[tuple[str, bytes]]
"""Keys, and values as documents ``{"": value}``."""


class Applied:
    """One patch; called with the metadata of an endpoint."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self.operations = operations

    def __call__(self, metadata: Wrapped) -> Wrapped | tuple[Any, ...]:
        """The new metadata, or the kind and the parts of a refusal."""
        try:
            made = patched({key: raw.of_bson(value) for key, value in metadata}, self.operations)
        except PatchConflict as conflict:
            return ("patch_conflict", conflict.index, conflict.reason)
        except (Invalid, TooLarge) as refusal:
            return (_kind(refusal), refusal.field, refusal.reason)
        return [(key, value.bson) for key, value in made.items()]

    def met_a_bug(self, error: Exception) -> None:
        """The call raised what it should not."""
        _log.error("a patch met a bug", exc_info=error)


def _kind(refusal: FieldRefusal) -> str:
    return "too_large" if isinstance(refusal, TooLarge) else "invalid"


class Patches:
    """Makes commands of patches, and judges them."""

    def __init__(self, rules: Rules) -> None:
        self._judge = Judge(rules)

    def command(self, patch: Value) -> _core.Command:
        """Raises ``Invalid`` for what no document makes valid."""
        value = raw_of(patch)
        return _core.Planner.patch_metadata(len(value.data), Applied(parse(raw.python(value))))

    def check(self, command: _core.Command) -> None:
        """What is wrong with the values of a patch by themselves."""
        applied = command.patch
        if isinstance(applied, Applied):
            for index, operation in enumerate(applied.operations):
                self._judge.value(f"patch[{index}].value", raw.encoded(operation.value))
