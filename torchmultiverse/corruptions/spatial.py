"""Corruptions that know how far away things are: fog, focus, motion of the camera, a flash.

Depth is metres along the viewing axis, (H, W), infinite for sky. What lies behind something is not in the picture:
where a blur uncovers it, it is filled by what of the same depth is seen beside it.

Source: O. Kar et al., *3D common corruptions and data augmentation*, CVPR 2022. Its depth is predicted or of rooms;
this one is exact. `torchmultiverse.corruptions.constants` says how the constants are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.corruptions.constants import FOG_UNIT, ROOM
from torchmultiverse.corruptions.filters import Float, eight_bits, gaussian, resampled, scale_of, shifted_sum, unit

_Image = NDArray[np.uint8]
_LAYERS = 10
_NEAR = 0.05  # share of the pixels that may be nearer than what counts as nearest


def fog_3d(image: _Image, depth: Float, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Let contrast fall as exp(-β · depth) towards the mean of the picture.

    β is ``c[0]`` for `FOG_UNIT` metres where the median depth is `ROOM`, and in proportion elsewhere.
    """
    return in_air(image, depth, c[0] / FOG_UNIT * ROOM / max(float(np.median(_finite(depth))), 1e-6))


def in_air(image: _Image, depth: Float, extinction: float) -> _Image:
    """Return a picture in air of an extinction in 1/m, whose light is the mean of the picture."""
    x = unit(image)
    left = np.exp(-extinction * np.where(np.isfinite(depth), depth, 1e9)).astype(np.float32)[..., None]
    if extinction <= 0:
        return image
    return eight_bits(x * left + x.mean() * (1 - left))


def near_focus(image: _Image, depth: Float, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Focus where a share ``c[1]`` of the pixels is nearer; blur is ``c[0]`` · |depth - focus| / depth pixels."""
    finite = _finite(depth)
    known = np.where(np.isfinite(depth), depth, finite.max())
    return focused(image, depth, float(np.quantile(known, c[1])), c[0] * scale_of(image))


def far_focus(image: _Image, depth: Float, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Focus far away: as `near_focus`, where most of the pixels are nearer."""
    return near_focus(image, depth, c, rng)


def focused(image: _Image, depth: Float, focus: float, aperture: float) -> _Image:
    """Return a picture sharp at one depth, elsewhere blurred by aperture · |depth - focus| / depth pixels (Gaussian).

    What is nearer is blurred by three times the aperture at most: in the rooms of the source nothing is by more, and
    without a bound what is close would be nowhere when the focus is on the horizon.

    Source: the circle of confusion of a thin lens, Kar et al. 2022, equation 2 without magnification.
    """
    if aperture <= 0:
        return image
    with np.errstate(invalid="ignore"):
        share = np.where(np.isfinite(depth), (depth - focus) / np.maximum(depth, 1e-6), 1)
    radius = aperture * np.maximum(share, -3)
    # What is behind the focus and what is before it are blurred alike, and hide each other by depth.
    return eight_bits(_layered(unit(image), radius, lambda values, r: gaussian(values, abs(r))))


def xy_motion_blur(image: _Image, depth: Float, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Move the camera sideways while the shutter is open: the nearest things go ``c[0]`` pixels, others by 1/depth."""
    angle = float(rng.uniform(-math.pi / 4, math.pi / 4))
    side = 1 if rng.random() < 0.5 else -1
    near = float(np.quantile(_finite(depth), _NEAR))
    way = c[0] * scale_of(image) * np.minimum(near / np.maximum(depth, 1e-6), 1)

    def smear(values: Float, length: float) -> Float:
        taps = max(1, math.ceil(abs(length)))
        along = side * length * np.arange(taps) / max(1, taps - 1)
        steps = [(round(r * math.sin(angle)), round(r * math.cos(angle))) for r in along.tolist()]
        return shifted_sum(values, steps, np.full(taps, 1 / taps))

    return eight_bits(_layered(unit(image), -way, lambda values, r: smear(values, -r))) if c[0] > 0 else image


def z_motion_blur(image: _Image, depth: Float, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Move the camera forwards while the shutter is open, by ``c[0]`` of the depth of the nearest things.

    A thing at depth d ends up d / (d - way) times as large.
    """
    if c[0] <= 0:
        return image
    near = float(np.quantile(_finite(depth), _NEAR))
    share = c[0] * np.minimum(near / np.maximum(depth, 1e-6), 1)
    height, width = image.shape[:2]
    half = math.hypot(height, width) / 2

    def zoom(values: Float, way: float) -> Float:
        taps = max(2, math.ceil(abs(way) / (1 - abs(way)) * half / 2))
        total = np.zeros_like(values)
        for part in np.linspace(0, abs(way), taps).tolist():
            rows, columns = (
                (np.arange(size) - (size - 1) / 2) * (1 - part) + (size - 1) / 2 for size in (height, width)
            )
            total += resampled(values, rows, columns)
        return total / np.float32(taps)

    return eight_bits(_layered(unit(image), -share, zoom))


def flash(
    image: _Image, depth: Float, c: tuple[float, ...], rng: np.random.Generator, focal: float | None = None
) -> _Image:
    """Add the light of a flash at the camera: the picture times its shading, over ``c[0]``.

    Shading is the cosine between surface and camera, by the slopes of the depth, times the square of the nearest depth
    over the depth; 0 for sky. The source takes a map of its own for it, without a fall with distance.

    Args:
        focal: focal length in pixels; the longer side without it (a view of 53°).
    """
    return eight_bits(unit(image) * (1 + shading(depth, focal)[..., None] / np.float32(c[0])))


def shading(depth: Float, focal: float | None = None) -> Float:
    """Return the light of a flash at the camera, (H, W), 1 for what is near and faces it."""
    height, width = depth.shape
    focal = focal or float(max(height, width))
    finite = np.isfinite(depth)
    d = np.where(finite, depth, _finite(depth).max()).astype(np.float64)
    d = np.pad(d, [(0, max(0, 2 - side)) for side in depth.shape], mode="edge")  # of one pixel there is no slope
    rows, columns = np.mgrid[: d.shape[0], : d.shape[1]]
    rays = np.stack([(columns - (width - 1) / 2) / focal, (rows - (height - 1) / 2) / focal, np.ones_like(d)], -1)
    points = rays * d[..., None]
    down, right = np.gradient(points, axis=(0, 1))
    normals = np.cross(right, down)
    lengths = np.linalg.norm(normals, axis=-1) * np.linalg.norm(rays, axis=-1)
    cosine = np.abs((normals * rays).sum(-1)) / np.maximum(lengths, 1e-12)
    near = float(np.quantile(_finite(depth), _NEAR))
    light = cosine * np.minimum((near / np.maximum(d, 1e-6)) ** 2, 1)
    return np.asarray(np.where(finite, light[:height, :width], 0), np.float32)


def _finite(depth: Float) -> Float:
    """Return the depths that are no sky; of a picture that is all sky, one metre."""
    found = depth[np.isfinite(depth) & (depth > 0)]
    return found if len(found) else np.ones(1, np.float32)


def _layered(x: Float, blur: NDArray[np.floating], function: Callable[[Float, float], Float]) -> Float:
    """Blur parts of a picture by amounts of their own, and lay the nearer over the further.

    Args:
        x: (H, W, 3).
        blur: signed amount of each pixel, (H, W), that grows with depth.
        function: blurs (H, W, 4) by an amount.
    """
    low, high = float(blur.min()), float(blur.max())
    edges = np.linspace(low, high, _LAYERS + 1)
    place = np.clip(np.searchsorted(edges, blur, side="right") - 1, 0, _LAYERS - 1)
    total = np.zeros((*x.shape[:2], 4), np.float32)
    opaque = np.concatenate([x, np.ones_like(x[..., :1])], -1)
    for number in range(_LAYERS - 1, -1, -1):  # from the furthest
        inside = place == number
        if not inside.any():
            continue
        over = function(np.where(inside[..., None], opaque, 0).astype(np.float32), float(blur[inside].mean()))
        total = total * (1 - over[..., 3:]) + over
    return np.asarray(total[..., :3] / np.maximum(total[..., 3:], 1e-4), np.float32)
