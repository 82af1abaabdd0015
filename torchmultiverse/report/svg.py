"""Small charts as inline SVG: dots with whiskers on a 0 to 100 scale. Colours come from the page's style."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

WIDTH = 340
LANE = 15
_PAD = 9
_TICKS = (0, 25, 50, 75, 100)


def _x(share: float) -> float:
    return round(_PAD + share * (WIDTH - 2 * _PAD), 1)


def marker(index: int, x: float, y: float) -> str:
    """Return the mark of the n-th model: colour and shape differ, so that neither alone must be seen."""
    style = f'class="mark m{index % 8}"'
    match index % 4:
        case 0:
            return f'<circle {style} cx="{x}" cy="{y}" r="4.6"/>'
        case 1:
            return f'<rect {style} x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" rx="1"/>'
        case 2:
            return f'<path {style} d="M{x} {y - 5.4:.1f}l5.4 5.4-5.4 5.4-5.4-5.4z"/>'
        case _:
            return f'<path {style} d="M{x} {y - 5:.1f}l5.2 9.2h-10.4z"/>'


def legend_mark(index: int) -> Markup:
    """Return a model's mark alone."""
    return Markup(f'<svg class="key" width="14" height="14" aria-hidden="true">{marker(index, 7, 7)}</svg>')


def axis() -> Markup:
    """Return the scale above a column of charts."""
    anchors = {0: "start", 100: "end"}
    labels = "".join(
        f'<text x="{_x(t / 100) + (-6 if t == 0 else 6 if t == 100 else 0)}" y="12" '
        f'text-anchor="{anchors.get(t, "middle")}">{t}{" %" if t == 100 else ""}</text>'
        for t in _TICKS
    )
    return Markup(f'<svg class="axis" viewBox="0 0 {WIDTH} 16" width="{WIDTH}" height="16">{labels}</svg>')


def dots(cells: Sequence[tuple[int, str, Mapping[str, Any] | None]], chance: float) -> Markup:
    """Return one row of a chart: a lane per model with its accuracy and interval, and a line at chance.

    Args:
        cells: place among the models, name, and cell of the long table of each model.
        chance: accuracy of a blind guess, in [0, 1].
    """
    height = LANE * max(1, len(cells)) + 6
    parts = [f'<line class="grid" x1="{_x(t / 100)}" x2="{_x(t / 100)}" y1="0" y2="{height}"/>' for t in _TICKS]
    parts.append(f'<line class="chance" x1="{_x(chance)}" x2="{_x(chance)}" y1="0" y2="{height}"/>')
    said = [f"chance {100 * chance:.1f} %"]
    for lane, (index, name, cell) in enumerate(cells):
        if cell is None:
            continue
        y = 3 + LANE * lane + LANE / 2
        low, high, at = _x(cell["low"]), _x(cell["high"]), _x(cell["accuracy"])
        text = f"{name}: {100 * cell['accuracy']:.1f} % [{100 * cell['low']:.1f}, {100 * cell['high']:.1f}]"
        said.append(text)
        parts.append(
            f"<g><title>{escape(text)}, n = {cell['n']}</title>"
            f'<line class="whisker m{index % 8}" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>{marker(index, at, y)}</g>'
        )
    label = escape("; ".join(said))
    return Markup(
        f'<svg class="dots" role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}">{"".join(parts)}</svg>'
    )
