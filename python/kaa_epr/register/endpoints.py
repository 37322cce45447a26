"""What REST and 19/EPMMP have in common: commands with names and values checked, and reads of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from kaa_epr.mongo.errors import StoreError
from kaa_epr.mongo.raw_documents import by_id
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.refusals import EndpointUnknown, Invalid, Refusal, Stored, Unavailable, store_unavailable
from kaa_epr.register.commit.pipeline import Pipeline
from kaa_epr.register.decide.json_patch import parse
from kaa_epr.register.decide.planning import OnlyAt, Outcome
from kaa_epr.register.decide.preconditions import NONE, Preconditions
from kaa_epr.register.decide.state import EndpointState, decode_state
from kaa_epr.register.intake.applications import Applications
from kaa_epr.register.intake.commands import Command, PatchMetadata, PutKeys
from kaa_epr.register.intake.reading import Reading
from kaa_epr.slices import Slice

MAX_COMMANDS: Final = 1000
"""Of one key batch update."""


class Endpoints:
    """The endpoints, to be read and changed."""

    def __init__(
        self, store: RegisterStore, pipeline: Pipeline, applications: Applications, seconds: float
    ) -> None:
        self.store = store
        self.applications = applications
        self._pipeline = pipeline
        self._seconds = seconds

    # --- reads ----------------------------------------------------------------------------------------------
    async def read(self, endpoint_id: str) -> EndpointState:
        """The endpoint. Raises ``EndpointUnknown``, ``Unusable`` or ``Unavailable``."""
        found = await self.read_many([endpoint_id])
        raw = found.get(endpoint_id)
        state = None if raw is None else decode_state(raw)
        if state is None or not state.known:
            raise EndpointUnknown(endpoint_id)
        return state

    async def read_many(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Raw documents by id, tombstones included."""
        try:
            return by_id(await self.store.read(ids, self._seconds))
        except StoreError:
            raise store_unavailable() from None

    # --- changes --------------------------------------------------------------------------------------------
    async def change(
        self,
        endpoint_id: str,
        command: Command,
        correlation_id: str,
        preconditions: Preconditions = NONE,
    ) -> Outcome:
        """Carries a command out. Raises a ``Refusal``."""
        return await self._pipeline.submit(
            endpoint_id, command, correlation_id=correlation_id, preconditions=preconditions
        )

    async def change_all(
        self,
        commands: Mapping[str, Command],
        correlation_id: str,
        only_at: Mapping[str, OnlyAt] = MappingProxyType({}),
    ) -> dict[str, Outcome | Refusal]:
        """Carries out one command for each endpoint, in as few batches as they need."""
        futures = {
            endpoint_id: self._pipeline.enqueue(
                endpoint_id, command, correlation_id, only_at=only_at.get(endpoint_id)
            )
            for endpoint_id, command in commands.items()
        }
        outcomes: dict[str, Outcome | Refusal] = {}
        for endpoint_id, future in futures.items():
            try:
                outcomes[endpoint_id] = await future
            except Refusal as refusal:
                outcomes[endpoint_id] = refusal
        return outcomes


# --- 19/EPMMP -----------------------------------------------------------------------------------------------
class EpmmpHandlers:
    """One method a request type; each takes the decoded request and gives the fields of its answer."""

    def __init__(self, endpoints: Endpoints, reading: Reading) -> None:
        self._endpoints = endpoints
        self._reading = reading

    async def patch(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Metadata patch."""
        operations = parse((await self._reading.value(request["patch"], "patch", envelope=2)).python())
        await self._endpoints.change(
            request["endpointId"],
            PatchMetadata(operations),
            request["correlationId"],
            Preconditions(if_match=request["ifMatch"]),
        )
        return {}

    async def key_update(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """One key."""
        value = (await self._reading.value(request["metadataValue"], "metadataValue")).python()
        command = PutKeys({request["metadataKey"]: value})
        await self._endpoints.change(request["endpointId"], command, request["correlationId"])
        return {}

    async def key_batch_update(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keys of many endpoints: nothing is done unless all is well-formed and all endpoints are known.

        Then each endpoint is changed atomically. If one is refused after all, the answer is its refusal and
        the others are changed: asking again does no harm.
        """
        commands = request["commands"]
        if len(commands) > MAX_COMMANDS:
            raise Invalid("commands", f"more than {MAX_COMMANDS}")
        values: dict[str, dict[str, Any]] = {}
        work = Slice()
        for index, command in enumerate(commands):
            await work.give_way()
            value = await self._reading.value(command["metadataValue"], f"commands[{index}].metadataValue")
            values.setdefault(command["endpointId"], {})[command["metadataKey"]] = value.python()
        if not values:
            return {}
        await self._require(values)
        puts: dict[str, Command] = {endpoint_id: PutKeys(keys) for endpoint_id, keys in values.items()}
        outcomes = await self._endpoints.change_all(puts, request["correlationId"])
        _raise_first(list(outcomes.values()))
        return {}

    async def _require(self, ids: Iterable[str]) -> None:
        wanted = list(ids)
        found = await self._endpoints.read_many(wanted)
        work = Slice()
        for endpoint_id in wanted:
            await work.give_way()
            raw = found.get(endpoint_id)
            if raw is None or not decode_state(raw).known:
                raise EndpointUnknown(endpoint_id)


def _raise_first(outcomes: Sequence[Outcome | Refusal]) -> None:
    """The first refusal of several changes. That nothing is stored is said only if that is so of all."""
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    if not refusals:
        return
    first = refusals[0]
    nothing = all(isinstance(each, Unavailable) and each.stored is Stored.NO for each in outcomes)
    if isinstance(first, Unavailable) and first.stored is Stored.NO and not nothing:
        raise Unavailable(f"not for all endpoints ({first.reason})", Stored.UNKNOWN)
    raise first
