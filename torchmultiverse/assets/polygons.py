"""Polygons as triangles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TRIED = 64


def triangulated(points: NDArray[np.floating], sizes: NDArray[np.integer]) -> tuple[NDArray[np.int64], int]:
    """Return polygons as triangles of their corners, and how many of them no fan of triangles fills.

    A polygon is cut into the fan around its first corner from which no triangle turns over, so that one that is not
    convex keeps its outline.

    Args:
        points: (C, 3), the corners of all polygons, one polygon after the other.
        sizes: (P,), how many corners each has; what has fewer than three is left out.

    Returns:
        (T, 3) rows of ``points``, in the order of the polygons.
    """
    sizes = np.asarray(sizes, np.int64)
    first = np.cumsum(sizes) - sizes
    triangles, owners, unfilled = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)], 0
    for size in np.unique(sizes[sizes > 2]):
        which = np.flatnonzero(sizes == size)
        corners = first[which][:, None] + np.arange(size)
        start = np.zeros(len(which), np.int64)
        if size > 3:
            start, failed = _starts(np.asarray(points[corners], float))
            unfilled += failed
        step = np.arange(1, size - 1)
        around = np.stack(np.broadcast_arrays(np.zeros_like(step), step, step + 1), -1)  # (size - 2, 3)
        index = (start[:, None, None] + around[None]) % size
        triangles.append((first[which][:, None, None] + index).reshape(-1, 3))
        owners.append(np.repeat(which, size - 2))
    order = np.argsort(np.concatenate(owners), kind="stable")
    return np.concatenate(triangles)[order], unfilled


def _starts(corners: NDArray[np.float64]) -> tuple[NDArray[np.int64], int]:
    """Return the corner around which each polygon (P, N, 3) is cut, and for how many there is none."""
    size = corners.shape[1]
    start = np.zeros(len(corners), np.int64)
    open_ = np.arange(len(corners))
    # Newell's normal: it has the polygon's sense, whatever its shape.
    normal = np.cross(corners, np.roll(corners, -1, 1)).sum(1)
    for k in range(min(size, _TRIED)):
        turned = np.roll(corners[open_], -k, 1)
        spokes = turned[:, 1:] - turned[:, :1]
        area = (np.cross(spokes[:, :-1], spokes[:, 1:]) * normal[open_, None]).sum(2)
        good = (area >= -1e-6 * np.abs(area).max(1, keepdims=True)).all(1)
        start[open_[good]] = k
        open_ = open_[~good]
        if len(open_) == 0:
            break
    return start, len(open_)
