"""Photographed surfaces as levels of ``Character_Texture``: laid on a body from three sides, as vertices' colours."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.assets.bake import sample
from torchmultiverse.assets.model import Floats

REPEAT = 0.6
"""Share of a body's longest edge that the picture covers; it is repeated from there."""
KEPT_SIDE = 512
"""A larger picture is scaled down: a body's vertices show no more."""
_SHARP = 6
"""How narrow the seams are where two sides blend."""


@dataclass(frozen=True)
class TextureMap:
    """A surface that can be repeated.

    Attributes:
        color: uint8 (H, W, 3), sRGB.
        roughness: of all of it, 0 mirror-like to 1 fully rough.
    """

    color: NDArray[np.uint8]
    roughness: float


def pack_texture(texture: TextureMap) -> bytes:
    """Return a surface as the bytes of an ``.npz`` file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, color=texture.color, roughness=np.float64(texture.roughness))
    return buffer.getvalue()


def unpack_texture(data: bytes) -> TextureMap:
    """Return the surface of an ``.npz`` file's bytes.

    Raises:
        ValueError, KeyError, OSError: not what `pack_texture` wrote.
    """
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return TextureMap(file["color"], float(file["roughness"]))


def surface_colors(texture: TextureMap, vertices: Floats, faces: NDArray[np.uint32], normals: Floats) -> Floats:
    """Return the colours of a body's vertices in a surface, linear sRGB (V, 3).

    The surface is seen along each axis; a vertex takes the one that it faces, or a blend.

    Args:
        texture: the surface.
        vertices: (V, 3), metres.
        faces: (F, 3), which say how far the vertices are from each other.
        normals: (V, 3).
    """
    size = float(np.ptp(vertices, axis=0).max()) or 1.0
    place = vertices / np.float32(REPEAT * size)
    corners = place[faces].astype(float)
    edge = float(np.median(np.linalg.norm(corners[:, 0] - corners[:, 1], axis=1))) if len(faces) else 0.0
    image = np.concatenate([texture.color, np.full((*texture.color.shape[:2], 1), 255, np.uint8)], -1)
    texels = np.full(len(vertices), max(1.0, edge * min(image.shape[:2])), np.float32)
    weight = np.maximum(np.abs(normals), 1e-3) ** _SHARP
    weight /= weight.sum(1, keepdims=True)
    total = np.zeros((len(vertices), 3), np.float32)
    for axis, (u, v) in enumerate(((1, 2), (0, 2), (0, 1))):
        color, _ = sample(image, np.ascontiguousarray(place[:, [u, v]]), texels, opaque=True)
        total += weight[:, axis : axis + 1] * color
    return np.asarray(total, np.float32)
