"""Pictures of what was inferred: drawn from the public pictures that are nearest to a background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.neighbours import Backend, nearest_rows
from torchmultiverse.errors import ModelError
from torchmultiverse.models import FloatArray
from torchmultiverse.stats import paired_interval

NEAR, EACH = 5, 4
"""Of the source: neighbours whose vectors are averaged, and pictures drawn of each mean."""


@dataclass(frozen=True)
class Reconstruction:
    """How often the object of a picture is seen in what is drawn from its background.

    Attributes:
        target, reference: share of drawn pictures in which a linear reader of each model's own features, learnt from
            public pictures, sees the label; the reference is not a number without a second decoder.
        difference, low, high: of the two, pictures being resampled; against chance without a second decoder.
        chance: of the label.
        pictures, each: backgrounds that were asked, and pictures drawn of each.
    """

    target: float
    reference: float
    difference: float
    low: float
    high: float
    chance: float
    pictures: int
    each: int


def reconstruct(
    decoders: Sequence[str | Path | None], models: Sequence[Any], pictures: Any,
    found: Sequence[tuple[FloatArray, FloatArray]], rows: NDArray[np.int64], public: NDArray[np.int64],
    codes: NDArray[np.int64], seed: int = 0, store: Any = None, backend: Backend = "torch", quiet: bool = False,
) -> tuple[Reconstruction, list[NDArray[np.uint8]]]:  # fmt: skip
    """Draw pictures from the mean vector of the public pictures that are nearest to a background.

    Source: C. Meehan et al., NeurIPS 2023, section 3.3: five neighbours by the projector, averaged at the trunk, which
    the decoder was trained on.

    Args:
        decoders: folders, one for each model; none for a model that has none.
        models: that saw the pictures, and that did not.
        pictures: the dataset.
        found: of each model, features of the backgrounds (N, D) and of public pictures (M, D), in which neighbours are
            sought.
        rows: pictures that the backgrounds are of, (N,).
        public: rows of public pictures, (M,).
        codes: labels of all pictures.
        seed: of the noise.
        store, backend, quiet: as in `torchmultiverse.analyze.memorization.memory`.

    Returns:
        How often the object is seen, and the pictures of each decoder, (N, 4, S, S, 3).

    Raises:
        ModelError: a decoder of another model, or one that learnt pictures that are asked for.
        MissingExtra: diffusers is not installed.
    """
    from torchmultiverse.analyze.portraits import sitter
    from torchmultiverse.analyze.probes import Data, logistic
    from torchmultiverse.analyze.rcdm import sample

    drawn, right = [], []
    for folder, model, (asked, index) in zip(decoders, models, found, strict=False):
        if folder is None:
            continue
        one = sitter(folder, pictures, store, quiet)
        if one.model.info.weights_sha256 != model.info.weights_sha256:
            raise ModelError(f"{folder} draws from '{one.model.info.name}', not from '{model.info.name}'")
        if len(known := np.intersect1d(one.learnt, rows)):
            raise ModelError(f"{folder} learnt {len(known)} of the pictures that are asked for; train it with --sets")
        near = nearest_rows(asked, index, min(NEAR, len(public)), backend).rows
        x = one.vectors
        made = sample(one.decoder, x[public[near]].mean(1), EACH, seed=seed, quiet=quiet)
        rng = np.random.default_rng(seed)
        validation, train = np.split(rng.permutation(public), [max(1, len(public) // 5)])
        seen = one.look(made.reshape(-1, *made.shape[2:]))
        data = Data(x[train], x[validation], seen, codes[train], codes[validation], int(codes.max()) + 1)
        right.append((logistic(data, rng).said.reshape(len(rows), EACH) == codes[rows][:, None]).mean(1))
        drawn.append(made)
    if not drawn:
        raise ModelError("no decoder to draw with")
    share = (np.bincount(codes[public], minlength=int(codes.max()) + 1) / len(public))[codes[rows]]
    other = right[1] if len(right) > 1 else share
    apart = paired_interval(right[0] - other)
    reference = float(right[1].mean()) if len(right) > 1 else float("nan")
    counted = Reconstruction(
        float(right[0].mean()), reference, apart.mean, apart.low, apart.high, float(share.mean()), len(rows), EACH
    )
    return counted, drawn
