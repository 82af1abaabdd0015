"""Classes of a ladder: which column names them, which of the target's are which, and which are kept out of training."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.evaluation import class_map
from torchmultiverse.json_text import read_json
from torchmultiverse.scenes import SemanticClass, class_of, said_name, spoken

_WNID = re.compile(r"n\d{8}")
_UNSEEN_SHARE = 0.25


def class_names(values: NDArray[Any]) -> NDArray[np.str_]:
    """Return the class of each picture, (N,): an object's asset is called by its class.

    >>> class_names(np.array(["Cofee_Mug_3", "Zebra"], object)).tolist()
    ['Cofee_Mug', 'Zebra']
    """
    names, codes = np.unique(values.astype(str), return_inverse=True)
    return np.array([said_name(name) for name in names.tolist()])[codes]


def read_label_map(path: Path) -> dict[str, str]:
    """Return the training class of each class of a target, as a JSON file says.

    Raises:
        DatasetError: no such file, or no object of texts.
    """
    try:
        data = read_json(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise DatasetError(f"--label-map {path}: no such file; a JSON file of target class to ours is right") from None
    except OSError as error:
        raise DatasetError(f"--label-map {path}: {error.strerror or 'cannot be read'}") from None
    except ValueError as error:
        raise DatasetError(f"label map {path}: {error}") from None
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise DatasetError(f'label map {path}: a JSON object is needed, such as {{"tabby cat": "Cat"}}')
    return dict(data)


def matched(ours: Sequence[str], theirs: Sequence[str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the training class of each of the target's classes that has one.

    Names are compared as people write them, each of several synonyms ("great white shark, white shark") counting; then
    synsets (``n02391049``), and classes of ImageNet that published names stand for.

    Args:
        ours: classes that can be trained on.
        theirs: classes of the target.
        given: training class by class of the target; these are taken as they are.

    Raises:
        DatasetError: ``given`` names a class that is not there, or two classes of the target are one.

    >>> matched(["GiantTortoise", "Zebra"], ["giant tortoise", "n02391049", "lamp"])
    {'giant tortoise': 'GiantTortoise', 'n02391049': 'Zebra'}
    """
    for one, other in (given or {}).items():
        for name, known, of in ((one, theirs, "target"), (other, ours, "training pictures")):
            if name not in known:
                raise QuestionError(f"label map: the {of} have no class '{name}'.{nearest(name, known)}")
    found = dict(given or {})
    taken = set(found.values())
    for keys in (_names, _synsets, _indices):
        table = keys([name for name in ours if name not in taken])
        for name in theirs:
            if name in found:
                continue
            mine = {table[key] for key in keys([name]) if key in table}
            if len(mine) == 1 and (one := mine.pop()) not in taken:
                found[name] = one
                taken.add(one)
    return {name: found[name] for name in theirs if name in found}


def _class(name: str) -> SemanticClass | None:
    """Return the published class of a character or of a class of objects; ``None`` where there is none."""
    return class_of(name) or class_of(f"{name}_1")


def _names(names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        known = _class(name)
        for part in (name, *name.split(","), *([known.display] if known is not None else [])):
            found.setdefault(spoken(part.strip().replace(" ", "_")), name)
    return found


def _synsets(names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        known = _class(name)
        key = name if _WNID.fullmatch(name) else known.synset if known is not None else ""
        if key:
            found.setdefault(key, name)
    return found


def _indices(names: Sequence[str]) -> dict[str, str]:
    table = class_map(list(names))
    found: dict[str, str] = {}
    for name in names:
        for index in table.get(name, ()):
            found.setdefault(str(index), name)
    return found


def unseen_classes(classes: Sequence[str], count: int | None, rng: np.random.Generator) -> list[str]:
    """Return the classes that are kept out of training, for a probe on the target.

    Args:
        classes: that both sides have.
        count: how many; ``None`` for a quarter, or none where that is less than two.
        rng: draws them.

    Raises:
        DatasetError: fewer than two classes would be trained on, or one alone is unseen.
    """
    if count is None:
        count = round(_UNSEEN_SHARE * len(classes))
        count = count if count >= 2 and len(classes) - count >= 2 else 0
    if count == 1 or (count and len(classes) - count < 2):
        most = len(classes) - 2
        can = "none" if most < 2 else "0 or 2" if most == 2 else f"0 or 2 to {most}"
        raise QuestionError(
            f"--unseen {count}: of {len(classes)} classes {can} can be kept out, since two are needed on either side"
            + ("; --unseen 0 is right" if most < 2 else "")
        )
    return sorted(rng.permutation(np.array(sorted(classes)))[:count].tolist())
