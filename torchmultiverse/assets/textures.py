"""Picture files of meshes as arrays, and what their numbers mean."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.assets.model import MAX_TEXTURE_SIDE
from torchmultiverse.errors import AssetError

MAX_TEXTURE_PIXELS = 16384 * 8192


def linear(color: NDArray[Any]) -> NDArray[np.float64]:
    """Return sRGB values of 0 to 1 as linear light."""
    c = np.asarray(color, float)
    return np.where(c <= 0.04045, c / 12.92, ((np.maximum(c, 0) + 0.055) / 1.055) ** 2.4)


def decode(data: bytes, what: str) -> NDArray[np.uint8]:
    """Return a picture file as uint8 (H, W, 4), sRGB and alpha, no side longer than `MAX_TEXTURE_SIDE`.

    Raises:
        AssetError: no picture, broken, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        picture: Image.Image = Image.open(io.BytesIO(data))
        if picture.width * picture.height > MAX_TEXTURE_PIXELS:
            raise AssetError(
                f"{what} has {picture.width} × {picture.height} pixels; at most {MAX_TEXTURE_PIXELS:,} are read"
            )
        picture = picture.convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
        raise AssetError(f"{what} is no picture that can be read: {str(error)[:200]}") from None
    if max(picture.size) > MAX_TEXTURE_SIDE:
        picture.thumbnail((MAX_TEXTURE_SIDE, MAX_TEXTURE_SIDE))
    return np.asarray(picture, np.uint8)
