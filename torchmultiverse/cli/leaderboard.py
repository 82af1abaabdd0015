"""Commands that make and check leaderboard entries, and write model cards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from torchmultiverse.cli.groups import eval_group, examples, leaderboard_group
from torchmultiverse.cli.options import Protocol, ResultModel, Results, tabular
from torchmultiverse.cli.output import STATES, print_table, say
from torchmultiverse.tables import Table, text

_CHECKS = (text("state"), text("check"), text("finding"))


@leaderboard_group.command(
    "submit", epilog=examples("torchmultiverse eval leaderboard submit results/ --model M --out m.json")
)
def submit(
    results: Results,
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    model: Annotated[str | None, typer.Option(help="Model. Default: the result's, if it has one alone.")] = None,
    contact: Annotated[str, typer.Option(help="Who submits.")] = "",
    link: Annotated[str, typer.Option(help="Where the model is described.")] = "",
) -> None:
    """Write a schema-checked entry: numbers, what they were made of, and a digest of the per-picture rows."""
    from torchmultiverse.evaluation import Result, submission

    result = Result.load(results)
    if model is None and len(result.models) > 1:
        raise typer.BadParameter(f"one of {', '.join(result.models)}", param_hint="--model")
    entry = submission(result, model or result.models[0], contact=contact, link=link)
    say(f"{entry.save(out)}: {len(entry.scores)} scores; send it along with rows.parquet")


@leaderboard_group.command("check", epilog=examples("torchmultiverse eval leaderboard check m.json --data data/spar"))
@tabular(_CHECKS)
def check_command(
    entry: Annotated[Path, typer.Argument(help="File that submit wrote.")],
    results: Annotated[Path | None, typer.Option(help="Results it was made of: compute the numbers again.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Score the model again on this dataset.")] = None,
    model: Annotated[str | None, typer.Option(help="Model string to score again; default: the entry's.")] = None,
    protocol: Protocol = "auto",
) -> None:
    """Check an entry: schema, numbers against rows, and claimed against re-run. Exit code 1 if one check fails."""
    from torchmultiverse.evaluation import Result, Submission, check

    loaded = None if results is None else Result.load(results)
    found = check(Submission.load(entry), loaded, dataset=data, model=model, protocol=protocol, quiet=False)
    shown = Table(_CHECKS)
    for item in found:
        shown.add(item.state, item.what, item.finding, style=STATES[item.state])
    print_table(shown)
    if any(item.state == "fails" for item in found):
        raise typer.Exit(1)


@eval_group.command("card", epilog=examples("torchmultiverse eval card results/ --model M --out README.md"))
def card(
    results: Results,
    model: ResultModel = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default: print.")] = None,
) -> None:
    """Write a model card: under which conditions the model works, and where it does not."""
    from torchmultiverse.evaluation import Result, ranked
    from torchmultiverse.report import model_card, write_card

    result = Result.load(results)
    name = model or ranked(result)[0]
    if out is None:
        typer.echo(model_card(result, name))
    else:
        say(str(write_card(result, name, out)))
