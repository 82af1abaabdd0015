"""Surfaces of stone and clay: plaster, concrete, walls, paving, roofs."""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.noise import mix, smoothstep
from torchmultiverse.engines.builtin.surfaces.fields import (
    RGB,
    Pattern,
    Tile,
    axes,
    cell_value,
    courses,
    fractal,
    voronoi,
)


def plaster(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Return an even wall with stains."""
    stain, fine = fractal(rng, n, 2, 1.2), fractal(rng, n, 30, 0.6)
    color = mix(a, b, np.clip(0.22 + 0.2 * stain + 0.04 * fine, 0, 1))
    return Tile(color, 0.85 + 0 * stain, 0.0012 * fine)


def _concrete(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    stain, fine = fractal(rng, n, 2, 1.0), fractal(rng, n, 40, 0.3)
    joint = np.exp(-((np.minimum(x % 0.5, 0.5 - x % 0.5) / 0.003) ** 2)) + np.exp(
        -((np.minimum(y % 0.5, 0.5 - y % 0.5) / 0.003) ** 2)
    )
    hole = np.exp(-(((x % 0.5 - 0.25) ** 2 + (y % 0.25 - 0.125) ** 2) / 0.00006))
    t = np.clip(0.3 + 0.25 * stain + 0.06 * fine, 0, 1)
    color = mix(a, b, t) * (1 - 0.35 * np.clip(joint + hole, 0, 1))[..., None]
    return Tile(color, 0.75 + 0.06 * stain, -0.003 * np.clip(joint + hole, 0, 1) + 0.0004 * fine)


def _brick(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    wob = 0.002 * fractal(rng, n, 12, 1)
    edge, value, _ = courses(x + wob, y + wob, 8, 24, 0.5)
    body = smoothstep(0.04, 0.16, edge)
    fine = fractal(rng, n, 30, 0.5)
    tone = mix(a, np.asarray(a) * 0.6, np.clip(value * 1.1 - 0.2 + 0.1 * fine, 0, 1))
    color = mix(np.asarray(b), tone, body) * (1 + 0.05 * fractal(rng, n, 2, 1.2))[..., None]
    return Tile(color, 0.85 + 0 * x, 0.006 * body + 0.0006 * fine)


def _blocks(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    wob = 0.003 * fractal(rng, n, 8, 1)
    edge, value, _ = courses(x + wob, y + wob, 3, 6, 0.5)
    body = smoothstep(0.015, 0.06, edge)
    stain, fine = fractal(rng, n, 2, 1.1), fractal(rng, n, 24, 0.5)
    t = np.clip(0.15 + 0.5 * value + 0.18 * stain + 0.07 * fine, 0, 1)
    color = mix(a, b, t) * (0.5 + 0.5 * body)[..., None]
    return Tile(color, 0.88 + 0 * x, 0.008 * body * (0.8 + 0.4 * value) + 0.0012 * fine + 0.0015 * stain)


def _cobbles(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    border, value = voronoi(rng, n, 14)
    body = smoothstep(0.05, 0.32, border)
    fine = fractal(rng, n, 30, 0.5)
    color = mix(a, b, np.clip(value + 0.1 * fine, 0, 1)) * (0.32 + 0.68 * body)[..., None]
    return Tile(color, 0.62 + 0.2 * value, 0.012 * body**0.5 + 0.0004 * fine)


def _flagstones(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    border, value = voronoi(rng, n, 5)
    body = smoothstep(0.03, 0.09, border)
    stain, fine = fractal(rng, n, 4, 1.0), fractal(rng, n, 30, 0.5)
    color = mix(a, b, np.clip(value * 0.8 + 0.2 * stain * 0.5 + 0.06 * fine, 0, 1)) * (0.4 + 0.6 * body)[..., None]
    return Tile(color, 0.8 + 0 * value, 0.006 * body + 0.0008 * fine)


def _tiles(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    edge, value, _ = courses(x, y, 8, 8, 0.0)
    body = smoothstep(0.025, 0.05, edge)
    stain = fractal(rng, n, 3, 1.1)
    color = mix(np.asarray(b), np.asarray(a) * (0.93 + 0.12 * value + 0.03 * stain)[..., None], body)
    return Tile(color, 0.25 + 0.5 * (1 - body), 0.003 * body)


def _checks(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    odd = (np.floor(x * 4) + np.floor(y * 4)) % 2
    edge, value, _ = courses(x, y, 4, 4, 0.0)
    vein = np.exp(-((fractal(rng, n, 3, 1.4) / 0.12) ** 2))
    color = mix(a, b, odd) * (0.94 + 0.08 * value + 0.05 * vein)[..., None]
    return Tile(color * (0.7 + 0.3 * smoothstep(0.008, 0.02, edge))[..., None], 0.22 + 0.1 * value, 0.0 * x)


def _marble(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    cloud = fractal(rng, n, 2, 1.3)
    vein = np.exp(-((fractal(rng, n, 2, 1.5) / 0.07) ** 2)) * smoothstep(-0.6, 1.2, fractal(rng, n, 3, 1.2))
    color = mix(a, b, np.clip(0.14 * cloud + 0.1 + 0.75 * vein, 0, 1))
    return Tile(color, 0.18 + 0.05 * np.clip(cloud, -1, 1), 0.0 * cloud)


def _roof(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    columns, rows = 14, 10
    v = y * rows
    row = np.floor(v)
    u = x * columns + 0.5 * (row % 2)
    fu, fv = u % 1 - 0.5, v - row
    value = cell_value(np.floor(u) % columns, row)
    bow = 1 - fv - 1.2 * fu**2
    color = mix(a, b, np.clip(value + 0.08 * fractal(rng, n, 4, 1), 0, 1))
    color = color * (0.55 + 0.45 * smoothstep(0.0, 0.35, bow))[..., None]
    return Tile(color, 0.75 + 0 * x, 0.014 * bow)


PATTERNS: dict[str, Pattern] = {
    "plaster": plaster,
    "concrete": _concrete,
    "brick": _brick,
    "blocks": _blocks,
    "cobbles": _cobbles,
    "flagstones": _flagstones,
    "tiles": _tiles,
    "checks": _checks,
    "marble": _marble,
    "roof": _roof,
}
