"""Trains a decoder from vectors to images."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.errors import DatasetError
from torchmultiverse.files import write_atomic
from torchmultiverse.models import (
    DECODER_CONFIG,
    DECODER_STATE,
    DECODER_WEIGHTS,
    DIFFUSION_STEPS,
    Decoder,
    DecoderConfig,
    FloatArray,
    decoder_loss,
    torch_tools,
)
from torchmultiverse.train.loop import Loop, LoopSettings, Objective, checkpoint_of
from torchmultiverse.train.settings import DiffusionTraining

if TYPE_CHECKING:
    import torch

_MODULE = "decoder"


class DecoderObjective(Objective):
    """The loss of a diffusion model on images with the vectors of a representation; each step has a seed of its own.

    Args:
        decoder: to be trained.
        pixels: uint8 (N, S, S, 3).
        vectors: of the same images, (N, D).
        training: steps, batch size and seed.
        mirrored: vectors of the mirrored images, (N, D): each image is then mirrored half of the time.
    """

    name = "decoder"

    def __init__(
        self,
        decoder: Decoder,
        pixels: NDArray[np.uint8],
        vectors: FloatArray,
        training: DiffusionTraining,
        mirrored: FloatArray | None = None,
    ) -> None:
        import torch

        self.decoder, self._training = decoder, training
        self._images = torch.from_numpy(pixels)
        self._vectors = torch.from_numpy(np.ascontiguousarray(vectors, np.float32))
        self._mirrored = None if mirrored is None else torch.from_numpy(np.ascontiguousarray(mirrored, np.float32))

    @override
    def modules(self) -> dict[str, torch.nn.Module]:
        return {_MODULE: self.decoder.module}

    @override
    def batches(self, epoch: int) -> Iterator[Any]:
        import torch

        training, count = self._training, len(self._images)
        for step in range(epoch * training.every, min(training.steps, (epoch + 1) * training.every)):
            rng = np.random.default_rng((training.seed, step))
            noise_rng = torch.Generator().manual_seed(int(rng.integers(2**62)))
            rows = torch.from_numpy(rng.integers(0, count, min(training.batch_size, count)))
            batch = self._images[rows].permute(0, 3, 1, 2).float() / 127.5 - 1
            condition = self._vectors[rows]
            if self._mirrored is not None:
                turned = torch.from_numpy(rng.random(len(rows)) < 0.5)
                batch = torch.where(turned[:, None, None, None], batch.flip(-1), batch)
                condition = torch.where(turned[:, None], self._mirrored[rows], condition)
            times = torch.from_numpy(rng.integers(0, DIFFUSION_STEPS, len(rows)))
            yield batch, condition, times, torch.randn(batch.shape, generator=noise_rng)

    @override
    def loss(self, batch: Any) -> torch.Tensor:
        return decoder_loss(self.decoder, *(one.to(self.device) for one in batch))

    @override
    def upgraded(self, checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
        every = self._training.every
        if not {"weights", "optimizer", "average", "steps"} <= checkpoint.keys() or checkpoint["steps"] % every:
            return None
        return checkpoint_of(
            modules={_MODULE: checkpoint["weights"]}, optimizer=checkpoint["optimizer"],
            average={_MODULE: checkpoint["average"]}, epoch=checkpoint["steps"] // every, step=checkpoint["steps"],
        )  # fmt: skip


def train_decoder(
    pixels: NDArray[np.uint8],
    vectors: FloatArray,
    config: DecoderConfig,
    out: str | Path,
    training: DiffusionTraining | None = None,
    *,
    mirrored: FloatArray | None = None,
    facts: Mapping[str, Any] | None = None,
    after: Callable[[int, Decoder], None] | None = None,
    quiet: bool = False,
) -> Path:
    """Train a decoder from vectors to images; a run that was interrupted is continued by the same call.

    Args:
        pixels: uint8 (N, S, S, 3).
        vectors: of the same images, (N, D).
        config: of the decoder.
        out: folder to write.
        training: how.
        mirrored: vectors of the mirrored images, (N, D): each image is then mirrored half of the time.
        facts: written into ``config.json``.
        after: called with the steps done and the decoder (of averaged weights) whenever the run is saved.
        quiet: show no bar.

    Returns:
        The folder.

    Raises:
        DatasetError: images and vectors that do not fit, or another decoder in the folder.
        ModelError: the loss is no longer finite.
        MissingExtra: diffusers is not installed.
    """
    import torch

    training = training or DiffusionTraining()
    if pixels.shape[1:] != (config.size, config.size, 3) or vectors.shape != (len(pixels), config.features):
        raise DatasetError(
            f"images {pixels.shape} and vectors {vectors.shape} do not fit a decoder of {config.size} pixels and "
            f"{config.features} features"
        )
    folder = Path(out)
    kept = {name: value for name, value in training.as_dict().items() if name != "every"}
    told = {**kept, "pictures": len(pixels), **(facts or {})}
    known = {**asdict(config), **told}
    written = folder / DECODER_CONFIG
    # Settings that were not there when it was written have the values that hold without them.
    before = {field.name: field.default for field in fields(DecoderConfig) if field.default is not MISSING}
    if written.exists() and json.loads(json.dumps(before)) | json.loads(written.read_text()) != json.loads(
        json.dumps(known)
    ):
        raise DatasetError(f"{folder} holds a decoder that was trained otherwise; choose another folder")
    if (folder / DECODER_WEIGHTS).exists():
        return folder
    std = vectors.std(0)
    std = np.where(std > 1e-6 * max(float(std.max()), 1e-30), std, 1).astype(np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        decoder = Decoder(config, vectors.mean(0), std)
    decoder.to(torch_tools.device())
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / DECODER_CONFIG, (json.dumps(known, indent=1) + "\n").encode())

    def saved(loop: Loop) -> None:
        if after is not None and 0 < loop.step < training.steps:
            with loop.averaged():
                after(loop.step, decoder)

    settings = LoopSettings(
        epochs=math.ceil(training.steps / training.every), steps=training.steps, learning_rate=training.learning_rate,
        ema=training.ema, seed=training.seed,
    )  # fmt: skip
    loop = Loop(
        DecoderObjective(decoder, pixels, vectors, training, mirrored), settings,
        checkpoint=folder / DECODER_STATE, identity={**told, "every": training.every}, after=saved, quiet=quiet,
    ).run()  # fmt: skip
    decoder.save(folder, loop.average(_MODULE), **told)
    loop.finish()
    return folder
