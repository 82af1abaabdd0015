"""Grass, bushes and trees: a few grown models each, scattered as one merged mesh."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.blocks import Params, block
from torchmultiverse.engines.builtin.mesh import Material, Mesh, linear, merge, scatter, tube
from torchmultiverse.engines.builtin.world import Builder

RGB = tuple[float, float, float]
Array = NDArray[np.float64]


class ScatterArea(Params):
    """Which part of the land things are scattered over.

    Attributes:
        count: how many.
        near, far: ring around the world's centre, metres.
        crowd: 1 spreads evenly over the ring's area; larger values crowd towards ``near``.
        clear: half the width of a lane along y that is kept free (0 is none).
    """

    count: int
    near: float
    far: float
    crowd: float = 1.0
    clear: float = 0.0


def places(builder: Builder, p: ScatterArea) -> Array:
    """Return points on the ground, (N, 3)."""
    rng = builder.rng
    t = rng.random(p.count * 2) ** p.crowd
    r = np.sqrt(p.near**2 + (p.far**2 - p.near**2) * t)
    angle = rng.uniform(0, 2 * np.pi, len(r))
    x, y = r * np.cos(angle), r * np.sin(angle)
    keep = np.abs(x) >= p.clear
    x, y = x[keep][: p.count], y[keep][: p.count]
    return np.stack([x, y, builder.ground(x, y)], -1)


def blade_tuft(rng: np.random.Generator, blades: int, height: float, spread: float, root: RGB, tip: RGB) -> Mesh:
    """Return a tuft of curved tapering blades."""
    angle = rng.uniform(0, 2 * np.pi, blades)
    lean = rng.uniform(0.15, 1.0, blades) * spread
    tall = height * rng.uniform(0.55, 1.0, blades)
    base = rng.normal(0, 0.12 * spread, (blades, 2))
    width = height * rng.uniform(0.02, 0.035, blades)
    out = np.stack([np.cos(angle), np.sin(angle)], -1)
    side = np.stack([-np.sin(angle), np.cos(angle)], -1)
    rows = []
    for rise, w in ((0.0, 1.0), (0.5, 0.8), (1.0, 0.0)):
        middle = np.concatenate(
            [base + out * (lean * rise**1.8)[:, None], (tall * rise * (1 - 0.18 * rise))[:, None]], 1
        )
        for sign in (-1, 1):
            rows.append(middle + np.concatenate([side * (sign * w * width)[:, None], np.zeros((blades, 1))], 1))
    vertices = np.stack(rows, 1)
    faces = np.array([[0, 1, 3], [0, 3, 2], [2, 3, 4]])
    # Blades are lit like the round tuft they form: from above and outward.
    normal = np.concatenate([out * 0.7, np.full((blades, 1), 0.72)], 1)
    t = np.array([0, 0, 0.5, 0.5, 1, 1])[:, None]
    tone = rng.uniform(0.8, 1.15, (blades, 1, 1))
    colors = (linear(root) * (1 - t) + linear(tip) * t)[None] * tone
    return Mesh(
        vertices.reshape(-1, 3).astype(np.float32),
        (faces[None] + np.arange(blades)[:, None, None] * 6).reshape(-1, 3).astype(np.uint32),
        np.repeat(normal, 6, 0).astype(np.float32),
        None,
        colors.reshape(-1, 3).astype(np.float32),
    )


def leaves(
    rng: np.random.Generator, centres: Array, outward: Array, size: float, color: RGB, accent: RGB, drop: float = 0.3
) -> Mesh:
    """Return small four-cornered leaves around points, turned outward with some disorder."""
    n = len(centres)
    normal = outward + rng.normal(0, 0.55, (n, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    along = np.cross(normal, rng.normal(0, 1, (n, 3)))
    along[:, 2] -= drop
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.cross(normal, along)
    s = (size * rng.uniform(0.6, 1.25, n))[:, None]
    corners = np.stack(
        [centres - along * s, centres - across * s * 0.5, centres + along * s, centres + across * s * 0.5], 1
    )
    t = rng.random((n, 1))
    shade = (0.55 + 0.45 * np.clip(0.5 + 0.5 * outward[:, 2:], 0, 1)) * rng.uniform(0.8, 1.2, (n, 1))
    colors = (linear(color) * (1 - t) + linear(accent) * t) * shade
    lit = 0.55 * normal + 0.45 * outward + [0, 0, 0.35]
    lit /= np.linalg.norm(lit, axis=1, keepdims=True)
    faces = (np.array([[0, 1, 2], [0, 2, 3]])[None] + np.arange(n)[:, None, None] * 4).reshape(-1, 3)
    return Mesh(
        corners.reshape(-1, 3).astype(np.float32),
        faces.astype(np.uint32),
        np.repeat(lit, 4, 0).astype(np.float32),
        None,
        np.repeat(colors, 4, 0).astype(np.float32),
    )


def _crown(rng: np.random.Generator, count: int, blobs: int, radius: float) -> tuple[Array, Array]:
    """Return points and outward directions on lumps of a crown of the given radius around the origin."""
    middle = rng.normal(0, 1, (blobs, 3))
    middle *= (radius * 0.58 / np.linalg.norm(middle, axis=1))[:, None] * rng.uniform(0.5, 1.0, (blobs, 1))
    middle[:, 2] *= 0.7
    which = rng.integers(0, blobs, count)
    d = rng.normal(0, 1, (count, 3))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    points = middle[which] + d * (radius * 0.52 * rng.uniform(0.75, 1.0, (count, 1)))
    outward = 0.5 * d + 0.5 * points / radius
    return points, outward / np.linalg.norm(outward, axis=1, keepdims=True)


def _broadleaf(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    """Return a tree of one metre height."""
    bend = rng.normal(0, 0.02, 2)
    trunk = tube(
        [[0, 0, -0.03], [bend[0] * 0.5, bend[1] * 0.5, 0.2], [*bend, 0.42], [0, 0, 0.7]], [0.035, 0.026, 0.02, 0.006], 7
    )
    points, outward = _crown(rng, 420, 9, 0.33)
    crown = leaves(rng, points + np.array([*bend, 0.66]), outward, 0.045, color, accent)
    return merge([trunk.tinted(linear(bark)), crown])


def _bush(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    points, outward = _crown(rng, 230, 6, 0.55)
    points[:, 2] = np.abs(points[:, 2])
    return leaves(rng, points + np.array([0, 0, 0.25]), outward, 0.085, color, accent, drop=-0.3)


def _conifer(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    """Return a conifer of one metre height; the accent lies on the upper side of the boughs, as snow does."""
    parts = [tube([[0, 0, -0.02], [0, 0, 0.95]], [0.028, 0.004], 6).tinted(linear(bark))]
    layers = 11
    for k in range(layers):
        t = k / (layers - 1)
        z, radius = 0.14 + 0.8 * t**0.9, 0.29 * (1 - t) ** 0.85 + 0.02
        n = int(17 - 9 * t)
        angle = rng.uniform(0, 2 * np.pi) + np.arange(n) / n * 2 * np.pi + rng.normal(0, 0.1, n)
        long = radius * rng.uniform(0.8, 1.12, n)
        out = np.stack([np.cos(angle), np.sin(angle), np.zeros(n)], -1)
        side = np.stack([-np.sin(angle), np.cos(angle), np.zeros(n)], -1)
        root = np.array([0, 0, z + 0.06 * (1 - t)])
        middle = out * (long * 0.6)[:, None] + [0, 0, z]
        tip = out * long[:, None] + np.stack([0 * long, 0 * long, z - 0.22 * long], -1)
        wide = (long * 0.3)[:, None]
        corners = np.stack([np.broadcast_to(root, middle.shape), middle - side * wide, tip, middle + side * wide], 1)
        normal = out * 0.5 + [0, 0, 0.85]
        snow = rng.uniform(0.0, 1.0, (n, 1, 1)) * np.array([0.7, 0.9, 1.0, 0.9])[None, :, None]
        colors = linear(color) * (1 - snow) + linear(accent) * snow
        faces = (np.array([[0, 1, 2], [0, 2, 3]])[None] + np.arange(n)[:, None, None] * 4).reshape(-1, 3)
        parts.append(
            Mesh(
                corners.reshape(-1, 3).astype(np.float32),
                faces.astype(np.uint32),
                np.repeat(normal, 4, 0).astype(np.float32),
                None,
                colors.reshape(-1, 3).astype(np.float32),
            )
        )
    return merge(parts)


def _palm(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    """Return a palm of one metre height."""
    lean = rng.normal(0, 0.06, 2)
    t = np.linspace(0, 1, 7)
    path = np.stack([lean[0] * t**2, lean[1] * t**2, 0.72 * t - 0.02], -1)
    parts = [tube(path, 0.028 - 0.009 * t, 8).tinted(linear(bark))]
    top = path[-1]
    for k in range(15):
        angle = k * 2.4 + rng.normal(0, 0.1)
        rise = rng.uniform(-0.15, 0.95)
        long = rng.uniform(0.26, 0.36)
        s = np.linspace(0, 1, 7)
        out = np.array([np.cos(angle), np.sin(angle)])
        z = rise * 0.2 * s - 0.24 * s**2.2 * (1.15 - 0.4 * rise)
        spine = np.concatenate([out[None] * (long * s * (1 - 0.15 * s))[:, None], z[:, None]], 1) + top
        side = np.array([-out[1], out[0], 0])
        wide = 0.075 * np.sin(np.pi * np.clip(s * 0.92 + 0.08, 0, 1)) ** 0.7
        sag = np.array([0, 0, 1.0])
        left = spine + side * wide[:, None] - sag * (wide * 0.55)[:, None]
        right = spine - side * wide[:, None] - sag * (wide * 0.55)[:, None]
        rows = []
        for i in range(6):
            # Leaflets: a gap after each, so that the frond is feathered.
            edge = [a[i] * 0.38 + a[i + 1] * 0.62 for a in (left, spine, right)]
            rows.append(np.stack([spine[i], left[i], edge[0], edge[1]]))
            rows.append(np.stack([spine[i], edge[1], edge[2], right[i]]))
        corners = np.stack(rows)
        tint = linear(color) * 0.7 + linear(accent) * 0.3 * rng.uniform(0.5, 1.6)
        n = len(corners)
        parts.append(
            Mesh(
                corners.reshape(-1, 3).astype(np.float32),
                (np.array([[0, 1, 2], [0, 2, 3]])[None] + np.arange(n)[:, None, None] * 4)
                .reshape(-1, 3)
                .astype(np.uint32),
                np.tile(np.array([out[0] * 0.4, out[1] * 0.4, 0.85], np.float32), (n * 4, 1)),
                None,
                np.tile(tint.astype(np.float32), (n * 4, 1)),
            )
        )
    return merge(parts)


def _acacia(rng: np.random.Generator, color: RGB, accent: RGB, bark: RGB) -> Mesh:
    """Return a flat-topped thorn tree of one metre height."""
    parts = [tube([[0, 0, -0.03], [0.02, 0, 0.2], [0, 0.01, 0.42]], [0.04, 0.028, 0.02], 7)]
    points, outward = [], []
    for k in range(7):
        angle = k * 2.4 + rng.normal(0, 0.2)
        out = np.array([np.cos(angle), np.sin(angle), 0])
        reach, top = rng.uniform(0.22, 0.5), rng.uniform(0.78, 0.92)
        end = out * reach + np.array([0, 0, top])
        path = np.stack([np.array([0, 0.01, 0.4]), out * reach * 0.4 + np.array([0, 0, 0.62]), end])
        parts.append(tube(path, [0.02, 0.013, 0.006], 5))
        d = rng.normal(0, 1, (90, 3)) * [0.17, 0.17, 0.035]
        points.append(end + d)
        outward.append(d / [0.17, 0.17, 0.035] * [0.5, 0.5, 0.5] + [0, 0, 0.8])
    out_all = np.concatenate(outward)
    out_all /= np.linalg.norm(out_all, axis=1, keepdims=True)
    crown = leaves(rng, np.concatenate(points), out_all, 0.045, color, accent)
    return merge([merge(parts).tinted(linear(bark)), crown])


GROWN = {"acacia": _acacia, "broadleaf": _broadleaf, "bush": _bush, "conifer": _conifer, "palm": _palm}


class Trees(ScatterArea):
    """Trees or bushes: ``species``, ``height`` range in metres, sRGB tones of leaf and bark."""

    species: Literal["acacia", "broadleaf", "bush", "conifer", "palm"]
    height: tuple[float, float]
    color: RGB
    accent: RGB
    bark: RGB = (0.33, 0.25, 0.18)
    models: int = 4


@block("trees", Trees)
def trees(builder: Builder, p: Trees) -> None:
    """Grow a few models and scatter them."""
    rng = builder.rng
    spots = places(builder, p)
    which = rng.integers(0, p.models, len(spots))
    foliage = Material("foliage", roughness=0.8, specular=0.0)
    for k in range(p.models):
        mine = spots[which == k]
        if len(mine) == 0:
            continue
        model = GROWN[p.species](rng, p.color, p.accent, p.bark)
        tall = rng.uniform(*p.height, len(mine))
        wide = tall[:, None] * rng.uniform(0.9, 1.1, (len(mine), 3))
        tints = rng.uniform(0.82, 1.12, (len(mine), 1)) * np.ones(3)
        mine = mine - np.array([0, 0, 0.02]) * tall[:, None]
        builder.add(scatter(model, mine, wide, rng.uniform(0, 2 * np.pi, len(mine)), tints), foliage)


class Avenue(Params):
    """Two rows of broad-leaved trees along y, at -``x`` and ``x``, from ``start`` to ``end``, ``step`` metres apart.

    Nothing stands within ``clear`` metres of the world's centre along y, where the camera may be.
    """

    x: float
    start: float
    end: float
    step: float = 7.0
    height: tuple[float, float]
    color: RGB
    accent: RGB
    bark: RGB = (0.33, 0.25, 0.18)
    clear: float = 0.0
    models: int = 4


@block("avenue", Avenue)
def avenue(builder: Builder, p: Avenue) -> None:
    """Plant the rows."""
    rng = builder.rng
    ys = np.arange(p.start, p.end, p.step)
    spots = np.array([(side * p.x, y, 0.0) for y in ys for side in (-1, 1) if abs(y) >= p.clear])
    spots[:, :2] += rng.uniform(-0.4, 0.4, (len(spots), 2))
    spots[:, 2] = builder.ground(spots[:, 0], spots[:, 1]) - 0.1
    which = rng.integers(0, p.models, len(spots))
    for k in range(p.models):
        mine = spots[which == k]
        if len(mine) == 0:
            continue
        model = _broadleaf(rng, p.color, p.accent, p.bark)
        tall = rng.uniform(*p.height, len(mine))[:, None] * [1.25, 1.25, 1.0]
        foliage = Material("foliage", roughness=0.8, specular=0.0)
        builder.add(scatter(model, mine, tall, rng.uniform(0, 2 * np.pi, len(mine))), foliage)


class Tufts(ScatterArea):
    """Tufts of grass: ``height`` of the blades in metres, ``spread`` of the tuft, sRGB tones from root to tip."""

    height: float
    spread: float
    blades: int = 14
    root: RGB
    tip: RGB
    models: int = 5


@block("tufts", Tufts)
def tufts(builder: Builder, p: Tufts) -> None:
    """Scatter tufts."""
    rng = builder.rng
    spots = places(builder, p)
    which = rng.integers(0, p.models, len(spots))
    foliage = Material("foliage", roughness=0.8, specular=0.0)
    for k in range(p.models):
        mine = spots[which == k]
        if len(mine) == 0:
            continue
        model = blade_tuft(rng, p.blades, p.height, p.spread, p.root, p.tip)
        size = rng.uniform(0.6, 1.25, len(mine))
        tints = rng.uniform(0.75, 1.15, (len(mine), 1)) * rng.uniform(0.93, 1.07, (len(mine), 3))
        builder.add(scatter(model, mine, size, rng.uniform(0, 2 * np.pi, len(mine)), tints), foliage)


class Flowers(ScatterArea):
    """Small flowers on stems: sRGB ``petals`` to choose from."""

    height: float = 0.16
    size: float = 0.035
    petals: list[RGB]


@block("flowers", Flowers)
def flowers(builder: Builder, p: Flowers) -> None:
    """Scatter flowers: five petals around a yellow middle."""
    rng = builder.rng
    spots = places(builder, p)
    foliage = Material("foliage", roughness=0.8, specular=0.0)
    angle = np.arange(6) / 6 * 2 * np.pi
    ring = np.stack([np.cos(angle), np.sin(angle), np.full(6, 0.25)], -1)
    points = np.concatenate([[[0, 0, 0]], ring * 1.0], 0)
    faces = np.array([[0, k + 1, (k + 1) % 6 + 1] for k in range(6)])
    up = np.tile(np.array([0, 0, 1], np.float32), (7, 1))
    for petal in p.petals:
        mine = spots[rng.integers(0, len(p.petals), len(spots)) == 0] if len(p.petals) > 1 else spots
        head = Mesh(
            points.astype(np.float32),
            faces.astype(np.uint32),
            up,
            None,
            np.tile(linear(petal), (7, 1)).astype(np.float32),
        )
        middle = head.moved((0, 0, 0.22), 0.38)
        middle = Mesh(
            middle.vertices, middle.faces, up, None, np.tile(linear((0.95, 0.75, 0.1)), (7, 1)).astype(np.float32)
        )
        model = merge([head, middle]).moved((0, 0, p.height), p.size)
        builder.add(scatter(model, mine, np.ones(len(mine)), rng.uniform(0, 6, len(mine))), foliage)
