"""Which value of a factor, or which two of them, each unit detects.

A unit detects an expression as well as its activation ranks the pictures of the expression above the others: the area
under the receiver operating characteristic (AUROC). With ranks that are centred and divided by the number of pictures
N, r in (-1/2, 1/2), the area of n pictures with the sum S of their ranks is

    AUROC = 1/2 + S · N / (n (N − n)).

Sums of unions and differences follow from those of the parts and of their intersection, so that ``or`` and ``and not``
cost no further pass over the pictures.

Source: the area as a rank statistic, J. Hanley and B. McNeil, *The meaning and use of the area under a receiver
operating characteristic curve*, Radiology 1982; logical forms of concepts, J. Mu and J. Andreas, *Compositional
explanations of neurons*, NeurIPS 2020; false discovery, Y. Benjamini and Y. Hochberg, JRSS B 1995.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError

Operator = Literal["", "and", "or", "and not"]
Floats = NDArray[np.float32]
Advance = Callable[[int], None]
LEAST = 10
"""Pictures that an expression, and its contrary, have at least."""
BEST = 20
"""Expressions of each unit whose overlap is measured."""
CONTROL_UNITS = 64
"""Units whose activations are exchanged over pictures, at most."""
_BLOCK = 256
"""Units that are ranked, and paired, at a time."""


@dataclass(frozen=True)
class Expression:
    """A value of a factor, or two of them.

    Attributes:
        first: factor and value.
        operator: between them; "" where there is one alone.
        second: factor and value; ``None`` where there is one alone.

    >>> str(Expression(("colour", "red"), "and", ("object", "mug")))
    'colour=red and object=mug'
    """

    first: tuple[str, str]
    operator: Operator = ""
    second: tuple[str, str] | None = None

    def __str__(self) -> str:
        first = "=".join(self.first)
        return first if self.second is None else f"{first} {self.operator} {'='.join(self.second)}"


class Concepts:
    """The values of several factors, of which each picture has one of each.

    Args:
        factors: codes 0 to V − 1 of each picture, (N,), and the V names of the values, by factor.

    Raises:
        DatasetError: no factors, or codes of another length or range.

    Example:
        >>> concepts = Concepts({"colour": (np.array([0, 1, 1]), ("red", "blue"))})
        >>> concepts.images, concepts.values
        (3, (('colour', 'red'), ('colour', 'blue')))
    """

    def __init__(self, factors: Mapping[str, tuple[NDArray[Any], Sequence[str]]]) -> None:
        if not factors:
            raise DatasetError("no factor has values that units could detect; at least one is needed")
        self.codes = {name: np.asarray(codes, np.int64) for name, (codes, _) in factors.items()}
        self.names = {name: tuple(values) for name, (_, values) in factors.items()}
        self.images = len(next(iter(self.codes.values())))
        for name, codes in self.codes.items():
            if codes.shape != (self.images,):
                raise DatasetError(f"{name}: codes of shape {codes.shape}; ({self.images},) is right")
            if len(codes) and not (codes.min() >= 0 and codes.max() < len(self.names[name])):
                raise DatasetError(f"{name}: codes outside 0 to {len(self.names[name]) - 1}")

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        """Factor and value of each single expression, in their order."""
        return tuple((name, value) for name, values in self.names.items() for value in values)

    def some(self, rows: NDArray[np.int64]) -> Concepts:
        """Return the concepts of some of the pictures."""
        return Concepts({name: (codes[rows], self.names[name]) for name, codes in self.codes.items()})

    def members(self, expression: Expression) -> NDArray[np.bool_]:
        """Return which pictures an expression names, (N,)."""
        first = self._has(expression.first)
        if expression.second is None:
            return first
        second = self._has(expression.second)
        if expression.operator == "or":
            return first | second
        return first & (second if expression.operator == "and" else ~second)

    def _has(self, value: tuple[str, str]) -> NDArray[np.bool_]:
        return np.asarray(self.codes[value[0]] == self.names[value[0]].index(value[1]))


@dataclass(frozen=True)
class UnitDetections:
    """The best expressions of one unit, the first first.

    Attributes:
        unit: its place among the features.
        expressions: at most `BEST`, each of other pictures; in the plainest words, so that of a factor with two values
            A and B none says "and not A", but "and B".
        areas: AUROC of each.
        overlaps: intersection over union of each with the unit's most active pictures, as many as it has itself.
        images: pictures of each.
        single: its best single value; ``None`` where none has enough pictures.
        p: of the best area among those of units whose activations were exchanged over pictures.
        q: false-discovery rate at which it would just be called a detector.
    """

    unit: int
    expressions: tuple[Expression, ...]
    areas: tuple[float, ...]
    overlaps: tuple[float, ...]
    images: tuple[int, ...]
    single: Expression | None
    p: float
    q: float


def centred_ranks(features: NDArray[Any]) -> Floats:
    """Return the rank of each picture by each unit, ties in the middle, centred and divided by N.

    Args:
        features: (N, U).

    Returns:
        float32 (N, U), within ±1/2; each column sums to 0.
    """
    images = len(features)
    ranks = np.empty((features.shape[1], images), np.float32)

    def rank(start: int) -> None:
        block = np.ascontiguousarray(np.asarray(features[:, start : start + _BLOCK], np.float32).T)
        for unit, values in enumerate(block, start):
            order = np.argsort(values)
            ordered = values[order]
            starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
            sizes = np.diff(starts, append=images)
            middle = ((starts + (sizes - 1) / 2 - (images - 1) / 2) / images).astype(np.float32)
            ranks[unit, order] = np.repeat(middle, sizes)

    with ThreadPoolExecutor(_workers()) as pool:
        list(pool.map(rank, range(0, features.shape[1], _BLOCK)))
    return np.ascontiguousarray(ranks.T)


def _workers() -> int:
    return max(1, len(os.sched_getaffinity(0)))


def _sums(codes: NDArray[np.int64], count: int, ranks: Floats) -> Floats:
    """Return the sums of ranks of each code, float32 (count, U)."""
    from scipy.sparse import csr_array

    order = np.argsort(codes, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=count))])
    members = csr_array((np.ones(len(codes), np.float32), order, ends), (count, len(codes)))
    return np.asarray(members @ ranks, np.float32)


def _weights(counts: NDArray[np.int64], images: int, least: int) -> Floats:
    """Return what sums are multiplied by to become areas less 1/2; NaN where too few pictures are in or out."""
    counts = counts.astype(np.float64)
    inside, outside = np.maximum(counts, 1), np.maximum(images - counts, 1)
    enough = (counts >= least) & (images - counts >= least)
    return np.where(enough, images / (inside * outside), np.nan).astype(np.float32)


def single_areas(ranks: Floats, concepts: Concepts, least: int = LEAST) -> Floats:
    """Return the AUROC of every unit for every value.

    Args:
        ranks: of `centred_ranks`, (N, U).
        concepts: V values in all.
        least: pictures that a value, and all others, have at least.

    Returns:
        float32 (V, U); NaN where there are too few pictures.
    """
    found = []
    for name, codes in concepts.codes.items():
        count = len(concepts.names[name])
        weights = _weights(np.bincount(codes, minlength=count), concepts.images, least)
        found.append(0.5 + _sums(codes, count, ranks) * weights[:, None])
    return np.concatenate(found)


class _Best:
    """The best expressions of each unit so far, by number."""

    def __init__(self, units: int, keep: int) -> None:
        self.areas = np.full((keep, units), -np.inf, np.float32)
        self.numbers = np.full((keep, units), -1, np.int64)

    def add(self, areas: Floats, numbers: NDArray[np.int64]) -> None:
        """Take what is better than the last that is kept: areas less 1/2 (E, U), and numbers of the E expressions."""
        rows, units = np.nonzero(areas > self.areas[-1])
        if not len(rows):
            return
        values = areas[rows, units]
        order = np.lexsort((-values, units))
        rows, units, values = rows[order], units[order], values[order]
        starts = np.searchsorted(units, np.unique(units))
        place = np.arange(len(units)) - np.repeat(starts, np.diff([*starts, len(units)]))
        few = place < len(self.areas)
        rows, units, values, place = rows[few], units[few], values[few], place[few]
        touched = np.unique(units)
        column = np.searchsorted(touched, units)
        fresh = np.full((len(self.areas), len(touched)), -np.inf, np.float32)
        fresh_numbers = np.full(fresh.shape, -1, np.int64)
        fresh[place, column] = values
        fresh_numbers[place, column] = numbers[rows]
        both = np.concatenate([self.areas[:, touched], fresh])
        both_numbers = np.concatenate([self.numbers[:, touched], fresh_numbers])
        order = np.argsort(-both, 0, kind="stable")[: len(self.areas)]
        self.areas[:, touched] = np.take_along_axis(both, order, 0)
        self.numbers[:, touched] = np.take_along_axis(both_numbers, order, 0)


@dataclass(frozen=True)
class _Pairs:
    """Expressions of two factors' values, for all units.

    Attributes:
        first, second: factors.
        counts: pictures that have both values, (V1, V2).
        start: number of the first expression; then come V1 · V2 of each operator.
    """

    first: str
    second: str
    counts: NDArray[np.int64]
    start: int


_FORM_ORDER: tuple[Operator, ...] = ("", "and", "or", "and not")
"""The plainest wording first."""
_FORMS: tuple[tuple[Operator, bool], ...] = (("and", False), ("or", False), ("and not", False), ("and not", True))
"""Operators of a pair, and whether its values change places."""


class _Search:
    """All expressions over concepts, numbered: single values, two values of one factor, values of two factors."""

    def __init__(self, concepts: Concepts, pairs: bool, least: int) -> None:
        self.concepts, self.least = concepts, least
        self.counts = {n: np.bincount(c, minlength=len(concepts.names[n])) for n, c in concepts.codes.items()}
        start = len(concepts.values)
        self.within: list[tuple[str, NDArray[np.int64], NDArray[np.int64], int]] = []
        self.across: list[_Pairs] = []
        for name, values in concepts.names.items() if pairs else ():
            a, b = np.triu_indices(len(values), 1)
            self.within.append((name, a, b, start))
            start += len(a)
        for first, second in combinations(concepts.names, 2) if pairs else ():
            shape = len(concepts.names[first]), len(concepts.names[second])
            joint = np.ravel_multi_index((concepts.codes[first], concepts.codes[second]), shape)
            counts = np.bincount(joint, minlength=shape[0] * shape[1]).reshape(shape)
            self.across.append(_Pairs(first, second, counts, start))
            start += len(_FORMS) * counts.size
        self.expressions = start

    def expression(self, number: int) -> Expression:
        """Return the expression of a number."""
        values, names = self.concepts.values, self.concepts.names
        if number < len(values):
            return Expression(values[number])
        for name, a, b, start in self.within:
            if number < start + len(a):
                k = number - start
                return Expression((name, names[name][a[k]]), "or", (name, names[name][b[k]]))
        of = next(one for one in self.across if number < one.start + len(_FORMS) * one.counts.size)
        form, cell = divmod(number - of.start, of.counts.size)
        i, j = divmod(cell, of.counts.shape[1])
        one, other = (of.first, names[of.first][i]), (of.second, names[of.second][j])
        operator, swapped = _FORMS[form]
        return Expression(other, operator, one) if swapped else Expression(one, operator, other)

    def run(self, ranks: Floats, keep: int, advance: Advance) -> tuple[_Best, NDArray[np.int64]]:
        """Return the best expressions of each unit, and the number of its best single value, -1 for none, (U,)."""
        units = ranks.shape[1]
        best = _Best(units, keep)
        sums = {n: _sums(c, len(self.concepts.names[n]), ranks) for n, c in self.concepts.codes.items()}
        start = 0
        for name, of in sums.items():
            weights = _weights(self.counts[name], self.concepts.images, self.least)
            best.add(of * weights[:, None], np.arange(start, start + len(of)))
            start += len(of)
        single = best.numbers[0].copy()
        for name, a, b, start in self.within:
            counts = self.counts[name]
            weights = _weights(counts[a] + counts[b], self.concepts.images, self.least)
            best.add((sums[name][a] + sums[name][b]) * weights[:, None], start + np.arange(len(a)))
        advance(units)
        for pairs in self.across:
            self._pairs(pairs, sums, ranks, best)
            advance(units)
        return best, single

    def _pairs(self, pairs: _Pairs, sums: Mapping[str, Floats], ranks: Floats, best: _Best) -> None:
        rows, columns = pairs.counts.shape
        images = self.concepts.images
        joint = np.ravel_multi_index(
            (self.concepts.codes[pairs.first], self.concepts.codes[pairs.second]), pairs.counts.shape
        )
        both = _sums(joint, rows * columns, ranks).reshape(rows, columns, -1)
        one, other = sums[pairs.first][:, None], sums[pairs.second][None]
        of_one, of_other = self.counts[pairs.first][:, None], self.counts[pairs.second][None]
        counts = pairs.counts
        sizes = counts, of_one + of_other - counts, of_one - counts, of_other - counts
        area = np.empty_like(both)
        for form, size in enumerate(sizes):
            if form == 0:
                np.copyto(area, both)
            elif form == 1:
                np.subtract(one, both, out=area)
                np.add(area, other, out=area)
            else:
                np.subtract(one if form == 2 else other, both, out=area)
            # Where all, or none, of a value's pictures have the other, the expression is a single value again.
            real = (size != of_one) & (size != of_other)
            if form > 1 and int((self.counts[pairs.second if form == 2 else pairs.first] > 0).sum()) == 2:
                real = np.zeros_like(real)  # not the one of two values is the other: said as "and" already
            weights = np.where(real, _weights(size, images, self.least), np.float32(np.nan))
            np.multiply(area, weights[:, :, None], out=area)
            numbers = pairs.start + form * counts.size + np.arange(counts.size)
            best.add(area.reshape(counts.size, -1), numbers)


@dataclass(frozen=True)
class Detections:
    """What all units detect.

    Attributes:
        units: in their order.
        control: best areas of units whose activations were exchanged over pictures, (M,); empty without a control.
    """

    units: tuple[UnitDetections, ...]
    control: NDArray[np.float64]


def detect(
    features: NDArray[Any],
    concepts: Concepts,
    rng: np.random.Generator,
    pairs: bool = True,
    permutations: int = 100,
    control_units: int = CONTROL_UNITS,
    keep: int = BEST,
    least: int = LEAST,
    advance: Advance = lambda count: None,
) -> Detections:
    """Find the expressions that each unit detects best, with a permutation control.

    The control: units drawn at random have their activations exchanged over the pictures, and are searched the same
    way; their best areas are what the search finds where there is nothing. Where pictures are not independent, as those
    of one scene, the control is too narrow: give it one picture of each.

    Args:
        features: activations, (N, U).
        concepts: of the same pictures.
        rng: draws the units of the control and its exchanges.
        pairs: also ``or``, ``and`` and ``and not`` of two values.
        permutations: exchanges of each unit of the control; 0 for none: p and q are NaN.
        control_units: how many units are drawn for it, all where there are fewer.
        keep: expressions of each unit.
        least: pictures that an expression, and its contrary, have at least.
        advance: told how many units went through a part of the search; `parts` of them for each.

    Raises:
        DatasetError: features and factors of different pictures, or too few pictures.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> red, mug = rng.integers(0, 2, 400), rng.integers(0, 2, 400)
        >>> concepts = Concepts({"colour": (red, ("blue", "red")), "object": (mug, ("cup", "mug"))})
        >>> unit = (red & mug) + rng.normal(0, 0.1, 400)
        >>> str(detect(unit[:, None], concepts, rng, permutations=20).units[0].expressions[0])
        'colour=red and object=mug'
    """
    features = np.asarray(features)
    if features.ndim != 2 or len(features) != concepts.images:
        raise DatasetError(f"features of shape {features.shape} for {concepts.images:,} pictures; (N, units) is right")
    if concepts.images < 2 * least:
        raise DatasetError(f"{concepts.images} pictures; at least {2 * least} are needed to tell what a unit detects")
    search = _Search(concepts, pairs, least)
    count = features.shape[1]
    found: list[tuple[_Best, NDArray[np.int64]]] = []
    for start in range(0, count, _BLOCK):
        found.append(search.run(centred_ranks(features[:, start : start + _BLOCK]), keep, advance))
    best = _joined([one for one, _ in found])
    single = np.concatenate([one for _, one in found])
    null = _null(features, search, rng, permutations, min(control_units, count), advance)
    p = _tail(best.areas[0], null)
    q = _discovery(p)
    units = [_detections(features, search, best, int(single[u]), u, p, q) for u in range(count)]
    return Detections(tuple(units), 0.5 + null.astype(np.float64))


def parts(concepts: Concepts, units: int, pairs: bool, permutations: int, control_units: int) -> int:
    """Return how often `detect` advances by one unit."""
    factors = len(concepts.names)
    each = 1 + (factors * (factors - 1) // 2 if pairs else 0)
    return each * (units + permutations * min(control_units, units))


def _joined(found: Sequence[_Best]) -> _Best:
    made = _Best(0, len(found[0].areas))
    made.areas = np.concatenate([one.areas for one in found], 1)
    made.numbers = np.concatenate([one.numbers for one in found], 1)
    return made


def _null(
    features: NDArray[Any], search: _Search, rng: np.random.Generator, permutations: int, control: int, advance: Advance
) -> Floats:
    """Return the best areas less 1/2 of units whose activations were exchanged over pictures."""
    if not permutations:
        return np.empty(0, np.float32)
    drawn = rng.choice(features.shape[1], control, replace=False)
    ranks = centred_ranks(features[:, np.sort(drawn)])
    areas = []
    for exchanged in _exchanged(ranks, rng, permutations):
        areas.append(search.run(exchanged, 1, advance)[0].areas[0])
    return np.concatenate(areas)


def _exchanged(ranks: Floats, rng: np.random.Generator, permutations: int) -> Iterator[Floats]:
    """Yield ranks exchanged over pictures, several exchanges beside each other: as many as a block has columns."""
    at_once = max(1, _BLOCK // ranks.shape[1])
    for start in range(0, permutations, at_once):
        some = min(at_once, permutations - start)
        yield np.concatenate([ranks[rng.permutation(len(ranks))] for _ in range(some)], 1)


def _tail(areas: Floats, null: Floats) -> NDArray[np.float64]:
    """Return the share of the control that reaches each area; NaN without a control."""
    if not len(null):
        return np.full(len(areas), np.nan)
    reached = len(null) - np.searchsorted(np.sort(null), areas, "left")
    return np.asarray((1 + reached) / (1 + len(null)), np.float64)


def _discovery(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the false-discovery rate of each p-value (Benjamini and Hochberg)."""
    order = np.argsort(p)
    rate = p[order] * len(p) / np.arange(1, len(p) + 1)
    found = np.empty_like(p)
    found[order] = np.minimum(np.minimum.accumulate(rate[::-1])[::-1], 1)
    return found


def _detections(
    features: NDArray[Any], search: _Search, best: _Best, single: int, unit: int,
    p: NDArray[np.float64], q: NDArray[np.float64],
) -> UnitDetections:  # fmt: skip
    found: dict[bytes, tuple[Expression, float, float, int]] = {}
    order = np.argsort(-np.asarray(features[:, unit], np.float32), kind="stable")
    for place, number in enumerate(int(n) for n in best.numbers[:, unit] if n >= 0):
        expression, area = search.expression(number), 0.5 + float(best.areas[place, unit])
        members = search.concepts.members(expression)
        key = np.packbits(members).tobytes()
        if key in found:  # the same pictures in other words: the plainest are kept, where they stand
            if _FORM_ORDER.index(expression.operator) < _FORM_ORDER.index(found[key][0].operator):
                found[key] = (expression, *found[key][1:])
            continue
        count = int(members.sum())
        hits = int(members[order[:count]].sum())
        found[key] = expression, area, hits / (2 * count - hits), count
    expressions, areas, overlaps, images = zip(*found.values(), strict=True) if found else ((), (), (), ())
    value = search.expression(single) if single >= 0 else None
    return UnitDetections(unit, expressions, areas, overlaps, images, value, float(p[unit]), float(q[unit]))
