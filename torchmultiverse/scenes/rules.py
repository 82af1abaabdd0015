"""Which scenes of a factorial a rule takes, read axis by axis: filters, and being in another factorial.

A rule is a formula over *entries*, lists of tests that hold together. All that has to be known of what was read of a
scene is which entries have not failed yet: a few bits, whatever the size of the factorial (a decision diagram).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from torchmultiverse.scenes.factors import FactorTable, Value
from torchmultiverse.scenes.where import Condition

Axis = Sequence[Mapping[str, Value]]
_MOST_ENTRIES = 20_000


class NotByAxes(Exception):
    """A rule that is too large to be read axis by axis; the scenes are looked at one by one instead."""


@dataclass(frozen=True)
class Among:
    """A test of several factors together: whether their values are one of some rows."""

    names: tuple[str, ...]
    rows: frozenset[tuple[Value, ...]]


Test = Condition | Among


@dataclass(frozen=True)
class Rule:
    """A formula: ``any`` of some entries, ``all`` of some rules, or ``not`` a rule."""

    kind: Literal["any", "all", "not"]
    parts: tuple[Rule, ...] = ()
    entries: tuple[tuple[Test, ...], ...] = ()


def filters(only: Sequence[Sequence[Condition]], exclude: Sequence[Sequence[Condition]]) -> Rule:
    """Return the rule that one of ``only`` holds, if there are any, and none of ``exclude``."""
    kept = [Rule("any", entries=tuple(map(tuple, only)))] if only else []
    gone = [Rule("not", (Rule("any", entries=tuple(map(tuple, exclude))),))] if exclude else []
    return Rule("all", (*kept, *gone))


def member(axes: Sequence[Axis], varied: Sequence[str], table: FactorTable) -> Rule:
    """Return the rule that a scene, of which ``varied`` factors are told, is one of a factorial with these axes."""
    tests: list[Test] = []
    for axis in axes:
        names = tuple(axis[0])
        tests.append(Among(names, frozenset(tuple(row[name] for name in names) for row in axis)))
    for name in varied:
        default = table[name].default
        if default is not None and not any(name in axis[0] for axis in axes):
            tests.append(Condition(name, "in", (default,)))
    return Rule("any", entries=(tuple(tests),))


def tests_of(rule: Rule) -> list[Test]:
    """Return all tests of a rule."""
    return [test for entry in rule.entries for test in entry] + [test for part in rule.parts for test in tests_of(part)]


class Reader:
    """A rule, read along the axes of a factorial.

    A state is a number, one bit for each entry that has not failed; `start` is the first, `step` gives the next.

    Args:
        rule: of which scenes are taken.
        axes: of the factorial; none is empty.
        table: the factors that are known, for those at their defaults.

    Raises:
        NotByAxes: a test spreads over several axes and has too many rows.
    """

    def __init__(self, rule: Rule, axes: Sequence[Axis], table: FactorTable) -> None:
        self._axis = {name: place for place, axis in enumerate(axes) for name in axis[0]}
        self._axes, self._table = axes, table
        self._failing: list[list[int]] = [[0] * len(axis) for axis in axes]
        self._last: list[int] = []  # of each bit: the last axis that its entry asks for
        self._begin = 0
        self._tree = self._compiled(rule)
        every = (1 << len(self._last)) - 1
        self._passing = [[every & ~failing for failing in axis] for axis in self._failing]
        self._done = [
            sum(1 << bit for bit, last in enumerate(self._last) if last < place) for place in range(len(axes) + 1)
        ]
        self.start = self._settled(self._begin, 0)
        """The first state, or whether all scenes are taken, or none."""

    def passing(self, place: int) -> list[int]:
        """Return for each row of an axis what it leaves of a state; rows of which it is the same are alike."""
        return self._passing[place]

    def step(self, state: int, place: int, passing: int) -> int | bool:
        """Return the state after a row of an axis, or whether all scenes that go on from here are taken, or none."""
        return self._settled(state & passing, place + 1)

    def _compiled(self, rule: Rule) -> Any:
        if rule.kind != "any":
            return rule.kind, [self._compiled(part) for part in rule.parts]
        bits = 0
        for entry in rule.entries:
            for tests in self._expanded(entry):
                if (last := self._place(tests, len(self._last))) is not None:
                    bits |= 1 << len(self._last)
                    self._last.append(last)
                    if len(self._last) > _MOST_ENTRIES:
                        raise NotByAxes
        true = 1 << len(self._last)  # the bit that says so once one of the entries holds
        self._last.append(len(self._axes) + 1)
        self._begin |= bits
        return "any", bits, true

    def _expanded(self, entry: Sequence[Test]) -> list[list[Test]]:
        """Return entries that hold together where this one does, each with tests of one axis."""
        choices: list[list[list[Test]]] = []
        count = 1
        for test in entry:
            if isinstance(test, Condition) or len({self._axis.get(name) for name in test.names} - {None}) < 2:
                choices.append([[test]])
            else:
                rows: list[list[Test]] = [
                    [Condition(name, "in", (value,)) for name, value in zip(test.names, row, strict=True)]
                    for row in sorted(test.rows, key=repr)
                ]
                choices.append(rows)
                count *= len(rows)
        if count > _MOST_ENTRIES:
            raise NotByAxes
        return [[test for tests in chosen for test in tests] for chosen in product(*choices)]

    def _place(self, tests: Sequence[Test], bit: int) -> int | None:
        """Note where the tests of an entry fail; return the last axis that they ask for, ``None`` if it never holds."""
        asked: list[tuple[int, Test, dict[str, Any]]] = []
        for test in tests:
            names = (test.factor,) if isinstance(test, Condition) else test.names
            place = next((self._axis[name] for name in names if name in self._axis), None)
            fixed: dict[str, Any] = {name: self._table[name].default for name in names if name not in self._axis}
            if place is not None:
                asked.append((place, test, fixed))
            elif None in fixed.values() or not _holds(test, fixed):
                return None
        for place, test, fixed in asked:
            failing = self._failing[place]
            for number, row in enumerate(self._axes[place]):
                if not _holds(test, {**fixed, **row} if fixed else row):
                    failing[number] |= 1 << bit
        last = max((place for place, _, _ in asked), default=-1)
        return last

    def _settled(self, state: int, place: int) -> int | bool:
        verdict, left = _verdict(self._tree, state, self._done[place])
        return left if verdict is None else verdict


def _holds(test: Test, row: Mapping[str, Any]) -> bool:
    if isinstance(test, Condition):
        return test.holds(row[test.factor])
    return tuple(row[name] for name in test.names) in test.rows


def _verdict(tree: Any, state: int, done: int) -> tuple[bool | None, int]:
    """Return whether a rule holds, ``None`` where that is not known yet, and the bits of the state that say it."""
    if tree[0] == "any":
        _, bits, true = tree
        if state & (bits & done | true):
            return True, true
        return (None, state & bits) if state & bits else (False, 0)
    found = [_verdict(part, state, done) for part in tree[1]]
    if tree[0] == "not":
        verdict, left = found[0]
        return None if verdict is None else not verdict, left
    for verdict, left in found:
        if verdict is False:
            return False, left
    known = all(verdict for verdict, _ in found)
    left = 0
    for _, bits in found:
        left |= bits
    return (True if known else None), left
