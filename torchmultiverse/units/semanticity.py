"""How alike the inputs are that make a unit active: its monosemanticity.

Source: M. Pach et al., *Sparse autoencoders learn monosemantic features in vision-language models*, 2025 (arXiv
2504.02821), section 3.2: the mean similarity of all pairs of inputs, weighted by the product of their activations,
which are brought to 0 to 1 first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def monosemanticity(activations: NDArray[Any], embeddings: NDArray[Any]) -> NDArray[np.float64]:
    """Return the score of each unit: 1 where all inputs that make it active are the same.

    The sum over pairs is that of a square, so that no pair is looked at.

    Args:
        activations: (N, U).
        embeddings: of the same inputs, by which they are compared, (N, E); brought to length 1.

    Returns:
        (U,); NaN for a unit that is never, or always equally, active.

    Example:
        >>> active = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
        >>> monosemanticity(active, np.array([[1.0, 0], [1, 0], [0, 1]])).tolist()
        [1.0, 0.0]
    """
    rows = np.asarray(activations, np.float64)
    low = rows.min(0)
    spread = rows.max(0) - low
    weights = np.divide(rows - low, spread, out=np.zeros_like(rows), where=spread > 0)
    unit = np.asarray(embeddings, np.float64)
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-30)
    squares = (weights**2).sum(0)
    alike = ((weights.T @ unit) ** 2).sum(1) - (weights**2).T @ (unit**2).sum(1)
    pairs = weights.sum(0) ** 2 - squares
    return np.asarray(np.divide(alike, pairs, out=np.full(len(pairs), np.nan), where=pairs > 1e-12))


def factor_embeddings(codes: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float64]:
    """Return embeddings whose cosine is the share of factors that two pictures have in common, (N, values).

    Args:
        codes: of the values of each factor, (N,) each.

    Example:
        >>> found = factor_embeddings({"a": np.array([0, 0]), "b": np.array([0, 1])})
        >>> round(float(found[0] @ found[1]), 6)
        0.5
    """
    parts = [np.eye(int(one.max()) + 1)[one] for one in codes.values()]
    return np.asarray(np.concatenate(parts, 1) / np.sqrt(len(parts)))
