"""The scores that a model gives to the candidates of one task. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.evaluation.projection import Captions, Images
from torchmultiverse.evaluation.pruning import best_candidates
from torchmultiverse.evaluation.scoring import Outcome, half_scores, joined, paired_scores, retrieval
from torchmultiverse.models import FloatArray

CHUNK = 8_000_000
"""Scores held at once."""
_FEW = 1_000_000  # scores that are not worth finding out how to have fewer
_GATHERED = 256  # vectors that are gathered at once, few enough for the caches


class Scores(ABC):
    """Scores of N images and K candidates, higher fits better, made as they are needed.

    Attributes:
        scale: what scores are multiplied by before a softmax; ``None`` where no softmax makes sense of them.
        first_wins: of equal scores the candidate that comes first is chosen; else they share the answer.
        gathered: numbers that are held for each image besides its scores.
    """

    scale: float | None = None
    first_wins: bool = False
    gathered: int = 0

    @abstractmethod
    def block(self, part: NDArray[np.int64]) -> FloatArray:
        """Return the scores of some images with all candidates, (len(part), K)."""

    @abstractmethod
    def chosen(self, candidates: NDArray[np.int64]) -> FloatArray:
        """Return the scores of every image with candidates of its own, (N, M) of (N, M)."""

    def retrieve(self, labels: NDArray[np.int64], candidates: int) -> tuple[Outcome, Search]:
        """Return outcomes of choosing one of all candidates, and how they were found.

        Args:
            labels: index of the true candidate of each image, (N,).
            candidates: how many there are, K.
        """
        step = max(1, CHUNK // max(candidates, self.gathered))
        parts = [np.arange(start, min(start + step, len(labels))) for start in range(0, len(labels), step)]
        return joined(retrieval(self.block(part), labels[part], scale=self.scale) for part in parts), NO_SEARCH


class Search(NamedTuple):
    """How the best of all candidates was found.

    Attributes:
        dimensions: of vectors in which all candidates were compared; ``None`` where there are scores and no vectors,
            or too few to choose.
        width: of the vectors; fewer dimensions bound the scores, and candidates that can win were scored in all.
        exact: share of the scores that were computed in all dimensions.
    """

    dimensions: int | None = None
    width: int | None = None
    exact: float = 1.0


NO_SEARCH = Search()
"""All scores were computed and compared."""


class MatrixScores(Scores):
    """Scores that are there.

    Args:
        matrix: (N, K).
        scale: see :class:`Scores`.
    """

    def __init__(self, matrix: FloatArray, scale: float | None = None) -> None:
        self._matrix, self.scale = matrix, scale

    @override
    def block(self, part: NDArray[np.int64]) -> FloatArray:
        return self._matrix[part]

    @override
    def chosen(self, candidates: NDArray[np.int64]) -> FloatArray:
        return np.take_along_axis(self._matrix, candidates, axis=1)


class VectorScores(Scores):
    """Inner products of vectors.

    Args:
        images: (N, D).
        texts: (K, D), or what is known of them already.
        scale: see :class:`Scores`.
    """

    def __init__(self, images: FloatArray | Images, texts: FloatArray | Captions, scale: float) -> None:
        self._images, self.scale = _gathered(images), scale
        self._captions = texts if isinstance(texts, Captions) else Captions(texts)
        self._texts = self._captions.vectors
        self.gathered = 8 * self._images.width  # few enough images for the caches

    @override
    def block(self, part: NDArray[np.int64]) -> FloatArray:
        scores: FloatArray = self._images[part] @ self._texts.T
        return scores

    @override
    def retrieve(self, labels: NDArray[np.int64], candidates: int) -> tuple[Outcome, Search]:
        many, scale = len(labels) * candidates >= _FEW and candidates > 1, self.scale
        if not many or scale is None or scale <= 0 or not self._captions.comparable(self._images):
            return super().retrieve(labels, candidates)  # which says what is not finite
        found = best_candidates(self._images, labels, scale, self._captions)
        return found.outcome, Search(found.dimensions, self._texts.shape[1], found.exact)

    @override
    def chosen(self, candidates: NDArray[np.int64]) -> FloatArray:
        found = np.empty(candidates.shape, np.float32)
        for start in range(0, len(candidates), _GATHERED):
            part = slice(start, start + _GATHERED)
            images = self._images[part]
            for place, column in enumerate(candidates[part].T):
                found[part, place] = paired_scores(images, self._texts[column])
        return found


def _gathered(images: FloatArray | Images) -> Images:
    return images if isinstance(images, Images) else Images(images)


class HalfPrecisionScores(Scores):
    """The same, 100-fold and rounded to half precision, as published.

    Args:
        images: (N, D).
        texts: (K, D).
    """

    first_wins = True

    def __init__(self, images: FloatArray | Images, texts: FloatArray) -> None:
        self._images, self._texts = _gathered(images), texts

    @override
    def block(self, part: NDArray[np.int64]) -> FloatArray:
        return half_scores(self._images[part], self._texts)

    @override
    def chosen(self, candidates: NDArray[np.int64]) -> FloatArray:
        found = np.empty(candidates.shape, np.float32)
        for row, own in enumerate(candidates):
            found[row] = half_scores(self._images[row : row + 1], self._texts[own])[0]
        return found


class PairScores(Scores):
    """Scores of a model that looks at image and caption together; with few candidates of each image, only those.

    Args:
        score: positions of images and indices of candidates to scores, (len, K).
        count: images and candidates.
    """

    def __init__(
        self, score: Callable[[NDArray[np.int64], NDArray[np.int64]], FloatArray], count: tuple[int, int]
    ) -> None:
        self._score, self._count = score, count
        self._matrix: FloatArray | None = None

    @override
    def block(self, part: NDArray[np.int64]) -> FloatArray:
        if self._matrix is None:
            self._matrix = self._score(np.arange(self._count[0]), np.arange(self._count[1]))
        return self._matrix[part]

    @override
    def chosen(self, candidates: NDArray[np.int64]) -> FloatArray:
        if self._matrix is not None:
            return np.take_along_axis(self._matrix, candidates, axis=1)
        found = np.empty(candidates.shape, np.float32)
        for own in np.unique(candidates, axis=0):
            mine = np.flatnonzero((candidates == own).all(1))
            found[mine] = self._score(mine, own)
        return found
