"""A folder of images, one subfolder per class, as a dataset."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import pyarrow as pa
from PIL import Image

from torchmultiverse.errors import DatasetError, shortened
from torchmultiverse.images import SUFFIXES, read
from torchmultiverse.remote import local_copy
from torchmultiverse.store.manifest import Manifest
from torchmultiverse.store.reader import open_dataset
from torchmultiverse.store.views import ImageSet


class ImageFolder(ImageSet):
    """Images below a folder: ``CLASS/…/picture.jpg``, as ImageNet lies on a disk.

    Columns are ``label`` (the first folder below; "" for images that lie in none), ``filename``, and ``folder_2``,
    ``folder_3`` … where all images lie so deep: in ``photo/dog/1.jpg`` the label is ``photo``, ``folder_2`` is ``dog``.
    Files are in the order of their names, whatever the file system says.

    Args:
        path: the folder.

    Raises:
        DatasetError: no folder, or no image in it.
    """

    path: Path
    has_bytes = True

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise DatasetError(f"no folder {self.path}")
        self.names = sorted(_walk(self.path))
        if not self.names:
            raise DatasetError(f"{self.path} holds no picture ({', '.join(sorted(SUFFIXES))})")
        folders = [_composed(name).split("/")[:-1] for name in self.names]
        self._columns: dict[str, list[str]] = {"label": [one[0] if one else "" for one in folders]}
        self._columns["filename"] = self.names
        for place in range(1, min(map(len, folders))):
            self._columns[f"folder_{place + 1}"] = [one[place] for one in folders]

    @cached_property
    def manifest(self) -> Manifest:
        """Name, count, and a hash of the names and contents of all files."""
        digest = hashlib.sha256()
        for index, name in enumerate(self.names):
            content = hashlib.sha256(self.image_bytes(index)).hexdigest()
            digest.update(f"{_composed(name)}\0{content}\n".encode())
        return Manifest(name=self.path.name, count=len(self.names), files_sha256=digest.hexdigest())

    def __len__(self) -> int:
        return len(self.names)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return ``label``, ``filename``, and the deeper folders."""
        table = pa.table(self._columns)
        return table if columns is None else table.select(list(columns))

    def image_bytes(self, index: int) -> bytes:
        """Return an image as the bytes of its file.

        Raises:
            DatasetError: it cannot be read.
        """
        path = self.path / self.names[index]
        try:
            return path.read_bytes()
        except OSError as error:
            raise DatasetError(f"{path}: {error.strerror or error}") from error

    def image(self, index: int) -> Image.Image:
        """Return one image, upright, RGB.

        Raises:
            DatasetError: it cannot be read or decoded.
        """
        return read(self.image_bytes(index), str(self.path / self.names[index]))


def _composed(name: str) -> str:
    """Return a name in composed characters; macOS writes others, and no class is called so."""
    return unicodedata.normalize("NFC", name)


def _walk(folder: Path) -> Iterator[str]:
    """Yield the images below a folder, as paths relative to it; folders that are links are not entered."""
    for root, _, files in os.walk(folder):
        for name in files:
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield (Path(root) / name).relative_to(folder).as_posix()


def is_image_folder(path: Path) -> bool:
    """Whether a folder holds images rather than a dataset of this package."""
    ours = ("*.parquet", "data/*.parquet", "manifest.json")
    return path.is_dir() and not any(any(path.glob(p)) for p in ours) and next(_walk(path), None) is not None


def open_images(dataset: str | Path | ImageSet) -> ImageSet:
    """Return an opened dataset for a folder (or images in folders of classes), or what was given."""
    if not isinstance(dataset, str | Path):
        return dataset
    folder = local_copy(dataset)
    if folder.is_dir() and not any(f[:1] != "." for _, _, files in os.walk(folder) for f in files):
        below = sorted(one.name for one in folder.iterdir())
        inside = f", nor in the folders below it ({shortened(', '.join(below))})" if below else ""
        raise DatasetError(f"there are no pictures in {folder}{inside}: they are files such as CLASS/1.jpg")
    return ImageFolder(folder) if is_image_folder(folder) else open_dataset(folder)
