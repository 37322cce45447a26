"""What each request of 19/EPMMP does, from the decoded request to the fields of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from kaa_epr.log import correlation
from kaa_epr.refusals import EndpointUnknown, Refusal, Stored, Unavailable
from kaa_epr.register.decide.api import Outcome, Request
from kaa_epr.register.endpoints import Endpoints
from kaa_epr.register.intake.api import Value
from kaa_epr.register.intake.reading import Reading
from kaa_epr.slices import Slice

MAX_COMMANDS: Final = 1000
"""Of one key batch update."""


class EpmmpHandlers:
    """One method a request type: what it begins ends well, or with the ``Refusal`` of what is not done."""

    def __init__(self, endpoints: Endpoints, reading: Reading) -> None:
        self._endpoints = endpoints
        self._planner = endpoints.planner
        self._reading = reading

    def patch(self, request: Mapping[str, Any]) -> Awaitable[object]:
        """Metadata patch."""
        text = request["patch"]
        if not self._reading.is_short(text):
            return self._long(request, text, "patch", self._patch, envelope=2)
        return self._patch(request, self._reading.short(text, "patch", envelope=2))

    def _patch(self, request: Mapping[str, Any], patch: Value) -> asyncio.Future[Outcome]:
        command = self._planner.patch_metadata(patch)
        wanted = Request(command, request["correlationId"], if_match=request["ifMatch"])
        return self._endpoints.begin(request["endpointId"], wanted)

    def key_update(self, request: Mapping[str, Any]) -> Awaitable[object]:
        """One key."""
        text = request["metadataValue"]
        if not self._reading.is_short(text):
            return self._long(request, text, "metadataValue", self._put_key)
        return self._put_key(request, self._reading.short(text, "metadataValue"))

    def _put_key(self, request: Mapping[str, Any], value: Value) -> asyncio.Future[Outcome]:
        command = self._planner.put_keys([(request["metadataKey"], value)])
        return self._endpoints.begin(request["endpointId"], Request(command, request["correlationId"]))

    async def _long(
        self,
        request: Mapping[str, Any],
        text: bytes,
        field: str,
        then: Callable[[Mapping[str, Any], Value], asyncio.Future[Outcome]],
        *,
        envelope: int = 0,
    ) -> None:
        """A text that is read aside, and what follows."""
        with correlation(request["correlationId"]):
            await then(request, await self._reading.value(text, field, envelope=envelope))

    async def key_batch_update(self, request: Mapping[str, Any]) -> None:
        """Keys of many endpoints: nothing is done unless all is well-formed and all endpoints are known.

        Then each endpoint is changed atomically. If one is refused after all, the answer is its refusal and
        the others are changed: asking again does no harm.
        """
        with correlation(request["correlationId"]):
            requests = await self._puts(request["commands"], request["correlationId"])
            if requests:
                await self._require(requests)
                _raise_first(list((await self._endpoints.change_all(requests)).values()))

    async def _puts(self, commands: Sequence[Mapping[str, Any]], correlation_id: str) -> dict[str, Request]:
        """One command for each endpoint; of a key that is there twice the last value counts."""
        values: dict[str, dict[str, Value]] = {}
        work = Slice()
        for index, command in enumerate(commands):
            await work.give_way()
            value = await self._reading.value(command["metadataValue"], f"commands[{index}].metadataValue")
            values.setdefault(command["endpointId"], {})[command["metadataKey"]] = value
        requests = {}
        for endpoint_id, keys in values.items():
            await work.give_way()
            put = self._planner.put_keys(list(keys.items()))
            self._planner.check(put)
            requests[endpoint_id] = Request(put, correlation_id)
        return requests

    async def _require(self, ids: Iterable[str]) -> None:
        wanted = list(ids)
        found = await self._endpoints.read_many(wanted)
        work = Slice()
        for endpoint_id in wanted:
            await work.give_way()
            document = found.get(endpoint_id)
            if document is None or not self._planner.view(document).known:
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
