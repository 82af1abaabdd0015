"""Colour differences as people see them, and how far a figure stands out from what is around it.

References: CIE 15 (CIELAB), IEC 61966-2-1 (sRGB). The difference is scikit-image's; its CIELAB is not used, since its
white is not that of its matrix: it gives a grey a little colour, and differences in the second decimal.
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
    from skimage.color import deltaE_ciede2000

    apart = deltaE_ciede2000(lab(mine / (255.0 * count)), lab(theirs / (255.0 * rest)))
    return round(float(apart.mean()), 2)


def _windows(values: NDArray[Any], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return what is within `RING` pixels of each of N pixels, (N, 49) or (N, 49, 3); zeros beyond the edges."""
    padded = np.pad(values, [(RING, RING), (RING, RING)] + [(0, 0)] * (values.ndim - 2))
    side = np.arange(2 * RING + 1)
    at = (rows[:, None, None] + side[:, None]) * padded.shape[1] + columns[:, None, None] + side
    flat = padded.reshape(-1, *values.shape[2:])
    return np.asarray(flat[at.reshape(len(rows), -1)], np.float32)
