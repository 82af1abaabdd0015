"""What the analyses of an evaluation found, as records that are saved and read again."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from typing_extensions import override

from torchmultiverse.documents import LIST, Document, Record
from torchmultiverse.evaluation.acquisition import AcquisitionPlan
from torchmultiverse.evaluation.attribution import GapExplanation
from torchmultiverse.evaluation.breakdown import Interaction
from torchmultiverse.evaluation.comparison import Comparison, ModelRank
from torchmultiverse.evaluation.counterfactual import FactorEffect
from torchmultiverse.evaluation.displacements import Modality, Parallelism
from torchmultiverse.evaluation.heldout import HeldOutResult
from torchmultiverse.evaluation.protocol_choices import SensitivityRange
from torchmultiverse.evaluation.reference import Correlation
from torchmultiverse.evaluation.slices import Slice


class ComparisonRecord(Document):
    """Places of models, and every two of them compared on every question."""

    file: ClassVar[str] = "comparison.json"
    ranks: tuple[ModelRank, ...]
    comparisons: tuple[Comparison, ...]

    @classmethod
    @override
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Read records from before versions, in which a difference that nothing could show was null."""
        rows = [{**row, "detectable": _number(row["detectable"])} for row in data["comparisons"]]
        return {"ranks": data["standings"], "comparisons": rows}


class SliceRecord(Document):
    """Combinations of levels where a model is significantly worse."""

    file: ClassVar[str] = "slices.json"
    slices: tuple[Slice, ...]

    @classmethod
    @override
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Read lists from before versions."""
        return {"slices": data[LIST]}


class GapRecord(Document):
    """Where the gap between two models comes from."""

    file: ClassVar[str] = "gap.json"
    version: ClassVar[int] = 2
    explanation: GapExplanation

    @classmethod
    @override
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Read records that do not say the setting, and those from before versions, with other names of fields."""
        if version:
            return data
        names = {"same_pictures": "same_images", "shares": "composition", "share": "contribution"}
        parts = [_renamed(part, names) for part in data["parts"]]
        return {"explanation": {**_renamed(data, names), "parts": parts}}


class AcquisitionRecord(Document):
    """What to render to tell two models apart.

    Attributes:
        plan: how many images of which cells.
        filters: the cells, as ``--where`` and ``only`` have them.
    """

    file: ClassVar[str] = "next_renders.json"
    version: ClassVar[int] = 2
    plan: AcquisitionPlan
    filters: tuple[str, ...]

    @classmethod
    @override
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Read records that do not say the setting, and those from before versions, with other names of fields."""
        if version:
            return data
        names = {"p_now": "power", "needed_evenly": "needed_uniform", "disagree": "disagreement", "more": "to_render"}
        plan = _renamed({key: value for key, value in data.items() if key != "filters"}, names)
        return {
            "plan": {**plan, "cells": [_renamed(cell, names) for cell in data["cells"]]},
            "filters": data["filters"],
        }


class InteractionRecord(Document):
    """Cells of two factors, the strongest interaction first."""

    file: ClassVar[str] = "interactions.json"
    interactions: tuple[Interaction, ...]

    @classmethod
    @override
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Read lists from before versions."""
        return {"interactions": data[LIST]}


class CorrelationRecord(Document):
    """How accuracy under each factor goes with accuracy on ImageNet."""

    file: ClassVar[str] = "correlation.json"
    correlations: tuple[Correlation, ...]

    @classmethod
    @override
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Read lists from before versions."""
        return {"correlations": data[LIST]}


class CounterfactualRecord(Document):
    """What changes of one factor do to answers."""

    file: ClassVar[str] = "counterfactuals.json"
    effects: tuple[FactorEffect, ...]

    @classmethod
    @override
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Read lists from before versions."""
        return {"effects": data[LIST]}


class ParallelismFacts(Record):
    """The equivariance of one modality to one factor, see `Parallelism`; what is not a number is ``None``."""

    factor: str
    modality: Modality
    value: float | None
    low: float
    high: float
    clusters: int
    contexts: int
    levels: tuple[str, ...]
    by_change: tuple[tuple[float | None, ...], ...]
    unmoved: float

    @classmethod
    def of(cls, found: Parallelism) -> ParallelismFacts:
        """Return the facts of what was measured."""
        return cls.model_validate(found.as_dict())


class EquivarianceRecord(Document):
    """Equivariance to factors, by model."""

    file: ClassVar[str] = "equivariance.json"
    models: dict[str, tuple[ParallelismFacts, ...]]

    @classmethod
    @override
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Read records from before versions, which were the models alone."""
        return {"models": {name: [_renamed(row, {"still": "unmoved"}) for row in rows] for name, rows in data.items()}}


class SensitivityRecord(Document):
    """Scores under all choices of preprocessing."""

    file: ClassVar[str] = "sensitivity.json"
    ranges: tuple[SensitivityRange, ...]

    @classmethod
    @override
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Read lists from before versions."""
        return {"ranges": data[LIST]}


class HeldOutRecord(Document):
    """Accuracy on conditions that were held out of training."""

    file: ClassVar[str] = "held_out.json"
    results: tuple[HeldOutResult, ...]

    @classmethod
    @override
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Read lists from before versions, in which a mean of nothing was null."""
        return {"results": _numbers(data[LIST])}


def _renamed(data: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in data.items()}


def _numbers(value: Any) -> Any:
    """Return plain data in which null is not a number."""
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    if isinstance(value, dict):
        return {key: _numbers(one) for key, one in value.items()}
    return math.nan if value is None else value


def _number(value: float | None) -> float:
    return math.inf if value is None else value
