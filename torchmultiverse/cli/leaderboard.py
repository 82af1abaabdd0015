"""Commands that make and check leaderboard entries, and write model cards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

leaderboard_app = typer.Typer(no_args_is_help=True, help="Leaderboard entries: make one, check one.")
out = Console()
_COLOURS = {"ok": "green", "note": "yellow", "fails": "red"}


@leaderboard_app.command(
    "submit", epilog="Example: `torchmultiverse leaderboard submit results/ --model M --out m.json`"
)
def submit(
    results: Annotated[Path, typer.Argument(help="Folder that eval wrote.")],
    out_file: Annotated[Path, typer.Option("--out", help="File to write.")],
    model: Annotated[str | None, typer.Option(help="Model; needed where the result has several.")] = None,
    contact: Annotated[str, typer.Option(help="Who submits.")] = "",
    link: Annotated[str, typer.Option(help="Where the model is described.")] = "",
) -> None:
    """Write a schema-checked entry: numbers, what they were made of, and a digest of the per-picture rows."""
    from torchmultiverse.evaluate import Result, submission

    result = Result.load(results)
    if model is None and len(result.models) > 1:
        raise typer.BadParameter(f"one of {', '.join(result.models)}", param_hint="--model")
    entry = submission(result, model or result.models[0], contact, link)
    out.print(f"{entry.save(out_file)}: {len(entry.scores)} scores; send it along with rows.parquet", highlight=False)


@leaderboard_app.command("check", epilog="Example: `torchmultiverse leaderboard check m.json --dataset data/spar`")
def check_command(
    entry: Annotated[Path, typer.Argument(help="File that submit wrote.")],
    results: Annotated[Path | None, typer.Option(help="Results it was made of: compute the numbers again.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="Score the model again on this dataset.")] = None,
    model: Annotated[str | None, typer.Option(help="Model string to score again; default: the entry's.")] = None,
    protocol: Annotated[str, typer.Option(help="Protocol file, if the package has none of that name.")] = "auto",
) -> None:
    """Check an entry: schema, numbers against rows, and claimed against re-run. Exit code 1 if one check fails."""
    from torchmultiverse.evaluate import Result, Submission, check

    loaded = None if results is None else Result.load(results)
    found = check(Submission.load(entry), loaded, dataset=dataset, model=model, protocol=protocol, quiet=False)
    for item in found:
        out.print(f"[{_COLOURS[item.state]}]{item.state:5}[/] {item.what}: {item.finding}", highlight=False)
    if any(item.state == "fails" for item in found):
        raise typer.Exit(1)


def card(
    results: Annotated[Path, typer.Argument(help="Folder that eval wrote.")],
    model: Annotated[str | None, typer.Option(help="Model; default: the best.")] = None,
    out_file: Annotated[Path | None, typer.Option("--out", help="File to write; default: print.")] = None,
) -> None:
    """Write a model card: under which conditions the model works, and where it does not."""
    from torchmultiverse.evaluate import Result, ranked
    from torchmultiverse.report import model_card, write_card

    result = Result.load(results)
    name = model or ranked(result)[0]
    if out_file is None:
        typer.echo(model_card(result, name))
    else:
        out.print(f"{write_card(result, name, out_file)}", highlight=False)
