"""Parts, unions and differences of designs, none of which is made before a scene of it is asked for."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes.design import (
    MOST_EXPANDED,
    Design,
    Explicit,
    Factorial,
    LazyDesign,
    check_size,
    check_tests,
    expanded,
    joined,
    merged_counts,
    parts_of,
)
from torchmultiverse.scenes.factors import Value
from torchmultiverse.scenes.rules import NotByAxes, Reader, Rule, filters, member, tests_of
from torchmultiverse.scenes.where import Condition

_MOST_TESTED = 3_000_000
"""Conditions × levels that are tested."""
_MOST_PLACES = 2_000_000
"""Rows of all nodes of a diagram."""
_MOST_LISTED = 50_000_000
"""Scenes that are looked at one after the other, 8 bytes for each that stays."""
_FULL, _EMPTY = "full", "empty"


@dataclass(slots=True)
class _Node:
    """What is known after some axes: how many scenes come before each row of the next, and what comes after it."""

    ends: NDArray[Any]
    alike: NDArray[np.int64]
    after: list[Any] = field(default_factory=list)


class Filtered(Design):
    """The scenes of a factorial that a rule takes, in its order.

    Args:
        whole: the factorial.
        rule: of which scenes are taken.
        fraction: (n, rest) as well: those whose places on all axes add up to ``rest``, modulo n.

    Raises:
        NotByAxes: the rule is too large for that.
    """

    def __init__(self, whole: Factorial, rule: Rule, fraction: tuple[int, int] | None = None) -> None:
        self.whole, self.rule, self.fraction, self.table = whole, rule, fraction, whole.table
        self._lengths = [len(axis) for axis in whole.axes]
        self._tails = [math.prod(self._lengths[place:]) for place in range(len(self._lengths) + 1)]
        self._kind: Any = np.int64 if whole.count < 2**62 else object
        self._made: dict[tuple[int, int, int], Any] = {}
        self._places = 0
        self._root: Any = _EMPTY
        if whole.count:
            self._reader = Reader(rule, whole.axes, whole.table)
            self._root = self._node(0, self._reader.start, 0)

    def _node(self, place: int, state: int | bool, total: int) -> Any:
        """Return what follows a state at an axis: a node, all scenes, or none."""
        if state is False:
            return _EMPTY
        if place == len(self._lengths):
            taken = self.fraction is None or total % self.fraction[0] == self.fraction[1]
            return _FULL if taken else _EMPTY
        if state is True and self.fraction is None:
            return _FULL
        key = (place, -1 if state is True else state, total)
        if key not in self._made:
            self._places += self._lengths[place]
            if self._places > _MOST_PLACES:
                raise NotByAxes
            passing = [0] * self._lengths[place] if state is True else self._reader.passing(place)
            kinds: dict[tuple[int, int], int] = {}
            alike = np.empty(len(passing), np.int64)
            for row, left in enumerate(passing):
                turn = (total + row) % self.fraction[0] if self.fraction else 0
                alike[row] = kinds.setdefault((left if state is True else state & left, turn), len(kinds))
            after = [
                self._node(place + 1, True if state is True else self._reader.step(state, place, left), turn)
                for left, turn in kinds
            ]
            sizes = np.array([self._size(place + 1, one) for one in after], self._kind)[alike]
            ends = np.concatenate([np.zeros(1, self._kind), np.cumsum(sizes, dtype=self._kind)])
            self._made[key] = _Node(ends, alike, after) if ends[-1] else _EMPTY
        return self._made[key]

    def _size(self, place: int, node: Any) -> int:
        if isinstance(node, _Node):
            return int(node.ends[-1])
        return self._tails[place] if node is _FULL else 0

    @property
    @override
    def count(self) -> int:
        return self._size(0, self._root)

    @property
    @override
    def factors(self) -> list[str]:
        return self.whole.factors

    @override
    def values(self, index: int) -> dict[str, Value]:
        node: Any = self._root
        found: dict[str, Value] = {}
        for place, axis in enumerate(self.whole.axes):
            if node is _FULL:
                row, index = divmod(index, self._tails[place + 1])
            else:
                row = int(np.searchsorted(node.ends, index, side="right")) - 1
                index -= int(node.ends[row])
                node = node.after[node.alike[row]]
            found.update(axis[row])
        return found

    @override
    def part(self, indices: NDArray[np.int64]) -> Explicit:
        rows = [np.empty(len(indices), np.int64) for _ in self._lengths]
        rest = np.array(indices, np.int64)
        here: list[tuple[Any, NDArray[np.int64]]] = [(self._root, np.arange(len(rest)))]
        for place in range(len(self._lengths)):
            following: dict[int, tuple[Any, list[NDArray[np.int64]]]] = {}
            for node, some in here:
                if node is _FULL:
                    rows[place][some], rest[some] = np.divmod(rest[some], self._tails[place + 1])
                    following.setdefault(id(_FULL), (_FULL, []))[1].append(some)
                    continue
                row = np.searchsorted(node.ends, rest[some], side="right") - 1
                rows[place][some] = row
                rest[some] -= node.ends[row].astype(np.int64)
                kinds = node.alike[row]
                for kind in np.unique(kinds).tolist():
                    after = node.after[kind]
                    following.setdefault(id(after), (after, []))[1].append(some[kinds == kind])
            here = [(node, np.concatenate(several)) for node, several in following.values()]
        return self.whole.at_rows(rows)

    @override
    def places(self, table: Explicit) -> NDArray[np.int64]:
        rows = self.whole.rows_of(table)
        found = np.zeros(table.count, np.int64)
        lacking = np.any([row < 0 for row in rows], 0)
        found[lacking] = -1
        here: list[tuple[Any, NDArray[np.int64]]] = [(self._root, np.flatnonzero(~lacking))]
        for place, row in enumerate(rows):
            following: dict[int, tuple[Any, list[NDArray[np.int64]]]] = {}
            for node, some in here:
                if node is _EMPTY:
                    found[some] = -1
                elif node is _FULL:
                    found[some] += row[some] * self._tails[place + 1]
                    following.setdefault(id(_FULL), (_FULL, []))[1].append(some)
                else:
                    found[some] += node.ends[row[some]].astype(np.int64)
                    kinds = node.alike[row[some]]
                    for kind in np.unique(kinds).tolist():
                        after = node.after[kind]
                        following.setdefault(id(after), (after, []))[1].append(some[kinds == kind])
            here = [(node, np.concatenate(several)) for node, several in following.values()]
        for node, some in here:
            if node is _EMPTY:
                found[some] = -1
        return found

    def _uses(self) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Return for each row of each axis how many scenes have it, and the first that has."""
        found = []
        here: dict[int, tuple[Any, int, int]] = {}  # node, ways to it, scenes before
        if self._root is not _EMPTY:
            here[id(self._root)] = self._root, 1, 0
        for place, length in enumerate(self._lengths):
            counts, firsts = np.zeros(length, object), np.full(length, self.count, object)
            following: dict[int, tuple[Any, int, int]] = {}
            for node, ways, before in here.values():
                if node is _FULL:
                    sizes = np.full(length, self._tails[place + 1], object)
                    ends, nexts = np.arange(length, dtype=object) * self._tails[place + 1], [(_FULL, length, 0)]
                else:
                    ends = node.ends[:-1].astype(object)
                    sizes = node.ends[1:].astype(object) - ends
                    first = [int(np.argmax(node.alike == kind)) for kind in range(len(node.after))]
                    many = np.bincount(node.alike).tolist()
                    nexts = [(after, n, int(ends[f])) for after, n, f in zip(node.after, many, first, strict=True)]
                counts += sizes * ways
                there = sizes > 0
                firsts[there] = np.minimum(firsts[there], before + ends[there])
                for after, n, ahead in nexts:
                    if after is _EMPTY:
                        continue
                    _, other, least = following.get(id(after), (after, 0, before + ahead))
                    following[id(after)] = (after, other + ways * n, min(least, before + ahead))
            found.append((counts, firsts))
            here = following
        return found

    @override
    def level_counts(self) -> dict[str, dict[Value, int]]:
        uses = self.first_uses()
        levels = self.whole.levels()
        return {name: {level: per[level] for level in levels[name] if level in per} for name, per in uses.items()}

    @override
    def first_uses(self) -> dict[str, dict[Value, int]]:
        found: dict[str, dict[Value, int]] = {name: {} for name in self.factors}
        for axis, (counts, firsts) in zip(self.whole.axes, self._uses(), strict=True):
            for row in sorted(np.flatnonzero(counts).tolist(), key=lambda row: firsts[row]):
                for name, value in axis[row].items():
                    found[name][value] = found[name].get(value, 0) + int(counts[row])
        return found

    @override
    def where(self, conditions: Sequence[Condition]) -> Design:
        return constrained(self, [conditions])


class Selection(Design):
    """Some scenes of another design, in its order.

    Args:
        base: the design.
        places: of these scenes in it, ascending int64; with ``out``, of those that are left out.
        out: whether they are left out.
    """

    def __init__(self, base: Design, places: NDArray[np.int64], out: bool = False) -> None:
        self._base, self._listed, self._out, self.table = base, places, out, base.table
        self._before = places - np.arange(len(places)) if out else places  # scenes that stay before each that is out

    @property
    @override
    def count(self) -> int:
        return self._base.count - len(self._listed) if self._out else len(self._listed)

    @property
    @override
    def factors(self) -> list[str]:
        return self._base.factors

    @property
    @override
    def drawn(self) -> bool:
        return self._base.drawn or not self._out

    @override
    def values(self, index: int) -> dict[str, Value]:
        return self._base.values(int(self._at(np.array([index]))[0]))

    @override
    def part(self, indices: NDArray[np.int64]) -> Explicit:
        return self._base.part(self._at(indices))

    def _at(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        if not self._out:
            return self._listed[indices]
        return indices + np.searchsorted(self._before, indices, side="right")

    @override
    def places(self, table: Explicit) -> NDArray[np.int64]:
        found = self._base.places(table)
        before = np.searchsorted(self._listed, found)
        listed = np.zeros(len(found), bool)
        if len(self._listed):
            listed = self._listed[np.minimum(before, len(self._listed) - 1)] == found
        if self._out:
            return np.where((found < 0) | listed, -1, found - before)
        return np.where(listed, before, -1)

    @override
    def level_counts(self) -> dict[str, dict[Value, int]]:
        listed = merged_counts(self._base.part(some).level_counts() for some in _chunks(self._listed))
        whole = self._base.level_counts()
        counts = {}
        for name, per in whole.items():
            here = listed.get(name, {})
            left = {level: n - here.get(level, 0) if self._out else here.get(level, 0) for level, n in per.items()}
            counts[name] = {level: n for level, n in left.items() if n}
        return counts

    @override
    def first_uses(self) -> dict[str, dict[Value, int]]:
        return merged_counts(self.part(some).first_uses() for some in parts_of(self))

    @override
    def where(self, conditions: Sequence[Condition]) -> Design:
        return constrained(self, [conditions])


class Chain(Design):
    """The scenes of several designs, one after the other; none is in two of them.

    Args:
        parts: the designs.
        within: the design that these are what is left of, whose factors they have, and levels in its order.
    """

    def __init__(self, parts: Sequence[Design], within: Design | None = None) -> None:
        self._parts = list(parts)
        self._within = within
        self.table = self._parts[0].table
        self._starts = [0]
        for part in self._parts:
            self._starts.append(self._starts[-1] + part.count)

    @property
    def parts(self) -> list[Design]:
        """The designs."""
        return list(self._parts)

    @property
    @override
    def count(self) -> int:
        return self._starts[-1]

    @property
    @override
    def factors(self) -> list[str]:
        if self._within is not None:
            return self._within.factors
        named = {name for part in self._parts if part.count for name in part.factors}
        return [factor.wire for factor in self.table if factor.wire in named]

    @property
    @override
    def drawn(self) -> bool:
        return any(part.drawn for part in self._parts)

    @override
    def values(self, index: int) -> dict[str, Value]:
        number = bisect.bisect_right(self._starts, index) - 1
        return self._parts[number].values(index - self._starts[number])

    @override
    def part(self, indices: NDArray[np.int64]) -> Explicit:
        number = np.searchsorted(self._starts, indices, side="right") - 1
        order = np.argsort(number, kind="stable")
        tables = [
            self._parts[n].part(indices[number == n] - self._starts[n]) for n in np.unique(number).tolist()
        ] or [self._parts[0].part(indices)]  # fmt: skip
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return joined(tables).take(back)

    @override
    def places(self, table: Explicit) -> NDArray[np.int64]:
        found = np.full(table.count, -1, np.int64)
        for start, part in zip(self._starts, self._parts, strict=False):
            here = part.places(table)
            found = np.where(here >= 0, here + start, found)
        return found

    @override
    def level_counts(self) -> dict[str, dict[Value, int]]:
        counts = self.first_uses()
        if self._within is None:
            return counts
        return {
            name: {level: counts[name][level] for level in per if level in counts[name]}
            for name, per in self._within.level_counts().items()
        }

    @override
    def first_uses(self) -> dict[str, dict[Value, int]]:
        counts: dict[str, dict[Value, int]] = {name: {} for name in self.factors}
        for part in (part for part in self._parts if part.count):
            uses = part.first_uses()
            for name, per in counts.items():
                default = self.table[name].default
                for level, n in uses[name].items() if name in uses else [(default, part.count)]:
                    assert level is not None
                    per[level] = per.get(level, 0) + n
        return counts

    @override
    def where(self, conditions: Sequence[Condition]) -> Design:
        return Chain([part.where(conditions) for part in self._parts], self)


def constrained(
    design: Design, only: Sequence[Sequence[Condition]] = (), exclude: Sequence[Sequence[Condition]] = ()
) -> Design:
    """Return the scenes for which one of ``only`` holds, if there are any, and none of ``exclude``.

    Each entry is a list of conditions that hold together.
    """
    if not only and not exclude:
        return design
    if isinstance(design, Chain):
        return Chain([constrained(part, only, exclude) for part in design.parts], design)
    if (found := _restricted(design, filters(only, exclude))) is not None:
        return found
    check_tests(sum(len(entry) for entry in (*only, *exclude)), design.count, "scenes")

    def keep(table: Explicit) -> NDArray[np.bool_]:
        kept = np.full(table.count, not only)
        for entry in only:
            kept |= table.matches(entry)
        for entry in exclude:
            kept &= ~table.matches(entry)
        return kept

    return _kept(design, keep)


def union(designs: Sequence[Design]) -> Design:
    """Return all scenes of some designs, in their order, each once."""
    parts: list[Design] = []
    for number, design in enumerate(designs):
        parts.append(difference(design, designs[:number]))
    return Chain(parts)


def difference(design: Design, minus: Sequence[Design]) -> Design:
    """Return the scenes of a design that are in none of some others."""
    for other in minus:
        if isinstance(other, Chain):
            design = difference(design, other.parts)
        elif other.count:
            design = _without(design, other)
    return design


def fraction(design: Factorial, one_in: int, seed: int) -> Design:
    """Return a regular fraction of a factorial: the scenes whose places on all axes add up to the same, modulo n.

    Every level of an axis has the same number of scenes where some other axis has a multiple of n levels, and so has
    every combination of levels of all axes but one such axis: main effects and interactions are confounded only with
    those of all axes together (Box & Hunter 1961, the defining relation of a 1/n fraction).

    Raises:
        SpecError: ``one_in`` leaves nothing.

    >>> whole = Factorial.of({"World_Name": ["Desert", "Snow"], "Camera_Yaw": [0, 90, 180, 270]})
    >>> fraction(whole, 2, seed=0).level_counts()
    {'World_Name': {'Desert': 2, 'Snow': 2}, 'Camera_Yaw': {0: 1, 90: 1, 180: 1, 270: 1}}
    """
    if not 1 <= one_in <= design.count:
        raise SpecError(f"design.one_in = {one_in}: from 1 to {design.count}, the number of scenes")
    rest = seed % min(one_in, sum(len(axis) - 1 for axis in design.axes) + 1)  # one that there is
    try:
        return Filtered(design, Rule("all"), (one_in, rest))
    except NotByAxes:
        whole = expanded(design)
    places = np.unravel_index(np.arange(design.count), [len(axis) for axis in design.axes])
    total = np.sum([np.asarray(place) for place in places], axis=0)
    return whole.take(np.flatnonzero(total % one_in == rest))


def _without(design: Design, other: Design) -> Design:
    if isinstance(design, Chain):
        return Chain([_without(part, other) for part in design.parts], design)
    by_axes = isinstance(design, Factorial | Filtered)
    if by_axes and (isinstance(other, Factorial) or (isinstance(other, Filtered) and other.fraction is None)):
        axes = (other.whole if isinstance(other, Filtered) else other).axes
        inside = member(axes, design.factors, design.table)
        rules = (inside, other.rule) if isinstance(other, Filtered) else (inside,)
        if (found := _restricted(design, Rule("not", (Rule("all", rules),)))) is not None:
            return found
    if by_axes and other.count < design.count < 2**62:
        found_at = [design.places(other.part(some)) for some in parts_of(other)]
        gone = np.unique(np.concatenate(found_at))
        return Selection(design, gone[gone >= 0], out=True)
    gone_from = expanded(other) if other.drawn and other.count <= MOST_EXPANDED else other
    return _kept(design, lambda table: gone_from.places(table) < 0)


def _restricted(design: Design, rule: Rule) -> Filtered | None:
    """Return the scenes of a factorial, or of a part of one, that a rule takes, if it can be read axis by axis."""
    if not isinstance(design, Factorial | Filtered):
        return None
    whole, before = (design.whole, design.rule) if isinstance(design, Filtered) else (design, Rule("all"))
    lengths = {name: len(axis) for axis in whole.axes if axis for name in axis[0]}
    tests = tests_of(rule)
    most = max(lengths.values(), default=0)
    if sum(lengths.get(getattr(test, "factor", ""), most) for test in tests) > _MOST_TESTED:
        return None
    try:
        return Filtered(whole, Rule("all", (before, rule)), design.fraction if isinstance(design, Filtered) else None)
    except NotByAxes:
        return None


def _kept(design: Design, keep: Callable[[Explicit], NDArray[np.bool_]]) -> Design:
    """Return the scenes of a design that pass, looked at one after the other."""
    if isinstance(design, Explicit | LazyDesign):
        whole = expanded(design)
        return whole.take(np.flatnonzero(keep(whole)))
    check_size(design.count, _MOST_LISTED)
    kept = [some[keep(design.part(some))] for some in parts_of(design, 1 << 18)]
    return Selection(design, np.concatenate([np.zeros(0, np.int64), *kept]))


def _chunks(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.array_split(places, -(-len(places) // 65_536)) if len(places) else []
