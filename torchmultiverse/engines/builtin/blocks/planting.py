"""Plants where a world's file says: at spots, in rows of a field, or scattered over a part of the land."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from torchmultiverse.engines.builtin.blocks import Params, block
from torchmultiverse.engines.builtin.blocks.flora import SPECIES
from torchmultiverse.engines.builtin.blocks.plants import GROWN
from torchmultiverse.engines.builtin.mesh import Material, scatter
from torchmultiverse.engines.builtin.world import Builder
from torchmultiverse.errors import nearest

RGB = tuple[float, float, float]
Array = NDArray[np.float64]
_MOST = 20_000
"""Plants of one block."""
_GROWERS = {**GROWN, **SPECIES}


class Plot(Params):
    """A field of rows along y: ``x`` and ``y`` from, to, metres; ``step`` between rows and within them.

    With ``count`` instead of rows that many at random. ``clear`` keeps that far from the world's centre.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    step: tuple[float, float] = (1.0, 1.0)
    count: int = Field(default=0, ge=0, le=_MOST)
    jitter: float = 0.06
    clear: float = 7.5

    @model_validator(mode="after")
    def _few(self) -> Plot:
        number = (self.x[1] - self.x[0]) * (self.y[1] - self.y[0]) / max(self.step[0] * self.step[1], 1e-9)
        if min(self.step) <= 0 or (not self.count and number > _MOST):
            raise ValueError(f"a field of {number:,.0f} plants; at most {_MOST:,}")
        return self

    def spots(self, rng: np.random.Generator) -> Array:
        """Return points (N, 2)."""
        (a, b), (c, d) = self.x, self.y
        if self.count:
            found = np.stack([rng.uniform(a, b, self.count), rng.uniform(c, d, self.count)], -1)
        else:
            grid = np.meshgrid(np.arange(a, b + 1e-6, self.step[0]), np.arange(c, d + 1e-6, self.step[1]))
            found = np.stack([axis.ravel() for axis in grid], -1)
            found = found + rng.uniform(-self.jitter, self.jitter, found.shape)
        return np.asarray(found[np.hypot(found[:, 0], found[:, 1]) > self.clear])


class Planting(Params):
    """Plants of one ``species``: of ``flora.SPECIES``, or a tree of the block ``trees``.

    Attributes:
        height: range in metres. ``wide``: factor on its width.
        color, accent, bark: sRGB.
        spots: (x, y) of each, beside those of ``plots``.
        turned: whether each is turned at random; rows of vines are not.
        models: how many are grown, of which the others are copies.
    """

    species: str
    height: tuple[float, float]
    wide: float = 1.0
    color: RGB
    accent: RGB
    bark: RGB = (0.33, 0.25, 0.18)
    spots: list[tuple[float, float]] = Field(default=[], max_length=_MOST)
    plots: list[Plot] = Field(default=[], max_length=64)
    turned: bool = True
    models: int = Field(default=4, ge=1, le=12)

    @model_validator(mode="after")
    def _known(self) -> Planting:
        if self.species not in _GROWERS:
            raise ValueError(f"no species '{self.species}'.{nearest(self.species, _GROWERS)}")
        return self


@block("planting", Planting)
def planting(builder: Builder, p: Planting) -> None:
    """Grow a few models and set them where they belong."""
    rng = builder.rng
    at = np.concatenate([np.array(p.spots, float).reshape(-1, 2), *(plot.spots(rng) for plot in p.plots)])
    spots = np.concatenate([at, np.asarray(builder.ground(at[:, 0], at[:, 1]))[:, None] - 0.02], 1)
    which = rng.integers(0, p.models, len(spots))
    foliage = Material("foliage", roughness=0.8, specular=0.0)
    for k in range(p.models):
        mine = spots[which == k]
        model = _GROWERS[p.species](rng, p.color, p.accent, p.bark)
        if not len(mine):
            continue
        tall = (
            rng.uniform(*p.height, len(mine))[:, None] * [p.wide, p.wide, 1.0] * rng.uniform(0.92, 1.08, (len(mine), 3))
        )
        yaws = rng.uniform(0, 2 * np.pi, len(mine)) * p.turned
        builder.add(scatter(model, mine, tall, yaws, rng.uniform(0.82, 1.12, (len(mine), 1)) * np.ones(3)), foliage)
