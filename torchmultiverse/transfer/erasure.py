"""A representation without what a linear probe could tell of a domain, changed as little as can be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_SMALL = 1e-6  # of the largest variance: directions below it are not there


def erase(vectors: Floats, domain: NDArray[np.int64], train: NDArray[np.int64]) -> Floats:
    """Return vectors whose means are the same in every domain, over the training rows; the least change that does so.

    Directions in which the means of domains differ are taken out after whitening. No linear probe that is trained on
    these rows can tell the domain better than chance; one that is not linear may.

    Args:
        vectors: (N, D).
        domain: codes, (N,).
        train: rows that it is learned from.

    Source: N. Belrose et al., *LEACE: perfect linear concept erasure in closed form*, NeurIPS 2023, theorem 4.3.
    """
    some = vectors[train].astype(np.float64)
    middle = some.mean(0)
    some -= middle
    codes = np.unique(domain[train], return_inverse=True)[1]
    which = np.eye(int(codes.max()) + 1)[codes]
    shared = some.T @ (which - which.mean(0)) / len(some)  # (D, M)
    values, axes = np.linalg.eigh(some.T @ some / len(some))
    kept = values > _SMALL * max(float(values[-1]), 1e-30)
    axes, roots = axes[:, kept], np.sqrt(values[kept])
    white = (axes.T @ shared) / roots[:, None]
    left, sizes, _ = np.linalg.svd(white, full_matrices=False)
    left = left[:, sizes > 1e-9 * max(float(sizes[0]), 1e-30)]
    if not left.shape[1]:
        return vectors
    away = (vectors - middle) @ (axes / roots) @ left  # what tells the domain, whitened
    return np.asarray(vectors - away @ (left.T @ (axes * roots).T), np.float32)
