"""The two planners: which one is used follows the setting ``engine``, as for gets."""

from __future__ import annotations

from kaa_epr.engine import EngineName, choose
from kaa_epr.register.decide.api import Planner
from kaa_epr.register.decide.rules import Rules


def select_planner(engine: EngineName, rules: Rules) -> Planner:
    """The planner that ``engine`` means here. Raises EngineUnavailable."""
    # Imported here: the extension may not be there.
    if choose(engine).name == "rust":
        from kaa_epr.register.decide.rust import RustPlanner

        return RustPlanner(rules)
    from kaa_epr.register.decide.pure.planner import PurePlanner

    return PurePlanner(rules)
