"""One adapter per model family; preprocessing is declared and travels with the model."""

from __future__ import annotations

from torchmultiverse.models.base import Classifier, ImageEncoder, ImageTextModel, Model, ModelInfo, Scorer
from torchmultiverse.models.baseline import HistogramBaseline
from torchmultiverse.models.callables import as_model
from torchmultiverse.models.preprocess import Prepared, Preprocess
from torchmultiverse.models.registry import FAMILIES, known_models, load_model, model_strings, register
from torchmultiverse.models.train import train

__all__ = [
    "FAMILIES",
    "Classifier",
    "HistogramBaseline",
    "ImageEncoder",
    "ImageTextModel",
    "Model",
    "ModelInfo",
    "Prepared",
    "Preprocess",
    "Scorer",
    "as_model",
    "known_models",
    "load_model",
    "model_strings",
    "register",
    "train",
]
