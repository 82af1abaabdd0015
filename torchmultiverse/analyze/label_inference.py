"""What a model infers of a picture from a part that does not show its object, and how sure it is of that.

Source: C. Meehan, F. Bordes, P. Vincent, K. Chaudhuri and C. Guo, *Do SSL models have déjà vu? A case of unintended
memorization in self-supervised learning*, NeurIPS 2023, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.neighbours import Backend, NearestRows, nearest_rows
from torchmultiverse.errors import DatasetError
from torchmultiverse.models import FloatArray

K = 100


@dataclass(frozen=True)
class Inference:
    """What a model infers of each picture from the part that does not show the object.

    Attributes:
        prediction: label codes, (N,).
        confidence: negative entropy of the neighbours' labels in nats, (N,): 0 where all agree.
        correct: whether the label is that of the picture, (N,).
        top5: whether it is among the five most frequent, (N,).
    """

    prediction: NDArray[np.int64]
    confidence: NDArray[np.float64]
    correct: NDArray[np.bool_]
    top5: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.prediction)

    def take(self, rows: NDArray[np.int64]) -> Inference:
        """Return the answers of some pictures."""
        return Inference(self.prediction[rows], self.confidence[rows], self.correct[rows], self.top5[rows])


def infer(
    crops: FloatArray,
    targets: NDArray[np.int64],
    public: FloatArray,
    labels: NDArray[np.int64],
    k: int = K,
    backend: Backend = "auto",
) -> Inference:
    """Infer the label of each picture from its crop.

    Args:
        crops: features of crops, (N, D).
        targets: their pictures' labels, codes (N,).
        public: features of public pictures, (M, D).
        labels: of public pictures, codes (M,).
        k: neighbours; of fewer per class than this the source's rule (50 ≤ k ≤ pictures per class) is broken.
        backend: see `nearest_rows`.

    Raises:
        DatasetError: labels of ``targets`` that no public picture has, collapsed features, or too few public pictures.
    """
    return infer_from(find_neighbours(crops, targets, public, labels, k, backend), targets, labels)


def find_neighbours(
    crops: FloatArray,
    targets: NDArray[np.int64],
    public: FloatArray,
    labels: NDArray[np.int64],
    k: int,
    backend: Backend,
) -> NearestRows:
    """Return the public pictures nearest to each crop; arguments and errors are those of `infer`."""
    missing = np.setdiff1d(targets, labels)
    if len(missing):
        raise DatasetError(f"{len(missing)} labels have no public picture, so that nobody could infer them")
    if float(public.std(0).max()) <= 1e-6 * max(1.0, float(np.abs(public).max())):
        raise DatasetError("all public pictures have the same features: the representation has collapsed")
    return nearest_rows(crops, public, k, backend)


def infer_from(found: NearestRows, targets: NDArray[np.int64], labels: NDArray[np.int64]) -> Inference:
    """Return what is inferred from neighbours among public pictures, whose labels, codes (M,), are given."""
    return votes(labels[found.rows], found.distances, targets, int(labels.max()) + 1)


def votes(neighbours: NDArray[np.int64], distances: FloatArray, targets: NDArray[np.int64], classes: int) -> Inference:
    """Return what the labels of neighbours say.

    A tie is broken by the summed inverse distances of the tied labels' neighbours.

    Args:
        neighbours: labels of the neighbours, codes (N, K).
        distances: squared, (N, K).
        targets: codes (N,).
        classes: number of labels.
    """
    count, k = neighbours.shape
    prediction, confidence = np.empty(count, np.int64), np.empty(count)
    top5 = np.empty(count, bool)
    step = max(1, 50_000_000 // max(classes, 1))
    for start in range(0, count, step):
        part = slice(start, start + step)
        near = neighbours[part]
        rows = np.repeat(np.arange(len(near)), k)
        tally = np.zeros((len(near), classes))
        np.add.at(tally, (rows, near.ravel()), 1)
        closeness = np.zeros_like(tally)
        root = np.sqrt(distances[part].astype(np.float64))
        inverse = 1 / np.maximum(root, 1e-6 * max(float(root.mean()), 1e-30))
        np.add.at(closeness, (rows, near.ravel()), inverse.ravel())
        # Below one vote, so that it decides among equals alone.
        score = tally + 0.5 * closeness / np.maximum(closeness.max(1, keepdims=True), 1e-30)
        prediction[part] = score.argmax(1)
        fraction = tally / k
        logs = np.log(fraction, out=np.zeros_like(fraction), where=fraction > 0)
        confidence[part] = (fraction * logs).sum(1)
        best = np.argpartition(-score, min(5, classes) - 1, 1)[:, :5]
        top5[part] = ((best == targets[part, None]) & (np.take_along_axis(tally, best, 1) > 0)).any(1)
    return Inference(prediction, confidence, prediction == targets, top5)


def joined(parts: Sequence[Inference]) -> Inference:
    """Return the answers of several sets one after another."""
    names = ("prediction", "confidence", "correct", "top5")
    return Inference(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def top_accuracy(
    correct: NDArray[np.bool_],
    confidence: NDArray[np.float64],
    fraction: float,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the accuracy on the most confident pictures.

    Of pictures that are equally confident at the edge, as many as still fit count by their mean, so that the number
    does not depend on any order.

    Args:
        correct: (N,).
        confidence: higher is more confident, (N,).
        fraction: of the pictures, above 0 up to 1.
        weights: how often each picture is drawn in each of R resamples, (R, N); each picture once without.

    Returns:
        One accuracy per resample, (R,); one in all without weights.
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"a fraction above 0 up to 1, not {fraction}")
    drawn = np.ones((1, len(correct))) if weights is None else weights
    order = np.argsort(-confidence, kind="stable")
    starts = np.flatnonzero(np.diff(confidence[order], prepend=np.inf) != 0)
    sorted_weights = drawn[:, order]
    sizes = np.add.reduceat(sorted_weights, starts, 1)
    hits = np.add.reduceat(sorted_weights * correct[order], starts, 1)
    wanted = np.maximum(fraction * sizes.sum(1, keepdims=True), 1.0)
    # Of each group of equals, how much still fits.
    before = np.cumsum(sizes, 1) - sizes
    taken = np.clip(wanted - before, 0, sizes)
    included = np.divide(taken, sizes, out=np.zeros_like(taken), where=sizes > 0)
    return np.asarray((hits * included).sum(1) / taken.sum(1))
