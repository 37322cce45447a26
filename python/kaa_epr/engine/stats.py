"""Names of the engines' counters and gauges, shared by both engines and by the metrics."""

from __future__ import annotations

from typing import Final

COUNTERS: Final = (
    "hits",  # endpoints asked for, each of several on its own
    "misses",
    "unknown_hits",
    "joined",  # misses that joined a flight
    "loads",
    "load_failures",
    "loaded_endpoints",
    "void_fills",  # loaded, answered, not cached
    "evictions",
    "expirations",  # entries beyond cache.max_age
    "invalidations_metadata_updated",
    "invalidations_registered",
    "invalidations_unregistered",
    "invalidations_appversion_updated",
    "events_applied",  # that changed an entry instead of dropping it (rule 12)
    "events_undecodable",
    "flushes_connection",
    "flushes_undecodable_event",
    "flushes_event_overflow",
    "flushes_ears_lost",
    "flushes_store_primary_changed",
    "flushes_operator",
    "flushes_heartbeat",
    "flushes_hole",
    "flushes_witness_lost",
    "flushes_collection_ended",
    "heartbeats",
    "heartbeats_malformed",  # that name no writer or number
    "events_foreign",  # without a version
    "events_late",  # numbered, and heard before or overtaken
    "events_lost",  # whose numbers are missing
    "stale_loads",  # older than an event had told
    "stale_suspected",  # entries older than the change stream told; their events may be on the way
    "stale_proven",  # entries older than the store that no event had dropped, found by the scrubber
    "requests",  # of all kinds
    "requests_keys_get",
    "requests_app_versions",
    "requests_no_reply",
    "requests_bad_reply",  # to a subject that no answers go to
    "requests_expired",
    "answers_200",
    "answers_400",
    "answers_404",
    "answers_413",
    "answers_500",
    "answers_503",
    "errors_keys_get",  # answers other than 200 and 404, counted by their status as well
    "errors_app_versions",
    "held_dropped",  # answers held while no connection was up, not sent
    "unusable_documents",
)

GAUGES: Final = (
    "cache_bytes",
    "cache_entries",
    "unknown_bytes",
    "unknown_entries",
    "pending",
    "pending_bytes",
    "queued_flights",
    "running_loads",
    "held_bytes",
    "epoch",
    "coherent",  # 1 while entries may be served from the cache
    "floors",
    "writers",
    "writers_silent",
    "writers_with_holes",
    "heartbeat_age_sound_ms",  # of the writer heard least lately among those in each state
    "heartbeat_age_silent_ms",
    "heartbeat_age_with_holes_ms",
)

BATCH_SIZE_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Upper bounds of ``stats()["batch_sizes"]``, a list of len + 1 counts (the last: larger)."""

WAIT_MS_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Upper bounds in milliseconds of ``stats()["wait_ms"]``: how long a parked get waited for its answer."""
