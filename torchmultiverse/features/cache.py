"""A cache of what models make of images: each picture passes through each encoder once, ever.

A vector is found by the SHA-256 of its picture's bytes within a folder that belongs to one way of encoding: weights,
exact preprocessing, precision, output, and the versions of the packages that compute. Change any of them and it is
another folder; change the picture and it is another row. Nothing is ever overwritten: files are added, whole or not at
all, and read as memory maps, so that an interrupted evaluation goes on and several may run side by side. A file's name
is the hash of what it holds, and is held against it before the first of its rows is used: what a disk, a copy or a hand
has damaged counts as not there, is said and made again.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.files import disk_errors, remove_leftovers, write_atomic
from torchmultiverse.models import (
    HasAdapterName,
    Model,
    Preprocess,
)
from torchmultiverse.resources import versions
from torchmultiverse.scenes import canonical_json
from torchmultiverse.store import ImageSet

DIGEST = np.dtype("V32")
FLUSH = 2048
"""Vectors that wait at most before they are written."""
PIXEL_LIMIT = 10 * 2**30
"""Bytes that decoded pictures take at most; 224 × 224 pixels are 150 kB a picture."""
_MOST_AT_ONCE = 8  # threads that hash and copy: memory is not faster with more
_T = TypeVar("_T")
_COMPUTE = ("torch", "torchvision", "open_clip_torch", "timm", "transformers", "pillow", "numpy")


class FeatureCache:
    """A folder of vectors.

    Args:
        folder: made where there is none.
        pixel_limit: bytes that decoded pictures may take; 0 keeps none.
    """

    def __init__(self, folder: str | Path, pixel_limit: int = PIXEL_LIMIT) -> None:
        self.folder = Path(folder)
        self.pixel_limit = pixel_limit
        self._expected: list[Preprocess] = []

    def outputs(self, model: Model, output: str) -> CachedArrays | None:
        """Return the vectors of one way of encoding.

        Args:
            model: whose. One that is no set of tensors, or that preprocesses in a way of its own, cannot be recognised
                again, so nothing of it is kept: ``None``.
            output: which of its outputs: ``image`` or ``logits``, or the name of a layer.
        """
        info = model.info
        if info.weights_sha256 is None or info.preprocess is None:
            return None
        how = {
            "weights": info.weights_sha256, "preprocess": info.preprocess.as_dict(), "output": output,
            "precision": info.precision, "model": _adapter(model), "packages": versions(_COMPUTE),
        }  # fmt: skip
        text = canonical_json(how)
        return CachedArrays(self.folder / hashlib.sha256(text.encode()).hexdigest()[:32], {**how, "name": info.name})

    def expect(self, preprocesses: Iterable[Preprocess | None]) -> None:
        """Say whose geometries will be asked for, so that a picture that is decoded for one goes to all."""
        known = [canonical_json(p.geometry()) for p in self._expected]
        for preprocess in preprocesses:
            if preprocess is not None and (text := canonical_json(preprocess.geometry())) not in known:
                known.append(text)
                self._expected.append(preprocess)

    def pixel_caches(self, preprocess: Preprocess, count: int) -> list[tuple[Preprocess, CachedArrays]]:
        """Return where pictures of a geometry are kept, and those of all others expected; nothing if none are kept."""
        own = self.pixels(preprocess, (count, *preprocess.size, 3))
        if own is None:
            return []
        others = [p for p in self._expected if p.geometry() != preprocess.geometry()]
        found = [(p, self.pixels(p, (count, *p.size, 3))) for p in others]
        return [(preprocess, own), *((p, other) for p, other in found if other is not None)]

    def pixels(self, preprocess: Preprocess, shape: tuple[int, ...]) -> CachedArrays | None:
        """Return the pictures of one geometry, decoded, resized and cropped: uint8 (H, W, 3).

        Models of the same geometry share them, so that a PNG is decoded once. Where as many as are wanted would exceed
        the limit, they are not kept: ``None``.

        Args:
            preprocess: whose geometry.
            shape: of all that will be asked for.
        """
        how = {"geometry": preprocess.geometry(), "pillow": versions(("pillow",)).get("pillow")}
        folder = self.folder / "pixels" / hashlib.sha256(canonical_json(how).encode()).hexdigest()[:32]
        if self.pixel_limit <= 0:
            return None
        held = sum(path.stat().st_size for path in (self.folder / "pixels").glob("*/*.vectors.npy"))
        if held + int(np.prod(shape)) > self.pixel_limit and not folder.exists():
            return None
        return CachedArrays(folder, how, np.uint8)

    def digests(self, images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.void]:
        """Return the SHA-256 of the bytes of some pictures, (N,) of 32 bytes each.

        Those of a dataset with a manifest are kept beside the vectors, under the hashes and stamps of its files.
        """
        path = self._digest_file(images)
        known = _load(path) if path is not None and path.exists() else None
        if (
            known is not None and known.dtype == DIGEST and known.shape == (len(images) + 1,)
            and bytes(known[-1]) == hashlib.sha256(known[:-1].tobytes()).digest()
        ):  # fmt: skip
            return np.asarray(known[:-1][rows])
        wanted = np.arange(len(images)) if path is not None else rows
        found = np.empty(len(wanted), DIGEST)
        for place, row in enumerate(wanted.tolist()):
            found[place] = np.void(hashlib.sha256(images.image_bytes(row)).digest())
        if path is None:
            return found
        with disk_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            own = np.array([np.void(hashlib.sha256(found.tobytes()).digest())], DIGEST)
            _save(path, np.concatenate([found, own]))  # the last is the hash of all others
        return found[rows]

    def _digest_file(self, images: ImageSet) -> Path | None:
        shards = images.manifest.shards
        if not shards or images.manifest.rows != len(images):
            return None  # filtered, or not ours: hashed as asked for
        stamps = [[f.name, shards[f.name].sha256 if f.name in shards else None, *_stamp(f)] for f in images.files]
        name = hashlib.sha256(canonical_json(stamps).encode()).hexdigest()[:32]
        return self.folder / "pictures" / f"{name}.npy"


class CachedArrays:
    """Arrays of one shape and type, found by the SHA-256 of the picture (or text) that they belong to.

    Args:
        folder: of these arrays.
        how: how its arrays are made; written beside them, for people.
        dtype: of the arrays.
    """

    def __init__(self, folder: Path, how: dict[str, Any], dtype: type = np.float32) -> None:
        self.folder = folder
        self._how, self._dtype = how, dtype
        self._parts: list[NDArray[Any]] = []
        self._names: list[str] = []  # of the parts
        self._checked: set[str] = set()  # those that hold what their names say
        self._sorted = np.empty(0, DIGEST)
        self._place = np.empty((0, 2), np.int64)
        with disk_errors(folder):
            remove_leftovers(folder)
        self._refresh()

    def __len__(self) -> int:
        return len(self._sorted)

    def __call__(
        self,
        digests: NDArray[np.void],
        encode: Callable[[NDArray[np.int64]], NDArray[Any]],
        tick: Callable[[int], None] | None = None,
    ) -> NDArray[Any]:
        """Return the arrays of pictures, (N, …); those that are not there are made and kept.

        Args:
            digests: SHA-256 of the pictures, (N,).
            encode: takes positions of ``digests`` and returns their arrays, called with at most `FLUSH` of them.
            tick: called with the number of pictures that need no encoding.

        Raises:
            DatasetError: the arrays cannot be written.
        """
        missing = self.missing(digests)
        if tick is not None:
            tick(len(digests) - len(missing))
        for part in chunks(missing):
            self.add(digests[part], encode(part))
        return self.get(digests)

    def missing(self, digests: NDArray[np.void]) -> NDArray[np.int64]:
        """Return the positions of pictures that have no array here, each picture once, in their order."""
        self._refresh()
        while True:
            at, known = self._find(digests)
            if self._sound(_numbers(self._place[at[known], 0])):
                lost = np.flatnonzero(~known)
                _, first = np.unique(_sortable(digests[lost]), return_index=True)
                return np.asarray(lost[np.sort(first)], np.int64)

    def get(self, digests: NDArray[np.void]) -> NDArray[Any]:
        """Return arrays that are all there, as `missing` says, (N, …)."""
        self._refresh()
        if not len(digests):
            return np.zeros((0, *(self._parts[0].shape[1:] if self._parts else (1,))), self._dtype)
        at, known = self._find(digests)
        if not known.all():
            raise DatasetError(f"{self.folder}: {(~known).sum()} of {len(digests)} arrays that were there are gone")
        part, row = self._place[at].T
        unique = int(np.bincount(at).max()) == 1
        out = np.empty((len(digests), *self._parts[0].shape[1:]), self._dtype)

        def copy(number: int) -> None:
            mine = np.flatnonzero(part == number)
            rows = row[mine]
            order = np.argsort(rows)  # memory is read in its own order
            whole = len(rows) == len(self._parts[number])  # of a part that is asked for once, all of it
            out[mine[order]] = self._parts[number][:] if whole and unique else self._parts[number][rows[order]]

        _at_once(copy, _numbers(part).tolist())  # each writes rows of its own
        return out

    def _find(self, digests: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return where the arrays of pictures stand in ``_place``, and which are there at all."""
        if not len(self._sorted):
            return np.zeros(len(digests), np.int64), np.zeros(len(digests), bool)
        keys, wanted = _sortable(self._sorted), _sortable(digests)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return at, np.asarray(keys[at] == wanted)

    def _sound(self, parts: NDArray[np.int64]) -> bool:
        """Return whether parts hold what their names say; forget those that do not."""

        def sound(number: int) -> bool:
            digests, name = _load(self.folder / self._names[number]), self._names[number]
            return digests is not None and _name(digests, self._parts[number]) == name.partition(".")[0]

        new = [number for number in parts.tolist() if self._names[number] not in self._checked]
        held = list(zip([self._names[number] for number in new], _at_once(sound, new), strict=True))
        self._checked.update(name for name, whole in held if whole)
        damaged = [name for name, whole in held if not whole]
        for name in damaged:
            self._discard(name)
        if damaged:
            self._parts, self._names = [], []
            self._sorted, self._place = np.empty(0, DIGEST), np.empty((0, 2), np.int64)
            self._refresh()
        return not damaged

    def _discard(self, name: str) -> None:
        """Remove a damaged file with its twin: what it held is made again."""
        warnings.warn(f"{self.folder / name} or its vectors are damaged; what they held is made again", stacklevel=2)
        with disk_errors(self.folder):
            for file in (name, _vectors(name)):
                (self.folder / file).unlink(missing_ok=True)

    def add(self, digests: NDArray[np.void], arrays: NDArray[Any]) -> None:
        """Keep arrays, all of them or, where the run is killed, none.

        Raises:
            DatasetError: not one array per picture, another shape than those here, or they cannot be written.
        """
        if len(arrays) != len(digests) or (self._parts and self._parts[0].shape[1:] != arrays.shape[1:]):
            raise DatasetError(f"{self.folder}: arrays of shape {arrays.shape} for {len(digests)} pictures")
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "encoder.json").exists():
                write_atomic(self.folder / "encoder.json", json.dumps(self._how, indent=1, sort_keys=True).encode())
            # By content: the same arrays written twice are one file, and two evaluations do not meet.
            arrays = np.ascontiguousarray(arrays, self._dtype)
            name = _name(digests, arrays)
            _save(self.folder / f"{name}.vectors.npy", arrays)
            _save(self.folder / f"{name}.pictures.npy", digests)  # last: with it, the arrays count

    def _refresh(self) -> None:
        """Look for files that were added, by whomever."""
        new = sorted({p.name for p in self.folder.glob("*.pictures.npy")} - set(self._names))
        keys, places = [self._sorted], [self._place]
        for name in new:
            digests, arrays = _load(self.folder / name), _load(self.folder / _vectors(name), "r")
            if digests is None or arrays is None or not self._fit(digests, arrays):
                self._discard(name)
                continue
            keys.append(digests)
            places.append(np.stack([np.full(len(digests), len(self._parts)), np.arange(len(digests))], 1))
            self._parts.append(arrays)
            self._names.append(name)
        if len(keys) > 1:
            every, place = np.concatenate(keys), np.concatenate(places)
            order = np.argsort(_sortable(every), kind="stable")
            self._sorted, self._place = every[order], place[order]

    def _fit(self, digests: NDArray[Any], arrays: NDArray[Any]) -> bool:
        return (
            digests.dtype == DIGEST and digests.ndim == 1 and arrays.dtype == self._dtype
            and arrays.ndim > 0 and len(arrays) == len(digests)
            and (not self._parts or arrays.shape[1:] == self._parts[0].shape[1:])
        )  # fmt: skip


def chunks(positions: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield positions in parts, each of which is computed and written before the next."""
    for start in range(0, len(positions), FLUSH):
        yield positions[start : start + FLUSH]


def _at_once(function: Callable[[int], _T], numbers: Sequence[int]) -> list[_T]:
    """Return what a function gives for each of some numbers; hashes and copies of several parts are made at once."""
    workers = min(len(numbers), os.cpu_count() or 1, _MOST_AT_ONCE)
    if workers < 2:
        return [function(number) for number in numbers]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, numbers))


def _numbers(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which small numbers occur, ascending."""
    return np.flatnonzero(np.bincount(values))


def _adapter(model: Model) -> str:
    return model.adapter if isinstance(model, HasAdapterName) else type(model).__qualname__


def _sortable(digests: NDArray[np.void]) -> NDArray[np.bytes_]:
    """Return digests as strings that end with another byte: NumPy neither compares raw bytes nor keeps zeros at the
    end of strings.
    """
    found = np.full((len(digests), 33), 1, np.uint8)
    found[:, :32] = np.ascontiguousarray(digests).view(np.uint8).reshape(-1, 32)
    return found.view("S33").reshape(-1)


def _vectors(name: str) -> str:
    return name.replace(".pictures", ".vectors")


def _name(digests: NDArray[np.void], arrays: NDArray[Any]) -> str:
    """Return the name of a file by what it holds."""
    found = hashlib.sha256(digests.tobytes())
    for start in range(0, len(arrays), FLUSH):  # a memory map is not read whole at once
        found.update(np.ascontiguousarray(arrays[start : start + FLUSH]).data)
    return found.hexdigest()[:24]


def _load(path: Path, mode: Literal["r"] | None = None) -> NDArray[Any] | None:
    """Return an array of a file; ``None`` where it is none."""
    try:
        found = np.load(path, mmap_mode=mode, allow_pickle=False)
        return found if isinstance(found, np.ndarray) else None
    except Exception:  # a damaged header makes NumPy raise nearly anything
        return None


def _save(path: Path, array: NDArray[Any]) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomic(path, buffer.getvalue(), sync=False)


def _stamp(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns
