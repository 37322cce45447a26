"""Changing endpoints (flow 4): bytes → command → decision → write with its events → events out → answer.

```
rest/ epmmp/   the interfaces: HTTP, and the writes of 19/EPMMP over NATS
intake/        from bytes to a bounded command, the same for all of them
decide/        pure: what commands make of a document, and which events tell of it
commit/        batches: read, decide, write, publish, answer
outbox/        events that are written: taken out when they are published, published after a crash
register.py    puts the parts together
```
"""
