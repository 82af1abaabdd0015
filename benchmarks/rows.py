"""What the end of a run costs for very many rows: CPU time and the largest memory, in a process of its own.

    python benchmarks/rows.py finish 100000 1000000     # a dataset of tiny pictures: quality, leakage, card
    python benchmarks/rows.py structures 10000000       # what `finish` holds, on made-up rows without pictures
    python benchmarks/rows.py ids 10000000              # ids of all rows, and a look-up of a shard's

Rows have 4 × 20 × 625 × n / 50,000 levels. Nothing is rendered.
"""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from torchmultiverse.store.crossing import Crossing
from torchmultiverse.store.finishing import finish
from torchmultiverse.store.ids import Ids
from torchmultiverse.store.manifest import Manifest, shard_name
from torchmultiverse.store.minimal import differences
from torchmultiverse.store.parquet import GROUP_ROWS, write_groups
from torchmultiverse.store.schema import IMAGE, huggingface
from torchmultiverse.store.thumbnails import Thumbnails, runs
from torchmultiverse.store.writer import SHARD_ROWS

WORLDS, CHARACTERS, YAWS = 4, 20, 625


def factors(start: int, stop: int) -> dict[str, pa.Array]:
    row = np.arange(start, stop)
    rest, yaw = np.divmod(row, YAWS)
    rest, character = np.divmod(rest, CHARACTERS)
    texture, world = np.divmod(rest, WORLDS)
    return {
        "world_name": pa.array([f"World{k}" for k in world]),
        "character_name": pa.array([f"Animal{k}" for k in character]),
        "camera_yaw": pa.array(yaw * 0.576),
        "character_texture": pa.array([f"Texture{k}" for k in texture]),
    }


def scene_ids(start: int, stop: int) -> list[str]:
    return [f"{k * 0x9E3779B97F4A7C15 % 2**128:032x}" for k in range(start, stop)]


def picture(rng: np.random.Generator) -> bytes:
    base = rng.integers(40, 200, 3)
    pixels = np.clip(base + rng.integers(-20, 20, (16, 16, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def build(out: Path, rows: int) -> None:
    (out / "data").mkdir(parents=True)
    rng = np.random.default_rng(0)
    measured = ("luminance", "contrast", "saturation", "clipped", "fireflies")
    fields: dict[str, pa.DataType] = {"image": IMAGE, "world_name": pa.string(), "character_name": pa.string()}
    fields |= {"camera_yaw": pa.float64(), "character_texture": pa.string(), "scene_id": pa.string()}
    fields |= {"split": pa.string(), **{f"quality_{name}": pa.float32() for name in measured}}
    fields |= {"quality_failed": pa.string()}
    schema, shards = huggingface(fields), {}

    def groups(start: int, stop: int) -> Iterator[pa.Table]:
        for at in range(start, stop, GROUP_ROWS):
            end = min(at + GROUP_ROWS, stop)
            columns = factors(at, end) | {"scene_id": scene_ids(at, end), "split": ["train"] * (end - at)}
            columns |= {"image": [{"bytes": picture(rng), "path": f"{k}.png"} for k in range(at, end)]}
            # One in a hundred fails a check.
            dark = np.where(np.arange(at, end) % 100 == 0, 0.01, 0.5).astype(np.float32)
            columns |= {f"quality_{name}": np.full(end - at, 0.0, np.float32) for name in measured}
            columns |= {"quality_luminance": dark, "quality_contrast": np.full(end - at, 0.2, np.float32)}
            columns |= {"quality_failed": ["luminance" if value < 0.03 else "" for value in dark]}
            yield pa.table({name: pa.array(columns[name], kind) for name, kind in fields.items()}, schema=schema)

    for number, start in enumerate(range(0, rows, SHARD_ROWS)):
        with open(out / "data" / shard_name(number), "wb") as file:
            count = write_groups(file, schema, groups(start, min(start + SHARD_ROWS, rows)))
        shards[shard_name(number)] = {"rows": count, "bytes": 0, "sha256": "0" * 64}
    manifest = {"identity": {"family": "Animals"}, "name": "rows", "shards": shards, "pictures": rows, "counts": {}}
    Manifest.parse(manifest, out).save(out)


def structures(rows: int) -> None:
    """Do what `inspect` does with pictures, on thumbnails that were never pictures."""
    rng = np.random.default_rng(0)
    step = 1 << 16
    thumbs, digests = Thumbnails(rows), np.zeros(rows, "S16")
    for start in range(0, rows, step):
        part = rng.integers(0, 40, (min(step, rows - start), 16, 16, 3), np.uint8)
        part += rng.integers(40, 200, (len(part), 1, 1, 3), np.uint8)
        for k, thumb in enumerate(part):
            thumbs.put(start + k, thumb)
            digests[start + k] = rng.bytes(16)
    report("thumbnails")
    runs(digests)
    del digests
    thumbs.near_duplicates(np.arange(rows))
    report("alike")
    crossing = Crossing(pa.table(factors(start, min(start + step, rows))) for start in range(0, rows, step))
    report("codes")
    for name in crossing.names:
        print(f"  {name}: {len(differences(crossing, name, thumbs))} pairs of levels")
        report(name)


def ids(rows: int) -> None:
    step = 1 << 16
    found = Ids(name for start in range(0, rows, step) for name in scene_ids(start, min(start + step, rows)))
    assert found.places(scene_ids(5, 9)).tolist() == [5, 6, 7, 8]


def report(what: str) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(f"  {what}: {usage.ru_utime + usage.ru_stime:,.0f} s of CPU, {usage.ru_maxrss / 1e6:.2f} GB", flush=True)


def main() -> None:
    what, *numbers = sys.argv[1:]
    if what == "run":
        path = Path(numbers[0])
        start = time.process_time()
        finish(path)
        print(json.dumps({"cpu": time.process_time() - start, "files": sorted(p.name for p in path.iterdir())}))
        report("finish")
        return
    for rows in map(int, numbers):
        print(f"{what} {rows:,}", flush=True)
        if what == "finish":
            with tempfile.TemporaryDirectory() as folder:
                build(Path(folder) / "d", rows)
                subprocess.run([sys.executable, __file__, "run", str(Path(folder) / "d")], check=True)
        else:
            {"structures": structures, "ids": ids}[what](rows)
            report(what)


if __name__ == "__main__":
    main()
