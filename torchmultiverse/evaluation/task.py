"""Tasks: what every protocol compiles to, and every kind of model answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.evaluation.prompts import Prompts

Scope = Literal["plain", "background"]
Metric = Literal["top1", "top5", "hard_negative", "winoground", "choice"]
Kind = Literal["image-text", "scorer", "classifier"]
IMAGE_TEXT: frozenset[Kind] = frozenset({"image-text"})
SCORERS: frozenset[Kind] = frozenset({"scorer"})
CLASSIFIERS: frozenset[Kind] = frozenset({"classifier"})
READERS = IMAGE_TEXT | SCORERS


@dataclass(frozen=True)
class LabelSpace:
    """A way to read the 1000 outputs of ImageNet as the classes of a dataset.

    Attributes:
        name: ``any-of-set``, ``restricted`` or ``pug2023``, see `classification.ClassificationProtocol`.
        groups: class to ImageNet indices.
    """

    name: str
    groups: Mapping[str, Sequence[int]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One question about some images; arrays are (N,) unless said otherwise.

    Attributes:
        name, setting, scope: in results: its name, what it was split by, and ``plain`` or ``background``.
        title, question: for people.
        rows: indices of the images in the dataset.
        candidates: captions, or names of classes, to choose from, (K,).
        labels: index of the true candidate of each image.
        negatives: index of the hard negative of each image, if the task has any.
        partners: position, within the task, of the image of which the hard negative is true, and whose own hard
            negative is true of this one; −1 where there is none. Winoground's scores need it.
        options: indices of the candidates that each image has of its own, the true one first, (N, M); −1 where it has
            fewer than M.
        clusters: rows with the same name are not independent; ``None`` where all are.
        factors: by what results are broken down; an image belongs to a level that any of the columns names.
        metrics: what is measured.
        kinds: of models that the task can be put to.
        texts: what candidates are called in ``prompts``, (K,); with a label space, the 1000 names of its outputs.
            ``None``: the candidates themselves.
        prompts: sentences around the texts; ``None`` where they are captions already.
        classes: what a classifier does without a class for a candidate: ``all`` leaves the task out, ``known`` leaves
            the candidate and its images out, ``own`` has the classifier's own classes as candidates.
        label_space: how 1000 outputs are read as candidates; ``None`` where there is one score for each candidate.
        half: scores of vectors are rounded to half precision, and of equal ones the first candidate wins, as published.
        negative_first: whether the hard negative comes before the true caption, where the first of equal scores wins.
        readings: settings of this task are readings of the same answers, not other images: they are never pooled.
        exclude_identical: images whose two captions a model reads alike are no question to it.
        eligible, excluded: of how many images some are no question, and how many by reason.
    """

    name: str
    rows: NDArray[np.int64]
    candidates: tuple[str, ...]
    labels: NDArray[np.int64]
    setting: str = ""
    scope: Scope = "plain"
    title: str = ""
    question: str = ""
    negatives: NDArray[np.int64] | None = None
    partners: NDArray[np.int64] | None = None
    options: NDArray[np.int64] | None = None
    clusters: NDArray[Any] | None = None
    factors: Mapping[str, tuple[NDArray[Any], ...]] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ("top1",)
    kinds: frozenset[Kind] = READERS
    texts: tuple[str, ...] | None = None
    prompts: Prompts | None = None
    classes: Literal["all", "known", "own"] = "all"
    label_space: LabelSpace | None = None
    half: bool = False
    negative_first: NDArray[np.bool_] | None = None
    readings: bool = False
    exclude_identical: bool = False
    eligible: int = 0
    excluded: Mapping[str, int] = field(default_factory=dict)

    @property
    def chance(self) -> float:
        """Accuracy of a blind guess among the candidates."""
        return 1 / len(self.candidates)

    @property
    def place(self) -> str:
        """The task, its setting and scope, for people."""
        return ", ".join(part for part in (self.name, self.setting, self.scope) if part)

    @property
    def caption_pairs(self) -> list[tuple[str, str]]:
        """The true captions of each two images that follow each other."""
        said = [self.candidates[label] for label in self.labels]
        return list(zip(said[::2], said[1::2], strict=True))

    def only(self, kept: NDArray[np.int64] | NDArray[np.bool_]) -> Task:
        """Return the task of some of its images, by position or mask."""
        at = np.arange(len(self.rows))[kept]

        def part(values: NDArray[Any] | None) -> Any:
            return None if values is None else values[at]

        partners = self.partners
        if partners is not None:
            place = np.full(len(self.rows) + 1, -1, np.int64)  # the last stands for −1
            place[at] = np.arange(len(at))
            partners = place[partners[at]]
        return replace(
            self,
            rows=self.rows[at],
            labels=self.labels[at],
            negatives=part(self.negatives),
            partners=partners,
            options=part(self.options),
            clusters=part(self.clusters),
            factors={name: tuple(column[at] for column in columns) for name, columns in self.factors.items()},
            negative_first=part(self.negative_first),
        )


def multiple_choice(
    name: str, rows: Sequence[int] | NDArray[np.int64], answers: Sequence[str], candidates: Sequence[str] | None = None,
    **more: Any,
) -> Task:  # fmt: skip
    """Return the task of choosing the true one of some answers.

    >>> task = multiple_choice("colour", [0, 1, 2], ["red", "blue", "red"])
    >>> task.candidates, task.labels.tolist(), task.chance
    (('blue', 'red'), [1, 0, 1], 0.5)

    Args:
        name: of the task.
        rows: indices of the images, (N,).
        answers: the true one of each image, (N,).
        candidates: to choose from; by default all that are true of some image, sorted.
        **more: see :class:`Task`.

    Raises:
        KeyError: an answer that is not among the candidates.
    """
    known = tuple(sorted(set(answers)) if candidates is None else candidates)
    place = {answer: index for index, answer in enumerate(known)}
    return Task(
        name=name,
        rows=np.asarray(rows, np.int64),
        candidates=known,
        labels=np.array([place[answer] for answer in answers], dtype=np.int64),
        **more,
    )


def joined(columns: Sequence[NDArray[Any]], ordered: bool = True) -> NDArray[Any] | None:
    """Return the names of clusters from some columns, (N,): their words joined; ``None`` without columns.

    Args:
        columns: (N,) each.
        ordered: whether values in another order are another cluster.
    """
    if not columns:
        return None
    rows = zip(*(column.astype(str) for column in columns), strict=True)
    return np.array(["|".join(values if ordered else sorted(values)) for values in rows], dtype=object)
