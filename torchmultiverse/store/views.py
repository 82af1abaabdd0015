"""What the evaluator needs of a dataset, and a dataset in memory for a user's own pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.errors import DatasetError
from torchmultiverse.scenes import canonical_json

_JSON = ("scene", "annotations")
_NOT_FACTORS = frozenset(("engine", "render_ms", "split", "filename"))


@runtime_checkable
class ImageSet(Protocol):
    """Pictures with a table of factors. ``torchmultiverse.store.open_dataset`` returns one."""

    @property
    def manifest(self) -> Any:
        """What made the pictures: a mapping."""
        ...

    def __len__(self) -> int: ...

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns; without names, all but the pictures."""
        ...

    def image(self, index: int) -> Image.Image:
        """Return one picture."""
        ...

    def iter_images(self, indices: Iterable[int] | None = None) -> Iterator[Image.Image]:
        """Yield pictures in the order asked for; all, where nothing is asked for."""
        ...


class ImageList:
    """Pictures and their factors in memory.

    Args:
        images: the pictures.
        rows: one mapping of column to value per picture.
        name: of the dataset in results.

    Raises:
        DatasetError: as many rows as pictures are needed, and one type of values in a column.
    """

    def __init__(
        self, images: Sequence[Image.Image], rows: Sequence[Mapping[str, Any]], name: str = "pictures"
    ) -> None:
        if len(images) != len(rows):
            raise DatasetError(f"{len(images)} pictures but {len(rows)} rows of factors")
        self._images = list(images)
        self._table = _table(rows)
        self.manifest: dict[str, Any] = {"name": name, "count": len(rows)}

    def __len__(self) -> int:
        return len(self._images)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns of the factors."""
        return self._table if columns is None else self._table.select(list(columns))

    def image(self, index: int) -> Image.Image:
        """Return one picture."""
        return self._images[index]

    def iter_images(self, indices: Iterable[int] | None = None) -> Iterator[Image.Image]:
        """Yield pictures in the order asked for."""
        return (self._images[i] for i in (range(len(self)) if indices is None else indices))


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


class ImageSubset:
    """Some rows of a dataset, in the order given; all that its manifest says of the whole is kept.

    Args:
        pictures: the dataset.
        rows: of it, (N,).
        name: of the part in results; that of the whole by default.
    """

    def __init__(self, pictures: ImageSet, rows: NDArray[np.int64], name: str | None = None) -> None:
        self._pictures, self._rows = pictures, np.asarray(rows, np.int64)
        digest = hashlib.sha256(self._rows.tobytes()).hexdigest()
        about = {"name": name or dataset_name(pictures), "count": len(self._rows), "rows_sha256": digest}
        self.manifest: dict[str, Any] = {**manifest_of(pictures), **about}
        whole: Any = pictures
        if hasattr(pictures, "image_bytes"):
            self.image_bytes = lambda index: whole.image_bytes(int(self._rows[index]))

    def __len__(self) -> int:
        return len(self._rows)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns; without names, all but the pictures."""
        return self._pictures.table(columns).take(pa.array(self._rows))

    def image(self, index: int) -> Image.Image:
        """Return one picture."""
        return self._pictures.image(int(self._rows[index]))

    def iter_images(self, indices: Iterable[int] | None = None) -> Iterator[Image.Image]:
        """Yield pictures in the order asked for."""
        places = range(len(self)) if indices is None else indices
        return self._pictures.iter_images([int(self._rows[int(place)]) for place in places])


def without(pictures: ImageSet, scene_ids: Iterable[str]) -> ImageSet:
    """Return a dataset without the pictures of some scenes; itself where it holds none of them.

    Raises:
        DatasetError: nothing is left.
    """
    if "scene_id" not in pictures.table().column_names:
        return pictures
    ids = pictures.table(["scene_id"])["scene_id"].to_pylist()
    known = set(scene_ids)
    rows = np.array([row for row, name in enumerate(ids) if name not in known], np.int64)
    if not len(rows):
        raise DatasetError(f"'{dataset_name(pictures)}': all {len(ids):,} pictures are left out, none is left")
    return pictures if len(rows) == len(ids) else ImageSubset(pictures, rows)


def open_images(dataset: str | Path | ImageSet) -> ImageSet:
    """Return an opened dataset for a folder (or pictures in folders of classes), or what was given."""
    if isinstance(dataset, str | Path):
        from torchmultiverse.store.image_folder import ImageFolder, is_image_folder

        if is_image_folder(Path(dataset)):
            return ImageFolder(dataset)
        from torchmultiverse.store import open_dataset

        opened: ImageSet = open_dataset(dataset)
        return opened
    return dataset


def manifest_of(pictures: ImageSet) -> dict[str, Any]:
    """Return a dataset's manifest as plain data."""
    manifest = pictures.manifest
    if hasattr(manifest, "model_dump"):
        manifest = manifest.model_dump(mode="json")
    return dict(manifest or {})


def manifest_hash(pictures: ImageSet) -> str:
    """Return the SHA-256 of the canonical JSON of the manifest, 64 hex digits."""
    return hashlib.sha256(canonical_json(manifest_of(pictures)).encode()).hexdigest()


def dataset_name(pictures: ImageSet) -> str:
    """Return the name a dataset goes by in results: its spec's name, its own, or its folder's."""
    manifest = manifest_of(pictures)
    identity = manifest.get("identity")
    spec = identity.get("spec") if isinstance(identity, Mapping) else manifest.get("spec")
    for name in (manifest.get("name"), spec.get("name") if isinstance(spec, Mapping) else None):
        if isinstance(name, str) and name:
            return name
    folder = getattr(pictures, "path", None)
    return Path(folder).name if folder else "pictures"


def columns_of(pictures: ImageSet) -> dict[str, NDArray[Any]]:
    """Return every scalar column (no picture, no JSON) as a NumPy array; strings as objects."""
    table = pictures.table()
    arrays: dict[str, NDArray[Any]] = {}
    for name in table.column_names:
        column = table[name]
        if name in _JSON or pa.types.is_nested(column.type) or pa.types.is_binary(column.type):
            continue
        arrays[name] = np.asarray(column.to_pylist(), dtype=object if pa.types.is_string(column.type) else None)
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


def facts_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return what a reader of results wants to know of a manifest: who rendered it, how large, under which licence."""
    identity = manifest.get("identity")
    identity = identity if isinstance(identity, Mapping) else {}
    spec = identity.get("spec")
    engine, assets = manifest.get("engine"), manifest.get("assets")
    facts: dict[str, str] = {}
    if isinstance(spec, Mapping):
        facts["description"] = str(spec.get("description") or "")
        facts["family"] = str(spec.get("family") or "")
    if isinstance(identity.get("size"), list):
        facts["size"] = " × ".join(str(side) for side in identity["size"]) + " pixels"
    if isinstance(engine, Mapping):
        facts["engine"] = " ".join(str(engine[key]) for key in ("name", "version") if engine.get(key))
    if isinstance(assets, list):
        counts: dict[str, int] = {}
        for asset in assets:
            if isinstance(asset, Mapping) and asset.get("license"):
                counts[str(asset["license"])] = counts.get(str(asset["license"]), 0) + 1
        facts["licences"] = ", ".join(f"{licence} ({count} assets)" for licence, count in sorted(counts.items()))
    return {key: value for key, value in facts.items() if value}
