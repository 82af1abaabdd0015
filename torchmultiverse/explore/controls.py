"""Controls: one for each factor that an engine can vary, as the page and the notebook show them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from torchmultiverse.documents import Record
from torchmultiverse.engines import Catalogue
from torchmultiverse.scenes import FACTORS, OWN, Factor, FactorTable, Value, level_name

_LOGARITHMIC = 100.0
"""Ratio of the ends of a range from which on a slider has steps of equal ratios."""
_STEPS = 200


class Level(Record):
    """A level of a category.

    Attributes:
        value: as a scene holds it.
        name: as people call it.
        about: what it is, in a few words.
    """

    value: str
    name: str
    about: str = ""


class Control(Record):
    """How one factor is turned.

    Attributes:
        factor: its wire name.
        group: under which heading it stands.
        kind: ``levels`` of a category, a number in a ``range``, a ``vector`` of three numbers, or free ``text``.
        doc: one line for people.
        unit: of numbers.
        default: value of a scene that does not mention it.
        required: whether every scene mentions it.
        own: whether a number may be left to the world or the layout.
        low, high, step: of a number, or of each part of a vector.
        periodic: whether it is a turn, whose end is its beginning.
        logarithmic: whether steps are of equal ratios.
        whole: whether a number has to be a whole one.
        levels: of a category.
    """

    factor: str
    group: str
    kind: Literal["levels", "range", "vector", "text"]
    doc: str = ""
    unit: str = ""
    default: Value | None = None
    required: bool = False
    own: bool = False
    low: float | None = None
    high: float | None = None
    step: float | None = None
    periodic: bool = False
    logarithmic: bool = False
    whole: bool = False
    levels: list[Level] = Field(default_factory=list)


def engine_controls(catalogue: Catalogue, table: FactorTable = FACTORS) -> list[Control]:
    """Return the controls of an engine, in the order of the table; labels have none, since no picture shows them.

    An engine that cannot be asked what it renders gets one for every factor.
    """
    known = catalogue.factors if catalogue.complete else {factor.wire: None for factor in table}
    return [_control(factor, catalogue) for factor in table if not factor.label and factor.wire in known]


def _control(factor: Factor, catalogue: Catalogue) -> Control:
    said: dict[str, Any] = {
        "factor": factor.wire, "group": _group(factor), "doc": factor.doc, "unit": factor.unit,
        "default": factor.default, "required": factor.default is None,
    }  # fmt: skip
    choice = catalogue.factors.get(factor.wire)
    if factor.kind == "list" or (factor.kind == "category" and (choice is None or choice.levels is None)):
        return Control(kind="text", **said)
    if factor.kind == "category":
        assert choice is not None
        levels = [
            Level(value=level, name=level_name(level, factor.wire), about=choice.about.get(level, ""))
            for level in choice.levels or ()
        ]
        return Control(kind="levels", levels=levels, **said)
    low = factor.low if choice is None or choice.low is None else choice.low
    high = factor.high if choice is None or choice.high is None else choice.high
    if factor.kind == "vector":
        return Control(kind="vector", low=low, high=high, step=5, **said)
    if factor.period is not None:
        low, high = 0, factor.period - 1
    logarithmic = low > 0 and high / low >= _LOGARITHMIC
    step, whole = _step(low, high), factor.whole or (choice is not None and choice.whole)
    return Control(
        kind="range", low=low, high=high, step=max(1.0, round(step)) if whole else step, whole=whole,
        own=factor.default == OWN, logarithmic=logarithmic, periodic=factor.period is not None, **said,
    )  # fmt: skip


def _step(low: float, high: float) -> float:
    """Return a round step that gives about two hundred of them, as 1, 2 or 5 times a power of ten."""
    wanted = (high - low) / _STEPS
    power = 10.0 ** len(str(int(1 / wanted))) if wanted < 1 else 10.0 ** (len(str(int(wanted))) - 1)
    steps = [k / power if wanted < 1 else k * power for k in (1, 2, 5, 10)]
    return min(steps, key=lambda step: abs(step - wanted))


def _group(factor: Factor) -> str:
    """Return the heading of a factor."""
    if factor.group:
        return factor.group
    if factor.wire.startswith("Character2"):
        return "second character"
    if factor.wire.startswith("Character"):
        return "first character"
    return "camera" if factor.wire.startswith("Camera") else "world"
