"""Trains a classifier from scratch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.models import IMAGENET_MEAN, IMAGENET_STD
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.progress import progress_bar


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained. The defaults are those published; `small` is one for a laptop.

    Attributes:
        model: architecture of timm.
        size: side of its input in pixels.
        epochs, batch_size, learning_rate, weight_decay: of AdamW with a cosine schedule. The published text says
            ResNet-50, 100 epochs, AdamW, batches of 2,048; the other two numbers are this project's.
    """

    model: str = "resnet50"
    size: int = 224
    epochs: int = 100
    batch_size: int = 2048
    learning_rate: float = 1e-3
    weight_decay: float = 0.05


SMALL = Recipe("resnet10t", 64, 12, 64, 2e-3)
"""Minutes on two cores for some thousand pictures."""


def train_classifier(
    pixels: NDArray[np.uint8],
    labels: NDArray[np.int64],
    train: NDArray[np.bool_],
    recipe: Recipe,
    rng: np.random.Generator,
    name: str = "training",
    quiet: bool = False,
) -> NDArray[np.int64]:
    """Train on some pictures and return what the classifier says of all, (N,).

    Pictures are shifted by up to an eighth and mirrored at random; an animal is the same seen from the other side.

    Args:
        pixels: uint8 (N, H, W, 3).
        labels: 0 to K − 1, (N,).
        train: which to train on, (N,).
        recipe: how.
        rng: of first weights, order and changes.
        name: for the bar.
        quiet: show no bar.

    Raises:
        MissingExtra: timm is not installed.
    """
    timm = tools.need("timm", "training a classifier")
    import torch

    where = tools.device()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        module = timm.create_model(recipe.model, pretrained=False, num_classes=int(labels.max()) + 1).to(where)
    rows = np.flatnonzero(train)
    size = min(recipe.batch_size, len(rows))
    steps = max(1, len(rows) // size)
    optimizer = torch.optim.AdamW(module.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps + 1, pct_start=0.1
    )
    mean, std = (torch.tensor(v, device=where).float().view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    truth = torch.from_numpy(labels).to(where)

    def batch_of(index: NDArray[np.int64]) -> Any:
        batch = torch.from_numpy(pixels[index]).to(where).permute(0, 3, 1, 2).float() / 255
        return (batch - mean) / std

    with progress_bar(quiet) as progress:
        bar = progress.add_task(name, total=recipe.epochs * steps, unit="steps")
        module.train()
        for _ in range(recipe.epochs):
            order = rng.permutation(rows)
            for step in range(steps):
                index = order[step * size : (step + 1) * size]
                batch = _vary(batch_of(index), rng)
                with torch.autocast(where.type, torch.bfloat16, enabled=where.type == "cuda"):
                    logits = module(batch)
                loss = torch.nn.functional.cross_entropy(logits.float(), truth[torch.from_numpy(index).to(where)])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                progress.update(bar, advance=1, description=f"{name}, loss {loss.item():.2f}")
    module.eval()
    said = np.empty(len(pixels), np.int64)
    with torch.inference_mode():
        for start in range(0, len(pixels), 256):
            part = np.arange(start, min(start + 256, len(pixels)))
            said[part] = module(batch_of(part)).argmax(1).cpu().numpy()
    return said


def _vary(batch: Any, rng: np.random.Generator) -> Any:
    import torch

    moved = tools.shifted(batch, max(1, batch.shape[-1] // 8), rng)
    mirrored = torch.from_numpy(rng.random(len(batch)) < 0.5).to(batch.device)
    return torch.where(mirrored[:, None, None, None], moved.flip(-1), moved)


def recipe_of(path_or_name: str | Path) -> Recipe:
    """Return ``published``, ``small``, or the recipe of a JSON file.

    Raises:
        DatasetError: no such file, or one that is no recipe.
    """
    import json

    named = {"published": Recipe(), "small": SMALL}
    if str(path_or_name) in named:
        return named[str(path_or_name)]
    try:
        return Recipe(**json.loads(Path(path_or_name).read_text("utf-8-sig")))
    except (OSError, ValueError, TypeError) as error:
        raise DatasetError(
            f"recipe {path_or_name}: published, small, or a JSON file of {Recipe.__name__}: {error}"
        ) from None
