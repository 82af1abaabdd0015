"""Trains a classifier from scratch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.models import IMAGENET_MEAN, IMAGENET_STD, FloatArray
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.train.loop import Loop, LoopSettings, Objective, one_cycle
from torchmultiverse.train.settings import ClassifierTraining

if TYPE_CHECKING:
    import torch


def normalised(pixels: NDArray[np.uint8], where: torch.device) -> torch.Tensor:
    """Return images (N, H, W, 3) on a device, less the mean of ImageNet and over its std, float32 (N, 3, H, W)."""
    import torch

    mean, std = (torch.tensor(v, device=where).float().view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (torch.from_numpy(pixels).to(where).permute(0, 3, 1, 2).float() / 255 - mean) / std


class ClassifierObjective(Objective):
    """Cross-entropy of labels on images that are shifted by up to an eighth and mirrored at random.

    Args:
        module: images to logits.
        pixels: uint8 (N, H, W, 3).
        labels: 0 to K − 1, (N,).
        rows: of images to train on.
        training: batch size.
        rng: of order and changes.
        name: for the bar.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.int64],
        rows: NDArray[np.int64],
        training: ClassifierTraining,
        rng: np.random.Generator,
        name: str,
    ) -> None:
        self.name, self.rng = name, rng
        self._module, self._pixels, self._labels, self._rows, self._rng = module, pixels, labels, rows, rng
        self._size = min(training.batch_size, len(rows))
        self.steps = max(1, len(rows) // self._size)

    @override
    def modules(self) -> dict[str, torch.nn.Module]:
        return {"module": self._module}

    def pixels(self, index: NDArray[np.int64]) -> torch.Tensor:
        """Return normalised images on the device, float32 (N, 3, H, W)."""
        return normalised(self._pixels[index], self.device)

    @override
    def batches(self, epoch: int) -> Iterator[Any]:
        import torch

        order = self._rng.permutation(self._rows)
        for step in range(self.steps):
            index = order[step * self._size : (step + 1) * self._size]
            batch = tools.shifted(pixels := self.pixels(index), max(1, pixels.shape[-1] // 8), self._rng)
            mirrored = torch.from_numpy(self._rng.random(len(batch)) < 0.5).to(self.device)
            batch = torch.where(mirrored[:, None, None, None], batch.flip(-1), batch)
            yield batch, torch.from_numpy(self._labels[index]).to(self.device)

    @override
    def loss(self, batch: Any) -> torch.Tensor:
        import torch

        images, labels = batch
        return torch.nn.functional.cross_entropy(self._module(images).float(), labels)


def train_classifier(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    train: NDArray[np.bool_],
    training: ClassifierTraining,
    rng: np.random.Generator,
    *,
    name: str = "training",
    checkpoint: Path | None = None,
    quiet: bool = False,
) -> NDArray[np.int64]:
    """Train on some images and return the predictions for all, (N,).

    Images are shifted by up to an eighth and mirrored at random; an animal is the same seen from the other side.

    Args:
        pixels: uint8 (N, H, W, 3).
        labels: 0 to K − 1, (N,).
        train: which to train on, (N,).
        training: how; its seed is not asked, all draws are those of ``rng``.
        rng: of first weights, order and changes.
        name: for the bar.
        checkpoint: file from which an interrupted run goes on; none is kept without.
        quiet: show no bar.

    Raises:
        MissingExtra: timm is not installed.
        ModelError: the loss is no longer finite, or the checkpoint cannot be continued.
    """
    module, loop = _trained(pixels, labels, np.flatnonzero(train), training, rng, name, checkpoint, quiet)
    found = np.asarray(TrainedClassifier(module).outputs(pixels)[1].argmax(1), np.int64)
    loop.finish()
    return found


class TrainedClassifier:
    """A classifier of timm that was trained here: the features before its last layer, and its logits.

    Args:
        module: from normalised images to logits.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self.module: Any = module

    def outputs(self, pixels: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        """Return features (N, D) and logits (N, C) of images, uint8 (N, H, W, 3)."""
        import torch

        features, logits = [], []
        where = next(self.module.parameters()).device
        with torch.inference_mode():
            for start in range(0, len(pixels), 256):
                maps = self.module.forward_features(normalised(pixels[start : start + 256], where))
                features.append(tools.out_of(self.module.forward_head(maps, pre_logits=True)))
                logits.append(tools.out_of(self.module.forward_head(maps)))
        return np.concatenate(features), np.concatenate(logits)


def fit_classifier(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    training: ClassifierTraining,
    rng: np.random.Generator,
    *,
    name: str = "training",
    checkpoint: Path | None = None,
    quiet: bool = False,
) -> TrainedClassifier:
    """Train on all images given, as `train_classifier` does, and return the classifier.

    Args:
        pixels: uint8 (N, H, W, 3).
        labels: 0 to K − 1, (N,).
        training, rng, name, checkpoint, quiet: see `train_classifier`.

    Raises:
        MissingExtra: timm is not installed.
        ModelError: the loss is no longer finite, or the checkpoint cannot be continued.
    """
    module, loop = _trained(pixels, labels, np.arange(len(pixels)), training, rng, name, checkpoint, quiet)
    loop.finish()
    return TrainedClassifier(module)


def _trained(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    rows: NDArray[np.int64],
    training: ClassifierTraining,
    rng: np.random.Generator,
    name: str,
    checkpoint: Path | None,
    quiet: bool,
) -> tuple[torch.nn.Module, Loop]:
    """Return a module that was trained on some rows, in evaluation mode, and its loop, which is not finished."""
    timm = tools.need("timm", "training a classifier")
    import torch

    first = int(rng.integers(2**31))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(first)
        module = timm.create_model(training.model, pretrained=False, num_classes=int(labels.max()) + 1)
    objective = ClassifierObjective(module, pixels, labels, rows, training, rng, name)
    settings = LoopSettings(
        epochs=training.epochs, steps=training.epochs * objective.steps, learning_rate=training.learning_rate,
        weight_decay=training.weight_decay, schedule=one_cycle(training.learning_rate, extra=1), seed=first,
    )  # fmt: skip
    identity = {**training.as_dict(), "seed": first, "images": len(rows)}
    return module, Loop(objective, settings, checkpoint=checkpoint, identity=identity, quiet=quiet).run()
