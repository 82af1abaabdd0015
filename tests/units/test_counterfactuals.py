"""Scenes with one factor changed, rendered anew.

What could silently be wrong: more than the one factor is changed, the expression stays what it was, a unit that only
sees what goes along with a factor passes for one that sees it, and activations of other scenes are subtracted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typing_extensions import override

from torchmultiverse.analyze import RunOptions
from torchmultiverse.engines import Failure, Frame, MarkerEngine, RenderOptions
from torchmultiverse.errors import DatasetError
from torchmultiverse.farm import generate
from torchmultiverse.features import features_of
from torchmultiverse.models import ModelInfo, Preprocess
from torchmultiverse.models.modules import ModuleClassifier
from torchmultiverse.scenes import Scene
from torchmultiverse.store import ImageList, StoredDataset, open_dataset
from torchmultiverse.study import machine_lines
from torchmultiverse.units import Concepts, Expression, UnitOptions, study_units
from torchmultiverse.units.counterfactual_study import shifts_of
from torchmultiverse.units.counterfactuals import plan_changes, render_changes, scenes_of

torch = pytest.importorskip("torch")
WORLD, OBJECT, SIZE = "world_name", "character_name", "character_scale"


class Patches(MarkerEngine):
    """Red says the world, green the character, blue the size: patches of a little noise."""

    @override
    def render(
        self, scenes: Iterable[Scene], options: RenderOptions = RenderOptions()  # noqa: B008 - frozen
    ) -> Iterator[Frame | Failure]:  # fmt: skip
        for frame in super().render(scenes, options):
            if isinstance(frame, Failure):
                yield frame
                continue
            scene = frame.scene
            rng = np.random.default_rng(int(hashlib.sha256(scene.scene_id.encode()).hexdigest()[:8], 16))
            width, height = options.size
            pixels = np.clip(rng.normal(60, 4, (height, width, 3)), 0, 255)
            pixels[:4, :, 0] = 220 if scene["World_Name"] == "Snow" else 20
            pixels[4:8, :, 1] = 220 if scene["Character_Name"] == "Zebra" else 20
            pixels[8:12, :, 2] = 220 * scene.get_float("Character_Scale")
            yield Frame(
                scene, arrays={"rgb": pixels.astype(np.uint8)}, format=options.format, settle={"settled": True},
                engine=frame.engine,
            )  # fmt: skip


def colours() -> ModuleClassifier:
    """Units 0 to 2 of layer ``1`` are the mean red, green and blue."""
    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 1))
    info = ModelInfo("colours", "classifier", Preprocess((16, 16), "squash"))
    return ModuleClassifier(module, info, ["a"])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> StoredDataset:
    """Nine of ten scenes in the snow show a zebra, and one of ten elsewhere."""
    rng = np.random.default_rng(0)
    scenes = []
    for scale in np.linspace(0.3, 1, 160).round(3).tolist():
        world = ("Snow", "Desert")[int(rng.integers(2))]
        zebra = (rng.random() < 0.9) == (world == "Snow")
        scenes.append(
            {"World_Name": world, "Character_Name": "Zebra" if zebra else "Camel", "Character_Scale": float(scale)}
        )
    out = tmp_path_factory.mktemp("patches") / "data"
    render = {"size": [16, 16]}
    generate({"name": "patches", "render": render, "design": {"kind": "explicit", "scenes": scenes}}, out, Patches,
             progress=False)  # fmt: skip
    return open_dataset(out)


def concepts_and_scenes(dataset: StoredDataset) -> tuple[Concepts, list[Scene]]:
    scenes = scenes_of(dataset, np.arange(len(dataset)))
    worlds, objects = ("Desert", "Snow"), ("Camel", "Zebra")
    codes = {
        WORLD: (np.array([worlds.index(scene.get_str("World_Name")) for scene in scenes]), worlds),
        OBJECT: (np.array([objects.index(scene.get_str("Character_Name")) for scene in scenes]), objects),
        SIZE: (np.array([scene.get_float("Character_Scale") > 0.65 for scene in scenes], int), ("small", "large")),
    }
    return Concepts(codes), scenes


def test_one_factor_is_changed_and_the_expression_turns(dataset: StoredDataset) -> None:
    concepts, scenes = concepts_and_scenes(dataset)
    asked = {
        0: Expression((WORLD, "Snow")),
        1: Expression((WORLD, "Snow"), "and", (OBJECT, "Zebra")),
        2: Expression((WORLD, "Snow"), "or", (SIZE, "large")),
        3: Expression((OBJECT, "Zebra"), "and not", (WORLD, "Snow")),
    }
    changes, notes = plan_changes(asked, concepts, scenes, np.random.default_rng(0), 5)
    assert not notes
    photographs = Concepts({"label": (concepts.codes[WORLD], ("x", "y"))})
    none, notes = plan_changes({0: Expression(("label", "y"))}, photographs, scenes, np.random.default_rng(0), 5)
    assert not none
    assert notes == ["'label' is no factor of a scene: it cannot be rendered anew."]
    names = {WORLD: "World_Name", OBJECT: "Character_Name", SIZE: "Character_Scale"}
    for change in changes:
        before, after = change.before.wire, change.after.wire
        differing = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        assert len(differing) == 1
        assert change.before == scenes[change.row]
        true = [_true(asked[change.unit], scene) for scene in (change.before, change.after)]
        if change.control:
            assert differing != {names[change.factor]}
            assert true[0] == true[1]
        else:
            assert differing == {names[change.factor]}
            assert true == [change.removed, not change.removed]
    keys = {(c.unit, c.factor, c.removed) for c in changes}
    assert len(keys) == 2 + 3 * 4
    assert sum(c.control for c in changes) == sum(c.removed and not c.control for c in changes)


def _true(expression: Expression, scene: Scene) -> bool:
    def has(value: tuple[str, str] | None) -> bool:
        assert value is not None
        if value[0] == SIZE:
            return (scene.get_float("Character_Scale") > 0.65) == (value[1] == "large")
        return scene[value[0]] == value[1]

    first = has(expression.first)
    if expression.operator == "":
        return first
    second = has(expression.second)
    return {"and": first and second, "or": first or second, "and not": first and not second}[expression.operator]


def test_a_unit_that_sees_what_goes_along_is_told_from_one_that_sees(dataset: StoredDataset, tmp_path: Path) -> None:
    """Unit 0 sees the world, unit 1 the animal, which goes along with it; of both the world is claimed."""
    concepts, scenes = concepts_and_scenes(dataset)
    asked = {0: Expression((WORLD, "Snow")), 1: Expression((WORLD, "Snow"))}
    changes, _ = plan_changes(asked, concepts, scenes, np.random.default_rng(0), 12)
    pictures, rows = render_changes(changes, dataset, tmp_path, Patches, quiet=True)
    features = features_of(colours(), pictures, ["1"], quiet=True).layers["1"]
    own = features_of(colours(), dataset, ["1"], quiet=True).layers["1"]
    shifts = shifts_of(changes, features, rows, own.std(0).astype(np.float64))
    world = concepts.members(asked[0])
    for shift in shifts:
        observed = (own[world, shift.unit].mean() - own[~world, shift.unit].mean()) / own[:, shift.unit].std()
        assert observed > 1.3  # the data show both alike
        moved = -shift.moved.mean if shift.removed else shift.moved.mean
        assert shift.moved.clusters == 12
        if shift.unit == 0:
            assert moved == pytest.approx(2, abs=0.1)  # two levels, each of half the pictures: two deviations
            assert shift.follows
        else:
            assert moved == pytest.approx(0, abs=0.05)
            assert shift.moved.low < 0.05
            assert not shift.follows


def test_the_study_renders_and_keeps_what_it_rendered(dataset: StoredDataset, tmp_path: Path) -> None:
    options = UnitOptions(layer="1", factors=[WORLD, OBJECT], permutations=20, directions=0, scenes=6, engine=Patches)
    run = RunOptions(quiet=True)
    study, _ = study_units(colours(), dataset, options, run, tmp_path)
    section = next(one for one in study.sections if one.title == "Counterfactuals, rendered")
    line = next(line for line in section.table if line["unit"] == 0 and line["changed"] == "world")
    assert line["follows"] == "yes"
    assert float(line["moves"] or 0) == pytest.approx(-2, abs=0.1)
    control = next(one for one in machine_lines(section.table) if one["control"] is not None)
    assert control["control_low"] <= control["control"] <= control["control_high"]
    assert section.pictures[0].captions[:2][0] == "Snow"
    kept = next(tmp_path.glob("counterfactuals-*"))
    shards = {path: path.stat().st_mtime_ns for path in (kept / "data").iterdir()}
    assert study_units(colours(), dataset, options, run, tmp_path)[0] == study
    assert shards == {path: path.stat().st_mtime_ns for path in (kept / "data").iterdir()}


def test_pictures_without_scenes_are_not_rendered(dataset: StoredDataset) -> None:
    images = ImageList([dataset.image(k) for k in range(2)], [{"label": "a"}, {"label": "b"}], name="photographs")
    with pytest.raises(DatasetError, match="photographs has no scenes to render anew"):
        scenes_of(images, np.arange(2))
