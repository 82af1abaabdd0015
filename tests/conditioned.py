"""An engine of test cards that takes every condition which is a number: for tests of what becomes of its levels."""

from __future__ import annotations

from torchmultiverse.engines import Catalogue, Choice
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.scenes import FACTORS


class ConditionedEngine(MarkerEngine):
    """Draws test cards of scenes with conditions."""

    def catalogue(self) -> Catalogue:
        plain = super().catalogue()
        more = {f.wire: Choice(low=f.low, high=f.high) for f in FACTORS if f.group and f.kind == "number"}
        return plain.model_copy(update={"factors": {**plain.factors, **more}})
