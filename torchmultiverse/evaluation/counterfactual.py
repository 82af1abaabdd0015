"""Counterfactuals: what a model says of two pictures that differ in one factor and in nothing else.

Read from the per-picture outcomes of an evaluation, so that no picture is shown again. For each change of a level:

- flip rate: share of pairs of which the model says two different things, right or wrong;
- effect: accuracy at the second level minus accuracy at the first, on the same pairs, with an interval that takes whole
  characters (or, where there is one or none, pairs) as independent, and an exact McNemar test of the pairs that are
  right once.

P-values are corrected for all changes of one model and task together (Holm 1979).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.evaluation.result import Result
from torchmultiverse.scenes import level_words
from torchmultiverse.stats import holm, mcnemar, paired_interval
from torchmultiverse.store import StoredDataset


@dataclass(frozen=True)
class FactorEffect:
    """One change of one factor.

    Attributes:
        model, task, setting: whose answers to what.
        factor, first, second: the column and its two levels.
        pairs: pictures that differ in it alone.
        flips: share of pairs with two different answers.
        effect: accuracy at ``second`` minus accuracy at ``first``, −1 to 1.
        low, high: 95 % interval of the effect; −1 and 1 where there are too few clusters.
        lost, gained: pairs that are right at ``first`` alone, and at ``second`` alone.
        p: of the exact McNemar test, corrected; it speaks of these characters, the interval of others as well.
        clusters: independent groups of pairs.
        grouped: what they are, in the plural.
        examples: rows of up to four pairs that are right at ``first`` alone, or else at ``second`` alone.
    """

    model: str
    task: str
    setting: str
    factor: str
    first: str
    second: str
    pairs: int
    flips: float
    effect: float
    low: float
    high: float
    lost: int
    gained: int
    p: float
    clusters: int
    grouped: str
    examples: tuple[tuple[int, int], ...] = ()


def counterfactuals(result: Result, dataset: StoredDataset, factors: Sequence[str] | None = None) -> list[FactorEffect]:
    """Return the effect of every change of one factor, by model, task and setting.

    Pairs with different true answers say nothing about the factor and are left out; so a factor that the question is
    about, such as the animal, has none.

    Args:
        result: of an evaluation of this dataset.
        dataset: what was evaluated, all of it and in the same order.
        factors: columns; by default all that vary.

    Raises:
        DatasetError: another dataset, or no such factor.
    """
    ids = np.array(dataset.table(["scene_id"])["scene_id"].to_pylist(), object)
    for name in factors or ():
        if name not in dataset.factors:
            raise QuestionError(f"{dataset.path} has no factor '{name}'.{nearest(name, dataset.factors)}")
    pairs = {name: dataset.pairs(name) for name in factors or dataset.factors}
    names = (
        dataset.table(["character_name"])["character_name"].to_pylist() if "character_name" in dataset.columns else ids
    )
    clusters = np.asarray(names, object)
    levels = {name: level_words(name, dataset.table([name])[name].to_pylist()) for name in pairs}
    found: list[FactorEffect] = []
    for model, task, setting, rows in _asked(result):
        index = rows["index"]
        if len(index) and (index.max() >= len(ids) or (ids[index] != rows["scene_id"]).any()):
            raise DatasetError(f"{dataset.path} is not the dataset that '{model}' was evaluated on")
        effects: list[FactorEffect] = []
        for name, both in pairs.items():
            effects += _of_factor((model, task, setting, name), rows, both, levels[name], clusters, len(ids))
        found += [replace(e, p=p) for e, p in zip(effects, holm([e.p for e in effects]), strict=True)]
    return found


def _asked(result: Result) -> Iterator[tuple[str, str, str, dict[str, NDArray[Any]]]]:
    table = result.rows.to_pydict()
    columns = {
        name: np.asarray(values, object if name not in {"index", "correct"} else None) for name, values in table.items()
    }
    kept = (columns["scope"] == "plain") & (columns["metric"] == "top1")
    keys = list(zip(columns["model"], columns["task"], columns["setting"], strict=True))
    for key in dict.fromkeys(k for k, keep in zip(keys, kept, strict=True) if keep):
        mine = kept & np.array([k == key for k in keys])
        yield *key, {name: values[mine] for name, values in columns.items()}


def _of_factor(
    key: tuple[str, str, str, str],
    rows: dict[str, NDArray[Any]],
    pairs: NDArray[np.int64],
    levels: NDArray[np.object_],
    clusters: NDArray[np.object_],
    count: int,
) -> Iterator[FactorEffect]:
    place = np.full(count, -1, np.int64)
    place[rows["index"]] = np.arange(len(rows["index"]))
    one, two = place[pairs[:, 0]], place[pairs[:, 1]]
    kept = (one >= 0) & (two >= 0)
    one, two, pairs = one[kept], two[kept], pairs[kept]
    same = rows["label"][one] == rows["label"][two]
    one, two, pairs = one[same], two[same], pairs[same]
    order = {level: k for k, level in enumerate(dict.fromkeys(levels))}
    ranks = np.array([order[level] for level in levels])
    swap = ranks[pairs[:, 0]] > ranks[pairs[:, 1]]
    one, two = np.where(swap, two, one), np.where(swap, one, two)
    first, second = levels[rows["index"][one]], levels[rows["index"][two]]
    for change in dict.fromkeys(zip(first, second, strict=True)):
        mine = (first == change[0]) & (second == change[1])
        a, b = one[mine], two[mine]
        before, after = rows["correct"][a].astype(float), rows["correct"][b].astype(float)
        difference = after - before
        # Where all are of one character, pairs are what is independent.
        groups = np.unique(clusters[rows["index"][a]].astype(str), return_inverse=True)[1]
        found = paired_interval(difference, groups if groups.any() else None)
        lost, gained = int((difference < -0.5).sum()), int((difference > 0.5).sum())
        flips = float((rows["prediction"][a] != rows["prediction"][b]).mean())
        ranked = np.argsort(difference if lost >= gained else -difference, kind="stable")
        telling = ranked[np.abs(difference[ranked]) > 0.5][:4]
        examples = tuple((int(rows["index"][a[k]]), int(rows["index"][b[k]])) for k in telling)
        grouped = "pairs" if found.clusters == len(a) else "characters"
        yield FactorEffect(
            *key, *change, len(a), flips, found.mean, found.low, found.high, lost, gained, mcnemar(lost, gained),
            found.clusters, grouped, examples,
        )  # fmt: skip
