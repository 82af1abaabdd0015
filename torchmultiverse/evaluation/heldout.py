"""Does a classifier recognise animals under conditions that it was not trained on? (PUG: Animals, appendix D.3.2)

Some animals are seen under every condition (``keep`` of them, C in the published figure); of the others, pictures of
the held-out levels are taken out of training, and are what is tested. With ``keep`` = 0 the levels were never seen;
with more, the combination of animal and level. Beside it stands a control that the published figure lacks: a model
trained on as many pictures of each animal, drawn from all levels alike, and tested on the same pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError, counted, nearest
from torchmultiverse.features import image_array
from torchmultiverse.models import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from torchmultiverse.scenes import said_name
from torchmultiverse.stats import MIN_CLUSTERS, Intervals, paired_interval
from torchmultiverse.store import ImageSet, columns_of, label_column, open_images
from torchmultiverse.train import ClassifierTraining, train_classifier


@dataclass(frozen=True)
class HeldOutResult:
    """What came of one split.

    Attributes:
        factor, held_out: column, and the levels that were held out.
        keep: animals that were seen at all levels.
        trained, tested: pictures.
        seen: accuracy on the training pictures.
        accuracy, low, high: on the held-out pictures, whole animals being resampled.
        control, control_low, control_high: of the model that saw all levels, on those of the same pictures that it was
            not trained on.
        by_level: accuracy by held-out level, of the model and of the control.
        lost, lost_low, lost_high: accuracy of the control minus that of the model, on the pictures that neither was
            trained on, whole animals being resampled; not a number where it cannot be said (too few animals, or a
            record from before it was measured).
        chance: of always giving the most frequent answer of the held-out pictures.
    """

    factor: str
    held_out: tuple[str, ...]
    keep: int
    trained: int
    tested: int
    seen: float
    accuracy: float
    low: float
    high: float
    control: float
    control_low: float
    control_high: float
    by_level: Mapping[str, tuple[float, float]]
    lost: float = float("nan")
    lost_low: float = float("nan")
    lost_high: float = float("nan")
    chance: float = float("nan")


def class_names(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.str_]:
    """Return the animals, or the classes of objects, whose variants are one.

    Raises:
        DatasetError: a dataset has none.
    """
    name = label_column(columns, None, "the dataset", "the name of a column")
    values = columns[name].astype(str)
    return np.array([said_name(value) for value in values]) if name.startswith("character") else values


def held_out_split(
    columns: Mapping[str, NDArray[Any]], factor: str, levels: Sequence[str], keep: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return which pictures are trained on, (N,): all but the held-out levels of the animals that are not kept.

    Args:
        columns: of the dataset.
        factor: column whose levels are held out.
        levels: to be held out, as words.
        keep: animals, drawn at random, that are seen at all levels.
        rng: draws them.

    Raises:
        DatasetError: no such column or level, or nothing would be left to train on or to test.
    """
    if factor not in columns:
        raise QuestionError(f"no column '{factor}'.{nearest(factor, columns)}")
    values, animals = columns[factor].astype(str), class_names(columns)
    for level in levels:
        if level not in values:
            raise QuestionError(f"{factor} has no level '{level}'.{nearest(level, set(values))}")
    names = np.unique(animals)
    if not 0 <= keep < len(names):
        raise DatasetError(f"keep is 0 to {len(names) - 1} animals, not {keep}")
    kept = rng.permutation(names)[:keep]
    train = ~np.isin(values, list(levels)) | np.isin(animals, kept)
    if set(animals[train]) != set(names):
        raise DatasetError(f"without {', '.join(levels)} some animals have no picture to train on")
    return np.asarray(train)


def held_out(
    dataset: Any,
    factor: str,
    levels: Sequence[str] | int,
    keep: int = 0,
    recipe: ClassifierTraining | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> HeldOutResult:
    """Train on some levels, test on the others, and train a control.

    Args:
        dataset: folder or opened dataset with the columns of PUG: Animals.
        factor: ``world_name``, ``character_scale``, ``character_texture``, …
        levels: to hold out; or how many, drawn at random.
        keep: animals that are seen at all levels.
        recipe: of training; by default the published one.
        seed: of the draws, first weights and batches.
        quiet: show no bars.

    Raises:
        DatasetError: see `held_out_split`.
        MissingExtra: timm is not installed.
    """
    images, recipe = open_images(dataset), recipe or ClassifierTraining()
    return held_out_of(images, classifier_pixels(images, recipe.size, quiet), factor, levels, keep, recipe, seed, quiet)


def classifier_pixels(images: ImageSet, size: int, quiet: bool = False) -> NDArray[np.uint8]:
    """Return all images of a set as a classifier takes them, (N, size, size, 3)."""
    preprocess = Preprocess((size, size), "squash", 1.0, "bicubic", IMAGENET_MEAN, IMAGENET_STD)
    return image_array(images, np.arange(len(images)), size, preprocess.image, quiet)


def held_out_of(
    images: ImageSet, pixels: NDArray[np.uint8], factor: str, levels: Sequence[str] | int, keep: int,
    recipe: ClassifierTraining, seed: int = 0, quiet: bool = False,
) -> HeldOutResult:  # fmt: skip
    """Return the same as `held_out` of images whose pixels are there already; see there."""
    columns = columns_of(images)
    rng = np.random.default_rng(seed)
    if isinstance(levels, int):
        if factor not in columns:
            raise QuestionError(f"no column '{factor}'.{nearest(factor, columns)}")
        known = np.unique(columns[factor].astype(str))
        if not 0 < levels < len(known):
            raise QuestionError(f"{factor} has {counted(len(known), 'level')}; hold out 1 to {len(known) - 1} of them")
        levels = sorted(rng.permutation(known)[:levels].tolist())
    train = held_out_split(columns, factor, levels, keep, rng)
    animals = class_names(columns)
    control = np.zeros(len(train), bool)
    for animal in np.unique(animals):  # as many of each as the model saw, from all levels alike
        mine = np.flatnonzero(animals == animal)
        control[rng.permutation(mine)[: int(train[mine].sum())]] = True
    labels = np.unique(animals, return_inverse=True)[1]
    answers = [
        train_classifier(pixels, labels, mask, recipe, np.random.default_rng((seed, k)), name=name, quiet=quiet)
        for k, (mask, name) in enumerate(((train, "held-out"), (control, "control")))
    ]
    test, both = ~train, ~train & ~control
    intervals = Intervals(seed)
    right = [(answer == labels).astype(float) for answer in answers]
    low, high, _ = intervals.of_mean(right[0][test], labels[test])
    control_low, control_high, _ = intervals.of_mean(right[1][both], labels[both]) if both.any() else (0.0, 1.0, "")
    values = columns[factor].astype(str)
    by_level = {
        str(level): (_mean(right[0][test & (values == level)]), _mean(right[1][both & (values == level)]))
        for level in levels
    }
    return HeldOutResult(
        factor, tuple(map(str, levels)), keep, int(train.sum()), int(test.sum()), _mean(right[0][train]),
        _mean(right[0][test]), low, high, _mean(right[1][both]), control_low, control_high, by_level,
        *_lost(right[1][both] - right[0][both], labels[both]), float(np.bincount(labels[test]).max() / test.sum()),
    )  # fmt: skip


def _lost(differences: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return the mean of differences on the same pictures with its interval over whole animals."""
    if not len(differences):
        return (float("nan"),) * 3
    found = paired_interval(differences, np.unique(labels, return_inverse=True)[1])
    known = found.clusters >= MIN_CLUSTERS
    return found.mean, found.low if known else float("nan"), found.high if known else float("nan")


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
