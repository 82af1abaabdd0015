"""Weather, and what lies on the lens: snow, frost, fog, spatter, and brighter light."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.corruptions.filters import (
    Float,
    eight_bits,
    gaussian,
    line_blur,
    plasma,
    scale_of,
    unit,
    zoomed,
)

_Image = NDArray[np.uint8]
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_WATER = np.array([175, 238, 238], np.float32) / np.float32(255)
_MUD = np.array([63, 42, 20], np.float32) / np.float32(255)
_ICE = np.array([[78, 149, 166], [201, 205, 215], [138, 153, 165], [112, 123, 135]], np.float32) / np.float32(255)
"""Mean colours of the ice that the source photographed."""


def brightness(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Add ``c[0]`` to the value of HSV: colours keep hue and saturation."""
    x = unit(image)
    value = x.max(2, keepdims=True)
    brighter = np.clip(value + np.float32(c[0]), 0, 1)
    return eight_bits(np.where(value > 0, x * (brighter / np.maximum(value, 1e-6)), brighter))


def snow(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Whiten the picture and lay flakes over it: enlarged noise above a threshold, blurred as it falls."""
    scale = scale_of(image)
    x = unit(image)
    layer = (c[0] + c[1] * rng.standard_normal(x.shape[:2], np.float32)).astype(np.float32)
    layer = zoomed(layer, max(1.0, c[2] * scale))
    layer = np.where(layer < c[3], 0, np.clip(layer, 0, 1)).astype(np.float32)
    layer = line_blur(layer, c[4] * scale, c[5] * scale, float(rng.uniform(-135, -45)))
    whiter = np.maximum(x, (x @ _GREY)[..., None] * np.float32(1.5) + np.float32(0.5))
    flakes = (layer + layer[::-1, ::-1])[..., None]
    return eight_bits(np.float32(c[6]) * x + np.float32(1 - c[6]) * whiter + flakes)


def frost(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Lay ice over the picture: ``c[0]`` times it and ``c[1]`` times the ice.

    The source lays photographs of ice over it; here the ice is made: see `ice`.
    """
    x = unit(image)
    return eight_bits(np.float32(c[0]) * x + np.float32(c[1]) * ice(x.shape[:2], rng))


def ice(shape: tuple[int, ...], rng: np.random.Generator) -> Float:
    """Return made ice, (H, W, 3): needles over a plasma, in a mean colour of the source's photographs of ice.

    Needles are noise smeared along a direction that itself varies over the picture, and where the fractal is high they
    are thick. Mean and spread of the values are those of the photographs (0.3 to 0.8, and 0.09 to 0.17).
    """
    size = (shape[0], shape[1])
    scale = min(size) / 224
    base = plasma(size, 1.8, rng)
    needles = np.zeros(size, np.float32)
    start = float(rng.uniform(0, 180))
    for number, turn in enumerate((0, 37, 83, 131)):
        noise = (rng.random(size, np.float32) > 0.985).astype(np.float32)
        streaks = line_blur(noise, 16 * scale, 9 * scale, start + turn + float(rng.uniform(-8, 8)))
        share = np.clip(1.5 - 6 * np.abs(base - (number + 0.5) / 4), 0, 1)
        needles += share * streaks
    needles = gaussian(needles, 0.5 * scale)
    needles /= max(float(np.percentile(needles, 99)), 1e-6)
    grain = plasma(size, 1.35, rng)
    tone = 0.62 * base + 0.38 * grain + 0.55 * np.clip(needles, 0, 1.2)
    tone = (tone - tone.mean()) / max(float(tone.std()), 1e-6)
    colour = _ICE[int(rng.integers(len(_ICE)))]
    return np.asarray(np.clip(colour + 0.125 * tone[..., None], 0, 1), np.float32)


def fog(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Add a plasma fractal, ``c[0]`` times, and scale back to the brightest value of the picture."""
    x = unit(image)
    most = float(x.max())
    return eight_bits(
        (x + np.float32(c[0]) * plasma(x.shape[:2], c[1], rng)[..., None]) * (most / max(most + c[0], 1e-6))
    )


def spatter(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Lay drops of water (``c[5]`` is 0) or stains of mud over the picture: smoothed noise above a threshold."""
    scale = scale_of(image)
    x = unit(image)
    layer = (c[0] + c[1] * rng.standard_normal(x.shape[:2], np.float32)).astype(np.float32)
    layer = gaussian(layer, c[2] * scale)
    layer = np.where(layer < c[3], 0, layer).astype(np.float32)
    if c[5]:
        stain = gaussian((layer > c[3]).astype(np.float32), c[4] * scale)
        stain = np.where(stain < 0.8, 0, stain)[..., None]
        return eight_bits(x * (1 - stain) + _MUD * stain)
    water = _relief(eight_bits(layer))
    most = float(water.max())
    return eight_bits(x + (np.float32(c[4]) * water / max(most, 1e-6))[..., None] * _WATER)


def _relief(layer: _Image) -> Float:
    """Return drops as if lit from a corner: brightness by the distance to their edges, embossed."""
    from scipy.ndimage import correlate, distance_transform_edt, uniform_filter
    from skimage.feature import canny

    edges = canny(layer.astype(np.float64), sigma=0, low_threshold=50, high_threshold=150)
    away = distance_transform_edt(~edges) if edges.any() else np.full(layer.shape, 20.0)
    away = uniform_filter(np.minimum(away, 20), 3, mode="mirror").astype(np.uint8)
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], np.float64)
    lit = np.clip(correlate(_equalised(away).astype(np.float64), emboss, mode="mirror"), 0, 255)
    return np.asarray(layer * uniform_filter(np.round(lit), 3, mode="mirror"), np.float32)


def _equalised(values: _Image) -> _Image:
    """Return values spread so that all are about as frequent, from 0 to 255."""
    counts = np.bincount(values.ravel(), minlength=256)
    first = int(counts[int(np.flatnonzero(counts)[0])])
    rest = max(1, values.size - first)
    return np.clip(np.rint((np.cumsum(counts) - first) * 255 / rest), 0, 255).astype(np.uint8)[values]
