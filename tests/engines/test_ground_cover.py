"""Wet and white ground. What could silently be wrong: a share of snow that is another share, snow below roofs or on
characters, water that is no mirror, or a dry world that is drawn otherwise.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from torchmultiverse.engines.builtin.mesh import Material, MeshPart, box, quad
from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.renderer import CharacterInstance, WorldRenderer
from torchmultiverse.engines.builtin.tracer.cover import standing
from torchmultiverse.engines.builtin.variant import activate
from torchmultiverse.engines.builtin.world import World, WorldSpec
from torchmultiverse.engines.builtin.world_conditions import WorldConditions
from torchmultiverse.errors import SpecError

SIDE = 96
GREY = 0.3
DOWN = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])


def flat(low: tuple[float, float], high: tuple[float, float], z: float):
    (a, b), (c, d) = low, high
    return quad([(a, b, z), (c, b, z), (c, d, z), (a, d, z)]).tinted((GREY,) * 3)


def world(ground: float = GREY) -> World:
    """Open ground, a roof of 8 x 8 metres on the right, a pond at the left, under an even sky of 1."""
    plain = flat((-40, -40), (40, 40), 0.0).tinted((ground / GREY,) * 3)
    parts = [
        MeshPart(Material("ground", specular=0.0), plain),
        MeshPart(Material("roof", specular=0.0), box((4, -4, 3.0), (12, 4, 3.2)).tinted((GREY,) * 3)),
        MeshPart(Material("water 0", specular=0.0), flat((-12, -3), (-6, 3), 0.01)),
    ]
    spec = WorldSpec(caption="x", blocks=[{"kind": "none"}])
    sky = np.ones((16, 32, 3), np.float32)
    return World("x", spec, parts, [], sky, np.zeros((5, 5), np.float32), 1.0)


@pytest.fixture(scope="module")
def renderer() -> WorldRenderer:
    activate("llvm_ad_rgb")
    return WorldRenderer(world())


def above(x: float, y: float, z: float, metres: float) -> View:
    """Return a view from above that is so many metres wide."""
    return View(np.array([x, y, z]), DOWN, SIDE * z / metres, (SIDE, SIDE))


def albedo(renderer: WorldRenderer, view: View, **levels: float) -> np.ndarray:
    renderer.change(WorldConditions(**levels))
    return renderer.render(view, 4, 0).albedo[..., 0]


@pytest.mark.parametrize("level", [0.1, 0.25, 0.5, 0.75, 0.9, 1.0])
def test_the_white_share_is_the_level(renderer, level):
    # Of an area a few metres wide, each pixel of which may be white in part.
    for x, y, metres in ((-16, 20, 12.8), (-16, 20, 5.0), (3, -16, 5.0)):
        found = albedo(renderer, above(x, y, 20.0, metres), snow_cover=level)
        white = (found - GREY).mean() / (0.86 - GREY)
        assert white == pytest.approx(level, abs=0.02 if metres > 10 else 0.06)
    assert found.max() == pytest.approx(0.86, abs=0.01)
    assert found.min() == pytest.approx(GREY if level < 1 else 0.86, abs=0.02)


def test_there_is_no_snow_below_roofs_nor_on_walls_water_and_characters(renderer):
    on_roof = albedo(renderer, above(8, 0, 20.0, 6.0), snow_cover=1.0)
    assert on_roof == pytest.approx(0.86, abs=0.01), "it lies on the roof"
    below = View(np.array([8.0, 0, 2.9]), DOWN, 96.0, (SIDE, SIDE))
    assert albedo(renderer, below, snow_cover=1.0) == pytest.approx(GREY, abs=0.01)
    assert albedo(renderer, above(-9, 0, 20.0, 4.0), snow_cover=1.0) == pytest.approx(GREY, abs=0.01)
    wall = View(np.array([8.0, -9, 3.1]), np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), 4e3, (SIDE, SIDE))
    assert albedo(renderer, wall, snow_cover=1.0) == pytest.approx(GREY, abs=0.01)
    body = box((-1, -1, 0.0), (1, 1, 1.0))
    count = len(body.vertices)
    grey = np.full((count, 3), 0.5, np.float32)
    assert body.normals is not None
    someone = CharacterInstance(body.vertices, body.faces, body.normals, grey, np.full(count, 0.5, np.float32))
    renderer.change(WorldConditions(snow_cover=1.0))
    renderer.set_characters([someone])
    assert albedo(renderer, above(0, 0, 20.0, 1.5), snow_cover=1.0) == pytest.approx(0.5, abs=0.01)
    renderer.set_characters([])


@pytest.mark.parametrize("wetness", [0.2, 0.6, 1.0])
def test_wet_ground_is_as_dark_as_lekner_and_dorf_say(renderer, wetness):
    found = albedo(renderer, above(-16, 20, 20.0, 16.0), wetness=wetness)
    reflected, above_it = 1 - (1 - 0.066) / 1.333**2, ((1.333 - 1) / (1.333 + 1)) ** 2
    soaked = (1 - above_it) * GREY * (1 - reflected) / (1 - reflected * GREY)
    assert found == pytest.approx(GREY + (soaked - GREY) * wetness, abs=0.005)


def test_water_that_stands_mirrors_as_fresnel_says():
    activate("llvm_ad_rgb")
    black = WorldRenderer(world(0.0))
    black.change(WorldConditions(wetness=1.0))
    # From 1.5 m above the ground, 10 degrees down to it.
    c, s = np.cos(np.radians(10)), np.sin(np.radians(10))
    view = View(np.array([0, -20, 1.5]), np.array([[1.0, 0, 0], [0, -s, -c], [0, c, -s]]), 2e3, (SIDE, SIDE))
    seen = black.render(view, 64, 0).color[..., 0]
    cos_i = s
    cos_t = np.sqrt(1 - (1 - cos_i**2) / 1.333**2)
    across = ((cos_i - 1.333 * cos_t) / (cos_i + 1.333 * cos_t)) ** 2
    along = ((1.333 * cos_i - cos_t) / (1.333 * cos_i + cos_t)) ** 2
    assert np.percentile(seen, 90) == pytest.approx((across + along) / 2, rel=0.05)
    black.change(WorldConditions())
    assert black.render(view, 4, 0).color.max() < 1e-3


def test_more_water_stands_the_wetter_it_is():
    assert [standing(wetness) for wetness in (0.0, 0.2, 0.6, 1.0)] == pytest.approx([0, 0, 0.275, 0.55])


def test_a_dry_world_is_drawn_as_ever(renderer):
    renderer.change(WorldConditions())
    before = renderer.render(above(0, 0, 20.0, 30.0), 2, 3).color
    renderer.change(WorldConditions(wetness=0.5, snow_cover=0.5))
    covered = renderer.render(above(0, 0, 20.0, 30.0), 2, 3).color
    renderer.change(WorldConditions())
    assert np.array_equal(renderer.render(above(0, 0, 20.0, 30.0), 2, 3).color, before)
    assert not np.array_equal(covered, before)
    fresh = WorldRenderer(world())
    fresh.change(WorldConditions(wetness=0.5, snow_cover=0.5))
    assert np.array_equal(fresh.render(above(0, 0, 20.0, 30.0), 2, 3).color, covered), "whatever was drawn before"


def test_the_slow_variant_says_that_it_has_none():
    from torchmultiverse.engines.builtin.renderer import ScalarRenderer

    renderer = WorldRenderer.__new__(WorldRenderer)
    renderer._renderer = ScalarRenderer.__new__(ScalarRenderer)
    with pytest.raises(SpecError, match=r"Snow_Cover = 0.5: scalar_rgb draws none"):
        renderer.change(replace(WorldConditions(), snow_cover=0.5))
