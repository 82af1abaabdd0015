"""The light that comes from all sides to the middle of a world, and what a drop, a flake or fog there makes of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.sky import directions
from torchmultiverse.engines.builtin.tracer import RenderBuffers
from torchmultiverse.engines.builtin.world import World

Array = NDArray[np.float32]
_ROWS, _COLUMNS = 64, 128
_FACE, _SAMPLES = 16, 64
_HEIGHT = 1.5
"""Metres above the ground: where an eye would be."""
_WATER = 1.333
_ANGLES = 90


def surround(world: World, render: Callable[[View, int, int], RenderBuffers]) -> Array:
    """Return the radiance that arrives from each direction, float32 (64, 128, 3), first row from the zenith.

    Things are rendered, on the faces of a cube; the sky between them is the world's, with all of the sun's light.

    Args:
        world: whose middle it is.
        render: renders it from a view, with a number of samples and a seed; without characters.
    """
    eye = np.array([0, 0, world.ground(0, 0) + _HEIGHT])
    d = directions(_ROWS, _COLUMNS)
    found = _coarse(world.environment)
    axis = np.abs(d).argmax(-1)
    for k in range(6):
        forward = np.zeros(3)
        forward[k // 2] = 1 - 2 * (k % 2)
        right = np.array([0.0, 1, 0]) if k < 2 else np.array([1.0, 0, 0])
        rotation = np.stack([right, np.cross(forward, right), forward])
        buffers = render(View(eye, rotation, _FACE / 2, (_FACE, _FACE)), _SAMPLES, k)
        here = (axis == k // 2) & ((d[..., k // 2] > 0) == (k % 2 == 0))
        p = d[here] @ rotation.T
        x, y = (np.clip(((p[:, j] / p[:, 2] + 1) / 2 * _FACE).astype(int), 0, _FACE - 1) for j in (0, 1))
        thing = np.isfinite(buffers.distance[y, x])
        values = found[here]
        values[thing] = np.maximum(buffers.color[y, x][thing], 0)
        found[here] = values
    return found


def open_sky(world: World) -> Array:
    """Return what `surround` would of a world without things."""
    return _coarse(world.environment)


def mean_light(light: Array) -> NDArray[np.float64]:
    """Return the mean radiance from all sides (3,): what fog or a flake of snow sends to the eye, which scatter light
    so often that it leaves to all sides alike."""
    return np.asarray((light.astype(float) * _weights()[..., None]).sum((0, 1)))


def drop_light(light: Array, view: View, steps: int = 5) -> Array:
    """Return the radiance of drops of water before each pixel, (H, W, 3).

    Each drop is a picture of what is behind it, the sky and the ground, 165° wide: geometric optics of a sphere (Garg
    and Nayar, "Vision and rain", 2007), light that is reflected, goes through, or is reflected inside once.

    Args:
        light: as `surround` returns it.
        view: the camera.
        steps: directions across the picture at which it is summed up; it is interpolated between them.
    """
    from scipy.ndimage import zoom

    width, height = view.size
    at = np.linspace(0, 1, steps)
    x, y = np.broadcast_arrays(*view.slopes((at * width)[None], (at * height)[:, None]))
    toward = np.stack([x, y, np.ones_like(x)], -1) @ view.rotation
    toward /= np.linalg.norm(toward, axis=-1, keepdims=True)
    d = directions(*light.shape[:2]).reshape(-1, 3)
    cosine = np.clip(toward.reshape(-1, 3) @ d.T, -1, 1)
    phase = np.interp(np.arccos(cosine), (np.arange(_ANGLES) + 0.5) / _ANGLES * np.pi, sphere_phase())
    weights = phase * _weights().ravel()
    weights /= weights.sum(1, keepdims=True)
    coarse = (weights @ light.reshape(-1, 3).astype(float)).reshape(steps, steps, 3)
    return np.asarray(
        zoom(coarse, (height / steps, width / steps, 1), order=1, mode="nearest", grid_mode=True), np.float32
    )


@cache
def sphere_phase() -> NDArray[np.float64]:
    """Return how much light a sphere of water scatters by angle, (90,) from 0 to π, of mean 1 over all directions."""
    beside = np.sqrt((np.arange(4000) + 0.5) / 4000)  # of the middle, in radii: as much light at each
    into = np.arcsin(beside)
    inside = np.arcsin(beside / _WATER)
    cos_i, cos_t = np.cos(into), np.cos(inside)
    s = (cos_i - _WATER * cos_t) / (cos_i + _WATER * cos_t)
    p = (_WATER * cos_i - cos_t) / (_WATER * cos_i + cos_t)
    reflected = (s**2 + p**2) / 2
    ways = (
        (np.pi - 2 * into, reflected),
        (2 * (into - inside), (1 - reflected) ** 2),
        (np.pi + 2 * into - 4 * inside, (1 - reflected) ** 2 * reflected),
    )
    total = np.zeros(_ANGLES)
    for angle, share in ways:
        total += np.histogram(angle, _ANGLES, (0, np.pi), weights=share)[0]
    edges = np.cos(np.linspace(0, np.pi, _ANGLES + 1))
    area = (edges[:-1] - edges[1:]) / 2
    return np.asarray(total / total.sum() / area)


@cache
def _weights() -> NDArray[np.float64]:
    """Return the share of all directions that each pixel has."""
    z = directions(_ROWS, _COLUMNS)[..., 2]
    sine = np.sqrt(1 - z**2)
    return np.asarray(sine / sine.sum())


def _coarse(environment: Array) -> Array:
    """Return an environment with each pixel the mean of those that it stands for."""
    rows, columns = environment.shape[:2]
    if rows % _ROWS or columns % _COLUMNS:
        from scipy.ndimage import zoom

        return np.asarray(
            zoom(environment, (_ROWS / rows, _COLUMNS / columns, 1), order=1, mode="nearest", grid_mode=True), "f4"
        )
    blocks = environment.reshape(_ROWS, rows // _ROWS, _COLUMNS, columns // _COLUMNS, 3)
    return np.asarray(blocks.mean((1, 3)), np.float32)
