"""The command that says what single units detect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import analyze_group, examples
from torchmultiverse.cli.options import (
    Data,
    Engine,
    Factors,
    Features,
    Group,
    Label,
    Limit,
    ModelString,
    Out,
    Seed,
    Settings,
    features_folder,
    loggable,
    option_sets,
    tabular,
)
from torchmultiverse.cli.study_out import ROWS, finish


@dataclass(frozen=True)
class Asked:
    """What is asked of the units."""

    layer: Annotated[
        str | None, typer.Option("--layer", help="Layer, as 'analyze layers' names it. Default: the last of the trunk.")
    ] = None
    factor: Factors = None
    pairs: Annotated[bool, typer.Option("--pairs/--no-pairs", help="Also two values: and, or, and not.")] = True
    permutations: Annotated[
        int, typer.Option(min=0, help="Of the control, 64 units each; 0 for no control and no false-discovery rate.")
    ] = 100
    rate: Annotated[float, typer.Option(min=0, max=1, help="False-discovery rate of detectors.")] = 0.05
    latents: Annotated[
        int,
        typer.Option(
            min=0, help="Also latents of a sparse autoencoder, so many times as many as units (8 is usual); 0 for none."
        ),
    ] = 0
    directions: Annotated[
        int | None, typer.Option(min=0, help="Random directions to compare with. Default: as many as units.")
    ] = None
    limit: Limit = None


@dataclass(frozen=True)
class Beyond:
    """What is asked of units beyond what they detect."""

    words: Annotated[
        str | None,
        typer.Option(
            help="Image-text model whose captions put the surest units into words, scored against the factors. "
            "Default: no words.",
            autocompletion=completion.models,
        ),
    ] = None
    crops: Annotated[
        bool,
        typer.Option(
            "--crops/--whole", help="Describe the parts of pictures at which a unit is active, or whole pictures."
        ),
    ] = True
    groups: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Also groups of units that are active together, from so many standard deviations above each one's "
            "mean (2 is usual). Default: none.",
        ),
    ] = None
    also: Annotated[
        list[str] | None,
        typer.Option(
            help="Another model, whose units are mapped to those of this one; may be repeated. Default: none.",
            autocompletion=completion.models,
        ),
    ] = None
    errors: Annotated[
        bool, typer.Option("--errors", help="Explain what a probe of the layer gets wrong by what its units detect.")
    ] = False
    label: Label = None
    group: Group = "auto"
    scenes: Annotated[
        int,
        typer.Option(
            "--render",
            min=0,
            help="Render so many scenes anew for each factor of the six surest units, with this factor changed; 0 for "
            "none (12 is usual).",
        ),
    ] = 0
    engine: Engine = "builtin"


@analyze_group.command(
    "units",
    epilog=examples(
        "torchmultiverse analyze units timm:resnet50 --data data/animals",
        "torchmultiverse analyze units ssl:encoder --data data/animals --layer trunk --latents 8 --set active=16",
        "torchmultiverse analyze units timm:resnet50 --data data/animals --errors --groups 2 --render 12",
        "torchmultiverse analyze units timm:resnet50 --data data/animals --also timm:vit_small_patch16_224",
    ),
)
@tabular(ROWS)
@loggable
@option_sets
def units(
    model: ModelString,
    data: Data,
    asked: Asked,
    beyond: Beyond,
    setting: Settings = None,
    out: Out = Path("units"),
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Say which value of a factor, or which two, each unit of a layer detects; writes a page.

    With --latents a sparse autoencoder is trained on the layer's features, and its latents are asked the same. What
    units detect can be put into words, explain wrong answers, be looked for in other models, and be tested on scenes
    that are rendered anew with one factor changed.
    """
    from torchmultiverse.analyze import RunOptions
    from torchmultiverse.files import write_atomic
    from torchmultiverse.report import rows_as_csv
    from torchmultiverse.train import AutoencoderTraining, parse_settings
    from torchmultiverse.units import UnitOptions, study_units

    training = parse_settings(AutoencoderTraining(), setting or ())
    options = UnitOptions(
        asked.layer, asked.factor, asked.pairs, asked.permutations, asked.rate, latents=asked.latents,
        autoencoder=training, directions=asked.directions, limit=asked.limit, words=beyond.words, crops=beyond.crops,
        groups=beyond.groups, also=tuple(beyond.also or ()), errors=beyond.errors, label=beyond.label,
        group=beyond.group, scenes=beyond.scenes, engine=beyond.engine,
    )  # fmt: skip
    study, lines = study_units(model, data, options, RunOptions(seed, features_folder(features)), out)
    finish(study, out, seed)
    write_atomic(out / "units.csv", rows_as_csv(lines).encode())
