"""The Q-Score as a term of a loss: pictures whose representation says little are pulled up in fine-tuning.

Beside the loss of a training stand two terms. The scores of the pictures of a batch that lie below the batch's mean are
made larger; alone that would end with a few features active for all pictures, so that the features whose sum over the
batch lies above the mean of all are made smaller. Which features are discriminative is found once, on the pictures to
be trained on, of the encoder that is fine-tuned.

Source: N. Kalibhat et al., *Measuring self-supervised representation quality for downstream classification using
discriminative features*, AAAI 2024; eq. 3.3 of the thesis. The source says neither whether vectors have length 1 in the
second term, as they have in the score, nor whether the discriminative features are found again while it trains. Here
they are as they come: of vectors of length 1 the term is smallest where one feature is active for all pictures, which
is what it is to prevent. And they are not found again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import ModelError, SettingError
from torchmultiverse.features import active_features, discriminative_features
from torchmultiverse.train.loss_terms import EpochMeans, TrunkVectors

if TYPE_CHECKING:
    import torch

    from torchmultiverse.train.settings import EncoderTraining

COLUMNS = ("epoch", "score", "below_mean", "active", "without", "commonest")
"""Of the table of an encoder that was trained so, ``qscore.csv``: means over the pictures of the epoch of the score, of
the term of those below the mean, of the number of active features, and of having no discriminative one; and of the
largest share of a batch in which one discriminative feature is active: near 1, a few features are on for all pictures,
and more weight on the norms is needed."""


def refuse_idle_scores(training: EncoderTraining, started: bool) -> None:
    """Refuse settings of the Q-Score that would do nothing, or cannot be.

    Raises:
        SettingError: some are not at their defaults and there is no weight, or no trained encoder to begin with.
    """
    if training.qscore:
        if not started:
            raise SettingError(
                f"qscore={training.qscore:g} improves an encoder that is trained already; name it with --from"
            )
        return
    for name, field in type(training).model_fields.items():
        if name.startswith("qscore_") and getattr(training, name) != field.default:
            raise SettingError(f"{name} does nothing without qscore=WEIGHT, such as qscore=1e-4")


def discriminative_of(vectors: NDArray[np.float32], training: EncoderTraining) -> NDArray[np.bool_]:
    """Return which features of an encoder are discriminative, (r,).

    Args:
        vectors: of the pictures to be trained on, (N, r).
        training: epsilon and band.

    Raises:
        ModelError: negative features, for which there is no score, or none that is discriminative and ever active.
        DatasetError: too few features for so high an epsilon.
    """
    if float(vectors.min()) < 0:
        raise ModelError(
            f"qscore={training.qscore:g}: {training.backbone} gives negative features; the score is defined for those "
            "after a ReLU, such as of resnet10t"
        )
    activity = active_features(vectors, training.qscore_epsilon).activity()
    found = discriminative_features(activity, training.qscore_band, training.qscore_of)
    if not (found & (activity > 0)).any():
        idle = 100 * float((activity == 0).mean())
        raise ModelError(
            f"no feature of the {vectors.shape[1]} is discriminative: {idle:.0f} % are never "
            f"{training.qscore_epsilon:g} standard deviations above the mean of a picture; a lower --qscore-epsilon, "
            "or --qscore-of live, may find some"
        )
    return found


def score_terms(
    vectors: torch.Tensor, discriminative: torch.Tensor, epsilon: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the Q-Score of each row, and both terms of the regulariser.

    Which features are active, and both thresholds, are taken as they are: no gradient flows through them.

    Args:
        vectors: (N, r), not negative.
        discriminative: (r,), bool.
        epsilon: standard deviations of a row that an active feature stands above its mean.

    Returns:
        The scores, (N,), 0 without an active discriminative feature; the mean over rows of the scores that lie below
        their mean, scalar, to be made larger; and the sum of the L1 norms of columns above the mean norm, scalar, to
        be made smaller. For the scores rows are brought to length 1, for the norms they are as they come.

    >>> import torch
    >>> rows = torch.zeros(2, 40); rows[0, 3] = 2.0; rows[1, 7] = 1.0
    >>> scores, low, norms = score_terms(rows, torch.arange(40) == 3, 4.0)
    >>> [round(float(v), 3) for v in (*scores, low, norms)]
    [0.975, 0.0, 0.0, 3.0]
    """
    import torch

    unit = torch.nn.functional.normalize(vectors.float(), dim=1)
    with torch.no_grad():
        limit = unit.mean(1, keepdim=True) + epsilon * unit.std(1, correction=0, keepdim=True)
        counted = ((unit > limit) & discriminative).float()
        number = counted.sum(1)
    scores = ((unit - unit.mean(1, keepdim=True)) * counted).sum(1) / number.clamp(min=1)
    low = torch.where(scores < scores.detach().mean(), scores, torch.zeros_like(scores)).mean()
    norms = vectors.float().abs().sum(0)
    high = torch.where(norms > norms.detach().mean(), norms, torch.zeros_like(norms)).sum()
    return scores, low, high


class QScoreTerms:
    """Both terms beside any loss on the same encoder.

    The representation is what the trunk gives while the loss is computed, caught there: no loss needs to know of it.

    Args:
        module: with ``trunk``.
        discriminative: of `discriminative_of`.
        training: settings that begin with ``qscore``.
    """

    table = "qscore.csv"

    def __init__(self, module: torch.nn.Module, discriminative: NDArray[np.bool_], training: EncoderTraining) -> None:
        import torch

        self._discriminative, self._training = torch.from_numpy(discriminative), training
        self._norms = training.qscore if training.qscore_norms is None else training.qscore_norms
        self._means, self._vectors = EpochMeans(COLUMNS), TrunkVectors(module)

    def __call__(self, loss: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Return the loss, less the weighted scores below the mean, and with the weighted norms above theirs."""
        import torch

        with torch.autocast(loss.device.type, enabled=False):
            vectors = self._vectors.take()
            epsilon = self._training.qscore_epsilon
            discriminative = self._discriminative = self._discriminative.to(vectors.device)
            scores, low, high = score_terms(vectors, discriminative, epsilon)
            with torch.no_grad():
                unit = torch.nn.functional.normalize(vectors, dim=1)
                active = unit > unit.mean(1, keepdim=True) + epsilon * unit.std(1, correction=0, keepdim=True)
                found = (active & discriminative).float()
                told = (
                    scores.mean(), low, active.sum(1).float().mean(), 1 - found.amax(1).mean(),
                    found.mean(0).max(),
                )  # fmt: skip
            self._means.add([float(value.detach()) for value in told])
            return loss.float() - self._training.qscore * low + self._norms * high

    def modules(self) -> dict[str, torch.nn.Module]:
        """Return nothing: it has no weights."""
        return {}

    def follow(self, done: float) -> None:
        """Do nothing: the weights of the terms stay the same."""

    def end_epoch(self) -> str:
        """Return the table of all epochs so far, with means of the one that ends, as CSV of `COLUMNS`."""
        return self._means.end_epoch()

    def state(self) -> dict[str, Any]:
        """Return the table so far."""
        return {"qscore_history": self._means.history}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take what `state` returned."""
        self._means.load(state.get("qscore_history", ()))
