"""Commands about models: which there are, and whether one does what it should."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

models_app = typer.Typer(no_args_is_help=True, help="Models: which there are, and whether they work as declared.")
_COLOURS = {"ok": "green", "note": "yellow", "fails": "red"}


@models_app.command("list", epilog="Example: `torchmultiverse models list 'open_clip:ViT-B-32/*'`")
def models_list(
    pattern: Annotated[str | None, typer.Argument(help="FAMILY:PATTERN; without it, how models are written.")] = None,
) -> None:
    """List model families, or the pretrained models that a library offers."""
    from torchmultiverse.models import family_forms, known_models, model_strings

    console = Console()
    if pattern is None:
        table = Table("family", "written", box=None, padding=(0, 2))
        for name, form in family_forms().items():
            table.add_row(name, form)
        console.print(table)
        console.print("Behind a model, options: ?resize=squash&interpolation=bilinear&precision=bfloat16", style="dim")
        return
    found = model_strings([pattern]) if "*" in pattern or ":" in pattern else known_models(pattern)
    for name in found:
        typer.echo(name)


@models_app.command("check", epilog="Example: `torchmultiverse models check open_clip:ViT-B-32-quickgelu/openai`")
def models_check(
    model: Annotated[list[str], typer.Argument(help="Model strings; * and @FILE work.")],
    save: Annotated[Path | None, typer.Option(help="Write the vectors of the known pictures.")] = None,
    against: Annotated[Path | None, typer.Option(help="Compare with vectors that --save wrote elsewhere.")] = None,
) -> None:
    """Try models on known pictures: finite, unit length, independent of the batch, of padding, right activation."""
    from torchmultiverse.models import check_model, load_model, model_strings

    console, failed = Console(), False
    for name in model_strings(model):
        loaded = load_model(name)
        info = loaded.info
        console.print(f"[bold]{info.name}[/]", highlight=False)
        facts = [info.about, f"{info.parameters:,} parameters" if info.parameters else "", str(info.preprocess or ""),
                 info.text, f"licence {info.license}" if info.license else "licence not stated"]  # fmt: skip
        for fact in filter(None, facts):
            console.print(f"  {fact}", style="dim", highlight=False, markup=False)
        for finding in check_model(loaded, against, save):
            failed |= finding.state == "fails"
            console.print(f"  [{_COLOURS[finding.state]}]{finding.state:5}[/] {finding.check}: {finding.detail}")
    if failed:
        raise typer.Exit(1)
