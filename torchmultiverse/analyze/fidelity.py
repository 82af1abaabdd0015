"""Whether a decoder's pictures can be trusted as views of a representation, and what they show that it keeps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.probes import ProbeData, logistic
from torchmultiverse.documents import Record
from torchmultiverse.errors import DatasetError
from torchmultiverse.models import FloatArray
from torchmultiverse.stats import Intervals


class Fidelity(Record):
    """Where the vector that a picture was drawn from is among those nearest to the picture's own vector.

    Attributes:
        mean_rank, mrr, hit1: mean rank, mean reciprocal rank, and fraction of first places.
        null_rank, null_mrr: of a decoder that draws anything: (N + 1)/2 and H_N/N.
        candidates: N.
        ranks: of each picture, (Q,).
    """

    mean_rank: float
    mrr: float
    hit1: float
    null_rank: float
    null_mrr: float
    candidates: int
    ranks: tuple[int, ...]

    @property
    def summary(self) -> str:
        """What it means, in a sentence."""
        if self.hit1 >= 0.5:
            return f"MRR {self.mrr:.2f}, first place {100 * self.hit1:.0f} %: pictures can be trusted as views of it."
        return (
            f"MRR {self.mrr:.2f}, first place {100 * self.hit1:.0f} %: the decoder is under-trained, or many pictures "
            "share a vector; draw no conclusions from what varies."
        )


def measure_fidelity(reference: FloatArray, drawn: FloatArray, rows: NDArray[np.int64], chunk: int = 1024) -> Fidelity:
    """Return the ranks of the conditioning vectors.

    ``rank = 1 + #{j ≠ i: ‖h_j − ĥ‖ < ‖h_i − ĥ‖}``. Source: F. Bordes et al., TMLR 2022, table 1.

    Args:
        reference: candidates, (N, D).
        drawn: vectors of drawn pictures, (Q, D).
        rows: which candidate each was drawn from, (Q,).
        chunk: pictures at once.

    Raises:
        DatasetError: nothing to rank.
    """
    if not len(drawn) or not len(reference):
        raise DatasetError("no pictures to rank")
    centre = reference.mean(0, dtype=np.float64)
    held, asked = reference.astype(np.float64) - centre, drawn.astype(np.float64) - centre
    lengths = (held**2).sum(1)
    ranks = np.empty(len(drawn), np.int64)
    for start in range(0, len(drawn), chunk):
        part = slice(start, start + chunk)
        squared = lengths - 2 * asked[part] @ held.T
        own = squared[np.arange(len(squared)), rows[part]]
        ranks[part] = 1 + (squared < own[:, None]).sum(1)
    count = len(reference)
    return Fidelity(
        mean_rank=float(ranks.mean()), mrr=float((1 / ranks).mean()), hit1=float((ranks == 1).mean()),
        null_rank=(count + 1) / 2, null_mrr=float((1 / np.arange(1, count + 1)).mean()), candidates=count,
        ranks=tuple(ranks.tolist()),
    )  # fmt: skip


class FactorFidelity(Record):
    """Whether a representation keeps a factor, as its pictures show it.

    Attributes:
        factor: column.
        accuracy, low, high: fraction of drawn pictures in which a classifier sees the level of the picture that they
            were drawn from, vectors being resampled.
        real_accuracy: the same classifier on the real pictures that were drawn from: what it can see at all.
        chance: of the most frequent level among these.
        probe_accuracy: what a probe reads from the vectors themselves; not a number where none was given.
        images: real pictures that all this is of; 0 in records that do not say.
    """

    factor: str
    accuracy: float
    low: float
    high: float
    real_accuracy: float
    chance: float
    probe_accuracy: float
    images: int = 0

    @property
    def retained(self) -> float:
        """How much of what the classifier can see is kept: 0 is chance, 1 is as in real pictures."""
        return (self.accuracy - self.chance) / max(self.real_accuracy - self.chance, 1e-9)


def factor_fidelity(
    real: FloatArray,
    codes: Mapping[str, NDArray[np.int64]],
    drawn: FloatArray,
    rows: NDArray[np.int64],
    probe_accuracy: Mapping[str, float] | None = None,
    seed: int = 0,
    groups: NDArray[np.int64] | None = None,
) -> list[FactorFidelity]:
    """Return, for each factor, whether drawn pictures have the level of the pictures that they were drawn from.

    Args:
        real: features of real pictures in which factors are seen, (N, D), of any good model. Half of them train the
            classifiers and a quarter chooses their penalty, of those that were not drawn from as far as there are
            enough; nothing is said of drawn pictures whose real one was learnt.
        codes: levels of real pictures, (N,).
        drawn: features of drawn pictures by the same model, (Q, D).
        rows: which real picture each was drawn from, (Q,).
        probe_accuracy: what is read from the conditioning vectors, by factor.
        seed: of the division.
        groups: of drawn pictures that are not independent, for intervals, (Q,); those of one vector by default.
    """
    order = np.random.default_rng(seed).permutation(len(real))
    order = order[np.argsort(np.isin(order, rows), kind="stable")]  # what was drawn from last: it is asked for
    train, validation, rest = np.split(order, [len(order) // 2, 3 * len(order) // 4])
    asked = np.isin(rows, rest)
    groups = np.unique((rows if groups is None else groups)[asked], return_inverse=True)[1]
    drawn, rows = drawn[asked], rows[asked]
    test = np.unique(rows)
    intervals, found = Intervals(seed), []
    for factor, levels in codes.items():
        both = np.concatenate([real[test], drawn])
        data = ProbeData(real[train], real[validation], both, levels[train], levels[validation], int(levels.max()) + 1)
        prediction = logistic(data, np.random.default_rng(seed)).prediction
        correct = (prediction[len(test) :] == levels[rows]).astype(float)
        low, high, _ = intervals.of_mean(correct, groups)
        chance = float(np.bincount(levels[test]).max() / len(test))
        seen = float((prediction[: len(test)] == levels[test]).mean())
        found.append(
            FactorFidelity(
                factor=factor, accuracy=float(correct.mean()), low=low, high=high, real_accuracy=seen, chance=chance,
                probe_accuracy=(probe_accuracy or {}).get(factor, float("nan")), images=len(test),
            )
        )  # fmt: skip
    return found


def variance_ratio(attribute: NDArray[np.float64], rows: NDArray[np.int64]) -> float:
    """Return Var(attribute | same vector) / Var(attribute): near 0 the vector has it, near 1 it does not.

    Args:
        attribute: of drawn pictures, (Q,) or (Q, T).
        rows: which vector each was drawn from, (Q,).
    """
    values = attribute.reshape(len(attribute), -1).astype(np.float64)
    names, groups = np.unique(rows, return_inverse=True)
    sizes = np.bincount(groups)[:, None]
    means = np.stack([np.bincount(groups, column) for column in values.T], 1) / sizes
    inside = ((values - means[groups]) ** 2).sum() / max(len(values) - len(names), 1)
    total = ((values - values.mean(0)) ** 2).sum() / max(len(values) - 1, 1)
    return float(inside / total) if total > 0 else 0.0


def frechet_distance(one: FloatArray, two: FloatArray) -> float:
    """Return ‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½) of two sets of features (N, D), (M, D): FID with any extractor.

    Source: M. Heusel et al., *GANs trained by a two time-scale update rule*, NeurIPS 2017, equation 6.
    """
    means = [part.mean(0, dtype=np.float64) for part in (one, two)]
    covariances = [np.atleast_2d(np.cov(part.astype(np.float64), rowvar=False)) for part in (one, two)]
    # The trace of (Σ₁Σ₂)^½ by the eigenvalues of Σ₁^½ Σ₂ Σ₁^½: fewer pictures than features make Σ singular.
    values, vectors = np.linalg.eigh(covariances[0])
    half = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    root = np.sqrt(np.maximum(np.linalg.eigvalsh(half @ covariances[1] @ half), 0)).sum()
    return float(((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0] + covariances[1]) - 2 * root)


class SampleQuality(Record):
    """How drawn pictures compare with real ones as a whole.

    Attributes:
        evaluator: whose features are compared.
        fid, fid_real: Fréchet distance of drawn pictures to held-out ones, and of as many other real pictures to them:
            what the number is where nothing is wrong. It falls with the number of pictures.
        inception_score, inception_score_std, inception_score_real: inception score of drawn pictures by a linear
            classifier of ``label``, its standard deviation over ten parts, and that of the held-out pictures.
        label: column that the classifier predicts.
        samples, real_images: number of drawn and of real pictures.
    """

    evaluator: str
    fid: float
    fid_real: float
    inception_score: float
    inception_score_std: float
    inception_score_real: float
    label: str
    samples: int
    real_images: int


def sample_quality(
    evaluator: str,
    drawn: FloatArray,
    held: FloatArray,
    other: FloatArray,
    label: str,
    codes: NDArray[np.int64],
    seed: int = 0,
) -> SampleQuality:
    """Return Fréchet distance and inception score with any features.

    Args:
        evaluator: whose features these are, to be stated.
        drawn: of drawn pictures, (Q, D).
        held: of real pictures that were held out, (N, D).
        other: of other real pictures, (M, D), from which the classifier learns.
        label: column that the classifier predicts.
        codes: of ``other``, (M,).
        seed: of choices.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(other))
    validation, train = np.split(order, [max(1, len(order) // 5)])
    data = ProbeData(other[train], other[validation], held[:1], codes[train], codes[validation], int(codes.max()) + 1)
    probe = logistic(data, rng).probe
    assert probe is not None
    score, std = inception_score(probe.probabilities(drawn))
    same = other[order[: len(drawn)]]
    return SampleQuality(
        evaluator=evaluator, fid=frechet_distance(drawn, held), fid_real=frechet_distance(same, held),
        inception_score=score, inception_score_std=std,
        inception_score_real=inception_score(probe.probabilities(held))[0], label=label, samples=len(drawn),
        real_images=len(held),
    )  # fmt: skip


def inception_score(probabilities: FloatArray, splits: int = 10) -> tuple[float, float]:
    """Return exp E KL(p(y|x) ‖ p(y)) as mean and standard deviation over parts, from probabilities (N, C).

    Source: T. Salimans et al., *Improved techniques for training GANs*, NeurIPS 2016, section 4.
    """
    found = []
    for part in np.array_split(probabilities.astype(np.float64), min(splits, len(probabilities))):
        mean = part.mean(0)
        logs = np.log(np.maximum(part, 1e-16)) - np.log(np.maximum(mean, 1e-16))
        found.append(np.exp((part * logs).sum(1).mean()))
    return float(np.mean(found)), float(np.std(found))
