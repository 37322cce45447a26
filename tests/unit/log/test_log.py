"""Log lines: their shape, their level, what libraries log, and what is left out."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from kaa_epr import log


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Logging configured as in service, onto a buffer; put back afterwards."""
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    stream = io.StringIO()
    log.configure("info", "json", stream=stream, worker=3)
    yield stream
    root.handlers[:] = before[1]
    root.setLevel(before[0])
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def _parsed(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_one_json_object_a_line_in_a_fixed_order(lines: io.StringIO) -> None:
    log.get_logger("kaa_epr.test").info("connected", server="nats://u:p@h:1", attempt=2)
    (line,) = _parsed(lines)
    assert list(line) == ["timestamp", "level", "logger", "event", "worker", "server", "attempt"]
    assert line["timestamp"].endswith("Z")
    assert line | {"timestamp": ""} == {
        "timestamp": "",
        "level": "info",
        "logger": "kaa_epr.test",
        "event": "connected",
        "worker": 3,
        "server": "nats://***@h:1",
        "attempt": 2,
    }


def test_the_level_can_be_changed_at_runtime(lines: io.StringIO) -> None:
    logger = log.get_logger("kaa_epr.test")
    logger.debug("one")
    log.set_level("debug")
    logger.debug("two")
    log.set_level("error")
    logger.warning("three")
    logging.getLogger("nats.aio.client").warning("four")
    assert [line["event"] for line in _parsed(lines)] == ["two"]


def test_libraries_log_through_it_too(lines: io.StringIO) -> None:
    logging.getLogger("nats.aio.client").warning("lost %s", "nats://u:hunter2@h")
    (line,) = _parsed(lines)
    assert line["event"] == "lost nats://***@h"
    assert line["logger"] == "nats.aio.client"
    assert line["worker"] == 3


@pytest.mark.parametrize("name", ["pymongo.command", "pymongo.serverSelection", "asyncio", "nats.aio.client"])
def test_debug_level_never_shows_what_libraries_send(lines: io.StringIO, name: str) -> None:
    log.set_level("debug")
    logging.getLogger(name).debug("command with a document")
    assert _parsed(lines) == []


def test_python_warnings_are_log_lines(lines: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (line,) = _parsed(lines)
    assert "DeprecationWarning: old" in line["event"]


def test_configuring_again_replaces_the_handler(lines: io.StringIO) -> None:
    second = io.StringIO()
    log.configure("info", "json", stream=second)
    log.get_logger("kaa_epr.test").info("once")
    assert lines.getvalue() == ""
    assert len(_parsed(second)) == 1


async def test_correlation_ids_follow_the_task(lines: io.StringIO) -> None:
    logger = log.get_logger("kaa_epr.test")
    entered = asyncio.Event()

    async def inner() -> None:
        entered.set()
        logger.info("inner")

    with log.correlation("c-1"):
        task = asyncio.create_task(inner())
    await entered.wait()
    await task
    logger.info("outside")
    logged = {line["event"]: line.get("correlation_id") for line in _parsed(lines)}
    assert logged == {"inner": "c-1", "outside": None}


def test_hostile_text_stays_on_its_line(lines: io.StringIO) -> None:
    hostile = 'x\n{"event":"forged"}\u2028\x1b[2J' + "y" * 5000
    with log.correlation(hostile):
        log.get_logger("kaa_epr.test").warning("request refused")
    assert len(lines.getvalue().splitlines()) == 1
    assert len(lines.getvalue()) < 1000
    assert lines.getvalue().isascii()


def test_the_console_format_shows_controls_escaped() -> None:
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    stream = io.StringIO()
    log.configure("info", "console", stream=stream)
    try:
        log.get_logger("kaa_epr.test").info("refused", subject="a\nb\x1b[2J")
    finally:
        root.handlers[:] = before[1]
        root.setLevel(before[0])
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
    assert stream.getvalue().count("\n") == 1
    assert r"subject=a\nb\x1b[2J" in stream.getvalue()


def test_exceptions_are_shown_without_the_values_they_quote(lines: io.StringIO) -> None:
    try:
        try:
            int("hunter2")
        except ValueError as error:
            raise ConnectionError("cannot reach nats://u:hunter2@h") from error
    except ConnectionError:
        log.get_logger("kaa_epr.test").exception("lost")
    (line,) = _parsed(lines)
    assert "hunter2" not in lines.getvalue()
    assert line["exception"].splitlines()[-1] == "ConnectionError: cannot reach nats://***@h"
    assert "ValueError\nthen\n" in line["exception"]
    assert "test_exceptions_are_shown" in line["exception"]


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_repeats_are_counted_and_left_out() -> None:
    clock = _Clock()
    repeats = log.Repeats(10, 100, clock)
    assert [repeats.allow("a") for _ in range(4)] == [0, None, None, None]
    assert repeats.allow("b") == 0
    clock.now = 9.9
    assert repeats.allow("a") is None
    clock.now = 10.0
    assert repeats.allow("a") == 4
    assert repeats.allow("a") is None


def test_repeats_remember_a_bounded_number_of_events() -> None:
    clock = _Clock()
    repeats = log.Repeats(10, 3, clock)
    for key in "abcd":
        assert repeats.allow(key) == 0
    assert repeats.allow("d") is None
    assert repeats.allow("a") == 0, "the oldest was forgotten, so it counts as new"


def test_repeated_warnings_say_how_many_were_left_out(lines: io.StringIO) -> None:
    clock = _Clock()
    repeats = log.Repeats(10, 3, clock)
    logger = log.get_logger("kaa_epr.test")
    for _ in range(3):
        repeats.warning(logger, "document unusable", endpoint="e")
    clock.now = 10
    repeats.warning(logger, "document unusable", endpoint="f")
    first, second = _parsed(lines)
    assert "suppressed" not in first
    assert (second["endpoint"], second["suppressed"]) == ("f", 2)


def test_a_library_that_repeats_itself_is_logged_once(lines: io.StringIO) -> None:
    for number in range(100):
        logging.getLogger("nats.aio").warning("Invalid request %d", number)
    log.get_logger("kaa_epr.test").warning("ours")
    log.get_logger("kaa_epr.test").warning("ours")
    assert [line["event"] for line in _parsed(lines)] == ["Invalid request 0", "ours", "ours"]
