"""The table of all settings, made from the models, for the README and ``--help``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import SecretStr

from kaa_epr.config.dump import mask_mongo_uri
from kaa_epr.config.names import LEAVES, Leaf


class Row(NamedTuple):
    """One setting."""

    key: str
    default: str
    """As YAML has it; empty: not set."""
    description: str


def rows() -> Iterator[Row]:
    """Every setting, in the order of the models."""
    for leaf in LEAVES.values():
        yield Row(leaf.key, _default(leaf), leaf.field.description or "")


def markdown() -> str:
    """The rows as a Markdown table."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for row in rows():
        default = f"`{row.default}`" if row.default else ""
        meaning = row.description.replace("|", "\\|")
        lines.append(f"| `{row.key}` | {default} | {meaning} |")
    return "\n".join(lines) + "\n"


def _default(leaf: Leaf) -> str:
    value = leaf.field.get_default(call_default_factory=True, validated_data={})
    return "" if value is None or value == {} else _text(leaf, value)


def _text(leaf: Leaf, value: Any) -> str:
    if isinstance(value, SecretStr):
        return mask_mongo_uri(value.get_secret_value())
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    if leaf.path[-1].endswith("bytes") or leaf.path[-1] == "write_buffer_limit":
        return f"{value // 2**20}MiB" if value % 2**20 == 0 else f"{value // 2**10}KiB"
    return f"{value:g}" if isinstance(value, float) else str(value)
