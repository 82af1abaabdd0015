"""What several corruptions are made of: blurs along a line and over a disc, enlargements, plasma. Pure."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.corruptions.constants import SIDE

Float = NDArray[np.float32]
"""Of pictures: (H, W, 3) or (H, W), from 0 to 1."""


def unit(image: NDArray[np.uint8]) -> Float:
    """Return a picture of 8 bits as numbers from 0 to 1."""
    return image.astype(np.float32) / np.float32(255)


def eight_bits(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return numbers as a picture of 8 bits; cut off, not rounded, as the source does.

    A thousandth of a step is added, so that a value that was a whole number stays it in spite of single precision.
    """
    return np.asarray(np.clip(values, 0, 1) * 255 + 1e-3, np.float32).astype(np.uint8)


def scale_of(image: NDArray[np.generic]) -> float:
    """Return the shorter side over 224: what lengths in pixels are multiplied by."""
    return float(min(image.shape[:2])) / SIDE


def gaussian(values: Float, sigma: float, mode: str = "nearest") -> Float:
    """Blur height and width by a Gaussian that is cut at four standard deviations."""
    from scipy.ndimage import gaussian_filter1d

    if sigma <= 0:
        return values
    once = gaussian_filter1d(values, sigma, axis=0, mode=mode)
    return np.asarray(gaussian_filter1d(once, sigma, axis=1, mode=mode), np.float32)


def smooth(values: Float, sigma: float, truncate: float = 3) -> Float:
    """Blur a field (H, W) by a Gaussian of any width, mirrored at its edges.

    By cosine transforms, in which a symmetric kernel over a mirrored field is a product: as quick for 170 pixels as
    for two, and equal to the sum over the truncated kernel.
    """
    from scipy.fft import dctn, idctn

    radius = int(truncate * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    taps /= taps[0] + 2 * taps[1:].sum()
    gains = []
    for size in values.shape:
        angles = np.pi * np.outer(np.arange(size), np.arange(1, radius + 1)) / size
        gains.append(taps[0] + 2 * np.cos(angles) @ taps[1:])
    found = idctn(dctn(values.astype(np.float64), norm="ortho") * np.outer(*gains), norm="ortho")
    return np.asarray(found, np.float32)


def disc(radius: float, edge: float, scale: float = 1) -> Float:
    """Return the kernel of a lens out of focus, (K, K), of sum 1.

    Args:
        radius: pixels.
        edge: standard deviation of the blur of its edge, pixels.
        scale: of lengths.
    """
    from scipy.ndimage import correlate1d

    wide = radius > 8 * scale
    half = max(1, math.ceil(radius if wide else 8 * scale))
    places = np.arange(-half, half + 1)
    kernel = (places[:, None] ** 2 + places[None] ** 2 <= radius**2).astype(np.float64)
    kernel /= kernel.sum()
    reach = max(1, round((2 if wide else 1) * scale))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(edge, 1e-3)) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        kernel = correlate1d(kernel, weights, axis=axis, mode="mirror")
    return np.asarray(kernel / kernel.sum(), np.float32)


def convolve(values: Float, kernel: Float) -> Float:
    """Return a picture (H, W, C) under a kernel (K, K), mirrored at its edges; by Fourier transforms."""
    from scipy.signal import oaconvolve

    half = kernel.shape[0] // 2
    padded = np.pad(values, ((half, half), (half, half), (0, 0)), mode=padding(values, half))
    return np.asarray(oaconvolve(padded, kernel[::-1, ::-1, None], mode="valid", axes=(0, 1)), np.float32)


def padding(values: NDArray[np.generic], reach: int) -> Literal["reflect", "edge"]:
    """Return how edges are filled: mirrored, or repeated where a picture is smaller than the reach."""
    return "reflect" if reach < min(values.shape[:2]) else "edge"


def line_blur(values: Float, half: float, sigma: float, degrees: float) -> Float:
    """Blur along a line to one side by half a Gaussian, edges repeated.

    The kernel is ImageMagick's, which the source uses: 2 · half + 1 taps at whole pixels, of weights
    exp(-i² / (2 σ²)), i pixels away along the direction.

    Args:
        values: (H, W) or (H, W, C).
        half: half of the number of taps.
        sigma: standard deviation, pixels.
        degrees: direction, clockwise from the right.
    """
    count = 2 * math.ceil(half) + 1
    weights = np.exp(-0.5 * (np.arange(count) / max(sigma, 1e-3)) ** 2)
    weights /= weights.sum()
    angle = math.radians(degrees)
    steps = [(math.ceil(i * math.sin(angle) - 0.5), math.ceil(i * math.cos(angle) - 0.5)) for i in range(count)]
    return shifted_sum(values, steps, weights)


def shifted_sum(values: Float, steps: list[tuple[int, int]], weights: NDArray[np.float64]) -> Float:
    """Return the weighted sum of a picture read so many rows and columns further on, edges repeated."""
    reach = max(1, *(abs(step) for pair in steps for step in pair))
    height, width = values.shape[:2]
    pad = [(reach, reach), (reach, reach), (0, 0)][: values.ndim]
    padded = np.pad(values, pad, mode="edge")
    out = np.zeros_like(values)
    known: dict[tuple[int, int], float] = {}
    for step, weight in zip(steps, weights.tolist(), strict=True):
        known[step] = known.get(step, 0.0) + weight
    for (down, right), weight in known.items():
        if weight > 1e-5:
            out += (
                np.float32(weight) * padded[reach + down : reach + down + height, reach + right : reach + right + width]
            )
    return out


def resampled(values: Float, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Float:
    """Return a picture at rows and columns between its own, linearly; places beyond its edges are the edge."""
    for axis, places in ((0, rows), (1, columns)):
        last = values.shape[axis] - 1
        places = np.clip(places, 0, last)
        low = np.minimum(places.astype(np.int64), max(0, last - 1))
        shape = [1] * values.ndim
        shape[axis] = len(places)
        share = (places - low).astype(np.float32).reshape(shape)
        values = values.take(low, axis) * (1 - share) + values.take(np.minimum(low + 1, last), axis) * share
    return values


def zoomed(values: Float, factor: float) -> Float:
    """Return the middle of a picture, enlarged to the whole by a factor of at least 1."""
    found = []
    for size in values.shape[:2]:
        kept = math.ceil(size / factor)
        large = round(kept * factor)
        trimmed = (large - size) // 2
        step = (kept - 1) / max(1, large - 1)
        found.append((size - kept) // 2 + (np.arange(size) + trimmed) * step)
    return resampled(values, found[0], found[1])


def plasma(shape: tuple[int, int], decay: float, rng: np.random.Generator) -> Float:
    """Return a plasma fractal, (H, W), from 0 to 1: midpoint displacement on a square that wraps around.

    At each of the octaves, centres of squares and then of diamonds are the mean of their four corners and a uniform
    number within an amplitude that is divided by the square of ``decay`` from octave to octave.

    Args:
        shape: height and width; the fractal's side is the least power of two above, 256 at least.
        decay: larger is smoother.
        rng: of the displacements.
    """
    size = max(256, 1 << math.ceil(math.log2(max(shape))))
    field = np.zeros((1, 1))
    amplitude = 100.0**2
    while field.shape[0] < size:
        count = field.shape[0]

        def jitter(count: int = count, amplitude: float = amplitude) -> NDArray[np.float64]:
            return rng.uniform(-amplitude, amplitude, (count, count))

        below = field + np.roll(field, -1, 0)
        centres = (below + np.roll(below, -1, 1)) / 4 + jitter()
        across = (centres + np.roll(centres, 1, 0) + field + np.roll(field, -1, 1)) / 4 + jitter()
        along = (centres + np.roll(centres, 1, 1) + field + np.roll(field, -1, 0)) / 4 + jitter()
        finer = np.empty((2 * count, 2 * count))
        finer[::2, ::2], finer[1::2, 1::2], finer[::2, 1::2], finer[1::2, ::2] = field, centres, across, along
        field, amplitude = finer, amplitude / decay**2
    field -= field.min()
    return np.asarray((field / max(field.max(), 1e-12))[: shape[0], : shape[1]], np.float32)
