"""Looks of worlds that belong to parts of the earth. What could silently be wrong: a look that is drawn in another's
name from a cache, a world's own look that changes with its regions, a character that stands in a wall or a tree, and a
level that a world has not and that is drawn as its own.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine, ProceduralAssets, blocks, describe, regions
from torchmultiverse.engines.builtin.regions import (
    RegionSpec,
    load_region,
    region_choice,
    region_names,
    regional,
    regional_spec,
)
from torchmultiverse.engines.builtin.surfaces import Paint, tile
from torchmultiverse.engines.builtin.world import WorldSpec, load_spec
from torchmultiverse.engines.builtin.world_builder import build, load_world
from torchmultiverse.errors import SpecError
from torchmultiverse.farm import dry_run
from torchmultiverse.scenes import OWN, Scene, Spec, parse_spec

WORLDS = ("Appartment", "ShadyRoad", "VillageOutskirt")
LEVELS = ("east_asia", "mediterranean", "north_america", "northern_europe", "south_asia", "west_africa")
PAIRS = [(world, level) for world in WORLDS for level in LEVELS]
REACH = 4.0
"""Metres from the centre within which nothing but ground may be: the published places of characters are within 1.2, the
camera at its nearest is 4.7 away."""
MOST_FACES = 520_000
"""Triangles of a look: what the largest of the worlds has had, so that it loads as soon."""


def test_street_home_and_countryside_have_the_same_levels():
    assert region_names() == {world: list(LEVELS) for world in WORLDS}


@pytest.mark.parametrize(("world", "level"), PAIRS)
def test_a_look_says_what_it_shows_with_sources_and_is_built_of_blocks_that_are(world, level):
    look, _ = load_region(world, level)
    assert len(look.facts) >= 3
    assert len({fact.shows for fact in look.facts}) == len(look.facts)
    spec = regional_spec(world, level)
    own = load_spec(world)[0]
    assert spec.caption == look.caption != own.caption
    assert spec.about.endswith(own.about.rpartition(", ")[2]), "a home is indoors in every region"
    kinds = blocks.kinds()
    for block in spec.blocks:
        kinds[block["kind"]].model_validate({key: value for key, value in block.items() if key != "kind"})


def _clear(world) -> None:
    """The middle holds ground, and what lies flat on it."""
    for part in world.parts:
        corners = part.mesh.vertices[part.mesh.faces]
        middle = corners.mean(1)
        # A long triangle may pass the centre with all its corners far away: a few points on each are looked at.
        points = np.concatenate([corners.reshape(-1, 3), middle])
        inside = (np.hypot(points[:, 0], points[:, 1]) < REACH) & (points[:, 2] > 0.4) & (points[:, 2] < 2.2)
        if part.material.name == "foliage":
            inside &= np.hypot(points[:, 0], points[:, 1]) < 2.0  # a blade of grass may bend over
        assert not inside.any(), (part.material.name, points[inside][:3])


@pytest.mark.parametrize(
    ("world", "level"),
    [pytest.param(*pair, marks=() if pair == ("Appartment", "west_africa") else pytest.mark.slow) for pair in PAIRS],
)
def test_each_look_is_built_with_a_clear_and_level_centre(world, level):
    made = load_world(world, level)
    assert made.name == world
    assert made.region == level
    _clear(made)
    near = made.heights[24:41, 24:41]  # a metre around the centre
    assert np.ptp(near) < 0.06
    assert abs(made.ground(0, 0)) < 0.2
    assert sum(len(part.mesh.faces) for part in made.parts) < MOST_FACES
    for part in made.parts:
        assert np.isfinite(part.mesh.vertices).all()


@pytest.mark.slow
def test_a_look_is_made_the_same_every_time_and_comes_the_same_from_the_cache():
    world, level = "Appartment", "west_africa"
    spec, seeds, where = regional(world, load_spec(world)[0], load_region(world, level)[0], level)
    made, kept = build(world, spec, level, seeds, where), load_world(world, level)
    assert made.exposure == kept.exposure
    for p, q in zip(made.parts, kept.parts, strict=True):
        assert p.material.name == q.material.name
        assert np.array_equal(p.mesh.vertices, q.mesh.vertices)


def test_a_world_of_its_own_is_what_it_was(monkeypatch):
    """The cache of a look has another name, and the blocks that a look keeps have the seeds that the world gives."""
    own, other = load_world("Appartment"), load_world("Appartment", "south_asia")
    assert own.region == OWN
    assert own.spec == load_spec("Appartment")[0]
    assert {part.material.name for part in own.parts} != {part.material.name for part in other.parts}
    spec = WorldSpec(caption="a place", blocks=[{"kind": "gallery"}, {"kind": "gallery", "side": 9}])
    look = RegionSpec.model_validate(
        {
            "caption": "another place",
            "facts": [{"shows": "nothing", "source": "none"}],
            "changes": {"sky": {"clouds": 0.5}, "exposure": 1.0},
            "blocks": [{"kind": "gallery", "side": 8}, {"keep": 1, "height": 7}],
        }
    )
    made, seeds, where = regional("X", spec, look, "here")
    assert made.blocks == [{"kind": "gallery", "side": 8}, {"kind": "gallery", "side": 9, "height": 7}]
    assert seeds[1] == 1
    assert seeds[0] >= 1000
    assert seeds[0] != regional("X", spec, look, "there")[1][0]
    assert where[0] == "scenes/regions/X/here.json: blocks[0]"
    assert made.sky == spec.sky.model_copy(update={"clouds": 0.5})
    assert (made.exposure, made.haze) == (1.0, spec.haze)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"blocks": [{"keep": 2}]}, r"here.json: blocks\[0\]: keep = 2; X has blocks 0 to 1"),
        ({"blocks": [{"keep": True}]}, "keep = True"),
        ({"changes": {"exposur": 1}}, r"(?s)here.json: changes: .*exposur"),
        ({"changes": {"sky": {"sun": "high"}}}, r"(?s)here.json: changes: .*sky.sun"),
        ({"changes": {"caption": "no"}}, "'caption' stands beside 'changes'"),
    ],
)
def test_a_wrong_file_names_the_place(change, said):
    spec = WorldSpec(caption="a place", blocks=[{"kind": "gallery"}, {"kind": "gallery", "side": 9}])
    facts = {"caption": "place", "facts": [{"shows": "nothing", "source": "none"}], "blocks": [{"keep": 0}]}
    with pytest.raises(SpecError, match=said):
        regional("X", spec, RegionSpec.model_validate(facts | change), "here")


def test_a_block_of_a_look_that_is_wrong_names_its_file(monkeypatch, tmp_path):
    folder = tmp_path / "Appartment"
    folder.mkdir()
    look = {"caption": "place", "facts": [{"shows": "nothing", "source": "none"}], "blocks": [{"kind": "romm"}]}
    (folder / "moon.json").write_text(json.dumps(look))
    monkeypatch.setattr(regions, "_folder", lambda: tmp_path)
    region_names.cache_clear()
    try:
        with pytest.raises(SpecError, match=r"regions/Appartment/moon.json: blocks\[0\]: no block of kind 'romm'"):
            load_world("Appartment", "moon")
        (folder / "moon.json").write_text(json.dumps(look | {"blokcs": []}))
        with pytest.raises(SpecError, match=r"(?s)moon.json: .*blokcs"):
            load_world("Appartment", "moon")
    finally:
        region_names.cache_clear()


def test_what_a_world_has_not_is_refused_with_what_it_has():
    with pytest.raises(SpecError, match=r"World_Region = moon: world 'ShadyRoad' has own, east_asia, .*west_africa"):
        load_world("ShadyRoad", "moon")
    with pytest.raises(
        SpecError, match=r"World_Region = east_asia: world 'Desert' has its own look alone; Appartment,"
    ):
        load_world("Desert", "east_asia")
    with pytest.raises(SpecError, match=r"no world '\.\./ShadyRoad'"):
        load_world("../ShadyRoad", "east_asia")
    with pytest.raises(SpecError, match="has own"):
        load_world("ShadyRoad", "../Appartment/east_asia")


def test_the_catalogue_knows_which_world_has_which_and_says_it_of_scenes_and_designs():
    catalogue = describe()
    choice = catalogue.factors["World_Region"]
    assert choice.levels == [OWN, *LEVELS]
    assert choice.worlds == {level: list(WORLDS) for level in LEVELS}
    catalogue.check(Scene({"World_Name": "ShadyRoad_0", "World_Region": "south_asia"}))
    with pytest.raises(SpecError, match=r"south_asia: not in world 'Snow' .*it has none; Appartment, ShadyRoad"):
        catalogue.check(Scene({"World_Name": "Snow", "World_Region": "south_asia"}))
    with pytest.raises(SpecError, match="'asia' is unknown"):
        catalogue.check(Scene({"World_Name": "ShadyRoad", "World_Region": "asia"}))


def _spec(design: dict[str, object]) -> Spec:
    return parse_spec({"name": "regions", "design": {"kind": "factorial", **design}})


def test_a_dry_run_tells_a_pair_that_cannot_be_and_lets_linked_ones_pass():
    named = {"Character_Name": ["Cat"]}
    crossed = _spec({"factors": {"World_Name": ["ShadyRoad", "Snow"], "World_Region": [OWN, "east_asia"], **named}})
    (problem,) = dry_run(crossed, describe()).problems
    assert problem.startswith("World_Region = east_asia: not in world 'Snow'")
    pairs = [{"World_Name": "ShadyRoad", "World_Region": "east_asia"}, {"World_Name": "Snow", "World_Region": OWN}]
    assert dry_run(_spec({"linked": [pairs], "factors": named}), describe()).problems == []


def test_a_level_that_only_some_worlds_have_names_the_others_of_a_world():
    assets = {"A": {"north": "a", "south": "b"}, "B": {"south": "c"}}
    choice = region_choice(assets)
    assert choice.worlds == {"north": ["A"], "south": ["A", "B"]}
    catalogue = describe().model_copy(update={"factors": describe().factors | {"World_Region": choice}})
    scene = Scene({"World_Name": "B", "World_Region": "north"})
    assert "others that it has: south" in catalogue.misplaced(scene)[0]


class Source(ProceduralAssets):
    """The package's worlds, and what was asked of them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def world(self, name, region=OWN):
        self.asked.append((name, region))
        return load_world(name, region)


def test_the_engine_draws_each_look_in_its_own_name():
    source = Source()
    engine = BuiltinEngine(assets=source, denoise=False, worlds=3)
    scene = Scene({"World_Name": "Appartment", "Character_Name": "Cat"})
    options = RenderOptions((48, 48), ("rgb", "mask"), samples=2)
    asked = [scene, scene.changed(World_Region="west_africa"), scene, scene.changed(World_Region="west_africa")]
    frames = list(engine.render(asked, options))
    assert not any(isinstance(frame, Failure) for frame in frames)
    first, second, third, fourth = (frame.array() for frame in frames)
    assert np.array_equal(first, third)
    assert np.array_equal(second, fourth)
    assert np.abs(first.astype(int) - second).mean() > 10
    assert source.asked == [("Appartment", OWN), ("Appartment", "west_africa")]
    assert Scene(scene.wire | {"World_Region": OWN}).scene_id == scene.scene_id
    (refused,) = engine.render([scene.changed(World_Name="Snow", World_Region="west_africa")], options)
    assert isinstance(refused, Failure)
    assert "Snow" in refused.reason
    engine.close()


@pytest.mark.slow
@pytest.mark.parametrize(("world", "level"), PAIRS)
def test_the_character_is_seen_from_all_sides_in_every_look(world, level):
    engine = BuiltinEngine(denoise=False)
    for place in ("center", "left", "location"):
        for yaw in (0, 45, 90, 135, 180, 225, 270, 315):
            factors = {"World_Name": world, "World_Region": level, "Character_Name": "Cat", "Character1_Pos": place}
            (frame,) = engine.render([Scene(factors | {"Camera_Yaw": yaw})], RenderOptions((48, 48), samples=2))
            picture = frame.array().astype(float)
            assert 25 < picture.mean() < 215, (place, yaw)
            assert picture.std() > 15, (place, yaw)
            assert frame.info["objects"][0]["visible_fraction"] > 0.8, (place, yaw)
    engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_looks_of_one_world_differ_from_each_other(world):
    """Colours of pictures with nobody in them, as histograms: no two looks are nearer than 0.15 (0 same, 1 apart)."""
    engine = BuiltinEngine(denoise=False)
    found = {}
    for level in (OWN, *LEVELS):
        counts = np.zeros((6, 6, 6))
        for yaw in (0, 90, 180, 270):
            scene = Scene({"World_Name": world, "World_Region": level, "Camera_Yaw": yaw})
            (frame,) = engine.render([scene], RenderOptions((64, 64), samples=8))
            counts += np.histogramdd(frame.array().reshape(-1, 3), 6, [(0, 256)] * 3)[0]
        found[level] = counts / counts.sum()
    engine.close()
    apart = {(a, b): 0.5 * np.abs(found[a] - found[b]).sum() for a in found for b in found if a < b}
    assert min(apart.values()) > 0.15, min(apart, key=lambda pair: apart[pair])


@pytest.mark.parametrize("surface", ["tatami", "azulejo", "cement_tiles", "wax_print", "plaid", "rag_rug", "clapboard"])
def test_a_pattern_of_both_colours_repeats_without_a_seam(surface):
    made = tile(Paint(surface=surface, color=(0.9, 0.8, 0.6), accent=(0.2, 0.3, 0.5)), 256)
    assert made.color.shape == (256, 256, 3)
    assert made.color.std() > 0.02
    for axis in (0, 1):
        inner = np.abs(np.diff(made.color, axis=axis)).mean((0, 1, 2))
        seam = np.abs(np.take(made.color, 0, axis) - np.take(made.color, -1, axis)).mean()
        assert seam < 12 * inner + 0.35
