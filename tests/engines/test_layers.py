"""Clear coats and translucent surfaces. What could silently be wrong: a coat that adds light instead of taking what it
reflects from what lies below, directions that are sampled with another density than is said, light that goes through
to the wrong side. All of that still looks like lacquer, or like a leaf.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from torchmultiverse.engines.builtin.mesh import Material, MeshPart, ball, quad
from torchmultiverse.engines.builtin.variant import activate, probe

if probe().chosen == "scalar_rgb":
    pytest.skip("only the scalar variant works here, which has a path tracer of its own", allow_module_level=True)
activate()

import drjit as dr  # noqa: E402
import mitsuba as mi  # noqa: E402
from tracer_scenes import SPOT, agree, camera, everything, furnace, made_of, mitsubas  # noqa: E402

from torchmultiverse.engines.builtin import tracer  # noqa: E402
from torchmultiverse.engines.builtin.tracer.bsdf import Bsdf, SurfaceInteraction  # noqa: E402

COUNT = 1 << 20
CASES = [(0.0, 0.0), (1.0, 0.0), (0.6, 0.0), (0.0, 0.4), (0.0, 1.0), (0.5, 0.5)]


def layered(coat: float, translucency: float, base=(0.7, 0.4, 0.1), roughness=0.6, specular=0.3, metallic=0.0) -> Bsdf:
    """A surface seen from above at an angle."""
    normal = mi.Vector3f(0, 0, 1)
    eta = 2 / (1 - np.sqrt(0.08 * specular)) - 1 if specular else 1.0
    lobes = (mi.Color3f(*base), mi.Float(roughness), mi.Float(eta), mi.Float(metallic), mi.Bool(specular <= 0))
    surface = SurfaceInteraction(mi.Point3f(0), normal, normal, normal, *lobes, mi.Color3f(0), mi.Float(0))
    surface = surface._replace(
        coat=mi.Float(coat) if coat else None, translucency=mi.Float(translucency) if translucency else None
    )
    return Bsdf(surface, -dr.normalize(mi.Vector3f(0.6, -0.3, 0.5)))


def numbers():
    return [mi.Float(np.random.default_rng(k).random(COUNT).astype(np.float32)) for k in range(3)]


@pytest.mark.parametrize(("coat", "translucency"), CASES)
@pytest.mark.parametrize("metallic", [0.0, 1.0])
def test_directions_have_the_density_that_is_said(coat, translucency, metallic):
    """Both ways to integrate over all directions give the same, and a density is one of probability."""
    own, u = layered(coat, translucency, metallic=metallic), numbers()
    even = mi.warp.square_to_uniform_sphere(mi.Point2f(u[0], u[1]))
    value, density = own.eval(even)
    # What facets send below the horizon is lost; the narrow lobe of a coat is found by chance rarely.
    assert 0.85 < np.array(density).mean() * 4 * np.pi < 1.06
    out = own.sample(*u)
    sampled, chance = own.eval(out)
    weights = np.array(dr.select(chance > 0, sampled / dr.maximum(chance, 1e-12), 0))
    for side in (1, -1):
        total = np.array(value) * (np.array(even.z) * side > 0) * 4 * np.pi
        found = weights * (np.array(out.z) * side > 0)
        assert found.mean(1) == pytest.approx(total.mean(1), rel=0.06 if coat else 0.03, abs=0.004)


@pytest.mark.parametrize(("coat", "translucency"), CASES)
def test_a_white_surface_gives_no_more_than_it_gets(coat, translucency):
    own, u = layered(coat, translucency, base=(1, 1, 1), specular=0.0), numbers()
    out = own.sample(*u)
    value, density = own.eval(out)
    whole = np.array(dr.select(density > 0, value / dr.maximum(density, 1e-12), 0)).mean(1)
    assert (whole < 1.005).all()
    # What a coat reflects it takes from below; between its two ways through the light of some bounces is left out.
    assert (whole > 1 - 0.2 * coat - 0.005).all()


@pytest.mark.parametrize("translucency", [0.3, 1.0])
def test_the_share_that_goes_through_is_the_one_that_is_said(translucency):
    own, u = layered(0.0, translucency, specular=0.0), numbers()
    out = own.sample(*u)
    value, density = own.eval(out)
    whole = np.array(dr.select(density > 0, value / dr.maximum(density, 1e-12), 0))
    assert whole[0].mean() == pytest.approx(0.7, rel=0.01)
    assert (whole[0] * (np.array(out.z) < 0)).mean() == pytest.approx(0.7 * translucency, rel=0.02)


def pictured(world, parts, samples=64):
    own = tracer.Tracer(world)
    own.set_characters([made_of(parts), None])
    return own.render(camera(), samples, 5)


def test_light_comes_through_a_leaf_and_not_through_a_board():
    """The sheet is between the eye and the only light, which is behind it."""
    sky = np.zeros((16, 32, 3), np.float32)
    azimuth = np.broadcast_to((np.arange(32) + 0.5) / 32 * 2 * np.pi, (16, 32))
    sky[np.sin(azimuth) > 0] = 1.0  # y > 0, and the camera stands at y < 0
    world = furnace(sky)
    sheet = quad([(-1, 0, 0.1), (1, 0, 0.1), (1, 0, 1.5), (-1, 0, 1.5)]).tinted((0.8, 0.4, 0.2))
    seen = []
    for translucency in (0.0, 0.5):
        found = pictured(world, [MeshPart(Material("sheet", specular=0.0, translucency=translucency), sheet)])
        seen.append(np.median(found.color[found.instance == 1], axis=0))
    board, leaf = seen
    assert board == pytest.approx(0, abs=1e-3)
    assert leaf == pytest.approx([0.4, 0.2, 0.1], rel=0.05)


def test_a_coat_shows_the_sky_over_a_dull_body():
    world = everything()
    body = ball(48, 64).moved((0, 0, 0.6), 0.6).tinted((0.1, 0.02, 0.02))
    plain, coated = (
        pictured(world, [MeshPart(Material("body", specular=0.0, coat=coat), body)], 256) for coat in (0.0, 1.0)
    )
    own = plain.instance == 1
    assert (coated.color[own] - plain.color[own]).mean(0) == pytest.approx([0.04, 0.04, 0.04], abs=0.025)
    assert np.median(coated.color[own][:, 2]) > 1.3 * np.median(plain.color[own][:, 2])


def test_what_has_neither_is_drawn_as_before():
    """The other materials of a scene do not change where one has a coat: their pixels are the same light."""
    world = everything()
    body = ball(24, 32).moved((0, 0, 0.6), 0.6).tinted((0.3, 0.3, 0.3))
    found = pictured(world, [MeshPart(Material("body"), body)])
    thin = pictured(
        world, [MeshPart(Material("body"), body), MeshPart(Material("far", coat=1), body.moved((0, 0, -99)))]
    )
    own = found.instance == 1
    assert thin.color[own] == pytest.approx(found.color[own], rel=1e-3, abs=1e-3)


def test_the_roughness_of_a_part_is_that_of_its_vertices():
    """Silently wrong otherwise: paint that is worn, or half polished, has one gloss all over."""
    world = everything((SPOT,), 0.0, 0.3)
    body = MeshPart(Material("body", roughness=0.5, specular=0.8), ball(24, 32).moved((0, 0, 0.6), 0.6))
    even = made_of([body])
    rough = np.linspace(0.1, 0.9, len(even.roughness)).astype(np.float32)
    worn = replace(even, roughness=rough)
    agree(world, [worn, None])
    pictures = []
    for one in (even, worn):
        own = tracer.Tracer(world)
        own.set_characters([one, None])
        pictures.append(own.render(camera(), 16, 5))
    own = pictures[0].instance == 1
    assert np.abs(pictures[0].color[own] - pictures[1].color[own]).max() > 0.02


@pytest.mark.parametrize("index", [1.5, -1.5])
def test_glass_is_about_that_of_mitsubas_path_tracer(index):
    """Without a compiler Mitsuba draws: glass there is as clear, though its shadows are not."""
    sky = furnace()
    body = ball(48, 64).moved((0, 0, 0.6), 0.6).tinted((0.9, 0.6, 0.3))
    parts = [MeshPart(Material("glass", glass=index, roughness=0.02), body)]
    found = pictured(sky, parts)
    own = found.instance == 1
    theirs = mitsubas(sky, [made_of(parts), None], 64, 3)
    assert np.median(theirs[~own]) == pytest.approx(1, abs=0.02)
    # That takes the mean thickness of the body at each crossing, and not the way of each ray.
    assert theirs[own].mean(0) == pytest.approx(found.color[own].mean(0), rel=0.35)
    assert theirs[own].mean(0)[0] > 1.05 * theirs[own].mean(0)[1] > 1.05 * theirs[own].mean(0)[2]
