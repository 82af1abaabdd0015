"""How long does it take to score all of SPAR from kept embeddings? 43,560 pictures, 51,237 captions, 512 numbers each.

Vectors are of three kinds (`spar_vectors.py`): of the text tower of a small CLIP that is trained here, planted, and
random, where right answers are rare. What is timed is the whole call: reading embeddings, all tasks and scopes,
intervals, per-picture rows, pictures of the gallery. Each call is a process of its own; with ``--against`` those of
another checkout alternate with those of this one, and both results are compared row by row.

    python benchmarks/speed/scoring.py --against ../before
    python benchmarks/speed/scoring.py --products     # what is scored in all dimensions, against the full product

A checkout to compare with: ``git worktree add ../before d374b2e``.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from spar_vectors import KINDS, Vectors, kept, sorted_captions

from torchmultiverse.evaluation import Task, evaluate, load_protocol
from torchmultiverse.models import ModelInfo, Preprocess
from torchmultiverse.resources import data_folder
from torchmultiverse.store import PUBLISHED, ImageSet, Manifest, ShardEntry, columns_of


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
        self._files = [folder / "0.parquet"]
        if not self._files[0].exists():  # its stamp says whether pictures must be read again
            self._files[0].write_bytes(b"")

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


class Kept:
    """A model that gives vectors which were made before: a picture's colour is its number."""

    def __init__(self, kind: str, vectors: Vectors, captions: list[str]) -> None:
        weights = hashlib.sha256(f"{kind}{vectors.scale}".encode() + vectors.texts.tobytes()).hexdigest()
        self.info = ModelInfo(kind, "image-text", Preprocess((8, 8), "squash"), weights_sha256=weights)
        self.logit_scale = vectors.scale
        self._vectors = vectors
        self._place = {caption: place for place, caption in enumerate(captions)}

    def encode_image(self, images):
        return self._vectors.images[images.pixels[:, 0, 0].astype(np.int64) @ [1 << 16, 1 << 8, 1]]

    def encode_text(self, texts):
        return self._vectors.texts[[self._place[text] for text in texts]]


def tasks_of(pictures: Pictures) -> list[Task]:
    tasks = load_protocol("spar").compile(columns_of(pictures))
    return [task for task in tasks if "image-text" in task.kinds]


def opened(work: Path, kind: str) -> tuple[Pictures, Vectors, list[Task], list[str]]:
    pictures = Pictures(work)
    tasks = tasks_of(pictures)
    return pictures, kept(work, kind, columns_of(pictures), tasks), tasks, sorted_captions(tasks)


def once(work: Path, kind: str, protocol: str, out: Path, profile: bool) -> None:
    """Score twice; says wall and CPU seconds of the second time, when all is imported, as JSON."""
    pictures, vectors, _, captions = opened(work, kind)
    model = Kept(kind, vectors, captions)
    evaluate(pictures, model, protocol, embeddings=work / "store", quiet=True)
    wall, cpu = time.perf_counter(), time.process_time()
    if profile:
        import cProfile
        import pstats

        with cProfile.Profile() as profiled:
            evaluate(pictures, model, protocol, embeddings=work / "store", quiet=True)
        pstats.Stats(profiled).sort_stats("cumulative").print_stats(45)
        return
    result = evaluate(pictures, model, protocol, embeddings=work / "store", quiet=True)
    print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))
    pq.write_table(result.rows, out / "rows.parquet")
    result.provenance.save(out)


def run(checkout: Path, arguments: list[str]) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [sys.executable, __file__, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(work: Path, kind: str, protocol: str, against: Path | None, rounds: int) -> None:
    checkouts = {"now": Path(__file__).resolve().parents[2], **({} if against is None else {"before": against})}
    times: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    for _ in range(rounds):
        for name, checkout in checkouts.items():
            (out := work / name).mkdir(exist_ok=True)
            found = run(checkout, ["--work", str(work), "--once", kind, "--protocol", protocol, "--out", str(out)])
            times[name].append(found)
    for name, found in times.items():
        walls, cpus = ([one[what] for one in found] for what in ("wall", "cpu"))
        print(f"{kind}, {protocol}, {name}: {min(walls):.2f} s (median {statistics.median(walls):.2f}), "
              f"{min(cpus):.2f} s of CPU", flush=True)  # fmt: skip
    if against is not None:
        for what in ("wall", "cpu"):
            pairs = zip(times["now"], times["before"], strict=True)
            ratios = [now[what] / before[what] for now, before in pairs]
            print(f"  {what}, now over before: " + " ".join(f"{ratio:.2f}" for ratio in ratios)
                  + f", median {statistics.median(ratios):.2f}")  # fmt: skip
        print("  " + ", ".join(differences(*(pq.read_table(work / name / "rows.parquet") for name in checkouts))))
    for facts in json.loads((work / "now" / "provenance.json").read_text()).get("searches", ()):
        print(f"    {facts['task']}, {facts['setting']}, {facts['scope']}: {facts['dimensions']} of {facts['width']} "
              f"dimensions, {100 * facts['exact']:.2f} % of the scores in all")  # fmt: skip


def differences(now: pa.Table, before: pa.Table) -> Iterator[str]:
    """Yield in how many rows two results differ, or by how much at most."""
    yield f"{now.num_rows:,} rows"
    for name in ("task", "setting", "scope", "metric", "index", "label", "prediction", "correct"):
        one, two = (table[name].to_pandas().to_numpy() for table in (now, before))
        if (count := int((one != two).sum())) or name in ("prediction", "correct"):
            yield f"{name} differs in {count}"
    for name in ("margin", "confidence"):
        one, two = (table[name].to_numpy() for table in (now, before))
        yield f"{name} by {np.nanmax(np.abs(one - two)):.1e} at most"


def products(work: Path, kind: str, rounds: int) -> None:
    """Time scoring alone: as it is, against the full product forced, and hold both to be equal."""
    from torchmultiverse.evaluation.projection import all_dimensions, projected
    from torchmultiverse.evaluation.pruning import best_candidates

    _, vectors, tasks, captions = opened(work, kind)
    place = {caption: number for number, caption in enumerate(captions)}
    ratios = []
    for _ in range(rounds):
        spent = [0.0, 0.0]
        for task in (task for task in tasks if len(task.rows) * len(task.candidates) > 10**6):
            texts, images = vectors.texts[[place[caption] for caption in task.candidates]], vectors.images[task.rows]
            found = []
            for side in range(2):
                started = time.process_time()
                some = all_dimensions(texts) if side else projected(texts, images, task.labels, vectors.scale)
                found.append(best_candidates(images, task.labels, vectors.scale, some).outcome)
                spent[side] += time.process_time() - started
            for name in ("correct", "prediction", "margin"):
                assert np.array_equal(getattr(found[0], name), getattr(found[1], name)), (task.place, name)
        ratios.append(spent[0] / spent[1])
    print(
        f"{kind}: equal winners, ties and margins; CPU over that of the full product: {statistics.median(ratios):.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", choices=KINDS, action="append", help="of vectors; by default each")
    parser.add_argument("--protocol", default="spar")
    parser.add_argument("--against", type=Path, help="another checkout, to alternate with")
    parser.add_argument("--products", action="store_true", help="time products alone, against the full product")
    parser.add_argument(
        "--work", type=Path, help="folder that keeps vectors and embeddings; by default a temporary one"
    )
    parser.add_argument("--once", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--profile", choices=KINDS, help="of one call")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        if given.once or given.profile:
            once(work, given.once or given.profile, given.protocol, given.out, bool(given.profile))
            return
        for kind in given.kind or KINDS:
            opened(work, kind)
            if given.products:
                products(work, kind, given.rounds)
            else:
                compare(work, kind, given.protocol, given.against, given.rounds)


if __name__ == "__main__":
    main()
