"""Commands that look inside a model."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from torchmultiverse.cli.options import Embeddings, Group

out = Console()


def layers(
    model: Annotated[str, typer.Argument(help="Model string, as in 'eval'.")],
    every: Annotated[bool, typer.Option("--every", help="Also points that a skip connection goes round.")] = False,
) -> None:
    """List the points of a model whose features can be asked for, with their sizes."""
    from torchmultiverse.features import layers_of
    from torchmultiverse.models import load_model

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
    everything: Annotated[
        bool, typer.Option("--all", help="All probes, fewer labels, geometry, pictures of layers, what was memorized.")
    ] = False,
    geometry: Annotated[
        bool, typer.Option("--geometry/--no-geometry", help="Ranks, sensitivities, similarity of layers, DCI.")
    ] = True,
    group: Group = "auto",
    labels: Annotated[
        float | None, typer.Option(help="Label budget: a share of the training pictures, or so many of each level.")
    ] = None,
    against: Annotated[str | None, typer.Option(help="Another model: how alike its layers are to these (CKA).")] = None,
    sets: Annotated[
        Path | None, typer.Option(help="With --all: file of 'dejavu split' that says what the model saw.")
    ] = None,
    other: Annotated[str | None, typer.Option("--b", help="With --sets: the model that saw B.")] = None,
    boxes: Annotated[Path | None, typer.Option(help="With --sets: boxes of photographs; see 'dejavu score'.")] = None,
    decoder_steps: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="With --all: steps of the decoders that draw pictures; 0 for no pictures. Default: 20,000 at 64 "
            "pixels on a GPU, 2,000 at 32 without.",
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(help="Of data that forbid drawing pictures, by name, from those who have other rights."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=50, help="So many pictures at most, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(help="Of draws, splits and probes.")] = 0,
    embeddings: Embeddings = None,
) -> None:
    """Say what a model knows at every layer, where to cut it, and how its layers are shaped; writes a page.

    With --all also what is read with fewer labels, pictures of what its layers know (RCDM) and questions to them, and
    what it memorized (déjà vu). What is interrupted goes on with the same command.
    """
    from torchmultiverse.analyze import (
        PROBES,
        AnalysisOptions,
        ObjectRemoval,
        RunOptions,
        add_memorization,
        add_samples,
        analyze_model,
        default_decoder_training,
    )
    from torchmultiverse.evaluate import plain
    from torchmultiverse.report import write_report
    from torchmultiverse.resources import cache_folder, versions
    from torchmultiverse.stats import told

    run = RunOptions(seed, embeddings or cache_folder("embeddings"))
    options = AnalysisOptions(
        layer or "cuts", factor, list(PROBES) if everything and probe is None else probe or ["logistic"], group,
        None if labels is None else labels if labels <= 1 else int(labels), geometry or everything, everything, against,
        limit,
    )  # fmt: skip
    found = analyze_model(model, data, options, run)
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    packages = ", ".join(f"{k} {v}" for k, v in versions(("torch", "timm", "open_clip_torch")).items())
    found = found.model_copy(update={"provenance": {"command": command, "seed": seed, "packages": packages}})
    if everything:
        removal = None if boxes is None else ObjectRemoval("boxes", boxes)
        found = add_memorization(found, model, data, sets, other, removal, run)
        training, _ = default_decoder_training()
        if decoder_steps is not None:
            training = replace(training, steps=decoder_steps)
        if training.steps:
            found.save(out_folder)  # decoders take long: what is known is there before
            write_report(found, out_folder)
            found = add_samples(found, model, data, out_folder, training, None, limit, licence, run)
    found.save(out_folder)
    page = write_report(found, out_folder)
    table = Table("factor", "probe", "best cut", "there", "at the end", "lost", box=None, padding=(0, 2))
    assert found.probing is not None
    for cut in found.probing.cuts:
        last = found.probing.curve(cut.factor, cut.probe)[-1]
        table.add_row(
            plain(cut.factor), cut.probe, cut.best, f"{100 * cut.score:.1f}", f"{100 * last.score:.1f}",
            "–" if cut.best == cut.end else told(cut.cost, cut.cost_low, cut.cost_high, cut.groups, signed=False),
        )  # fmt: skip
    out.print(table)
    for drawn in found.samples:
        out.print(f"{drawn.config['layer']}: {drawn.fidelity.summary}")
    if found.memorization:
        for one in found.memorization.layers:
            whole = one.score.at(1.0)
            points = [f"{100 * value:.1f}" for value in (whole.score, whole.low, whole.high)]
            out.print(f"memorized at {one.layer}: {points[0]} points [{points[1]}, {points[2]}]")
    for note in (*found.probing.notes, *found.notes):
        out.print(f"not asked: {note}", style="dim")
    out.print(f"page     {page.resolve().as_uri()}", highlight=False, soft_wrap=True)


def guillotine(
    data: Annotated[Path, typer.Argument(help="Folder of a dataset, or of pictures in folders of classes.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of encoders, page and numbers.")] = Path(
        "guillotine"
    ),
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help="'NAME: method=simclr pairs=character_name', or 'NAME: method=supervised label=camera_yaw'; may be "
            "repeated. Default: views, views that keep colours, pairs of a class, supervised by up to three columns."
        ),
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Of all recipes, as epochs=50; may be repeated.")
    ] = None,
    factor: Annotated[list[str] | None, typer.Option(help="Column; may be repeated. Default: all that vary.")] = None,
    group: Group = "auto",
    seed: Annotated[int, typer.Option(help="Of halves and probes.")] = 0,
    embeddings: Embeddings = None,
) -> None:
    """Train encoders by several recipes, and say for which factors their heads are better cut off (misalignment)."""
    from torchmultiverse.analyze import RunOptions, measure_misalignment, parse_recipe
    from torchmultiverse.evaluate import plain
    from torchmultiverse.report import write_report
    from torchmultiverse.resources import cache_folder
    from torchmultiverse.stats import told
    from torchmultiverse.train import Training, with_settings

    base = with_settings(Training(), setting or ())
    recipes = [parse_recipe(text, base) for text in recipe] if recipe else None
    run = RunOptions(seed, embeddings or cache_folder("embeddings"))
    found = measure_misalignment(data, out_folder, recipes, factor, base, group, run)
    table = Table("training", "factor", "trunk", "head", "gained by cutting", box=None, padding=(0, 2))
    for of, mine in zip(found.recipes, found.gaps, strict=True):
        for gap in mine:
            table.add_row(
                of.name, plain(gap.factor), f"{100 * gap.first:.1f}", f"{100 * gap.last:.1f}",
                told(gap.gap, gap.low, gap.high, gap.groups),
            )  # fmt: skip
    out.print(table)
    found.save(out_folder)
    page = write_report(found, out_folder)
    out.print(f"page     {page.resolve().as_uri()}", highlight=False, soft_wrap=True)
