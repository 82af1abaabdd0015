"""The leaderboard as markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from torchmultiverse.documents import Record
from torchmultiverse.evaluation import Result, leaderboard_rows, percent, ranked


def markdown(result: Result) -> str:
    """Return the leaderboard as a GitHub table: accuracy in percent with its 95 % interval."""
    models = ranked(result)
    head = ["task", *models, "chance", "n"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for line in leaderboard_rows(result):
        cells = [line.cells.get(model) for model in models]
        rows.append(
            [
                line.title,
                *(f"{percent(c['accuracy'])} [{percent(c['low'])}, {percent(c['high'])}]" if c else "–" for c in cells),
                percent(line.chance),
                str(max(c["n"] for c in cells if c)),
            ]
        )
    dataset = result.provenance.dataset
    text = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    notes = "".join(f"\n- {note}" for note in result.provenance.notes)
    return (
        f"# {result.provenance.protocol['title']}\n\n{dataset.name}, {dataset.images} images. "
        f"Accuracy in percent, 95 % interval in brackets.\n\n{text}\n{notes}\n"
    )


def latex(result: Result) -> str:
    """Return the leaderboard as a LaTeX table (booktabs): accuracy with half the 95 % interval, the best in bold."""
    models = ranked(result)
    rows = []
    for line in leaderboard_rows(result):
        best = max(cell["accuracy"] for cell in line.cells.values())
        cells = []
        for cell in (line.cells.get(model) for model in models):
            if cell is None:
                cells.append("--")
                continue
            number = percent(cell["accuracy"])
            number = f"\\textbf{{{number}}}" if cell["accuracy"] == best else number
            cells.append(f"{number} {{\\scriptsize $\\pm$ {50 * (cell['high'] - cell['low']):.1f}}}")
        if line.task == "average":
            rows.append("\\midrule")
        rows.append(" & ".join([_tex(line.title), *cells, percent(line.chance)]) + " \\\\")
    dataset = result.provenance.dataset
    caption = f"{result.provenance.protocol['title']}. {dataset.name}, {dataset.images} images: accuracy in "
    caption += "percent, plus or minus half the 95 % interval."
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{_tex(caption)}}}",
            f"\\begin{{tabular}}{{l{'r' * len(models)}r}}",
            "\\toprule",
            " & ".join(["Task", *map(_tex, models), "chance"]) + " \\\\",
            "\\midrule",
            *rows,
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_TEX |= {c: "\\" + c for c in "&%$#_{}"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(character, character) for character in text)


def comma_separated(result: Result) -> str:
    """Return the whole long table as CSV, numbers in full."""
    return rows_as_csv(result.table.to_pylist(), result.table.column_names)


def rows_as_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Return rows as CSV, numbers in full, lists and mappings as JSON.

    Args:
        rows: column to value.
        columns: in their order; by default those of the first row.
    """
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns or list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {key: json.dumps(value) if isinstance(value, dict | list | tuple) else value for key, value in row.items()}
        for row in rows
    )
    return buffer.getvalue()


def records_as_csv(records: Sequence[Record]) -> str:
    """Return records of one kind as CSV, a line each, as `rows_as_csv` does; "" without any."""
    return rows_as_csv([record.model_dump() for record in records]) if records else ""
