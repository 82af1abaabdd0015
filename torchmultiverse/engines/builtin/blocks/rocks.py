"""Stones, from pebbles to boulders."""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.blocks import block
from torchmultiverse.engines.builtin.blocks.plants import RGB, ScatterArea, places
from torchmultiverse.engines.builtin.mesh import Material, Mesh, ball, linear, scatter, smooth_normals
from torchmultiverse.engines.builtin.noise import Noise
from torchmultiverse.engines.builtin.world import Builder


class Rocks(ScatterArea):
    """Stones of a ``size`` range in metres (smaller ones are more frequent), in two sRGB tones.

    ``top`` covers what faces up (snow, sand, weed); ``flat`` is their height over their width.
    """

    size: tuple[float, float]
    color: RGB
    accent: RGB
    top: RGB | None = None
    flat: float = 0.7
    models: int = 5


def rock(rng: np.random.Generator, color: RGB, accent: RGB, top: RGB | None, detail: int = 22) -> Mesh:
    """Return a stone of about one metre, its middle at the origin."""
    mesh = ball(detail, detail + 6)
    noise = Noise(rng)
    v = mesh.vertices.astype(float)
    # A few planes cut the ball, noise roughens it.
    for _ in range(9):
        normal = rng.normal(0, 1, 3)
        normal /= np.linalg.norm(normal)
        over = np.maximum(v @ normal - rng.uniform(0.62, 0.9), 0)
        v = v - over[:, None] * normal * 0.9
    d = mesh.vertices.astype(float)
    bumps = noise.fbm(d[:, 0] * 1.3 + d[:, 2], d[:, 1] * 1.3 - d[:, 2], 0.9, 4)
    v = v * (0.5 + 0.07 * bumps)[:, None]
    shape = Mesh(v.astype(np.float32), mesh.faces)
    normals = smooth_normals(shape)
    tone = np.clip(0.5 + 0.7 * noise.fbm(d[:, 0] + d[:, 2], d[:, 1] + 0.7 * d[:, 2], 0.5, 4), 0, 1)[:, None]
    colors = linear(color) * (1 - tone) + linear(accent) * tone
    if top is not None:
        cover = np.clip((normals[:, 2:] + 0.25 * bumps[:, None] - 0.45) * 5, 0, 1)
        colors = colors * (1 - cover) + linear(top) * cover
    return Mesh(shape.vertices, shape.faces, normals, None, colors.astype(np.float32))


@block("rocks", Rocks)
def rocks(builder: Builder, p: Rocks) -> None:
    """Scatter stones, a third of each in the ground."""
    rng = builder.rng
    spots = places(builder, p)
    which = rng.integers(0, p.models, len(spots))
    low, high = p.size
    for k in range(p.models):
        mine = spots[which == k]
        if len(mine) == 0:
            continue
        size = low * (high / low) ** (rng.random(len(mine)) ** 2)
        scale = size[:, None] * np.stack(
            [rng.uniform(0.8, 1.3, len(mine)), rng.uniform(0.8, 1.3, len(mine)), np.full(len(mine), p.flat)], -1
        )
        at = mine + np.stack([0 * size, 0 * size, size * p.flat * 0.18], -1)
        model = rock(rng, p.color, p.accent, p.top, 14 if high > 0.5 else 9)
        builder.add(
            scatter(model, at, scale, rng.uniform(0, 6.3, len(mine))), Material("stone", specular=0.0, roughness=0.9)
        )
