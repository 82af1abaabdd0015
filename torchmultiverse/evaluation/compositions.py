"""Scores of questions about composition: who does what to whom, which thing is how, in which order. Pure.

A benchmark is what its authors call it, with its own number: a mean over relations, or over all rows. Each has its
chance, how often the model cannot decide, and what the same model reaches without pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.evaluation.paired import Rows, RowView
from torchmultiverse.evaluation.protocol import Macro
from torchmultiverse.evaluation.ranking import LeaderboardRow, leaderboard_rows
from torchmultiverse.evaluation.result import AVERAGE, Result
from torchmultiverse.stats import Intervals, LevelPart, mean_of_levels, paired_interval

ARO = ("VG-Relation", "VG-Attribution", "COCO-Order", "Flickr30k-Order")
ARO_MEAN = "ARO, mean of four"
PUBLISHED = (
    *ARO, "SPAR, one animal left or right", "SPAR, two animals left or right", "Winoground, text", "Winoground, image",
    "Winoground, group",
)  # fmt: skip
"""What the published tables ask of one model, in their order."""
OVER_ROWS = ", mean over rows"
"""What the name of a benchmark ends in whose own number, a mean over levels, cannot be had."""
_SPAR = {"position": "one animal", "relation": "two animals", "attribute": "two animals and their surfaces"}
_WAYS = {"left/right": "left or right", "bottom/top": "bottom or top"}


@dataclass(frozen=True)
class Question:
    """A benchmark's question to models that were evaluated on it.

    Attributes:
        benchmark: its name.
        view: of the result.
        line: of the leaderboard.
        macro: of which levels the mean is the benchmark's number; ``None`` for the mean over rows.
        shared: only those levels that training data have too.
        lacking: levels of which the source takes the mean, where none of them counts here.
    """

    benchmark: str
    view: RowView
    line: LeaderboardRow
    macro: Macro | None
    shared: bool = False
    lacking: Macro | None = None

    def rows(self, model: str) -> Rows | None:
        """Return the outcomes of a model; ``None`` where it was not asked."""
        return self.view.rows(model, self.line)

    def part(self, values: NDArray[np.float64], rows: Rows) -> LevelPart | None:
        """Return values of rows with the levels that count; ``None`` where no level has enough rows."""
        levels = np.zeros(len(values), np.int64).astype(object)
        keep = np.ones(len(values), bool)
        if self.macro is not None:
            factors = self.view.result.factors
            if self.macro.column not in factors.column_names:
                return None
            named = np.array(factors[self.macro.column].to_pylist(), object)[rows.index].astype(str).astype(object)
            names, codes, counts = np.unique(named, return_inverse=True, return_counts=True)
            enough = np.array([
                self.macro.counts(name, count) and (not self.shared or self.macro.is_shared(name))
                for name, count in zip(names.tolist(), counts.tolist(), strict=True)
            ], bool)  # fmt: skip
            levels, keep = named, enough[codes]
        clusters = self.view.cluster_words(rows, self.benchmark)
        return LevelPart(values[keep], levels[keep], clusters[keep]) if keep.any() else None


@dataclass(frozen=True)
class Score:
    """What a model reaches on a question; fractions.

    Attributes:
        benchmark, model: which.
        accuracy, low, high: the benchmark's own number, with a 95 % interval over its independent groups.
        micro: mean over the rows that count.
        levels: relations, or pairs of attributes, whose means count; 0 where rows do.
        ties: share of the rows that count in which the model does not decide.
        chance: of a blind guess.
        n, clusters: rows that count, and their independent groups.
        metric: of the question.
    """

    benchmark: str
    model: str
    accuracy: float
    low: float
    high: float
    micro: float
    levels: int
    ties: float
    chance: float
    n: int
    clusters: int
    metric: str = ""


@dataclass(frozen=True)
class Change:
    """A benchmark's number of one model minus that of another, on the same rows.

    Attributes:
        benchmark: which.
        difference, low, high: −1 to 1, with a 95 % interval over independent groups.
        lost, gained: rows that count which only the first, and only the second, answers.
        n: rows that count.
    """

    benchmark: str
    difference: float
    low: float
    high: float
    lost: int
    gained: int
    n: int


def questions(result: Result, name: str | None = None) -> list[Question]:
    """Return what a result says of composition, by the names of the benchmarks.

    Of SPAR these are the choices between the true and the swapped caption; of a result of another kind, every line of
    its leaderboard.

    Args:
        result: of an evaluation.
        name: of the benchmark; by default its dataset's own.
    """
    view, protocol = RowView.of(result), result.provenance.protocol
    name = name or _named(result)
    if protocol.get("kind") == "spar":
        return _spar_questions(view, name)
    macro = Macro.model_validate(protocol["macro"]) if protocol.get("macro") else None
    lines = [line for line in leaderboard_rows(result) if line.task != AVERAGE]
    winoground = any(line.task == "winoground" for line in lines)
    asked = [_counting(Question(_title(name, line, len(lines), winoground), view, line, macro)) for line in lines]
    if macro is None or not macro.shared:
        return asked
    return asked + [replace(one, benchmark=f"{one.benchmark}, shared with {macro.shared_with}", shared=True)
                    for one in asked if one.macro is not None]  # fmt: skip


def _counting(question: Question) -> Question:
    """Return a question, by another name where no level counts: the mean over rows is not the published number."""
    every = [question.rows(facts.name) for facts in question.view.result.provenance.models]
    asked = [rows for rows in every if rows is not None and len(rows)]
    if question.macro is None or not asked or any(question.part(rows.correct, rows) is not None for rows in asked):
        return question
    return replace(question, benchmark=f"{question.benchmark}{OVER_ROWS}", macro=None, lacking=question.macro)


def _spar_questions(view: RowView, name: str) -> list[Question]:
    lines = [line for line in leaderboard_rows(view.result, pool=False) if line.metric == "hard_negative"]
    settings = [line for line in lines if line.setting != "all"] or lines
    return [Question(_spar(name, line), view, line, None) for line in settings if line.task in _SPAR]


def _title(name: str, line: LeaderboardRow, count: int, winoground: bool) -> str:
    """Return what a question of one of so many lines is called."""
    if count == 1:
        return name
    if not winoground:
        return f"{name}, {line.title}"
    way = line.metric.removeprefix("winoground_") if line.metric.startswith("winoground") else "single choices"
    return f"{name}, {way}"


def _named(result: Result) -> str:
    """Return what a dataset's authors call it, or its name."""
    if "benchmark" in result.factors.column_names:
        known = set(result.factors["benchmark"].to_pylist())
        if len(known) == 1:
            return str(next(iter(known)))
    return result.provenance.dataset.name


def _spar(name: str, line: LeaderboardRow) -> str:
    """Return what a choice of SPAR is called; of the published dataset and of one of its form by any other name."""
    return f"SPAR, {_SPAR[line.task]} {_WAYS.get(line.setting, line.setting)}" + (
        "" if "spar" in name.lower() else f" ({name})"
    )


def score_of(question: Question, model: str, intervals: Intervals) -> Score | None:
    """Return what a model reaches on a question; ``None`` where it was not asked."""
    rows = question.rows(model)
    if rows is None or not len(rows):
        return None
    part = question.part(rows.correct, rows)
    if part is None:
        return None
    values, micro = part.values, float(part.values.mean())
    if question.macro is None:
        low, high, _ = intervals.of_mean(values, rows.clusters if rows.clustered else None)
        accuracy, levels = micro, 0
    else:
        found = mean_of_levels([part], intervals.level)
        accuracy, low, high, levels = found.mean, found.low, found.high, found.levels
    return Score(
        question.benchmark, model, accuracy, low, high, micro, levels, _ties(values), question.line.chance, len(values),
        len(np.unique(part.clusters)), question.line.metric,
    )  # fmt: skip


def _ties(values: NDArray[np.float64]) -> float:
    return float(((values > 0) & (values < 1)).mean())


def change_of(question: Question, before: str, after: str) -> Change | None:
    """Return by how much the second model is better; ``None`` where not both were asked."""
    both = question.view.pair(before, after, question.line)
    if both is None or not len(both[0]):
        return None
    one, two = both
    difference = two.correct - one.correct
    part = question.part(difference, one)
    if part is None:
        return None
    if question.macro is None:
        _, clusters = np.unique(one.clusters, return_inverse=True)
        found = paired_interval(difference, clusters if one.clustered else None)
        mean, low, high = found.mean, found.low, found.high
    else:
        macro = mean_of_levels([part], differences=True)
        mean, low, high = macro.mean, macro.low, macro.high
    return Change(question.benchmark, mean, low, high, *_lost_and_gained(part.values), len(part.values))


def _lost_and_gained(differences: NDArray[np.float64]) -> tuple[int, int]:
    return int((differences < -0.5).sum()), int((differences > 0.5).sum())


def mean_change(asked: Sequence[Question], before: str, after: str) -> Change | None:
    """Return the change of the mean of several benchmarks, each counting once; ``None`` where one was not asked."""
    parts = []
    for question in asked:
        both = question.view.pair(before, after, question.line)
        part = None if both is None else question.part(both[1].correct - both[0].correct, both[0])
        if part is None:
            return None
        parts.append(part)
    if not parts:
        return None
    found = mean_of_levels(parts, differences=True)
    every = np.concatenate([part.values for part in parts])
    return Change(ARO_MEAN, found.mean, found.low, found.high, *_lost_and_gained(every), len(every))


def mean_score(asked: Sequence[Question], model: str) -> Score | None:
    """Return the mean of several benchmarks, each counting once; ``None`` where one was not asked."""
    parts: list[LevelPart] = []
    rows = [question.rows(model) for question in asked]
    for question, own in zip(asked, rows, strict=True):
        part = None if own is None else question.part(own.correct, own)
        if part is None:
            return None
        parts.append(part)
    if not parts:
        return None
    found = mean_of_levels(parts)
    micro = float(np.mean([part.values.mean() for part in parts]))
    chance = float(np.mean([question.line.chance for question in asked]))
    ties = float(np.mean([_ties(part.values) for part in parts]))
    n = sum(len(part.values) for part in parts)
    return Score(
        ARO_MEAN, model, found.mean, found.low, found.high, micro, found.levels, ties, chance, n, found.clusters
    )


def level_table(question: Question, models: Sequence[str], most: int = 30) -> list[Mapping[str, Any]]:
    """Return the accuracy of each level that counts, by model: levels of most rows first."""
    if question.macro is None:
        return []
    by_level: dict[str, dict[str, Any]] = {}
    for model in models:
        rows = question.rows(model)
        part = None if rows is None else question.part(rows.correct, rows)
        if part is None:
            continue
        for level in np.unique(part.levels):
            own = part.values[part.levels == level]
            line = by_level.setdefault(str(level), {"level": str(level), "n": len(own)})
            line[f"{model} %"] = float(own.mean())
    lines = sorted(by_level.values(), key=lambda line: (-line["n"], line["level"]))
    return [{"level": line["level"], "n": line["n"], **{f"{m} %": line.get(f"{m} %") for m in models}}
            for line in lines[:most]]  # fmt: skip
