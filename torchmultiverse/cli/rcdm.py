"""Commands that draw pictures of what a layer knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from torchmultiverse.cli.options import Embeddings, Sampler, SamplerSteps

out = Console()
rcdm_app = typer.Typer(no_args_is_help=True, help="Pictures of what a representation knows (RCDM).")


@rcdm_app.command(
    "train", epilog="Example: `torchmultiverse rcdm train ssl:encoder --layer trunk --data data/animals --out decoder`"
)
def train(
    model: Annotated[str, typer.Argument(help="Model string, as in 'eval'.")],
    data: Annotated[Path, typer.Option(help="Folder of a dataset, or of pictures; a tenth is held out.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the decoder; an interrupted run goes on.")],
    layer: Annotated[str | None, typer.Option(help="As 'layers' names it. Default: the last.")] = None,
    size: Annotated[int, typer.Option(min=8, max=256, help="Side of the pictures in pixels.")] = 64,
    preset: Annotated[
        str, typer.Option(help="tiny, small, 64, 128 or 256: the last three with the published widths.")
    ] = "small",
    steps: Annotated[int, typer.Option(min=1, help="Of training.")] = 10_000,
    batch: Annotated[int, typer.Option(min=1, help="Pictures per step.")] = 64,
    rate: Annotated[float, typer.Option(help="Learning rate.")] = 1e-4,
    conditioning: Annotated[str, typer.Option(help="add_emb (as released), cond_bn (as in the paper) or none.")] = (
        "add_emb"
    ),
    sets: Annotated[
        Path | None, typer.Option(help="File of 'dejavu split': learn public pictures alone, to reconstruct others.")
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip/--no-flip", help="Mirror pictures half of the time, as published.")
    ] = True,
    licence: Annotated[
        str | None, typer.Option(help="Of data that forbid it, by name, from those who have other rights.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is random.")] = 0,
    embeddings: Embeddings = None,
) -> None:
    """Train a decoder from a layer's vectors to pictures."""
    from torchmultiverse.analyze import DecoderTraining, HeldOutSplits, RunOptions, train_layer_decoder
    from torchmultiverse.resources import cache_folder
    from torchmultiverse.store import open_images

    pictures = open_images(data)
    rows = None if sets is None else HeldOutSplits.load_for(sets, pictures).rows["public"]
    training = DecoderTraining(size, preset, steps, batch, rate, conditioning, flip)
    run = RunOptions(seed, embeddings or cache_folder("embeddings"))
    folder = train_layer_decoder(model, pictures, out_folder, layer, training, rows, licence, run)
    out.print(f"decoder  {folder}", highlight=False, soft_wrap=True)


@rcdm_app.command(
    "sample", epilog="Example: `torchmultiverse rcdm sample decoder --data data/animals --row 3 --row 40`"
)
def draw(
    decoder: Annotated[Path, typer.Argument(help="Folder that 'rcdm train' wrote.")],
    data: Annotated[Path, typer.Option(help="Folder of pictures whose vectors are taken.")],
    row: Annotated[list[int] | None, typer.Option(min=0, help="Of the dataset; may be repeated. Default: 8.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures of each.")] = 7,
    steps: SamplerSteps = 50,
    sampler: Sampler = "ddim",
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    out_file: Annotated[Path, typer.Option("--out", help="Sheet: real picture first, then those drawn.")] = Path(
        "samples.png"
    ),
    embeddings: Embeddings = None,
) -> None:
    """Draw several pictures for the vectors of some pictures: what is the same in all of them is in the vector."""
    import numpy as np

    from torchmultiverse.analyze import RunOptions, decoder_pixels, image_grid, load_conditioned_decoder, sample
    from torchmultiverse.resources import cache_folder

    one = load_conditioned_decoder(decoder, data, RunOptions(store=embeddings or cache_folder("embeddings")))
    total = len(one.vectors)
    rows = np.asarray(row if row else np.linspace(0, total - 1, min(8, total)).astype(int))
    if rows.max() >= total:
        raise typer.BadParameter(f"the dataset has {total} pictures", param_hint="--row")
    drawn = sample(one.decoder, one.vectors[rows], count, steps, sampler, seed)
    real = decoder_pixels(one.images, rows, one.decoder.config.size)
    image_grid(drawn, real).save(out_file)
    out.print(f"sheet    {out_file}", highlight=False, soft_wrap=True)


@rcdm_app.command("score", epilog="Example: `torchmultiverse rcdm score decoder --data data/animals --out portrait`")
def score(
    decoder: Annotated[Path, typer.Argument(help="Folder that 'rcdm train' wrote.")],
    data: Annotated[Path, typer.Option(help="Folder of the dataset that it was trained on, or of another.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the page and the numbers.")] = Path("portrait"),
    factor: Annotated[list[str] | None, typer.Option(help="Column; may be repeated. Default: all that vary.")] = None,
    count: Annotated[int, typer.Option(min=2, help="Held-out pictures whose vectors are drawn from.")] = 100,
    each: Annotated[int, typer.Option(min=1, help="Pictures of each.")] = 4,
    steps: SamplerSteps = 50,
    sampler: Sampler = "ddim",
    evaluator: Annotated[
        str | None, typer.Option(help="Model that says what pictures show. Default: the decoder's own layer.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of draws and noise.")] = 0,
    embeddings: Embeddings = None,
) -> None:
    """Say whether a decoder's pictures can be trusted, and which factors they show that the layer keeps."""
    from torchmultiverse.analyze import RunOptions, SamplingOptions, evaluate_samples
    from torchmultiverse.evaluate import plain
    from torchmultiverse.report import write_report
    from torchmultiverse.resources import cache_folder

    options = SamplingOptions(count, each, 8, steps, sampler, evaluator)
    run = RunOptions(seed, embeddings or cache_folder("embeddings"))
    found = evaluate_samples(decoder, data, factor, options, run)
    table = Table("factor", "drawn", "real", "probe", "chance", box=None, padding=(0, 2))
    for one in found.factors:
        table.add_row(
            plain(one.factor), f"{100 * one.accuracy:.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}]",
            f"{100 * one.real_accuracy:.1f}", f"{100 * one.probe_accuracy:.1f}", f"{100 * one.chance:.1f}",
        )  # fmt: skip
    out.print(table)
    out.print(found.fidelity.summary)
    quality = found.quality
    out.print(
        f"Fréchet distance {quality.fid:.2f} (real pictures {quality.fid_real:.2f}), inception score "
        f"{quality.inception_score:.2f} (real {quality.inception_score_real:.2f}); features: {quality.evaluator}"
    )
    found.save(out_folder)
    page = write_report(found, out_folder)
    out.print(f"page     {page.resolve().as_uri()}", highlight=False, soft_wrap=True)


@rcdm_app.command(
    "study", epilog="Example: `torchmultiverse rcdm study decoder --against head-decoder --data data/animals`"
)
def study(
    decoder: Annotated[Path, typer.Argument(help="Folder that 'rcdm train' wrote.")],
    data: Annotated[Path, typer.Option(help="Folder of the dataset that it was trained on, or of another.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of page, sheets and numbers.")] = Path("studies"),
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--study",
            help="changes (of the picture), attacks, manipulations (of the vector), means, sums, imagined, confidence, "
            "distances; may be repeated. Default: all that the data can answer.",
        ),
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="Decoder of another layer, to compare with; may be repeated.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Column of the classes. Default: the animal, or the label.")] = None,
    shown: Annotated[int, typer.Option(min=1, help="Pictures in the rows.")] = 3,
    each: Annotated[int, typer.Option(min=2, help="Pictures drawn of each vector.")] = 4,
    steps: SamplerSteps = 50,
    sampler: Sampler = "ddim",
    seed: Annotated[int, typer.Option(help="Of draws and noise.")] = 0,
    embeddings: Embeddings = None,
) -> None:
    """Ask a decoder the questions of the sources: what a change of picture or vector does to what is drawn."""
    from torchmultiverse.analyze import ExperimentSetup, RunOptions, load_conditioned_decoder, run_experiments
    from torchmultiverse.report import write_report
    from torchmultiverse.resources import cache_folder

    run = RunOptions(seed, embeddings or cache_folder("embeddings"))
    setups = [
        ExperimentSetup(load_conditioned_decoder(folder, data, run), each, shown, steps, sampler, seed, label)
        for folder in (decoder, *(against or ()))
    ]
    found = run_experiments(setups[0], name, setups[1:])
    for note in found.notes:
        out.print(f"not asked: {note}", style="dim")
    found.save(out_folder)
    page = write_report(found, out_folder)
    out.print(f"page     {page.resolve().as_uri()}", highlight=False, soft_wrap=True)
