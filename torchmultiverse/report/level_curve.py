"""A chart of accuracy over the levels of a number: to scale, in its unit, with ``own`` as a tick of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup, escape

from torchmultiverse.report.svg import marker
from torchmultiverse.scenes import OWN

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _FOOT = 420, 200, 38, 16, 8, 36
_GAP = 54
"""Room of the tick of ``own``, which is at no number."""
_APART = 34
"""Pixels between the numbers of two ticks."""
_DECADE = 20.0
"""How many times the least number the largest must be for a logarithmic axis."""

Cell = Mapping[str, Any]


def level_curve(levels: Sequence[str], lines: Sequence[tuple[int, str, Sequence[Cell | None]]], title: str) -> Markup:
    """Return the accuracy of models over the levels of a number, with intervals.

    Numbers stand to scale, logarithmic where they span more than a decade; ``own`` stands apart at the left.

    Args:
        levels: as words, ``own`` first where it is there, then numbers ascending.
        lines: place, name and cells (accuracy, low, high, chance) of each model, a cell for each level.
        title: of the axis, with the unit.
    """
    own = bool(levels) and levels[0] == OWN
    numbers = [float(level) for level in levels[own:]]
    begin = _LEFT + (_GAP if own else 12)
    logarithmic = min(numbers) > 0 and max(numbers) > _DECADE * min(numbers)
    places = [math.log(number) if logarithmic else number for number in numbers]
    low, span = min(places), (max(places) - min(places)) or 1.0
    xs = [round(begin + (place - low) / span * (_WIDTH - _RIGHT - begin - 8), 1) for place in places]
    every = ([float(_LEFT + 14)] if own else []) + xs

    def y(share: float) -> float:
        return round(_TOP + (1 - min(max(share, 0.0), 1.0)) * (_HEIGHT - _FOOT - _TOP), 1)

    parts = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(tick)}" y2="{y(tick)}"/>'
        f'<text x="{_LEFT - 9}" y="{y(tick) + 4}" text-anchor="end">{100 * tick:.0f}</text>'
        for tick in (0, 0.5, 1)
    ]
    if own:
        parts.append(f'<line class="grid" x1="{begin - 14}" x2="{begin - 14}" y1="{y(1)}" y2="{y(0)}"/>')
    last = -math.inf
    for level, x in zip(levels, every, strict=True):
        if x - last >= _APART:
            parts.append(f'<text x="{x}" y="{_HEIGHT - 20}" text-anchor="middle">{escape(level)}</text>')
            last = x
    parts.append(
        f'<text x="{(begin + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(title)}'
        f"{', logarithmic' if logarithmic else ''}</text>"
    )
    if chance := next((cell["chance"] for _, _, cells in lines for cell in cells if cell is not None), None):
        parts.append(f'<line class="chance" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(chance)}" y2="{y(chance)}"/>')
    said = []
    for index, name, cells in lines:
        known = [(x, level, cell) for x, level, cell in zip(every, levels, cells, strict=True) if cell is not None]
        path = " ".join(f"{x},{y(cell['accuracy'])}" for x, level, cell in known if level != OWN)
        parts.append(f'<polyline class="ring m{index % 8}" fill="none" points="{path}"/>')
        for x, level, cell in known:
            share = f"{100 * cell['accuracy']:.1f} % [{100 * cell['low']:.1f}, {100 * cell['high']:.1f}]"
            parts.append(
                f"<g><title>{escape(f'{name}, {level}: {share}')}</title>"
                f'<line class="whisker m{index % 8}" x1="{x}" x2="{x}" y1="{y(cell["low"])}" y2="{y(cell["high"])}"/>'
                f"{marker(index, x, y(cell['accuracy']))}</g>"
            )
        said.append(f"{name}: " + ", ".join(f"{level} {100 * cell['accuracy']:.0f} %" for _, level, cell in known))
    return Markup(
        f'<svg class="curves level" role="img" aria-label="{escape("; ".join(said))}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}">{"".join(parts)}</svg>'
    )
