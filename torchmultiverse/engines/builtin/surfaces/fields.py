"""Periodic fields over a unit square, of which the patterns of surfaces are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Tile:
    """A periodic surface: sRGB ``color`` (N, N, 3), ``rough`` (N, N) of 0 to 1, ``height`` (N, N) in tile widths.

    The first row is at the bottom.
    """

    color: Array
    rough: Array
    height: Array


Pattern: TypeAlias = Callable[[np.random.Generator, int, RGB, RGB], Tile]
"""From random numbers, a side in texels and two colours to a tile."""


def fractal(rng: np.random.Generator, n: int, low: float = 4, slope: float = 1.0, stretch: float = 1.0) -> Array:
    """Return periodic noise (n, n) of zero mean and unit variance.

    Args:
        rng: random numbers.
        n: side.
        low: waves per side of the coarsest features.
        slope: how fast fine features fade; 0 is white noise.
        stretch: above 1, features are that much longer along the columns' direction (x).
    """
    fy = np.fft.fftfreq(n)[:, None] * n
    fx = np.fft.rfftfreq(n)[None] * n
    f = np.hypot(fx * np.sqrt(stretch), fy / np.sqrt(stretch))
    gain = 1 / np.maximum(f, low) ** slope / np.sqrt(np.maximum(f, low))
    gain[f < low * 0.5] = 0
    spectrum = np.fft.rfft2(rng.normal(0, 1, (n, n))) * gain
    field = np.fft.irfft2(spectrum, (n, n))
    return np.asarray(field / max(float(field.std()), 1e-12))


def axes(n: int) -> tuple[Array, Array]:
    """Return x and y (n, n) of the texels' centres, 0 to 1."""
    axis = (np.arange(n) + 0.5) / n
    x, y = np.meshgrid(axis, axis)
    return x, y


def cell_value(*keys: Array) -> Array:
    """Return a value of 0 to 1 for each combination of whole numbers."""
    total = sum(k * w for k, w in zip(keys, (12.9898, 78.233, 37.719), strict=False))
    return np.asarray(np.modf(np.abs(np.sin(np.asarray(total)) * 43758.5453))[0])


def courses(x: Array, y: Array, columns: int, rows: int, shift: float) -> tuple[Array, Array, Array]:
    """Return of a wall of courses: distance to the joint (in courses' heights), a value per stone, its height on it."""
    v = y * rows
    row = np.floor(v)
    u = x * columns + shift * (row % 2)
    column = np.floor(u) % columns
    fu, fv = u - np.floor(u), v - row
    aspect = rows / columns
    edge = np.minimum(np.minimum(fu, 1 - fu) * aspect, np.minimum(fv, 1 - fv))
    return edge, cell_value(column, row), fv


def voronoi(rng: np.random.Generator, n: int, count: int) -> tuple[Array, Array]:
    """Return of periodic Voronoi cells: distance to the border in cells, and a value per cell."""
    from scipy.spatial import cKDTree

    base = np.stack(np.meshgrid(np.arange(count), np.arange(count)), -1)
    points = (base + rng.uniform(0.15, 0.85, base.shape)).reshape(-1, 2)
    x, y = axes(n)
    distance, index = cKDTree(points, boxsize=count).query(np.stack([x, y], -1).reshape(-1, 2) * count, k=2)
    return (distance[:, 1] - distance[:, 0]).reshape(n, n), rng.random(len(points))[index[:, 0]].reshape(n, n)
