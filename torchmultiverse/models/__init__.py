"""One adapter per model family; preprocessing is declared and travels with the model."""

from __future__ import annotations

from torchmultiverse.models.base import Classifier, ImageTextModel, Model, ModelInfo, Scorer
from torchmultiverse.models.baseline import HistogramBaseline
from torchmultiverse.models.callables import as_model
from torchmultiverse.models.preprocess import Preprocess
from torchmultiverse.models.registry import FAMILIES, load_model, register
from torchmultiverse.models.train import train

__all__ = [
    "FAMILIES",
    "Classifier",
    "HistogramBaseline",
    "ImageTextModel",
    "Model",
    "ModelInfo",
    "Preprocess",
    "Scorer",
    "as_model",
    "load_model",
    "register",
    "train",
]
