"""Torch datasets over stored pictures."""

from torchmultiverse.stream.dataset import Dataset

__all__ = ["Dataset"]
