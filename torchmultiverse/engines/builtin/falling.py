"""Drops and flakes in the picture: each that is near is a streak, and what is further is extinction.

A drop is before a pixel for only a part of the exposure, so that it hides little of what is behind it and is as bright
as what it refracts (Garg and Nayar, "Vision and rain", 2007; Halder, Lalonde and de Charette, "Physics-based rendering
for improving robustness to rain", 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.precipitation import Precipitation
from torchmultiverse.engines.builtin.surround import drop_light, mean_light

Array = NDArray[np.float64]
SHUTTER = 1 / 60
"""Seconds that things fall in while a picture is taken that does not say its ``Camera_Shutter``."""
NEAREST = 0.25
"""Metres from the eye: what would fall nearer falls on the hood of the lens."""
WIND = (0.6, 0.0, 0.0)
"""Metres a second: light air, the same in all pictures."""
_OPAQUE = {"rain": 1 / 1600, "snow": 1 / 150}
"""Seconds: with the shutter open longer, they are as opaque as if it were open so long. A pixel is behind a drop for a
third of a millisecond. At 1/60 s it loses 2 %: an eye that sees drops move notices that, in a still it is lost."""
_GUST = {"rain": 0.15, "snow": 0.3}
"""Standard deviation of what single drops and flakes have of their own, in each direction, m/s."""
_MOST = 60_000
"""So many are drawn one by one: the nearest."""
_FURTHEST = 25.0
_COARSEST = 6
"""A streak is drawn on a grid of up to two to this power pixels, as wide as it is."""
_SPACING = 0.7
_SPREAD = 1.5
"""Width of what is drawn at one point of a grid and interpolated, in its cells."""


@dataclass(frozen=True)
class Streaks:
    """What falls near the camera while the shutter is open.

    Attributes:
        start, end: in camera coordinates (x right, y down, z forward), metres (N, 3).
        width: metres (N,).
    """

    start: Array
    end: Array
    width: Array


def furthest(falling: Precipitation, view: View) -> float:
    """Return the depth in metres up to which drops or flakes are drawn one by one."""
    right, down = _half(view)
    return float(min(_FURTHEST, (_MOST / (4 * right * down / 3 * falling.number)) ** (1 / 3)))


def _half(view: View) -> tuple[float, float]:
    """Return how far to each side and up and down is seen, metres per metre forward."""
    u, v = view.slopes(*np.meshgrid(np.linspace(0, view.size[0], 9), np.linspace(0, view.size[1], 9)))
    return float(np.abs(u).max()), float(np.abs(v).max())


def streaks(falling: Precipitation, view: View, shutter: float, rng: np.random.Generator) -> Streaks:
    """Draw what falls before the camera: a Poisson number of drops or flakes for each cubic metre.

    Args:
        falling: what falls.
        view: from where it is seen.
        shutter: seconds that it is open.
        rng: random numbers of this picture.
    """
    far = furthest(falling, view)
    half = np.array(_half(view))
    margin = 10.0 * shutter  # what falls into the picture from outside while the shutter is open
    depth = np.linspace(NEAREST, far, 2048)
    area = 4 * (half[0] * depth + margin) * (half[1] * depth + margin)
    volume = np.concatenate([[0], np.cumsum((area[1:] + area[:-1]) / 2 * np.diff(depth))])
    count = int(rng.poisson(falling.number * volume[-1]))
    z = np.interp(rng.random(count) * volume[-1], volume, depth)
    middle = np.stack([*(rng.uniform(-1, 1, (2, count)) * (half[:, None] * z + margin)), z], 1)
    size = falling.diameters(count, rng)
    velocity = rng.normal(0, _GUST[falling.kind], (count, 3)) + np.asarray(WIND)
    velocity[:, 2] -= falling.speeds(size)
    way = velocity @ view.rotation.T * (shutter / 2)
    return Streaks(middle - way, middle + way, falling.widths(size))


def hidden(found: Streaks, view: View, distance: NDArray[np.float32]) -> Array:
    """Return the optical depth of streaks at each pixel, (H, W): exp(-it) of what is behind is still seen.

    Args:
        found: the streaks.
        view: the camera.
        distance: metres to what is seen in each pixel (H, W): what falls behind it is not seen.
    """
    width, height = view.size
    ahead = (found.start[:, 2] > NEAREST / 2) & (found.end[:, 2] > NEAREST / 2)
    start, end = found.start[ahead], found.end[ahead]
    depth = (start[:, 2] + end[:, 2]) / 2
    a, b = (_seen(p, view) for p in (start, end))
    across = view.focal * found.width[ahead] / depth
    drawn = np.sqrt(across**2 + _blur(depth, view) ** 2)
    level = np.clip(np.rint(np.log2(np.maximum(drawn / _SPREAD, 1))), 0, _COARSEST).astype(int)
    steps = 1 + np.ceil(np.linalg.norm(b - a, axis=1) / (_SPACING * 2.0**level)).astype(int)
    near = np.linalg.norm((start + end) / 2, axis=1)
    total = np.zeros((height, width))
    for k in range(_COARSEST + 1):
        of = np.flatnonzero(level == k)
        if not len(of):
            continue
        one = np.repeat(of, steps[of])
        first = np.repeat(np.cumsum(steps[of]) - steps[of], steps[of])
        t = ((np.arange(len(one)) - first + 0.5) / steps[one])[:, None]
        at = a[one] * (1 - t) + b[one] * t
        weight = np.pi / 4 * across[one] ** 2 / steps[one]
        x, y = at.T.astype(int)
        inside = (at >= 0).all(1) & (x < width) & (y < height)
        seen = np.where(inside, near[one] < distance[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)], True)
        total += _splat(at[seen], weight[seen], 2**k, (height, width))
    return total


def _seen(points: Array, view: View) -> Array:
    """Return the pixel coordinates (N, 2) of points in camera coordinates (N, 3)."""
    slopes = points[:, :2] / points[:, 2:]
    if view.lens.distortion:
        slopes = view.lens.distorted(slopes)
    return np.asarray(view.focal * slopes + np.asarray(view.size) / 2)


def _blur(depth: Array, view: View) -> Array:
    """Return the diameter of the circle of confusion at depths in metres, in pixels."""
    lens = view.lens
    return np.asarray(lens.aperture * np.abs(depth - lens.focus) / depth * view.focal / lens.focus)


def _splat(at: Array, weight: Array, cell: int, shape: tuple[int, int]) -> Array:
    """Return weights at points (N, 2) as a density per pixel, each spread over a tent of a cell's width."""
    height, width = shape
    rows, columns = -(-height // cell) + 2, -(-width // cell) + 2  # a cell of margin all around
    p = at / cell + 0.5
    keep = (p >= 0).all(1) & (p[:, 0] < columns - 1) & (p[:, 1] < rows - 1)
    p, weight = p[keep], weight[keep]
    low = p.astype(int)
    fx, fy = (p - low).T
    index = low[:, 1] * columns + low[:, 0]
    grid = np.zeros(rows * columns)
    corners = ((0, (1 - fx) * (1 - fy)), (1, fx * (1 - fy)), (columns, (1 - fx) * fy), (columns + 1, fx * fy))
    for offset, share in corners:
        grid += np.bincount(index + offset, weight * share, rows * columns)
    full = grid.reshape(rows, columns) / cell**2
    if cell > 1:
        from scipy.ndimage import zoom

        full = zoom(full, cell, order=1, mode="nearest", grid_mode=True)
    return np.asarray(full[cell : cell + height, cell : cell + width])


def through_fall(
    color: NDArray[np.float32],
    distance: NDArray[np.float32],
    falling: Precipitation,
    view: View,
    light: NDArray[np.float32],
    shutter: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return radiance (H, W, 3) as it arrives through rain or snow.

    Args:
        color: radiance that leaves things.
        distance: metres to them (H, W); of the sky, to where the rain begins.
        falling: what falls.
        view: the camera.
        light: from all sides, as `surround.surround` returns it.
        shutter: seconds that it is open.
        rng: random numbers of this picture.
    """
    own = drop_light(light, view) if falling.kind == "rain" else mean_light(light).astype(np.float32)
    beyond = np.maximum(distance - furthest(falling, view), 0)
    kept = np.exp(-falling.extinction * beyond.astype(np.float64))[..., None]
    color = (color * kept + own * (1 - kept)).astype(np.float32)
    gain = max(1.0, shutter / _OPAQUE[falling.kind])
    kept = np.exp(-gain * hidden(streaks(falling, view, shutter, rng), view, distance))[..., None]
    return np.asarray(color * kept + own * (1 - kept), np.float32)
