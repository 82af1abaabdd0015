"""Whether two pictures show the same, where a renderer does not repeat every pixel.

Pictures are compared by the means of their blocks. Sampling noise of σ grey levels a pixel is σ / 16 in the mean of a
block, and JPEG keeps block means to a level or two; another object, pose, surface, light or place moves some of them
by far more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Blocks = NDArray[np.float32]
BLOCK = 16
"""Pixels along a block's side."""
SAME = 8.0
"""Grey levels (of 255) by which a block of one and the same scene may differ from one time to the next."""


def blocks(image: NDArray[Any]) -> Blocks:
    """Return the mean of each block of a picture, float32 (⌈H / 16⌉, ⌈W / 16⌉, 3).

    Args:
        image: uint8 (H, W, 3); the last blocks of a side may be smaller.
    """
    sums: NDArray[Any] = np.asarray(image, np.float32)
    for axis in (0, 1):
        edges = np.arange(0, sums.shape[axis], BLOCK)
        sizes = np.diff(np.append(edges, sums.shape[axis])).astype(np.float32)
        sums = np.add.reduceat(sums, edges, axis) / np.expand_dims(sizes, tuple(k for k in range(3) if k != axis))
    return sums.astype(np.float32, copy=False)


def largest(one: Blocks, other: Blocks) -> float:
    """Return by how many grey levels (of 255) the blocks that differ most do."""
    return float(np.abs(one - other).max())


def mean(one: Blocks, other: Blocks) -> float:
    """Return by how many grey levels (of 255) the blocks differ on average."""
    return float(np.abs(one - other).mean())
