"""Colour differences as people see them, and how far a figure stands out from what is around it.

References: CIE 15 (CIELAB), IEC 61966-2-1 (sRGB), and Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula:
implementation notes, supplementary test data, and mathematical observations", Color Research and Application 30 (2005).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

RING = 3
"""Pixels on either side of a figure's outline that are compared."""
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _TO_XYZ.sum(1)  # D65


def lab(srgb: ArrayLike) -> Array:
    """Return CIELAB under D65, (…, 3), of sRGB values in 0..1, (…, 3).

    >>> lab([1, 1, 1]).round(3).tolist()
    [100.0, 0.0, 0.0]
    """
    values = np.asarray(srgb, float)
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    xyz = light @ _TO_XYZ.T / _WHITE
    x, y, z = np.moveaxis(np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def ciede2000(first: ArrayLike, second: ArrayLike) -> Array:
    """Return the CIEDE2000 difference of CIELAB colours, (…, 3) each, with all parametric factors 1.

    About 1 is the least difference that is noticed side by side; black and white are 100 apart.

    >>> float(ciede2000([50, 2.6772, -79.7751], [50, 0, -82.7485]).round(4))
    2.0425
    """
    l1, a1, b1 = np.moveaxis(np.asarray(first, float), -1, 0)
    l2, a2, b2 = np.moveaxis(np.asarray(second, float), -1, 0)
    stretch = 1.5 - 0.5 * _saturating((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2)
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    grey = c1 * c2 == 0
    turn = np.where(grey, 0.0, h2 - h1)
    far = np.abs(turn) > 180
    turn -= np.where(far, np.copysign(360.0, turn), 0.0)
    hue = np.where(grey, h1 + h2, (h1 + h2 + np.where(far, np.where(h1 + h2 < 360, 360.0, -360.0), 0.0)) / 2)
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    weight = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    off = (light - 50) ** 2
    dl = (l2 - l1) / (1 + 0.015 * off / np.sqrt(20 + off))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2) / (1 + 0.015 * chroma * weight)
    rotation = -2 * _saturating(chroma) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    return np.asarray(np.sqrt(dl**2 + dc**2 + dh**2 + rotation * dc * dh))


def _saturating(chroma: Array) -> Array:
    """Return the formula's √(c⁷ / (c⁷ + 25⁷))."""
    power = chroma**7
    return np.asarray(np.sqrt(power / (power + 25.0**7)))


def figure_ground(rgb: NDArray[np.uint8], figure: NDArray[np.bool_]) -> float | None:
    """Return how far a figure stands out from what is around it, in CIEDE2000; ``None`` where it has no outline.

    At each pixel of the outline, the mean colour of the figure is compared with the mean colour of the rest, both
    within `RING` pixels; the differences are averaged along the outline. The edges of the picture are no outline.

    Args:
        rgb: the picture, sRGB, uint8 (H, W, 3).
        figure: which of its pixels show the figure, bool (H, W).

    >>> picture = np.zeros((32, 32, 3), np.uint8)
    >>> picture[8:24, 8:24] = 255
    >>> figure_ground(picture, picture[..., 0] > 0)
    100.0
    """
    edge = np.zeros(figure.shape, bool)
    edge[1:] |= figure[1:] & ~figure[:-1]
    edge[:-1] |= figure[:-1] & ~figure[1:]
    edge[:, 1:] |= figure[:, 1:] & ~figure[:, :-1]
    edge[:, :-1] |= figure[:, :-1] & ~figure[:, 1:]
    rows, columns = np.nonzero(edge)
    if not len(rows):
        return None
    top, left = rows.min(), columns.min()
    around = slice(max(top - RING, 0), rows.max() + RING + 1), slice(max(left - RING, 0), columns.max() + RING + 1)
    rows, columns = rows - around[0].start, columns - around[1].start
    # Beyond the picture's edges nothing counts on either side. All sums are of small integers, and so exact.
    inside = _windows(figure[around], rows, columns)
    whole = _windows(np.ones_like(figure[around]), rows, columns)
    colors = _windows(rgb[around], rows, columns)
    mine = np.matmul(inside[:, None], colors)[:, 0]
    theirs = np.matmul((whole - inside)[:, None], colors)[:, 0]
    count = inside.sum(1, dtype=np.int64)[:, None]
    rest = whole.sum(1, dtype=np.int64)[:, None] - count
    apart = ciede2000(lab(mine / (255.0 * count)), lab(theirs / (255.0 * rest)))
    return round(float(apart.mean()), 2)


def _windows(values: NDArray[Any], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return what is within `RING` pixels of each of N pixels, (N, 49) or (N, 49, 3); zeros beyond the edges."""
    padded = np.pad(values, [(RING, RING), (RING, RING)] + [(0, 0)] * (values.ndim - 2))
    side = np.arange(2 * RING + 1)
    at = (rows[:, None, None] + side[:, None]) * padded.shape[1] + columns[:, None, None] + side
    flat = padded.reshape(-1, *values.shape[2:])
    return np.asarray(flat[at.reshape(len(rows), -1)], np.float32)
