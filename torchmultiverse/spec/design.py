"""Designs: how a spec becomes scenes. Lazy: counted and indexed without being expanded."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from typing_extensions import override

from torchmultiverse.errors import SpecError
from torchmultiverse.spec.factors import FACTORS, FactorTable, Value
from torchmultiverse.spec.scene import Scene
from torchmultiverse.spec.where import Condition

Levels = dict[str, list[Value]]


class Design(ABC):
    """An ordered, countable, indexable set of scenes.

    ``count`` is exact for any size; ``len()`` is the same for designs below ``sys.maxsize``.
    """

    table: FactorTable

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of scenes."""

    @abstractmethod
    def values(self, index: int) -> dict[str, Value]:
        """Return the assignment at an index in ``[0, count)``, in wire names."""

    @abstractmethod
    def level_counts(self) -> dict[str, dict[Value, int]]:
        """Return for each varied factor how many scenes have each level, without expanding."""

    @abstractmethod
    def where(self, conditions: Sequence[Condition]) -> Design:
        """Return the scenes for which all conditions hold, in the same order."""

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Scene:
        if not -self.count <= index < self.count:
            raise IndexError(f"scene {index} of a design of {self.count}")
        return Scene(self.values(index % self.count), self.table, f"scene {index}")

    def __iter__(self) -> Iterator[Scene]:
        index = 0
        while index < self.count:
            yield self[index]
            index += 1

    @property
    def factors(self) -> list[str]:
        """Wire names of the factors the design mentions."""
        return list(self.level_counts())

    def levels(self) -> Levels:
        """Return the levels of each factor the design mentions, in order of first use."""
        return {name: list(counts) for name, counts in self.level_counts().items()}


def check_levels(name: str, levels: Any, table: FactorTable, where: str) -> list[Value]:
    """Return a factor's levels in canonical form.

    Raises:
        SpecError: not a list, empty, a duplicate, or a level that the factor cannot take.
    """
    factor = table[name]
    if not isinstance(levels, list | tuple):
        raise SpecError(f"{where}.{name} = {levels!r} is no list of levels; write [{levels!r}]")
    if not levels:
        raise SpecError(f"{where}.{name} is an empty list; a factor needs at least one level")
    canonical = [factor.canonical(level, f"{where}.{name}[{i}]") for i, level in enumerate(levels)]
    seen: dict[Value, int] = {}
    for i, level in enumerate(canonical):
        if level in seen:
            same = "" if levels[i] == levels[seen[level]] else f" (the same as {levels[seen[level]]!r})"
            raise SpecError(f"{where}.{name} has the level {levels[i]!r} twice{same}; remove one")
        seen[level] = i
    return canonical


class Factorial(Design):
    """The full product of its axes; the first axis changes slowest.

    An axis is a list of partial assignments: one factor's levels, or several factors that change
    together (linked), such as a position pair with its texture pair.
    """

    def __init__(self, axes: Sequence[Sequence[Mapping[str, Value]]], table: FactorTable = FACTORS) -> None:
        self.axes = [list(axis) for axis in axes]
        self.table = table

    @classmethod
    def of(
        cls,
        factors: Mapping[str, Any],
        linked: Sequence[Sequence[Mapping[str, Any]]] = (),
        table: FactorTable = FACTORS,
        where: str = "factors",
    ) -> Factorial:
        """Build from lists of levels and linked axes.

        Raises:
            SpecError: bad levels, or a factor that two axes set.
        """
        axes: list[list[dict[str, Value]]] = []
        owner: dict[str, str] = {}

        def claim(wire: str, place: str) -> None:
            if wire in owner:
                raise SpecError(f"{place} sets {wire}, which {owner[wire]} sets already")
            owner[wire] = place

        for name, levels in factors.items():
            wire = table[name].wire
            claim(wire, f"{where}.{name}")
            axes.append([{wire: level} for level in check_levels(name, levels, table, where)])
        for a, rows in enumerate(linked):
            place = f"linked[{a}]"
            if not rows:
                raise SpecError(f"{place} is empty; a linked axis needs at least one row")
            axis: list[dict[str, Value]] = []
            for r, row in enumerate(rows):
                at = f"{place}[{r}]"
                canonical = {table[n].wire: table[n].canonical(v, at) for n, v in row.items()}
                if axis and canonical.keys() != axis[0].keys():
                    raise SpecError(f"{at} sets {sorted(canonical)}, the first row sets {sorted(axis[0])}")
                if canonical in axis:
                    raise SpecError(f"{at} is the same as row {axis.index(canonical)}; remove one")
                axis.append(canonical)
            for wire in axis[0]:
                claim(wire, place)
            axes.append(axis)
        if not axes:
            raise SpecError(f"{where} is empty; a design needs at least one factor")
        for factor in table:
            if factor.default is None and factor.wire not in owner:
                raise SpecError(f"{where} says nothing about {factor.wire}, which every scene needs")
        return cls(axes, table)

    @property
    @override
    def count(self) -> int:
        return math.prod(len(axis) for axis in self.axes)

    @override
    def values(self, index: int) -> dict[str, Value]:
        picked: list[Mapping[str, Value]] = []
        for axis in reversed(self.axes):
            index, i = divmod(index, len(axis))
            picked.append(axis[i])
        return {name: value for part in reversed(picked) for name, value in part.items()}

    @override
    def level_counts(self) -> dict[str, dict[Value, int]]:
        counts: dict[str, dict[Value, int]] = {}
        total = self.count
        for axis in self.axes:
            for row in axis:
                for name, value in row.items():
                    per = counts.setdefault(name, {})
                    per[value] = per.get(value, 0) + total // len(axis)
        return counts

    @override
    def where(self, conditions: Sequence[Condition]) -> Factorial:
        axes = self.axes
        for condition in conditions:
            default = self.table[condition.factor].default
            if not any(condition.factor in row for axis in axes for row in axis):
                if default is None or not condition.holds(default):
                    axes = [[] for _ in axes]
                continue
            axes = [
                [row for row in axis if condition.factor not in row or condition.holds(row[condition.factor])]
                for axis in axes
            ]
        return Factorial(axes, self.table)


class Explicit(Design):
    """A list of scenes, written out or left over after a filter."""

    def __init__(self, rows: Sequence[Mapping[str, Value]], table: FactorTable = FACTORS) -> None:
        self.rows = [dict(row) for row in rows]
        self.table = table

    @classmethod
    def of(cls, scenes: Sequence[Mapping[str, Any]], table: FactorTable = FACTORS, where: str = "scenes") -> Explicit:
        """Build from scene objects.

        Raises:
            SpecError: a bad scene, or one that stands twice.
        """
        if not scenes:
            raise SpecError(f"{where} is an empty list; an explicit design needs at least one scene")
        rows: list[dict[str, Value]] = []
        seen: dict[str, int] = {}
        for i, values in enumerate(scenes):
            scene = Scene(values, table, f"{where}[{i}]")
            if scene.scene_id in seen:
                raise SpecError(f"{where}[{i}] is the same scene as {where}[{seen[scene.scene_id]}]; remove one")
            seen[scene.scene_id] = i
            rows.append({table[name].wire: scene[name] for name in values})
        return cls(rows, table)

    @property
    @override
    def count(self) -> int:
        return len(self.rows)

    @override
    def values(self, index: int) -> dict[str, Value]:
        return dict(self.rows[index])

    @override
    def level_counts(self) -> dict[str, dict[Value, int]]:
        names = [f.wire for f in self.table if any(f.wire in row for row in self.rows)]
        counts: dict[str, dict[Value, int]] = {name: {} for name in names}
        for i in range(len(self.rows)):
            row = self.rows[i]
            for name in names:
                value = row.get(name, self.table[name].default)
                assert value is not None
                counts[name][value] = counts[name].get(value, 0) + 1
        return counts

    @override
    def where(self, conditions: Sequence[Condition]) -> Explicit:
        def keep(row: Mapping[str, Value]) -> bool:
            for condition in conditions:
                value = row.get(condition.factor, self.table[condition.factor].default)
                if value is None or not condition.holds(value):
                    return False
            return True

        return Explicit([row for row in self.rows if keep(row)], self.table)


def one_at_a_time(
    reference: Mapping[str, Any],
    vary: Mapping[str, Any],
    table: FactorTable = FACTORS,
    over: Mapping[str, Any] | None = None,
) -> Design:
    """Change one factor at a time around a reference scene; the reference itself comes first.

    Args:
        reference: the scene around which is varied.
        vary: factor → levels; a level equal to the reference's is not repeated.
        table: the factors that are known.
        over: factors that are crossed with the whole set (e.g. every character gets its own star).

    Returns:
        an explicit design, or for ``over`` the product of it with the crossed factors, crossed ones slowest.
    """
    star: list[dict[str, Value]] = []
    base = {table[n].wire: table[n].canonical(v, "reference") for n, v in reference.items()}
    over = over or {}
    names = {table[n].wire for n in over}
    for name in [*base, *(table[n].wire for n in vary)]:
        if name in names:
            raise SpecError(f"over.{name} is crossed with everything, so the star may not set it too")
    # Every row names every factor the star touches, so that rows are complete and linked together.
    for name in vary:
        factor = table[name]
        if factor.wire not in base:
            if factor.default is None:
                raise SpecError(f"vary.{name}: the reference must give {factor.wire}")
            base[factor.wire] = factor.default
    star.append(base)
    for name, levels in vary.items():
        wire = table[name].wire
        for level in check_levels(name, levels, table, "vary"):
            if level != base[wire]:
                star.append({**base, wire: level})
    if over:
        return Factorial.of(over, [star], table, "over")
    return Explicit.of(star, table)
