"""Pictures with the exact masks of their objects, as one picture of four channels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from PIL import Image

from torchmultiverse.errors import DatasetError, QuestionError
from torchmultiverse.store.manifest import Manifest
from torchmultiverse.store.reader import StoredDataset
from torchmultiverse.store.views import ImageSet


class MaskedImages(ImageSet):
    """A rendered dataset whose pictures have the number of the object in a fourth channel.

    Args:
        dataset: rendered with the pass ``mask``.

    Raises:
        DatasetError: no masks.
    """

    def __init__(self, dataset: StoredDataset) -> None:
        if "mask" not in dataset.image_columns:
            raise QuestionError(
                f'{dataset.path}: no column \'mask\'; render with "passes": ["rgb", "mask"] for exact masks'
            )
        self._dataset, self.path = dataset, dataset.path

    @property
    def manifest(self) -> Manifest:
        """That of the dataset."""
        return self._dataset.manifest

    def __len__(self) -> int:
        return len(self._dataset)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns; without names, all but the images."""
        return self._dataset.table(columns)

    def image(self, index: int) -> Image.Image:
        """Return a picture as RGBA: alpha is 0 for the background, else the number of the object, up to 255."""
        picture = np.asarray(self._dataset.image(index))
        mask = np.asarray(self._dataset.image(index, "mask"))
        if mask.shape != picture.shape[:2]:
            raise DatasetError(f"{self._dataset.place(index)}: a mask of {mask.shape} for a picture of {picture.shape}")
        return Image.fromarray(np.dstack([picture, np.minimum(mask, 255).astype(np.uint8)]))
