"""Data whose classes are not equally frequent: a power law over the levels of a column.

Losses that pull a batch apart into equally large clusters (``msn``, and in effect SimCLR, VICReg and SwAV) assume that
classes are equally frequent; ``pmsn`` assumes a power law.

Source: M. Assran et al., *The hidden uniform cluster prior in self-supervised learning*, ICLR 2023, section 5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import ModelError


def long_tail_rows(codes: NDArray[np.int64], power: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return places of images such that the k-th level has k^−power of the first's images, in order.

    Which level is the k-th is drawn; so are its images. Each level keeps one image at least, and as many as the law
    leaves without asking any level for more than it has: the first keeps all where all have as many.

    Args:
        codes: level of each image, 0 to C − 1, (N,).
        power: 0 keeps as many images of each level.
        rng: draws.

    Raises:
        ModelError: fewer than two levels.

    >>> rows = long_tail_rows(np.repeat(np.arange(4), 12), 1.0, np.random.default_rng(0))
    >>> sorted(np.bincount(np.repeat(np.arange(4), 12)[rows]).tolist(), reverse=True)
    [12, 6, 4, 3]
    """
    counts = np.bincount(codes)
    if len(counts) < 2:
        raise ModelError("a long tail needs a column of two levels at least")
    ranks = np.empty(len(counts), np.int64)
    ranks[rng.permutation(len(counts))] = np.arange(len(counts))
    fraction = (ranks + 1.0) ** -power
    first = (counts / fraction).min()  # so that no level is asked for more than it has
    kept = []
    for code in range(len(counts)):
        mine = rng.permutation(np.flatnonzero(codes == code))
        kept.append(mine[: max(1, round(float(first * fraction[code])))])
    return np.sort(np.concatenate(kept))
