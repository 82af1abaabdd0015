"""Pictures of what was inferred: drawn from the public pictures that are nearest to a background."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.decoders import load_conditioned_decoder
from torchmultiverse.analyze.neighbours import Backend, nearest_rows
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.probes import ProbeData, logistic
from torchmultiverse.analyze.rcdm import sample
from torchmultiverse.documents import Record
from torchmultiverse.errors import ModelError
from torchmultiverse.models import FloatArray
from torchmultiverse.stats import paired_interval

NEAR, EACH = 5, 4
"""Of the source: neighbours whose vectors are averaged, and pictures drawn of each mean."""


class Reconstruction(Record):
    """How often the object of a picture is seen in what is drawn from its background.

    Attributes:
        target_accuracy, reference_accuracy: fraction of drawn pictures in which a linear probe of each model's own
            features, trained on public pictures, sees the label; the latter is not a number without a second decoder.
        difference, low, high: of the two, pictures being resampled; against chance without a second decoder.
        chance: of the label.
        images, samples_per_image: backgrounds that were asked, and pictures drawn of each.
    """

    target_accuracy: float
    reference_accuracy: float
    difference: float
    low: float
    high: float
    chance: float
    images: int
    samples_per_image: int


def reconstruct(
    decoders: Sequence[str | Path | None], models: Sequence[Any], images: Any,
    found: Sequence[tuple[FloatArray, FloatArray]], rows: NDArray[np.int64], public: NDArray[np.int64],
    codes: NDArray[np.int64], backend: Backend = "auto", run: RunOptions | None = None,
) -> tuple[Reconstruction, list[NDArray[np.uint8]]]:  # fmt: skip
    """Draw pictures from the mean vector of the public pictures that are nearest to a background.

    Source: C. Meehan et al., NeurIPS 2023, section 3.3: five neighbours by the projector, averaged at the trunk, which
    the decoder was trained on.

    Args:
        decoders: folders, one for each model; none for a model that has none.
        models: that saw the pictures, and that did not.
        images: the dataset.
        found: of each model, features of the backgrounds (N, D) and of public pictures (M, D), in which neighbours are
            sought.
        rows: pictures that the backgrounds are of, (N,).
        public: rows of public pictures, (M,).
        codes: labels of all pictures.
        backend: of neighbours; see `nearest_rows`.
        run: seed of the noise, and so on.

    Returns:
        How often the object is seen, and the pictures of each decoder, (N, 4, S, S, 3).

    Raises:
        ModelError: a decoder of another model, or one that learnt pictures that are asked for.
        MissingExtra: diffusers is not installed.
    """
    run = run or RunOptions()
    drawn, correct = [], []
    for folder, model, (asked, index) in zip(decoders, models, found, strict=False):
        if folder is None:
            continue
        one = load_conditioned_decoder(folder, images, run)
        if one.model.info.weights_sha256 != model.info.weights_sha256:
            raise ModelError(f"{folder} draws from '{one.model.info.name}', not from '{model.info.name}'")
        if len(known := np.intersect1d(one.training_rows, rows)):
            raise ModelError(f"{folder} learnt {len(known)} of the pictures that are asked for; train it with --splits")
        near = nearest_rows(asked, index, min(NEAR, len(public)), backend).rows
        x = one.vectors
        made = sample(one.decoder, x[public[near]].mean(1), EACH, seed=run.seed, quiet=run.quiet)
        rng = np.random.default_rng(run.seed)
        validation, train = np.split(rng.permutation(public), [max(1, len(public) // 5)])
        seen = one.encode_pixels(made.reshape(-1, *made.shape[2:]))
        data = ProbeData(x[train], x[validation], seen, codes[train], codes[validation], int(codes.max()) + 1)
        correct.append((logistic(data, rng).prediction.reshape(len(rows), EACH) == codes[rows][:, None]).mean(1))
        drawn.append(made)
    if not drawn:
        raise ModelError("no decoder to draw with")
    chance = (np.bincount(codes[public], minlength=int(codes.max()) + 1) / len(public))[codes[rows]]
    other = correct[1] if len(correct) > 1 else chance
    apart = paired_interval(correct[0] - other)
    reference = float(correct[1].mean()) if len(correct) > 1 else float("nan")
    found_in = Reconstruction(
        target_accuracy=float(correct[0].mean()), reference_accuracy=reference, difference=apart.mean, low=apart.low,
        high=apart.high, chance=float(chance.mean()), images=len(rows), samples_per_image=EACH,
    )  # fmt: skip
    return found_in, drawn
