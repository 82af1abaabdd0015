"""The record of a study: what was asked of models and data, as charts, tables and pictures that any page can show.

Every question that has no page of its own is answered by one: what computes it returns numbers, and says here how they
are read. Fractions stand under names that end in `` %``; the columns ``low %`` and ``high %`` are the interval of the
column before them, ``low`` and ``high`` that of another number; those of ``gap %`` that stand elsewhere are ``gap, low
%`` and ``gap, high %``. Programs read other names, see `machine_names`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from torchmultiverse.documents import Document, EncodedImage, Record


def _cell(value: Any) -> Any:
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


Cell = Annotated[str | int | float | None, BeforeValidator(_cell)]
"""Of a table; what is not a finite number is ``None``."""
Number = Annotated[float, BeforeValidator(_cell)]
"""Of a chart; finite."""

COMMONEST = (
    "Chance is the commonest answer: what always giving the most frequent answer of the test pictures gets right (its "
    "share of them); of equally frequent answers it is one over their number."
)
"""What chance is of questions that a probe or classifier is asked; see docs/glossary.md."""


def interval_columns(columns: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return the columns of the two ends of an interval, by the column that it is of.

    >>> interval_columns(["gap %", "low %", "high %", "odds", "odds, low", "odds, high"])
    {'gap %': ('low %', 'high %'), 'odds': ('odds, low', 'odds, high')}
    """
    every = list(columns)
    found: dict[str, tuple[str, str]] = {}
    for place, name in enumerate(every):
        tail = " %" if name.endswith(" %") else ""
        bare = name.removesuffix(" %")
        if bare == "low" and place and f"high{tail}" in every:
            found[every[place - 1]] = name, f"high{tail}"
        elif bare.endswith(", low"):
            of = bare.removesuffix(", low")
            starts = (one for one in every if one.startswith(f"{of} ") and not one.startswith(f"{of}, "))
            number = next((one for one in (f"{of}{tail}", of) if one in every), next(starts, None))
            if number is not None and f"{of}, high{tail}" in every:
                found[number] = name, f"{of}, high{tail}"
    return found


def machine_names(columns: Iterable[str]) -> dict[str, str]:
    """Return the names under which programs read columns: no sign of percent, since their values are shares.

    What is no letter or number becomes ``_``; the ends of an interval are called by the column that it is of.

    >>> machine_names(["accuracy %", "low %", "high %", "mean of seeds %"])
    {'accuracy %': 'accuracy', 'low %': 'accuracy_low', 'high %': 'accuracy_high', 'mean of seeds %': 'mean_of_seeds'}
    """
    every = list(columns)
    made = {name: re.sub(r"\W+", "_", name.removesuffix(" %").replace("'", "")).strip("_") for name in every}
    for of, ends in interval_columns(every).items():
        made |= {end: f"{made[of]}_{which}" for end, which in zip(ends, ("low", "high"), strict=True)}
    found: dict[str, str] = {}
    for name in every:
        numbers = (f"{made[name]}{f'_{k}' if k > 1 else ''}" for k in range(1, len(every) + 2))
        found[name] = next(one for one in numbers if one not in found.values())
    return found


def machine_lines(table: Sequence[Mapping[str, Cell]]) -> list[dict[str, Cell]]:
    """Return the lines of a table under the names that programs read."""
    names = machine_names(table[0]) if table else {}
    return [{names[key]: value for key, value in line.items()} for line in table]


class ImageRow(Record):
    """Pictures that belong together.

    Attributes:
        label: what they are.
        inputs: what was given; framed.
        samples: what was made of it, or others to compare with.
        captions: under each of the samples; none by default.
        misclassified: whether the model is wrong about the input.
    """

    label: str
    inputs: tuple[EncodedImage, ...]
    samples: tuple[EncodedImage, ...]
    captions: tuple[str, ...] = ()
    misclassified: bool = False


class Point(Record):
    """A point of a chart.

    Attributes:
        x: a number, or the name of a place on an axis of names.
        y: its height.
        low, high: ends of its 95 % interval.
        label: what it is, beside a point of a scatter.
    """

    x: Annotated[str | float, BeforeValidator(_cell)]
    y: Number
    low: Cell = None
    high: Cell = None
    label: str = ""


class Series(Record):
    """Points of one name and colour; ``dashed`` for controls and baselines."""

    name: str
    points: tuple[Point, ...]
    dashed: bool = False


class LineChart(Record):
    """Lines with their intervals.

    Attributes:
        title, x, y: above it, and of its axes.
        series: lines; all of their places are numbers, or all are names.
        percent: whether heights are fractions, shown in percent from 0 to 100.
        chance: a dashed line at this height.
        log_x: whether places are spaced by their logarithm.
        note: below it.
    """

    kind: Literal["line"] = "line"
    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    percent: bool = True
    chance: Cell = None
    log_x: bool = False
    note: str = ""

    @model_validator(mode="after")
    def _has_one_kind_of_places(self) -> Self:
        kinds = {isinstance(point.x, str) for one in self.series for point in one.points}
        if len(kinds) > 1:
            raise ValueError(f"{self.title}: places are names and numbers; one of both is right")
        if self.log_x and any(float(point.x) <= 0 for one in self.series for point in one.points):
            raise ValueError(f"{self.title}: places on a logarithmic axis are above 0")
        return self


class ScatterChart(Record):
    """Points with names; ``diagonal`` adds the line where both axes are equal."""

    kind: Literal["scatter"] = "scatter"
    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    percent_x: bool = False
    percent_y: bool = False
    diagonal: bool = False
    note: str = ""

    @model_validator(mode="after")
    def _has_numbers(self) -> Self:
        if any(isinstance(point.x, str) for one in self.series for point in one.points):
            raise ValueError(f"{self.title}: a place of a scatter is a number")
        return self


class Bar(Record):
    """A bar with its 95 % interval; bars of one ``group`` have one colour."""

    name: str
    value: Number
    low: Cell = None
    high: Cell = None
    group: str = ""


class BarChart(Record):
    """Bars from zero, one below the other; those below zero go to the left."""

    kind: Literal["bar"] = "bar"
    title: str
    y: str
    bars: tuple[Bar, ...]
    percent: bool = True
    chance: Cell = None
    note: str = ""


class Heatmap(Record):
    """Values by rows and columns; ``None`` stays empty."""

    kind: Literal["heatmap"] = "heatmap"
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[Cell, ...], ...]
    percent: bool = True
    note: str = ""

    @model_validator(mode="after")
    def _has_all_cells(self) -> Self:
        if len(self.values) != len(self.rows) or any(len(row) != len(self.columns) for row in self.values):
            raise ValueError(f"{self.title}: {len(self.rows)} × {len(self.columns)} values are needed")
        return self


Chart = Annotated[LineChart | ScatterChart | BarChart | Heatmap, Field(discriminator="kind")]


class Section(Record):
    """One answer.

    Attributes:
        title, about: its heading, and how to read it.
        charts: drawn beside each other.
        table: each line has the same columns.
        pictures: rows of them.
        reference: whether these are published numbers, of other data: they stand apart and are named so.
    """

    title: str
    about: str = ""
    charts: tuple[Chart, ...] = ()
    table: tuple[Mapping[str, Cell], ...] = ()
    pictures: tuple[ImageRow, ...] = ()
    reference: bool = False

    @model_validator(mode="after")
    def _has_all_columns(self) -> Self:
        for number, line in enumerate(self.table):
            if line.keys() != self.table[0].keys():
                wrong = ", ".join(sorted(line.keys() ^ self.table[0].keys()))
                raise ValueError(f"{self.title}: line {number} of the table differs in {wrong}")
        return self


class Study(Document):
    """What was asked of models and data, and what came of it.

    Attributes:
        kind: the command's name: "concepts", "domains".
        title: of the page.
        headline: the answer in one sentence, with its number and interval.
        models: names.
        dataset: name.
        facts: settings, number of pictures, chance, by their names.
        sections: answers, in their order.
        notes: limits, and what could not be asked and why.
        sources: papers.
        provenance: command, seed, versions.

    Example:
        >>> from torchmultiverse.study import Bar, BarChart, Section, Study
        >>> bars = (Bar(name="near", value=0.9, low=0.85, high=0.94), Bar(name="far", value=0.5, low=0.4, high=0.6))
        >>> chart = BarChart(title="Accuracy", y="accuracy", bars=bars, chance=0.1)
        >>> study = Study(kind="example", title="How far", headline="Far classes cost 40 points.", dataset="toy",
        ...               sections=(Section(title="By level", charts=(chart,)),))
        >>> study.sections[0].charts[0].bars[1].value
        0.5
    """

    file: ClassVar[str] = "study.json"
    kind: str
    title: str
    headline: str
    models: tuple[str, ...] = ()
    dataset: str
    facts: Mapping[str, Cell] = {}
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    provenance: Mapping[str, str] = {}
