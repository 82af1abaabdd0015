"""Which image the second view of each image is of: another of its level, or one of its nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import ModelError
from torchmultiverse.features import features_of
from torchmultiverse.models import FloatArray, load_model, unit
from torchmultiverse.store import ImageSubset

NEAR = "near:"
"""What the setting ``pairs`` starts with where a model's features pair images."""
_ROWS = 1024  # of similarities at a time


def nearest_images(vectors: FloatArray, count: int) -> NDArray[np.int64]:
    """Return the other images that are nearest to each by the cosine of their features, (N, count), the nearest first.

    Of equally near ones the first is taken.

    Args:
        vectors: features, (N, D); their mean is taken away, since features that are never negative are all alike.
        count: 1 to N − 1.

    Raises:
        ModelError: fewer other images than are asked for.

    Source of such pairs: F. Bordes et al., *Guillotine regularization*, TMLR 2023, figure 6.

    >>> nearest_images(np.array([[0.0, 1], [0.1, 1], [1, 0], [1, 0.1]], np.float32), 1).ravel().tolist()
    [1, 0, 3, 2]
    """
    if not 1 <= count < len(vectors):
        raise ModelError(f"neighbours are 1 to {len(vectors) - 1} of {len(vectors)} images, not {count}")
    points = unit((vectors - vectors.mean(0, dtype=np.float64)).astype(np.float32))
    found = np.empty((len(points), count), np.int64)
    for start in range(0, len(points), _ROWS):
        cosine = points[start : start + _ROWS] @ points.T
        here = np.arange(len(cosine))
        cosine[here, start + here] = -np.inf  # no image is its own neighbour
        found[start : start + _ROWS] = np.argsort(-cosine, axis=1, kind="stable")[:, :count]
    return found


def check_pairs(pairs: str, trained: bool = False) -> None:
    """Check that ``near:MODEL`` names a model that can be loaded; other pairs are columns.

    Args:
        pairs: the setting.
        trained: whether the encoder is there already, and its pairs are no longer needed.

    Raises:
        ModelError: no model is named, or there is none of that name.
    """
    if pairs.startswith(NEAR) and not trained:
        load_model(_model_of(pairs))


def _model_of(pairs: str) -> str:
    model = pairs.removeprefix(NEAR)
    if not model:
        raise ModelError("pairs=near: names no model; one is near:timm:resnet18 or near:ssl:FOLDER")
    return model


def neighbours_by(pairs: str, images: Any, rows: NDArray[np.int64], count: int, quiet: bool) -> NDArray[np.int64]:
    """Return the nearest neighbours of some images by the model that ``near:MODEL`` names, as places in ``rows``.

    Raises:
        ModelError: no model is named, or there is none of that name.
    """
    from torchmultiverse.resources import cache_folder

    features = features_of(_model_of(pairs), ImageSubset(images, rows), cache=cache_folder("embeddings"), quiet=quiet)
    return nearest_images(list(features.layers.values())[-1], count)
