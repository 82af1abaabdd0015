"""Commands about models: which there are, and whether one does what it should."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import examples, models_group
from torchmultiverse.cli.options import tabular
from torchmultiverse.cli.output import STATES, print_table, say, title
from torchmultiverse.tables import Table, text

_FAMILIES = (text("family"), text("model", "written"))
_CHECKS = (text("model", ""), text("state"), text("check"), text("finding"))


@models_group.command("list", epilog=examples("torchmultiverse models list 'open_clip:ViT-B-32/*'"))
@tabular(_FAMILIES)
def models_list(
    pattern: Annotated[str | None, typer.Argument(help="FAMILY:PATTERN. Default: how models are written.")] = None,
) -> None:
    """List model families, or the pretrained models that a library offers."""
    from torchmultiverse.models import family_forms, known_models, model_strings

    shown = Table(_FAMILIES)
    if pattern is None:
        for name, form in family_forms().items():
            shown.add(name, form)
        print_table(shown)
        say("Behind a model, options: ?resize=squash&interpolation=bilinear&precision=bfloat16", "dim")
        return
    found = model_strings([pattern]) if "*" in pattern or ":" in pattern else known_models(pattern)
    for name in found:
        shown.add(name.partition(":")[0], name)
    print_table(shown, people=Text("\n".join(found)))


@models_group.command("check", epilog=examples("torchmultiverse models check open_clip:ViT-B-32-quickgelu/openai"))
@tabular(_CHECKS)
def models_check(
    model: Annotated[
        list[str], typer.Argument(help="Model strings; * and @FILE work.", autocompletion=completion.models)
    ],
    save: Annotated[Path | None, typer.Option(help="Write the vectors of the known pictures.")] = None,
    against: Annotated[Path | None, typer.Option(help="Compare with vectors that --save wrote elsewhere.")] = None,
) -> None:
    """Try models on known pictures: finite, unit length, independent of the batch, of padding, right activation."""
    from torchmultiverse.models import check_model, load_model, model_strings

    tables = []
    for name in model_strings(model):
        loaded = load_model(name)
        info = loaded.info
        title(info.name)
        facts = [info.about, f"{info.parameters:,} parameters" if info.parameters else "", str(info.preprocess or ""),
                 info.text, f"licence {info.license}" if info.license else "licence not stated"]  # fmt: skip
        for fact in filter(None, facts):
            say(f"  {fact}", "dim")
        mine = Table(_CHECKS)
        for found in check_model(loaded, against, save):
            mine.add(info.name, found.state, found.check, found.detail, style=STATES[found.state])
        say(mine)
        tables.append(mine)
    print_table(*tables, people="")
    if any(row[1] == "fails" for table in tables for row in table.rows):
        raise typer.Exit(1)
