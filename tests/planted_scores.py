"""Representations with planted discriminative features, for tests of the Q-Score and of what is made of it."""

from __future__ import annotations

import numpy as np

CLASSES, OWN, RARE = 20, 6, 60


def sparse_world(seed: int, common: int = 12, images: int = 4000, size: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """Return features (N, 512) and classes (N,): own features of a class by the quality of the picture, others by what
    it lacks, ``common`` ones that all pictures have, 60 that few have, and noise."""
    rng = np.random.default_rng(seed)
    rows = np.where(rng.random((images, size)) < 0.3, np.abs(rng.normal(0, 0.05, (images, size))), 0)
    classes, quality = rng.integers(0, CLASSES, images), rng.beta(2, 1.2, images)
    other, every = rng.integers(0, CLASSES, images), np.arange(images)
    for k in range(OWN):
        rows[every, OWN * classes + k] += quality * rng.gamma(4, 0.25, images)
        rows[every, OWN * other + k] += 0.9 * (1 - quality) * rng.gamma(4, 0.25, images)
    first = CLASSES * OWN
    rows[:, first : first + common] += rng.gamma(6, 0.15, (images, common))
    for k in range(RARE):
        rows[rng.choice(images, 4, replace=False), first + common + k] += 2
    return rows, classes
