"""Noise: of the sensor, of single values, of the light. Of each value (pixel and channel) on its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.corruptions.filters import eight_bits, unit

_Image = NDArray[np.uint8]


def gaussian_noise(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Add normal noise of standard deviation ``c[0]``."""
    x = unit(image)
    return eight_bits(x + np.float32(c[0]) * rng.standard_normal(x.shape, np.float32))


def shot_noise(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Count photons, ``c[0]`` of them at white."""
    return eight_bits(rng.poisson(unit(image) * c[0]) / c[0])


def impulse_noise(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Set a share ``c[0]`` of the values to 0 or to 255, as likely."""
    hit = rng.random(image.shape, np.float32) <= c[0]
    white = rng.random(image.shape, np.float32) <= 0.5
    return np.where(hit, np.where(white, 255, 0), image).astype(np.uint8)


def speckle_noise(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Add normal noise whose standard deviation is ``c[0]`` times the value."""
    x = unit(image)
    return eight_bits(x + x * np.float32(c[0]) * rng.standard_normal(x.shape, np.float32))


def iso_noise(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Count photons, ``c[0]`` at white, and add normal noise of standard deviation ``c[1]``."""
    return gaussian_noise(shot_noise(image, c[:1], rng), c[1:], rng)


def low_light(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Stretch from the darkest to the brightest, darken to a white of ``c[0]`` by gamma ``c[1]``, and add noise."""
    x = unit(image)
    low, high = float(x.min()), float(x.max())
    dark = ((x - low) / max(high - low, 1e-6)) ** c[1] * c[0]
    return iso_noise(eight_bits(dark), c[2:], rng)
