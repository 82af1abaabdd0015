"""Small copies of very many pictures, and which of them look alike. Memory does not grow with their number.

What is kept of a picture in memory is 36 bytes: a hash of its thumbnail, its brightness and a few numbers. Beyond
`IN_MEMORY` pictures the thumbnails themselves lie in a temporary file.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

THUMB = 16
"""Side of the thumbnails by which pictures are compared: 0.8 kB a picture."""
MAX_DIFFERENCE = 4
"""Largest difference, of 255, that two thumbnails may have anywhere and still look the same."""
IN_MEMORY = 1 << 16
"""Thumbnails that are held in memory, and that are searched at once for others that look alike: 50 MB."""
_NEAREST = 4
"""With how many of the nearest a picture is compared in the search for pictures that look alike."""
_SHAPE = (THUMB, THUMB, 3)
_BYTES = THUMB * THUMB * 3


class Thumbnails:
    """The thumbnails of a number of pictures, each put in once.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._held = np.zeros((count, *_SHAPE), np.uint8) if count <= IN_MEMORY else None
        self._file = None if self._held is not None else tempfile.TemporaryFile()  # noqa: SIM115 - open as long as this is
        self._hash = np.zeros(count, "S16")
        self._brightness = np.zeros(count, np.float32)

    def put(self, row: int, thumbnail: NDArray[np.uint8]) -> None:
        """Keep a thumbnail, uint8 (`THUMB`, `THUMB`, 3).

        Raises:
            OSError: the disk is full.
        """
        data = thumbnail.tobytes()
        self._hash[row] = hashlib.blake2b(data, digest_size=16).digest()
        self._brightness[row] = thumbnail.mean()
        if self._file is None:
            assert self._held is not None
            self._held[row] = thumbnail
        else:
            os.pwrite(self._file.fileno(), data, row * _BYTES)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the thumbnails of some rows, uint8 (N, `THUMB`, `THUMB`, 3)."""
        if self._held is not None:
            return self._held[rows]
        assert self._file is not None
        found = np.empty((len(rows), *_SHAPE), np.uint8)
        handle = self._file.fileno()
        for place in np.argsort(rows, kind="stable").tolist():  # in the order in which they lie there
            data = os.pread(handle, _BYTES, int(rows[place]) * _BYTES)
            found[place] = np.frombuffer(data, np.uint8).reshape(_SHAPE)
        return found

    def difference(self, one: NDArray[np.int64], two: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the mean difference, of 255, of each two rows, (N,)."""
        found = np.empty(len(one))
        for start in range(0, len(one), 4096):
            part = slice(start, start + 4096)
            apart = np.abs(self.take(one[part]).astype(np.int16) - self.take(two[part]))
            found[part] = apart.sum((1, 2, 3), dtype=np.int64) / _BYTES
        return found

    def near_duplicates(self, rows: NDArray[np.int64]) -> list[list[int]]:
        """Return groups of rows whose thumbnails differ by at most `MAX_DIFFERENCE` anywhere, directly or by others.

        Each is compared with its nearest few among `IN_MEMORY` others of about the same brightness; two that differ
        by noise are in one such stretch, because the stretches overlap by half.
        """
        from scipy.sparse import coo_array  # a quarter of a second to import, which no reader needs
        from scipy.sparse.csgraph import connected_components

        # First those that are equal, so that a thousand equal ones are not half a million pairs.
        heads, head_of = _first(self._hash[rows])
        near = [self._near(rows[heads], chosen) for chosen in self._stretches(rows[heads])]
        one, two = np.concatenate([np.zeros((0, 2), np.int64), *near]).T
        label = np.arange(len(heads))
        touched, places = np.unique(np.concatenate([one, two]), return_inverse=True)
        graph = coo_array((np.ones(len(one), bool), np.split(places, 2)), (len(touched), len(touched)))
        if len(touched):
            component = connected_components(graph, directed=False)[1]
            # The first of its heads stands for each component.
            label[touched] = touched[np.unique(component, return_index=True)[1]][component]
        return [rows[group].tolist() for group in runs(label[head_of])]

    def _stretches(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Return places in ``rows``, each of at most `IN_MEMORY`, that together hold all that may look alike."""
        if len(rows) <= IN_MEMORY:
            return [np.arange(len(rows))] if len(rows) > 1 else []
        order = np.argsort(self._brightness[rows], kind="stable")
        step = IN_MEMORY // 2
        return [np.sort(order[start : start + IN_MEMORY]) for start in range(0, len(rows) - step, step)]

    def _near(self, rows: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return pairs of places in ``rows``, (pairs, 2), among the chosen ones, that look alike."""
        from scipy.spatial import cKDTree

        thumbs = self.take(rows[chosen])
        # Means of blocks differ by no more than what they are the means of: few candidates are left to be compared.
        side = THUMB // 4
        means = thumbs.reshape(-1, 4, side, 4, side, 3).mean((2, 4), dtype=np.float32).reshape(len(thumbs), -1)
        neighbours = min(_NEAREST + 1, len(thumbs))
        found = cKDTree(means).query(means, neighbours, p=np.inf, distance_upper_bound=MAX_DIFFERENCE + 0.01)[1]
        one = np.repeat(np.arange(len(thumbs)), neighbours)
        two = np.reshape(found, -1)
        some = (two < len(thumbs)) & (two != one)
        one, two = one[some], two[some]
        keep = np.zeros(len(one), bool)
        for start in range(0, len(one), 4096):
            part = slice(start, start + 4096)
            apart = np.abs(thumbs[one[part]].astype(np.int16) - thumbs[two[part]])
            keep[part] = apart.max((1, 2, 3), initial=0) <= MAX_DIFFERENCE
        return np.stack([chosen[one[keep]], chosen[two[keep]]], 1)


def runs(keys: NDArray[Any]) -> list[NDArray[np.int64]]:
    """Return the places of equal keys, for each key that is there more than once, in the order of their first."""
    order, new = _sorted(keys)
    starts = np.flatnonzero(new)
    sizes = np.diff(np.r_[starts, len(keys)])
    several = np.flatnonzero(sizes > 1)
    found = [order[start : start + size] for start, size in zip(starts[several], sizes[several], strict=True)]
    return sorted(found, key=lambda places: int(places[0]))


def _sorted(keys: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the order of keys, and which of them in this order are not the same as the one before."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    new = np.ones(len(keys), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    return order, new


def _first(keys: NDArray[np.bytes_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first place of each different key, ascending, and for each place which of these it is."""
    order, new = _sorted(keys)
    firsts = order[new]
    rank = np.empty(len(firsts), np.int64)
    rank[np.argsort(firsts)] = np.arange(len(firsts))
    of = np.empty(len(keys), np.int64)
    of[order] = rank[np.cumsum(new) - 1]
    return np.sort(firsts), of
