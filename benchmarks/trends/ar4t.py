"""Does fine-tuning on relations and hard negatives carry to other sets? On drawn pictures, in minutes on two cores.

    python benchmarks/trends/ar4t.py [--seeds 1] [--epochs 30] [--out FOLDER]

A small CLIP learns which coloured shapes a picture has, from captions without relations, and is then fine-tuned on
captions with relations and their hard negatives, as PUG: AR4T has them. It is asked before and after, on pictures that
it was not trained on: the same relations of other pictures in other words (as VG-Relation), which shape has which
colour (as VG-Attribution), its captions in other word orders (as COCO-Order), and other shapes in other words that it
never read beside relations (as SPAR). Says whether the trends of the source (PUG, 2023, table 4) were found. A folder
keeps what was trained.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from torchmultiverse.evaluation import composition_results, composition_study
from torchmultiverse.models import build_tiny, save_tiny, tiny_config
from torchmultiverse.scenes import word_orders
from torchmultiverse.store import ImageList
from torchmultiverse.train import FineTuning, finetune

SIDE = 32
COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220), "green": (40, 170, 60), "yellow": (230, 210, 40)}
SHAPES = ("square", "circle", "triangle", "cross")
OTHER_SHAPES = ("star", "ring")
PLACES = {
    "to the left of": ((8, 16), (24, 16), "to the right of"), "to the right of": ((24, 16), (8, 16), "to the left of"),
    "above": ((16, 8), (16, 24), "below"), "below": ((16, 24), (16, 8), "above"),
}  # fmt: skip


def draw(one: tuple[str, str], two: tuple[str, str], relation: str, rng: np.random.Generator) -> Image.Image:
    """Return a picture of two coloured shapes, each moved a little, on noise."""
    noise = rng.integers(90, 150, (SIDE, SIDE, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    pen = ImageDraw.Draw(picture)
    for (colour, shape), (x, y) in zip((one, two), PLACES[relation][:2], strict=True):
        x, y = x + int(rng.integers(-2, 3)), y + int(rng.integers(-2, 3))
        fill, box = COLOURS[colour], (x - 5, y - 5, x + 5, y + 5)
        if shape == "square":
            pen.rectangle(box, fill=fill)
        elif shape == "circle":
            pen.ellipse(box, fill=fill)
        elif shape == "triangle":
            pen.polygon([(x, y - 6), (x - 6, y + 5), (x + 6, y + 5)], fill=fill)
        elif shape == "cross":
            pen.rectangle((x - 5, y - 1, x + 5, y + 1), fill=fill)
            pen.rectangle((x - 1, y - 5, x + 1, y + 5), fill=fill)
        elif shape == "ring":
            pen.ellipse(box, outline=fill, width=3)
        else:
            pen.polygon([(x, y - 6), (x + 6, y), (x, y + 6), (x - 6, y)], fill=fill)
    return picture


Words = Callable[[tuple[str, str], tuple[str, str], str], str]


def named(one: tuple[str, str], two: tuple[str, str], relation: str) -> str:
    return f"a {one[0]} {one[1]} {relation} a {two[0]} {two[1]}"


def sentence(one: tuple[str, str], two: tuple[str, str], relation: str) -> str:
    return f"the {one[0]} {one[1]} is {relation} the {two[0]} {two[1]}"


def sides(one: tuple[str, str], two: tuple[str, str], relation: str) -> str:
    words = {"to the left of": "left", "to the right of": "right", "above": "top", "below": "bottom"}
    here, there = words[relation], words[PLACES[relation][2]]
    return f"This is a photo of a {one[1]} on the {here} and a {two[1]} on the {there} of the picture"


def pairs(count: int, rng: np.random.Generator, shapes: tuple[str, ...], words: Words, **more: Any) -> ImageList:
    """Return pictures, each followed by its hard negative: the relation turned round."""
    images, rows = [], []
    for number in range(count):
        one, two = ((str(rng.choice(list(COLOURS))), str(shape)) for shape in rng.permutation(shapes)[:2])
        relation = str(rng.choice(list(PLACES)))
        for k, (own, other) in enumerate(((relation, PLACES[relation][2]), (PLACES[relation][2], relation))):
            images.append(draw(one, two, own, rng))
            rows.append({
                "scene_id": f"{2 * number + k:032x}", "negative_scene_id": f"{2 * number + 1 - k:032x}",
                "caption": words(one, two, own), "negative_caption": words(one, two, other),
                "alt_caption": words(two, one, other), "relation_name": own, "image_id": str(number),
                "bare": f"a {one[0]} {one[1]} and a {two[0]} {two[1]}", "split": "test", **more,
                "swapped": f"a {two[0]} {one[1]} and a {one[0]} {two[1]}", "attribute_pair": f"{one[0]}_{two[0]}",
            })  # fmt: skip
    return ImageList(images, rows, str(more.get("benchmark", "pairs")))


def only(images: ImageList, name: str, **columns: str) -> ImageList:
    """Return the same pictures with other columns, by the names of those that hold them now; a text is itself."""
    table = images.table().to_pylist()
    rows = [{new: row.get(old, old) for new, old in columns.items()} for row in table]
    return ImageList([images.image(k) for k in range(len(images))], rows, name)


def tests(rng: np.random.Generator) -> list[ImageList]:
    """Return the sets that are asked before and after."""
    relations = pairs(400, rng, SHAPES, sentence)
    ids = {"image_id": "image_id", "scene_id": "scene_id", "split": "test"}
    attributes = [row for row in relations.table().to_pylist() if len(set(row["attribute_pair"].split("_"))) == 2]
    kept = {row["scene_id"] for row in attributes}
    chosen = [k for k, row in enumerate(relations.table().to_pylist()) if row["scene_id"] in kept]
    coloured = ImageList([relations.image(k) for k in chosen], attributes, "coloured")
    ordered = pairs(100, rng, SHAPES, named)
    orders = [
        {"benchmark": "COCO-Order", "caption": row["caption"], "image_id": row["image_id"], "split": "test",
         "orders_caption": json.dumps([[row["caption"], *word_orders(row["caption"], rng)]])}
        for row in ordered.table().to_pylist()
    ]  # fmt: skip
    others = pairs(150, rng, OTHER_SHAPES, sides)
    return [
        only(relations, "relations", benchmark="VG-Relation", caption="caption", negative_caption="negative_caption",
             relation_name="relation_name", **ids),
        only(coloured, "attributes", benchmark="VG-Attribution", caption="bare", negative_caption="swapped",
             attribute_pair="attribute_pair", **ids),
        ImageList([ordered.image(k) for k in range(len(ordered))], orders, "orders"),
        only(others, "sides", benchmark="other shapes, other words", caption="caption", split="test",
             negative_caption="negative_caption", relation_name="relation_name", image_id="image_id",
             scene_id="scene_id"),
    ]  # fmt: skip


def run(folder: Path, epochs: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return the benchmark's number of each set before and after."""
    rng = np.random.default_rng(seed)
    trained = pairs(400, rng, SHAPES, named)
    shown = pairs(400, rng, (*SHAPES, *OTHER_SHAPES), named)
    bare = only(shown, "objects", caption="bare", scene_id="scene_id")
    config = tiny_config(SIDE)
    start = save_tiny(folder / "start", build_tiny(config, seed)[0], "tiny", config, {"seed": seed})
    how: dict[str, Any] = {"split": None, "batch_size": 64, "warmup": 0.1, "seed": seed}
    learnt = finetune(bare, f"tiny:{start}", folder / "objects",
                      FineTuning(epochs=epochs, learning_rate=2e-3, captions="original", **how))  # fmt: skip
    tuned = finetune(trained, learnt, folder / "relations", FineTuning(epochs=epochs, learning_rate=1e-3, **how))
    sets = tests(rng)
    found = composition_results([(images, folder / f"results-{k}") for k, images in enumerate(sets)], [learnt, tuned])
    names = [facts.name for facts in found[0][0].provenance.models[:2]]
    study = composition_study(found, names, seed)
    study.save(folder)
    reached: dict[str, dict[str, float]] = {}
    for line in study.sections[0].table:
        reached.setdefault(str(line["set"]), {})[str(line["model"])] = float(line["accuracy %"] or 0)
    return {name: (by_model[names[0]], by_model[names[1]]) for name, by_model in reached.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or Path(temporary)
        found = [run(folder / str(seed), arguments.epochs, seed) for seed in range(arguments.seeds)]
    mean = {name: tuple(np.mean([one[name][k] for one in found]) for k in (0, 1)) for name in found[0]}
    print(f"{'accuracy in %':>28} {'before':>8} {'after':>8} {'change':>8}   published, 200,000 pictures of AR4T")
    published = {"VG-Relation": "59.16 → 68.36", "VG-Attribution": "62.18 → 65.54", "COCO-Order": "47.96 → 57.80",
                 "other shapes, other words": "SPAR, two animals: 54.42 → 54.23"}  # fmt: skip
    for name, (before, after) in ((n, m) for n, m in mean.items() if "shared" not in n):
        said = published.get(name, "")
        print(f"{name:>28} {100 * before:8.1f} {100 * after:8.1f} {100 * (after - before):+8.1f}   {said}")
    gain = {name: after - before for name, (before, after) in mean.items()}
    for trend, seen in (
        ("relations gain at least 5 points", gain["VG-Relation"] > 0.05),
        ("word order gains at least 5 points", gain["COCO-Order"] > 0.05),
        ("attributes gain less than relations", gain["VG-Attribution"] < gain["VG-Relation"]),
        ("other shapes in other words gain less than half of that",
         gain["other shapes, other words"] < gain["VG-Relation"] / 2),
    ):  # fmt: skip
        print(f"{trend}: {'found' if seen else 'NOT found'}")


if __name__ == "__main__":
    main()
