"""Protocols and statistics: models and datasets in, one long table out."""

from torchmultiverse.evaluate.data import PictureList, PictureSet
from torchmultiverse.evaluate.leaderboard import leaderboard
from torchmultiverse.evaluate.protocol import load_protocol, protocols
from torchmultiverse.evaluate.result import Result
from torchmultiverse.evaluate.run import evaluate

__all__ = [
    "PictureList",
    "PictureSet",
    "Result",
    "evaluate",
    "leaderboard",
    "load_protocol",
    "protocols",
]
