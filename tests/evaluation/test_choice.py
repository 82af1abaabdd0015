"""A benchmark that is a file. What could silently be wrong: a picture that should not take part, an answer that is true
and cannot be chosen, a truth that is written otherwise than the candidates.
"""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.evaluation import evaluate
from torchmultiverse.models import ModelInfo, as_model
from torchmultiverse.store import ImageList

FILE = {
    "kind": "choice", "name": "mine", "version": 2, "title": "Mine", "description": "d", "split": "test",
    "tasks": [
        {"task": "what", "title": "What", "truth": "{character_name}", "by": ["world_name"],
         "cluster": ["character_name"],
         "prompts": {"name": "p", "templates": ["a photo of a {}", "a picture of a {}"]}},
        {"task": "both", "title": "Both", "truth": "{character_name} in the {world_name}",
         "prompts": {"name": "p", "templates": ["{}"]}, "only": {"world_name": ["Desert"], "camera_yaw": [0, 45]}},
    ],
}  # fmt: skip


@pytest.fixture
def pictures() -> ImageList:
    rows = [
        {"character_name": a, "world_name": w, "camera_yaw": y, "split": s}
        for a, w, y, s in product(("GiantTortoise", "Zebra"), ("Desert", "SaltFlats"), (0, 45, 90), ("train", "test"))
    ]
    return ImageList([Image.new("RGB", (4, 4), (i, 0, 0)) for i in range(len(rows))], rows)


class Reads:
    """A scorer that knows which words are true of a picture."""

    def __init__(self, pictures: ImageList) -> None:
        self.info = ModelInfo("reads", "scorer")
        self.rows = pictures.table().to_pylist()
        self.shown: set[int] = set()
        self.heard: set[str] = set()

    def score(self, images, captions):
        self.heard |= set(captions)
        table = np.zeros((len(images), len(captions)), np.float32)
        for i, image in enumerate(images):
            self.shown.add(image.getpixel((0, 0))[0])
            row = self.rows[image.getpixel((0, 0))[0]]
            words = {"GiantTortoise": "giant tortoise", "Zebra": "zebra"}[row["character_name"]]
            for j, caption in enumerate(captions):
                table[i, j] = words in caption
        return table


def test_a_file_says_who_is_asked_what(pictures: ImageList, tmp_path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(FILE))
    model = Reads(pictures)
    result = evaluate(pictures, model, path, quiet=True)
    cells = {(c["task"], c["factor"], c["level"]): c for c in result.table.to_pylist()}
    assert cells["what", "all", "all"]["n"] == 12
    assert cells["what", "all", "all"]["accuracy"] == 1
    assert cells["what", "all", "all"]["clusters"] == 2
    assert cells["what", "world_name", "SaltFlats"]["n"] == 6
    assert cells["both", "all", "all"]["n"] == 4
    assert cells["both", "all", "all"]["candidates"] == 2
    assert model.heard == {"a photo of a giant tortoise", "a photo of a zebra", "giant tortoise in the desert",
                           "zebra in the desert"}  # fmt: skip
    assert {model.rows[i]["split"] for i in model.shown} == {"test"}
    assert result.provenance.protocol["version"] == 2


def test_classifiers_by_the_names_of_their_classes(pictures: ImageList, tmp_path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(FILE))
    rows = pictures.table().to_pylist()

    def logits(images):
        return [
            [0.0, 1, 0] if rows[i.getpixel((0, 0))[0]]["character_name"] == "Zebra" else [0.0, 0, 1] for i in images
        ]

    result = evaluate(pictures, as_model(logits, classes=["cat", "zebra", "giant tortoise"]), path, quiet=True)
    assert [c["task"] for c in result.cells(factor="all")] == ["what"]
    assert result.cells(factor="all")[0]["accuracy"] == 1
    assert "'both' was left out" in result.provenance.notes[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truth": "{charakter_name}"}, "no column 'charakter_name'. Did you mean 'character_name'"),
        ({"truth": "animal"}, "names no column"),
        ({"only": {"world_name": ["Moon"]}}, "no picture takes part"),
        ({"candidates": ["zebra"]}, "'giant tortoise' is true of a picture and not among the candidates"),
        ({"by": ["nothing"]}, "no column 'nothing'"),
    ],
)
def test_mistakes_in_a_file_are_named(pictures: ImageList, tmp_path, change: dict, message: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**FILE, "tasks": [{**FILE["tasks"][0], **change}]}))
    with pytest.raises(DatasetError, match=message):
        evaluate(pictures, Reads(pictures), path, quiet=True)
    path.write_text(json.dumps({**FILE, "tasks": []}))
    with pytest.raises(SpecError, match="tasks"):
        evaluate(pictures, Reads(pictures), path, quiet=True)


def test_the_file_that_comes_along(pictures: ImageList) -> None:
    rows = [{**row, "character_scale": 1.0, "character_texture": "Sky"} for row in pictures.table().to_pylist()]
    more = ImageList([pictures.image(i) for i in range(len(rows))], rows)
    result = evaluate(more, Reads(pictures), "factors", quiet=True)
    assert {c["task"] for c in result.cells(factor="all")} == {"animal", "world", "texture", "average"}


def test_a_task_with_one_answer_is_noted_and_not_averaged(pictures: ImageList, tmp_path) -> None:
    """Every model answers it, so that an average with it would be nearer to 100 % than what the model can do."""
    one = {**FILE["tasks"][0], "task": "world", "truth": "{world_name}", "only": {"world_name": ["Desert"]}}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({**FILE, "tasks": [*FILE["tasks"], one]}))
    result = evaluate(pictures, Reads(pictures), path, quiet=True)
    cells = {cell["task"]: cell for cell in result.cells(factor="all")}
    assert cells["world"]["chance"] == 1
    assert cells["world"]["accuracy"] == 1
    second = {**FILE["tasks"][0], "task": "again"}
    path.write_text(json.dumps({**FILE, "tasks": [*FILE["tasks"], second, one]}))
    cells = {c["task"]: c for c in evaluate(pictures, Reads(pictures), path, quiet=True).cells(factor="all")}
    others = [cells[name]["accuracy"] for name in cells if name not in {"world", "average"}]
    assert cells["average"]["accuracy"] == pytest.approx(np.mean(others))
    assert cells["average"]["chance"] == pytest.approx(
        np.mean([cells[n]["chance"] for n in cells if n not in {"world", "average"}])
    )
    assert any(note.startswith("world: there is one answer only") for note in result.provenance.notes)
