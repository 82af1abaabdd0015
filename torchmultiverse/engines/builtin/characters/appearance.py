"""Surfaces of characters as vertex colours: a species' own skin, and the textures that replace it.

Patterns live in rest space (the species' own units before scaling), so that they move with the body. A pattern may
colour the skin, lift it along its normal, or both.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from torchmultiverse.engines.builtin.characters.implicit import BodySurface, Vector, spline
from torchmultiverse.engines.builtin.characters.noise import cells, fractal, srgb, value_noise
from torchmultiverse.resources import data_folder

Array = NDArray[np.float32]


class Skin(BaseModel):
    """Colour of one label: base ``color``, speckled with ``speckle`` by noise of size ``grain``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    color: str
    speckle: str | None = None
    grain: float = 0.05
    contrast: float = Field(default=0.3, description="how much light and dark the noise adds")
    rough: float = 0.6
    fur: float = Field(default=0.0, description="displacement along the normal, in species units")
    fur_grain: float = 0.012


class Pattern(BaseModel):
    """A pattern over some labels (all where none are given); what the fields mean depends on the kind.

    - ``rings``: stripes around a part's axis with period ``size``, a share ``amount`` of it dark, wavering by ``warp``;
    - ``stripes``: the same along a straight ``axis``;
    - ``spots``: patches in random cells of ``size``, in a share ``amount`` of them;
    - ``cells``: the borders of such cells, ``amount`` wide;
    - ``facing``: skin that faces ``axis`` (a share ``amount`` of all directions, edge ``soft``);
    - ``ramp``: from 0 at ``low`` to 1 at ``high`` along ``axis``;
    - ``mark``: within ``size`` of the points ``at`` (joined by a spline, and mirrored);
    - ``scales``: a net of rows ``size`` long, ``amount`` of them around the part, 1 in the middle of each scale;
    - ``plates``: borders between the nearest of the points ``at`` (and their mirror images), ``amount`` wide;
    - ``rims``: growth lines with period ``size`` around those points;
    - ``wrinkles``: folds across a part's axis with period ``size``;
    - ``streaks``: fine hair-like noise along a part, of ``size`` across;
    - ``rays``: ``amount`` lines in a full turn that spread from a plate's origin: of fins, of feathers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal[
        "rings", "stripes", "spots", "cells", "facing", "ramp", "mark", "scales", "plates", "rims", "wrinkles",
        "streaks", "rays",
    ]  # fmt: skip
    labels: list[str] | None = None
    color: str | None = None
    rough: float | None = None
    lift: float = 0.0
    size: float = 0.1
    amount: float = 0.5
    soft: float = 0.2
    warp: float = 0.5
    axis: Vector = (1, 0, 0)
    low: float = 0.0
    high: float = 1.0
    at: list[Vector] = []
    within: float | None = Field(default=None, description="fades out where the skin faces down more than this")
    top: float | None = Field(default=None, description="only where the skin faces up more than this")


def vertex_appearance(
    s: BodySurface, skins: dict[str, Skin], patterns: list[Pattern], seed: int
) -> tuple[Array, Array, Array]:
    """Return linear colours (V, 3), roughness (V,) and the displacement (V,) along the normals."""
    rest = s.vertices
    color = np.zeros((len(rest), 3), np.float32)
    rough, lift = np.zeros(len(rest), np.float32), np.zeros(len(rest), np.float32)
    for column, label in enumerate(s.labels):
        skin = skins.get(label) or skins["body"]
        weight = s.weights[:, column]
        on = np.flatnonzero(weight > 1e-3)
        p = rest[on]
        base = np.tile(srgb(skin.color), (len(on), 1))
        mix = fractal(p / np.float32(skin.grain), 4, seed)
        if skin.speckle is not None:
            t = _step(mix, 0.42, 0.62)[:, None]
            base = base * (1 - t) + srgb(skin.speckle) * t
        base = base * (1 - 0.5 * skin.contrast + skin.contrast * mix[:, None])
        color[on] += weight[on, None] * base
        rough[on] += weight[on] * np.float32(skin.rough)
        if skin.fur:
            lift[on] += (
                weight[on] * np.float32(2 * skin.fur) * (fractal(p / np.float32(skin.fur_grain), 2, seed + 11) - 0.5)
            )
    for number, pattern in enumerate(patterns):
        columns = [i for i, name in enumerate(s.labels) if pattern.labels is None or name in pattern.labels]
        t = np.zeros(len(rest), np.float32)
        for column in columns:
            on = np.flatnonzero(s.weights[:, column] > 1e-3)
            t[on] += s.weights[on, column] * _pattern(pattern, s, on, column, seed + 7 * number)
        if pattern.within is not None:
            t *= _step(s.normals[:, 2], -pattern.within - 0.15, -pattern.within + 0.15)
        if pattern.top is not None:
            t *= _step(s.normals[:, 2], pattern.top - 0.15, pattern.top + 0.15)
        if pattern.color is not None:
            color = color * (1 - t[:, None]) + srgb(pattern.color) * t[:, None]
        if pattern.rough is not None:
            rough = rough * (1 - t) + np.float32(pattern.rough) * t
        lift += np.float32(pattern.lift) * t
    return color.clip(0.003, 0.95).astype(np.float32), rough, lift


def _pattern(p: Pattern, s: BodySurface, on: NDArray[np.intp], column: int, seed: int) -> Array:
    rest, normals = s.vertices[on], s.normals[on]
    along, around = s.along[on, column], s.around[on, column]
    axis = np.asarray(p.axis, np.float32)
    size = np.float32(p.size)
    if p.kind in ("rings", "stripes"):
        # Bent by slow noise, so that no two are alike and some run together.
        warp = p.warp * 2 * (fractal(rest / (2.2 * size), 2, seed + 5) - 0.5)
        wave = np.sin(((along if p.kind == "rings" else rest @ axis) / size + warp) * np.float32(2 * np.pi))
        edge = np.cos(np.pi * p.amount)
        return _step(wave, edge - p.soft, edge + p.soft)
    if p.kind in ("spots", "cells"):
        border, number = cells(rest / size, seed)
        if p.kind == "spots":
            return np.asarray(_step(border, 0.2, 0.4) * (number < p.amount), np.float32)
        return 1 - _step(border, p.amount * 0.3, p.amount * 0.6)
    if p.kind == "facing":
        edge = normals @ (axis / np.linalg.norm(axis)) + 0.2 * (fractal(rest * 8, 3, seed) - 0.5)
        return _step(edge, 1 - 2 * p.amount - p.soft, 1 - 2 * p.amount + p.soft)
    if p.kind == "ramp":
        return _step(rest @ axis + p.soft * 0.2 * (fractal(rest * 10, 3, seed) - 0.5), p.low, p.high)
    if p.kind == "mark":
        path = np.asarray(p.at, np.float32)
        path = spline(path, 10) if len(path) > 1 else path
        folded = rest * np.array([1, 0, 1], np.float32)
        folded[:, 1] = np.abs(rest[:, 1])
        d = np.min(np.stack([((folded - q) ** 2).sum(1) for q in path]), 0) ** 0.5
        d = d + size * 0.3 * (fractal(rest / size * 2, 2, seed) - 0.5)
        return 1 - _step(d, p.size * (1 - p.soft), p.size * (1 + p.soft))
    if p.kind == "scales":
        u = along / size
        v = around / np.float32(2 * np.pi) * p.amount + 0.5 * (np.floor(u) % 2)
        du, dv = u - np.floor(u), v - np.floor(v) - 0.5
        return _step(1 - np.sqrt((1.1 * (du - 0.35)) ** 2 + (1.5 * dv) ** 2) * 1.35, 0.0, 0.6)
    if p.kind in ("plates", "rims"):
        seeds = np.asarray(p.at, np.float32)
        off = seeds[np.abs(seeds[:, 1]) > 1e-6]
        seeds = np.concatenate([seeds, off * np.array([1, -1, 1], np.float32)])
        d = np.sort(np.sqrt(((rest[:, None] - seeds) ** 2).sum(-1)), 1)
        gap = d[:, 1] - d[:, 0] + 0.1 * p.amount * (fractal(rest * 20, 2, seed) - 0.5)
        if p.kind == "plates":
            return 1 - _step(gap, p.amount * 0.4, p.amount)
        return np.asarray(0.5 + 0.5 * np.sin(gap / size * np.float32(2 * np.pi)), np.float32)
    if p.kind == "wrinkles":
        wave = fractal(np.stack([along / size, 0.35 * rest[:, 1] / size, 0.35 * rest[:, 2] / size], 1), 2, seed)
        return _step(1 - np.abs(2 * wave - 1) * 2.2, 0.2, 1.0)
    if p.kind == "rays":
        wave = np.sin(around * np.float32(p.amount) + p.warp * (fractal(rest / size, 2, seed) - 0.5))
        return _step(wave, -p.soft, 1.0)
    # streaks
    fine = np.stack([along / (7 * size), np.cos(around) * 0.12 / size, np.sin(around) * 0.12 / size], 1)
    return _step(fractal(fine, 2, seed), 0.4, 0.65)


_PLAIN = {"Blue": "#2f86b8", "Red": "#b83232", "Green": "#3f9a45", "Gray": "#8a8a8a", "Black": "#181818"}
_PAINTED = {
    "Default": "the character's own surface",
    "Asphalt": "grey grains in tar",
    "Color": "patches of all colours",
    "Curtain": "red folds",
    "Grass": "blades of grass",
    "Sky": "white clouds on blue",
    "Stone": "cracked grey stone",
} | {name: f"plain {color}" for name, color in _PLAIN.items()}


class TextureSpec(BaseModel):
    """A replacing texture of ``scenes/textures.json``: a pattern of one or two ``colors``, ``size`` of a unit body.

    ``plain``; ``brick``: courses of the first in joints of the second; ``brushed``: fine streaks; ``wood``: rings
    around the long axis; ``weave``: threads; ``rock``: cracked lumps; ``stripes``; ``clouds``; ``gloss``: soft bands
    of light; ``even``: the first colour everywhere. ``metallic`` and ``glass`` are those of a `Material`: the colours
    of a metal are what it reflects at normal incidence, those of glass what a tenth of a metre of it lets through.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    pattern: Literal["plain", "brick", "brushed", "wood", "weave", "rock", "stripes", "clouds", "gloss", "even"]
    colors: list[str] = Field(min_length=1, max_length=2)
    size: float = Field(default=0.1, gt=0)
    rough: float = Field(default=0.5, ge=0, le=1)
    metallic: float = Field(default=0.0, ge=0, le=1)
    glass: float = Field(default=0.0, ge=0, le=3)


def _texture_specs() -> dict[str, TextureSpec]:
    data = json.loads((data_folder("scenes") / "textures.json").read_text())
    return {name: TextureSpec.model_validate(value) for name, value in data.items()}


TEXTURE_SPECS = _texture_specs()
TEXTURES = tuple(sorted({*_PAINTED, *TEXTURE_SPECS}))
"""Names of all textures: the published families' and the variants of attributes of PUG: AR4T (Table 5)."""


def texture_kind(name: str) -> str:
    """Return in a few words what a texture is: its pattern and its colours (sRGB), or what it shows."""
    if name in _PAINTED:
        return _PAINTED[name]
    spec = TEXTURE_SPECS[name]
    of = " glass" if spec.glass else " metal" if spec.metallic else ""
    return f"{spec.pattern}{of} {' and '.join(spec.colors)}"


def texture_substance(name: str) -> tuple[float, float]:
    """Return how metallic a texture is and, of glass, its index of refraction, otherwise 0."""
    spec = TEXTURE_SPECS.get(name)
    return (0.0, 0.0) if spec is None else (spec.metallic, spec.glass)


def texture(name: str, rest: NDArray[Any]) -> tuple[Array, Array]:
    """Return linear colours (V, 3) and roughness (V,) of a replacing texture at rest positions of a unit-size body."""
    n = len(rest)
    fine = fractal(rest * 60, 3, 3)[:, None]
    if name in _PLAIN:
        return (srgb(_PLAIN[name]) * (0.85 + 0.3 * fine)).astype(np.float32), np.full(n, 0.5, np.float32)
    if name == "Sky":
        cloud = _step(fractal(rest * 5, 5, 21), 0.48, 0.62)[:, None]
        base = srgb("#3d86d6") * (1 - cloud) + srgb("#f4f7fb") * cloud
        return base.astype(np.float32), np.full(n, 0.7, np.float32)
    if name == "Grass":
        blades = value_noise(rest * np.array([90, 90, 22], np.float32), 5)[:, None]
        patch = fractal(rest * 9, 3, 6)[:, None]
        base = srgb("#2e5a14") * (1 - blades) + srgb("#86b23a") * blades
        return (base * (0.6 + 0.7 * patch)).astype(np.float32), np.full(n, 0.9, np.float32)
    if name == "Asphalt":
        stones = value_noise(rest * 95, 8)[:, None]
        base = srgb("#2c2d2f") * (1 - stones) + srgb("#77787a") * stones**2
        return base.astype(np.float32), np.full(n, 0.85, np.float32)
    if name == "Stone":
        border, number = cells(rest * 7, 9)
        crack = (1 - _step(border, 0.03, 0.1))[:, None]
        base = srgb("#8d877d") * (0.65 + 0.6 * number[:, None]) * (0.75 + 0.5 * fine)
        return (base * (1 - 0.75 * crack)).clip(0, 0.9).astype(np.float32), np.full(n, 0.9, np.float32)
    if name == "Curtain":
        fold = 0.5 + 0.5 * np.sin(rest[:, :1] * 55 + 2 * fractal(rest * 4, 2, 4)[:, None])
        return (srgb("#8c1020") * (0.25 + fold)).clip(0, 0.9).astype(np.float32), np.full(n, 0.75, np.float32)
    if name == "Color":
        _, number = cells(rest * 6, 12)
        wheel = np.stack([0.5 + 0.45 * np.sin(2 * np.pi * (number * 3 + k / 3)) for k in range(3)], -1)
        return (wheel**2.2).astype(np.float32), np.full(n, 0.5, np.float32)
    return _patterned(TEXTURE_SPECS[name], rest, fine)


def _patterned(spec: TextureSpec, rest: NDArray[Any], fine: NDArray[Any]) -> tuple[Array, Array]:
    first, second = srgb(spec.colors[0]), srgb(spec.colors[-1])
    scaled = np.asarray(rest / spec.size, np.float32)
    x, y, z = scaled.T
    shade: NDArray[Any] = 0.9 + 0.2 * fine
    mix: NDArray[Any]
    if spec.pattern == "brick":
        # Joints run around the body: the place along a course is that of the longer of both horizontal axes.
        course = np.floor(2.2 * z)
        along = (x + 0.61 * y) + 0.5 * (course % 2)
        high, wide = 2.2 * z - course, along - np.floor(along)
        joint = np.minimum(np.minimum(high, 1 - high) / 2.2, np.minimum(wide, 1 - wide))
        one = np.abs(np.sin(12.9898 * np.floor(along) + 78.233 * course) * 43758.5453) % 1.0
        mix, shade = _step(joint, 0.03, 0.07), shade * (0.8 + 0.35 * one[:, None])
        mix = 1 - mix
    elif spec.pattern == "brushed":
        streak = np.stack([x * 0.12, y, z], 1)
        mix = 0.65 * fractal(streak, 2, 31) + 0.35 * (0.5 + 0.5 * np.sin(5 * rest[:, 2] + 3 * rest[:, 1]))
    elif spec.pattern == "wood":
        around = np.hypot(y + 0.35, z + 0.6) + 0.5 * fractal(np.asarray(rest * 3, np.float32), 3, 33)
        ring = 0.5 + 0.5 * np.sin(2 * np.pi * around)
        mix = 0.8 * ring**2 + 0.25 * fractal(rest * np.array([8, 70, 70], np.float32), 2, 34)
    elif spec.pattern == "weave":
        a, b = np.sin(2 * np.pi * (x + 0.5 * y)), np.sin(2 * np.pi * (z + 0.5 * y))
        mix = np.where(a * b > 0, _step(a, -0.3, 0.6), _step(b, -0.3, 0.6)) * 0.9
    elif spec.pattern == "rock":
        border, number = cells(scaled, 35)
        mix = 1 - _step(border, 0.02, 0.14)
        shade = shade * (0.65 + 0.6 * number[:, None])
    elif spec.pattern == "stripes":
        mix = _step(np.sin(2 * np.pi * (x + 0.15 * np.sin(6 * rest[:, 2]))), -0.15, 0.15)
    elif spec.pattern == "clouds":
        mix = _step(fractal(scaled, 5, 36), 0.42, 0.62)
    elif spec.pattern == "gloss":
        band = np.sin(2 * np.pi * (z + 0.4 * x + 0.3 * y))
        mix, shade = 0.75 * _step(band, 0.55, 1.0) ** 2, np.ones_like(shade)
    elif spec.pattern == "even":
        mix, shade = np.zeros(len(rest)), np.ones_like(shade)
    else:
        mix, shade = np.zeros(len(rest)), 0.85 + 0.3 * fine
    mix = np.clip(mix, 0, 1)[:, None]
    color = (first * (1 - mix) + second * mix) * shade
    return color.clip(0, 0.95).astype(np.float32), np.full(len(rest), spec.rough, np.float32)


def _step(x: Any, low: float, high: float) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
