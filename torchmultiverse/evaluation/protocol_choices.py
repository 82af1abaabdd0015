"""How far does a score depend on choices that nobody writes down? The same model under a grid of defensible protocols.

Preprocessing choices are tried in all combinations: how a picture becomes square, the resampling filter, the
normalisation (the model's own, or ImageNet's, which the published evaluation gave every model), the precision. Each
combination encodes the pictures once, ever. What the protocol itself offers, label spaces and prompts, are settings of
the result already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from torchmultiverse.errors import ModelError, SettingError, nearest
from torchmultiverse.evaluation.ranking import leaderboard_rows, task_title
from torchmultiverse.evaluation.run import evaluate

CHOICES: dict[str, tuple[str, ...]] = {
    "resize": ("own", "squash"),
    "interpolation": ("own", "bilinear"),
    "norm": ("own", "imagenet"),
    "precision": ("float32", "bfloat16"),
}
"""Options of a model string; ``own`` leaves what the model declares."""


@dataclass(frozen=True)
class SensitivityRange:
    """One score under all choices.

    Attributes:
        title: of the question.
        own: accuracy as the model declares itself.
        low, high: the lowest and the highest accuracy of the grid.
        lowest, highest: the choices that gave them.
        effects: mean change of accuracy by each choice that is not the model's own, over all others.
        interval: half the 95 % interval of ``own``: what the pictures alone leave open.
    """

    title: str
    own: float
    low: float
    high: float
    lowest: dict[str, str]
    highest: dict[str, str]
    effects: dict[str, float]
    interval: float


def sensitivity(
    dataset: Any,
    model: str,
    choices: Mapping[str, Sequence[str]] | None = None,
    *,
    protocol: str = "auto",
    embeddings: str | Path | None = None,
    quiet: bool = False,
) -> list[SensitivityRange]:
    """Return the band of each score of the leaderboard.

    Args:
        dataset: a dataset's folder or an opened one.
        model: a model string without options.
        choices: option to values, the model's own first; by default :data:`CHOICES`.
        protocol: as for `evaluate`.
        embeddings: folder that keeps what models make of pictures.
        quiet: show no bars.

    Raises:
        ModelError: an unknown choice, or a model that takes none.
    """
    grid = dict(choices or CHOICES)
    for name in grid:
        if name not in CHOICES and name not in ("size", "crop"):
            raise SettingError(f"no choice '{name}'.{nearest(name, [*CHOICES, 'size', 'crop'])}")
    if "?" in model:
        raise ModelError(f"'{model}': name the model without options; the grid tries them")
    scores: dict[str, dict[tuple[str, ...], float]] = {}
    intervals: dict[str, float] = {}
    combinations = list(product(*grid.values()))
    for combination in combinations:
        options = "&".join(f"{k}={v}" for k, v in zip(grid, combination, strict=True) if v != "own")
        spec = f"{model}?{options}" if options else model
        result = evaluate(dataset, spec, protocol=protocol, embeddings=embeddings, quiet=quiet)
        for line in leaderboard_rows(result):
            (cell,) = line.cells.values()
            title = task_title(result, line.task, line.metric, line.setting)
            scores.setdefault(title, {})[combination] = cell["accuracy"]
            if combination == combinations[0]:
                intervals[title] = (cell["high"] - cell["low"]) / 2
    return [_range(title, found, grid, intervals[title]) for title, found in scores.items()]


def _range(
    title: str, found: Mapping[tuple[str, ...], float], grid: Mapping[str, Sequence[str]], interval: float
) -> SensitivityRange:
    names = list(grid)
    own = next(iter(found.values()))
    lowest, highest = min(found, key=lambda c: found[c]), max(found, key=lambda c: found[c])
    effects = {}
    for k, name in enumerate(names):
        for value in list(grid[name])[1:]:
            changed = [found[c] - found[(*c[:k], grid[name][0], *c[k + 1 :])] for c in found if c[k] == value]
            effects[f"{name}={value}"] = float(np.mean(changed))
    return SensitivityRange(
        title, own, found[lowest], found[highest], dict(zip(names, lowest, strict=True)),
        dict(zip(names, highest, strict=True)), effects, interval,
    )  # fmt: skip
