"""Search for a failure: scenes near the best so far, and some far from it, in the factors that are free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchmultiverse.errors import SpecError
from torchmultiverse.explore.controls import Control
from torchmultiverse.scenes import BLANK, Scene, Value

_FAR = 0.4
"""Share of proposals that change every free factor."""
_NEAR = 0.15
"""Standard deviation of a small step, in ranges of a factor."""


@dataclass(frozen=True)
class Limits:
    """What is still easy for a person.

    Attributes:
        visible: least share of the first character's outline that is seen.
        area: least share of the picture that shows it.
    """

    visible: float = 0.6
    area: float = 0.04


class Searcher:
    """Proposes scenes, and keeps the one whose margin is the lowest.

    A (1+1) evolution strategy with random restarts: it needs no gradient, and any engine and model will do.

    Args:
        start: where it begins.
        free: the controls of the factors that may be changed.
        limits: what is still easy for a person.
        rng: by default a function of the start and of what is free.
    """

    def __init__(
        self, start: Scene, free: Sequence[Control], limits: Limits, rng: np.random.Generator | None = None
    ) -> None:
        self._free = [one for one in free if one.kind in ("levels", "range") and not _names(one)]
        if not self._free:
            raise SpecError("there is nothing to search: choose factors other than the names of characters")
        self._limits = limits
        self._rng = rng or np.random.default_rng([int(start.scene_id[:8], 16), len(self._free)])
        self._start = start
        self._lowest = np.inf
        self.best: Scene | None = None
        """The easy scene with the lowest margin so far."""
        self.refusals: list[str] = []

    def propose(self) -> Scene:
        """Return a scene to try; the first is the start."""
        if self.best is None and not self.refusals and self._lowest == np.inf:
            self._lowest = np.finfo(float).max
            return self._start
        base = self.best or self._start
        far = self.best is None or self._rng.random() < _FAR
        chosen = self._free if far else [self._free[k] for k in self._rng.permutation(len(self._free))[:2]]
        return base.changed(**{one.factor: self._drawn(one, base[one.factor], far) for one in chosen})

    def judge(self, scene: Scene, margin: float | None, visible: float | None, area: float | None) -> bool:
        """Say how a scene came out; returns whether it is easy for a person."""
        easy = (visible is None or visible >= self._limits.visible) and (area is None or area >= self._limits.area)
        if easy and margin is not None and margin < self._lowest:
            self._lowest, self.best = margin, scene
        return easy

    def refused(self, reason: str) -> None:
        """Say that a scene could not be rendered."""
        self.refusals.append(reason)

    def _drawn(self, control: Control, value: Value, far: bool) -> Any:
        if control.kind == "levels":
            return str(self._rng.choice([level.value for level in control.levels]))
        assert control.low is not None
        assert control.high is not None
        low, high = float(control.low), float(control.high)
        if control.logarithmic:
            low, high = np.log(low), np.log(high)
        if far or isinstance(value, str):
            drawn = self._rng.uniform(low, high)
        else:
            at = np.log(max(float(value), 1e-9)) if control.logarithmic else float(value)
            drawn = float(np.clip(at + self._rng.normal(0, _NEAR * (high - low)), low, high))
        number = float(np.exp(drawn)) if control.logarithmic else float(drawn)
        if control.whole:
            return float(np.clip(round(number), control.low, control.high))
        step = control.step or 1e-3
        rounded = round(number / step) * step if not control.logarithmic else float(f"{number:.3g}")
        return float(np.clip(round(rounded, 6), control.low, control.high))


def _names(control: Control) -> bool:
    """Whether a control says which characters there are: a failure on another animal is another question."""
    return any(level.value == BLANK for level in control.levels)
