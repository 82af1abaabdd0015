"""A chart of accuracy over the levels of a number: to scale, in its unit, with ``own`` as a tick of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
    own, places, logarithmic = _places(levels)
    begin = _LEFT + (_GAP if own else 12)
    xs = [round(begin + place * (_WIDTH - _RIGHT - begin - 8), 1) for place in places]
    every = ([float(_LEFT + 14)] if own else []) + xs
    parts = [
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(tick)}" y2="{_y(tick)}"/>'
        f'<text x="{_LEFT - 9}" y="{_y(tick) + 4}" text-anchor="end">{100 * tick:.0f}</text>'
        for tick in (0, 0.5, 1)
    ]
    if own:
        parts.append(f'<line class="grid" x1="{begin - 14}" x2="{begin - 14}" y1="{_y(1)}" y2="{_y(0)}"/>')
    parts += _ticks(levels, every)
    parts.append(
        f'<text x="{(begin + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(title)}'
        f"{', logarithmic' if logarithmic else ''}</text>"
    )
    if chance := next((cell["chance"] for _, _, cells in lines for cell in cells if cell is not None), None):
        y = _y(chance)
        parts.append(f'<line class="chance" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
    said = []
    for index, name, cells in lines:
        known = [(x, level, cell) for x, level, cell in zip(every, levels, cells, strict=True) if cell is not None]
        parts += _line(index, name, known)
        said.append(f"{name}: " + ", ".join(f"{level} {100 * cell['accuracy']:.0f} %" for _, level, cell in known))
    return Markup(
        f'<svg class="curves level" role="img" aria-label="{escape("; ".join(said))}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'width="{_WIDTH}" height="{_HEIGHT}">{"".join(parts)}</svg>'
    )


def _places(levels: Sequence[str]) -> tuple[bool, list[float], bool]:
    """Return whether ``own`` comes first, where the numbers stand from 0 to 1, and whether by their logarithms."""
    own = bool(levels) and levels[0] == OWN
    numbers = [float(level) for level in levels[own:]]
    logarithmic = min(numbers) > 0 and max(numbers) > _DECADE * min(numbers)
    places = [math.log(number) if logarithmic else number for number in numbers]
    low, span = min(places), (max(places) - min(places)) or 1.0
    return own, [(place - low) / span for place in places], logarithmic


def _y(share: float) -> float:
    return round(_TOP + (1 - min(max(share, 0.0), 1.0)) * (_HEIGHT - _FOOT - _TOP), 1)


def _ticks(levels: Sequence[str], every: Sequence[float]) -> Iterator[str]:
    """Yield the levels below the axis, as many as find room."""
    last = -math.inf
    for level, x in zip(levels, every, strict=True):
        if x - last >= _APART:
            yield f'<text x="{x}" y="{_HEIGHT - 20}" text-anchor="middle">{escape(level)}</text>'
            last = x


def _line(index: int, name: str, known: Sequence[tuple[float, str, Cell]]) -> Iterator[str]:
    """Yield the line of a model through the numbers, and a mark with its interval at each level."""
    path = " ".join(f"{x},{_y(cell['accuracy'])}" for x, level, cell in known if level != OWN)
    yield f'<polyline class="ring m{index % 8}" fill="none" points="{path}"/>'
    for x, level, cell in known:
        share = f"{100 * cell['accuracy']:.1f} % [{100 * cell['low']:.1f}, {100 * cell['high']:.1f}]"
        yield (
            f"<g><title>{escape(f'{name}, {level}: {share}')}</title>"
            f'<line class="whisker m{index % 8}" x1="{x}" x2="{x}" y1="{_y(cell["low"])}" y2="{_y(cell["high"])}"/>'
            f"{marker(index, x, _y(cell['accuracy']))}</g>"
        )
