"""Is the mean of some rows lower than that of the others? One-sided tests, many at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.stats.intervals import contrast

_FEWEST_CLUSTERS = 3  # of the rows that are tested


class LowerTailTest:
    """One-sided tests of some rows against the other rows of a part: is their mean lower?

    Fisher's exact test where rows are independent and their outcomes 0 or 1; else Welch's t over the sums of clusters.

    >>> correct = np.repeat([1.0, 0.0, 1.0], (10, 6, 4))
    >>> cell = np.repeat([0, 1], 10)
    >>> p = LowerTailTest(correct).lower(cell, np.array([0, 1]), np.ones(20, bool))
    >>> [round(float(value), 4) for value in p]
    [1.0, 0.0054]

    Args:
        correct: outcomes in [0, 1], (N,).
        groups: of rows that are not independent, 0 to G − 1, (N,); ``None`` where all are.
    """

    def __init__(self, correct: NDArray[np.float64], groups: NDArray[np.int64] | None = None) -> None:
        self._correct, self._groups = correct, groups
        self._whole = bool(np.isin(correct, (0.0, 1.0)).all())

    def lower(self, flat: NDArray[np.int64], cells: NDArray[np.int64], part: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return p of each cell being no worse than the other rows of the part; NaN where that cannot be said."""
        if self._groups is None and self._whole:
            return self._fisher(flat, cells, part)
        return np.array([self._clustered((flat == cell) & part, part) for cell in cells])

    def _fisher(
        self, flat: NDArray[np.int64], cells: NDArray[np.int64], part: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        from scipy.stats import hypergeom

        length = int(flat.max()) + 1
        sizes = np.bincount(flat[part], minlength=length)[cells]
        right = np.bincount(flat[part], self._correct[part], minlength=length)[cells].round().astype(int)
        return np.asarray(hypergeom.cdf(right, int(part.sum()), round(float(self._correct[part].sum())), sizes))

    def _clustered(self, inside: NDArray[np.bool_], part: NDArray[np.bool_]) -> float:
        from scipy.stats import t

        groups = np.arange(len(part)) if self._groups is None else self._groups
        found = contrast(self._correct, inside, part & ~inside, groups)
        if found.clusters < _FEWEST_CLUSTERS:
            return float("nan")
        if np.isinf(found.t):
            # All rows of each side agree: what is known is how many clusters do.
            return 1.0 if found.t > 0 else float(0.5 ** len(np.unique(groups[inside])))
        return float(t.cdf(found.t, found.clusters - 1))
