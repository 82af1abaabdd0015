"""The power analysis: how many images a comparison needs, before anything is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import eval_group, examples
from torchmultiverse.cli.options import Engine, Seed, SpecFile, option_sets, tabular
from torchmultiverse.cli.output import print_table, say, warn
from torchmultiverse.cli.render import LEVELS, levels_table

if TYPE_CHECKING:
    from torchmultiverse.stats import PowerQuestion


@dataclass(frozen=True)
class Effect:
    """The effect that is to be found, and what is expected of the answers."""

    factor: Annotated[
        str,
        typer.Option(
            help="The factor whose levels are compared with its first one.", autocompletion=completion.factors
        ),
    ]
    detect: Annotated[float, typer.Option(help="Drop of accuracy worth knowing, in points (of 100).")] = 3.0
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="Second factor: is the drop larger by so much at one of its levels?",
            autocompletion=completion.factors,
        ),
    ] = None
    confidence: Annotated[float, typer.Option(help="Percent, two-sided, shared among all comparisons.")] = 95.0
    power: Annotated[float, typer.Option(help="Percent: the chance of finding a drop that is there.")] = 80.0
    accuracy: Annotated[float, typer.Option(help="Percent, expected at the first level.")] = 75.0
    discordance: Annotated[
        float | None, typer.Option(help="Percent of pairs of which one is right and one wrong. Default: the worst.")
    ] = None

    def question(self) -> PowerQuestion:
        """Return it with shares in place of percents."""
        from torchmultiverse.stats import PowerQuestion

        discordance = None if self.discordance is None else self.discordance / 100
        return PowerQuestion(
            self.factor, self.detect / 100, self.by, self.confidence / 100, self.power / 100, self.accuracy / 100,
            discordance,
        )  # fmt: skip

    def __str__(self) -> str:
        if self.by is None:
            return f"a drop of {self.detect:g} points on {self.factor}"
        return f"a drop on {self.factor} that differs by {self.detect:g} points between levels of {self.by}"


@eval_group.command(
    "power",
    epilog=examples("torchmultiverse eval power animals --factor Character_Texture --by World_Name --detect 3"),
)
@tabular(LEVELS)
@option_sets
def power(
    spec: SpecFile,
    effect: Effect,
    engine: Engine = "builtin",
    out: Annotated[Path | None, typer.Option("--out", help="Write the smallest design as a spec to this file.")] = None,
    seed: Seed = 0,
) -> None:
    """Power analysis: how many images a comparison needs, and what they cost, before anything is rendered."""
    import numpy as np

    from torchmultiverse.connect import open_engine
    from torchmultiverse.farm import dry_run, size, smallest
    from torchmultiverse.files import write_atomic
    from torchmultiverse.scenes import load_spec, parse_spec

    loaded, question = load_spec(spec), effect.question()
    design = loaded.build()
    answer = size(design, question)
    say(
        f"To show {effect} with {effect.power:g} % power at {effect.confidence:g} % confidence: {answer.contexts:,} "
        f"settings of the other factors, each with all {answer.levels[0] * answer.levels[1]} combinations of levels."
    )
    if not answer.sufficient:
        say(
            f"The design has {answer.available:,} settings only: all of it, {answer.images:,} pictures, shows "
            f"{100 * answer.detectable:.1f} points. More levels of the other factors would help.",
            "yellow",
        )
    made = smallest(design, question, np.random.default_rng(seed))
    scenes = [made.values(i) for i in range(made.count)]
    fields = {**loaded.model_dump(mode="json"), "name": f"{loaded.name}-power"}
    needed = parse_spec({**fields, "design": {"kind": "explicit", "scenes": scenes}})
    source = open_engine(engine, assets=loaded.assets, hosted=False)
    try:
        forecast = dry_run(needed, source.catalogue())
    finally:
        source.close()
    print_table(levels_table(forecast), people=forecast)
    for problem in forecast.problems:
        warn(problem)
    if out is not None:
        write_atomic(out, needed.model_dump_json(indent=1).encode())
        say(f"{out}: torchmultiverse render {out} --out data/{needed.name}")
