"""Picture files of meshes as arrays, and what their numbers mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse import images
from torchmultiverse.assets.model import MAX_REPEATS, MAX_TEXTURE_SIDE, Submesh
from torchmultiverse.errors import AssetError


def linear(color: NDArray[Any]) -> NDArray[np.float64]:
    """Return sRGB values of 0 to 1 as linear light."""
    c = np.asarray(color, float)
    return np.where(c <= 0.04045, c / 12.92, ((np.maximum(c, 0) + 0.055) / 1.055) ** 2.4)


def decode(data: bytes, what: str) -> NDArray[np.uint8]:
    """Return a picture file as uint8 (H, W, 4), sRGB and alpha, no side longer than `MAX_TEXTURE_SIDE`.

    Raises:
        AssetError: no image, broken, or too large.
    """
    try:
        stored = images.decode(data, what, upright=False, formats=images.TEXTURE_FORMATS)
        image = images.rgba(stored, what)
    except images.ImageError as error:
        raise AssetError(str(error)) from None
    if max(image.size) > MAX_TEXTURE_SIDE:
        image.thumbnail((MAX_TEXTURE_SIDE, MAX_TEXTURE_SIDE))
    return np.asarray(image, np.uint8)


def visible_faces(piece: Submesh) -> NDArray[np.bool_]:
    """Return which faces (F,) show anything: those that have, somewhere within reach, a texel that is no hole.

    A clear hull around a body is no part of it, even where it shares the body's texture: measured, it would make the
    body small.
    """
    if piece.image is None or piece.uv is None or piece.cut <= 0:
        return np.ones(len(piece.faces), bool)
    height, width = piece.image.shape[:2]
    there = np.tile(piece.image[..., 3] >= piece.cut * 255, (2, 2))  # a face may reach over the border
    total = np.zeros((2 * height + 1, 2 * width + 1), np.int32)
    total[1:, 1:] = there.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
    size = np.array([width, height])
    uv = np.clip(np.nan_to_num(piece.uv[piece.faces].astype(float)), -MAX_REPEATS, MAX_REPEATS)
    place = np.stack([uv[..., 0], 1 - uv[..., 1]], -1) * size
    # One texel more on each side, which a texture that is interpolated draws from.
    low = np.floor(place.min(1)).astype(np.int64) - 1
    span = np.minimum(np.floor(place.max(1)).astype(np.int64) + 2 - low, size)
    (left, top), (right, bottom) = (low % size).T, (low % size + span).T
    count = total[bottom, right] - total[top, right] - total[bottom, left] + total[top, left]
    return np.asarray(count > 0)
