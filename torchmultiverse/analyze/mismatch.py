"""Does the cut matter where training and use ask for different things? Encoders of several recipes, read at both ends.

The gap between trunk and head says how far the training objective is from the factor that is asked for: large where the
views redraw the factor, small or negative where the pairs share it.

Source: F. Bordes et al., *Guillotine regularization*, TMLR 2023, sections 4 and 5.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torchmultiverse.analyze.depth import Gap, gaps
from torchmultiverse.analyze.splits import question
from torchmultiverse.errors import ModelError
from torchmultiverse.evaluate import plain
from torchmultiverse.features import factor_names, features_of
from torchmultiverse.files import write_atomic
from torchmultiverse.store import ImageSubset, columns_of, dataset_name, open_images
from torchmultiverse.train import EncoderTraining, parse_settings, train_encoder


@dataclass(frozen=True)
class Recipe:
    """One way to train an encoder.

    Attributes:
        name: of the recipe.
        training: settings.
        label: column of classes, for ``supervised``.
    """

    name: str
    training: EncoderTraining
    label: str | None = None


@dataclass(frozen=True)
class Misalignment:
    """What comes of several recipes.

    Attributes:
        dataset: name.
        recipes: in the order trained.
        gaps: of every recipe, by factor: trunk against the head's end.
    """

    dataset: str
    recipes: tuple[Recipe, ...]
    gaps: tuple[tuple[Gap, ...], ...]

    def rows(self) -> list[dict[str, Any]]:
        """Return one line for each recipe and factor."""
        return [
            {"recipe": recipe.name, **asdict(gap)}
            for recipe, mine in zip(self.recipes, self.gaps, strict=True)
            for gap in mine
        ]

    def save(self, out: str | Path) -> Path:
        """Write ``guillotine.json``, ``guillotine.csv`` and the page; returns the page.

        Raises:
            DatasetError: the folder cannot be written.
        """
        from torchmultiverse.report import misalignment_page, rows_as_csv

        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        recipes = [{"name": one.name, "label": one.label, **one.training.as_dict()} for one in self.recipes]
        plain_data = {"dataset": self.dataset, "recipes": recipes, "gaps": self.rows()}
        write_atomic(out / "guillotine.json", (json.dumps(plain_data, indent=1) + "\n").encode())
        write_atomic(out / "guillotine.csv", rows_as_csv(self.rows()).encode())
        write_atomic(out / "index.html", misalignment_page(self).encode())
        return out / "index.html"


def read_recipe(text: str, base: EncoderTraining) -> Recipe:
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
    return Recipe(name.strip(), parse_settings(base, settings), labels[-1] if labels else None)


def usual_recipes(columns: Any, factors: Sequence[str], base: EncoderTraining) -> list[Recipe]:
    """Return the recipes of the source for a dataset: views, views that keep colours, pairs of a class, and supervised.

    Args:
        columns: of the dataset.
        factors: that are asked for.
        base: all other settings; its method is that of the views.
    """
    named = [name for name in factors if question(columns, name).numbers is None]
    label = next((name for name in ("character_name", "label") if name in named), named[0])
    others = [name for name in named if name != label][:2]
    kept = tuple(one for one in base.augment if one not in ("color", "gray", "solarize"))
    views = f"{base.method}: views"
    recipes = [
        Recipe(views, base),
        Recipe(f"{base.method}: views that keep colours", base.changed(augment=kept)),
        Recipe(f"{base.method}: pairs of the same {plain(label)}", base.changed(pairs=label)),
    ]
    return recipes + [
        Recipe(f"supervised: {plain(name)}", base.changed(method="supervised"), name) for name in (label, *others)
    ]


def misalignment(
    dataset: Any,
    out: str | Path,
    recipes: Sequence[Recipe] | None = None,
    factors: Sequence[str] | None = None,
    base: EncoderTraining | None = None,
    group: str = "auto",
    seed: int = 0,
    store: str | Path | None = None,
    quiet: bool = False,
) -> Misalignment:
    """Train an encoder by each recipe on half of the pictures, and read all factors of the other half at both ends.

    Encoders lie below ``out/encoders``; what is there is not trained again.

    Args:
        dataset: folder or opened dataset.
        out: folder.
        recipes: those of the source by default; see `usual_recipes`.
        factors: columns; all that vary by default.
        base: settings of the usual recipes.
        group: see `torchmultiverse.analyze.depth.depths`.
        seed: of the halves and of probes.
        store: where features are kept.
        quiet: show no bars.

    Raises:
        DatasetError: no such column.
        ModelError: no such setting, or two recipes of one name.
    """
    pictures = open_images(dataset)
    order = np.random.default_rng(seed).permutation(len(pictures))
    seen, rest = (np.sort(part) for part in np.array_split(order, 2))
    asked = ImageSubset(pictures, rest)
    columns = columns_of(asked)
    if recipes is None:
        from torchmultiverse.features import Features

        names = factor_names(Features("", dataset_name(pictures), {}, columns, rest, {}), factors)
        recipes = usual_recipes(columns, names, base or EncoderTraining())
    if len({one.name for one in recipes}) < len(recipes):
        raise ModelError("two recipes have one name")
    found = []
    for number, recipe in enumerate(recipes, 1):
        place = Path(out) / "encoders" / f"{number:02}"
        train_encoder(pictures, place, recipe.training, recipe.label, seen, quiet)
        ends = ["trunk", f"head.{len(recipe.training.head)}"]
        features = features_of(f"ssl:{place}", asked, ends, store, quiet=quiet)
        found.append(tuple(gaps(features, factors, by=group, seed=seed, quiet=quiet)))
    return Misalignment(dataset_name(pictures), tuple(recipes), tuple(found))
