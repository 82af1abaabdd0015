"""Commands that compare models and look for what is behind a difference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from torchmultiverse.cli import completion
from torchmultiverse.cli.groups import eval_group, examples
from torchmultiverse.cli.options import (
    Factors,
    Question,
    ResultModel,
    Results,
    Save,
    Seed,
    ShownData,
    Top,
    option_sets,
    tabular,
)
from torchmultiverse.cli.output import difference as gap_column
from torchmultiverse.cli.output import level, percent, print_table, save_document, say, say_more, title
from torchmultiverse.tables import Column, Table, interval, number, p_value, share, text

First = Annotated[str, typer.Argument(help="Model of the results.", autocompletion=completion.result_models)]
Second = Annotated[
    str,
    typer.Argument(
        help="Model; the difference is its accuracy minus that of the first.", autocompletion=completion.result_models
    ),
]


def _where(levels: dict[str, str]) -> str:
    from torchmultiverse.scenes import level_name

    return ", ".join(f"{factor} = {level_name(level, factor)}" for factor, level in levels.items())


_QUESTION = (text("task", ""), text("metric", ""), text("setting", ""))
_RANKS = (number("place"), text("model"), share("score"), text("places", "places of 95 %"), text("group"))
_PAIRS = (
    *_QUESTION, text("first"), text("second"), gap_column("difference", noun="groups"), number("only_first"),
    number("only_second"), p_value("p"), number("images", ""), text("test", ""),
    Column(("detectable",), "could be seen", lambda v: f"{100 * v:.1f}" if v <= 1 else "none",
           "difference of shares seen with 80 % probability; nothing where none would be"),
)  # fmt: skip
_SLICES = (
    Column(("levels",), "where", _where, right=False),
    number("images"), interval("accuracy"), share("elsewhere"), p_value("p"),
)  # fmt: skip
_GAP = (
    text("factor"), level(), number("images"), gap_column("gap", "gap there", noun="groups"),
    share("excess", "beyond composition", signed=True), p_value("p"),
)  # fmt: skip
_NEXT = (
    _SLICES[0], number("images"), share("difference", signed=True),
    share("disagreement", "one of two right, %", digits=0), number("to_render", "render"),
)  # fmt: skip
_INTERACTIONS = (
    level("first_level"), level("second_level"), number("images"), share("accuracy"),
    gap_column("effect", "beyond both", noun="groups"), p_value("p"), text("first_factor", ""),
    text("second_factor", ""),
)  # fmt: skip
_CORRELATIONS = (
    text("factor"), number("models"),
    Column(("r", "r_low", "r_high"), "r, 95 %", lambda r, low, high: f"{r:+.2f} [{low:+.2f}, {high:+.2f}]",
           "Pearson's r, and the ends of its 95 % interval"),
    p_value("p"), number("published_r", form="+.2f", unit="Pearson's r"),
)  # fmt: skip


def _of(setting: str) -> str:
    return "" if setting in {"", "all"} else f", {setting}"


@eval_group.command("compare", epilog=examples("torchmultiverse eval compare results/ --task relation"))
@tabular(_PAIRS)
@option_sets
def compare(
    results: Results,
    question: Question,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model of the results; may be repeated. Default: all.", autocompletion=completion.result_models
        ),
    ] = None,
    seed: Seed = 0,
    save: Save = None,
) -> None:
    """Say whether models differ: paired tests on the same pictures, corrected, and which difference could be seen."""
    from torchmultiverse.evaluation import ComparisonRecord, Result, RowView, model_ranks
    from torchmultiverse.evaluation import compare as measure

    result = Result.load(results)
    view = RowView(result)
    questions = None if question == Question() else [view.question(**question.options())]
    found = measure(view, models=model or None, questions=questions, seed=seed)
    places = model_ranks(view, seed)
    ranks = Table(_RANKS)
    for s in places:
        span = str(s.rank_low) if s.rank_low == s.rank_high else f"{s.rank_low} to {s.rank_high}"
        ranks.add(s.rank, s.model, s.score, span, s.groups)
    say(ranks)
    say("models that share a letter cannot be told apart", "dim")
    shown = []
    for line in view.questions if questions is None else questions:
        mine = [c for c in found if (c.task, c.metric, c.setting) == (line.task, line.metric, line.setting)]
        if not mine:
            continue
        shown.append(
            Table(_PAIRS, Text.assemble("\n", (view.title(line), "bold"), f"  {mine[0].n:,} pictures, {mine[0].test}"))
        )
        for c in mine:
            shown[-1].add(
                c.task, c.metric, c.setting, c.first, c.second, (c.difference, c.low, c.high, c.clusters), c.lost,
                c.gained, c.corrected, c.n, c.test, c.detectable, style="green" if c.corrected < 0.05 else None,
            )  # fmt: skip
    print_table(*shown or [Table(_PAIRS)])
    save_document(save, ComparisonRecord(ranks=tuple(places), comparisons=tuple(found)))


@eval_group.command(
    "slices", epilog=examples("torchmultiverse eval slices results/ --model timm:resnet50 --data data/spar")
)
@tabular(_SLICES)
@option_sets
def slices(
    results: Results,
    question: Question,
    model: ResultModel = None,
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
    found = worst_slices(result, name, **question.options(), factors=factor, depth=depth, rate=rate)
    shown = Table(_SLICES)
    if not found:
        say(f"'{name}': no combination of up to {depth} factors is significantly worse than the rest")
        print_table(shown)
        save_document(save, SliceRecord(slices=()))
        return
    chance = f"at most {100 * rate:g} % of these are expected to be chance"
    title(name, f", {found[0].task}, {found[0].metric}: {chance}")
    for s in found[:top]:
        shown.add(s.levels, s.n, (s.accuracy, s.low, s.high), s.rest, s.corrected)
    print_table(shown)
    say_more(len(found), top)
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
@tabular(_GAP)
@option_sets
def gap(
    results: Results,
    first: First,
    second: Second,
    question: Question,
    other: Annotated[
        Path | None, typer.Option(help="Folder of results that hold the second model. Default: the first one.")
    ] = None,
    factor: Factors = None,
    top: Top = 12,
    save: Save = None,
) -> None:
    """Say where the gap between two models or runs comes from: levels of factors, other pictures, other settings."""
    from torchmultiverse.evaluation import GapRecord, Result
    from torchmultiverse.evaluation import explain_gap as explain
    from torchmultiverse.stats import format_difference

    elsewhere = None if other is None else Result.load(other)
    answer = explain(Result.load(results), first, second, **question.options(), other=elsewhere, factors=factor)
    ends = format_difference(answer.gap, answer.low, answer.high, answer.clusters)
    title(answer.task, f"{_of(answer.setting)}, {answer.metric}: “{second}” minus “{first}” is {ends} points")
    for name, part in sorted(answer.composition.items(), key=lambda item: -abs(item[1]))[:5]:
        say(f"  other proportions of {name} explain {percent(part)} points")
    shown = Table(_GAP)
    for at in answer.parts[:top]:
        shown.add(at.factor, at.level, at.n, (at.gap, at.low, at.high, at.clusters), at.excess, at.p)
    print_table(shown)
    say_more(len(answer.parts), top)
    if answer.settings:
        declared = Table((text("name", "declared differently"), text("first", first), text("second", second)))
        for setting in answer.settings:
            declared.add(*setting)
        say(declared)
    save_document(save, GapRecord(explanation=answer))


@eval_group.command(
    "next-renders", epilog=examples("torchmultiverse eval next-renders results/ A B --factor world_name")
)
@tabular(_NEXT)
@option_sets
def next_renders(
    results: Results,
    first: First,
    second: Second,
    question: Question,
    factor: Annotated[
        list[str] | None,
        typer.Option(
            help="Whose levels make the cells; default: where the models differ most.",
            autocompletion=completion.columns,
        ),
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
    plan = choose(Result.load(results), first, second, **question.options(), factors=factor, difference=wanted)
    title(
        plan.task,
        f"{_of(plan.setting)}, {plan.metric}: “{second}” minus “{first}” is {percent(plan.difference)} so far; "
        "these pictures show "
        f"{'such a difference' if wanted is None else f'{difference:g} points'} with probability {plan.power:.0%}",
    )
    total = sum(cell.to_render for cell in plan.cells)
    shown = Table(_NEXT)
    if not plan.needed:
        say("there is no difference to show; name one with --difference")
    elif not total:
        say("no more pictures are needed")
    else:
        say(f"{total:,} more pictures, spread like this, make it 80 % ({plan.needed:,} in all; "
            f"{plan.needed_uniform:,} if spread evenly)")  # fmt: skip
        for cell in plan.cells[:top]:
            shown.add(cell.levels, cell.n, cell.difference, cell.disagreement, cell.to_render)
    print_table(shown)
    say_more(len(plan.cells) if shown.rows else 0, top)
    save_document(save, AcquisitionRecord(plan=plan, filters=tuple(plan.filters())))


@eval_group.command(
    "interactions",
    epilog=examples("torchmultiverse eval interactions results/ --factor world_name --factor camera_yaw"),
)
@tabular(_INTERACTIONS)
@option_sets
def interactions(
    results: Results,
    question: Question,
    model: ResultModel = None,
    factor: Annotated[
        list[str] | None,
        typer.Option(help="Two columns; default: the two that interact most.", autocompletion=completion.columns),
    ] = None,
    top: Top = 12,
    save: Save = None,
) -> None:
    """Say what levels of two factors do together beyond what each does by itself."""
    from torchmultiverse.errors import DatasetError
    from torchmultiverse.evaluation import InteractionRecord, Result, RowView, ranked, strongest_pair
    from torchmultiverse.evaluation import interactions as measure

    result = Result.load(results)
    view, name = RowView(result), model or ranked(result)[0]
    line = view.question(**question.options(), models=[name])
    if factor and len(factor) != 2:
        raise typer.BadParameter("name two columns", param_hint="--factor")
    pair = (factor[0], factor[1]) if factor else strongest_pair(view, name, line)
    cells = measure(view, name, line, *pair) if pair else []
    if not pair or not cells:
        raise DatasetError(f"'{name}', {view.title(line)}: no two factors whose levels are all combined")
    title(name, f", {view.title(line)}: {pair[0]} and {pair[1]}")
    shown = Table(_INTERACTIONS, heads={"first_level": pair[0], "second_level": pair[1]})
    for c in cells[:top]:
        effect = (c.effect, c.low, c.high, c.clusters)
        shown.add(c.first[1], c.second[1], c.n, c.accuracy, effect, c.p, *pair)
    print_table(shown)
    say_more(len(cells), top)
    save_document(save, InteractionRecord(interactions=tuple(cells)))


@eval_group.command(
    "correlate", epilog=examples("torchmultiverse eval correlate results/ --imagenet results-imagenet.csv")
)
@tabular(_CORRELATIONS)
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
    shown = Table(_CORRELATIONS)
    for c in found:
        shown.add(c.factor, c.models, (c.r, c.low, c.high), c.p, published.get(c.factor))
    print_table(shown)
    save_document(save, CorrelationRecord(correlations=tuple(found)))
