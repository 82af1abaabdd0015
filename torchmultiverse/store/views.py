"""Images with a table of factors, wherever they are: the one interface, images in memory, and parts of a dataset."""

from __future__ import annotations

import hashlib
import operator
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.errors import DatasetError, nearest
from torchmultiverse.scenes import canonical_json, level_text, may_be_own
from torchmultiverse.store.manifest import Manifest, table_of
from torchmultiverse.store.object_column import is_list

_JSON = ("scene", "annotations")
_NOT_FACTORS = frozenset(("engine", "render_ms", "split", "filename"))


class ImageSet(Protocol):
    """Images with a table of factors: what is evaluated, trained on and analysed.

    `StoredDataset`, `ImageFolder`, `ImageList` and `ImageSubset` are such sets. A set of your own subclasses it, says
    `manifest`, ``__len__``, `table` and `image`, and `image_bytes` where images are files.

    Attributes:
        path: folder of the set, ``None`` in memory.
        has_bytes: whether `image_bytes` returns what an image's pixels follow from. Then features are kept by it.
        keeps_pixels: whether decoded images may be kept beside features; not of those that are made for one look.
    """

    path: Path | None = None
    has_bytes: bool = False
    keeps_pixels: bool = True

    @property
    @abstractmethod
    def manifest(self) -> Manifest:
        """What is known of the whole; its hash stands for the set in results."""
        ...

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns; without names, all but the images."""
        ...

    @abstractmethod
    def image(self, index: int) -> Image.Image:
        """Return one image."""
        ...

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one row: ``image``, decoded, and what the columns that are no images say of it.

        Raises:
            IndexError: no such row; so that a set can be iterated over.
        """
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"'{dataset_name(self)}' has {len(self)} rows, none of number {number}")
        number %= len(self)
        return {"image": self.image(number), **self._row_labels(number)}

    def _row_labels(self, index: int) -> dict[str, Any]:
        """Return what the columns that are no images say of a row."""
        row: dict[str, Any] = self.table().slice(index, 1).to_pylist()[0]
        return row

    def iter_images(self, indices: Iterable[int] | None = None) -> Iterator[Image.Image]:
        """Yield images in the order asked for; all, where nothing is asked for."""
        return (self.image(int(index)) for index in (range(len(self)) if indices is None else indices))

    def image_bytes(self, index: int) -> bytes:
        """Return an image as the bytes of its file, where `has_bytes`.

        Raises:
            DatasetError: it has no file.
        """
        raise DatasetError(f"'{dataset_name(self)}': image {index} has no file")

    @property
    def passes(self) -> Sequence[str]:
        """Annotation passes that every image has, such as ``depth`` and ``mask``."""
        return ()

    def annotation(self, index: int, name: str) -> NDArray[Any]:
        """Return one annotation pass of one image, decoded, (H, W) or (H, W, C).

        Raises:
            DatasetError: there is none of that name.
        """
        raise DatasetError(f"'{dataset_name(self)}' has no pass '{name}'.{nearest(name, self.passes)}")

    @property
    def files(self) -> Sequence[Path]:
        """The files that hold the rows of a stored dataset, in their order."""
        return ()


class ImageList(ImageSet):
    """Images and their factors in memory.

    Args:
        images: in their order.
        rows: one mapping of column to value per image.
        name: of the dataset in results.

    Raises:
        DatasetError: as many rows as images are needed, and one type of values in a column.

    >>> images = ImageList([Image.new("RGB", (8, 8))] * 2, [{"label": "cat"}, {"label": "dog"}], name="pets")
    >>> len(images), images.table(["label"])["label"].to_pylist(), dataset_name(images)
    (2, ['cat', 'dog'], 'pets')
    """

    def __init__(
        self, images: Sequence[Image.Image], rows: Sequence[Mapping[str, Any]], name: str = "pictures"
    ) -> None:
        if len(images) != len(rows):
            raise DatasetError(f"{len(images)} pictures but {len(rows)} rows of factors")
        self._images = list(images)
        self._table = _table(rows)
        self._manifest = Manifest(name=name, count=len(rows))

    @property
    def manifest(self) -> Manifest:
        """Name and count."""
        return self._manifest

    def __len__(self) -> int:
        return len(self._images)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns of the factors."""
        return self._table if columns is None else self._table.select(list(columns))

    def image(self, index: int) -> Image.Image:
        """Return one picture."""
        return self._images[index]


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows as a table with every column that any of them has; a value that a row lacks is null."""
    arrays = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        try:
            arrays[name] = pa.array(values)
        except (pa.ArrowException, TypeError, OverflowError) as error:
            kinds = ", ".join(dict.fromkeys(type(value).__name__ for value in values if value is not None))
            raise DatasetError(f"column '{name}' of the rows holds values of the types {kinds}: {error}") from None
    return pa.table(arrays)


class ImageSubset(ImageSet):
    """Some rows of a dataset, in the order given; its manifest is that of the whole with the rows named.

    Args:
        whole: the dataset.
        rows: of it, (N,), int64.
        name: of the part in results; that of the whole by default.

    >>> images = ImageList([Image.new("RGB", (8, 8))] * 3, [{"label": name} for name in "abc"])
    >>> ImageSubset(images, np.array([2, 0])).table()["label"].to_pylist()
    ['c', 'a']
    """

    def __init__(self, whole: ImageSet, rows: NDArray[np.int64], name: str | None = None) -> None:
        self._whole, self._rows = whole, np.asarray(rows, np.int64)
        self.has_bytes, self.keeps_pixels = whole.has_bytes, whole.keeps_pixels
        digest = hashlib.sha256(self._rows.tobytes()).hexdigest()
        about = {"name": name or dataset_name(whole), "count": len(self._rows), "rows_sha256": digest}
        self._manifest = whole.manifest.model_copy()
        self._manifest.set(**about)

    @property
    def manifest(self) -> Manifest:
        """That of the whole, with the name, number and hash of the rows."""
        return self._manifest

    def __len__(self) -> int:
        return len(self._rows)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns; without names, all but the images."""
        return self._whole.table(columns).take(pa.array(self._rows))

    def image(self, index: int) -> Image.Image:
        """Return one image."""
        return self._whole.image(int(self._rows[index]))

    def image_bytes(self, index: int) -> bytes:
        """Return an image as the bytes of its file, where the whole has them.

        Raises:
            DatasetError: it has no file.
        """
        return self._whole.image_bytes(int(self._rows[index]))

    @property
    def passes(self) -> Sequence[str]:
        """Those of the whole."""
        return self._whole.passes

    def annotation(self, index: int, name: str) -> NDArray[Any]:
        """Return one annotation pass of one image, decoded.

        Raises:
            DatasetError: there is none of that name.
        """
        return self._whole.annotation(int(self._rows[index]), name)

    def iter_images(self, indices: Iterable[int] | None = None) -> Iterator[Image.Image]:
        """Yield images in the order asked for."""
        places = range(len(self)) if indices is None else indices
        return self._whole.iter_images([int(self._rows[int(place)]) for place in places])


def drawn_images(images: ImageSet, limit: int | None, seed: int = 0) -> ImageSet:
    """Return so many images of a dataset at most, drawn at random, in their order; itself where it has no more.

    Args:
        images: the dataset.
        limit: how many; ``None`` for all.
        seed: of the draw.

    >>> images = ImageList([Image.new("RGB", (8, 8))] * 5, [{"label": name} for name in "abcde"])
    >>> len(drawn_images(images, 3)), drawn_images(images, 9) is images
    (3, True)
    """
    if limit is None or len(images) <= limit:
        return images
    rows = np.sort(np.random.default_rng(seed).choice(len(images), limit, replace=False))
    return ImageSubset(images, rows, f"{dataset_name(images)}, {limit} pictures")


def without(images: ImageSet, scene_ids: Iterable[str]) -> ImageSet:
    """Return a dataset without the images of some scenes; itself where it holds none of them.

    Raises:
        DatasetError: nothing is left.
    """
    if "scene_id" not in images.table().column_names:
        return images
    ids = images.table(["scene_id"])["scene_id"].to_pylist()
    known = set(scene_ids)
    rows = np.array([row for row, name in enumerate(ids) if name not in known], np.int64)
    if not len(rows):
        raise DatasetError(f"'{dataset_name(images)}': all {len(ids):,} images are left out, none is left")
    return images if len(rows) == len(ids) else ImageSubset(images, rows)


def manifest_hash(images: ImageSet) -> str:
    """Return the SHA-256 of the canonical JSON of the manifest, 64 hex digits."""
    return hashlib.sha256(canonical_json(images.manifest.as_json()).encode()).hexdigest()


def dataset_name(images: ImageSet) -> str:
    """Return the name a dataset goes by in results: its own, its spec's name, or its folder's."""
    if images.manifest.name:
        return images.manifest.name
    spec = images.manifest.identity.get("spec")
    if isinstance(spec, Mapping) and isinstance(spec.get("name"), str) and spec["name"]:
        return str(spec["name"])
    return images.path.name if images.path is not None and images.path.name else "pictures"


def columns_of(images: ImageSet) -> dict[str, NDArray[Any]]:
    """Return every scalar column (no image, no JSON) as a NumPy array; strings as objects, a list by its length.

    A factor that is a number in some rows and the world's own in others is not a number but has levels: words.

    >>> columns_of(ImageList([Image.new("RGB", (8, 8))], [{"label": "cat", "camera_yaw": 45}]))
    {'label': array(['cat'], dtype=object), 'camera_yaw': array([45])}
    """
    table, factors = images.table(), table_of(images.manifest)
    arrays: dict[str, NDArray[Any]] = {}
    for name in table.column_names:
        column = table[name]
        if is_list(column.type):
            arrays[name] = np.array([len(rows or ()) for rows in column.to_pylist()], np.int64)
            continue
        if name in _JSON or pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            continue
        values = column.to_pylist()
        words = pa.types.is_string(column.type)
        if column.null_count and name in factors and may_be_own(factors[name]):
            values, words = [level_text(factors[name], value) for value in values], True
        arrays[name] = np.asarray(values, dtype=object if words else None)
    return arrays


def factor_table(columns: Mapping[str, NDArray[Any]]) -> pa.Table:
    """Return the columns that say what is in the pictures, words as dictionaries: a small table."""
    kept = {}
    for name, values in columns.items():
        if (
            name in _NOT_FACTORS
            or name.startswith(("quality", "negative"))
            or name.endswith(("_id", "caption", "_clean"))
        ):
            continue
        array = pa.array(values.tolist())
        kept[name] = array.dictionary_encode() if pa.types.is_string(array.type) else array
    return pa.table(kept)


def facts_of(manifest: Manifest) -> dict[str, str]:
    """Return what a reader of results wants to know of a manifest: who rendered it, how large, under which licence."""
    identity = manifest.identity
    spec = identity.get("spec")
    facts: dict[str, str] = {}
    if isinstance(spec, Mapping):
        facts["description"] = str(spec.get("description") or "")
        facts["family"] = str(spec.get("family") or "")
    if isinstance(identity.get("size"), list):
        facts["size"] = " × ".join(str(side) for side in identity["size"]) + " pixels"
    imported = identity.get("imported")
    if isinstance(imported, Mapping) and imported.get("tagger"):
        facts["tagger"] = str(imported["tagger"])
        facts["left_out"] = str(imported.get("left_out") or "")
    if manifest.engine is not None:
        facts["engine"] = " ".join(part for part in (manifest.engine.name, manifest.engine.version) if part)
    counts = Counter(asset.license for asset in manifest.assets if asset.license)
    facts["licences"] = ", ".join(f"{licence} ({count} assets)" for licence, count in sorted(counts.items()))
    return {key: value for key, value in facts.items() if value}
