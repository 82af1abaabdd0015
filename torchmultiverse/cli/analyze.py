"""Commands that say what a representation knows."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.all_studies import add_studies
from torchmultiverse.cli.groups import analyze_group, examples
from torchmultiverse.cli.options import (
    AcceptedLicense,
    Boxes,
    Data,
    Factors,
    Features,
    Group,
    Images,
    Layers,
    Limit,
    ModelString,
    Out,
    Seed,
    Seeds,
    Settings,
    SplitsFile,
    features_folder,
    loggable,
    option_sets,
    tabular,
)
from torchmultiverse.cli.output import difference, interval, place, print_table, say
from torchmultiverse.cli.output import factor as factor_column
from torchmultiverse.tables import Column, Table, number, share, text

if TYPE_CHECKING:
    from torchmultiverse.analyze import Analysis, RunOptions

_LAYERS = (
    number("depth", ""), text("layer"),
    Column(("shape",), "one image's output", lambda shape: " × ".join(map(str, shape)), "sides"),
    number("features"), text("kind"), Column(("cut",), "", unit="false where a skip connection goes round it"),
)  # fmt: skip
_CUTS = (
    factor_column(), text("probe"), text("best_cut"), share("score", "there"), share("end_score", "at the end"),
    difference("lost", noun="groups", signed=False),
)  # fmt: skip
_GAPS = (
    text("training"), text("dataset"), factor_column(), share("trunk"), share("head"),
    difference("gained", "gained by cutting", noun="groups"), share("gained_std", "± over trainings"),
)  # fmt: skip


@analyze_group.command("layers", epilog=examples("torchmultiverse analyze layers timm:vit_base_patch16_224"))
@tabular(_LAYERS)
def layers(
    model: ModelString,
    every: Annotated[bool, typer.Option("--every", help="Also points that a skip connection goes round.")] = False,
) -> None:
    """List the points of a model whose features can be asked for, with their sizes."""
    from torchmultiverse.features import layers_of
    from torchmultiverse.models import load_model

    rows = Table(_LAYERS)
    for depth, at in enumerate(layers_of(load_model(model), every)):
        rows.add(depth, at.name, at.shape, at.size, at.module, at.cut, style=None if at.cut else "dim")
    print_table(rows)
    say(
        "Pooled by the mean; NAME@cls takes the first token, NAME@max the largest value."
        + (" Dim: no place to cut, a skip connection goes round it." if every else ""),
        "dim",
    )


@dataclass(frozen=True)
class Probing:
    """What is read at each layer, and how."""

    layer: Layers = None
    factor: Factors = None
    probe: Annotated[
        list[str] | None, typer.Option(help="logistic, linear, knn or mlp; may be repeated. Default: logistic.")
    ] = None
    geometry: Annotated[
        bool, typer.Option("--geometry/--no-geometry", help="Ranks, sensitivities, similarity of layers, DCI.")
    ] = True
    group: Group = "auto"
    labels: Annotated[
        float | None,
        typer.Option(help="Label budget: a share of the training images, or so many of each level. Default: all."),
    ] = None
    against: Annotated[str | None, typer.Option(help="Another model: how alike its layers are to these (CKA).")] = None
    limit: Limit = None


@dataclass(frozen=True)
class Everything:
    """What is done besides with ``--all``."""

    everything: Annotated[
        bool, typer.Option("--all", help="All probes, fewer labels, geometry, images of layers, what was memorized.")
    ] = False
    splits: SplitsFile = None
    other: Annotated[
        str | None, typer.Option("--b", help="With --splits: the model that saw B. Default: the model is scored alone.")
    ] = None
    boxes: Boxes = None
    decoder_steps: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="With --all: steps of the decoders that draw images; 0 for no images. Default: 20,000 at 64 "
            "pixels on a GPU, 2,000 at 32 without.",
        ),
    ] = None
    accept_license: AcceptedLicense = None


@analyze_group.command(
    "model", epilog=examples("torchmultiverse analyze model timm:vit_base_patch16_224 --data data/animals --all")
)
@tabular(_CUTS)
@loggable
@option_sets
def model_command(
    model: ModelString,
    data: Data,
    probing: Probing,
    everything: Everything,
    out: Out = Path("analysis"),
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Say what a model knows at every layer, where to cut it, and how its layers are shaped; writes a page.

    With --all also what is read with fewer labels, images of what its layers know (RCDM) and questions to them, what
    it memorized (déjà vu), and, on pages of their own, what its units detect and which pictures it can be trusted on;
    what is not asked is told with the reason. What is interrupted goes on with the same command.
    """
    from torchmultiverse.analyze import PROBES, AnalysisOptions, RunOptions, analyze_model
    from torchmultiverse.report import write_report
    from torchmultiverse.resources import versions

    full, run, labels = everything.everything, RunOptions(seed, features_folder(features)), probing.labels
    options = AnalysisOptions(
        probing.layer or "cuts", probing.factor,
        list(PROBES) if full and probing.probe is None else probing.probe or ["logistic"], probing.group,
        None if labels is None else labels if labels <= 1 else int(labels), probing.geometry or full, full,
        probing.against, probing.limit,
    )  # fmt: skip
    found = analyze_model(model, data, options, run)
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    packages = ", ".join(f"{k} {v}" for k, v in versions(("torch", "timm", "open_clip_torch")).items())
    found = found.model_copy(update={"provenance": {"command": command, "seed": seed, "packages": packages}})
    if full:
        found = _rest(found, model, data, out, everything, probing.limit, run)
        last = probing.layer[-1] if probing.layer else None
        notes = add_studies(model, data, out, run, last, probing.factor, probing.group, probing.limit)
        found = found.model_copy(update={"notes": (*found.notes, *notes)})
    found.save(out)
    page = write_report(found, out)
    _show(found)
    place("page", page)


def _rest(
    found: Analysis, model: str, data: Path, out: Path, everything: Everything, limit: int | None, run: RunOptions
) -> Analysis:
    """Return an analysis with what was memorized, and with images of its layers."""
    from torchmultiverse.analyze import ObjectRemoval, add_memorization, add_samples, default_decoder_training
    from torchmultiverse.report import write_report

    removal = None if everything.boxes is None else ObjectRemoval("boxes", everything.boxes)
    found = add_memorization(found, model, data, everything.splits, everything.other, removal, run)
    training, _ = default_decoder_training()
    if everything.decoder_steps is not None:
        training = replace(training, steps=everything.decoder_steps)
    if training.steps:
        found.save(out)  # decoders take long: what is known is there before
        write_report(found, out)
        found = add_samples(found, model, data, out, training, None, limit, everything.accept_license, run)
    return found


def _show(found: Analysis) -> None:
    """Print what an analysis found."""
    rows = Table(_CUTS)
    assert found.probing is not None
    for cut in found.probing.cuts:
        last = found.probing.curve(cut.factor, cut.probe)[-1]
        lost = None if cut.best == cut.end else (cut.cost, cut.cost_low, cut.cost_high, cut.groups)
        rows.add(cut.factor, cut.probe, cut.best, cut.score, last.score, lost)
    print_table(rows)
    for drawn in found.samples:
        say(f"{drawn.config['layer']}: {drawn.fidelity.summary}")
    for one in found.memorization.layers if found.memorization else ():
        whole = one.score.at(1.0)
        say(f"memorized at {one.layer}: {interval(whole.score, whole.low, whole.high)} points")
    for note in (*found.probing.notes, *found.notes):
        say(f"not asked: {note}", "dim")


@analyze_group.command(
    "guillotine",
    epilog=examples(
        "torchmultiverse analyze guillotine data/animals --set method=vicreg --set epochs=30 --out guillotine",
        "torchmultiverse analyze guillotine data/animals --seeds 3 --also photographs --out guillotine",
    ),
)
@tabular(_GAPS)
@loggable
def guillotine(
    data: Images,
    out: Out = Path("guillotine"),
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            help="'NAME: method=simclr pairs=character_name', or 'NAME: method=supervised label=camera_yaw'; may be "
            "repeated. Default: views, views that keep colours, pairs of a class, supervised by up to three columns."
        ),
    ] = None,
    setting: Settings = None,
    seeds: Seeds = 1,
    also: Annotated[
        list[Path] | None,
        typer.Option(
            help="Another dataset, or folder of images in folders of classes, to ask the encoders about; may be "
            "repeated. Default: none.",
            autocompletion=completion.datasets,
        ),
    ] = None,
    factor: Factors = None,
    group: Group = "auto",
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Train encoders by several recipes, and say for which factors their heads are better cut off (misalignment)."""
    from torchmultiverse.analyze import RunOptions, measure_misalignment, parse_recipe
    from torchmultiverse.report import write_report
    from torchmultiverse.train import EncoderTraining, parse_settings

    base = parse_settings(EncoderTraining(), setting or ())
    recipes = [parse_recipe(text, base) for text in recipe] if recipe else None
    run = RunOptions(seed, features_folder(features))
    found = measure_misalignment(data, out, recipes, factor, base, group, run, seeds=seeds, also=also or ())
    rows = Table(_GAPS)
    for of, mine in zip(found.recipes, found.gaps, strict=True):
        for gap in mine:
            gained = (gap.gap, gap.low, gap.high, gap.groups)
            rows.add(of.name, gap.dataset or found.dataset, gap.factor, gap.first, gap.last, gained, gap.gap_std)
    print_table(rows)
    for note in found.notes:
        say(f"not asked: {note}", "dim")
    found.save(out)
    place("page", write_report(found, out))
