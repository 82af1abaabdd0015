"""Commands that train subjects and ask what they memorized."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from torchmultiverse.cli.options import Boxes, Embeddings, Least, Neighbours, Renderer

out = Console()
dejavu_app = typer.Typer(no_args_is_help=True, help="What a model memorized of its training pictures (déjà vu).")


def ssl(
    data: Annotated[Path, typer.Argument(help="Folder of a dataset, or of pictures in folders of classes.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the encoder; an interrupted run goes on.")],
    method: Annotated[str, typer.Option(help="simclr, byol, vicreg, barlow, dino or supervised.")] = "simclr",
    backbone: Annotated[str, typer.Option(help="Model of timm.")] = "resnet10t",
    size: Annotated[int, typer.Option(min=16, help="Side of the input in pixels.")] = 64,
    head: Annotated[str, typer.Option(help="Widths of the projector.")] = "256-256-128",
    epochs: Annotated[int, typer.Option(min=0, help="Times that each picture is seen.")] = 20,
    batch: Annotated[int, typer.Option(min=2, help="Pictures per step.")] = 128,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    augment: Annotated[
        str, typer.Option(help="What views differ in: of crop, flip, color, gray, blur, solarize; none for nothing.")
    ] = "crop,flip,color,gray,blur,solarize",
    scale: Annotated[float, typer.Option(min=0.01, max=1, help="Smallest share of the area of a crop.")] = 0.2,
    pairs: Annotated[
        str, typer.Option(help="Column that pairs pictures: the second view is of another one of its level.")
    ] = "",
    optimizer: Annotated[str, typer.Option(help="adamw, or lars for large batches.")] = "adamw",
    option: Annotated[
        list[str] | None, typer.Option(help="Of the loss, as temperature=0.15 or lambda_param=25; may be repeated.")
    ] = None,
    keep: Annotated[str, typer.Option(help="Epochs whose checkpoints are kept, as 0,5,20.")] = "",
    label: Annotated[str | None, typer.Option(help="Column of classes, for supervised.")] = None,
    sets: Annotated[Path | None, typer.Option(help="File of 'dejavu split'.")] = None,
    of: Annotated[str, typer.Option(help="With --sets: the model that sees A, or B.")] = "A",
    seed: Annotated[int, typer.Option(help="Of everything that is random.")] = 0,
) -> None:
    """Train an encoder with a projector, self-supervised or supervised; it is loaded as ssl:FOLDER."""
    from torchmultiverse.analyze import HeldOutSplits
    from torchmultiverse.store import open_images
    from torchmultiverse.train import Training, train_encoder

    try:
        widths = tuple(int(wide) for wide in head.split("-"))
        kept = tuple(int(epoch) for epoch in keep.split(",") if epoch)
        options = {name: float(value) for name, _, value in (one.partition("=") for one in option or [])}
    except ValueError as error:
        raise typer.BadParameter(f"{error}", param_hint="--head, --keep or --option") from None
    if of not in ("A", "B"):
        raise typer.BadParameter("A or B", param_hint="--of")
    views = tuple(name for name in augment.split(",") if name not in ("", "none"))
    training = Training(
        method, backbone, size, widths, epochs, batch, rate, augment=views, scale=scale, pairs=pairs,
        optimizer=optimizer, options=options, keep=kept, seed=seed,
    )  # fmt: skip
    pictures = open_images(data)
    divided = None if sets is None else HeldOutSplits.load_for(sets, pictures)
    rows = None if divided is None else divided.seen_by(of)  # type: ignore[arg-type]
    folder = train_encoder(pictures, out_folder, training, label, rows)
    if divided is not None:  # so that what it memorized can be asked for without saying again what it saw
        (divided if of == "A" else divided.exchanged()).save(folder / "sets.json")
    out.print(f"encoder  ssl:{folder}", highlight=False, soft_wrap=True)


@dejavu_app.command(
    "split", epilog="Example: `torchmultiverse dejavu split data/animals --per-class 50 --out sets.json`"
)
def split(
    data: Annotated[Path, typer.Argument(help="Folder of a dataset, or of pictures in folders of classes.")],
    out_file: Annotated[Path, typer.Option("--out", help="File of the sets.")] = Path("sets.json"),
    label: Annotated[str | None, typer.Option(help="Column of classes. Default: character_name, or label.")] = None,
    per_class: Annotated[int, typer.Option(min=1, help="Pictures of each class in A, and as many in B.")] = 50,
    public: Annotated[int | None, typer.Option(min=1, help="Public ones of each class. Default: what is left.")] = None,
    shared: Annotated[int, typer.Option(min=0, help="Of each class, seen by both models.")] = 0,
    held_out: Annotated[int, typer.Option(min=0, help="Of each class, seen by none, for the control.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
) -> None:
    """Divide a dataset into what model A sees, what B sees, and public pictures that none sees."""
    from torchmultiverse.analyze import draw_splits
    from torchmultiverse.store import columns_of, open_images

    pictures = open_images(data)
    name = label or ("character_name" if "character_name" in columns_of(pictures) else "label")
    found = draw_splits(pictures, name, per_class, public, shared, held_out, seed)
    found.save(out_file)
    out.print("  ".join(f"{name}: {len(rows):,}" for name, rows in found.rows.items()), highlight=False)
    out.print(f"sets     {out_file}", highlight=False, soft_wrap=True)


@dejavu_app.command(
    "score",
    epilog="Example: `torchmultiverse dejavu score data/animals --sets sets.json --a ssl:a --b ssl:b --out memory`",
)
def score(
    data: Annotated[Path, typer.Argument(help="Folder of the dataset that was split.")],
    sets: Annotated[Path, typer.Option(help="File of 'dejavu split'.")],
    a: Annotated[str, typer.Option("--a", help="Model that saw A, as ssl:FOLDER.")],
    b: Annotated[
        str | None, typer.Option("--b", help="Model that saw B. Without it the model is scored alone.")
    ] = None,
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the page and the numbers.")] = Path("dejavu"),
    layer: Annotated[
        list[str] | None, typer.Option(help="Layer; may be repeated. Default: trunk and every block of the head.")
    ] = None,
    crops: Annotated[
        str, typer.Option(help="boxes: largest part beside the object; corner; rerender: the scene without it.")
    ] = "boxes",
    boxes: Boxes = None,
    least: Least = 0.2,
    k: Neighbours = 100,
    engine: Renderer = "builtin",
    reference: Annotated[
        str,
        typer.Option(
            help="Without --b: held-out (its own answers on pictures that it never saw), pixels, or a model in whose "
            "features a classifier of backgrounds reads."
        ),
    ] = "held-out",
    decoder_a: Annotated[
        Path | None, typer.Option(help="Decoder of A, of 'rcdm train --sets': draws what was inferred.")
    ] = None,
    decoder_b: Annotated[Path | None, typer.Option(help="The same of B.")] = None,
    views: Annotated[
        int, typer.Option(min=0, help="Of each picture, to tell members by their agreement (EncoderMI); as 6.")
    ] = 0,
    backend: Annotated[str, typer.Option(help="torch or faiss.")] = "torch",
    seed: Annotated[int, typer.Option(help="Of resampling.")] = 0,
    embeddings: Embeddings = None,
) -> None:
    """Score what model A memorized of its pictures, with B as the reference and the other way round, or alone."""
    from torchmultiverse.analyze import MemorizationOptions, ObjectRemoval, RunOptions, measure_memorization
    from torchmultiverse.report import write_report
    from torchmultiverse.resources import cache_folder

    options = MemorizationOptions(
        ObjectRemoval(crops, boxes, least, engine), layer, k, backend, reference,  # type: ignore[arg-type]
        None if decoder_a is None else (decoder_a, decoder_b), views,
    )  # fmt: skip
    found = measure_memorization(data, sets, a, b, options, RunOptions(seed, embeddings or cache_folder("embeddings")))
    table = Table("layer", "DV 100 %", "DV 20 %", "memorized", "correlated", "misrepresented", "held out",
                  box=None, padding=(0, 2))  # fmt: skip
    for one in found.layers:
        whole, p = one.score.at(1.0), one.score.partition
        held = one.controls.held_out
        fifth = next((s for s in one.score.scores if s.fraction == 0.2), None)
        table.add_row(
            one.layer, f"{100 * whole.score:.1f} [{100 * whole.low:.1f}, {100 * whole.high:.1f}]",
            "–" if fifth is None else f"{100 * fifth.score:.1f}", f"{100 * p.memorized:.1f}",
            f"{100 * p.correlated:.1f}", f"{100 * p.misrepresented:.1f}",
            "–" if held is None else f"{100 * held.score:.1f} [{100 * held.low:.1f}, {100 * held.high:.1f}]",
        )  # fmt: skip
    out.print(table)
    for name, one_of in found.membership.items():
        out.print(f"members told by {name}: {100 * one_of.auc:.1f} % [{100 * one_of.low:.1f}, {100 * one_of.high:.1f}]")
    for note in dict.fromkeys(note for one in found.layers for note in one.score.notes):
        out.print(f"note: {note}", style="dim")
    found.save(out_folder)
    page = write_report(found, out_folder)
    out.print(f"page     {page.resolve().as_uri()}", highlight=False, soft_wrap=True)


@dejavu_app.command(
    "sweep",
    epilog="Example: `torchmultiverse dejavu sweep data/animals --sets sets.json --vary epochs --values 0,20,100 "
    "--set method=vicreg --out sweep`",
)
def sweep_(
    data: Annotated[Path, typer.Argument(help="Folder of the dataset that was split.")],
    sets: Annotated[Path, typer.Option(help="File of 'dejavu split'.")],
    vary: Annotated[
        str,
        typer.Option(
            help="Setting of the training (epochs, method, scale, augment, head, backbone, batch_size, …), option.NAME "
            "of the loss, pictures of each class, crops, or k."
        ),
    ],
    values: Annotated[str, typer.Option(help="Of it, as 0,20,100; augmentations as crop+flip, heads as 256-128.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of encoders, page and numbers.")] = Path("sweep"),
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="Other settings, as epochs=50; may be repeated.")
    ] = None,
    crops: Annotated[str, typer.Option(help="boxes, corner or rerender.")] = "boxes",
    boxes: Boxes = None,
    least: Least = 0.2,
    k: Neighbours = 100,
    engine: Renderer = "builtin",
    label: Annotated[str | None, typer.Option(help="Column of classes, for supervised. Default: of the sets.")] = None,
    seed: Annotated[int, typer.Option(help="Of resampling.")] = 0,
    embeddings: Embeddings = None,
) -> None:
    """Train pairs of models for several values of a setting, and say how memory depends on it."""
    from torchmultiverse.analyze import MemorizationOptions, ObjectRemoval, RunOptions, sweep_memorization
    from torchmultiverse.report import write_report
    from torchmultiverse.resources import cache_folder
    from torchmultiverse.train import Training, with_settings

    training = with_settings(Training(), setting or ())
    found = sweep_memorization(
        data, sets, out_folder, vary, [value for value in values.split(",") if value], training,
        MemorizationOptions(ObjectRemoval(crops, boxes, least, engine), k=k), label,  # type: ignore[arg-type]
        RunOptions(seed, embeddings or cache_folder("embeddings")),
    )  # fmt: skip
    table = Table(vary, "layer", "DV 100 %", "memorized", "misrepresented", box=None, padding=(0, 2))
    for point in found.points:
        table.add_row(
            point.value, point.layer, f"{100 * point.score:.1f} [{100 * point.low:.1f}, {100 * point.high:.1f}]",
            f"{100 * point.memorized:.1f}", f"{100 * point.misrepresented:.1f}",
        )  # fmt: skip
    out.print(table)
    found.save(out_folder)
    page = write_report(found, out_folder)
    out.print(f"page     {page.resolve().as_uri()}", highlight=False, soft_wrap=True)
