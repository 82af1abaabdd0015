"""A stored dataset as a torch map-style dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torchmultiverse.store import open_dataset


class Dataset:
    """Pictures and labels for a ``torch.utils.data.DataLoader`` (any number of workers).

    It has ``__len__`` and ``__getitem__`` and needs torch only for the default transform.

    Args:
        path: folder of a dataset.
        columns: which columns come with the picture; default: all labels.
        transform: applied to the PIL picture; default: float32 tensor (3, H, W) in 0..1.
        where: a filter, e.g. ``"world_name = Desert"``.

    Items are ``{"image": …, column: value, …}``.

    Raises:
        DatasetError: no dataset there, or an unknown column.
    """

    def __init__(
        self,
        path: str | Path,
        columns: Sequence[str] | None = None,
        transform: Callable[[Any], Any] | None = None,
        where: str | None = None,
    ) -> None:
        stored = open_dataset(path)
        self.stored = stored.where(where) if where else stored
        self.columns = (
            list(columns)
            if columns is not None
            else [c for c in self.stored.columns if c not in self.stored.image_columns]
        )
        self.transform = transform or to_tensor
        self._labels = self.stored.table(self.columns).to_pylist()

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"image": self.transform(self.stored.image(index)), **self._labels[index]}


def to_tensor(picture: Any) -> Any:
    """Return a PIL picture as a float32 tensor (3, H, W) in 0..1."""
    import numpy as np

    from torchmultiverse.errors import MissingExtra

    try:
        import torch
    except ImportError:
        raise MissingExtra("torch", "torch", "Dataset without a transform") from None
    array = np.array(picture.convert("RGB"), dtype=np.float32) / 255
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()
