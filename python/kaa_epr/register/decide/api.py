"""The planner: what commands make of stored documents. One contract, two implementations (rust, pure).

Raw documents and commands go in; statements for the store, events and answers come out. No I/O, no clock. For
any input both implementations give the same commands or refusals, the same statements and events to the byte,
and the same outcomes. Values of a document that no command touches are copied as they are stored, whatever
their type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, Protocol, TypeAlias

from kaa_epr.messages.outgoing import OutgoingEvent
from kaa_epr.mongo.conditional import Claim
from kaa_epr.refusals import Refusal
from kaa_epr.register.decide.view import View
from kaa_epr.register.intake.api import Value

MAX_OUTBOX_BYTES: Final = 4 * 1024 * 1024
"""Of events in one outbox; with the metadata they must stay below MongoDB's 16 MiB a document."""
ENDPOINT_WORK: Final = 4 * 1024 * 1024
"""Units of work (``Planned.work``) for one endpoint in one plan; then its further commands come next time."""


Items: TypeAlias = Sequence[tuple[str, Value]]
"""Metadata keys and their values; each key once."""


class Show(IntEnum):
    """What the answer to a command shows as JSON text; the numbers are shared with the core."""

    NOTHING = 0
    METADATA = 1
    """All metadata, as it is after the command."""
    KEY = 2
    """The value of the request's ``key``."""
    APP_VERSION = 3
    """``{"name": …, "registeredDate": …}``"""


class Command(Protocol):
    """What is asked of one endpoint. Made by the planner that will carry it out, and opaque but for this."""

    @property
    def kind(self) -> str:
        """One of ``KINDS``; for metrics."""

    @property
    def weight(self) -> int:
        """Bytes that it brings."""


KINDS: Final = (
    "register",
    "unregister",
    "set_app_version",
    "replace_metadata",
    "patch_metadata",
    "put_keys",
    "delete_key",
    "import",
)


class OnlyAt(NamedTuple):
    """How an endpoint was when a change was first tried whose outcome is not known."""

    version: int | None
    """None: there was no document, or one without version."""


class Request(NamedTuple):
    """A command with what came along."""

    command: Command
    correlation_id: str
    if_match: str | None = None
    """``If-Match`` (RFC 9110, 13.1.1): tags of versions; bare ones are taken too."""
    if_none_match: str | None = None
    key: str | None = None
    """The metadata key that is the resource, where it is not the whole endpoint."""
    show: Show = Show.NOTHING
    only_at: OnlyAt | None = None
    """Of a second try: where another version is stored, it may find its work done, but change nothing."""


class Work(NamedTuple):
    """The requests for one endpoint, in order, and what is stored."""

    endpoint_id: str
    document: bytes | None
    """Whole and raw; None: there is none."""
    requests: Sequence[Request]


class Author(NamedTuple):
    """What events say of where they come from."""

    replica_id: str
    wall_ms: int
    """Unix milliseconds: in events, and as the dates of what changes."""


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """Bounds of one call."""

    max_event_bytes: int
    """Of one event, as the connected NATS server takes them."""
    max_outbox: int = 64
    """Events that one write may put into an outbox."""
    work: int = 2**62
    """Units of work after which no further endpoint is begun."""


class Outcome(NamedTuple):
    """A command was carried out."""

    changed: bool
    version: int | None
    """Of the endpoint afterwards. None: nothing changed, and it has none."""
    created: bool = False
    text: bytes | None = None
    """JSON of what the request wanted to be shown; None: nothing, or the endpoint has no such thing."""

    @property
    def etag(self) -> str | None:
        """The version in quotes, as NATS and REST show it."""
        return None if self.version is None else f'"{self.version}"'


class Status(IntEnum):
    """What became of one endpoint's work; the numbers are shared with the core."""

    PLANNED = 0
    PENDING = 1
    """Its outbox holds events of an earlier change: nothing may follow yet, and no command was looked at."""
    UNUSABLE = 2
    """The document cannot even be repaired: all commands are refused."""


@dataclass(slots=True)
class Planned:
    """What is to be done for one endpoint. Without ``events`` there is nothing to be written."""

    status: Status
    outcomes: list[Outcome | Refusal]
    """Of the first requests, in order. Each holds once the write is done: a refusal, too, may be due to an
    earlier command of the same plan."""
    condition: bytes = b""
    """BSON: what the write's document must be like; see ``mongo.conditional``."""
    update: bytes = b""
    """BSON: operators."""
    events: Sequence[OutgoingEvent] = ()
    before: int | None = None
    """The version that is stored."""
    document: bytes | None = None
    """As it is stored after the write once the outbox is cleared; without a write, as given."""
    work: int = 0
    """Units: about a byte read or written."""


class Planner(Protocol):
    """Judges and plans under ``Rules`` that it was made with. Not bound to a thread or loop; keeps no state.

    Commands come from checked parts: keys and texts are UTF-8 without halves of surrogate pairs.
    """

    @property
    def name(self) -> str:
        """``rust`` or ``pure``."""

    @property
    def slice_work(self) -> int:
        """Units of work that take about a millisecond here."""

    # --- commands -------------------------------------------------------------------------------------------
    def register(
        self,
        application: str,
        application_version: str,
        endpoint_token: str,
        metadata: Items,
        task: str | None = None,
    ) -> Command:
        """Make the endpoint known. Its ID must be unknown, or a tombstone.

        ``task``: the batch task that asks for it; what this task registered before counts as done.
        """

    def unregister(self) -> Command:
        """Forget the endpoint; a tombstone stays. Works on documents that cannot be read, too."""

    def set_app_version(self, application: str, application_version: str) -> Command:
        """Move to another application version."""

    def replace_metadata(self, metadata: Items) -> Command:
        """All metadata at once. Repairs a document that cannot be read."""

    def patch_metadata(self, patch: Value) -> Command:
        """RFC 6902 over the metadata as one object. Raises ``Invalid`` for what no document makes valid."""

    def put_keys(self, values: Items) -> Command:
        """Set some keys, all or none of them."""

    def delete_key(self, key: str) -> Command:
        """Remove one key."""

    def import_endpoint(
        self,
        application: str | None,
        application_version: str | None,
        endpoint_token: str | None,
        metadata: Items,
    ) -> Command:
        """Make the endpoint as it is described, known or not; what is not described is unset.

        Repairs a document that cannot be read.
        """

    def check(self, command: Command) -> None:
        """What is wrong with a command by itself, whatever is stored. Raises ``Invalid`` or ``TooLarge``."""

    # --- plans ----------------------------------------------------------------------------------------------
    def plan(
        self, work: Sequence[Work], author: Author, claim: Claim | None, limits: PlanLimits
    ) -> list[Planned]:
        """The plans of the first of ``work``, one at least: as many as ``limits.work`` allows.

        ``claim``: whose the events are, or None: the write shall tell nobody of anything, has no outbox, and
        does not mind one that is there. A command that meets a bug is refused with ``InternalError``, and the
        others go on.
        """

    def view(self, document: bytes) -> View:
        """A stored document to be shown. Raises ``Unusable`` when nothing of it can be."""
