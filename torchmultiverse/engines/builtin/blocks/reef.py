"""What grows on the sea floor, and the light that ripples over it."""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.blocks import Params, block
from torchmultiverse.engines.builtin.blocks.plants import RGB, ScatterArea, places
from torchmultiverse.engines.builtin.mesh import Light, Material, Mesh, ball, grid_faces, linear, merge, scatter, tube
from torchmultiverse.engines.builtin.noise import Noise
from torchmultiverse.engines.builtin.sky import direction
from torchmultiverse.engines.builtin.world import Builder

_FLESH = Material("reef", specular=0.0, roughness=0.8)


class Kelp(ScatterArea):
    """Tall weed: ``height`` range in metres, sRGB tones."""

    height: tuple[float, float]
    color: RGB
    accent: RGB


def _ribbon(rng: np.random.Generator, color: RGB, accent: RGB) -> Mesh:
    """Return a bundle of swaying ribbons of one metre height."""
    parts = []
    for _ in range(7):
        t = np.linspace(0, 1, 14)
        phase, sway, angle = rng.uniform(0, 6, 2), rng.uniform(0.02, 0.06), rng.uniform(0, 2 * np.pi)
        top = rng.uniform(0.6, 1.0)
        base = rng.normal(0, 0.05, 2)
        x = base[0] + sway * np.sin(9 * t + phase[0]) * t + 0.1 * t**2
        y = base[1] + sway * np.sin(8 * t + phase[1]) * t
        wide = 0.022 * np.sin(np.pi * np.clip(t * 0.93 + 0.06, 0, 1)) ** 0.6 * (1 + 0.35 * np.sin(40 * t))
        side = np.array([np.cos(angle), np.sin(angle)])
        left = np.stack([x - side[0] * wide, y - side[1] * wide, t * top], -1)
        right = np.stack([x + side[0] * wide, y + side[1] * wide, t * top], -1)
        vertices = np.stack([left, right], 1).reshape(-1, 3)
        tone = np.repeat(t, 2)[:, None]
        colors = linear(color) * (1 - tone) + linear(accent) * tone
        normal = np.tile(np.array([-side[1] * 0.6, side[0] * 0.6, 0.6], np.float32), (len(vertices), 1))
        parts.append(Mesh(vertices.astype(np.float32), grid_faces(14, 2), normal, None, colors.astype(np.float32)))
    return merge(parts)


@block("kelp", Kelp)
def kelp(builder: Builder, p: Kelp) -> None:
    """Scatter weed."""
    rng = builder.rng
    spots = places(builder, p)
    which = rng.integers(0, 3, len(spots))
    for k in range(3):
        mine = spots[which == k]
        if len(mine):
            model = _ribbon(rng, p.color, p.accent)
            builder.add(scatter(model, mine, rng.uniform(*p.height, len(mine)), rng.uniform(0, 6, len(mine))), _FLESH)


class Corals(ScatterArea):
    """Corals of a ``size`` range in metres: branching, brain-shaped and tube-like ones in the sRGB ``colors``."""

    size: tuple[float, float]
    colors: list[RGB]


def _branching(rng: np.random.Generator) -> Mesh:
    parts = []

    def grow(start: np.ndarray, way: np.ndarray, length: float, radius: float, level: int) -> None:
        end = start + way * length
        parts.append(
            tube([start, (start + end) / 2 + rng.normal(0, 0.015, 3), end], [radius, radius * 0.85, radius * 0.7], 6)
        )
        if level == 0:
            parts.append(ball(5, 7).moved(end, radius * 0.75))
            return
        for _ in range(3):
            turned = way + rng.normal(0, 0.5, 3)
            turned[2] = abs(turned[2]) + 0.25
            grow(end, turned / np.linalg.norm(turned), length * 0.72, radius * 0.72, level - 1)

    for _ in range(4):
        way = np.array([rng.normal(0, 0.5), rng.normal(0, 0.5), 1.0])
        grow(np.array([0, 0, -0.05]), way / np.linalg.norm(way), 0.34, 0.055, 2)
    return merge(parts)


def _brain(rng: np.random.Generator) -> Mesh:
    mesh = ball(20, 26)
    noise = Noise(rng)
    d = mesh.vertices.astype(float)
    fold = np.abs(noise.fbm(d[:, 0] + 0.6 * d[:, 2], d[:, 1] - 0.5 * d[:, 2], 0.22, 2))
    v = d * (0.42 + 0.07 * fold)[:, None]
    v[:, 2] *= 0.8
    shade = (0.6 + 0.6 * np.clip(fold * 1.6, 0, 1))[:, None] * np.ones(3)
    return Mesh(v.astype(np.float32), mesh.faces, mesh.normals, None, shade.astype(np.float32)).moved((0, 0, 0.12))


def _tubes(rng: np.random.Generator) -> Mesh:
    parts = []
    for _ in range(8):
        x, y = rng.normal(0, 0.16, 2)
        tall = rng.uniform(0.3, 0.9)
        parts.append(
            tube([[x, y, -0.05], [x * 1.2, y * 1.2, tall * 0.5], [x * 1.5, y * 1.5, tall]], [0.05, 0.065, 0.085], 10)
        )
    return merge(parts)


@block("corals", Corals)
def corals(builder: Builder, p: Corals) -> None:
    """Scatter corals in small colonies."""
    rng = builder.rng
    spots = places(builder, p)
    models = [make(rng) for make in (_branching, _brain, _tubes, _branching)]
    which = rng.integers(0, len(models), len(spots))
    for k, model in enumerate(models):
        mine = spots[which == k]
        if len(mine):
            tints = linear(np.array(p.colors)[rng.integers(0, len(p.colors), len(mine))]) * rng.uniform(
                0.8, 1.2, (len(mine), 1)
            )
            builder.add(
                scatter(model, mine, rng.uniform(*p.size, len(mine)), rng.uniform(0, 6, len(mine)), tints), _FLESH
            )


class Caustics(Params):
    """Light focused by a rippled surface: ``power`` is its irradiance, ``size`` of a cell in metres."""

    power: float
    size: float = 1.1
    color: RGB = (0.75, 1.0, 0.95)


@block("caustics", Caustics)
def caustics(builder: Builder, p: Caustics) -> None:
    """Hang a projector with a web of light in the direction of the sun."""
    side, height, half = 1024, 60.0, 26.0
    axis = (np.arange(side) + 0.5) / side * 2 * half - half
    x, y = np.meshgrid(axis, axis)
    n = builder.noise
    bend_x, bend_y = 0.45 * n.fbm(x, y, 1.4, 2), 0.45 * n.fbm(x, y, 1.4, 2, start=5)
    web = np.zeros_like(x)
    for k, scale in enumerate((1.0, 0.71)):
        border, _ = n.cells((x + bend_x) + 7 * k, (y + bend_y) - 5 * k, p.size * scale)
        web += np.exp(-border / 0.1)
    web = 0.25 + 1.6 * web**1.6
    image = (web / web.mean())[..., None] * np.asarray(p.color)
    sun = direction(builder.spec.sky.sun_elevation, builder.spec.sky.sun_azimuth)
    at = sun * height
    cone = float(2 * np.degrees(np.arctan(half / height)))
    builder.lights.append(
        Light(tuple(float(c) for c in at), (p.power,) * 3, (0.0, 0.0, 0.0), cone, image.astype(np.float32))  # type: ignore[arg-type]
    )
