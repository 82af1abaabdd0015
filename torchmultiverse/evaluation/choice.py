"""Questions of a protocol file over any columns of a dataset. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.evaluation.prompts import Prompts
from torchmultiverse.evaluation.protocol import Protocol
from torchmultiverse.evaluation.strict import StrictModel
from torchmultiverse.evaluation.task import CLASSIFIERS, READERS, Task, joined, multiple_choice
from torchmultiverse.scenes import spoken


class ChoiceTask(StrictModel):
    """One question: which of some answers is true of the picture?

    Attributes:
        task, title, question: its name in results, and for people.
        truth: template over columns: ``{character_name}``, ``{character_texture} {character_name}``, …
        candidates: all answers; by default all that are true of some picture of the task.
        names: ``spoken`` writes columns as people do (``GiantTortoise`` → ``giant tortoise``); ``raw`` as they are.
        prompts: how image-text models are asked; one that sees picture and caption together takes the first sentence.
        only: column to the values that take part.
        by: columns by which results are broken down.
        cluster: columns whose values name a cluster.
    """

    task: str
    title: str
    question: str = ""
    truth: str
    candidates: tuple[str, ...] | None = None
    names: Literal["spoken", "raw"] = "spoken"
    prompts: Prompts
    only: dict[str, tuple[str | int | float | bool, ...]] = Field(default_factory=dict)
    by: tuple[str, ...] = ()
    cluster: tuple[str, ...] = ()


class ChoiceProtocol(Protocol):
    """Questions over any columns: a benchmark that is a file.

    Attributes:
        split: only pictures of this split, where the dataset has splits.
        tasks: what is asked.
    """

    kind: Literal["choice"]
    split: str | None = None
    tasks: tuple[ChoiceTask, ...] = Field(min_length=1)

    @override
    def compile(self, columns: Mapping[str, NDArray[Any]]) -> list[Task]:
        return [choice_task(self, asked, columns) for asked in self.tasks]


def choice_task(protocol: ChoiceProtocol, asked: ChoiceTask, columns: Mapping[str, NDArray[Any]]) -> Task:
    """Return a question of some pictures; its candidates are answers, not yet sentences.

    Raises:
        DatasetError: a column is missing, no picture takes part, or a true answer is not among the candidates.
    """
    place = f"protocol '{protocol.name}', task '{asked.task}'"
    slots = _slots(place, asked, columns)
    rows = _rows(protocol, asked, columns, len(columns[slots[0]]))
    if not len(rows):
        raise DatasetError(f"{place}: no picture takes part")
    word = spoken if asked.names == "spoken" else str
    words = {name: [word(str(value)) for value in columns[name][rows]] for name in slots}
    targets = [
        asked.truth.format(**dict(zip(words, values, strict=True))) for values in zip(*words.values(), strict=True)
    ]
    for target in set(targets):
        if asked.candidates and target not in asked.candidates:
            raise DatasetError(f"{place}: '{target}' is true of a picture and not among the candidates")
    return multiple_choice(
        asked.task,
        rows,
        targets,
        asked.candidates or None,
        title=asked.title,
        question=asked.question,
        clusters=joined([columns[name][rows] for name in asked.cluster]),
        factors={name: (columns[name][rows].astype(str).astype(object),) for name in asked.by},
        prompts=asked.prompts,
        kinds=READERS | CLASSIFIERS,
    )


def _slots(place: str, asked: ChoiceTask, columns: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return the columns that make the true answer.

    Raises:
        DatasetError: there is none, or one of all that are needed is missing.
    """
    slots = [name for _, name, _, _ in Formatter().parse(asked.truth) if name]
    if not slots:
        raise QuestionError(f"{place}: truth '{asked.truth}' names no column, such as {{world_name}}")
    for name in [*slots, *asked.only, *asked.by, *asked.cluster]:
        if name not in columns:
            raise QuestionError(f"{place}: the dataset has no column '{name}'.{nearest(name, columns)}")
    return slots


def _rows(
    protocol: ChoiceProtocol, asked: ChoiceTask, columns: Mapping[str, NDArray[Any]], count: int
) -> NDArray[np.int64]:
    """Return the rows of the pictures that take part."""
    keep = np.ones(count, bool)
    if protocol.split is not None and "split" in columns:
        keep &= columns["split"].astype(str) == protocol.split
    for name, values in asked.only.items():
        keep &= np.isin(columns[name].astype(str), [str(value) for value in values])
    return np.flatnonzero(keep)
