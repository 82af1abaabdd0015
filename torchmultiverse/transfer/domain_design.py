"""What a question about domains is asked of: levels of a domain, parts of the pictures, what is held out in turn."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import FactorTarget, Split, factor_target, split
from torchmultiverse.errors import QuestionError

FRACTIONS = (0.5, 0.15, 0.35)
"""Of pictures a probe learns from, is chosen by, and is tested on: what is held out is tested, so that is large."""
FOLDS = 4
"""Times at most that levels or combinations are held out, a part of them each time."""
BINS = 4
"""Levels that a column of many numbers is cut into, as many pictures in each."""
_LEAST = 10  # levels of the content from which intervals are taken over them


def domain_target(columns: Mapping[str, NDArray[Any]], factor: str) -> FactorTarget:
    """Return the levels of any column; many numbers are cut into `BINS` ranges with as many pictures in each.

    Args:
        columns: (N,) each.
        factor: one of them.

    Raises:
        DatasetError: no such column, or one level only.
    """
    target = factor_target(columns, factor)
    if target.numbers is not None:
        values = columns[factor].astype(np.float64)
        ends = np.quantile(values, np.arange(1, BINS) / BINS)
        codes = np.searchsorted(ends, values, side="left").astype(np.int64)
        bounds = [values.min(), *ends, values.max()]
        names = tuple(f"{low:.4g} to {high:.4g}" for low, high in pairwise(bounds))
        used, codes = np.unique(codes, return_inverse=True)
        target = FactorTarget(factor, codes.astype(np.int64), tuple(names[k] for k in used))
    if len(target.levels) < 2:
        raise QuestionError(f"'{factor}' is the same in all pictures: a domain has two levels at least")
    return target


def says(one: NDArray[np.int64], two: NDArray[np.int64]) -> bool:
    """Whether each level of one column stands with a single level of another, (N,) each.

    >>> says(np.array([0, 1, 2, 2]), np.array([0, 0, 1, 1])), says(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2]))
    (True, False)
    """
    return len(np.unique(np.stack([one, two], 1), axis=0)) == len(np.unique(one))


def content_parts(
    columns: Mapping[str, NDArray[Any]],
    target: FactorTarget,
    apart: NDArray[np.int64] | None,
    rng: np.random.Generator,
    by: str = "auto",
) -> Split:
    """Divide pictures for a probe of a target, whole groups at a time, but never by the domain that is asked about.

    Args:
        columns: (N,) each.
        target: what the probe is to tell.
        apart: codes of the domain, (N,): no column that says it groups by itself.
        rng: draws the groups.
        by: column that groups, ``auto`` or ``rows``.

    Raises:
        DatasetError: see `torchmultiverse.analyze.split`.
    """
    if by != "auto" or apart is None:
        return split(columns, target, rng, by, FRACTIONS)
    allowed = {
        name: values
        for name, values in columns.items()
        if not says(apart, np.unique(values.astype(str), return_inverse=True)[1].astype(np.int64))
    }
    return split(allowed or columns, target, rng, by if allowed else "rows", FRACTIONS)


def in_turn(parts: Split, rng: np.random.Generator, folds: int = FOLDS) -> list[Split]:
    """Return parts by which every picture is tested once, whole groups at a time.

    Args:
        parts: whose groups; those of single pictures where there are none.
        rng: draws the folds.
        folds: how many, at most as many as there are groups.
    """
    count = int(parts.groups.max()) + 1
    fold = (rng.permutation(count) % min(folds, count))[parts.groups]
    found = []
    for number in range(int(fold.max()) + 1):
        rest = np.flatnonzero(fold != number)
        some = rng.permutation(np.unique(parts.groups[rest]))[: max(1, count // 6)]
        chosen = np.isin(parts.groups[rest], some)
        test = np.flatnonzero(fold == number)
        found.append(Split(rest[~chosen], rest[chosen], test, parts.groups, parts.by))
    return found


def interval_groups(parts: Split, target: FactorTarget, by: str) -> tuple[NDArray[np.int64], str]:
    """Return which pictures are not independent, (N,), and what that is called.

    The groups of the parts; where there are none, the levels of the content if there are ten: each is one animal or
    object, and its pictures are right and wrong together.
    """
    if parts.by:
        return parts.groups, parts.by
    if by != "rows" and len(target.levels) >= _LEAST:
        return target.codes, target.factor
    return np.arange(len(parts.groups)), "picture"


def hold_out_levels(codes: NDArray[np.int64], rng: np.random.Generator, folds: int = FOLDS) -> NDArray[np.int64]:
    """Return in which fold each picture's level is held out, (N,): each level once, in folds of as many levels.

    Args:
        codes: of the domain, (N,).
        rng: draws the folds.
        folds: at most; as many as there are levels, if they are fewer.
    """
    levels = int(codes.max()) + 1
    return (rng.permutation(levels) % min(folds, levels)).astype(np.int64)[codes]


def hold_out_cells(
    content: NDArray[np.int64], domain: NDArray[np.int64], rng: np.random.Generator, folds: int = FOLDS
) -> NDArray[np.int64]:
    """Return in which fold each picture's combination is held out, (N,): each combination once, as in a Latin square.

    Where all combinations are there, every content and every domain keeps some of its combinations in every fold.

    Args:
        content, domain: codes, (N,).
        rng: draws which.
        folds: how many.
    """
    one, two = rng.permutation(int(content.max()) + 1), rng.permutation(int(domain.max()) + 1)
    return ((one[content] + two[domain]) % folds).astype(np.int64)


def held_rows(passing: NDArray[np.bool_], content: FactorTarget, domain: FactorTarget) -> tuple[NDArray[np.int64], str]:
    """Return the fold of the pictures that a filter holds out, 0 or −1, (N,), and what they are.

    They are ``domains`` where none of their domains is left, ``combinations`` where all of their domains are, else
    ``pictures``.

    Args:
        passing: whether each picture passes the filter, (N,).
        content, domain: targets.

    Raises:
        DatasetError: nothing passes, nothing is left, or some content is not left.
    """
    if not passing.any() or passing.all():
        told = "no picture passes" if not passing.any() else "all pictures pass"
        raise QuestionError(f"--unseen: {told}; the filter names what a probe is not to be trained on")
    left = set(content.codes[~passing].tolist())
    if gone := [content.levels[k] for k in np.unique(content.codes[passing]) if k not in left]:
        raise QuestionError(
            f"--unseen: every picture of {content.factor} '{gone[0]}' passes ({len(gone)} levels in all), so nothing "
            f"is left to learn it from; a filter of {domain.factor}, or of a part of both, is right"
        )
    mine, rest = set(domain.codes[passing].tolist()), set(domain.codes[~passing].tolist())
    kind = "domains" if not mine & rest else "combinations" if mine <= rest else "pictures"
    return np.where(passing, 0, -1).astype(np.int64), kind
