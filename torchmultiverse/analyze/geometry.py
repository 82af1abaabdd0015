"""The shape of a representation: how many dimensions it uses, how factors lie in it, what it is invariant to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.probes import ProbeData, r_squared, ridge
from torchmultiverse.analyze.splits import factor_target
from torchmultiverse.documents import Record
from torchmultiverse.features import Features, factor_names
from torchmultiverse.models import FloatArray, unit
from torchmultiverse.progress import progress_bar
from torchmultiverse.stats import expanded_tail


def spectrum(vectors: FloatArray) -> NDArray[np.float64]:
    """Return the singular values of features as they are, (min(N, D),), the largest first."""
    vectors = vectors.astype(np.float64)
    gram = vectors.T @ vectors if vectors.shape[0] >= vectors.shape[1] else vectors @ vectors.T
    return np.asarray(np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[::-1], 0)))


def rank_me(vectors: FloatArray, epsilon: float = 1e-7) -> float:
    """Return exp of the entropy of the normalised singular values, 1 to min(N, D).

    Source: Q. Garrido et al., *RankMe: assessing the downstream performance of pretrained self-supervised
    representations by their rank*, ICML 2023, equations 1 and 2; features are not centred.
    """
    values = spectrum(vectors)
    fraction = values / max(float(values.sum()), 1e-30) + epsilon
    return float(np.exp(-(fraction * np.log(fraction)).sum()))


def effective_rank(vectors: FloatArray) -> float:
    """Return the participation ratio of the variances, (Σλ)² / Σλ², 1 to D: dimensions that are in use."""
    variances = spectrum(vectors - vectors.mean(0, dtype=np.float64)) ** 2
    return float(variances.sum() ** 2 / max(float((variances**2).sum()), 1e-30))


def linear_cka(one: FloatArray, two: FloatArray) -> float:
    """Return the linear centred kernel alignment of two sets of features of the same pictures, 0 to 1.

    Source: S. Kornblith et al., *Similarity of neural network representations revisited*, ICML 2019, equation 4.
    """
    one = (one - one.mean(0, dtype=np.float64)).astype(np.float64)
    two = (two - two.mean(0, dtype=np.float64)).astype(np.float64)
    if len(one) < max(one.shape[1], two.shape[1]):  # by the kernels of pictures, where they are fewer than features
        left, right = one @ one.T, two @ two.T
        cross, norms = float((left * right).sum()), np.linalg.norm(left) * np.linalg.norm(right)
    else:
        cross = float(np.linalg.norm(two.T @ one) ** 2)
        norms = np.linalg.norm(one.T @ one) * np.linalg.norm(two.T @ two)
    return float(cross / norms) if norms > 0 else 0.0


def debiased_cka(one: FloatArray, two: FloatArray) -> float:
    """Return the linear CKA of unbiased estimates: about 0 for unrelated features, however few images there are.

    `linear_cka` of N images with many more features than images nears 1 whatever they are. This one may be a little
    below 0. Fewer than 4 images say nothing: 0.

    Source: L. Song et al., *Feature selection via dependence maximization*, JMLR 2012, equation 5 (the unbiased HSIC);
    T. Nguyen et al., *Do wide and deep networks learn the same things?*, ICLR 2021, section 3.
    """
    if len(one) < 4:
        return 0.0
    left, right = _Kernel(one), _Kernel(two)
    norm = left.hsic(left) * right.hsic(right)
    return float(left.hsic(right) / np.sqrt(norm)) if norm > 0 else 0.0


class _Kernel:
    """A linear kernel without its diagonal, by its features: sums over it need no matrix of all pairs of images."""

    def __init__(self, vectors: FloatArray) -> None:
        self.x = (vectors - vectors.mean(0, dtype=np.float64)).astype(np.float64)
        self.diagonal = (self.x**2).sum(1)
        self.rows = self.x @ self.x.sum(0) - self.diagonal

    def hsic(self, other: _Kernel) -> float:
        """Return the unbiased estimate of the dependence of two kernels."""
        n = len(self.x)
        if n < max(self.x.shape[1], other.x.shape[1]):
            trace = float(((self.x @ self.x.T) * (other.x @ other.x.T)).sum())
        else:
            trace = float(np.linalg.norm(other.x.T @ self.x) ** 2)
        trace -= float(self.diagonal @ other.diagonal)
        sums = float(self.rows.sum() * other.rows.sum()) / ((n - 1) * (n - 2))
        return (trace + sums - 2 / (n - 2) * float(self.rows @ other.rows)) / (n * (n - 3))


def cka_matrix(
    layers: Mapping[str, FloatArray], others: Mapping[str, FloatArray] | None = None, debiased: bool = False
) -> FloatArray:
    """Return the linear CKA of every layer with every layer of the same or of another model, (L, M)."""
    held = dict(layers if others is None else others)
    alike = debiased_cka if debiased else linear_cka
    return np.array([[alike(one, two) for two in held.values()] for one in layers.values()], np.float32)


def alignment(vectors: FloatArray, pairs: NDArray[np.int64], power: float = 2.0) -> float:
    """Return the mean distance of pairs on the unit sphere to a power, 0 (the same) to 4: lower is more aligned.

    Source: T. Wang and P. Isola, *Understanding contrastive representation learning through alignment and uniformity
    on the hypersphere*, ICML 2020, equation 6.
    """
    points = unit(vectors)
    distance = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    return float((distance**power).mean())


def uniformity(vectors: FloatArray, rng: np.random.Generator, t: float = 2.0, most: int = 4000) -> float:
    """Return log of the mean of exp(−t·distance²) over all pairs on the unit sphere: lower is more uniform.

    Args:
        vectors: (N, D).
        rng: draws the pictures where there are more than ``most``.
        t: as in the source.
        most: pictures whose pairs are all taken.

    Source: as `alignment`, equation 7.
    """
    points = unit(vectors)
    if len(points) > most:
        points = points[rng.permutation(len(points))[:most]]
    cosine = (points @ points.T)[np.triu_indices(len(points), 1)]
    return float(np.log(np.exp(-t * (2 - 2 * cosine)).mean()))


class FactorSensitivity(Record):
    """How much a layer moves when one factor changes and nothing else does.

    Attributes:
        factor: that changes.
        sensitivity: mean squared distance of minimal pairs over that of random pairs: 0 is invariant, 1 says that the
            change is as large as that to any other picture.
        low, high: its interval, from resampling pairs by their first picture.
        pairs: minimal pairs.
    """

    factor: str
    sensitivity: float
    low: float
    high: float
    pairs: int


def factor_sensitivities(
    vectors: FloatArray,
    pairs: Mapping[str, NDArray[np.int64]],
    rng: np.random.Generator,
    resamples: int = 500,
    most: int = 20_000,
) -> list[FactorSensitivity]:
    """Return how a layer responds to each factor.

    Args:
        vectors: (N, D); standardised here, so that no single large feature decides.
        pairs: minimal pairs of each factor, (P, 2).
        rng: draws pairs and resamples.
        resamples: for the intervals.
        most: pairs of a factor that are used.
    """
    std = vectors.std(0)
    scaled = (vectors - vectors.mean(0)) / np.where(std > 1e-6 * max(float(std.max()), 1e-30), std, np.inf)
    # The mean squared distance of two random pictures is twice the sum of the variances.
    random = 2 * float((scaled**2).sum(1).mean()) * len(scaled) / max(len(scaled) - 1, 1)
    found = []
    for factor, mine in pairs.items():
        if not len(mine):
            continue
        chosen = mine if len(mine) <= most else mine[rng.permutation(len(mine))[:most]]
        squared = ((scaled[chosen[:, 0]] - scaled[chosen[:, 1]]) ** 2).sum(1) / max(random, 1e-30)
        names, groups = np.unique(chosen[:, 0], return_inverse=True)
        sums, sizes = np.bincount(groups, squared), np.bincount(groups)
        weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
        drawn = (weights @ sums) / (weights @ sizes)
        tail = expanded_tail(len(names)) if len(names) > 1 else 0.0
        low, high = np.quantile(drawn, [tail, 1 - tail])
        sensitivity = float(squared.mean())
        found.append(
            FactorSensitivity(factor=factor, sensitivity=sensitivity, low=float(low), high=float(high), pairs=len(mine))
        )
    return found


class Disentanglement(Record):
    """How factors are divided among features.

    Attributes:
        disentanglement: whether a feature serves one factor (1) or all alike (0), features weighed by importance.
        completeness: by factor, whether it is read from one feature (1) or from all alike (0).
        informativeness: by factor, how well the probe that the importances come from does.
    """

    disentanglement: float
    completeness: Mapping[str, float]
    informativeness: Mapping[str, float]


def dci(importance: Mapping[str, FloatArray], informativeness: Mapping[str, float]) -> Disentanglement:
    """Return disentanglement, completeness and informativeness from the importances of linear probes.

    Args:
        importance: by factor, (D,), at least 0: how much each standardised feature counts.
        informativeness: by factor, the score of its probe.

    Source: C. Eastwood and C. Williams, *A framework for the quantitative evaluation of disentangled
    representations*, ICLR 2018, section 2 (with the weights of penalised linear probes).
    """
    names = list(importance)
    table = np.stack([np.abs(importance[name]).astype(np.float64) for name in names], 1)  # (D, F)
    # Factors are weighed alike: each one's importances add up to 1.
    table = table / np.maximum(table.sum(0), 1e-30)
    per_feature = 1 - _entropy(table, 1) / np.log(max(len(names), 2))
    weight = table.sum(1) / max(float(table.sum()), 1e-30)
    complete = 1 - _entropy(table.T, 1) / np.log(max(len(table), 2))
    return Disentanglement(
        disentanglement=float((per_feature * weight).sum()),
        completeness={name: float(value) for name, value in zip(names, complete, strict=True)},
        informativeness=dict(informativeness),
    )


def mutual_information_gap(
    vectors: FloatArray, codes: Mapping[str, NDArray[np.int64]], bins: int = 20
) -> dict[str, float]:
    """Return, by factor, how much more the best single feature says of it than the next, over the factor's entropy.

    Args:
        vectors: (N, D); each feature is cut into equally wide bins.
        codes: levels of each factor, (N,).
        bins: of a feature.

    Source: T. Chen et al., *Isolating sources of disentanglement in VAEs*, NeurIPS 2018, equation 6; 20 bins as in
    F. Locatello et al., ICML 2019.
    """
    low, high = vectors.min(0), vectors.max(0)
    binned = np.floor((vectors - low) / np.maximum(high - low, 1e-30) * bins).clip(0, bins - 1).astype(np.int64)
    gaps = {}
    for name, levels in codes.items():
        count = int(levels.max()) + 1
        entropy = float(_entropy(np.bincount(levels, minlength=count)[None].astype(np.float64), 1)[0])
        information = np.empty(binned.shape[1])
        for feature in range(binned.shape[1]):
            both = np.bincount(binned[:, feature] * count + levels, minlength=bins * count).reshape(bins, count)
            parts = (both.sum(1), both.sum(0), both.reshape(-1))
            bin_, level, joint = (float(_entropy(part[None].astype(np.float64), 1)[0]) for part in parts)
            information[feature] = bin_ + level - joint
        best = np.sort(information)[::-1]
        gaps[name] = float((best[0] - (best[1] if len(best) > 1 else 0)) / max(entropy, 1e-30))
    return gaps


class LayerGeometry(Record):
    """The geometry of one layer.

    Attributes:
        layer, depth, size: name, place from 0, and number of features.
        rank_me, effective_rank: dimensions that are in use, by entropy and by participation.
        uniformity: lower is more uniform on the sphere.
        sensitivities: to each factor, from minimal pairs; empty where there are none.
        disentanglement: of features, with completeness and informativeness by factor.
        information_gap: mutual-information gap by factor.
        cka: with every layer, itself included, by name.
        debiased_cka: the same without the bias that few images give it; empty in older records.
    """

    layer: str
    depth: int
    size: int
    rank_me: float
    effective_rank: float
    uniformity: float
    sensitivities: tuple[FactorSensitivity, ...]
    disentanglement: Disentanglement
    information_gap: Mapping[str, float]
    cka: Mapping[str, float]
    debiased_cka: Mapping[str, float] = {}


def layer_geometry(
    features: Features,
    factors: Sequence[str] | None = None,
    seed: int = 0,
    most: int = 4000,
    quiet: bool = False,
) -> list[LayerGeometry]:
    """Return the geometry of every layer.

    Args:
        features: of a model.
        factors: columns; default: all that vary.
        seed: of draws.
        most: pictures that kernels, entropies and probes are computed from; minimal pairs come from all.
        quiet: show no bar.

    Raises:
        DatasetError: no such column.
    """
    names = factor_names(features, factors)
    pairs = minimal_pairs(features.columns, names)
    count = len(features)
    rng = np.random.default_rng(seed)
    some = np.sort(rng.permutation(count)[:most])
    factor_targets = [factor_target(features.columns, name) for name in names]
    targets = {one.factor: one.codes[some] for one in factor_targets if one.numbers is None}
    held = {layer: features.layers[layer][some] for layer in features.layers}
    cka, debiased = cka_matrix(held), cka_matrix(held, debiased=True)
    found = []
    with progress_bar(quiet) as progress:
        bar = progress.add_task("geometry", total=len(held), unit="layers")
        for depth, (layer, vectors) in enumerate(held.items()):
            progress.update(bar, description=layer)
            read: dict[str, tuple[Any, Any]] = {n: _importance(vectors, codes, rng) for n, codes in targets.items()}
            weights, scores = ({name: one[k] for name, one in read.items()} for k in (0, 1))
            found.append(
                LayerGeometry(
                    layer=layer, depth=depth, size=vectors.shape[1], rank_me=rank_me(vectors),
                    effective_rank=effective_rank(vectors), uniformity=uniformity(vectors, np.random.default_rng(seed)),
                    sensitivities=tuple(
                        factor_sensitivities(features.layers[layer], pairs, np.random.default_rng((seed, depth)))
                    ),
                    disentanglement=dci(weights, scores), information_gap=mutual_information_gap(vectors, targets),
                    cka={other: float(value) for other, value in zip(held, cka[depth], strict=True)},
                    debiased_cka={other: float(value) for other, value in zip(held, debiased[depth], strict=True)},
                )
            )  # fmt: skip
            progress.advance(bar)
    return found


def _importance(vectors: FloatArray, codes: NDArray[np.int64], rng: np.random.Generator) -> tuple[FloatArray, float]:
    """Return how much each feature counts for a factor, (D,), and R² of the levels on pictures that were held back."""
    order = rng.permutation(len(vectors))
    train, validation, test = np.split(order, [int(0.6 * len(order)), int(0.8 * len(order))])
    targets = np.eye(int(codes.max()) + 1)[codes]
    parts = (vectors[train], vectors[validation], vectors[test], targets[train], targets[validation])
    predicted = ridge(ProbeData(*parts, 0), rng)
    assert predicted.importance is not None
    return predicted.importance.sum(1), r_squared(predicted.prediction, targets[test])


def minimal_pairs(columns: Mapping[str, NDArray[np.generic]], factors: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Return, by factor, the pairs of pictures that differ in it and in no other of these factors, (P, 2)."""
    import pyarrow as pa

    from torchmultiverse.store import Crossing

    crossing = Crossing(pa.table({name: pa.array(columns[name].tolist()) for name in factors}))
    return {name: crossing.pairs(name, "features") for name in factors}


def _entropy(table: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Return the entropy along an axis, in nats, of numbers that are made to add up to 1."""
    fraction = table / np.maximum(table.sum(axis, keepdims=True), 1e-30)
    logs = np.log(fraction, out=np.zeros_like(fraction), where=fraction > 0)
    return np.asarray(-(fraction * logs).sum(axis))
