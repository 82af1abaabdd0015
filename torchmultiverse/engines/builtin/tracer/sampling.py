"""Random numbers of the paths, choices with given probabilities, and multiple importance sampling."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.engines.builtin.tracer.backend import mitsuba, opaque_uint, uploaded
from torchmultiverse.engines.builtin.tracer.kinds import Bool, Float, FloatPair, UInt32, UInt32Pair


class LatticeSampler:
    """The random numbers of each lane: a lattice per pixel and dimension, shifted at random.

    Every pair of dimensions takes the pixel's samples in another order, so that pairs are independent of each other.
    The points are evenly spaced along the first axis and multiples of the golden ratio along the second.
    """

    def __init__(self, count: int, per_pixel: int, seed: int) -> None:
        import drjit as dr

        mi = mitsuba()
        each = opaque_uint(per_pixel)
        lane = dr.arange(mi.UInt32, count)
        self.pixel: UInt32 = lane // each
        self._index = lane - self.pixel * each
        bits = max(1, (per_pixel - 1).bit_length())
        self._mask = opaque_uint((1 << bits) - 1)
        self._shift = opaque_uint((bits + 1) // 2)
        self._spacing = opaque_uint(1 << (32 - bits))
        self._key = _hashed(self.pixel ^ _hashed(opaque_uint(seed & 0xFFFFFFFF)))

    def pair(self, dimension: UInt32) -> UInt32Pair:
        """Return two 32-bit numbers."""
        h = _hashed(self._key + dimension * 0x9E3779B9)
        x, y = _hashed(h ^ 0x68BC21EB), _hashed(h ^ 0x02E5BE93)
        i = self._index
        for odd in (0x9E3779B1, 0x85EBCA77):
            i = ((i ^ h) * odd) & self._mask
            i = i ^ (i >> self._shift)
            h = h >> 7
        return i * self._spacing + x, i * 0x9E3779B9 + y

    def floats(self, dimension: UInt32) -> FloatPair:
        """Return two numbers from 0 to below 1."""
        x, y = self.pair(dimension)
        return unit_float(x), unit_float(y)


def _hashed(x: UInt32) -> UInt32:
    x = (x ^ (x >> 16)) * 0x7FEB352D
    x = (x ^ (x >> 15)) * 0x846CA68B
    return x ^ (x >> 16)


def unit_float(x: UInt32) -> Float:
    """Return a 32-bit number as one from 0 to below 1."""
    made: Float = mitsuba().Float(x >> 8) * 2.0**-24
    return made


class DiscreteDistribution:
    """Choices with given weights, found by a uniform 32-bit number: integers, so that small weights survive.

    ``guide`` says where the search for a number's leading bits begins and ends.

    Attributes:
        probability: of each choice (R, N), rows add up to 1.
    """

    def __init__(self, weights: NDArray[np.float64]) -> None:
        """Take weights (R, N), one distribution per row."""
        rows, n = weights.shape
        total = weights.sum(1, keepdims=True)
        probability = np.where(total > 0, weights / np.where(total > 0, total, 1), 1 / n)
        edges = np.rint(np.cumsum(probability, 1) * 2.0**32)
        edges = np.concatenate([np.zeros((rows, 1)), np.clip(edges, 0, 2.0**32 - 1)], 1)
        edges[:, -1] = 2.0**32 - 1
        self.probability = np.diff(edges, axis=1) / 2.0**32
        size = 1 << max(0, int(np.ceil(np.log2(n))))
        self._stride = opaque_uint(n + 1)
        self._shift = opaque_uint(31 - int(np.log2(size)))
        starts = np.arange(size) * 2.0**32 / size
        guide = np.stack([np.clip(np.searchsorted(e, starts, side="right") - 1, 0, n - 1) for e in edges])
        guide = np.concatenate([guide, np.full((rows, 1), n - 1)], 1)
        self._cells = opaque_uint(size + 1)
        self._edges = uploaded("UInt32", edges.astype(np.uint32))
        self._guide = uploaded("UInt32", guide.astype(np.uint32))

    def find(self, u: UInt32, row: UInt32, active: Bool) -> tuple[UInt32, Float]:
        """Return the choice, and where in its interval the number lies, 0 to 1."""
        import drjit as dr

        mi = mitsuba()
        # In two steps: shifting by all 32 bits is undefined.
        cell = row * self._cells + ((u >> self._shift) >> 1)
        low, high = (dr.gather(mi.UInt32, self._guide, cell + k, active) for k in (0, 1))
        base = row * self._stride

        def narrow(low: UInt32, high: UInt32) -> UInt32Pair:
            middle = (low + high + 1) >> 1
            below = dr.gather(mi.UInt32, self._edges, base + middle, active) <= u
            return dr.select(below, middle, low), dr.select(below, high, middle - 1)

        low, _ = dr.while_loop((low, high), lambda low, high: active & (low < high), narrow)
        start = dr.gather(mi.UInt32, self._edges, base + low, active)
        end = dr.gather(mi.UInt32, self._edges, base + low + 1, active)
        return low, mi.Float(u - start) / dr.maximum(mi.Float(end - start), 1)


def power_heuristic(density: Float, other: Float) -> Float:
    """Return the weight of a path found with the first density that could have been found with the other as well
    (Veach and Guibas, "Optimally Combining Sampling Techniques for Monte Carlo Rendering", 1995)."""
    import drjit as dr

    a2, b2 = dr.square(density), dr.square(other)
    weight: Float = a2 / dr.maximum(a2 + b2, 1e-30)
    return weight
