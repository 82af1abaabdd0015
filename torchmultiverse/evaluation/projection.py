"""Captions in few dimensions, and how far an inner product can be from what these say of it. Pure.

Captions of one template lie near a subspace of few dimensions. With an orthonormal basis B, coordinates a = Bᵀt of a
caption t and p = Bᵀx of an image x, the inner product x·t differs from p·a by at most ‖x − Bp‖·‖t − Ba‖ (Cauchy and
Schwarz), plus what float32 rounds. Nothing is assumed of the captions: where they are not near the subspace the bound
is wide, and all dimensions are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.evaluation.scoring import TIE
from torchmultiverse.models import FloatArray

CONFIDENCE = 1e-3
"""How far the confidence of an answer may be from that of all scores, where not all are computed."""
_UNIT = 2.0**-24  # half a unit in the last place of float32, relative
_TINY = 1e-17  # a norm whose square may be 0 in float32
_RANGE = (1e-6, 1e6)  # of the largest number of vectors, so that no square that matters is 0 or infinite
_SAMPLE = 16  # images that are asked how many dimensions are worth it
_LEARNT = 1024  # captions that a subspace is fitted to
_CHUNK = 64  # products that are summed before their sums are: errors grow with the longest sum
_DIMENSIONS = (16, 32, 48, 64, 96, 128)
_CUTS = (0.0, 2.0, 4.0, 6.0, 9.0, 13.0)
# Costs as multiples of one multiplication and addition of a product of matrices, as measured.
_PASSES = 40  # of a score, once there is its bound
_GATHERED = 14  # of a product of two rows that are gathered


def rounding(terms: int) -> float:
    """Return how far a float32 sum of so many products, in any order, is from the true one, relative to the sum of
    their magnitudes.

    Source: N. Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, section 3.1.
    """
    return terms * _UNIT / (1 - terms * _UNIT)


@dataclass(frozen=True)
class Projection:
    """Captions in few dimensions.

    Attributes:
        texts: the captions, (K, D), finite.
        basis: orthonormal columns, (D, k); ``None`` where all D dimensions are taken as they are.
        coordinates: of the captions, (K, k), then at least ‖t − Ba‖, then 1: what a bound is a product with.
        cut: captions whose softmax weight may reach e^−cut of the best are scored exactly, for confidence's sake.
    """

    texts: FloatArray
    basis: FloatArray | None
    coordinates: FloatArray
    cut: float

    @property
    def dimensions(self) -> int:
        """How many dimensions are taken."""
        return int(self.coordinates.shape[1]) - 2

    @property
    def full(self) -> bool:
        """Whether all dimensions are taken."""
        return self.basis is None

    @cached_property
    def longest(self) -> float:
        """No caption's norm is larger."""
        return float(_norms(self.texts).max())

    @cached_property
    def farthest(self) -> float:
        """No caption is farther from the subspace."""
        return float(self.coordinates[:, -2].max())

    @cached_property
    def usual(self) -> float:
        """Mean distance of captions from the subspace."""
        return float(self.coordinates[:, -2].mean(dtype=np.float64))

    @cached_property
    def _error(self) -> float:
        """How far rounding takes a bound from the true one, with scale and offset, relative to both norms."""
        found = 4 * rounding(self.dimensions + 4)
        return found if self.basis is None else found + 2 * self._lost

    @cached_property
    def _lost(self) -> float:
        """How far coordinates are from those of a basis that is orthonormal, relative to the norm of the vector."""
        terms = _CHUNK + -(-self.texts.shape[1] // _CHUNK)
        return float(rounding(terms) * np.sqrt(self.dimensions)) + self._skew

    @cached_property
    def _skew(self) -> float:
        """How far the basis is from orthonormal: no less than the spectral norm of BᵀB − 1."""
        assert self.basis is not None
        exact = self.basis.astype(np.float64)
        return float(np.linalg.norm(exact.T @ exact - np.eye(exact.shape[1]))) + 1e-12

    def of_images(self, images: FloatArray) -> ProjectedImages:
        """Return images in the same dimensions."""
        norms = _norms(images)
        errors = norms * (self.longest * self._error)
        if self.basis is None:
            return ProjectedImages(images, np.zeros(len(images), np.float32), norms, errors)
        inside = _product(images, self.basis)
        squares = norms**2 * (1 + 2 * self._lost) - np.einsum("nk,nk->n", inside, inside, dtype=np.float64)
        outside = np.sqrt(np.maximum(squares, 0))
        return ProjectedImages(inside, (outside * (1 + 1e-6)).astype(np.float32), norms, errors)


class Captions:
    """The vectors of captions, and in how many dimensions they are compared: found out once, kept for other images.

    Args:
        vectors: (K, D).
    """

    def __init__(self, vectors: FloatArray) -> None:
        self.vectors = vectors
        self._projection: Projection | None = None

    def comparable(self, images: FloatArray) -> bool:
        """Whether bounds hold for these captions and some images: float32 numbers, finite, not all tiny or huge."""
        return self._in_range and _in_range(images)

    @cached_property
    def _in_range(self) -> bool:
        return _in_range(self.vectors)

    def projection(self, images: FloatArray, labels: NDArray[np.int64], scale: float) -> Projection:
        """Return the captions in as many dimensions as the first images that were asked made cheapest."""
        if self._projection is None:
            self._projection = projected(self.vectors, images, labels, scale)
        return self._projection


@dataclass(frozen=True)
class ProjectedImages:
    """Images in the dimensions of a `Projection`; arrays are (N,) unless said otherwise.

    Attributes:
        inside: coordinates, (N, k).
        outside: at least ‖x − Bp‖.
        norms: at least ‖x‖.
        errors: how far rounding may take p·a ± ‖x − Bp‖·‖t − Ba‖, as computed, past the true inner product.
    """

    inside: FloatArray
    outside: FloatArray
    norms: NDArray[np.float64]
    errors: NDArray[np.float64]


def all_dimensions(texts: FloatArray) -> Projection:
    """Return captions as they are: the full product."""
    return Projection(texts, None, _coordinates(texts, 0), 0.0)


def projected(texts: FloatArray, images: FloatArray, labels: NDArray[np.int64], scale: float) -> Projection:
    """Return captions in as many dimensions as make scoring cheapest, by a sample of images.

    Args:
        texts: (K, D), finite.
        images: (N, D), finite.
        labels: index of the true candidate of each image, (N,).
        scale: of the softmax.
    """
    if min(texts.shape) <= _DIMENSIONS[0]:
        return all_dimensions(texts)
    some = _drawn(len(images), _SAMPLE)
    basis = principal(texts, min(_DIMENSIONS[-1], *texts.shape))
    every = _product(texts, basis)
    left = np.einsum("kd,kd->k", texts, texts)[:, None] - np.cumsum(every * every, axis=1)
    cost, dimensions, cut = min(
        _costs(texts, images[some], labels[some], scale, basis, every, np.sqrt(np.maximum(left, 0)))
    )
    if cost > 0.9 * (texts.shape[1] + _PASSES):
        return all_dimensions(texts)
    return reduced(texts, np.ascontiguousarray(basis[:, :dimensions]), cut, every[:, :dimensions])


def reduced(texts: FloatArray, basis: FloatArray, cut: float, inside: FloatArray | None = None) -> Projection:
    """Return captions in the dimensions of a basis.

    Args:
        texts: (K, D), finite.
        basis: nearly orthonormal columns, (D, k).
        cut: see :class:`Projection`.
        inside: coordinates of the captions, where they are known, (K, k).
    """
    inside = _product(texts, basis) if inside is None else inside
    lost = rounding(basis.shape[1] + 2) * np.sqrt(basis.shape[1]) * _norms(texts)
    return Projection(texts, basis, _coordinates(inside, _norms(texts - inside @ basis.T) + lost), cut)


def _coordinates(inside: FloatArray, outside: NDArray[np.float64] | int) -> FloatArray:
    found = np.ones((len(inside), inside.shape[1] + 2), np.float32)
    found[:, :-2] = inside
    found[:, -2] = outside * (1 + 1e-6)
    return found


def principal(texts: FloatArray, dimensions: int) -> FloatArray:
    """Return an orthonormal basis of nearly the most that so many dimensions hold of captions, (D, k), most first.

    Source: N. Halko, P. Martinsson and J. Tropp, *Finding structure with randomness*, SIAM Review 2011, algorithm 4.4.
    """
    some = texts[_drawn(len(texts), _LEARNT)]
    rng = np.random.default_rng(0)
    found = rng.normal(size=(len(some), min(dimensions + 16, texts.shape[1]))).astype(np.float32)
    found = some @ np.linalg.qr(some.T @ found)[0]
    directions = np.linalg.qr(some.T @ found)[0]
    seen = some @ directions
    _, turn = np.linalg.eigh((seen.T @ seen).astype(np.float64))
    return np.ascontiguousarray((directions @ turn[:, ::-1][:, :dimensions]).astype(np.float32))


def _costs(
    texts: FloatArray, images: FloatArray, labels: NDArray[np.int64], scale: float, basis: FloatArray,
    every: FloatArray, left: FloatArray,
) -> Sequence[tuple[float, int, float]]:  # fmt: skip
    """Return what scoring a caption costs by dimensions and cut, estimated on a few images."""
    rows = np.arange(len(images))
    scores = images @ texts.T
    best = scores.max(1)
    total = np.exp(scale * (scores - best[:, None])).sum(1)
    scores[rows, labels] = -np.inf
    rest = scores.max(1)
    inside = images @ basis
    squares = np.einsum("nd,nd->n", images, images)
    found = []
    for k in (k for k in _DIMENSIONS if k <= basis.shape[1] and k < texts.shape[1]):
        outside = np.sqrt(np.maximum(squares - np.einsum("nk,nk->n", inside[:, :k], inside[:, :k]), 0))
        upper = inside[:, :k] @ every[:, :k].T + outside[:, None] * left[None, :, k - 1]
        upper[rows, labels] = -np.inf
        wins = scale * (rest - best - TIE)
        weights = scale * (upper - best[:, None])
        wide = 1 - np.exp(-2 * scale * (outside * left[:, k - 1].max() + rounding(2 * _CHUNK) * np.sqrt(k)))
        mass = np.exp(np.minimum(weights, 80))
        for cut in _CUTS:
            exact = weights >= np.minimum(wins, -cut)[:, None]
            others = np.where(exact, 0, mass).sum(1)
            failed = (others * wide / total**2 > CONFIDENCE).mean()
            counted = _GATHERED * texts.shape[1] * exact.sum(1).mean() / len(texts)
            found.append((k + _PASSES + counted + failed * (texts.shape[1] + _PASSES), k, cut))
    return found


def _product(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return a product of matrices, (N, D) and (D, k), in sums of no more than `_CHUNK` terms."""
    found: FloatArray = left[:, :_CHUNK] @ right[:_CHUNK]
    for start in range(_CHUNK, left.shape[1], _CHUNK):
        found += left[:, start : start + _CHUNK] @ right[start : start + _CHUNK]
    return found


def _drawn(count: int, most: int) -> NDArray[np.int64]:
    """Return some of so many rows, at random: every second one may be all of one world."""
    return np.sort(np.random.default_rng(0).choice(count, min(most, count), replace=False))


def _in_range(vectors: FloatArray) -> bool:
    if vectors.dtype != np.float32 or not vectors.size:
        return False
    largest = max(float(vectors.max()), -float(vectors.min()))
    return _RANGE[0] <= largest <= _RANGE[1]


def _norms(vectors: FloatArray) -> NDArray[np.float64]:
    """Return no less than the norms of vectors, (N,)."""
    squares = np.einsum("nd,nd->n", vectors, vectors).astype(np.float64)
    return np.asarray(np.sqrt(squares * (1 + rounding(vectors.shape[1] + 2))) * (1 + 1e-9) + _TINY)
