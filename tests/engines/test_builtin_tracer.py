"""The path tracer. What could silently be wrong: light that is counted twice, lost, or weighted by a density that is
not the one it was sampled with. The picture would still look like one, only too bright or too dark in places. So it is
compared with Mitsuba's own path tracer on a scene that has every kind of surface, texture and light.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from torchmultiverse.engines.builtin.mesh import Material, MeshPart, quad
from torchmultiverse.engines.builtin.variant import activate, probe

if probe().chosen == "scalar_rgb":
    pytest.skip("only the scalar variant works here, which does not use it", allow_module_level=True)
activate()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402
from tracer_scenes import (  # noqa: E402
    IMAGE,
    POINT,
    SIDE,
    SPOT,
    agree,
    blocks,
    camera,
    character,
    environment,
    everything,
    figure,
    made_of,
)

from torchmultiverse.engines.builtin import tracer  # noqa: E402
from torchmultiverse.engines.builtin.tracer.bsdf import Bsdf, SurfaceInteraction  # noqa: E402
from torchmultiverse.engines.builtin.tracer.sampling import LatticeSampler, unit_float  # noqa: E402


@pytest.mark.parametrize(
    ("lights", "emission", "sky"),
    [((), 0.0, 1.0), ((SPOT, POINT), 0.0, 0.02), ((IMAGE,), 0.0, 0.02), ((), 4.0, 0.02), ((SPOT,), 1.0, 0.3)],
    ids=["sky", "lamps", "image", "surfaces", "all"],
)
def test_the_light_is_that_of_mitsubas_path_tracer(lights, emission, sky):
    agree(everything(lights, emission, sky), [character(-0.2), None])


@pytest.mark.parametrize("emission", [0.0, 1.0])
def test_parts_of_characters_look_as_mitsubas(emission):
    """Silently wrong otherwise: a part with the material of another, light that a part emits found twice."""
    agree(everything((SPOT,), emission, 0.3), [made_of(figure(0.5), -0.6), made_of(figure(), 0.7)])


def test_a_texture_is_multiplied_with_the_colours_of_the_vertices():
    world = everything()
    texture = np.random.default_rng(3).integers(30, 230, (16, 16, 3)).astype(np.uint8)
    plate = quad([(-1, 0, 0.1), (1, 0, 0.1), (1, 0, 1.5), (-1, 0, 1.5)])
    tint = np.array([0.5, 0.25, 1.0], np.float32)
    albedo = []
    for mesh in (plate, plate.tinted(tint)):
        own = tracer.Tracer(world)
        own.set_characters([made_of([MeshPart(Material("plate", color=texture), mesh)]), None])
        found = own.render(camera(), 16, 0)
        albedo.append(found.albedo[found.instance == 1])
    plain, tinted = albedo
    # Most pixels; those at the edge have something of the world in them.
    assert np.median(tinted / plain, axis=0) == pytest.approx(tint, rel=0.001)


def test_parts_of_one_character_are_one_instance():
    own = tracer.Tracer(everything())
    own.set_characters([made_of(figure(), -0.8), character(0.9)])
    whole = own.render(camera(), 2, 0)
    own.set_characters([replace(made_of(figure(), -0.8), parts=()), character(0.9)])
    one = own.render(camera(), 2, 0)
    assert {0, 1, 2} == set(np.unique(whole.instance))
    for name in ("instance", "distance", "shading_normal"):
        assert np.array_equal(getattr(whole, name), getattr(one, name)), name


@pytest.mark.parametrize(
    ("material", "roughness"),
    [
        (Material("a", specular=0.3), 0.8),
        (Material("b", specular=0.8), 0.15),
        (Material("c", specular=0.5, metallic=1.0), 0.3),
        (Material("d", specular=0.0), 0.5),
    ],
)
def test_a_surface_reflects_what_mitsubas_does_and_samples_as_it_says(material, roughness):
    n = 1 << 20
    color, normal = mi.Color3f(0.7, 0.4, 0.1), mi.Vector3f(0, 0, 1)
    eta = 2 / (1 - np.sqrt(0.08 * material.specular)) - 1
    wi = dr.normalize(mi.Vector3f(0.6, -0.3, 0.5))
    fixed = (
        mi.Point3f(0),
        normal,
        normal,
        normal,
        color,
        mi.Float(roughness),
        mi.Float(eta),
        mi.Float(material.metallic),
    )
    surface = SurfaceInteraction(*fixed, mi.Bool(material.specular <= 0), mi.Color3f(0), mi.Float(0))
    own = Bsdf(surface, -wi)
    if material.specular > 0:
        kind = {
            "type": "principled",
            "specular": material.specular,
            "metallic": material.metallic,
            "roughness": roughness,
        }
        theirs = mi.load_dict({**kind, "base_color": {"type": "rgb", "value": [0.7, 0.4, 0.1]}})
    else:
        theirs = mi.load_dict({"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.7, 0.4, 0.1]}})
    u = [mi.Float(np.random.default_rng(k).random(n).astype(np.float32)) for k in range(3)]
    even = mi.warp.square_to_uniform_hemisphere(mi.Point2f(u[0], u[1]))
    si = dr.zeros(mi.SurfaceInteraction3f, n)
    si.wi = wi
    value, density = own.eval(even)
    expected = theirs.eval(mi.BSDFContext(), si, even)
    assert np.allclose(np.array(value), np.array(expected), rtol=2e-3, atol=2e-4)
    # Its directions have the density it says: both ways to integrate give the same.
    total = np.array(value).mean(1) * 2 * np.pi
    out = own.sample(*u)
    value, density = own.eval(out)
    weights = np.array(dr.select(density > 0, value / dr.maximum(density, 1e-12), 0))
    assert weights.mean(1) == pytest.approx(total, rel=0.03)
    assert np.mean(np.array(own.eval(even)[1])) * 2 * np.pi <= 1.05


def test_the_sky_is_sampled_with_the_density_it_says():
    lights = tracer.Tracer(everything()).lights
    n = 1 << 16
    u = [mi.UInt32(np.random.default_rng(k).integers(0, 2**32, n).astype(np.uint32)) for k in range(2)]
    p = mi.Point3f(0, 0, 1)
    d, _, value, density, _ = lights.sample(p, (mi.UInt32(0), mi.Float(1)), u, None, mi.Bool(True))
    again = lights.sky(d, mi.Bool(True))[1]
    assert (np.abs(np.array(again) / np.array(density) - 1) < 1e-3).mean() > 0.995
    even = mi.warp.square_to_uniform_sphere(mi.Point2f(unit_float(u[0]), unit_float(u[1])))
    assert np.array(lights.sky(even, mi.Bool(True))[1]).mean() * 4 * np.pi == pytest.approx(1, rel=0.2)
    sky = environment().astype(float)
    solid = np.sin(np.pi * (np.arange(64) + 0.5) / 64)[:, None, None] * (np.pi / 64) * (2 * np.pi / 128)
    assert np.array(value).mean(1) == pytest.approx((sky * solid).sum((0, 1)), rel=0.02)


def test_one_ray_tracing_scene_gives_what_two_give():
    world, characters = everything((SPOT,), 1.0, 0.3), [character(-0.8), character(0.9)]
    pictures = []
    for one_scene in (False, True):
        own = tracer.Tracer(world, one_scene=one_scene)
        own.set_characters(characters)
        pictures.append(own.render(camera(), 64, 3))
    two, one = pictures
    assert (two.instance == one.instance).mean() > 0.99
    assert {0, 1, 2} == set(np.unique(one.instance))
    assert np.abs(two.albedo - one.albedo).mean() < 0.005
    assert np.abs(two.color - one.color).mean() < 0.03 * two.color.mean()


@pytest.mark.parametrize("one_scene", [False, True])
def test_a_change_of_characters_compiles_no_kernel(one_scene):
    """Silently slow otherwise: each mesh has a number of its own, and a kernel that knows it serves one mesh only."""
    own, kept = tracer.Tracer(everything(), one_scene=one_scene), []
    with dr.scoped_set_flag(dr.JitFlag.KernelHistory, True):
        for k in range(3):
            own.set_characters([character(k / 5), character(-k / 5)])
            kept.append(mi.load_dict({"type": "sphere"}))  # so that the next mesh has another number
            dr.kernel_history_clear()
            own.render(camera(), 2, 0)
            found = [kernel["hash"] for kernel in dr.kernel_history() if kernel["type"] == dr.KernelType.JIT]
            assert len(found) > 1
            kept.append(found)
    assert kept[1] == kept[3] == kept[5]


def test_a_change_of_characters_leaves_nothing_behind():
    world = everything((SPOT,), 1.0, 0.3)
    fresh, used = tracer.Tracer(world), tracer.Tracer(world)
    for characters in ([character(0.5), None], [None, character(-0.5)], [None, None]):
        used.set_characters(characters)
        used.render(camera(), 2, 0)
    for own in (fresh, used):
        own.set_characters([character(0.1), None])
    a, b = fresh.render(camera(), 4, 7), used.render(camera(), 4, 7)
    for name in ("color", "albedo", "normal", "instance", "distance", "shading_normal"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


def test_rounds_of_samples_are_of_one_picture(monkeypatch):
    own = tracer.Tracer(everything())
    own.set_characters([character(), None])
    whole = own.render(camera(), 256, 1)
    monkeypatch.setattr(tracer.tracer, "WAVEFRONT", SIDE * SIDE * 64)
    parts = own.render(camera(), 256, 1)
    assert np.abs(blocks(whole.color) - blocks(parts.color)).mean() < 0.02 * whole.color.mean()
    assert np.array_equal(whole.instance, parts.instance)


def test_the_points_of_a_pixel_fill_the_square():
    points = LatticeSampler(64 * 16, 16, 9)
    for dimension in (0, 5):
        x, y = (np.array(c).reshape(64, 16) for c in points.floats(mi.UInt32(dimension)))
        # In each pixel, every sixth of the way has a sample on both axes, and by chance alone often has none.
        for values in (x, y):
            filled = [len(np.unique((row * 6).astype(int))) for row in values]
            assert np.mean(filled) > 5.8
        assert abs(np.corrcoef(x.ravel(), y.ravel())[0, 1]) < 0.1
