"""Designs that are drawn: random, Latin hypercube, Sobol, and a regular fraction of a factorial.

Each axis of a design is a dimension of the unit cube. A list of levels cuts it into equal parts; a range of numbers
without a step is taken as it is, rounded to `DECIMALS`. The points are those of `scipy.stats.qmc`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes.design import MOST_EXPANDED, Explicit, Factorial, ends, expanded
from torchmultiverse.scenes.factors import FactorTable, Value

Method = Literal["random", "latin_hypercube", "sobol"]
DECIMALS = 3
_TRIES = 100


def sample_design(
    method: Method,
    count: int,
    factors: Mapping[str, Any],
    *,
    linked: Sequence[Sequence[Mapping[str, Any]]],
    table: FactorTable,
    seed: int,
) -> Explicit:
    """Return so many scenes, all different.

    Args:
        method: ``random`` draws each axis independently; ``latin_hypercube`` gives each level of each axis the same
            number of scenes (± 1); ``sobol`` fills the space evenly (best with a power of two).
        count: how many scenes.
        factors: factor → levels, or a range ``{"from": …, "to": …}`` of any number in it.
        linked: axes of factors that change together.
        table: the factors that are known.
        seed: of the draw.

    Raises:
        SpecError: bad levels, or more pictures than there are different scenes.
    """
    spans = {
        table[name].wire: ends(table[name], levels, f"design.factors.{name}")
        for name, levels in factors.items()
        if isinstance(levels, Mapping) and not {"step", "count"} & set(levels)
    }
    # What stands for a range while axes are checked: one level, its beginning.
    listed = {name: [spans[w][0]] if (w := table[name].wire) in spans else levels for name, levels in factors.items()}
    frame = Factorial.of(listed, linked, table, "design.factors")
    if not spans and count > frame.count:
        raise SpecError(f"design.pictures = {count:,}: there are only {frame.count:,} different scenes")
    if count > MOST_EXPANDED:
        raise SpecError(f"design.pictures = {count:,}: at most {MOST_EXPANDED:,}")
    if method == "random" and not spans:
        # Without repetition, and in the order of the factorial, so that worlds stay together.
        rng = np.random.default_rng(seed)
        picked = rng.choice(frame.count, count, replace=False) if frame.count < 2**62 else None
        if picked is not None:
            return Explicit.of_rows([frame.values(int(i)) for i in np.sort(picked)], table)
    for attempt in range(_TRIES):
        points = _points(method, count, len(frame.axes), np.random.default_rng([seed, attempt]))
        design = _scenes(points, frame, spans)
        if len(set(design.identities())) == count:
            return design
    raise SpecError(
        f"design.pictures = {count:,}: {method} over {frame.count:,} scenes repeats some however it is drawn; "
        "ask for fewer, or use kind 'random'"
    )


def _points(method: Method, n: int, dimensions: int, rng: np.random.Generator) -> NDArray[np.float64]:
    if method == "random":
        return rng.random((n, dimensions))
    from scipy.stats import qmc  # half a second to import, which few specs need

    if method == "latin_hypercube":
        return np.asarray(qmc.LatinHypercube(dimensions, seed=rng).random(n))
    # Whole powers of two are drawn and the first taken: that is how a Sobol sequence is continued.
    power = max(0, math.ceil(math.log2(n)))
    return np.asarray(qmc.Sobol(dimensions, seed=rng).random_base2(power)[:n])


def _scenes(points: NDArray[np.float64], frame: Factorial, spans: Mapping[str, tuple[float, float]]) -> Explicit:
    rows: list[dict[str, Value]] = [{} for _ in points]
    for axis, column in zip(frame.axes, points.T, strict=True):
        wire = next(iter(axis[0]))
        if wire in spans:
            low, high = spans[wire]
            factor = frame.table[wire]
            for row, u in zip(rows, column.tolist(), strict=True):
                row[wire] = factor.canonical(round(low + u * (high - low), DECIMALS))
        else:
            for row, place in zip(rows, (column * len(axis)).astype(int).tolist(), strict=True):
                row |= axis[min(place, len(axis) - 1)]
    return Explicit.of_rows(rows, frame.table)


def fraction(design: Factorial, one_in: int, seed: int) -> Explicit:
    """Return a regular fraction of a factorial: the scenes whose places on all axes add up to the same, modulo n.

    Every level of an axis has the same number of scenes where some other axis has a multiple of n levels, and so has
    every combination of levels of all axes but one such axis: main effects and interactions are confounded only with
    those of all axes together (Box & Hunter 1961, the defining relation of a 1/n fraction).

    Raises:
        SpecError: ``one_in`` leaves nothing, or the design is too large.

    >>> whole = Factorial.of({"World_Name": ["Desert", "Snow"], "Camera_Yaw": [0, 90, 180, 270]})
    >>> fraction(whole, 2, seed=0).level_counts()
    {'World_Name': {'Desert': 2, 'Snow': 2}, 'Camera_Yaw': {0: 1, 90: 1, 180: 1, 270: 1}}
    """
    if not 1 <= one_in <= design.count:
        raise SpecError(f"design.one_in = {one_in}: from 1 to {design.count}, the number of scenes")
    whole = expanded(design)
    places = np.unravel_index(np.arange(design.count), [len(axis) for axis in design.axes])
    total = np.sum([np.asarray(place) for place in places], axis=0)
    rest = seed % min(one_in, int(total.max()) + 1)  # one that there is
    return whole.take(np.flatnonzero(total % one_in == rest))
