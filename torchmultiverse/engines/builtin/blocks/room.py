"""An exhibition room: parquet, walls with framed pictures, a glass ceiling, plinths, benches, ropes."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.blocks import Params, block
from torchmultiverse.engines.builtin.blocks.plants import RGB
from torchmultiverse.engines.builtin.blocks.rocks import rock
from torchmultiverse.engines.builtin.mesh import (
    Light,
    Material,
    Mesh,
    ball,
    box,
    lathe,
    linear,
    merge,
    quad,
    scatter,
    tube,
)
from torchmultiverse.engines.builtin.noise import Noise, mix, smoothstep
from torchmultiverse.engines.builtin.world import Builder

_WOOD = Material("wood", roughness=0.35, specular=0.4)
_STONE = Material("marble", roughness=0.3, specular=0.4)
_BRASS = Material("brass", roughness=0.25, metallic=1.0, specular=0.5)


class Gallery(Params):
    """A square hall: half its ``side``, its ``height``, sRGB ``wall``, radiance of the ``skylight``."""

    side: float = 9.0
    height: float = 6.4
    wall: RGB = (0.45, 0.12, 0.13)
    skylight: float = 2.6


def _bytes(color: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(np.clip(color, 0, 1) * 255).astype(np.uint8)[::-1].copy()


def _parquet(noise: Noise, side: float, texels: int = 1536) -> Material:
    """Return herringbone parquet over the hall."""
    axis = ((np.arange(texels) + 0.5) / texels * 2 - 1) * side
    x, y = np.meshgrid(axis, axis)
    width, ratio = 0.115, 5
    u, v = (x + y) / np.sqrt(2) / width, (y - x) / np.sqrt(2) / width
    i, j = np.floor(u), np.floor(v)
    # In a herringbone, cell (i, j) belongs to a lying board where (i - j) mod 2n < n, else to a standing one.
    phase = np.mod(i - j, 2 * ratio)
    lying = phase < ratio
    along = np.where(lying, phase + (u - i), (2 * ratio - 1 - phase) + (v - j))
    across = np.where(lying, v - j, u - i)
    board = np.where(lying, (i - phase) * 7.13 + j * 3.71, i * 5.37 + (j - (2 * ratio - 1 - phase)) * 9.11)
    tone = np.modf(np.abs(np.sin(board * 12.9898) * 43758.5453))[0]
    grain = noise.fbm(along * 0.16 + board, across * 1.3 + board * 0.7, 0.35, 4, 0.6)
    color = mix((0.4, 0.23, 0.11), (0.62, 0.4, 0.21), np.clip(tone * 0.85 + 0.18 * grain, 0, 1))
    edge = np.minimum(np.minimum(across, 1 - across), np.minimum(along, ratio - along))
    seam = smoothstep(0.0, 0.05, edge)
    color = color * (0.45 + 0.55 * seam)[..., None]
    rough = 0.22 + 0.14 * tone + 0.1 * noise.fbm(x, y, 1.2, 4, start=4)
    return Material(
        "parquet",
        specular=0.5,
        color=_bytes(color),
        rough=np.rint(np.clip(rough, 0, 1) * 255).astype(np.uint8)[::-1].copy(),
        height=(0.0012 * seam)[::-1].astype(np.float32).copy(),
    )


def _painting(rng: np.random.Generator, noise: Noise, kind: int, size: int = 160) -> NDArray[np.float64]:
    """Return a picture as a painter might: landscape, sea, still life, portrait or abstract; sRGB (size, size, 3)."""
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    ox, oy = rng.uniform(0, 50, 2)
    brush = noise.fbm(x * 9 + ox, y * 9 + oy, 1.0, 4, 0.7)
    if kind in (0, 1):
        sky = mix((0.93, 0.78, 0.55), (0.35, 0.5, 0.68), y + 0.15 * brush)
        hill = 0.34 + 0.13 * noise.fbm(x * 3 + ox, 0 * y + oy, 1.0, 4)
        land = mix((0.16, 0.2, 0.1), (0.5, 0.42, 0.18), np.clip(y * 2 + 0.5 * brush, 0, 1))
        if kind == 1:
            land, hill = mix((0.08, 0.2, 0.28), (0.4, 0.55, 0.55), np.clip(y * 2 + 0.7 * brush, 0, 1)), 0 * x + 0.42
        return mix(sky, land, (y < hill).astype(float))
    if kind == 2:
        color = mix((0.12, 0.08, 0.06), (0.3, 0.2, 0.12), np.clip(y + 0.3 * brush, 0, 1))
        for _ in range(6):
            cx, cy, r = rng.uniform(0.2, 0.8), rng.uniform(0.22, 0.45), rng.uniform(0.07, 0.13)
            light = np.clip(1 - np.hypot(x - cx + 0.03, y - cy - 0.04) / r * 0.7, 0.15, 1) + 0.1 * brush
            tone = np.array(((0.8, 0.3, 0.1), (0.75, 0.6, 0.15), (0.4, 0.45, 0.12), (0.6, 0.1, 0.1))[rng.integers(4)])
            color = np.where((np.hypot(x - cx, y - cy) < r)[..., None], tone * light[..., None], color)
        return color
    if kind == 3:
        color = mix((0.1, 0.08, 0.06), (0.28, 0.22, 0.14), np.clip(0.5 + 0.5 * brush, 0, 1))
        body = np.hypot((x - 0.5) / 0.36, (y - 0.02) / 0.42) < 1
        color = np.where(body[..., None], np.array(rng.uniform(0.05, 0.4, 3)) * (0.9 + 0.3 * brush)[..., None], color)
        face = np.hypot((x - 0.5) / 0.15, (y - 0.6) / 0.2)
        skin = (
            np.array((0.85, 0.65, 0.5)) * np.clip(1.1 - 0.5 * (x - 0.35) - 0.3 * face + 0.06 * brush, 0.2, 1)[..., None]
        )
        hair = np.hypot((x - 0.5) / 0.2, (y - 0.66) / 0.23) < 1
        color = np.where(hair[..., None], np.array((0.2, 0.12, 0.06)) * (1 + 0.4 * brush)[..., None], color)
        return np.where((face < 1)[..., None] & (y < 0.74)[..., None], skin, color)
    color = np.ones((size, size, 3)) * (0.9, 0.87, 0.78)
    for _ in range(7):
        x0, y0 = rng.uniform(0, 0.8, 2)
        w, h = rng.uniform(0.1, 0.45, 2)
        inside = (x > x0) & (x < x0 + w) & (y > y0) & (y < y0 + h)
        paint = ((0.8, 0.1, 0.1), (0.1, 0.2, 0.6), (0.95, 0.8, 0.1), (0.06, 0.06, 0.06))[rng.integers(4)]
        color = np.where(inside[..., None], paint, color)
    return color * (1 + 0.06 * brush)[..., None]


def _hang(rng: np.random.Generator, p: Gallery, wall_parts: list[tuple[Mesh, Mesh]]) -> None:
    """Hang framed pictures on one wall (at y = side, facing -y); their texture coordinates are cells of an atlas."""
    spots = ((-6.4, 1.5, 2.0), (-3.5, 2.2, 1.6), (3.5, 2.3, 1.7), (6.4, 1.4, 1.9), (0.0, 2.9, 2.1))
    for x, wide, high in spots:
        y, z = p.side - 0.07, 2.55 + rng.normal(0, 0.03)
        cell = int(rng.integers(0, 16))
        cu, cv = cell % 4 / 4, cell // 4 / 4
        w, h = wide / 2, high / 2
        e = 0.004
        uv = [(cu + e, cv + e), (cu + 0.25 - e, cv + e), (cu + 0.25 - e, cv + 0.25 - e), (cu + e, cv + 0.25 - e)]
        canvas = quad([[x - w, y, z - h], [x + w, y, z - h], [x + w, y, z + h], [x - w, y, z + h]], uv)
        f = 0.14
        frame = merge(
            [
                box([x - w - f, y - 0.06, z + h], [x + w + f, y + 0.05, z + h + f]),
                box([x - w - f, y - 0.06, z - h - f], [x + w + f, y + 0.05, z - h]),
                box([x - w - f, y - 0.06, z - h], [x - w, y + 0.05, z + h]),
                box([x + w, y - 0.06, z - h], [x + w + f, y + 0.05, z + h]),
            ]
        )
        wall_parts.append((canvas, frame))


@block("gallery", Gallery)
def gallery(builder: Builder, p: Gallery) -> None:
    """Build the hall and what stands in it."""
    rng, noise, s, h = builder.rng, builder.noise, p.side, p.height
    floor = quad([[-s, -s, 0], [s, -s, 0], [s, s, 0], [-s, s, 0]])
    builder.add(floor, _parquet(noise, s))
    size = 512
    gx, gy = np.meshgrid(np.linspace(0, 9, size), np.linspace(0, 6, size))
    damask = np.sin(gx * 2 * np.pi * 1.33) * np.sin(gy * 2 * np.pi) + 0.6 * np.sin(gx * 2 * np.pi * 2.66) * np.cos(
        gy * 4 * np.pi
    )
    plaster = 1 + 0.05 * noise.fbm(gx, gy, 1.5, 5) + 0.07 * smoothstep(0.1, 0.3, damask)
    wall_color = np.asarray(p.wall) * plaster[..., None]
    wall = Material("wall", specular=0.15, roughness=0.8, color=_bytes(wall_color), repeat=True)
    atlas = np.zeros((640, 640, 3))
    for k in range(16):
        r, c = divmod(k, 4)
        atlas[r * 160 : r * 160 + 160, c * 160 : c * 160 + 160] = _painting(rng, noise, k % 5)
    canvas = Material("canvas", specular=0.2, roughness=0.6, color=_bytes(atlas))
    for yaw in (0, np.pi / 2, np.pi, -np.pi / 2):
        plane = quad([[-s, s, 0], [s, s, 0], [s, s, h], [-s, s, h]], [(0, 0), (2, 0), (2, 1), (0, 1)])
        builder.add(plane.moved(yaw=yaw), wall)
        skirting = [box([-s, s - 0.04, 0], [s, s, 0.32]), box([-s, s - 0.06, 0.95], [s, s, 1.03])]
        skirting += [
            box([-s + k * 1.5 + 0.16, s - 0.03, 0.42], [-s + k * 1.5 + 1.34, s, 0.86]) for k in range(int(2 * s / 1.5))
        ]
        panel = quad([[-s, s - 0.015, 0.3], [s, s - 0.015, 0.3], [s, s - 0.015, 0.96], [-s, s - 0.015, 0.96]])
        wood = merge([*skirting, Mesh(panel.vertices, panel.faces, panel.normals)])
        builder.add(
            Mesh(wood.vertices, wood.faces, wood.normals).moved(yaw=yaw).tinted(linear((0.3, 0.18, 0.1))), _WOOD
        )
        cornice = merge(
            [box([-s, s - 0.16 - 0.09 * k, h - 0.42 + 0.13 * k], [s, s, h - 0.29 + 0.13 * k]) for k in range(3)]
        )
        builder.add(
            Mesh(cornice.vertices, cornice.faces, cornice.normals).moved(yaw=yaw).tinted(linear((0.9, 0.87, 0.8))),
            _STONE,
        )
        hung: list[tuple[Mesh, Mesh]] = []
        _hang(rng, p, hung)
        for painting, frame in hung:
            builder.add(painting.moved(yaw=yaw), canvas)
            plain = Mesh(frame.vertices, frame.faces, frame.normals).moved(yaw=yaw)
            builder.add(plain.tinted(linear((0.83, 0.62, 0.25))), Material("gilt", roughness=0.35, specular=0.6))
    _ceiling(builder, p)
    _furniture(builder, p)


def _ceiling(builder: Builder, p: Gallery) -> None:
    s, h = p.side, p.height
    inner = s * 0.62
    plaster = linear((0.92, 0.9, 0.86))
    ring = [
        box([-s, -s, h], [s, -inner, h + 0.1]),
        box([-s, inner, h], [s, s, h + 0.1]),
        box([-s, -inner, h], [-inner, inner, h + 0.1]),
        box([inner, -inner, h], [s, inner, h + 0.1]),
    ]
    builder.add(Mesh(*_bare(merge(ring))).tinted(plaster), Material("plaster", specular=0.0, roughness=0.9))
    bars = []
    for k in np.linspace(-inner, inner, 7):
        bars.append(box([k - 0.05, -inner, h - 0.06], [k + 0.05, inner, h + 0.06]))
        bars.append(box([-inner, k - 0.05, h - 0.06], [inner, k + 0.05, h + 0.06]))
    builder.add(
        Mesh(*_bare(merge(bars))).tinted(linear((0.55, 0.53, 0.5))), Material("plaster", specular=0.0, roughness=0.9)
    )
    glass = quad(
        [[-inner, inner, h + 0.08], [inner, inner, h + 0.08], [inner, -inner, h + 0.08], [-inner, -inner, h + 0.08]]
    )
    glass = Mesh(*_bare(glass)).tinted((1.0, 0.97, 0.92))
    builder.add(glass, Material("skylight", emission=p.skylight, samples_light=True, specular=0.0, lamp=False))
    for x, y in ((-3.4, -4.2), (3.6, -3.2)):
        builder.lights.append(Light((x, y, h - 0.3), (34.0, 31.0, 26.0), (0.0, 0.2, 0.5), 30.0))


def _bare(mesh: Mesh) -> tuple[NDArray[np.float32], NDArray[np.uint32], NDArray[np.float32] | None]:
    return mesh.vertices, mesh.faces, mesh.normals


def _furniture(builder: Builder, p: Gallery) -> None:
    """Set plinths with vases, urns and a stone, benches, and ropes on brass posts."""
    rng, s = builder.rng, p.side
    urn = lathe(
        [(0.12, 0), (0.16, 0.04), (0.07, 0.12), (0.25, 0.42), (0.28, 0.6), (0.14, 0.82), (0.12, 0.9), (0.2, 0.97)]
    )
    vase = lathe([(0.14, 0), (0.23, 0.2), (0.26, 0.42), (0.18, 0.66), (0.09, 0.8), (0.13, 0.9)])
    bust = merge(
        [
            lathe([(0.17, 0), (0.17, 0.08), (0.1, 0.12), (0.12, 0.2)]),
            ball(14, 18).moved((0, 0, 0.3), (0.3, 0.18, 0.16)),
            tube([[0, 0, 0.35], [0, 0, 0.6]], 0.085, 12),
            ball(18, 20).moved((0, 0.01, 0.72), (0.145, 0.175, 0.2)),
        ]
    )
    things = [(urn, (0.2, 0.35, 0.6)), (vase, (0.75, 0.4, 0.2)), (bust, (0.93, 0.91, 0.87)), (bust, (0.9, 0.88, 0.84))]
    spots = [(-6.75, 3.9), (6.75, 3.9), (-2.1, 7.3), (2.1, 7.3), (-7.2, -1.5), (7.2, 1.5), (-3.6, -7.0), (3.6, -7.0)]
    for k, (x, y) in enumerate(spots):
        thing, tone = things[k % len(things)]
        plinth = merge(
            [
                box([-0.36, -0.36, 0], [0.36, 0.36, 0.1]),
                box([-0.3, -0.3, 0.1], [0.3, 0.3, 1.0]),
                box([-0.35, -0.35, 1.0], [0.35, 0.35, 1.07]),
            ]
        )
        builder.add(Mesh(*_bare(plinth)).moved((x, y, 0)).tinted(linear((0.88, 0.86, 0.82))), _STONE)
        facing = float(np.arctan2(-y, -x) + np.pi / 2)
        builder.add(thing.moved((x, y, 1.07), yaw=facing).tinted(linear(tone)), _STONE)
    stone = rock(rng, (0.5, 0.45, 0.42), (0.35, 0.31, 0.3), None).moved((-7.5, 1.9, 0.5), 1.1)
    builder.add(stone, Material("stone", specular=0.0, roughness=0.9))
    for x, y, turn in ((0.0, -7.4, 0.0), (-7.6, -4.6, np.pi / 2), (7.6, -2.4, np.pi / 2)):
        legs = [box([a, -0.22, 0], [a + 0.09, 0.22, 0.42]) for a in (-0.95, 0.86)]
        seat = merge([box([-1.1, -0.28, 0.42], [1.1, 0.28, 0.52]), *legs])
        builder.add(Mesh(*_bare(seat)).moved((x, y, 0), yaw=turn).tinted(linear((0.22, 0.12, 0.07))), _WOOD)
    post = lathe([(0.16, 0), (0.16, 0.03), (0.03, 0.06), (0.028, 0.9), (0.055, 0.93), (0.055, 0.98), (0.0, 1.02)], 14)
    posts = [(x, s - 2.6) for x in np.linspace(-4.8, 4.8, 6)] + [(x, -s + 2.6) for x in np.linspace(-4.8, 4.8, 6)]
    at = np.array([(x, y, 0.0) for x, y in posts])
    builder.add(scatter(post, at, np.ones(len(at)), np.zeros(len(at))).tinted(linear((0.85, 0.65, 0.3))), _BRASS)
    t = np.linspace(0, 1, 9)
    ropes = []
    for a, b in itertools.pairwise(at):
        if abs(a[1] - b[1]) < 0.1:
            line = a + (b - a) * t[:, None] + np.stack([0 * t, 0 * t, 0.9 - 0.9 * t * (1 - t)], -1)
            ropes.append(tube(line, 0.028, 7))
    rope = merge(ropes)
    builder.add(Mesh(*_bare(rope)).tinted(linear((0.55, 0.05, 0.08))), Material("rope", specular=0.0, roughness=0.9))
