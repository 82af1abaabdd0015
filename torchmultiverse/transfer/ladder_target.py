"""The target of a ladder: its pictures, which of their classes are trained on, and what else is asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import FactorTarget, ProbeData, factor_target, probe_of, split
from torchmultiverse.errors import DatasetError
from torchmultiverse.features import Features, factor_names
from torchmultiverse.models import FloatArray
from torchmultiverse.store import ImageSet, columns_of, dataset_name

FOLDS = 3
_LEVELS = 24
_SHARED = ("character_name", "world_name", "background")
_LEAST_PICTURES = 6  # of an unseen class, so that each part of the probe has some


@dataclass(frozen=True)
class Question:
    """Something that a probe reads of the target's pictures.

    Attributes:
        name: of the question.
        rows: places among the target's pictures, (M,).
        codes: answers, 0 to K − 1, (M,).
        groups: of pictures that are not independent, (M,).
        folds: part of each picture, 0 to `FOLDS` − 1; a group is in one part only.
        chance: accuracy of the most frequent answer.
    """

    name: str
    rows: NDArray[np.int64]
    codes: NDArray[np.int64]
    groups: NDArray[np.int64]
    folds: NDArray[np.int64]
    chance: float


@dataclass(frozen=True)
class Target:
    """Pictures that a ladder is for.

    Attributes:
        images: the dataset.
        rows: of it that are asked, (N,).
        codes: training class of each, −1 of one that is not trained on, (N,).
        groups: of pictures that are not independent, (N,).
        grouped_by: column of the groups, "" where each picture is one.
        unseen: probe of the classes that are not trained on; ``None`` where there are too few.
        factors: probes of the target's factors.
        classes: names of all classes, (N,).
        notes: what could not be asked, and why.
    """

    images: ImageSet
    rows: NDArray[np.int64]
    codes: NDArray[np.int64]
    groups: NDArray[np.int64]
    grouped_by: str
    unseen: Question | None
    factors: tuple[Question, ...]
    classes: NDArray[np.str_]
    notes: tuple[str, ...]

    @property
    def seen(self) -> NDArray[np.int64]:
        """Places of pictures whose class is trained on."""
        return np.flatnonzero(self.codes >= 0)

    @property
    def common(self) -> NDArray[np.int64]:
        """Training classes that the target has."""
        return np.unique(self.codes[self.codes >= 0])


def make_target(
    images: ImageSet,
    classes: NDArray[np.str_],
    matches: Mapping[str, str],
    trained: Sequence[str],
    label: str,
    group: str = "auto",
    limit: int | None = 2000,
    seed: int = 0,
) -> Target:
    """Return a target with everything that is asked of it.

    Args:
        images: the dataset.
        classes: of its pictures, (N,).
        matches: training class by class of the target.
        trained: classes that are trained on, in the order of their codes.
        label: column of the classes, which is no factor to be asked for.
        group: column whose groups are resampled, and in one part of a probe only; ``auto``, or ``rows`` for none.
        limit: so many pictures at most, drawn at random; ``None`` for all.
        seed: of draws.

    Raises:
        DatasetError: no class of the target is trained on, or no such column.
    """
    rng = np.random.default_rng((seed, 11))
    rows = np.arange(len(images))
    if limit is not None and limit < len(rows):
        rows = np.sort(rng.permutation(rows)[:limit])
    classes = classes[rows]
    columns = {name: values[rows] for name, values in columns_of(images).items()}
    place = {name: code for code, name in enumerate(trained)}
    codes = np.array([place.get(matches.get(str(name), ""), -1) for name in classes], np.int64)
    if not (codes >= 0).any():
        raise DatasetError(f"'{dataset_name(images)}' has no picture of a class that is trained on")
    notes: list[str] = []
    seen = np.flatnonzero(codes >= 0)
    groups, by = _groups(columns, seen, codes[seen], group, rng)
    if not by:
        notes += _sharing(columns, label)
    every = np.arange(len(rows))
    every_group = groups if len(groups) == len(rows) else every
    unseen = _unseen(columns, classes, codes, group, rng, notes)
    factors = _factors(columns, dataset_name(images), label, classes, group, rng, notes)
    return Target(images, rows, codes, every_group, by, unseen, factors, classes, tuple(notes))


def answers(question: Question, features: FloatArray, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which pictures of a question a linear probe gets right, (M,), each by a probe that did not see its group.

    Args:
        question: what is asked.
        features: of all of the target's pictures, (N, D).
        rng: draws the pictures by which the penalty is chosen.
    """
    x = features[question.rows]
    right = np.zeros(len(x), bool)
    probe = probe_of("logistic")
    for fold in range(FOLDS):
        test = question.folds == fold
        rest = np.flatnonzero(~test)
        names = rng.permutation(np.unique(question.groups[rest]))
        held = np.isin(question.groups[rest], names[: max(1, len(names) // 5)])
        if not np.isin(question.codes[rest], question.codes[rest[~held]]).all():  # a class would be lost
            held = rng.random(len(rest)) < 0.2
        train, validation = rest[~held], rest[held] if held.any() else rest
        data = ProbeData(
            x[train], x[validation], x[test], question.codes[train], question.codes[validation],
            int(question.codes.max()) + 1,
        )  # fmt: skip
        right[test] = probe(data, rng).prediction == question.codes[test]
    return right


def _groups(
    columns: Mapping[str, NDArray[Any]], rows: NDArray[np.int64], codes: NDArray[np.int64], group: str, rng: Any
) -> tuple[NDArray[np.int64], str]:
    """Return the group of every picture of the target, (N,), and the column; each its own where none fits."""
    count = len(next(iter(columns.values())))
    if group == "rows":
        return np.arange(count), ""
    mine = {name: values[rows] for name, values in columns.items()}
    found = split(mine, _answers("class", codes), rng, group)
    if not found.by:
        return np.arange(count), ""
    return np.unique(columns[found.by].astype(str), return_inverse=True)[1].astype(np.int64), found.by


def _sharing(columns: Mapping[str, NDArray[Any]], label: str) -> list[str]:
    """Return what pictures share that are taken as independent, for want of groups."""
    for name in _SHARED:
        count = len(np.unique(columns[name].astype(str))) if name in columns and name != label else 1
        if count > 1:
            return [
                f"the target has {count} levels of {name}, too few to be resampled: intervals take its pictures as "
                "independent and say nothing of another level"
            ]
    return []


def _answers(name: str, codes: NDArray[np.int64]) -> FactorTarget:
    levels, places = np.unique(codes, return_inverse=True)
    return FactorTarget(name, places.astype(np.int64), tuple(map(str, levels.tolist())))


def _question(
    name: str,
    columns: Mapping[str, NDArray[Any]],
    rows: NDArray[np.int64],
    values: NDArray[Any],
    group: str,
    rng: np.random.Generator,
) -> Question:
    """Return a question with its folds.

    Raises:
        DatasetError: pictures cannot be divided so that each part has every answer.
    """
    codes = np.unique(values, return_inverse=True)[1].astype(np.int64)
    mine = {one: column[rows] for one, column in columns.items()}
    groups = split(mine, _answers(name, codes), rng, group).groups
    sizes = np.bincount(groups)
    for _ in range(50):
        order = rng.permutation(len(sizes))
        part = np.empty(len(sizes), np.int64)
        part[order] = np.minimum((np.cumsum(sizes[order]) - 1) * FOLDS // len(rows), FOLDS - 1)
        folds = part[groups]
        counts = np.stack([np.bincount(codes[folds != fold], minlength=codes.max() + 1) for fold in range(FOLDS)])
        if (counts >= 2).all() and len(np.unique(folds)) == FOLDS:
            return Question(name, rows, codes, groups, folds, float(np.bincount(codes).max() / len(codes)))
    raise DatasetError(f"the pictures of some level of '{name}' are in too few groups to be divided")


def _unseen(
    columns: Mapping[str, NDArray[Any]],
    classes: NDArray[np.str_],
    codes: NDArray[np.int64],
    group: str,
    rng: np.random.Generator,
    notes: list[str],
) -> Question | None:
    """Return the probe of classes that are not trained on, with the classes that have too few pictures left out."""
    names, counts = np.unique(classes[codes < 0], return_counts=True)
    kept = names[counts >= _LEAST_PICTURES]
    if len(kept) < 2:
        notes.append(
            f"unseen classes are not asked: the target has {len(kept)} with {_LEAST_PICTURES} pictures or more that "
            "are not trained on, and a probe needs two (--unseen 2 keeps two out)"
        )
        return None
    rows = np.flatnonzero(np.isin(classes, kept) & (codes < 0))
    try:
        return _question("unseen classes", columns, rows, classes[rows], group, rng)
    except DatasetError as error:
        notes.append(f"unseen classes are not asked: {error}")
        return None


def _factors(
    columns: Mapping[str, NDArray[Any]],
    dataset: str,
    label: str,
    classes: NDArray[np.str_],
    group: str,
    rng: np.random.Generator,
    notes: list[str],
) -> tuple[Question, ...]:
    """Return a probe of each factor of the target that varies and has not too many levels."""
    others = {name: values for name, values in columns.items() if name != label}
    try:
        names = factor_names(Features("", dataset, {}, others, np.arange(len(classes)), {}))
    except DatasetError:
        notes.append("factors of the target are not asked: it has no column of one that varies")
        return ()
    found = []
    for name in names:
        target = factor_target(others, name)
        if target.numbers is not None or len(target.levels) > _LEVELS:
            continue
        pairs = {*zip(classes.tolist(), target.codes.tolist(), strict=True)}
        if len(pairs) == len(np.unique(classes)):  # the class says it
            continue
        try:
            found.append(_question(name, columns, np.arange(len(classes)), target.codes, group, rng))
        except DatasetError as error:
            notes.append(f"factor '{name}' is not asked: {error}")
    return tuple(found)
