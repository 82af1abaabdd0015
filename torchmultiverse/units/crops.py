"""The part of a picture in which a unit is active, as a picture of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import override

from torchmultiverse.errors import DatasetError
from torchmultiverse.images import rgb
from torchmultiverse.models import FloatArray
from torchmultiverse.store import ImageSet, Manifest

CUT = 0.6
"""Share of a map's largest value from which a place is in the crop."""
SMALLEST = 0.25
"""Side of the smallest crop, as a share of the picture's shorter side: less says little to an image-text model."""
_FINE = 64  # places along a side, to which maps are interpolated


class Crop(NamedTuple):
    """Pixels left, top (inside), right, bottom (outside) of a picture."""

    left: int
    top: int
    right: int
    bottom: int


def combined(maps: Sequence[FloatArray]) -> FloatArray:
    """Return where several units are active together, (h, w), 0 to 1: the intersection of their maps.

    Each is divided by its largest value; where no place has even a half of all of them, their mean is taken instead, so
    that units which look at different places still have a crop.

    >>> combined([np.array([[2, 1]], np.float32), np.array([[1, 1]], np.float32)]).tolist()
    [[1.0, 0.5]]
    """
    each = np.stack([one / max(float(one.max()), 1e-30) for one in maps])
    both = each.min(0)
    return np.asarray(both if float(both.max()) >= 0.5 else each.mean(0), np.float32)


def hot_box(activity: FloatArray, cut: float = CUT) -> tuple[float, float, float, float]:
    """Return the box around the most active region of a map: left, top, right, bottom as shares of its sides.

    The map is interpolated; of the connected regions above the cut the one with the largest sum counts. A map without
    any activity is active everywhere.

    Args:
        activity: (h, w), at least 0.
        cut: share of the largest value.

    >>> activity = np.zeros((4, 4), np.float32)
    >>> activity[0, 3] = 1
    >>> left, top, right, bottom = hot_box(activity)
    >>> left > 0.7, top == 0, right == 1, bottom < 0.3
    (True, True, True, True)
    """
    from scipy.ndimage import find_objects, label, sum_labels, zoom

    if not float(activity.max()) > 0:
        return 0.0, 0.0, 1.0, 1.0
    factors = _FINE / activity.shape[0], _FINE / activity.shape[1]
    fine = zoom(np.asarray(activity, np.float32), factors, order=1, mode="nearest", grid_mode=True)
    regions, count = label(fine >= cut * fine.max())
    sums = sum_labels(fine, regions, np.arange(1, count + 1))
    rows, columns = find_objects(regions)[int(np.argmax(sums))]
    height, width = fine.shape
    return columns.start / width, rows.start / height, columns.stop / width, rows.stop / height


def crop_of(
    activity: FloatArray, size: tuple[int, int], view: tuple[float, float, float, float] | None = None,
    cut: float = CUT, smallest: float = SMALLEST,
) -> Crop:  # fmt: skip
    """Return the crop of a picture at a unit's map: a square, as image-text models see squares.

    Args:
        activity: of `torchmultiverse.features.unit_maps`, (h, w), over what the model sees.
        size: width and height of the picture.
        view: what the model sees of it, of `torchmultiverse.models.Preprocess.view`; all of it by default.
        cut: share of the largest value from which a place is in the crop.
        smallest: side of the smallest crop, as a share of the shorter side.

    >>> activity = np.zeros((8, 8), np.float32)
    >>> activity[2:4, 2:4] = 1
    >>> crop_of(activity, (80, 80))
    Crop(left=20, top=20, right=40, bottom=40)
    """
    left, top, right, bottom = view or (0.0, 0.0, float(size[0]), float(size[1]))
    box = hot_box(activity, cut)
    across, down = right - left, bottom - top
    ends = left + box[0] * across, top + box[1] * down, left + box[2] * across, top + box[3] * down
    side = max(ends[2] - ends[0], ends[3] - ends[1], smallest * min(size))
    whole = max(1, min(round(side), *size))

    def start(low: float, high: float, limit: int) -> int:
        return int(np.clip(round((low + high) / 2 - whole / 2), 0, limit - whole))

    x, y = start(ends[0], ends[2], size[0]), start(ends[1], ends[3], size[1])
    return Crop(x, y, x + whole, y + whole)


class CroppedImages(ImageSet):
    """Crops of pictures of a dataset, each of which may have several.

    Args:
        whole: the dataset.
        rows: of it, (P,).
        crops: of each, P of them.

    Raises:
        DatasetError: another number of crops than rows.
    """

    keeps_pixels = False
    path: Path | None = None

    def __init__(self, whole: ImageSet, rows: NDArray[np.int64], crops: Sequence[Crop]) -> None:
        if len(rows) != len(crops):
            raise DatasetError(f"{len(crops)} crops for {len(rows)} pictures; one each is right")
        self._whole, self._rows, self._crops = whole, np.asarray(rows, np.int64), list(crops)
        self.has_bytes = whole.has_bytes
        self._manifest = Manifest(name=f"crops of {whole.manifest.name}", count=len(rows))

    @property
    def manifest(self) -> Manifest:
        """Name and count."""
        return self._manifest

    def __len__(self) -> int:
        return len(self._rows)

    @override
    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        return self._whole.table(columns).take(pa.array(self._rows))

    @override
    def image(self, index: int) -> Image.Image:
        return rgb(self._whole.image(int(self._rows[index]))).crop(self._crops[index])

    @override
    def image_bytes(self, index: int) -> bytes:
        """Return what a crop follows from: its sides and the bytes of its picture."""
        about: tuple[Any, ...] = tuple(self._crops[index])
        return b"crop " + repr(about).encode() + b"\0" + self._whole.image_bytes(int(self._rows[index]))
