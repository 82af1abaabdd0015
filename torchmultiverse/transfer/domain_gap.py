"""What a domain that was not seen in training costs a probe of the content.

The same test pictures are asked twice: by a probe that never saw their domain (or their combination of content and
domain), and by one that learned from as many pictures of all of them. A domain in which everything is harder costs both
alike, so the difference is what not having seen it costs. Beside it the measure of the source: the accuracy of one and
the same probe on domains that it was trained on minus that on others, in which harder domains count too.

Source: N. Kalibhat, arXiv 2309.03999, sections 2.3 and 2.4 (top-1 on training and on unseen domains).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import FactorTarget, ProbeData, Split, probe_of
from torchmultiverse.documents import Record
from torchmultiverse.errors import DatasetError
from torchmultiverse.stats import LEVEL, Intervals, contrast, paired_interval
from torchmultiverse.transfer.domain_design import in_turn
from torchmultiverse.transfer.erasure import erase

Floats = NDArray[np.float32]
_FEW_PICTURES, _FEW_GROUPS, _TURNS = 300, 20, 3


class Gap(Record):
    """What not having seen costs.

    Attributes:
        seen, seen_low, seen_high: accuracy on the test pictures of a probe that saw their domain, with its interval.
        unseen, unseen_low, unseen_high: that of probes that did not, on the same pictures.
        gap, low, high: seen minus unseen, paired; −1 and 1 where there are too few groups.
        p: of no gap.
        groups: independent groups of test pictures.
        trained, trained_gap, trained_low, trained_high: accuracy of the probes that did not see these on the domains
            that they did see, and by how much it is above ``unseen``: the measure of the source.
        chance: of always giving the most frequent answer.
        train, test: pictures.
        folds: times that something was held out.
        left_out: test pictures that were not asked, since training had nothing of their content.
    """

    seen: float
    seen_low: float
    seen_high: float
    unseen: float
    unseen_low: float
    unseen_high: float
    gap: float
    low: float
    high: float
    p: float
    groups: int
    trained: float
    trained_gap: float
    trained_low: float
    trained_high: float
    chance: float
    train: int
    test: int
    folds: int
    left_out: int


@dataclass(frozen=True)
class HeldOutcomes:
    """Which test pictures were named rightly.

    Attributes:
        rows: of the pictures that were asked, (M,).
        seen, unseen: outcomes with and without their domain in training, 0 or 1, (M,).
        other_rows, other: of the probes without it on pictures of what they were trained on, (K,).
        train: pictures that each probe learned from.
        folds: probes that did not see something.
        left_out: pictures that could not be asked.
    """

    rows: NDArray[np.int64]
    seen: NDArray[np.float64]
    unseen: NDArray[np.float64]
    other_rows: NDArray[np.int64]
    other: NDArray[np.float64]
    train: int
    folds: int
    left_out: int


def predict(
    vectors: Floats,
    codes: NDArray[np.int64],
    classes: int,
    rows: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    probe: str,
    seed: tuple[int, ...],
    erased: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Return what a probe says of some pictures, codes (T,).

    Args:
        vectors: of all pictures, (N, D).
        codes: what is to be told, (N,).
        classes: how many answers there are.
        rows: it learns from, is chosen by, and is asked about.
        probe: of `torchmultiverse.analyze.PROBES`.
        seed: of what it draws.
        erased: domain that is erased first, by what it learns from; codes (N,).
    """
    train, chosen, asked = rows
    if erased is not None:
        vectors = erase(vectors, erased, train)
    chosen = chosen if len(chosen) else train
    data = ProbeData(vectors[train], vectors[chosen], vectors[asked], codes[train], codes[chosen], classes)
    return np.asarray(probe_of(probe)(data, np.random.default_rng(seed)).prediction, np.int64)


def drawn(rows: NDArray[np.int64], codes: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return so many of some rows, drawn at random, one of each level among them at least."""
    order = rng.permutation(rows)
    first = np.unique(codes[order], return_index=True)[1]
    rest = np.setdiff1d(np.arange(len(order)), first)
    return np.sort(order[np.concatenate([first, rest])[: max(count, len(first))]])


def held_outcomes(
    vectors: Floats,
    target: FactorTarget,
    parts: Split,
    held: NDArray[np.int64],
    domain: NDArray[np.int64] | None = None,
    probe: str = "logistic",
    seed: int = 0,
    erased: NDArray[np.int64] | None = None,
) -> HeldOutcomes:
    """Ask every test picture that is held out once by a probe that saw the like of it, and once by one that did not.

    Args:
        vectors: (N, D).
        target: the content.
        parts: train, validation and test.
        held: fold in which each picture is held out, −1 for never, (N,).
        domain: codes, (N,), where every domain must be left in training, as of combinations; ``None`` where not.
        probe, seed: of the probes.
        erased: domain that is erased before, codes (N,).

    Raises:
        DatasetError: no test picture can be asked.
    """
    folds = [int(fold) for fold in np.unique(held) if fold >= 0]
    codes, classes = target.codes, len(target.levels)
    trains = {fold: parts.train[held[parts.train] != fold] for fold in folds}
    count = min(len(rows) for rows in trains.values())
    rng = np.random.default_rng((seed, 1))
    every = drawn(parts.train, codes, count, rng)
    with_all = predict(vectors, codes, classes, (every, parts.validation, parts.test), probe, (seed, 2), erased)
    right = (with_all == codes[parts.test]).astype(np.float64)
    asked, seen, unseen, other_rows, other = [], [], [], [], []
    left_out = 0
    for fold in folds:
        train = drawn(trains[fold], codes, count, rng)
        valid = parts.validation[held[parts.validation] != fold]
        said = predict(vectors, codes, classes, (train, valid, parts.test), probe, (seed, 3 + fold), erased)
        outcome = (said == codes[parts.test]).astype(np.float64)
        out = held[parts.test] == fold
        known = np.isin(codes[parts.test], codes[train])
        if domain is not None:
            known &= np.isin(domain[parts.test], domain[train])
        left_out += int((out & ~known).sum())
        asked.append(parts.test[out & known])
        seen.append(right[out & known])
        unseen.append(outcome[out & known])
        other_rows.append(parts.test[~out & known])
        other.append(outcome[~out & known])
    if not sum(map(len, asked)):
        raise DatasetError(f"no test picture of '{target.factor}' can be asked: training has nothing of its content")
    return HeldOutcomes(
        np.concatenate(asked), np.concatenate(seen), np.concatenate(unseen), np.concatenate(other_rows),
        np.concatenate(other), count, len(folds), left_out,
    )  # fmt: skip


def held_outcomes_in_turn(
    vectors: Floats,
    target: FactorTarget,
    parts: Split,
    held: NDArray[np.int64],
    domain: NDArray[np.int64] | None = None,
    probe: str = "logistic",
    seed: int = 0,
    erased: NDArray[np.int64] | None = None,
) -> HeldOutcomes:
    """Return outcomes as `held_outcomes`; where few pictures or groups would be asked, of all of them, in three turns.

    Args:
        vectors, target, parts, held, domain, probe, seed, erased: as there.

    Raises:
        DatasetError: no picture can be asked.
    """
    asked = parts.test[held[parts.test] >= 0]
    few = len(asked) < _FEW_PICTURES or (bool(parts.by) and len(np.unique(parts.groups[asked])) < _FEW_GROUPS)
    if not few:
        return held_outcomes(vectors, target, parts, held, domain, probe, seed, erased)
    found: list[HeldOutcomes] = []
    for one in in_turn(parts, np.random.default_rng((seed, 4)), _TURNS):
        try:
            found.append(held_outcomes(vectors, target, one, held, domain, probe, seed, erased))
        except DatasetError:  # nothing in this turn
            continue
    if not found:
        raise DatasetError(f"no test picture of '{target.factor}' can be asked: training has nothing of its content")
    joined = {
        name: np.concatenate([getattr(one, name) for one in found])
        for name in ("rows", "seen", "unseen", "other_rows", "other")
    }
    return HeldOutcomes(
        **joined, train=min(one.train for one in found), folds=max(one.folds for one in found),
        left_out=sum(one.left_out for one in found),
    )  # fmt: skip


def gap_of(
    found: HeldOutcomes, codes: NDArray[np.int64], groups: NDArray[np.int64], intervals: Intervals | None = None
) -> Gap:
    """Return accuracies with and without, and their difference, with intervals over groups.

    Args:
        found: outcomes.
        codes: of the content, (N,).
        groups: pictures of one are not independent, (N,).
        intervals: level and seed.
    """
    from scipy.stats import t

    intervals = intervals or Intervals()
    mine = np.unique(groups[found.rows], return_inverse=True)[1]
    (seen_low, seen_high, _), (low, high, _) = intervals.of_means([(found.seen, mine), (found.unseen, mine)])
    gap = paired_interval(found.seen - found.unseen, mine, intervals.level)
    trained, apart = float("nan"), (float("nan"),) * 3
    if len(found.other):
        values = np.concatenate([found.other, found.unseen])
        inside = np.arange(len(values)) < len(found.other)
        both = np.unique(groups[np.concatenate([found.other_rows, found.rows])], return_inverse=True)[1]
        between = contrast(values, inside, ~inside, both)
        half = between.error * float(t.isf((1 - LEVEL) / 2, max(1, between.clusters - 1)))
        ends = (max(-1.0, between.difference - half), min(1.0, between.difference + half))
        trained, apart = float(found.other.mean()), (between.difference, *ends)
    answers = codes[found.rows]
    return Gap(
        seen=float(found.seen.mean()), seen_low=seen_low, seen_high=seen_high,
        unseen=float(found.unseen.mean()), unseen_low=low, unseen_high=high,
        gap=gap.mean, low=gap.low, high=gap.high, p=gap.p, groups=gap.clusters,
        trained=trained, trained_gap=apart[0], trained_low=apart[1], trained_high=apart[2],
        chance=float(np.bincount(answers).max() / len(answers)), train=found.train, test=len(answers),
        folds=found.folds, left_out=found.left_out,
    )  # fmt: skip
