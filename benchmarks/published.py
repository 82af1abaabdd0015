"""Published numbers beside ours, on the published pictures: PUG: ImageNet and PUG: SPAR from the Hugging Face hub.

    python benchmarks/published.py --out /tmp/published [--only spar] [--imagenet FOLDER] [--spar FOLDER]

Needs the extras `eval` and `datasets`, and a network (43 GB of pictures, four sets of weights) or folders with the same
Parquet files. Each model is asked by the published protocol; printed are our number, the published one, and by how many
pictures they differ, beside the number of pictures that the rounding of the published number leaves open. A run that is
killed goes on where it was: finished models are in the folder, and so is what the others made of pictures.

The golden value is ResNet-50 (torchvision's first weights) on the subset Worlds: 27.8617 %, as the published notebook
prints it. The paper's own table has other weights for its ResNet50, whose numbers are not compared.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from torchmultiverse.errors import DatasetError, TorchMultiverseError
from torchmultiverse.evaluation import Result, evaluate, load_protocol
from torchmultiverse.evaluation.reference import tables
from torchmultiverse.files import write_atomic
from torchmultiverse.images import decode, rgb
from torchmultiverse.models.torch_tools import need
from torchmultiverse.store import ImageSet, Manifest, manifest_hash
from torchmultiverse.store.importing import recover_subsets

HUB = {"imagenet": "facebook/PUG_ImageNet", "spar": "facebook/PUG_SPAR"}
PROTOCOLS = {"imagenet": "imagenet_pug2023", "spar": "spar_pug2023"}


@dataclass(frozen=True)
class Job:
    """A model on a dataset.

    Attributes:
        dataset: ``imagenet`` or ``spar``.
        model: a model string, or anything that is a model.
        column: of the published table; "" where there is none.
        golden: other published numbers, percent by subset, with four digits.
    """

    dataset: str
    model: Any
    column: str = ""
    golden: tuple[tuple[str, float], ...] = ()


# The columns say ImageNet accuracies, which tell the weights: 62.9 and 66.6 are these two of open_clip.
JOBS = (
    Job("imagenet", "torchvision:resnet50/IMAGENET1K_V1", golden=(("Worlds", 27.8617),)),
    Job("imagenet", "open_clip:ViT-B-32/laion400m_e32", "CLIPViTB32 (400M)"),
    Job("imagenet", "open_clip:ViT-B-32/laion2b_s34b_b79k", "CLIPViTB32 (2B)"),
    Job("spar", "open_clip:ViT-B-32/openai", "CLIP ViT-B-32 (OpenAI)"),
    Job("spar", "open_clip:ViT-B-32/laion2b_s34b_b79k", "ViT-B-32 (OpenCLIP 2B)"),
)


@dataclass(frozen=True)
class Cell:
    """A published number beside ours.

    Attributes:
        dataset, model: what was asked whom.
        question: task, setting, captions with or without the world, metric, level.
        pictures: that were asked.
        ours, published: percent.
        difference: right answers that we have more, in pictures.
        open: half of the last published digit, in pictures: a smaller difference is none.
    """

    dataset: str
    model: str
    question: str
    pictures: int
    ours: float
    published: float
    difference: float
    open: float

    @property
    def same(self) -> bool:
        """Whether the numbers are the same as far as was published."""
        return abs(self.difference) <= self.open + 1e-6


class HubPictures(ImageSet):
    """A dataset of the hub, or a folder of the same files, as a `ImageSet` whose files can be read undecoded.

    Args:
        source: ``OWNER/NAME`` or a folder, as `datasets.load_dataset` takes it.
        family: ``imagenet`` or ``spar``.

    Raises:
        DatasetError: it cannot be loaded, or is another dataset.
        MissingExtra: `datasets` is not installed.
    """

    has_bytes = True

    def __init__(self, source: str, family: str) -> None:
        datasets = need("datasets", "the published pictures", "datasets")
        try:
            loaded = datasets.load_dataset(source, split="train")
        except Exception as error:  # of many libraries: no network, no such dataset, a broken file
            raise DatasetError(f"{source}: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}") from error
        lacking = {"image", "world_name", "character_name"} - set(loaded.column_names)
        if lacking:
            raise DatasetError(f"{source} lacks {', '.join(sorted(lacking))}; it has {', '.join(loaded.column_names)}")
        self._files = loaded.select_columns(["image"]).cast_column("image", datasets.Image(decode=False))
        self._labels = loaded.remove_columns(["image"])
        self._classes = datasets.ClassLabel
        self._source, self._family = source, family
        digest = hashlib.sha256(json.dumps(self._rows, sort_keys=True, default=str).encode()).hexdigest()
        facts = {"name": family, "source": source, "count": len(self._rows), "rows_sha256": digest}
        self._manifest = Manifest.parse(facts, source)

    @property
    def manifest(self) -> Manifest:
        """Name, source, and the hash of the labels."""
        return self._manifest

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        names = {
            column: feature.int2str
            for column, feature in self._labels.features.items()
            if isinstance(feature, self._classes)
        }
        rows: list[dict[str, Any]] = self._labels.with_format("arrow")[:].to_pylist()
        for number, row in enumerate(rows):
            for column, name in names.items():
                row[column] = name(row[column])
            row["scene_id"] = f"{number:032x}"
        if self._family == "imagenet":
            recover_subsets(rows, [""] * len(rows))
        return rows

    def __len__(self) -> int:
        return len(self._rows)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return columns; without names, all but the pictures."""
        table = pa.Table.from_pylist(self._rows)
        return table if columns is None else table.select(list(columns))

    def image_bytes(self, index: int) -> bytes:
        """Return the bytes of a picture's file."""
        held = self._files[index]["image"]
        return bytes(held["bytes"]) if held["bytes"] is not None else Path(held["path"]).read_bytes()

    def image(self, index: int) -> Image.Image:
        """Return one picture."""
        return rgb(decode(self.image_bytes(index), f"{self._source}, row {index}"))


def run(jobs: Iterable[Job], sources: dict[str, str], out: Path, quiet: bool = False) -> list[Cell]:
    """Ask all models and return all published numbers with ours; what was done before in the folder is kept.

    Args:
        jobs: what to ask whom.
        sources: of each dataset.
        out: folder.
        quiet: show no bars.
    """
    cells: list[Cell] = []
    opened: dict[str, HubPictures] = {}
    for job in jobs:
        if job.dataset not in opened:
            opened[job.dataset] = HubPictures(sources[job.dataset], job.dataset)
        cells += compare(job, _scored(job, opened[job.dataset], out, quiet))
        write_atomic(out / "published.json", (json.dumps([asdict(cell) for cell in cells], indent=1) + "\n").encode())
    return cells


def _scored(job: Job, pictures: HubPictures, out: Path, quiet: bool) -> Result:
    """Return a model's result, from the folder where the same was asked before."""
    protocol = load_protocol(PROTOCOLS[job.dataset])
    label = job.model if isinstance(job.model, str) else str(job.model.name)
    folder = out / job.dataset / "".join(c if c.isalnum() or c in "._-" else "_" for c in label)
    if (folder / "provenance.json").is_file():
        found = Result.load(folder)
        same = found.provenance.dataset.manifest_sha256 == manifest_hash(pictures)
        if same and found.provenance.protocol == protocol.model_dump(mode="json") and found.models == [label]:
            return found
    return evaluate(
        pictures, job.model, protocol, out=folder, embeddings=out / "embeddings", precision="float32", quiet=quiet
    )


def compare(job: Job, result: Result) -> Iterator[Cell]:
    """Yield the published numbers that a result answers too."""
    keys = ("task", "setting", "scope", "metric", "factor", "level")
    ours = {tuple(str(cell[key]) for key in keys): cell for cell in result.table.to_pylist()}
    for row, published, digits in _published(job):
        settings = ("pug2023", "one prompt, pug2023", "one prompt") if job.dataset == "imagenet" else ()
        for setting in (*settings, row["setting"] or "all"):
            cell = ours.get((row["task"], setting, *(str(row[key]) for key in keys[2:])))
            if cell is None:
                continue
            count = int(cell["n"])
            said = [row["task"], setting, "with the world" if row["scope"] == "background" else "", row["metric"]]
            said += [row["level"]] if row["level"] != "all" else []
            yield Cell(
                job.dataset, result.models[0], ", ".join(part for part in said if part), count,
                100 * cell["accuracy"], published, count * (cell["accuracy"] - published / 100),
                count * 0.5 * 10.0 ** -(digits + 2),
            )  # fmt: skip
            break


def _published(job: Job) -> Iterator[tuple[dict[str, Any], float, int]]:
    """Yield what was asked, the published percentage and its digits behind the point."""
    for level, value in job.golden:
        asked = {"task": "classification", "setting": "", "scope": "plain", "metric": "top1", "factor": "subset"}
        yield {**asked, "level": level}, value, 4
    for table in tables():
        if table.get("protocol") == PROTOCOLS[job.dataset] and job.column in table.get("models", ()):
            place = table["models"].index(job.column)
            for row in table["rows"]:
                if row["values"][place] is not None:
                    yield row, float(row["values"][place]), 1 if job.dataset == "imagenet" else 2


def show(cells: Sequence[Cell]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"{'ours':>9} {'published':>9} {'n':>7} {'pictures':>9} {'open':>6}  question"
    before = ""
    for cell in cells:
        if cell.dataset + cell.model != before:
            before = cell.dataset + cell.model
            yield f"{cell.dataset}: {cell.model}"
        yield (
            f"{cell.ours:9.4f} {cell.published:9.4f} {cell.pictures:7,} {cell.difference:+9.1f} "
            f"{cell.open:6.1f}  {cell.question}{'' if cell.same else '  DIFFERS'}"
        )
    yield f"{sum(cell.same for cell in cells)} of {len(cells)} numbers are the published ones"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; 0 where all numbers are the published ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder that keeps everything")
    parser.add_argument("--only", choices=sorted(HUB), help="one of the datasets")
    for name, source in HUB.items():
        parser.add_argument(f"--{name}", default=source, help=f"name on the hub or folder (default: {source})")
    given = parser.parse_args(arguments)
    jobs = [job for job in JOBS if given.only in (None, job.dataset)]
    try:
        cells = run(jobs, {name: getattr(given, name) for name in HUB}, given.out)
    except TorchMultiverseError as error:
        print(f"{error}", file=sys.stderr)
        return error.exit_code
    print("\n".join(show(cells)))
    return 0 if cells and all(cell.same for cell in cells) else 1


if __name__ == "__main__":
    sys.exit(main())
