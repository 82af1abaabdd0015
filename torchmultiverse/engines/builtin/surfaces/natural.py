"""Surfaces of the ground, of rock, ice and leaves."""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.noise import mix, smoothstep
from torchmultiverse.engines.builtin.surfaces.fields import RGB, Pattern, Tile, axes, fractal, voronoi


def _grass(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    patch, blades = fractal(rng, n, 3, 1.1), fractal(rng, n, 40, 0.3, 0.5)
    color = mix(a, b, np.clip(0.4 + 0.25 * patch, 0, 1)) * np.clip(1 + 0.25 * blades, 0.3, 1.7)[..., None]
    return Tile(color, 0.9 + 0 * patch, 0.004 * blades)


def _dirt(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    patch, fine, grit = fractal(rng, n, 3, 1.1), fractal(rng, n, 16, 0.7), fractal(rng, n, 70, 0.0)
    stone = smoothstep(1.7, 2.2, fractal(rng, n, 30, 0.8))
    color = mix(a, b, np.clip(0.4 + 0.28 * patch + 0.12 * fine, 0, 1)) * (1 + 0.07 * grit + 0.35 * stone)[..., None]
    return Tile(color, 0.95 + 0 * patch, 0.006 * fine + 0.006 * stone + 0.001 * grit)


def _sand(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    patch, grit, lump = fractal(rng, n, 2, 1.2), fractal(rng, n, 80, 0.0), fractal(rng, n, 10, 1.0)
    color = mix(a, b, np.clip(0.35 + 0.22 * patch + 0.1 * lump, 0, 1)) * (1 + 0.04 * grit)[..., None]
    return Tile(color, 0.92 + 0 * patch, 0.008 * lump + 0.0005 * grit)


def _gravel(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    border, value = voronoi(rng, n, 44)
    body = smoothstep(0.02, 0.4, border)
    color = mix(a, b, value) * (0.35 + 0.65 * body)[..., None]
    return Tile(color, 0.85 + 0 * value, 0.01 * body * (0.4 + value))


def _asphalt(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    stain, grain = fractal(rng, n, 2, 1.2), fractal(rng, n, 90, 0.0)
    crack = np.exp(-((fractal(rng, n, 3, 1.5) / 0.018) ** 2)) * smoothstep(0.2, 1.0, fractal(rng, n, 2, 1.2))
    t = np.clip(0.4 + 0.25 * stain, 0, 1)
    color = mix(a, b, t) * (1 + 0.13 * grain - 0.5 * crack)[..., None]
    return Tile(color, 0.8 + 0.05 * stain, 0.0012 * grain - 0.003 * crack)


def _rock(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    lump, strata, fine = fractal(rng, n, 3, 0.9), fractal(rng, n, 10, 0.9, 5.0), fractal(rng, n, 30, 0.5)
    t = np.clip(0.45 + 0.2 * lump + 0.18 * strata + 0.08 * fine, 0, 1)
    crack = np.exp(-((fractal(rng, n, 4, 1.3) / 0.04) ** 2))
    color = mix(a, b, t) * (1 - 0.3 * crack)[..., None]
    return Tile(color, 0.92 + 0 * lump, 0.016 * lump + 0.008 * strata + 0.003 * fine - 0.01 * crack)


def _hedge(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    border, value = voronoi(rng, n, 30)
    leaf = smoothstep(0.0, 0.5, border)
    lump = fractal(rng, n, 5, 1.0)
    color = mix(a, b, value) * np.clip(0.25 + 0.75 * leaf + 0.12 * lump, 0.1, 1.4)[..., None]
    return Tile(color, 0.75 + 0 * value, 0.02 * leaf + 0.012 * lump)


def _planet(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    swirl = fractal(rng, n, 3, 1.3)
    bands = 0.5 + 0.5 * np.sin(2 * np.pi * (y * 7) + 0.9 * swirl)
    fine = fractal(rng, n, 8, 0.9, 3.0)
    color = mix(a, b, np.clip(0.75 * bands + 0.15 * fine + 0.1, 0, 1))
    return Tile(color, 0.95 + 0 * x, 0 * x)


def _continents(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """A planet like the Earth from afar: sea, land, white clouds."""
    land = smoothstep(0.25, 0.4, fractal(rng, n, 2, 1.1))
    dry = np.clip(0.5 + 0.35 * fractal(rng, n, 4, 1.0), 0, 1)
    cloud = smoothstep(0.35, 1.3, fractal(rng, n, 3, 0.9, 2.5))
    color = mix(mix(a, mix(b, (0.62, 0.52, 0.34), dry), land), (0.96, 0.98, 1.0), cloud)
    return Tile(color, 0.9 + 0 * land, 0 * land)


def _craters(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """A moon: plains of two tones, with craters of many sizes whose rims are bright."""
    x, y = axes(n)
    color = mix(a, b, smoothstep(0.0, 0.8, fractal(rng, n, 2, 1.2)))
    shade = 1 + 0.05 * fractal(rng, n, 20, 0.6)
    for _ in range(70):
        cx, cy, r = rng.random(), rng.random(), 0.012 + 0.07 * rng.random() ** 4
        d = np.hypot((x - cx + 0.5) % 1 - 0.5, (y - cy + 0.5) % 1 - 0.5) / r
        shade = shade * (1 - 0.25 * smoothstep(1.0, 0.7, d)) + 0.3 * np.exp(-(((d - 1.05) / 0.14) ** 2))
    return Tile(np.clip(color * shade[..., None], 0, 1), 0.95 + 0 * x, 0 * x)


def _ice(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    cloud, fine = fractal(rng, n, 2, 1.2), fractal(rng, n, 20, 0.8)
    crack = np.exp(-((fractal(rng, n, 3, 1.4) / 0.02) ** 2)) + 0.7 * np.exp(-((fractal(rng, n, 6, 1.3) / 0.02) ** 2))
    snow = smoothstep(0.4, 1.3, fractal(rng, n, 3, 1.0))
    color = mix(mix(a, b, np.clip(0.45 + 0.3 * cloud, 0, 1)), (0.95, 0.97, 1.0), np.clip(0.6 * crack + snow, 0, 1))
    return Tile(color, np.clip(0.08 + 0.6 * snow + 0.2 * crack, 0, 1), 0.004 * snow + 0.0004 * fine)


PATTERNS: dict[str, Pattern] = {
    "grass": _grass,
    "dirt": _dirt,
    "sand": _sand,
    "gravel": _gravel,
    "asphalt": _asphalt,
    "rock": _rock,
    "hedge": _hedge,
    "planet": _planet,
    "continents": _continents,
    "craters": _craters,
    "ice": _ice,
}
