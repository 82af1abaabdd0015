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
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.neighbours import Backend, Neighbours, nearest_rows
from torchmultiverse.errors import DatasetError
from torchmultiverse.models import FloatArray
from torchmultiverse.stats import LEVEL, Interval, Intervals, mcnemar, unpaired_interval, wilson

SHARES = (1.0, 0.2, 0.05, 0.01)
K = 100
_WARN = 100  # answers below which a score at p is mostly noise


@dataclass(frozen=True)
class Inference:
    """What a model infers of each picture from the part that does not show the object.

    Attributes:
        said: label codes, (N,).
        confidence: negative entropy of the neighbours' labels in nats, (N,): 0 where all agree.
        right: whether the label is that of the picture, (N,).
        top5: whether it is among the five most frequent, (N,).
    """

    said: NDArray[np.int64]
    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    top5: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.said)

    def take(self, rows: NDArray[np.int64]) -> Inference:
        """Return the answers of some pictures."""
        return Inference(self.said[rows], self.confidence[rows], self.right[rows], self.top5[rows])


def infer(
    crops: FloatArray,
    truth: NDArray[np.int64],
    public: FloatArray,
    labels: NDArray[np.int64],
    k: int = K,
    backend: Backend = "torch",
) -> Inference:
    """Infer the label of each picture from its crop.

    Args:
        crops: features of crops, (N, D).
        truth: their pictures' labels, codes (N,).
        public: features of public pictures, (M, D).
        labels: of public pictures, codes (M,).
        k: neighbours; of fewer per class than this the source's rule (50 ≤ k ≤ pictures per class) is broken.
        backend: see `nearest_rows`.

    Raises:
        DatasetError: labels of ``truth`` that no public picture has, collapsed features, or too few public pictures.
    """
    return _said(_near(crops, truth, public, labels, k, backend), truth, labels)


def _near(
    crops: FloatArray,
    truth: NDArray[np.int64],
    public: FloatArray,
    labels: NDArray[np.int64],
    k: int,
    backend: Backend,
) -> Neighbours:
    """Return the neighbours that `infer` asks, or say why they cannot be asked."""
    missing = np.setdiff1d(truth, labels)
    if len(missing):
        raise DatasetError(f"{len(missing)} labels have no public picture, so that nobody could infer them")
    if float(public.std(0).max()) <= 1e-6 * max(1.0, float(np.abs(public).max())):
        raise DatasetError("all public pictures have the same features: the representation has collapsed")
    return nearest_rows(crops, public, k, backend)


def _said(found: Neighbours, truth: NDArray[np.int64], labels: NDArray[np.int64]) -> Inference:
    """Return what the labels of the public pictures say of neighbours among them."""
    return votes(labels[found.rows], found.distances, truth, int(labels.max()) + 1)


def votes(neighbours: NDArray[np.int64], distances: FloatArray, truth: NDArray[np.int64], classes: int) -> Inference:
    """Return what the labels of neighbours say.

    A tie is broken by the summed inverse distances of the tied labels' neighbours.

    Args:
        neighbours: labels of the neighbours, codes (N, K).
        distances: squared, (N, K).
        truth: codes (N,).
        classes: number of labels.
    """
    count, k = neighbours.shape
    said, confidence = np.empty(count, np.int64), np.empty(count)
    top5 = np.empty(count, bool)
    step = max(1, 50_000_000 // max(classes, 1))
    for start in range(0, count, step):
        part = slice(start, start + step)
        near = neighbours[part]
        rows = np.repeat(np.arange(len(near)), k)
        tally = np.zeros((len(near), classes))
        np.add.at(tally, (rows, near.ravel()), 1)
        closeness = np.zeros_like(tally)
        root = np.sqrt(distances[part].astype(np.float64))
        inverse = 1 / np.maximum(root, 1e-6 * max(float(root.mean()), 1e-30))
        np.add.at(closeness, (rows, near.ravel()), inverse.ravel())
        # Below one vote, so that it decides among equals alone.
        score = tally + 0.5 * closeness / np.maximum(closeness.max(1, keepdims=True), 1e-30)
        said[part] = score.argmax(1)
        share = tally / k
        logs = np.log(share, out=np.zeros_like(share), where=share > 0)
        confidence[part] = (share * logs).sum(1)
        best = np.argpartition(-score, min(5, classes) - 1, 1)[:, :5]
        top5[part] = ((best == truth[part, None]) & (np.take_along_axis(tally, best, 1) > 0)).any(1)
    return Inference(said, confidence, said == truth, top5)


def top_accuracy(
    right: NDArray[np.bool_], confidence: NDArray[np.float64], share: float, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the accuracy on the most confident pictures.

    Of pictures that are equally confident at the edge, as many as still fit count by their mean, so that the number
    does not depend on any order.

    Args:
        right: (N,).
        confidence: higher is more confident, (N,).
        share: of the pictures, above 0 up to 1.
        weights: how often each picture is drawn in each of R resamples, (R, N); each picture once without.

    Returns:
        One accuracy per resample, (R,); one in all without weights.
    """
    if not 0 < share <= 1:
        raise ValueError(f"a share above 0 up to 1, not {share}")
    drawn = np.ones((1, len(right))) if weights is None else weights
    order = np.argsort(-confidence, kind="stable")
    starts = np.flatnonzero(np.diff(confidence[order], prepend=np.inf) != 0)
    sorted_weights = drawn[:, order]
    sizes = np.add.reduceat(sorted_weights, starts, 1)
    hits = np.add.reduceat(sorted_weights * right[order], starts, 1)
    wanted = np.maximum(share * sizes.sum(1, keepdims=True), 1.0)
    # Of each group of equals, how much still fits.
    before = np.cumsum(sizes, 1) - sizes
    taken = np.clip(wanted - before, 0, sizes)
    fraction = np.divide(taken, sizes, out=np.zeros_like(taken), where=sizes > 0)
    return np.asarray((hits * fraction).sum(1) / taken.sum(1))


@dataclass(frozen=True)
class Side:
    """Both models on pictures that one of them, the target, was trained on.

    Attributes:
        target, reference: what each infers.
    """

    target: Inference
    reference: Inference

    def __post_init__(self) -> None:
        if len(self.target) != len(self.reference):
            raise DatasetError(f"{len(self.target)} answers of the target, {len(self.reference)} of the reference")


@dataclass(frozen=True)
class ScoreAt:
    """The score on the most confident share of pictures.

    Attributes:
        share: p, above 0 up to 1.
        score, low, high: accuracy of the target minus that of the reference, averaged over both sides.
        target, reference: accuracies, averaged over both sides.
        answers: pictures that count, per side; below 100 the score is mostly noise.
    """

    share: float
    score: float
    low: float
    high: float
    target: float
    reference: float
    answers: int


@dataclass(frozen=True)
class Partition:
    """Shares of all pictures, averaged over both sides; they add up to 1.

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


@dataclass(frozen=True)
class DejaVu:
    """The déjà vu of a pair of models at one layer.

    Attributes:
        scores: at several shares, all of them first: one share alone misleads.
        partition: into four categories.
        top5: score at all pictures where the label needs to be among five.
        pictures, classes: what was asked.
        notes: what weakens the numbers.
    """

    scores: tuple[ScoreAt, ...]
    partition: Partition
    top5: float
    pictures: int
    classes: int
    notes: tuple[str, ...] = ()

    def at(self, share: float) -> ScoreAt:
        """Return the score at a share.

        Raises:
            KeyError: it was not computed there.
        """
        for score in self.scores:
            if abs(score.share - share) < 1e-9:
                return score
        raise KeyError(share)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return asdict(self)


def dejavu(
    sides: Sequence[Side], classes: int, shares: Sequence[float] = SHARES, seed: int = 0, resamples: int = 1000
) -> DejaVu:
    """Return the score, with intervals from resampling pictures, and the partition.

    ``DV_p = ½ [Acc_A(A, p) − Acc_B(A, p)] + ½ [Acc_B(B, p) − Acc_A(B, p)]``; each model answers on its own most
    confident share. ``DV_100`` is memorized minus misrepresented, exactly.

    Args:
        sides: A's pictures with A as target, and B's with B; or one of them.
        classes: number of labels.
        shares: of pictures, as p.
        seed: of resampling.
        resamples: number of them.

    Raises:
        DatasetError: no picture, or a share that leaves none.
    """
    if not sides or min(len(side.target) for side in sides) == 0:
        raise DatasetError("no picture to ask for")
    least = min(len(side.target) for side in sides)
    notes = []
    found = []
    drawn = [_resamples(len(side.target), np.random.default_rng((seed, k)), resamples) for k, side in enumerate(sides)]
    tail = (1 - LEVEL) / 2
    for share in shares:
        if share * least < 1:
            raise DatasetError(f"{100 * share:g} % of {least} pictures is less than one")
        target, reference = (float(np.mean([_top(side, share)[k][0] for side in sides])) for k in (0, 1))
        pairs = [_top(side, share, weights) for side, weights in zip(sides, drawn, strict=True)]
        spread = np.mean([ours - theirs for ours, theirs in pairs], 0)
        answers = round(share * least)
        low, high = _ends(spread, tail, target, reference, answers)
        found.append(ScoreAt(share, target - reference, low, high, target, reference, answers))
        if share * least < _WARN:
            notes.append(f"DV_{100 * share:g} rests on {round(share * least)} answers per side, {_WARN} are wanted")
    return DejaVu(
        tuple(found),
        partition(sides),
        float(np.mean([s.target.top5.mean() - s.reference.top5.mean() for s in sides])),
        sum(len(s.target) for s in sides),
        classes,
        tuple(notes),
    )


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


def _top(
    side: Side, share: float, weights: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the accuracies of target and reference, each on its own most confident share."""
    target, reference = side.target, side.reference
    return (
        top_accuracy(target.right, target.confidence, share, weights),
        top_accuracy(reference.right, reference.confidence, share, weights),
    )


def partition(sides: Sequence[Side]) -> Partition:
    """Return the four categories, averaged over both sides."""
    shares, counts = [], []
    for side in sides:
        a, b = side.target.right, side.reference.right
        masks = (a & ~b, a & b, ~a & b, ~a & ~b)
        shares.append([float(mask.mean()) for mask in masks])
        counts.append([int(mask.sum()) for mask in masks])
    mean = [float(value) for value in np.mean(shares, 0)]
    total = np.sum(counts, 0)
    rows = int(total.sum())
    names = ("memorized", "correlated", "misrepresented", "unassociated")
    intervals = {name: wilson(share * rows, rows) for name, share in zip(names, mean, strict=True)}
    return Partition(mean[0], mean[1], mean[2], mean[3], mcnemar(int(total[2]), int(total[0])), intervals)


def curve(sides: Sequence[Side], points: int = 100) -> list[tuple[float, float, float]]:
    """Return accuracy of target and of reference by share, from 1 % to all: (share, target, reference)."""
    found = []
    for share in np.linspace(0.01, 1, points).tolist():
        pairs = [_top(side, share) for side in sides]
        found.append((share, float(np.mean([a[0] for a, _ in pairs])), float(np.mean([b[0] for _, b in pairs]))))
    return found


def alone(
    target: Inference, held: Inference, truth: NDArray[np.int64], others: NDArray[np.int64], classes: int,
    shares: Sequence[float] = SHARES, seed: int = 0, resamples: int = 1000,
) -> tuple[DejaVu, Side]:  # fmt: skip
    """Score one model: what it infers of pictures it was trained on, beside what it infers of pictures it never saw.

    Both come from one distribution, so that correlation is in both. The intervals resample both sets by themselves.
    For the four categories each picture is paired at random with a held-out one of its class.

    Args:
        target: what it infers of pictures that it was trained on.
        held: of pictures that it never saw.
        truth, others: their labels, codes (N,) and (M,).
        classes: number of labels.
        shares: of pictures, as p.
        seed: of resampling and pairing.
        resamples: number of them.

    Returns:
        The score, and the pairs.

    Raises:
        DatasetError: a class without held-out pictures.
    """
    if len(missing := np.setdiff1d(truth, others)):
        raise DatasetError(f"{len(missing)} labels have no held-out picture to compare with")
    rng = np.random.default_rng(seed)
    match = np.empty(len(truth), np.int64)
    for label in np.unique(truth):
        mine, theirs = np.flatnonzero(truth == label), np.flatnonzero(others == label)
        match[mine] = np.concatenate([rng.permutation(theirs) for _ in range(-(-len(mine) // len(theirs)))])[
            : len(mine)
        ]
    # Held-out pictures count as often as their class does among the others.
    weight = np.bincount(truth, minlength=classes) / np.maximum(np.bincount(others, minlength=classes), 1)
    each: NDArray[np.float64] = np.asarray(weight[others], np.float64)
    drawn = _resamples(len(truth), rng, resamples)
    strangers: NDArray[np.float64] = np.asarray(rng.multinomial(len(others), each / each.sum(), resamples), np.float64)
    tail = (1 - LEVEL) / 2
    scores, notes = [], []
    for share in shares:
        if share * len(truth) < 1:
            raise DatasetError(f"{100 * share:g} % of {len(truth)} pictures is less than one")
        ours = float(top_accuracy(target.right, target.confidence, share)[0])
        other = float(top_accuracy(held.right, held.confidence, share, each[None])[0])
        first = top_accuracy(target.right, target.confidence, share, drawn)
        second = top_accuracy(held.right, held.confidence, share, strangers)
        answers = round(share * min(len(truth), len(others)))
        low, high = _ends(np.subtract(first, second), tail, ours, other, answers)
        scores.append(ScoreAt(share, ours - other, low, high, ours, other, answers))
        if answers < _WARN:
            notes.append(f"DV_{100 * share:g} rests on {answers} answers, {_WARN} are wanted")
    side = Side(target, held.take(match))
    top5 = float(target.top5.mean() - np.average(held.top5, weights=each))
    return DejaVu(tuple(scores), partition([side]), top5, len(truth), classes, tuple(notes)), side


@dataclass(frozen=True)
class Controls:
    """What must be near zero, or chance, if the score means what it says.

    Attributes:
        held_out: score on pictures that neither model saw, with its interval; another value measures that the two
            models are unequally good. ``None`` without such pictures.
        shuffled, chance: accuracy of the target when the public labels are shuffled, and what chance gives.
        swapped: score with A and B exchanged together with their pictures: the same number.
    """

    held_out: ScoreAt | None
    shuffled: float
    chance: float
    swapped: float


@dataclass(frozen=True)
class Representations:
    """Features of one model for all that the protocol asks for; one row each.

    Attributes:
        crops: of A's pictures, of B's, and, where there are any, of pictures that neither saw.
        public: of public pictures.
    """

    crops: Mapping[str, FloatArray]
    public: FloatArray


def attack(
    first: Representations,
    second: Representations,
    truth: Mapping[str, NDArray[np.int64]],
    labels: NDArray[np.int64],
    k: int = K,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    backend: Backend = "torch",
) -> tuple[DejaVu, Controls, dict[str, Side]]:
    """Run the whole protocol on the features of two models.

    Args:
        first, second: of the model that saw A, and of the one that saw B.
        truth: labels of the crops ``A`` and ``B``, and of ``held out`` where there are any; codes.
        labels: of the public pictures.
        k: neighbours; lowered to the pictures of the rarest label where there are fewer.
        shares: as p.
        seed: of resampling and shuffling.
        backend: see `nearest_rows`.

    Returns:
        The score, the controls, and the answers by set.

    Raises:
        DatasetError: see `infer` and `dejavu`.
    """
    k, notes = _fitting(k, labels)
    near = {
        name: [_near(model.crops[name], mine, model.public, labels, k, backend) for model in (first, second)]
        for name, mine in truth.items()
    }
    answers = {name: [_said(found, truth[name], labels) for found in both] for name, both in near.items()}
    sides = {"A": Side(*answers["A"]), "B": Side(*answers["B"][::-1])}
    classes = int(labels.max()) + 1
    found = dejavu([sides["A"], sides["B"]], classes, shares, seed)
    held = None
    if "held out" in answers:
        sides["held out"] = Side(*answers["held out"])
        held = dejavu([sides["held out"]], classes, (1.0,), seed).at(1.0)
    controls = Controls(
        held,
        *_by_chance(near["A"][0], truth["A"], labels, seed),
        dejavu([sides["B"], sides["A"]], classes, (1.0,), seed, resamples=1).at(1.0).score,
    )
    return replace(found, notes=(*notes, *found.notes)), controls, sides


def solo(
    model: Representations,
    truth: Mapping[str, NDArray[np.int64]],
    labels: NDArray[np.int64],
    k: int = K,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    backend: Backend = "torch",
    behind: Mapping[str, Inference] | None = None,
) -> tuple[DejaVu, Controls, dict[str, Side]]:
    """Run the protocol on one model.

    Args:
        model: that saw A.
        truth: labels of the crops ``A``, and of ``B`` and ``held out``, which it did not see; codes.
        labels: of the public pictures.
        k, shares, seed, backend: as in `attack`.
        behind: what a classifier of backgrounds infers of each set. Without it the reference is the model itself on
            the pictures that it did not see.

    Returns:
        The score, the controls, and the answers on A and on the others.

    Raises:
        DatasetError: nothing that the model did not see; see also `infer` and `alone`.
    """
    k, notes = _fitting(k, labels)
    near = {name: _near(model.crops[name], mine, model.public, labels, k, backend) for name, mine in truth.items()}
    answers = {name: _said(found, truth[name], labels) for name, found in near.items()}
    unseen = [name for name in truth if name != "A"]
    if not unseen:
        raise DatasetError("a model alone needs pictures that it did not see: those of B, or held-out ones")
    classes = int(labels.max()) + 1
    others = np.concatenate([truth[name] for name in unseen])
    held = joined([answers[name] for name in unseen])
    control: ScoreAt | None = None
    if behind is None:
        found, side = alone(answers["A"], held, truth["A"], others, classes, shares, seed)
        if len(unseen) > 1:  # both unseen: the difference must be chance
            control = alone(answers["held out"], answers["B"], truth["held out"], truth["B"], classes, (1.0,), seed)[
                0
            ].at(1.0)
        sides = {"A": side, "held out": Side(held, held)}
    else:
        side = Side(answers["A"], behind["A"])
        rest = Side(held, joined([behind[name] for name in unseen]))
        found = dejavu([side], classes, shares, seed)
        control = dejavu([rest], classes, (1.0,), seed).at(1.0)
        sides = {"A": side, "held out": rest}
    controls = Controls(control, *_by_chance(near["A"], truth["A"], labels, seed), found.at(1.0).score)
    return replace(found, notes=(*notes, *found.notes)), controls, sides


def _by_chance(near: Neighbours, truth: NDArray[np.int64], labels: NDArray[np.int64], seed: int) -> tuple[float, float]:
    """Return how often neighbours are right when the public labels are shuffled, and how often chance is."""
    blind = _said(near, truth, np.random.default_rng(seed).permutation(labels))
    share = np.bincount(labels) / len(labels)
    return float(blind.right.mean()), float(share[truth].mean())


def joined(parts: Sequence[Inference]) -> Inference:
    """Return the answers of several sets one after another."""
    names = ("said", "confidence", "right", "top5")
    return Inference(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _fitting(k: int, labels: NDArray[np.int64]) -> tuple[int, list[str]]:
    """Return how many neighbours can be asked, and what is to be said of that."""
    most = int(np.bincount(labels)[np.unique(labels)].min())
    if k > most:
        return most, [f"k is {most} instead of {k}: the rarest label has no more public pictures"]
    return k, [f"k is {k}; the source holds it steady for 50 and above"] if k < 50 else []


def selections(side: Side, count: int = 10) -> dict[str, NDArray[np.int64]]:
    """Return the pictures that are most memorized, and those that are most correlated, as places in the set.

    Memorized ones by how much more confident the target is than the reference; correlated ones by the less confident
    of the two.
    """
    a, b = side.target, side.reference
    memorized = np.flatnonzero(a.right & ~b.right)
    correlated = np.flatnonzero(a.right & b.right)
    gain = a.confidence - b.confidence
    both = np.minimum(a.confidence, b.confidence)
    return {
        "memorized": memorized[np.argsort(-gain[memorized], kind="stable")][:count],
        "correlated": correlated[np.argsort(-both[correlated], kind="stable")][:count],
    }


def by_class(sides: Sequence[Side], truth: Sequence[NDArray[np.int64]], classes: int) -> list[dict[str, float]]:
    """Return accuracy of target and reference, and their gap, by label, both sides together."""
    rows = []
    intervals = Intervals()
    every = np.concatenate(list(truth))
    ours, theirs = (np.concatenate([getattr(s, which).right for s in sides]) for which in ("target", "reference"))
    for label in range(classes):
        a, b = ours[every == label].astype(float), theirs[every == label].astype(float)
        if not len(a):
            continue
        interval: Interval = intervals.of_mean(a, None)
        rows.append(
            {
                "label": label, "pictures": len(a), "target": float(a.mean()), "low": interval.low,
                "high": interval.high, "reference": float(b.mean()), "gap": float(a.mean() - b.mean()),
            }
        )  # fmt: skip
    return rows
