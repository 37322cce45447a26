"""The two intakes: which one is used follows the setting ``engine``, as for gets."""

from __future__ import annotations

from typing import Final, NoReturn

from kaa_epr.engine import EngineName, choose
from kaa_epr.refusals import FieldRefusal, Invalid, TooLarge
from kaa_epr.register.intake import json_text
from kaa_epr.register.intake.api import Intake, JsonLimits, Value
from kaa_epr.register.intake.pure_value import PureValue

_REFUSALS: Final[dict[str, type[FieldRefusal]]] = {"invalid": Invalid, "too_large": TooLarge}


class PureIntake:
    """Python only."""

    def parse_json(
        self, text: bytes, field: str, limits: JsonLimits, *, prefix: str | None = None, envelope: int = 0
    ) -> Value:
        """See ``Intake``."""
        return json_text.parse_json(text, field, limits, prefix=prefix, envelope=envelope)

    def value_of(self, document: bytes) -> Value:
        """See ``Intake``."""
        return PureValue.of_document(document)


class RustIntake:
    """The core."""

    def __init__(self) -> None:
        from kaa_epr import _core

        self._core = _core

    def parse_json(
        self, text: bytes, field: str, limits: JsonLimits, *, prefix: str | None = None, envelope: int = 0
    ) -> Value:
        """See ``Intake``."""
        try:
            return self._core.parse_json(
                text,
                field,
                prefix=prefix,
                max_depth=limits.max_depth,
                max_values=limits.max_values,
                envelope=envelope,
            )
        except self._core.Fault as fault:
            _refuse(fault)

    def value_of(self, document: bytes) -> Value:
        """See ``Intake``."""
        return self._core.value_of(document)


def _refuse(fault: Exception) -> NoReturn:
    kind, field, reason = fault.args
    raise _REFUSALS[kind](field, reason) from None


def select_intake(engine: EngineName) -> Intake:
    """The intake that ``engine`` means here. Raises EngineUnavailable."""
    return RustIntake() if choose(engine).name == "rust" else PureIntake()
