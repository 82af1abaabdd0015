"""Commands that score models and show the scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import app, eval_group, examples
from torchmultiverse.cli.options import (
    Dataset,
    Features,
    Limit,
    ModelStrings,
    Protocol,
    Seed,
    ShownData,
    features_folder,
    images_of,
    option_sets,
    refuse_idle,
    tabular,
)
from torchmultiverse.cli.output import print_table, say
from torchmultiverse.cli.study_out import ROWS, finish
from torchmultiverse.errors import DatasetError
from torchmultiverse.paths import address_of
from torchmultiverse.tables import Table, interval, number, share, text

if TYPE_CHECKING:
    from torchmultiverse.evaluation import Result
    from torchmultiverse.store import ImageSet

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


@dataclass(frozen=True)
class Encoding:
    """How images go through models."""

    features: Features = None
    keep: Annotated[bool, typer.Option("--keep/--no-keep", help="Whether features are kept at all.")] = True
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(help="Of models; auto: bfloat16 on a GPU.")
    ] = "auto"
    batch: Annotated[int | None, typer.Option(min=1, help="Images per call. Default: found by trying.")] = None
    audit: Annotated[int, typer.Option(min=0, help="Encode so many images again, one by one in float32; 0: none.")] = 0

    @property
    def folder(self) -> Path | None:
        """Where features are kept."""
        return features_folder(self.features) if self.keep else None


@dataclass(frozen=True)
class Corrupting:
    """Which corruptions images are shown under."""

    corruptions: Annotated[
        str | None,
        typer.Option(
            "--corruptions",
            help="Score under corruptions instead: all, imagenet-c, a family (noise, blur, weather, digital, extra, "
            "depth, camera) or names of types, with commas. Default: none, and the leaderboard is printed.",
        ),
    ] = None
    severity: Annotated[
        str, typer.Option("--severity", help="With --corruptions: severities from 1 to 5, with commas.")
    ] = "1,2,3,4,5"
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline", help="With --corruptions: the model, by its name, that errors are relative to. Default: none."
        ),
    ] = None
    side: Annotated[
        int,
        typer.Option(
            "--side",
            min=0,
            help="With --corruptions: images are first resized to a shorter side of so many pixels; 0: not at all.",
        ),
    ] = 224
    plain: Annotated[
        Path | None,
        typer.Option(
            "--plain",
            help="With a folder laid out as ImageNet-C: folder of its plain images by classes. Default: none.",
        ),
    ] = None


@eval_group.command(
    "run",
    epilog=examples(
        "torchmultiverse eval data/spar --model open_clip:ViT-B-32/laion2b_s34b_b79k",
        "torchmultiverse eval data/spar --model 'open_clip:ViT-B-32/laion2b_*' --protocol spar_pug2023 --out published",
        "torchmultiverse eval data/animals --model timm:resnet50 --model base=timm:resnet18 --corruptions imagenet-c "
        "--severity 1,3,5 --baseline base --out corrupted",
    ),
)
@tabular(BOARD)
@option_sets
def run(
    context: typer.Context,
    dataset: Dataset,
    model: ModelStrings,
    encoding: Encoding,
    corrupting: Corrupting,
    out: Annotated[Path, typer.Option("--out", help="Folder of the results; replaces older ones.")] = Path("results"),
    protocol: Protocol = "auto",
    limit: Limit = None,
    seed: Seed = 0,
) -> None:
    """Score models on a dataset and print the leaderboard. Each image passes once, ever, through each model.

    With --corruptions images are shown under noise, blur, weather and the like, five severities each, and errors are
    told instead, beside those on plain images; programs get the rows of its tables. What is interrupted goes on.
    """
    from torchmultiverse.evaluation import evaluate, leaderboard, model_ranks
    from torchmultiverse.models import model_strings

    pictures = dataset if limit is None else images_of(dataset, limit, seed)
    if corrupting.corruptions is not None:
        _corrupted(pictures, model_strings(model), encoding, corrupting, corrupting.corruptions, out, protocol, seed)
        return
    refuse_idle(context, ["severity", "baseline", "side", "plain"], "--corruptions, such as --corruptions imagenet-c")
    result = evaluate(
        pictures, model_strings(model), protocol=protocol, out=out, seed=seed, embeddings=encoding.folder,
        precision=encoding.precision, batch_size=encoding.batch or "auto", audit=encoding.audit,
    )  # fmt: skip
    print_table(board_table(result), people=leaderboard(result))
    if len(result.models) > 1:
        shown = [f"{s.model} ({s.groups})" for s in model_ranks(result, seed)]
        say(f"places: {', '.join(shown)}; models that share a letter cannot be told apart")
    for name, found in result.provenance.audits.items():
        say(f"audit of {name}: {found.changed} of {found.answers} answers change when {found.images} "
            f"pictures are encoded one by one in float32")  # fmt: skip
    say(f"results in {out}; the page: torchmultiverse report {out}")


def _corrupted(
    dataset: Path | ImageSet, models: list[str], encoding: Encoding, asked: Corrupting, corruptions: str, out: Path,
    protocol: str, seed: int,
) -> None:  # fmt: skip
    """Score models under corruptions, and write the page."""
    from torchmultiverse.cli.study_out import finish
    from torchmultiverse.corruptions import parse_severities
    from torchmultiverse.evaluation import CorruptionOptions, evaluate_corruptions
    from torchmultiverse.files import check_folder

    check_folder(out)
    options = CorruptionOptions(
        corruptions, parse_severities(asked.severity), asked.baseline, None, asked.side or None,
        asked.plain, protocol, encoding.precision, encoding.batch or "auto",
    )  # fmt: skip
    finish(evaluate_corruptions(dataset, models, options, seed, encoding.folder), out, seed)


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
    limit: Limit = None,
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Score models on who does what to whom, which thing is how, and in which order; of two models, what changed.

    Each set by its authors' own number, with chance, ties, and what is reached without pictures and by captions alone.
    """
    from torchmultiverse.evaluation import score_compositions
    from torchmultiverse.models import model_strings

    study = score_compositions(
        [images_of(one, limit, seed) for one in datasets], model_strings(model), out, protocol=protocol, blind=blind,
        seed=seed, embeddings=features_folder(features),
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
