"""Does a classifier recognise animals under conditions that it was not trained on? (PUG: Animals, appendix D.3.2)

Some animals are seen under every condition (``keep`` of them, C in the published figure); of the others, pictures of
the held-out levels are taken out of training, and are what is tested. With ``keep`` = 0 the levels were never seen;
with more, the combination of animal and level. Beside it stands a control that the published figure lacks: a model
trained on as many pictures of each animal, drawn from all levels alike, and tested on the same pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, nearest
from torchmultiverse.evaluate.data import columns_of, open_pictures
from torchmultiverse.evaluate.encode import picture_array, progress_bar
from torchmultiverse.evaluate.stats import Intervals
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.models.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess

_LABEL = "character_name"


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


@dataclass(frozen=True)
class HeldOut:
    """What came of one split.

    Attributes:
        factor, held_out: column, and the levels that were held out.
        keep: animals that were seen at all levels.
        trained, tested: pictures.
        seen: accuracy on the training pictures.
        accuracy, low, high: on the held-out pictures, whole animals being resampled.
        control, control_low, control_high: of the model that saw all levels, on those of the same pictures that it was
            not trained on.
        by_level: accuracy by held-out level, of the model and of the control.
    """

    factor: str
    held_out: tuple[str, ...]
    keep: int
    trained: int
    tested: int
    seen: float
    accuracy: float
    low: float
    high: float
    control: float
    control_low: float
    control_high: float
    by_level: Mapping[str, tuple[float, float]]


def held_out_split(
    columns: Mapping[str, NDArray[Any]], factor: str, levels: Sequence[str], keep: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return which pictures are trained on, (N,): all but the held-out levels of the animals that are not kept.

    Args:
        columns: of the dataset.
        factor: column whose levels are held out.
        levels: to be held out, as words.
        keep: animals, drawn at random, that are seen at all levels.
        rng: draws them.

    Raises:
        DatasetError: no such column or level, or nothing would be left to train on or to test.
    """
    for name in (factor, _LABEL):
        if name not in columns:
            raise DatasetError(f"no column '{name}'.{nearest(name, columns)}")
    values, animals = columns[factor].astype(str), columns[_LABEL].astype(str)
    for level in levels:
        if level not in values:
            raise DatasetError(f"{factor} has no level '{level}'.{nearest(level, set(values))}")
    names = np.unique(animals)
    if not 0 <= keep < len(names):
        raise DatasetError(f"keep is 0 to {len(names) - 1} animals, not {keep}")
    kept = rng.permutation(names)[:keep]
    train = ~np.isin(values, list(levels)) | np.isin(animals, kept)
    if set(animals[train]) != set(names):
        raise DatasetError(f"without {', '.join(levels)} some animals have no picture to train on")
    return np.asarray(train)


def held_out(
    dataset: Any,
    factor: str,
    levels: Sequence[str] | int,
    keep: int = 0,
    recipe: Recipe | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> HeldOut:
    """Train on some levels, test on the others, and train a control.

    Args:
        dataset: folder or opened dataset with the columns of PUG: Animals.
        factor: ``world_name``, ``character_scale``, ``character_texture``, …
        levels: to hold out; or how many, drawn at random.
        keep: animals that are seen at all levels.
        recipe: of training; by default the published one.
        seed: of the draws, first weights and batches.
        quiet: show no bars.

    Raises:
        DatasetError: see `held_out_split`.
        MissingExtra: timm is not installed.
    """
    pictures = open_pictures(dataset)
    columns = columns_of(pictures)
    rng = np.random.default_rng(seed)
    if isinstance(levels, int):
        if factor not in columns:
            raise DatasetError(f"no column '{factor}'.{nearest(factor, columns)}")
        known = np.unique(columns[factor].astype(str))
        if not 0 < levels < len(known):
            raise DatasetError(f"{factor} has {len(known)} levels; hold out 1 to {len(known) - 1} of them")
        levels = sorted(rng.permutation(known)[:levels].tolist())
    train = held_out_split(columns, factor, levels, keep, rng)
    animals = columns[_LABEL].astype(str)
    control = np.zeros(len(train), bool)
    for animal in np.unique(animals):  # as many of each as the model saw, from all levels alike
        mine = np.flatnonzero(animals == animal)
        control[rng.permutation(mine)[: int(train[mine].sum())]] = True
    recipe = recipe or Recipe()
    preprocess = Preprocess((recipe.size, recipe.size), "squash", 1.0, "bicubic", IMAGENET_MEAN, IMAGENET_STD)
    labels = np.unique(animals, return_inverse=True)[1]
    pixels = picture_array(pictures, np.arange(len(pictures)), recipe.size, preprocess.picture, quiet)
    answers = [
        train_classifier(pixels, labels, mask, recipe, np.random.default_rng((seed, k)), name, quiet)
        for k, (mask, name) in enumerate(((train, "held-out"), (control, "control")))
    ]
    test, both = ~train, ~train & ~control
    intervals = Intervals(seed)
    right = [(answer == labels).astype(float) for answer in answers]
    low, high, _ = intervals.of_mean(right[0][test], labels[test])
    control_low, control_high, _ = intervals.of_mean(right[1][both], labels[both]) if both.any() else (0.0, 1.0, "")
    values = columns[factor].astype(str)
    by_level = {
        str(level): (_mean(right[0][test & (values == level)]), _mean(right[1][both & (values == level)]))
        for level in levels
    }
    return HeldOut(
        factor, tuple(map(str, levels)), keep, int(train.sum()), int(test.sum()), _mean(right[0][train]),
        _mean(right[0][test]), low, high, _mean(right[1][both]), control_low, control_high, by_level,
    )  # fmt: skip


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


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
