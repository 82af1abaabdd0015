"""Small scenes for tests of the path tracer, with every kind of surface, texture and light, and how it is compared
with Mitsuba's own path tracer. Needs a variant other than the scalar one, already active.
"""

from __future__ import annotations

from dataclasses import replace

import drjit as dr
import mitsuba as mi
import numpy as np

from torchmultiverse.engines.builtin import renderer, tracer
from torchmultiverse.engines.builtin.mesh import Light, Material, MeshPart, ball, box, merge, quad
from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.tracer.camera import camera_rays
from torchmultiverse.engines.builtin.world import Camera, World, WorldSpec

SIDE, BLOCK = 24, 6
GROUND = 4.0


def environment(bright=1.0):
    """A sky with a gradient, a sun, and a dim half."""
    rows, columns = np.mgrid[0:64, 0:128]
    sky = np.stack([0.2 + rows / 200, 0.3 + columns / 300, 0.5 + 0 * rows], -1)
    sky[rows > 32] *= 0.3
    sky[12:15, 30:34] += 150.0
    return (sky * bright).astype(np.float32)


def everything(lights=(), emission=0.0, sky=1.0):
    rng = np.random.default_rng(5)
    texture = rng.integers(30, 230, (16, 16, 3)).astype(np.uint8)
    bumps = (rng.random((32, 32)) * 0.05).astype(np.float32)
    rough = rng.integers(60, 200, (8, 8)).astype(np.uint8)
    floor = quad([(-GROUND, -GROUND, 0), (GROUND, -GROUND, 0), (GROUND, GROUND, 0), (-GROUND, GROUND, 0)])
    wide = type(floor)(floor.vertices, floor.faces, floor.normals, floor.uv * 3)
    parts = [
        MeshPart(Material("floor", color=texture, rough=rough, height=bumps, repeat=True), wide),
        MeshPart(Material("clay", specular=0.0), ball(24, 32).moved((-1.2, 0.4, 0.7), 0.7).tinted((0.7, 0.3, 0.2))),
        MeshPart(
            Material("metal", metallic=1.0, roughness=0.4),
            ball(24, 32).moved((1.1, 0.6, 0.6), 0.6).tinted((0.9, 0.8, 0.5)),
        ),
        MeshPart(
            Material("glossy", roughness=0.3, specular=0.8),
            box((-0.4, -1.2, 0), (0.5, -0.6, 0.7)).tinted((0.2, 0.3, 0.6)),
        ),
    ]
    if emission:
        lamp = quad([(-0.5, -0.5, 3), (-0.5, 0.5, 3), (0.5, 0.5, 3), (0.5, -0.5, 3)]).tinted((0.9, 0.6, 0.3))
        sign = box((-2.5, 1.5, 0.5), (-2.3, 2.5, 1.5)).tinted((0.1, 0.8, 0.3))
        panel = quad([(2.5, 2, 0.2), (2.5, 0, 0.2), (2.5, 0, 1.7), (2.5, 2, 1.7)])
        parts += [
            MeshPart(Material("lamp", emission=emission, samples_light=True), lamp),
            MeshPart(Material("sign", emission=emission, specular=0.0), sign),
            MeshPart(Material("panel", emission=emission, color=texture), panel),
        ]
    spec = WorldSpec(caption="x", blocks=[{"kind": "none"}])
    return World("test", spec, parts, list(lights), environment(sky), np.zeros((5, 5), np.float32), 1.0)


def furnace(sky=None):
    """Return a world of nothing but a sky, by default an even one of 1; its ground is too small and far to be seen."""
    speck = quad([(0, 0, -900), (0.01, 0, -900), (0.01, 0.01, -900), (0, 0.01, -900)])
    spec = WorldSpec(caption="x", blocks=[{"kind": "none"}], camera=Camera(low=(-1e4, -1e4, -1e4)))
    sky = np.ones((16, 32, 3), np.float32) if sky is None else sky
    return World("furnace", spec, [MeshPart(Material("speck"), speck)], [], sky, np.zeros((5, 5), np.float32), 1.0)


def character(x=0.0):
    mesh = ball(24, 32).moved((x, 0, 0.5), 0.5)
    color = np.tile(np.array([0.8, 0.5, 0.3], np.float32), (len(mesh.vertices), 1))
    return tracer.CharacterInstance(
        mesh.vertices, mesh.faces, mesh.normals, color, np.full(len(mesh.vertices), 0.6, np.float32)
    )


def made_of(parts, x=0.0):
    """Return a character of parts, at some place."""
    placed = tuple(replace(p, mesh=p.mesh.moved((x, 0, 0))) for p in parts)
    whole = merge([p.mesh for p in placed])
    count = len(whole.vertices)
    roughness = np.concatenate([np.full(len(p.mesh.vertices), p.material.roughness, np.float32) for p in placed])
    return tracer.CharacterInstance(
        whole.vertices, whole.faces, whole.normals, np.full((count, 3), 0.5, np.float32), roughness, placed
    )


def figure(emission=0.0):
    """Return parts of every kind: metal, a texture with relief and a rough map, both with colours below, light."""
    rng = np.random.default_rng(8)
    texture = rng.integers(30, 230, (16, 16, 3)).astype(np.uint8)
    rough = rng.integers(60, 200, (8, 8)).astype(np.uint8)
    bumps = (rng.random((32, 32)) * 0.02).astype(np.float32)
    plate = quad([(-0.7, -0.5, 0), (0.0, -0.5, 0), (0.0, -0.1, 0.9), (-0.7, -0.1, 0.9)])
    return (
        MeshPart(
            Material("gold", metallic=1.0, roughness=0.3),
            ball(24, 32).moved((0.4, 0, 0.4), 0.4).tinted((0.9, 0.6, 0.2)),
        ),
        MeshPart(Material("plate", color=texture, rough=rough, height=bumps, repeat=True), plate),
        MeshPart(Material("matt", specular=0.0), ball(12, 16).moved((0.4, 0, 0.9), 0.2).tinted((0.2, 0.7, 0.3))),
        MeshPart(
            Material("lamp", emission=emission, specular=0.0),
            quad([(0.1, -0.6, 0.1), (0.5, -0.6, 0.1), (0.5, -0.6, 0.3), (0.1, -0.6, 0.3)]).tinted((0.9, 0.6, 0.3)),
        ),
    )


def camera():
    forward = np.array([0, 1.0, -0.35]) / np.linalg.norm([0, 1.0, -0.35])
    right = np.array([1.0, 0, 0])
    axes = np.stack([right, np.cross(forward, right), forward])
    return View(np.array([0, -5.0, 2.4]), axes, SIDE * 1.1, (SIDE, SIDE))


def mitsubas(world, characters, samples, seed):
    """Return the picture that Mitsuba's path tracer makes of the same rays."""
    description = renderer.description(world)
    for k, c in enumerate(characters):
        description |= renderer.character_shapes(f"slot{k}", c) if c else {}
    scene = mi.load_dict(description)
    sampler = mi.load_dict({"type": "independent"})
    sampler.seed(seed, SIDE * SIDE * samples)
    pixel = dr.arange(mi.UInt32, SIDE * SIDE * samples) // samples
    jitter = sampler.next_2d()
    o, d, inside = camera_rays(camera(), world.spec.camera, pixel, jitter.x, jitter.y)
    light, _, _ = renderer.integrator(tracer.DEPTH).sample(scene, sampler, mi.RayDifferential3f(o, d), None, inside)
    dr.eval(light)
    return np.stack([np.array(dr.block_sum(c, samples)) for c in light], -1).reshape(SIDE, SIDE, 3) / samples


def blocks(picture):
    n = SIDE // BLOCK
    return picture.astype(float).reshape(n, BLOCK, n, BLOCK, 3).mean((1, 3))


SPOT = Light((1.5, -1.5, 3.0), (9.0, 8.0, 6.0), (0.0, 0.0, 0.3), 35.0)
POINT = Light((-1.5, -1.0, 2.0), (3.0, 4.0, 5.0))
IMAGE = Light(
    (0.3, -0.4, 5.0), (4.0,) * 3, (0.0, 0.0, 0.0), 50.0, np.random.default_rng(2).random((8, 8, 3)).astype(np.float32)
)


def agree(world, characters):
    """Assert that the tracer and Mitsuba's path tracer make one picture."""
    own = tracer.Tracer(world)
    own.set_characters(characters)
    mine = [blocks(own.render(camera(), 512, seed).color) for seed in range(4)]
    theirs = [blocks(mitsubas(world, characters, 1024, seed)) for seed in range(4)]
    a, b = np.mean(mine, 0), np.mean(theirs, 0)
    # Standard error of each mean, from the four independent ones; a floor where all four happen to agree.
    error = np.sqrt((np.var(mine, 0, ddof=1) + np.var(theirs, 0, ddof=1)) / 4)
    error = np.maximum(error, np.median(error))
    z = (a - b) / error
    assert np.abs(z).mean() < 1.6
    assert np.abs(a - b).mean() < 0.03 * b.mean()
    assert abs(a.mean() / b.mean() - 1) < 0.01
