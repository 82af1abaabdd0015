"""Digital: contrast, saturation, elastic maps, fewer pixels, JPEG, fewer colours."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.corruptions.filters import eight_bits, scale_of, smooth, unit

_Image = NDArray[np.uint8]


def contrast(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Multiply the distance of every value from its channel's mean by ``c[0]``."""
    x = unit(image)
    means = x.mean((0, 1), keepdims=True)
    return eight_bits((x - means) * np.float32(c[0]) + means)


def saturate(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Make the saturation of HSV ``c[0]`` times itself plus ``c[1]``; grey counts as red, as its hue is 0."""
    x = unit(image)
    value = x.max(2, keepdims=True)
    saturation = 1 - x.min(2, keepdims=True) / np.maximum(value, 1e-6)
    more = np.clip(saturation * np.float32(c[0]) + np.float32(c[1]), 0, 1)
    grey = (saturation < 1e-6) | (value <= 0)
    hue = (1 - x / np.maximum(value, 1e-6)) / np.maximum(saturation, 1e-6)
    hue = np.where(grey, np.array([0, 1, 1], np.float32), hue)
    return eight_bits(value * (1 - more * hue))


def elastic_transform(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Map by a random affine map, then by smooth random displacements; bilinear, mirrored at the edges.

    Displacements are uniform noise, smoothed by ``c[1]`` pixels, times ``c[0]`` pixels; the three points that fix the
    affine map move by up to ``c[2]`` pixels.
    """
    from scipy.ndimage import map_coordinates

    scale = scale_of(image)
    height, width = image.shape[:2]
    middle, side = np.array([width // 2, height // 2], np.float64), max(1, min(height, width) // 3)
    first = np.array([middle + side, [middle[0] + side, middle[1] - side], middle - side])
    second = first + rng.uniform(-c[2] * scale, c[2] * scale, first.shape)
    forward = np.linalg.solve(np.column_stack([first, np.ones(3)]), second)  # (x, y, 1) @ forward
    back = np.linalg.inv(forward[:2])
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    from_x, from_y = np.moveaxis((np.stack([columns, rows], -1) - forward[2]) @ back, -1, 0)
    x = unit(image)
    mapped = np.stack([map_coordinates(x[..., k], [from_y, from_x], order=1, mode="mirror") for k in range(3)], -1)
    right, down = (smooth(rng.uniform(-1, 1, (height, width)).astype(np.float32), c[1] * scale) for _ in range(2))
    places = [rows + down * c[0] * scale, columns + right * c[0] * scale]
    return eight_bits(
        np.stack([map_coordinates(mapped[..., k], places, order=1, mode="reflect") for k in range(3)], -1)
    )


def pixelate(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Shrink by the mean of areas to ``c[0]`` of the pixels that a picture of 224 has along a side, and enlarge."""
    height, width = image.shape[:2]
    factor = min(1.0, c[0] / scale_of(image))
    small = (max(1, int(width * factor)), max(1, int(height * factor)))
    picture = Image.fromarray(image).resize(small, Image.Resampling.BOX)
    return np.array(picture.resize((width, height), Image.Resampling.BOX))


def jpeg_compression(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Write and read the picture as a JPEG of quality ``c[0]``, chroma at half the resolution."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=round(c[0]))
    with Image.open(buffer, formats=("JPEG",)) as found:
        return np.array(found.convert("RGB"))


def color_quant(image: _Image, c: tuple[float, ...], rng: np.random.Generator) -> _Image:
    """Keep the ``c[0]`` highest bits of every value."""
    return image & np.uint8((0xFF << (8 - int(c[0]))) & 0xFF)
