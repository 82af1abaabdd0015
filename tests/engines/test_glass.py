"""Glass on characters. What could silently be wrong: light that is lost or made inside glass, so that it is slightly
too dark or too bright; the wrong side taken for the inside; glass that hides what is behind it from light or the eye.
All of that still looks like glass.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from torchmultiverse.engines.builtin.mesh import Material, MeshPart, ball, box, quad
from torchmultiverse.engines.builtin.variant import activate, probe

if probe().chosen == "scalar_rgb":
    pytest.skip("only the scalar variant works here, which has a path tracer of its own", allow_module_level=True)
activate()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402
from tracer_scenes import SPOT, camera, character, everything, furnace, made_of  # noqa: E402

from torchmultiverse.engines.builtin import tracer  # noqa: E402
from torchmultiverse.engines.builtin.tracer.glass import reflectance  # noqa: E402


def glass(index, color=(1.0, 1.0, 1.0), roughness=0.02, mesh=None):
    mesh = ball(48, 64).moved((0, 0, 0.6), 0.6) if mesh is None else mesh
    return [MeshPart(Material("glass", glass=index, roughness=roughness), mesh.tinted(color))]


def pictured(world, parts, other=None, samples=64, one_scene=None):
    own = tracer.Tracer(world, one_scene=one_scene)
    own.set_characters([made_of(parts), other])
    return own.render(camera(), samples, 5)


@pytest.mark.parametrize("index", [1.5, 1.33, -1.5])
@pytest.mark.parametrize("roughness", [0.02, 0.5])
def test_clear_glass_neither_takes_nor_gives_light(index, roughness):
    found = pictured(furnace(), glass(index, roughness=roughness))
    assert (found.instance == 1).sum() > 20
    assert found.color == pytest.approx(1, abs=1e-3)


def test_a_slab_lets_through_its_colour_by_a_tenth_of_a_metre():
    """Seen at a right angle, with all reflections between both sides added up."""
    color, r, thickness = np.array([0.8, 0.5, 0.2]), 0.04, 0.2
    slab = box((-2, -thickness / 2, -2), (2, thickness / 2, 4))
    axes = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    view = replace(camera(), position=np.array([0, -5.0, 1]), rotation=axes, focal=2000.0)
    own = tracer.Tracer(furnace())
    own.set_characters([made_of(glass(1.5, color, 0.0, slab)), None])
    kept = color**2
    through = (1 - r) ** 2 * kept / (1 - (r * kept) ** 2)
    back = r + r * (1 - r) ** 2 * kept**2 / (1 - (r * kept) ** 2)
    assert own.render(view, 256, 0).color.mean((0, 1)) == pytest.approx(through + back, abs=0.01)


def test_a_pane_lets_through_its_colour_whatever_its_thickness():
    color = np.array([0.8, 0.5, 0.2])
    pane = quad([(-2, 0, -2), (2, 0, -2), (2, 0, 4), (-2, 0, 4)])
    axes = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    view = replace(camera(), position=np.array([0, -5.0, 1]), rotation=axes, focal=2000.0)
    own = tracer.Tracer(furnace())
    own.set_characters([made_of(glass(-1.5, color, 0.0, pane)), None])
    r = 2 * 0.04 / 1.04
    assert own.render(view, 256, 0).color.mean((0, 1)) == pytest.approx(r + (1 - r) * color, abs=0.01)


@pytest.mark.parametrize("eta", [1 / 1.5, 1.5])
def test_interfaces_reflect_what_fresnel_says(eta):
    cosine = dr.linspace(mi.Float, 0.01, 1, 200)
    mine, inner = reflectance(cosine, mi.Float(eta))
    expected, cos_t, _, _ = mi.fresnel(cosine, mi.Float(1 / eta))
    assert np.array(mine) == pytest.approx(np.array(expected), abs=1e-4)
    assert np.array(inner) == pytest.approx(np.abs(np.array(cos_t)), abs=1e-4)


@pytest.mark.parametrize("index", [1.5, -1.5])
def test_masks_depths_and_normals_are_those_of_the_glass_itself(index):
    world, parts = everything(), glass(index)
    opaque = [replace(parts[0], material=replace(parts[0].material, glass=0.0))]
    clear, solid = (pictured(world, p, character(1.0), 4) for p in (parts, opaque))
    assert (clear.instance == 1).sum() > 10
    for name in ("instance", "distance", "shading_normal"):
        assert np.array_equal(getattr(clear, name), getattr(solid, name)), name
    inside = clear.instance == 1
    assert np.median(clear.albedo[inside]) == 1


@pytest.mark.parametrize("index", [1.5, -1.5])
def test_glass_in_one_ray_tracing_scene_is_as_in_scenes_of_its_own(index):
    """On CUDA all is one scene, and rays that glass must not stop go on behind it."""
    world = everything((SPOT,), 1.0, 0.3)
    two, one = (pictured(world, glass(index, (0.5, 0.9, 0.7)), character(0.5), 64, k) for k in (False, True))
    for name in ("instance", "distance"):
        assert (getattr(two, name) == getattr(one, name)).mean() > 0.99, name
    assert np.abs(two.color - one.color).mean() < 0.01 * two.color.mean()


def test_what_stands_behind_a_pane_is_seen_and_lit():
    """A character behind a clear pane that fills the picture is where it is without it, a little darker."""
    world = everything((SPOT,), 0.0, 0.3)
    pane = quad([(-9, -1.5, -9), (9, -1.5, -9), (9, -1.5, 9), (-9, -1.5, 9)])
    own = tracer.Tracer(world)
    own.set_characters([None, character(0.2)])
    bare = own.render(camera(), 256, 2)
    own.set_characters([made_of(glass(-1.5, roughness=0.0, mesh=pane)), character(0.2)])
    behind = own.render(camera(), 256, 2)
    assert (behind.instance == 1).mean() > 0.7
    body = (bare.instance == 2) & (behind.instance == 1)
    assert body.sum() >= 10
    r = 2 * 0.04 / 1.04
    # What passes twice, as light and to the eye, and what the pane reflects of the dim sky behind the eye.
    ratio = behind.color[body].mean() / bare.color[body].mean()
    assert (1 - r) ** 2 * 0.98 < ratio < 1.02


def test_shadows_have_the_colour_of_the_glass():
    world = everything((replace(SPOT, position=(0.0, -1.0, 4.0)),), 0.0, 0.02)
    found = {}
    for name, parts in {
        "none": [],
        "clear": glass(1.5, mesh=ball(24, 32).moved((0, 0, 1.8), 0.4)),
        "red": glass(1.5, (0.9, 0.3, 0.3), mesh=ball(24, 32).moved((0, 0, 1.8), 0.4)),
    }.items():
        own = tracer.Tracer(world)
        own.set_characters([made_of(parts) if parts else None, None])
        below = replace(camera(), focal=camera().focal * 0.9)
        picture = own.render(below, 256, 1)
        found[name] = np.where((picture.instance == 0)[..., None], picture.color, 0)
    seen = (found["none"] > 0) & (found["clear"] > 0)
    shade = np.where(seen, found["red"] / np.maximum(found["none"], 1e-6), 1)
    darkest = np.unravel_index(shade[..., 1].argmin(), shade.shape[:2])
    assert shade[darkest][1] < 0.6 < shade[darkest][0]
    clear = np.where(seen, found["clear"] / np.maximum(found["none"], 1e-6), 1)
    assert clear[darkest] == pytest.approx((1 - 2 * 0.04 / 1.04) * np.ones(3), abs=0.06)


def test_a_change_of_glass_compiles_no_kernel():
    own, kept = tracer.Tracer(everything()), []
    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        for k in range(3):
            own.set_characters([made_of(glass(1.4 + k / 10, (0.5 + k / 10,) * 3)), character(k / 3)])
            dr.kernel_history_clear()
            own.render(camera(), 2, 0)
            kept.append([kernel["hash"] for kernel in dr.kernel_history() if kernel["type"] == dr.KernelType.JIT])
    assert len(kept[0]) > 1
    assert kept[0] == kept[1] == kept[2]
