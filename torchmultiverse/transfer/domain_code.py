"""How well the domain itself is told from a representation, beside what a probe of shuffled labels tells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import FactorTarget, Split
from torchmultiverse.documents import Record
from torchmultiverse.stats import Intervals, paired_interval
from torchmultiverse.transfer.domain_design import in_turn
from torchmultiverse.transfer.domain_gap import Floats, predict

_ENOUGH = 20
"""Groups of test pictures below which all groups are tested, in turn: an interval over three says nothing."""


class DomainCode(Record):
    """What a probe tells of a factor.

    Attributes:
        score, low, high: accuracy on the test pictures, with its interval.
        shuffled, shuffled_low, shuffled_high: the same of labels that were shuffled before: what a probe tells of
            nothing.
        chance: of always giving the most frequent answer.
        p: of telling no more than chance.
        levels, train, test, groups: of the factor, of pictures, and independent groups of test pictures.
    """

    score: float
    low: float
    high: float
    shuffled: float
    shuffled_low: float
    shuffled_high: float
    chance: float
    p: float
    levels: int
    train: int
    test: int
    groups: int


def domain_code(
    vectors: Floats,
    target: FactorTarget,
    parts: Split,
    groups: NDArray[np.int64],
    intervals: Intervals | None = None,
    probe: str = "logistic",
    seed: int = 0,
    erased: bool = False,
) -> DomainCode:
    """Return how well a factor is told.

    Args:
        vectors: (N, D).
        target: the factor.
        parts: train, validation and test.
        groups: pictures of one are not independent, (N,).
        intervals: level and seed.
        probe, seed: of the probes, and of the shuffling.
        erased: whether the factor is erased before.
    """
    intervals = intervals or Intervals()
    classes = len(target.levels)
    few = bool(parts.by) and len(np.unique(groups[parts.test])) < _ENOUGH
    divided = in_turn(parts, np.random.default_rng((seed, 13))) if few else [parts]
    rounds = [(one.train, one.validation, one.test) for one in divided]
    test = np.concatenate([rows[2] for rows in rounds])
    mine = np.unique(groups[test], return_inverse=True)[1]
    away = target.codes if erased else None
    shuffled = np.random.default_rng((seed, 11)).permutation(target.codes)
    right, none = (
        np.concatenate(
            [predict(vectors, codes, classes, rows, probe, (seed, 12), away) == codes[rows[2]] for rows in rounds]
        ).astype(np.float64)
        for codes in (target.codes, shuffled)
    )
    answers = target.codes[test]
    counts = np.bincount(answers)
    constant = (answers == int(counts.argmax())).astype(np.float64)
    (low, high, _), (none_low, none_high, _) = intervals.of_means([(right, mine), (none, mine)])
    above = paired_interval(right - constant, mine, intervals.level)
    return DomainCode(
        score=float(right.mean()), low=low, high=high, shuffled=float(none.mean()), shuffled_low=none_low,
        shuffled_high=none_high, chance=float(counts.max() / len(answers)),
        p=above.p if above.mean > 0 else 1.0, levels=classes, train=len(rounds[0][0]), test=len(test),
        groups=above.clusters,
    )  # fmt: skip
