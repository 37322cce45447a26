"""Several workers of one queue group: processes, each with its own loop, cache and connections.

```
parent.py  starts them, passes on signals, ends when all have drained; answers nothing itself
place.py   one worker's place: starts a process in it, again after every end, ends one that is silent
child.py   the pipe to the parent, from the worker's side
```

Through the pipe go: to the worker settings, and what became of all; to the parent that gets are answered,
and a beat of the worker's loop. A worker that is silent for ``service.worker_silence`` is killed and started
again. One that cannot be started again is tried for ever, and health and metrics of the others say that it is
missing. A worker whose parent is gone drains and ends too, since the pipe between them closes.
"""

from kaa_epr.workers.parent import run_workers

__all__ = ["run_workers"]
