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
from torchmultiverse.store import open_dataset

DARK = {
    "name": "dark",
    "design": {
        "kind": "factorial",
        "factors": {
            "World_Name": ["TokyoNight"],
            "Character_Name": ["GoldBeetle", "Zebra"],
            "Scene_Light": ["0,0,255,0", "255,255,255,0"],
        },
    },
    "render": {"size": [128, 128], "passes": ["rgb", "mask"]},
}


def test_a_dark_animal_in_the_dark_fails_and_says_so_everywhere(tmp_path: Path) -> None:
    report = generate(DARK, tmp_path / "a", engine=BuiltinEngine, samples=4, progress=False)
    dataset = open_dataset(report.out)
    rows = dataset.table().to_pylist()
    for index, row in enumerate(rows):
        told = json.loads(row["annotations"])["objects"][0]["figure_ground"]
        assert row["quality_figure_ground1"] == pytest.approx(told)
        mask = np.asarray(dataset.image(index, "mask"))
        assert told == figure_ground(np.asarray(dataset.image(index)), mask == 1), (
            "what the engine says is of its picture"
        )
        assert row["quality_figure_ground2"] is None
    print(
        [
            (
                row["character_name"],
                row["scene_light"],
                row["quality_figure_ground1"],
                row["quality_luminance"],
                row["quality_failed"],
            )
            for row in rows
        ]
    )
