"""Does the cut matter where training and use ask for different things? Encoders of several recipes, read at both ends.

The gap between trunk and head says how far the training objective is from the factor that is asked for: large where the
views redraw the factor, small or negative where the pairs share it.

Source: F. Bordes et al., *Guillotine regularization*, TMLR 2023, sections 4 and 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import model_validator
from typing_extensions import override

from torchmultiverse.analyze import migrations
from torchmultiverse.analyze.layer_accuracy import LayerGap, layer_gaps
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.splits import factor_target
from torchmultiverse.documents import Document, Record
from torchmultiverse.errors import ModelError
from torchmultiverse.evaluation import plain
from torchmultiverse.features import Features, factor_names, features_of
from torchmultiverse.store import ImageSubset, columns_of, dataset_name, open_images
from torchmultiverse.train import EncoderTraining, parse_settings, train_encoder


@dataclass(frozen=True)
class TrainingRecipe:
    """One way to train an encoder.

    Attributes:
        name: of the recipe.
        training: settings.
        label: column of classes, for ``supervised``.
    """

    name: str
    training: EncoderTraining
    label: str | None = None


class TrainedRecipe(Record):
    """One way in which an encoder was trained.

    Attributes:
        name, label: as of the recipe.
        settings: of its training, as plain data.
    """

    name: str
    label: str | None = None
    settings: Mapping[str, Any]


class Misalignment(Document):
    """What comes of several recipes.

    Attributes:
        dataset: name.
        recipes: in the order trained.
        gaps: of every recipe, by factor: trunk against the head's end.
    """

    file: ClassVar[str] = "guillotine.json"
    dataset: str
    recipes: tuple[TrainedRecipe, ...]
    gaps: tuple[tuple[LayerGap, ...], ...]

    @model_validator(mode="after")
    def _of_every_recipe(self) -> Self:
        if len(self.gaps) != len(self.recipes):
            raise ValueError(f"gaps of {len(self.gaps)} recipes, and {len(self.recipes)} recipes")
        return self

    @override
    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        return migrations.misalignment(data) if version < 1 else data

    def rows(self) -> list[dict[str, Any]]:
        """Return one line for each recipe and factor."""
        return [
            {"recipe": recipe.name, **gap.model_dump()}
            for recipe, mine in zip(self.recipes, self.gaps, strict=True)
            for gap in mine
        ]


def parse_recipe(text: str, base: EncoderTraining) -> TrainingRecipe:
    """Return a recipe of text such as ``same animal: method=simclr pairs=character_name``.

    Raises:
        ModelError: no name, or no such setting or value.
    """
    name, colon, rest = text.partition(":")
    if not colon or not name.strip():
        raise ModelError(f"'{text}' is no recipe; one is 'NAME: method=simclr pairs=character_name'")
    words = rest.split()
    labels = [word.removeprefix("label=") for word in words if word.startswith("label=")]
    settings = [word for word in words if not word.startswith("label=")]
    return TrainingRecipe(name.strip(), parse_settings(base, settings), labels[-1] if labels else None)


def default_recipes(columns: Any, factors: Sequence[str], base: EncoderTraining) -> list[TrainingRecipe]:
    """Return the recipes of the source for a dataset: views, views that keep colours, pairs of a class, and supervised.

    Args:
        columns: of the dataset.
        factors: that are asked for.
        base: all other settings; its method is that of the views.
    """
    named = [name for name in factors if factor_target(columns, name).numbers is None]
    label = next((name for name in ("character_name", "label") if name in named), named[0])
    others = [name for name in named if name != label][:2]
    kept = tuple(one for one in base.augment if one not in ("color", "gray", "solarize"))
    views = f"{base.method}: views"
    recipes = [
        TrainingRecipe(views, base),
        TrainingRecipe(f"{base.method}: views that keep colours", base.changed(augment=kept)),
        TrainingRecipe(f"{base.method}: pairs of the same {plain(label)}", base.changed(pairs=label)),
    ]
    return recipes + [
        TrainingRecipe(f"supervised: {plain(name)}", base.changed(method="supervised"), name)
        for name in (label, *others)
    ]


def measure_misalignment(
    dataset: Any,
    out: str | Path,
    recipes: Sequence[TrainingRecipe] | None = None,
    factors: Sequence[str] | None = None,
    base: EncoderTraining | None = None,
    group: str = "auto",
    run: RunOptions | None = None,
) -> Misalignment:
    """Train an encoder by each recipe on half of the pictures, and read all factors of the other half at both ends.

    Encoders lie below ``out/encoders``; what is there is not trained again.

    Args:
        dataset: folder or opened dataset.
        out: folder.
        recipes: those of the source by default; see `default_recipes`.
        factors: columns; all that vary by default.
        base: settings of the usual recipes.
        group: see `torchmultiverse.analyze.layer_accuracy.probe_layers`.
        run: seed of the halves and of probes, store of features, and so on.

    Raises:
        DatasetError: no such column.
        ModelError: no such setting, or two recipes of one name.
    """
    run = run or RunOptions()
    images = open_images(dataset)
    order = np.random.default_rng(run.seed).permutation(len(images))
    seen, rest = (np.sort(part) for part in np.array_split(order, 2))
    held_out = ImageSubset(images, rest)
    columns = columns_of(held_out)
    if recipes is None:
        names = factor_names(Features("", dataset_name(images), {}, columns, rest, {}), factors)
        recipes = default_recipes(columns, names, base or EncoderTraining())
    if len({one.name for one in recipes}) < len(recipes):
        raise ModelError("two recipes have one name")
    found = []
    for number, recipe in enumerate(recipes, 1):
        place = Path(out) / "encoders" / f"{number:02}"
        train_encoder(images, place, recipe.training, recipe.label, seen, run.quiet)
        ends = ["trunk", f"head.{len(recipe.training.head)}"]
        features = features_of(f"ssl:{place}", held_out, ends, run.store, quiet=run.quiet)
        found.append(tuple(layer_gaps(features, factors, by=group, seed=run.seed, quiet=run.quiet)))
    trained = [TrainedRecipe(name=one.name, label=one.label, settings=one.training.as_dict()) for one in recipes]
    return Misalignment(dataset=dataset_name(images), recipes=tuple(trained), gaps=tuple(found))
