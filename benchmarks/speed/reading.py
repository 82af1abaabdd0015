"""How fast stored pictures are read: ours beside plain pyarrow, and beside a folder of PNG files.

    python benchmarks/speed/reading.py [--pictures 512] [--size 256] [--rounds 5]

Everything is measured on the same pictures in one run, the two sides of a ratio in turns, and the best round of each
counts. The ratios (ours / theirs, above 1 is faster):

- bytes, in order: every picture's bytes through `StoredDataset.image_bytes`, and through `pyarrow.parquet` batches;
- bytes, shuffled: the same one picture at a time in random order; pyarrow reads the row group that holds it;
- torch: shuffled batches of decoded tensors from `torchmultiverse.Dataset`, and from a dataset that opens one PNG file
  per picture, both in a `DataLoader` with the same workers;
- foreign, shuffled: the same of Parquet files that others wrote: pyarrow by its defaults (a packed dictionary), in row
  groups of 100, in packed pages of 1 MiB, and Hugging Face ``datasets`` where it is installed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from torchmultiverse.engines import Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.farm import generate
from torchmultiverse.store import open_dataset
from torchmultiverse.stream import Dataset
from torchmultiverse.stream.dataset import to_tensor


class Noise(MarkerEngine):
    """Smooth colours with a little noise: a PNG of them is as large as one of a rendered picture."""

    def render(self, scenes: Any, options: RenderOptions = RenderOptions()) -> Any:  # noqa: B008
        width, height = options.size
        rows, columns = np.mgrid[:height, :width] / max(options.size)
        fingerprint = self.catalogue().fingerprint
        for scene in scenes:
            rng = np.random.default_rng(int(scene.scene_id[:12], 16))
            waves = [np.sin(rng.uniform(2, 9) * rows + rng.uniform(2, 9) * columns) for _ in range(3)]
            picture = np.stack(waves, -1) * 90 + 127 + rng.normal(0, 3, (height, width, 3))
            yield Frame(scene, arrays={"rgb": picture.clip(0, 255).astype(np.uint8)}, engine=fingerprint)


class Files:
    """One PNG file per picture, as `torchvision.datasets.ImageFolder` reads them."""

    def __init__(self, folder: Path) -> None:
        self._paths = sorted(folder.glob("*.png"))

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        with open(self._paths[index], "rb") as file:
            picture = Image.open(file).convert("RGB")
        return {"image": to_tensor(picture), "label": index}


def seconds(work: Callable[[], int]) -> float:
    start = time.perf_counter()
    assert work() > 0
    return time.perf_counter() - start


def compare(name: str, ours: Callable[[], int], theirs: Callable[[], int], rounds: int, pictures: int) -> float:
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        for side, work in enumerate((ours, theirs)):
            best[side] = min(best[side], seconds(work))
    ratio = best[1] / best[0]
    print(f"{name:<22}{pictures / best[0]:>12,.0f}{pictures / best[1]:>12,.0f}{ratio:>10.2f}")
    return ratio


def foreign(stored: Any, folder: Path) -> dict[str, Path]:
    """Write the same pictures as others do; return a folder of each kind."""
    names = [f"{i:06}.png" for i in range(len(stored))]
    pictures = [{"bytes": stored.image_bytes(i), "path": name} for i, name in enumerate(names)]
    table = pa.table({"image": pictures, "camera_yaw": stored.table(["camera_yaw"])["camera_yaw"]})
    pages: dict[str, Any] = {"use_dictionary": False, "write_batch_size": 1}
    kinds: dict[str, dict[str, Any]] = {
        "pyarrow": {},
        "groups of 100": {"row_group_size": 100},
        "snappy pages": pages,
        "zstd pages": {**pages, "compression": "zstd"},
    }
    for kind, how in kinds.items():
        (folder / kind).mkdir(parents=True)
        pq.write_table(table, folder / kind / "train.parquet", **how)
    try:
        import datasets
    except ImportError:
        return {kind: folder / kind for kind in kinds}
    (folder / "datasets").mkdir()
    made = datasets.Dataset(table).cast_column("image", datasets.Image())
    made.to_parquet(folder / "datasets" / "train.parquet")
    return {kind: folder / kind for kind in [*kinds, "datasets"]}


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast stored pictures are read.")
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="of the DataLoader")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        out, files = Path(temporary) / "dataset", Path(temporary) / "files"
        spec = {
            "World_Name": ["Desert"],
            "Camera_Yaw": [i * 360 / arguments.pictures for i in range(arguments.pictures)],
        }
        generate(spec, out, Noise, size=arguments.size, progress=False)
        stored = open_dataset(out)
        shards = sorted((out / "data").glob("*.parquet"))
        files.mkdir()
        for index in range(len(stored)):
            (files / f"{index:06}.png").write_bytes(stored.image_bytes(index))
        order = np.random.default_rng(0).permutation(len(stored)).tolist()
        groups = [(shard, g) for shard in shards for g in range(pq.read_metadata(shard).num_row_groups)]
        rows = [(place, row) for place, (shard, g) in enumerate(groups)
                for row in range(pq.read_metadata(shard).row_group(g).num_rows)]  # fmt: skip

        def ours_in_order() -> int:
            dataset = open_dataset(out)
            return sum(len(dataset.image_bytes(i)) for i in range(len(dataset)))

        def arrow_in_order() -> int:
            total = 0
            for shard in shards:
                for batch in pq.ParquetFile(shard, memory_map=True).iter_batches(64, columns=["image"]):
                    total += sum(len(value.as_py()) for value in batch.column("image").field("bytes"))
            return total

        def ours_shuffled() -> int:
            dataset = open_dataset(out)
            return sum(len(dataset.image_bytes(i)) for i in order)

        def arrow_shuffled() -> int:
            opened = {shard: pq.ParquetFile(shard, memory_map=True) for shard in shards}
            total = 0
            for i in order:
                place, row = rows[i]
                shard, group = groups[place]
                column = opened[shard].read_row_group(group, columns=["image"], use_threads=False).column("image")
                total += len(column[row].as_py()["bytes"])
            return total

        def loader(dataset: Any) -> Callable[[], int]:
            import torch

            def work() -> int:
                generator = torch.Generator().manual_seed(0)
                batches = torch.utils.data.DataLoader(
                    dataset, 32, shuffle=True, num_workers=arguments.workers, generator=generator
                )
                return sum(len(batch["image"]) for batch in batches)

            return work

        kib = sum(shard.stat().st_size for shard in shards) / len(stored) / 1024
        print(f"{len(stored)} pictures of {arguments.size} × {arguments.size}, {kib:.0f} KiB each; pictures per second")
        print(f"{'':<22}{'ours':>12}{'theirs':>12}{'ratio':>10}")
        compare("bytes, in order", ours_in_order, arrow_in_order, arguments.rounds, len(stored))
        compare("bytes, shuffled", ours_shuffled, arrow_shuffled, arguments.rounds, len(stored))
        ours = Dataset(out, columns=["camera_yaw"])
        compare("torch, shuffled", loader(ours), loader(Files(files)), arguments.rounds, len(stored))
        for kind, folder in foreign(stored, Path(temporary) / "foreign").items():
            ours = Dataset(folder, columns=["camera_yaw"])
            compare(kind, loader(ours), loader(Files(files)), arguments.rounds, len(stored))


if __name__ == "__main__":
    main()
