"""What the numbers of one model on one question say: worst levels, drops, error ratios, interactions, calibration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.evaluation.paired import Rows, RowView
from torchmultiverse.evaluation.ranking import LeaderboardRow
from torchmultiverse.scenes import FACTORS, in_level_order, is_default
from torchmultiverse.stats import BINS, MIN_CLUSTERS, Calibration, Intervals, calibration_of, holm

_MOST_CELLS = 400


@dataclass(frozen=True)
class LevelScore:
    """Accuracy at one level of a factor.

    Attributes:
        level: its name.
        n: pictures.
        accuracy, low, high: with a 95 % interval.
        error_ratio: error here over error overall (B. Idrissi et al., ImageNet-X, 2022); above 1 is worse than usual.
    """

    level: str
    n: int
    accuracy: float
    low: float
    high: float
    error_ratio: float


@dataclass(frozen=True)
class FactorScore:
    """How one factor moves accuracy.

    Attributes:
        factor: column.
        levels: as they follow each other: by number, or by name.
        worst, best: of them.
        default: the level that renders take where nothing is asked, if it is there.
        drop: accuracy at the default level (else the best) minus accuracy at the worst.
    """

    factor: str
    levels: tuple[LevelScore, ...]
    worst: LevelScore
    best: LevelScore
    default: LevelScore | None
    drop: float


def factor_scores(view: RowView, model: str, line: LeaderboardRow, seed: int = 0) -> list[FactorScore]:
    """Return how each factor moves a model's accuracy on a question, the largest drop first."""
    rows = view.rows(model, line)
    if rows is None:
        return []
    intervals = Intervals(seed)
    error = max(1e-12, 1 - float(rows.correct.mean()))
    found = []
    for factor, values in view.levels(rows.index).items():
        levels = []
        for level in in_order(np.unique(values)):
            inside = values == level
            part = rows.correct[inside]
            low, high, _ = intervals.of_mean(part, rows.clusters[inside] if rows.clustered else None)
            mean = float(part.mean())
            levels.append(LevelScore(str(level), len(part), mean, low, high, (1 - mean) / error))
        known = {f.column: f for f in FACTORS}.get(factor)
        usual = next((score for score in levels if known is not None and is_default(known, score.level)), None)
        worst, best = min(levels, key=lambda s: s.accuracy), max(levels, key=lambda s: s.accuracy)
        found.append(FactorScore(factor, tuple(levels), worst, best, usual, (usual or best).accuracy - worst.accuracy))
    return sorted(found, key=lambda f: -f.drop)


def in_order(levels: Iterable[Any]) -> list[str]:
    """Return levels by number where all are numbers but ``own``, which comes first; else by name."""
    return in_level_order(levels)


@dataclass(frozen=True)
class Interaction:
    """One cell of two factors: what their levels do together beyond what each does by itself.

    Attributes:
        first, second: factor and level of each.
        n: pictures of the cell.
        accuracy: there.
        effect: accuracy minus what the two levels' own effects add up to.
        low, high: 95 % interval of ``effect``.
        p: of no effect, corrected over all cells of the two factors.
        clusters: independent groups of all pictures; too few say nothing.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    n: int
    accuracy: float
    effect: float
    low: float
    high: float
    p: float
    clusters: int


def interactions(view: RowView, model: str, line: LeaderboardRow, first: str, second: str) -> list[Interaction]:
    """Return every cell of two factors, the strongest interaction first; nothing where cells are empty or too many.

    The effect is ``m_ab − m_a· − m_·b + m_··`` of unweighted cell means; its error resamples nothing: it is the linear
    contrast's, with rows of one cluster summed first.
    """
    rows = view.rows(model, line)
    if rows is None:
        return []
    columns = view.levels(rows.index, (first, second))
    if len(columns) < 2:
        return []
    names, codes = [], []
    for factor in (first, second):
        levels, code = np.unique(columns[factor], return_inverse=True)
        names.append(in_order(levels))
        codes.append(np.array([names[-1].index(level) for level in levels])[code])
    shape = (len(names[0]), len(names[1]))
    cell = codes[0] * shape[1] + codes[1]
    count = shape[0] * shape[1]
    sizes = np.bincount(cell, minlength=count)
    if count > _MOST_CELLS or (sizes == 0).any():
        return []
    means = np.bincount(cell, rows.correct, minlength=count) / sizes
    contrast = np.kron(np.eye(shape[0]) - 1 / shape[0], np.eye(shape[1]) - 1 / shape[1])
    effects = contrast @ means
    groups = np.unique(rows.clusters, return_inverse=True)[1]
    held = np.zeros((int(groups.max()) + 1, count))
    np.add.at(held, (groups, cell), (rows.correct - means[cell]) / sizes[cell])
    number = len(held)
    errors = np.sqrt(((held @ contrast.T) ** 2).sum(0) * number / max(1, number - 1))
    # A cell that one cluster fills shows no spread between clusters; then that between its rows is the least.
    within = np.bincount(cell, (rows.correct - means[cell]) ** 2, minlength=count) / sizes / np.maximum(sizes - 1, 1)
    errors = np.maximum(errors, np.sqrt(contrast**2 @ within))
    # Where all rows of all cells agree, their number still leaves something open (A. Agresti, B. Coull 1998).
    near = (means * sizes + 1) / (sizes + 2)
    errors = np.where(errors > 1e-12, errors, np.sqrt(contrast**2 @ (near * (1 - near) / (sizes + 2))))
    return _cells(effects, errors, number, sizes, means, names, (first, second))


def _cells(
    effects: NDArray[np.float64],
    errors: NDArray[np.float64],
    clusters: int,
    sizes: NDArray[np.int64],
    means: NDArray[np.float64],
    names: Sequence[Sequence[str]],
    factors: tuple[str, str],
) -> list[Interaction]:
    from scipy.stats import t

    if clusters < MIN_CLUSTERS:
        p, half = np.ones_like(effects), np.full_like(effects, 2.0)
    else:
        p = 2 * t.sf(np.abs(effects) / errors, clusters - 1)
        half = float(t.isf(0.025, clusters - 1)) * errors
    found = [
        Interaction(
            (factors[0], names[0][k // len(names[1])]),
            (factors[1], names[1][k % len(names[1])]),
            int(sizes[k]),
            float(means[k]),
            float(effects[k]),
            float(max(-1.0, effects[k] - half[k])),
            float(min(1.0, effects[k] + half[k])),
            float(p[k]),
            clusters,
        )
        for k in range(len(effects))
    ]
    corrected = [replace(cell, p=value) for cell, value in zip(found, holm([c.p for c in found]), strict=True)]
    return sorted(corrected, key=lambda cell: -abs(cell.effect))


def calibration(rows: Rows, bins: int = BINS) -> Calibration | None:
    """Return the calibration of a model's answers; ``None`` where it gives no probabilities."""
    if not len(rows) or not np.isfinite(rows.confidence).all():
        return None
    return calibration_of(rows.confidence, rows.correct, bins)


def strongest_pair(view: RowView, model: str, line: LeaderboardRow) -> tuple[str, str] | None:
    """Return the two factors whose levels interact most, by variance of the effects; ``None`` where none can."""
    best: tuple[float, tuple[str, str]] | None = None
    for pair in _pairs(view, model, line):
        cells = interactions(view, model, line, *pair)
        if cells:
            variance = float(np.mean([c.effect**2 for c in cells]))
            if best is None or variance > best[0]:
                best = (variance, pair)
    return None if best is None else best[1]


def _pairs(view: RowView, model: str, line: LeaderboardRow) -> Iterator[tuple[str, str]]:
    rows = view.rows(model, line)
    if rows is None:
        return
    columns = view.levels(rows.index)
    small = [name for name, values in columns.items() if len(set(values)) <= 80]
    for i, first in enumerate(small):
        for second in small[i + 1 :]:
            yield first, second
