"""Surfaces of wood, metal and cloth, and of machines."""

from __future__ import annotations

import numpy as np

from torchmultiverse.engines.builtin.noise import mix, smoothstep
from torchmultiverse.engines.builtin.surfaces.fields import RGB, Pattern, Tile, axes, cell_value, courses, fractal


def _planks(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    rows = 10
    row = np.floor(y * rows)
    start = cell_value(row, row * 0 + 3)
    board = np.floor((x + start) % 1.0 * 2)
    edge = np.minimum(y * rows % 1, 1 - y * rows % 1)
    end = (x + start) * 2 % 1.0
    end = np.minimum(end, 1 - end) * 5
    body = smoothstep(0.02, 0.07, np.minimum(edge, end))
    value = cell_value(row, board)
    grain = fractal(rng, n, 24, 0.7, 14.0)
    knots = fractal(rng, n, 6, 1.2, 5.0)
    t = np.clip(0.15 + 0.5 * value + 0.13 * grain + 0.09 * knots, 0, 1)
    color = mix(a, b, t) * (0.35 + 0.65 * body)[..., None]
    return Tile(color, 0.55 + 0.15 * value, 0.003 * body + 0.0005 * grain)


def _stripes(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, _ = axes(n)
    fine = fractal(rng, n, 24, 0.6)
    t = smoothstep(0.24, 0.26, np.abs((x * 2 % 1) - 0.5))
    return Tile(mix(a, b, t) * (1 + 0.03 * fine)[..., None], 0.85 + 0 * x, 0.0006 * fine)


def _panels(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    edge, value, _ = courses(x, y, 2, 4, 0.0)
    seam = smoothstep(0.012, 0.03, edge)
    rivet = np.exp(-(((x % 0.125 - 0.0625) ** 2 + ((y % 0.25 - 0.02) ** 2)) / 0.00002))
    scratch = fractal(rng, n, 20, 0.5, 10.0)
    stain = fractal(rng, n, 2, 1.2)
    t = np.clip(0.2 + 0.45 * (value > 0.7) + 0.12 * stain + 0.05 * scratch, 0, 1)
    color = mix(a, b, t) * (0.45 + 0.55 * seam)[..., None]
    return Tile(color, 0.4 + 0.08 * stain + 0.05 * scratch, 0.005 * seam + 0.004 * rivet)


def _corrugated(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * x * 20)
    stain = fractal(rng, n, 3, 1.1, 0.3)
    seam = np.exp(-(((y % 0.5) / 0.006) ** 2))
    color = mix(a, b, np.clip(0.2 + 0.3 * stain, 0, 1)) * (0.8 + 0.2 * wave - 0.3 * seam)[..., None]
    return Tile(color, 0.5 + 0.08 * stain, 0.01 * wave)


def _rust(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    spread, fine = fractal(rng, n, 3, 0.9), fractal(rng, n, 30, 0.4)
    t = smoothstep(-0.2, 0.5, spread + 0.25 * fine)
    color = mix(a, b, t) * (1 + 0.1 * fine)[..., None]
    return Tile(color, 0.5 + 0.4 * t, 0.002 * t * (1 + 0.5 * fine))


def _greebles(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Panels within panels, with vents and a few marks: the hull or the wall of something from the future."""
    height, value = np.zeros((n, n)), np.full((n, n), 0.3)
    line = np.zeros((n, n))

    def split(x0: int, y0: int, x1: int, y1: int, deep: int) -> None:
        w, h = x1 - x0, y1 - y0
        if deep == 0 or min(w, h) < n // 12 or (deep < 3 and rng.random() < 0.25):
            g = max(1, n // 200)
            line[y0 : y0 + g, x0:x1] = line[y0:y1, x0 : x0 + g] = 1
            value[y0:y1, x0:x1] = rng.random()
            height[y0:y1, x0:x1] += rng.uniform(0, 0.006)
            if rng.random() < 0.22 and min(w, h) > n // 14:
                for k in range(y0 + h // 5, y1 - h // 5, max(4, n // 60)):
                    line[k : k + max(2, n // 130), x0 + w // 5 : x1 - w // 5] = 0.8
            return
        if w > h:
            cut = x0 + int(w * rng.choice((0.33, 0.5, 0.67)))
            split(x0, y0, cut, y1, deep - 1)
            split(cut, y0, x1, y1, deep - 1)
        else:
            cut = y0 + int(h * rng.choice((0.33, 0.5, 0.67)))
            split(x0, y0, x1, cut, deep - 1)
            split(x0, cut, x1, y1, deep - 1)

    split(0, 0, n, n, 6)
    stain = fractal(rng, n, 3, 1.1)
    color = mix(a, b, np.clip(value * 0.8 + 0.08 * stain, 0, 1)) * (1 - 0.62 * line)[..., None]
    return Tile(color, 0.38 + 0.2 * value, height - 0.006 * line)


def _carpet(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = axes(n)
    u, v = (x * 4) % 1 - 0.5, (y * 4) % 1 - 0.5
    flower = smoothstep(0.03, 0.0, np.abs(np.hypot(u, v) - 0.26 - 0.07 * np.cos(6 * np.arctan2(v, u))) - 0.03)
    fine = fractal(rng, n, 60, 0.1)
    return Tile(mix(a, b, np.clip(flower, 0, 1)) * (1 + 0.1 * fine)[..., None], 0.95 + 0 * x, 0.0012 * fine)


def _thatch(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    _, y = axes(n)
    straw = fractal(rng, n, 40, 0.2, 0.08)
    layer = (y * 5 + 0.03 * fractal(rng, n, 6, 1)) % 1
    color = mix(a, b, np.clip(0.4 + 0.22 * straw, 0, 1)) * (0.65 + 0.35 * layer)[..., None]
    return Tile(color, 0.95 + 0 * y, 0.006 * straw + 0.02 * (1 - layer))


PATTERNS: dict[str, Pattern] = {
    "planks": _planks,
    "stripes": _stripes,
    "panels": _panels,
    "corrugated": _corrugated,
    "rust": _rust,
    "greebles": _greebles,
    "carpet": _carpet,
    "thatch": _thatch,
}
