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
from numpy.typing import NDArray
from pydantic import model_validator
from typing_extensions import override

from torchmultiverse.analyze import migrations
from torchmultiverse.analyze.layer_accuracy import LayerGap, Reading, layer_readings
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.splits import factor_target
from torchmultiverse.analyze.trainings import LayerMean, by_layer, mean_gap, mean_reading
from torchmultiverse.documents import Document, Record
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.evaluation import plain
from torchmultiverse.features import Features, factor_names, features_of
from torchmultiverse.store import (
    LABEL_COLUMNS,
    ImageSet,
    ImageSubset,
    columns_of,
    dataset_name,
    manifest_hash,
    open_images,
)
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
        gaps: of every recipe, by dataset and factor: trunk against the head's end.
        curves: of every recipe, by dataset, factor and layer; none in records of version 1.
        notes: what could not be asked, and why.
    """

    file: ClassVar[str] = "guillotine.json"
    version: ClassVar[int] = 2
    dataset: str
    recipes: tuple[TrainedRecipe, ...]
    gaps: tuple[tuple[LayerGap, ...], ...]
    curves: tuple[tuple[LayerMean, ...], ...] = ()
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _of_every_recipe(self) -> Self:
        if len(self.gaps) != len(self.recipes):
            raise ValueError(f"gaps of {len(self.gaps)} recipes, and {len(self.recipes)} recipes")
        if self.curves and len(self.curves) != len(self.recipes):
            raise ValueError(f"curves of {len(self.curves)} recipes, and {len(self.recipes)} recipes")
        return self

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets that were asked, the one that was trained on first."""
        others = dict.fromkeys(gap.dataset for mine in self.gaps for gap in mine if gap.dataset)
        return (self.dataset, *others)

    @override
    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        return migrations.misalignment(data) if version < 1 else data

    def rows(self) -> list[dict[str, Any]]:
        """Return one line for each recipe, dataset and factor."""
        return [
            {"recipe": recipe.name, **gap.model_dump(), "dataset": gap.dataset or self.dataset}
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
    label = next((name for name in LABEL_COLUMNS if name in named), named[0])
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
    *,
    seeds: int = 1,
    also: Sequence[Any] = (),
) -> Misalignment:
    """Train an encoder by each recipe on half of the pictures, and read all factors of the other half at every layer.

    Encoders lie below ``out/encoders``; what is there is not trained again.

    Args:
        dataset: folder or opened dataset.
        out: folder.
        recipes: those of the source by default; see `default_recipes`.
        factors: columns; all that vary by default.
        base: settings of the usual recipes.
        group: see `torchmultiverse.analyze.layer_accuracy.probe_layers`.
        run: seed of the halves and of probes, store of features, and so on.
        seeds: encoders of each recipe, trained with its seed and the ones after.
        also: folders or opened datasets that the encoders are asked about too, all pictures of them; of ``factors``
            those columns that they have, or all that vary.

    Raises:
        DatasetError: no such column, or a dataset that is asked about twice.
        ModelError: no such setting, or two recipes of one name.
    """
    run = run or RunOptions()
    images = open_images(dataset)
    seen, rest = halves(len(images), run.seed)
    asked: list[tuple[str, Any]] = [("", ImageSubset(images, rest)), *_others(images, also)]
    columns = columns_of(asked[0][1])
    if recipes is None:
        names = factor_names(Features("", dataset_name(images), {}, columns, rest, {}), factors)
        recipes = default_recipes(columns, names, base or EncoderTraining())
    if len({one.name for one in recipes}) < len(recipes):
        raise ModelError("two recipes have one name")
    if seeds < 1:
        raise ModelError(f"seeds are encoders of each recipe, 1 or more, not {seeds}")
    gaps: list[tuple[LayerGap, ...]] = []
    curves: list[tuple[LayerMean, ...]] = []
    notes: list[str] = []
    for number, recipe in enumerate(recipes, 1):
        places = [
            train_encoder(images, Path(out) / "encoders" / place, training, recipe.label, seen, run.quiet)
            for place, training in seeded(f"{number:02}", recipe.training, seeds)
        ]
        mine: list[LayerGap] = []
        by_depth: list[LayerMean] = []
        for name, pictures in asked:
            wanted = factors if not name or factors is None else [f for f in factors if f in columns_of(pictures)]
            read, told = _read(places, pictures, wanted or None, recipe.training, group, run)
            notes += [f"{name}: {note}" if name else note for note in told]
            for factor in read[0]:
                layers = by_layer(read, factor)
                mine.append(mean_gap(layers[0], layers[-1], run.seed, name))
                by_depth += [mean_reading(layer, run.seed, name) for layer in layers]
        gaps.append(tuple(mine))
        curves.append(tuple(by_depth))
    trained = [TrainedRecipe(name=one.name, label=one.label, settings=one.training.as_dict()) for one in recipes]
    return Misalignment(
        dataset=dataset_name(images), recipes=tuple(trained), gaps=tuple(gaps), curves=tuple(curves),
        notes=tuple(dict.fromkeys(notes)),
    )  # fmt: skip


def seeded(name: str, training: EncoderTraining, seeds: int) -> list[tuple[str, EncoderTraining]]:
    """Return the folders and settings of several trainings that differ in their seed.

    >>> [(place, one.seed) for place, one in seeded("01", EncoderTraining(seed=7), 3)]
    [('01', 7), ('01-seed-8', 8), ('01-seed-9', 9)]
    """
    numbers = range(training.seed, training.seed + seeds)
    return [(name if k == training.seed else f"{name}-seed-{k}", training.changed(seed=k)) for k in numbers]


def head_layers(training: EncoderTraining) -> list[str]:
    """Return the names of the trunk and of each block of the head."""
    return ["trunk", *(f"head.{number}" for number in range(1, len(training.head) + 1))]


def halves(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pictures that are trained on, and the others."""
    order = np.random.default_rng(seed).permutation(count)
    seen, rest = (np.sort(part) for part in np.array_split(order, 2))
    return seen, rest


def _others(images: ImageSet, also: Sequence[Any]) -> list[tuple[str, ImageSet]]:
    """Return further datasets by name.

    Raises:
        DatasetError: one is asked about twice, or was trained on.
    """
    found: dict[str, ImageSet] = {}
    hashes = {manifest_hash(images): dataset_name(images)}
    for one in map(open_images, also):
        if (known := hashes.get(manifest_hash(one))) is not None:
            raise DatasetError(
                f"{dataset_name(one)} holds the same pictures as {known}; name another dataset with --also"
            )
        name = dataset_name(one)
        number = sum(1 for held in found if held == name or held.startswith(f"{name} ("))
        found[f"{name} ({number + 1})" if number or name == dataset_name(images) else name] = one
        hashes[manifest_hash(one)] = name
    return list(found.items())


def _read(
    places: Sequence[Path], images: ImageSet, factors: Sequence[str] | None, training: EncoderTraining, group: str,
    run: RunOptions,
) -> tuple[list[dict[str, list[Reading]]], list[str]]:  # fmt: skip
    """Return what each of several encoders says of some pictures at every layer, and notes."""
    read, notes = [], []
    for place in places:
        features = features_of(f"ssl:{place}", images, head_layers(training), run.store, quiet=run.quiet)
        readings, told = layer_readings(features, factors, by=group, seed=run.seed, quiet=run.quiet)
        read.append(readings)
        notes += told
    return read, notes
