"""Answering reads: loads for the engine (`loader.py`, `breaker.py`), the second witness, the subjects."""

from kaa_epr.responder.breaker import BreakerState
from kaa_epr.responder.loader import Loader

__all__ = ["BreakerState", "Loader"]
