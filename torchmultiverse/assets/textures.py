"""Picture files of meshes as arrays, and what their numbers mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse import pictures
from torchmultiverse.assets.model import MAX_TEXTURE_SIDE
from torchmultiverse.errors import AssetError


def linear(color: NDArray[Any]) -> NDArray[np.float64]:
    """Return sRGB values of 0 to 1 as linear light."""
    c = np.asarray(color, float)
    return np.where(c <= 0.04045, c / 12.92, ((np.maximum(c, 0) + 0.055) / 1.055) ** 2.4)


def decode(data: bytes, what: str) -> NDArray[np.uint8]:
    """Return a picture file as uint8 (H, W, 4), sRGB and alpha, no side longer than `MAX_TEXTURE_SIDE`.

    Raises:
        AssetError: no picture, broken, or too large.
    """
    try:
        stored = pictures.decode(data, what, upright=False, formats=pictures.TEXTURE_FORMATS)
        picture = pictures.rgba(stored, what)
    except pictures.PictureError as error:
        raise AssetError(str(error)) from None
    if max(picture.size) > MAX_TEXTURE_SIDE:
        picture.thumbnail((MAX_TEXTURE_SIDE, MAX_TEXTURE_SIDE))
    return np.asarray(picture, np.uint8)
