"""Arrays that models give, whatever library made them."""

from __future__ import annotations

from typing import Any

import numpy as np

from torchmultiverse.models.preprocess import FloatArray


def array(value: Any) -> FloatArray:
    """Return an array or tensor as a float32 array on the CPU.

    Raises:
        TypeError: complex numbers.
    """
    if hasattr(value, "detach"):  # a tensor, without importing PyTorch
        value = value.detach()
        value = (value if value.is_complex() else value.float()).cpu().numpy()
    if np.iscomplexobj(value):  # NumPy drops the imaginary part with no more than a warning
        raise TypeError("complex numbers have no order")
    return np.asarray(value, dtype=np.float32)


def unit(vectors: FloatArray) -> FloatArray:
    """Return vectors of unit length along the last axis; zero stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: FloatArray = vectors / np.maximum(length, np.float32(1e-12))
    return result
