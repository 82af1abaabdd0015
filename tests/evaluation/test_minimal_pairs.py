"""Two pictures that differ in one thing alone. What could silently be wrong: pairs that differ in more, a caption that
is true of both, a count of pairs in which some come twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import evaluate, minimal_protocol
from torchmultiverse.evaluation.composition_record import composition_study
from torchmultiverse.evaluation.minimal_pairs import MinimalTask
from torchmultiverse.evaluation.registry import load_protocol
from torchmultiverse.models import ModelInfo
from torchmultiverse.scenes import FACTORS, expanded, load_spec
from torchmultiverse.store import ImageList, columns_of

COLUMNS = (
    "world_name", "character_name", "character2_name", "character1_pos", "character2_pos", "character_texture",
    "character2_texture", "character_scale", "character2_scale", "distractors", "camera_distance", "occluder",
    "occlusion",
)  # fmt: skip


def _rows() -> list[dict[str, Any]]:
    rows = []
    for number, scene in enumerate(expanded(load_spec("minimal_pairs").build())):
        row = {name: scene[FACTORS[name].wire] for name in COLUMNS}
        row |= {"scene_id": f"{number:032x}", "split": "train" if row["world_name"] == "SaltFlats" else "test"}
        rows.append({name: float(v) if isinstance(v, int) else v for name, v in row.items()})
    return rows


ROWS = _rows()


def _pictures() -> ImageList:
    images = [Image.new("RGB", (2, 2), (i % 256, i // 256, 0)) for i in range(len(ROWS))]
    return ImageList(images, ROWS, "minimal pairs")


class Reader:
    """A scorer that knows the row of each picture."""

    def __init__(self, name: str, fits: Any) -> None:
        self.info, self.fits = ModelInfo(name, "scorer"), fits

    def score(self, images: Any, captions: Any) -> Any:
        seen = [ROWS[r + 256 * g] for r, g, _ in (image.getpixel((0, 0)) for image in images)]
        return np.array([[self.fits(row, caption) for caption in captions] for row in seen], np.float32)


def _said(row: dict[str, Any], mirrored: bool = False) -> set[str]:
    """What is true of a picture, in the words of the protocol."""
    one, two = (str(row[f"character{n}_name"]).lower() for n in ("", "2"))
    others = {1.0: "one other thing", 3.0: "three other things"}
    if row["character1_pos"] == "in front of":
        return {f"a {one} in front of a {two}"}
    said = {f"a {one} to the left of a {two}"} | ({f"a {two} to the left of a {one}"} if mirrored else set())
    if row["distractors"]:
        said.add(f"a {one}, a {two} and {others[row['distractors']]}")
    surface = (str(row["character_texture"]).lower(), str(row["character2_texture"]).lower())
    said.add(f"a {surface[0]} {one} and a {surface[1]} {two}")
    size = {0.7: "small", 1.3: "large", 1.0: ""}
    said.add(f"a {size[row['character_scale']]} {one} and a {size[row['character2_scale']]} {two}")
    return said


def test_pairs_differ_in_one_thing() -> None:
    columns = columns_of(_pictures())
    tasks = {task.name: task for task in load_protocol("minimal_pairs").compile(columns)}
    assert set(tasks) == {"left_right", "front_behind", "surface", "size", "count"}
    # 2 worlds × 2 distances × 2 occluders × 6 pairs of animals × states in which they stand left and right, …
    settings = 2 * 2 * 2
    assert len(tasks["front_behind"].rows) == 2 * settings * 6
    assert len(tasks["surface"].rows) == len(tasks["size"].rows) == len(tasks["count"].rows) == 2 * settings * 12
    changed = {
        "surface": {"character_texture", "character2_texture"}, "size": {"character_scale", "character2_scale"},
        "count": {"distractors"}, "front_behind": {"character_name", "character2_name"},
    }  # fmt: skip
    for name, factors in changed.items():
        task = tasks[name]
        assert task.negatives is not None
        for one, two in zip(task.rows[::2], task.rows[1::2], strict=True):
            assert {c for c in COLUMNS if ROWS[one][c] != ROWS[two][c]} == factors
        assert (task.labels[::2] == task.negatives[1::2]).all()
        assert (task.labels != task.negatives).all()
        assert len({tuple(pair) for pair in task.rows.reshape(-1, 2).tolist()}) == len(task.rows) // 2
    assert set(tasks["count"].factors["camera_distance"][0]) == {"6", "9"}


def test_known_models() -> None:
    """An oracle is right; a bag of words is at 50 and 0; one that cannot tell left from right fails there alone."""
    oracle = Reader("oracle", lambda row, caption: float(caption in _said(row)))
    bag = Reader("bag", lambda row, caption: float(sum(map(ord, caption))))
    mirrored = Reader("mirrored", lambda row, caption: float(caption in _said(row, mirrored=True)))
    result = evaluate(_pictures(), [oracle, bag, mirrored], "minimal_pairs", quiet=True)
    cell = lambda model, task, metric: result.cells(  # noqa: E731
        model=model, task=task, metric=metric, factor="all", setting="all"
    )
    for line in result.cells(model="oracle", factor="all"):
        assert line["accuracy"] == 1, line
    for task, reached in (("left_right", 0), ("surface", 0), ("size", 0)):
        for metric in ("text", "image", "group"):
            line = cell("bag", f"{task}_winoground", f"winoground_{metric}")
            assert [one["accuracy"] for one in line] == [reached]
    assert cell("bag", "left_right", "hard_negative")[0]["accuracy"] == 0.5
    assert cell("bag", "surface", "hard_negative")[0]["accuracy"] == 0.5
    assert cell("mirrored", "left_right", "hard_negative")[0]["accuracy"] == 0.5
    assert cell("mirrored", "front_behind", "hard_negative")[0]["accuracy"] == 1
    study = composition_study([(result, None)], ["oracle", "mirrored"])
    titles = [section.title for section in study.sections]
    assert any(title.endswith("by camera_distance") for title in titles)
    assert any(title.endswith("by occlusion") for title in titles)
    lines = [line for line in study.sections[0].table if line["model"] == "mirrored"]
    reached = {str(line["set"]): line["accuracy %"] for line in lines}
    assert reached["minimal pairs, Left or right, group"] == 0
    assert reached["minimal pairs, In front or behind, group"] == 1
    assert len(lines) == 5 * 4


def test_what_cannot_be_asked_is_told() -> None:
    with pytest.raises(DatasetError, match="no two pictures differ in one thing alone"):
        load_protocol("minimal_pairs").compile({"label": np.array(["a", "b"], object)})
    columns = {"character_name": np.array(["a", "b"], object), "split": np.array(["train", "train"], object)}
    with pytest.raises(DatasetError, match=r"no picture is of split 'test', all are of train; .*render --limit"):
        minimal_protocol("minimal_pairs", "test").compile(columns)
    with pytest.raises(ValidationError, match="either factor or exchange"):
        MinimalTask(task="t", title="T", caption="a {character_name}")
