"""Sends one entry to a watched service while others change other endpoints, and judges what came of it.

What `send` holds:

* REST: `method`, `path` (a description, below `/api/v1` unless it is absolute), `headers` (name to value, or
  pairs), `body` (a description); or `raw`, the whole request as a description.
* NATS: `kind` and the fields of its request, each a description (`id`, `key`, `value`, `patch`, `if_match`);
  `commands`: their number and a description of them all; or `payload`, the whole of it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import string
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from bson import Int64
from nats.aio.client import Client as NatsClient
from pymongo.collection import Collection

from kaa_epr.messages import subjects
from tests.flows.register_support import KINDS, EpmmpCaller
from tests.property.messages import Get, keys_get, long
from tests.property.messages import string as avro_string
from tests.property.support import response
from tests.support.hostile.corpus import CANARY, GONE, Entry
from tests.support.hostile.http import Answer, exchange
from tests.support.hostile.made import made
from tests.support.hostile.watched import BOUND, Watched, complaints, longest

BYSTANDERS: Final = 8
AGAIN: Final = 3
"""Further tries of what held the loop for too long: what it computes is counted, but where others use the
processors as well that takes longer now and then. What is too long each time is too long."""
MOST_OVER_NATS: Final = 1024 * 1024 - 4096
"""Bytes of metadata that an answer over NATS has room for, whatever its echo is."""
_PLACE: Final = b"{E}"
_NOW: Final = 0
"""A request's timestamp: without a timeout none is too old."""
_DIGITS: Final = string.digits + string.ascii_lowercase
_numbers = itertools.count()


class Reply(NamedTuple):
    """What came back, whichever way it was asked."""

    status: int
    message: str


class Attack:
    """One attacker, with connections of its own."""

    def __init__(self, service: Watched, nc: NatsClient, collection: Collection[dict[str, Any]]) -> None:
        self.service = service
        self.caller = EpmmpCaller(nc, service.instance)
        self._nc = nc
        self._collection = collection

    # --- one entry ------------------------------------------------------------------------------------------
    async def check(self, entry: Entry) -> None:
        """Sends it, and fails unless everything is as the entry says and nobody else is harmed."""
        victim = self.victim(entry.metadata)
        replies, _ = await asyncio.gather(self._sent(entry, victim), self.bystanders())
        for reply in replies:
            assert reply.status in entry.status, f"{entry}: {reply.status} {reply.message[:300]}"
            assert reply.message.startswith(entry.says), f"{entry}: {reply.message[:300]}"
        stored = await self.metadata(victim)
        if entry.expected is not None:
            assert stored == entry.expected, f"{entry}: {stored[:300]!r}"
        lines = self.service.told()
        assert not complaints(lines), str(entry)
        assert CANARY not in str(lines), str(entry)
        self.forget(victim)
        held = longest(lines)
        for _ in range(AGAIN if held > BOUND else 0):
            held = min(held, await self.held(entry))
        assert held <= BOUND, f"{entry}: holds the loop for {held:.3f} s each time"

    async def held(self, entry: Entry) -> float:
        """The longest time, in seconds, for which the entry alone holds the service's loop."""
        victim = self.victim(entry.metadata)
        await self.answered()
        self.service.told()
        await self._sent(entry, victim)
        await self.answered()
        self.forget(victim)
        return longest(self.service.told())

    async def _sent(self, entry: Entry, victim: str) -> list[Reply]:
        return await asyncio.gather(*(self.send(entry.send, victim) for _ in range(entry.times)))

    def victim(self, metadata: bytes) -> str:
        """A new endpoint with these metadata, stored past the service; its ID has three characters."""
        number, digits = next(_numbers), ""
        for _ in range(3):
            number, digit = divmod(number, len(_DIGITS))
            digits += _DIGITS[digit]
        self.store(digits, [{"key": key, "value": value} for key, value in json.loads(metadata).items()])
        return digits

    def forget(self, endpoint_id: str) -> None:
        """A victim that is not needed any more: large ones would fill MongoDB's cache."""
        self._collection.delete_one({"_id": endpoint_id})

    def store(self, endpoint_id: str, metadata: Any) -> None:
        """A document as the register has it."""
        names = {"application": "app", "application_version": "app-v1"}
        document = {"_id": endpoint_id, **names, "metadata": metadata, "version": Int64(1)}
        self._collection.replace_one({"_id": endpoint_id}, document, upsert=True)

    async def send(self, request: Mapping[str, Any], victim: str) -> Reply:
        """Over NATS if it has a kind, else over REST."""
        if "kind" in request:
            return await self._ask(request, victim)
        head = request.get("method") == "HEAD"
        answer = await exchange(self.service.rest, placed(rest_bytes(request), victim), head=head)
        return Reply(answer.status, message_of(answer))

    async def _ask(self, request: Mapping[str, Any], victim: str) -> Reply:
        answer = await self.caller.raw(request["kind"], placed(nats_payload(request), victim))
        return Reply(answer["statusCode"], answer["reasonPhrase"] or "")

    # --- everybody else -------------------------------------------------------------------------------------
    def invite(self) -> None:
        """Stores the bystanders."""
        for number in range(BYSTANDERS):
            self.store(f"bystander-{number}", [{"key": "n", "value": 0}])

    async def bystanders(self) -> None:
        """Updates of other endpoints at the same time; each must be carried out."""
        number = str(next(_numbers)).encode()
        ids = [f"bystander-{index}" for index in range(BYSTANDERS)]
        fields = {"metadataKey": "n", "metadataValue": number}
        answers = await asyncio.gather(
            *(self.caller.call("key-update", endpointId=endpoint_id, **fields) for endpoint_id in ids)
        )
        refused = [answer for answer in answers if answer["statusCode"] != 200]
        assert not refused, f"others were refused too: {refused}"
        for endpoint_id in ids[:1]:
            assert await self.metadata(endpoint_id) == b'{"n":' + number + b"}"

    async def answered(self) -> None:
        """A get of another endpoint; whatever kept the loop until then has been told of."""
        await self.metadata("bystander-0")

    async def metadata(self, endpoint_id: str) -> bytes:
        """The metadata as gets over NATS and REST have them, which must agree; ``GONE``: no endpoint."""
        asked = await self._nc.request(
            subjects.metadata_get_request(self.service.instance),
            Get(endpoint_id=endpoint_id, timestamp=_NOW).encode(),
            timeout=20,
        )
        fields = response(asked.data)
        status = fields["statusCode"]
        request = f"GET /api/v1/endpoints/{endpoint_id}/metadata HTTP/1.1\r\nHost: h\r\n\r\n"
        answer = await exchange(self.service.rest, request.encode())
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            assert answer.status == 200, answer.text[:300]
            assert len(answer.body) > MOST_OVER_NATS, fields["reasonPhrase"]
            return bytes(answer.body)
        assert status == answer.status, (fields["reasonPhrase"], answer.text[:300])
        if answer.status == 404:
            return GONE.encode()
        assert answer.status == 200, answer.text[:300]
        assert fields["payload"] == answer.body
        return bytes(answer.body)


# --- bytes of requests --------------------------------------------------------------------------------------
def placed(data: bytes, victim: str) -> bytes:
    """With the victim's ID in its places."""
    assert len(victim) == len(_PLACE)
    return data.replace(_PLACE, victim.encode())


def rest_bytes(request: Mapping[str, Any]) -> bytes:
    """An HTTP request."""
    if "raw" in request:
        return made(request["raw"])
    path = made(request["path"])
    target = path if path.startswith((b"http:", b"*")) else b"/api/v1" + path
    method = str(request.get("method", "PUT"))
    headers = _pairs(request.get("headers", {}))
    named = {name.lower() for name, _ in headers}
    body = made(request["body"]) if "body" in request else None
    if body is not None and "content-type" not in named:
        patch = "-patch" if method == "PATCH" else ""
        headers.append(("Content-Type", f"application/json{patch}+json" if patch else "application/json"))
    if body is not None and named.isdisjoint({"content-length", "transfer-encoding"}):
        headers.append(("Content-Length", str(len(body))))
    if "host" not in named:
        headers.insert(0, ("Host", "epr.example"))
    head = b"".join(name.encode() + b": " + made(value) + b"\r\n" for name, value in headers)
    return method.encode() + b" " + target + b" HTTP/1.1\r\n" + head + b"\r\n" + (body or b"")


def _pairs(headers: Mapping[str, Any] | Sequence[Sequence[Any]]) -> list[tuple[str, Any]]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return [(name, value) for name, value in pairs]


def nats_payload(request: Mapping[str, Any]) -> bytes:
    """A request of 19/EPMMP."""
    if "payload" in request:
        return made(request["payload"])
    head = avro_string("c-1") + long(_NOW) + long(0)
    named = head + avro_string(made(request.get("id", "{E}")))
    match request["kind"]:
        case "patch":
            condition = request.get("if_match")
            union = long(0) if condition is None else long(1) + avro_string(made(condition))
            return named + union + avro_string(made(request["patch"]))
        case "key-update":
            key = avro_string(made(request.get("key", "k")))
            return named + key + avro_string(made(request["value"]))
        case "key-batch-update":
            count, commands = request["commands"]
            return head + (long(count) + made(commands) if count else b"") + long(0)
        case "keys-get":
            return keys_get(made(request.get("id", "{E}")).decode(), timestamp=_NOW)
        case kind:
            raise ValueError(f"not a kind: {kind} of {list(KINDS)}")


def message_of(answer: Answer) -> str:
    """Of an error's body; else the body itself."""
    try:
        content = json.loads(answer.body)
    except ValueError:
        return answer.text
    return str(content["message"]) if isinstance(content, dict) and "message" in content else answer.text
