"""Commands that score models and show the scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import app, eval_group, examples
from torchmultiverse.cli.options import (
    Dataset,
    Features,
    ModelStrings,
    Protocol,
    Seed,
    ShownData,
    features_folder,
    tabular,
)
from torchmultiverse.cli.output import print_table, say
from torchmultiverse.cli.study_out import ROWS, finish
from torchmultiverse.errors import DatasetError
from torchmultiverse.paths import address_of
from torchmultiverse.tables import Table, interval, number, share, text

if TYPE_CHECKING:
    from torchmultiverse.evaluation import Result

BOARD = (
    text("dataset"), text("task"), text("setting"), text("metric"), text("title"), text("model"), interval("accuracy"),
    share("chance"), number("images"),
)  # fmt: skip
"""The leaderboard for programs: a row for each task and model."""


def board_table(result: Result, models: Sequence[str] | None = None) -> Table:
    """Return the leaderboard for programs, of some models or of all; the best first in each task."""
    from torchmultiverse.evaluation import leaderboard_rows, ranked

    shown = Table(BOARD)
    for line in leaderboard_rows(result):
        for model in (name for name in ranked(result) if name in line.cells and (models is None or name in models)):
            cell = line.cells[model]
            shown.add(
                result.provenance.dataset.name, line.task, line.setting, line.metric, line.title, model,
                (cell["accuracy"], cell["low"], cell["high"]), line.chance, cell["n"],
            )  # fmt: skip
    return shown


@eval_group.command(
    "run",
    epilog=examples(
        "torchmultiverse eval data/spar --model open_clip:ViT-B-32/laion2b_s34b_b79k",
        "torchmultiverse eval data/spar --model 'open_clip:ViT-B-32/laion2b_*' --protocol spar_pug2023 --out published",
    ),
)
@tabular(BOARD)
def run(
    dataset: Dataset,
    model: ModelStrings,
    out: Annotated[Path, typer.Option("--out", help="Folder of the results; replaces older ones.")] = Path("results"),
    protocol: Protocol = "auto",
    seed: Seed = 0,
    features: Features = None,
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="Whether features are kept at all.")] = True,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(help="Of models; auto: bfloat16 on a GPU.")
    ] = "auto",
    batch: Annotated[int | None, typer.Option(min=1, help="Images per call. Default: found by trying.")] = None,
    audit: Annotated[int, typer.Option(min=0, help="Encode so many images again, one by one in float32; 0: none.")] = 0,
) -> None:
    """Score models on a dataset and print the leaderboard. Each image passes once, ever, through each model."""
    from torchmultiverse.evaluation import evaluate, leaderboard, model_ranks
    from torchmultiverse.models import model_strings

    result = evaluate(
        dataset, model_strings(model), protocol=protocol, out=out, seed=seed,
        embeddings=features_folder(features) if keep else None, precision=precision, batch_size=batch or "auto",
        audit=audit,
    )  # fmt: skip
    print_table(board_table(result), people=leaderboard(result))
    if len(result.models) > 1:
        shown = [f"{s.model} ({s.groups})" for s in model_ranks(result, seed)]
        say(f"places: {', '.join(shown)}; models that share a letter cannot be told apart")
    for name, found in result.provenance.audits.items():
        say(f"audit of {name}: {found.changed} of {found.answers} answers change when {found.images} "
            f"pictures are encoded one by one in float32")  # fmt: skip
    say(f"results in {out}; the page: torchmultiverse report {out}")


@eval_group.command(
    "compositions",
    epilog=examples(
        "torchmultiverse eval compositions data/vg_relation data/coco_order --model open_clip:ViT-B-32/openai",
        "torchmultiverse eval compositions data/winoground --model old=tiny:start --model new=tiny:tuned --out both",
    ),
)
@tabular(ROWS)
def compositions(
    datasets: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of datasets: of ARO and Winoground (data import --layout), AR4T, SPAR, minimal pairs.",
            autocompletion=completion.datasets,
        ),
    ],
    model: ModelStrings,
    out: Annotated[Path, typer.Option("--out", help="Folder of results, record and page.")] = Path("compositions"),
    protocol: Protocol = "auto",
    blind: Annotated[
        bool, typer.Option("--blind/--no-blind", help="Also ask each model with a grey picture in place of each.")
    ] = True,
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Score models on who does what to whom, which thing is how, and in which order; of two models, what changed.

    Each set by its authors' own number, with chance, ties, and what is reached without pictures and by captions alone.
    """
    from torchmultiverse.evaluation import score_compositions
    from torchmultiverse.models import model_strings

    study = score_compositions(
        datasets, model_strings(model), out, protocol=protocol, blind=blind, seed=seed,
        embeddings=features_folder(features),
    )  # fmt: skip
    finish(study, out, seed)


@app.command(epilog=examples("torchmultiverse report results/ --data data/spar --out report/"))
def report(
    results: Annotated[
        Path,
        typer.Argument(help="Folder that 'eval' or a command of 'analyze' wrote.", autocompletion=completion.results),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the page. Default: inside that folder.")] = None,
    data: ShownData = None,
) -> None:
    """Make the HTML pages, and the tables beside them, of what was saved: results, or a record of any analysis."""
    from torchmultiverse.report import load_record, write_report
    from torchmultiverse.store import open_dataset

    if out is None and (address := address_of(results)):
        raise DatasetError(f"{address}: pages are written on this machine: say where with --out FOLDER")
    images = None if data is None else open_dataset(data)
    record, folder = load_record(results)
    say(str(write_report(record, out or folder, images, quiet=False)))
