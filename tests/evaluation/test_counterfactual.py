"""What a change of one factor does, read from outcomes.

What could be silently wrong: a pair that differs in more than one factor, the sign of an effect, a model that looks at
the background alone and is not caught, a null model that is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.cli import main
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import Result, evaluate
from torchmultiverse.evaluation.counterfactual import counterfactuals
from torchmultiverse.farm import generate
from torchmultiverse.models import ModelInfo
from torchmultiverse.scenes import Scene
from torchmultiverse.store import StoredDataset, open_dataset

ANIMALS = ["Camel", "Elephant", "Penguin", "Zebra"]
FACTORS = {
    "World_Name": ["Desert", "Museum", "SaltFlats", "Snow"], "Character_Name": ANIMALS,
    "Camera_Yaw": [0, 45, 90, 135, 180], "Character_Texture": ["Default", "Grass"],
}  # fmt: skip


class Told:
    """A classifier that looks up what a picture shows and answers by a rule."""

    classes = ANIMALS

    def __init__(self, name: str, dataset: StoredDataset, rule: Any) -> None:
        self.info = ModelInfo(name, "classifier")
        rows = dataset.table(["scene", "scene_id"]).to_pylist()
        self._scenes = {row["scene_id"]: Scene.from_json(row["scene"]) for row in rows}
        self._rule = rule

    def logits(self, images: Any) -> NDArray[np.float32]:
        scenes = [self._scenes[str(read_marker(np.asarray(image)))] for image in images]
        answers = [self._rule(scene) for scene in scenes]
        return np.eye(len(ANIMALS), dtype=np.float32)[[ANIMALS.index(answer) for answer in answers]]


def background(scene: Scene) -> str:
    return ANIMALS[FACTORS["World_Name"].index(str(scene["World_Name"]))]


def no_grass(scene: Scene) -> str:
    name = str(scene["Character_Name"])
    return name if scene["Character_Texture"] == "Default" else ANIMALS[ANIMALS.index(name) - 1]


def by_chance(scene: Scene) -> str:
    return ANIMALS[int(scene.scene_id, 16) % 4]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("counterfactual")
    spec = {"name": "a", "family": "Animals", "design": {"kind": "factorial", "factors": FACTORS}}
    generate(spec, folder / "d", MarkerEngine, size=48, progress=False)
    dataset = open_dataset(folder / "d")
    rules = {"background": background, "no grass": no_grass, "chance": by_chance}
    models = [Told(name, dataset, rule) for name, rule in rules.items()]
    evaluate(dataset, models, out=folder / "r", quiet=True)
    return folder / "d", folder / "r"


def test_who_looks_at_what(asked: tuple[Path, Path]) -> None:
    found = counterfactuals(Result.load(asked[1]), open_dataset(asked[0]))
    of = {(e.model, e.factor, e.first, e.second): e for e in found}
    assert {e.factor for e in found} == {"world_name", "camera_yaw", "character_texture"}
    # Whoever looks at the background alone says something else whenever it changes, and never else.
    for e in found:
        if e.model == "background":
            assert e.flips == (1 if e.factor == "world_name" else 0)
            assert e.effect == 0
    grass = of["no grass", "character_texture", "Default", "Grass"]
    assert (grass.pairs, grass.flips, grass.effect, grass.lost, grass.gained) == (80, 1, -1, 80, 0)
    assert grass.p < 1e-6
    assert grass.high < 0
    assert all(e.effect == 0 for e in found if e.model == "no grass" and e.factor != "character_texture")
    chance = [e for e in found if e.model == "chance"]
    assert all(e.p > 0.05 for e in chance), "a null model is not accused"
    assert np.mean([e.low <= 0 <= e.high for e in chance]) > 0.7
    assert 0.6 < np.mean([e.flips for e in chance]) < 0.9
    assert of["chance", "camera_yaw", "0", "45"].pairs == 4 * 4 * 2
    only = counterfactuals(Result.load(asked[1]), open_dataset(asked[0]), ["camera_yaw"])
    assert {e.factor for e in only} == {"camera_yaw"}


def test_another_dataset_is_noticed(asked: tuple[Path, Path], tmp_path: Path) -> None:
    result = Result.load(asked[1])
    with pytest.raises(DatasetError, match="not the dataset"):
        counterfactuals(result, open_dataset(asked[0]).where("camera_yaw = 45"))
    with pytest.raises(DatasetError, match="no factor 'world'"):
        counterfactuals(result, open_dataset(asked[0]), ["world"])


def test_the_command(asked: tuple[Path, Path], tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    save = tmp_path / "c.json"
    sheet = tmp_path / "pairs.png"
    options = ["--save", str(save), "--gallery", str(sheet)]
    monkeypatch.setattr("sys.argv", ["torchmultiverse", "eval", "counterfactuals", *map(str, asked[::-1]), *options])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    text = capsys.readouterr().out
    assert "Default → Grass" in text
    assert "-100.0" in text
    found = json.loads(save.read_text())["effects"]
    assert len(found) == 3 * (6 + 10 + 1)
    dataset = open_dataset(asked[0])
    for effect in found:
        for first, second in effect["examples"]:
            one, two = (dataset.row(i, [effect["factor"]])[effect["factor"]] for i in (first, second))
            assert (str(one), str(two)) == (effect["first"], effect["second"])
    assert len(next(e for e in found if e["model"] == "no grass" and e["second"] == "Grass")["examples"]) == 4
    with Image.open(sheet) as picture:
        colours = picture.convert("RGB").getcolors(1 << 22)
    assert colours is not None
    assert len(colours) > 20
