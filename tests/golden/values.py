"""What the golden tests hold values with: hashes that depend on values alone, comparison, and small models and data."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image, features
from reach import Model, volatile

LIKELY = (1, 277, 340, 385, 386, 404)
"""Goldfish, fox, zebra, elephants, airliner."""
HERE = Path(__file__).parent
RECORDS = HERE / "stored"


def plain(value: Any) -> Any:
    """Return a value as JSON has it, floats to 9 significant digits, bytes as their hash."""
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return None if math.isnan(value) else str(value) if math.isinf(value) else float(f"{value:.9g}")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def digest(value: Any) -> str:
    """Return a hash of a value, the same on every machine."""
    text = json.dumps(plain(value), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def decoded(data: bytes) -> list[Any]:
    """Return what a picture's file shows, whichever library compressed it."""
    array = np.asarray(Image.open(io.BytesIO(data)))
    return [str(array.dtype), list(array.shape), array.tobytes()]


def coders() -> dict[str, str | None]:
    """Return the versions of what compresses pictures and files: other ones write other bytes that mean the same."""
    import pyarrow

    return {"pillow": features.version("pil"), "zlib": features.version("zlib"), "pyarrow": pyarrow.__version__}


def files(dataset: Path) -> dict[str, Any]:
    """Return what the Parquet files of a dataset hold, read without any code of the project.

    ``columns``: of each column a hash of all its values; of pictures, of what they show. ``bytes``: of each column of
    pictures a hash of the bytes of their files.
    """
    columns: dict[str, list[Any]] = {}
    raw: dict[str, list[Any]] = {}
    types: dict[str, str] = {}
    count: dict[str, int] = {}
    for file in sorted((dataset / "data").glob("*.parquet")):
        table = pq.read_table(file)
        count[file.name] = len(table)
        for name in table.column_names:
            if name in volatile():
                continue
            types[name] = str(table.schema.field(name).type)
            values = table[name].to_pylist()
            if values and isinstance(values[0], Mapping) and "bytes" in values[0]:
                raw.setdefault(name, []).extend(values)
                values = [[decoded(value["bytes"]), value["path"]] for value in values]
            columns.setdefault(name, []).extend(values)
    return {
        "files": count,
        "types": types,
        "columns": {name: digest(values) for name, values in columns.items()},
        "bytes": {name: digest(values) for name, values in raw.items()},
    }


def differences(before: Any, now: Any, place: str = "") -> list[str]:
    """Return where values differ; floats may in the seventh digit, everything else in nothing."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        found = [f"{place}/{key}: lacks" for key in before.keys() - now.keys()]
        found += [f"{place}/{key}: new" for key in now.keys() - before.keys()]
        for key in before.keys() & now.keys():
            found += differences(before[key], now[key], f"{place}/{key}")
        return sorted(found)
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        return [d for i, (a, b) in enumerate(zip(before, now, strict=True)) for d in differences(a, b, f"{place}/{i}")]
    if isinstance(before, float) or isinstance(now, float):
        numbers = isinstance(before, int | float) and isinstance(now, int | float)
        same = numbers and math.isclose(before, now, rel_tol=1e-6, abs_tol=1e-7)
    else:
        same = before == now
    return [] if same else [f"{place}: was {before!r:.200}, is {now!r:.200}"]


def load(name: str) -> Any:
    """Return recorded values."""
    return json.loads((HERE / f"{name}.json").read_text())


def _vectors(data: Iterable[bytes], length: int = 64) -> np.ndarray:
    """Return a vector of unit length for each of some bytes, (N, length): the hash as numbers."""
    drawn = b"".join(hashlib.shake_256(one).digest(2 * length) for one in data)
    numbers = np.frombuffer(drawn, "<i2").reshape(-1, length).astype(np.float64)
    return (numbers / np.linalg.norm(numbers, axis=1, keepdims=True)).astype(np.float32)


class Hashed(Model):
    """An image-text model whose vectors are hashes: as good as a guess, and the same on every machine."""

    logit_scale = 10.0

    def __init__(self, weights: str | None = None, name: str = "hashed") -> None:
        super().__init__(name, "image-text", weights)

    def encode_image(self, images: Any) -> np.ndarray:
        return _vectors(self.pixels(images))

    def encode_text(self, texts: Any) -> np.ndarray:
        self.shown += len(texts)
        return _vectors(text.encode() for text in texts)


class Logits(Model):
    """A classifier of ImageNet's classes whose logits are hashes."""

    classes = None

    def __init__(self, weights: str | None = None, name: str = "logits") -> None:
        super().__init__(name, "classifier", weights)

    def logits(self, images: Any) -> np.ndarray:
        seen = self.pixels(images)
        found = 10 * _vectors(seen, 1000)
        for row, one in enumerate(seen):  # one of few classes, so that some answers are right
            found[row, LIKELY[hashlib.sha256(one).digest()[0] % len(LIKELY)]] += 3
        return found


class Pairs(Model):
    """A model that sees picture and caption together, whose scores are hashes."""

    def __init__(self, name: str = "pairs") -> None:
        super().__init__(name, "scorer")

    def score(self, images: Any, captions: Any) -> np.ndarray:
        seen = self.pixels(images)
        return np.stack([_vectors((one + text.encode() for text in captions), 2)[:, 0] for one in seen])
