"""What ``check-config --probe`` does: are the servers there, and do the stored documents fit?

An instance that already answers gets is the judge: for a sample of documents its answers are compared with
what this configuration would answer. Field names may be printed, values never.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from kaa_epr.cli.connecting import epmmp_client
from kaa_epr.cli.console import result
from kaa_epr.client import ClientError, EndpointMetadata, EpmmpClient, NoResponders
from kaa_epr.config.engine import engine_config
from kaa_epr.config.settings import Settings
from kaa_epr.engine.pure.bson_check import DocumentError
from kaa_epr.engine.pure.entry import Entry, from_bson, id_of, split
from kaa_epr.mongo import Store, open_store
from kaa_epr.mongo.errors import StoreError

SAMPLES: Final = 20
"""Documents compared: enough to show a wrong field mapping, few enough not to be felt."""
SECONDS: Final = 5.0
SHOWN_FIELDS: Final = 5


class Probe:
    """One look at the servers of a configuration. Every finding is printed as it is made."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mapping = engine_config(settings, hash_seed=0).mapping
        self._fine = True

    async def run(self) -> bool:
        """Whether everything fits."""
        store = open_store(self._settings.mongo, self._settings.store)
        try:
            entries = await self._samples(store)
        except StoreError as error:
            self._bad("mongo", str(error))
            entries = []
        finally:
            await store.close()
        await self._ask(entries)
        return self._fine

    async def _samples(self, store: Store) -> list[Entry]:
        await store.ping(SECONDS)
        page = await store.page(None, SAMPLES, SECONDS)
        self._good("mongo", f"{store.namespace} holds about {await store.estimate(SECONDS)} documents")
        entries = []
        for document in split(page):
            endpoint_id = id_of(document, self._mapping)
            if endpoint_id is None:
                self._bad("document", f"one without a string in {self._mapping.id}, which no get can name")
                continue
            try:
                entry = from_bson(document, endpoint_id, self._mapping)
            except DocumentError as error:
                self._bad("document", f"{endpoint_id} is unusable: {error}")
                continue
            if isinstance(entry, Entry):
                entries.append(entry)
        return entries

    async def _ask(self, entries: list[Entry]) -> None:
        try:
            async with epmmp_client(self._settings, SECONDS) as client:
                self._good("nats", "connected")
                await self._compare(client, entries)
        except (ClientError, OSError) as error:
            self._bad("nats", str(error))

    async def _compare(self, client: EpmmpClient, entries: list[Entry]) -> None:
        instance = self._settings.service.instance_name
        fitting = 0
        for entry in entries:
            try:
                answer = await client.get(entry.endpoint_id)
            except NoResponders:
                self._good(
                    "instance", f"nobody answers as {instance} yet, so there is nothing to compare with"
                )
                return
            differences = ", ".join(_differences(entry, answer))
            if differences:
                self._bad("endpoint", f"{entry.endpoint_id} is answered differently: {differences}")
            else:
                fitting += 1
        if entries:
            self._good("instance", f"{instance} answers {fitting} of {len(entries)} samples as we would")

    def _good(self, what: str, text: str) -> None:
        result(f"{what}: {text}")

    def _bad(self, what: str, text: str) -> None:
        self._fine = False
        result(f"{what}: PROBLEM: {text}")


def _differences(entry: Entry, answer: EndpointMetadata) -> Iterator[str]:
    """What the instance says otherwise than we would, without values."""
    ours: dict[str, Any] = json.loads(entry.json)
    theirs = answer.metadata or {}
    differing = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if differing:
        more = f" and {len(differing) - SHOWN_FIELDS} more" if len(differing) > SHOWN_FIELDS else ""
        yield f"metadata fields {', '.join(differing[:SHOWN_FIELDS])}{more}"
    if entry.etag != answer.etag:
        yield "eTag"
    if entry.app_version != answer.app_version_name:
        yield "application version"
