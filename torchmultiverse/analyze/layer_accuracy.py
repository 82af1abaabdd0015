"""What can be read at which depth, and where to cut (Guillotine regularization).

For every layer and factor a probe is trained on the frozen features of that layer. The curve over depth says where a
factor is written and where it is erased; the best cut is where it reads best. The cut is chosen on validation pictures
and its gain measured on test pictures, so that choosing the best of many layers does not flatter it.

Source: F. Bordes et al., *Guillotine regularization: why removing layers is needed to improve generalization in
self-supervised learning*, TMLR 2023.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.probes import ProbeData, ProbePrediction, probe_of, r_squared, ridge
from torchmultiverse.analyze.splits import FactorTarget, Split, factor_target, split
from torchmultiverse.documents import Record
from torchmultiverse.errors import DatasetError
from torchmultiverse.features import Features, factor_names
from torchmultiverse.progress import progress_bar
from torchmultiverse.stats import LEVEL, Intervals, Paired, holm, mean_interval, paired_interval


class LayerAccuracy(Record):
    """What one probe reads of one factor at one layer.

    Attributes:
        layer, depth: name, and place from 0.
        factor, probe: what was asked, and how it was read.
        score, low, high: accuracy, or R² of a regression, on the test pictures, with its interval; that of R² is cut
            at −1 and 1.
        chance: accuracy of always giving the most frequent answer; 0 for R².
        validation: by which the probe was chosen.
        levels: number of answers; 0 for a regression.
        train, test: pictures.
        group_column: column whose groups are in one part only, "" for none.
        hyperparameters: as the validation pictures chose them.
    """

    layer: str
    depth: int
    factor: str
    probe: str
    score: float
    low: float
    high: float
    chance: float
    validation: float
    levels: int
    train: int
    test: int
    group_column: str
    hyperparameters: Mapping[str, int | float]


class Cut(Record):
    """Where to cut for one factor.

    Attributes:
        factor, probe: what is asked, and how it is read.
        best: the layer that validation pictures prefer.
        tied: layers that the test pictures cannot tell from it (95 %), from the first to the last.
        score: of the best layer on the test pictures.
        end: the last layer.
        cost, cost_low, cost_high: by how much the last layer is worse than the best, on the same test pictures; −1 and
            1 where there are too few groups of them.
        groups: independent groups of test pictures.
        corrected_p: p of no cost, corrected for all factors and probes.
        above_chance: whether the best layer reads above chance, corrected for all factors and probes.
        worst, worst_cost: the layer that is worst, and by how much.
    """

    factor: str
    probe: str
    best: str
    tied: tuple[str, ...]
    score: float
    end: str
    cost: float
    cost_low: float
    cost_high: float
    groups: int
    corrected_p: float
    above_chance: bool
    worst: str
    worst_cost: float

    @property
    def lost(self) -> bool:
        """Whether the end is surely worse than the best layer: of all that is said at once, nothing by chance."""
        return self.above_chance and self.cost > 0 and self.corrected_p < 1 - LEVEL


class LevelAccuracy(Record):
    """How often one level of a factor is read rightly.

    Attributes:
        factor, probe, layer, level: what was asked where.
        score, low, high: accuracy on the level's test pictures, with its interval.
        images: of that level in the test.
    """

    factor: str
    probe: str
    layer: str
    level: str
    score: float
    low: float
    high: float
    images: int


class ProbeResults(Record):
    """All curves of a model, and where it is best cut.

    Attributes:
        model, dataset: names.
        layers: from the first to the last.
        accuracies: of every layer, factor and probe.
        cuts: of every factor and probe.
        notes: factors that could not be asked for, and why.
        levels: of every factor with levels, by each probe, at its best cut and at the end.
    """

    model: str
    dataset: str
    layers: tuple[str, ...]
    accuracies: tuple[LayerAccuracy, ...]
    cuts: tuple[Cut, ...]
    notes: tuple[str, ...] = ()
    levels: tuple[LevelAccuracy, ...] = ()

    @property
    def first_cuts(self) -> dict[str, Cut]:
        """The cut of each factor by its first probe, which charts and headlines speak of."""
        found: dict[str, Cut] = {}
        for cut in self.cuts:
            found.setdefault(cut.factor, cut)
        return found

    def curve(self, factor: str, probe: str) -> list[LayerAccuracy]:
        """Return what is read of a factor, from the first layer to the last."""
        return [one for one in self.accuracies if (one.factor, one.probe) == (factor, probe)]


def probe_layers(
    features: Features,
    factors: Sequence[str] | None = None,
    probes: Sequence[str] = ("logistic",),
    by: str = "auto",
    train: float | int | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> ProbeResults:
    """Probe every layer for every factor.

    Args:
        features: of a model.
        factors: columns; default: all that vary.
        probes: of `torchmultiverse.analyze.probes.PROBES`; factors with many numbers are read by `ridge` instead.
        by: column whose groups stay together, ``auto`` or ``rows``; see `torchmultiverse.analyze.splits.split`.
        train: label budget: a fraction of the training pictures, or so many of each level.
        seed: of the split and of probes.
        quiet: show no bar.

    Raises:
        DatasetError: no such column, or a grouping that cannot be.
        ModelError: no such probe.
    """
    intervals = Intervals(seed)
    found, asked, notes = _curves(features, factors, probes, by, train, seed, intervals, quiet)
    tests = {target.factor: parts.groups[parts.test] for target, parts in asked}
    careful = Intervals(seed, 1 - (1 - LEVEL) / len(found))
    cuts = [_cut(curve, tests[factor], intervals, careful) for (factor, _), curve in found.items()]
    corrected = holm([cut.corrected_p for cut in cuts])
    cuts = [cut.model_copy(update={"corrected_p": p}) for cut, p in zip(cuts, corrected, strict=True)]
    targets = {target.factor: (target, parts) for target, parts in asked}
    levels = [
        one
        for cut in cuts if targets[cut.factor][0].numbers is None
        for accuracy, outcomes in found[cut.factor, cut.probe] if accuracy.layer in (cut.best, cut.end)
        for one in _levels(accuracy, outcomes, *targets[cut.factor], intervals)
    ]  # fmt: skip
    return ProbeResults(
        model=features.model, dataset=features.dataset, layers=tuple(features.layers),
        accuracies=tuple(accuracy for curve in found.values() for accuracy, _ in curve), cuts=tuple(cuts),
        notes=tuple(notes), levels=tuple(levels),
    )  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What one probe reads of one factor at one layer, picture by picture.

    Attributes:
        accuracy: as a record keeps it.
        outcomes: of each test picture, (N,): whether it is read rightly; or, of a regression, numbers whose mean is R².
        group_names: of the test pictures, (N,): a level of the column that groups, or the picture's row.
    """

    accuracy: LayerAccuracy
    outcomes: NDArray[np.float64]
    group_names: NDArray[np.str_]

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Groups of the test pictures, 0 to G − 1, (N,); those of one group are not independent."""
        return np.unique(self.group_names, return_inverse=True)[1].astype(np.int64)

    @property
    def bounds(self) -> tuple[float, float]:
        """Ends that the mean cannot leave, or is cut at."""
        return (0.0, 1.0) if self.accuracy.levels else (-1.0, 1.0)


def layer_readings(
    features: Features, factors: Sequence[str] | None = None, probe: str = "logistic", by: str = "auto", seed: int = 0,
    quiet: bool = False,
) -> tuple[dict[str, list[Reading]], list[str]]:  # fmt: skip
    """Return what is read of each factor from the first layer to the last, and notes on what could not be asked.

    Which pictures are the test follows from the columns and the seed alone: other models are asked the same pictures.

    Args:
        features, factors, by, seed, quiet: as in `probe_layers`.
        probe: of factors with levels.

    Raises:
        DatasetError: see `probe_layers`.
        ModelError: no such probe.
    """
    found, asked, notes = _curves(features, factors, [probe], by, None, seed, Intervals(seed), quiet)
    tests = {
        target.factor: (features.columns[parts.by] if parts.by else features.rows)[parts.test].astype(str)
        for target, parts in asked
    }
    readings = {
        factor: [Reading(accuracy, outcomes, tests[factor]) for accuracy, outcomes in curve]
        for (factor, _), curve in found.items()
    }
    return readings, notes


class LayerGap(Record):
    """What is read of a factor at two layers.

    Attributes:
        factor: what was asked.
        first, last: accuracy, or R² of a regression, at the first and at the last layer, mean over trainings.
        chance: of the most frequent answer.
        gap, low, high: first minus last on the same test pictures, with its interval; −1 and 1 where there are too few
            groups of them. Of several trainings it holds for another one too.
        groups: independent groups of test pictures.
        p: of no gap.
        above_chance: whether either layer reads above chance.
        dataset: that was asked, if not the one that was trained on.
        trainings: with different seeds.
        first_std, last_std, gap_std: over trainings; none of one.
        image_low, image_high: interval of the gap of these very trainings, for other pictures; none of one training,
            whose only interval it is.
    """

    factor: str
    first: float
    last: float
    chance: float
    gap: float
    low: float
    high: float
    groups: int
    p: float
    above_chance: bool
    dataset: str = ""
    trainings: int = 1
    first_std: float | None = None
    last_std: float | None = None
    gap_std: float | None = None
    image_low: float | None = None
    image_high: float | None = None


def layer_gaps(
    features: Features, factors: Sequence[str] | None = None, probe: str = "logistic", by: str = "auto", seed: int = 0,
    quiet: bool = False,
) -> list[LayerGap]:  # fmt: skip
    """Return how much better each factor is read at the first of some layers than at the last.

    Args:
        features, factors, by, seed, quiet: as in `probe_layers`.
        probe: of factors with levels.

    Raises:
        DatasetError: see `probe_layers`.
        ModelError: no such probe.
    """
    readings, _ = layer_readings(features, factors, probe, by, seed, quiet)
    return [gap_of(curve[0], curve[-1], Intervals(seed)) for curve in readings.values()]


def gap_of(first: Reading, last: Reading, intervals: Intervals) -> LayerGap:
    """Return how much better a factor is read at one layer than at another, on the same pictures."""
    one, two = first.accuracy, last.accuracy
    gap = _apart((one, first.outcomes), (two, last.outcomes), first.groups, intervals)
    above = max(one.low, two.low) > one.chance  # by an interval of its own
    return LayerGap(
        factor=one.factor, first=one.score, last=two.score, chance=one.chance, gap=gap.mean, low=gap.low,
        high=gap.high, groups=gap.clusters, p=gap.p, above_chance=above,
    )  # fmt: skip


_Curve = list[tuple[LayerAccuracy, NDArray[np.float64]]]


def _curves(
    features: Features, factors: Sequence[str] | None, probes: Sequence[str], by: str, train: float | int | None,
    seed: int, intervals: Intervals, quiet: bool,
) -> tuple[dict[tuple[str, str], _Curve], list[tuple[FactorTarget, Split]], list[str]]:  # fmt: skip
    """Return what every probe reads of every factor at every layer, with its outcomes on the test pictures."""
    chosen = {name: probe_of(name) for name in probes}
    asked, notes = _asked(features, factors, by, train, seed)
    found: dict[tuple[str, str], _Curve] = {}
    with progress_bar(quiet) as progress:
        bar = progress.add_task("probes", total=len(features.layers) * len(asked) * len(probes), unit="probes")
        for depth, layer in enumerate(features.layers):
            vectors = features.layers[layer]
            for target, parts in asked:
                values: NDArray[Any] = target.codes if target.numbers is None else target.numbers
                data = ProbeData(
                    vectors[parts.train], vectors[parts.validation], vectors[parts.test], values[parts.train],
                    values[parts.validation], len(target.levels),
                )  # fmt: skip
                for name, fit in chosen.items() if target.numbers is None else [("ridge", ridge)]:
                    progress.update(bar, description=f"{layer}, {target.factor}")
                    predicted = fit(data, np.random.default_rng((seed, depth)))
                    numbers, outcomes = _accuracy(predicted, target, parts, intervals)
                    found.setdefault((target.factor, name), []).append(
                        (LayerAccuracy(layer=layer, depth=depth, factor=target.factor, probe=name, **numbers), outcomes)
                    )
                    progress.advance(bar)
    return found, asked, notes


def _levels(
    accuracy: LayerAccuracy,
    outcomes: NDArray[np.float64],
    target: FactorTarget,
    parts: Split,
    intervals: Intervals,
) -> Iterable[LevelAccuracy]:
    codes, groups = target.codes[parts.test], parts.groups[parts.test]
    for code, level in enumerate(target.levels):
        mine = np.flatnonzero(codes == code)
        if not len(mine):
            continue
        low, high, _ = intervals.of_mean(outcomes[mine], np.unique(groups[mine], return_inverse=True)[1])
        yield LevelAccuracy(
            factor=accuracy.factor, probe=accuracy.probe, layer=accuracy.layer, level=level,
            score=float(outcomes[mine].mean()), low=low, high=high, images=len(mine),
        )  # fmt: skip


def _asked(
    features: Features, factors: Sequence[str] | None, by: str, train: float | int | None, seed: int
) -> tuple[list[tuple[FactorTarget, Split]], list[str]]:
    asked: list[tuple[FactorTarget, Split]] = []
    notes: list[str] = []
    for factor in factor_names(features, factors):
        target = factor_target(features.columns, factor)
        rng = np.random.default_rng((seed, len(asked)))
        try:
            parts = split(features.columns, target, rng, by)
        except DatasetError as error:
            if factors is not None:  # asked for by name
                raise
            notes.append(f"{factor}: {error}")
            continue
        asked.append((target, _budget(parts, target, train, rng)))
    if not asked:
        raise DatasetError(f"{features.dataset}: nothing can be asked for. {'; '.join(notes)}")
    return asked, notes


def _budget(parts: Split, target: FactorTarget, train: float | int | None, rng: np.random.Generator) -> Split:
    """Return the parts with fewer training pictures, of all levels alike."""
    if train is None:
        return parts
    order = rng.permutation(parts.train)
    if isinstance(train, float):
        if not 0 < train <= 1:
            raise DatasetError(f"a label budget is a fraction above 0 up to 1, or a number of pictures, not {train}")
        kept = order[: max(1, round(train * len(order)))]
        if target.numbers is None:  # one of each level at least, or it could never be said
            first = np.unique(target.codes[order], return_index=True)[1]
            kept = np.unique(np.concatenate([kept, order[first]]))
    elif target.numbers is not None:
        kept = order[:train]
    else:
        codes = target.codes[order]
        rank = np.empty(len(order), np.int64)
        for level in np.unique(codes):
            mine = np.flatnonzero(codes == level)
            rank[mine] = np.arange(len(mine))
        kept = order[rank < train]
    return Split(np.sort(kept), parts.validation, parts.test, parts.groups, parts.by)


def _accuracy(
    predicted: ProbePrediction, target: FactorTarget, parts: Split, intervals: Intervals
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Return the numbers of one probe, and what it gained on each test picture."""
    groups = np.unique(parts.groups[parts.test], return_inverse=True)[1]
    facts: dict[str, Any] = {
        "validation": predicted.validation, "levels": len(target.levels), "train": len(parts.train),
        "test": len(parts.test), "group_column": parts.by, "hyperparameters": dict(predicted.hyperparameters),
    }  # fmt: skip
    if target.numbers is None:
        codes = target.codes[parts.test]
        correct = (predicted.prediction == codes).astype(float)
        low, high, _ = intervals.of_mean(correct, groups)
        chance = float(np.bincount(codes).max() / len(codes))
        return {"score": float(correct.mean()), "low": low, "high": high, "chance": chance, **facts}, correct
    numbers = target.numbers[parts.test]
    # R² as a mean over pictures, so that pictures, and groups of them, can be resampled.
    variance = float(((numbers - numbers.mean(0)) ** 2).sum(1).mean())
    gained = 1 - ((predicted.prediction - numbers) ** 2).sum(1) / max(variance, 1e-12)
    found = mean_interval(gained, groups, intervals, (-1.0, 1.0))
    score = r_squared(predicted.prediction, numbers)
    return {"score": score, "low": found.low, "high": found.high, "chance": 0.0, **facts}, gained


def _apart(
    one: tuple[LayerAccuracy, NDArray[np.float64]],
    two: tuple[LayerAccuracy, NDArray[np.float64]],
    groups: NDArray[np.int64],
    intervals: Intervals,
) -> Paired:
    """Return by how much one layer reads better than another."""
    difference = one[1] - two[1]
    if one[0].levels:
        return paired_interval(difference, groups, intervals.level)
    return mean_interval(difference, groups, intervals, (-1.0, 1.0))


def _cut(
    curve: Sequence[tuple[LayerAccuracy, NDArray[np.float64]]],
    test_groups: NDArray[np.int64],
    intervals: Intervals,
    careful: Intervals,
) -> Cut:
    """Return the cut of one factor by one probe, its p not yet corrected; ``careful`` is the level of all at once."""
    groups = np.unique(test_groups, return_inverse=True)[1]
    best = max(range(len(curve)), key=lambda k: (curve[k][0].validation, k))  # of equals the deeper one
    scores = [accuracy.score for accuracy, _ in curve]
    apart = [_apart(curve[best], other, groups, intervals) for other in curve]
    tied = tuple(one.layer for (one, _), gap in zip(curve, apart, strict=True) if gap.low <= 0 <= gap.high)
    end, worst = apart[-1], int(np.argmin(scores))
    chosen, correct = curve[best]
    low = careful.of_mean(correct, groups)[0] if chosen.levels else mean_interval(correct, groups, careful, (-1, 1)).low
    return Cut(
        factor=chosen.factor, probe=chosen.probe, best=chosen.layer, tied=tied, score=scores[best],
        end=curve[-1][0].layer, cost=end.mean, cost_low=end.low, cost_high=end.high, groups=end.clusters,
        corrected_p=end.p, above_chance=bool(low > chosen.chance), worst=curve[worst][0].layer,
        worst_cost=scores[best] - scores[worst],
    )  # fmt: skip


def label_budgets(
    features: Features, factor: str, layers: Iterable[str], fractions: Sequence[float] = (0.01, 0.03, 0.1, 0.3, 1.0),
    probe: str = "logistic", by: str = "auto", seed: int = 0, quiet: bool = False,
) -> dict[float, ProbeResults]:  # fmt: skip
    """Return what some layers say with fewer and fewer labels: by fraction of the training pictures."""
    some = Features(
        features.model, features.dataset, {layer: features.layers[layer] for layer in layers}, features.columns,
        features.rows, features.facts,
    )  # fmt: skip
    return {fraction: probe_layers(some, [factor], [probe], by, float(fraction), seed, quiet) for fraction in fractions}
