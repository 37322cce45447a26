"""The engine and its two implementations: which one runs, and why.

``api`` is the contract, ``stats`` names what is counted, ``rust`` wraps the extension, ``pure`` needs none.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Literal, NamedTuple, TypeAlias

from kaa_epr.engine.api import Engine, EngineConfig
from kaa_epr.errors import KaaEprError

EngineName: TypeAlias = Literal["auto", "rust", "pure"]
"""The setting ``engine``."""

_log = logging.getLogger(__name__)


class EngineUnavailable(KaaEprError):
    """The engine that was asked for cannot run here."""

    def __init__(self, engine: str, reason: str) -> None:
        super().__init__(engine, reason)
        self.engine = engine
        self.reason = reason

    def message(self) -> str:
        """Which engine, why not, and what to do."""
        return f"engine {self.engine!r} is not available: {self.reason}; set engine to 'auto' or 'pure'"


class Choice(NamedTuple):
    """Which implementation is used."""

    name: Literal["rust", "pure"]
    reason: str | None
    """Why it is not the faster one although that was not ruled out; None when nothing was given up."""


def choose(engine: EngineName) -> Choice:
    """Decides which implementation ``engine`` means here. Raises EngineUnavailable."""
    if engine == "pure":
        return Choice("pure", None)
    try:
        import_module("kaa_epr._core")
    except ImportError as error:
        reason = f"the extension kaa_epr._core does not load ({error})"
        if engine == "rust":
            raise EngineUnavailable(engine, reason) from error
        return Choice("pure", reason)
    return Choice("rust", None)


def select(engine: EngineName, config: EngineConfig) -> Engine:
    """The engine to run; what is given up is logged as a warning. Raises EngineUnavailable."""
    choice = choose(engine)
    if choice.reason is not None:
        _log.warning("using the pure engine, which is slower: %s", choice.reason)
    if choice.name == "rust":
        from kaa_epr.engine.rust import RustEngine

        return RustEngine(config)
    from kaa_epr.engine.pure import PureEngine

    return PureEngine(config)
