"""The publisher's side of gap signals: headers, heartbeats, goodbye."""

from __future__ import annotations

import asyncio

import nats.errors
import pytest
from structlog.testing import capture_logs

from kaa_epr.messages.subjects import InvalidSubjectToken
from kaa_epr.nats import writer
from kaa_epr.nats.writer import BASE, LEAVING, SEQ, VERSION, WRITER, Heartbeats, WriterNumbers
from kaa_epr.supervised import Supervisor

SUBJECT = "kaa.v1.coherence.epr.heartbeat"


def test_numbers_grow_by_one_and_heartbeats_repeat_the_last() -> None:
    numbers = WriterNumbers("epr", "w-1")
    assert numbers.heartbeat().headers == {WRITER: "w-1", SEQ: "0"}
    assert numbers.next_headers(7) == {WRITER: "w-1", SEQ: "1", VERSION: "7"}
    assert numbers.next_headers(-1) == {WRITER: "w-1", SEQ: "2", VERSION: "-1"}
    assert numbers.next_headers(3, 2) == {WRITER: "w-1", SEQ: "3", VERSION: "3", BASE: "2"}
    beat = numbers.heartbeat()
    assert (beat.subject, beat.headers, beat.payload) == (SUBJECT, {WRITER: "w-1", SEQ: "3"}, b"")
    assert numbers.goodbye().headers == {WRITER: "w-1", SEQ: "3", LEAVING: "1"}


def test_every_start_is_another_writer() -> None:
    ids = {WriterNumbers("epr").writer for _ in range(100)}
    assert len(ids) == 100
    assert all(id_.isalnum() and len(id_) <= 64 for id_ in ids)


def test_an_instance_name_that_is_no_token_is_refused() -> None:
    with pytest.raises(InvalidSubjectToken):
        WriterNumbers("a.b").heartbeat()


class Sent:
    """What was published; ``fail`` makes publishing fail."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.fail: Exception | None = None

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> None:
        assert (subject, payload) == (SUBJECT, b"")
        if self.fail is not None:
            raise self.fail
        self.messages.put_nowait(headers)


async def test_the_first_comes_at_once_then_one_each_period_then_a_goodbye(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "HEARTBEAT_SECONDS", 0.01)
    sent, numbers = Sent(), WriterNumbers("epr", "w-1")
    beats = Heartbeats(numbers, sent.publish)
    await beats.start()
    assert sent.messages.get_nowait() == {WRITER: "w-1", SEQ: "0"}
    numbers.next_headers(1)
    for _ in range(3):
        assert await sent.messages.get() == {WRITER: "w-1", SEQ: "1"}
    await beats.stop()
    last = None
    while not sent.messages.empty():
        last = sent.messages.get_nowait()
    assert last == {WRITER: "w-1", SEQ: "1", LEAVING: "1"}


async def test_a_heartbeat_that_cannot_be_sent_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "HEARTBEAT_SECONDS", 0.01)
    sent = Sent()
    beats = Heartbeats(WriterNumbers("epr", "w-1"), sent.publish)
    sent.fail = nats.errors.ConnectionClosedError()
    await beats.start()
    assert (beats.failures, sent.messages.qsize()) == (1, 0)
    sent.fail = None
    assert await sent.messages.get() == {WRITER: "w-1", SEQ: "0"}
    await beats.stop()


async def test_a_bug_in_sending_keeps_back_no_more_than_the_beats_it_meets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "HEARTBEAT_SECONDS", 0.01)
    sent, supervisor = Sent(), Supervisor()
    beats = Heartbeats(WriterNumbers("epr", "w-1"), sent.publish, supervisor)
    sent.fail = ZeroDivisionError("not expected")
    with capture_logs() as lines:
        await beats.start()
        assert supervisor.problem() == "heartbeats: ZeroDivisionError"
        sent.fail = None
        assert await sent.messages.get() == {WRITER: "w-1", SEQ: "0"}
        assert await sent.messages.get() == {WRITER: "w-1", SEQ: "0"}
    assert supervisor.problem() is None
    assert supervisor.numbers()["task_failures"] == {("heartbeats",): 1}
    assert [line["task"] for line in lines] == ["heartbeats"]
    assert sum(beats.lateness.counts) >= 3
    assert beats.lateness.sum >= 0.02, "the one that met the bug came late"
    await beats.stop()


async def test_what_was_never_started_says_no_goodbye() -> None:
    sent = Sent()
    await Heartbeats(WriterNumbers("epr"), sent.publish).stop()
    assert sent.messages.empty()
