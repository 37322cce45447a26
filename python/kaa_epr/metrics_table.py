"""The table of all metrics: what is collected, what the README shows, what the tests check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

Kind = Literal["counter", "gauge", "histogram"]
Source = Literal["engine", "link", "store", "witness", "own", "observer"]
"""Where a number is counted: the engine's ``stats()``, ``LinkStats``, ``StoreStats``, ``WitnessStats``,
``Metrics`` itself, or an observer's ``Counts``."""

BUILD_INFO: Final = "kaa_epr_build_info"
BUILD_INFO_HELP: Final = "Always 1; the labels say what runs."


class Row(NamedTuple):
    """One metric."""

    name: str
    """Without the suffix that counters get."""
    kind: Kind
    source: Source
    samples: Mapping[str, str]
    """Label value to name in the source; the label value is "" where there is no label. What is counted in
    milliseconds there has a name that ends in ``_ms``; it is exposed in seconds."""
    help: str
    label: str | None = None

    @property
    def exposed_name(self) -> str:
        """The name as queries write it."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


def _one(name: str, kind: Kind, source: Source, key: str, text: str) -> Row:
    return Row(f"kaa_epr_{name}", kind, source, {"": key}, text)


def _many(
    name: str, kind: Kind, label: str, samples: Mapping[str, str], text: str, source: Source = "engine"
) -> Row:
    return Row(f"kaa_epr_{name}", kind, source, samples, text, label)


TABLE: Final = (
    _one("requests", "counter", "engine", "requests", "Requests received that entries answer."),
    _many(
        "requests_by_type",
        "counter",
        "type",
        {"keys_get": "requests_keys_get", "app_versions": "requests_app_versions"},
        "Of the requests, those for metadata keys and for application versions; all others are gets.",
    ),
    _many(
        "refusals_by_type",
        "counter",
        "type",
        {"keys_get": "errors_keys_get", "app_versions": "errors_app_versions"},
        "Of the answers other than 200 and 404, those to such requests.",
    ),
    _many(
        "requests_dropped",
        "counter",
        "reason",
        {"no_reply": "requests_no_reply", "bad_reply": "requests_bad_reply", "expired": "requests_expired"},
        "Requests left without an answer: no reply subject, one that answers do not go to, or out of time.",
    ),
    _many(
        "answers",
        "counter",
        "status",
        {
            "200": "answers_200",
            "400": "answers_400",
            "404": "answers_404",
            "413": "answers_413",
            "500": "answers_500",
            "503": "answers_503",
        },
        "Answers by status code.",
    ),
    _one(
        "held_answers_dropped", "counter", "engine", "held_dropped", "Answers lost for want of a connection."
    ),
    _one("cache_hits", "counter", "engine", "hits", "Endpoints asked for and found in the cache."),
    _one(
        "cache_unknown_hits",
        "counter",
        "engine",
        "unknown_hits",
        "Endpoints asked for and known not to exist.",
    ),
    _one("cache_misses", "counter", "engine", "misses", "Endpoints asked for that had to be loaded."),
    _one(
        "cache_misses_joined", "counter", "engine", "joined", "Misses that joined a load asked for already."
    ),
    _one("cache_evictions", "counter", "engine", "evictions", "Entries dropped for want of room."),
    _one("cache_expirations", "counter", "engine", "expirations", "Entries dropped for their age."),
    _many(
        "cache_bytes",
        "gauge",
        "kind",
        {"known": "cache_bytes", "unknown": "unknown_bytes"},
        "Memory of cached entries.",
    ),
    _many(
        "cache_entries",
        "gauge",
        "kind",
        {"known": "cache_entries", "unknown": "unknown_entries"},
        "Cached entries.",
    ),
    _many(
        "invalidations",
        "counter",
        "kind",
        {
            "metadata_updated": "invalidations_metadata_updated",
            "registered": "invalidations_registered",
            "unregistered": "invalidations_unregistered",
            "appversion_updated": "invalidations_appversion_updated",
        },
        "Events that told of a change, by kind.",
    ),
    _one(
        "events_applied",
        "counter",
        "engine",
        "events_applied",
        "Events that changed a cached entry; every other one of a change drops the entry.",
    ),
    _one(
        "events_undecodable", "counter", "engine", "events_undecodable", "Events that could not be decoded."
    ),
    _many(
        "flushes",
        "counter",
        "cause",
        {
            "connection": "flushes_connection",
            "undecodable_event": "flushes_undecodable_event",
            "event_overflow": "flushes_event_overflow",
            "ears_lost": "flushes_ears_lost",
            "store_primary_changed": "flushes_store_primary_changed",
            "operator": "flushes_operator",
            "heartbeat": "flushes_heartbeat",
            "hole": "flushes_hole",
            "witness_lost": "flushes_witness_lost",
            "collection_ended": "flushes_collection_ended",
        },
        "Times the whole cache was dropped, by cause.",
    ),
    _one("coherent", "gauge", "engine", "coherent", "1 while gets may be answered from the cache."),
    _one("heartbeats", "counter", "engine", "heartbeats", "Heartbeats of writers heard."),
    _one(
        "heartbeats_malformed",
        "counter",
        "engine",
        "heartbeats_malformed",
        "Heartbeats that name no writer or number.",
    ),
    _one("events_foreign", "counter", "engine", "events_foreign", "Events without a version."),
    _one("events_late", "counter", "engine", "events_late", "Numbered messages heard twice or out of order."),
    _one("events_lost", "counter", "engine", "events_lost", "Events that are known to be missing."),
    _many(
        "writers",
        "gauge",
        "state",
        {"known": "writers", "silent": "writers_silent", "with_holes": "writers_with_holes"},
        "Writers of numbered events: all that are known, and of these who is silent or has lost events.",
    ),
    _many(
        "heartbeat_age_seconds",
        "gauge",
        "state",
        {
            "sound": "heartbeat_age_sound_ms",
            "silent": "heartbeat_age_silent_ms",
            "with_holes": "heartbeat_age_with_holes_ms",
        },
        "Time since the writer heard least lately of those in a state was heard; 0 when there is none.",
    ),
    _one(
        "floors", "gauge", "engine", "floors", "Endpoints whose loads must be of a certain version at least."
    ),
    _one("stale_loads", "counter", "engine", "stale_loads", "Loaded endpoints older than an event had told."),
    _many(
        "stale_entries",
        "counter",
        "certainty",
        {"suspected": "stale_suspected", "proven": "stale_proven"},
        "Entries dropped because the store had something newer: by the change stream, while their events may "
        "have been on the way; by the scrubber, when no event had come in time.",
    ),
    _one(
        "epoch",
        "gauge",
        "engine",
        "epoch",
        "Number of the cache's epoch; grows with connections and flushes.",
    ),
    _one("loads", "counter", "engine", "loads", "Loads begun."),
    _one("load_failures", "counter", "engine", "load_failures", "Loads that failed."),
    _one("loaded_endpoints", "counter", "engine", "loaded_endpoints", "Endpoints that loads returned."),
    _one("void_fills", "counter", "engine", "void_fills", "Loaded endpoints that were answered, not cached."),
    _one("unusable_documents", "counter", "engine", "unusable_documents", "Documents that cannot be served."),
    _one("load_batch_size", "histogram", "engine", "batch_sizes", "Endpoint IDs asked for in one load."),
    _one("load_seconds", "histogram", "own", "load_seconds", "Duration of a load."),
    _one("pending_gets", "gauge", "engine", "pending", "Gets waiting for loads."),
    _one("pending_bytes", "gauge", "engine", "pending_bytes", "Memory of gets waiting for loads."),
    _one("queued_flights", "gauge", "engine", "queued_flights", "Endpoints waiting to be asked for."),
    _one("running_loads", "gauge", "engine", "running_loads", "Loads in flight."),
    _one("held_bytes", "gauge", "engine", "held_bytes", "Memory of answers held while no connection is up."),
    _one("wait_seconds", "histogram", "engine", "wait_ms", "How long a get waited for its load."),
    _one(
        "chunk_seconds",
        "histogram",
        "own",
        "chunk_seconds",
        "Time from reading a chunk until its answers are written, counted once for each answer in it.",
    ),
    _one(
        "loop_delay_seconds",
        "histogram",
        "own",
        "loop_delay_seconds",
        "How late the event loop came to a timer: what answers and heartbeats may have waited.",
    ),
    _one(
        "loop_held_seconds",
        "histogram",
        "own",
        "loop_held_seconds",
        "Of each such delay, what this process computed meanwhile; the rest is for want of a processor.",
    ),
    _one("link_up", "gauge", "link", "up", "1 while connected to NATS."),
    _one("link_ears", "gauge", "link", "ears", "1 while every event subscription is confirmed."),
    _one("link_fast_path", "gauge", "link", "fast_path", "1 while the core reads the connection itself."),
    _one("link_connects", "counter", "link", "connects", "Connections to NATS established."),
    _one("link_disconnects", "counter", "link", "disconnects", "Connections to NATS lost."),
    _one("link_read_bytes", "counter", "link", "bytes_read", "Bytes read from NATS."),
    _one(
        "link_write_buffer_bytes", "gauge", "link", "write_buffer_bytes", "Bytes waiting to be sent to NATS."
    ),
    _many(
        "link_dropped_messages",
        "counter",
        "kind",
        {"request": "overflow_requests", "event": "overflow_events"},
        "Messages dropped because their callbacks did not keep up; an event's flushes the cache.",
        source="link",
    ),
    _one("store_up", "gauge", "store", "up", "1 while the store answers."),
    _one("store_trips", "counter", "store", "trips", "Times the store was declared down."),
    _one("store_probes", "counter", "store", "probes", "Times a store that was down was probed."),
    _one("store_abandoned_loads", "gauge", "store", "abandoned_loads", "Loads given up and not yet ended."),
    _many(
        "change_stream",
        "gauge",
        "state",
        {"off": "stream_off", "opening": "stream_opening", "open": "stream_open"},
        "1 for the state that the change stream is in; off: not asked for.",
        "witness",
    ),
    _one("change_stream_changes", "counter", "witness", "changes", "Changes that the change stream told of."),
    _one(
        "change_stream_resumes",
        "counter",
        "witness",
        "resumes",
        "Times the change stream went on where it had been interrupted.",
    ),
    _one(
        "change_stream_restarts",
        "counter",
        "witness",
        "restarts",
        "Times the change stream could not go on and began anew, the cache dropped.",
    ),
    _one(
        "change_stream_behind_seconds",
        "gauge",
        "witness",
        "behind_seconds",
        "Age of the last change by MongoDB's clock when it was told of; 0 when there was none.",
    ),
    _one(
        "change_stream_answer_age_seconds",
        "gauge",
        "witness",
        "answer_age_ms",
        "Time since MongoDB last answered the change stream, which it does about twice a second.",
    ),
    _many(
        "scrubbed_entries",
        "counter",
        "outcome",
        {
            "same": "scrub_same",
            "suspected": "scrub_suspected",
            "cleared": "scrub_cleared",
            "proven": "scrub_proven",
        },
        "Cached entries compared with the store: equal, different (and looked at again); of the latter, gone "
        "or right by then, or proven stale and dropped.",
        "witness",
    ),
)


class CountedRow(NamedTuple):
    """One metric whose number, or numbers by labels, is called ``key`` where it is counted."""

    name: str
    kind: Kind
    key: str
    help: str
    labels: tuple[str, ...] = ()

    @property
    def exposed_name(self) -> str:
        """The name as queries write it."""
        return f"{self.name}_total" if self.kind == "counter" else self.name

    @property
    def label(self) -> str:
        """For the table in the README."""
        return ", ".join(self.labels)


PROCESS_TABLE: Final[tuple[CountedRow, ...]] = (
    CountedRow(
        "kaa_epr_task_failures",
        "counter",
        "task_failures",
        "Times background work met an error that nobody expected; it begins anew.",
        ("task",),
    ),
    CountedRow(
        "kaa_epr_task_failing",
        "gauge",
        "task_failing",
        "1 for background work that met such an error and has not gone well since.",
        ("task",),
    ),
    CountedRow(
        "kaa_epr_workers",
        "gauge",
        "workers",
        "Workers of this one's parent: those that should run, and those that answer gets.",
        ("state",),
    ),
    CountedRow(
        "kaa_epr_worker_restarts",
        "counter",
        "worker_restarts",
        "Times that parent started a worker again, since it had ended or was silent.",
    ),
)
"""Of every process."""


def _register(kind: Kind, key: str, text: str, *labels: str) -> CountedRow:
    return CountedRow(f"kaa_epr_register_{key}", kind, key, text, labels)


REGISTER_TABLE: Final[tuple[CountedRow, ...]] = (
    _register(
        "counter",
        "changes",
        "Changes asked for, by what they do and what came of them: `changed`, `unchanged`, or a status code.",
        "operation",
        "outcome",
    ),
    _register("histogram", "change_seconds", "From taking a change to its answer."),
    _register("gauge", "pending_changes", "Changes under way."),
    _register("gauge", "pending_bytes", "Bytes of requests under way, over REST and NATS."),
    _register("counter", "document_writes", "Writes of endpoint documents that the majority has."),
    _register("counter", "events", "Events published by whoever wrote them."),
    _register("counter", "races", "Document writes made anew since somebody else changed the endpoint."),
    _register("gauge", "remembered_bytes", "Documents that are kept so that they need not be read."),
    _register(
        "counter", "outdated", "Changes planned anew since the kept document was not enough: it was read."
    ),
    _register("counter", "unpublished", "Document writes whose events were left to be published later."),
    _register("counter", "republished_events", "Events published later, or once more."),
    _register("counter", "claims_taken_over", "Outboxes of other replicas that were taken over."),
    _register("gauge", "outboxes", "Endpoints of the fleet whose events are not known to be published."),
    _register("gauge", "oldest_outbox_seconds", "Age of the oldest claim on one of these."),
    _register("counter", "unreadable_events", "Things in outboxes that were no events, and dropped."),
    _register("counter", "unusable", "Stored endpoints that a list could not show as a whole, each time."),
    _register(
        "counter",
        "tasks",
        "Batch registrations, by step: `accepted`, `taken`, `done`, `failed`, `unusable`.",
        "step",
    ),
    _register(
        "counter",
        "refused",
        "Refused for a limit: `pending_changes`, `pending_bytes`, `epmmp_requests`, `contention`, "
        "`connections`, `batch_tasks`, `lists`.",
        "limit",
    ),
    _register(
        "counter",
        "requests_dropped",
        "Requests over NATS for which nothing is done: no reply subject, one that answers do not go to, or "
        "out of time.",
        "reason",
    ),
    _register("counter", "auth_failures", "Requests without a token that holds, by reason.", "reason"),
    _register(
        "gauge", "token_keys", "Keys that tokens are checked with; skipped: of no use for that.", "state"
    ),
    _register(
        "histogram",
        "heartbeat_late_seconds",
        "How late heartbeats were. From a second on, responders empty their caches.",
    ),
    _register("gauge", "heartbeat_age_seconds", "Time since the last heartbeat; 0 before the first."),
    _register("counter", "heartbeats_not_sent", "Heartbeats left out for want of a connection."),
)
"""Only where the register runs."""


def markdown() -> str:
    """The table for the README."""
    build = f"| `{BUILD_INFO}` | gauge | version, engine, driver, python | {BUILD_INFO_HELP} |"
    return _markdown([build, *_lines(TABLE), *_lines(PROCESS_TABLE), *_lines(REGISTER_TABLE)])


def markdown_of(rows: Iterable[Row]) -> str:
    """Another table for the README."""
    return _markdown(_lines(rows))


def _lines(rows: Iterable[Row | CountedRow]) -> list[str]:
    return [f"| `{row.exposed_name}` | {row.kind} | {row.label or ''} | {row.help} |" for row in rows]


def _markdown(lines: Iterable[str]) -> str:
    return "\n".join(["| metric | type | label | meaning |", "|---|---|---|---|", *lines]) + "\n"
