"""What REST and 19/EPMMP have in common: changes of endpoints, and reads of the store."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from kaa_epr.mongo.errors import StoreError
from kaa_epr.mongo.raw_documents import by_id
from kaa_epr.mongo.register_api import RegisterStore
from kaa_epr.refusals import EndpointUnknown, Refusal, store_unavailable
from kaa_epr.register.commit.pipeline import Pipeline
from kaa_epr.register.decide.api import Command, Items, Outcome, Planner, Request
from kaa_epr.register.decide.view import View
from kaa_epr.register.intake.applications import Applications
from kaa_epr.register.shown import beside


class Registration(NamedTuple):
    """What is said of an endpoint that is to be made."""

    application: str
    application_version: str
    endpoint_token: str
    metadata: Items

    def command(self, planner: Planner, task: str | None = None) -> Command:
        """The command; ``task``: who asks for it, so that it is done once."""
        return planner.register(*self, task)


class Found(NamedTuple):
    """An endpoint that is stored."""

    document: bytes
    view: View


class Endpoints:
    """The endpoints, to be read and changed."""

    def __init__(
        self,
        store: RegisterStore,
        pipeline: Pipeline,
        planner: Planner,
        applications: Applications,
        seconds: float,
    ) -> None:
        """``seconds``: for each step with the store."""
        self.store = store
        self.planner = planner
        self.applications = applications
        self._pipeline = pipeline
        self._seconds = seconds

    # --- reads ----------------------------------------------------------------------------------------------
    async def read(self, endpoint_id: str) -> Found:
        """The endpoint. Raises ``EndpointUnknown``, ``Unusable`` or ``Unavailable``."""
        document = (await self.read_many([endpoint_id])).get(endpoint_id)
        if document is None:
            raise EndpointUnknown(endpoint_id)
        view = await beside(document, partial(self.planner.view, document))
        if not view.known:
            raise EndpointUnknown(endpoint_id)
        return Found(document, view)

    async def read_many(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Raw documents by id, tombstones included."""
        try:
            return by_id(await self.store.read(ids, self._seconds))
        except StoreError:
            raise store_unavailable() from None

    # --- changes --------------------------------------------------------------------------------------------
    async def change(self, endpoint_id: str, request: Request) -> Outcome:
        """Carries a command out. Raises a ``Refusal``; what no document allows is not queued at all."""
        return await asyncio.shield(self.begin(endpoint_id, request))

    def begin(self, endpoint_id: str, request: Request) -> asyncio.Future[Outcome]:
        """As ``change``, without waiting for what comes of it."""
        self.planner.check(request.command)
        return self._pipeline.enqueue(endpoint_id, request)

    async def change_all(self, requests: Mapping[str, Request]) -> dict[str, Outcome | Refusal]:
        """Carries out one command for each endpoint, in as few batches as they need."""
        futures = {
            endpoint_id: self._pipeline.enqueue(endpoint_id, request)
            for endpoint_id, request in requests.items()
        }
        outcomes: dict[str, Outcome | Refusal] = {}
        for endpoint_id, future in futures.items():
            try:
                outcomes[endpoint_id] = await future
            except Refusal as refusal:
                outcomes[endpoint_id] = refusal
        return outcomes
