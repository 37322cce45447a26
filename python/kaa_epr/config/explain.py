"""Validation errors of the settings models in the words of this project."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from kaa_epr.config.names import LEAVES, PathKey, is_open
from kaa_epr.config.problems import Entry, Problem, show
from kaa_epr.config.types import ConflictError

_EXPECTED: Final[Mapping[str, str]] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "int_type": "a whole number",
    "model_type": "a mapping",
    "path_type": "a file name",
    "string_type": "text (in quotes, where YAML would read something else)",
    "tuple_type": "a list",
}
_EXPECTED_WITH: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "greater_than_equal": lambda ctx: f"at least {ctx['ge']}",
    "less_than_equal": lambda ctx: f"at most {ctx['le']}",
    "literal_error": lambda ctx: f"one of {str(ctx['expected']).replace(chr(39), '').replace(' or ', ', ')}",
    "string_too_long": lambda ctx: f"at most {ctx['max_length']} characters",
    "string_too_short": lambda ctx: f"at least {ctx['min_length']} characters",
    "too_long": lambda ctx: f"at most {ctx['max_length']} items",
    "too_short": lambda ctx: f"at least {ctx['min_length']} items",
    "value_error": lambda ctx: str(ctx["error"]),
}


def problems_of(error: ValidationError, entries: Mapping[PathKey, Entry]) -> Iterator[Problem]:
    """Each thing ``error`` found, with the place that said it."""
    for detail in error.errors(include_url=False):
        cause = detail.get("ctx", {}).get("error")
        path = tuple(str(part) for part in detail["loc"] if part != "[key]")
        if isinstance(cause, ConflictError):
            for key, expected in cause.conflicts:
                yield _conflict((*path, *key.split(".")), expected, entries)
        else:
            yield _wrong_value(path, detail, entries)


def _conflict(path: PathKey, expected: str, entries: Mapping[PathKey, Entry]) -> Problem:
    entry = entries.get(path)
    return Problem(".".join(path), None, entry.origin if entry else None, f"expected {expected}")


def _wrong_value(path: PathKey, detail: ErrorDetails, entries: Mapping[PathKey, Entry]) -> Problem:
    prefixes = [path[:length] for length in range(len(path), 0, -1)]
    below = (entry for key, entry in entries.items() if key[: len(path)] == path)
    entry = next((entries[prefix] for prefix in prefixes if prefix in entries), next(below, None))
    leaf = next((LEAVES[prefix] for prefix in prefixes if prefix in LEAVES), None)
    # What lies in Kaa's own section is not shown: it may be a secret of another service.
    shown = None if leaf is None or is_open(path) else show(detail["input"], secret=leaf.secret)
    return Problem(
        _dotted(path),
        shown,
        entry.origin if entry else None,
        f"expected {_expected(detail)}",
    )


def _dotted(path: PathKey) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if part.isdigit() else f".{part}"
    return text.removeprefix(".")


def _expected(detail: ErrorDetails) -> str:
    kind = detail["type"]
    if kind in _EXPECTED_WITH:
        return _EXPECTED_WITH[kind](detail["ctx"])
    return _EXPECTED.get(kind, f"something else ({detail['msg']})")
