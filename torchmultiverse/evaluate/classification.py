"""Classification by factor: labels, label spaces, and which pictures tell about which factor. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluate.imagenet import imagenet_names
from torchmultiverse.evaluate.scoring import TIE, Outcome, retrieval
from torchmultiverse.scenes import FACTORS

_IDENTITY = ("character_name", "character_label")


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
        values = columns[name]
        levels, counts = np.unique(values.astype(str), return_counts=True)
        if len(levels) < 2:
            continue
        default = str(FACTORS[name].default)
        reference = default if default in levels else levels[counts.argmax()]
        departs[name] = values.astype(str) != reference
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
    own = imagenet_names()
    chosen = logits.argmax(1).astype(np.int64)
    predictions = [
        label if inside[row, index] else called.get(int(index), own[index])
        for row, (label, index) in enumerate(zip(labels, chosen, strict=True))
    ]
    lowest = np.finfo(np.float32).min
    confidence = (1 / np.exp(logits - best[:, None]).sum(1)).astype(np.float32)
    outcome = Outcome(correct, chosen, np.maximum(margin, lowest).astype(np.float32), confidence)
    return outcome, predictions, float(inside.sum(1).mean() / logits.shape[1]) if len(labels) else 0.0
