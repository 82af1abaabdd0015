"""Commands that train something to be scored: fine-tuning on captions, classifiers under held-out conditions."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

out = Console()


def finetune(
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset with captions.")],
    model: Annotated[str, typer.Option(help="open_clip:ARCH/PRETRAINED or tiny:FOLDER.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the fine-tuned model.")],
    captions: Annotated[str, typer.Option(help="original, alternate, or both: one of them at random.")] = "both",
    hard_negatives: Annotated[
        bool, typer.Option("--hard-negatives/--no-hard-negatives", help="Both pictures of a pair in one batch.")
    ] = True,
    epochs: Annotated[int, typer.Option(min=1, help="Times that each picture is seen.")] = 10,
    batch: Annotated[int, typer.Option(min=2, help="Pictures per step.")] = 256,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-5,
    seed: Annotated[int, typer.Option(help="Of order and captions.")] = 0,
    test: Annotated[
        list[Path] | None,
        typer.Option(
            help="Dataset to score before and after, without what was trained on; may be repeated. Default: this one."
        ),
    ] = None,
) -> None:
    """Fine-tune a CLIP model on captioned pictures, and score it before and after."""
    from torchmultiverse.errors import DatasetError
    from torchmultiverse.evaluate import evaluate, leaderboard
    from torchmultiverse.store import open_dataset, open_images, without
    from torchmultiverse.train import FineTuning, trained_on
    from torchmultiverse.train import finetune as tune

    if captions not in ("original", "alternate", "both"):
        raise typer.BadParameter(f"'{captions}' is not original, alternate or both", param_hint="--captions")
    opened = open_dataset(dataset)
    rows = trained_on(opened, captions=captions)  # type: ignore[arg-type]
    ids = opened.table(["scene_id"])["scene_id"].to_pylist()
    seen = {ids[row] for row in rows}
    # Before anything is trained: a score on pictures of the training says what was remembered.
    try:
        tests = [without(open_images(folder), seen) for folder in test or [dataset]]
    except DatasetError as error:
        raise DatasetError(
            f"{error}: every picture would be trained on. Give the dataset a split 'test', or name another with --test"
        ) from None
    training = FineTuning(
        captions=captions,  # type: ignore[arg-type]
        hard_negatives=hard_negatives, epochs=epochs, batch_size=batch, learning_rate=rate, seed=seed,
    )  # fmt: skip
    tuned = tune(opened, model, out_folder, training)
    out.print(f"fine-tuned: {tuned}", highlight=False)
    for number, pictures in enumerate(tests):
        result = evaluate(pictures, [model, tuned], out=out_folder / f"results{number or ''}")
        out.print(f"scored on {len(pictures):,} pictures that were not trained on", highlight=False)
        out.print(leaderboard(result))


def held_out(
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset with the columns of PUG: Animals.")],
    factor: Annotated[str, typer.Option(help="Column whose levels are held out, such as world_name.")],
    level: Annotated[list[str] | None, typer.Option(help="Level to hold out; may be repeated.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Or so many levels, drawn at random.")] = None,
    keep: Annotated[list[int] | None, typer.Option(help="Animals seen at all levels (C); may be repeated.")] = None,
    recipe: Annotated[str, typer.Option(help="published (ResNet-50), small (for a laptop), or a file.")] = "small",
    seed: Annotated[int, typer.Option(help="Of draws, first weights and batches.")] = 0,
    save: Annotated[Path | None, typer.Option(help="Write everything as JSON.")] = None,
) -> None:
    """Train classifiers that never saw some levels, and say how they do there, beside a control that saw all."""
    from torchmultiverse.evaluate import held_out as measure
    from torchmultiverse.files import write_atomic
    from torchmultiverse.train import classifier_training

    if (level is None) == (count is None):
        raise typer.BadParameter("name levels with --level, or how many with --count", param_hint="--level")
    held = list(level) if level else int(count or 1)
    found = [measure(dataset, factor, held, c, classifier_training(recipe), seed) for c in keep or [0]]
    table = Table("C", "held out", "trained on", "seen", "held-out pictures", "control", box=None, padding=(0, 2))
    for f in found:
        shown = ", ".join(f.held_out[:4]) + (f" and {len(f.held_out) - 4} more" if len(f.held_out) > 4 else "")
        table.add_row(
            str(f.keep), shown, f"{f.trained:,}", f"{100 * f.seen:.1f}",
            f"{100 * f.accuracy:.1f} [{100 * f.low:.1f}, {100 * f.high:.1f}]",
            f"{100 * f.control:.1f} [{100 * f.control_low:.1f}, {100 * f.control_high:.1f}]",
        )  # fmt: skip
    out.print(table)
    out.print(
        "control: trained on as many pictures of each animal from all levels, tested on the same pictures", style="dim"
    )
    if save is not None:
        write_atomic(save, (json.dumps([asdict(f) for f in found], indent=1) + "\n").encode())


def sensitivity(
    dataset: Annotated[Path, typer.Argument(help="Folder of a dataset.")],
    model: Annotated[str, typer.Option(help="A model string without options.")],
    choice: Annotated[
        list[str] | None,
        typer.Option(help="OPTION=VALUE,VALUE, the model's own first, as resize=own,squash; may be repeated."),
    ] = None,
    protocol: Annotated[str, typer.Option(help="auto, or the name or path of a protocol file.")] = "auto",
    embeddings: Annotated[Path | None, typer.Option(help="Folder of kept embeddings; default: in the cache.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write everything as JSON.")] = None,
) -> None:
    """Score a model under a grid of defensible preprocessing choices and show the band of each score."""
    from torchmultiverse.evaluate import sensitivity as measure
    from torchmultiverse.files import write_atomic
    from torchmultiverse.resources import cache_folder

    choices = {name: values.split(",") for name, _, values in (c.partition("=") for c in choice or [])} or None
    bands = measure(dataset, model, choices, protocol, embeddings or cache_folder("embeddings"))
    table = Table("score", "own", "band", "± of the pictures", "what moves it", box=None, padding=(0, 2))
    for band in bands:
        strongest = sorted(band.effects.items(), key=lambda item: -abs(item[1]))[:2]
        moves = ", ".join(f"{name} {100 * effect:+.1f}" for name, effect in strongest)
        table.add_row(band.title, f"{100 * band.own:.1f}", f"{100 * band.low:.1f} to {100 * band.high:.1f}",
                      f"{100 * band.interval:.1f}", moves)  # fmt: skip
    out.print(table)
    if save is not None:
        write_atomic(save, (json.dumps([asdict(b) for b in bands], indent=1) + "\n").encode())
