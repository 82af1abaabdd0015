"""What a dataset gives away without being looked at: can a factor be told from file size, brightness, row or shard?

A model that learns such a trace scores well for the wrong reason. Each feature is cut into bins of equally many rows;
on one half of the rows each bin learns its most frequent level, on the other half it is asked, and the other way
round. How well that goes by chance is seen by doing the same with shuffled levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.store.reader import StoredDataset

MOST_ROWS = 20_000
"""Rows that are looked at; of more, as many are drawn."""
_BINS = 64
_SHUFFLES = 19
MARGIN = 0.05
"""How much above the best of the shuffled ones an accuracy must be to count."""


@dataclass(frozen=True)
class Leak:
    """One factor and one feature.

    Attributes:
        factor: column.
        feature: ``file size``, ``luminance``, ``row`` or ``shard``.
        accuracy: of the probe, 0 to 1.
        chance: the best of the probe with shuffled levels.
    """

    factor: str
    feature: str
    accuracy: float
    chance: float

    @property
    def counts(self) -> bool:
        """Whether it is more than chance."""
        return self.accuracy > self.chance + MARGIN

    def __str__(self) -> str:
        return f"{self.factor} from {self.feature}: {self.accuracy:.0%} right, by chance {self.chance:.0%}"


def leakage(dataset: StoredDataset, seed: int = 0) -> list[Leak]:
    """Return what the probes find, for every factor that varies and every feature, the worst first.

    That a factor can be told from ``row`` or ``shard`` is so in every dataset in the order of its design: shuffle
    before you cut it. Brightness differs with worlds and lights by their nature; file size should tell little that
    brightness and content do not.

    Raises:
        DatasetError: a picture cannot be read.
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(dataset))
    if len(rows) > MOST_ROWS:
        rows = np.sort(rng.choice(rows, MOST_ROWS, replace=False))
    features: dict[str, NDArray[np.float64]] = {
        "row": rows.astype(float),
        "shard": np.array([dataset.shard_of(int(row)) for row in rows], float),
        "file size": np.array([len(dataset.image_bytes(int(row))) for row in rows], float),
    }
    if "quality_luminance" in dataset.columns:
        features["luminance"] = dataset.table(["quality_luminance"])["quality_luminance"].to_numpy()[rows].astype(float)
    crossing = dataset.crossing
    half = rng.permutation(len(rows)) % 2 == 0
    found = []
    for column, factor in enumerate(crossing.names):
        levels = crossing.codes[rows, column].astype(np.int64)
        count = len(crossing.levels[factor])
        if len(np.unique(levels)) < 2 or len(rows) < 4 * count:
            continue
        shuffled = [rng.permutation(levels) for _ in range(_SHUFFLES)]
        for feature, values in features.items():
            if np.ptp(values) == 0:
                continue
            bins = _binned(values)
            chance = max(_probe(bins, other, half, count) for other in shuffled)
            found.append(Leak(factor, feature, _probe(bins, levels, half, count), chance))
    return sorted(found, key=lambda leak: leak.chance - leak.accuracy)


def as_dict(leaks: list[Leak]) -> list[dict[str, Any]]:
    """Return JSON values."""
    return [
        {"factor": x.factor, "feature": x.feature, "accuracy": round(x.accuracy, 4), "chance": round(x.chance, 4),
         "counts": x.counts}
        for x in leaks
    ]  # fmt: skip


def _binned(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return each value's bin; equal values are in one."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, min(_BINS, max(2, len(values) // 8)) + 1)[1:-1]))
    return np.asarray(np.searchsorted(edges, values, side="right"), np.int64)


def _probe(bins: NDArray[np.int64], levels: NDArray[np.int64], half: NDArray[np.bool_], count: int) -> float:
    right = 0
    for train in (half, ~half):
        table = np.bincount(bins[train] * count + levels[train], minlength=(int(bins.max()) + 1) * count)
        table = table.reshape(-1, count)
        answer = table.argmax(1)
        answer[table.sum(1) == 0] = np.bincount(levels[train], minlength=count).argmax()
        right += int((answer[bins[~train]] == levels[~train]).sum())
    return right / len(levels)
