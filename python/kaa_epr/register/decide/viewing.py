"""Which implementation shows stored documents."""

from __future__ import annotations

from collections.abc import Callable

from kaa_epr.engine import EngineName, choose
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.decide.view import View


def view_of(engine: EngineName, rules: Rules) -> Callable[[bytes], View]:
    """Reads a document to be shown; it raises ``Unusable`` when nothing can be. Raises EngineUnavailable."""
    # Imported here: the extension may not be there.
    if choose(engine).name == "rust":
        from kaa_epr.register.decide.rust import RustPlanner

        return RustPlanner(rules).view
    from kaa_epr.register.decide.pure.planner import PurePlanner

    return PurePlanner(rules).view
