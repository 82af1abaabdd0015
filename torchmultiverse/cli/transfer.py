"""Commands that say how far training carries, and which half of a picture's spectrum a model reads."""

from __future__ import annotations

from dataclasses import dataclass
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
    Limit,
    ModelString,
    Out,
    Seed,
    features_folder,
    images_of,
    option_sets,
    refuse_idle,
    tabular,
)
from torchmultiverse.cli.study_out import ROWS, finish

Models = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL…",
        help="Model strings, see 'models list'; NAME=STRING is called NAME. The first is what others are compared "
        "with.",
        autocompletion=completion.models,
    ),
]
Layer = Annotated[
    str | None,
    typer.Option(
        "--layer",
        help="Layer whose features are read, as 'analyze layers' names it. Default: the embedding; of encoders with a "
        "projector the trunk.",
    ),
]
Probe = Annotated[str, typer.Option("--probe", help="logistic, linear, knn or mlp.")]


@dataclass(frozen=True)
class Reading:
    """What is read, and how."""

    factor: Factors = None
    layer: Layer = None
    probe: Probe = "logistic"
    group: Group = "auto"


@analyze_group.command(
    "transfer",
    epilog=examples(
        "torchmultiverse analyze transfer base=ssl:base trex=ssl:trex --data data/animals-test --train-task "
        "character_name --out transfer"
    ),
)
@tabular(ROWS)
@option_sets
def transfer(
    models: Models,
    data: Data,
    reading: Reading,
    train_task: Annotated[
        str | None,
        typer.Option(
            "--train-task", help="Column of the classes that the models were trained on. Default: as that of --label "
            "elsewhere: character_label, character_name or label, the first that varies.",
            autocompletion=completion.columns,
        ),
    ] = None,
    unseen: Annotated[
        list[str] | None,
        typer.Option(
            help="Class of --train-task that no model was trained on; may be repeated. Default: what 'train ssl "
            "--unseen' wrote into the encoders."
        ),
    ] = None,
    limit: Limit = None,
    out: Out = Path("transfer"),
    reference: Annotated[
        bool, typer.Option("--reference/--no-reference", help="The published plane, in a part of its own.")
    ] = True,
    seed: Seed = 0,
    features: Features = None,
) -> None:  # fmt: skip
    """Draw the plane of training against transfer: does what helps the class cost the pose?

    What is read of the classes that models were trained on, against the mean log-odds of all other tasks: every other
    factor, and classes that training did not see.
    """
    from torchmultiverse.analyze import RunOptions
    from torchmultiverse.models import model_strings
    from torchmultiverse.transfer import measure_transfer, plane_study

    run = RunOptions(seed, features_folder(features))
    plane = measure_transfer(
        model_strings(models), images_of(data, limit, seed), train_task, reading.factor, unseen or None, reading.layer,
        reading.probe, reading.group, run,
    )  # fmt: skip
    finish(plane_study(plane, reference), out, seed)


@dataclass(frozen=True)
class Spectra:
    """How many pictures are asked about, and what is done to them."""

    pairs: Annotated[int, typer.Option(min=8, help="For each factor: pictures of two halves.")] = 200
    pictures: Annotated[int, typer.Option(min=8, help="That are changed, of those drawn.")] = 300
    limit: Annotated[int, typer.Option("--limit", min=20, help="So many images at most, drawn at random.")] = 3000
    change: Annotated[
        list[str] | None,
        typer.Option(
            help="amplitude, phase, frequency or mixture; may be repeated; none for no changes. Default: all."
        ),
    ] = None
    cut: Annotated[
        float, typer.Option(min=0, max=0.71, help="Cycles per pixel that part low frequencies from high ones.")
    ] = 0.125


@analyze_group.command(
    "fourier",
    epilog=examples(
        "torchmultiverse analyze fourier timm:resnet18 --data data/animals --out fourier",
        "torchmultiverse analyze fourier open_clip:ViT-B-32-quickgelu/openai --data data/animals --reader texts "
        "--factor character_name --factor world_name --change none",
    ),
)
@tabular(ROWS)
@option_sets
def fourier(
    context: typer.Context,
    model: ModelString,
    data: Data,
    reading: Reading,
    spectra: Spectra,
    reader: Annotated[
        str, typer.Option("--reader", help="probe, or texts: the captions of an image-text model.")
    ] = "probe",
    prompt: Annotated[
        str, typer.Option("--prompt", help="With --reader texts: caption of a level, {} for its name.")
    ] = "a picture of {}",
    out: Out = Path("fourier"),
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Say which factor a model reads from the phase of a picture's spectrum and which from the amplitude.

    Pictures get the phase of one and the amplitude of another that differs in the factor. Besides: what is read of each
    factor after amplitudes, phases or frequencies are changed, by strength and for low and high frequencies.
    """
    from torchmultiverse.analyze import RunOptions
    from torchmultiverse.transfer import FOURIER_CHANGES, FourierOptions, fourier_study, read_spectra

    if reader != "texts":
        refuse_idle(context, ["prompt"], "--reader texts")
    chosen = tuple(FOURIER_CHANGES) if not spectra.change else tuple(c for c in spectra.change if c != "none")
    options = FourierOptions(
        reading.factor, reading.layer, reader, reading.probe, prompt, reading.group, spectra.limit, spectra.pictures,
        spectra.pairs, spectra.cut, chosen,
    )  # fmt: skip
    found = read_spectra(model, data, options, RunOptions(seed, features_folder(features)))
    finish(fourier_study(found), out, seed)
