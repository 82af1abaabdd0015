"""The command that says how many pictures a question needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def plan(
    spec: Annotated[Path, typer.Argument(help="Spec file, or a name of specs list, with a factorial design.")],
    factor: Annotated[str, typer.Option(help="The factor whose levels are compared with its first one.")],
    detect: Annotated[float, typer.Option(help="Drop of accuracy worth knowing, in points (of 100).")] = 3.0,
    by: Annotated[
        str | None, typer.Option("--by", help="Second factor: is the drop larger by so much at one of its levels?")
    ] = None,
    confidence: Annotated[float, typer.Option(help="Percent, two-sided, shared among all comparisons.")] = 95.0,
    power: Annotated[float, typer.Option(help="Percent: the chance of finding a drop that is there.")] = 80.0,
    accuracy: Annotated[float, typer.Option(help="Percent, expected at the first level.")] = 75.0,
    discordance: Annotated[
        float | None,
        typer.Option(help="Percent of pairs of which one is right and one wrong; default: the worst."),
    ] = None,
    engine: Annotated[str, typer.Option(help="For the estimate of time and disk, as in 'render'.")] = "builtin",
    save: Annotated[Path | None, typer.Option(help="Write the smallest design as a spec.")] = None,
    seed: Annotated[int, typer.Option(help="Of the choice of settings.")] = 0,
) -> None:
    """Say how many pictures a question needs, and what they cost, before anything is rendered."""
    import numpy as np

    from torchmultiverse.connect import open_engine
    from torchmultiverse.farm import plan as forecast
    from torchmultiverse.farm import size, smallest
    from torchmultiverse.files import write_atomic
    from torchmultiverse.scenes import load_spec, parse_spec
    from torchmultiverse.stats import Question

    out = Console()
    loaded = load_spec(spec)
    share = None if discordance is None else discordance / 100
    question = Question(factor, detect / 100, by, confidence / 100, power / 100, accuracy / 100, share)
    design = loaded.build()
    answer = size(design, question)
    what = f"a drop of {detect:g} points on {factor}"
    if by is not None:
        what = f"a drop on {factor} that differs by {detect:g} points between levels of {by}"
    out.print(
        f"To show {what} with {power:g} % power at {confidence:g} % confidence: {answer.contexts:,} settings of the "
        f"other factors, each with all {answer.levels[0] * answer.levels[1]} combinations of levels.",
        highlight=False,
    )
    if not answer.enough:
        out.print(
            f"The design has {answer.available:,} settings only: all of it, {answer.pictures:,} pictures, shows "
            f"{100 * answer.detectable:.1f} points. More levels of the other factors would help.",
            style="yellow", highlight=False,
        )  # fmt: skip
    made = smallest(design, question, np.random.default_rng(seed))
    scenes = [made.values(i) for i in range(made.count)]
    fields = {**loaded.model_dump(mode="json"), "name": f"{loaded.name}-plan"}
    planned = parse_spec({**fields, "design": {"kind": "explicit", "scenes": scenes}})
    source = open_engine(engine, assets=loaded.assets, hosted=False)
    try:
        out.print(forecast(planned, source.catalogue()))
    finally:
        source.close()
    if save is not None:
        write_atomic(save, planned.model_dump_json(indent=1).encode())
        out.print(f"{save}: torchmultiverse render {save} --out data/{planned.name}", highlight=False, soft_wrap=True)
