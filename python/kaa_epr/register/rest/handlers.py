"""What each operation does: from a checked request to commands and reads, and from outcomes to answers."""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request

from kaa_epr.mongo.errors import StoreError
from kaa_epr.mongo.register_api import EndpointQuery
from kaa_epr.mongo.transfer.planning import split
from kaa_epr.refusals import (
    FieldRefusal,
    Invalid,
    KeyUnknown,
    PreconditionFailed,
    Refusal,
    Unavailable,
)
from kaa_epr.register.decide.json_patch import parse
from kaa_epr.register.decide.planning import Outcome
from kaa_epr.register.decide.preconditions import NONE, strong_match, weak_match
from kaa_epr.register.decide.rules import Rules
from kaa_epr.register.decide.state import EndpointState, decode_state
from kaa_epr.register.endpoints import Endpoints
from kaa_epr.register.intake.commands import (
    Command,
    DeleteKey,
    PatchMetadata,
    PutKeys,
    Register,
    ReplaceMetadata,
    SetAppVersion,
    Unregister,
)
from kaa_epr.register.rest.http import API, Reply, empty, preconditions_of
from kaa_epr.register.rest.models import AppVersionBody, BatchBody, RegisterBody, validated
from kaa_epr.register.rest.shown import shown, shown_app_version
from kaa_epr.register.tasks import BatchTasks, NewEndpoint
from kaa_epr.slices import Slice

_ALPHABET: Final = string.ascii_letters + string.digits
_TOKEN_LENGTH: Final = 20
"""119 bits: whoever knows a token can speak for the endpoint."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as far as it is the same for all operations."""

    request: Request
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    correlation_id: str

    @property
    def endpoint_id(self) -> str:
        """Of the path."""
        return self.path["endpointId"]


class Task(Refusal):
    """No such batch task."""

    status = HTTPStatus.NOT_FOUND
    text = "Task not found"


class Handlers:
    """One method an operation."""

    def __init__(
        self,
        endpoints: Endpoints,
        tasks: BatchTasks,
        rules: Rules,
        seconds: float,
        public_url: str | None = None,
    ) -> None:
        """``rules``: what a request may hold is judged before its conditions and before anything is read.

        ``public_url``: what clients put before ``/api/v1``, where the request itself does not say that.
        """
        self._endpoints = endpoints
        self._rules = rules
        self._tasks = tasks
        self._seconds = seconds
        self._public_url = public_url

    def _base(self, request: Request) -> str:
        """``scheme://host/…/api/v1`` as the caller sees it. Kaa documents ``Location`` as an absolute URI."""
        url = request.url
        before = self._public_url or f"{url.scheme}://{url.netloc}{url.path[: url.path.index(API)]}"
        return before + API

    # --- endpoints ------------------------------------------------------------------------------------------
    async def register(self, call: Call) -> Reply:
        """Row 1."""
        body = validated(RegisterBody, call.body)
        self._rules.check_metadata(body.metadata)
        endpoint_id = body.endpoint_id or str(uuid.uuid4())
        token = body.endpoint_token or new_token()
        version = body.app_version.name
        command = Register(self._endpoints.applications.of_version(version), version, token, body.metadata)
        outcome = await self._endpoints.change(endpoint_id, command, call.correlation_id)
        place = f"{self._base(call.request)}/endpoints/{quote(endpoint_id)}"
        answer = {"token": token, "status": "Inactive", "endpointId": endpoint_id}
        return Reply(HTTPStatus.CREATED, answer, outcome.state.etag, {"Location": place})

    async def list_endpoints(self, call: Call) -> Reply:
        """Row 2."""
        query = EndpointQuery(
            call.query["endpointId"],
            call.query["applicationName"],
            call.query["applicationVersionName"],
            call.query["metadataFilter"] or {},
        )
        with_metadata = call.query["include"] == "metadata"
        store = self._endpoints.store
        try:
            page = await store.find_endpoints(
                query,
                offset=call.query["offset"],
                limit=call.query["limit"],
                with_metadata=with_metadata,
                time_limit=self._seconds,
            )
            total = await store.count_endpoints(query, self._seconds)
        except StoreError:
            raise Unavailable("Endpoint store is unavailable") from None
        content = [shown(decode_state(raw), with_metadata=with_metadata) for raw in split(page)]
        return Reply(body={"content": content, "totalElements": total})

    async def get_endpoint(self, call: Call) -> Reply:
        """Row 7."""
        state = await self._endpoints.read(call.endpoint_id)
        return _read(call, state, shown(state, with_metadata=call.query["include"] == "metadata"))

    async def delete_endpoint(self, call: Call) -> Reply:
        """Row 8."""
        await self._change(call, Unregister())
        return empty()

    # --- application version --------------------------------------------------------------------------------
    async def get_app_version(self, call: Call) -> Reply:
        """Row 10."""
        state = await self._endpoints.read(call.endpoint_id)
        return _read(call, state, shown_app_version(state))

    async def put_app_version(self, call: Call) -> Reply:
        """Row 11."""
        version = validated(AppVersionBody, call.body).name
        command = SetAppVersion(self._endpoints.applications.of_version(version), version)
        state = (await self._change(call, command)).state
        return Reply(body=shown_app_version(state), etag=state.etag)

    # --- metadata -------------------------------------------------------------------------------------------
    async def get_metadata(self, call: Call) -> Reply:
        """Row 12."""
        state = await self._endpoints.read(call.endpoint_id)
        wanted = set(call.query["include"] or state.metadata)
        body = {key: value for key, value in state.metadata.items() if key in wanted}
        return _read(call, state, body)

    async def put_metadata(self, call: Call) -> Reply:
        """Row 13."""
        if not isinstance(call.body, dict):
            raise Invalid("body", "must be a JSON object")
        self._rules.check_metadata(call.body)
        state = (await self._change(call, ReplaceMetadata(call.body))).state
        return Reply(body=dict(state.metadata), etag=state.etag)

    async def patch_metadata(self, call: Call) -> Reply:
        """Row 14."""
        operations = parse(call.body)
        for index, operation in enumerate(operations):
            self._rules.check_value(f"patch[{index}].value", operation.value)
        state = (await self._change(call, PatchMetadata(operations))).state
        return Reply(body=dict(state.metadata), etag=state.etag)

    async def get_key(self, call: Call) -> Reply:
        """Row 15."""
        key = call.path["metadataKey"]
        state = await self._endpoints.read(call.endpoint_id)
        if key not in state.metadata:
            raise KeyUnknown(key)
        return _read(call, state, state.metadata[key])

    async def put_key(self, call: Call) -> Reply:
        """Row 16."""
        key = call.path["metadataKey"]
        self._rules.check_metadata({key: call.body})
        state = (await self._change(call, PutKeys({key: call.body}), key)).state
        return Reply(body=state.metadata[key], etag=state.etag)

    async def delete_key(self, call: Call) -> Reply:
        """Row 17."""
        key = call.path["metadataKey"]
        outcome = await self._change(call, DeleteKey(key), key)
        return empty(etag=outcome.state.etag)

    async def list_keys(self, call: Call) -> Reply:
        """Row 18."""
        state = await self._endpoints.read(call.endpoint_id)
        return _read(call, state, list(state.metadata))

    async def list_application_keys(self, call: Call) -> Reply:
        """Row 24."""
        try:
            keys = await self._endpoints.store.metadata_keys(call.path["applicationName"], self._seconds)
        except StoreError:
            raise Unavailable("Endpoint store is unavailable") from None
        return Reply(body=keys)

    # --- batches --------------------------------------------------------------------------------------------
    async def register_batch(self, call: Call) -> Reply:
        """Row 5."""
        body = validated(BatchBody, call.body)
        items = []
        work = Slice()
        for index, item in enumerate(body.endpoints):
            await work.give_way()
            self._check_item(f"endpoints.{index}", item.metadata)
            endpoint_id = item.endpoint_id or str(uuid.uuid4())
            items.append(NewEndpoint(endpoint_id, item.endpoint_token or new_token(), item.metadata))
        version = body.app_version.name
        application = self._endpoints.applications.of_version(version)
        task_id = await self._tasks.accept(application, version, items, call.correlation_id)
        status = f"endpoints/batch/status?appName={quote(application)}&taskId={task_id}"
        place = f"{self._base(call.request)}/{status}"
        return Reply(HTTPStatus.ACCEPTED, {"taskId": task_id}, headers={"Location": place})

    def _check_item(self, where: str, metadata: Mapping[str, Any]) -> None:
        try:
            self._rules.check_metadata(metadata)
        except FieldRefusal as error:
            raise type(error)(f"{where}.{error.field}", error.reason) from None

    async def batch_status(self, call: Call) -> Reply:
        """Row 6."""
        status = await self._tasks.status(call.query["taskId"], call.query["appName"])
        if status is None:
            raise Task
        return Reply(body=status)

    async def _change(self, call: Call, command: Command, key: str | None = None) -> Outcome:
        conditions = preconditions_of(call.request, key)
        has_any = conditions.if_match is not None or conditions.if_none_match is not None
        return await self._endpoints.change(
            call.endpoint_id, command, call.correlation_id, conditions if has_any else NONE
        )


def _read(call: Call, state: EndpointState, body: Any) -> Reply:
    """A GET's answer, or 304 or 412 where its conditions say so (RFC 9110, 13.2.2)."""
    conditions = preconditions_of(call.request)
    if conditions.if_match is not None and not strong_match(conditions.if_match, state.etag):
        raise PreconditionFailed
    if conditions.if_none_match is not None and weak_match(conditions.if_none_match, state.etag):
        return empty(HTTPStatus.NOT_MODIFIED, state.etag)
    return Reply(body=body, etag=state.etag)


def new_token() -> str:
    """A token that nobody guesses."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_TOKEN_LENGTH))
