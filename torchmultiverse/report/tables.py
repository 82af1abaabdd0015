"""The leaderboard as markdown and CSV."""

from __future__ import annotations

import csv
import io

from torchmultiverse.evaluate import Result
from torchmultiverse.evaluate.leaderboard import lines, percent, ranked


def markdown(result: Result) -> str:
    """Return the leaderboard as a GitHub table: accuracy in percent with its 95 % interval."""
    models = ranked(result)
    head = ["task", *models, "chance", "n"]
    rows = [head, ["---", *["---:"] * (len(head) - 1)]]
    for line in lines(result):
        cells = [line.cells.get(model) for model in models]
        rows.append(
            [
                line.title,
                *(f"{percent(c['accuracy'])} [{percent(c['low'])}, {percent(c['high'])}]" if c else "–" for c in cells),
                percent(line.chance),
                str(max(c["n"] for c in cells if c)),
            ]
        )
    dataset = result.provenance["dataset"]
    text = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    notes = "".join(f"\n- {note}" for note in result.provenance["notes"])
    return (
        f"# {result.provenance['protocol']['title']}\n\n{dataset['name']}, {dataset['pictures']} pictures. "
        f"Accuracy in percent, 95 % interval in brackets.\n\n{text}\n{notes}\n"
    )


def comma_separated(result: Result) -> str:
    """Return the whole long table as CSV, numbers in full."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, result.table.column_names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(result.table.to_pylist())
    return buffer.getvalue()
