"""From a dataset's labels to the classes of a classifier: ImageNet's 1000, or those that a model names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from torchmultiverse.models import FloatArray
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import SemanticClass, class_table, spoken

CLASSES = 1000
CLASS_MAP = "imagenet_classes.json"


@cache
def imagenet_names() -> tuple[str, ...]:
    """Return what the 1000 classes of ImageNet are called, in the order of the logits."""
    names: list[str] = json.loads((data_folder("benchmarks") / CLASS_MAP).read_text(encoding="utf-8"))["names"]
    return tuple(names)


def class_map(labels: Sequence[str], file: str = CLASS_MAP) -> dict[str, list[int]]:
    """Return class to ImageNet indices: all classes of the map that fits some labels, and these labels themselves.

    A file holds two maps, of PUG: ImageNet's ``classes`` and of ``animals``. The one that knows more of the labels
    comes first (``classes`` where they are equal); the other one, and then ImageNet's own names, are asked for labels
    that it lacks, and last what published classes are called in full ("African elephant"). Names are compared as people
    write them. Labels that nothing knows are left out.

    Args:
        labels: of a dataset, or the answers of a question.
        file: in ``benchmarks``.
    """
    read = json.loads((data_folder("benchmarks") / Path(file).name).read_text(encoding="utf-8"))
    maps: list[dict[str, list[int]]] = [read["classes"], read.get("animals", {})]
    wanted = {spoken(label) for label in labels}
    maps.sort(key=lambda one: -len(wanted & {spoken(name) for name in one}))
    found = dict(maps[0])
    own: dict[str, list[int]] = {}
    for index, name in enumerate(imagenet_names()):
        own.setdefault(spoken(name), []).append(index)
    for source in (*maps, own):
        names = {spoken(name): name for name in source}
        for label in labels:
            known = names.get(spoken(label))
            if known is not None and label not in found:
                if known not in labels:  # the same class in another spelling is no second candidate
                    found.pop(known, None)
                found[label] = source[known]
    _by_published_name(found, labels)
    return found


def _by_published_name(found: dict[str, list[int]], labels: Sequence[str]) -> None:
    """Add the labels that are called as a published class is in full: "African elephant" is PUG's Elephant.

    Indices that another label has are left to it. Where the published name is a label too, it keeps the class.
    """
    said = {spoken(label) for label in labels}
    published: dict[str, SemanticClass] = {}
    for one in class_table():
        if one.imagenet:
            published.setdefault(spoken(one.display.replace(" ", "_")), one)
    for label in labels:
        known = published.get(spoken(label))
        if label in found or known is None or spoken(known.name) in said:
            continue
        taken = {index for other in labels for index in found.get(other, ())}
        if free := [index for index in known.imagenet if index not in taken]:
            for name in [name for name in found if spoken(name) == spoken(known.name)]:
                del found[name]  # the same class in another spelling is no second candidate
            found[label] = free


def match_classes(labels: Sequence[str], classes: Sequence[str]) -> dict[str, int]:
    """Return the index of each label among a classifier's classes, compared as people write them.

    Of a class that lists synonyms ("great white shark, white shark") each counts, where no class is called just so.
    Labels that no class is called are left out.
    """
    place: dict[str, int] = {}
    for index, name in enumerate(classes):
        place.setdefault(spoken(name), index)
    for index, name in enumerate(classes):
        for synonym in name.split(","):
            place.setdefault(spoken(synonym.strip()), index)
    return {label: place[spoken(label)] for label in labels if spoken(label) in place}


def merged(logits: FloatArray, classes: Sequence[str]) -> tuple[FloatArray, tuple[str, ...]]:
    """Return one logit, the best, of each name, and the names: two classes may be called "crane".

    Args:
        logits: (N, C).
        classes: their names, C.
    """
    names = tuple(dict.fromkeys(classes))
    if len(names) == len(classes):
        return logits, names
    alike = _alike(classes)
    return np.stack([logits[:, alike[name]].max(1) for name in names], axis=1), names


def _alike(classes: Sequence[str]) -> dict[str, list[int]]:
    """Return where each name stands among a classifier's classes."""
    alike: dict[str, list[int]] = {}
    for index, name in enumerate(classes):
        alike.setdefault(name, []).append(index)
    return alike


def logits_of(names: Sequence[str], classes: Sequence[str] | None) -> Mapping[str, Sequence[int]]:
    """Return the logits that mean each name; names without any are left out.

    Args:
        names: animals, classes or answers.
        classes: what the logits are called; ``None`` means the 1000 of ImageNet.
    """
    if classes is not None:
        alike = _alike(classes)
        return {name: alike[classes[index]] for name, index in match_classes(names, classes).items()}
    known = class_map(names)
    return {name: known[name] for name in names if name in known}


def width_problem(width: int, classes: Sequence[str] | None) -> str | None:
    """Return why logits cannot be read as classes, or ``None``.

    Args:
        width: how many logits there are.
        classes: what they are called; ``None`` means the 1000 of ImageNet.
    """
    if classes is None:
        if width == CLASSES:
            return None
        problem = f"returns {width} logits but no class names; without names {CLASSES} are needed, those of ImageNet"
        hint = "logits[:, 1:]" if width == CLASSES + 1 else ""
    else:
        if width == len(classes):
            return None
        problem = f"returns {width} logits but names {len(classes)} classes; there must be a name for each"
        first = spoken(classes[0]) if classes else ""
        hint = "classes[1:]" if len(classes) == width + 1 and first == "background" else ""
        hint = "logits[:, 1:]" if width == len(classes) + 1 else hint
    background = f". If a class for the background comes first, leave it out: {hint}" if hint else ""
    return problem + background
