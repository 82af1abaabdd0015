"""The specs that come with the package."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from torchmultiverse.errors import SpecError, nearest

specs_app = typer.Typer(help="The specs that come with the package.", no_args_is_help=True)


@specs_app.command(
    "list", epilog="Example: `torchmultiverse specs list`, then `torchmultiverse render spar --out data/spar --dry-run`"
)
def list_() -> None:
    """List the specs that can be named wherever a spec's file can."""
    from torchmultiverse.scenes import load_spec, shipped_specs

    table = Table("name", "pictures", "family", "what it is", box=None, padding=(0, 2))
    for name, path in shipped_specs().items():
        spec = load_spec(path)
        first = spec.description.split(". ")[0].split("; ")[0].rstrip(".")
        table.add_row(name, f"{spec.build().count:,}", spec.family, first)
    Console().print(table)


@specs_app.command(epilog="Example: `torchmultiverse specs show spar > mine.json`")
def show(name: Annotated[str, typer.Argument(help="Of specs list.")]) -> None:
    """Print one, to copy and change."""
    from torchmultiverse.scenes import shipped_specs, spec_path

    path = spec_path(name)
    if path not in shipped_specs().values():
        raise SpecError(f"no spec '{name}' comes with the package.{nearest(name, shipped_specs())}")
    print(path.read_text("utf-8"), end="")
