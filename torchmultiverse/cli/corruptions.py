"""The command that asks what corruptions cost at every layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from torchmultiverse.cli.groups import analyze_group, examples
from torchmultiverse.cli.options import (
    Data,
    Features,
    Group,
    Label,
    Layers,
    Limit,
    ModelString,
    Out,
    Seed,
    features_folder,
    images_of,
    option_sets,
    tabular,
)
from torchmultiverse.cli.study_out import ROWS, finish


@dataclass(frozen=True)
class Asked:
    """Which corruptions, and how they are read."""

    corruptions: Annotated[
        str,
        typer.Option(
            "--corruptions",
            help="all, imagenet-c, a family (noise, blur, weather, digital, extra, depth, camera) or "
            "names of types, with commas.",
        ),
    ] = "imagenet-c"
    severity: Annotated[str, typer.Option("--severity", help="Severities from 1 to 5, with commas.")] = "1,2,3,4,5"
    label: Label = None
    layer: Layers = None
    group: Group = "auto"
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            help="Column of a rendered condition that is compared with filters of the same strength, "
            "such as fog_visibility; may be repeated; none for none. Default: all that vary.",
        ),
    ] = None
    side: Annotated[
        int, typer.Option("--side", min=0, help="Images are first resized to a shorter side of so many pixels; 0: not.")
    ] = 224  # fmt: skip


@analyze_group.command(
    "corruptions",
    epilog=examples(
        "torchmultiverse analyze corruptions timm:resnet50 --data data/animals --severity 1,3,5 --out corrupted",
        "torchmultiverse analyze corruptions timm:vit_base_patch16_224 --data data/weather --corruptions fog,fog_3d "
        "--condition fog_visibility",
    ),
)
@tabular(ROWS)
@option_sets
def corruptions(
    model: ModelString,
    data: Data,
    asked: Asked,
    limit: Limit = None,
    out: Out = Path("corruptions"),
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Say what corruptions cost at every layer: probes learn from plain images and are asked about corrupted ones.

    Where scenes were also rendered under a condition (fog, lens, noise, exposure, snow), that is compared with a 2-D
    filter and a filter that knows depth, both as strong. Features are kept, so that what is interrupted goes on.
    """
    from torchmultiverse.analyze import CorruptedLayerOptions, RunOptions, analyze_corruptions
    from torchmultiverse.corruptions import parse_severities
    from torchmultiverse.files import check_folder

    check_folder(out)
    options = CorruptedLayerOptions(
        asked.corruptions, parse_severities(asked.severity), asked.label, asked.layer or "cuts", asked.group,
        asked.side or None,
    )  # fmt: skip
    conditions = [] if asked.condition == ["none"] else asked.condition
    images = images_of(data, limit, seed)
    study = analyze_corruptions(model, images, options, conditions, RunOptions(seed, features_folder(features)))
    finish(study, out, seed)
