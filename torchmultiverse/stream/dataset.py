"""A stored dataset as a torch map-style dataset."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from torchmultiverse.engines import codec
from torchmultiverse.errors import DatasetError, MissingExtra, nearest
from torchmultiverse.images import rgb
from torchmultiverse.store import StoredDataset, open_dataset


class Dataset:
    """Pictures and labels for a ``torch.utils.data.DataLoader`` (any number of workers).

    It has ``__len__`` and ``__getitem__`` and needs torch only for the default transform. Labels are kept as Arrow
    columns, so that worker processes share their memory; pictures are read one by one. Every value is one that torch's
    default collate takes: text that is missing is ``""``, and a column of numbers of which some are missing comes as
    floats with NaN in their place. So does a condition that is the world's or the layout's own.

    Args:
        path: folder of a dataset.
        columns: which columns come with the picture; default: all labels that are numbers or text (lists and structs
            come where they are named, and need a ``collate_fn`` of yours). Of the annotation columns ``mask`` comes as
            uint8 (H, W), ``class`` as uint8 (H, W), or int32 in a dataset that has a class above 255, ``depth`` as
            float32 (H, W) in metres, ``normals`` as float32 (H, W, 3), all NumPy arrays.
        transform: applied to the PIL picture; default: float32 tensor (3, H, W) in 0..1.
        where: a filter, e.g. ``"world_name = Desert"``.
        as_tuple: items are ``(image, value, …)`` instead of ``{"image": …, column: value, …}``.

    Raises:
        DatasetError: no dataset there, or an unknown column.
        MissingExtra: torch is not installed and no transform was given.
    """

    def __init__(
        self,
        path: str | Path,
        columns: Sequence[str] | None = None,
        transform: Callable[[Any], Any] | None = None,
        where: str | None = None,
        *,
        as_tuple: bool = False,
    ) -> None:
        stored = open_dataset(path)
        self.stored = stored.where(where) if where else stored
        pictures = self.stored.image_columns
        if "image" not in pictures:
            raise DatasetError(f"{path} has no pictures in 'image'.{nearest('image', pictures)}")
        if columns is None:
            columns = _flat_columns(self.stored)
        self.columns = [c for c in columns if c != "image"]
        self.transform = transform or to_tensor
        self.as_tuple = as_tuple
        self._wide = any(one.id > 255 for one in self.stored.manifest.classes)
        self._annotations = [c for c in self.columns if c in pictures]
        labels = [c for c in self.columns if c not in pictures]
        self._labels = self.stored.labels(labels).combine_chunks()  # lists of objects as text: batches hold no lists
        self._missing = {
            f.name: "" if pa.types.is_string(f.type) or pa.types.is_large_string(f.type) else math.nan
            for f in self._labels.schema
            if self._labels[f.name].null_count
        }
        if transform is None:
            _torch()

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int) -> Any:
        picture = self.transform(self.stored.image(index))
        index %= len(self)
        values: dict[str, Any] = {}
        for name in self.columns:
            if name in self._annotations:
                values[name] = self._annotation(name, index)
            else:
                values[name] = self._value(name, index)
        return (picture, *values.values()) if self.as_tuple else {"image": picture, **values}

    def _annotation(self, name: str, index: int) -> Any:
        """Return a pass; numbers of classes are of one type in all pictures, and of one that torch calculates with."""
        array = codec.decode(name, self.stored.image_bytes(index, name))
        return array.astype("int32") if name == "class" and (self._wide or array.dtype != "uint8") else array

    def _value(self, name: str, index: int) -> Any:
        """Return a label. A batch holds neither None nor values of several types."""
        value = self._labels[name][index].as_py()
        if name not in self._missing or isinstance(value, list | dict):
            return value
        if value is None:
            return self._missing[name]
        return float(value) if isinstance(value, int) else value


def _flat_columns(stored: StoredDataset) -> list[str]:
    """Return the columns of which a batch can hold the values: all but structs, and lists that are no objects."""
    lists = {name for name in stored.factors if pa.types.is_list(stored.schema.field(name).type)}
    return [f.name for f in stored.schema if f.name in lists or not pa.types.is_nested(f.type)]


def to_tensor(image: Any) -> Any:
    """Return a PIL picture as a float32 tensor (3, H, W) in 0..1."""
    import numpy as np

    array = np.array(rgb(image))
    return _torch().from_numpy(array).permute(2, 0, 1).contiguous().float().div_(255)


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise MissingExtra("torch", "torch", "Dataset without a transform") from None
    return torch
