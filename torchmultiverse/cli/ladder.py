"""The command that says which widening of the training pictures pays on a target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import analyze_group, examples
from torchmultiverse.cli.options import Engine, Label, Out, Seed, Settings, loggable, option_sets, tabular
from torchmultiverse.cli.study_out import ROWS, finish

if TYPE_CHECKING:
    from torchmultiverse.scenes import Spec
    from torchmultiverse.transfer import LadderOptions


@dataclass(frozen=True)
class Design:
    """Which steps there are, and how many pictures each has."""

    step: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FOLDER: pictures of a step, made by any generator, instead of a spec or dataset; NAME@5=FOLDER "
            "takes five times the budget; may be repeated, the narrowest first. Default: none."
        ),
    ] = None
    steps: Annotated[
        str | None,
        typer.Option(
            help="narrow, groups of factors, full, x5 (five times the budget), each freeing more than the one before. "
            "Default: narrow,worlds,lights,poses,full,x5, as far as they vary."
        ),
    ] = None
    group: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FACTOR,FACTOR: a group of factors; may be repeated. Default: worlds, lights, poses, sizes, "
            "textures, assets, conditions, by the factors' names."
        ),
    ] = None
    budget: Annotated[
        int | None,
        typer.Option(min=2, help="Pictures of a step. Default: what the narrowest step allows, at most 2,000."),
    ] = None
    narrow: Annotated[
        float,
        typer.Option(min=0.001, max=1, help="Share of a held factor's levels, or of its range, that remains."),
    ] = 0.1
    leave_one_out: Annotated[
        bool,
        typer.Option(
            "--leave-one-out/--no-leave-one-out", help="Also the full step with each group held: what it is worth."
        ),
    ] = True


@dataclass(frozen=True)
class Classes:
    """Which pictures of the target are of which class."""

    label: Label = None
    target_label: Annotated[
        str | None, typer.Option(help="Column of the target's classes. Default: label, or character_name.")
    ] = None
    label_map: Annotated[
        Path | None,
        typer.Option(help='JSON: the target\'s class to the training class, as {"tabby": "Cat"}. Default: by name.'),
    ] = None
    unseen: Annotated[
        int | None,
        typer.Option(min=0, help="Classes kept out of training, for a probe on the target. Default: a quarter."),
    ] = None
    by: Annotated[
        str,
        typer.Option(help="Column of the target whose groups are resampled and in one part only; auto, or rows."),
    ] = "auto"
    limit: Annotated[int, typer.Option(min=20, help="So many pictures of the target at most, drawn at random.")] = 2000


@dataclass(frozen=True)
class Training:
    """How encoders are trained, and how a spec is rendered."""

    recipe: Annotated[
        str, typer.Option(help="published (ResNet-50), small (for a laptop), or a file; of every training.")
    ] = "small"
    setting: Settings = None
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each step.")] = 3
    engine: Engine = "builtin"
    size: Annotated[
        int | None,
        typer.Option(min=16, help="Side of rendered pictures in pixels. Default: twice that of the encoder's input."),
    ] = None


@analyze_group.command(
    "ladder",
    epilog=examples(
        "torchmultiverse analyze ladder data/animals --target photos/ --steps narrow,worlds,poses,full",
        "torchmultiverse analyze ladder animals --target photos/ --budget 1000 --seeds 3 --set epochs=20",
        "torchmultiverse analyze ladder --step c=sd/c --step c,h=sd/ch --step x5@5=sd/many --target photos/",
    ),
)
@tabular(ROWS)
@loggable
@option_sets
def ladder_command(
    design: Design,
    classes: Classes,
    training: Training,
    target: Annotated[
        Path,
        typer.Option(
            "--target", help="What it is for: images in folders of classes, or a dataset.",
            autocompletion=completion.datasets,
        ),
    ],
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[SPEC|DATA]", help="Spec, whose steps are rendered, or folder of a dataset, of whose rows they "
            "are made. Default: none, with --step.", autocompletion=completion.datasets,
        ),
    ] = None,
    out: Out = Path("ladder"),
    seed: Seed = 0,
) -> None:  # fmt: skip
    """Say which widening of the training pictures pays on a target: one small encoder for each step, one budget.

    Every step frees one more group of factors. With --leave-one-out, also what each group is worth when all others vary
    already. What is interrupted goes on with the same command; finished trainings are kept.
    """
    from torchmultiverse.analyze import RunOptions
    from torchmultiverse.train import classifier_training
    from torchmultiverse.transfer import climb, ladder_study, recipe_of

    recipe = recipe_of(classifier_training(training.recipe), training.setting or [])
    given = _source(source, design.step)
    found = climb(given, target, out, recipe, _options(design, classes, training), RunOptions(seed))
    finish(ladder_study(found), out, seed)


def _options(design: Design, classes: Classes, training: Training) -> LadderOptions:
    from torchmultiverse.transfer import LadderOptions, parse_groups, read_label_map

    return LadderOptions(
        steps=tuple(one.strip() for one in design.steps.split(",")) if design.steps else None,
        groups=parse_groups(design.group or ()), budget=design.budget, narrow=design.narrow, seeds=training.seeds,
        unseen=classes.unseen, leave_one_out=design.leave_one_out, label=classes.label,
        target_label=classes.target_label, label_map=read_label_map(classes.label_map) if classes.label_map else {},
        group=classes.by, limit=classes.limit, engine=training.engine, size=training.size,
    )  # fmt: skip


def _source(source: str | None, steps: list[str] | None) -> Spec | str | dict[str, str | Path]:
    """Return what a ladder is made of: folders by step, a dataset's folder or address, or a spec.

    Raises:
        typer.BadParameter: both or neither, or a step without a folder.
        SpecError: a spec that is not there or wrong.
    """
    from torchmultiverse.scenes import load_spec

    if bool(source) == bool(steps):
        raise typer.BadParameter("give either a spec or dataset, or folders with --step NAME=FOLDER", param_hint="SPEC")
    if steps:
        folders: dict[str, str | Path] = {}
        for text in steps:
            name, equals, folder = text.partition("=")
            if not equals or not name.strip() or not folder.strip():
                raise typer.BadParameter(f"'{text}': write NAME=FOLDER", param_hint="--step")
            if name.strip() in folders:
                raise typer.BadParameter(f"'{name.strip()}' is given twice", param_hint="--step")
            folders[name.strip()] = folder.strip()
        return folders
    assert source is not None
    if Path(source).is_dir() or "://" in source:
        return source
    return load_spec(source)
