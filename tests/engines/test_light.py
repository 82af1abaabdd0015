"""Sun, clouds and lamps of the built-in engine. What could silently be wrong: a sun that stands elsewhere than the
label says, light that falls or rises otherwise than was measured, clouds whose share is not the label's, and a renderer
that keeps something of the light that it had before.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from torchmultiverse.engines import RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine, daylight, horizontal_irradiance, probe
from torchmultiverse.engines.builtin.lighting import has_lamps, sunlit, why_no_sun, with_lamps
from torchmultiverse.engines.builtin.mesh import Material, MeshPart, box, quad
from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.renderer import WorldRenderer
from torchmultiverse.engines.builtin.sky import Sky, directions
from torchmultiverse.engines.builtin.world import Haze, World, WorldSpec, load_spec, world_names
from torchmultiverse.engines.builtin.world_conditions import WorldConditions, lit, world_conditions_of
from torchmultiverse.errors import SpecError
from torchmultiverse.resources import data_folder
from torchmultiverse.scenes import Scene, parse_spec

SKY = Sky(sun_elevation=40, haziness=0.8, clouds=0.3)
LIGHT = 9.0
MEASURED = {90: 129e3, 60: 103e3, 20: 27.3e3, 5: 4540, 0: 759, -0.8: 453, -6: 3.41, -12: 0.0081, -18: 6.5e-4}
"""Lux by elevation; so they stand in the sources that Janiczek and DeYoung fit."""


@pytest.fixture(scope="module")
def engine() -> BuiltinEngine:
    return BuiltinEngine(denoise=False)


def sky_of(elevation: float, overcast: float | None = None, azimuth: float = 0.0):
    return daylight.environment("test", SKY, LIGHT, elevation, azimuth, overcast)


def fallen(environment) -> float:
    return float(horizontal_irradiance(environment) @ daylight.LUMINANCE)


@pytest.mark.parametrize("elevation", list(MEASURED))
def test_level_ground_gets_the_light_that_was_measured(elevation):
    assert daylight.illuminance(elevation) == pytest.approx(MEASURED[elevation], rel=0.03)
    own = daylight.illuminance(SKY.sun_elevation)
    assert fallen(sky_of(elevation)) / LIGHT == pytest.approx(MEASURED[elevation] / own, rel=0.03)
    assert fallen(sky_of(elevation, 0)) / daylight.clear_light(SKY) == pytest.approx(
        MEASURED[elevation] / own, rel=0.03
    )


@pytest.mark.slow
def test_no_step_of_the_sun_is_a_jump():
    edges = [20.0, 5.0, 0.0, -5.0, -7.0]
    for edge in edges:
        above, below = (sky_of(edge + step)[:256] @ daylight.LUMINANCE for step in (0.02, -0.02))
        # The disc moves by a tenth of a pixel; all else is smooth. The measured light falls by 3 % in 0.04 degrees.
        assert fallen(sky_of(edge - 0.02)) == pytest.approx(fallen(sky_of(edge + 0.02)), rel=0.06), edge
        assert np.median(np.abs(np.log(above / below))) < 0.06, edge


def test_the_own_sun_asked_for_is_the_worlds_own_sky():
    from torchmultiverse.engines.builtin.world_builder import load_world

    world = load_world("Grass")
    sky = world.spec.sky
    again = sunlit(world, sky.sun_elevation, 90 - sky.sun_azimuth, None).environment[:256] @ daylight.LUMINANCE
    own = world.environment[:256] @ daylight.LUMINANCE
    assert np.median(np.abs(again / own - 1)) < 0.03
    assert np.abs(again - own).mean() < 0.02 * own.mean()


@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_clouds_dim_the_light_and_the_beam_as_measured(share):
    clear, clouded = sky_of(45, 0), sky_of(45, share)
    assert fallen(clouded) / fallen(clear) == pytest.approx(1 - 0.75 * share**3.4, rel=0.01)
    toward = (directions() @ np.array([np.sqrt(0.5), 0, np.sqrt(0.5)]))[..., None] > np.cos(np.radians(1.2))
    disc = [float(((e * toward)[:256] @ daylight.LUMINANCE).sum()) for e in (clear, clouded)]
    assert disc[1] / disc[0] == pytest.approx((1 - share**2) * (1 - 0.75 * share**3.4), abs=0.01)


def test_clouds_cover_their_share_of_the_sky_and_more_of_it_what_was_covered():
    d = directions()[:256]
    solid = np.sqrt(1 - d[..., 2] ** 2)
    denser = daylight._clouds("test", SKY.cloud_stretch, SKY.cloud_scale)[3]
    before = np.zeros(denser.shape)
    for share in (0.1, 0.3, 0.5, 0.8, 0.95):
        cover = daylight._cover(denser, share)
        assert (cover * solid).sum() / solid.sum() == pytest.approx(share, abs=0.02)
        assert (cover >= before - 1e-9).all()
        before = cover
    assert (daylight._cover(denser, 1.0) == 1).all()
    assert (daylight._cover(denser, 0.0) == 0).all()


def test_a_closed_sky_is_the_standard_overcast_one():
    luminance = (sky_of(45, 1.0)[:256] @ daylight.LUMINANCE).mean(1)
    rise = np.radians(90 - (np.arange(256) + 0.5) / 256 * 90)
    standard = (1 + 2 * np.sin(rise)) / 3
    assert luminance / luminance[0] == pytest.approx(standard / standard[0], rel=0.02)
    assert fallen(sky_of(45, 1.0)) == pytest.approx(luminance[0] / standard[0] * 7 * np.pi / 9, rel=0.02)
    night = sky_of(-18, 1.0)
    assert np.isfinite(night).all()
    assert (night >= 0).all()


def test_stars_come_out_and_clouds_hide_them():
    def points(environment):
        high = environment[:128] @ daylight.LUMINANCE
        return int((high > 5 * np.median(high)).sum())

    assert points(sky_of(-18, 0.0)) > 200
    assert points(sky_of(-18, 1.0)) == 0
    assert points(sky_of(-3, 0.0)) == 0


# A pole on level ground, seen from above.
SIDE, ACROSS, TALL = 96, 12.0, 1.0


def pole() -> World:
    floor = quad([(-40, -40, 0), (40, -40, 0), (40, 40, 0), (-40, 40, 0)]).tinted((0.5, 0.5, 0.5))
    post = box((-0.15, -0.15, 0), (0.15, 0.15, TALL)).tinted((0.02, 0.02, 0.02))
    parts = [MeshPart(Material("floor", specular=0.0), floor), MeshPart(Material("post", specular=0.0), post)]
    haze = Haze(color=(0.2, 0.2, 0.2), density=1e-6)
    spec = WorldSpec(caption="x", sky=SKY, haze=haze, blocks=[{"kind": "none"}])
    return World("test", spec, parts, [], sky_of(40), np.zeros((5, 5), np.float32), 1.0)


def from_above() -> View:
    axes = np.array([[1.0, 0, 0], [0, -1.0, 0], [0, 0, -1.0]])
    return View(np.array([0, 0, 60.0]), axes, SIDE * 60 / ACROSS, (SIDE, SIDE))


@pytest.fixture(scope="module")
def ground(engine) -> WorldRenderer:
    return WorldRenderer(pole())


def seen_from_above(ground: WorldRenderer, **levels: float):
    ground.change(WorldConditions(**levels))
    return ground.render(from_above(), 64, 3).color @ daylight.LUMINANCE


@pytest.mark.parametrize(("elevation", "azimuth"), [(30, 0), (30, 90), (20, 135), (45, 180), (60, 250)])
def test_shadows_fall_where_the_sun_says(ground, elevation, azimuth):
    light = seen_from_above(ground, sun_elevation=elevation, sun_azimuth=azimuth, overcast=0.0)
    dark = light < 0.5 * np.median(light)
    v, u = np.nonzero(dark)
    x, y = ((u + 0.5) / SIDE - 0.5) * ACROSS, (0.5 - (v + 0.5) / SIDE) * ACROSS
    # 0 is behind the scene, +y, and 90 at its right, +x: shadows fall the other way.
    away = -np.array([np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))])
    along, aside = x * away[0] + y * away[1], x * away[1] - y * away[0]
    length = TALL / np.tan(np.radians(elevation))
    assert along.max() == pytest.approx(length + 0.18, abs=0.2)
    assert along.min() > -0.35
    assert np.abs(aside).max() < 0.4


def test_shadows_fade_as_clouds_close(ground):
    contrast = []
    for share in (0.0, 0.5, 0.8, 1.0):
        light = seen_from_above(ground, sun_elevation=30, sun_azimuth=90, overcast=share)
        shadow = light[SIDE // 2 - 1 : SIDE // 2 + 1, 38:43].mean()
        contrast.append(1 - shadow / np.median(light))
    assert contrast[0] > 0.7
    assert contrast == sorted(contrast, reverse=True)
    assert contrast[-1] < 0.25, "what the post itself hides of a sky without a sun"


def test_ground_in_pictures_is_as_bright_as_the_sun_says(ground):
    bright = {h: float(np.median(seen_from_above(ground, sun_elevation=h))) for h in (60, 20, 0, -6)}
    for h, value in bright.items():
        expected = daylight.illuminance(h) / daylight.illuminance(60)
        assert value / bright[60] == pytest.approx(expected, rel=0.06), h


def test_haze_follows_the_horizon():
    world = pole()
    dusk = sunlit(world, -3, None, None)
    below = daylight.illuminance(-3) / daylight.illuminance(40)
    assert max(dusk.spec.haze.color) < 0.2 * 60 * below
    assert min(dusk.spec.haze.color) > 0
    assert dusk.exposure == world.exposure
    assert sunlit(world, None, None, None) is world


def lamps_and_sky(sky: float = 1.0) -> World:
    from tests.engines.tracer_scenes import POINT, SPOT, everything

    world = everything((SPOT, POINT), 3.0, sky)
    spec = world.spec.model_copy(update={"sky": SKY})
    window = [replace(p, material=replace(p.material, lamp=p.material.name != "panel")) for p in world.parts]
    return replace(world, spec=spec, parts=window)


DUSK = WorldConditions(sun_elevation=-4, sun_azimuth=30, overcast=0.4, lamps=0.5)
STATES = [
    WorldConditions(sun_elevation=25), WorldConditions(lamps=0), DUSK, WorldConditions(), WorldConditions(overcast=1),
]  # fmt: skip


@pytest.mark.skipif(probe().chosen == "scalar_rgb", reason="needs the tracer")
@pytest.mark.parametrize("one_scene", [False, True])
def test_a_change_of_light_leaves_nothing_behind(engine, one_scene):
    from tests.engines.tracer_scenes import camera, character, figure, made_of
    from torchmultiverse.engines.builtin.tracer import Tracer

    world = lamps_and_sky()
    cast = [character(-0.2), made_of(figure(2.0), 1.0)]
    used = Tracer(world, one_scene=one_scene)
    used.set_characters(cast)
    for asked in STATES:
        if used.relight(lit(world, asked)):
            used.set_characters(cast)
        fresh = Tracer(lit(world, asked), one_scene=one_scene)
        fresh.set_characters(cast)
        found, expected = used.render(camera(), 8, 1), fresh.render(camera(), 8, 1)
        assert np.array_equal(found.color, expected.color), asked
        assert np.array_equal(found.instance, expected.instance), asked


def test_a_light_keeps_the_meshes_that_are_loaded(engine):
    world = lamps_and_sky()
    dark = with_lamps(world, 0)
    assert all(new.mesh is old.mesh for new, old in zip(dark.parts, world.parts, strict=True))
    own = WorldRenderer(world)
    with pytest.raises(ValueError, match="meshes"):
        own._renderer.relight(lamps_and_sky())


@pytest.mark.parametrize("factor", [0.25, 3.0])
def test_lamps_shine_by_their_factor(engine, factor):
    from tests.engines.tracer_scenes import camera

    world = lamps_and_sky(0.0)
    world = replace(world, parts=[p for p in world.parts if p.material.name != "panel"])
    own = WorldRenderer(world)
    before = own.render(camera(), 16, 2).color
    own.change(WorldConditions(lamps=factor))
    assert own.render(camera(), 16, 2).color == pytest.approx(before * factor, rel=1e-3, abs=1e-6)
    own.change(WorldConditions(lamps=0))
    assert not own.render(camera(), 16, 2).color.any()


def test_the_light_of_windows_is_no_lamps():
    world = lamps_and_sky()
    emission = {p.material.name: p.material.emission for p in with_lamps(world, 2).parts}
    assert (emission["panel"], emission["sign"]) == (3.0, 6.0)


def pictured(engine, **levels):
    scene = Scene({"World_Name": "SaltFlats", "Character_Name": "Zebra"}).changed(**levels)
    (frame,) = engine.render([scene], RenderOptions((64, 64), ("rgb", "mask", "depth", "normals"), samples=4))
    return frame


def test_light_leaves_labels_and_goes_back(engine):
    plain = pictured(engine)
    for levels in ({"Sun_Elevation": 10}, {"Sun_Azimuth": 200}, {"Overcast": 1}, {"Sun_Elevation": -6}):
        found = pictured(engine, **levels)
        assert np.abs(found.array().astype(int) - plain.array()).mean() > 2, levels
        for name in ("mask", "depth", "normals"):
            assert np.array_equal(found.array(name), plain.array(name)), (levels, name)
        assert pictured(engine).sha256() == plain.sha256()
        assert found.sha256() == pictured(engine, **levels).sha256()


@pytest.mark.slow
def test_the_scalar_variant_changes_its_light_as_well(tmp_path):
    import subprocess
    import sys

    code = (
        "from torchmultiverse.engines import RenderOptions\n"
        "from torchmultiverse.engines.builtin import BuiltinEngine\n"
        "from torchmultiverse.scenes import Scene\n"
        "def shown(engine, **levels):\n"
        "    scene = Scene({'World_Name': 'TokyoDay', 'Character_Name': 'Zebra'}).changed(**levels)\n"
        "    return next(engine.render([scene], RenderOptions((32, 32), samples=2))).sha256()\n"
        "used = BuiltinEngine('scalar_rgb', denoise=False)\n"
        "kept = [shown(used, **levels) for levels in ({}, {'Sun_Elevation': 8}, {'Lamps': 0}, {'Overcast': 1}, {})]\n"
        "assert kept[0] == kept[4] and len(set(kept)) == 4, kept\n"
        "assert shown(BuiltinEngine('scalar_rgb', denoise=False), Lamps=0) == kept[2]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


@pytest.mark.parametrize(
    ("world", "levels", "said"),
    [
        ("Museum", {"Sun_Elevation": 30}, "Sun_Elevation = 30: Museum is a closed room"),
        ("SpaceIsland", {"Overcast": 0.5}, "Overcast = 0.5: SpaceIsland is in space"),
        ("OceanFloor", {"Sun_Azimuth": 5}, "Sun_Azimuth = 5: OceanFloor is under water"),
        ("OceanFloor", {"Lamps": 0}, "Lamps = 0: OceanFloor has none"),
        ("SaltFlats", {"Lamps": 2}, "Lamps = 2: SaltFlats has none; leave it 1"),
    ],
)
def test_what_means_nothing_in_a_world_is_refused(world, levels, said):
    spec, _ = load_spec(world)
    bare = World(world, spec, [], [], np.ones((16, 32, 3), np.float32), np.zeros((2, 2), np.float32), 1.0)
    with pytest.raises(SpecError, match=said):
        lit(bare, world_conditions_of(Scene({"World_Name": world}).changed(**levels)))


def test_a_refusal_leaves_the_engine_as_it_was(engine):
    plain = pictured(engine)
    assert "Lamps = 2" in str(pictured(engine, Lamps=2).error())
    assert pictured(engine).sha256() == plain.sha256()


def test_every_world_says_whether_it_has_a_sun():
    page = (data_folder("scenes").parent / "docs" / "conditions.md").read_text()
    sunless = []
    for name in world_names():
        spec, _ = load_spec(name)
        assert spec.sky.kind == "daylight" or spec.no_sun, f"{name}: say why a sun cannot be moved (no_sun)"
        sunless += [name] if spec.no_sun else []
    (line,) = (line for line in page.splitlines() if line.startswith("Without a sun:"))
    assert sorted(line.removeprefix("Without a sun:").strip(" .").replace(" and ", ", ").split(", ")) == sunless


def test_worlds_of_others_say_whose_light_they_have():
    from torchmultiverse.assets import environment

    made = environment.world("map", np.ones((32, 64, 3), np.float32), "x", 0.0)
    assert "photographed" in (why_no_sun(made.spec) or "")
    assert not has_lamps(made)


def test_a_spec_that_asks_for_a_sun_indoors_is_refused_before_anything_is_drawn(engine):
    catalogue = engine.catalogue()
    assert {"Desert", "Museum", "Opera"} & set(catalogue.factors["Overcast"].only) == {"Desert"}
    catalogue.check(Scene({"World_Name": "Desert", "Sun_Elevation": 12}))
    with pytest.raises(
        SpecError, match=r"Sun_Elevation = 12: it means nothing in world 'Museum'.*must have its default"
    ):
        catalogue.check(Scene({"World_Name": "Museum", "Sun_Elevation": 12}))
    worlds = {"World_Name": ["Museum", "Desert", "Opera"]}
    design = parse_spec({**worlds, "Overcast": ["own", 0.5]}).build()
    with pytest.raises(SpecError, match=r"Overcast = 0\.5: it means nothing in world 'Museum' and 1 more worlds"):
        catalogue.check(design)
    catalogue.check(parse_spec(worlds).build())


def test_the_light_of_fog_is_that_of_the_changed_sky(ground):
    from torchmultiverse.engines.builtin.surround import mean_light

    bright = {}
    for elevation in (40, -4):
        ground.change(WorldConditions(sun_elevation=elevation))
        bright[elevation] = float(mean_light(ground.surround()) @ daylight.LUMINANCE)
    expected = daylight.illuminance(-4) / daylight.illuminance(40)
    assert bright[-4] / bright[40] == pytest.approx(expected, rel=0.5)
