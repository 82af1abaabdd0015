"""Q-Score: which inputs a linear probe will get wrong, told from the representation alone.

The features of an input that stand far above its own mean are its active ones; those that are active for neither very
few nor very many inputs are discriminative. The score of an input is how far its active discriminative features stand
above its mean. High is better.

Source: N. Kalibhat et al., *Measuring self-supervised representation quality for downstream classification using
discriminative features*, AAAI 2024: the sets L and D, and eq. 3.1 of the thesis.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, QuestionError

EPSILON = 4.0
"""Standard deviations of a row that an active feature stands above the row's mean."""
BAND = (50.0, 95.0)
"""Percentiles of activity between which a feature is discriminative."""
Sign = Literal["as it is", "absolute", "positive"]
"""What is done to features that may be negative: nothing, their size, or their positive part (both experimental)."""
_ROWS = 2048


@dataclass(frozen=True)
class ActiveFeatures:
    """The active features of every row, as a sparse matrix by rows.

    Attributes:
        starts: where each row begins, (N + 1,).
        features: places of active features, (nnz,).
        heights: how far each stands above its row's mean, of rows of length 1, float32 (nnz,).
        size: features of a row.
    """

    starts: NDArray[np.int64]
    features: NDArray[np.uint32]
    heights: NDArray[np.float32]
    size: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """Active features of each row, (N,)."""
        return np.diff(self.starts)

    def activity(self) -> NDArray[np.float64]:
        """Return the share of rows in which each feature is active, (size,), 0 to 1: A of the source by 100."""
        return np.bincount(self.features, minlength=self.size) / max(len(self), 1)

    def scores(self, discriminative: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the Q-Score of each row, (N,), 0 where no discriminative feature is active, and where one is."""
        inside = discriminative[self.features]
        totals = np.concatenate([[0.0], np.cumsum(np.where(inside, self.heights, 0), dtype=np.float64)])
        counts = np.concatenate([[0], np.cumsum(inside)])
        number = counts[self.starts[1:]] - counts[self.starts[:-1]]
        total = totals[self.starts[1:]] - totals[self.starts[:-1]]
        return np.where(number > 0, total / np.maximum(number, 1), 0.0), number > 0


def active_features(
    features: NDArray[Any],
    epsilon: float = EPSILON,
    sign: Sign = "as it is",
    advance: Callable[[int], None] = lambda count: None,
) -> ActiveFeatures:
    """Find the features of each row that stand more than ε of the row's standard deviations above its mean.

    The rows are read once, a block at a time: a memory map of any size will do.

    Args:
        features: (N, r), float16 to float64; not negative, unless ``sign`` makes it so.
        epsilon: ε of the source.
        sign: what is done to features that may be negative.
        advance: told how many rows were read.

    Raises:
        DatasetError: no entry of so few features can stand so far above the mean; or a value that is not finite.

    Example:
        >>> rows = np.zeros((2, 40)); rows[0, 3] = rows[1, 7] = 2.0
        >>> active_features(rows).features
        array([3, 7], dtype=uint32)
    """
    count, size = features.shape
    if size <= epsilon**2 + 1:
        raise DatasetError(
            f"{size} features: none can stand {epsilon:g} standard deviations above the mean of its row; more than "
            f"{epsilon**2 + 1:.0f} are needed, or an epsilon below {max(size - 1, 0) ** 0.5:.2f}"
        )
    starts = np.zeros(count + 1, np.int64)
    places: list[NDArray[np.uint32]] = []
    heights: list[NDArray[np.float32]] = []
    for start, block in _blocks(features, epsilon, sign):
        number, place, height = block
        starts[start + 1 : start + 1 + len(number)] = number
        places.append(place)
        heights.append(height)
        advance(len(number))
    np.cumsum(starts, out=starts)
    none = np.empty(0, np.uint32), np.empty(0, np.float32)
    return ActiveFeatures(starts, np.concatenate([none[0], *places]), np.concatenate([none[1], *heights]), size)


_Block = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.float32]]


def _blocks(features: NDArray[Any], epsilon: float, sign: Sign) -> Iterator[tuple[int, _Block]]:
    """Yield the first row and the active features of each block, several being read at a time."""
    workers = max(1, len(os.sched_getaffinity(0)))
    starts = range(0, len(features), _ROWS)

    def read(start: int) -> tuple[int, _Block]:
        return start, _active(features, start, epsilon, sign)

    with ThreadPoolExecutor(workers) as pool:
        for first in range(0, len(starts), workers):  # no more blocks in memory than are worked on
            yield from pool.map(read, starts[first : first + workers])


def _active(features: NDArray[Any], start: int, epsilon: float, sign: Sign) -> _Block:
    rows = np.asarray(features[start : start + _ROWS], np.float32)
    if sign == "absolute":
        rows = np.abs(rows)
    elif sign == "positive":
        rows = np.maximum(rows, 0)
    mean = rows.mean(1, dtype=np.float64)
    square = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    if not np.isfinite(square).all():
        wrong = start + int(np.flatnonzero(~np.isfinite(square))[0])
        raise DatasetError(f"row {wrong:,} of the features has a value that is not finite")
    spread = np.sqrt(np.maximum(square / rows.shape[1] - mean**2, 0))
    limit = (mean + epsilon * spread).astype(np.float32)
    found = np.flatnonzero(rows > limit[:, None])
    row, place = np.divmod(found, rows.shape[1])
    length: NDArray[Any] = np.maximum(np.sqrt(square), 1e-30)
    height: NDArray[Any] = (rows.ravel()[found] - mean[row]) / length[row]
    return np.bincount(row, minlength=len(rows)), place.astype(np.uint32), height.astype(np.float32)


def discriminative_features(
    activity: NDArray[np.float64],
    band: tuple[float, float] = BAND,
    of: Literal["all", "live", "share"] = "all",
) -> NDArray[np.bool_]:
    """Return which features are active for neither very few nor very many rows, (r,).

    With ``all`` the percentiles are of all features, as in the source: where half of them are never active the lower
    end is 0 and dead features count as discriminative. ``live`` takes those of the features that are ever active, and
    ``share`` reads the band as shares of rows in percent. None of them is right for every model: look at the curve.

    Args:
        activity: of `ActiveFeatures.activity`.
        band: lower and upper end, 0 to 100.
        of: what the ends are percentiles of, or whether they are shares themselves.

    Raises:
        QuestionError: ends that are no range within 0 to 100.

    Example:
        >>> discriminative_features(np.array([0.0, 0.1, 0.2, 0.9]), (5, 50), "share")
        array([False,  True,  True, False])
    """
    low, high = band
    if not 0 <= low <= high <= 100:
        raise QuestionError(f"a band of {low:g} to {high:g}; two ends from 0 to 100 are right, the lower one first")
    if of == "share":
        ends: Sequence[float] = (low / 100, high / 100)
    else:
        from_ = activity[activity > 0] if of == "live" else activity
        ends = np.percentile(from_, (low, high)).tolist() if len(from_) else (0.0, 0.0)
    inside = (activity >= ends[0]) & (activity <= ends[1])
    return inside & (activity > 0) if of == "live" else inside
