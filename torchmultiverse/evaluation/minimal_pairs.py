"""True 2 × 2 minimal pairs of rendered pictures: two scenes that differ in one thing alone, and a caption of each.

Two pictures that differ in nothing but one factor (or in that two objects changed places, surfaces or sizes), with the
same world, light and camera, and two captions made of the same template: what tells the captions apart is in the
pictures, and nothing else is. Whatever dataset has its factors combined has such pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from string import Formatter
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from typing_extensions import override

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation.protocol import Protocol
from torchmultiverse.evaluation.strict import StrictModel
from torchmultiverse.evaluation.task import Task, joined
from torchmultiverse.scenes import spoken
from torchmultiverse.store import factor_table

_LEVELS = 8
"""Numbers of more than so many values are shown by quarters of the pictures."""


class MinimalTask(StrictModel):
    """One thing that is changed.

    Attributes:
        task, title: its name in results, and for people.
        caption: template over columns, such as ``a {character_name} to the left of a {character2_name}``.
        factor: the column in which the two pictures differ.
        exchange: or columns whose values are exchanged, by twos; those that a dataset lacks are left out.
        words: column → level → how captions call it; levels without a word take no part.
        only: column → levels that take part.
    """

    task: str
    title: str
    caption: str
    factor: str | None = None
    exchange: tuple[tuple[str, str], ...] = ()
    words: dict[str, dict[str, str]] = Field(default_factory=dict)
    only: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _changes_one_thing(self) -> Self:
        if (self.factor is None) == (not self.exchange):
            raise ValueError("either factor or exchange says in what two pictures differ")
        return self

    @property
    def slots(self) -> list[str]:
        """The columns that captions name."""
        return [name for _, name, _, _ in Formatter().parse(self.caption) if name]


class MinimalPairsProtocol(Protocol):
    """Pictures that differ in one thing, by what is changed.

    Attributes:
        names: ``spoken`` writes columns as people do (``GiantTortoise`` → ``giant tortoise``); ``raw`` as they are.
        split: only pictures of this split; all where the dataset has no splits.
        difficulty: columns of numbers or words by which results are broken down, where the dataset has them.
        cluster: columns whose values, in any order, name a cluster.
        tasks: what is changed.
    """

    kind: Literal["minimal_pairs"]
    names: Literal["spoken", "raw"] = "spoken"
    split: str | None = None
    difficulty: tuple[str, ...] = ()
    cluster: tuple[str, ...] = ()
    tasks: tuple[MinimalTask, ...] = Field(min_length=1)

    @override
    def compile(self, columns: Mapping[str, NDArray[Any]]) -> list[Task]:
        found = [task for asked in self.tasks if (task := self._task(asked, columns)) is not None]
        if not found:
            if self._no_split(columns):
                there = ", ".join(np.unique(columns["split"].astype(str)).tolist()) or "none"
                raise DatasetError(
                    f"protocol '{self.name}': no picture is of split '{self.split}', all are of {there}; a spec says "
                    "which scenes are of a split, and render --limit takes the first scenes alone"
                )
            wanted = sorted({name for asked in self.tasks for name in asked.slots})
            raise DatasetError(
                f"protocol '{self.name}': no two pictures differ in one thing alone that it asks about; their factors "
                f"must be combined, and have the columns {', '.join(wanted)}"
            )
        return found

    def _no_split(self, columns: Mapping[str, NDArray[Any]]) -> bool:
        """Whether the dataset has splits, and no picture of the one that is asked about."""
        return self.split is not None and "split" in columns and self.split not in columns["split"].astype(str)

    def _task(self, asked: MinimalTask, columns: Mapping[str, NDArray[Any]]) -> Task | None:
        """Return the task of one change; ``None`` where the dataset has no such pairs."""
        exchange = [pair for pair in asked.exchange if columns.keys() >= set(pair)]
        needed = {*asked.slots, *([asked.factor] if asked.factor else [])}
        if not columns.keys() >= needed or (asked.exchange and not exchange):
            return None
        rows = self._rows(asked, columns)
        said = self._captions(asked, columns, rows)
        words = {name: _words(columns[name]) for name in factor_table(columns).column_names if name in columns}
        pairs = _told_apart(_pairs(words, rows, asked.factor, exchange), said)
        return self._asked(asked, columns, np.array(pairs, np.int64).ravel(), said) if pairs else None

    def _asked(
        self, asked: MinimalTask, columns: Mapping[str, NDArray[Any]], flat: NDArray[np.int64], said: Mapping[int, str]
    ) -> Task:
        """Return the task of pairs, whose rows follow each other."""
        candidates = tuple(sorted({said[row] for row in flat.tolist()}))
        place = {text: number for number, text in enumerate(candidates)}
        labels = np.array([place[said[row]] for row in flat.tolist()], np.int64)
        swapped = np.arange(len(flat)) ^ 1
        known = [name for name in self.difficulty if name in columns]
        return Task(
            name=asked.task, title=asked.title, rows=flat, candidates=candidates, labels=labels,
            negatives=labels[swapped], partners=swapped, metrics=("hard_negative", "winoground"),
            clusters=joined([columns[name][flat] for name in self.cluster if name in columns], ordered=False),
            factors={name: (_binned(columns[name][flat]),) for name in known}, exclude_identical=True,
            eligible=len(flat),
        )  # fmt: skip

    def _rows(self, asked: MinimalTask, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
        keep = np.ones(len(next(iter(columns.values()))), bool)
        if self.split is not None and "split" in columns:
            keep &= columns["split"].astype(str) == self.split
        for name, levels in asked.only.items():
            keep &= np.isin(_words(columns[name]).astype(str), levels) if name in columns else False
        for name in ("character_name", "character2_name"):
            if name in asked.slots:
                keep &= columns[name].astype(str) != "blank"
        return np.flatnonzero(keep)

    def _captions(
        self, asked: MinimalTask, columns: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]
    ) -> dict[int, str]:
        """Return the caption of each row whose levels have words."""
        said: dict[int, str] = {}
        values = {name: _words(columns[name]) for name in asked.slots}
        for row in rows.tolist():
            words: dict[str, str] = {}
            for name in asked.slots:
                level = str(values[name][row])
                own = asked.words.get(name)
                words[name] = own.get(level, "") if own else spoken(level) if self.names == "spoken" else level
            if all(words.values()):
                said[row] = asked.caption.format(**words)
        return said


def _told_apart(pairs: Iterable[tuple[int, int]], said: Mapping[int, str]) -> list[tuple[int, int]]:
    """Return the pairs whose pictures have captions, and different ones."""
    return [(one, two) for one, two in pairs if said.get(one) and said.get(two) and said[one] != said[two]]


def _words(column: NDArray[Any]) -> NDArray[np.object_]:
    """Return values as words; whole numbers have no point."""
    if column.dtype.kind in "fiu":
        return np.array([f"{value:g}" for value in column.tolist()], object)
    return np.array([str(value) for value in column.tolist()], object)


def _pairs(
    words: Mapping[str, NDArray[Any]], rows: NDArray[np.int64], factor: str | None,
    exchange: Sequence[tuple[str, str]],
) -> Iterator[tuple[int, int]]:  # fmt: skip
    """Yield the rows of two pictures that differ in one thing alone, the earlier one first.

    Of pictures that differ in nothing, the first counts.
    """
    changing = [factor] if factor else [name for pair in exchange for name in pair]
    if any(name not in words for name in changing):
        return
    rest = [name for name in words if name not in changing]
    groups: dict[tuple[Any, ...], dict[tuple[Any, ...], int]] = {}
    for row in rows.tolist():
        own = tuple(words[name][row] for name in changing)
        groups.setdefault(tuple(words[name][row] for name in rest), {}).setdefault(own, row)
    for members in groups.values():
        listed = list(members.items())
        for number, (own, row) in enumerate(listed):
            if factor:
                yield from ((row, other) for _, other in listed[number + 1 :])
                continue
            swapped = tuple(value for two in zip(own[1::2], own[::2], strict=True) for value in two)
            other = members.get(swapped, -1)
            if other > row:
                yield row, other


def _binned(column: NDArray[Any]) -> NDArray[np.object_]:
    """Return the levels of a column as words; of a number of many values, the middle of its quarter."""
    if column.dtype.kind not in "fiu" or len(np.unique(column)) <= _LEVELS:
        return _words(column)
    edges = np.quantile(column, [0.25, 0.5, 0.75])
    quarter = np.searchsorted(edges, column, side="right")
    middles = [f"{float(np.median(column[quarter == k])):.3g}" if (quarter == k).any() else "" for k in range(4)]
    return np.array(middles, object)[quarter]
