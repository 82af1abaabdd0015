"""Datasets of the families that say more about a scene than an engine is told.

What could be silently wrong: a label that reaches the engine and changes the picture, a row whose picture belongs to
another label, a hard negative that points nowhere, a held-out picture in the wrong split.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from torchmultiverse.connect import Multiverse
from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine, draw_marker, read_marker
from torchmultiverse.farm import generate
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import Scene, load_spec, parse_spec
from torchmultiverse.store import open_dataset

WORLDS, ANIMALS = ["Desert", "Museum"], ["Camel", "Elephant", "Penguin"]
RELATIONS = {
    "name": "relations", "family": "AR4T",
    "design": {"kind": "ar4t_relations", "worlds": WORLDS, "assets": ANIMALS, "pairs": 2, "single": 3},
    "splits": {"test": ["Character2_Name = blank and Sample = 2", "Character2_Name != blank and Sample = 1"]},
    "render": {"size": [64, 64]},
}  # fmt: skip


class Deaf(MarkerEngine):
    """Test cards; notes every factor that it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: set[str] = set()

    def render(
        self,
        scenes: Iterable[Scene],
        options: RenderOptions = RenderOptions(),  # noqa: B008 - frozen
    ) -> Iterator[Frame | Failure]:
        def listening() -> Iterator[Scene]:
            for scene in scenes:
                self.told |= set(scene.wire)
                yield scene

        yield from super().render(listening(), options)


def test_relations_with_captions_negatives_and_splits(tmp_path: Path) -> None:
    engine = Deaf()
    report = generate(RELATIONS, tmp_path / "d", lambda: engine, progress=False)
    assert not report.failures
    assert engine.told == {
        "World_Name", "Character_Name", "Character2_Name", "Character_Scale", "Character2_Scale", "Character1_Pos",
        "Character2_Pos", "Character_Location", "Character2_Location",
    }  # fmt: skip
    made = open_dataset(tmp_path / "d")
    assert len(made) == 2 * (10 * 2 * 2 + 3 * 3) == parse_spec(RELATIONS).build().count
    table = parse_spec(RELATIONS).table
    for index in range(len(made)):
        row = made.row(index)
        scene = Scene.from_json(row["scene"], table)
        # The card was drawn for the scene without its labels; the row has them.
        assert read_marker(np.asarray(made.image(index))) == scene.unlabelled.scene_id
        assert row["scene_id"] == scene.scene_id
        assert row["Relation"] == scene["Relation"]
        assert row["Actor1Category"] == scene["Character_Label"]
        held = scene["Sample"] == (2 if scene["Character2_Name"] == "blank" else 1)
        assert row["split"] == ("test" if held else "train")
        other = made.negative(index)
        if scene["Character2_Name"] == "blank":
            assert other is None
            assert row["alt_caption"] is None
        else:
            assert other is not None
            assert made.row(other, ["caption"])["caption"] == row["negative_caption"] != row["caption"]
            assert made.negative(other) == index
    assert len(made.where("Level = Desert and split = test")) == 3 + 10 * 2
    assert "`Actor1Category` | `Character_Label`" in (tmp_path / "d" / "README.md").read_text()


def test_scenes_that_differ_in_a_label_only_are_two_rows_with_one_picture(tmp_path: Path) -> None:
    spec = json.loads((data_folder("scenes") / "imagenet_animals.json").read_text())
    spec["design"] |= {
        "only": ["Character_Name = Penguin and World_Name = SaltFlats and Subset in (Worlds, Camera_Yaw)"]
    }
    generate(spec, tmp_path / "d", "builtin", size=32, samples=1, progress=False)
    made = open_dataset(tmp_path / "d")
    assert len(made) == 1 + 6
    rows = [made.row(i, ["subset", "camera_yaw", "character_label", "caption"]) for i in range(7)]
    assert {row["character_label"] for row in rows} == {"Penguin"}
    same = [i for i, row in enumerate(rows) if row["camera_yaw"] == 0]
    assert [rows[i]["subset"] for i in same] == ["Worlds", "Camera_Yaw"]
    assert made.image_bytes(same[0]) == made.image_bytes(same[1])


def test_one_scene_with_labels() -> None:
    scene = Scene({"World_Name": "Desert", "Character_Name": "Camel", "Relation": "at"})
    with Multiverse(MarkerEngine(), size=(64, 64)) as mv:
        one = mv.render(scene)
        (many,) = mv.render_many([scene])
    assert one.scene == scene == many.scene
    assert (one.array() == draw_marker(scene.unlabelled.scene_id, 64, 64)).all()


@pytest.mark.parametrize("name", ["imagenet_animals", "animal_relations", "animal_attributes"])
def test_the_built_in_variants_are_in_the_catalogue(name: str) -> None:
    from torchmultiverse.engines.builtin import BuiltinEngine

    spec = load_spec(data_folder("scenes") / f"{name}.json")
    BuiltinEngine().catalogue().check(spec.build())


def test_animals_anywhere_leaves_nothing_for_a_background_to_say() -> None:
    """If a world went with an animal, naming the animal from its background would be no sign of memory."""
    from scipy.stats import chi2_contingency

    from torchmultiverse.engines.builtin import BuiltinEngine

    design = load_spec(data_folder("scenes") / "animals_anywhere.json").build()
    BuiltinEngine().catalogue().check(design)
    rows = [design.values(i) for i in range(0, design.count)]
    animals = np.unique([row["Character_Name"] for row in rows], return_inverse=True)[1]
    assert set(np.bincount(animals)) == {200}
    for name in ("World_Name", "Character_Texture", "Scene_Light", "Character_Scale"):
        levels = np.unique([str(row[name]) for row in rows], return_inverse=True)[1]
        table = np.zeros((animals.max() + 1, levels.max() + 1))
        np.add.at(table, (animals, levels), 1)
        assert chi2_contingency(table).pvalue > 0.01, name
    for name in ("Camera_Yaw", "Character_Rotation_Yaw"):
        assert len({row[name] for row in rows}) > 10_000
