"""Procedural patterns in space: value noise, its octaves, and cells. Pure functions of position and seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]


def _hash(lattice: NDArray[Any], seed: int) -> NDArray[np.float32]:
    """Return a number in 0..1 for each integer lattice point (…, 3)."""
    h = lattice[..., 0].astype(np.uint32) * np.uint32(374761393)
    h = h + lattice[..., 1].astype(np.uint32) * np.uint32(668265263)
    h = h + lattice[..., 2].astype(np.uint32) * np.uint32(2147483647)
    h = h + np.uint32((seed * 1274126177) & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(2246822519)
    return ((h ^ (h >> np.uint32(15))) >> np.uint32(8)).astype(np.float32) / np.float32(2**24)


def value_noise(points: Points, seed: int = 0) -> NDArray[np.float32]:
    """Return smooth noise in 0..1 at points (N, 3); features have unit size."""
    base = np.floor(points).astype(np.int64)
    f = (points - base).astype(np.float32)
    f = f * f * f * (f * (f * 6 - 15) + 10)
    total = np.zeros(len(points), np.float32)
    for dx in (0, 1):
        wx = f[:, 0] if dx else 1 - f[:, 0]
        for dy in (0, 1):
            wy = f[:, 1] if dy else 1 - f[:, 1]
            for dz in (0, 1):
                wz = f[:, 2] if dz else 1 - f[:, 2]
                total += wx * wy * wz * _hash(base + np.array([dx, dy, dz]), seed)
    return total


def fractal(points: Points, octaves: int = 4, seed: int = 0, gain: float = 0.5) -> NDArray[np.float32]:
    """Return octaves of noise in 0..1 at points (N, 3)."""
    total = np.zeros(len(points), np.float32)
    weight, norm = 1.0, 0.0
    for octave in range(octaves):
        total += weight * value_noise(points * np.float32(2**octave) + np.float32(17.3 * octave), seed + octave)
        norm += weight
        weight *= gain
    return total / np.float32(norm)


def cells(points: Points, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return for points (N, 3) the distance to the border of their random cell, and the cell's number in 0..1.

    Cells have unit size; the distance is that between the two nearest feature points, so 0 on the border.
    """
    base = np.floor(points).astype(np.int64)
    first = np.full(len(points), np.inf, np.float32)
    second = first.copy()
    number = np.zeros(len(points), np.float32)
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            for dz in (-1, 0, 1):
                corner = base + np.array([dx, dy, dz])
                jitter = np.stack([_hash(corner, seed + k) for k in range(3)], -1)
                d = np.linalg.norm(corner + jitter - points, axis=-1).astype(np.float32)
                nearer = d < first
                second = np.where(nearer, first, np.minimum(second, d))
                number = np.where(nearer, jitter[:, 0], number)
                first = np.where(nearer, d, first)
    return second - first, number


def srgb(value: str | list[float]) -> NDArray[np.float32]:
    """Return a colour as linear RGB: ``"#a08060"`` or three sRGB numbers in 0..1."""
    if isinstance(value, str):
        value = [int(value[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    c = np.asarray(value, np.float32)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(np.float32)
