"""Is one model better than another? Both are asked about the same pictures, and differences are taken one by one.

- Independent rows: exact McNemar test (Q. McNemar, Psychometrika 1947).
- Rows that share a cluster (an animal pair, an asset): whole clusters may change sign under the null hypothesis that
  the models are equally good, which gives a randomisation test; all sign patterns where there are few clusters.
- Intervals of differences: `torchmultiverse.stats.difference`.
- All p-values of one call are corrected together (S. Holm, Scandinavian Journal of Statistics 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import ModelError, nearest
from torchmultiverse.evaluation.paired import Rows, RowView
from torchmultiverse.evaluation.ranking import LeaderboardRow, ranked
from torchmultiverse.evaluation.result import Result
from torchmultiverse.stats import LEVEL, MIN_CLUSTERS, Intervals, detectable, holm, mcnemar, paired_interval, sign_flip

_MANY = 2000  # clusters above which a matrix of all draws would be too large


@dataclass(frozen=True)
class Comparison:
    """Two models on one question.

    Attributes:
        first, second: the models.
        task, metric, setting: the question.
        n, clusters: pictures that both were asked about, and independent groups of them.
        difference: accuracy of ``second`` minus accuracy of ``first``, −1 to 1.
        low, high: 95 % interval of the difference.
        lost, gained: pictures that only ``first``, and only ``second``, got right.
        p: of no difference, before correction.
        corrected: after correction for all comparisons of the call.
        detectable: the difference that this many pictures would show with 80 % probability; infinite where not even the
            largest would.
        test: which test it was.
    """

    first: str
    second: str
    task: str
    metric: str
    setting: str
    n: int
    clusters: int
    difference: float
    low: float
    high: float
    lost: int
    gained: int
    p: float
    corrected: float
    detectable: float
    test: str


@dataclass(frozen=True)
class ModelRank:
    """A model's place.

    Attributes:
        model: its name.
        score: average accuracy over tasks, or accuracy of the only one.
        rank, rank_low, rank_high: place, and the places that 95 % of resamples give it.
        groups: letters; models that share one cannot be told apart.
    """

    model: str
    score: float
    rank: int
    rank_low: int
    rank_high: int
    groups: str


def compare(
    result: Result | RowView,
    models: Sequence[str] | None = None,
    questions: Sequence[LeaderboardRow] | None = None,
    seed: int = 0,
) -> list[Comparison]:
    """Compare every two models on every question.

    Args:
        result: with at least two models; or the view of one.
        models: names; by default all, best first.
        questions: lines of the leaderboard; by default all but the average.
        seed: of resampling.

    Raises:
        ModelError: fewer than two models, or a name that is not in the result.
    """
    view, intervals = RowView.of(result), Intervals(seed)
    result = view.result
    names = list(models) if models is not None else ranked(result)
    for name in names:
        if name not in result.models:
            raise ModelError(f"the result has no model '{name}'.{nearest(name, result.models)}")
    if len(names) < 2:
        raise ModelError(f"a comparison needs two models; here is only {', '.join(names) or 'none'}")
    found = []
    for line in view.questions if questions is None else questions:
        for first, second in combinations(names, 2):
            both = view.pair(first, second, line)
            if both is not None:
                found.append(_compared(first, second, line, *both, intervals))
    adjusted = holm([c.p for c in found])
    return [replace(c, corrected=p) for c, p in zip(found, adjusted, strict=True)]


def _compared(first: str, second: str, line: LeaderboardRow, one: Rows, two: Rows, intervals: Intervals) -> Comparison:
    difference = two.correct - one.correct
    _, clusters = np.unique(one.clusters, return_inverse=True)
    found = paired_interval(difference, clusters if one.clustered else None, intervals.level)
    lost, gained = int((difference < -0.5).sum()), int((difference > 0.5).sum())
    groups = int(clusters.max()) + 1
    if one.clustered:
        p, test = sign_flip(
            np.bincount(clusters, difference).astype(float), np.random.default_rng((intervals.seed, groups))
        )
    else:
        p, test = mcnemar(lost, gained), "exact McNemar"
    return Comparison(
        first,
        second,
        line.task,
        line.metric,
        line.setting,
        len(difference),
        groups,
        found.mean,
        found.low,
        found.high,
        lost,
        gained,
        p,
        p,
        detectable(found.error, groups),
        test,
    )


def model_ranks(result: Result | RowView, seed: int = 0) -> list[ModelRank]:
    """Return the models' places, best first, with rank intervals and groups that cannot be told apart.

    The score is the mean over all questions that every model was asked; clusters are resampled for all models and
    questions at once, so that what makes a picture hard for all cancels.
    """
    view, intervals = RowView.of(result), Intervals(seed)
    names = ranked(view.result)
    key = [q for q in view.questions if all(name in q.cells for name in names)]
    key = [q for i, q in enumerate(key) if not i or not view.result.task(q.task).readings]
    if not key:
        return []
    scores, drawn, groups = _drawn(view, names, key, intervals)
    order = [int(i) for i in np.argsort(-scores, kind="stable")]
    ranks = 1 + (drawn[:, :, None] < drawn[:, None, :] - 1e-12).sum(2)
    low, high = np.quantile(ranks, [0.025, 0.975], axis=0, method="nearest")
    if groups < MIN_CLUSTERS:  # nothing is known of what other clusters would say
        low, high = np.ones(len(names)), np.full(len(names), len(names))
    letters = _letters(scores, drawn, order, groups)
    return [
        ModelRank(names[i], float(scores[i]), place + 1, int(low[i]), int(high[i]), letters[i])
        for place, i in enumerate(order)
    ]


def _drawn(
    view: RowView, names: Sequence[str], questions: Sequence[LeaderboardRow], intervals: Intervals
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Return each model's score, (M,), its scores over resamples, (R, M), and the number of clusters."""
    pieces = []
    offset, shared = 0, False
    for line in questions:
        rows = [view.rows(name, line) for name in names]
        known = [row for row in rows if row is not None]
        if known[0].clustered:
            clusters = known[0].clusters
            shared = True
        else:  # numbers of its own, behind those of the words
            clusters = known[0].clusters + 10**9 + offset
            offset += len(known[0])
        pieces.append((clusters, [row.correct for row in known]))
    every, index = np.unique(np.concatenate([clusters for clusters, _ in pieces]), return_inverse=True)
    count = len(every)
    scores, drawn = np.zeros(len(names)), np.zeros((intervals.resamples, len(names)))
    weights = intervals.weights(count) if shared and count <= _MANY else None
    rng = np.random.default_rng((intervals.seed, count))
    start = 0
    for clusters, outcomes in pieces:
        mine = index[start : start + len(clusters)]
        start += len(clusters)
        sizes = np.bincount(mine, minlength=count).astype(float)
        sums = np.stack([np.bincount(mine, o, minlength=count) for o in outcomes], axis=1)
        scores += np.array([o.mean() for o in outcomes])
        if weights is not None:
            drawn += (weights @ sums) / np.maximum(weights @ sizes, 1e-9)[:, None]
        else:  # many groups: Poisson weights, the limit of resampling, without a matrix of all draws
            total, size = np.zeros_like(drawn), np.zeros(len(drawn))
            used = np.flatnonzero(sizes)
            for block in range(0, len(drawn), 100):
                w = rng.poisson(1.0, (min(100, len(drawn) - block), len(used))).astype(np.float32)
                total[block : block + 100] = w @ sums[used]
                size[block : block + 100] = w @ sizes[used]
            drawn += total / np.maximum(size, 1e-9)[:, None]
    return scores / len(questions), drawn / len(questions), count


def _letters(
    scores: NDArray[np.float64], drawn: NDArray[np.float64], order: Sequence[int], groups: int
) -> dict[int, str]:
    """Return letters: neighbours in the order share one where none of the differences between them is significant."""
    from scipy.stats import t

    pairs = list(combinations(range(len(order)), 2))
    p = []
    for a, b in pairs:
        i, j = order[a], order[b]
        error = float((drawn[:, i] - drawn[:, j]).std(ddof=1))
        gap = abs(float(scores[i] - scores[j]))
        if groups < MIN_CLUSTERS or gap < 1e-12:
            p.append(1.0)
        elif error > 1e-12:
            p.append(float(2 * t.sf(gap / error * np.sqrt((groups - 1) / groups), groups - 1)))
        else:  # all clusters agree: what is known is how many
            p.append(min(1.0, 2 * 0.5**groups))
    apart = {pair for pair, value in zip(pairs, holm(p), strict=True) if value < 1 - LEVEL}
    runs: list[tuple[int, int]] = []
    for a in range(len(order)):
        b = a
        while b + 1 < len(order) and not any((c, b + 1) in apart for c in range(a, b + 1)):
            b += 1
        if not runs or b > runs[-1][1]:
            runs.append((a, b))
    letters: dict[int, str] = {i: "" for i in order}
    for k, (a, b) in enumerate(runs):
        for place in range(a, b + 1):
            letters[order[place]] += chr(ord("a") + k) if k < 26 else f"({k})"
    return letters
