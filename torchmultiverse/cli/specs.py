"""The specs that come with the package, and the schema of all."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import examples, specs_group
from torchmultiverse.cli.options import tabular
from torchmultiverse.cli.output import print_table
from torchmultiverse.errors import SpecError, nearest
from torchmultiverse.tables import Table, number, text

_AS_PUBLISHED = "A config as PUG has them, lists of levels alone: every combination of these"
_SPECS = (text("name"), number("images"), text("family"), text("about", "what it is"))


@specs_group.command(
    "list", epilog=examples("torchmultiverse specs list", "torchmultiverse render spar --out data/spar --dry-run")
)
@tabular(_SPECS)
def list_() -> None:
    """List the specs that can be named wherever a spec's file can."""
    from torchmultiverse.scenes import load_spec, shipped_specs

    shown = Table(_SPECS)
    for name, path in shipped_specs().items():
        spec = load_spec(path)
        first = spec.description.split(". ")[0].split("; ")[0].rstrip(".")
        shown.add(name, spec.build().count, spec.family, first or _AS_PUBLISHED)
    print_table(shown)


@specs_group.command("show", epilog=examples("torchmultiverse specs show spar > mine.json"))
def show(
    name: Annotated[str, typer.Argument(help="Of 'specs list'.", autocompletion=completion.shipped)],
) -> None:
    """Print one, to copy and change."""
    from torchmultiverse.scenes import shipped_specs, spec_path

    path = spec_path(name)
    if path not in shipped_specs().values():
        raise SpecError(f"no spec '{name}' comes with the package.{nearest(name, shipped_specs())}")
    print(path.read_text("utf-8"), end="")


@specs_group.command("schema", epilog=examples("torchmultiverse specs schema > spec.schema.json"))
def schema() -> None:
    """Print the JSON Schema of spec files."""
    from torchmultiverse.scenes import json_schema

    print(json.dumps(json_schema(), indent=1))
