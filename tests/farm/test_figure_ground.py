"""Pictures in which the animal cannot be told from what is around it.

Silently wrong would be: such a picture that passes every check (a dark animal in a dark street, in pure blue light, has
luminance, contrast and visible share within their limits), and an ordinary one that fails.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.color import figure_ground
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.farm import generate
from torchmultiverse.store import inspect, open_dataset
from torchmultiverse.store.quality import FIGURE_GROUND

DARK = {
    "name": "dark",
    "design": {
        "kind": "factorial",
        "factors": {
            "World_Name": ["TokyoNight"],
            "Character_Name": ["GiantAnteater", "Zebra"],
            "Scene_Light": ["0,0,255,0", "255,255,255,0"],
        },
    },
    "render": {"size": [128, 128], "passes": ["rgb", "mask"]},
}
MASKED = {
    "name": "masked",
    "design": {"kind": "factorial", "factors": {"World_Name": ["Desert", "Snow"]}},
    "render": {"size": [64, 64], "passes": ["rgb", "mask"]},
    "quality": {"limits": {"figure_ground1": [150, 200]}},
}


def test_a_dark_animal_in_the_dark_fails_for_that_alone_and_an_ordinary_picture_passes(tmp_path: Path) -> None:
    report = generate(DARK, tmp_path / "a", engine=BuiltinEngine, samples=4, progress=False)
    dataset = open_dataset(report.out)
    rows = dataset.table().to_pylist()
    marks = {(row["character_name"], row["scene_light"]): row["quality_failed"] for row in rows}
    assert marks["GiantAnteater", "0,0,255,0"] == "figure_ground1"
    assert marks["Zebra", "255,255,255,0"] == marks["GiantAnteater", "255,255,255,0"] == ""
    for index, row in enumerate(rows):
        told = json.loads(row["annotations"])["objects"][0]["figure_ground"]
        mask = np.asarray(dataset.image(index, "mask"))
        assert told == figure_ground(np.asarray(dataset.image(index)), mask == 1), "it is of this picture and mask"
        assert row["quality_figure_ground1"] == pytest.approx(told)
        assert row["quality_figure_ground2"] is None
    assert report.quality is not None
    assert [rows[index]["quality_failed"] for index in report.quality.failed["figure_ground1"]] == ["figure_ground1"]
    assert "`quality_figure_ground1`" in (report.out / "README.md").read_text()


def test_a_dataset_without_the_columns_is_measured_from_its_masks(tmp_path: Path) -> None:
    """As of an engine that only gives masks, and of datasets from before there was this measure."""
    report = generate(MASKED, tmp_path / "a", engine="marker", progress=False)
    dataset = open_dataset(report.out)
    assert not set(FIGURE_GROUND) & set(dataset.columns), "an engine that says nothing has no empty columns"
    assert inspect(dataset).failed["figure_ground1"] == [0, 1]
    bare = {**MASKED, "render": {"size": [64, 64]}}
    report = generate(bare, tmp_path / "b", engine="marker", progress=False)
    assert "figure_ground1" not in inspect(open_dataset(report.out)).failed
