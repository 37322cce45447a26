"""Keeps the README's tables as the code has them: ``python .ci/readme.py`` rewrites them, a test compares."""

from __future__ import annotations

import re
from pathlib import Path

from kaa_epr import metrics_table
from kaa_epr.config import reference
from kaa_epr.observer.counts import OBSERVER_TABLE

README = Path(__file__).resolve().parent.parent / "README.md"


def rendered(text: str) -> str:
    """``text`` with what stands between the markers made anew."""
    tables = {
        "settings": reference.markdown(),
        "metrics": metrics_table.markdown(),
        "observer": metrics_table.markdown_of(OBSERVER_TABLE),
    }
    for name, table in tables.items():
        between = re.compile(rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.DOTALL)
        text, found = between.subn(lambda match, table=table: f"{match[1]}{table}{match[2]}", text)  # type: ignore[misc]
        if found != 1:
            raise ValueError(f"the README has {found} parts marked {name}, not 1")
    return text


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
