"""Smooth random fields for terrain, materials and clouds: cheap to sample at millions of points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, zoom
from scipy.spatial import cKDTree

Field = NDArray[np.float64]

_CELLS = 64
_FINE = 8


def smoothstep(low: float, high: float, x: Field) -> Field:
    """Return 0 below ``low``, 1 above ``high``, and a smooth step between; falls where ``low > high``."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def mix(a: object, b: object, t: Field) -> Field:
    """Return ``a`` where ``t`` is 0 and ``b`` where it is 1; colours broadcast over a trailing axis."""
    first, second = np.asarray(a, float), np.asarray(b, float)
    weight = t[..., None] if max(first.ndim, second.ndim) > t.ndim or first.shape == (3,) else t
    return np.asarray(first + (second - first) * weight)


class Noise:
    """Gradient-free lattice noise, periodic over 64 cells, and a cellular (Voronoi) one.

    Args:
        rng: fixes the lattice.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        lattice = rng.uniform(-1, 1, (_CELLS, _CELLS))
        padded = np.pad(lattice, 4, mode="wrap")
        fine = zoom(padded, _FINE, order=3, mode="grid-wrap", grid_mode=True)
        edge = 4 * _FINE
        self._tile = fine[edge:-edge, edge:-edge].astype(np.float32)
        self._angle = rng.uniform(0, 2 * np.pi, 12)
        self._shift = rng.uniform(0, _CELLS, (12, 2))
        self._cells_seed = int(rng.integers(2**31))
        self._cells: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def _sample(self, tile: NDArray[np.float32], x: Field, y: Field, scale: float) -> Field:
        where = np.stack([np.ravel(y) * scale, np.ravel(x) * scale])
        return np.asarray(map_coordinates(tile, where, order=1, mode="grid-wrap"), float).reshape(np.shape(x))

    def __call__(self, x: Field, y: Field, octave: int = 0) -> Field:
        """Return noise of unit wavelength at the points, about -1 to 1; ``octave`` picks an independent one."""
        k = octave % 12
        c, s = np.cos(self._angle[k]), np.sin(self._angle[k])
        u, v = c * x - s * y + self._shift[k, 0], s * x + c * y + self._shift[k, 1]
        return self._sample(self._tile, u, v, _FINE)

    def fbm(self, x: Field, y: Field, wavelength: float, octaves: int = 5, gain: float = 0.5, start: int = 0) -> Field:
        """Return fractal noise whose coarsest features are ``wavelength`` metres wide, about -1 to 1."""
        total, amplitude, norm = np.zeros(np.shape(x)), 1.0, 0.0
        for k in range(octaves):
            total += amplitude * self(x / wavelength, y / wavelength, start + k)
            norm += amplitude
            amplitude *= gain
            wavelength /= 2.03
        return np.asarray(total / norm * 1.3)

    def ridged(self, x: Field, y: Field, wavelength: float, octaves: int = 4, gain: float = 0.5) -> Field:
        """Return 0 to 1 with sharp crests."""
        total, amplitude, norm = np.zeros(np.shape(x)), 1.0, 0.0
        for k in range(octaves):
            total += amplitude * (1 - np.abs(self(x / wavelength, y / wavelength, k + 3))) ** 2
            norm += amplitude
            amplitude *= gain
            wavelength /= 2.1
        return np.asarray(total / norm)

    def cells(self, x: Field, y: Field, size: float) -> tuple[Field, Field]:
        """Return the distance to the nearest cell border (in cells, 0 on it) and a value of 0 to 1 per cell."""
        if self._cells is None:
            count, side = 24, 1024
            rng = np.random.default_rng(self._cells_seed)
            points = np.stack(np.meshgrid(np.arange(count), np.arange(count)), -1) + rng.uniform(
                0.1, 0.9, (count, count, 2)
            )
            tree = cKDTree(points.reshape(-1, 2), boxsize=count)
            at = (np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1) + 0.5) * (count / side)
            distance, index = tree.query(at.reshape(-1, 2), k=2)
            border = (distance[:, 1] - distance[:, 0]).reshape(side, side)
            value = rng.random(count * count)[index[:, 0]].reshape(side, side)
            self._cells = (border.astype(np.float32), value.astype(np.float32))
        scale = 1024 / 24
        return self._sample(self._cells[0], x / size, y / size, scale), self._sample(
            self._cells[1], x / size, y / size, scale
        )
