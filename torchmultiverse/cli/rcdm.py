"""Commands that draw images of what a layer knows (RCDM)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import typer

from torchmultiverse.cli.groups import examples, rcdm_group
from torchmultiverse.cli.options import (
    AcceptedLicense,
    Data,
    DecoderFolder,
    Factors,
    Features,
    Label,
    Out,
    Seed,
    features_folder,
    option_sets,
    tabular,
)
from torchmultiverse.cli.output import check_image_file, place, print_table, save_image, say
from torchmultiverse.cli.output import factor as factor_column
from torchmultiverse.cli.study_out import ROWS, finish
from torchmultiverse.cli.train import Decoding
from torchmultiverse.tables import Table, interval, number, share

_SHOWN = (factor_column(), interval("drawn"), share("real"), share("probe"), share("chance"), number("images"))


@dataclass(frozen=True)
class Sampling:
    """How images are drawn."""

    steps: Annotated[int, typer.Option(min=1, max=1000, help="Of the sampler.")] = 50
    sampler: Annotated[Literal["ddim", "ddpm"], typer.Option(help="With ddpm each step adds noise.")] = "ddim"


@dataclass(frozen=True)
class ExperimentSize:
    """How much the experiments draw and show."""

    examples: Annotated[int, typer.Option(min=1, help="Images in the rows.")] = 3
    samples_per_image: Annotated[int, typer.Option(min=2, help="Images drawn of each vector.")] = 4
    epsilon: Annotated[
        list[float] | None,
        typer.Option(
            min=0,
            max=1,
            help="Of attacks: largest change of a pixel, of its range; may be repeated. Default: 0 to 0.25.",
        ),
    ] = None
    target: Annotated[
        str | None, typer.Option(help="Of attacks: class to be seen. Default: the one after each picture's own.")
    ] = None


@rcdm_group.command(
    "sample",
    epilog=examples(
        "torchmultiverse analyze rcdm sample decoder --data data/animals --row 3 --row 40",
        "torchmultiverse analyze rcdm sample decoder --data data/animals --row 3 --enlarge enlarger",
    ),
)
@option_sets
def sample(
    decoder: DecoderFolder,
    data: Data,
    sampling: Sampling,
    row: Annotated[list[int] | None, typer.Option(min=0, help="Of the dataset; may be repeated. Default: 8.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures of each.")] = 7,
    enlarge: Annotated[
        Path | None, typer.Option(help="Folder that 'train decoder --enlarge-from' wrote. Default: not enlarged.")
    ] = None,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option("--out", help="Sheet: real picture first, then those drawn.")] = Path(
        "samples.png"
    ),
    features: Features = None,
) -> None:
    """Draw several pictures for the vectors of some pictures: what is the same in all of them is in the vector."""
    import numpy as np

    from torchmultiverse.analyze import (
        RunOptions,
        decoder_pixels,
        image_grid,
        load_conditioned_decoder,
        load_enlarger,
    )
    from torchmultiverse.analyze import enlarge as enlarged
    from torchmultiverse.analyze import sample as draw

    check_image_file(out)
    one = load_conditioned_decoder(decoder, data, RunOptions(store=features_folder(features)))
    total = len(one.vectors)
    rows = np.asarray(row if row else np.linspace(0, total - 1, min(8, total)).astype(int))
    if rows.max() >= total:
        raise typer.BadParameter(f"the dataset has {total} pictures", param_hint="--row")
    larger = None if enlarge is None else load_enlarger(enlarge, one)
    drawn = draw(one.decoder, one.vectors[rows], count, sampling.steps, sampling.sampler, seed)
    if larger is not None:
        drawn = enlarged(larger, one.vectors[rows], drawn, sampling.steps, sampling.sampler, seed)
    real = decoder_pixels(one.images, rows, drawn.shape[-2])
    save_image(out, image_grid(drawn, real))
    place("sheet", out)


@rcdm_group.command(
    "interpolate",
    epilog=examples("torchmultiverse analyze rcdm interpolate decoder --data data/animals --row 3 --row 40 --row 7"),
)
@option_sets
def interpolation(
    decoder: DecoderFolder,
    data: Data,
    sampling: Sampling,
    row: Annotated[list[int], typer.Option(min=0, help="End of a line; two or more, in their order.")],
    between: Annotated[int, typer.Option(min=2, help="Vectors of each line, its ends included.")] = 8,
    noises: Annotated[int, typer.Option(min=1, help="Rows, each from a noise of its own.")] = 3,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option("--out", help="Sheet: the real ends of a line beside what is drawn.")] = Path(
        "interpolation.png"
    ),
    features: Features = None,
) -> None:
    """Draw the vectors between those of chosen pictures; all of a row begin from one noise."""
    import numpy as np

    from torchmultiverse.analyze import RunOptions, decoder_pixels, image_grid, interpolate, load_conditioned_decoder
    from torchmultiverse.analyze import sample as draw

    check_image_file(out)
    if len(row) < 2:
        raise typer.BadParameter("two rows or more are needed, the ends of a line", param_hint="--row")
    one = load_conditioned_decoder(decoder, data, RunOptions(store=features_folder(features)))
    if max(row) >= len(one.vectors):
        raise typer.BadParameter(f"the dataset has {len(one.vectors)} pictures", param_hint="--row")
    real = decoder_pixels(one.images, np.asarray(row), one.decoder.config.size)
    lines, first = [], []
    for start, end in pairwise(row):
        path = interpolate(one.vectors[start], one.vectors[end], between)
        drawn = draw(one.decoder, path, noises, sampling.steps, sampling.sampler, seed)
        ends = np.broadcast_to(real[row.index(end)], (noises, 1, *real.shape[1:]))
        lines.append(np.concatenate([drawn.transpose(1, 0, 2, 3, 4), ends], 1))
        first += [real[row.index(start)]] * noises
    save_image(out, image_grid(np.concatenate(lines), np.stack(first)))
    place("sheet", out)


@rcdm_group.command(
    "score", epilog=examples("torchmultiverse analyze rcdm score decoder --data data/animals --out portrait")
)
@tabular(_SHOWN)
@option_sets
def score(
    decoder: DecoderFolder,
    data: Data,
    sampling: Sampling,
    out: Out = Path("portrait"),
    factor: Factors = None,
    count: Annotated[int, typer.Option(min=2, help="Held-out pictures whose vectors are drawn from.")] = 100,
    samples_per_image: Annotated[int, typer.Option(min=1, help="Pictures of each.")] = 4,
    evaluator: Annotated[
        str | None, typer.Option(help="Model that says what pictures show. Default: the decoder's own layer.")
    ] = None,
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Say whether a decoder's pictures can be trusted, and which factors they show that the layer keeps."""
    from torchmultiverse.analyze import RunOptions, SamplingOptions, evaluate_samples
    from torchmultiverse.report import write_report

    options = SamplingOptions(count, samples_per_image, 8, sampling.steps, sampling.sampler, evaluator)
    found = evaluate_samples(decoder, data, factor, options, RunOptions(seed, features_folder(features)))
    rows = Table(_SHOWN)
    for one in found.factors:
        drawn = (one.accuracy, one.low, one.high)
        rows.add(one.factor, drawn, one.real_accuracy, one.probe_accuracy, one.chance, one.images)
    print_table(rows)
    say(found.fidelity.summary)
    quality = found.quality
    say(
        f"Fréchet distance {quality.fid:.2f} (real pictures {quality.fid_real:.2f}), inception score "
        f"{quality.inception_score:.2f} (real {quality.inception_score_real:.2f}); features: {quality.evaluator}"
    )
    found.save(out)
    place("page", write_report(found, out))


@rcdm_group.command(
    "experiments",
    epilog=examples("torchmultiverse analyze rcdm experiments decoder --against head-decoder --data data/animals"),
)
@option_sets
def experiments(
    decoder: DecoderFolder,
    data: Data,
    extent: ExperimentSize,
    sampling: Sampling,
    out: Out = Path("studies"),
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--experiment",
            help="changes (of the picture), attacks, manipulations (of the vector), means, sums, imagined, confidence, "
            "distances, prior (a network fitted for each picture; slow); may be repeated. Default: all but prior that "
            "the data can answer.",
        ),
    ] = None,
    against: Annotated[
        list[Path] | None, typer.Option(help="Decoder of another layer, to compare with; may be repeated.")
    ] = None,
    label: Label = None,
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Ask a decoder the questions of the sources: what a change of picture or vector does to what is drawn."""
    from torchmultiverse.analyze import (
        EPSILONS,
        AttackOptions,
        ExperimentSetup,
        RunOptions,
        load_conditioned_decoder,
        run_experiments,
    )
    from torchmultiverse.report import write_report

    run = RunOptions(seed, features_folder(features))
    setups = [
        ExperimentSetup(
            load_conditioned_decoder(folder, data, run),
            extent.samples_per_image,
            extent.examples,
            sampling.steps,
            sampling.sampler,
            seed,
            label,
            attack=AttackOptions(extent.epsilon or EPSILONS, extent.target),
        )
        for folder in (decoder, *(against or ()))
    ]
    found = run_experiments(setups[0], name, setups[1:])
    for note in found.notes:
        say(f"not asked: {note}", "dim")
    found.save(out)
    place("page", write_report(found, out))


@dataclass(frozen=True)
class EpochDrawing:
    """What is drawn at each checkpoint."""

    count: Annotated[int, typer.Option(min=2, help="Held-out pictures whose vectors are drawn from.")] = 64
    samples_per_image: Annotated[int, typer.Option(min=2, help="Images drawn of each vector.")] = 4
    examples: Annotated[int, typer.Option(min=1, help="Images on the sheet.")] = 6
    sampler_steps: Annotated[int, typer.Option(min=1, max=1000, help="Of the sampler (DDIM).")] = 50
    epoch: Annotated[list[int] | None, typer.Option(min=0, help="Kept checkpoint; may be repeated. Default: all.")] = (
        None
    )


@rcdm_group.command(
    "convert",
    epilog=examples(
        "torchmultiverse analyze rcdm convert rcdm_ema_supervised.pt --layer avgpool --out decoder "
        "--model 'torchvision:resnet50/IMAGENET1K_V1?norm=half'"
    ),
)
def convert(
    weights: Annotated[Path, typer.Argument(help="Released checkpoint of RCDM, or of the network alone.")],
    model: Annotated[str, typer.Option(help="Encoder whose vectors it takes, prepared as it was then.")],
    layer: Annotated[str | None, typer.Option(help="As 'analyze layers' names it. Default: the last.")] = None,
    preset: Annotated[str | None, typer.Option(help="adm-64, adm-128 or adm-256. Default: the one that fits.")] = None,
    out: Out = Path("decoder"),
) -> None:
    """Make a decoder of released weights; it is then sampled and scored as one that was trained here.

    The released weights of RCDM are for non-commercial use (CC BY-NC 4.0). Their encoders were given pictures of
    224 pixels between -1 and 1, which is norm=half behind a model string.
    """
    from torchmultiverse.analyze import import_decoder

    place("decoder", import_decoder(weights, model, out, layer, preset))


@rcdm_group.command(
    "epochs",
    epilog=examples(
        "torchmultiverse train ssl data/animals --method vicreg --epochs 50 --keep 0-1-5-50 --out encoder",
        "torchmultiverse analyze rcdm epochs ssl:encoder --data data/animals --size 32 --steps 4000 --out epochs",
    ),
)
@tabular(ROWS)
@option_sets
def epochs(
    encoder: Annotated[str, typer.Argument(help="ssl:FOLDER, trained with --keep.")],
    data: Data,
    decoding: Decoding,
    drawing: EpochDrawing,
    out: Out = Path("drawn_epochs"),
    layer: Annotated[str, typer.Option(help="As 'analyze layers' names it.")] = "trunk",
    factor: Factors = None,
    accept_license: AcceptedLicense = None,
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Train a decoder of each kept checkpoint of a training, and draw the same pictures from all, on one page."""
    from torchmultiverse.analyze import DecoderEpochOptions, RunOptions, decoders_over_epochs

    options = DecoderEpochOptions(
        layer, drawing.epoch or (), decoding.options(), drawing.count, drawing.samples_per_image, drawing.examples,
        drawing.sampler_steps, factors=factor, licence=accept_license,
    )  # fmt: skip
    finish(decoders_over_epochs(encoder, data, out, options, RunOptions(seed, features_folder(features))), out, seed)
