"""Commands that compare models and look for what is behind a number."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

out = Console()
Results = Annotated[Path, typer.Argument(help="Folder that eval wrote.")]
TaskOption = Annotated[str | None, typer.Option(help="Task; default: the first of the leaderboard.")]
MetricOption = Annotated[str | None, typer.Option(help="top1 or hard_negative.")]
SaveOption = Annotated[Path | None, typer.Option(help="Write everything as JSON.")]
FactorOption = Annotated[list[str] | None, typer.Option(help="Column; may be repeated. Default: all that vary.")]


def _percent(value: float) -> str:
    return f"{100 * value:+.1f}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _save(path: Path | None, what: Any) -> None:
    if path is not None:
        from torchmultiverse.files import write_atomic

        # JSON has no infinity: what is not a number is null.
        finite = json.loads(json.dumps(what, default=str), parse_constant=lambda _: None)
        write_atomic(path, (json.dumps(finite, indent=1) + "\n").encode())


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, padding=(0, 2), header_style="bold")


def compare(
    results: Results,
    model: Annotated[list[str] | None, typer.Option(help="Model; may be repeated. Default: all.")] = None,
    task: TaskOption = None,
    metric: MetricOption = None,
    seed: Annotated[int, typer.Option(help="Of resampling.")] = 0,
    save: SaveOption = None,
) -> None:
    """Say whether models differ: paired tests on the same pictures, corrected, and which difference could be seen."""
    from torchmultiverse.evaluate import Result, RowView, standings
    from torchmultiverse.evaluate import compare as measure
    from torchmultiverse.stats import told

    result = Result.load(results)
    view = RowView(result)
    questions = None if task is None and metric is None else [view.question(task, metric)]
    found = measure(view, model or None, questions, seed)
    places = standings(view, seed)
    table = _table("place", "model", "score", "places of 95 %", "group")
    for s in places:
        span = str(s.rank_low) if s.rank_low == s.rank_high else f"{s.rank_low} to {s.rank_high}"
        table.add_row(str(s.rank), s.model, f"{100 * s.score:.1f}", span, s.groups)
    out.print(table)
    out.print("models that share a letter cannot be told apart", style="dim")
    for line in view.questions if questions is None else questions:
        mine = [c for c in found if (c.task, c.metric, c.setting) == (line.task, line.metric, line.setting)]
        if not mine:
            continue
        out.print(f"\n[bold]{view.title(line)}[/]  {mine[0].n:,} pictures, {mine[0].test}", highlight=False)
        table = _table("first", "second", "difference", "only first", "only second", "p", "could be seen")
        for c in mine:
            ends = told(c.difference, c.low, c.high, c.clusters)
            colour = "green" if c.corrected < 0.05 else ""
            table.add_row(c.first, c.second, f"[{colour}]{ends}[/]" if colour else ends, f"{c.lost:,}", f"{c.gained:,}",
                          _p(c.corrected), f"{100 * c.detectable:.1f}" if c.detectable <= 1 else "none")  # fmt: skip
        out.print(table)
    _save(save, {"standings": [asdict(s) for s in places], "comparisons": [asdict(c) for c in found]})


def slices(
    results: Results,
    model: Annotated[str | None, typer.Option(help="Model; default: the best.")] = None,
    task: TaskOption = None,
    metric: MetricOption = None,
    factor: FactorOption = None,
    depth: Annotated[int, typer.Option(min=1, max=3, help="How many factors a slice may combine.")] = 2,
    rate: Annotated[float, typer.Option(help="Expected share of false findings.")] = 0.05,
    top: Annotated[int, typer.Option(min=1, help="Slices shown.")] = 20,
    gallery: Annotated[Path | None, typer.Option(help="Dataset: write a picture of failures for each slice.")] = None,
    save: SaveOption = None,
) -> None:
    """Find combinations of factor levels where a model is significantly worse than elsewhere."""
    from torchmultiverse.evaluate import Result, ranked, worst_slices

    result = Result.load(results)
    name = model or ranked(result)[0]
    found = worst_slices(result, name, task, metric, factor, depth, rate)
    if not found:
        out.print(f"'{name}': no combination of up to {depth} factors is significantly worse than the rest")
        _save(save, [])
        return
    said = f"at most {100 * rate:g} % of these are expected to be chance"
    out.print(f"[bold]{name}[/], {found[0].task}, {found[0].metric}: {said}", highlight=False)
    table = _table("where", "pictures", "accuracy", "elsewhere", "p")
    for s in found[:top]:
        ends = f"{100 * s.accuracy:.1f} [{100 * s.low:.1f}, {100 * s.high:.1f}]"
        table.add_row(str(s), f"{s.n:,}", ends, f"{100 * s.rest:.1f}", _p(s.corrected))
    out.print(table)
    if gallery is not None:
        from torchmultiverse.evaluate import slice_sheet
        from torchmultiverse.store import open_dataset

        path = results / "slices.png"
        slice_sheet(open_dataset(gallery), result, found[:top]).save(path)
        out.print(f"{path}", highlight=False)
    _save(save, [asdict(s) for s in found])


def why(
    results: Results,
    first: Annotated[str, typer.Argument(help="Model.")],
    second: Annotated[str, typer.Argument(help="Model; the gap is its accuracy minus that of the first.")],
    other: Annotated[Path | None, typer.Option(help="Folder of results that hold the second model.")] = None,
    task: TaskOption = None,
    metric: MetricOption = None,
    factor: FactorOption = None,
    top: Annotated[int, typer.Option(min=1, help="Levels shown.")] = 12,
    save: SaveOption = None,
) -> None:
    """Say where the gap between two models or runs comes from: levels of factors, other pictures, other settings."""
    from torchmultiverse.evaluate import Result
    from torchmultiverse.evaluate import why as ask
    from torchmultiverse.stats import told

    answer = ask(
        Result.load(results), first, second, task, metric, None if other is None else Result.load(other), factor
    )
    ends = told(answer.gap, answer.low, answer.high, answer.clusters)
    out.print(f"[bold]{answer.task}[/], {answer.metric}: “{second}” minus “{first}” is {ends} points", highlight=False)
    for name, part in sorted(answer.shares.items(), key=lambda item: -abs(item[1]))[:5]:
        out.print(f"  other shares of {name} explain {_percent(part)} points", highlight=False)
    table = _table("factor", "level", "pictures", "gap there", "beyond its share", "p")
    for part_ in answer.parts[:top]:
        ends = told(part_.gap, part_.low, part_.high, part_.clusters)
        table.add_row(part_.factor, part_.level, f"{part_.n:,}", ends, _percent(part_.excess), _p(part_.p))
    out.print(table)
    if answer.settings:
        table = _table("declared differently", first, second)
        for name, one, two in answer.settings:
            table.add_row(name, one, two)
        out.print(table)
    _save(save, asdict(answer))


def next_renders(
    results: Results,
    first: Annotated[str, typer.Argument(help="Model.")],
    second: Annotated[str, typer.Argument(help="Model.")],
    task: TaskOption = None,
    metric: MetricOption = None,
    factor: Annotated[
        list[str] | None, typer.Option(help="Whose levels make the cells; default: where the models differ most.")
    ] = None,
    difference: Annotated[
        float | None, typer.Option(help="To be shown, in points; default: the one seen so far.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Cells shown.")] = 20,
    save: SaveOption = None,
) -> None:
    """Say which pictures to render to tell two models apart, and how many."""
    from torchmultiverse.evaluate import Result
    from torchmultiverse.evaluate import next_renders as ask

    wanted = None if difference is None else difference / 100
    plan = ask(Result.load(results), first, second, task, metric, factor, wanted)
    out.print(
        f"[bold]{plan.task}[/], {plan.metric}: “{second}” minus “{first}” is {_percent(plan.difference)} so far; "
        f"these pictures show {'such a difference' if wanted is None else f'{difference:g} points'} with probability "
        f"{plan.p_now:.0%}", highlight=False,
    )  # fmt: skip
    total = sum(cell.more for cell in plan.cells)
    if not plan.needed:
        out.print("there is no difference to show; name one with --difference")
    elif not total:
        out.print("no more pictures are needed")
    else:
        out.print(f"{total:,} more pictures, spread like this, make it 80 % ({plan.needed:,} in all; "
                  f"{plan.needed_evenly:,} if spread evenly)", highlight=False)  # fmt: skip
        table = _table("where", "pictures", "difference", "one of two right", "render")
        for cell in plan.cells[:top]:
            where = ", ".join(f"{f} = {level}" for f, level in cell.levels.items())
            table.add_row(where, f"{cell.n:,}", _percent(cell.difference), f"{cell.disagree:.0%}", f"{cell.more:,}")
        out.print(table)
    _save(save, {**asdict(plan), "filters": plan.filters()})


def interactions(
    results: Results,
    model: Annotated[str | None, typer.Option(help="Model; default: the best.")] = None,
    task: TaskOption = None,
    metric: MetricOption = None,
    factor: Annotated[list[str] | None, typer.Option(help="Two columns; default: the two that interact most.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Cells shown.")] = 12,
    save: SaveOption = None,
) -> None:
    """Say what levels of two factors do together beyond what each does by itself."""
    from torchmultiverse.errors import DatasetError
    from torchmultiverse.evaluate import Result, RowView, ranked, strongest_pair
    from torchmultiverse.evaluate import interactions as measure
    from torchmultiverse.stats import told

    result = Result.load(results)
    view, name = RowView(result), model or ranked(result)[0]
    line = view.question(task, metric)
    if factor and len(factor) != 2:
        raise typer.BadParameter("name two columns", param_hint="--factor")
    pair = (factor[0], factor[1]) if factor else strongest_pair(view, name, line)
    cells = measure(view, name, line, *pair) if pair else []
    if not pair or not cells:
        raise DatasetError(f"'{name}', {view.title(line)}: no two factors whose levels are all combined")
    out.print(f"[bold]{name}[/], {view.title(line)}: {pair[0]} and {pair[1]}", highlight=False)
    table = _table(pair[0], pair[1], "pictures", "accuracy", "beyond both", "p")
    for c in cells[:top]:
        ends = told(c.effect, c.low, c.high, c.clusters)
        table.add_row(c.first[1], c.second[1], f"{c.n:,}", f"{100 * c.accuracy:.1f}", ends, _p(c.p))
    out.print(table)
    _save(save, [asdict(c) for c in cells])


def correlate(
    results: Results,
    imagenet: Annotated[Path, typer.Option(help="CSV with the columns model and accuracy (or top1).")],
    space: Annotated[str | None, typer.Option(help="Label space; default: the first.")] = None,
    save: SaveOption = None,
) -> None:
    """Say whether models that are good on ImageNet are robust: Pearson's r of each factor, beside the published one."""
    from torchmultiverse.evaluate import Result, factor_accuracies, imagenet_accuracies, tables
    from torchmultiverse.evaluate import correlate as measure

    found = measure(imagenet_accuracies(imagenet), factor_accuracies(Result.load(results), space))
    published = next(t["correlation"]["r"] for t in tables() if "correlation" in t)
    table = _table("factor", "models", "r", "95 %", "p", "published r")
    for c in found:
        known = published.get(c.factor)
        table.add_row(c.factor, str(c.models), f"{c.r:+.2f}", f"{c.low:+.2f} to {c.high:+.2f}", _p(c.p),
                      "" if known is None else f"{known:+.2f}")  # fmt: skip
    out.print(table)
    _save(save, [asdict(c) for c in found])
