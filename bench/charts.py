"""Charts as SVG text: bars with the least and the most of the rounds, and a line over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from bench.results import Spread

WIDTH: Final = 760
LABEL: Final = 330
NUMBERS: Final = 90
ROW: Final = 26
TOP: Final = 44
STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600;font-size:15px}"
    ".note{fill:#59636e;font-size:12px}.bar{fill:#9ec5fe}.ours{fill:#1a7f37}"
    ".spread{stroke:#1f2328;stroke-width:1}.line{fill:none;stroke:#1a7f37;stroke-width:1.5}"
    ".mark{stroke:#cf222e;stroke-dasharray:4 3}"
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a bar chart."""

    label: str
    value: Spread
    ours: bool


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Horizontal bars from zero; the thin line spans the rounds."""
    most = max(row.value.most for row in rows) or 1.0
    scale = (WIDTH - LABEL - NUMBERS) / most
    parts = []
    for number, row in enumerate(rows):
        y = TOP + number * ROW
        middle = y + ROW / 2 - 3
        kind = "bar ours" if row.ours else "bar"
        end = LABEL + row.value.most * scale
        parts.append(_text(LABEL - 10, middle + 4, row.label, end=True))
        width = f"{row.value.median * scale:.1f}"
        parts.append(f'<rect class="{kind}" x="{LABEL}" y="{y}" width="{width}" height="{ROW - 6}"/>')
        start = f"M{LABEL + row.value.least * scale:.1f} {middle:.0f}"
        parts.append(f'<path class="spread" d="{start}H{end:.1f}"/>')
        parts.append(_text(end + 6, middle + 4, number_text(row.value.median)))
    return _svg(title, unit, TOP + len(rows) * ROW + 10, parts)


def line(title: str, unit: str, step: float, values: Sequence[float], mark: float) -> str:
    """Values over time in seconds, ``step`` apart; a dashed line at ``mark`` seconds."""
    left, height = 70, 220
    most = max(values) or 1.0
    x_scale = (WIDTH - left - 20) / (len(values) * step)
    points = " ".join(
        f"{left + number * step * x_scale:.1f},{TOP + height * (1 - value / most):.1f}"
        for number, value in enumerate(values)
    )
    bottom = TOP + height
    parts = [
        f'<polyline class="line" points="{points}"/>',
        f'<path class="mark" d="M{left + mark * x_scale:.1f} {TOP}V{bottom}"/>',
        f'<path class="spread" d="M{left} {bottom}H{WIDTH - 20}M{left} {TOP}V{bottom}"/>',
        _text(left - 6, TOP + 5, number_text(most), end=True, note=True),
        _text(left - 6, bottom, "0", end=True, note=True),
        _text(left, bottom + 16, "0 s", note=True),
        _text(WIDTH - 20, bottom + 16, f"{len(values) * step:g} s", end=True, note=True),
    ]
    return _svg(title, unit, bottom + 28, parts)


def number_text(value: float) -> str:
    """A number for people: three significant digits, thousands apart."""
    if value >= 1000:
        digits = 10 ** (len(f"{value:.0f}") - 3)
        return f"{round(value / digits) * digits:,}".replace(",", "\u202f")
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def spread_text(spread: Spread) -> str:
    """The median, with the least and the most where they differ from it."""
    numbers = [number_text(value) for value in (spread.median, spread.least, spread.most)]
    return numbers[0] if numbers[1] == numbers[2] else f"{numbers[0]} ({numbers[1]} to {numbers[2]})"


def _text(x: float, y: float, text: str, *, end: bool = False, note: bool = False) -> str:
    """Text that starts, or ends, at a point."""
    kind = ' class="note"' if note else ""
    anchor = ' text-anchor="end"' if end else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}"{anchor}>{escape(text)}</text>'


def _svg(title: str, unit: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" role="img"><title>{escape(title)}</title><style>{STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f'<text class="title" x="14" y="20">{escape(title)}</text>'
        f'<text class="note" x="14" y="36">{escape(unit)}</text>'
    )
    return "\n".join([head, *parts, "</svg>", ""])
