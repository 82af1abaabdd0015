"""A dataset under a corruption: the same rows, other pictures."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.corruptions import CORRUPTIONS, SIDE, VERSION, corrupt, corruption_names, picture_rng
from torchmultiverse.images import read, rgb
from torchmultiverse.resources import versions
from torchmultiverse.scenes import canonical_json
from torchmultiverse.store.manifest import Manifest
from torchmultiverse.store.views import ImageSet, dataset_name, manifest_hash

_MEMO = 512 * 2**20
_COMPUTE = ("numpy", "pillow", "scikit-image", "scipy")


class _Recipe(NamedTuple):
    """What a picture is made from: read on the thread that asks, so that it can be made on another."""

    row: int
    image: Image.Image | bytes
    depth: NDArray[np.float32] | None


class CorruptedImages(ImageSet):
    """The images of a dataset under one corruption, or under none but the same resizing.

    Images are first resized so that their shorter side has ``side`` pixels, as the sources do, so that constants are
    the published ones and every dataset is corrupted alike. Each image follows from its own bytes, the name, the
    severity and the seed alone. The last ones made are kept in memory, 512 MiB at most.

    Args:
        whole: the dataset.
        name: of the corruption; ``None`` resizes only.
        severity: 1 to 5.
        seed: of what is random.
        side: pixels of the shorter side; ``None`` keeps images as they are, and scales lengths instead.

    Raises:
        SpecError: no such corruption, or one that needs depth where the dataset has none.

    >>> from torchmultiverse.store import ImageList
    >>> images = ImageList([Image.new("RGB", (448, 448), (90, 90, 90))], [{"label": "cat"}])
    >>> CorruptedImages(images, "brightness", 5).image(0).getpixel((0, 0)), CorruptedImages(images).image(0).size
    ((217, 217, 217), (224, 224))
    """

    def __init__(
        self, whole: ImageSet, name: str | None = None, severity: int = 0, seed: int = 0, side: int | None = SIDE
    ) -> None:
        self._whole, self._name, self._severity, self._seed, self._side = whole, name, severity, seed, side
        self.has_bytes, self.keeps_pixels = whole.has_bytes, False
        self._deep = False
        if name is not None:
            corruption_names([name], depth="depth" in whole.passes)
            self._deep = CORRUPTIONS[name].needs_depth
            CORRUPTIONS[name].constants(severity)
        self._memo: dict[int, NDArray[np.uint8]] = {}
        self._held = 0
        self._facts = {
            "corruption": name or "none", "severity": severity, "seed": seed, "side": side, "version": VERSION,
            "packages": versions(_COMPUTE),
        }  # fmt: skip

    @property
    def manifest(self) -> Manifest:
        """Name of the whole, number of images, hash of its manifest, and how they were corrupted."""
        about = self._whole.manifest
        found = Manifest(identity={**about.identity, "corrupted": self._facts}, engine=about.engine)
        name = about.name or (self._whole.path.name if self._whole.path is not None else None)
        found.set(name=name, count=len(self), of=manifest_hash(self._whole))
        return found

    def __len__(self) -> int:
        return len(self._whole)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns of the whole."""
        return self._whole.table(columns)

    def image(self, index: int) -> Image.Image:
        """Return one image, RGB."""
        return Image.fromarray(self.pixels(index))

    def pixels(self, index: int) -> NDArray[np.uint8]:
        """Return one image, (H, W, 3) uint8."""
        found = self._memo.get(index)
        return self._kept(index, self._made(self._recipe(index))) if found is None else found

    def image_bytes(self, index: int) -> bytes:
        """Return what an image follows from: how it is corrupted, and the bytes that it is made from."""
        depth = self._whole.annotation(index, "depth").tobytes() if self._deep else b""
        about = canonical_json(self._facts).encode()
        return b"corrupted " + about + b"\0" + depth + b"\0" + self._whole.image_bytes(index)

    def iter_images(self, indices: Iterable[int] | None = None) -> Iterator[Image.Image]:
        """Yield images in the order asked for, the next ones being made meanwhile by several threads."""
        wanted = iter(range(len(self)) if indices is None else [int(index) for index in indices])
        workers = max(1, os.cpu_count() or 1)
        with ThreadPoolExecutor(workers) as pool:
            waiting: deque[tuple[int, Future[NDArray[np.uint8]] | None]] = deque()

            def ahead(count: int) -> None:
                for index in islice(wanted, count):
                    known = index in self._memo
                    waiting.append((index, None if known else pool.submit(self._made, self._recipe(index))))

            ahead(4 * workers)
            while waiting:
                index, future = waiting.popleft()
                pixels = self.pixels(index) if future is None else self._kept(index, future.result())
                ahead(1)
                yield Image.fromarray(pixels)

    def _recipe(self, index: int) -> _Recipe:
        depth = np.asarray(self._whole.annotation(index, "depth"), np.float32) if self._deep else None
        return _Recipe(index, self._whole.image_bytes(index) if self.has_bytes else self._whole.image(index), depth)

    def _made(self, recipe: _Recipe) -> NDArray[np.uint8]:
        given = recipe.image
        what = self._called(recipe.row)
        image = read(given, what) if isinstance(given, bytes) else rgb(given, what)
        identity = given if isinstance(given, bytes) else hashlib.sha256(np.asarray(image).tobytes()).digest()
        pixels = np.asarray(_resized(image, self._side))
        if self._name is None:
            return pixels
        depth = None if recipe.depth is None else fitted_depth(recipe.depth, pixels.shape[:2])
        return corrupt(pixels, self._name, self._severity, picture_rng(self._name, self._seed, identity), depth)

    def _called(self, index: int) -> str:
        """Return what a picture is called in errors: its file, where it has one."""
        if self._files is not None and self._files[index]:
            return f"{self._whole.path / self._files[index] if self._whole.path is not None else self._files[index]}"
        return f"picture {index} of {dataset_name(self._whole)}"

    @cached_property
    def _files(self) -> list[str] | None:
        table = self._whole.table()
        return table["filename"].to_pylist() if "filename" in table.column_names else None

    def _kept(self, index: int, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if index not in self._memo and self._held + pixels.nbytes <= _MEMO:
            self._memo[index] = pixels
            self._held += pixels.nbytes
        return pixels


def _resized(image: Image.Image, side: int | None) -> Image.Image:
    """Return an image whose shorter side has so many pixels, bicubic and antialiased."""
    if side is None or min(image.size) == side:
        return image
    scale = side / min(image.size)
    size = (max(side, round(image.width * scale)), max(side, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC)


def fitted_depth(depth: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return depth at the size of an image: of the nearest place, since a mean of near and far is nowhere."""
    rows, columns = (
        ((np.arange(n) + 0.5) * old / n).astype(np.int64) for n, old in zip(shape, depth.shape, strict=True)
    )
    return np.ascontiguousarray(depth[np.ix_(rows, columns)])
