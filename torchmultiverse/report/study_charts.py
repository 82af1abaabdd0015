"""The charts of a study as inline SVG."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from torchmultiverse.report.svg import WORD, marker
from torchmultiverse.study import Bar, BarChart, Chart, Heatmap, LineChart, Point, ScatterChart, Series

_WIDTH, _HEIGHT = 440, 250
_LEFT, _RIGHT, _TOP, _FOOT = 48, 14, 10, 40
_MOST_LABELS = 40
"""Points of a scatter that bear their names; more would lie on each other."""
_LONGEST = 30
"""Letters of a name along an axis; longer ones lose their middle, since names that differ often differ at both ends."""
_SLANT = 35


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers of a range: steps of 1, 2 or 5 times a power of ten.

    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> ticks(-3.0, 11.0)
    [0.0, 5.0, 10.0]
    """
    span = high - low
    if span <= 0:
        return [low]
    raw = span / (most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


@dataclass(frozen=True)
class _Axis:
    """Values along a line of pixels."""

    low: float
    high: float
    start: float
    end: float
    percent: bool
    log: bool = False

    def at(self, value: float) -> float:
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def text(self, value: float) -> str:
        return number(value, self.percent)

    def ticks(self) -> list[float]:
        return ticks(self.low, self.high)


def number(value: float, percent: bool) -> str:
    """Return a number as a chart shows it.

    >>> number(0.1234, True), number(1234.5, False), number(0.01234, False)
    ('12.3', '1,234', '0.0123')
    """
    if percent:
        return f"{100 * value:.1f}".removesuffix(".0")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _range(values: Sequence[float], percent: bool) -> tuple[float, float]:
    """Return the ends of an axis: all of 0 to 100 % for fractions, else the values with some room."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if percent and low >= 0 and high <= 1:
        return 0.0, 1.0
    room = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    return (0.0 if 0 <= low < 0.4 * high else low - room), high + room


def _within(ends: tuple[float, float], values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis without room beyond 0 and 100 %, where no value is beyond."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    return max(ends[0], 0.0) if low >= 0 else ends[0], min(ends[1], 1.0) if high <= 1 else ends[1]


def _heights(points: Sequence[Point | Bar]) -> list[float]:
    found: list[float] = []
    for one in points:
        value = one.y if isinstance(one, Point) else one.value
        found += [float(v) for v in (value, one.low, one.high) if v is not None]
    return found


def _interval(one: Point | Bar, percent: bool) -> str:
    if one.low is None or one.high is None:
        return ""
    return f" [{number(float(one.low), percent)}, {number(float(one.high), percent)}]"


def told_apart(names: Sequence[str]) -> list[str]:
    """Return names for an axis: where one is long, what all begin with (whole parts of it) is left out.

    >>> told_apart(["visual.transformer.resblocks.9.attn.out_proj", "visual.transformer.resblocks.10.attn.out_proj"])
    ['…9.attn.out_proj', '…10.attn.out_proj']
    """
    if len(names) > 1 and max(map(len, names)) > _LONGEST:
        letters = (set(row) for row in zip(*names, strict=False))
        common = "".join(one.pop() for one in itertools.takewhile(lambda one: len(one) == 1, letters))
        whole = max(common.rfind(mark) for mark in "./,: ") + 1
        names = [f"…{name[whole:]}" for name in names] if whole > 3 else names
    return [short(name) for name in names]


def short(name: str, most: int = _LONGEST) -> str:
    """Return a name of at most so many letters.

    >>> short("trunk.layer1"), short("timm:vit_base_patch16_224/random, blocks.11", 21)
    ('trunk.layer1', 'timm:vit_b…, blocks.11')
    """
    if len(name) <= most:
        return name
    return f"{name[: most // 2]}…{name[len(name) - (most + 1) // 2 :]}"


def _frame(y: _Axis, x_title: str, y_title: str, chance: float | None, foot: float = 0) -> list[str]:
    """Return horizontal lines with their numbers, and the titles of both axes; ``foot``: more pixels below."""
    parts = []
    for tick in y.ticks():
        at = y.at(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4}" text-anchor="end">{y.text(tick)}</text>')
    if chance is not None:
        at = y.at(chance)
        parts.append(
            f'<line class="chance" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at}" y2="{at}"><title>chance '
            f"{y.text(chance)}</title></line>"
        )
    unit = ", %" if y.percent else ""
    middle = (_TOP + _HEIGHT - _FOOT) / 2
    parts.append(
        f'<text class="axis" transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_title + unit)}</text>"
    )
    parts.append(
        f'<text class="axis" x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT + foot - 4:.0f}" text-anchor="middle">'
        f"{escape(x_title)}</text>"
    )
    return parts


def _svg(
    parts: Sequence[str], said: Sequence[str], width: float = _WIDTH, height: float = _HEIGHT, out: float = 0
) -> Markup:
    """Return the drawing; ``out``: pixels that it reaches out to the left of its frame.

    It gets as wide as there is room; a wide one scrolls on a phone where its letters would be too small to read.
    """
    least = f' style="min-width: {0.75 * width:.0f}px"' if width > _WIDTH else ""
    label, wide = escape("; ".join(said)), math.ceil(width + out)
    return Markup(
        f'<svg class="curves" role="img" aria-label="{label}" viewBox="{-math.ceil(out)} 0 {wide} {height:.0f}" '
        f'width="{wide}" height="{height:.0f}"{least}>{"".join(parts)}</svg>'
    )


def _places(chart: LineChart) -> tuple[Callable[[Point], float], list[tuple[float, str]], bool]:
    """Return where points stand, what is written along the axis, and whether it is too long to stand level."""
    every = [point for one in chart.series for point in one.points]
    start, end = _LEFT + 6, _WIDTH - _RIGHT - 6
    if every and isinstance(every[0].x, str):
        names = list(dict.fromkeys(str(point.x) for point in every))
        step = (end - start) / max(len(names) - 1, 1)
        place = {name: round(start + k * step, 1) for k, name in enumerate(names)}
        shown = told_apart(names)
        # The outer names stand inwards of their places, so that two neighbours share a step and a half.
        slanted = len(names) > 2 and any(
            WORD * len(name) > step * (1 if 0 < k < len(names) - 1 else 0.5) for k, name in enumerate(shown)
        )
        every_nth = max(1, math.ceil(16 / step)) if slanted else 1
        written = [(place[name], text) for name, text in zip(names, shown, strict=True)][::every_nth]
        return (lambda point: place[str(point.x)]), written, slanted
    values = sorted({float(point.x) for point in every}) or [0.0, 1.0]
    axis = _Axis(values[0], values[-1], start, end, False, chart.log_x)
    marks = values if chart.log_x or len(values) <= 8 else axis.ticks()
    written, last = [], -math.inf
    for value in marks:
        text = axis.text(value)
        if axis.at(value) - last >= WORD * len(text) + 4:
            written.append((axis.at(value), text))
            last = axis.at(value)
    return (lambda point: axis.at(float(point.x))), written, False


def _names_below(written: Sequence[tuple[float, str]], slanted: bool) -> tuple[list[str], float, float]:
    """Return the names under a horizontal axis, and the pixels that slanted ones take below and to the left."""
    high, parts = _HEIGHT - _FOOT, []
    if slanted:
        angle, letter = math.radians(_SLANT), 0.9 * WORD
        for at, text in written:
            parts.append(
                f'<text transform="translate({at + 4} {high + 13}) rotate(-{_SLANT})" text-anchor="end">'
                f"{escape(text)}</text>"
            )
        out = max(letter * len(text) * math.cos(angle) - at for at, text in written)
        return parts, letter * max(len(text) for _, text in written) * math.sin(angle), max(out, 0.0)
    for k, (at, text) in enumerate(written):
        anchor = "start" if k == 0 and len(written) > 1 else "end" if k == len(written) - 1 and k else "middle"
        parts.append(f'<text x="{at}" y="{high + 15}" text-anchor="{anchor}">{escape(text)}</text>')
    return parts, 0.0, 0.0


def _lines(chart: LineChart) -> Markup:
    place, written, slanted = _places(chart)
    below, foot, out = _names_below(written, slanted)
    heights = _heights([p for one in chart.series for p in one.points])
    chance = None if chart.chance is None else float(chart.chance)
    y = _Axis(
        *_range([*heights, *([] if chance is None else [chance])], chart.percent), _HEIGHT - _FOOT, _TOP, chart.percent
    )
    parts = _frame(y, chart.x, chart.y, chance, foot) + below
    said = []
    for index, one in enumerate(chart.series):
        parts += _line(index, one, place, y)
        said.append(f"{one.name}: " + ", ".join(f"{p.x} {y.text(p.y)}" for p in one.points))
    return _svg(parts, said, height=_HEIGHT + foot, out=out)


def _line(index: int, one: Series, place: Callable[[Point], float], y: _Axis) -> list[str]:
    """Return a line with its band and marks."""
    parts = []
    points = one.points if one.points and isinstance(one.points[0].x, str) else sorted(one.points, key=place)
    within = [p for p in points if p.low is not None and p.high is not None]
    if len(within) > 1:
        ends = [(place(p), y.at(float(p.high or 0))) for p in within]
        ends += [(place(p), y.at(float(p.low or 0))) for p in within][::-1]
        parts.append(f'<polygon class="band m{index % 8}" points="{" ".join(f"{a},{b}" for a, b in ends)}"/>')
    path = " ".join(f"{place(p)},{y.at(p.y)}" for p in points)
    dash = ' stroke-dasharray="5 4"' if one.dashed else ""
    parts.append(f'<polyline class="ring m{index % 8}" fill="none"{dash} points="{path}"/>')
    for point in points:
        label = f"{one.name}, {point.label or point.x}: {y.text(point.y)}{_interval(point, y.percent)}"
        parts.append(f"<g><title>{escape(label)}</title>{marker(index, place(point), y.at(point.y))}</g>")
    return parts


def _scatter(chart: ScatterChart) -> Markup:
    every = [point for one in chart.series for point in one.points]
    across = [float(point.x) for point in every]
    x_ends, y_ends = (
        _range(values, percent and max(values, default=1.0) - min(values, default=0.0) > 0.5)
        for values, percent in ((across, chart.percent_x), (_heights(every), chart.percent_y))
    )
    x_ends, y_ends = (
        _within(ends, values) if percent else ends
        for ends, values, percent in ((x_ends, across, chart.percent_x), (y_ends, _heights(every), chart.percent_y))
    )
    if chart.diagonal and chart.percent_x == chart.percent_y:
        x_ends = y_ends = min(x_ends[0], y_ends[0]), max(x_ends[1], y_ends[1])
    x = _Axis(*x_ends, _LEFT + 6, _WIDTH - _RIGHT - 6, chart.percent_x)
    y = _Axis(*y_ends, _HEIGHT - _FOOT, _TOP, chart.percent_y)
    parts = _frame(y, chart.x + (", %" if chart.percent_x else ""), chart.y, None)
    for tick in x.ticks():
        at = x.at(tick)
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{_TOP}" y2="{_HEIGHT - _FOOT}"/>')
        parts.append(f'<text x="{at}" y="{_HEIGHT - _FOOT + 15}" text-anchor="middle">{x.text(tick)}</text>')
    if chart.diagonal:
        low, high = max(x.low, y.low), min(x.high, y.high)
        parts.append(
            f'<line class="chance" x1="{x.at(low)}" x2="{x.at(high)}" y1="{y.at(low)}" y2="{y.at(high)}">'
            "<title>equal</title></line>"
        )
    said = []
    taken: list[tuple[float, float, float]] = []
    for index, one in enumerate(chart.series):
        for point in one.points:
            at, up = x.at(float(point.x)), y.at(point.y)
            whisker = ""
            if point.low is not None and point.high is not None:
                ends = f'y1="{y.at(float(point.low))}" y2="{y.at(float(point.high))}"'
                whisker = f'<line class="whisker ring m{index % 8}" x1="{at}" x2="{at}" {ends}/>'
            label = f"{one.name}, {point.label}: {x.text(float(point.x))}, {y.text(point.y)}"
            label += _interval(point, y.percent)
            said.append(label)
            parts.append(f"<g><title>{escape(label)}</title>{whisker}{marker(index, at, up)}</g>")
            if point.label and len(every) <= _MOST_LABELS:
                parts += _named(short(point.label), at, up, taken)
    return _svg(parts, said)


def _named(label: str, at: float, up: float, taken: list[tuple[float, float, float]]) -> list[str]:
    """Return the name of a point, on a side with room; nothing where other names are on all sides."""
    wide = WORD * len(label)
    places = ((at + 8, up), (at - 8 - wide, up), (at - wide / 2, up - 12), (at - wide / 2, up + 13))
    for left, height in places:
        inside = left >= _LEFT and left + wide < _WIDTH - 2 and _TOP < height < _HEIGHT - _FOOT
        if inside and not any(a < left + wide and left < b and abs(height - c) < 12 for a, b, c in taken):
            taken.append((left, left + wide, height))
            return [f'<text x="{left:.1f}" y="{height + 4:.1f}">{escape(label)}</text>']
    return []


def _bars(chart: BarChart) -> Markup:
    shown = [short(bar.name, 2 * _LONGEST - 20) for bar in chart.bars]
    left = 14 + round(WORD * max(map(len, shown), default=0))
    lane, wide = 22, 260
    heights = [0.0, *_heights(chart.bars), *([] if chart.chance is None else [float(chart.chance)])]
    low, high = min(heights), max(heights)
    if chart.percent and low >= 0 and high > 0.5:
        high = 1.0
    x = _Axis(low, high if high > low else low + 1, left, left + wide, chart.percent)
    height = lane * len(chart.bars) + 34
    parts = []
    for tick in x.ticks():
        at = x.at(tick)
        parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="4" y2="{height - 32}"/>')
        parts.append(f'<text x="{at}" y="{height - 18}" text-anchor="middle">{x.text(tick)}</text>')
    if chart.chance is not None:
        at = x.at(float(chart.chance))
        parts.append(
            f'<line class="chance" x1="{at}" x2="{at}" y1="4" y2="{height - 32}"><title>chance '
            f"{x.text(float(chart.chance))}</title></line>"
        )
    title = chart.y + (", %" if chart.percent else "")
    parts.append(
        f'<text class="axis" x="{left + wide / 2}" y="{height - 3}" text-anchor="middle">{escape(title)}</text>'
    )
    colours = {name: k for k, name in enumerate(dict.fromkeys(bar.group for bar in chart.bars))}
    said = []
    for row, (name, bar) in enumerate(zip(shown, chart.bars, strict=True)):
        y = 4 + lane * row
        ends = sorted((x.at(0.0), x.at(bar.value)))
        label = f"{bar.name}: {x.text(bar.value)}{_interval(bar, chart.percent)}"
        said.append(label)
        whisker = ""
        if bar.low is not None and bar.high is not None:
            whisker = (
                f'<line class="whisker bar" x1="{x.at(float(bar.low))}" x2="{x.at(float(bar.high))}" '
                f'y1="{y + 10}" y2="{y + 10}"/>'
            )
        parts.append(
            f"<g><title>{escape(label)}</title>"
            f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="mark m{colours[bar.group] % 8}" x="{ends[0]}" y="{y + 3}" '
            f'width="{max(ends[1] - ends[0], 1):.1f}" height="14" rx="2"/>{whisker}</g>'
        )
    return _svg(parts, said, left + wide + 30, height)


def _depths(chart: Heatmap) -> tuple[float, float]:
    """Return which values are lightest and darkest: 0 and 100 % of fractions, else the ends of the values."""
    known = [float(v) for row in chart.values for v in row if v is not None]
    if chart.percent and min(known, default=0.0) >= 0:
        return _range(known, True)
    return min(known, default=0.0), max(known, default=1.0)


def _grid(chart: Heatmap) -> Markup:
    """Return values as a grid: darker is more."""
    low, high = _depths(chart)
    texts = [[("" if v is None else number(float(v), chart.percent)) for v in row] for row in chart.values]
    wide = max(44, 12 + round(WORD * max((len(t) for row in texts for t in row), default=0)))
    if len(chart.columns) > 16:
        wide = 26
    elif len(chart.columns) <= 6:
        wide = max(wide, 64)
    high_of_row = 22
    left = 12 + round(WORD * max((len(name) for name in chart.rows), default=0))
    rise = WORD * math.sin(math.radians(50))
    top = 20 + round(rise * max((len(name) for name in chart.columns), default=0))
    parts, said = [], []
    for k, name in enumerate(chart.columns):
        at = left + wide * k + wide / 2
        parts.append(f'<text transform="translate({at + 4:.0f} {top - 6}) rotate(-50)">{escape(name)}</text>')
    for r, (row, values) in enumerate(zip(chart.rows, chart.values, strict=True)):
        y = top + high_of_row * r
        parts.append(f'<text x="{left - 6}" y="{y + 15}" text-anchor="end">{escape(row)}</text>')
        for k, value in enumerate(values):
            if value is None:
                continue
            depth = (float(value) - low) / (high - low) if high > low else 0.5
            x = left + wide * k
            label = f"{row}, {chart.columns[k]}: {texts[r][k]}{' %' if chart.percent else ''}"
            said.append(label)
            ink = "over" if depth > 0.55 else ""
            text = f'<text class="{ink}" x="{x + wide / 2}" y="{y + 15}" text-anchor="middle">{texts[r][k]}</text>'
            parts.append(
                f'<g><title>{escape(label)}</title><rect class="heat" x="{x}" y="{y}" width="{wide - 1}" '
                f'height="{high_of_row - 1}" fill-opacity="{0.06 + 0.94 * min(max(depth, 0), 1):.2f}"/>'
                f"{text if wide > 30 else ''}</g>"
            )
    run = WORD * math.cos(math.radians(50))
    ends = [left + wide * (k + 0.5) + 14 + run * len(name) for k, name in enumerate(chart.columns)]
    width, height = round(max([left + wide * len(chart.columns), *ends])), top + high_of_row * len(chart.rows) + 6
    return Markup(
        f'<svg class="heatmap" role="img" aria-label="{escape("; ".join(said))}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">{"".join(parts)}</svg>'
    )


def drawn(chart: Chart) -> Markup:
    """Return a chart as SVG."""
    if isinstance(chart, LineChart):
        return _lines(chart)
    if isinstance(chart, ScatterChart):
        return _scatter(chart)
    return _bars(chart) if isinstance(chart, BarChart) else _grid(chart)


def names(chart: Chart) -> Mapping[str, int]:
    """Return what the marks of a chart mean: name to colour; nothing where there is one alone."""
    if isinstance(chart, BarChart):
        groups = {bar.group: None for bar in chart.bars if bar.group}
        return {name: k for k, name in enumerate(groups)}
    if isinstance(chart, LineChart | ScatterChart) and (
        len(chart.series) > 1 or (chart.series[:1] and chart.series[0].name)
    ):
        return {one.name: k for k, one in enumerate(chart.series)}
    return {}
