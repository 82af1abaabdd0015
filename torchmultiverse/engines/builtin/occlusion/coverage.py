"""Which pixels' centres a mesh covers: by rows, so that large triangles cost no more than their height."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.placement import View

_NEAR = 1e-3


@dataclass(frozen=True)
class Spans:
    """What triangles cover, row by row: columns from ``first`` to ``last``, both inclusive, of the row in ``row``.

    Attributes:
        face: number of the triangle, rising.
        row, first, last: (N,), in pixels.
        size: width and height of the picture.
    """

    face: NDArray[np.int64]
    row: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    size: tuple[int, int]

    def mask(self, faces: int | None = None) -> NDArray[np.bool_]:
        """Return which pixels (H, W) the first so many triangles cover, by default all of them."""
        end = len(self.face) if faces is None else int(np.searchsorted(self.face, faces))
        width, height = self.size
        start = self.row[:end] * (width + 1)
        cells = height * (width + 1)
        steps = np.bincount(start + self.first[:end], minlength=cells)
        steps -= np.bincount(start + self.last[:end] + 1, minlength=cells)
        return np.asarray(np.cumsum(steps.reshape(height, width + 1), 1)[:, :width] > 0)


def spans(pixels: NDArray[Any], depth: NDArray[Any], faces: NDArray[Any], size: tuple[int, int]) -> Spans:
    """Return what triangles cover of a picture.

    Args:
        pixels, depth: of the vertices, as `View.project` gives them (V, 2) and (V,); a triangle that reaches behind the
            eye is left out.
        faces: (F, 3).
        size: width and height of the picture.
    """
    width, height = size
    corners = pixels[faces]
    low, high = corners.min(1), corners.max(1)
    top = np.maximum(np.ceil(low[:, 1] - 0.5), 0).astype(np.int64)
    bottom = np.minimum(np.floor(high[:, 1] - 0.5), height - 1).astype(np.int64)
    count = np.where((high[:, 0] >= 0.5) & (low[:, 0] <= width - 0.5), np.maximum(bottom - top + 1, 0), 0)
    count = np.where((depth[faces] > _NEAR).all(1), count, 0)
    face = np.repeat(np.arange(len(faces)), count)
    row = top[face] + np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
    y = row + 0.5
    left, right = np.full(len(face), np.inf), np.full(len(face), -np.inf)
    for k in range(3):
        p, q = corners[:, k][face], corners[:, (k + 1) % 3][face]
        crosses = (p[:, 1] <= y) != (q[:, 1] <= y)
        rise = np.where(crosses, q[:, 1] - p[:, 1], 1.0)
        x = p[:, 0] + (y - p[:, 1]) * (q[:, 0] - p[:, 0]) / rise
        left = np.where(crosses, np.minimum(left, x), left)
        right = np.where(crosses, np.maximum(right, x), right)
    met = left <= right
    face, row = face[met], row[met]
    first = np.ceil(np.maximum(left[met], 0) - 0.5).astype(np.int64)
    last = np.floor(np.minimum(right[met], width) - 0.5).astype(np.int64)
    some = (first <= last) & (first < width) & (last >= 0)
    return Spans(face[some], row[some], np.maximum(first[some], 0), np.minimum(last[some], width - 1), size)


def covered(vertices: NDArray[Any], faces: NDArray[Any], view: View) -> NDArray[np.bool_]:
    """Return which pixels' centres (H, W) a mesh covers, whatever is before it."""
    pixels, depth = view.project(vertices)
    return spans(pixels, depth, faces, view.size).mask()
