"""Designs that are drawn: random, Latin hypercube, Sobol.

Each axis of a design is a dimension of the unit cube. A list of levels cuts it into equal parts; a range of numbers
without a step, alone or as one of the parts, is taken as it is, rounded to `DECIMALS`; of a factor that counts, it is
its whole numbers, each as likely. The points are those of `scipy.stats.qmc`.

Up to `MOST_EXPANDED` scenes all are drawn when the spec is read, and drawn again if two of them are the same. Of more,
scenes are drawn when they are asked for, and one that was there is passed over; but for Latin hypercubes, of which no
part is known before the whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes.conditions import OWN
from torchmultiverse.scenes.design import (
    MOST_AT_ONCE,
    MOST_EXPANDED,
    Design,
    Explicit,
    Factorial,
    joined,
    merged_counts,
    parts_of,
)
from torchmultiverse.scenes.factors import Factor, FactorTable, Value
from torchmultiverse.scenes.levels import DECIMALS, Span, drawn_parts, whole_levels
from torchmultiverse.scenes.subsets import constrained
from torchmultiverse.scenes.where import Condition

Method = Literal["random", "latin_hypercube", "sobol"]
_TRIES = 100
_AT_ONCE = 1024
"""Scenes of a random subset that are drawn together."""
_BLOCK = 4096
"""Points of a sequence that are made together."""
_MOST_POINTS = 8
"""Points of a sequence that are looked at for each different scene."""
Spans = Mapping[str, Sequence[Value | Span]]
"""Factor → the equal parts of its axis: levels, and ranges of which any number is drawn."""


def sample_design(
    method: Method,
    count: int,
    factors: Mapping[str, Any],
    *,
    linked: Sequence[Sequence[Mapping[str, Any]]],
    table: FactorTable,
    seed: int,
) -> Design:
    """Return so many scenes, all different.

    Args:
        method: ``random`` draws each axis independently; ``latin_hypercube`` gives each level of each axis the same
            number of scenes (± 1); ``sobol`` fills the space evenly (best with a power of two).
        count: how many scenes.
        factors: factor → levels, or a range ``{"from": …, "to": …}`` of any number in it, or a list of both.
        linked: axes of factors that change together.
        table: the factors that are known.
        seed: of the draw.

    Raises:
        SpecError: bad levels, or more pictures than there are different scenes.
    """
    spans, listed = {}, {}
    for name, levels in factors.items():
        levels = whole_levels(table[name], levels, f"design.factors.{name}")
        parts = drawn_parts(table[name], levels, f"design.factors.{name}")
        listed[name] = levels
        if parts is not None:
            spans[table[name].wire] = parts
            # What stands for a range while axes are checked: one level, its beginning.
            listed[name] = [parts[0][0] if isinstance(parts[0], tuple) else parts[0]]
    frame = Factorial.of(listed, linked, table, "design.factors")
    if not spans and count > frame.count:
        raise SpecError(f"design.pictures = {count:,}: there are only {frame.count:,} different scenes")
    if method == "random" and not spans and frame.count < 2**62:
        # Without repetition, and in the order of the factorial, so that worlds stay together.
        if count > MOST_EXPANDED:
            return RandomSubset(frame, count, seed)
        picked = np.sort(np.random.default_rng(seed).choice(frame.count, count, replace=False))
        return _in_table_order(frame.part(picked))
    if count > MOST_EXPANDED:
        if method == "latin_hypercube":
            raise SpecError(f"design.pictures = {count:,}: at most {MOST_EXPANDED:,} of kind '{method}'")
        return PointSequence(method, count, frame, spans, (seed, 0))
    for attempt in range(_TRIES):
        if count > MOST_AT_ONCE and method != "latin_hypercube":
            sequence = PointSequence(method, count, frame, spans, (seed, attempt))
            if sequence.starts_without_repeats():
                return sequence
            continue
        points = _points(method, count, len(frame.axes), np.random.default_rng([seed, attempt]))
        design = _in_table_order(_scenes(points, frame, spans))
        if not design.repeats():
            return design
    raise SpecError(
        f"design.pictures = {count:,}: {method} over {frame.count:,} scenes repeats some however it is drawn; "
        "ask for fewer, or use kind 'random'"
    )


def _points(method: Method, n: int, dimensions: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if method == "random":
        return rng.random((n, dimensions))
    from scipy.stats import qmc  # half a second to import, which few specs need

    if method == "latin_hypercube":
        return np.asarray(qmc.LatinHypercube(dimensions, seed=rng).random(n))
    # Whole powers of two are drawn and the first taken: that is how a Sobol sequence is continued.
    power = max(0, math.ceil(math.log2(n)))
    return np.asarray(qmc.Sobol(dimensions, seed=rng).random_base2(power)[:n])


def _scenes(points: NDArray[np.float64], frame: Factorial, spans: Spans) -> Explicit:
    """Return the scenes at some points of the unit cube, (N, axes)."""
    levels: dict[str, list[Value]] = {}
    codes: dict[str, NDArray[np.int64]] = {}
    rows: list[NDArray[np.int64]] = []
    for axis, column in zip(frame.axes, points.T, strict=True):
        wire = next(iter(axis[0]))
        rows.append(np.zeros(len(points), np.int64))
        if wire in spans:
            numbers, inverse = np.unique(_numbers(frame.table[wire], spans[wire], column), return_inverse=True)
            places: dict[Value, int] = {}  # both ends of a full turn are one level
            canonical = (
                frame.table[wire].canonical(OWN if number != number else number) for number in numbers.tolist()
            )
            levels[wire] = []
            codes[wire] = np.array([places.setdefault(level, len(places)) for level in canonical])[inverse]
            levels[wire] = list(places)
        else:
            rows[-1] = np.minimum((column * len(axis)).astype(np.int64), len(axis) - 1)
    return frame.at_rows(rows).replaced(levels, codes)


def _numbers(factor: Factor, parts: Sequence[Value | Span], column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the numbers of an axis at some places of it, in [0, 1); NaN where a number is the world's own."""
    ranges = [part if isinstance(part, tuple) else (math.nan if part == OWN else float(part),) * 2 for part in parts]
    low, high = np.array(ranges, np.float64).T
    part = np.minimum((column * len(parts)).astype(np.int64), len(parts) - 1)
    share = column * len(parts) - part
    if factor.whole:  # each whole number has as wide a piece of its range
        return np.asarray(np.minimum(low[part] + np.floor(share * (high[part] - low[part] + 1)), high[part]))
    return _rounded(low[part] + share * (high[part] - low[part]))


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers rounded to `DECIMALS`, each to the nearest as Python's ``round`` does."""
    scaled = values * 10**DECIMALS
    found: NDArray[np.float64] = np.rint(scaled) / 10**DECIMALS
    # The product may be off by its last bit, which matters only half way between two results.
    near = np.flatnonzero(np.abs(scaled - np.floor(scaled) - 0.5) < 1e-6 + np.abs(scaled) * 1e-15)
    found[near] = [round(value, DECIMALS) for value in values[near].tolist()]
    return found


def _in_table_order(design: Explicit) -> Explicit:
    """Return a design with factors in the table's order, and levels in the order of their first scenes."""
    return design.renumbered().ordered()


class RandomSubset(Design):
    """Scenes of a factorial, drawn at random without repetition, in its order, each found without the others.

    How many of the scenes of each half are drawn is hypergeometric; so is it within the halves, until a few are left.
    Each step has random numbers of its own.

    Source: P. Sanders et al., *Efficient parallel random sampling*, ACM TOMS 44, 2018.

    Args:
        frame: the factorial, of fewer than 2⁶² scenes.
        count: how many.
        seed: of the draw.
    """

    def __init__(self, frame: Factorial, count: int, seed: int) -> None:
        self._frame, self._count, self._seed, self.table = frame, count, seed, frame.table
        self._split: dict[int, int] = {}
        self._last: tuple[int, NDArray[np.int64]] = (0, np.zeros(0, np.int64))

    @property
    @override
    def count(self) -> int:
        return self._count

    @property
    @override
    def factors(self) -> list[str]:
        return self._frame.factors

    @property
    @override
    def drawn(self) -> bool:
        return True

    def _rng(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, 1, number])

    def _near(self, index: int) -> tuple[int, NDArray[np.int64]]:
        """Return some scenes' places in the factorial, among them the one at an index, and the index of the first."""
        first, found = self._last
        if first <= index < first + len(found):
            return self._last
        number, low, size, first, count = 1, 0, self._frame.count, 0, self._count
        while count > _AT_ONCE:
            half = size // 2
            if number not in self._split:
                self._split[number] = hypergeometric(half, size - half, count, self._rng(number).random())
            left = self._split[number]
            if index < first + left:
                number, size, count = 2 * number, half, left
            else:
                number, low, size, first, count = 2 * number + 1, low + half, size - half, first + left, count - left
        found = low + np.sort(self._rng(number).choice(size, count, replace=False))
        self._last = first, found
        return self._last

    @override
    def values(self, index: int) -> dict[str, Value]:
        first, found = self._near(index)
        return self._frame.values(int(found[index - first]))

    @override
    def part(self, indices: NDArray[np.int64]) -> Explicit:
        places = np.empty(len(indices), np.int64)
        order = np.argsort(indices, kind="stable")
        ordered, done = indices[order], 0
        while done < len(ordered):
            first, found = self._near(int(ordered[done]))
            end = int(np.searchsorted(ordered, first + len(found)))
            places[order[done:end]] = found[ordered[done:end] - first]
            done = end
        return self._frame.part(places)

    @override
    def level_counts(self) -> dict[str, dict[Value, int]]:
        return merged_counts(self.part(some).first_uses() for some in parts_of(self))

    @override
    def where(self, conditions: Sequence[Condition]) -> Design:
        return constrained(self, [conditions])


def hypergeometric(good: int, bad: int, draws: int, u: float) -> int:
    """Return how many of ``draws`` from ``good`` and ``bad`` ones are good, at the quantile ``u``.

    NumPy's own takes no more than a billion. Probabilities are those of the mode times ratios, within 12 standard
    deviations of it.

    >>> hypergeometric(10**15, 10**15, 1000, 0.5)
    500
    """
    whole = good + bad
    low, high = max(0, draws - bad), min(good, draws)
    mode = min(max((draws + 1) * (good + 1) // (whole + 2), low), high)
    spread = math.sqrt(draws * (good / whole) * (bad / whole) * ((whole - draws) / max(whole - 1, 1)))
    reach = int(12 * spread) + 12
    up = np.arange(mode, min(high, mode + reach), dtype=np.float64)  # from each to the next
    down = np.arange(mode, max(low, mode - reach), -1, dtype=np.float64)  # from each to the one before
    rising = np.cumprod((good - up) * (draws - up) / ((up + 1) * (bad - draws + up + 1)))
    falling = np.cumprod(down * (bad - draws + down) / ((good - down + 1) * (draws - down + 1)))
    total = np.cumsum(np.concatenate([falling[::-1], [1.0], rising]))
    return mode - len(falling) + min(int(np.searchsorted(total, u * total[-1], side="right")), len(total) - 1)


class PointSequence(Design):
    """The first different scenes of a sequence of points, made as far as they are asked for.

    Args:
        method: ``random`` or ``sobol``.
        count: how many scenes.
        frame: the axes, of which those in ``spans`` have one level that stands for the range.
        spans: factor → the parts of its axis.
        seed: of the sequence, and the number of the attempt.
    """

    def __init__(self, method: Method, count: int, frame: Factorial, spans: Spans, seed: tuple[int, int]) -> None:
        self._method, self._count, self._frame, self._spans, self._seed = method, count, frame, spans, seed
        self.table = frame.table
        self._seen = np.zeros(0, self._keys(np.zeros((0, len(frame.axes)))).dtype)
        self._reached = 0
        self._repeated = np.zeros(0, np.int64)
        self._block: tuple[int, Explicit | None] = (-1, None)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_engine": None}

    _engine: Any = None

    @property
    @override
    def count(self) -> int:
        return self._count

    @property
    @override
    def factors(self) -> list[str]:
        named = set(self._frame.factors)
        return [factor.wire for factor in self.table if factor.wire in named]

    @property
    @override
    def drawn(self) -> bool:
        return True

    def _draw(self, start: int, n: int) -> NDArray[np.float64]:
        """Return points, (n, axes), from one of the sequence on."""
        rng = np.random.default_rng(self._seed)
        dimensions = len(self._frame.axes)
        if self._method == "random":
            bits = rng.bit_generator
            assert isinstance(bits, np.random.PCG64)
            bits.advance(start * dimensions)
            return rng.random((n, dimensions))
        if self._engine is None or self._engine.num_generated > start:
            from scipy.stats import qmc

            self._engine = qmc.Sobol(dimensions, seed=rng)
        if start > self._engine.num_generated:
            self._engine.fast_forward(start - self._engine.num_generated)
        return np.asarray(self._engine.random(n))

    def _keys(self, points: NDArray[np.float64]) -> NDArray[Any]:
        """Return what tells the scenes at some points apart, (N,): a number, or bytes of several."""
        words, most = [np.zeros(len(points), np.int64)], 1
        for axis, column in zip(self._frame.axes, points.T, strict=True):
            numbers, size = self._cells(axis, column)
            if most * size >= 2**63:
                words.append(np.zeros(len(points), np.int64))
                most = 1
            words[-1] = words[-1] * size + numbers
            most *= size
        if len(words) == 1:
            return words[0]
        return np.stack(words, 1).astype(">i8").reshape(-1).view(f"S{8 * len(words)}")

    def _cells(self, axis: Sequence[Mapping[str, Value]], column: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
        """Return which level of an axis some points have, and how many there are."""
        wire = next(iter(axis[0]))
        if wire not in self._spans:
            return np.minimum((column * len(axis)).astype(np.int64), len(axis) - 1), len(axis)
        parts = self._spans[wire]
        found = _numbers(self.table[wire], parts, column)
        own = np.isnan(found)
        numbers = np.rint(np.where(own, 0, found) * 10**DECIMALS).astype(np.int64)
        period = self.table[wire].period
        if period is not None:
            turn = round(period * 10**DECIMALS)
            return np.where(own, turn, numbers % turn), turn + (OWN in parts)
        every = [end for part in parts if part != OWN for end in (part if isinstance(part, tuple) else (float(part),))]
        least, most = round(min(every) * 10**DECIMALS) - 1, round(max(every) * 10**DECIMALS) + 2
        return np.where(own, most - least, numbers - least), most - least + (OWN in parts)

    def _reach(self, count: int) -> None:
        """Go on until so many different scenes are known."""
        while self._reached - len(self._repeated) < count:
            if self._reached >= _MOST_POINTS * max(count, _BLOCK):
                raise SpecError(
                    f"design.pictures = {self._count:,}: {self._method} over {self._frame.count:,} scenes reaches only "
                    f"{self._reached - len(self._repeated):,} different ones; ask for fewer, or use kind 'random'"
                )
            self._go_on()

    def _go_on(self) -> None:
        """Look at some more points."""
        n = min(max(self._reached // 4, 16 * _BLOCK), 64 * _BLOCK)
        keys = self._keys(self._draw(self._reached, n))
        different, first = np.unique(keys, return_index=True)
        place = np.minimum(np.searchsorted(self._seen, different), max(len(self._seen) - 1, 0))
        known = self._seen[place] == different if len(self._seen) else np.zeros(len(different), bool)
        again = np.ones(n, bool)
        again[first[~known]] = False
        self._repeated = np.concatenate([self._repeated, self._reached + np.flatnonzero(again)])
        self._seen = np.sort(np.concatenate([self._seen, different[~known]]), kind="stable")
        self._reached += n

    def starts_without_repeats(self) -> bool:
        """Whether the first `count` scenes are all different."""
        while self._reached < self._count:
            self._go_on()
            if (self._repeated < self._count).any():
                return False
        self._seen, self._repeated = self._seen[:0].copy(), self._repeated[:0]
        return True

    def _points(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the points of some scenes."""
        self._reach(int(indices.max(initial=-1)) + 1)
        before = self._repeated - np.arange(len(self._repeated))
        return indices + np.searchsorted(before, indices, side="right")

    def _made(self, block: int) -> Explicit:
        if self._block[0] != block or self._block[1] is None:
            made = _scenes(self._draw(block * _BLOCK, _BLOCK), self._frame, self._spans).ordered()
            self._block = block, made
            return made
        return self._block[1]

    @override
    def values(self, index: int) -> dict[str, Value]:
        block, place = divmod(int(self._points(np.array([index]))[0]), _BLOCK)
        return self._made(block).values(place)

    @override
    def part(self, indices: NDArray[np.int64]) -> Explicit:
        blocks, places = np.divmod(self._points(indices), _BLOCK)
        order = np.argsort(blocks, kind="stable")
        needed, starts = np.unique(blocks[order], return_index=True)
        ends = [*starts[1:].tolist(), len(order)]
        tables = [
            self._made(block).take(places[order[start:end]])
            for block, start, end in zip(needed.tolist(), starts.tolist(), ends, strict=True)
        ] or [self._made(0).take(places)]  # fmt: skip
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return joined(tables).take(back)

    @override
    def level_counts(self) -> dict[str, dict[Value, int]]:
        return merged_counts(self.part(some).first_uses() for some in parts_of(self))

    @override
    def where(self, conditions: Sequence[Condition]) -> Design:
        return constrained(self, [conditions])
