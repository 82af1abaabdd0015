"""Where the golden tests of pages and records touch the package: names that move are changed here, and only here.

The numbers in ``pages.json``, the files under ``records`` and ``test_golden_pages.py`` stay as they are. Each function
makes files from small inputs and returns them by what they are (``page``, ``record``, ``table``, …), never by their
names on disk.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import gzip
import io
import json
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluate"))

Files = dict[str, Path]
RECORDS = Path(__file__).parent / "records"

# ---------------------------------------------------------------------------------------------------------- records


def load_record(path: Path) -> Any:
    """Return what a saved record holds, as plain data.

    Most records can only be written today, so that this reads JSON. Where the package has a loader for records of
    today, it belongs here: ``load(path)``, and its numbers as plain data.
    """
    from torchmultiverse import evaluate

    kinds = {
        "compare": "Comparison", "correlate": "Correlation", "counterfactuals": "Counterfactual", "why": "Gap",
        "equivariance": "Equivariance", "held-out conditions": "HeldOut", "interactions": "Interaction",
        "next renders": "Acquisition", "sensitivity": "Sensitivity", "slices": "Slice",
    }  # fmt: skip
    if path.parent.name == "analyses":
        return getattr(evaluate, f"{kinds[path.stem]}Record").load(path).model_dump()
    return json.loads(path.read_text(encoding="utf-8"))


def load_results(folder: Path) -> dict[str, Any]:
    """Return the table and the per-picture rows of a saved evaluation, and how many pictures and factors it has."""
    from torchmultiverse.evaluate import Result

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
    from torchmultiverse.evaluate import Submission

    return Submission.load(path).model_dump()


def failed_checks(path: Path, results: Path) -> list[str]:
    """Return what does not hold of a leaderboard entry, against the results it was made of."""
    from torchmultiverse.evaluate import Result, Submission, check

    entry = Submission.load(path)
    return [one.what for one in check(entry, Result.load(results)) if one.state == "fails"]


def load_sets(path: Path) -> dict[str, list[int]]:
    """Return the rows of each set that ``dejavu split`` drew of 30 pictures of three classes."""
    from torchmultiverse.analyze.withheld import Sets
    from torchmultiverse.store.views import ImageList

    pictures = ImageList([Image.new("RGB", (1, 1))] * 30, [{"label": "abc"[k % 3]} for k in range(30)], "pictures")
    return {name: rows.tolist() for name, rows in Sets.load(path, pictures).rows.items()}


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
    """Write the page, and the other files, of a saved analysis.

    Today the record's classes are filled from its JSON, without pictures, which records do not keep yet. Where a page
    can be made of a saved record, this is that one function.
    """
    made, names = _KINDS[kind](folder), _FILES[kind]
    made.save(out)
    return {name: out / file for name, file in names.items() if (out / file).exists()}


_FILES: dict[str, Files] = {
    "memory": {"page": "index.html", "record": "dejavu.json", "classes": "classes.csv", "answers": "answers.csv"},
    "portrait": {"page": "index.html", "record": "rcdm.json"},
    "studies": {"page": "index.html", "record": "studies.json"},
    "sweep": {"page": "index.html", "record": "sweep.json", "table": "sweep.csv"},
    "misalignment": {"page": "index.html", "record": "guillotine.json", "table": "guillotine.csv"},
    "analysis": {
        "page": "index.html", "record": "analysis.json", "depths": "depths.csv", "cuts": "cuts.csv",
        "levels": "levels.csv", "budgets": "budgets.csv", "geometry": "geometry.csv", "classes": "classes.csv",
        "answers": "answers.csv",
    },
}  # type: ignore[dict-item]  # fmt: skip


def _filled(kind: Any, value: Any) -> Any:
    """Return plain data as the dataclass, tuple, mapping or array that a type says."""
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if value is None:
        return None
    if origin in (typing.Union, types.UnionType):
        return _filled(next(one for one in of if one is not type(None)), value)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind(**{name: part for name, part in value.items() if name in kind.model_fields})
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: _filled(hints[name], part) for name, part in value.items() if name in hints})
    if origin is tuple:
        return tuple(_filled(of[0] if of[-1] is Ellipsis else of[k], part) for k, part in enumerate(value))
    if origin is not None and isinstance(value, dict) and len(of) == 2:
        return {name: _filled(of[1], part) for name, part in value.items()}
    return np.asarray(value) if origin is np.ndarray else value


def _rows(path: Path) -> tuple[dict[str, Any], ...]:
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple({name: _value(cell) for name, cell in row.items()} for row in rows)


def _value(cell: str) -> Any:
    try:
        return float(cell) if "." in cell or cell == "nan" else json.loads(cell)
    except ValueError:
        return {"True": True, "False": False}.get(cell, cell)


def _memory(folder: Path, data: Any = None) -> Any:
    from torchmultiverse.analyze.memorization import Memory

    beside = {"classes": _rows(folder / "classes.csv"), "answers": _rows(folder / "answers.csv"), "gallery": {}}
    return _filled(Memory, (data or load_record(folder / _FILES["memory"]["record"])) | beside)


def _portrait(folder: Path, data: Any = None) -> Any:
    from torchmultiverse.analyze.portraits import Portrait

    data = data or load_record(folder / _FILES["portrait"]["record"])
    ranks = data["faithfulness"] | {"ranks": data["ranks"]}
    return _filled(Portrait, data | {"faithfulness": ranks, "held": True, "rows": (), "between": ()})


def _studies(folder: Path, data: Any = None) -> Any:
    from torchmultiverse.analyze.studies import Studies

    data = data or load_record(folder / _FILES["studies"]["record"])
    blank = ({"label": "", "given": (np.zeros((8, 8, 3), np.uint8),), "drawn": ()},)  # a page needs a picture today
    answers = [
        {"name": n, "title": n, "about": "", "rows": blank, "numbers": rows} for n, rows in data["studies"].items()
    ]
    return _filled(Studies, data | {"config": data["decoder"], "answers": answers})


def _sweep(folder: Path) -> Any:
    from torchmultiverse.analyze.sweeps import Sweep

    return _filled(Sweep, load_record(folder / _FILES["sweep"]["record"]))


def _misalignment(folder: Path) -> Any:
    from torchmultiverse.analyze.mismatch import Misalignment

    data = load_record(folder / _FILES["misalignment"]["record"])
    recipes = [{"name": one["name"], "label": one["label"], "training": one} for one in data["recipes"]]
    gaps = [[gap for gap in data["gaps"] if gap["recipe"] == one["name"]] for one in data["recipes"]]
    return _filled(Misalignment, {"dataset": data["dataset"], "recipes": recipes, "gaps": gaps})


def _analysis(folder: Path) -> Any:
    from torchmultiverse.analyze.analysis import Analysis

    data = load_record(folder / _FILES["analysis"]["record"])
    parts = {
        "portraits": tuple(_portrait(folder, one) for one in data["portraits"]),
        "studies": _studies(folder, data["studies"]),
        "memory": _memory(folder, data["memory"]),
    }
    rest = _filled(Analysis, {name: part for name, part in data.items() if name not in parts})
    return type(rest)(**{name: getattr(rest, name) for name in data if name not in parts}, **parts)


_KINDS: Mapping[str, Callable[[Path], Any]] = {
    "memory": _memory, "portrait": _portrait, "studies": _studies, "sweep": _sweep, "misalignment": _misalignment,
    "analysis": _analysis,
}  # fmt: skip

# ---------------------------------------------------------------------------------------------------- evaluations

WORLDS, ANIMALS, YAWS = ("Arena", "Desert", "Snow"), ("Cat", "Dog", "Fox", "Owl"), (0, 90, 180, 270)


def _asked(copies: int = 6) -> list[dict[str, Any]]:
    return [
        {"world_name": w, "character_name": a, "camera_yaw": y, "scene_id": f"{i:06d}", "camera_pitch": k}
        for i, (k, w, a, y) in enumerate(product(range(copies), WORLDS, ANIMALS, YAWS))
    ]


def evaluate_classifiers(folder: Path) -> Path:
    """Score four classifiers whose answers are planted on 288 pictures; returns the folder of the results."""
    from torchmultiverse.evaluate import evaluate
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

    from torchmultiverse.evaluate import evaluate

    pictures = Tagged(spar_rows(animals=("Elephant", "Goldfish", "Penguin")))
    models = [Planted(pictures, "oracle", ["world", "animals"]), Planted(pictures, "worlds", ["world"])]
    evaluate(pictures, models, out=folder, quiet=True)
    return folder


def files_of_results(folder: Path) -> Files:
    """Return the records that an evaluation leaves."""
    return {"record": folder / "results.json"}


def write_report(results: Path, out: Path) -> Files:
    """Write the evaluation's page and tables, and what its explorer carries as JSON."""
    from torchmultiverse.report import report

    page = report(results, out)
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
    from torchmultiverse.evaluate import evaluate
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
    from torchmultiverse.evaluate import Result
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
    from torchmultiverse.evaluate.displacements import equivariance as measure
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
    from torchmultiverse.evaluate.protocol_choices import sensitivity as measure
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
    from torchmultiverse.analyze.analysis import Analysis
    from torchmultiverse.analyze.depth import depths
    from torchmultiverse.analyze.geometry import shapes
    from torchmultiverse.models import ModelInfo

    features = _planted()
    found = depths(features, probes=("knn", "logistic"), by="rows", quiet=True)
    dataset = {"name": "planted data", "pictures": 360, "manifest_sha256": ""}
    Analysis(ModelInfo("planted", "encoder").as_dict(), dataset, found, tuple(shapes(features, quiet=True))).save(out)
    names = ("page", "record", "depths", "cuts", "levels", "geometry")
    return {name: out / _FILES["analysis"][name] for name in names}


def gaps(stored: Path, out: Path) -> Files:
    """Say by how much the first of the planted layers is better than the last, and write its page and tables."""
    from torchmultiverse.analyze.depth import gaps as measure
    from torchmultiverse.analyze.mismatch import Misalignment, Recipe
    from torchmultiverse.train import EncoderTraining

    found = [tuple(measure(_planted(), by="rows", seed=seed, quiet=True)) for seed in (0, 1)]
    recipes = (
        Recipe("views", EncoderTraining(seed=3)),
        Recipe("labels", EncoderTraining(method="supervised", epochs=7), "label"),
    )
    Misalignment("planted data", recipes, tuple(found)).save(out)
    return {name: out / file for name, file in _FILES["misalignment"].items()}


def memory_of_features(stored: Path, out: Path) -> Files:
    """Score what planted features of crops give away of their pictures, by two models and by one alone.

    The first page is of two models that know much; ``alone`` holds the scores of one of them.
    """
    from torchmultiverse.analyze.correlation import ties
    from torchmultiverse.analyze.dejavu import Representations, attack, by_class, curve, solo
    from torchmultiverse.analyze.membership import membership
    from torchmultiverse.analyze.memorization import LayerMemory, Memory, Shown
    from torchmultiverse.analyze.reconstruct import Reconstruction

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
        return Representations(parts, public)

    layers = []
    for name, own, other in (("trunk", 0.6, 0.5), ("head", 0.9, 0.8)):
        one, two = crops(A=own), crops(B=other)
        score, controls, sides = attack(one, two, truth, labels, 10, shares=(1.0, 0.2))
        mine = [sides["A"], sides["B"]]
        layers.append(LayerMemory(name, score, controls, tuple(curve(mine, 20))))
    by_label = [row | {"label": "wxyz"[int(row["label"])]} for row in by_class(mine, [truth["A"], truth["B"]], classes)]
    answers = [
        {"row": k, "set": "A", "label": "wxyz"[truth["A"][k]], "target": "wxyz"[mine[0].target.said[k]],
         "reference": "wxyz"[mine[0].reference.said[k]], "target_confidence": float(mine[0].target.confidence[k]),
         "reference_confidence": float(mine[0].reference.confidence[k])}
        for k in range(0, len(truth["A"]), 7)
    ]  # fmt: skip
    drawn = Reconstruction(0.612, 0.334, 0.278, 0.151, 0.405, 0.25, 24, 4)
    near = (("data:,", "w"), ("data:,", "x"))
    gallery = {"memorized": (Shown("w", "data:,", "data:,", near, near),), "correlated": ()}
    place = np.where(rng.random(len(labels)) < 0.6, labels, rng.integers(0, classes, len(labels)))
    tied = tuple(ties({"place": place.astype(str).astype(object)}, labels, ["place"]))
    members = {"agreement of views": membership(rng.normal(0.7, 1, 60), rng.normal(0, 1, 60))}
    Memory("planted data", "one", "two", "boxes", "model", "label", 2 * len(truth["A"]), tuple(layers), tuple(by_label),
           tuple(answers), gallery, tied, members, drawn).save(out)  # fmt: skip
    (out / "alone.json").write_text(json.dumps([_plain(asdict(part)) for part in solo(one, truth, labels, 10)[:2]]))
    return {name: out / file for name, file in _FILES["memory"].items()} | {"alone": out / "alone.json"}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def planted_portrait(stored: Path, out: Path) -> Files:
    """Rank planted vectors of drawn pictures, say which planted factor the pictures keep, and write its page."""
    from torchmultiverse.analyze.faithful import Realism, factors_kept, faithfulness
    from torchmultiverse.analyze.portraits import Portrait
    from torchmultiverse.models.diffusion import DecoderConfig

    rng = np.random.default_rng(0)
    codes = {"shape": rng.integers(0, 3, 240), "colour": rng.integers(0, 3, 240)}
    parts = rng.normal(size=(2, 3, 12))
    real = parts[0][codes["shape"]] + parts[1][codes["colour"]] + 0.3 * rng.normal(size=(240, 12))
    rows = np.repeat(np.arange(60), 2)
    seen = np.where(rng.random(len(rows)) < 0.4, codes["colour"][rows], rng.integers(0, 3, len(rows)))
    drawn = (0.9 * real[rows] + 0.1 * parts[1][seen] + 0.1 * rng.normal(size=(len(rows), 12))).astype("f4")
    ranks = faithfulness(real.astype("f4"), drawn, rows)
    blind = (parts[0][codes["shape"][rows]] + parts[1][seen] + 0.5 * rng.normal(size=(len(rows), 12))).astype("f4")
    kept = factors_kept(real.astype("f4"), codes, blind, rows, {"shape": 0.91, "colour": 0.83})
    whole = Realism("one, head", 12.345, 3.217, 2.718, 0.142, 2.911, "shape", 120, 60)
    config = asdict(DecoderConfig(size=8, features=12))
    Portrait(config, "planted data", True, ranks, tuple(kept), (("data:,",) * 3,), (), whole).save(out)
    return {name: out / file for name, file in _FILES["portrait"].items()}


def study_with_captions(stored: Path, out: Path) -> Files:
    """Write the page of two studies whose pictures have numbers under them."""
    from torchmultiverse.analyze.studies import Studies
    from torchmultiverse.analyze.studio import Row, Study
    from torchmultiverse.models.diffusion import DecoderConfig

    picture = np.zeros((8, 8, 3), np.uint8)
    rows = [
        Row(f"row {k}", (picture,), (picture,) * 3, tuple(f"{k + 0.25 * j:.2f}" for j in range(3))) for k in range(2)
    ]
    numbers = [
        {
            "step": k,
            "moved by %": 0.137 * k,
            "to %": 0.2 + 0.0711 * k,
            "score": 3.14159 * k,
            "says": f"+{k}.5 [0.1, 9.7]",
        }
        for k in range(4)
    ]
    studies = (Study("certainty", "How sure", "It says.", tuple(rows), tuple(numbers)),
               Study("means", "Means", "Of some.", tuple(rows[:1]), tuple(numbers[1:3])))  # fmt: skip
    Studies(asdict(DecoderConfig(size=8, features=12)), "planted data", studies, ()).save(out)
    return {name: out / file for name, file in _FILES["studies"].items()}


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
        for kind in _KINDS
    },
    "held-out conditions": lambda _, out: _again(RECORDS / "analyses" / "held-out conditions.json", out),
    "saved memory of one model": lambda _, out: page_of_record("memory", RECORDS / "memory_alone", out),
}  # fmt: skip
