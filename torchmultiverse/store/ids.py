"""Ids of very many rows: 24 bytes each, whatever they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


class Ids:
    """Where ids are in a sequence of them.

    Ids are compared by 128 bits of their BLAKE2b, so two different ones are one with a chance of 1 in 10²⁴ among ten
    million. ``None`` is no id and is never found.

    Args:
        ids: in their order; of one that comes twice, the last place counts.
    """

    def __init__(self, ids: Iterable[str | None]) -> None:
        keys = np.fromiter((_key(name) for name in ids), "S16")
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]

    def places(self, ids: Iterable[str | None]) -> NDArray[np.int64]:
        """Return the place of each id, int64; -1 of one that is not there."""
        keys = np.fromiter((_key(name) for name in ids), "S16")
        wanted = keys != b""
        if not len(self._sorted):
            return np.full(len(keys), -1, np.int64)
        at = np.searchsorted(self._sorted, keys, side="right") - 1
        found = wanted & (at >= 0) & (self._sorted[at] == keys)
        return np.where(found, self._order[at], -1).astype(np.int64)


def _key(name: str | None) -> bytes:
    return b"" if name is None else hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
