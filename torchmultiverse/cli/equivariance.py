"""The command that measures how parallel embeddings move."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def equivariance(
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset.")],
    model: Annotated[list[str], typer.Option(help="Image-text model, as in 'eval'; may be repeated.")],
    factor: Annotated[
        list[str] | None, typer.Option(help="Column; may be repeated. Default: all that vary but for names.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the numbers, of every single change as well, as JSON.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the intervals.")] = 0,
    embeddings: Annotated[
        Path | None, typer.Option(help="Folder that keeps what models make of pictures; default: in the cache.")
    ] = None,
) -> None:
    """Say whether a change of one factor moves the embeddings of all objects the same way (1) or not (0)."""
    from torchmultiverse.evaluate import equivariance as measure
    from torchmultiverse.evaluate import published_cosines
    from torchmultiverse.files import write_atomic
    from torchmultiverse.resources import cache_folder

    found = measure(dataset, model, factor, seed=seed, embeddings=embeddings or cache_folder("embeddings"))
    table = Table("model", "factor", "image", "text", "across", "contexts", box=None, padding=(0, 2))
    for name, results in found.items():
        for column in dict.fromkeys(result.factor for result in results):
            mine = {result.modality: result for result in results if result.factor == column}
            cells = [
                _said(r.value, r.low, r.high, r.clusters) if (r := mine.get(modality)) is not None else "–"
                for modality in ("image", "text", "across")
            ]
            table.add_row(name, column, *cells, f"{next(iter(mine.values())).contexts:,}")
    known = published_cosines()
    shown = dict.fromkeys(result.factor for results in found.values() for result in results)
    for column in [name for name in shown if (name, "image") in known]:
        means = [known[column, modality] for modality in ("image", "text", "across")]
        table.add_row(
            "published, nine models", column, *(f"{mean:.2f} ± {sd:.2f}" for mean, sd in means), "", style="dim"
        )
    Console().print(table)
    if save is not None:
        data = {name: [result.as_dict() for result in results] for name, results in found.items()}
        write_atomic(save, (json.dumps(data, indent=1) + "\n").encode())


def _said(value: float, low: float, high: float, clusters: int) -> str:
    ends = f"too few groups ({clusters})" if (low, high) == (-1, 1) else f"[{low:.2f}, {high:.2f}]"
    return f"{value:.2f} {ends}"
