"""The command that says how far what a model knows of a content depends on a domain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import analyze_group, examples
from torchmultiverse.cli.options import (
    Data,
    Features,
    Group,
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
class Asking:
    """Where it is asked, and how."""

    layer: Annotated[
        list[str] | None,
        typer.Option(
            help="Layer, as 'analyze layers' names it; may be repeated, the last one has all tables. "
            "Default: up to eight cuts."
        ),
    ] = None
    factor: Annotated[
        list[str] | None,
        typer.Option(
            help="Candidate of the leak table; may be repeated. Default: all that vary.",
            autocompletion=completion.columns,
        ),
    ] = None
    group: Group = "auto"
    probe: Annotated[str, typer.Option(help="logistic, linear, knn or mlp.")] = "logistic"
    clusters: Annotated[
        int | None,
        typer.Option(min=2, help="Clusters. Default: as many as the domain has levels; with auto 3 for the domain."),
    ] = None
    limit: Limit = None


@analyze_group.command(
    "domains",
    epilog=examples(
        "torchmultiverse analyze domains timm:resnet18 --data data/animals --domain world_name "
        "--content character_name",
        "torchmultiverse analyze domains ssl:encoder --data data/animals --domain world_name --content character_name "
        "--unseen 'World_Name in (Desert, Snow)' --layer trunk --layer head.2",
        "torchmultiverse analyze domains timm:resnet18 --data PACS --domain label --content folder_2 --out pacs",
    ),
)
@tabular(ROWS)
@option_sets
def domains(
    model: ModelString,
    data: Data,
    content: Annotated[str, typer.Option(help="Column that a probe is to tell.", autocompletion=completion.columns)],
    domain: Annotated[
        str,
        typer.Option(
            "--domain",
            "--domains",
            help="Column that it should not depend on; auto: clusters of the last layer.",
            autocompletion=completion.columns,
        ),
    ] = "auto",
    unseen: Annotated[
        str | None,
        typer.Option(
            help="Rows that are not trained on, as --where of 'render': levels of the domain, or combinations of both. "
            "Default: every level in turn."
        ),
    ] = None,
    *,
    asking: Asking,
    out: Out = Path("domains"),
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Say what an unseen domain or combination costs, how well domains are told at each layer, and which factor leaks.

    Columns of a folder of images are label, its first folder, and folder_2, folder_3 for deeper ones. What is
    interrupted goes on with the same command.
    """
    from torchmultiverse.analyze import RunOptions
    from torchmultiverse.transfer import DomainOptions, domain_study, measure_domains

    options = DomainOptions(
        content, domain, unseen, asking.layer, asking.factor, asking.group, asking.probe, asking.clusters, asking.limit
    )
    run = RunOptions(seed, features_folder(features))
    found = measure_domains(model, data, options, run, out / "domains-parts.json")
    finish(domain_study(found), out, seed)
