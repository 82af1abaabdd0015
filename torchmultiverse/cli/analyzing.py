"""Commands that look inside a model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

out = Console()


def layers(
    model: Annotated[str, typer.Argument(help="Model string, as in 'eval'.")],
    every: Annotated[bool, typer.Option("--every", help="Also points that a skip connection goes round.")] = False,
) -> None:
    """List the points of a model whose features can be asked for, with their sizes."""
    from torchmultiverse.models import load_model
    from torchmultiverse.models.layers import layers_of

    table = Table("", "layer", "one picture's output", "features", "kind", box=None, padding=(0, 2))
    for depth, layer in enumerate(layers_of(load_model(model), every)):
        style = None if layer.cut else "dim"
        shape = " × ".join(str(side) for side in layer.shape)
        table.add_row(str(depth), layer.name, shape, f"{layer.size:,}", layer.module, style=style)
    out.print(table)
    out.print(
        "Pooled by the mean; NAME@cls takes the first token, NAME@max the largest value."
        + (" Dim: no place to cut, a skip connection goes round it." if every else ""),
        style="dim",
    )


def analyze(
    model: Annotated[str, typer.Argument(help="Model string, as in 'eval'.")],
    data: Annotated[Path, typer.Option(help="Folder of a dataset, or of pictures in folders of classes.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the page and the numbers.")] = Path("analysis"),
    layer: Annotated[
        list[str] | None, typer.Option(help="Layer, as 'layers' names them; may be repeated. Default: all cuts.")
    ] = None,
    factor: Annotated[list[str] | None, typer.Option(help="Column; may be repeated. Default: all that vary.")] = None,
    probe: Annotated[
        list[str] | None, typer.Option(help="logistic, linear, knn or mlp; may be repeated. Default: logistic.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All probes, and the geometry.")] = False,
    geometry: Annotated[
        bool, typer.Option("--geometry/--no-geometry", help="Ranks, sensitivities, similarity of layers, DCI.")
    ] = True,
    group: Annotated[
        str, typer.Option(help="Column whose groups are in one part only; auto, or rows for none.")
    ] = "auto",
    labels: Annotated[
        float | None, typer.Option(help="Label budget: a share of the training pictures, or so many of each level.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=50, help="So many pictures at most, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(help="Of draws, splits and probes.")] = 0,
    embeddings: Annotated[Path | None, typer.Option(help="Folder of kept features; default: in the cache.")] = None,
) -> None:
    """Say what a model knows at every layer, where to cut it, and how its layers are shaped; writes a page."""
    from torchmultiverse.analyze.analysis import Analysis
    from torchmultiverse.analyze.depth import depths
    from torchmultiverse.analyze.features import features_of
    from torchmultiverse.analyze.geometry import shapes
    from torchmultiverse.analyze.probes import PROBES
    from torchmultiverse.evaluate.data import manifest_hash, open_pictures
    from torchmultiverse.report.analysis import plain
    from torchmultiverse.resources import cache_folder, versions

    pictures = open_pictures(data)
    kept = embeddings or cache_folder("embeddings")
    features = features_of(model, pictures, layer or "cuts", kept, limit, seed)
    probes = list(PROBES) if everything and probe is None else probe or ["logistic"]
    budget = None if labels is None else labels if labels <= 1 else int(labels)
    found = depths(features, factor, probes, group, budget, seed)
    shaped = shapes(features, factor, seed) if geometry or everything else []
    analysis = Analysis(
        features.facts,
        {"name": features.dataset, "pictures": len(features), "manifest_sha256": manifest_hash(pictures)},
        found,
        tuple(shaped),
        {
            "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "seed": seed,
            "packages": ", ".join(f"{k} {v}" for k, v in versions(("torch", "timm", "open_clip_torch")).items()),
        },
    )
    page = analysis.save(out_folder)
    table = Table("factor", "probe", "best cut", "there", "at the end", "lost", box=None, padding=(0, 2))
    for cut in found.cuts:
        last = found.curve(cut.factor, cut.probe)[-1]
        table.add_row(
            plain(cut.factor), cut.probe, cut.best, f"{100 * cut.score:.1f}", f"{100 * last.score:.1f}",
            f"{100 * cut.cost:.1f} [{100 * cut.cost_low:.1f}, {100 * cut.cost_high:.1f}]",
        )  # fmt: skip
    out.print(table)
    for note in found.notes:
        out.print(f"not asked: {note}", style="dim")
    out.print(f"page     {page.resolve().as_uri()}", highlight=False, soft_wrap=True)
