"""Commands that train encoders to say where to cut them, and when they learn what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import analyze_group, examples, train_group
from torchmultiverse.cli.options import (
    Data,
    Dataset,
    Factors,
    Features,
    Group,
    Images,
    Label,
    Layers,
    Limit,
    Out,
    Seed,
    Seeds,
    Settings,
    features_folder,
    images_of,
    loggable,
    option_sets,
    tabular,
)
from torchmultiverse.cli.study_out import ROWS, finish


@dataclass(frozen=True)
class Trained:
    """How encoders are trained, and how they are asked."""

    setting: Settings = None
    seeds: Seeds = 1
    group: Group = "auto"
    features: Features = None


@analyze_group.command(
    "unseen",
    epilog=examples(
        "torchmultiverse analyze unseen data/animals --classes character_name --seen 10 --seeds 3 --out unseen",
        "torchmultiverse analyze unseen photographs --classes label --set method=supervised --set epochs=40",
    ),
)
@tabular(ROWS)
@loggable
@option_sets
def unseen(
    data: Images,
    trained: Trained,
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            "--label",
            help="Column of classes. Default: character_label, character_name or label, the first that varies.",
            autocompletion=completion.columns,
        ),
    ] = None,
    seen: Annotated[
        int | None,
        typer.Option(min=2, help="Classes that are trained on. Default: as many as leave --others sets of as many."),
    ] = None,
    others: Annotated[int, typer.Option(min=1, help="Sets of as many classes that are not trained on.")] = 6,
    factor: Annotated[
        list[str] | None,
        typer.Option(
            "--factor", help="Column; may be repeated. Default: the classes.", autocompletion=completion.columns
        ),
    ] = None,
    limit: Limit = None,
    out: Out = Path("unseen"),
    seed: Seed = 0,
) -> None:
    """Train an encoder on some classes, and say where to cut it for these and for others; writes a page."""
    from torchmultiverse.analyze import ClassQuestion, RunOptions, TrainingRecipe, unseen_classes
    from torchmultiverse.store import columns_of, dataset_name, label_column
    from torchmultiverse.train import EncoderTraining, parse_settings

    training = parse_settings(EncoderTraining(), trained.setting or ())
    recipe = TrainingRecipe(f"{training.method} on some classes", training)
    run = RunOptions(seed, features_folder(trained.features))
    images = images_of(data, limit, seed)
    column = label_column(columns_of(images), classes, dataset_name(images), "--classes")
    question = ClassQuestion(column, seen, others)
    finish(unseen_classes(images, out, question, recipe, factor, trained.group, run, trained.seeds), out, seed)


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
    limit: Limit = None,
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
@option_sets
def settings(
    data: Images,
    vary: Annotated[list[str], typer.Option(help="NAME=VALUE,VALUE of a setting of the training; may be repeated.")],
    trained: Trained,
    cross: Annotated[
        bool, typer.Option("--cross", help="All combinations. Default: one at a time, the others as --set has them.")
    ] = False,
    label: Label = None,
    factor: Factors = None,
    limit: Limit = None,
    out: Out = Path("settings"),
    seed: Seed = 0,
) -> None:
    """Train encoders with many settings, and hold what the head reads against the trunk; writes a page."""
    from torchmultiverse.analyze import GridOptions, RunOptions, parse_vary, settings_grid
    from torchmultiverse.train import EncoderTraining, parse_settings

    base = parse_settings(EncoderTraining(), trained.setting or ())
    options = GridOptions(parse_vary(vary), cross, trained.seeds, factor, trained.group, label)
    run = RunOptions(seed, features_folder(trained.features))
    finish(settings_grid(images_of(data, limit, seed), out, options, base, run), out, seed)


@train_group.command(
    "held-out-grid",
    epilog=examples(
        "torchmultiverse train held-out-grid data/animals --factor world_name --count 14 --count 34 --out held_out",
        "torchmultiverse train held-out-grid data/animals --factor character_texture --factor character_scale --each",
    ),
)
@tabular(ROWS)
@loggable
def held_out_grid(
    dataset: Dataset,
    factor: Annotated[
        list[str],
        typer.Option(help="Column whose levels are held out; may be repeated.", autocompletion=completion.columns),
    ],
    count: Annotated[
        list[int] | None,
        typer.Option(min=1, help="So many levels, drawn at random, are held out; may be repeated. Default: none."),
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Each level is the only one that is trained on, in turn. Default: not.")
    ] = False,
    keep: Annotated[
        list[int] | None,
        typer.Option(help="Classes seen at all levels (C); may be repeated. Default: 0, and 10 and 20 of more."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="published (ResNet-50), small (for a laptop), or a file.")] = "small",
    setting: Settings = None,
    limit: Limit = None,
    out: Out = Path("held_out"),
    seed: Seed = 0,
) -> None:
    """Train classifiers for a grid of held-out conditions, each beside its control; writes a page with the curves."""
    from torchmultiverse.evaluation import held_out_grid as measure
    from torchmultiverse.evaluation import held_out_questions, held_out_study
    from torchmultiverse.train import classifier_training, parse_settings

    images = images_of(dataset, limit, seed)
    training = parse_settings(classifier_training(recipe), setting or ())
    questions = held_out_questions(images, factor, count or (), each)
    cells = measure(images, questions, keep, training, seed, out)
    finish(held_out_study(cells, images, training), out, seed)
