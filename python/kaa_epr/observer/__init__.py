"""Asks, from outside, whether answers are ever older than what events have told: ``kaa-epr observe``.

```
told.py      an event                       judging.py   event + answer + store → finding, no I/O
counts.py    what came of everything        check.py     one event: asks until the answer is fresh
asking.py    gets over NATS                 reading.py   majority reads of the primary, in batches
limits.py    how many events are checked    observer.py  puts it together; running.py: as a process
```
"""

from kaa_epr.observer.check import Policy
from kaa_epr.observer.counts import OBSERVER_TABLE, Counts
from kaa_epr.observer.observer import Observer, ObserverOptions

__all__ = ["OBSERVER_TABLE", "Counts", "Observer", "ObserverOptions", "Policy"]
