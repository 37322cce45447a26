"""Structured logs: one line an event on standard error.

``configure`` routes structlog and the standard library's logging (nats-py, PyMongo, asyncio) through
one handler; ``set_level`` changes the level at runtime. Every value passes ``redaction.redact``. Correlation
IDs are context: ``with correlation(id): …`` puts ``correlation_id`` on every line inside.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, TextIO, cast

import structlog
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from kaa_epr.redaction import redact, trace

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]

REPEAT_SECONDS: Final = 10.0
"""A warning that repeats is logged once in this time, with the number left out since."""
MAX_REPEATS: Final = 512
"""Distinct warnings remembered; beyond it the one longest unseen is forgotten."""

_FOREIGN_LEVELS: Final = {
    "asyncio": logging.WARNING,
    "nats": logging.INFO,
    "motor": logging.WARNING,
    # At debug it logs whole commands, and those hold documents.
    "pymongo": logging.WARNING,
    # They log URLs, which may hold a password.
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
}
"""Least levels of libraries, whatever our own level."""
_ENVELOPE: Final = ("timestamp", "level", "logger", "exception")
"""Keys that this module itself writes, first on the line."""


def get_logger(name: str) -> BoundLogger:
    """The logger of a module; bind what stays the same, name events in plain words."""
    return structlog.stdlib.get_logger(name)


def configure(
    level: Level = "info", style: Format = "json", *, stream: TextIO | None = None, **context: Any
) -> None:
    """Sets up logging for the process, once or again; ``context`` goes onto every line (such as worker=1)."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_context(context),
        _render_exception,
        _redact_values,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(stream or sys.stderr)
    handler.addFilter(RepeatFilter())
    foreign: list[Processor] = [structlog.stdlib.ExtraAdder(allow=["suppressed"]), *shared]
    handler.setFormatter(ProcessorFormatter(foreign_pre_chain=foreign, processors=_renderers(style)))
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    logging.captureWarnings(capture=True)
    set_level(level)


def set_level(level: Level) -> None:
    """Changes the least level logged, from the next line on."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger().setLevel(number)
    for name, least in _FOREIGN_LEVELS.items():
        logging.getLogger(name).setLevel(max(least, number))


def correlation(correlation_id: str) -> AbstractContextManager[None]:
    """Puts ``correlation_id`` on every line logged inside, in tasks started inside too."""
    return cast(
        "AbstractContextManager[None]",
        structlog.contextvars.bound_contextvars(correlation_id=correlation_id),
    )


class Repeats:
    """Lets one of many equal events through per interval; bounded in keys. Not thread-safe by itself:
    a race between threads can only let one line more or less through.
    """

    def __init__(
        self,
        seconds: float = REPEAT_SECONDS,
        max_keys: int = MAX_REPEATS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._max_keys = max_keys
        self._clock = clock
        self._seen: OrderedDict[object, list[float]] = OrderedDict()

    def allow(self, key: object) -> int | None:
        """None: leave this one out. Else log it, with this number of equal ones left out before it."""
        now = self._clock()
        seen = self._seen.get(key)
        if seen is not None and now < seen[0]:
            seen[1] += 1
            return None
        suppressed = 0 if seen is None else int(seen[1])
        self._seen[key] = [now + self._seconds, 0]
        self._seen.move_to_end(key)
        if len(self._seen) > self._max_keys:
            self._seen.popitem(last=False)
        return suppressed

    def warning(self, logger: BoundLogger, event: str, **facts: Any) -> None:
        """Logs a warning unless an equally named one was logged just now."""
        suppressed = self.allow(event)
        if suppressed is not None:
            logger.warning(event, **facts, **({"suppressed": suppressed} if suppressed else {}))


class RepeatFilter(logging.Filter):
    """Leaves out repeats of libraries' messages: a peer that misbehaves must not fill the disk."""

    def __init__(self, repeats: Repeats | None = None) -> None:
        super().__init__()
        self._repeats = repeats or Repeats()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is logged; ours always are, since they choose for themselves."""
        if isinstance(record.msg, dict):
            return True
        suppressed = self._repeats.allow((record.name, record.levelno, str(record.msg)))
        if suppressed:
            record.suppressed = suppressed
        return suppressed is not None


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, to be told apart from handlers that tests and others installed."""


def _add_context(context: dict[str, Any]) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {**context, **event}

    return add


def _render_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["exception"] = trace(error)
    event.pop("stack_info", None)
    return event


def _redact_values(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    envelope = {key: event.pop(key) for key in _ENVELOPE if key in event}
    what = event.pop("event", "")
    return {**envelope, "event": redact(what), **{key: redact(value, key) for key, value in event.items()}}


def _escape_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    # What peers send (correlation IDs, subjects) must neither start lines nor command the terminal.
    for key, value in event.items():
        if isinstance(value, str) and key not in _ENVELOPE and not value.isprintable():
            event[key] = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    return event


def _renderers(style: Format) -> list[Processor]:
    if style == "json":
        # ASCII only, so that no terminal or collector can be confused by what a peer sent.
        return [ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()]
    return [
        ProcessorFormatter.remove_processors_meta,
        _escape_controls,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
    ]
