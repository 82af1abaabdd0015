"""Memorization beyond correlation: the déjà vu score of a pair of models.

A part of a training picture that does not show the object is given to a model; the labels of its nearest neighbours
among public pictures say what the model associates with it. If a model that was trained on the picture names the
object and one that was trained without it does not, the picture was memorized; if both do, background and object go
together anyway. A score of zero does not prove that nothing was memorized.

Source: C. Meehan, F. Bordes, P. Vincent, K. Chaudhuri and C. Guo, *Do SSL models have déjà vu? A case of unintended
memorization in self-supervised learning*, NeurIPS 2023, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.label_inference import Inference, top_accuracy
from torchmultiverse.documents import Record
from torchmultiverse.errors import DatasetError
from torchmultiverse.stats import LEVEL, mcnemar, unpaired_interval, wilson

FRACTIONS = (1.0, 0.2, 0.05, 0.01)
_WARN = 100  # answers below which a score at p is mostly noise


@dataclass(frozen=True)
class InferencePair:
    """Both models on pictures that one of them, the target, was trained on.

    Attributes:
        target, reference: what each infers.
    """

    target: Inference
    reference: Inference

    def __post_init__(self) -> None:
        if len(self.target) != len(self.reference):
            raise DatasetError(f"{len(self.target)} answers of the target, {len(self.reference)} of the reference")


class DejaVuScore(Record):
    """The score on the most confident fraction of pictures.

    Attributes:
        fraction: p, above 0 up to 1.
        score, low, high: accuracy of the target minus that of the reference, averaged over both sides.
        target_accuracy, reference_accuracy: averaged over both sides.
        images: pictures that count, per side; below 100 the score is mostly noise.
    """

    fraction: float
    score: float
    low: float
    high: float
    target_accuracy: float
    reference_accuracy: float
    images: int


class Partition(Record):
    """Fractions of all pictures, averaged over both sides; they add up to 1.

    Attributes:
        memorized: the target is right and the reference is not.
        correlated: both are right.
        misrepresented: the reference alone is right.
        unassociated: both are wrong.
        p_value: of the exact test that memorized and misrepresented are equally many (McNemar).
        intervals: Wilson's, by name.
    """

    memorized: float
    correlated: float
    misrepresented: float
    unassociated: float
    p_value: float
    intervals: Mapping[str, tuple[float, float]]


class DejaVu(Record):
    """The déjà vu of a pair of models at one layer.

    Attributes:
        scores: at several fractions, all of them first: one fraction alone misleads.
        partition: into four categories.
        top5_score: at all pictures, where the label needs to be among five.
        images, classes: number of either.
        notes: what weakens the numbers.
    """

    scores: tuple[DejaVuScore, ...]
    partition: Partition
    top5_score: float
    images: int
    classes: int
    notes: tuple[str, ...] = ()

    def at(self, fraction: float) -> DejaVuScore:
        """Return the score at a fraction.

        Raises:
            KeyError: it was not computed there.
        """
        for score in self.scores:
            if abs(score.fraction - fraction) < 1e-9:
                return score
        raise KeyError(fraction)


def dejavu_scores(
    sides: Sequence[InferencePair],
    classes: int,
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    resamples: int = 1000,
    groups: Sequence[NDArray[np.int64]] | None = None,
) -> DejaVu:
    """Return the score, with intervals from resampling pictures or groups of them, and the partition.

    ``DV_p = ½ [Acc_A(A, p) − Acc_B(A, p)] + ½ [Acc_B(B, p) − Acc_A(B, p)]``; each model answers on its own most
    confident fraction. ``DV_100`` is memorized minus misrepresented, exactly.

    Args:
        sides: A's pictures with A as target, and B's with B; or one of them.
        classes: number of labels.
        fractions: of pictures, as p.
        seed: of resampling.
        resamples: number of them.
        groups: of the pictures of each side, 0 to G − 1, the same ones in both: pictures of one group are drawn
            together. Without them each picture is drawn by itself, and the sides by themselves.

    Raises:
        DatasetError: no picture, or a fraction that leaves none.
    """
    if not sides or min(len(side.target) for side in sides) == 0:
        raise DatasetError("no picture to ask for")
    least = min(len(side.target) for side in sides)
    notes = []
    found = []
    if groups is None:
        drawn = [
            _resamples(len(side.target), np.random.default_rng((seed, k)), resamples) for k, side in enumerate(sides)
        ]
    else:
        drawn = _group_resamples(groups, np.random.default_rng(seed), resamples)
    known = min(len(np.unique(of)) for of in groups) if groups is not None else least
    tail = (1 - LEVEL) / 2
    for fraction in fractions:
        if fraction * least < 1:
            raise DatasetError(f"{100 * fraction:g} % of {least} pictures is less than one")
        target, reference = (float(np.mean([_top(side, fraction)[k][0] for side in sides])) for k in (0, 1))
        pairs = [_top(side, fraction, weights) for side, weights in zip(sides, drawn, strict=True)]
        resampled = np.mean([ours - theirs for ours, theirs in pairs], 0)
        answers = round(fraction * least)
        low, high = _ends(resampled, tail, target, reference, min(answers, known))
        found.append(_score(fraction, target, reference, (low, high), answers))
        if fraction * least < _WARN:
            notes.append(
                f"DV_{100 * fraction:g} rests on {round(fraction * least)} answers per side, {_WARN} are wanted"
            )
    return DejaVu(
        scores=tuple(found), partition=partition(sides),
        top5_score=float(np.mean([s.target.top5.mean() - s.reference.top5.mean() for s in sides])),
        images=sum(len(s.target) for s in sides), classes=classes, notes=tuple(notes),
    )  # fmt: skip


def _score(fraction: float, target: float, reference: float, ends: tuple[float, float], images: int) -> DejaVuScore:
    return DejaVuScore(
        fraction=fraction, score=target - reference, low=ends[0], high=ends[1], target_accuracy=target,
        reference_accuracy=reference, images=images,
    )  # fmt: skip


def _ends(
    drawn: NDArray[np.float64], tail: float, target: float, reference: float, answers: int
) -> tuple[float, float]:
    """Return the ends of a score's interval; where all resamples agree, what so many answers leave open."""
    low, high = np.quantile(drawn, [tail, 1 - tail])
    if high - low < 1e-9:
        return unpaired_interval(
            reference, wilson(reference * answers, answers), target, wilson(target * answers, answers)
        )
    score = target - reference
    return float(min(low, score)), float(max(high, score))


def _resamples(count: int, rng: np.random.Generator, resamples: int) -> NDArray[np.float64]:
    return rng.multinomial(count, np.full(count, 1 / count), resamples).astype(np.float64)


def _group_resamples(
    groups: Sequence[NDArray[np.int64]], rng: np.random.Generator, resamples: int
) -> list[NDArray[np.float64]]:
    """Return how often each picture of each set is drawn with its group, (R, N) each."""
    times = _resamples(1 + max(int(of.max()) for of in groups), rng, resamples)
    return [times[:, of] for of in groups]


def _top(
    side: InferencePair, fraction: float, weights: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the accuracies of target and reference, each on its own most confident fraction."""
    target, reference = side.target, side.reference
    return (
        top_accuracy(target.correct, target.confidence, fraction, weights),
        top_accuracy(reference.correct, reference.confidence, fraction, weights),
    )


def partition(sides: Sequence[InferencePair]) -> Partition:
    """Return the four categories, averaged over both sides."""
    by_side, counts = [], []
    for side in sides:
        a, b = side.target.correct, side.reference.correct
        masks = (a & ~b, a & b, ~a & b, ~a & ~b)
        by_side.append([float(mask.mean()) for mask in masks])
        counts.append([int(mask.sum()) for mask in masks])
    mean = [float(value) for value in np.mean(by_side, 0)]
    total = np.sum(counts, 0)
    rows = int(total.sum())
    names = ("memorized", "correlated", "misrepresented", "unassociated")
    intervals = {name: wilson(fraction * rows, rows) for name, fraction in zip(names, mean, strict=True)}
    p_value = mcnemar(int(total[2]), int(total[0]))
    return Partition(**dict(zip(names, mean, strict=True)), p_value=p_value, intervals=intervals)


def confidence_curve(sides: Sequence[InferencePair], points: int = 100) -> list[tuple[float, float, float]]:
    """Return accuracies by fraction of the most confident, from 1 % to all: (fraction, target, reference)."""
    found = []
    for fraction in np.linspace(0.01, 1, points).tolist():
        pairs = [_top(side, fraction) for side in sides]
        found.append((fraction, float(np.mean([a[0] for a, _ in pairs])), float(np.mean([b[0] for _, b in pairs]))))
    return found


def score_against_unseen(
    target: Inference, held: Inference, targets: NDArray[np.int64], others: NDArray[np.int64], classes: int,
    fractions: Sequence[float] = FRACTIONS, seed: int = 0, resamples: int = 1000,
    groups: Sequence[NDArray[np.int64]] | None = None,
) -> tuple[DejaVu, InferencePair]:  # fmt: skip
    """Score one model: what it infers of pictures it was trained on, beside what it infers of pictures it never saw.

    Both come from one distribution, so that correlation is in both. The intervals resample both sets by themselves.
    For the four categories each picture is paired at random with a held-out one of its class.

    Args:
        target: what it infers of pictures that it was trained on.
        held: of pictures that it never saw.
        targets, others: their labels, codes (N,) and (M,).
        classes: number of labels.
        fractions: of pictures, as p.
        seed: of resampling and pairing.
        resamples: number of them.
        groups: of the pictures of both sets, see `dejavu_scores`.

    Returns:
        The score, and the pairs.

    Raises:
        DatasetError: a class without held-out pictures.
    """
    if len(missing := np.setdiff1d(targets, others)):
        raise DatasetError(f"{len(missing)} labels have no held-out picture to compare with")
    rng = np.random.default_rng(seed)
    match = np.empty(len(targets), np.int64)
    for label in np.unique(targets):
        mine, unseen = np.flatnonzero(targets == label), np.flatnonzero(others == label)
        match[mine] = np.concatenate([rng.permutation(unseen) for _ in range(-(-len(mine) // len(unseen)))])[
            : len(mine)
        ]
    # Held-out pictures count as often as their class does among the others.
    weight = np.bincount(targets, minlength=classes) / np.maximum(np.bincount(others, minlength=classes), 1)
    each: NDArray[np.float64] = np.asarray(weight[others], np.float64)
    if groups is None:
        drawn = _resamples(len(targets), rng, resamples)
        non_members: NDArray[np.float64] = np.asarray(
            rng.multinomial(len(others), each / each.sum(), resamples), np.float64
        )
    else:
        drawn, theirs = _group_resamples(groups, rng, resamples)
        non_members = theirs * each
    known = len(targets) if groups is None else min(len(np.unique(of)) for of in groups)
    tail = (1 - LEVEL) / 2
    scores, notes = [], []
    for fraction in fractions:
        if fraction * len(targets) < 1:
            raise DatasetError(f"{100 * fraction:g} % of {len(targets)} pictures is less than one")
        ours = float(top_accuracy(target.correct, target.confidence, fraction)[0])
        other = float(top_accuracy(held.correct, held.confidence, fraction, each[None])[0])
        first = top_accuracy(target.correct, target.confidence, fraction, drawn)
        second = top_accuracy(held.correct, held.confidence, fraction, non_members)
        answers = round(fraction * min(len(targets), len(others)))
        low, high = _ends(np.subtract(first, second), tail, ours, other, min(answers, known))
        scores.append(_score(fraction, ours, other, (low, high), answers))
        if answers < _WARN:
            notes.append(f"DV_{100 * fraction:g} rests on {answers} answers, {_WARN} are wanted")
    side = InferencePair(target, held.take(match))
    top5 = float(target.top5.mean() - np.average(held.top5, weights=each))
    found = DejaVu(
        scores=tuple(scores), partition=partition([side]), top5_score=top5, images=len(targets), classes=classes,
        notes=tuple(notes),
    )  # fmt: skip
    return found, side
