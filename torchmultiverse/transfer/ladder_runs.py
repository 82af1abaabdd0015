"""The trainings of a ladder, each with what it gets right; one that is finished is read again, not made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.documents import Document
from torchmultiverse.errors import DatasetError
from torchmultiverse.store import ImageSet, manifest_hash
from torchmultiverse.transfer.feature_statistics import feature_statistics
from torchmultiverse.transfer.ladder_encoders import Asked, Outputs, PixelStore, Recipe, train_on
from torchmultiverse.transfer.ladder_groups import Plan
from torchmultiverse.transfer.ladder_rows import Drawn
from torchmultiverse.transfer.ladder_scenes import folder_name
from torchmultiverse.transfer.ladder_target import Question, Target, answers

_METHOD = 1
"""Raised when what a run measures changes, so that older runs are made again."""


class StepRun(Document):
    """What one training gets right.

    Attributes:
        step, seed: which training.
        settings: hash of all that it depends on.
        trained: pictures that it was trained on.
        own: of the step's own held-out pictures, which are right: 1 or 0.
        target: of the target's pictures of classes trained on.
        unseen: of the question of classes that were not trained on; empty where it is not asked.
        factors: of each question of a factor.
        statistics: of the features of the target's pictures.
    """

    file: ClassVar[str] = "run.json"
    step: str
    seed: int
    settings: str
    trained: int
    own: tuple[int, ...]
    target: tuple[int, ...]
    unseen: tuple[int, ...] = ()
    factors: Mapping[str, tuple[int, ...]] = {}
    statistics: Mapping[str, float] = {}


@dataclass(frozen=True)
class Step:
    """One step with its pictures.

    Attributes:
        plan: what is free.
        images: the dataset that holds its pictures.
        codes: class of each of them, −1 of one that is not trained on.
        drawn: rows by seed; one of all seeds where they share them.
        label: column of the classes.
    """

    plan: Plan
    images: ImageSet
    codes: NDArray[np.int64]
    drawn: tuple[Drawn, ...]
    label: str

    def rows(self, number: int) -> Drawn:
        """Return the rows of the n-th training."""
        return self.drawn[number % len(self.drawn)]


def run_of(
    step: Step, number: int, seed: int, recipe: Recipe, target: Target, out: Path, pixels: PixelStore
) -> StepRun:
    """Return a training of a step and what it gets right, from its file where it is there already.

    Args:
        step: which.
        number: of the training.
        seed: of the ladder.
        recipe: of training.
        target: what is asked.
        out: folder of the ladder.
        pixels: decoded pictures.
    """
    drawn = step.rows(number)
    settings = _settings(step, drawn, (seed, number), recipe, target)
    folder = out / "runs" / f"{folder_name(step.plan.name)}-{number}-{settings[:8]}"
    if (folder / StepRun.file).is_file():
        found = StepRun.load(folder)
        if found.settings == settings:
            return found
    asked = {"own": Asked(step.images, drawn.own), "target": Asked(target.images, target.rows)}
    own_seed = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    outputs = train_on(
        Asked(step.images, drawn.train), step.codes[drawn.train], recipe, own_seed, folder, asked, pixels, step.label
    )
    found = _judged(step, number, settings, drawn, target, outputs["own"].logits, outputs["target"])
    found.save(folder)
    return found


def is_done(step: Step, number: int, seed: int, recipe: Recipe, target: Target, out: Path) -> bool:
    """Tell whether a training is there already."""
    settings = _settings(step, step.rows(number), (seed, number), recipe, target)
    return (out / "runs" / f"{folder_name(step.plan.name)}-{number}-{settings[:8]}" / StepRun.file).is_file()


def _judged(
    step: Step, number: int, settings: str, drawn: Drawn, target: Target, own: NDArray[np.float32], found: Outputs
) -> StepRun:
    rng = np.random.default_rng((number, 5))
    seen, common = target.seen, target.common
    # As for test sets of fewer classes in the source: the classifier is unchanged, and only common classes may win.
    said = common[found.logits[seen][:, common].argmax(1)]

    def asked(question: Question | None) -> tuple[int, ...]:
        return () if question is None else tuple(answers(question, found.features, rng).astype(int).tolist())

    return StepRun(
        step=step.plan.name, seed=number, settings=settings, trained=len(drawn.train),
        own=tuple((own.argmax(1) == step.codes[drawn.own]).astype(int).tolist()),
        target=tuple((said == target.codes[seen]).astype(int).tolist()),
        unseen=asked(target.unseen), factors={one.name: asked(one) for one in target.factors},
        statistics=feature_statistics(found.features, target.classes)._asdict(),
    )  # fmt: skip


def _settings(step: Step, drawn: Drawn, seed: tuple[int, int], recipe: Recipe, target: Target) -> str:
    """Return a hash of all that a training and what is asked of it depend on."""
    questions = [one for one in (target.unseen, *target.factors) if one is not None]
    parts = [drawn.train, drawn.own, step.codes[drawn.train], target.rows, target.codes]
    parts += [array for one in questions for array in (one.rows, one.codes, one.folds)]
    data = {
        "method": _METHOD, "seed": seed, "recipe": [type(recipe).__name__, recipe.as_dict()],
        "images": manifest_hash(step.images), "target": manifest_hash(target.images),
        "asked": [one.name for one in questions],
        "rows": [hashlib.sha256(np.ascontiguousarray(part, np.int64).tobytes()).hexdigest() for part in parts],
    }  # fmt: skip
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def check_classes(step: Step, classes: int, number: int) -> None:
    """Check that a training has as many pictures of each class.

    Raises:
        DatasetError: it has not.
    """
    counts = np.bincount(step.codes[step.rows(number).train], minlength=classes)
    if len(set(counts.tolist())) != 1:
        raise DatasetError(f"step '{step.plan.name}' has {counts.min()} to {counts.max()} pictures of a class")
