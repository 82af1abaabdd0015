"""Commands that say what a change does: of a factor to answers and embeddings, of the preprocessing to scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import eval_group, examples
from torchmultiverse.cli.options import (
    Dataset,
    Factors,
    Features,
    ModelStrings,
    Protocol,
    Results,
    Save,
    Seed,
    Top,
    features_folder,
)
from torchmultiverse.cli.output import p_value, percent, save_document, say, table


@eval_group.command(
    "counterfactuals", epilog=examples("torchmultiverse eval counterfactuals results/ data/spar --factor world_name")
)
def counterfactuals(
    results: Results,
    dataset: Annotated[Path, typer.Argument(help="Folder of the dataset that was evaluated.")],
    factor: Factors = None,
    top: Top = 3,
    save: Save = None,
    gallery: Annotated[Path | None, typer.Option(help="Write a PNG of pairs whose answer is lost or gained.")] = None,
) -> None:
    """Say what a change of one factor, everything else equal, does to a model's answers."""
    from torchmultiverse.evaluation import CounterfactualRecord, Result
    from torchmultiverse.evaluation import counterfactuals as measure
    from torchmultiverse.stats import format_difference
    from torchmultiverse.store import open_dataset

    result, pictures = Result.load(results), open_dataset(dataset)
    found = measure(result, pictures, factors=factor)
    shown = table("model", "task", "factor", "change", "pairs", "flips", "effect", "p")
    for key in dict.fromkeys((e.model, e.task, e.setting, e.factor) for e in found):
        mine = [e for e in found if (e.model, e.task, e.setting, e.factor) == key]
        for e in sorted(mine, key=lambda e: -abs(e.effect))[:top]:
            task = e.task if e.setting in {"", "all"} else f"{e.task}, {e.setting}"
            effect = format_difference(e.effect, e.low, e.high, e.clusters, e.grouped)
            shown.add_row(
                e.model,
                task,
                e.factor,
                f"{e.first} → {e.second}",
                f"{e.pairs:,}",
                f"{100 * e.flips:.0f} %",
                effect,
                p_value(e.p),
            )
    say(shown)
    if gallery is not None:
        from torchmultiverse.evaluation import pair_sheet

        strongest = sorted(found, key=lambda e: (e.p, -abs(e.effect)))[:12]
        pair_sheet(pictures, result, strongest).save(gallery)
        say(str(gallery))
    save_document(save, CounterfactualRecord(effects=tuple(found)))


@eval_group.command(
    "equivariance",
    epilog=examples("torchmultiverse eval equivariance data/animals --model open_clip:ViT-B-32/laion2b_s34b_b79k"),
)
def equivariance(
    dataset: Dataset,
    model: ModelStrings,
    factor: Annotated[
        list[str] | None, typer.Option(help="Column; may be repeated. Default: all that vary but for names.")
    ] = None,
    save: Save = None,
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Say whether a change of one factor moves the embeddings of all objects the same way (1) or not (0)."""
    from torchmultiverse.evaluation import EquivarianceRecord, ParallelismFacts, published_cosines
    from torchmultiverse.evaluation import equivariance as measure

    found = measure(dataset, model, factors=factor, seed=seed, embeddings=features_folder(features))
    shown = table("model", "factor", "image", "text", "across", "contexts")
    for name, results in found.items():
        for column in dict.fromkeys(result.factor for result in results):
            mine = {result.modality: result for result in results if result.factor == column}
            cells = [
                _with_interval(r.value, r.low, r.high, r.clusters) if (r := mine.get(modality)) is not None else "–"
                for modality in ("image", "text", "across")
            ]
            shown.add_row(name, column, *cells, f"{next(iter(mine.values())).contexts:,}")
    known = published_cosines()
    columns = dict.fromkeys(result.factor for results in found.values() for result in results)
    for column in [name for name in columns if (name, "image") in known]:
        means = [known[column, modality] for modality in ("image", "text", "across")]
        shown.add_row(
            "published, nine models", column, *(f"{mean:.2f} ± {sd:.2f}" for mean, sd in means), "", style="dim"
        )
    say(shown)
    facts = {name: tuple(map(ParallelismFacts.of, results)) for name, results in found.items()}
    save_document(save, EquivarianceRecord(models=facts))


def _with_interval(value: float, low: float, high: float, clusters: int) -> str:
    ends = f"too few groups ({clusters})" if (low, high) == (-1, 1) else f"[{low:.2f}, {high:.2f}]"
    return f"{value:.2f} {ends}"


@eval_group.command(
    "sensitivity",
    epilog=examples("torchmultiverse eval sensitivity data/spar --model open_clip:ViT-B-32/laion2b_s34b_b79k"),
)
def sensitivity(
    dataset: Dataset,
    model: Annotated[str, typer.Option(help="Model string without options.", autocompletion=completion.models)],
    choice: Annotated[
        list[str] | None,
        typer.Option(help="OPTION=VALUE,VALUE, the model's own first, as resize=own,squash; may be repeated."),
    ] = None,
    protocol: Protocol = "auto",
    features: Features = None,
    save: Save = None,
) -> None:
    """Score a model under a grid of defensible preprocessing choices and show the band of each score."""
    from torchmultiverse.evaluation import SensitivityRecord
    from torchmultiverse.evaluation import sensitivity as measure

    choices = {name: values.split(",") for name, _, values in (c.partition("=") for c in choice or [])} or None
    bands = measure(dataset, model, choices=choices, protocol=protocol, embeddings=features_folder(features))
    shown = table("score", "own", "band", "± of the pictures", "what moves it")
    for band in bands:
        strongest = sorted(band.effects.items(), key=lambda item: -abs(item[1]))[:2]
        moves = ", ".join(f"{name} {percent(effect)}" for name, effect in strongest)
        shown.add_row(band.title, f"{100 * band.own:.1f}", f"{100 * band.low:.1f} to {100 * band.high:.1f}",
                      f"{100 * band.interval:.1f}", moves)  # fmt: skip
    say(shown)
    save_document(save, SensitivityRecord(ranges=tuple(bands)))
