"""Designs: how a spec becomes scenes. Lazy: counted and indexed without being expanded."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes.factors import FACTORS, FactorTable, Value
from torchmultiverse.scenes.levels import check_levels
from torchmultiverse.scenes.scene import Scene
from torchmultiverse.scenes.where import Condition

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

    @property
    def drawn(self) -> bool:
        """Whether how often each level occurs is known only when all scenes are made."""
        return False

    def first_uses(self) -> dict[str, dict[Value, int]]:
        """Return what `level_counts` does, levels in the order of their first scenes."""
        return self.level_counts()

    def part(self, indices: NDArray[np.int64]) -> Explicit:
        """Return the scenes at some indices as a table, in this order."""
        return Explicit.of_rows([self.values(index) for index in indices.tolist()], self.table)

    def places(self, table: Explicit) -> NDArray[np.int64]:
        """Return for each scene of a table its index in this design, or -1, int64."""
        found = np.full(table.count, -1, np.int64)
        for indices in parts_of(self):
            here = self.part(indices).places(table)
            found[here >= 0] = indices[here[here >= 0]]
        return found

    @property
    def sent(self) -> list[str]:
        """Wire names of those that an engine is told: all but the labels."""
        return [name for name in self.factors if not self.table[name].label]

    def levels(self) -> Levels:
        """Return the levels of each factor the design mentions, in order of first use."""
        return {name: list(counts) for name, counts in self.level_counts().items()}


MOST_PROBLEMS = 20
"""Lines that say what is wrong with a spec at once."""


class Factorial(Design):
    """The full product of its axes; the first axis changes slowest.

    An axis is a list of partial assignments: one factor's levels, or several factors that change
    together (linked), such as a position pair with its texture pair.

    >>> design = Factorial.of({"World_Name": ["Desert", "Snow"], "Camera_Yaw": {"from": 0, "to": 360, "count": 4}})
    >>> len(design), design.levels()["Camera_Yaw"], design.level_counts()["World_Name"]
    (8, [0, 90, 180, 270], {'Desert': 4, 'Snow': 4})
    >>> design[5]
    Scene({"Camera_Yaw":90,"World_Name":"Snow"})
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
            SpecError: bad levels, a line for each factor that has some, or a factor that two axes set.
        """
        axes: list[list[dict[str, Value]]] = []
        owner: dict[str, str] = {}

        def claim(wire: str, place: str) -> None:
            if wire in owner:
                raise SpecError(f"{place} sets {wire}, which {owner[wire]} sets already")
            owner[wire] = place

        problems = []
        for name, levels in factors.items():
            try:
                wire = table[name].wire
                claim(wire, f"{where}.{name}")
                axes.append([{wire: level} for level in check_levels(name, levels, table, where)])
            except SpecError as error:
                problems.append(str(error))
        if problems:
            raise SpecError("\n".join(problems[:MOST_PROBLEMS]))
        for a, rows in enumerate(linked):
            place = f"linked[{a}]"
            if not rows:
                raise SpecError(f"{place} is empty; a linked axis needs at least one row")
            axis: list[dict[str, Value]] = []
            seen: dict[tuple[tuple[str, Value], ...], int] = {}
            for r, row in enumerate(rows):
                at = f"{place}[{r}]"
                canonical = {table[n].wire: table[n].canonical(v, at) for n, v in row.items()}
                if axis and canonical.keys() != axis[0].keys():
                    raise SpecError(f"{at} sets {sorted(canonical)}, the first row sets {sorted(axis[0])}")
                key = tuple(sorted(canonical.items()))
                if key in seen:
                    raise SpecError(f"{at} is the same as row {seen[key]}; remove one")
                seen[key] = r
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

    @property
    @override
    def factors(self) -> list[str]:
        return [name for axis in self.axes for name in (axis[0] if axis else ())]

    @override
    def part(self, indices: NDArray[np.int64]) -> Explicit:
        places = []
        rest = np.array(indices, np.int64 if self.count < 2**63 else object)
        for axis in reversed(self.axes):
            rest, place = rest // len(axis), rest % len(axis)
            places.append(place.astype(np.int64))
        return self.at_rows(places[::-1])

    def at_rows(self, places: Sequence[NDArray[np.integer[Any]]]) -> Explicit:
        """Return a table of the scenes at some rows of each axis."""
        levels: dict[str, list[Value]] = {}
        codes: dict[str, NDArray[np.int32]] = {}
        for axis, place in zip(self.axes, places, strict=True):
            for name in axis[0]:
                places_of: dict[Value, int] = {}
                code = np.array([places_of.setdefault(row[name], len(places_of)) for row in axis], np.int32)
                levels[name], codes[name] = list(places_of), code[place]
        return Explicit(levels, codes, self.table)

    def rows_of(self, table: Explicit) -> list[NDArray[np.int64]]:
        """Return for each axis which of its rows each scene of a table has; -1 for scenes that are none of these."""
        strange = np.zeros(table.count, bool)
        for name in table.factors:
            if name not in self.factors:
                strange |= ~table.matches([Condition(name, "in", (self._default(name),))])
        found = []
        for axis in self.axes:
            names = list(axis[0])
            codes = np.stack([table.column(name)[1] for name in names], 1).astype(np.int64)
            levels = [table.column(name)[0] for name in names]
            seen, inverse = _unique_rows(codes, [len(per) for per in levels])
            known = {tuple(row[name] for name in names): place for place, row in enumerate(axis)}
            rows = [known.get(tuple(per[c] for per, c in zip(levels, row, strict=True)), -1) for row in seen.tolist()]
            found.append(np.where(strange, -1, np.array(rows, np.int64)[inverse]))
        return found

    def _default(self, name: str) -> Value:
        default = self.table[name].default
        return "" if default is None else default  # which no scene has

    @override
    def places(self, table: Explicit) -> NDArray[np.int64]:
        found = np.zeros(table.count, np.int64)
        lacking = np.zeros(table.count, bool)
        for axis, rows in zip(self.axes, self.rows_of(table), strict=True):
            found = found * len(axis) + rows
            lacking |= rows < 0
        return np.where(lacking, -1, found)

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
        check_tests(len(conditions), sum(map(len, axes)), "levels", MOST_TESTED // 100)
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
    """A table of scenes: written out, drawn at random, or left over after a filter.

    Args:
        levels: wire name → the levels that occur.
        codes: wire name → for each scene the place of its level among them, integers (count,).
        table: the factors that are known.
    """

    def __init__(
        self,
        levels: Mapping[str, Sequence[Value]],
        codes: Mapping[str, NDArray[np.integer[Any]]],
        table: FactorTable = FACTORS,
    ) -> None:
        self._levels = {name: list(values) for name, values in levels.items()}
        self._codes = {name: np.asarray(codes[name], np.int32) for name in levels}
        self.table = table

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, Value]], table: FactorTable = FACTORS) -> Explicit:
        """Build from assignments by wire name, in canonical form; what a row does not say is at its default."""
        named = {name for row in rows for name in row}
        levels: dict[str, list[Value]] = {}
        codes: dict[str, NDArray[np.int32]] = {}
        for factor in table:
            if factor.wire in named:
                places: dict[Value, int] = {}
                values = (row.get(factor.wire, factor.default) for row in rows)
                found = [places.setdefault(value, len(places)) for value in values if value is not None]
                levels[factor.wire], codes[factor.wire] = list(places), np.array(found, np.int32)
        return cls(levels, codes, table)

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
        return cls.of_rows(rows, table)

    @property
    @override
    def count(self) -> int:
        return len(next(iter(self._codes.values()), ()))

    @override
    def values(self, index: int) -> dict[str, Value]:
        return {name: levels[self._codes[name][index]] for name, levels in self._levels.items()}

    @override
    def level_counts(self) -> dict[str, dict[Value, int]]:
        counts: dict[str, dict[Value, int]] = {}
        for name, levels in self._levels.items():
            found = np.bincount(self._codes[name], minlength=len(levels)).tolist()
            counts[name] = {level: n for level, n in zip(levels, found, strict=True) if n}
        return counts

    @property
    @override
    def factors(self) -> list[str]:
        return list(self._levels)

    @override
    def first_uses(self) -> dict[str, dict[Value, int]]:
        return self.renumbered().level_counts()

    def renumbered(self) -> Explicit:
        """Return the same scenes with levels in the order of their first scenes, and no others."""
        levels, codes = {}, {}
        for name, values in self._levels.items():
            used, first, inverse = np.unique(self._codes[name], return_index=True, return_inverse=True)
            order = np.argsort(first)
            rank = np.empty(len(used), np.int32)
            rank[order] = np.arange(len(used))
            levels[name], codes[name] = [values[code] for code in used[order].tolist()], rank[inverse]
        return Explicit(levels, codes, self.table)

    def ordered(self) -> Explicit:
        """Return the same scenes with factors in the order of the table."""
        names = [factor.wire for factor in self.table if factor.wire in self._levels]
        return Explicit({name: self._levels[name] for name in names}, self._codes, self.table)

    def replaced(
        self, levels: Mapping[str, Sequence[Value]], codes: Mapping[str, NDArray[np.integer[Any]]]
    ) -> Explicit:
        """Return the scenes with other levels of some factors."""
        return Explicit({**self._levels, **levels}, {**self._codes, **codes}, self.table)

    def repeats(self) -> bool:
        """Whether some scene stands twice."""
        return len(self._different()[0]) < self.count

    def _different(self) -> tuple[NDArray[np.integer[Any]], NDArray[np.int64]]:
        columns = np.stack([self._codes[name] for name in self._levels], 1)
        return _unique_rows(columns, [len(per) for per in self._levels.values()])

    def column(self, name: str) -> tuple[list[Value], NDArray[np.int32]]:
        """Return a factor's levels and each scene's place among them; of one that is not there, its default."""
        if name in self._levels:
            return self._levels[name], self._codes[name]
        default = self.table[name].default
        return ["" if default is None else default], np.zeros(self.count, np.int32)

    @override
    def part(self, indices: NDArray[np.int64]) -> Explicit:
        return self.take(indices)

    @override
    def places(self, table: Explicit) -> NDArray[np.int64]:
        every = joined([self, table])
        _, keys = every._different()
        place = np.full(int(keys.max(initial=-1)) + 1, -1, np.int64)
        place[keys[: self.count][::-1]] = np.arange(self.count)[::-1]  # of equal scenes the first
        return place[keys[self.count :]]

    @override
    def where(self, conditions: Sequence[Condition]) -> Explicit:
        check_tests(len(conditions), self.count, "scenes")
        return self.take(np.flatnonzero(self.matches(conditions)))

    def take(self, indices: NDArray[np.integer[Any]]) -> Explicit:
        """Return some of the scenes, in this order."""
        return Explicit(self._levels, {name: codes[indices] for name, codes in self._codes.items()}, self.table)

    def matches(self, conditions: Sequence[Condition]) -> NDArray[np.bool_]:
        """Return for each scene whether all conditions hold, (count,)."""
        keep = np.ones(self.count, bool)
        for condition in conditions:
            name = condition.factor
            if name in self._levels:
                passes = np.array([condition.holds(level) for level in self._levels[name]])
                keep &= passes[self._codes[name]]
            else:
                default = self.table[name].default
                keep &= default is not None and condition.holds(default)
        return keep


MOST_EXPANDED = 5_000_000
"""Scenes up to which a design is held as a table."""
MOST_AT_ONCE = 50_000
"""Scenes up to which a table is made when its spec is read; a larger one is made when it is needed."""
MOST_TESTED = 300_000_000
"""Conditions × scenes that are tested."""


class LazyDesign(Design):
    """A table of scenes that is counted at once and made when a scene, or how often each level occurs, is asked for.

    Args:
        count: of its scenes.
        make: makes it.
        table: the factors that are known.
    """

    def __init__(self, count: int, make: Callable[[], Explicit], table: FactorTable) -> None:
        self._count = count
        self._make = make
        self.table = table

    @cached_property
    def explicit(self) -> Explicit:
        """The table.

        Raises:
            SpecError: it is too large.
        """
        check_size(self._count)
        return self._make()

    @property
    @override
    def count(self) -> int:
        return self._count

    @override
    def values(self, index: int) -> dict[str, Value]:
        return self.explicit.values(index)

    @override
    def level_counts(self) -> dict[str, dict[Value, int]]:
        return self.explicit.level_counts()

    @property
    @override
    def factors(self) -> list[str]:
        return self.explicit.factors

    @property
    @override
    def drawn(self) -> bool:
        return True

    @override
    def first_uses(self) -> dict[str, dict[Value, int]]:
        return self.explicit.first_uses()

    @override
    def part(self, indices: NDArray[np.int64]) -> Explicit:
        return self.explicit.take(indices)

    @override
    def places(self, table: Explicit) -> NDArray[np.int64]:
        return self.explicit.places(table)

    @override
    def where(self, conditions: Sequence[Condition]) -> Explicit:
        return self.explicit.where(conditions)


def lazy_design(count: int, make: Callable[[], Explicit], table: FactorTable) -> Design:
    """Return a table of scenes: made now if it is small, else when it is needed."""
    return make() if count <= MOST_AT_ONCE else LazyDesign(count, make, table)


def check_tests(conditions: int, count: int, what: str, most: int = MOST_TESTED) -> None:
    """Check that so many conditions on so many scenes take no more than a moment.

    Raises:
        SpecError: they would.
    """
    if conditions * count > most:
        raise SpecError(
            f"{conditions:,} conditions on {count:,} {what} are too many: {most:,} tests at most. "
            "Several levels go into one condition: World_Name in (Desert, Snow)"
        )


def check_size(count: int, most: int = MOST_EXPANDED) -> None:
    """Check that so many scenes can be made at once.

    Raises:
        SpecError: there are too many for that.
    """
    if count > most:
        raise SpecError(f"a design of {count:,} scenes is too large for this; at most {most:,}")


def expanded(design: Design) -> Explicit:
    """Return a design as a table of its scenes.

    Raises:
        SpecError: it is too large for that.

    >>> table = expanded(Factorial.of({"World_Name": ["Desert", "Snow"], "Camera_Yaw": [0, 90]}))
    >>> [scene["Camera_Yaw"] for scene in table.take(np.array([3, 0]))]
    [90, 0]
    """
    if isinstance(design, Explicit):
        return design
    if isinstance(design, LazyDesign):
        return design.explicit
    check_size(design.count)
    return design.part(np.arange(design.count))


def joined(tables: Sequence[Explicit]) -> Explicit:
    """Return the scenes of some tables, one after the other."""
    if len(tables) == 1:
        return tables[0]
    named = {name for table in tables for name in table.factors}
    levels: dict[str, list[Value]] = {}
    codes: dict[str, NDArray[np.int32]] = {}
    for factor in tables[0].table:
        if factor.wire in named:
            places: dict[Value, int] = {}
            columns = []
            for table in tables:
                here, code = table.column(factor.wire)
                columns.append(np.array([places.setdefault(level, len(places)) for level in here], np.int32)[code])
            levels[factor.wire], codes[factor.wire] = list(places), np.concatenate(columns)
    return Explicit(levels, codes, tables[0].table)


def parts_of(design: Design, size: int = 65_536) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of all scenes of a design, some at a time."""
    for start in range(0, design.count, size):
        yield np.arange(start, min(start + size, design.count))


def merged_counts(parts: Iterable[Mapping[str, Mapping[Value, int]]]) -> dict[str, dict[Value, int]]:
    """Return the sums of level counts of parts of a design."""
    counts: dict[str, dict[Value, int]] = {}
    for part in parts:
        for name, per in part.items():
            total = counts.setdefault(name, {})
            for level, n in per.items():
                total[level] = total.get(level, 0) + n
    return counts


def _unique_rows(
    codes: NDArray[np.integer[Any]], sizes: Sequence[int]
) -> tuple[NDArray[np.integer[Any]], NDArray[np.int64]]:
    """Return the different rows of codes, (rows, columns), and for each row which of them it is.

    Args:
        codes: (count, columns), each below its column's size.
        sizes: of the columns.
    """
    keys = np.zeros(len(codes), np.int64)
    most = 1
    for column, size in zip(codes.T, sizes, strict=True):
        if most * size >= 2**62:
            keys = np.unique(keys, return_inverse=True)[1]
            most = len(codes)
        keys, most = keys * size + column, most * size
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return codes[first], inverse
