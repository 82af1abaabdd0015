"""Images at a model's own size, decoded once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.features.cache import CachedArrays
from torchmultiverse.images import ImageError, read, rgb
from torchmultiverse.models import Prepared, Preprocess
from torchmultiverse.store import ImageSet

_SHEET = 256  # decoded images in a file


class CachedImages:
    """Images at a model's own size, from the pixel cache; what is not there is decoded once, by several threads.

    Args:
        images: the dataset.
        preprocess: of the model.
        caches: of images, by geometry: that of the model first. An image that is decoded goes to all of them.
        digests: of the images that will be asked for, in their order.
    """

    def __init__(
        self, images: ImageSet, caches: Sequence[tuple[Preprocess, CachedArrays]], digests: NDArray[np.void]
    ) -> None:
        self._images, self._caches, self._digests = images, caches, digests
        self._made: list[tuple[list[int], list[NDArray[np.uint8]]]] = [([], []) for _ in caches]

    def batches(self, rows: NDArray[np.int64], size: Callable[[], int]) -> Iterator[Prepared]:
        """Yield images in batches of a size that may change, the next ones being decoded meanwhile."""
        preprocess, cache = self._caches[0]
        missing = [np.isin(np.arange(len(rows)), other.missing(self._digests)) for _, other in self._caches]
        with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
            waiting: deque[tuple[int, Future[list[NDArray[np.uint8] | None]]]] = deque()
            wanted = iter(np.flatnonzero(missing[0]).tolist())

            def ahead() -> None:
                while len(waiting) < 2 * max(64, size()) and (place := next(wanted, None)) is not None:
                    row, which = int(rows[place]), [bool(mask[place]) for mask in missing]
                    # Bytes are read here: a dataset is not asked by several threads at once.
                    data = self._images.image_bytes(row)
                    waiting.append((place, pool.submit(self._decode, row, data, which)))

            start = 0
            while start < len(rows):
                stop = min(start + size(), len(rows))
                ahead()
                batch = np.empty((stop - start, *preprocess.size, 3), np.uint8)
                while waiting and waiting[0][0] < stop:
                    place, future = waiting.popleft()
                    for (places, made), pixels in zip(self._made, future.result(), strict=True):
                        if pixels is not None:
                            places.append(place)
                            made.append(pixels)
                    batch[place - start] = self._made[0][1][-1]
                    ahead()
                there = np.flatnonzero(~missing[0][start:stop])
                if len(there):
                    if len(cache.missing(self._digests[start + there])):  # seen a moment ago, and not written yet
                        self._keep(0)
                    batch[there] = cache.get(self._digests[start + there])
                self._keep(_SHEET)
                yield Prepared(batch)
                start = stop
        self._keep(0)

    def _decode(self, row: int, data: bytes, which: Sequence[bool]) -> list[NDArray[np.uint8] | None]:
        try:
            image = read(data, f"row {row}")
        except ImageError:
            image = rgb(self._images.image(row))  # raises, and names the place
        return [
            np.asarray(preprocess.picture(image)) if wanted else None
            for (preprocess, _), wanted in zip(self._caches, which, strict=True)
        ]

    def _keep(self, least: int) -> None:
        for (_, cache), (places, made) in zip(self._caches, self._made, strict=True):
            if made and len(made) >= least:
                cache.add(self._digests[places], np.stack(made))
                made.clear()
                places.clear()
