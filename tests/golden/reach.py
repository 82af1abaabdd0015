"""All that the golden tests know of the code: small functions of values that mean the same whatever it is called.

A name of the project stands here and nowhere else in this folder, so that moving or renaming touches this file alone;
the tests and their recorded values stay as they are. Only plain values go in and out: paths, dictionaries, lists,
numbers, arrays, PIL pictures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from earlier import FIVE, NOW, shipped_or_earlier
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from torchmultiverse import open_dataset
from torchmultiverse.cli.app import app
from torchmultiverse.engines import Catalogue, Choice
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.evaluation import evaluate as _evaluate
from torchmultiverse.evaluation import protocols
from torchmultiverse.farm import generate, join
from torchmultiverse.features.cache import FeatureCache
from torchmultiverse.features.extract import features_of
from torchmultiverse.models import HistogramBaseline, Preprocess, as_model
from torchmultiverse.models.contract import ModelInfo
from torchmultiverse.scenes import load_spec, parse_spec, shipped_specs
from torchmultiverse.store import VOLATILE
from torchmultiverse.store import verify as _verify
from torchmultiverse.store.exporting import export_folder
from torchmultiverse.store.hub import files_to_push
from torchmultiverse.store.importing import import_dataset
from torchmultiverse.store.views import ImageList

# Specs and scenes


def spec_names() -> list[str]:
    """Names of the specs that come with the package; one whose names have changed stands here as it was, too."""
    return sorted([*shipped_specs(), *(name + NOW for name in FIVE)])


def scene_ids(name: str) -> Sequence[Any]:
    """The scenes of a shipped spec as a sequence of functions that return their ids."""
    given = shipped_or_earlier(name)
    spec = load_spec(given) if isinstance(given, str) else parse_spec(given)
    return _Ids(spec.build())


class _Ids(Sequence[str]):
    def __init__(self, design: Any) -> None:
        self._design = design

    def __len__(self) -> int:
        return int(self._design.count)

    def __getitem__(self, index: Any) -> Any:
        return self._design[index].scene_id


# Datasets


class Cards(MarkerEngine):
    """Test cards of any level at all, in no time at all: what they are rendered in is the same whenever it is."""

    def catalogue(self) -> Catalogue:
        said = super().catalogue()
        free = {n: Choice(low=c.low, high=c.high) if c.low is not None else Choice() for n, c in said.factors.items()}
        return said.model_copy(update={"factors": free})

    def render(self, scenes: Any, *options: Any) -> Iterator[Any]:
        for frame in super().render(scenes, *options):
            frame.timings = {"render_ms": 1.0}
            yield frame


class Killed(Cards):
    """An engine whose process dies when so many pictures were shown, so many shards written, and so many rows wait."""

    out = Path()
    when = (0, 0, 0)
    shown: ClassVar[list[str]] = []

    def render(self, scenes: Any, *options: Any) -> Iterator[Any]:
        pictures, shards, waiting = self.when
        for frame in super().render(scenes, *options):
            end = time.monotonic() + 60
            while len(self.shown) == pictures and time.monotonic() < end:
                rows = [file.stem for file in (self.out / "_work").glob("*.row")]
                written = {file.stem.rpartition("-")[2] for file in (self.out / "data").glob("*.parquet")}
                if len(written) == shards and sorted(rows) == sorted(self.shown[pictures - waiting :]):
                    os._exit(9)
                time.sleep(0.01)
            self.shown.append(frame.scene_id)
            yield frame


def render(
    spec: Any,
    out: Path,
    size: int = 32,
    where: str | None = None,
    limit: int | None = None,
    shard_rows: int = 16,
    part: tuple[int, int] | None = None,
    killed: tuple[int, int, int] | None = None,
    extend: bool = False,
) -> tuple[int, int]:
    """Render a spec's test cards; returns the dataset's pictures, and how many were rendered now."""
    Killed.out, Killed.when = out, killed or Killed.when
    report = generate(
        shipped_or_earlier(spec), out, Killed if killed else Cards, size=size, where=where, limit=limit, part=part,
        shard_rows=shard_rows, extend=extend, progress=False, check=0,
    )  # fmt: skip
    return report.images, report.rendered


def put_together(out: Path) -> None:
    """Make a dataset of its parts."""
    join(out)


def volatile() -> set[str]:
    """Columns that differ from run to run."""
    return set(VOLATILE)


def problems(out: Path) -> list[str]:
    """What is wrong with a dataset's files."""
    return [str(problem) for problem in _verify(out).problems]


def manifest(out: Path) -> dict[str, Any]:
    """What a dataset's manifest says, but for times, versions, and the bytes of files."""
    said = open_dataset(out).manifest.as_json()
    return {
        "name": said["name"],
        "complete": said["complete"],
        "pictures": said["pictures"],
        "counts": said["counts"],
        "rows": {name: entry["rows"] for name, entry in said["shards"].items()},
        "identity": said["identity"],
        "engine": {key: (said.get("engine") or {}).get(key) for key in ("name", "fingerprint")},
        "assets": said["assets"],
        "failures": said.get("failures", {}),
    }


def file_hashes(out: Path) -> dict[str, str]:
    """SHA-256 of a dataset's Parquet files, as its manifest says."""
    return {name: entry["sha256"] for name, entry in open_dataset(out).manifest.as_json()["shards"].items()}


def rows(out: Path) -> list[dict[str, Any]]:
    """All columns of a dataset but the further passes, as its reader gives them; pictures as bytes of their files."""
    stored = open_dataset(out)
    table = stored.table([c for c in stored.columns if c not in {*stored.image_columns, *VOLATILE}]).to_pylist()
    return [{**row, "image": stored.image_bytes(index)} for index, row in enumerate(table)]


def pixels(out: Path) -> list[NDArray[np.uint8]]:
    """The pictures of a dataset, decoded."""
    return [np.asarray(image) for image in open_dataset(out).iter_images()]


def record(spec: Any, out: Path, count: int | None = None, state: Any = None) -> tuple[list[dict[str, Any]], Any]:
    """Keep what a stream shows once through, or its first pictures; returns its items, and its state.

    With a state, the stream goes on from there.
    """
    from torchmultiverse.stream import RenderStream

    with RenderStream(spec, Cards, size=32, record=out, seed=1) as stream:
        if state is not None:
            stream.load_state_dict(state)
        items = list(islice(stream, count))
        return items, stream.state_dict()


def replay(out: Path) -> list[dict[str, Any]]:
    """The items of a stream that was kept."""
    from torchmultiverse.stream import Replay

    return list(Replay(out))


def export(dataset: Path, out: Path) -> None:
    """Write a dataset as pictures in folders with CSV files."""
    export_folder(open_dataset(dataset), out)


def bring_in(source: Path, out: Path) -> None:
    """Make a dataset of what was exported."""
    import_dataset(source, out)


def pushed(dataset: Path) -> list[Path]:
    """The files that go to the Hub, relative to the dataset's folder."""
    return [file.relative_to(dataset) for file in files_to_push(dataset)]


def check_by_command(dataset: Path) -> int:
    """Verify a dataset on the command line; returns the exit code. The one use of the command line in this folder."""
    return CliRunner().invoke(app, ["data", "verify", str(dataset)]).exit_code


# Models


def preprocess(size: int = 32) -> Any:
    """A plain preprocessing."""
    return Preprocess((size, size), "squash", 1.0, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Model:
    """A model of the tests: facts, and the number of pictures that it was shown."""

    def __init__(self, name: str, kind: str, weights: str | None = None) -> None:
        known: dict[str, Any] = {"preprocess": preprocess(), "weights_sha256": weights} if weights else {}
        self.info = ModelInfo(name, kind, **known)  # type: ignore[arg-type]
        self.shown = 0

    def pixels(self, images: Any) -> list[bytes]:
        """What the model sees, as bytes."""
        self.shown += len(images)
        if self.info.preprocess is not None:
            return [one.tobytes() for one in self.info.preprocess.pixels(images)]
        return [np.asarray(image).tobytes() for image in images]


def colours(dataset: Any, captions: Sequence[str] | None = None) -> Any:
    """The baseline of colours, fitted to a dataset."""
    return HistogramBaseline.fit(open_dataset(dataset), captions)


def model_of(what: Any, name: str) -> Any:
    """A PyTorch module as a model whose layers can be reached."""
    from torchmultiverse.models.modules import ModuleEncoder

    return ModuleEncoder(what, ModelInfo(name, "encoder", preprocess(), weights_sha256="e" * 64))


def adapters() -> dict[str, tuple[Any, tuple[str, ...]]]:
    """One model of each adapter whose outputs are kept, with weights of a given hash; and the outputs."""
    import torch

    from torchmultiverse.models.clip import ClipModel
    from torchmultiverse.models.modules import ModuleClassifier, ModuleEncoder, WithoutBackground
    from torchmultiverse.models.ssl import SslEncoder
    from torchmultiverse.models.transformers_models import TransformersDual

    class Dual(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logit_scale = torch.nn.Parameter(torch.zeros(()))
            self.config = SimpleNamespace(model_type="clip")

        def encode_image(self, images: Any) -> Any:
            raise NotImplementedError

    class Both(Dual):
        def encode_text(self, texts: Any) -> Any:
            raise NotImplementedError

    def info(kind: Any) -> ModelInfo:
        return ModelInfo("any", kind, preprocess(), weights_sha256="c" * 64, precision="float32")

    image, pair, classes = ("image", "layer stem"), ("image", "text"), ("logits", "layer stem@mean")
    given = as_model(Both(), name="any", preprocess=preprocess())
    encoder = as_model(Dual(), name="any", preprocess=preprocess())
    logits = as_model(torch.nn.Identity(), name="any", preprocess=preprocess())
    for model in (given, encoder, logits):
        model.change(weights_sha256="c" * 64)  # type: ignore[union-attr]
    tokenizer: Any = SimpleNamespace(model_max_length=77)
    return {
        "open_clip": (ClipModel(Both(), tokenizer, info("image-text")), pair),
        "transformers, image-text": (TransformersDual(Both(), tokenizer, info("image-text")), pair),
        "classifier": (ModuleClassifier(Dual(), info("classifier")), classes),
        "classifier with a background class": (WithoutBackground(Dual(), info("classifier")), classes),
        "encoder": (ModuleEncoder(Dual(), info("encoder")), image),
        "self-supervised encoder": (SslEncoder(Dual(), info("encoder")), image),
        "given image-text": (given, pair),
        "given encoder": (encoder, image),
        "given classifier": (logits, classes),
    }


def kept_in(model: Any, output: str) -> str:
    """Name of the folder in which an output of a model is kept."""
    shelf = FeatureCache("nowhere").outputs(model, output)
    assert shelf is not None
    return shelf.folder.name


def pixels_in(size: int) -> str:
    """Name of the folder in which decoded pictures of a plain preprocessing are kept."""
    shelf = FeatureCache("nowhere").pixels(preprocess(size), (1, size, size, 3))
    assert shelf is not None
    return shelf.folder.name


# Scores and kept features


def protocol_names() -> list[str]:
    """Protocols that come with the package."""
    return protocols()


def pictures(images: Sequence[Image.Image], facts: Sequence[Mapping[str, Any]], name: str) -> Any:
    """Pictures in memory as a dataset."""
    return ImageList(images, facts, name)


_KEYS = ("model", "task", "setting", "scope", "metric", "factor", "level")
_NUMBERS = {
    "n": "n", "clusters": "clusters", "candidates": "candidates", "correct": "correct", "accuracy": "accuracy",
    "low": "low", "high": "high", "chance": "chance",
}  # fmt: skip
_EXACT = {
    "index": "index", "scene_id": "scene_id", "label": "label", "prediction": "prediction", "cluster": "cluster",
    "correct": "correct",
}  # fmt: skip
_FLOATS = {"margin": "margin", "confidence": "confidence"}
"""Of golden names, what the columns of results are called in the code."""


def evaluate(dataset: Any, models: Any, protocol: str = "auto", kept: Path | None = None) -> dict[str, Any]:
    """Score models.

    Returns:
        ``table``: of each row of the long table its key and its numbers; ``rows``: of each row of the per-picture table
        its key, its exact values, and its floats.
    """
    result = _evaluate(dataset, models, protocol, quiet=True, embeddings=kept)
    table = [([str(r[k]) for k in _KEYS], {k: r[c] for k, c in _NUMBERS.items()}) for r in result.table.to_pylist()]
    rows = [
        ([str(r[k]) for k in _KEYS[:5]], {k: r[c] for k, c in _EXACT.items()}, {k: r[c] for k, c in _FLOATS.items()})
        for r in result.rows.to_pylist()
    ]
    return {"table": table, "rows": rows}


def layer_features(model: Any, dataset: Any, layers: Any, kept: Path | None) -> dict[str, NDArray[np.float32]]:
    """Features of several layers of a model."""
    found = features_of(model, dataset, layers, kept, quiet=True).layers
    return {name: np.asarray(found[name]) for name in found}
