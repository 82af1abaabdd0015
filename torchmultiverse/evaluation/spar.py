"""SPAR: from a table of factors and a protocol to tasks: which pictures, which captions, which one is true. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations_with_replacement, permutations, starmap
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation.protocol import Protocol
from torchmultiverse.evaluation.strict import StrictModel
from torchmultiverse.evaluation.task import CLASSIFIERS, Metric, Scope, Task, multiple_choice
from torchmultiverse.scenes import BLANK, said_name
from torchmultiverse.stats import coded
from torchmultiverse.store import PUBLISHED

DEFAULT = "Default"
_OTHER_SIDE = {"left": "right", "right": "left", "bottom": "top", "top": "bottom"}
COLUMNS = tuple(PUBLISHED["SPAR"])
_OWN = {*COLUMNS, "caption", "split"}


Candidates = Literal["worlds", "animals", "animal at each side", "unordered pairs", "ordered pairs"]


class SparTask(StrictModel):
    """One question of SPAR.

    Attributes:
        task: its name in results.
        title, question: for people.
        caption: template over ``{w}``, ``{c1}``, ``{c2}``, ``{p1}``, ``{p2}``, ``{t1}``, ``{t2}``. With one animal,
            ``{c1}`` and ``{p1}`` mean that animal and its side, whichever of the two it is.
        animals: pictures with this many animals take part.
        different: only pictures of two different animals take part.
        textures: only unpainted pictures (``default``), only painted ones, or any.
        candidates: what the model chooses between.
        negative: how the one hard negative is made, if the task has any.
        split_by: what divides the pictures into settings that are scored apart.
        scopes: captions without (``plain``) or with (``background``) the world.
    """

    task: str
    title: str
    question: str
    caption: str
    animals: tuple[Literal[0, 1, 2], ...]
    different: bool = False
    textures: Literal["default", "painted"] | None = None
    candidates: Candidates
    negative: Literal["other side", "animals swapped"] | None = None
    split_by: Literal["texture", "textures", "positions"] | None = None
    scopes: tuple[Scope, ...] = ("plain",)

    @property
    def names_one_animal(self) -> bool:
        """Whether each answer is one animal and nothing else, which may be a class of a classifier."""
        return self.candidates == "animals" and self.animals == (1,)


class SparProtocol(Protocol):
    """Caption retrieval and hard negatives over worlds, animals, positions and textures.

    Attributes:
        background: what captions of the scope ``background`` end with.
        blank_distractor: the empty place is one of the animals that a single one is told from, as published.
        scene_rows: only so many empty pictures are asked which world they are; by default one of each view.
        half: scores are rounded to half precision, 100 times the vector first, as published; of ties the first wins.
        coin_order: of the two captions of a hard negative, Python's random stream with seed 0 says which comes first,
            as published; so a tie is right or wrong, not half of each.
        top5: also tell how often the truth is among the best five.
    """

    kind: Literal["spar"]
    background: str
    blank_distractor: bool = False
    scene_rows: int | None = None
    half: bool = False
    coin_order: bool = False
    top5: bool = False
    tasks: tuple[SparTask, ...] = Field(min_length=1)

    @override
    def compile(self, columns: Mapping[str, NDArray[Any]]) -> list[Task]:
        asked = list(_tasks(self, columns))
        single = {definition.task for definition in self.tasks if definition.names_one_animal}
        return [
            *(_with_coins(asked) if self.coin_order else asked),
            *(_of_classes(task) for task in asked if task.name in single and task.scope == "plain"),
        ]


class _CaptionSlots(NamedTuple):
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
        # Objects of a class are one answer: which of its variants it is, nobody can say.
        said = {name: said_name(name) for name in {*self.c1.tolist(), *self.c2.tolist()}}
        self.c1, self.c2 = (np.array([said[name] for name in c.tolist()], object) for c in (self.c1, self.c2))
        self.count = (self.c1 != BLANK).astype(int) + (self.c2 != BLANK)
        self.single = np.where(self.c1 != BLANK, self.c1, self.c2)
        self.single_position = np.where(self.c1 != BLANK, self.p1, self.p2)
        self.worlds = tuple(sorted(set(self.w)))
        self.animals = tuple(sorted({*said.values()} - {BLANK}))
        first = self.c1 <= self.c2
        self.pairs = np.where(first, self.c1, self.c2) + "|" + np.where(first, self.c2, self.c1)
        # What else varies (camera, light): two empty pictures that differ in nothing else are one picture.
        others = [columns[n] for n in sorted(columns) if n not in _OWN and n.startswith(("camera_", "scene_light"))]
        self._seen = [self.w, *others]

    def views(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return from where some images show their worlds, (N,)."""
        return np.array([repr(view) for view in zip(*(column[rows] for column in self._seen), strict=True)], object)


def _tasks(protocol: SparProtocol, columns: Mapping[str, NDArray[Any]]) -> Iterator[Task]:
    """Yield every task that the images allow; a task with no image, or one candidate only, is left out.

    Raises:
        DatasetError: a column that SPAR needs is missing.
    """
    table = _Table(columns)
    for definition in protocol.tasks:
        for setting, rows in _settings(definition, table, protocol.scene_rows):
            asked = _Asked(definition, table, setting, rows)
            for scope in definition.scopes:
                task = _task(protocol, asked, scope)
                if len(task.candidates) > 1:
                    yield task


def _of_classes(task: Task) -> Task:
    """Return the task of naming the single animal, which a classifier can be asked that has classes for some."""
    one, two = task.factors["animal"]
    names = [str(name) for name in np.where(one != BLANK, one, two)]
    found = multiple_choice(task.name, task.rows, names, kinds=CLASSIFIERS, classes="known")
    return replace(
        task, candidates=found.candidates, labels=found.labels, kinds=found.kinds, classes=found.classes,
        metrics=("top1",), half=False, negatives=None, negative_first=None,
    )  # fmt: skip


def _with_coins(asked: Sequence[Task]) -> Iterator[Task]:
    flips = random_caption_order(asked)
    for task in asked:
        yield replace(task, negative_first=flips.get((task.name, task.setting, task.scope)))


def _settings(definition: SparTask, table: _Table, scene_rows: int | None) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the name and the rows of each setting of a task."""
    keep = np.isin(table.count, definition.animals)
    unpainted = (table.t1 == DEFAULT) & (table.t2 == DEFAULT)
    if definition.textures is not None:
        keep &= unpainted if definition.textures == "default" else ~unpainted
    if definition.different:
        keep &= table.c1 != table.c2
    if definition.candidates == "animal at each side":
        keep &= np.isin(table.single_position, list(_OTHER_SIDE))
    rows = np.flatnonzero(keep)
    if definition.animals == (0,) and scene_rows is not None:
        rows = rows[:scene_rows]
    elif definition.animals == (0,):
        _, first = np.unique(table.views(rows), return_index=True)
        rows = rows[np.sort(first)]
    if definition.split_by is None:
        groups = np.full(len(rows), "", dtype=object)
    elif definition.split_by == "texture":
        groups = table.t1[rows]
    else:
        one, two = (table.p1, table.p2) if definition.split_by == "positions" else (table.t1, table.t2)
        groups = np.array([f"{a}/{b}" for a, b in zip(one[rows], two[rows], strict=True)], dtype=object)
    # The unpainted setting first, then in the order of the data.
    for group in sorted(dict.fromkeys(groups.tolist()), key=lambda g: g != DEFAULT):
        yield group, rows[groups == group]


class _Asked:
    """Some pictures of a setting, what is true of them, and what is not: the same with and without the world.

    Args:
        definition: of the task.
        table: of the columns.
        setting, rows: of the setting.
    """

    def __init__(self, definition: SparTask, table: _Table, setting: str, rows: NDArray[np.int64]) -> None:
        self.definition, self.table, self.setting, self.rows = definition, table, setting, rows
        self.truths = _answers(definition, table, rows)
        self.factors = _factors(definition, table, rows)
        self.clusters = None if definition.animals == (0,) else table.pairs[rows]
        self._true = {name: coded(values) for name, values in self.truths.items()} if len(rows) else {}
        self._false: dict[str, tuple[list[str], NDArray[np.int64]]] = {}
        if definition.negative is not None and len(rows):
            changed = {name: values for name, values in _negatives(definition, self.truths).items()
                       if values is not self.truths[name]}  # fmt: skip
            self._false = {**self._true, **{name: coded(values) for name, values in changed.items()}}

    def true(self, slots: Sequence[str], place: Mapping[tuple[str, ...], int]) -> NDArray[np.int64]:
        """Return the place of the true answer of each picture, (N,)."""
        return _places([self._true[name] for name in slots], place) if self._true else np.zeros(0, np.int64)

    def false(self, slots: Sequence[str], place: Mapping[tuple[str, ...], int]) -> NDArray[np.int64] | None:
        """Return the place of the false answer of each picture, (N,), where there is one."""
        if self.definition.negative is None:
            return None
        return _places([self._false[name] for name in slots], place) if self._false else np.zeros(0, np.int64)


def _places(
    columns: Sequence[tuple[list[str], NDArray[np.int64]]], place: Mapping[tuple[str, ...], int]
) -> NDArray[np.int64]:
    """Return the place of each row of some columns, (N,); an answer that many rows give is looked up once."""
    code = np.zeros(len(columns[0][1]), np.int64)
    for levels, codes in columns:
        code = code * len(levels) + codes
    _, first, which = np.unique(code, return_index=True, return_inverse=True)
    every = zip(*([levels[k] for k in codes[first].tolist()] for levels, codes in columns), strict=True)
    return np.array([place[answer] for answer in every], np.int64)[which]


def _task(protocol: SparProtocol, asked: _Asked, scope: Scope) -> Task:
    definition, rows = asked.definition, asked.rows
    template = definition.caption + (protocol.background if scope == "background" else "")
    slots = [name for name in _CaptionSlots._fields if "{" + name + "}" in template]
    said = _said(protocol, definition, asked.table, slots, asked.truths) if len(rows) else []
    numbered = template.format(**{name: "{" + str(place) + "}" for place, name in enumerate(slots)})
    captions = dict(zip(said, starmap(numbered.format, said), strict=True))
    candidates = tuple(sorted(set(captions.values())))
    index = {text: place for place, text in enumerate(candidates)}
    place = {answer: index[text] for answer, text in captions.items()}
    negatives = asked.false(slots, place)
    top5 = protocol.top5 and len(candidates) > 5
    metrics: dict[Metric, bool] = {"top1": True, "top5": top5, "hard_negative": negatives is not None}
    return Task(
        name=definition.task,
        setting=asked.setting,
        scope=scope,
        title=definition.title,
        question=definition.question,
        rows=rows,
        candidates=candidates,
        labels=asked.true(slots, place),
        negatives=negatives,
        clusters=asked.clusters,
        factors=asked.factors,
        metrics=tuple(metric for metric, measured in metrics.items() if measured),
        half=protocol.half,
    )


def _said(
    protocol: SparProtocol,
    definition: SparTask,
    table: _Table,
    slots: Sequence[str],
    truths: Mapping[str, NDArray[Any]],
) -> list[tuple[str, ...]]:
    """Return what each candidate says in the slots of its template."""
    answers = _candidates(definition, table, _CaptionSlots(**{name: values[0] for name, values in truths.items()}))
    if protocol.blank_distractor and definition.candidates == "animals":
        answers = [*answers, _CaptionSlots(c1=BLANK)]
    places = [_CaptionSlots._fields.index(name) for name in slots if name != "w"]
    said = [tuple([answer[place] for place in places]) for answer in answers]
    if "w" not in slots:
        return said
    return [(world, *answer) for answer in said for world in table.worlds]  # the world is the first slot


def _factors(definition: SparTask, table: _Table, rows: NDArray[np.int64]) -> dict[str, tuple[NDArray[Any], ...]]:
    """Return by what a task is broken down, the columns of each."""
    factors: dict[str, tuple[NDArray[Any], ...]] = {"world": (table.w[rows],)}
    if definition.candidates != "worlds":
        factors["animal"] = (table.c1[rows], table.c2[rows])
    if definition.candidates == "animal at each side":
        factors["position"] = (table.single_position[rows],)
    return factors


def random_caption_order(asked: Sequence[Task]) -> dict[tuple[str, str, Scope], NDArray[np.bool_]]:
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
        (task.name, task.setting, task.scope): np.array([stream.random() >= 0.5 for _ in task.rows], dtype=bool)
        for task in (*plain, *behind)
    }


def _answers(definition: SparTask, table: _Table, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return what is true of some images, by slot of a caption, (N,) each."""
    found = {name: getattr(table, name)[rows] for name in _CaptionSlots._fields}
    if definition.candidates == "unordered pairs":
        found["c1"], found["c2"] = np.sort(np.stack([found["c1"], found["c2"]]), axis=0)
    few = table.count[rows] < 2
    if few.any():
        single = {"c1": table.single[rows], "p1": table.single_position[rows]}
        found |= {name: np.where(few, single.get(name, ""), found[name]) for name in found if name != "w"}
    return found


def _candidates(definition: SparTask, table: _Table, example: _CaptionSlots) -> list[_CaptionSlots]:
    """Return all answers but for the world; sides and textures are those of the setting."""
    animals = table.animals
    match definition.candidates:
        case "worlds":
            return [_CaptionSlots()]
        case "animals":
            return [_CaptionSlots(c1=animal) for animal in animals]
        case "animal at each side":
            sides = (example.p1, _OTHER_SIDE[example.p1])
            return [_CaptionSlots(c1=animal, p1=side) for animal in animals for side in sides]
        case "unordered pairs":
            return [_CaptionSlots(c1=one, c2=two) for one, two in combinations_with_replacement(animals, 2)]
        case "ordered pairs":
            return [_CaptionSlots(example.w, one, two, *example[3:]) for one, two in permutations(animals, 2)]


def _negatives(definition: SparTask, truths: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return what the false caption of each image says, by slot."""
    if definition.negative == "other side":
        sides = np.array([_OTHER_SIDE[side] for side in truths["p1"]], dtype=object)
        return {**truths, "p1": sides}
    return {**truths, "c1": truths["c2"], "c2": truths["c1"]}
