"""Which units of another model detect what the units of this one do, told by a linear map between both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.models import FloatArray
from torchmultiverse.stats import auc_interval, auc_of, wilson
from torchmultiverse.study import Cell, Point, ScatterChart, Section, Series
from torchmultiverse.units.detection import Concepts, UnitDetections, centred_ranks
from torchmultiverse.units.words import UnitMap, map_units

_SHOWN = 40


@dataclass(frozen=True)
class Transferred:
    """A unit of this model, and what stands for it in another.

    Attributes:
        unit: of this model.
        best: unit of the other with the largest weight.
        rule: units of the other above the source's limit of weights.
        own, area: AUROC of what the unit detects, in its own activations and in those of ``best``.
        low, high: 95 % interval of ``area``.
        together: AUROC in the map's prediction from all units of the other.
        drawn: mean AUROC of all units of the other: what one drawn at random has.
    """

    unit: int
    best: int
    rule: tuple[int, ...]
    own: float
    area: float
    low: float
    high: float
    together: float
    drawn: float


def transferred(
    units: Sequence[UnitDetections], source: FloatArray, target: FloatArray, concepts: Concepts,
    searched: NDArray[np.int64], other: NDArray[np.int64],
) -> list[Transferred]:  # fmt: skip
    """Map the units of one model to those of another on some pictures, and test what they detect on others.

    Args:
        units: of this model, with what they detect.
        source: activations of this model, (N, U).
        target: activations of the other, (N, R).
        concepts: of the same pictures.
        searched: pictures that the map is fitted on.
        other: pictures that it is tested on.

    Source: eq. 4.3 of the thesis, by least squares.
    """
    middle, spread = target[searched].mean(0), np.maximum(target[searched].std(0), 1e-30)
    rows = (np.asarray(target, np.float64) - middle) / spread
    mine = np.asarray(source, np.float64)
    mine = (mine - mine[searched].mean(0)) / np.maximum(mine[searched].std(0), 1e-30)
    asked = [unit.unit for unit in units]
    found: UnitMap = map_units(mine[searched][:, asked], rows[searched])
    predicted = rows[other] @ found.weights
    ranks = centred_ranks(rows[other])
    lines = []
    for place, unit in enumerate(units):
        members = concepts.members(unit.expressions[0])[other]
        inside, outside = int(members.sum()), int((~members).sum())
        if min(inside, outside) < 2:
            continue
        best = int(found.best[place])
        every = 0.5 + ranks[members].sum(0) * (len(members) / (inside * outside))
        area = float(every[best])
        lines.append(
            Transferred(
                unit.unit, best, found.above[place], _area(mine[other, unit.unit], members), area,
                *auc_interval(area, inside, outside), _area(predicted[:, place], members), float(every.mean()),
            )
        )  # fmt: skip
    return lines


def _area(values: NDArray[np.float64], members: NDArray[np.bool_]) -> float:
    return auc_of(values[members], values[~members])


def transfer_section(
    lines: Sequence[Transferred], said: Mapping[int, str], model: str, layer: str, other: str, images: int, units: int,
    words: Mapping[int, str] | None = None,
) -> Section:  # fmt: skip
    """Return what was found, as a section of a study.

    Args:
        lines: of `transferred`.
        said: what units detect.
        model: name of this model.
        layer, other: of the other model, and its name.
        images: pictures that the map was fitted on.
        units: of the other model.
        words: of units, of an image-text model, that go along with the map.
    """
    about = (
        f"A linear map from the {units:,} units of {layer} of {other} to each detector of {model}, by least squares on "
        f"one half of the pictures ({images:,}); AUROC in the other half of what the detector detects: in its own "
        "activations, in those of the unit with the largest weight, and in what all units together predict. Chance is "
        "0.5; a unit that is drawn has the AUROC in the last column. Above 4 sd: units whose weight is that far above "
        "the mean of all weights, the source's rule, which finds little among few units."
    )
    if images < 2 * units:
        about += " There are fewer than two pictures for each unit: the map is fitted to noise too; more are needed."
    if not lines:
        return Section(title=f"The same units in {other}", about=about + " No detector could be asked.")
    sure = sum(line.low > 0.5 for line in lines)
    low, high = wilson(sure, len(lines))
    own, mapped = (float(np.median([getattr(line, name) for line in lines])) for name in ("own", "area"))
    about += (
        f" Of {len(lines)} detectors {sure} ({100 * low:.0f} to {100 * high:.0f} %) have a unit there that surely "
        f"detects the same; median AUROC {mapped:.2f}, here {own:.2f}."
    )
    points = tuple(Point(x=line.own, y=line.area) for line in lines)
    together = tuple(Point(x=line.own, y=line.together) for line in lines)
    ordered = sorted(lines, key=lambda line: -line.area)
    table: list[dict[str, Cell]] = [
        {
            "unit": line.unit, "detects": said[line.unit], "AUROC here": line.own, "unit there": line.best,
            "AUROC there": line.area, "low": line.low, "high": line.high, "all units there": line.together,
            "above 4 sd": len(line.rule), "a drawn unit": line.drawn,
        }
        for line in ordered[:_SHOWN]
    ]  # fmt: skip
    if words is not None:
        table = [{**shown, "words": words.get(line.unit, "")} for line, shown in zip(ordered, table, strict=False)]
    return Section(
        title=f"The same units in {other}", about=about,
        charts=(
            ScatterChart(
                title="AUROC here and there", x="AUROC here", y="AUROC there", diagonal=True,
                series=(
                    Series(name="unit with the largest weight", points=points),
                    Series(name="all units together", points=together),
                ),
            ),
        ),
        table=tuple(table),
    )  # fmt: skip
