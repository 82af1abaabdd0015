"""Which scene a stream renders next: functions of what the training has seen so far.

A sampler draws scenes one by one and gives each a weight, the probability that a uniform draw would have given the
scene over the one it had, so that weighted means over a batch estimate means over the design whatever is drawn.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from typing_extensions import override

from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.scenes import Design, Factorial, Scene


class Sampler(ABC):
    """Draws scenes.

    Args:
        design: what may be drawn.
        seed: of the draws.
    """

    together = 1
    """Draws that belong together: so many in a row are shown in a row."""

    def __init__(self, design: Design, seed: int = 0) -> None:
        self.design = design
        self.rng = np.random.default_rng(seed)

    @abstractmethod
    def draw(self) -> tuple[Scene, float] | None:
        """Return a scene and its weight; ``None`` when there are no more."""

    def feedback(self, scene: Scene, loss: float) -> None:  # noqa: B027 - most samplers have no use for it
        """Learn how hard a scene was: any number that is larger where the model does worse."""

    def check(self, loss: float) -> None:  # noqa: B027 - most samplers have no use for it
        """Raise a `SpecError` where ``feedback`` cannot learn from a number: asked before any is told."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state, as JSON values."""
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.rng.bit_generator.state = dict(state["rng"])


class Uniform(Sampler):
    """Every scene of a design once an epoch, in an order drawn anew for each.

    Draws end with every epoch, once; the next draw begins the next one.

    Args:
        design: what is drawn.
        seed: of the order.
        forever: whether epochs follow each other without an end between them.
        shuffle: whether the order is drawn at all.
        part: (i, n): only every n-th scene of the order, from the i-th: for one of n readers that share the work.
    """

    def __init__(
        self,
        design: Design,
        seed: int = 0,
        forever: bool = False,
        shuffle: bool = True,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        super().__init__(design, seed)
        self._seed = seed
        self._forever = forever
        self._shuffle = shuffle
        self._epoch = 0
        self.shard(*part)

    def __len__(self) -> int:
        i, n = self._part
        return len(range(i, self.design.count, n))

    def shard(self, i: int, n: int) -> None:
        """Be the i-th of n readers, from the beginning of the epoch."""
        self._part = (i, n)
        self._place = 0
        self._order: Sequence[int] | None = None  # drawn when it is needed

    @override
    def draw(self) -> tuple[Scene, float] | None:
        if self._place >= len(self):
            self._epoch += 1
            self._place = 0
            self._order = None
            if not self._forever or not len(self):
                return None
        if self._order is None:
            self._order = self._of(self._epoch)
        index = self._order[self._place]
        self._place += 1
        return self.design[index], 1.0

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "place": self._place}

    @override
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._epoch, self._place = int(state["epoch"]), int(state["place"])
        self._order = None

    def _of(self, epoch: int) -> Sequence[int]:
        i, n = self._part
        if not self._shuffle:
            return range(i, self.design.count, n)
        order = np.random.default_rng([self._seed, epoch]).permutation(self.design.count)[i::n]
        return [int(index) for index in order]


class Curriculum(Sampler):
    """Draws with replacement among the scenes that are let in so far.

    Args:
        design: what may be drawn.
        admit: takes how many were drawn and a scene; returns whether it may be drawn by now.
        count: how many to draw; ``None`` for ever.
        seed: of the draws.
    """

    def __init__(
        self, design: Design, admit: Callable[[int, Scene], bool], count: int | None = None, seed: int = 0
    ) -> None:
        super().__init__(design, seed)
        self._admit = admit
        self._count = count
        self._drawn = 0

    @override
    def draw(self) -> tuple[Scene, float] | None:
        if self._count is not None and self._drawn >= self._count:
            return None
        for _ in range(10_000):
            scene = self.design[int(self.rng.integers(self.design.count))]
            if self._admit(self._drawn, scene):
                self._drawn += 1
                return scene, 1.0
        raise SpecError(f"curriculum: none of 10,000 scenes is let in after {self._drawn} draws")

    @override
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "drawn": self._drawn}

    @override
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._drawn = int(state["drawn"])


class Adaptive(Sampler):
    """Draws harder levels more often: of each factor, in proportion to the running mean of its levels' losses.

    Args:
        design: a full factorial.
        factors: which factors adapt; by default all that vary.
        explore: share of each level that is drawn whatever its loss; weights stay below (1 / explore) ** factors.
        memory: share of the running mean that each new loss replaces.
        count: how many to draw; ``None`` for ever.
        seed: of the draws.

    Raises:
        SpecError: the design is no factorial, or does not vary a factor.
    """

    def __init__(
        self,
        design: Design,
        factors: Sequence[str] | None = None,
        explore: float = 0.3,
        memory: float = 0.05,
        count: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(design, seed)
        if not isinstance(design, Factorial):
            raise SpecError("adaptive draws need a factorial design, whose levels can be drawn one by one")
        if not 0 < explore <= 1 or not 0 < memory <= 1:
            raise SpecError(f"explore = {explore:g}, memory = {memory:g}: shares above 0, 1 at most")
        self._axes = design.axes
        wanted = None if factors is None else {design.table[name].wire for name in factors}
        if wanted and (strange := wanted - {name for axis in self._axes for name in axis[0]}):
            raise SpecError(f"the design does not vary {min(strange)}.{nearest(min(strange), design.factors)}")
        self._adapts = [len(axis) > 1 and (wanted is None or not wanted.isdisjoint(axis[0])) for axis in self._axes]
        self._explore = explore
        self._memory = memory
        self._count = count
        self._drawn = 0
        self._loss: list[list[float | None]] = [[None] * len(axis) for axis in self._axes]

    def probabilities(self) -> list[list[float]]:
        """Return for each axis of the design how likely each of its levels is drawn."""
        return [self._probability(axis) for axis in range(len(self._axes))]

    @override
    def draw(self) -> tuple[Scene, float] | None:
        if self._count is not None and self._drawn >= self._count:
            return None
        self._drawn += 1
        values: dict[str, Any] = {}
        weight = 1.0
        for axis, rows in enumerate(self._axes):
            p = self._probability(axis)
            k = int(self.rng.choice(len(rows), p=p))
            weight *= 1 / (len(rows) * p[k])
            values |= rows[k]
        return Scene(values, self.design.table), weight

    @override
    def check(self, loss: float) -> None:
        if not math.isfinite(loss) or loss < 0:
            raise SpecError(f"a loss of {loss}: numbers from 0 are needed")

    @override
    def feedback(self, scene: Scene, loss: float) -> None:
        self.check(loss)
        for axis, rows in enumerate(self._axes):
            for k, row in enumerate(rows):
                if all(scene[name] == value for name, value in row.items()):
                    old = self._loss[axis][k]
                    self._loss[axis][k] = loss if old is None else old + self._memory * (loss - old)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "drawn": self._drawn, "loss": [list(axis) for axis in self._loss]}

    @override
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._drawn = int(state["drawn"])
        self._loss = [list(axis) for axis in state["loss"]]

    def _probability(self, axis: int) -> list[float]:
        losses, n = self._loss[axis], len(self._axes[axis])
        known = [loss for loss in losses if loss is not None]
        if not self._adapts[axis] or not known:
            return [1 / n] * n
        # What was never seen counts as the hardest of all: it is looked at soon.
        filled = [max(known) if loss is None else loss for loss in losses]
        total = sum(filled)
        if total <= 0:
            return [1 / n] * n
        return [self._explore / n + (1 - self._explore) * loss / total for loss in filled]
