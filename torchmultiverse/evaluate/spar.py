"""SPAR: from a table of factors and a protocol to tasks: which pictures, which captions, which one is true. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement, permutations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluate.protocol import Scope, SparProtocol, SparTask
from torchmultiverse.scenes import BLANK
from torchmultiverse.store import PUBLISHED

DEFAULT = "Default"
_OTHER_SIDE = {"left": "right", "right": "left", "bottom": "top", "top": "bottom"}
COLUMNS = tuple(PUBLISHED["SPAR"])
_OWN = {*COLUMNS, "caption", "split"}


@dataclass(frozen=True)
class Task:
    """One question asked of some pictures; arrays are (N,) unless said otherwise.

    Attributes:
        task, setting, scope: its name in results, what it was split by, and ``plain`` or ``background``.
        rows: indices of the pictures in the dataset.
        candidates: captions (or class names) to choose from, sorted, (K,).
        labels: index of the true candidate of each picture.
        negatives: index of the hard negative of each picture, if the task has any.
        clusters: rows with the same name are not independent; ``None`` where all are.
        factors: by what results are broken down; a picture belongs to a level that any of the columns names.
    """

    task: str
    setting: str
    scope: Scope
    rows: NDArray[np.int64]
    candidates: tuple[str, ...]
    labels: NDArray[np.int64]
    negatives: NDArray[np.int64] | None = None
    clusters: NDArray[Any] | None = None
    factors: Mapping[str, tuple[NDArray[Any], ...]] = field(default_factory=dict)

    @property
    def chance(self) -> float:
        """Accuracy of a blind guess among the candidates."""
        return 1 / len(self.candidates)


class _Answer(NamedTuple):
    """What a caption says; a slot that its template lacks does not matter."""

    w: str = ""
    c1: str = ""
    c2: str = ""
    p1: str = ""
    p2: str = ""
    t1: str = ""
    t2: str = ""


class _Table:
    """The columns of SPAR with what follows from them."""

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        missing = [name for name in COLUMNS if name not in columns]
        if missing:
            raise DatasetError(f"SPAR needs the columns {', '.join(COLUMNS)}; {', '.join(missing)} missing")
        self.w, self.c1, self.c2, self.p1, self.p2, self.t1, self.t2 = (columns[name] for name in COLUMNS)
        self.count = (self.c1 != BLANK).astype(int) + (self.c2 != BLANK)
        self.alone = np.where(self.c1 != BLANK, self.c1, self.c2)
        self.alone_at = np.where(self.c1 != BLANK, self.p1, self.p2)
        self.worlds = tuple(sorted(set(self.w)))
        self.animals = tuple(sorted((set(self.c1) | set(self.c2)) - {BLANK}))
        self.pairs = np.array(["|".join(sorted(pair)) for pair in zip(self.c1, self.c2, strict=True)], dtype=object)
        # What else varies (camera, light): two empty pictures that differ in nothing else are one picture.
        others = [columns[n] for n in sorted(columns) if n not in _OWN and n.startswith(("camera_", "scene_light"))]
        self.view = np.array([repr(view) for view in zip(self.w, *others, strict=True)], dtype=object)


def tasks(protocol: SparProtocol, columns: Mapping[str, NDArray[Any]]) -> list[Task]:
    """Return every task that the pictures allow; a task with no picture, or one candidate only, is left out.

    Args:
        protocol: what to ask.
        columns: the factor columns of the dataset, (N,) each, strings as objects.

    Raises:
        DatasetError: a column that SPAR needs is missing.
    """
    table = _Table(columns)
    found = []
    for definition in protocol.tasks:
        for setting, rows in _settings(definition, table, protocol.scene_rows):
            for scope in definition.scopes:
                task = _task(protocol, definition, table, setting, rows, scope)
                if len(task.candidates) > 1:
                    found.append(task)
    return found


def _settings(definition: SparTask, table: _Table, scene_rows: int | None) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the name and the rows of each setting of a task."""
    keep = np.isin(table.count, definition.animals)
    unpainted = (table.t1 == DEFAULT) & (table.t2 == DEFAULT)
    if definition.textures is not None:
        keep &= unpainted if definition.textures == "default" else ~unpainted
    if definition.different:
        keep &= table.c1 != table.c2
    if definition.candidates == "animal at each side":
        keep &= np.isin(table.alone_at, list(_OTHER_SIDE))
    rows = np.flatnonzero(keep)
    if definition.animals == (0,) and scene_rows is not None:
        rows = rows[:scene_rows]
    elif definition.animals == (0,):
        _, first = np.unique(table.view[rows], return_index=True)
        rows = rows[np.sort(first)]
    if definition.split_by is None:
        groups = np.full(len(rows), "", dtype=object)
    elif definition.split_by == "texture":
        groups = table.t1[rows]
    else:
        one, two = (table.p1, table.p2) if definition.split_by == "positions" else (table.t1, table.t2)
        groups = np.array([f"{a}/{b}" for a, b in zip(one[rows], two[rows], strict=True)], dtype=object)
    # The unpainted setting first, then in the order of the data.
    for group in sorted(set(groups), key=lambda g: (g != DEFAULT, list(groups).index(g))):
        yield group, rows[groups == group]


def _task(
    protocol: SparProtocol,
    definition: SparTask,
    table: _Table,
    setting: str,
    rows: NDArray[np.int64],
    scope: Scope,
) -> Task:
    template = definition.caption + (protocol.background if scope == "background" else "")
    with_world = "{w}" in template

    said: dict[_Answer, str] = {}
    slots = [name for name in _Answer._fields if "{" + name + "}" in template]

    def say(answer: _Answer) -> str:
        if answer not in said:
            said[answer] = template.format(**{name: getattr(answer, name) for name in slots})
        return said[answer]

    truths = [_answer(definition, table, int(row)) for row in rows]
    answers = _candidates(definition, table, truths[0]) if truths else []
    if protocol.blank_distractor and definition.candidates == "animals":
        answers = [*answers, _Answer(c1=BLANK)]
    worlds = table.worlds if with_world else ("",)
    candidates = tuple(sorted({say(answer._replace(w=world)) for answer in answers for world in worlds}))
    place = {caption: index for index, caption in enumerate(candidates)}
    negatives = None
    if definition.negative is not None:
        negatives = np.array([place[say(_negative(definition, truth))] for truth in truths], dtype=np.int64)
    factors: dict[str, tuple[NDArray[Any], ...]] = {"world": (table.w[rows],)}
    if definition.candidates != "worlds":
        factors["animal"] = (table.c1[rows], table.c2[rows])
    if definition.candidates == "animal at each side":
        factors["position"] = (table.alone_at[rows],)
    return Task(
        definition.task,
        setting,
        scope,
        rows,
        candidates,
        np.array([place[say(truth)] for truth in truths], dtype=np.int64),
        negatives,
        None if definition.animals == (0,) else table.pairs[rows],
        factors,
    )


def coin_flips(asked: Sequence[Task]) -> dict[tuple[str, str, Scope], NDArray[np.bool_]]:
    """Return, for each task with hard negatives, which pictures are shown the false caption first, as published.

    The published evaluation draws ``random.random() >= 0.5`` for every picture from Python's stream with seed 0: first
    for each world by itself, in the order of the data, then for all worlds without and with the world in the caption.
    Here the first are drawn and thrown away: with captions that do not name the world they ask the same questions.

    Args:
        asked: all tasks, in the order of the protocol.
    """
    stream = random.Random(0)
    plain = [task for task in asked if task.negatives is not None and task.scope == "plain"]
    behind = [task for task in asked if task.negatives is not None and task.scope == "background"]
    worlds = list(dict.fromkeys(world for task in plain for world in task.factors["world"][0]))
    for world in worlds:
        for task in plain:
            for _ in range(int((task.factors["world"][0] == world).sum())):
                stream.random()
    return {
        (task.task, task.setting, task.scope): np.array([stream.random() >= 0.5 for _ in task.rows], dtype=bool)
        for task in (*plain, *behind)
    }


def _answer(definition: SparTask, table: _Table, row: int) -> _Answer:
    """Return what is true of a picture."""
    if table.count[row] < 2:
        return _Answer(w=table.w[row], c1=table.alone[row], p1=table.alone_at[row])
    c1, c2 = table.c1[row], table.c2[row]
    if definition.candidates == "unordered pairs":
        c1, c2 = sorted((c1, c2))
    return _Answer(table.w[row], c1, c2, table.p1[row], table.p2[row], table.t1[row], table.t2[row])


def _candidates(definition: SparTask, table: _Table, example: _Answer) -> list[_Answer]:
    """Return all answers but for the world; sides and textures are those of the setting."""
    animals = table.animals
    match definition.candidates:
        case "worlds":
            return [_Answer()]
        case "animals":
            return [_Answer(c1=animal) for animal in animals]
        case "animal at each side":
            sides = (example.p1, _OTHER_SIDE[example.p1])
            return [_Answer(c1=animal, p1=side) for animal in animals for side in sides]
        case "unordered pairs":
            return [_Answer(c1=one, c2=two) for one, two in combinations_with_replacement(animals, 2)]
        case "ordered pairs":
            return [example._replace(c1=one, c2=two) for one, two in permutations(animals, 2)]


def _negative(definition: SparTask, truth: _Answer) -> _Answer:
    if definition.negative == "other side":
        return truth._replace(p1=_OTHER_SIDE[truth.p1])
    return truth._replace(c1=truth.c2, c2=truth.c1)
