"""The record and the page of a study.

What could silently be wrong: a number that stands at another place of the chart than its axis says, an interval under
the wrong column, or published numbers among those that were measured here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from torchmultiverse.report import load_record, write_report
from torchmultiverse.report.study_charts import _RIGHT, _WIDTH, drawn, ticks
from torchmultiverse.study import Bar, BarChart, Heatmap, LineChart, Point, ScatterChart, Section, Series, Study


def study(*sections: Section) -> Study:
    return Study(kind="test", title="A title", headline="One <answer>.", dataset="toy", sections=sections)


def marks(svg: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<circle class="mark m0" cx="([\d.]+)" cy="([\d.]+)"', svg)]


def heights(svg: str) -> dict[str, float]:
    """Return the heights of the numbers along the vertical axis."""
    found = re.findall(r'y1="([\d.]+)" y2="[\d.]+"/><text x="40" y="[\d.]+" text-anchor="end">([^<]+)</text>', svg)
    return {text: float(y) for y, text in found}


def test_points_stand_where_the_axes_say() -> None:
    points = tuple(Point(x=x, y=y) for x, y in ((1, 0.2), (10, 0.4), (100, 1.0)))
    svg = str(
        drawn(LineChart(title="t", x="shots", y="accuracy", series=(Series(name="a", points=points),), log_x=True))
    )
    (a, low), (b, middle), (c, high) = marks(svg)
    assert b - a == pytest.approx(c - b, abs=0.2)  # logarithms
    at = heights(svg)
    assert (low, middle, high) == pytest.approx((at["20"], at["40"], at["100"]))


def test_scatters_have_one_scale_with_a_diagonal() -> None:
    points = (Point(x=0.1, y=0.1), Point(x=0.9, y=0.9))
    chart = ScatterChart(
        title="t",
        x="a",
        y="b",
        series=(Series(name="s", points=points),),
        percent_x=True,
        percent_y=True,
        diagonal=True,
    )
    svg = str(drawn(chart))
    line = re.search(r'class="chance" x1="([\d.]+)" x2="([\d.]+)" y1="([\d.]+)" y2="([\d.]+)"', svg)
    assert line is not None
    x1, x2, y1, y2 = map(float, line.groups())
    for x, y in marks(svg):
        assert (x - x1) / (x2 - x1) == pytest.approx((y - y1) / (y2 - y1), abs=0.01)


def test_bars_go_to_both_sides_of_zero() -> None:
    bars = (Bar(name="up", value=0.2), Bar(name="down", value=-0.1))
    svg = str(drawn(BarChart(title="t", y="gain", bars=bars)))
    boxes = [
        tuple(map(float, found))
        for found in re.findall(r'<rect class="mark m0" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
    ]
    (up, long), (down, short) = boxes
    assert down + short == pytest.approx(up, abs=0.2)
    assert long == pytest.approx(2 * short, rel=0.02)


def test_names_along_an_axis_can_be_told_apart() -> None:
    # They were cut to the same stub, "trunk.…", where more than a few stood side by side.
    names = [f"trunk.layer{k}.conv" for k in range(9)]
    points = tuple(Point(x=name, y=0.5) for name in names)
    svg = str(drawn(LineChart(title="t", x="layer", y="accuracy", series=(Series(name="a", points=points),))))
    shown = re.findall(r">([^<>]*layer[^<>]*)</text>", svg)
    assert [text for text in shown if text != "layer"] == names


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 11.0), (1e-5, 3e-5), (-2e6, 5e6), (0.2, 0.2)])
def test_ticks_are_round_and_within(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 7
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)


def test_a_study_is_saved_read_and_shown(tmp_path: Path) -> None:
    table: list[dict[str, Any]] = [
        {
            "level": "far",
            "n": 12,
            "accuracy %": 0.5,
            "low %": 0.25,
            "high %": 0.75,
            "odds": 1.5,
            "low": 1.25,
            "high": 2.0,
        }
    ]
    chart = Heatmap(title="h", rows=("a",), columns=("b", "c"), values=((0.5, float("nan")),))
    found = study(
        Section(title="By level", table=tuple(table), charts=(chart,)),
        Section(title="By level"),
        Section(title="Theirs", reference=True),
    )
    found.save(tmp_path)
    again, place = load_record(tmp_path)
    assert again == found
    assert again.sections[0].charts[0].values == ((0.5, None),)
    page = write_report(again, place).read_text()
    assert "One &lt;answer&gt;." in page
    assert "50.0<small>[25.0, 75.0]</small>" in page
    assert "1.50<small>[1.25, 2.00]</small>" in page
    assert page.count("Published numbers, of other data") == 1
    assert 'id="by-level-2"' in page
    assert (tmp_path / "by-level.csv").read_text().splitlines() == [
        "level,n,accuracy,accuracy_low,accuracy_high,odds,odds_low,odds_high",
        "far,12,0.5,0.25,0.75,1.5,1.25,2.0",
    ]


def line(*places: str | float, log: bool = False) -> LineChart:
    points = tuple(Point(x=x, y=1) for x in places)
    return LineChart(title="l", x="", y="", series=(Series(name="", points=points),), log_x=log)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Section(title="s", table=({"a": 1}, {"b": 1})), "line 1 of the table differs in a, b"),
        (lambda: Heatmap(title="h", rows=("a",), columns=("b",), values=()), "1 × 1 values"),
        (lambda: line("a", 1), "names and numbers"),
        (lambda: line(0, log=True), "above 0"),
        (lambda: ScatterChart(title="s", x="", y="", series=line("a").series), "is a number"),
    ],
)
def test_what_cannot_be_shown_is_refused(made: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        made()


def test_scatters_of_shares_end_at_0_and_100() -> None:
    """An axis of accuracies ran to 110 %."""
    points = tuple(Point(x=x, y=y, label=f"{x}") for x, y in ((0.7, 0.75), (1.0, 0.98)))
    svg = str(drawn(ScatterChart(title="t", x="a", y="b", series=(Series(name="s", points=points),), percent_x=True,
                                 percent_y=True, diagonal=True)))  # fmt: skip
    assert max(x for x, _ in marks(svg)) == pytest.approx(_WIDTH - _RIGHT - 6)
    assert "100" in heights(svg)
    assert "105" not in svg
    assert "110" not in heights(svg)
