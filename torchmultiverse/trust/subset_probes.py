"""How well parts of the features do for a probe: those of the band, rare ones, generic ones, random ones, and PCA.

Source: N. Kalibhat et al., *Measuring self-supervised representation quality for downstream classification using
discriminative features*, AAAI 2024: figures 3.2, A.5 and A.7 of the thesis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import probe_of
from torchmultiverse.models import FloatArray
from torchmultiverse.progress import progress_bar
from torchmultiverse.stats import Intervals
from torchmultiverse.study import Cell, LineChart, Point, Section, Series
from torchmultiverse.trust.scored import Scored

SHARES = (0.8, 0.6, 0.45, 0.3, 0.2, 0.1)
"""Of the features that are kept. 45 % is what the band of the source keeps."""
RANDOM_DRAWS = 4
BAND_PART, RANDOM, RARE, GENERIC, PCA = "the band", "random", "rarest", "most generic", "principal components"


@dataclass(frozen=True)
class SubsetAccuracy:
    """What a probe of a part of the features got right.

    Attributes:
        part: which: ``all`` or one of the names of this module.
        share, count: of the features.
        right: share of draws in which each test picture was right, (T,).
    """

    part: str
    share: float
    count: int
    right: NDArray[np.float64]


def band_places(order: NDArray[np.int64], share: float, band: tuple[float, float]) -> NDArray[np.int64]:
    """Return the features that are left where both ends are cut in the proportion in which a band cuts them.

    Args:
        order: features, the rarest first, (r,).
        share: kept, 0 to 1.
        band: ends in percent, 0 to 100; one that cuts nothing cuts equally.

    >>> band_places(np.arange(100), 0.45, (50, 95))[[0, -1]].tolist()
    [50, 94]
    """
    kept = max(1, round(share * len(order)))
    low, high = band[0], 100 - band[1]
    below = low / (low + high) if low + high else 0.5
    first = round((len(order) - kept) * below)
    return order[first : first + kept]


def subset_accuracies(
    found: Scored, band: tuple[float, float], rng: np.random.Generator, quiet: bool = True,
    shares: Sequence[float] = SHARES,
) -> list[SubsetAccuracy]:  # fmt: skip
    """Train probes of parts of the features, each as the probe of all is trained.

    Features are ordered by their activity in the training pictures; equal ones, such as those that are never active,
    in an order that is drawn.

    Args:
        found: vectors, parts and answers.
        band: ends of the band in percent.
        rng: draws.
        quiet: show no bar.
        shares: of the features.
    """
    size = found.vectors.shape[1]
    ties = np.asarray(rng.random(size), np.float64)
    order = np.lexsort((ties, found.activity)).astype(np.int64)
    plan = list(_plan(order, band, rng, shares))
    results: dict[tuple[str, float], SubsetAccuracy] = {}
    with progress_bar(quiet) as progress:
        bar = progress.add_task("probes of parts", total=len(plan) + len(shares))
        for part, share, columns in plan:
            right = _right(found, found.vectors[:, columns], rng)
            held = results.get((part, share))
            right = right / RANDOM_DRAWS if part == RANDOM else right
            right = right if held is None else held.right + right
            results[part, share] = SubsetAccuracy(part, share, len(columns), right)
            progress.advance(bar)
        scores = _principal(found)
        for share in shares:
            count = min(max(1, round(share * size)), scores.shape[1])
            if count < round(share * size):  # all that there are, once, at their own share
                share = count / size
            if (PCA, share) not in results:
                results[PCA, share] = SubsetAccuracy(PCA, share, count, _right(found, scores[:, :count], rng))
            progress.advance(bar)
    return list(results.values())


def _plan(
    order: NDArray[np.int64], band: tuple[float, float], rng: np.random.Generator, shares: Sequence[float]
) -> Iterator[tuple[str, float, NDArray[np.int64]]]:
    yield "all", 1.0, order
    for share in shares:
        kept = max(1, round(share * len(order)))
        yield BAND_PART, share, band_places(order, share, band)
        yield RARE, share, order[:kept]
        yield GENERIC, share, order[-kept:]
        for _ in range(RANDOM_DRAWS):
            yield RANDOM, share, rng.choice(order, kept, replace=False)


def _right(found: Scored, features: FloatArray, rng: np.random.Generator) -> NDArray[np.float64]:
    said = probe_of("logistic")(found.probe_data(np.ascontiguousarray(features)), rng)
    return np.asarray(said.prediction == found.target.codes[found.parts.test], np.float64)


def _principal(found: Scored) -> FloatArray:
    """Return the principal components of all pictures, found on the training pictures, the largest first."""
    train = found.vectors[found.parts.train]
    mean = train.mean(0)
    # Of the covariance, r × r: pictures may be many.
    centred = (train - mean).astype(np.float32)
    values, axes = np.linalg.eigh(centred.T @ centred)
    kept = axes[:, np.argsort(values)[::-1][: min(len(train), train.shape[1])]]
    out: FloatArray = ((found.vectors - mean) @ kept).astype(np.float32)
    return out


def subset_section(results: Sequence[SubsetAccuracy], found: Scored) -> Section:
    """Return the section: accuracy against the share of features kept, with intervals over groups."""
    intervals = Intervals()
    groups = np.unique(found.groups, return_inverse=True)[1]
    series: dict[str, list[Point]] = {}
    lines: list[dict[str, Cell]] = []
    for one in results:
        mean = float(one.right.mean())
        of = intervals.of_mean(one.right, groups)
        lines.append(
            {
                "features": one.part, "kept %": one.share, "accuracy %": mean, "low %": of.low, "high %": of.high,
                "number": one.count, "n": len(one.right), "groups": len(np.unique(groups)),
            }
        )  # fmt: skip
        if one.part != "all":
            series.setdefault(one.part, []).append(Point(x=100 * one.share, y=mean, low=of.low, high=of.high))
    whole = next(one for one in results if one.part == "all")
    for points in series.values():
        points.append(Point(x=100.0, y=float(whole.right.mean())))
    chance = float(np.bincount(found.target.codes[found.parts.test]).max() / len(found.rows))
    size, training = found.vectors.shape[1], len(found.parts.train)
    few = f"There are no more than {training:,} principal components, one for each training picture. " if (
        training < size
    ) else ""  # fmt: skip
    return Section(
        title="Which features are needed",
        about="A probe of a part of the features: the band, cut at both ends in its own proportion; the rarest, which "
        "lack the generic ones; the most generic, which lack the rare ones; as many drawn at random (the mean of four "
        "draws); and as many principal components. Where the band stays up while it shrinks, the rest can be dropped. "
        f"{few}The dashed line is the commonest answer, {100 * chance:.1f} %.",
        charts=(
            LineChart(
                title="Accuracy by share of features", x="features kept, %", y="accuracy", chance=chance,
                series=tuple(
                    Series(name=name, points=tuple(sorted(points, key=lambda point: float(point.x))),
                           dashed=name == RANDOM)
                    for name, points in series.items()
                ),
            ),
        ),
        table=tuple(lines),
    )  # fmt: skip
