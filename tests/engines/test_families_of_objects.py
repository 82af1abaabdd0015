"""The published families with objects: every attribute, every kind of scene, and that no object is missing.

Silently wrong would be: an attribute that changes nothing of an object, or makes a picture that is no good; a relation,
subset or attribute of which no picture can be rendered; a class or an asset that is missing while counts are right.
"""

from __future__ import annotations

import itertools
from collections import Counter
from functools import cache

import numpy as np
import pytest

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.engines.builtin.characters import texture_names
from torchmultiverse.engines.builtin.objects import object_names
from torchmultiverse.farm import generate
from torchmultiverse.scenes import BLANK, Scene, Spec, class_table, expanded, load_spec, object_assets
from torchmultiverse.scenes.ar4t import RELATIONS, UNARY, scale
from torchmultiverse.scenes.kinds import AttributesDesign
from torchmultiverse.store.quality import outside, quality, visibility

OPTIONS = RenderOptions(size=(96, 96), samples=4)
PUBLISHED = ("imagenet", "ar4t_relations", "ar4t_attributes")


@pytest.fixture(scope="module")
def engine():
    made = BuiltinEngine()
    yield made
    made.close()


@cache
def published(name: str) -> Spec:
    return load_spec(name)


def variants() -> list[tuple[str, dict[str, object]]]:
    """The 53 variants of attributes and the factors that show them."""
    design = published("ar4t_attributes").design
    assert isinstance(design, AttributesDesign)
    found: list[tuple[str, dict[str, object]]] = []
    for name, shown in design.attributes.items():
        if isinstance(shown, list):
            found += [(name, {"Character_Texture": texture}) for texture in shown]
        else:
            found.append((name, {"Character_Scale": scale(shown)}))
    return found


def rendered(engine, scene: Scene):
    (frame,) = engine.render([scene.unlabelled], OPTIONS)
    assert not isinstance(frame, Failure), frame.reason
    return frame


def test_there_are_53_variants_and_each_has_a_texture_or_a_size() -> None:
    names = Counter(name for name, _ in variants())
    assert sum(names.values()) == 53
    assert names["Brick"] == 3
    assert {n for name, n in names.items() if name != "Brick"} == {1, 2}
    sizes = {name: shown["Character_Scale"] for name, shown in variants() if "Character_Scale" in shown}
    assert sizes == dict.fromkeys(("Big", "Long", "Tall", "Large"), 1.3333) | dict.fromkeys(
        ("Short", "Small", "Little", "Tiny"), 0.3333
    )
    assert {str(shown["Character_Texture"]) for _, shown in variants() if "Character_Texture" in shown} <= set(
        texture_names()
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Elephant", "Cofee_Mug_1", "Bycicle_1"])
def test_every_attribute_is_seen_on_an_animal_and_on_objects(engine, name) -> None:
    looks = {}
    plain = {"World_Name": "SaltFlats", "Character_Name": name, "Character1_Pos": "location"}
    for attribute, shown in (("Default", {}), *variants()):
        frame = rendered(engine, Scene({**plain, **shown}))
        assert outside(quality(frame.array("rgb")) | visibility(frame)) == [], (attribute, shown)
        (found,) = frame.info["objects"]
        assert found["truncated_fraction"] == 0
        assert found["pixels"] > (4 if shown.get("Character_Scale") == 0.3333 else 25)
        looks[attribute, str(shown.get("Character_Texture", ""))] = frame.array("rgb").astype(int)
        if "Character_Scale" in shown:
            high = np.ptp(np.array(found["box_3d"]), axis=0).max()
            assert high == pytest.approx(1.6 * float(shown["Character_Scale"]), rel=0.35)
    textured = {key: picture for key, picture in looks.items() if key[1] or key[0] == "Default"}
    for (a, first), (b, second) in itertools.combinations(textured.items(), 2):
        assert np.abs(first - second).max() > 12, f"{a} and {b} look the same on {name}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", [one.name for one in class_table() if one.kind == "object"])
def test_every_object_is_rendered_whole_and_in_view(engine, kind) -> None:
    (names,) = (one.characters for one in class_table() if one.name == kind and one.kind == "object")
    for name in names:
        frame = rendered(engine, Scene({"World_Name": "SaltFlats", "Character_Name": name}))
        assert outside(quality(frame.array("rgb")) | visibility(frame)) == [], name
        (found,) = frame.info["objects"]
        assert found["truncated_fraction"] == 0, name
        assert found["pixels"] > 60, name


def of_each_kind(name: str, there: set[str]) -> dict[tuple[object, ...], Scene]:
    """A scene of each kind of a published spec: the first whose characters are all there."""
    found: dict[tuple[object, ...], Scene] = {}
    for scene in expanded(published(name).build()):
        if name == "imagenet":
            kind: tuple[object, ...] = (scene["Subset"],)
        elif name == "ar4t_relations":
            kind = (scene["Relation"], scene["Negative"])
        else:
            two = scene["Character2_Name"] != BLANK
            kind = (scene["Character_Attribute"], scene["Character_Texture"], two, scene["Negative"])
        if kind not in found and {scene["Character_Name"], scene["Character2_Name"]} <= there | {BLANK}:
            found[kind] = scene
    return found


KINDS = {"imagenet": 10, "ar4t_relations": 3 + 2 * 10, "ar4t_attributes": 53 * 3}
"""Subsets; unary relations, and binary ones with their hard negatives; variants alone, in pairs, and in negatives."""


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_scene_of_every_kind_renders(engine, name) -> None:
    chosen = of_each_kind(name, set(object_names()))
    assert len(chosen) == KINDS[name]
    if name == "ar4t_relations":
        assert {kind[0] for kind in chosen} == {*RELATIONS, *UNARY}
    for kind, scene in chosen.items():
        frame = rendered(engine, scene)
        assert outside(quality(frame.array("rgb"))) == [], kind
        seen = [found["pixels"] for found in frame.info["objects"]]
        assert len(seen) == 1 + (scene["Character2_Name"] != BLANK)
        assert max(seen) > 0, kind


def test_objects_that_are_there_are_of_the_table_and_of_the_published_size() -> None:
    """Longest edge normalised: each would else be as large as its maker had it."""
    from torchmultiverse.engines.builtin.objects import load_object

    known = {asset.name for asset in object_assets()}
    assert set(object_names()) <= known
    for name in object_names()[::40]:  # each one is measured by the slow test that builds it
        mesh = load_object(name)
        assert np.ptp(mesh.vertices, axis=0).max() == pytest.approx(1.6, abs=0.01), name
        assert mesh.vertices[:, 2].min() == pytest.approx(0, abs=0.01), name


def test_151_classes_724_assets_680_of_ar4t() -> None:
    names = set(object_names())
    classes = [one for one in class_table() if one.kind == "object"]
    assert len(classes) == 151
    assert names == {name for one in classes for name in one.characters} == {asset.name for asset in object_assets()}
    assert len(names) == 724
    for name in ("ar4t_relations", "ar4t_attributes"):
        design = published(name).design
        assert sum(len(of) for of in design.assets.values()) == 680  # type: ignore[union-attr]
        assert {one for of in design.assets.values() for one in of} <= names  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_spec_starts_and_renders(name, tmp_path) -> None:
    report = generate(name, tmp_path / name, "builtin", size=32, limit=2, progress=False)
    assert (report.images, report.rendered) == (2, 2)
