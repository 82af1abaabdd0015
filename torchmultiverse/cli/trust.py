"""The command that says which pictures a representation can be trusted on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from torchmultiverse.cli.groups import analyze_group, examples
from torchmultiverse.cli.options import (
    Data,
    Factors,
    Features,
    Group,
    Label,
    Limit,
    ModelString,
    Out,
    Seed,
    features_folder,
    option_sets,
    tabular,
)
from torchmultiverse.cli.study_out import ROWS, finish


@dataclass(frozen=True)
class Scoring:
    """How pictures are scored."""

    layer: Annotated[
        str | None, typer.Option("--layer", help="Layer, as 'analyze layers' names it. Default: the last of the trunk.")
    ] = None
    epsilon: Annotated[
        float, typer.Option(min=0, help="Standard deviations of a picture's vector that an active feature stands out.")
    ] = 4.0
    low: Annotated[float, typer.Option(min=0, max=100, help="Lower end of the band of activity.")] = 50.0
    high: Annotated[float, typer.Option(min=0, max=100, help="Upper end of the band of activity.")] = 95.0
    band_of: Annotated[
        Literal["all", "live", "share"],
        typer.Option(help="What the ends are percentiles of: all features, those ever active; or shares of pictures."),
    ] = "all"
    maps: Annotated[
        int,
        typer.Option(
            min=0,
            help="Test pictures whose heat maps are compared with the exact masks, where the data have masks; 0: none.",
        ),
    ] = 200
    core: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Number in the masks of what should speak for an answer: 0 the background, 1 and 2 the characters. "
            "Default: what --label is of.",
        ),
    ] = None
    subsets: Annotated[
        bool,
        typer.Option("--subsets", help="Also train probes of parts of the features: the band, rare, generic, random."),
    ] = False
    decoder: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a decoder of a layer of the model ('train decoder'): how typical inputs are. Default: none."
        ),
    ] = None
    unlike: Annotated[
        Path | None,
        typer.Option(help="With --decoder: other pictures, which it should find less typical. Default: none."),
    ] = None
    limit: Limit = None


@analyze_group.command(
    "trust",
    epilog=examples(
        "torchmultiverse analyze trust timm:resnet50 --data data/animals",
        "torchmultiverse analyze trust ssl:encoder --data photographs --label label --epsilon 3 --out trust",
        "torchmultiverse analyze trust ssl:encoder --data data/animals --subsets",
    ),
)
@tabular(ROWS)
@option_sets
def trust(
    model: ModelString,
    data: Data,
    scoring: Scoring,
    label: Label = None,
    factor: Factors = None,
    group: Group = "auto",
    out: Out = Path("trust"),
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Score each picture without labels (Q-Score), and say whether that tells what a linear probe gets wrong.

    Beside it stand the probe's confidence, the nearness to training pictures, and a control; of data with exact masks,
    how much of what speaks for a picture lies on the object. Writes a page, and a line for each test picture.
    """
    from torchmultiverse.analyze import RunOptions
    from torchmultiverse.files import write_atomic
    from torchmultiverse.report import rows_as_csv
    from torchmultiverse.trust import TrustOptions, study_trust

    options = TrustOptions(
        scoring.layer, label, group, factor, scoring.epsilon, (scoring.low, scoring.high), scoring.band_of,
        limit=scoring.limit, maps=scoring.maps, core=scoring.core, subsets=scoring.subsets, decoder=scoring.decoder,
        unlike=scoring.unlike,
    )  # fmt: skip
    study, lines = study_trust(model, data, options, RunOptions(seed, features_folder(features)))
    finish(study, out, seed)
    write_atomic(out / "pictures.csv", rows_as_csv(lines).encode())
