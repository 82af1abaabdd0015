"""Commands that ask what a model memorized of its training images (déjà vu)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import analyze_group, examples
from torchmultiverse.cli.options import (
    Boxes,
    Features,
    Images,
    Label,
    Out,
    Seed,
    Settings,
    features_folder,
    loggable,
    option_sets,
    tabular,
)
from torchmultiverse.cli.output import for_people, interval, place, print_table, say
from torchmultiverse.cli.study_out import show_study, with_provenance
from torchmultiverse.tables import Table, share, text
from torchmultiverse.tables import interval as interval_column

if TYPE_CHECKING:
    from torchmultiverse.analyze import ObjectRemoval

_SCORES = (
    text("layer"), interval_column("dv_100", "DV 100 %"), share("dv_20", "DV 20 %"), share("memorized"),
    share("correlated"), share("misrepresented"), interval_column("held_out"), text("factor"),
)  # fmt: skip
_SWEEP = (
    text("value"), text("layer"), interval_column("dv_100", "DV 100 %"), share("memorized"), share("misrepresented"),
)  # fmt: skip
SplitsRequired = Annotated[Path, typer.Option("--splits", help="File of 'data split' that says what each model saw.")]


@dataclass(frozen=True)
class LabelInference:
    """How a label is inferred from a crop that does not show the object."""

    crops: Annotated[
        Literal["boxes", "corner", "rerender"],
        typer.Option(help="boxes: largest part beside the object; rerender: the scene without it."),
    ] = "boxes"
    boxes: Boxes = None
    min_side: Annotated[
        float, typer.Option(min=0.01, max=1, help="Shorter side of a crop, as a share of the image's.")
    ] = 0.2
    k: Annotated[int, typer.Option("--k", min=1, help="Neighbours.")] = 100
    engine: Annotated[
        str, typer.Option(help="That renders for '--crops rerender'.", autocompletion=completion.engines)
    ] = "builtin"

    def removal(self) -> ObjectRemoval:
        """Return how the object is removed."""
        from torchmultiverse.analyze import ObjectRemoval

        return ObjectRemoval(self.crops, self.boxes, self.min_side, self.engine)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Reference:
    """What the model's answers are compared with where no second model is, and what else is asked."""

    reference: Annotated[
        str,
        typer.Option(
            help="Without --b: held-out (its own answers on images that it never saw), pixels, or a model in whose "
            "features a classifier of backgrounds reads."
        ),
    ] = "held-out"
    decoder_a: Annotated[
        Path | None, typer.Option(help="Decoder of A, of 'train decoder --splits': draws what was inferred.")
    ] = None
    decoder_b: Annotated[Path | None, typer.Option(help="The same of B.")] = None
    factor: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of which is asked, too, what of the removed object was remembered (its texture, pose, light); "
            "may be repeated; all for every one. Default: the label alone.",
            autocompletion=completion.columns,
        ),
    ] = None
    views: Annotated[
        int, typer.Option(min=0, help="Of each image, to tell members by their agreement (EncoderMI); as 6.")
    ] = 0
    backend: Annotated[
        Literal["auto", "torch", "faiss"],
        typer.Option(help="That searches neighbours; auto: faiss for many, where it is installed and there is no GPU."),
    ] = "auto"

    def decoders(self) -> tuple[Path, Path | None] | None:
        """Return the decoders of both models, if there are any."""
        return None if self.decoder_a is None else (self.decoder_a, self.decoder_b)


@analyze_group.command(
    "dejavu",
    epilog=examples(
        "torchmultiverse analyze dejavu data/animals --splits sets.json --a ssl:a --b ssl:b --out memory",
        "torchmultiverse analyze dejavu data/animals --splits sets.json --a ssl:a --b ssl:b "
        "--factor character_texture --factor camera_yaw --out memory",
    ),
)
@tabular(_SCORES)
@option_sets
def dejavu(
    data: Images,
    splits: SplitsRequired,
    a: Annotated[str, typer.Option("--a", help="Model that saw A, as ssl:FOLDER.")],
    inference: LabelInference,
    reference: Reference,
    b: Annotated[str | None, typer.Option("--b", help="Model that saw B. Without it one model is scored.")] = None,
    out: Out = Path("dejavu"),
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            help="Layer, as 'analyze layers' names it; may be repeated. Default: trunk and head, or the last.",
        ),
    ] = None,
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Score what model A memorized of its pictures, with B as the reference and the other way round, or alone."""
    from torchmultiverse.analyze import MemorizationOptions, RunOptions, factor_memory_study, measure_memorization
    from torchmultiverse.report import write_report

    options = MemorizationOptions(
        inference.removal(),
        layer,
        inference.k,
        reference.backend,
        reference.reference,
        reference.decoders(),
        reference.views,
        reference.factor or (),
    )
    found = measure_memorization(data, splits, a, b, options, RunOptions(seed, features_folder(features)))
    asked = [(one.layer, found.label, one.score, one.controls.held_out) for one in found.layers]
    asked += [
        (one.layer, one.factor, one.score, one.controls.held_out)
        for one in found.factors
        if one.factor != found.label and not for_people()  # who see a page of factors with its own tables
    ]
    rows = Table(_SCORES)
    for name, of, score, held in asked:
        whole, p = score.at(1.0), score.partition
        fifth = next((s.score for s in score.scores if s.fraction == 0.2), None)
        rows.add(
            name, (whole.score, whole.low, whole.high), fifth, p.memorized, p.correlated, p.misrepresented,
            held and (held.score, held.low, held.high), of,
        )  # fmt: skip
    print_table(rows)
    for name, one_of in found.membership.items():
        say(f"members told by {name}, AUC in %: {interval(one_of.auc, one_of.low, one_of.high)}")
    for note in dict.fromkeys(note for one in found.layers for note in one.score.notes):
        say(f"note: {note}", "dim")
    found.save(out)
    place("page", write_report(found, out))
    if found.factors:
        study = with_provenance(factor_memory_study(found), seed)
        study.save(out / "factors")
        page = write_report(study, out / "factors")
        if for_people():
            show_study(study)
        place("page of factors", page)


@analyze_group.command(
    "sweep",
    epilog=examples(
        "torchmultiverse analyze sweep data/animals --splits sets.json --vary epochs --values 0,20,100 "
        "--set method=vicreg --out sweep"
    ),
)
@tabular(_SWEEP)
@loggable
@option_sets
def sweep(
    data: Images,
    splits: SplitsRequired,
    vary: Annotated[
        str,
        typer.Option(
            help="Setting of the training (epochs, method, scale, augment, head, backbone, batch_size, …), option.NAME "
            "of the loss, pictures of each class, crops, or k."
        ),
    ],
    values: Annotated[str, typer.Option(help="Of it, as 0,20,100; augmentations as crop+flip, heads as 256-128.")],
    inference: LabelInference,
    out: Out = Path("sweep"),
    setting: Settings = None,
    label: Label = None,
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Train pairs of models for several values of a setting, and say how memory depends on it."""
    from torchmultiverse.analyze import MemorizationOptions, RunOptions, sweep_memorization
    from torchmultiverse.report import write_report
    from torchmultiverse.train import EncoderTraining, parse_settings

    training = parse_settings(EncoderTraining(), setting or ())
    found = sweep_memorization(
        data, splits, out, vary, [value for value in values.split(",") if value], training,
        MemorizationOptions(inference.removal(), k=inference.k), label, RunOptions(seed, features_folder(features)),
    )  # fmt: skip
    rows = Table(_SWEEP, heads={"value": vary})
    for at in found.points:
        rows.add(at.value, at.layer, (at.score, at.low, at.high), at.memorized, at.misrepresented)
    print_table(rows)
    found.save(out)
    place("page", write_report(found, out))
