"""Designs: how a spec becomes scenes. Lazy: counted and indexed without being expanded."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.scenes.factors import FACTORS, Factor, FactorTable, Value
from torchmultiverse.scenes.scene import Scene
from torchmultiverse.scenes.where import Condition

Levels = dict[str, list[Value]]
MOST_STEPS = 100_000
"""Levels of a range."""
_RANGE = ("from", "to", "step", "count")


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
    def sent(self) -> list[str]:
        """Wire names of those that an engine is told: all but the labels."""
        return [name for name in self.factors if not self.table[name].label]

    def levels(self) -> Levels:
        """Return the levels of each factor the design mentions, in order of first use."""
        return {name: list(counts) for name, counts in self.level_counts().items()}


def check_levels(name: str, levels: Any, table: FactorTable, where: str) -> list[Value]:
    """Return a factor's levels in canonical form.

    Raises:
        SpecError: not a list, empty, a duplicate, or a level that the factor cannot take.
    """
    factor = table[name]
    if isinstance(levels, Mapping):
        levels = steps(factor, levels, f"{where}.{name}")
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


def steps(factor: Factor, span: Mapping[str, Any], where: str) -> list[float]:
    """Return the levels of a range: ``{"from": 0, "to": 360, "step": 45}``, or ``"count": 8`` instead of a step.

    The end belongs to it, except on a full turn, where it is the beginning again.

    Raises:
        SpecError: not a number's range, or not one that can be walked.

    >>> from torchmultiverse.scenes import FACTORS
    >>> steps(FACTORS["Camera_Yaw"], {"from": 0, "to": 360, "step": 90}, "here")
    [0.0, 90.0, 180.0, 270.0]
    """
    low, high = ends(factor, span, where)
    turn = factor.period is not None and high > low and (high - low) % factor.period == 0
    if ("step" in span) == ("count" in span):
        raise SpecError(f"{where} = {dict(span)}: give either 'step' or 'count'")
    if "step" in span:
        step = span["step"]
        if isinstance(step, bool) or not isinstance(step, int | float) or not 0 < step <= 1e300:
            raise SpecError(f"{where}.step = {step!r}: a number above 0 is needed")
        count = math.floor((high - low) / step + 1e-9) + 1
        if count > MOST_STEPS:
            raise SpecError(f"{where}: {count:,} levels; at most {MOST_STEPS:,}")
        values = [low + k * step for k in range(count)]
        if turn and math.isclose(values[-1], high):
            values.pop()
    else:
        count = span["count"]
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_STEPS:
            raise SpecError(f"{where}.count = {count!r}: a whole number from 1 to {MOST_STEPS:,} is needed")
        values = np.linspace(low, high, count, endpoint=not turn).tolist()
    return [round(value, 9) for value in values]


def ends(factor: Factor, span: Mapping[str, Any], where: str) -> tuple[float, float]:
    """Return both ends of a range.

    Raises:
        SpecError: no number, an end that is missing or out of range, or a key that means nothing.
    """
    if factor.kind != "number":
        raise SpecError(f"{where}: {factor.wire} is no number, so it has no range; write a list of levels")
    if unknown := sorted(set(span) - {"from", "to", "step", "count"}):
        raise SpecError(f"{where}: '{unknown[0]}' means nothing in a range.{nearest(unknown[0], _RANGE)}")
    found = []
    for end in ("from", "to"):
        if end not in span:
            raise SpecError(f"{where} = {dict(span)}: '{end}' is missing")
        factor.canonical(span[end], f"{where}.{end}")
        found.append(float(span[end]))
    if found[0] > found[1]:
        raise SpecError(f"{where}: from {found[0]:g} to {found[1]:g} runs backwards")
    return found[0], found[1]


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

    def identities(self) -> list[tuple[tuple[str, Value], ...]]:
        """Return for each scene what tells it from all others, whatever design it is in."""
        parts: list[list[tuple[str, Value] | None]] = []
        for name in sorted(self._levels):
            default = self.table[name].default
            entries = [None if level == default else (name, level) for level in self._levels[name]]
            parts.append([entries[code] for code in self._codes[name].tolist()])
        return [tuple(part for part in row if part is not None) for row in zip(*parts, strict=True)]


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


def check_size(count: int) -> None:
    """Check that a table of so many scenes can be made.

    Raises:
        SpecError: it is too large for that.
    """
    if count > MOST_EXPANDED:
        raise SpecError(f"a design of {count:,} scenes is too large for this; at most {MOST_EXPANDED:,}")


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
    if not isinstance(design, Factorial):
        return Explicit.of_rows([design.values(index) for index in range(design.count)], design.table)
    levels: dict[str, list[Value]] = {}
    codes: dict[str, NDArray[np.int32]] = {}
    places = np.unravel_index(np.arange(design.count), [len(axis) for axis in design.axes])
    for axis, place in zip(design.axes, places, strict=True):
        for name in axis[0]:
            places_of: dict[Value, int] = {}
            code = np.array([places_of.setdefault(row[name], len(places_of)) for row in axis], np.int32)
            levels[name], codes[name] = list(places_of), code[place]
    return Explicit(levels, codes, design.table)


def union(designs: Sequence[Design]) -> Explicit:
    """Return all scenes of some designs, in their order, each once."""
    rows = [(key, design.values(i)) for design in designs for i, key in enumerate(expanded(design).identities())]
    first = dict(reversed(rows))  # of equal scenes the first stays
    kept = [first.pop(key) for key, _ in rows if key in first]
    return Explicit.of_rows(kept, designs[0].table)


def difference(design: Design, minus: Sequence[Design]) -> Explicit:
    """Return the scenes of a design that are in none of some others."""
    gone = {key for other in minus for key in expanded(other).identities()}
    whole = expanded(design)
    return whole.take(np.array([i for i, key in enumerate(whole.identities()) if key not in gone], np.int64))


def constrained(
    design: Design, only: Sequence[Sequence[Condition]] = (), exclude: Sequence[Sequence[Condition]] = ()
) -> Design:
    """Return the scenes for which one of ``only`` holds, if there are any, and none of ``exclude``.

    Each entry is a list of conditions that hold together.
    """
    if not only and not exclude:
        return design
    check_tests(sum(len(entry) for entry in (*only, *exclude)), design.count, "scenes")
    whole = expanded(design)
    keep = np.zeros(whole.count, bool) if only else np.ones(whole.count, bool)
    for entry in only:
        keep |= whole.matches(entry)
    for entry in exclude:
        keep &= ~whole.matches(entry)
    return whole.take(np.flatnonzero(keep))


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

    >>> reference = {"World_Name": "Desert", "Character_Name": "Zebra"}
    >>> star = one_at_a_time(reference, {"Camera_Yaw": [0, 90], "World_Name": ["Snow"]})
    >>> [scene["World_Name"] for scene in star], [scene["Camera_Yaw"] for scene in star]
    (['Desert', 'Desert', 'Snow'], [0, 90, 0])
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


def subsets(
    parts: Mapping[str, tuple[str, Any, Mapping[str, Any]]],
    reference: Mapping[str, Any],
    table: FactorTable = FACTORS,
    over: Mapping[str, Any] | None = None,
    linked: Sequence[Sequence[Mapping[str, Any]]] = (),
) -> Factorial:
    """Change one factor at a time, with all levels of each in a subset of its own, as PUG: ImageNet does.

    Unlike in `one_at_a_time`, the reference's level is there once for each factor: every subset is whole by itself.
    The label ``Subset`` says which one a scene belongs to.

    Args:
        parts: name of the subset → the factor, its levels, and what is otherwise than in the reference.
        reference: the scene around which is varied.
        table: the factors that are known.
        over, linked: factors and linked factors that are crossed with all subsets.
    """
    base = {table[n].wire: table[n].canonical(v, "reference") for n, v in reference.items()}
    star: list[dict[str, Value]] = []
    for name, (factor, levels, instead) in parts.items():
        here = base | {table[n].wire: table[n].canonical(v, f"subsets.{name}") for n, v in instead.items()}
        wire = table[factor].wire
        for level in check_levels(factor, levels, table, f"subsets.{name}"):
            star.append({**here, wire: level, "Subset": name})
    named = [f.wire for f in table if any(f.wire in row for row in star)]
    for row in star:
        for wire in named:
            default = table[wire].default
            if default is None and wire not in row:
                raise SpecError(f"subsets.{row['Subset']}: the reference must give {wire}")
            row.setdefault(wire, default if default is not None else "")
    return Factorial.of(over or {}, [*linked, star], table, "over")
