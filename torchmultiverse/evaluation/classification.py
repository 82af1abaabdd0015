"""Classification by factor: labels, label spaces, and which pictures tell about which factor. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import override

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import imagenet
from torchmultiverse.evaluation.prompts import Prompts
from torchmultiverse.evaluation.protocol import Protocol
from torchmultiverse.evaluation.scoring import TIE, Outcome, retrieval
from torchmultiverse.evaluation.task import CLASSIFIERS, IMAGE_TEXT, SCORERS, LabelSpace, Task
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import BLANK, FACTORS, is_default, level_words, said_name, spoken

_IDENTITY = ("character_name", "character_label")


class ClassificationProtocol(Protocol):
    """Top-1 accuracy of a label column, by factor and level.

    Attributes:
        prompts: how image-text models are asked; models that see picture and caption together take the first alone.
        label_columns: the first of these that a dataset has is the label.
        class_map: file beside this one: class to ImageNet indices.
        label_spaces: ways to read 1000 logits as a class: ``any-of-set`` (the best of all 1000 is one of the class's),
            ``restricted`` (best of the classes' own indices), ``pug2023`` (as published: one class per index, the
            later class of a shared index wins).
    """

    kind: Literal["classification"]
    prompts: tuple[Prompts, ...] = Field(min_length=1)
    label_columns: tuple[str, ...]
    class_map: str
    label_spaces: tuple[Literal["any-of-set", "restricted", "pug2023"], ...]

    def imagenet_indices(self, of: Literal["classes", "animals"] = "classes") -> dict[str, list[int]]:
        """Return name to indices among the 1000 ImageNet classes, of PUG: ImageNet's classes or of SPAR's animals."""
        text = (data_folder("benchmarks") / Path(self.class_map).name).read_text()
        indices: dict[str, list[int]] = json.loads(text)[of]
        return indices

    @override
    def compile(self, columns: Mapping[str, NDArray[Any]]) -> list[Task]:
        column = label_column(columns, self.label_columns)
        labels = np.array([said_name(label) for label in columns[column].astype(str)], object)
        rows = np.flatnonzero(labels != BLANK)
        names = tuple(sorted(set(labels[rows])))
        clusters = columns.get("character_name", columns[column])
        factors = {
            name: np.where(tells, level_words(name, columns[name]), "").astype(object)
            for name, tells in varied_factors(columns).items()
        }
        whole = Task(
            name="classification",
            title="Classification",
            rows=rows,
            candidates=names,
            labels=np.array([names.index(label) for label in labels[rows]], dtype=np.int64),
            clusters=clusters[rows],
            factors={"class": (labels[rows],), **{factor: (values[rows],) for factor, values in factors.items()}},
            readings=True,
            eligible=len(rows),
        )
        mapped = _mapped(whole, column, imagenet.class_map(names, self.class_map))
        return [*self._of_classes(whole, mapped), *self._of_sentences(whole, mapped)]

    def _of_classes(self, whole: Task, mapped: Task) -> Iterator[Task]:
        """Yield what classifiers are asked: those that name their classes, and those of ImageNet's 1000."""
        yield replace(whole, setting="class names", kinds=CLASSIFIERS, classes="own")
        assert mapped.label_space is not None
        for space in self.label_spaces:
            found = LabelSpace(space, mapped.label_space.groups)
            yield replace(mapped, setting=space, kinds=CLASSIFIERS, label_space=found)

    def _of_sentences(self, whole: Task, mapped: Task) -> Iterator[Task]:
        """Yield what models are asked that read sentences; those that see image and sentence together, the first."""
        texts = tuple(spoken(name) for name in whole.candidates)
        first = self.prompts[0]
        one = first if isinstance(first.templates, str) else first.model_copy(update={"templates": first.templates[:1]})
        yield replace(whole, setting=first.name, texts=texts, prompts=one, kinds=SCORERS)
        assert mapped.label_space is not None
        for prompts in self.prompts:
            if prompts.classes == "own":
                yield replace(whole, setting=prompts.name, texts=texts, prompts=prompts, kinds=IMAGE_TEXT)
                continue
            for space in self.label_spaces if len(mapped.rows) else ():
                yield replace(
                    mapped, setting=f"{prompts.name}, {space}", texts=imagenet.imagenet_names(), prompts=prompts,
                    kinds=IMAGE_TEXT, label_space=LabelSpace(space, mapped.label_space.groups),
                )  # fmt: skip


def _mapped(whole: Task, column: str, groups: Mapping[str, Sequence[int]]) -> Task:
    """Return the task of the images whose label is an ImageNet class."""
    names = np.array(whole.candidates, object)
    keep = np.isin(names[whole.labels].astype(str), list(groups))
    unknown = sorted(set(whole.candidates) - set(groups))
    excluded = {}
    if unknown and not keep.any():
        excluded = {f"no value of {column} is an ImageNet class: {', '.join(unknown[:5])}": len(keep)}
    elif unknown:
        excluded = {
            f"{', '.join(unknown[:12])} {'has' if len(unknown) == 1 else 'have'} no ImageNet class": int((~keep).sum())
        }
    kept = whole.only(keep)
    candidates = tuple(sorted(groups))
    labels = np.array([candidates.index(name) for name in names[kept.labels]], dtype=np.int64)
    return replace(kept, candidates=candidates, labels=labels, label_space=LabelSpace("", groups), excluded=excluded)


def label_column(columns: Mapping[str, NDArray[Any]], names: Sequence[str]) -> str:
    """Return the first of some columns that the dataset has.

    Raises:
        DatasetError: it has none of them.
    """
    for name in names:
        if name in columns:
            return name
    raise DatasetError(f"classification needs a label column, one of {', '.join(names)}; found {', '.join(columns)}")


def varied_factors(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.bool_]]:
    """Return, for every factor with more than one level, which pictures tell about it.

    Where the data have subsets (PUG: ImageNet), a factor's pictures are those of the subsets in which it varies, and
    the subset is a factor itself: one number for each, as published. Else, a design that changes one factor at a time
    is recognised by its pictures: none departs from the reference in more than one factor. There, a factor's pictures
    are those in which no other factor departs. The reference of a factor is its default where the data hold it, else
    its most frequent level. In any other design every picture tells about every factor.
    """
    names = [f.column for f in FACTORS if f.column in columns and f.column not in _IDENTITY and not f.label]
    if "subset" in columns and len(parts := np.unique(columns["subset"].astype(str))) > 1:
        return _of_subsets(columns, names, parts)
    departs = {}
    for name in names:
        words = columns[name].astype(str)
        levels, counts = np.unique(words, return_counts=True)
        if len(levels) < 2:
            continue
        usual = [level for level in levels if is_default(FACTORS[name], str(level))]
        departs[name] = words != (usual[0] if usual else levels[counts.argmax()])
    if not departs:
        return {}
    how_many = np.sum(list(departs.values()), axis=0)
    if how_many.max() > 1:
        return {name: np.ones(len(how_many), bool) for name in departs}
    return {name: how_many - departs[name] == 0 for name in departs}


def _of_subsets(
    columns: Mapping[str, NDArray[Any]], names: Sequence[str], parts: NDArray[np.str_]
) -> dict[str, NDArray[np.bool_]]:
    subset = columns["subset"].astype(str)
    tells = {"subset": np.ones(len(subset), bool)}
    for name in names:
        values = columns[name].astype(str)
        inside = [part for part in parts if len(set(values[subset == part])) > 1]
        if inside:
            tells[name] = np.isin(subset, inside)
    return tells


def imagenet_outcome(
    logits: NDArray[np.float32], labels: Sequence[str], classes: Mapping[str, Sequence[int]], space: str
) -> tuple[Outcome, list[str], float]:
    """Return outcomes of 1000 logits read as named classes, the names predicted, and the chance level.

    Args:
        logits: (N, 1000).
        labels: the true class of each picture, keys of ``classes``.
        classes: class to ImageNet indices.
        space: ``any-of-set``, ``restricted`` or ``pug2023``, see :class:`~.protocol.ClassificationProtocol`.
    """
    names = sorted(classes)
    true = np.array([names.index(label) for label in labels], dtype=np.int64)
    if space == "restricted":
        scores = np.stack([logits[:, list(classes[name])].max(1) for name in names], axis=1)
        outcome = retrieval(scores, true, scale=1.0)
        return outcome, [names[i] for i in outcome.prediction], 1 / len(names)
    if space == "pug2023":
        # As published: one class per index, so that of a shared index the class that comes later is the owner.
        owner = {index: name for name in names for index in classes[name]}
        sets = {name: [i for i in classes[name] if owner[i] == name] for name in names}
    else:
        sets = {name: list(classes[name]) for name in names}
    member = np.zeros((len(names), logits.shape[1]), bool)
    for row, name in enumerate(names):
        member[row, sets[name]] = True
    inside = member[true]
    best = logits.max(1)
    tied = logits >= (best - TIE * np.abs(logits).max(1))[:, None]
    correct = (tied & inside).sum(1) / tied.sum(1)
    margin = np.where(inside, logits, -np.inf).max(1) - np.where(inside, -np.inf, logits).max(1)
    called: dict[int, str] = {}
    for name in names:
        for index in sets[name]:
            called.setdefault(index, name)
    own = imagenet.imagenet_names()
    chosen = logits.argmax(1).astype(np.int64)
    predictions = [
        label if inside[row, index] else called.get(int(index), own[index])
        for row, (label, index) in enumerate(zip(labels, chosen, strict=True))
    ]
    lowest = np.finfo(np.float32).min
    confidence = (1 / np.exp(logits - best[:, None]).sum(1)).astype(np.float32)
    outcome = Outcome(correct, chosen, np.maximum(margin, lowest).astype(np.float32), confidence)
    return outcome, predictions, float(inside.sum(1).mean() / logits.shape[1]) if len(labels) else 0.0
