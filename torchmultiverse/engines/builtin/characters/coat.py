"""Surfaces of characters as vertex colours: a species' own coat, and the textures that replace it.

Patterns live in rest space (the species' own units before scaling), so that they move with the body.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from torchmultiverse.engines.builtin.characters.noise import cells, fractal, srgb, value_noise

Array = NDArray[np.float32]


class Skin(BaseModel):
    """Colour of one label: base ``color``, speckled with ``speckle`` by noise of size ``grain``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    color: str
    speckle: str | None = None
    grain: float = 0.05
    rough: float = 0.6
    fur: float = 0.0
    """Displacement along the normal, in species units: fur, feathers, wrinkles."""
    fur_grain: float = 0.012


class Pattern(BaseModel):
    """A pattern over some labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["stripes", "spots", "belly", "front", "cells", "bands", "tip"]
    labels: list[str]
    color: str
    size: float = 0.1
    amount: float = 0.5
    center: tuple[float, float, float] = (0, 0, 0)
    axis: tuple[float, float, float] = (1, 0, 0)


def paint(
    rest: Array, normals: Array, labels: list[str], weights: Array, skins: dict[str, Skin], patterns: list[Pattern],
    seed: int,
) -> tuple[Array, Array]:  # fmt: skip
    """Return linear colours (V, 3) and roughness (V,)."""
    color = np.zeros((len(rest), 3), np.float32)
    rough = np.zeros(len(rest), np.float32)
    for column, label in enumerate(labels):
        skin = skins.get(label) or skins["body"]
        base = np.tile(srgb(skin.color), (len(rest), 1))
        mix = fractal(rest / np.float32(skin.grain), 4, seed)
        if skin.speckle is not None:
            t = _step(mix, 0.42, 0.62)[:, None]
            base = base * (1 - t) + srgb(skin.speckle) * t
        base = base * (0.82 + 0.36 * mix[:, None])
        color += weights[:, column : column + 1] * base
        rough += weights[:, column] * np.float32(skin.rough)
    for pattern in patterns:
        share = sum(
            (weights[:, labels.index(name)] for name in pattern.labels if name in labels),
            np.zeros(len(rest), np.float32),
        )
        t = (share * _pattern(pattern, rest, normals, seed))[:, None]
        color = color * (1 - t) + srgb(pattern.color) * t
    return color.clip(0.003, 0.95).astype(np.float32), rough


def _pattern(p: Pattern, rest: Array, normals: Array, seed: int) -> Array:
    axis = np.asarray(p.axis, np.float32)
    if p.kind == "stripes":
        # Bent by slow noise, so that no two are alike; thinner towards the belly.
        warp = 0.55 * p.size * (fractal(rest / np.float32(2.5 * p.size), 2, seed + 5) - 0.5)
        wave = np.sin((rest @ axis + warp) * np.float32(2 * np.pi / p.size))
        return _step(wave, 1 - 2 * p.amount - 0.15, 1 - 2 * p.amount + 0.15)
    if p.kind == "bands":
        wave = np.sin((rest @ axis) * np.float32(2 * np.pi / p.size))
        return _step(wave, 1 - 2 * p.amount - 0.2, 1 - 2 * p.amount + 0.2)
    if p.kind == "spots":
        border, number = cells(rest / np.float32(p.size), seed)
        return _step(border, 0.25, 0.4) * (number < p.amount)
    if p.kind == "cells":
        border, _ = cells(rest / np.float32(p.size), seed)
        return 1 - _step(border, p.amount * 0.3, p.amount * 0.6)
    if p.kind == "belly":
        edge = -normals[:, 2] + 0.25 * (fractal(rest * 8, 3, seed) - 0.5)
        return _step(edge, 1 - 2 * p.amount - 0.2, 1 - 2 * p.amount + 0.2)
    if p.kind == "front":
        edge = normals[:, 0] + 0.15 * (fractal(rest * 8, 2, seed) - 0.5)
        return _step(edge, 1 - 2 * p.amount - 0.12, 1 - 2 * p.amount + 0.12)
    d = np.linalg.norm(rest - np.asarray(p.center, np.float32), axis=1)
    return 1 - _step(d, p.size * 0.85, p.size * 1.1)


def fur(rest: Array, labels: list[str], weights: Array, skins: dict[str, Skin], seed: int) -> Array:
    """Return the displacement (V,) along the normals."""
    push = np.zeros(len(rest), np.float32)
    for column, label in enumerate(labels):
        skin = skins.get(label) or skins["body"]
        if skin.fur:
            n = fractal(rest / np.float32(skin.fur_grain), 2, seed + 11) - 0.5
            push += weights[:, column] * np.float32(2 * skin.fur) * n
    return push


TEXTURES = (
    "Asphalt", "Black", "Blue", "Color", "Curtain", "Default", "Grass", "Gray", "Green", "Red", "Sky", "Stone",
)  # fmt: skip
_PLAIN = {"Blue": "#2f86b8", "Red": "#b83232", "Green": "#3f9a45", "Gray": "#8a8a8a", "Black": "#181818"}


def texture(name: str, rest: Array) -> tuple[Array, Array]:
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
        blades = value_noise(rest * np.float32([90, 90, 22]), 5)[:, None]
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
    raise KeyError(name)


def _step(x: Any, low: float, high: float) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
