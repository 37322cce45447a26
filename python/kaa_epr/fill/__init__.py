"""Filling the cache: takes loads from the engine, asks the store, gives the raw documents back.

`loader.py` drives, `breaker.py` decides when a failing store is left alone.
"""

from kaa_epr.fill.breaker import BreakerState
from kaa_epr.fill.loader import Loader

__all__ = ["BreakerState", "Loader"]
