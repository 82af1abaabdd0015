"""A model card from results: under which conditions a model works, and where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torchmultiverse.evaluation import LeaderboardRow, Result, RowView, calibration, factor_scores, percent, slices_of
from torchmultiverse.files import write_atomic


def model_card(result: Result, model: str) -> str:
    """Return a card in markdown, as model hubs show it.

    Raises:
        DatasetError: the result has no such model.
    """
    facts = result.facts(model).model_dump()
    dataset, protocol = result.provenance.dataset.model_dump(), result.provenance.protocol
    view = RowView(result)
    asked = [line for line in view.questions if model in line.cells]
    good = [line for line in asked if line.cells[model]["low"] > line.chance]
    lines = [
        "---",
        *([f"license: {facts['license']}"] if facts["license"] else []),
        "tags:",
        "- torchmultiverse",
        "---",
    ]
    lines += [f"# {model}", "", facts["about"], ""]
    lines += [f"Evaluated on **{dataset['name']}** ({dataset['images']:,} pictures, manifest "
              f"`{(dataset['manifest_sha256'] or '')[:12]}`) with the protocol *{protocol['title']}*, version "
              f"{protocol['version']}. Accuracy in percent with 95 % intervals.", ""]  # fmt: skip
    lines += ["## What it can do", "", "| task | accuracy | chance | pictures |", "|---|---:|---:|---:|"]
    for line in asked:
        cell = line.cells[model]
        number = f"{percent(cell['accuracy'])} [{percent(cell['low'])}, {percent(cell['high'])}]"
        lines.append(f"| {view.title(line)} | {number} | {percent(line.chance)} | {cell['n']:,} |")
    bad = [view.title(line) for line in asked if line not in good]
    lines.append("")
    if bad:
        lines += [f"**Not above chance:** {'; '.join(bad)}.", ""]
    if good:
        lines += ["## Under which conditions", ""]
    telling = [line for line in good if 0 < line.cells[model]["accuracy"] < 1]
    for line in sorted(telling, key=lambda q: -_variance(q.cells[model]))[:3]:
        lines += _conditions(view, model, line)
    lines += ["## How it was run", "", f"- weights: {facts['weights']}, SHA-256 `{facts['weights_sha256'] or 'none'}`"]
    lines += [f"- preprocessing: {facts['preprocess'] or 'its own'}", f"- precision: {facts['precision']}"]
    lines += [f"- text: {facts['text']}"] if facts["text"] else []
    lines += ["- " + ", ".join(f"{name} {version}" for name, version in result.provenance.packages.items())]
    lines += [
        "",
        "Rendered pictures: what holds here holds for these worlds and animals, not at once for photographs.",
        "",
    ]
    return "\n".join(lines)


def _conditions(view: RowView, model: str, line: LeaderboardRow) -> list[str]:
    """Return lines on where a model is right and where not, of one question."""
    lines = [f"### {view.title(line)}", "", "| factor | worst | there | best | there | errors at the worst, "
              "times the usual |", "|---|---|---:|---|---:|---:|"]  # fmt: skip
    for factor in factor_scores(view, model, line)[:8]:
        w, b = factor.worst, factor.best
        lines.append(f"| {factor.factor} | {w.level} | {percent(w.accuracy)} | {b.level} | {percent(b.accuracy)} | "
                     f"{w.error_ratio:.2f} |")  # fmt: skip
    slices = slices_of(view, model, line)[:5]
    if slices:
        lines += ["", "Significantly worse than elsewhere (false discovery rate 5 %):", ""]
        lines += [f"- {s}: {percent(s.accuracy)} of {s.n:,}, elsewhere {percent(s.rest)}" for s in slices]
    rows = view.rows(model, line)
    honest = None if rows is None else calibration(rows)
    if honest is not None:
        lines += ["", f"It says {percent(honest.confidence)} % and is right {percent(honest.accuracy)} %; expected "
                  f"calibration error {percent(honest.error)} points."]  # fmt: skip
    return [*lines, ""]


def _variance(cell: dict[str, Any]) -> float:
    """Return how much the answers of a question differ: all right or all wrong says nothing about conditions."""
    return float(cell["n"] * cell["accuracy"] * (1 - cell["accuracy"]))


def write_card(result: Result, model: str, path: str | Path) -> Path:
    """Write a model card; returns its path."""
    write_atomic(Path(path), model_card(result, model).encode())
    return Path(path)
