"""Folders as ImageNet-C lies on a disk: TYPE/SEVERITY/CLASS/picture, and AlexNet's published errors on it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from torchmultiverse.corruptions import CORRUPTIONS, SEVERITIES
from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation.corruption_errors import Condition
from torchmultiverse.evaluation.imagenet import imagenet_names
from torchmultiverse.resources import data_folder
from torchmultiverse.store import ImageFolder, ImageSet, Manifest

LABEL = "character_name"


@cache
def published_on_imagenet_c() -> dict[str, Any]:
    """Return the published numbers on ImageNet-C, as they lie in ``benchmarks/reference``."""
    found: dict[str, Any] = json.loads((data_folder("benchmarks") / "reference" / "imagenet_c.json").read_text())
    return found


def alexnet_errors() -> dict[Condition, float]:
    """Return AlexNet's published error by corruption and severity, and on plain pictures (severity 0).

    >>> round(sum(alexnet_errors()["gaussian_noise", severity] for severity in range(1, 6)) / 5, 3)
    0.886
    """
    about = published_on_imagenet_c()["alexnet"]
    errors = {(name, s): float(v) for name, values in about["errors"].items() for s, v in enumerate(values, 1)}
    return {("", 0): float(about["plain"]), **errors}


class NamedClasses(ImageSet):
    """Pictures in folders of classes whose names are those of ImageNet where folders are WordNet ids (n01440764).

    Args:
        folder: of the classes.
    """

    has_bytes = True

    def __init__(self, folder: str | Path) -> None:
        self._folder = ImageFolder(folder)
        self.path: Path = self._folder.path
        known = dict(zip(_synsets(), imagenet_names(), strict=True))
        labels = self._folder.table(["label"])["label"].to_pylist()
        if not all(labels):
            raise DatasetError(f"{folder}: pictures lie in no folder of a class")
        self._table = self._folder.table().append_column(LABEL, pa.array([known.get(label, label) for label in labels]))

    @property
    def manifest(self) -> Manifest:
        """That of the folder."""
        return self._folder.manifest

    def __len__(self) -> int:
        return len(self._folder)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return ``label``, ``filename`` and ``character_name``, the class by its name."""
        return self._table if columns is None else self._table.select(list(columns))

    def image(self, index: int) -> Image.Image:
        """Return one image."""
        return self._folder.image(index)

    def image_bytes(self, index: int) -> bytes:
        """Return an image as the bytes of its file."""
        return self._folder.image_bytes(index)


@cache
def _synsets() -> tuple[str, ...]:
    """Return the WordNet ids of ImageNet's 1000 classes, in the order of the logits."""
    return tuple(published_on_imagenet_c()["synsets"].split())


def corruption_folders(path: str | Path) -> dict[Condition, Path]:
    """Return the folder of every corruption and severity below a folder; nothing where it is laid out otherwise.

    ``TYPE/SEVERITY/CLASS/…`` is read, and ``GROUP/TYPE/SEVERITY/CLASS/…``, as the archives unpack.
    """
    root = Path(path)
    found: dict[Condition, Path] = {}
    if not root.is_dir():
        return found
    for parent in (root, *sorted(child for child in root.iterdir() if child.is_dir())):
        for name in CORRUPTIONS:
            for severity in SEVERITIES:
                folder = parent / name / str(severity)
                if folder.is_dir():
                    found.setdefault((name, severity), folder)
    return found


def open_condition(folder: Path, expected: Sequence[str] | None = None) -> NamedClasses:
    """Return the pictures of one corruption and severity.

    Args:
        folder: of its classes.
        expected: names of the files that the first condition had.

    Raises:
        DatasetError: no pictures, or others than those expected.
    """
    images = NamedClasses(folder)
    if expected is not None:
        names = _names(images)
        if names != list(expected):
            differ = sorted(set(names) ^ set(expected))
            raise DatasetError(
                f"{folder} has other pictures than the first folder: {len(names):,} instead of {len(expected):,}"
                + (f", such as {differ[0]}" if differ else "")
            )
    return images


def file_names(images: NamedClasses) -> list[str]:
    """Return the names of the files of pictures without their endings, in order."""
    return _names(images)


def _names(images: NamedClasses) -> list[str]:
    return [name.rpartition(".")[0] for name in images.table(["filename"])["filename"].to_pylist()]


def whole_imagenet_c(folders: Mapping[Condition, Path], names: Sequence[str], severities: Sequence[int]) -> bool:
    """Return whether folders hold all that a mean corruption error is taken over."""
    return bool(names) and all((name, severity) in folders for name in names for severity in severities)


def is_imagenet(images: NamedClasses) -> bool:
    """Return whether all classes are of ImageNet's 1000, by WordNet id."""
    return bool(np.isin(np.array(images.table(["label"])["label"].to_pylist()), np.array(_synsets())).all())
