"""A stored endpoint as JSON text for people, and what is wrong with it.

What is made of a large document is made in a thread, while others have the loop: the planner in the core
leaves the interpreter to them meanwhile.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Final, TypeVar

from kaa_epr.mongo.lenient import id_of, odd_field
from kaa_epr.refusals import Unusable
from kaa_epr.register.decide.api import Planner
from kaa_epr.register.decide.view import View

LARGE: Final = 64 * 1024
"""Bytes of a document that the loop does not wait for."""
_T = TypeVar("_T")


async def beside(document: bytes, work: Callable[[], _T]) -> _T:
    """What ``work`` makes of the document, without holding the loop for longer than a small one takes."""
    return work() if len(document) < LARGE else await asyncio.to_thread(work)


def shown_text(planner: Planner, document: bytes, *, with_metadata: bool) -> tuple[bytes, str | None]:
    """JSON of an endpoint, and what is wrong with it; of one that cannot be read at all, only its ID."""
    try:
        view = planner.view(document)
    except Unusable as error:
        endpoint_id = id_of(document)
        text = b"{}" if endpoint_id is None else b'{"endpointId":%b}' % _json(endpoint_id)
        return _with_problem(text, str(error)), str(error)
    return viewed_text(view, document, with_metadata=with_metadata)


def viewed_text(view: View, document: bytes, *, with_metadata: bool) -> tuple[bytes, str | None]:
    """The same of ``document``, of which ``view`` is. What cannot be read is left out, and told of."""
    text = view.endpoint_text(with_metadata=with_metadata)
    problem = view.problem or odd_field(document)
    return (text if problem is None else _with_problem(text, problem)), problem


def _with_problem(text: bytes, problem: str) -> bytes:
    return text[:-1] + (b"," if len(text) > 2 else b"") + b'"problem":' + _json(problem) + b"}"


def _json(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()
