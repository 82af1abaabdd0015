"""Commands that train encoders to say where to cut them, and when they learn what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import analyze_group, examples
from torchmultiverse.cli.options import (
    Data,
    Factors,
    Features,
    Group,
    Images,
    Label,
    Layers,
    Out,
    Seed,
    Seeds,
    Settings,
    features_folder,
    loggable,
    tabular,
)
from torchmultiverse.cli.study_out import ROWS, finish


@analyze_group.command(
    "unseen",
    epilog=examples(
        "torchmultiverse analyze unseen data/animals --classes character_name --seen 10 --sets 6 --seeds 3",
        "torchmultiverse analyze unseen photographs --classes label --set method=supervised --set epochs=40",
    ),
)
@tabular(ROWS)
@loggable
def unseen(
    data: Images,
    classes: Annotated[
        str, typer.Option(help="Column with the classes.", autocompletion=completion.columns)
    ] = "character_name",
    seen: Annotated[
        int | None,
        typer.Option(min=2, help="Classes that are trained on. Default: as many as leave --sets sets of as many."),
    ] = None,
    sets: Annotated[int, typer.Option(min=1, help="Sets of as many classes that are not trained on.")] = 6,
    setting: Settings = None,
    seeds: Seeds = 1,
    factor: Annotated[
        list[str] | None,
        typer.Option(
            "--factor", help="Column; may be repeated. Default: the classes.", autocompletion=completion.columns
        ),
    ] = None,
    group: Group = "auto",
    out: Out = Path("unseen"),
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Train an encoder on some classes, and say where to cut it for these and for others; writes a page."""
    from torchmultiverse.analyze import ClassQuestion, RunOptions, TrainingRecipe, unseen_classes
    from torchmultiverse.train import EncoderTraining, parse_settings

    training = parse_settings(EncoderTraining(), setting or ())
    recipe = TrainingRecipe(f"{training.method} on some classes", training)
    run = RunOptions(seed, features_folder(features))
    finish(unseen_classes(data, out, ClassQuestion(classes, seen, sets), recipe, factor, group, run, seeds), out, seed)


@analyze_group.command(
    "epochs",
    epilog=examples(
        "torchmultiverse train ssl data/animals --epochs 30 --keep 0,1,2,5,10,20,30 --out encoder",
        "torchmultiverse analyze epochs ssl:encoder --data data/others --factor character_name --factor camera_yaw",
    ),
)
@tabular(ROWS)
def epochs(
    encoder: Annotated[
        list[str], typer.Argument(help="ssl:FOLDER trained with --keep; several are trainings with different seeds.")
    ],
    data: Data,
    layer: Layers = None,
    factor: Factors = None,
    group: Group = "auto",
    limit: Annotated[
        int | None, typer.Option(min=50, help="So many images at most, drawn at random. Default: all.")
    ] = None,
    out: Out = Path("epochs"),
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Say which factor is learned first: all factors read at each kept checkpoint, trunk and head; writes a page."""
    from torchmultiverse.analyze import LearningOptions, RunOptions, learning_order

    options = LearningOptions(layer, factor, group, limit)
    finish(learning_order(encoder, data, options, RunOptions(seed, features_folder(features))), out, seed)


@analyze_group.command(
    "settings",
    epilog=examples(
        "torchmultiverse analyze settings data/animals --vary learning_rate=1e-4,1e-3,1e-2 --vary weight_decay=0,0.1",
        "torchmultiverse analyze settings data/animals --vary backbone_width=0.25,0.5,1 --vary head=128,256-128",
    ),
)
@tabular(ROWS)
@loggable
def settings(
    data: Images,
    vary: Annotated[list[str], typer.Option(help="NAME=VALUE,VALUE of a setting of the training; may be repeated.")],
    cross: Annotated[
        bool,
        typer.Option("--cross", help="All combinations. Default: one at a time, the others as --set has them."),
    ] = False,
    setting: Settings = None,
    label: Label = None,
    seeds: Seeds = 1,
    factor: Factors = None,
    group: Group = "auto",
    out: Out = Path("settings"),
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Train encoders with many settings, and hold what the head reads against the trunk; writes a page."""
    from torchmultiverse.analyze import GridOptions, RunOptions, parse_vary, settings_grid
    from torchmultiverse.train import EncoderTraining, parse_settings

    base = parse_settings(EncoderTraining(), setting or ())
    options = GridOptions(parse_vary(vary), cross, seeds, factor, group, label)
    finish(settings_grid(data, out, options, base, RunOptions(seed, features_folder(features))), out, seed)
