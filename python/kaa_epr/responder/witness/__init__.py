"""The second witness (coherence rule 11): what MongoDB itself says of what is cached.

```
reader.py    follows the change stream and invalidates; optional
scrubber.py  compares a few random entries a second with the store
witness.py   both, as the service starts and stops them
```

Neither is needed for the rules of events to hold; both notice what events alone cannot show: writers that
publish nothing, and faults of the first witness.
"""

from kaa_epr.responder.witness.witness import Witness

__all__ = ["Witness"]
