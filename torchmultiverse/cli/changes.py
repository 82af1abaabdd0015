"""Commands that say what a change does: of a factor to answers and embeddings, of the preprocessing to scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
    tabular,
)
from torchmultiverse.cli.output import (
    check_image_file,
    difference,
    percent,
    print_table,
    save_document,
    save_image,
    say,
)
from torchmultiverse.tables import Column, Table, number, p_value, share, text


def _change(first: str, second: str) -> str:
    from torchmultiverse.scenes import level_name

    return f"{level_name(first)} → {level_name(second)}"


_EFFECTS = (
    text("model"),
    Column(("task", "setting"), "task", lambda task, of: task if of in {"", "all"} else f"{task}, {of}", right=False),
    text("factor"), Column(("first", "second"), "change", _change, right=False),
    number("pairs"), share("flips", "flips, %", digits=0), difference("effect"), p_value("p"),
)  # fmt: skip


def _parallel(key: str) -> Column:
    def form(value: float, low: float, high: float, clusters: int) -> str:
        ends = f"too few groups ({clusters})" if (low, high) == (-1, 1) else f"[{low:.2f}, {high:.2f}]"
        return f"{value:.2f} {ends}"

    unit = "mean cosine, -1 to 1, the ends of its 95 % interval, and the groups that it rests on"
    return Column((key, f"{key}_low", f"{key}_high", f"{key}_groups"), key, form, unit)


_MODALITIES = ("image", "text", "across")
_PARALLELISM = (text("model"), text("factor"), *map(_parallel, _MODALITIES), number("contexts"))
_BANDS = (
    text("score"), share("own"), share("low"), share("high"), share("sampling", "± of the pictures"),
    Column(
        ("effects",), "what moves it",
        lambda effects: ", ".join(f"{name} {percent(value)}" for name, value in list(effects.items())[:2]),
        "difference of shares by choice, the largest first", right=False,
    ),
)  # fmt: skip


@eval_group.command(
    "counterfactuals", epilog=examples("torchmultiverse eval counterfactuals results/ data/spar --factor world_name")
)
@tabular(_EFFECTS)
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
    from torchmultiverse.store import open_dataset

    check_image_file(gallery, "--gallery")
    result, pictures = Result.load(results), open_dataset(dataset)
    found = measure(result, pictures, factors=factor)
    shown = Table(_EFFECTS)
    for key in dict.fromkeys((e.model, e.task, e.setting, e.factor) for e in found):
        mine = [e for e in found if (e.model, e.task, e.setting, e.factor) == key]
        for e in sorted(mine, key=lambda e: -abs(e.effect))[:top]:
            shown.add(
                e.model, (e.task, e.setting), e.factor, (e.first, e.second), e.pairs, e.flips,
                (e.effect, e.low, e.high, e.clusters, e.grouped), e.p,
            )  # fmt: skip
    print_table(shown)
    if gallery is not None:
        from torchmultiverse.evaluation import pair_sheet

        strongest = sorted(found, key=lambda e: (e.p, -abs(e.effect)))[:12]
        save_image(gallery, pair_sheet(pictures, result, strongest))
        say(str(gallery))
    save_document(save, CounterfactualRecord(effects=tuple(found)))


@eval_group.command(
    "equivariance",
    epilog=examples("torchmultiverse eval equivariance data/animals --model open_clip:ViT-B-32/laion2b_s34b_b79k"),
)
@tabular(_PARALLELISM)
def equivariance(
    dataset: Dataset,
    model: ModelStrings,
    factor: Annotated[
        list[str] | None,
        typer.Option(
            help="Column; may be repeated. Default: all that vary but for names.", autocompletion=completion.columns
        ),
    ] = None,
    save: Save = None,
    seed: Seed = 0,
    features: Features = None,
) -> None:
    """Say whether a change of one factor moves the embeddings of all objects the same way (1) or not (0)."""
    from torchmultiverse.evaluation import EquivarianceRecord, ParallelismFacts, published_cosines
    from torchmultiverse.evaluation import equivariance as measure
    from torchmultiverse.models import model_strings

    found = measure(dataset, model_strings(model), factors=factor, seed=seed, embeddings=features_folder(features))
    shown = Table(_PARALLELISM)
    for name, results in found.items():
        for column in dict.fromkeys(result.factor for result in results):
            of = [r for r in results if r.factor == column]
            cells: dict[str, Any] = {r.modality: (r.value, r.low, r.high, r.clusters) for r in of}
            shown.add(name, column, *map(cells.get, _MODALITIES), of[0].contexts)
    print_table(shown)
    known = published_cosines()
    published = Table((text("factor", "published, nine models"), *(text(modality) for modality in _MODALITIES)))
    for column in dict.fromkeys(result.factor for results in found.values() for result in results):
        if (column, "image") in known:
            means = [known[column, modality] for modality in _MODALITIES]
            published.add(column, *(f"{mean:.2f} ± {sd:.2f}" for mean, sd in means), style="dim")
    if published.rows:
        say(published)
    facts = {name: tuple(map(ParallelismFacts.of, results)) for name, results in found.items()}
    save_document(save, EquivarianceRecord(models=facts))


@eval_group.command(
    "sensitivity",
    epilog=examples("torchmultiverse eval sensitivity data/spar --model open_clip:ViT-B-32/laion2b_s34b_b79k"),
)
@tabular(_BANDS)
def sensitivity(
    dataset: Dataset,
    model: Annotated[str, typer.Option(help="Model string without options.", autocompletion=completion.models)],
    choice: Annotated[
        list[str] | None,
        typer.Option(
            help="OPTION=VALUE,VALUE, the model's own first, as resize=own,squash; may be repeated. "
            "Default: resize, interpolation, norm and precision."
        ),
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
    shown = Table(_BANDS)
    for band in bands:
        effects = dict(sorted(band.effects.items(), key=lambda item: -abs(item[1])))
        shown.add(band.title, band.own, band.low, band.high, band.interval, effects)
    print_table(shown)
    save_document(save, SensitivityRecord(ranges=tuple(bands)))
