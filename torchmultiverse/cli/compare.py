"""Commands that compare models and look for what is behind a difference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from torchmultiverse.cli.groups import eval_group, examples
from torchmultiverse.cli.options import Factors, Metric, ResultModel, Results, Save, Seed, ShownData, Task, Top
from torchmultiverse.cli.output import interval, p_value, percent, save_document, say, table, title

First = Annotated[str, typer.Argument(help="Model of the results.")]
Second = Annotated[str, typer.Argument(help="Model; the difference is its accuracy minus that of the first.")]


@eval_group.command("compare", epilog=examples("torchmultiverse eval compare results/ --task relation"))
def compare(
    results: Results,
    model: Annotated[
        list[str] | None, typer.Option(help="Model of the results; may be repeated. Default: all.")
    ] = None,
    task: Task = None,
    metric: Metric = None,
    seed: Seed = 0,
    save: Save = None,
) -> None:
    """Say whether models differ: paired tests on the same pictures, corrected, and which difference could be seen."""
    from torchmultiverse.evaluation import ComparisonRecord, Result, RowView, model_ranks
    from torchmultiverse.evaluation import compare as measure
    from torchmultiverse.stats import format_difference

    result = Result.load(results)
    view = RowView(result)
    questions = None if task is None and metric is None else [view.question(task, metric)]
    found = measure(view, models=model or None, questions=questions, seed=seed)
    places = model_ranks(view, seed)
    shown = table("place", "model", "score", "places of 95 %", "group")
    for s in places:
        span = str(s.rank_low) if s.rank_low == s.rank_high else f"{s.rank_low} to {s.rank_high}"
        shown.add_row(str(s.rank), s.model, f"{100 * s.score:.1f}", span, s.groups)
    say(shown)
    say("models that share a letter cannot be told apart", "dim")
    for line in view.questions if questions is None else questions:
        mine = [c for c in found if (c.task, c.metric, c.setting) == (line.task, line.metric, line.setting)]
        if not mine:
            continue
        say()
        title(view.title(line), f"  {mine[0].n:,} pictures, {mine[0].test}")
        shown = table("first", "second", "difference", "only first", "only second", "p", "could be seen")
        for c in mine:
            ends = format_difference(c.difference, c.low, c.high, c.clusters)
            style = "green" if c.corrected < 0.05 else ""
            seen = f"{100 * c.detectable:.1f}" if c.detectable <= 1 else "none"
            shown.add_row(c.first, c.second, Text(ends, style), f"{c.lost:,}", f"{c.gained:,}", p_value(c.corrected),
                          seen)  # fmt: skip
        say(shown)
    save_document(save, ComparisonRecord(ranks=tuple(places), comparisons=tuple(found)))


@eval_group.command(
    "slices", epilog=examples("torchmultiverse eval slices results/ --model timm:resnet50 --data data/spar")
)
def slices(
    results: Results,
    model: ResultModel = None,
    task: Task = None,
    metric: Metric = None,
    factor: Factors = None,
    depth: Annotated[int, typer.Option(min=1, max=3, help="How many factors a slice may combine.")] = 2,
    rate: Annotated[float, typer.Option(help="Expected share of false findings.")] = 0.05,
    top: Top = 20,
    data: ShownData = None,
    save: Save = None,
) -> None:
    """Find combinations of factor levels where a model is significantly worse than elsewhere."""
    from torchmultiverse.evaluation import Result, SliceRecord, ranked, worst_slices

    result = Result.load(results)
    name = model or ranked(result)[0]
    found = worst_slices(result, name, task=task, metric=metric, factors=factor, depth=depth, rate=rate)
    if not found:
        say(f"'{name}': no combination of up to {depth} factors is significantly worse than the rest")
        save_document(save, SliceRecord(slices=()))
        return
    chance = f"at most {100 * rate:g} % of these are expected to be chance"
    title(name, f", {found[0].task}, {found[0].metric}: {chance}")
    shown = table("where", "images", "accuracy", "elsewhere", "p")
    for s in found[:top]:
        shown.add_row(
            str(s), f"{s.n:,}", interval(s.accuracy, s.low, s.high), f"{100 * s.rest:.1f}", p_value(s.corrected)
        )
    say(shown)
    if data is not None:
        from torchmultiverse.evaluation import slice_sheet
        from torchmultiverse.store import open_dataset

        path = results / "slices.png"
        slice_sheet(open_dataset(data), result, found[:top]).save(path)
        say(str(path))
    save_document(save, SliceRecord(slices=tuple(found)))


@eval_group.command(
    "gap",
    epilog=examples(
        "torchmultiverse eval gap results/ timm:resnet50 timm:vit_base_patch16_224",
        "torchmultiverse eval gap mine/ M M --other theirs/",
    ),
)
def gap(
    results: Results,
    first: First,
    second: Second,
    other: Annotated[Path | None, typer.Option(help="Folder of results that hold the second model.")] = None,
    task: Task = None,
    metric: Metric = None,
    factor: Factors = None,
    top: Top = 12,
    save: Save = None,
) -> None:
    """Say where the gap between two models or runs comes from: levels of factors, other pictures, other settings."""
    from torchmultiverse.evaluation import GapRecord, Result
    from torchmultiverse.evaluation import explain_gap as explain
    from torchmultiverse.stats import format_difference

    elsewhere = None if other is None else Result.load(other)
    answer = explain(Result.load(results), first, second, task=task, metric=metric, other=elsewhere, factors=factor)
    ends = format_difference(answer.gap, answer.low, answer.high, answer.clusters)
    title(answer.task, f", {answer.metric}: “{second}” minus “{first}” is {ends} points")
    for name, part in sorted(answer.composition.items(), key=lambda item: -abs(item[1]))[:5]:
        say(f"  other proportions of {name} explain {percent(part)} points")
    shown = table("factor", "level", "images", "gap there", "beyond composition", "p")
    for part_ in answer.parts[:top]:
        ends = format_difference(part_.gap, part_.low, part_.high, part_.clusters)
        shown.add_row(part_.factor, part_.level, f"{part_.n:,}", ends, percent(part_.excess), p_value(part_.p))
    say(shown)
    if answer.settings:
        shown = table("declared differently", first, second)
        for name, one, two in answer.settings:
            shown.add_row(name, one, two)
        say(shown)
    save_document(save, GapRecord(explanation=answer))


@eval_group.command(
    "next-renders", epilog=examples("torchmultiverse eval next-renders results/ A B --factor world_name")
)
def next_renders(
    results: Results,
    first: First,
    second: Second,
    task: Task = None,
    metric: Metric = None,
    factor: Annotated[
        list[str] | None, typer.Option(help="Whose levels make the cells; default: where the models differ most.")
    ] = None,
    difference: Annotated[
        float | None, typer.Option(help="To be shown, in points; default: the one seen so far.")
    ] = None,
    top: Top = 20,
    save: Save = None,
) -> None:
    """Say which pictures to render to tell two models apart, and how many."""
    from torchmultiverse.evaluation import AcquisitionRecord, Result
    from torchmultiverse.evaluation import next_renders as choose

    wanted = None if difference is None else difference / 100
    plan = choose(Result.load(results), first, second, task=task, metric=metric, factors=factor, difference=wanted)
    title(
        plan.task,
        f", {plan.metric}: “{second}” minus “{first}” is {percent(plan.difference)} so far; these pictures show "
        f"{'such a difference' if wanted is None else f'{difference:g} points'} with probability {plan.power:.0%}",
    )
    total = sum(cell.to_render for cell in plan.cells)
    if not plan.needed:
        say("there is no difference to show; name one with --difference")
    elif not total:
        say("no more pictures are needed")
    else:
        say(f"{total:,} more pictures, spread like this, make it 80 % ({plan.needed:,} in all; "
            f"{plan.needed_uniform:,} if spread evenly)")  # fmt: skip
        shown = table("where", "images", "difference", "one of two right", "render")
        for cell in plan.cells[:top]:
            where = ", ".join(f"{f} = {level}" for f, level in cell.levels.items())
            shown.add_row(
                where, f"{cell.n:,}", percent(cell.difference), f"{cell.disagreement:.0%}", f"{cell.to_render:,}"
            )
        say(shown)
    save_document(save, AcquisitionRecord(plan=plan, filters=tuple(plan.filters())))


@eval_group.command(
    "interactions",
    epilog=examples("torchmultiverse eval interactions results/ --factor world_name --factor camera_yaw"),
)
def interactions(
    results: Results,
    model: ResultModel = None,
    task: Task = None,
    metric: Metric = None,
    factor: Annotated[list[str] | None, typer.Option(help="Two columns; default: the two that interact most.")] = None,
    top: Top = 12,
    save: Save = None,
) -> None:
    """Say what levels of two factors do together beyond what each does by itself."""
    from torchmultiverse.errors import DatasetError
    from torchmultiverse.evaluation import InteractionRecord, Result, RowView, ranked, strongest_pair
    from torchmultiverse.evaluation import interactions as measure
    from torchmultiverse.stats import format_difference

    result = Result.load(results)
    view, name = RowView(result), model or ranked(result)[0]
    line = view.question(task, metric)
    if factor and len(factor) != 2:
        raise typer.BadParameter("name two columns", param_hint="--factor")
    pair = (factor[0], factor[1]) if factor else strongest_pair(view, name, line)
    cells = measure(view, name, line, *pair) if pair else []
    if not pair or not cells:
        raise DatasetError(f"'{name}', {view.title(line)}: no two factors whose levels are all combined")
    title(name, f", {view.title(line)}: {pair[0]} and {pair[1]}")
    shown = table(pair[0], pair[1], "images", "accuracy", "beyond both", "p")
    for c in cells[:top]:
        ends = format_difference(c.effect, c.low, c.high, c.clusters)
        shown.add_row(c.first[1], c.second[1], f"{c.n:,}", f"{100 * c.accuracy:.1f}", ends, p_value(c.p))
    say(shown)
    save_document(save, InteractionRecord(interactions=tuple(cells)))


@eval_group.command(
    "correlate", epilog=examples("torchmultiverse eval correlate results/ --imagenet results-imagenet.csv")
)
def correlate(
    results: Results,
    imagenet: Annotated[Path, typer.Option(help="CSV with the columns model and accuracy (or top1).")],
    space: Annotated[str | None, typer.Option(help="Label space; default: the first.")] = None,
    save: Save = None,
) -> None:
    """Say whether models that are good on ImageNet are robust: Pearson's r of each factor, beside the published one."""
    from torchmultiverse.evaluation import CorrelationRecord, Result, factor_accuracies, imagenet_accuracies, tables
    from torchmultiverse.evaluation import correlate as measure

    found = measure(imagenet_accuracies(imagenet), factor_accuracies(Result.load(results), space))
    published = next(t["correlation"]["r"] for t in tables() if "correlation" in t)
    shown = table("factor", "models", "r", "95 %", "p", "published r")
    for c in found:
        known = published.get(c.factor)
        shown.add_row(c.factor, str(c.models), f"{c.r:+.2f}", f"{c.low:+.2f} to {c.high:+.2f}", p_value(c.p),
                      "" if known is None else f"{known:+.2f}")  # fmt: skip
    say(shown)
    save_document(save, CorrelationRecord(correlations=tuple(found)))
