"""Déjà vu by factor: which hidden factor of the removed object (its texture, pose, light) was remembered.

The test is that of the label, with any column in its place; the neighbours of the crops are searched once and vote on
every factor. Levels differ in number, and chance with them: of m remembered pictures ``DV_100 = m (1 − chance)`` shows,
so that the share ``DV_100 / (1 − chance)`` may be compared between factors.

Source: C. Meehan, F. Bordes, P. Vincent, K. Chaudhuri and C. Guo, *Do SSL models have déjà vu? A case of unintended
memorization in self-supervised learning*, NeurIPS 2023, sections 3, 4 and appendix C.4 (memory beyond the label).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.dejavu import FRACTIONS, DejaVu, InferencePair
from torchmultiverse.analyze.dejavu_protocol import (
    Controls,
    ModelFeatures,
    fitting_neighbours,
    neighbours_of,
    pair_scores,
    single_scores,
)
from torchmultiverse.analyze.label_inference import Inference, K
from torchmultiverse.analyze.neighbours import Backend, NearestRows
from torchmultiverse.analyze.splits import GROUPS, factor_target
from torchmultiverse.documents import Record
from torchmultiverse.errors import DatasetError, QuestionError
from torchmultiverse.stats import contrast, holm, sign_flip

Codes = NDArray[np.int64]
RANGES = 8
"""Into which numbers of many levels are cut, with as many pictures in each."""
_RAREST = 5  # public pictures of a level, below which too few neighbours could vote for it
_GROUPS = 10  # below which an interval over groups means little
_SETS = ("A", "B", "held out")


class FactorMemory(Record):
    """What was remembered of one factor, as seen at one layer.

    Attributes:
        layer, factor: names; the label is a factor too.
        levels, k, groups, by: number of levels, neighbours, groups that are resampled, and the column that makes them,
            "" for single pictures.
        score, controls: see `torchmultiverse.analyze.dejavu`.
        share, low, high: of the pictures of which it was remembered: the score over what chance leaves open.
        p, adjusted: of no memory, from random signs of groups (of one model alone: from their means), and by Holm over
            the factors of the layer.
        association: how much it goes together with the label in these data: Cramér's V, 0 to 1; 1 for the label.
    """

    layer: str
    factor: str
    levels: int
    k: int
    groups: int
    by: str
    score: DejaVu
    controls: Controls
    share: float
    low: float
    high: float
    p: float
    adjusted: float
    association: float = 0.0

    @property
    def remembered(self) -> bool:
        """Whether memory is told from none at 5 %, over all factors."""
        return self.share > 0 and self.adjusted < 0.05


@dataclass(frozen=True)
class FactorQuestion:
    """A factor of pictures whose object was removed.

    Attributes:
        factor, levels: name, and names of levels.
        targets: codes of the pictures of each set, (N,).
        public: codes of public pictures, (M,).
        groups: of the pictures of each set, codes over all sets; ``None`` where each stands for itself.
        by: the column that groups.
        backgrounds: what a classifier of backgrounds infers, by set, where it is the reference.
        association: with the label, Cramér's V.
    """

    factor: str
    levels: tuple[str, ...]
    targets: Mapping[str, Codes]
    public: Codes
    groups: Mapping[str, Codes] | None = None
    by: str = ""
    backgrounds: Mapping[str, Inference] | None = None
    association: float = 0.0


def factor_question(
    columns: Mapping[str, NDArray[Any]], factor: str, rows: Mapping[str, Codes], public: Codes
) -> FactorQuestion:
    """Return the question for a column; numbers of many levels are cut into ranges.

    Pictures are grouped by the first column of `GROUPS` (the asset, the world) that does not say the factor and has ten
    groups in each set.

    Args:
        columns: of the dataset.
        factor: one of them.
        rows: of the pictures of each set.
        public: rows of public pictures.

    Raises:
        DatasetError: no such column, one level only, or a level that public pictures hardly have.
    """
    target = factor_target(columns, factor)
    codes, names = target.codes, target.levels
    if target.numbers is not None:
        codes, names = _ranges(columns[factor].astype(np.float64))
    used, codes = np.unique(codes, return_inverse=True)
    names = tuple(names[k] for k in used.tolist())
    if len(names) < 2:
        raise QuestionError(f"'{factor}' is the same in all pictures")
    asked = np.unique(np.concatenate([codes[mine] for mine in rows.values()]))
    counts = np.bincount(codes[public], minlength=len(names))
    present = np.flatnonzero(counts)
    rarest = min(np.union1d(asked, present), key=lambda k: int(counts[k]))
    if counts[rarest] < _RAREST:
        raise DatasetError(
            f"'{factor}' {names[rarest]} has {counts[rarest]} public pictures, {_RAREST} are needed "
            f"({len(names)} levels)"
        )
    by, groups = _groups(columns, codes, rows, factor)
    targets = {name: codes[mine].astype(np.int64) for name, mine in rows.items()}
    return FactorQuestion(factor, names, targets, codes[public].astype(np.int64), groups, by)


def _ranges(values: NDArray[np.float64]) -> tuple[Codes, tuple[str, ...]]:
    """Return numbers as codes of ranges with as many pictures in each, and the ranges' names; not a number is one."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros(len(values), np.int64), ("none",)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, RANGES + 1)))
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0]])
    codes = np.clip(np.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2)
    codes[~np.isfinite(values)] = len(edges) - 1
    return codes.astype(np.int64), (*(f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)), "none")


def _groups(
    columns: Mapping[str, NDArray[Any]], codes: Codes, rows: Mapping[str, Codes], factor: str
) -> tuple[str, Mapping[str, Codes] | None]:
    every = np.concatenate(list(rows.values()))
    for name in GROUPS:
        if name not in columns or name == factor:
            continue
        groups = np.unique(columns[name][every].astype(str), return_inverse=True)[1]
        if len(np.unique(np.stack([groups, codes[every]], 1), axis=0)) == groups.max() + 1:
            continue  # each group has one level: it says the factor
        ends = np.cumsum([len(mine) for mine in rows.values()])[:-1]
        parts = np.split(groups.astype(np.int64), ends)
        if min(len(np.unique(part)) for part in parts) >= _GROUPS:
            return name, dict(zip(rows, parts, strict=True))
    return "", None


def factor_memories(
    models: Sequence[ModelFeatures],
    questions: Sequence[FactorQuestion],
    layer: str,
    k: int = K,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    backend: Backend = "auto",
) -> list[FactorMemory]:
    """Ask for several factors at one layer, with one search of neighbours.

    Args:
        models: features of the model that saw A, and of the one that saw B where there are two.
        questions: factors.
        layer: name.
        k: neighbours; of a factor with a rarer level as many as that has public pictures.
        fractions: as p; 1 is one of them.
        seed: of resampling, shuffling and signs.
        backend: see `nearest_rows`.

    Returns:
        One for each question, in their order.

    Raises:
        DatasetError: see `score_model_pair` and `score_model`.
    """
    wanted = [fitting_neighbours(k, one.public) for one in questions]
    most = max(count for count, _ in wanted)
    near = neighbours_of(models, questions[0].targets, questions[0].public, most, backend)
    found = []
    for question, (count, notes) in zip(questions, wanted, strict=True):
        closest = {
            name: [NearestRows(one.rows[:, :count], one.distances[:, :count]) for one in both]
            for name, both in near.items()
        }
        score, controls, sides = _scored(closest, question, fractions, seed, len(models))
        whole, room = score.at(1.0), 1 - controls.chance
        p = _paired(sides, question, seed) if "paired" in sides else _unpaired(sides, question)
        groups = question.groups
        found.append(
            FactorMemory(
                layer=layer, factor=question.factor, levels=len(question.levels), k=count,
                groups=score.images if groups is None else len(np.unique(np.concatenate(list(groups.values())))),
                by=question.by, score=score.model_copy(update={"notes": (*notes, *score.notes)}), controls=controls,
                share=whole.score / room, low=whole.low / room, high=whole.high / room, p=p, adjusted=p,
                association=question.association,
            )
        )  # fmt: skip
    adjusted = holm([one.p for one in found])
    return [one.model_copy(update={"adjusted": q}) for one, q in zip(found, adjusted, strict=True)]


def _scored(
    near: Mapping[str, list[NearestRows]],
    question: FactorQuestion,
    fractions: Sequence[float],
    seed: int,
    models: int,
) -> tuple[DejaVu, Controls, dict[str, Any]]:
    """Return the score, the controls, and the sides, with ``paired`` where two answers stand for each picture."""
    if models > 1:
        score, controls, sides = pair_scores(
            near, question.targets, question.public, fractions, seed, question.groups
        )  # fmt: skip
        return score, controls, {"A": sides["A"], "B": sides["B"], "paired": True}
    score, controls, sides = single_scores(
        near, question.targets, question.public, fractions, seed, question.backgrounds, question.groups
    )
    if question.backgrounds is not None:
        return score, controls, {"A": sides["A"], "paired": True}
    return score, controls, dict(sides)


def _paired(sides: Mapping[str, Any], question: FactorQuestion, seed: int) -> float:
    """Return the p-value of target and reference being right equally often on the same pictures."""
    own: list[tuple[str, InferencePair]] = [(name, sides[name]) for name in ("A", "B") if name in sides]
    gains = [(side.target.correct.astype(float) - side.reference.correct) / len(side.target) for _, side in own]
    sums: NDArray[np.float64] = np.concatenate(gains)
    if question.groups is not None:
        sums = np.bincount(np.concatenate([question.groups[name] for name, _ in own]), sums).astype(np.float64)
    return sign_flip(sums, np.random.default_rng((seed, 7)))[0]


def _unpaired(sides: Mapping[str, Any], question: FactorQuestion) -> float:
    """Return the p-value of one model being right equally often on pictures it saw and on others of their levels."""
    target, held = sides["A"].target, sides["held out"].target
    unseen = [name for name in _SETS if name in question.targets and name != "A"]
    levels = question.targets["A"], np.concatenate([question.targets[name] for name in unseen])
    correct = target.correct.astype(float), held.correct.astype(float)
    count = len(question.levels)
    usual = np.bincount(levels[1], correct[1], count) / np.maximum(np.bincount(levels[1], minlength=count), 1)
    values = np.concatenate([right - usual[of] for right, of in zip(correct, levels, strict=True)])
    inside = np.arange(len(values)) < len(correct[0])
    groups: Codes = np.arange(len(values))
    if question.groups is not None:
        groups = np.concatenate([question.groups[name] for name in ("A", *unseen)])
    return contrast(values, inside, ~inside, groups).p
