"""Captions in few dimensions, and how far an inner product can be from what these say of it. Pure.

Captions of one template lie near a subspace of few dimensions. With an orthonormal basis B, coordinates a = Bᵀt of a
caption t and p = Bᵀx of an image x, the inner product x·t differs from p·a by at most ‖x − Bp‖·‖t − Ba‖ (Cauchy and
Schwarz), plus what float32 rounds. Nothing is assumed of the captions: where they are not near the subspace the bound
is wide, and all dimensions are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.evaluation.scoring import TIE
from torchmultiverse.models import FloatArray

CONFIDENCE = 1e-3
"""How far the confidence of an answer may be from that of all scores, where not all are computed."""
_UNIT = 2.0**-24  # half a unit in the last place of float32, relative
_DEVIATIONS = 5  # standard deviations of rounding that the confidence of an answer allows for
_TINY = 1e-17  # a norm whose square may be 0 in float32
_RANGE = (1e-6, 1e6)  # of the largest number of vectors, so that no square that matters is 0 or infinite
_SAMPLE = 16  # images that are asked how many dimensions are worth it
_LEARNT = 1024  # captions that a subspace is fitted to
_PART = 512  # captions that are taken at once, few enough for the caches
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


def _rounding_usual(terms: int) -> float:
    """Return what such an error does not exceed as a rule, as roundings are of either sign.

    Source: N. Higham and T. Mary, *A new approach to probabilistic rounding error analysis*, SIAM J. Sci. Comput. 2019.
    """
    return _DEVIATIONS * float(np.sqrt(terms)) * _UNIT


@dataclass(frozen=True)
class Projection:
    """Captions in few dimensions.

    Attributes:
        texts: the captions, (K, D), finite.
        basis: orthonormal columns, (D, k); ``None`` where all D dimensions are taken as they are.
        coordinates: of the captions, (K, k), then at least ‖t − Ba‖, then 1: what a bound is a product with.
        cut: captions whose softmax weight may reach e^−cut of the best are scored exactly, for confidence's sake.
        residuals: ‖t − Ba‖ as a rule, without all that rounding may do, (K,).
    """

    texts: FloatArray
    basis: FloatArray | None
    coordinates: FloatArray
    cut: float
    residuals: NDArray[np.float64]

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
    def excess(self) -> tuple[float, float, float]:
        """By what a bound exceeds an inner product, over ‖x − Bp‖: the least, the mean and the most, as a rule."""
        bound = self.coordinates[:, -2].astype(np.float64)
        return float((bound - self.residuals).min()), float(bound.mean()), float((bound + self.residuals).max())

    @cached_property
    def _error(self) -> float:
        """How far rounding takes a bound from the true one, with scale and offset, relative to both norms."""
        found = 4 * rounding(self.dimensions + 4)
        return found if self.basis is None else found + 2 * self._lost

    @cached_property
    def _usual_error(self) -> float:
        """The same by rounding's usual size, which grows with the root of the number of terms."""
        terms = [self.dimensions + 4] if self.basis is None else [self.dimensions + 4, 2 * _CHUNK, 2 * _CHUNK]
        return sum(_rounding_usual(count) for count in terms) + (0.0 if self.basis is None else 2 * self._skew)

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
            return ProjectedImages(images, np.zeros(len(images), np.float32), norms, errors, errors)
        inside = _product(images, self.basis)
        squares = norms**2 * (1 + 2 * self._lost) - np.einsum("nk,nk->n", inside, inside, dtype=np.float64)
        outside = np.sqrt(np.maximum(squares, 0))
        usual = norms * (self.longest * self._usual_error)
        return ProjectedImages(inside, (outside * (1 + 1e-6)).astype(np.float32), norms, errors, usual)


class Images:
    """Vectors of images, gathered block by block: all at once they would pass through memory once more.

    Args:
        vectors: of all images, (M, D).
        rows: which of them, (N,); by default all.
    """

    def __init__(self, vectors: FloatArray, rows: NDArray[np.int64] | None = None) -> None:
        self._vectors, self._rows = vectors, rows
        self._known: dict[str, bool] = {}  # of all images, whichever are asked

    def only(self, rows: NDArray[np.int64]) -> Images:
        """Return some of all images."""
        found = Images(self._vectors, rows)
        found._known = self._known
        return found

    def __len__(self) -> int:
        return len(self._vectors if self._rows is None else self._rows)

    def __getitem__(self, part: Any) -> FloatArray:
        at = part if self._rows is None else self._rows[part]
        if isinstance(at, np.ndarray) and at.size and at[-1] - at[0] + 1 == len(at) and (np.diff(at) == 1).all():
            at = slice(at[0], at[-1] + 1)  # a view
        found: FloatArray = self._vectors[at]
        return found

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        return int(self._vectors.shape[1])

    @property
    def in_range(self) -> bool:
        """Whether the vectors of all images are float32 numbers, finite, not all tiny or huge."""
        if "in_range" not in self._known:
            self._known["in_range"] = _in_range(self._vectors)
        return self._known["in_range"]


Each = Callable[[Callable[[slice], Any], Iterable[slice]], Iterable[Any]]
"""How something is done with each of several parts, as `map` does."""


class Captions:
    """The vectors of captions, and in how many dimensions they are compared: found out once, kept for other images.

    Args:
        vectors: (K, D).
    """

    def __init__(self, vectors: FloatArray) -> None:
        self.vectors = vectors
        self._projection: Projection | None = None

    def comparable(self, images: Images) -> bool:
        """Whether bounds hold for these captions and some images: float32 numbers, finite, not all tiny or huge."""
        return self._in_range and images.in_range

    @cached_property
    def _in_range(self) -> bool:
        return _in_range(self.vectors)

    def projection(
        self, images: FloatArray | Images, labels: NDArray[np.int64], scale: float, each: Each = map
    ) -> Projection:
        """Return the captions in as many dimensions as the first images that were asked made cheapest."""
        if self._projection is None:
            self._projection = projected(self.vectors, images, labels, scale, each)
        return self._projection


@dataclass(frozen=True)
class ProjectedImages:
    """Images in the dimensions of a `Projection`; arrays are (N,) unless said otherwise.

    Attributes:
        inside: coordinates, (N, k).
        outside: at least ‖x − Bp‖.
        norms: at least ‖x‖.
        errors: how far rounding may take p·a ± ‖x − Bp‖·‖t − Ba‖, as computed, past the true inner product.
        usual_errors: how far it takes p·a as a rule.
    """

    inside: FloatArray
    outside: FloatArray
    norms: NDArray[np.float64]
    errors: NDArray[np.float64]
    usual_errors: NDArray[np.float64]


def all_dimensions(texts: FloatArray) -> Projection:
    """Return captions as they are: the full product."""
    return Projection(texts, None, _coordinates(texts, 0), 0.0, np.zeros(len(texts)))


def projected(
    texts: FloatArray, images: FloatArray | Images, labels: NDArray[np.int64], scale: float, each: Each = map
) -> Projection:
    """Return captions in as many dimensions as make scoring cheapest, by a sample of images.

    Args:
        texts: (K, D), finite.
        images: (N, D), finite.
        labels: index of the true candidate of each image, (N,).
        scale: of the softmax.
        each: how parts of the captions are gone through.
    """
    if min(texts.shape) <= _DIMENSIONS[0]:
        return all_dimensions(texts)
    some = _drawn(len(images), _SAMPLE)
    basis = principal(texts, min(_DIMENSIONS[-1], *texts.shape))
    every = _in_parts(lambda part: (_product(texts[part], basis),), len(texts), each)[0]
    cost, dimensions, cut = min(_costs(texts, images[some], labels[some], scale, basis, every))
    if cost > 0.9 * (texts.shape[1] + _PASSES):
        return all_dimensions(texts)
    return reduced(texts, np.ascontiguousarray(basis[:, :dimensions]), cut, every[:, :dimensions], each)


def reduced(
    texts: FloatArray, basis: FloatArray, cut: float, inside: FloatArray | None = None, each: Each = map
) -> Projection:
    """Return captions in the dimensions of a basis.

    Args:
        texts: (K, D), finite.
        basis: nearly orthonormal columns, (D, k).
        cut: see :class:`Projection`.
        inside: coordinates of the captions, where they are known, (K, k).
        each: how parts of the captions are gone through.
    """

    def distances(part: slice) -> tuple[FloatArray, NDArray[np.float64], NDArray[np.float64]]:
        own = _product(texts[part], basis) if inside is None else inside[part]
        return own, _norms(texts[part] - own @ basis.T), _norms(texts[part])

    own, left, norms = _in_parts(distances, len(texts), each)
    most, usual = rounding(basis.shape[1] + 2) * np.sqrt(basis.shape[1]), _rounding_usual(basis.shape[1] + 2)
    return Projection(texts, basis, _coordinates(own, left + most * norms), cut, left + usual * norms)


def _in_parts(function: Callable[[slice], tuple[Any, ...]], count: int, each: Each) -> list[Any]:
    """Return what a function gives for all of so many captions, from what it gives for parts of them."""
    parts = [slice(start, start + _PART) for start in range(0, count, _PART)]
    return [np.concatenate(column) for column in zip(*each(function, parts), strict=True)]


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
    texts: FloatArray, images: FloatArray, labels: NDArray[np.int64], scale: float, basis: FloatArray, every: FloatArray
) -> Sequence[tuple[float, int, float]]:
    """Return what scoring a caption costs by dimensions and cut, estimated on a few images."""
    rows = np.arange(len(images))
    scores = images @ texts.T
    best = scores.max(1)
    total = np.exp(scale * (scores - best[:, None])).sum(1)
    scores[rows, labels] = -np.inf
    rest = scores.max(1)
    inside = images @ basis
    squares = np.einsum("nd,nd->n", images, images)
    lengths = np.einsum("kd,kd->k", texts, texts)
    some = _drawn(len(texts), _SAMPLE * _SAMPLE)
    upper, held, residual, before = np.zeros_like(scores), np.zeros(len(texts), np.float32), texts[some], 0
    found = []
    for k in (k for k in _DIMENSIONS if k <= basis.shape[1] and k < texts.shape[1]):
        new = slice(before, k)
        held += np.einsum("kd,kd->k", every[:, new], every[:, new])
        upper += inside[:, new] @ every[:, new].T
        residual -= every[some, new] @ basis[:, new].T
        before = k
        outside = np.sqrt(np.maximum(squares - np.einsum("nk,nk->n", inside[:, :k], inside[:, :k]), 0))
        weights = upper + outside[:, None] * np.sqrt(np.maximum(lengths - held, 0))
        weights -= best[:, None]
        weights *= np.float32(scale)
        weights[rows, labels] = -np.inf
        wins = scale * (rest - best - TIE)
        far = np.sqrt(np.einsum("kd,kd->k", residual, residual).max())  # a difference of squares would be as rounded
        wide = 1 - np.exp(-2 * scale * (outside * far + 3 * _rounding_usual(2 * _CHUNK)))
        mass = np.exp(np.minimum(weights, 80))
        for cut in _CUTS:
            exact = weights >= np.minimum(wins, -cut)[:, None]
            others = np.where(exact, 0, mass).sum(1)
            failed = (others * wide / total**2 > CONFIDENCE).mean()
            counted = _GATHERED * texts.shape[1] * exact.sum(1).mean() / len(texts)
            found.append((k + _PASSES + counted + failed * (texts.shape[1] + _PASSES), k, cut))
            if not failed:
                break
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
