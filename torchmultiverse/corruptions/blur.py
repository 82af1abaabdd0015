"""Blur: out of focus, through glass, by motion, by zooming, by a Gaussian."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.corruptions.filters import (
    convolve,
    disc,
    eight_bits,
    gaussian,
    line_blur,
    scale_of,
    unit,
    zoomed,
)

_Image = NDArray[np.uint8]


def gaussian_blur(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Blur by a Gaussian of standard deviation ``c[0]`` pixels."""
    return eight_bits(gaussian(unit(image), c[0] * scale_of(image)))


def defocus_blur(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Blur over a disc of radius ``c[0]`` whose edge is blurred by ``c[1]``, pixels."""
    scale = scale_of(image)
    return eight_bits(convolve(unit(image), disc(c[0] * scale, c[1] * scale, scale)))


def glass_blur(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Blur, let every pixel take the value of one near it ``c[2]`` times over, and blur again.

    From the last pixel to the first, each takes the value that one up to ``c[1]`` pixels away has by then. The paper
    says that the two are swapped; the assignment in the release copies, and so do the pictures that were published.
    """
    scale = scale_of(image)
    reach, passes = max(1, round(c[1] * scale)), int(c[2])
    x = gaussian(unit(image), c[0] * scale)
    height, width = image.shape[:2]
    if min(height, width) <= 2 * reach:
        return eight_bits(gaussian(x, c[0] * scale))
    rows, columns = np.arange(height - reach, reach, -1), np.arange(width - reach, reach, -1)
    places = (rows[:, None] * width + columns).ravel()
    source = list(range(height * width))
    for _ in range(passes):
        steps = rng.integers(-reach, reach, (2, len(places)))
        for place, other in zip(places.tolist(), (places + steps[0] * width + steps[1]).tolist(), strict=True):
            source[place] = source[other]
    x = (eight_bits(x).reshape(-1, 3)[source].reshape(image.shape) / np.float32(255)).astype(np.float32)
    return eight_bits(gaussian(x, c[0] * scale))


def motion_blur(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Blur along a line, drawn from -45° to 45°, of ``2 c[0] + 1`` taps and standard deviation ``c[1]`` pixels."""
    scale = scale_of(image)
    return eight_bits(line_blur(unit(image), c[0] * scale, c[1] * scale, float(rng.uniform(-45, 45))))


def zoom_blur(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Take the mean of the picture and of its enlargements from 1 to ``c[0]`` in steps of ``c[1]``."""
    x = unit(image)
    factors = np.arange(1, c[0], c[1])
    total = x.copy()
    for factor in factors.tolist():
        total += zoomed(x, factor)
    return eight_bits(total / (len(factors) + 1))
