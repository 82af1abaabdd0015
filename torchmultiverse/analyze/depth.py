"""What can be read at which depth, and where to cut (Guillotine regularization).

For every layer and factor a probe is trained on the frozen features of that layer. The curve over depth says where a
factor is written and where it is erased; the best cut is where it reads best. The cut is chosen on validation pictures
and its gain measured on test pictures, so that choosing the best of many layers does not flatter it.

Source: F. Bordes et al., *Guillotine regularization: why removing layers is needed to improve generalization in
self-supervised learning*, TMLR 2023.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.probes import Data, Reading, probe_of, r_squared, ridge
from torchmultiverse.analyze.splits import Parts, Question, question, split
from torchmultiverse.errors import DatasetError
from torchmultiverse.features import Features, factor_names
from torchmultiverse.progress import progress_bar
from torchmultiverse.stats import LEVEL, Intervals, Paired, holm, mean_interval, paired_interval


@dataclass(frozen=True)
class Reach:
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
        grouped: column whose groups are in one part only, "" for none.
        chosen: hyper-parameters.
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
    grouped: str
    chosen: Mapping[str, Any]


@dataclass(frozen=True)
class Cut:
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
        corrected: p of no cost, corrected for all factors and probes.
        above: whether the best layer reads above chance, corrected for all factors and probes.
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
    corrected: float
    above: bool
    worst: str
    worst_cost: float

    @property
    def lost(self) -> bool:
        """Whether the end is surely worse than the best layer: of all that is said at once, nothing by chance."""
        return self.above and self.cost > 0 and self.corrected < 1 - LEVEL


@dataclass(frozen=True)
class LevelReach:
    """How often one level of a factor is read rightly.

    Attributes:
        factor, probe, layer, level: what was asked where.
        score, low, high: share of the level's test pictures, with its interval.
        pictures: of that level in the test.
    """

    factor: str
    probe: str
    layer: str
    level: str
    score: float
    low: float
    high: float
    pictures: int


@dataclass(frozen=True)
class Depths:
    """All curves of a model, and where it is best cut.

    Attributes:
        model, dataset: names.
        layers: from the first to the last.
        reaches: of every layer, factor and probe.
        cuts: of every factor and probe.
        notes: factors that could not be asked for, and why.
        levels: of every factor with levels, by each probe, at its best cut and at the end.
    """

    model: str
    dataset: str
    layers: tuple[str, ...]
    reaches: tuple[Reach, ...]
    cuts: tuple[Cut, ...]
    notes: tuple[str, ...] = ()
    levels: tuple[LevelReach, ...] = ()

    @property
    def first_cuts(self) -> dict[str, Cut]:
        """The cut of each factor by its first probe, which charts and headlines speak of."""
        found: dict[str, Cut] = {}
        for cut in self.cuts:
            found.setdefault(cut.factor, cut)
        return found

    def curve(self, factor: str, probe: str) -> list[Reach]:
        """Return what is read of a factor, from the first layer to the last."""
        return [one for one in self.reaches if (one.factor, one.probe) == (factor, probe)]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return asdict(self)


def depths(
    features: Features,
    factors: Sequence[str] | None = None,
    probes: Sequence[str] = ("logistic",),
    by: str = "auto",
    train: float | int | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> Depths:
    """Probe every layer for every factor.

    Args:
        features: of a model.
        factors: columns; default: all that vary.
        probes: of `torchmultiverse.analyze.probes.PROBES`; factors with many numbers are read by `ridge` instead.
        by: column whose groups stay together, ``auto`` or ``rows``; see `torchmultiverse.analyze.splits.split`.
        train: label budget: a share of the training pictures, or so many of each level.
        seed: of the split and of probes.
        quiet: show no bar.

    Raises:
        DatasetError: no such column, or a grouping that cannot be.
        ModelError: no such probe.
    """
    intervals = Intervals(seed)
    found, asked, notes = _curves(features, factors, probes, by, train, seed, intervals, quiet)
    tests = {what.factor: parts.groups[parts.test] for what, parts in asked}
    careful = Intervals(seed, 1 - (1 - LEVEL) / len(found))
    cuts = [_cut(curve, tests[factor], intervals, careful) for (factor, _), curve in found.items()]
    corrected = holm([cut.corrected for cut in cuts])
    cuts = [replace(cut, corrected=p) for cut, p in zip(cuts, corrected, strict=True)]
    every = tuple(reach for curve in found.values() for reach, _ in curve)
    questions = {what.factor: (what, parts) for what, parts in asked}
    levels = [
        one
        for cut in cuts if questions[cut.factor][0].numbers is None
        for reach, outcomes in found[cut.factor, cut.probe] if reach.layer in (cut.best, cut.end)
        for one in _levels(reach, outcomes, *questions[cut.factor], intervals)
    ]  # fmt: skip
    return Depths(
        features.model, features.dataset, tuple(features.layers), every, tuple(cuts), tuple(notes), tuple(levels)
    )


@dataclass(frozen=True)
class Gap:
    """What is read of a factor at two layers.

    Attributes:
        factor: what was asked.
        first, last: accuracy, or R² of a regression, at the first and at the last layer.
        chance: of the most frequent answer.
        gap, low, high: first minus last on the same test pictures, with its interval; −1 and 1 where there are too few
            groups of them.
        groups: independent groups of test pictures.
        p: of no gap.
        above: whether either layer reads above chance.
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
    above: bool


def gaps(
    features: Features, factors: Sequence[str] | None = None, probe: str = "logistic", by: str = "auto", seed: int = 0,
    quiet: bool = False,
) -> list[Gap]:  # fmt: skip
    """Return how much better each factor is read at the first of some layers than at the last.

    Args:
        features, factors, by, seed, quiet: as in `depths`.
        probe: of factors with levels.

    Raises:
        DatasetError: see `depths`.
        ModelError: no such probe.
    """
    intervals = Intervals(seed)
    found, asked, _ = _curves(features, factors, [probe], by, None, seed, intervals, quiet)
    tests = {what.factor: parts.groups[parts.test] for what, parts in asked}
    out = []
    for (factor, _), curve in found.items():
        groups = np.unique(tests[factor], return_inverse=True)[1]
        first, last = curve[0][0], curve[-1][0]
        gap = _apart(curve[0], curve[-1], groups, intervals)
        above = max(first.low, last.low) > first.chance  # by an interval of its own
        out.append(
            Gap(factor, first.score, last.score, first.chance, gap.mean, gap.low, gap.high, gap.clusters, gap.p, above)
        )
    return out


_Curve = list[tuple[Reach, NDArray[np.float64]]]


def _curves(
    features: Features, factors: Sequence[str] | None, probes: Sequence[str], by: str, train: float | int | None,
    seed: int, intervals: Intervals, quiet: bool,
) -> tuple[dict[tuple[str, str], _Curve], list[tuple[Question, Parts]], list[str]]:  # fmt: skip
    """Return what every probe reads of every factor at every layer, with its outcomes on the test pictures."""
    readers = {name: probe_of(name) for name in probes}
    asked, notes = _asked(features, factors, by, train, seed)
    found: dict[tuple[str, str], _Curve] = {}
    with progress_bar(quiet) as progress:
        bar = progress.add_task("probes", total=len(features.layers) * len(asked) * len(probes), unit="probes")
        for depth, layer in enumerate(features.layers):
            vectors = features.layers[layer]
            for what, parts in asked:
                targets: NDArray[Any] = what.codes if what.numbers is None else what.numbers
                data = Data(
                    vectors[parts.train], vectors[parts.validation], vectors[parts.test], targets[parts.train],
                    targets[parts.validation], len(what.levels),
                )  # fmt: skip
                for name, reader in readers.items() if what.numbers is None else [("ridge", ridge)]:
                    progress.update(bar, description=f"{layer}, {what.factor}")
                    reading = reader(data, np.random.default_rng((seed, depth)))
                    reach, outcomes = _reach(reading, what, parts, intervals)
                    found.setdefault((what.factor, name), []).append(
                        (Reach(layer, depth, what.factor, name, **reach), outcomes)
                    )
                    progress.advance(bar)
    return found, asked, notes


def _levels(
    reach: Reach, outcomes: NDArray[np.float64], what: Question, parts: Parts, intervals: Intervals
) -> Iterable[LevelReach]:
    truth = what.codes[parts.test]
    groups = parts.groups[parts.test]
    for code, level in enumerate(what.levels):
        mine = np.flatnonzero(truth == code)
        if not len(mine):
            continue
        low, high, _ = intervals.of_mean(outcomes[mine], np.unique(groups[mine], return_inverse=True)[1])
        score = float(outcomes[mine].mean())
        yield LevelReach(reach.factor, reach.probe, reach.layer, level, score, low, high, len(mine))


def _asked(
    features: Features, factors: Sequence[str] | None, by: str, train: float | int | None, seed: int
) -> tuple[list[tuple[Question, Parts]], list[str]]:
    asked: list[tuple[Question, Parts]] = []
    notes: list[str] = []
    for factor in factor_names(features, factors):
        what = question(features.columns, factor)
        rng = np.random.default_rng((seed, len(asked)))
        try:
            parts = split(features.columns, what, rng, by)
        except DatasetError as error:
            if factors is not None:  # asked for by name
                raise
            notes.append(f"{factor}: {error}")
            continue
        asked.append((what, _budget(parts, what, train, rng)))
    if not asked:
        raise DatasetError(f"{features.dataset}: nothing can be asked for. {'; '.join(notes)}")
    return asked, notes


def _budget(parts: Parts, what: Question, train: float | int | None, rng: np.random.Generator) -> Parts:
    """Return the parts with fewer training pictures, of all levels alike."""
    if train is None:
        return parts
    order = rng.permutation(parts.train)
    if isinstance(train, float):
        if not 0 < train <= 1:
            raise DatasetError(f"a label budget is a share above 0 up to 1, or a number of pictures, not {train}")
        kept = order[: max(1, round(train * len(order)))]
        if what.numbers is None:  # one of each level at least, or it could never be said
            first = np.unique(what.codes[order], return_index=True)[1]
            kept = np.unique(np.concatenate([kept, order[first]]))
    elif what.numbers is not None:
        kept = order[:train]
    else:
        codes = what.codes[order]
        rank = np.empty(len(order), np.int64)
        for level in np.unique(codes):
            mine = np.flatnonzero(codes == level)
            rank[mine] = np.arange(len(mine))
        kept = order[rank < train]
    return Parts(np.sort(kept), parts.validation, parts.test, parts.groups, parts.by)


def _reach(
    reading: Reading, what: Question, parts: Parts, intervals: Intervals
) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Return the numbers of one probe, and what it gained on each test picture."""
    groups = np.unique(parts.groups[parts.test], return_inverse=True)[1]
    facts: dict[str, Any] = {
        "validation": reading.validation, "levels": len(what.levels), "train": len(parts.train),
        "test": len(parts.test), "grouped": parts.by, "chosen": dict(reading.chosen),
    }  # fmt: skip
    if what.numbers is None:
        truth = what.codes[parts.test]
        right = (reading.said == truth).astype(float)
        low, high, _ = intervals.of_mean(right, groups)
        chance = float(np.bincount(truth).max() / len(truth))
        return {"score": float(right.mean()), "low": low, "high": high, "chance": chance, **facts}, right
    numbers = what.numbers[parts.test]
    # R² as a mean over pictures, so that pictures, and groups of them, can be resampled.
    spread = float(((numbers - numbers.mean(0)) ** 2).sum(1).mean())
    gained = 1 - ((reading.said - numbers) ** 2).sum(1) / max(spread, 1e-12)
    found = mean_interval(gained, groups, intervals, (-1.0, 1.0))
    score = r_squared(reading.said, numbers)
    return {"score": score, "low": found.low, "high": found.high, "chance": 0.0, **facts}, gained


def _apart(
    one: tuple[Reach, NDArray[np.float64]],
    two: tuple[Reach, NDArray[np.float64]],
    groups: NDArray[np.int64],
    intervals: Intervals,
) -> Paired:
    """Return by how much one layer reads better than another."""
    difference = one[1] - two[1]
    if one[0].levels:
        return paired_interval(difference, groups, intervals.level)
    return mean_interval(difference, groups, intervals, (-1.0, 1.0))


def _cut(
    curve: Sequence[tuple[Reach, NDArray[np.float64]]],
    test_groups: NDArray[np.int64],
    intervals: Intervals,
    careful: Intervals,
) -> Cut:
    """Return the cut of one factor by one probe, its p not yet corrected; ``careful`` is the level of all at once."""
    groups = np.unique(test_groups, return_inverse=True)[1]
    best = max(range(len(curve)), key=lambda k: (curve[k][0].validation, k))  # of equals the deeper one
    scores = [reach.score for reach, _ in curve]
    apart = [_apart(curve[best], other, groups, intervals) for other in curve]
    tied = tuple(reach.layer for (reach, _), gap in zip(curve, apart, strict=True) if gap.low <= 0 <= gap.high)
    end, worst = apart[-1], int(np.argmin(scores))
    chosen, right = curve[best]
    low = careful.of_mean(right, groups)[0] if chosen.levels else mean_interval(right, groups, careful, (-1, 1)).low
    return Cut(
        chosen.factor, chosen.probe, chosen.layer, tied, scores[best], curve[-1][0].layer, end.mean, end.low, end.high,
        end.clusters, end.p, low > chosen.chance, curve[worst][0].layer, scores[best] - scores[worst],
    )  # fmt: skip


def budgets(
    features: Features, factor: str, layers: Iterable[str], shares: Sequence[float] = (0.01, 0.03, 0.1, 0.3, 1.0),
    probe: str = "logistic", by: str = "auto", seed: int = 0, quiet: bool = False,
) -> dict[float, Depths]:  # fmt: skip
    """Return what some layers say with fewer and fewer labels: by share of the training pictures."""
    some = Features(
        features.model, features.dataset, {layer: features.layers[layer] for layer in layers}, features.columns,
        features.rows, features.facts,
    )  # fmt: skip
    return {share: depths(some, [factor], [probe], by, float(share), seed, quiet) for share in shares}


__all__ = ["Cut", "Depths", "Gap", "LevelReach", "Reach", "budgets", "depths", "gaps"]
