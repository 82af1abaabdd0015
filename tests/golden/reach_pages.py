"""Where the golden tests of pages and records touch the package: names that move are changed here, and only here.

The numbers in ``pages.json``, the files under ``records`` and ``test_golden_pages.py`` stay as they are. Each function
makes files from small inputs and returns them by what they are (``page``, ``record``, ``table``, …), never by their
names on disk.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import io
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

Files = dict[str, Path]
RECORDS = Path(__file__).parent / "records"

# ---------------------------------------------------------------------------------------------------------- records


def load_record(path: Path) -> Any:
    """Return what a saved record holds, as plain data."""
    from torchmultiverse import evaluation
    from torchmultiverse.documents import Document
    from torchmultiverse.report import load_record as load

    kinds = {
        "compare": "Comparison", "correlate": "Correlation", "counterfactuals": "Counterfactual", "why": "Gap",
        "equivariance": "Equivariance", "held-out conditions": "HeldOut", "interactions": "Interaction",
        "next renders": "Acquisition", "sensitivity": "Sensitivity", "slices": "Slice",
    }  # fmt: skip
    if path.parent.name == "analyses":
        return getattr(evaluation, f"{kinds[path.stem]}Record").load(path).model_dump()
    record, _ = load(path)
    assert isinstance(record, Document)
    return record.model_dump()


def load_results(folder: Path) -> dict[str, Any]:
    """Return the table and the per-picture rows of a saved evaluation, and how many pictures and factors it has."""
    from torchmultiverse.evaluation import Result

    result = Result.load(folder)
    return {
        "table": result.table.to_pylist(),
        "rows": result.rows.to_pylist(),
        "pictures": len(result.images),
        "factors": [result.factors.num_rows, result.factors.num_columns],
        "models": result.models,
    }


def load_submission(path: Path) -> dict[str, Any]:
    """Return a leaderboard entry as plain data."""
    from torchmultiverse.evaluation import Submission

    return Submission.load(path).model_dump()


def failed_checks(path: Path, results: Path) -> list[str]:
    """Return what does not hold of a leaderboard entry, against the results it was made of."""
    from torchmultiverse.evaluation import Result, Submission, check

    entry = Submission.load(path)
    return [one.what for one in check(entry, Result.load(results)) if one.state == "fails"]


def load_sets(path: Path) -> dict[str, list[int]]:
    """Return the rows of each set that ``dejavu split`` drew of 30 pictures of three classes."""
    from torchmultiverse.analyze.held_out import HeldOutSplits
    from torchmultiverse.store.views import ImageList

    pictures = ImageList([Image.new("RGB", (1, 1))] * 30, [{"label": "abc"[k % 3]} for k in range(30)], "pictures")
    return {name: rows.tolist() for name, rows in HeldOutSplits.load_for(path, pictures).rows.items()}


def encoder_vectors(model: str, images: list[Image.Image]) -> np.ndarray:
    """Return the image vectors, (N, D), of a model string: ``ssl:FOLDER``, ``tiny:FOLDER``."""
    from torchmultiverse.models import load_model

    return np.asarray(load_model(model).encode_image(images))


def drawn_pixels(folder: Path, vectors: np.ndarray) -> np.ndarray:
    """Return what a decoder of representations draws of each vector, (N, S, S, 3) uint8."""
    from torchmultiverse.analyze.rcdm import sample
    from torchmultiverse.models.diffusion import load_decoder

    return np.asarray(sample(load_decoder(folder), vectors, 1, 20, "ddim", 0, quiet=True))


# -------------------------------------------------------------------------------- pages of analyses, from old records


def page_of_record(kind: str, folder: Path, out: Path) -> Files:
    """Write the page, and the other files, of a saved analysis."""
    from torchmultiverse.report import load_record as load

    return _written(kind, load(folder)[0], out)


def _written(kind: str, record: Any, out: Path) -> Files:
    """Save a record, read it again, and write its page."""
    from torchmultiverse.report import write_report

    record.save(out)
    again = type(record).load(out)
    assert again.model_dump_json() == record.model_dump_json()
    write_report(again, out)
    return _files(kind, out)


_FILES: dict[str, dict[str, str]] = {
    "memory": {"page": "index.html", "record": "dejavu.json", "classes": "classes.csv", "answers": "inferences.csv"},
    "portrait": {"page": "index.html", "record": "rcdm.json"},
    "studies": {"page": "index.html", "record": "experiments.json"},
    "sweep": {"page": "index.html", "record": "sweep.json", "table": "sweep.csv"},
    "misalignment": {"page": "index.html", "record": "guillotine.json", "table": "guillotine.csv"},
    "analysis": {
        "page": "index.html", "record": "analysis.json", "depths": "layers.csv", "cuts": "cuts.csv",
        "levels": "levels.csv", "budgets": "budgets.csv", "geometry": "geometry.csv", "classes": "classes.csv",
        "answers": "inferences.csv",
    },
}  # fmt: skip


def _files(kind: str, out: Path) -> Files:
    """Return the files of a record; tables that lay beside it alone, and are in it now, are looked at by themselves."""
    found = {name: out / file for name, file in _FILES[kind].items() if (out / file).exists()}
    data = json.loads(found["record"].read_text())
    for of in (data, data.get("memorization") or {}):
        of.pop("classes", None)
        of.pop("inferences", None)
    found["record"] = out / "numbers.json"
    found["record"].write_text(json.dumps(data))
    return found


# ---------------------------------------------------------------------------------------------------- evaluations

WORLDS, ANIMALS, YAWS = ("Arena", "Desert", "Snow"), ("Cat", "Dog", "Fox", "Owl"), (0, 90, 180, 270)


def _asked(copies: int = 6) -> list[dict[str, Any]]:
    return [
        {"world_name": w, "character_name": a, "camera_yaw": y, "scene_id": f"{i:06d}", "camera_pitch": k}
        for i, (k, w, a, y) in enumerate(product(range(copies), WORLDS, ANIMALS, YAWS))
    ]


def evaluate_classifiers(folder: Path) -> Path:
    """Score four classifiers whose answers are planted on 288 pictures; returns the folder of the results."""
    from torchmultiverse.evaluation import evaluate
    from torchmultiverse.models import as_model
    from torchmultiverse.store.views import ImageList

    rows = _asked()
    images = [Image.new("RGB", (2, 2), (i // 256, i % 256, 0)) for i in range(len(rows))]
    rules: dict[str, tuple[Callable[[Any], bool], float]] = {
        "good": (lambda r: True, 0.1),
        "as good": (lambda r: True, 0.12),
        "no Snow": (lambda r: r["world_name"] != "Snow", 0.1),
        "no Snow at 90": (lambda r: (r["world_name"], r["camera_yaw"]) != ("Snow", 90), 0.02),
    }

    def answers(place: int, right: Callable[[Any], bool], noise: float) -> Callable[[Any], np.ndarray]:
        slips = np.random.default_rng(place).random(len(rows)) < noise

        def logits(images: Any) -> np.ndarray:
            out = np.zeros((len(images), len(ANIMALS)), np.float32)
            for k, image in enumerate(images):
                red, green, _ = image.getpixel((0, 0))
                row, index = rows[red * 256 + green], red * 256 + green
                label = ANIMALS.index(row["character_name"])
                fine = right(row) and not slips[index]
                out[k, label if fine else (label + 1) % len(ANIMALS)] = 1 + index % 5
            return out

        return logits

    models = [
        as_model(answers(place, *rule), name=name, classes=ANIMALS)
        for place, (name, rule) in enumerate(rules.items(), 1)
    ]
    evaluate(ImageList(images, rows, "looked at"), models, "classification", out=folder, quiet=True)
    return folder


def evaluate_captions(folder: Path) -> Path:
    """Score planted caption models on 96 pictures of the SPAR design; returns the folder of the results."""
    from planted import Planted, Tagged, spar_rows

    from torchmultiverse.evaluation import evaluate

    pictures = Tagged(spar_rows(animals=("Elephant", "Goldfish", "Penguin")))
    models = [Planted(pictures, "oracle", ["world", "animals"]), Planted(pictures, "worlds", ["world"])]
    evaluate(pictures, models, out=folder, quiet=True)
    return folder


def files_of_results(folder: Path) -> Files:
    """Return the records that an evaluation leaves."""
    return {"record": folder / "results.json"}


def write_report(results: Path, out: Path) -> Files:
    """Write the evaluation's page and tables, and what its explorer carries as JSON."""
    from torchmultiverse.report import load_record as load
    from torchmultiverse.report import write_report as write

    page = write(load(results)[0], out)
    (out / "explorer.json").write_text(json.dumps(_carried(out / "explore.html")))
    return {
        "page": page, "markdown": out / "leaderboard.md", "latex": out / "leaderboard.tex",
        "table": out / "results.csv", "explorer": out / "explorer.json",
    }  # fmt: skip


def _carried(page: Path) -> Any:
    """Return the columns of numbers that the explorer carries, and the number of words in each of the others."""
    text = re.search(r'<script id="data"[^>]*>([^<]*)</script>', page.read_text())
    assert text is not None, "the explorer carries no data"
    data = json.loads(gzip.decompress(base64.b64decode(text[1])))
    found = {}
    for column in [*data["rows"], *data["factors"]]:
        values = np.frombuffer(base64.b64decode(column["data"]), "<" + column["form"])
        if column["kind"] == "word":  # how often each word comes; its number is the page's own business
            values = np.bincount(values, minlength=len(column["words"]))
        found[column["name"]] = np.round(values.astype(float), 5).tolist()
    return found


@cache
def _stored(folder: Path) -> Path:
    """Return a marker dataset of 96 pictures and, beside it, results of classifiers that answer by rules."""
    from torchmultiverse.engines.marker import MarkerEngine, read_marker
    from torchmultiverse.evaluation import evaluate
    from torchmultiverse.farm import generate
    from torchmultiverse.models import as_model
    from torchmultiverse.scenes import Scene
    from torchmultiverse.store import open_dataset

    animals = ("Camel", "Elephant", "Penguin", "Zebra")
    factors = {
        "World_Name": ["Desert", "Museum", "SaltFlats", "Snow"], "Character_Name": list(animals),
        "Camera_Yaw": [0, 45, 90], "Character_Texture": ["Default", "Grass"],
    }  # fmt: skip
    spec = {"name": "a", "family": "Animals", "design": {"kind": "factorial", "factors": factors}}
    generate(spec, folder / "data", MarkerEngine, size=48, progress=False)
    dataset = open_dataset(folder / "data")
    scenes = {
        row["scene_id"]: Scene.from_json(row["scene"]) for row in dataset.table(["scene", "scene_id"]).to_pylist()
    }

    def by(rule: Callable[[Any], int], name: str) -> Any:
        def logits(images: Any) -> np.ndarray:
            seen = [scenes[str(read_marker(np.asarray(image)))] for image in images]
            return np.eye(4, dtype=np.float32)[[rule(scene) % 4 for scene in seen]]

        return as_model(logits, name=name, classes=animals)

    def label(scene: Any) -> int:
        return animals.index(str(scene["Character_Name"]))

    models = [
        by(lambda s: factors["World_Name"].index(str(s["World_Name"])), "background"),
        by(lambda s: label(s) - (s["Character_Texture"] != "Default"), "no grass"),
        by(lambda s: int(s.scene_id, 16) if s["Camera_Yaw"] == 90 else label(s), "front"),
    ]
    evaluate(dataset, models, out=folder / "results", quiet=True)
    return folder


# --------------------------------------------------------------------------------------------------- the command line


def command(out: Path, *arguments: object) -> Files:
    """Run a command of the command line in this process; returns what it printed."""
    from torchmultiverse.cli import main

    printed, before, width = io.StringIO(), sys.argv, os.environ.get("COLUMNS")
    sys.argv = ["torchmultiverse", *map(str, arguments)]
    os.environ["COLUMNS"] = "240"
    try:
        with contextlib.redirect_stdout(printed):
            main()
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{' '.join(sys.argv)}: {printed.getvalue()}") from None
    finally:
        sys.argv = before
        if width is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = width
    path = out / "printed.txt"
    path.write_text(printed.getvalue())
    return {"printed": path}


def _saved(out: Path, *arguments: object) -> Files:
    """Run a command with its option that saves everything as JSON."""
    return command(out, *arguments, "--save", out / "saved.json") | {"record": out / "saved.json"}


def compare(results: Path, out: Path) -> Files:
    return _saved(out, "eval", "compare", results)


def slices(results: Path, out: Path) -> Files:
    return _saved(out, "eval", "slices", results, "--model", "no Snow at 90")


def why(results: Path, out: Path) -> Files:
    return _saved(out, "eval", "gap", results, "good", "no Snow")


def next_renders(results: Path, out: Path) -> Files:
    more = ("--difference", 1, "--factor", "world_name")
    return _saved(out, "eval", "next-renders", results, "good", "as good", *more)


def interactions(results: Path, out: Path) -> Files:
    return _saved(out, "eval", "interactions", results, "--model", "no Snow at 90")


def correlate(results: Path, out: Path) -> Files:
    known = out / "imagenet.csv"
    known.write_text("model,accuracy\ngood,80\nas good,81\nno Snow,70\nno Snow at 90,75\n")
    return _saved(out, "eval", "correlate", results, "--imagenet", known)


def model_card(results: Path, out: Path) -> Files:
    from torchmultiverse.evaluation import Result
    from torchmultiverse.report.modelcard import write_card

    return {"page": write_card(Result.load(results), "no Snow", out / "card.md")}


def submit(results: Path, out: Path) -> Files:
    command(out, "eval", "leaderboard", "submit", results, "--model", "good", "--out", out / "entry.json")
    return {"record": out / "entry.json"}


def counterfactuals(stored: Path, out: Path) -> Files:
    return _saved(out, "eval", "counterfactuals", stored / "results", stored / "data")


def power(stored: Path, out: Path) -> Files:
    """Say how many pictures a question needs; the spec that it saves is the record. (Printed times are a machine's.)"""
    spec = out / "spec.json"
    factors = {"World_Name": ["Desert", "Snow", "Museum"], "Character_Name": ["Camel", "Elephant", "Penguin", "Zebra"],
               "Camera_Yaw": list(range(0, 360, 5)), "Character_Texture": ["Default", "Grass"]}  # fmt: skip
    spec.write_text(json.dumps(
        {"name": "p", "family": "Animals", "design": {"kind": "factorial", "factors": factors}}
    ))  # fmt: skip
    options = ("--factor", "Character_Texture", "--detect", 15, "--engine", "marker", "--out", out / "plan.json")
    command(out, "eval", "power", spec, *options)
    return {"record": out / "plan.json"}


# ---------------------------------------------------------------------------------------------- other measurements


class _Moving:
    """Vectors of picture i of a dataset: what its columns add up to, with some noise of its own."""

    logit_scale = 1.0

    def __init__(self, vectors: np.ndarray) -> None:
        from torchmultiverse.models import ModelInfo

        self.info = ModelInfo("moving", "image-text")
        self._vectors = iter(vectors)

    def encode_image(self, images: Any) -> np.ndarray:
        return np.stack([next(self._vectors) for _ in images])

    def encode_text(self, texts: Any) -> np.ndarray:
        return np.array([[sum(map(ord, t)) % 17, len(t) % 11, "Grass" in t, *([1] * 5)] for t in texts], np.float32)


def equivariance(stored: Path, out: Path) -> Files:
    """Say how parallel planted vectors move; the record is what the command saves."""
    from torchmultiverse.evaluation.displacements import equivariance as measure
    from torchmultiverse.store import open_dataset

    dataset, rng = open_dataset(stored / "data"), np.random.default_rng(0)
    rows = dataset.table(["world_name", "character_name", "character_texture"]).to_pylist()
    parts = [{level: rng.normal(size=8) for level in sorted({r[n] for r in rows})} for n in rows[0]]
    vectors = [sum(part[v] for part, v in zip(parts, row.values(), strict=True)) for row in rows]
    noisy = (np.array(vectors) + 0.4 * rng.normal(size=(len(rows), 8))).astype(np.float32)
    found = measure(dataset, _Moving(noisy), quiet=True)
    path = out / "record.json"
    path.write_text(json.dumps({name: [one.as_dict() for one in of] for name, of in found.items()}))
    return {"record": path}


def sensitivity(stored: Path, out: Path) -> Files:
    """Score a model that sees brightness alone under a grid of preprocessing choices."""
    from torchmultiverse.evaluation.protocol_choices import sensitivity as measure
    from torchmultiverse.models import FAMILIES, Preprocess, as_model, register
    from torchmultiverse.store.views import ImageList

    class Bright:
        name, logit_scale = "bright", 1.0

        def encode_image(self, batch: np.ndarray) -> np.ndarray:
            mean = batch.mean((1, 2, 3))
            return np.stack([mean, -mean], 1)

        def encode_text(self, texts: list[str]) -> np.ndarray:
            return np.array([[1.0, -1.0] if "day" in text else [-1.0, 1.0] for text in texts])

    @register("bright", "bright:any")
    def load(rest: str) -> Any:
        return as_model(Bright(), preprocess=Preprocess((8, 8), "squash", 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3))

    light = {"Day": 200, "Night": 60}
    rows = [{"character_label": name, "character_name": f"{name}{k}"} for name in light for k in range(6)]
    images = [Image.new("RGB", (9, 9), (light[r["character_label"]] + 30 * (k % 5),) * 3) for k, r in enumerate(rows)]
    choices = {"interpolation": ("own", "nearest"), "norm": ("own", "none")}
    try:
        bands = measure(ImageList(images, rows), "bright:any", choices, quiet=True)
    finally:
        FAMILIES.pop("bright")
    path = out / "record.json"
    path.write_text(json.dumps([asdict(band) for band in bands]))
    return {"record": path}


def _planted() -> Any:
    """Return features of three layers: both factors with noise, then without colour, then a cleaner shape."""
    from torchmultiverse.features.extract import Features

    rng, count = np.random.default_rng(0), 360
    shape, colour = rng.integers(0, 3, count), rng.integers(0, 3, count)
    a, b = rng.normal(size=(3, 12)), rng.normal(size=(3, 12))
    stem = np.concatenate([a[shape], b[colour]], 1) + 1.7 * rng.normal(size=(count, 24))
    trunk = np.concatenate([a[shape], 0.4 * b[colour]], 1) + 1.2 * rng.normal(size=(count, 24))
    head = a[shape] + 0.8 * rng.normal(size=(count, 12))
    layers: Any = {"stem": stem.astype("f4"), "trunk": trunk.astype("f4"), "head": head.astype("f4")}
    names = {"shape": np.array(list("xyz"), object)[shape], "colour": np.array(list("rgb"), object)[colour]}
    return Features("planted", "planted data", layers, names, np.arange(count), {})


def probes(stored: Path, out: Path) -> Files:
    """Read two planted factors at three planted layers by two probes; the page, the record and its tables."""
    from torchmultiverse.analyze import Analysis
    from torchmultiverse.analyze.geometry import layer_geometry
    from torchmultiverse.analyze.layer_accuracy import probe_layers
    from torchmultiverse.models import ModelInfo

    features = _planted()
    found = probe_layers(features, probes=("knn", "logistic"), by="rows", quiet=True)
    dataset = {"name": "planted data", "images": 360, "manifest_sha256": ""}
    model = ModelInfo("planted", "encoder").as_dict()
    geometry = tuple(layer_geometry(features, quiet=True))
    return _written("analysis", Analysis(model=model, dataset=dataset, probing=found, geometry=geometry), out)


def gaps(stored: Path, out: Path) -> Files:
    """Say by how much the first of the planted layers is better than the last, and write its page and tables."""
    from torchmultiverse.analyze import Misalignment, TrainedRecipe
    from torchmultiverse.analyze.layer_accuracy import layer_gaps
    from torchmultiverse.train import EncoderTraining

    found = tuple(tuple(layer_gaps(_planted(), by="rows", seed=seed, quiet=True)) for seed in (0, 1))
    trainings = (
        ("views", None, EncoderTraining(seed=3)),
        ("labels", "label", EncoderTraining(method="supervised", epochs=7)),
    )
    recipes = tuple(
        TrainedRecipe(name=name, label=label, settings=training.as_dict()) for name, label, training in trainings
    )
    return _written("misalignment", Misalignment(dataset="planted data", recipes=recipes, gaps=found), out)


def memory_of_features(stored: Path, out: Path) -> Files:
    """Score what planted features of crops give away of their pictures, by two models and by one alone.

    The first page is of two models that know much; ``alone`` holds the scores of one of them.
    """
    from torchmultiverse.analyze import Memorization
    from torchmultiverse.analyze.correlation import factor_associations
    from torchmultiverse.analyze.dejavu import confidence_curve
    from torchmultiverse.analyze.dejavu_protocol import ModelFeatures, class_accuracies, score_model, score_model_pair
    from torchmultiverse.analyze.membership import infer_membership
    from torchmultiverse.analyze.memorization import GalleryImage, ImageInference, LayerMemorization, Neighbour
    from torchmultiverse.analyze.reconstruction import Reconstruction

    rng, classes, each = np.random.default_rng(0), 4, 30
    centres = rng.normal(size=(classes, 10))
    labels = np.repeat(np.arange(classes), 40)
    public = (centres[labels] + 0.5 * rng.normal(size=(len(labels), 10))).astype("f4")
    truth = {name: np.repeat(np.arange(classes), each) for name in ("A", "B", "held out")}

    def crops(**knows: float) -> Any:
        parts = {
            name: (knows.get(name, 0.2) * centres[of] + rng.normal(size=(len(of), 10))).astype("f4")
            for name, of in truth.items()
        }
        return ModelFeatures(parts, public)

    layers = []
    for name, own, other in (("trunk", 0.6, 0.5), ("head", 0.9, 0.8)):
        one, two = crops(A=own), crops(B=other)
        score, controls, sides = score_model_pair(one, two, truth, labels, 10, fractions=(1.0, 0.2))
        mine = [sides["A"], sides["B"]]
        curve = tuple(confidence_curve(mine, 20))
        layers.append(LayerMemorization(layer=name, score=score, controls=controls, curve=curve))
    target, reference = mine[0].target, mine[0].reference
    inferences = [
        ImageInference(
            row=k, split="A", label="wxyz"[truth["A"][k]], prediction="wxyz"[target.prediction[k]],
            reference_prediction="wxyz"[reference.prediction[k]], confidence=float(target.confidence[k]),
            reference_confidence=float(reference.confidence[k]),
        )
        for k in range(0, len(truth["A"]), 7)
    ]  # fmt: skip
    drawn = Reconstruction(
        target_accuracy=0.612, reference_accuracy=0.334, difference=0.278, low=0.151, high=0.405, chance=0.25,
        images=24, samples_per_image=4,
    )  # fmt: skip
    near = tuple(Neighbour(image=_blank(), label=label) for label in "wx")
    shown = GalleryImage(label="w", image=_blank(), crop=_blank(), target_neighbours=near, reference_neighbours=near)
    place = np.where(rng.random(len(labels)) < 0.6, labels, rng.integers(0, classes, len(labels)))
    tied = factor_associations({"place": place.astype(str).astype(object)}, labels, ["place"])
    members = {"agreement of views": infer_membership(rng.normal(0.7, 1, 60), rng.normal(0, 1, 60))}
    found = Memorization(
        dataset="planted data", target_model="one", reference_model="two", removal="boxes", reference="model",
        label="label", images=2 * len(truth["A"]), layers=tuple(layers),
        classes=tuple(class_accuracies(mine, [truth["A"], truth["B"]], list("wxyz"))), inferences=tuple(inferences),
        gallery={"memorized": (shown,), "correlated": ()}, associations=tuple(tied), membership=members,
        reconstruction=drawn,
    )  # fmt: skip
    alone = [part.model_dump() for part in score_model(one, truth, labels, 10)[:2]]
    (out / "alone.json").write_text(json.dumps(_plain(alone)))
    return _written("memory", found, out) | {"alone": out / "alone.json"}


def _blank() -> Any:
    from torchmultiverse.documents import EncodedImage
    from torchmultiverse.images import png

    return EncodedImage(data=png(np.zeros((8, 8, 3), np.uint8)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def planted_portrait(stored: Path, out: Path) -> Files:
    """Rank planted vectors of drawn pictures, say which planted factor the pictures keep, and write its page."""
    from torchmultiverse.analyze import SampleEvaluation
    from torchmultiverse.analyze.fidelity import SampleQuality, factor_fidelity, measure_fidelity
    from torchmultiverse.models.diffusion import DecoderConfig

    rng = np.random.default_rng(0)
    codes = {"shape": rng.integers(0, 3, 240), "colour": rng.integers(0, 3, 240)}
    parts = rng.normal(size=(2, 3, 12))
    real = parts[0][codes["shape"]] + parts[1][codes["colour"]] + 0.3 * rng.normal(size=(240, 12))
    rows = np.repeat(np.arange(60), 2)
    seen = np.where(rng.random(len(rows)) < 0.4, codes["colour"][rows], rng.integers(0, 3, len(rows)))
    drawn = (0.9 * real[rows] + 0.1 * parts[1][seen] + 0.1 * rng.normal(size=(len(rows), 12))).astype("f4")
    ranks = measure_fidelity(real.astype("f4"), drawn, rows)
    blind = (parts[0][codes["shape"][rows]] + parts[1][seen] + 0.5 * rng.normal(size=(len(rows), 12))).astype("f4")
    kept = factor_fidelity(real.astype("f4"), codes, blind, rows, {"shape": 0.91, "colour": 0.83})
    whole = SampleQuality(
        evaluator="one, head", fid=12.345, fid_real=3.217, inception_score=2.718, inception_score_std=0.142,
        inception_score_real=2.911, label="shape", samples=120, real_images=60,
    )  # fmt: skip
    found = SampleEvaluation(
        config=asdict(DecoderConfig(size=8, features=12)), dataset="planted data", held_out=True, fidelity=ranks,
        factors=tuple(kept), quality=whole, samples=((_blank(),) * 3,),
    )  # fmt: skip
    return _written("portrait", found, out)


def study_with_captions(stored: Path, out: Path) -> Files:
    """Write the page of two studies whose pictures have numbers under them."""
    from torchmultiverse.analyze import Experiments
    from torchmultiverse.analyze.experiment import experiment, image_row
    from torchmultiverse.models.diffusion import DecoderConfig

    picture = np.zeros((8, 8, 3), np.uint8)
    rows = [
        image_row(f"row {k}", (picture,), (picture,) * 3, [f"{k + 0.25 * j:.2f}" for j in range(3)]) for k in range(2)
    ]
    numbers = [
        {
            "step": k,
            "moved by %": 0.137 * k,
            "high %": 0.2 + 0.0711 * k,
            "score": 3.14159 * k,
            "says": f"+{k}.5 [0.1, 9.7]",
        }
        for k in range(4)
    ]
    found = (experiment("certainty", "How sure", "It says.", rows, numbers),
             experiment("means", "Means", "Of some.", rows[:1], numbers[1:3]))  # fmt: skip
    config = asdict(DecoderConfig(size=8, features=12))
    return _written("studies", Experiments(config=config, dataset="planted data", experiments=found), out)


def _again(path: Path, out: Path) -> Files:
    """Return a saved record whose making takes a training, as it is loaded."""
    (out / "record.json").write_text(json.dumps(load_record(path)))
    return {"record": out / "record.json"}


def of_classifiers(make: Callable[[Path, Path], Files]) -> Callable[[Path, Path], Files]:
    """Return a maker that reads the saved results under ``records``, which an older version wrote."""
    return lambda _, out: make(RECORDS / "results", out)


def of_stored(make: Callable[[Path, Path], Files]) -> Callable[[Path, Path], Files]:
    """Return a maker that reads a stored dataset and its results, made once."""
    return lambda shared, out: make(_stored(shared), out)


MAKERS: Mapping[str, Callable[[Path, Path], Files]] = {
    "evaluation": of_classifiers(write_report),
    "evaluation, computed": lambda _, out: files_of_results(evaluate_classifiers(out)),
    "evaluation of captions": lambda _, out: write_report(evaluate_captions(out / "results"), out / "page"),
    "compare": of_classifiers(compare),
    "slices": of_classifiers(slices),
    "why": of_classifiers(why),
    "next renders": of_classifiers(next_renders),
    "interactions": of_classifiers(interactions),
    "correlate": of_classifiers(correlate),
    "model card": of_classifiers(model_card),
    "leaderboard entry": of_classifiers(submit),
    "counterfactuals": of_stored(counterfactuals),
    "equivariance": of_stored(equivariance),
    "power": power,
    "sensitivity": sensitivity,
    "probes and geometry": probes,
    "gaps": gaps,
    "memory of planted features": memory_of_features,
    "planted portrait": planted_portrait,
    "studies with captions": study_with_captions,
    **{
        f"saved {kind}": lambda _, out, kind=kind: page_of_record(kind, RECORDS / kind, out)  # type: ignore[misc]
        for kind in _FILES
    },
    "held-out conditions": lambda _, out: _again(RECORDS / "analyses" / "held-out conditions.json", out),
    "saved memory of one model": lambda _, out: page_of_record("memory", RECORDS / "memory_alone", out),
}  # fmt: skip
