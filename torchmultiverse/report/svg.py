"""Charts as inline SVG. Colours come from the page's style; no colour says alone what a shape or a number does not."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from torchmultiverse.evaluation import FactorScore
from torchmultiverse.scenes import axis_title, level_name
from torchmultiverse.stats import Calibration

WIDTH = 340
LANE = 15
WORD = 7.0
"""Pixels of a letter of 11 pixels, at most on average: labels get as much room, in whatever font a page is shown."""
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


def radar(axes: Sequence[tuple[str, float]], models: Sequence[tuple[int, str, Sequence[float | None]]]) -> Markup:
    """Return a radar chart: an axis per question from 0 at the centre to 100 %, a line per model, chance dashed.

    Args:
        axes: title and chance of each question.
        models: place, name, and accuracy on each question.
    """
    count, reach = len(axes), 110.0
    longest = max(len(word) for title, _ in axes for word in title.split())
    labels = [textwrap.wrap(title, max(13, longest)) for title, _ in axes]
    middle = 1.12 * reach + WORD * max(len(line) for lines in labels for line in lines)
    centre = (middle, 1.12 * reach + 4 + 12 * max(map(len, labels)))
    size = (
        f'viewBox="0 0 {2 * middle:.0f} {2 * centre[1]:.0f}" width="{2.7 * middle:.0f}" height="{2.7 * centre[1]:.0f}"'
    )

    def at(k: int, share: float) -> tuple[float, float]:
        angle = 2 * math.pi * k / count - math.pi / 2
        return centre[0] + reach * share * math.cos(angle), centre[1] + reach * share * math.sin(angle)

    def line(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)

    parts = []
    for tick in (0.25, 0.5, 0.75, 1.0):
        parts.append(f'<polygon class="grid" fill="none" points="{line([at(k, tick) for k in range(count)])}"/>')
    for k in range(count):
        x, y = at(k, 1)
        parts.append(f'<line class="grid" x1="{centre[0]}" y1="{centre[1]}" x2="{x:.1f}" y2="{y:.1f}"/>')
        lx, ly = at(k, 1.12)
        anchor = "middle" if abs(lx - centre[0]) < 12 else "start" if lx > centre[0] else "end"
        words = labels[k]
        # Lines stand above the end of an upper axis and below that of a lower one: away from the marks.
        down = (ly - centre[1]) / (1.12 * reach)
        first = ly + 4 + 5 * down - 6 * (1 - down) * (len(words) - 1)
        spans = "".join(
            f'<tspan x="{lx:.1f}" y="{first + 12 * i:.1f}">{escape(word)}</tspan>' for i, word in enumerate(words)
        )
        parts.append(f'<text text-anchor="{anchor}">{spans}</text>')
    chance = line([at(k, c) for k, (_, c) in enumerate(axes)])
    parts.append(f'<polygon class="chance" fill="none" points="{chance}"><title>chance</title></polygon>')
    said = []
    for index, name, values in models:
        known = [(k, v) for k, v in enumerate(values) if v is not None]
        points = [at(k, v) for k, v in known]
        said.append(f"{name}: " + ", ".join(f"{axes[k][0]} {100 * v:.0f} %" for k, v in known))
        shape = "polygon" if len(known) == count else "polyline"
        parts.append(f'<{shape} class="ring m{index % 8}" fill="none" points="{line(points)}"/>')
        parts += [marker(index, round(x, 1), round(y, 1)) for x, y in points]
    return Markup(f'<svg class="radar" role="img" aria-label="{escape("; ".join(said))}" {size}>{"".join(parts)}</svg>')


def heatmap(
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[str, str], tuple[float, int]],
    what: str = "accuracy",
) -> Markup:
    """Return shares by rows and columns as a grid: darker is more, the number in percent is in the cell.

    Args:
        rows, columns: levels, in their order.
        cells: share and number of pictures (0 for none to be told) by row and column; a missing one stays empty.
        what: the shares are of.
    """
    wide, high = (46, 22) if len(columns) <= 16 else (26, 18)
    left = 12 + round(WORD * max(len(name) for name in rows))
    rise, run = WORD * math.sin(math.radians(50)), WORD * math.cos(math.radians(50))
    top = 20 + round(rise * max(len(name) for name in columns))
    parts = []
    for k, name in enumerate(columns):
        x = left + wide * k + wide / 2
        parts.append(f'<text transform="translate({x + 4:.0f} {top - 6}) rotate(-50)">{escape(name)}</text>')
    for r, row in enumerate(rows):
        y = top + high * r
        parts.append(f'<text x="{left - 6}" y="{y + high / 2 + 4:.0f}" text-anchor="end">{escape(row)}</text>')
        for k, column in enumerate(columns):
            if (row, column) not in cells:
                continue
            value, n = cells[row, column]
            x = left + wide * k
            label = f"{row}, {column}: {100 * value:.1f} %" + (f" of {n}" if n else "")
            depth = min(max(value, 0.0), 1.0)
            ink, middle = "over" if value > 0.55 else "", y + high / 2 + 4
            text = (
                f'<text class="{ink}" x="{x + wide / 2}" y="{middle:.0f}" text-anchor="middle">{100 * value:.0f}</text>'
            )
            parts.append(
                f'<g><title>{escape(label)}</title><rect class="heat" x="{x}" y="{y}" width="{wide - 1}" '
                f'height="{high - 1}" fill-opacity="{0.06 + 0.94 * depth:.2f}"/>{text if wide > 30 else ""}</g>'
            )
    ends = [left + wide * (k + 0.5) + 14 + run * len(name) for k, name in enumerate(columns)]
    width, height = round(max(left + wide * len(columns), *ends)), top + high * len(rows) + 6
    return Markup(
        f'<svg class="heatmap" role="img" aria-label="{escape(what)} of {len(rows)} by {len(columns)}" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">{"".join(parts)}</svg>'
    )


def drops(index: int, factors: Sequence[FactorScore]) -> Markup:
    """Return, for each factor, a line from accuracy at its default (or best) level to that at its worst.

    Args:
        index: place of the model, for its colour.
        factors: in the order to be shown.
    """
    left = 14 + round(WORD * max((len(axis_title(f.factor)) for f in factors), default=0))
    wide, lane = 220, 20
    height = lane * len(factors) + 22

    def at(share: float) -> float:
        return round(left + share * wide, 1)

    parts = []
    for tick in _TICKS:
        x = at(tick / 100)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="4" y2="{height - 16}"/>')
        parts.append(f'<text x="{x}" y="{height - 3}" text-anchor="middle">{tick}</text>')
    said = []
    for row, factor in enumerate(factors):
        y = 4 + lane * row + lane / 2
        usual = factor.default or factor.best
        text = f"{factor.factor}: {level_name(usual.level, factor.factor)} {100 * usual.accuracy:.1f} %, "
        text += f"{level_name(factor.worst.level, factor.factor)} "
        text += f"{100 * factor.worst.accuracy:.1f} %"
        said.append(text)
        name = escape(axis_title(factor.factor))
        parts.append(
            f'<g><title>{escape(text)}</title><text x="{left - 8}" y="{y + 4}" text-anchor="end">{name}</text>'
            f'<line class="ring m{index % 8}" x1="{at(usual.accuracy)}" x2="{at(factor.worst.accuracy)}" '
            f'y1="{y}" y2="{y}"/>'
            f'<circle class="ring m{index % 8}" fill="none" cx="{at(usual.accuracy)}" cy="{y}" r="4.2"/>'
            f"{marker(index, at(factor.worst.accuracy), y)}</g>"
        )
    width = left + wide + 16
    return Markup(
        f'<svg class="drops" role="img" aria-label="{escape("; ".join(said))}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">{"".join(parts)}</svg>'
    )


def reliability(index: int, found: Calibration) -> Markup:
    """Return confidence against accuracy, a mark per bin; on the diagonal a model is as right as it says."""
    size, pad = 200, 32

    def at(share: float) -> float:
        return round(pad + share * (size - pad - 16), 1)

    parts = [f'<line class="grid" x1="{at(0)}" y1="{size - at(0)}" x2="{at(1)}" y2="{size - at(1)}"/>']
    for tick in (0, 0.5, 1):
        parts.append(f'<text x="{at(tick)}" y="{size - 8}" text-anchor="middle">{100 * tick:.0f}</text>')
        parts.append(f'<text x="{pad - 8}" y="{size - at(tick) + 4}" text-anchor="end">{100 * tick:.0f}</text>')
    points = [(at(confidence), size - at(right)) for confidence, right, _ in found.bins]
    parts.append(
        f'<polyline class="ring m{index % 8}" fill="none" points="{" ".join(f"{x},{y}" for x, y in points)}"/>'
    )
    parts += [marker(index, x, y) for x, y in points]
    label = f"calibration error {100 * found.error:.1f} %; says {100 * found.confidence:.0f} %, "
    label += f"is right {100 * found.accuracy:.0f} %"
    return Markup(
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {size} {size}" width="{size}" height="{size}">'
        f"{''.join(parts)}</svg>"
    )


@dataclass(frozen=True)
class Series:
    """One line of a chart over depth.

    Attributes:
        index: of its mark and colour.
        name: for the legend and the tooltips.
        values: one per layer.
        low, high: ends of the intervals, where there are any.
    """

    index: int
    name: str
    values: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


def curves(
    layers: Sequence[str],
    lines: Sequence[Series],
    chance: float | None = None,
    chosen: int | None = None,
    top: float = 1.0,
    percent: bool = True,
    marks: bool = True,
) -> Markup:
    """Return lines over depth with their intervals; the first layer is left.

    Args:
        layers: names, for tooltips; on the axis too, as many as find room, if they are short, else their places.
        lines: with one value per layer each, 0 to ``top``.
        chance: a dashed line.
        chosen: place of a layer that gets a square round its mark.
        top: end of the vertical axis.
        percent: whether numbers are shares.
        marks: whether each value has one; many have none.
    """
    width, height, left, foot = 380, 190, 38, 22
    count = max(len(layers), 2)

    def at(k: float, value: float) -> tuple[float, float]:
        x = left + k * (width - left - 12) / (count - 1)
        return round(x, 1), round(8 + (1 - min(max(value / top, 0.0), 1.0)) * (height - foot - 8), 1)

    def text(value: float) -> str:
        return f"{100 * value:.0f}" if percent else f"{value:.3g}"

    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1.0):
        y = at(0, tick * top)[1]
        parts.append(f'<line class="grid" x1="{left}" x2="{width - 12}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{left - 9}" y="{y + 4}" text-anchor="end">{text(tick * top)}</text>')
    longest = max(map(len, layers))
    short = longest <= 8
    room = int((width - left) / (WORD * longest + 12)) if short else 12
    step = max(1, math.ceil(count / room))
    for k in range(0, len(layers), step):
        # Short names stand on the axis themselves; the outer ones must not be cut off.
        anchor = "start" if short and k == 0 else "end" if short and k == len(layers) - 1 > 0 else "middle"
        name = escape(layers[k]) if short else k
        parts.append(f'<text x="{at(k, 0)[0]}" y="{height - 6}" text-anchor="{anchor}">{name}</text>')
    if chance is not None:
        y = at(0, chance)[1]
        parts.append(
            f'<line class="chance" x1="{left}" x2="{width - 12}" y1="{y}" y2="{y}"><title>chance</title></line>'
        )
    said = []
    for line in lines:
        points = [at(k, value) for k, value in enumerate(line.values)]
        if line.low:
            ends = [at(k, v) for k, v in enumerate(line.high)] + [at(k, v) for k, v in enumerate(line.low)][::-1]
            shape = " ".join(f"{x},{y}" for x, y in ends)
            parts.append(f'<polygon class="band m{line.index % 8}" points="{shape}"/>')
        path = " ".join(f"{x},{y}" for x, y in points)
        parts.append(f'<polyline class="ring m{line.index % 8}" fill="none" points="{path}"/>')
        for k, (x, y) in enumerate(points if marks else points[:: max(1, count // 10)]):
            k = k if marks else k * max(1, count // 10)
            interval = f" [{text(line.low[k])}, {text(line.high[k])}]" if line.low else ""
            label = f"{line.name}, {layers[k]}: {text(line.values[k])}{' %' if percent else ''}{interval}"
            parts.append(f"<g><title>{escape(label)}</title>{marker(line.index, x, y)}</g>")
        if chosen is not None and line is lines[0]:
            x, y = points[chosen]
            parts.append(f'<rect class="chosen" x="{x - 8}" y="{y - 8}" width="16" height="16" fill="none"/>')
        said.append(f"{line.name}: " + ", ".join(text(value) for value in line.values))
    return Markup(
        f'<svg class="curves" role="img" aria-label="{escape("; ".join(said))}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">{"".join(parts)}</svg>'
    )


def stacked(parts: Sequence[tuple[str, float, int]], width: int = 320) -> Markup:
    """Return a bar of shares that add up to 1: name, share and colour of each."""
    at, shown, said = 0.0, [], []
    for name, share, colour in parts:
        text = f"{name} {100 * share:.1f} %"
        said.append(text)
        shown.append(
            f'<g><title>{escape(text)}</title><rect class="mark m{colour % 8}" x="{at * width:.1f}" y="2" '
            f'width="{max(share * width - 1, 0):.1f}" height="16"/></g>'
        )
        at += share
    size = f'viewBox="0 0 {width} 20" width="{width}" height="20"'
    return Markup(f'<svg role="img" aria-label="{escape("; ".join(said))}" {size}>{"".join(shown)}</svg>')
