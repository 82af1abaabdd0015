"""Where does the gap between two models, or between two numbers of one model, come from?

On the same pictures the gap is a sum over the levels of each factor: the fraction of the pictures at a level times the
gap at that level. A level that contributes more than its fraction of the pictures is where the models differ. Between
different pictures the gap has two parts (R. Oaxaca 1973, A. Blinder 1973, E. Kitagawa 1955): other accuracies at the
same levels, and another composition of levels. And a gap may come from how the question was put: preprocessing, label
space, prompts, precision, versions; all declared differences are listed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.evaluation.paired import Rows, RowView, not_asked
from torchmultiverse.evaluation.ranking import LeaderboardRow, leaderboard_rows
from torchmultiverse.evaluation.result import Result
from torchmultiverse.stats import Contrast, Intervals, Paired, contrast, holm, paired_interval, unpaired_interval


@dataclass(frozen=True)
class LevelContribution:
    """What one level adds to the gap.

    Attributes:
        factor, level: where.
        n: pictures of the second model there.
        clusters: independent groups of them; of different pictures the fewer of both.
        gap: accuracy of the second minus that of the first, at this level.
        low, high: 95 % interval of ``gap``.
        contribution: part of the whole gap that lies here, in accuracy.
        excess: what the level adds beyond its fraction of the pictures; sums to zero over a factor.
        p: of ``gap`` at this level being that of all other pictures, corrected over all levels shown.
    """

    factor: str
    level: str
    n: int
    clusters: int
    gap: float
    low: float
    high: float
    contribution: float
    excess: float
    p: float


@dataclass(frozen=True)
class GapExplanation:
    """Where a gap comes from.

    Attributes:
        first, second: the models.
        task, metric: the question.
        same_images: whether both were asked about the same pictures.
        gap, low, high: accuracy of the second minus that of the first, with a 95 % interval.
        clusters: independent groups of pictures.
        parts: levels, the largest excess first.
        composition: for different pictures: what another composition of levels explains, by factor.
        settings: what differs in how the question was put: name, first, second.
        setting: of the task; "all", or "" in what a version wrote that did not say it.
    """

    first: str
    second: str
    task: str
    metric: str
    same_images: bool
    gap: float
    low: float
    high: float
    clusters: int
    parts: list[LevelContribution]
    composition: dict[str, float]
    settings: list[tuple[str, str, str]]
    setting: str = ""


def explain_gap(
    result: Result,
    first: str,
    second: str,
    *,
    task: str | None = None,
    metric: str | None = None,
    setting: str | None = None,
    other: Result | None = None,
    factors: Sequence[str] | None = None,
    seed: int = 0,
) -> GapExplanation:
    """Return where the gap between two models comes from.

    Args:
        result: holds ``first``, and ``second`` unless ``other`` is given.
        first, second: names of models.
        task, metric, setting: the question; by default the first of the leaderboard that both were asked, and all of
            its settings.
        other: holds ``second``: another run, maybe of other pictures.
        factors: columns; by default all that vary.
        seed: of the intervals.

    Raises:
        DatasetError: no such model, task or factor, or no question that both were asked.
    """
    second_result = result if other is None else other
    result.facts(first), second_result.facts(second)
    view = RowView(result)
    second_view = view if other is None else RowView(other)
    line, one, two = _first_both(view, second_view, first, second, view.fitting(task, metric, setting))
    settings = differences(result, second_result, first, second)
    intervals = Intervals(seed)
    ids = _image_keys(result, one), _image_keys(second_result, two)
    if len(one) == len(two) and (ids[0] == ids[1]).all():
        columns = view.levels(one.index, factors)
        found, parts = _same(one, two, columns, intervals)
        return GapExplanation(
            first, second, line.task, line.metric, True, found.mean, found.low, found.high, found.clusters, parts, {},
            settings, line.setting,
        )  # fmt: skip
    gap, low, high, parts, composition = _different(
        (one, view.levels(one.index, factors)),
        (two, second_view.levels(two.index, factors)),
        intervals,
    )
    few = min(len(np.unique(one.clusters)), len(np.unique(two.clusters)))
    return GapExplanation(
        first, second, line.task, line.metric, False, gap, low, high, few, parts, composition, settings, line.setting
    )


def _first_both(
    view: RowView, second_view: RowView, first: str, second: str, lines: Sequence[LeaderboardRow]
) -> tuple[LeaderboardRow, Rows, Rows]:
    """Return the first of some questions that both models were asked, with their rows."""
    for line in lines:
        one, like = view.rows(first, line), _same_question(second_view, line)
        two = None if like is None else second_view.rows(second, like)
        if one is not None and two is not None:
            return line, one, two
    raise not_asked((first, second), view.title(lines[0]) if len(lines) == 1 else None)


def _same_question(view: RowView, line: LeaderboardRow) -> LeaderboardRow | None:
    """Return the same question in another run, else one of the same task and metric."""
    lines = leaderboard_rows(view.result, pool=False)
    alike = [q for q in lines if (q.task, q.metric) == (line.task, line.metric)]
    return next((q for q in alike if q.setting == line.setting), next(iter(alike), None))


def _image_keys(result: Result, rows: Rows) -> NDArray[Any]:
    """Return what identifies each picture: all its factors."""
    names = result.factors.column_names
    if not names:
        return rows.index
    columns = [np.asarray(result.factors[name].to_pylist(), object)[rows.index] for name in names]
    ids = np.empty(len(rows), object)
    ids[:] = [repr(values) for values in zip(*columns, strict=True)]
    return ids


def _same(
    one: Rows, two: Rows, columns: Mapping[str, NDArray[Any]], intervals: Intervals
) -> tuple[Paired, list[LevelContribution]]:
    difference = two.correct - one.correct
    clusters = np.unique(one.clusters, return_inverse=True)[1]
    whole = paired_interval(difference, clusters if one.clustered else None, intervals.level)
    parts, p = [], []
    for factor, values in columns.items():
        for level in np.unique(values):
            inside = values == level
            n = int(inside.sum())
            at = paired_interval(difference[inside], clusters[inside] if one.clustered else None, intervals.level)
            p.append(contrast(difference, inside, ~inside, clusters).p)
            part = n / len(difference)
            parts.append(LevelContribution(factor, str(level), n, at.clusters, at.mean, at.low, at.high, part * at.mean,
                              part * (at.mean - whole.mean), 1.0))  # fmt: skip
    return whole, _with_p(parts, p)


def _different(
    first: tuple[Rows, Mapping[str, NDArray[Any]]],
    second: tuple[Rows, Mapping[str, NDArray[Any]]],
    intervals: Intervals,
) -> tuple[float, float, float, list[LevelContribution], dict[str, float]]:
    from scipy.stats import norm

    one, two = first[0], second[0]
    a, a_low, a_high = _accuracy(one.correct, one, intervals)
    b, b_low, b_high = _accuracy(two.correct, two, intervals)
    gap = b - a
    low, high = unpaired_interval(a, (a_low, a_high), b, (b_low, b_high))
    parts, p, composition = [], [], {}
    for factor in first[1]:
        if factor not in second[1]:
            continue
        explained = 0.0
        for level in np.union1d(first[1][factor], second[1][factor]):
            left, right = first[1][factor] == level, second[1][factor] == level
            w1, w2 = float(left.mean()), float(right.mean())
            if not left.any() or not right.any():
                # A level that only one has: all of it is a matter of composition.
                explained += (
                    w2 * float(two.correct[right].mean()) if right.any() else -w1 * float(one.correct[left].mean())
                )
                continue
            m1, m2 = float(one.correct[left].mean()), float(two.correct[right].mean())
            explained += (w2 - w1) * (m1 + m2) / 2
            ends = (
                _accuracy(one.correct[left], one, intervals, left),
                _accuracy(two.correct[right], two, intervals, right),
            )
            here = unpaired_interval(m1, ends[0][1:], m2, ends[1][1:])
            mean = (w1 + w2) / 2
            few = min(len(np.unique(one.clusters[left])), len(np.unique(two.clusters[right])))
            error = float(np.hypot(here[1] - here[0], high - low)) / 2 / float(norm.isf((1 - intervals.level) / 2))
            p.append(Contrast(m2 - m1 - gap, error if few > 1 else float("inf"), few).p)
            parts.append(LevelContribution(factor, str(level), int(right.sum()), few, m2 - m1, *here, mean * (m2 - m1),
                              mean * (m2 - m1 - gap), 1.0))  # fmt: skip
        composition[factor] = explained
    return gap, low, high, _with_p(parts, p), composition


def _accuracy(
    values: NDArray[np.float64], rows: Rows, intervals: Intervals, inside: NDArray[np.bool_] | None = None
) -> tuple[float, float, float]:
    clusters = rows.clusters if inside is None else rows.clusters[inside]
    low, high, _ = intervals.of_mean(values, clusters if rows.clustered else None)
    return float(values.mean()), low, high


def _with_p(parts: Sequence[LevelContribution], p: Sequence[float]) -> list[LevelContribution]:
    from dataclasses import replace

    corrected = [replace(part, p=value) for part, value in zip(parts, holm(p), strict=True)]
    return sorted(corrected, key=lambda part: -abs(part.excess))


def differences(result: Result, other: Result, first: str, second: str) -> list[tuple[str, str, str]]:
    """Return what two evaluations declare differently: of the models, the protocol, the data and the packages."""

    def of_model(held: Result, name: str) -> dict[str, Any]:
        return held.facts(name).model_dump(exclude={"name", "about"})

    one, two = result.provenance, other.provenance
    found: list[tuple[str, str, str]] = []
    pairs: list[tuple[str, Any, Any]] = [
        ("model", of_model(result, first), of_model(other, second)),
        ("protocol", one.protocol, two.protocol),
        ("dataset", one.dataset.model_dump(include=_DATA), two.dataset.model_dump(include=_DATA)),
        ("packages", one.packages, two.packages),
    ]
    for name, left, right in pairs:
        _walk(name, left, right, found)
    return found


_DATA = {"name", "images", "manifest_sha256"}


def _walk(name: str, one: Any, two: Any, found: list[tuple[str, str, str]]) -> None:
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        for key in dict.fromkeys([*one, *two]):
            _walk(f"{name}.{key}", one.get(key), two.get(key), found)
    elif one != two:
        found.append((name, _short(one), _short(two)))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"
