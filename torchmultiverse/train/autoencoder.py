"""Trains a sparse autoencoder on kept features: latents that may mean one thing where units mean several.

Source: TopK activation, initial weights and the loss of dead latents: L. Gao et al., *Scaling and evaluating sparse
autoencoders*, 2024 (arXiv 2406.04093), sections 2.3, A.1 and A.2; for vision models: M. Pach et al., *Sparse
autoencoders learn monosemantic features in vision-language models*, 2025 (arXiv 2504.02821).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.files import write_atomic
from torchmultiverse.json_text import read_json
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.train.loop import RUNNING, Loop, LoopSettings, Objective, cosine
from torchmultiverse.train.settings import AutoencoderTraining

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
WEIGHTS = "autoencoder.pt"
_ROWS = 4096
_LEAST_STEPS = 250
"""Between two checkpoints; few inputs are seen several times."""


class SparseAutoencoder:
    """Latents of features: the k that are most active of each input, and the directions that they stand for.

    Attributes:
        encoder: (M, D), one row of each latent.
        bias: of the encoder, (M,).
        decoder: (M, D), rows of length 1.
        centre: taken from inputs, and added to what is decoded, (D,).
        scale: inputs less the centre are divided by it, so that their mean square length is D.
        active: k.
    """

    def __init__(
        self, encoder: Floats, bias: Floats, decoder: Floats, centre: Floats, scale: float, active: int
    ) -> None:
        self.encoder, self.bias, self.decoder, self.centre = encoder, bias, decoder, centre
        self.scale, self.active = scale, active

    @property
    def latents(self) -> int:
        """How many."""
        return len(self.encoder)

    def encode(self, features: NDArray[Any]) -> Floats:
        """Return the latents of features (N, D), float32 (N, M): not negative, at most k of a row above 0."""
        found = np.zeros((len(features), self.latents), np.float32)
        for start in range(0, len(features), _ROWS):
            rows = (np.asarray(features[start : start + _ROWS], np.float32) - self.centre) / self.scale
            before = rows @ self.encoder.T + self.bias
            few = np.argpartition(before, -self.active, 1)[:, -self.active :]
            values = np.maximum(np.take_along_axis(before, few, 1), 0)
            np.put_along_axis(found[start : start + _ROWS], few, values, 1)
        return found

    def decode(self, latents: Floats) -> Floats:
        """Return the features that latents (N, M) stand for, (N, D)."""
        return np.asarray(latents @ self.decoder * self.scale + self.centre, np.float32)

    def unexplained(self, features: NDArray[Any]) -> float:
        """Return the share of the variance of features that is lost."""
        rows = np.asarray(features, np.float64)
        lost = ((rows - self.decode(self.encode(features))) ** 2).sum()
        return float(lost / max(((rows - rows.mean(0)) ** 2).sum(), 1e-30))

    def save(self, folder: str | Path) -> None:
        """Write the weights into a folder."""
        import torch

        held = {
            name: torch.from_numpy(getattr(self, name)) for name in ("encoder", "bias", "decoder", "centre")
        }  # fmt: skip
        tools.save_tensors(Path(folder) / WEIGHTS, {**held, "scale": self.scale, "active": self.active})

    @classmethod
    def load(cls, folder: str | Path) -> SparseAutoencoder:
        """Read what `save` wrote.

        Raises:
            ModelError: there is none, or its tensors do not fit each other.
        """
        path = Path(folder) / WEIGHTS
        held = tools.load_tensors(path)
        try:
            encoder, bias, decoder, centre = (
                held[name].float().numpy() for name in ("encoder", "bias", "decoder", "centre")
            )
            scale, active = float(held["scale"]), int(held["active"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{path} is no sparse autoencoder: {error}") from None
        fits = encoder.shape == decoder.shape and bias.shape == encoder.shape[:1] and centre.shape == encoder.shape[1:]
        if not fits or not 0 < active <= len(encoder):
            raise ModelError(f"{path} is no sparse autoencoder: its tensors do not fit each other")
        return cls(encoder, bias, decoder, centre, scale, active)


class AutoencoderObjective(Objective):
    """The mean square error of what k latents of each input say of it, and of what dead latents say of the rest.

    Args:
        rows: centred and scaled features, float32 (N, D).
        training: how.
    """

    name = "sparse autoencoder"

    def __init__(self, rows: Floats, training: AutoencoderTraining) -> None:
        import torch

        self._rows, self._training = rows, training
        size, latents = rows.shape[1], training.width * rows.shape[1]
        self._size = min(training.batch_size, len(rows))
        each = max(1, len(rows) // self._size)
        self._passes = math.ceil(_LEAST_STEPS / each)
        self.steps = self._passes * each
        drawn = np.random.default_rng(training.seed).normal(size=(latents, size)).astype(np.float32)
        directions = torch.nn.functional.normalize(torch.from_numpy(drawn), dim=1)
        self.module = torch.nn.Module()
        self.module.decoder = torch.nn.Parameter(directions.clone())
        self.module.encoder = torch.nn.Parameter(directions.clone())  # tied at first: fewer latents die
        self.module.bias = torch.nn.Parameter(torch.zeros(latents))
        self.module.register_buffer("unused", torch.zeros(latents))  # inputs since each was last active

    @override
    def modules(self) -> dict[str, torch.nn.Module]:
        return {"autoencoder": self.module}

    @override
    def batches(self, epoch: int) -> Iterator[Any]:
        import torch

        rng = np.random.default_rng((self._training.seed, epoch))
        for _ in range(self._passes):
            order = rng.permutation(len(self._rows))
            for start in range(0, len(order) - self._size + 1, self._size):
                yield torch.from_numpy(self._rows[order[start : start + self._size]]).to(self.device)

    @override
    def loss(self, batch: Any) -> torch.Tensor:
        import torch

        of: Any = self.module
        decoder = torch.nn.functional.normalize(of.decoder, dim=1)
        before = batch @ of.encoder.T + of.bias
        latents = _top(before, self._training.active)
        rest = batch - latents @ decoder
        loss: torch.Tensor = (rest**2).mean()
        with torch.no_grad():
            fired = (latents > 0).any(0)
            of.unused += len(batch)
            of.unused[fired] = 0
        dead = of.unused > self._training.dead_after * len(self._rows)
        if dead.any():
            few = min(self._training.active * 2, int(dead.sum()))
            said = _top(before.masked_fill(~dead, -torch.inf), few) @ decoder
            loss = loss + ((rest.detach() - said) ** 2).mean() / 32
        return loss


def _top(before: torch.Tensor, active: int) -> torch.Tensor:
    """Return the largest entries of each row that are above 0, all others being 0."""
    import torch

    values, places = before.topk(active, dim=1)
    found: torch.Tensor = torch.zeros_like(before).scatter(1, places, torch.relu(values).nan_to_num(posinf=0.0))
    return found


def train_autoencoder(
    features: NDArray[Any],
    training: AutoencoderTraining,
    checkpoint: Path | None = None,
    identity: Mapping[str, Any] | None = None,
    quiet: bool = False,
) -> SparseAutoencoder:
    """Train a sparse autoencoder on features.

    Args:
        features: (N, D).
        training: how many latents, how many of them active, and the optimizer's settings.
        checkpoint: file from which an interrupted run goes on; none is kept without.
        identity: plain data that says what the features are; a checkpoint of others is refused.
        quiet: show no bar.

    Raises:
        DatasetError: features that are all the same, or fewer than two rows.
        ModelError: more active latents than there are, or the loss is no longer finite.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(256, 8)).astype(np.float32)
        >>> found = train_autoencoder(rows, AutoencoderTraining(width=2, active=4, steps=2), quiet=True)
        >>> found.latents, int((found.encode(rows) > 0).sum(1).max())
        (16, 4)
    """
    rows = np.asarray(features, np.float32)
    if rows.ndim != 2 or len(rows) < 2:
        raise DatasetError(f"features of shape {rows.shape}; (N, D) with at least two rows is right")
    latents = training.width * rows.shape[1]
    if training.active > latents:
        raise ModelError(
            f"active={training.active}: there are {latents} latents, {training.width} times {rows.shape[1]} features"
        )
    centre = rows.mean(0)
    scale = float(np.sqrt(((rows - centre) ** 2).mean()))
    if not scale > 0:
        raise DatasetError("features that are the same for all inputs have no latents")
    objective = AutoencoderObjective((rows - centre) / scale, training)
    epochs = max(1, round(training.steps / objective.steps))
    settings = LoopSettings(
        epochs=epochs, steps=epochs * objective.steps, learning_rate=training.learning_rate,
        clip_norm=1.0, schedule=cosine(), precision="float32", seed=training.seed,
    )  # fmt: skip
    facts = {"settings": training.as_dict(), **(identity or {})}
    loop = Loop(objective, settings, checkpoint=checkpoint, identity=facts, quiet=quiet).run()
    held = {name: value.detach().float().cpu().numpy() for name, value in objective.module.state_dict().items()}
    decoder = held["decoder"] / np.maximum(np.linalg.norm(held["decoder"], axis=1, keepdims=True), 1e-30)
    loop.finish()
    return SparseAutoencoder(held["encoder"], held["bias"], decoder.astype(np.float32), centre, scale, training.active)


def kept_autoencoder(
    features: NDArray[Any],
    training: AutoencoderTraining,
    folder: str | Path,
    identity: Mapping[str, Any],
    quiet: bool = False,
) -> SparseAutoencoder:
    """Return the autoencoder that a folder keeps, or train it and keep it there.

    Args:
        features: (N, D).
        training: how.
        folder: that keeps it; an interrupted training goes on.
        identity: plain data that says what the features are; an autoencoder of others is trained anew.
        quiet: show no bar.
    """
    folder = Path(folder)
    digest = hashlib.sha256(np.ascontiguousarray(features, np.float32).data).hexdigest()
    facts = json.loads(json.dumps({**identity, "settings": training.as_dict(), "features_sha256": digest}))
    told = folder / "autoencoder.json"
    try:
        if read_json(told.read_bytes()) == facts:
            return SparseAutoencoder.load(folder)
    except (OSError, ValueError):
        pass  # there is none yet
    made = train_autoencoder(features, training, folder / RUNNING, facts, quiet)
    made.save(folder)
    write_atomic(told, json.dumps(facts, indent=1).encode())
    return made
