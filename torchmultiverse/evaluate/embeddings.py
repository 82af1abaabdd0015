"""What models made of pictures, kept: each picture passes through each encoder once, ever.

A vector is found by the SHA-256 of its picture's bytes within a folder that belongs to one way of encoding: weights,
exact preprocessing, precision, output, and the versions of the packages that compute. Change any of them and it is
another folder; change the picture and it is another row. Nothing is ever overwritten: files are added, whole or not at
all, and read as memory maps, so that an interrupted evaluation goes on and several may run side by side.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluate.data import PictureSet
from torchmultiverse.evaluate.encode import run_pictures
from torchmultiverse.models import Classifier, ImageEncoder, ImageTextModel, Model
from torchmultiverse.models.preprocess import FloatArray
from torchmultiverse.spec import canonical_json
from torchmultiverse.store.files import disk_errors, write_atomic

DIGEST = np.dtype("V32")
FLUSH = 2048
"""Vectors that wait at most before they are written."""
_COMPUTE = ("torch", "torchvision", "open_clip_torch", "timm", "transformers", "pillow", "numpy")


@runtime_checkable
class HasBytes(Protocol):
    """Pictures whose files can be read without decoding them."""

    def __len__(self) -> int: ...

    def image_bytes(self, index: int) -> bytes:
        """Return the bytes of a picture's file."""
        ...


class EmbeddingStore:
    """A folder of vectors.

    Args:
        folder: made where there is none.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def encoder(self, model: Model, output: str) -> Encoder | None:
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
            "precision": info.precision, "model": type(model).__qualname__, "packages": _versions(),
        }  # fmt: skip
        text = canonical_json(how)
        return Encoder(self.folder / hashlib.sha256(text.encode()).hexdigest()[:32], {**how, "name": info.name})

    def digests(self, pictures: HasBytes, rows: NDArray[np.int64]) -> NDArray[np.void]:
        """Return the SHA-256 of the bytes of some pictures, (N,) of 32 bytes each.

        Those of a dataset with a manifest are kept beside the vectors, under the hashes and stamps of its files.
        """
        path = self._digest_file(pictures)
        if path is not None and path.exists():
            known = np.load(path, allow_pickle=False)
            if len(known) == len(pictures):
                return np.asarray(known[rows])
        wanted = np.arange(len(pictures)) if path is not None else rows
        found = np.empty(len(wanted), DIGEST)
        for place, row in enumerate(wanted.tolist()):
            found[place] = np.void(hashlib.sha256(pictures.image_bytes(row)).digest())
        if path is None:
            return found
        with disk_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            _save(path, found)
        return found[rows]

    def _digest_file(self, pictures: HasBytes) -> Path | None:
        shards = getattr(pictures, "manifest", {}).get("shards") if hasattr(pictures, "manifest") else None
        files: Sequence[Path] = getattr(pictures, "files", ())
        if not shards or sum(entry["rows"] for entry in shards.values()) != len(pictures):
            return None  # filtered, or not ours: hashed as asked for
        stamps = [[f.name, shards.get(f.name, {}).get("sha256"), *_stamp(f)] for f in files]
        name = hashlib.sha256(canonical_json(stamps).encode()).hexdigest()[:32]
        return self.folder / "pictures" / f"{name}.npy"


class Encoder:
    """The vectors of one way of encoding.

    Args:
        folder: of this encoder.
        how: what it is; written beside the vectors, for people.
    """

    def __init__(self, folder: Path, how: dict[str, Any]) -> None:
        self.folder = folder
        self._how = how
        self._parts: list[FloatArray] = []
        self._names: set[str] = set()
        self._sorted = np.empty(0, DIGEST)
        self._place = np.empty((0, 2), np.int64)
        self._refresh()

    def __len__(self) -> int:
        return len(self._sorted)

    def __call__(
        self,
        digests: NDArray[np.void],
        encode: Callable[[NDArray[np.int64]], FloatArray],
        tick: Callable[[int], None] | None = None,
    ) -> FloatArray:
        """Return the vectors of pictures, (N, D) float32; those that are not there are encoded and kept.

        Args:
            digests: SHA-256 of the pictures, (N,).
            encode: takes positions of ``digests`` and returns their vectors, called with at most `FLUSH` of them.
            tick: called with the number of pictures that need no encoding.

        Raises:
            DatasetError: the vectors cannot be written.
        """
        self._refresh()
        _, first = np.unique(_sortable(digests), return_index=True)
        lacking = np.sort(first[~self._known(digests[first])])
        if tick is not None:
            tick(len(digests) - len(lacking))
        for start in range(0, len(lacking), FLUSH):
            part = lacking[start : start + FLUSH]
            self._write(digests[part], encode(part))
        self._refresh()
        return self._gather(digests)

    def _known(self, digests: NDArray[np.void]) -> NDArray[np.bool_]:
        if not len(self._sorted):
            return np.zeros(len(digests), bool)
        keys, wanted = _sortable(self._sorted), _sortable(digests)
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.asarray(keys[at] == wanted)

    def _gather(self, digests: NDArray[np.void]) -> FloatArray:
        if not len(digests):
            return np.zeros((0, self._parts[0].shape[1] if self._parts else 1), np.float32)
        at = np.searchsorted(_sortable(self._sorted), _sortable(digests))
        part, row = self._place[at].T
        out = np.empty((len(digests), self._parts[0].shape[1]), np.float32)
        for number in np.unique(part):
            mine = np.flatnonzero(part == number)
            rows = row[mine]
            order = np.argsort(rows)  # memory is read in its own order
            out[mine[order]] = self._parts[number][rows[order]]
        return out

    def _write(self, digests: NDArray[np.void], vectors: FloatArray) -> None:
        if vectors.ndim != 2 or len(vectors) != len(digests):
            raise DatasetError(f"{self.folder}: {vectors.shape} vectors for {len(digests)} pictures")
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / "encoder.json").exists():
                write_atomic(self.folder / "encoder.json", json.dumps(self._how, indent=1, sort_keys=True).encode())
            # By content: the same vectors written twice are one file, and two evaluations do not meet.
            name = hashlib.sha256(digests.tobytes() + vectors.tobytes()).hexdigest()[:24]
            _save(self.folder / f"{name}.vectors.npy", np.ascontiguousarray(vectors, np.float32))
            _save(self.folder / f"{name}.pictures.npy", digests)  # last: with it, the vectors count

    def _refresh(self) -> None:
        """Look for files that were added, by whomever."""
        new = sorted({p.name for p in self.folder.glob("*.pictures.npy")} - self._names)
        keys, places = [self._sorted], [self._place]
        for name in new:
            vectors = np.load(self.folder / name.replace(".pictures", ".vectors"), mmap_mode="r", allow_pickle=False)
            digests = np.load(self.folder / name, allow_pickle=False)
            keys.append(digests)
            places.append(np.stack([np.full(len(digests), len(self._parts)), np.arange(len(digests))], 1))
            self._parts.append(vectors)
            self._names.add(name)
        if new:
            every, place = np.concatenate(keys), np.concatenate(places)
            order = np.argsort(_sortable(every), kind="stable")
            self._sorted, self._place = every[order], place[order]


def encode_pictures(
    model: ImageTextModel | Classifier | ImageEncoder,
    output: str,
    function: Callable[[list[Image.Image]], FloatArray],
    pictures: PictureSet,
    rows: NDArray[np.int64],
    batch_size: int = 64,
    quiet: bool = False,
    store: EmbeddingStore | None = None,
) -> FloatArray:
    """Return what a model makes of pictures, (N, D), from the store where it was there before.

    Args:
        model: whose output it is.
        output: its name in the store: ``image`` or ``logits``.
        function: a batch of pictures to that output.
        pictures: the dataset.
        rows: which pictures, in which order.
        batch_size: pictures per call.
        quiet: show no bar.
        store: where outputs are kept.
    """
    name = model.info.name
    encoder = store.encoder(model, output) if store is not None and isinstance(pictures, HasBytes) else None
    if store is None or encoder is None or not isinstance(pictures, HasBytes):
        return run_pictures(function, pictures, rows, name, batch_size, quiet)
    digests = store.digests(pictures, rows)
    return encoder(digests, lambda part: run_pictures(function, pictures, rows[part], name, batch_size, quiet))


def _sortable(digests: NDArray[np.void]) -> NDArray[np.bytes_]:
    """Return digests as hexadecimal text: NumPy neither compares raw bytes nor keeps zeros at the end of strings."""
    flat = np.ascontiguousarray(digests).view(np.uint8).reshape(-1, 32)
    nibbles = np.stack([flat >> 4, flat & 15], -1).reshape(len(flat), 64)
    return np.frombuffer(b"0123456789abcdef", np.uint8)[nibbles].view("S64").reshape(-1)


def _save(path: Path, array: NDArray[Any]) -> None:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomic(path, buffer.getvalue(), sync=False)


def _stamp(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns


def _versions() -> dict[str, str]:
    versions = {}
    for package in _COMPUTE:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
