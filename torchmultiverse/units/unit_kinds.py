"""What is asked of a layer's units, and what units of one kind (neurons, directions, latents) are found to detect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import RunOptions, factor_target
from torchmultiverse.evaluation import plain
from torchmultiverse.features import Features, factor_names
from torchmultiverse.progress import progress_bar
from torchmultiverse.stats import auc_interval, auc_of
from torchmultiverse.train import AutoencoderTraining
from torchmultiverse.units.detection import (
    CONTROL_UNITS,
    Concepts,
    Detections,
    Expression,
    UnitDetections,
    detect,
    parts,
)
from torchmultiverse.units.semanticity import factor_embeddings, monosemanticity

_BINS = 8


@dataclass(frozen=True)
class UnitOptions:
    """What is asked of units.

    Attributes:
        layer: whose units; the last before the head by default.
        factors: columns; all that vary by default.
        pairs: also two values joined by and, or, and not.
        permutations: of the control.
        rate: false-discovery rate at which a unit counts as a detector.
        explained_area, explained_overlap: AUROC, or intersection over union, from which a unit counts as explained.
        latents: sparse latents, as a multiple of the units; 0 for none.
        autoencoder: how they are trained.
        directions: random directions to compare with; as many as units by default, 0 for none.
        limit: so many pictures at most.
        words: an image-text model, or its string, whose captions put the surest units into words; none by default.
        crops: describe the parts of pictures at which a unit is active, beside whole pictures.
        groups: standard deviations above its mean from which a unit is active; groups of units that are active together
            are told then. None by default.
        also: other models, or their strings, whose units are mapped to those of this one.
        errors: explain what a probe of the layer gets wrong.
        label: column that this probe predicts; the animal or the label by default.
        group: column whose groups are in one part of the probe's pictures only.
        scenes: for each factor of the surest units and each direction, so many scenes are rendered anew with this one
            factor changed; none by default.
        engine: that renders them, as for `torchmultiverse.open_engine`.
    """

    layer: str | None = None
    factors: Sequence[str] | None = None
    pairs: bool = True
    permutations: int = 100
    rate: float = 0.05
    explained_area: float = 0.9
    explained_overlap: float = 0.5
    latents: int = 0
    autoencoder: AutoencoderTraining = field(default_factory=AutoencoderTraining)
    directions: int | None = None
    limit: int | None = None
    words: Any = None
    crops: bool = True
    groups: float | None = None
    also: Sequence[Any] = ()
    errors: bool = False
    label: str | None = None
    group: str = "auto"
    scenes: int = 0
    engine: Any = None


def concepts_of(features: Features, factors: Sequence[str] | None = None) -> Concepts:
    """Return the values of the factors of a dataset; numbers of many levels in eight ranges of as many pictures each.

    Args:
        features: with the columns.
        factors: columns; all that vary by default.

    Raises:
        DatasetError: no such column, or none that varies.
    """
    found: dict[str, tuple[NDArray[np.int64], Sequence[str]]] = {}
    for name in factor_names(features, factors):
        target = factor_target(features.columns, name)
        if target.numbers is None:
            found[name] = target.codes, target.levels
            continue
        numbers = features.columns[name].astype(np.float64)
        known = numbers[np.isfinite(numbers)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1))) if len(known) else np.zeros(0)
        if len(edges) < 3:
            continue
        codes = np.clip(np.searchsorted(edges, numbers, "right") - 1, 0, len(edges) - 2)
        names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
        if len(known) < len(numbers):
            codes[~np.isfinite(numbers)] = len(names)
            names.append("none")
        found[name] = codes, names
    return Concepts(found)


def halves(images: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pictures that are searched, and those that what was found is tested on: the same for all kinds."""
    rows = np.random.default_rng(seed).permutation(images)
    return np.sort(rows[: (len(rows) + 1) // 2]), np.sort(rows[(len(rows) + 1) // 2 :])


@dataclass(frozen=True)
class HeldOut:
    """What a unit's best expression says of pictures that were not searched.

    Attributes:
        area: AUROC; not a number where too few have, or have not, the expression.
        low, high: its 95 % interval.
        overlap: intersection over union with as many of the most active ones.
        inside, outside: how many have the expression, and have not.
        single: AUROC of the best single value of the pictures that were searched.
    """

    area: float = math.nan
    low: float = math.nan
    high: float = math.nan
    overlap: float = math.nan
    inside: int = 0
    outside: int = 0
    single: float = math.nan


@dataclass(frozen=True)
class Kind:
    """Units of one kind and what they detect."""

    name: str
    activations: NDArray[np.float32]
    found: Detections
    held_out: Sequence[HeldOut]
    options: UnitOptions
    semanticity: NDArray[np.float64]

    @property
    def needed(self) -> int:
        """Permutations that are missing for the asked rate to be reached at all: how many are needed; 0 if none are.

        No p-value is below 1 / (1 + areas of the control), and no false-discovery rate below the least p-value.
        """
        rate, drawn = self.options.rate, min(CONTROL_UNITS, len(self.found.units))
        if not len(self.found.control) or not rate or 1 / (1 + len(self.found.control)) <= rate:
            return 0
        return math.ceil(round((1 / rate - 1) / drawn, 9))

    def detects(self, unit: UnitDetections) -> bool:
        """Tell whether a unit is a detector: at the asked rate where it was searched, and surely in the other half."""
        sure = np.isnan(unit.q) or unit.q <= self.options.rate
        return bool(unit.expressions and sure and self.held_out[unit.unit].low > 0.5)

    def explained(self, unit: UnitDetections) -> bool:
        """Tell whether its expression says enough of when it is active."""
        held_out = self.held_out[unit.unit]
        return self.detects(unit) and (
            held_out.area >= self.options.explained_area or held_out.overlap >= self.options.explained_overlap
        )

    def share(self, explained: bool = False) -> float | None:
        """Return the share of units that are detectors, or explained ones; ``None`` with too few permutations."""
        if self.needed:
            return None
        told = self.explained if explained else self.detects
        return float(np.mean([told(unit) for unit in self.found.units]))

    def areas(self) -> NDArray[np.float64]:
        """Return the AUROC of each unit's best expression in the other half; 1/2 where it cannot be told."""
        return np.asarray(np.nan_to_num(np.array([one.area for one in self.held_out]), nan=0.5))

    def surest(self) -> list[UnitDetections]:
        """Return the detectors, those with the largest area in the other half first."""
        area = self.areas()
        return sorted((unit for unit in self.found.units if self.detects(unit)), key=lambda unit: -area[unit.unit])


def asked_of(
    name: str, activations: NDArray[Any], concepts: Concepts, options: UnitOptions, run: RunOptions, stream: int
) -> Kind:
    """Return what units of one kind detect, searched on one half of the pictures and told of the other."""
    units = activations.shape[1]
    with progress_bar(run.quiet) as bar:
        total = parts(concepts, units, options.pairs, options.permutations, CONTROL_UNITS)
        task = bar.add_task(f"what {name} detect", total=total)
        rng = np.random.default_rng((run.seed, 10 + stream))
        searched, other = halves(concepts.images, run.seed)
        found = detect(
            activations[searched], concepts.some(searched), rng, options.pairs, options.permutations,
            advance=lambda count: bar.advance(task, count),
        )  # fmt: skip
    rest = concepts.some(other)
    held_out = [_confirmed(activations[other, unit.unit], unit, rest) for unit in found.units]
    alike = monosemanticity(activations, factor_embeddings(concepts.codes))
    return Kind(name, np.asarray(activations, np.float32), found, held_out, options, alike)


def _confirmed(activations: NDArray[Any], unit: UnitDetections, concepts: Concepts) -> HeldOut:
    """Return what a unit's best expression says of other pictures."""
    if not unit.expressions:
        return HeldOut()
    members = concepts.members(unit.expressions[0])
    inside, outside = int(members.sum()), int((~members).sum())
    single = math.nan if unit.single is None else _area(activations, concepts.members(unit.single))
    area = _area(activations, members)
    if math.isnan(area):
        return HeldOut(inside=inside, outside=outside, single=single)
    hits = int(members[np.argsort(-activations, kind="stable")[:inside]].sum())
    low, high = auc_interval(area, inside, outside)
    return HeldOut(area, low, high, hits / (2 * inside - hits), inside, outside, single)


def _area(activations: NDArray[Any], members: NDArray[np.bool_]) -> float:
    """Return the AUROC of pictures above the others; not a number where there are fewer than two of either."""
    if min(members.sum(), (~members).sum()) < 2:
        return math.nan
    return auc_of(activations[members].astype(np.float64), activations[~members].astype(np.float64))


def said(expression: Expression) -> str:
    """Return an expression as people say it."""
    first = f"{plain(expression.first[0])} {expression.first[1]}"
    if expression.second is None:
        return first
    return f"{first} {expression.operator} {plain(expression.second[0])} {expression.second[1]}"


def factor_names_of(expression: Expression) -> tuple[str, ...]:
    """Return the columns that an expression is of, each once.

    >>> factor_names_of(Expression(("colour", "red"), "or", ("colour", "blue")))
    ('colour',)
    """
    return tuple(dict.fromkeys([expression.first[0], *([expression.second[0]] if expression.second else [])]))


def factors_of(unit: UnitDetections) -> str:
    """Return the factors of a unit's best expression as people say them, in the order of the alphabet."""
    return " and ".join(sorted(plain(name) for name in factor_names_of(unit.expressions[0])))
