"""What several trainings of one recipe leave: means over seeds, with intervals that hold for another training too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.layer_accuracy import LayerGap, Reading, gap_of
from torchmultiverse.documents import Record
from torchmultiverse.errors import DatasetError
from torchmultiverse.stats import MIN_CLUSTERS, Intervals, OverTrainings, mean_interval, over_trainings


class LayerMean(Record):
    """What is read of a factor at a layer, over trainings.

    Attributes:
        dataset: that was asked, if not the one that was trained on.
        factor, layer: what was asked where.
        score, std: mean and standard deviation over trainings; no deviation of one.
        low, high: interval that holds for other pictures, and of several trainings for another training too.
        image_low, image_high: of these very trainings, for other pictures.
        chance: of the most frequent answer; 0 of R².
        levels: number of answers; 0 of a regression, whose score is R².
        trainings, images, groups: how many were asked; images of the test and independent groups of them.
    """

    dataset: str = ""
    factor: str
    layer: str
    score: float
    std: float | None
    low: float
    high: float
    image_low: float
    image_high: float
    chance: float
    levels: int
    trainings: int
    images: int
    groups: int


def mean_reading(readings: Sequence[Reading], seed: int = 0, dataset: str = "") -> LayerMean:
    """Return what several trainings read of one factor at one layer.

    Args:
        readings: one of each training, of the same test pictures.
        seed: of resampling.
        dataset: name, if not the one that was trained on.
    """
    one = readings[0].accuracy
    found, low, high, image_low, image_high = _interval(readings, [r.outcomes for r in readings], seed)
    return LayerMean(
        dataset=dataset, factor=one.factor, layer=one.layer, score=float(np.mean([r.accuracy.score for r in readings])),
        std=_finite(found.std), low=low, high=high, image_low=image_low, image_high=image_high, chance=one.chance,
        levels=one.levels, trainings=len(readings), images=len(readings[0].outcomes), groups=found.clusters,
    )  # fmt: skip


def mean_gap(firsts: Sequence[Reading], lasts: Sequence[Reading], seed: int = 0, dataset: str = "") -> LayerGap:
    """Return how much better a factor is read at one layer than at another, over trainings.

    Args:
        firsts, lasts: of each training at either layer, of the same test pictures.
        seed: of resampling.
        dataset: name, if not the one that was trained on.
    """
    intervals = Intervals(seed)
    gaps = [gap_of(first, last, intervals) for first, last in zip(firsts, lasts, strict=True)]
    if len(gaps) == 1:
        return gaps[0].model_copy(update={"dataset": dataset})
    apart = [first.outcomes - last.outcomes for first, last in zip(firsts, lasts, strict=True)]
    bounds = (-1.0, 1.0)
    found = over_trainings(_stacked(firsts, apart), firsts[0].groups, bounds)
    alone = mean_interval(np.mean(apart, 0), firsts[0].groups, intervals, bounds)
    low, high = min(found.low, alone.low), max(found.high, alone.high)
    above = any(mean_reading(some, seed).low > some[0].accuracy.chance for some in (firsts, lasts))
    return LayerGap(
        factor=gaps[0].factor, first=_mean(gaps, "first"), last=_mean(gaps, "last"), chance=gaps[0].chance,
        gap=found.mean, low=low, high=high, groups=found.clusters, p=max(alone.p, _p(found)), above_chance=above,
        dataset=dataset, trainings=len(gaps), first_std=_std(gaps, "first"), last_std=_std(gaps, "last"),
        gap_std=_finite(found.std), image_low=alone.low, image_high=alone.high,
    )  # fmt: skip


def group_notes(readings: Iterable[Reading]) -> tuple[str, ...]:
    """Return what is to be said where the test pictures of a factor are of too few groups for an interval."""
    found = {}
    for one in readings:
        count, column = len(np.unique(one.group_names)), one.accuracy.group_column
        if count < MIN_CLUSTERS and column:
            found[one.accuracy.factor] = (
                f"{one.accuracy.factor}: the test pictures are of {count} levels of {column}, and nothing is said of "
                f"fewer than {MIN_CLUSTERS}. More levels of it would do, or --group with another column; --group rows "
                "takes pictures that share one as independent."
            )
    return tuple(found.values())


def by_layer(trainings: Sequence[Mapping[str, Sequence[Reading]]], factor: str) -> list[list[Reading]]:
    """Return the readings of a factor by layer, from those of each training by factor and layer."""
    return [list(layer) for layer in zip(*(readings[factor] for readings in trainings), strict=True)]


def _interval(
    readings: Sequence[Reading], outcomes: Sequence[NDArray[np.float64]], seed: int
) -> tuple[OverTrainings, float, float, float, float]:
    """Return what there is over trainings, the interval of it, and that of other pictures alone."""
    first, bounds = readings[0], readings[0].bounds
    found = over_trainings(_stacked(readings, outcomes), first.groups, bounds)
    intervals, mean = Intervals(seed), np.mean(outcomes, 0)
    if first.accuracy.levels:
        image_low, image_high = intervals.of_mean(mean, first.groups)[:2]
    else:
        alone = mean_interval(mean, first.groups, intervals, bounds)
        image_low, image_high = alone.low, alone.high
    if len(readings) == 1:
        return found, image_low, image_high, image_low, image_high
    return found, min(found.low, image_low), max(found.high, image_high), image_low, image_high


def _stacked(readings: Sequence[Reading], outcomes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    if len({len(one) for one in outcomes}) > 1 or any(
        not np.array_equal(one.group_names, readings[0].group_names) for one in readings
    ):
        raise DatasetError("several trainings can be compared on the same test pictures only")
    return np.stack(list(outcomes))


def _p(found: OverTrainings) -> float:
    """Return p of a mean of zero, two-sided."""
    from scipy.stats import t

    if not np.isfinite(found.error) or found.error <= 0:
        return 1.0 if found.error > 0 or abs(found.mean) < 1e-12 else 0.0
    return float(2 * t.sf(abs(found.mean) / found.error, found.freedom))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _mean(gaps: Sequence[LayerGap], name: str) -> float:
    return float(np.mean([getattr(gap, name) for gap in gaps]))


def _std(gaps: Sequence[LayerGap], name: str) -> float:
    return float(np.std([getattr(gap, name) for gap in gaps], ddof=1))
