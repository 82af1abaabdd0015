"""Commands that score models and show the scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

out = Console()


def evaluate_command(
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset.")],
    model: Annotated[
        list[str],
        typer.Option(help="A model string, see `models list`; * and @FILE work; may be repeated."),
    ],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the results.")] = Path("results"),
    protocol: Annotated[str, typer.Option(help="auto, or the name or path of a protocol file.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    embeddings: Annotated[
        Path | None, typer.Option(help="Folder that keeps what models make of pictures; default: in the cache.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="Whether that is kept at all.")] = True,
    precision: Annotated[str, typer.Option(help="float32, bfloat16, or auto: the latter on a GPU.")] = "auto",
    batch: Annotated[int | None, typer.Option(min=1, help="Pictures per call; default: found by trying.")] = None,
    audit: Annotated[
        int, typer.Option(min=0, help="Encode so many pictures again, one by one in float32; 0: none.")
    ] = 0,
) -> None:
    """Score models on a dataset and print the leaderboard. Each picture passes once, ever, through each model."""
    from torchmultiverse.evaluate import evaluate, leaderboard
    from torchmultiverse.models import model_strings
    from torchmultiverse.resources import cache_folder

    store = (embeddings or cache_folder("embeddings")) if keep else None
    models = model_strings(model)
    if precision not in ("auto", "float32", "bfloat16"):
        raise typer.BadParameter(f"'{precision}' is not float32, bfloat16 or auto", param_hint="--precision")
    result = evaluate(
        dataset, models, protocol=protocol, out=out_folder, seed=seed, embeddings=store,
        precision=precision,  # type: ignore[arg-type]
        batch_size=batch or "auto", audit=audit,
    )  # fmt: skip
    out.print(leaderboard(result))
    if len(result.models) > 1:
        from torchmultiverse.evaluate import standings

        shown = [f"{s.model} ({s.groups})" for s in standings(result, seed)]
        out.print(f"places: {', '.join(shown)}; models that share a letter cannot be told apart", highlight=False)
    for name, found in result.provenance["audits"].items():
        out.print(f"audit of {name}: {found['changed']} of {found['answers']} answers change when {found['pictures']} "
                  f"pictures are encoded one by one in float32", highlight=False)  # fmt: skip
    out.print(f"results in {out_folder}; the page: torchmultiverse report {out_folder}", highlight=False)


def report(
    results: Annotated[Path, typer.Argument(help="Folder that eval, or a command of an analysis, wrote.")],
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder of the page; default: inside results.")
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="What was evaluated: its pictures are shown beside every answer.")
    ] = None,
) -> None:
    """Make the HTML pages, and the tables, of what was saved: results of an evaluation, or any analysis."""
    from torchmultiverse.report import load_record, write_report
    from torchmultiverse.store import open_dataset

    pictures = None if dataset is None else open_dataset(dataset)
    record, place = load_record(results)
    page = write_report(record, out_folder or place, pictures, quiet=False)
    out.print(f"{page}", highlight=False)
