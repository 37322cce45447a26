"""The soak on tiny input, from end to end, and its judge on answers that are wrong."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.soak import report, run
from bench.soak.endpoints import APP_VERSION, Endpoint, Writer, endpoints
from bench.soak.getters import Getter
from bench.soak.judge import Judge, Phase
from kaa_epr.embedded import NatsServer
from kaa_epr.messages import subjects
from kaa_epr.messages.outgoing import write_datum
from tests.support.raw_nats import RawNats
from tests.support.waiting import until

pytestmark = pytest.mark.faults

RESPONSE = "epmmp/0019-endpoint-metadata-get-response.rev3"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_soak_of_seconds_passes_and_tells_what_it_saw(tmp_path: Path) -> None:
    little = ["--minutes", "0.05", "--gets", "300", "--writes", "60", "--endpoints", "50"]
    kinds = ["--kind", "event lost", "--kind", "cut mid-frame"]
    status = run.main([*little, *kinds, "--work", str(tmp_path / "work"), "--results", str(tmp_path)])
    (stored,) = tmp_path.glob("soak-*.json")
    content = json.loads(stored.read_text())
    assert (content["failures"], status) == ([], 0)
    assert {name: kind["times"] for name, kind in content["faults"].items()} == {
        "start": 1,
        "event lost": 1,
        "cut mid-frame": 1,
        "end": 1,
    }
    assert content["observer"]["asked"] > 0
    assert content["rates"]["gets"]["mean"] > 100
    assert content["rates"]["writes"]["mean"] > 10
    assert content["memory"]["replica-2"]
    assert "**Passed.**" in stored.with_suffix(".md").read_text()


def answer(endpoint: Endpoint, number: int, status: int = 200, **fields: object) -> bytes:
    found = {"payload": b'{"n":%d,"pad":"x"}' % number, "eTag": f'"{number}"', "appVersionName": APP_VERSION}
    head = {"correlationId": "s", "timestamp": time.time_ns() // 1_000_000, "timeout": 0}
    missing = {"payload": None, "eTag": None, "appVersionName": None, "reasonPhrase": "why"}
    rest = {"endpointId": endpoint.id, "statusCode": status, "reasonPhrase": None}
    return write_datum(RESPONSE, head | rest | (found if status == 200 else missing) | fields)


@asynccontextmanager
async def asking(server: NatsServer, bodies: Iterable[bytes]) -> AsyncIterator[Getter]:
    """A getter for one endpoint, number 2 of 3 acknowledged, and a repository that says ``bodies``."""
    instance = f"soak{secrets.token_hex(4)}"
    endpoint = bulk_endpoint()
    judge = Judge(1)
    judge.acknowledge(0, judge.attempt(0))
    judge.attempt(0)
    getter = Getter([server.url], instance, [endpoint], judge, 0)
    await getter.line.open()
    said = iter(bodies)
    repository = await RawNats.connected(server.url)
    repository.subscribe(
        subjects.metadata_get_request(instance),
        lambda item: repository.publish(item.line.split(b" ")[3].decode(), next(said)),
    )
    await repository.round_trip()
    yield getter
    await getter.line.close()
    repository.close()


def bulk_endpoint() -> Endpoint:
    (made,) = endpoints({Writer.BULK: 1})
    return made


async def judged(server: NatsServer, *bodies: bytes) -> Phase:
    """What the judge says of answers to gets that are sent now."""
    async with asking(server, bodies) as getter:
        getter.send(len(bodies))
        await until(lambda: not getter.waiting, "all answers")
        return getter.judge.now


async def test_what_was_acknowledged_or_is_being_written_is_right(nats_server: NatsServer) -> None:
    phase = await judged(nats_server, answer(bulk_endpoint(), 2), answer(bulk_endpoint(), 3))
    assert (phase.stale, phase.statuses, phase.wrong) == ({}, {}, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(answer(bulk_endpoint(), 4), id="invented"),
        pytest.param(answer(bulk_endpoint(), 2, endpointId="bulk-00007"), id="another endpoint"),
        pytest.param(answer(bulk_endpoint(), 2, appVersionName="x"), id="another application version"),
        pytest.param(answer(bulk_endpoint(), 2)[:-1], id="cut"),
        pytest.param(answer(bulk_endpoint(), 0, status=404), id="404"),
        pytest.param(b"", id="empty"),
    ],
)
async def test_wrong_answers_are_counted(wrong: bytes, nats_server: NatsServer) -> None:
    phase = await judged(nats_server, answer(bulk_endpoint(), 2), wrong)
    assert (phase.wrong, phase.stale) == (1, {})
    assert "were wrong" in failed(phase)


async def test_a_stale_answer_is_as_old_as_what_it_misses(nats_server: NatsServer) -> None:
    begun = time.monotonic()
    async with asking(nats_server, [answer(bulk_endpoint(), 1)] * 2) as getter:
        getter.send(1)
        await until(lambda: not getter.waiting)
        assert 0 <= getter.judge.now.worst < time.monotonic() - begun
        old_at_once = getter.judge.now.stale.get(1.0, 0)  # on a very busy machine
        begun = time.monotonic()
        await until(lambda: time.monotonic() > begun + 1.1)
        getter.send(1)
        await until(lambda: not getter.waiting)
        phase = getter.judge.now
    assert (phase.stale[0.0], phase.stale[1.0], phase.wrong) == (2, 1 + old_at_once, 0)
    assert "was stale for" in failed(phase)


async def test_503_and_gets_that_nobody_takes_or_answers_are_told_apart(nats_server: NatsServer) -> None:
    phase = await judged(nats_server, answer(bulk_endpoint(), 0, status=503))
    assert (phase.statuses, phase.wrong) == ({503: 1}, 0)
    assert "not every get was answered 200" in failed(phase)
    async with asking(nats_server, []) as getter:
        getter.send(1)
        getter.sweep(older_than=0.0)
        assert (getter.judge.now.lost, getter.waiting) == (1, 0)


def test_frames_are_read_wherever_the_bytes_are_split() -> None:
    judge = Judge(1)
    judge.attempt(0)
    getter = Getter([], "soak", [bulk_endpoint()], judge, 0)
    size = len(two_answers(0))
    for split in range(1, size):
        assert getter.entered(2).count(b"PUB ") == 2
        frames = two_answers(2 * (split - 1))
        getter.line.data_received(frames[:split])
        getter.line.data_received(frames[split:])
        assert (getter.waiting, getter.answered, judge.now.refused, judge.now.wrong) == (0, split, split, 0)


def two_answers(first: int) -> bytes:
    """To the gets ``first`` and the next one, the second by nobody, and a PING."""
    body = answer(bulk_endpoint(), 2)
    frames = b"PING\r\nMSG _soak.0.%d 1 %d\r\n%b\r\n" % (first, len(body), body)
    return frames + b"HMSG _soak.0.%d 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n" % (first + 1)


def failed(phase: Phase) -> str:
    """What the report says of a rolling restart that went like this."""
    phase.name = "rolling restart"
    content = {"faults": report.by_kind([phase]), "observer": {"stale": {}}, "minutes": 1}
    return "\n".join(report.failures(content))
