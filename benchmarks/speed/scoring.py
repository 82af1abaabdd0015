"""How long does it take to score all of SPAR from kept embeddings? 43,560 pictures, 51,237 captions, 512 numbers each.

Vectors are random, and so are right answers rare; the time does not depend on that. What is timed is the whole call:
reading embeddings, all tasks and scopes, intervals, per-picture rows, pictures of the gallery.

    python benchmarks/speed/scoring.py
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from torchmultiverse.evaluation import evaluate
from torchmultiverse.models import ModelInfo, Preprocess
from torchmultiverse.resources import data_folder
from torchmultiverse.store import PUBLISHED, ImageSet, Manifest, ShardEntry


class Pictures(ImageSet):
    """The published design; each picture a small PNG of its own."""

    def __init__(self, folder: Path) -> None:
        design = json.loads((data_folder("scenes") / "spar.json").read_text())["design"]
        names = design["factors"]["Character_Name"]
        settings = [tuple(setting.values()) for setting in design["linked"][0]]
        rows = list(itertools.product(design["factors"]["World_Name"], names, names, settings))
        flat = [(world, one, two, *setting) for world, one, two, setting in rows]
        columns = {name: list(values) for name, values in zip(PUBLISHED["SPAR"], zip(*flat, strict=True), strict=True)}
        ids = [hashlib.sha256(repr(row).encode()).hexdigest()[:32] for row in flat]
        self._table = pa.table({**columns, "scene_id": ids})
        entry = ShardEntry(rows=len(flat), sha256="0" * 64)
        self._manifest = Manifest(name="SPAR", shards={"0.parquet": entry})
        (folder / "0.parquet").write_bytes(b"")
        self._files = [folder / "0.parquet"]

    has_bytes = True

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    @property
    def files(self) -> list[Path]:
        return self._files

    def __len__(self) -> int:
        return self._table.num_rows

    def table(self, columns=None):
        return self._table if columns is None else self._table.select(list(columns))

    def image(self, index: int) -> Image.Image:
        return Image.new("RGB", (224, 224), (index >> 16, index >> 8 & 255, index & 255))

    def image_bytes(self, index: int) -> bytes:
        buffer = io.BytesIO()
        self.image(index).save(buffer, "PNG", compress_level=0)
        return buffer.getvalue()


class Random:
    """Random vectors by content."""

    logit_scale = 100.0

    def __init__(self) -> None:
        self.info = ModelInfo("random", "image-text", Preprocess((8, 8), "squash"), weights_sha256="0" * 64)

    def encode_image(self, images):
        return self._vectors(len(images), 1)

    def encode_text(self, texts):
        seed = int(hashlib.sha256(texts[0].encode()).hexdigest()[:8], 16)
        return self._vectors(len(texts), seed)

    def _vectors(self, count: int, seed: int):
        vectors = np.random.default_rng(seed).normal(size=(count, 512)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pictures = Pictures(Path(folder))
        started = time.perf_counter()
        first = evaluate(pictures, Random(), "spar", embeddings=Path(folder) / "store", quiet=True)
        print(
            f"{len(pictures):,} pictures, {first.rows.num_rows:,} answers; "
            f"encoding and scoring {time.perf_counter() - started:.1f} s"
        )
        if given.profile:
            import cProfile
            import pstats

            with cProfile.Profile() as profile:
                evaluate(pictures, Random(), "spar", embeddings=Path(folder) / "store", quiet=True)
            pstats.Stats(profile).sort_stats("cumulative").print_stats(35)
        for protocol in ("spar", "spar_pug2023"):
            evaluate(pictures, Random(), protocol, embeddings=Path(folder) / "store", quiet=True)
            times = []
            for _ in range(given.rounds):
                started = time.perf_counter()
                evaluate(pictures, Random(), protocol, embeddings=Path(folder) / "store", quiet=True)
                times.append(time.perf_counter() - started)
            print(f"{protocol}, from kept embeddings: {min(times):.2f} s (median {sorted(times)[len(times) // 2]:.2f})")


if __name__ == "__main__":
    main()
