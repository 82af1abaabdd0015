"""Surfaces that repeat without a seam: brick, planks, tiles, panels … as colour, roughness and relief.

Each is a function over a unit square, periodic in both directions; `Paint` gives it colours and a size in metres.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from torchmultiverse.engines.builtin.mesh import Material
from torchmultiverse.engines.builtin.noise import mix, smoothstep

Array = NDArray[np.float64]
RGB = tuple[float, float, float]
TEXELS = 512

Kind = Literal[
    "plaster",
    "concrete",
    "brick",
    "blocks",
    "cobbles",
    "planks",
    "tiles",
    "marble",
    "panels",
    "corrugated",
    "rust",
    "greebles",
    "carpet",
    "checks",
    "stripes",
    "grass",
    "dirt",
    "sand",
    "gravel",
    "asphalt",
    "rock",
    "roof",
    "thatch",
    "facade",
    "lit_facade",
    "books",
    "bottles",
    "glyphs",
    "hedge",
    "crowd",
    "planet",
    "flagstones",
    "ice",
]


@dataclass(frozen=True)
class Tile:
    """A periodic surface: sRGB ``color`` (N, N, 3), ``rough`` (N, N) of 0 to 1, ``height`` (N, N) in tile widths.

    The first row is at the bottom.
    """

    color: Array
    rough: Array
    height: Array


class Paint(BaseModel):
    """What a thing is made of.

    Attributes:
        surface: pattern, or None for one even colour.
        color, accent: sRGB, the pattern's two tones.
        size: metres that one repetition of the pattern covers.
        rough: 0 mirror to 1 matt; by default the pattern's own.
        specular: strength of the coat's reflection, 0 to 1.
        metallic: 0 or 1.
        emission: radiance of what shines; the colour multiplies it.
        lights: whether it lights its surroundings by shadow rays (for a few large lamps, not for many small ones).
        relief: factor on the depth of the pattern.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    surface: Kind | None = None
    color: RGB
    accent: RGB | None = None
    size: float = Field(default=2.0, gt=0)
    rough: float | None = Field(default=None, ge=0, le=1)
    specular: float = Field(default=0.3, ge=0, le=1)
    metallic: float = Field(default=0.0, ge=0, le=1)
    emission: float = Field(default=0.0, ge=0)
    lights: bool = False
    relief: float = 1.0

    def second(self) -> RGB:
        """Return the second tone; by default a darker first one."""
        if self.accent is not None:
            return self.accent
        r, g, b = self.color
        return (r * 0.72, g * 0.72, b * 0.72)


def fractal(rng: np.random.Generator, n: int, low: float = 4, slope: float = 1.0, stretch: float = 1.0) -> Array:
    """Return periodic noise (n, n) of zero mean and unit variance.

    Args:
        rng: random numbers.
        n: side.
        low: waves per side of the coarsest features.
        slope: how fast fine features fade; 0 is white noise.
        stretch: above 1, features are that much longer along the columns' direction (x).
    """
    fy = np.fft.fftfreq(n)[:, None] * n
    fx = np.fft.rfftfreq(n)[None] * n
    f = np.hypot(fx * np.sqrt(stretch), fy / np.sqrt(stretch))
    gain = 1 / np.maximum(f, low) ** slope / np.sqrt(np.maximum(f, low))
    gain[f < low * 0.5] = 0
    spectrum = np.fft.rfft2(rng.normal(0, 1, (n, n))) * gain
    field = np.fft.irfft2(spectrum, (n, n))
    return np.asarray(field / max(float(field.std()), 1e-12))


def _axes(n: int) -> tuple[Array, Array]:
    axis = (np.arange(n) + 0.5) / n
    x, y = np.meshgrid(axis, axis)
    return x, y


def _hash(*keys: Array) -> Array:
    """Return a value of 0 to 1 for each combination of whole numbers."""
    total = sum(k * w for k, w in zip(keys, (12.9898, 78.233, 37.719), strict=False))
    return np.asarray(np.modf(np.abs(np.sin(np.asarray(total)) * 43758.5453))[0])


def _courses(x: Array, y: Array, columns: int, rows: int, shift: float) -> tuple[Array, Array, Array]:
    """Return of a wall of courses: distance to the joint (in courses' heights), a value per stone, its height on it."""
    v = y * rows
    row = np.floor(v)
    u = x * columns + shift * (row % 2)
    column = np.floor(u) % columns
    fu, fv = u - np.floor(u), v - row
    aspect = rows / columns
    edge = np.minimum(np.minimum(fu, 1 - fu) * aspect, np.minimum(fv, 1 - fv))
    return edge, _hash(column, row), fv


def _cells(rng: np.random.Generator, n: int, count: int) -> tuple[Array, Array]:
    """Return of periodic Voronoi cells: distance to the border in cells, and a value per cell."""
    from scipy.spatial import cKDTree

    base = np.stack(np.meshgrid(np.arange(count), np.arange(count)), -1)
    points = (base + rng.uniform(0.15, 0.85, base.shape)).reshape(-1, 2)
    x, y = _axes(n)
    distance, index = cKDTree(points, boxsize=count).query(np.stack([x, y], -1).reshape(-1, 2) * count, k=2)
    return (distance[:, 1] - distance[:, 0]).reshape(n, n), rng.random(len(points))[index[:, 0]].reshape(n, n)


def _plaster(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    stain, fine = fractal(rng, n, 2, 1.2), fractal(rng, n, 30, 0.6)
    color = mix(a, b, np.clip(0.22 + 0.2 * stain + 0.04 * fine, 0, 1))
    return Tile(color, 0.85 + 0 * stain, 0.0012 * fine)


def _concrete(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = _axes(n)
    stain, fine = fractal(rng, n, 2, 1.0), fractal(rng, n, 40, 0.3)
    joint = np.exp(-((np.minimum(x % 0.5, 0.5 - x % 0.5) / 0.003) ** 2)) + np.exp(
        -((np.minimum(y % 0.5, 0.5 - y % 0.5) / 0.003) ** 2)
    )
    hole = np.exp(-(((x % 0.5 - 0.25) ** 2 + (y % 0.25 - 0.125) ** 2) / 0.00006))
    t = np.clip(0.3 + 0.25 * stain + 0.06 * fine, 0, 1)
    color = mix(a, b, t) * (1 - 0.35 * np.clip(joint + hole, 0, 1))[..., None]
    return Tile(color, 0.75 + 0.06 * stain, -0.003 * np.clip(joint + hole, 0, 1) + 0.0004 * fine)


def _brick(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = _axes(n)
    wob = 0.002 * fractal(rng, n, 12, 1)
    edge, value, _ = _courses(x + wob, y + wob, 8, 24, 0.5)
    body = smoothstep(0.04, 0.16, edge)
    fine = fractal(rng, n, 30, 0.5)
    tone = mix(a, np.asarray(a) * 0.6, np.clip(value * 1.1 - 0.2 + 0.1 * fine, 0, 1))
    color = mix(np.asarray(b), tone, body) * (1 + 0.05 * fractal(rng, n, 2, 1.2))[..., None]
    return Tile(color, 0.85 + 0 * x, 0.006 * body + 0.0006 * fine)


def _blocks(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = _axes(n)
    wob = 0.003 * fractal(rng, n, 8, 1)
    edge, value, _ = _courses(x + wob, y + wob, 3, 6, 0.5)
    body = smoothstep(0.015, 0.06, edge)
    stain, fine = fractal(rng, n, 2, 1.1), fractal(rng, n, 24, 0.5)
    t = np.clip(0.15 + 0.5 * value + 0.18 * stain + 0.07 * fine, 0, 1)
    color = mix(a, b, t) * (0.5 + 0.5 * body)[..., None]
    return Tile(color, 0.88 + 0 * x, 0.008 * body * (0.8 + 0.4 * value) + 0.0012 * fine + 0.0015 * stain)


def _cobbles(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    border, value = _cells(rng, n, 14)
    body = smoothstep(0.05, 0.32, border)
    fine = fractal(rng, n, 30, 0.5)
    color = mix(a, b, np.clip(value + 0.1 * fine, 0, 1)) * (0.32 + 0.68 * body)[..., None]
    return Tile(color, 0.62 + 0.2 * value, 0.012 * body**0.5 + 0.0004 * fine)


def _flagstones(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    border, value = _cells(rng, n, 5)
    body = smoothstep(0.03, 0.09, border)
    stain, fine = fractal(rng, n, 4, 1.0), fractal(rng, n, 30, 0.5)
    color = mix(a, b, np.clip(value * 0.8 + 0.2 * stain * 0.5 + 0.06 * fine, 0, 1)) * (0.4 + 0.6 * body)[..., None]
    return Tile(color, 0.8 + 0 * value, 0.006 * body + 0.0008 * fine)


def _planks(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = _axes(n)
    rows = 10
    row = np.floor(y * rows)
    start = _hash(row, row * 0 + 3)
    board = np.floor((x + start) % 1.0 * 2)
    edge = np.minimum(y * rows % 1, 1 - y * rows % 1)
    end = (x + start) * 2 % 1.0
    end = np.minimum(end, 1 - end) * 5
    body = smoothstep(0.02, 0.07, np.minimum(edge, end))
    value = _hash(row, board)
    grain = fractal(rng, n, 24, 0.7, 14.0)
    knots = fractal(rng, n, 6, 1.2, 5.0)
    t = np.clip(0.15 + 0.5 * value + 0.13 * grain + 0.09 * knots, 0, 1)
    color = mix(a, b, t) * (0.35 + 0.65 * body)[..., None]
    return Tile(color, 0.55 + 0.15 * value, 0.003 * body + 0.0005 * grain)


def _tiles(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = _axes(n)
    edge, value, _ = _courses(x, y, 8, 8, 0.0)
    body = smoothstep(0.025, 0.05, edge)
    stain = fractal(rng, n, 3, 1.1)
    color = mix(np.asarray(b), np.asarray(a) * (0.93 + 0.12 * value + 0.03 * stain)[..., None], body)
    return Tile(color, 0.25 + 0.5 * (1 - body), 0.003 * body)


def _checks(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = _axes(n)
    odd = (np.floor(x * 4) + np.floor(y * 4)) % 2
    edge, value, _ = _courses(x, y, 4, 4, 0.0)
    vein = np.exp(-((fractal(rng, n, 3, 1.4) / 0.12) ** 2))
    color = mix(a, b, odd) * (0.94 + 0.08 * value + 0.05 * vein)[..., None]
    return Tile(color * (0.7 + 0.3 * smoothstep(0.008, 0.02, edge))[..., None], 0.22 + 0.1 * value, 0.0 * x)


def _stripes(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, _ = _axes(n)
    fine = fractal(rng, n, 24, 0.6)
    t = smoothstep(0.24, 0.26, np.abs((x * 2 % 1) - 0.5))
    return Tile(mix(a, b, t) * (1 + 0.03 * fine)[..., None], 0.85 + 0 * x, 0.0006 * fine)


def _marble(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    cloud = fractal(rng, n, 2, 1.3)
    vein = np.exp(-((fractal(rng, n, 2, 1.5) / 0.07) ** 2)) * smoothstep(-0.6, 1.2, fractal(rng, n, 3, 1.2))
    color = mix(a, b, np.clip(0.14 * cloud + 0.1 + 0.75 * vein, 0, 1))
    return Tile(color, 0.18 + 0.05 * np.clip(cloud, -1, 1), 0.0 * cloud)


def _panels(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = _axes(n)
    edge, value, _ = _courses(x, y, 2, 4, 0.0)
    seam = smoothstep(0.012, 0.03, edge)
    rivet = np.exp(-(((x % 0.125 - 0.0625) ** 2 + ((y % 0.25 - 0.02) ** 2)) / 0.00002))
    scratch = fractal(rng, n, 20, 0.5, 10.0)
    stain = fractal(rng, n, 2, 1.2)
    t = np.clip(0.2 + 0.45 * (value > 0.7) + 0.12 * stain + 0.05 * scratch, 0, 1)
    color = mix(a, b, t) * (0.45 + 0.55 * seam)[..., None]
    return Tile(color, 0.4 + 0.08 * stain + 0.05 * scratch, 0.005 * seam + 0.004 * rivet)


def _corrugated(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = _axes(n)
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
    x, y = _axes(n)
    u, v = (x * 4) % 1 - 0.5, (y * 4) % 1 - 0.5
    flower = smoothstep(0.03, 0.0, np.abs(np.hypot(u, v) - 0.26 - 0.07 * np.cos(6 * np.arctan2(v, u))) - 0.03)
    fine = fractal(rng, n, 60, 0.1)
    return Tile(mix(a, b, np.clip(flower, 0, 1)) * (1 + 0.1 * fine)[..., None], 0.95 + 0 * x, 0.0012 * fine)


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
    border, value = _cells(rng, n, 44)
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


def _roof(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = _axes(n)
    columns, rows = 14, 10
    v = y * rows
    row = np.floor(v)
    u = x * columns + 0.5 * (row % 2)
    fu, fv = u % 1 - 0.5, v - row
    value = _hash(np.floor(u) % columns, row)
    bow = 1 - fv - 1.2 * fu**2
    color = mix(a, b, np.clip(value + 0.08 * fractal(rng, n, 4, 1), 0, 1))
    color = color * (0.55 + 0.45 * smoothstep(0.0, 0.35, bow))[..., None]
    return Tile(color, 0.75 + 0 * x, 0.014 * bow)


def _thatch(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    _, y = _axes(n)
    straw = fractal(rng, n, 40, 0.2, 0.08)
    layer = (y * 5 + 0.03 * fractal(rng, n, 6, 1)) % 1
    color = mix(a, b, np.clip(0.4 + 0.22 * straw, 0, 1)) * (0.65 + 0.35 * layer)[..., None]
    return Tile(color, 0.95 + 0 * y, 0.006 * straw + 0.02 * (1 - layer))


def _windows(x: Array, y: Array, columns: int, rows: int) -> tuple[Array, Array, Array, Array, Array]:
    """Return of a wall of windows: which pane, its frame, coordinates within, and a value per window."""
    u, v = x * columns, y * rows
    fu, fv = u % 1, v % 1
    value = _hash(np.floor(u), np.floor(v))
    inside = (np.abs(fu - 0.5) < 0.24) & (np.abs(fv - 0.52) < 0.3)
    around = (np.abs(fu - 0.5) < 0.3) & (np.abs(fv - 0.52) < 0.36)
    bars = inside & ((np.abs(fu - 0.5) < 0.02) | (np.abs(fv - 0.62) < 0.016))
    pane = inside & ~bars
    return pane.astype(float), (around & ~pane).astype(float), (fu - 0.26) / 0.48, (fv - 0.22) / 0.6, value


def _facade(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """A house's wall by day, three windows wide and three floors high; the accent is that of the frames."""
    x, y = _axes(n)
    pane, frame, _, high, value = _windows(x, y, 3, 3)
    stain, fine = fractal(rng, n, 2, 1.2), fractal(rng, n, 40, 0.4)
    wall = np.asarray(a) * (1 + 0.05 * stain + 0.03 * fine)[..., None]
    sill = ((y * 3 % 1) < 0.14) & ((y * 3 % 1) > 0.1)
    wall = wall * np.where(sill & (np.abs(x * 3 % 1 - 0.5) < 0.33), 1.25, 1.0)[..., None]
    glass = mix((0.1, 0.13, 0.17), (0.42, 0.5, 0.58), np.clip(0.75 * high + 0.5 * (value - 0.5), 0, 1))
    color = mix(mix(wall, b, frame), glass, pane)
    return Tile(color, 0.85 - 0.75 * pane, -0.012 * pane + 0.006 * frame)


def _lit_facade(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """A house's wall by night, to be given an emission: dark wall, some windows in the tone of the accent."""
    x, y = _axes(n)
    pane, _, wide, high, value = _windows(x, y, 4, 4)
    lit = pane * (value > 0.45) * (0.5 + 0.5 * value)
    shade = np.where((wide < 0.3 + 0.4 * value) & (high > 0.5), 0.6, 1.0)
    color = mix(np.asarray(a) * np.ones((n, n, 1)), b, lit * shade)
    return Tile(color, 0.6 - 0.4 * pane, 0.0 * x)


def _books(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Four shelves of books; the first colour is that of the shelf."""
    color = np.empty((n, n, 3))
    color[:] = np.asarray(a) * 0.18
    height = np.zeros((n, n))
    spines = np.array(
        [(0.45, 0.1, 0.1), (0.12, 0.25, 0.4), (0.15, 0.35, 0.2), (0.6, 0.48, 0.25), (0.3, 0.16, 0.1), (0.75, 0.7, 0.6)]
    )
    shelf = n // 4
    board = n // 40
    for row in range(4):
        bottom = row * shelf
        x = 0
        while x < n:
            w = int(rng.uniform(0.012, 0.03) * n)
            tall = int(rng.uniform(0.62, 0.86) * shelf)
            top = min(bottom + board + tall, bottom + shelf)
            tone = spines[rng.integers(len(spines))] * rng.uniform(0.7, 1.25) if rng.random() < 0.9 else np.asarray(b)
            part = color[bottom + board : top, x : x + w]
            round_ = np.sin(np.linspace(0.25, np.pi - 0.25, max(part.shape[1], 1)))[None, :, None]
            part[:] = tone * round_
            height[bottom + board : top, x : x + w] = 0.012
            if rng.random() < 0.6:
                k = bottom + board + int(tall * rng.uniform(0.6, 0.85))
                color[k : k + max(2, n // 150), x + 1 : x + w - 1] = (0.75, 0.6, 0.3)
            x += w + (1 if rng.random() < 0.9 else n // 30)
        color[bottom : bottom + board] = a
        height[bottom : bottom + board] = 0.02
    return Tile(np.clip(color, 0, 1), np.full((n, n), 0.6), height)


def _bottles(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Three shelves of bottles before a lit back wall in the tone of the accent."""
    color = np.empty((n, n, 3))
    shelf, board = n // 3, n // 45
    x, y = _axes(n)
    color[:] = np.asarray(b) * (0.55 + 0.45 * ((y * 3) % 1))[..., None]
    tones = [
        (0.1, 0.3, 0.12),
        (0.5, 0.25, 0.06),
        (0.75, 0.7, 0.6),
        (0.12, 0.2, 0.4),
        (0.5, 0.08, 0.08),
        (0.7, 0.5, 0.12),
    ]
    for row in range(3):
        at = int(n * 0.02)
        while at < n * 0.96:
            w, tall = int(rng.uniform(0.04, 0.06) * n), rng.uniform(0.55, 0.85) * shelf
            u = np.abs(x * n - at - w / 2) / (w / 2)
            v = (y * n - row * shelf - board) / tall
            shape = (
                (v > 0)
                & (v < 1)
                & (u < np.where(v < 0.58, 1.0, np.where(v < 0.72, 1 - 0.65 * (v - 0.58) / 0.14, 0.35)))
            )
            shade = np.sqrt(np.clip(1 - u**2, 0.05, 1)) * 0.9 + 0.25 * (np.abs(u - 0.5) < 0.1)
            tone = np.asarray(tones[rng.integers(len(tones))])
            label = (v > 0.15) & (v < 0.4)
            color = np.where(
                shape[..., None],
                np.where(label[..., None], np.array((0.9, 0.86, 0.75)), tone) * shade[..., None],
                color,
            )
            at += w + int(rng.uniform(0.006, 0.02) * n)
        color[row * shelf : row * shelf + board] = a
    return Tile(np.clip(color, 0, 1), np.full((n, n), 0.3), np.zeros((n, n)))


def _glyphs(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Carved columns of signs: birds, eyes, waves, suns, feathers, made of simple strokes."""
    base = _plaster(rng, n, a, b)
    mark = np.zeros((n, n))
    columns = 6
    cell = n // columns
    u, v = np.meshgrid(np.linspace(-1, 1, cell), np.linspace(-1, 1, cell))

    def stroke(d: Array) -> Array:
        return np.asarray(smoothstep(0.16, 0.06, np.abs(d)))

    def sign(kind: int) -> Array:
        r, t = np.hypot(u, v), np.arctan2(v, u)
        if kind == 0:  # an eye
            return np.maximum(stroke(np.abs(v) - 0.45 * np.clip(1 - u**2, 0, 1)), smoothstep(0.3, 0.2, r)) * (
                np.abs(u) < 0.9
            )
        if kind == 1:  # water
            return stroke((v + 0.3 - 0.15 * np.sin(u * 9)) * (v - 0.3 - 0.15 * np.sin(u * 9))) * (np.abs(u) < 0.85)
        if kind == 2:  # a sun
            return np.maximum(stroke(r - 0.6), smoothstep(0.22, 0.14, r))
        if kind == 3:  # a bird
            body = smoothstep(1.05, 0.9, np.hypot((u + 0.05) / 0.62, (v + 0.1) / 0.34))
            head = smoothstep(1.1, 0.9, np.hypot((u - 0.5) / 0.24, (v - 0.42) / 0.22))
            legs = ((np.abs(u + 0.15) < 0.06) | (np.abs(u - 0.15) < 0.06)) & (v < -0.3) & (v > -0.85)
            return np.asarray(np.maximum(np.maximum(body, head), legs), float)
        if kind == 4:  # an ankh
            loop = stroke(np.hypot(u / 0.8, v - 0.45) - 0.32)
            bar = ((np.abs(v) < 0.1) & (np.abs(u) < 0.6)) | ((np.abs(u) < 0.1) & (v < 0) & (v > -0.9))
            return np.asarray(np.maximum(loop, bar), float)
        if kind == 5:  # a feather
            vane = np.abs(u - 0.1 * v) < 0.28 * np.sqrt(np.clip(1 - v**2, 0, 1))
            return np.asarray(vane & (np.sin(v * 26 + 3 * u) > -0.3), float)
        return np.asarray(np.maximum(stroke(np.abs(t) - 0.5) * (r < 0.9), stroke(r - 0.75) * (u < 0)))

    for i in range(columns):
        for j in range(columns):
            mark[j * cell : j * cell + cell, i * cell : i * cell + cell] = sign(int(rng.integers(7)))
        mark[:, i * cell : i * cell + max(2, n // 150)] = 1
    color = base.color * (1 - 0.5 * mark)[..., None]
    return Tile(color, base.rough, base.height - 0.01 * mark)


def _hedge(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    border, value = _cells(rng, n, 30)
    leaf = smoothstep(0.0, 0.5, border)
    lump = fractal(rng, n, 5, 1.0)
    color = mix(a, b, value) * np.clip(0.25 + 0.75 * leaf + 0.12 * lump, 0.1, 1.4)[..., None]
    return Tile(color, 0.75 + 0 * value, 0.02 * leaf + 0.012 * lump)


def _crowd(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    """Rows of people seen from afar; the first colour is that of the stands."""
    color = np.empty((n, n, 3))
    color[:] = np.asarray(a) * 0.35
    x, y = _axes(n)
    rows, columns = 10, 22
    skins = [(0.85, 0.65, 0.52), (0.6, 0.42, 0.3), (0.35, 0.23, 0.16), (0.9, 0.73, 0.6)]
    for row in range(rows - 1, -1, -1):
        color[int(row * n / rows) : int((row + 0.16) * n / rows)] = np.asarray(a)
        for k in range(columns):
            if rng.random() < 0.12:
                continue
            cx, cy = (k + 0.5 * (row % 2) + rng.uniform(0.4, 0.6)) / columns % 1, (row + 0.3) / rows
            dx = (x - cx + 0.5) % 1 - 0.5
            body = (np.hypot(dx * columns / 0.42, (y - cy) * rows / 0.42) < 1) & (y > (row + 0.1) / rows)
            color[body] = np.clip(rng.uniform(0.1, 0.95, 3), 0, 1)
            color[np.hypot(dx * columns / 0.24, (y - cy - 0.042) * rows / 0.24 * 0.6) < 1] = skins[rng.integers(4)]
    return Tile(mix(color, np.asarray(b), np.full((n, n), 0.08)), np.full((n, n), 0.9), np.zeros((n, n)))


def _planet(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    x, y = _axes(n)
    swirl = fractal(rng, n, 3, 1.3)
    bands = 0.5 + 0.5 * np.sin(2 * np.pi * (y * 7) + 0.9 * swirl)
    fine = fractal(rng, n, 8, 0.9, 3.0)
    color = mix(a, b, np.clip(0.75 * bands + 0.15 * fine + 0.1, 0, 1))
    return Tile(color, 0.95 + 0 * x, 0 * x)


def _ice(rng: np.random.Generator, n: int, a: RGB, b: RGB) -> Tile:
    cloud, fine = fractal(rng, n, 2, 1.2), fractal(rng, n, 20, 0.8)
    crack = np.exp(-((fractal(rng, n, 3, 1.4) / 0.02) ** 2)) + 0.7 * np.exp(-((fractal(rng, n, 6, 1.3) / 0.02) ** 2))
    snow = smoothstep(0.4, 1.3, fractal(rng, n, 3, 1.0))
    color = mix(mix(a, b, np.clip(0.45 + 0.3 * cloud, 0, 1)), (0.95, 0.97, 1.0), np.clip(0.6 * crack + snow, 0, 1))
    return Tile(color, np.clip(0.08 + 0.6 * snow + 0.2 * crack, 0, 1), 0.004 * snow + 0.0004 * fine)


_KINDS: dict[str, Callable[[np.random.Generator, int, RGB, RGB], Tile]] = {
    "plaster": _plaster,
    "concrete": _concrete,
    "brick": _brick,
    "blocks": _blocks,
    "cobbles": _cobbles,
    "planks": _planks,
    "tiles": _tiles,
    "marble": _marble,
    "panels": _panels,
    "corrugated": _corrugated,
    "rust": _rust,
    "greebles": _greebles,
    "carpet": _carpet,
    "checks": _checks,
    "stripes": _stripes,
    "grass": _grass,
    "dirt": _dirt,
    "sand": _sand,
    "gravel": _gravel,
    "asphalt": _asphalt,
    "rock": _rock,
    "roof": _roof,
    "thatch": _thatch,
    "facade": _facade,
    "lit_facade": _lit_facade,
    "books": _books,
    "bottles": _bottles,
    "glyphs": _glyphs,
    "hedge": _hedge,
    "crowd": _crowd,
    "planet": _planet,
    "flagstones": _flagstones,
    "ice": _ice,
}


def tile(paint: Paint, n: int = TEXELS) -> Tile:
    """Return a paint's pattern; the same paint always gives the same arrays."""
    assert paint.surface is not None
    rng = np.random.default_rng(sum(ord(c) * 131**k for k, c in enumerate(paint.surface)) % 2**31)
    made = _KINDS[paint.surface](rng, n, paint.color, paint.second())
    rough = made.rough if paint.rough is None else made.rough - made.rough.mean() + paint.rough
    return Tile(np.clip(made.color, 0, 1), np.clip(rough, 0, 1), made.height * paint.relief)


def material(paint: Paint) -> Material:
    """Return what the renderer needs; without a pattern, the colour is left to the mesh's vertices.

    Its name says what it is made of, so that parts of one paint become one mesh.
    """
    name = hashlib.sha256(paint.model_dump_json().encode()).hexdigest()[:16]
    facts: dict[str, Any] = {
        "specular": paint.specular,
        "metallic": paint.metallic,
        "emission": paint.emission,
        "samples_light": paint.lights,
    }
    if paint.surface is None:
        rough = 0.6 if paint.rough is None else paint.rough
        if not paint.lights:  # those of one sheen become one mesh, whatever their colours
            name = f"plain {rough:g} {paint.specular:g} {paint.metallic:g} {paint.emission:g}"
        return Material(name, roughness=rough, **facts)
    made = tile(paint)
    color = np.rint(made.color[::-1] * 255).astype(np.uint8).copy()
    rough_map = np.rint(made.rough[::-1] * 255).astype(np.uint8).copy()
    height: NDArray[np.float32] | None = (made.height[::-1] * paint.size).astype(np.float32).copy()
    if paint.emission > 0 or not np.ptp(made.height):
        height = None
    return Material(name, repeat=True, color=color, rough=rough_map, height=height, **facts)
