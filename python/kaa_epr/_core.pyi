"""The extension: what ``rust/py`` exposes of ``rust/core``; stubtest checks it against the built module."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Literal, Self, final

from kaa_epr.engine.api import EngineConfig, Evidence, FeedResult, FlushCause, Kind
from kaa_epr.register.decide.api import Items, Work
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.intake.api import Value as IntakeValue
from kaa_epr.register.intake.api import ValueKind

__all__ = [
    "Command",
    "Engine",
    "Fault",
    "Filter",
    "FilterError",
    "FilterSet",
    "FlatRecord",
    "Planner",
    "Reader",
    "Value",
    "View",
    "__version__",
    "build_profile",
    "parse_json",
    "value_of",
]

__version__: Final[str]
build_profile: Final[str]

@final
class Engine:
    """``FastEngine`` of ``engine/api.py``, where the contract is written. Raises ValueError for what its
    caller should know better (an unknown load, kind or cause); usable on the thread that made it only."""

    def __new__(cls, settings: EngineConfig) -> Engine: ...
    @property
    def name(self) -> str: ...
    def bind(self, sid: int, kind: Kind) -> None: ...
    def unbind(self, sid: int) -> None: ...
    def reset_scanner(self) -> None: ...
    def reader(self, took: Callable[[FeedResult, float], None], mono_ns: int) -> Reader: ...
    def resume(self, wall_ms: int, mono_ms: int) -> FeedResult: ...
    def link_up(
        self, *, max_payload: int, headers: bool, cluster: bool, wall_ms: int, mono_ms: int
    ) -> bytes: ...
    def ears(self, hearing: bool, mono_ms: int) -> None: ...
    def link_down(self) -> None: ...
    def get(
        self,
        reply: str,
        headers: bytes,
        payload: bytes,
        *,
        kind: Kind | Literal[0] = 0,  # Kind.GET: the default of compiled code is a plain number
        fresh: bool,
        wall_ms: int,
        mono_ms: int,
    ) -> bool: ...
    def event(self, kind: Kind, headers: bytes, payload: bytes, mono_ms: int) -> None: ...
    def take_output(self) -> bytes: ...
    def begin_load(self, max_ids: int, mono_ms: int) -> tuple[int, list[str]] | None: ...
    def end_load(self, load: int, batches: Sequence[bytes], *, wall_ms: int, mono_ms: int) -> list[str]: ...
    def fail_load(self, load: int, *, wall_ms: int, mono_ms: int) -> None: ...
    def store_up(self, up: bool, *, wall_ms: int, mono_ms: int) -> None: ...
    def tick(self, *, wall_ms: int, mono_ms: int) -> None: ...
    def flush(self, cause: FlushCause) -> None: ...
    def invalidate(
        self, endpoint_id: str, version: int | None, evidence: Evidence, *, mono_ms: int
    ) -> bool: ...
    def sample(self, count: int, at: int) -> list[tuple[str, int | None]]: ...
    def cached(self, ids: Sequence[str]) -> list[tuple[str, int | None]]: ...
    def fingerprints(self, ids: Sequence[str]) -> list[tuple[str, int]]: ...
    def fingerprints_of(self, batches: Sequence[bytes]) -> list[tuple[str, int | None, int]]: ...
    def pending(self) -> int: ...
    def queued(self) -> int: ...
    def stats(self) -> dict[str, int | list[int]]: ...
    def take_bugs(self) -> list[str]: ...

@final
class Reader:
    """``Reader`` of ``engine/api.py``, made by ``Engine.reader``. Usable on the engine's thread only."""

    @property
    def bytes_read(self) -> int: ...
    def feed(self, data: bytes) -> None: ...
    def close(self) -> None: ...

class Fault(Exception):
    """What is wrong with something that a client sent. ``args``: the kind of refusal (``invalid`` or
    ``too_large``), the field or the path to the value at fault, its end perhaps cut off, and the reason."""

@final
class Value:
    """``Value`` of ``register/intake/api.py``, where the contract is written. Usable on any thread."""

    @property
    def kind(self) -> ValueKind: ...
    @property
    def bson(self) -> bytes: ...
    @property
    def size(self) -> int: ...
    @property
    def count(self) -> int: ...
    def python(self) -> Any: ...
    def text(self) -> str: ...
    def items(self) -> list[tuple[str, Value]]: ...
    def get(self, name: str) -> Value | None: ...
    def elements(self) -> list[Value]: ...

def parse_json(
    text: bytes,
    field: str,
    *,
    prefix: str | None = None,
    max_depth: int,
    max_values: int,
    envelope: int = 0,
) -> Value:
    """``Intake.parse_json`` of ``register/intake/api.py``; raises ``Fault`` in place of refusals.

    A long text is read without holding the interpreter's lock.
    """

def value_of(document: bytes) -> Value:
    """The value of a BSON document's first element. Raises ValueError for what is no BSON, or empty."""

@final
class Command:
    """``Command`` of ``register/decide/api.py``. Immutable."""

    @property
    def kind(self) -> str: ...
    @property
    def weight(self) -> int: ...

@final
class View:
    """``View`` of ``register/decide/view.py``. Immutable; ValueError for what cannot be taken apart."""

    def __new__(cls, document: bytes) -> Self: ...
    @property
    def problem(self) -> str | None: ...
    @property
    def endpoint_id(self) -> str | None: ...
    @property
    def known(self) -> bool: ...
    @property
    def readable(self) -> bool: ...
    @property
    def version(self) -> int | None: ...
    @property
    def etag(self) -> str | None: ...
    @property
    def application(self) -> str | None: ...
    @property
    def app_version(self) -> str | None: ...
    @property
    def registration(self) -> str | None: ...
    def keys(self) -> list[str]: ...
    def keys_text(self) -> bytes: ...
    def metadata_text(self, keys: Collection[str] | None = None) -> bytes | None: ...
    def key_text(self, key: str) -> bytes | None: ...
    def app_version_text(self) -> bytes | None: ...
    def endpoint_text(self, *, with_metadata: bool) -> bytes: ...

@final
class FlatRecord:
    """Avro records of plain fields. Immutable.

    ``fields``: names, and kinds ``bytes``, ``int``, ``long``, ``string``, ``null|string``; else ValueError.
    """

    def __new__(cls, fields: Sequence[tuple[str, str]]) -> Self: ...
    def decode(self, data: bytes) -> dict[str, Any] | None:
        """The fields by name; None when ``data`` is no such record, whole and nothing else."""

    def encode(self, record: dict[str, Any]) -> bytes:
        """KeyError for a missing field; TypeError, OverflowError, ValueError for one that does not fit."""

@final
class Planner:
    """What ``register/decide/rust.py`` makes the ``Planner`` of ``register/decide/api.py`` of.

    Keeps no state. A refusal is a tuple of its kind and what it is made of.
    """

    def __new__(cls, limits: Rules, hash_seed: int) -> Self: ...
    @staticmethod
    def register(
        application: str,
        application_version: str,
        endpoint_token: str,
        metadata: Items,
        task: str | None = None,
    ) -> Command: ...
    @staticmethod
    def unregister() -> Command: ...
    @staticmethod
    def set_app_version(application: str, application_version: str) -> Command: ...
    @staticmethod
    def replace_metadata(metadata: Items) -> Command: ...
    @staticmethod
    def put_keys(items: Items) -> Command: ...
    @staticmethod
    def patch_metadata(patch: IntakeValue) -> Command:
        """Raises ``Fault`` for what no document makes valid."""
    @staticmethod
    def delete_key(key: str) -> Command: ...
    @staticmethod
    def import_endpoint(
        application: str | None,
        application_version: str | None,
        endpoint_token: str | None,
        metadata: Items,
    ) -> Command: ...
    def check(self, command: Command) -> tuple[str, ...] | None: ...
    def plan(
        self,
        work: Sequence[Work],
        *,
        replica_id: str,
        wall_ms: int,
        claim: tuple[str, str] | None,
        max_event_bytes: int,
        max_outbox: int,
        max_work: int,
    ) -> list[tuple[Any, ...]]:
        """For each endpoint: number of the status, outcomes, condition, update, events, version before,
        document, work.

        An outcome is ``(changed, version, created, text)`` or a refusal; an event is ``(kind, version,
        payload, base)``.
        """

class FilterError(ValueError):
    """A query that is no filter. Its text has ``place`` and ``reason`` in it, and no value of the query."""

    place: str
    """The names that lead to what is wrong, with dots between them; empty for the query itself."""
    reason: str

@final
class Filter:
    """A query of MongoDB over ``metadata``, ``application_version`` and ``_id`` of endpoints, compiled.

    The verdict is that of mongod's ``find``; ARCHITECTURE.md, "Filters", says what the language has.
    ``query`` and documents are raw BSON. The limits are those of ``rust/core/src/limits.rs`` and can only be
    lowered: bytes of the query, levels of documents and lists in it, conditions, elements of one list, bytes
    of one regular expression. Raises FilterError for a query that is not accepted. Usable on any thread.
    """

    def __new__(
        cls,
        query: bytes,
        *,
        max_bytes: int | None = None,
        max_depth: int | None = None,
        max_conditions: int | None = None,
        max_list: int | None = None,
        max_pattern: int | None = None,
    ) -> Filter: ...
    def matches(self, document: bytes) -> bool:
        """Raises ValueError if what was read of the document is not BSON; so do the other methods."""
    def explain(self, document: bytes) -> tuple[bool, list[tuple[str, bool, str | None, bytes | None]]]:
        """The verdict and the conditions that decided: place in the query, whether it held, path of the value
        that it looked at last, and that value as the field ``value`` of a BSON document. A condition below
        ``$not`` or ``$nor`` is still itself."""
    @property
    def keys(self) -> list[str] | None:
        """Keys of the metadata that the verdict depends on; None if it depends on all of the metadata."""
    @property
    def application_version(self) -> bool:
        """Whether the verdict depends on the application version."""

@final
class FilterSet:
    """Filters of an application, known by their positions in ``filters``. Lists of positions are in order."""

    def __new__(cls, filters: Sequence[Filter]) -> FilterSet: ...
    def __len__(self) -> int: ...
    def matching(self, document: bytes) -> list[int]:
        """Those that match. Only those are evaluated whose required key, value or version is there."""
    def verdicts(self, document: bytes) -> bytes:
        """All verdicts, every filter evaluated: bit ``position % 8`` of byte ``position // 8``."""
    def affected(self, keys: Sequence[str], application_version: bool) -> list[int]:
        """Those whose verdict can be altered by a change of these keys of the metadata, and of the
        application version if that was changed too. A superset, for documents that the register wrote."""
    def changes(
        self, old: bytes | None, new: bytes | None, keys: Sequence[str], application_version: bool
    ) -> tuple[list[int], list[int]]:
        """Those that match ``new`` and not ``old``, and the other way round. None is a document that is not
        there and matches nothing. ``keys`` and ``application_version`` are what differs between the two."""
