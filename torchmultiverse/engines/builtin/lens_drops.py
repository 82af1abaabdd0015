"""Drops of water on the lens: each a small lens of its own, out of focus, that shows the scene upside down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
_LARGEST, _SMALLEST = 0.075, 0.01
"""Radii in shorter sides of the picture."""
_COVERED = 0.3
"""Most of the picture that they cover together: many are small ones."""
_BLUR = 0.22
"""Width of the rim in radii: the lens is focused on the scene, not on its own glass."""
_WIDE = 0.75
"""Half of what a drop shows of the scene, in shorter sides of the picture: a drop is a wide lens."""
_TRIES = 60


@dataclass(frozen=True)
class Drops:
    """Drops in the picture: centres in pixels (N, 2), radii in pixels (N,), and how far each is from round (N,)."""

    centre: NDArray[np.float64]
    radius: NDArray[np.float64]
    stretch: NDArray[np.float64]


def lens_drops(count: int, size: tuple[int, int], rng: np.random.Generator) -> Drops:
    """Draw drops: exactly so many, all within the picture, none over another.

    Args:
        count: how many.
        size: width and height of the picture in pixels.
        rng: random numbers of this picture.
    """
    width, height = size
    side = min(size)
    radius = np.clip(rng.lognormal(np.log(0.03), 0.5, count), _SMALLEST, _LARGEST)
    covered = np.pi * float((radius**2).sum()) * side**2 / (width * height)
    radius = np.sort(radius * min(1.0, (_COVERED / max(covered, 1e-9)) ** 0.5))[::-1] * side
    stretch = rng.uniform(0.0, 0.18, count)
    centre = np.zeros((count, 2))
    for k in range(count):
        r = radius[k] * (1 + stretch[k])
        for trial in range(_TRIES):
            room = r * (0.9 ** max(0, trial - _TRIES // 2))  # where there is none, it gets smaller
            at = rng.uniform([room, room], [max(width - room, room), max(height - room, room)])
            apart = np.linalg.norm(centre[:k] - at, axis=1) - radius[:k] * (1 + stretch[:k])
            if k == 0 or apart.min() > room * 1.08:
                break
        else:
            room = max(float(apart.min()), 0.3)
        centre[k], radius[k] = at, room / (1 + stretch[k])
    return Drops(centre, radius, stretch)


def through_drops(color: Array, drops: Drops) -> Array:
    """Return the picture (H, W, 3), linear radiance, as it is through a lens with drops on it."""
    height, width = color.shape[:2]
    side = min(width, height)
    halved = _halved(color)
    out = color.copy()
    for (cx, cy), radius, stretch in zip(drops.centre, drops.radius, drops.stretch, strict=True):
        reach = radius * (1 + stretch) * (1 + _BLUR) + 1
        x0, x1 = max(int(cx - reach), 0), min(int(cx + reach) + 1, width)
        y0, y1 = max(int(cy - reach), 0), min(int(cy + reach) + 1, height)
        x, y = np.meshgrid(np.arange(x0, x1) + 0.5 - cx, np.arange(y0, y1) + 0.5 - cy)
        # Water hangs: a drop is longer than wide, and heavier below.
        u = x / radius
        v = y / (radius * (1 + stretch)) * (1 - 0.12 * stretch * y / radius)
        away = np.hypot(u, v)
        blur = max(_BLUR, 0.7 / radius)
        share = _smooth((1 - away) / blur + 0.5)
        # What goes through at the rim is bent most: the picture gets wider towards it, and darker.
        bend = _WIDE * side * (0.55 + 0.45 * away**2)
        level = min(round(float(np.log2(max(_WIDE * side / radius, 1)))), len(halved) - 1)
        shown = _between(halved[level], (cx - u * bend) / 2**level, (cy - v * bend) / 2**level)
        shown = shown * (1 - 0.55 * np.clip(away, 0, 1) ** 6)[..., None]
        share = share[..., None]
        out[y0:y1, x0:x1] = out[y0:y1, x0:x1] * (1 - share) + shown * share
    return out


def _smooth(t: NDArray[np.float64]) -> NDArray[np.float64]:
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _halved(color: Array) -> list[Array]:
    """Return the picture, and again and again at half its size: a pixel of a drop shows many of the scene."""
    found = [color]
    while min(found[-1].shape[:2]) >= 8:
        last = found[-1]
        last = np.pad(last, ((0, last.shape[0] % 2), (0, last.shape[1] % 2), (0, 0)), mode="edge")
        height, width = last.shape[:2]
        found.append(last.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3)))
    return found


def _between(color: Array, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the picture at places between its pixels' centres; it goes on mirrored beyond its edges."""
    height, width = color.shape[:2]
    left, top = np.floor(x - 0.5), np.floor(y - 0.5)
    fx, fy = (x - 0.5 - left)[..., None], (y - 0.5 - top)[..., None]
    x0, x1 = _folded(left, width), _folded(left + 1, width)
    y0, y1 = _folded(top, height), _folded(top + 1, height)
    above = color[y0, x0] * (1 - fx) + color[y0, x1] * fx
    below = color[y1, x0] * (1 - fx) + color[y1, x1] * fx
    return np.asarray(above * (1 - fy) + below * fy)


def _folded(k: NDArray[np.float64], size: int) -> NDArray[np.intp]:
    """Return the pixel of a number that may be beyond the edges, where the picture is mirrored."""
    inside = np.mod(k.astype(np.intp), 2 * size)
    return np.asarray(np.minimum(inside, 2 * size - 1 - inside), np.intp)
