"""The engine without the extension: fastavro, cachetools and bson behind the same contract.

Read in this order: ``engine`` (the four flows), ``park`` and ``coherence`` (who waits, what may be cached),
``checked`` and ``codec`` (Avro), ``bson_check``, ``entry`` and ``json_text`` (stored documents), ``answers``,
``frames`` and ``output`` (the way out).
"""

from kaa_epr.engine.pure.engine import PureEngine

__all__ = ["PureEngine"]
