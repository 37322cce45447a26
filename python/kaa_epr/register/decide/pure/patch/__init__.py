"""JSON Patch (RFC 6902) over metadata as they are stored: all of a patch, or nothing.

``rust/core/src/change/patch/`` is the same in the core: same verdicts, same bytes, same units of work.
"""

from kaa_epr.register.decide.pure.patch.apply import patched
from kaa_epr.register.decide.pure.patch.operations import Operation, parse
from kaa_epr.register.decide.pure.patch.work import Meter

__all__ = ["Meter", "Operation", "parse", "patched"]
