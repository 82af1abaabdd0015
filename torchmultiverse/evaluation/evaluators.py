"""Evaluators: how each kind of model answers a task, whatever protocol the task is of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.evaluation import imagenet
from torchmultiverse.evaluation.outcomes import pairs_of
from torchmultiverse.evaluation.outputs import Outputs, TextVectors
from torchmultiverse.evaluation.pairs import no_answer
from torchmultiverse.evaluation.projection import Captions, Images
from torchmultiverse.evaluation.prompts import Prompts, sentences
from torchmultiverse.evaluation.provenance import Audit
from torchmultiverse.evaluation.scores import HalfPrecisionScores, MatrixScores, PairScores, Scores, VectorScores
from torchmultiverse.evaluation.task import Kind, Task
from torchmultiverse.models import (
    Classifier,
    FloatArray,
    HasCandidateLimit,
    HasMutableInfo,
    HasTokens,
    ImageTextModel,
    Model,
    Scorer,
    unit,
)

KINDS: dict[Kind, str] = {
    "image-text": "image-text models", "scorer": "models that see image and caption together",
    "classifier": "classifiers",
}  # fmt: skip


class Evaluator(ABC):
    """Answers tasks with one model.

    Args:
        model: that answers.
        outputs: of models for the images of the dataset.
    """

    kind: ClassVar[Kind]

    def __init__(self, model: Any, outputs: Outputs) -> None:
        self.model, self.outputs = model, outputs
        self.name: str = model.info.name
        self._accepted: list[Task] = []

    def supports(self, task: Task) -> bool:
        """Return whether a task can be put to this model."""
        return self.kind in task.kinds

    def restricted(self, task: Task, notes: list[str]) -> Task | None:
        """Return the part of a task that the model can answer; ``None`` for no part of it.

        Args:
            task: that the model supports.
            notes: receives what a reader must know, such as images that were left out.

        Raises:
            ModelError: no answer of this model means anything.
            DatasetError: no question is left.
        """
        return task

    @abstractmethod
    def scores(self, task: Task) -> Scores:
        """Return the scores of a task's candidates, as `restricted` left them."""

    def accept(self, tasks: Iterable[Task], notes: list[str]) -> list[Task]:
        """Return what the model is asked of some tasks, so that each image passes once through it for all of them.

        Raises:
            ModelError: none can be put to a model of this kind.
            DatasetError: see `restricted`.
        """
        every = list(tasks)
        supported = [task for task in every if self.supports(task)]
        if not supported and every:
            kinds = sorted({KINDS[kind] for task in every for kind in task.kinds})
            raise ModelError(
                f"'{self.name}' is a {self.kind}; {every[0].name} can be put to {' and '.join(kinds)} only"
            )
        self._accepted = []
        for task in supported:
            found = self.restricted(task, notes) if len(task.rows) else None
            if found is not None:
                self._accepted.append(found)
                for reason, count in found.excluded.items():
                    note(notes, f"{self.name}: {count:,} of {found.eligible:,} pictures are not asked: {reason}")
                if found.partners is not None and not len(pairs_of(found)[0]):
                    note(
                        notes,
                        f"{self.name}: no two pictures are each other's hard negative; Winoground's scores need them",
                    )
        if others := sorted({task.name for task in every} - {task.name for task in supported}):
            note(notes, f"{self.name}: not put to {KINDS[self.kind]}: {', '.join(others)}")
        return self._accepted

    def audit(self, sample: int, seed: int) -> Audit | None:
        """Encode some images again, one by one and in float32, and tell how many answers that changes.

        Args:
            sample: how many images, drawn at random.
            seed: of the draw.
        """
        return None

    def _rows(self) -> NDArray[np.int64]:
        """Return every row that some accepted task is about, ascending."""
        return np.flatnonzero(
            np.bincount(np.concatenate([np.zeros(0, np.int64), *(task.rows for task in self._accepted)]))
        )


class _Encoding(Evaluator):
    """An evaluator whose model makes one vector of an image, of which all answers follow."""

    output: ClassVar[str]

    def __init__(self, model: Any, outputs: Outputs) -> None:
        super().__init__(model, outputs)
        self._known: tuple[NDArray[np.int64], Images] | None = None

    @abstractmethod
    def _encode(self) -> Callable[[Any], FloatArray]:
        """Return the function from a batch of images to vectors."""

    @abstractmethod
    def _answers(self, rows: NDArray[np.int64], vectors: FloatArray) -> NDArray[np.int64]:
        """Return everything that the model says of some rows, in an order that depends on the rows alone."""

    @override
    def accept(self, tasks: Iterable[Task], notes: list[str]) -> list[Task]:
        self._known = None
        return super().accept(tasks, notes)

    def _images(self, rows: NDArray[np.int64]) -> Images:
        """Return the vectors of some rows; those of all accepted tasks are made at once."""
        if self._known is None or not _within(rows, self._known[0]):
            own = self._rows()
            every = own if _within(rows, own) else np.union1d(own, rows).astype(np.int64)
            self._known = every, Images(self.outputs.of_images(self.model, self.output, self._encode(), every))
        every, images = self._known
        same = len(rows) == len(every) and bool((rows == every).all())
        return images if same else images.only(np.searchsorted(every, rows))

    @override
    def audit(self, sample: int, seed: int) -> Audit | None:
        if self._known is None or not len(self._known[0]) or not sample:
            return None
        rows, images = self._known
        vectors = images[:]
        some = np.sort(np.random.default_rng(seed).choice(len(rows), min(sample, len(rows)), replace=False))
        precision = self.model.info.precision
        lowered = self.model if precision != "float32" and isinstance(self.model, HasMutableInfo) else None
        if lowered is not None:
            lowered.change(precision="float32")
        try:
            again = self.outputs.recompute(self._encode(), rows[some], self.name)
        finally:
            if lowered is not None:
                lowered.change(precision=precision)
        before, after = self._answers(rows[some], vectors[some]), self._answers(rows[some], again)
        return Audit(
            images=len(some),
            precision=precision,
            answers=len(before),
            changed=int((before != after).sum()),
            largest_difference=float(np.abs(vectors[some] - again).max()),
        )


class ImageTextEvaluator(_Encoding):
    """Answers with the inner products of images' and captions' vectors."""

    kind = "image-text"
    output = "image"
    model: ImageTextModel

    def __init__(self, model: ImageTextModel, outputs: Outputs) -> None:
        super().__init__(model, outputs)
        self._captions: TextVectors | None = None
        self._heads: dict[tuple[tuple[str, ...], Prompts], FloatArray] = {}
        self._matrices: dict[tuple[tuple[str, ...], Prompts | None], Captions] = {}

    @override
    def _encode(self) -> Callable[[Any], FloatArray]:
        return self.model.encode_image

    @override
    def restricted(self, task: Task, notes: list[str]) -> Task | None:
        return _readable(task, self.model, self.name)

    @override
    def accept(self, tasks: Iterable[Task], notes: list[str]) -> list[Task]:
        found = super().accept(tasks, notes)
        captions = [caption for task in found if task.prompts is None for caption in task.candidates]
        if found:
            self._images(self._rows())
        self._captions = self.outputs.of_texts(self.model, captions) if captions else None
        self._matrices = {}
        for task in () if self.outputs.placeholder else found:
            if task.prompts is None and not task.exclude_identical and (count := self._read_alike(task)):
                note(notes, f"{self.name}: {count:,} captions ({task.place}) are cut to the same words and tie")
        return found

    @override
    def scores(self, task: Task) -> Scores:
        images, texts = self._images(task.rows), self._matrix(task)
        if task.half:
            return HalfPrecisionScores(images, texts.vectors)
        return VectorScores(images, texts, self.model.logit_scale)

    def matrix(self, task: Task) -> FloatArray:
        """Return the vector of each candidate, (K, D); with a label space, that of each of its outputs."""
        return self._matrix(task).vectors

    def _matrix(self, task: Task) -> Captions:
        """Return the candidates of a task, which several tasks may share."""
        names = task.candidates if task.prompts is None else task.texts or task.candidates
        if (names, task.prompts) not in self._matrices:
            self._matrices[names, task.prompts] = Captions(self._read(names, task.prompts))
        return self._matrices[names, task.prompts]

    def _read(self, names: tuple[str, ...], prompts: Prompts | None) -> FloatArray:
        if prompts is not None:
            return self.heads(prompts, names)
        if self._captions is None or not self._captions.holds(names):
            return self.outputs.of_texts(self.model, names).of(names)
        return self._captions.of(names)

    def heads(self, prompts: Prompts, names: Sequence[str]) -> FloatArray:
        """Return one vector per class, (K, D), of unit length: the mean of the unit vectors of its sentences."""
        key = tuple(names), prompts
        if key not in self._heads:
            asked = [sentences(prompts, name) for name in names]
            texts = self.outputs.of_texts(self.model, [text for some in asked for text in some])
            means = np.stack([np.mean([unit(vector) for vector in texts.of(some)], axis=0) for some in asked])
            self._heads[key] = unit(means.astype(np.float32))
        return self._heads[key]

    @override
    def _answers(self, rows: NDArray[np.int64], vectors: FloatArray) -> NDArray[np.int64]:
        found, seen = [np.zeros(0, np.int64)], set()
        for task in self._accepted:
            key = (task.texts or task.candidates, task.prompts, task.rows.tobytes())
            if key not in seen:  # label spaces read the same scores
                seen.add(key)
                found.append((vectors[np.isin(rows, task.rows)] @ self.matrix(task).T).argmax(1))
        return np.concatenate(found)

    def _read_alike(self, task: Task) -> int:
        """Return how many captions the model reads as it reads another: beyond its limit nothing tells them apart."""
        if not isinstance(self.model, HasTokens):
            return 0
        tied = _repeated(self.matrix(task))  # others need not be read again
        return int(_repeated(self.model.tokens([task.candidates[k] for k in tied])).size) if len(tied) else 0


class ScorerEvaluator(Evaluator):
    """Answers with the scores of a model that looks at image and caption together."""

    kind = "scorer"
    model: Scorer

    @override
    def restricted(self, task: Task, notes: list[str]) -> Task | None:
        most = self.model.max_candidates if isinstance(self.model, HasCandidateLimit) else None
        task = replace(task, metrics=tuple(metric for metric in task.metrics if metric != "top5"))
        if most is not None and "top1" in task.metrics and len(task.candidates) > most:
            if task.negatives is None:
                note(notes, f"{self.name}: tasks with more than {most} captions were asked as hard negatives only")
                return None
            task = replace(task, metrics=("hard_negative",))
        return _readable(task, self.model, self.name)

    @override
    def scores(self, task: Task) -> Scores:
        captions = list(task.texts or task.candidates)
        if task.prompts is not None:
            captions = [sentences(task.prompts, name)[0] for name in captions]

        def score(images: NDArray[np.int64], candidates: NDArray[np.int64]) -> FloatArray:
            function = partial(_score, self.model, [captions[k] for k in candidates])
            return self.outputs.run(function, task.rows[images], f"{self.name}: {task.name}")

        return PairScores(score, (len(task.rows), len(captions)))


class ClassifierEvaluator(_Encoding):
    """Answers with the logits of a classifier."""

    kind = "classifier"
    output = "logits"
    model: Classifier

    @override
    def _encode(self) -> Callable[[Any], FloatArray]:
        return self.model.logits

    @override
    def supports(self, task: Task) -> bool:
        named = self.model.classes is not None
        fits = not named if task.label_space is not None else named or task.classes != "own"
        return super().supports(task) and fits

    @override
    def restricted(self, task: Task, notes: list[str]) -> Task | None:
        if task.label_space is not None:
            return task
        if task.classes == "own":
            return self._among_own(task, notes)
        known = imagenet.logits_of(task.candidates, self.model.classes)
        missing = sorted(set(task.candidates) - set(known))
        if missing and task.classes == "all":
            note(notes, f"{self.name}: no class is called {_listed(missing, 8)}; '{task.name}' was left out")
            return None
        if len(known) < 2:
            return None
        if missing:
            note(notes, f"{self.name}: no class is called {_listed(missing, 12)}, whose pictures were left out")
        return _among(task, sorted(known) if missing else task.candidates)

    def _among_own(self, task: Task, notes: list[str]) -> Task:
        """Return a task whose candidates are the classifier's own classes."""
        called = tuple(dict.fromkeys(self.model.classes or ()))
        known = imagenet.match_classes(task.candidates, called)
        keep = np.isin(task.labels, [k for k, name in enumerate(task.candidates) if name in known])
        missing = sorted(set(task.candidates) - set(known))
        if missing:
            excluded = f"{int((~keep).sum())} pictures were left out"
            note(notes, f"{self.name}: no class is called {_listed(missing, 12)}; {excluded}")
        if not known:
            raise ModelError(f"'{self.name}' has no class that is called like one of {_listed(missing, 5)}")
        labels = np.array([known[task.candidates[k]] for k in task.labels[keep]], dtype=np.int64)
        return replace(task.only(keep), candidates=called, labels=labels)

    @override
    def scores(self, task: Task) -> Scores:
        logits = self._images(task.rows)[:]
        if len(logits) and (problem := imagenet.width_problem(logits.shape[1], self.model.classes)):
            raise ModelError(f"'{self.name}' {problem}")
        if task.label_space is not None:
            return MatrixScores(logits, 1.0)
        if task.classes == "own":
            assert self.model.classes is not None
            return MatrixScores(imagenet.merged(logits, self.model.classes)[0], 1.0)
        known = imagenet.logits_of(task.candidates, self.model.classes)
        best = [logits[:, list(known[name])].max(1) for name in task.candidates]
        return MatrixScores(np.stack(best, axis=1), 1.0)

    @override
    def _answers(self, rows: NDArray[np.int64], vectors: FloatArray) -> NDArray[np.int64]:
        return np.asarray(vectors.argmax(1), np.int64)


def evaluator_of(model: Model, outputs: Outputs) -> Evaluator:
    """Return the evaluator of a model.

    Raises:
        ModelError: one that knows neither captions nor classes.
    """
    if isinstance(model, ImageTextModel):
        return ImageTextEvaluator(model, outputs)
    if isinstance(model, Classifier):
        return ClassifierEvaluator(model, outputs)
    if isinstance(model, Scorer):
        return ScorerEvaluator(model, outputs)
    raise ModelError(
        f"'{model.info.name}' turns pictures into vectors and knows neither captions nor classes; "
        "ask it with `torchmultiverse eval equivariance`"
    )


def note(notes: list[str], text: str) -> None:
    """Add a note that is not there yet."""
    if text not in notes:
        notes.append(text)


def _readable(task: Task, model: Any, name: str) -> Task:
    """Return a task without the images whose two captions a model reads alike.

    Raises:
        DatasetError: none is left.
    """
    if not task.exclude_identical or not isinstance(model, HasTokens):
        return task
    assert task.negatives is not None
    codes = np.unique(model.tokens(list(task.candidates)), axis=0, return_inverse=True)[1].ravel()
    alike = codes[task.labels] == codes[task.negatives]
    if not alike.any():
        return task
    reason = "the captions differ only where the model does not read them"
    found = replace(task.only(~alike), excluded={**task.excluded, reason: int(alike.sum())})
    if not len(found.rows):
        raise DatasetError(f"'{name}', {task.name}: {no_answer(task.eligible, found.excluded)}")
    return found


def _among(task: Task, candidates: Sequence[str]) -> Task:
    """Return a task with some of its candidates only, and the images of which one of these is true."""
    place = {name: index for index, name in enumerate(candidates)}
    names = [task.candidates[k] for k in task.labels]
    keep = np.array([name in place for name in names], bool)
    labels = np.array([place[name] for name in names if name in place], dtype=np.int64)
    return replace(task.only(keep), candidates=tuple(candidates), labels=labels)


def _within(rows: NDArray[np.int64], every: NDArray[np.int64]) -> bool:
    """Return whether rows are all among some, ascending."""
    place = np.searchsorted(every, rows)
    return bool((place < len(every)).all() and (every[place] == rows).all())


def _listed(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")


def _repeated(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Return which rows are equal to another one."""
    codes = np.unique(rows, axis=0, return_inverse=True)[1].ravel()
    return np.flatnonzero(np.bincount(codes)[codes] > 1)


def _score(model: Scorer, captions: Sequence[str], batch: Any) -> FloatArray:
    return model.score(batch, captions)
