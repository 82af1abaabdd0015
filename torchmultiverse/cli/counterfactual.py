"""The command that says what a change of one factor does to a model's answers."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def counterfactuals(
    results: Annotated[Path, typer.Argument(help="Folder that eval wrote.")],
    dataset: Annotated[Path, typer.Argument(help="Folder of the dataset that was evaluated.")],
    factor: Annotated[list[str] | None, typer.Option(help="Column; may be repeated. Default: all that vary.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Changes shown of each model and factor, the strongest first.")] = 3,
    save: Annotated[Path | None, typer.Option(help="Write all of them as JSON.")] = None,
    gallery: Annotated[Path | None, typer.Option(help="Write a PNG of pairs whose answer is lost or gained.")] = None,
) -> None:
    """Say what a change of one factor, everything else equal, does to a model's answers."""
    from torchmultiverse.evaluate import Result
    from torchmultiverse.evaluate import counterfactuals as measure
    from torchmultiverse.files import write_atomic
    from torchmultiverse.stats import told
    from torchmultiverse.store import open_dataset

    result, pictures = Result.load(results), open_dataset(dataset)
    found = measure(result, pictures, factor)
    table = Table("model", "task", "factor", "change", "pairs", "flips", "effect", "p", box=None, padding=(0, 2))
    for key in dict.fromkeys((e.model, e.task, e.setting, e.factor) for e in found):
        mine = [e for e in found if (e.model, e.task, e.setting, e.factor) == key]
        for e in sorted(mine, key=lambda e: -abs(e.effect))[:top]:
            task = e.task if e.setting in {"", "all"} else f"{e.task}, {e.setting}"
            effect = told(e.effect, e.low, e.high, e.clusters, e.grouped)
            p = "< 0.001" if e.p < 0.001 else f"{e.p:.3f}"
            table.add_row(
                e.model, task, e.factor, f"{e.first} → {e.second}", f"{e.pairs:,}", f"{100 * e.flips:.0f} %", effect, p
            )
    Console().print(table)
    if gallery is not None:
        from torchmultiverse.evaluate import pair_sheet

        strongest = sorted(found, key=lambda e: (e.p, -abs(e.effect)))[:12]
        pair_sheet(pictures, result, strongest).save(gallery)
        Console().print(f"{gallery}", highlight=False)
    if save is not None:
        write_atomic(save, (json.dumps([asdict(e) for e in found], indent=1) + "\n").encode())
