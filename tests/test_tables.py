"""Tables for people and for programs.

Silently wrong would be a name that is cut so that it looks like another one, a number that is rounded before a program
reads it, or a cell under the heading of its neighbour.
"""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

from torchmultiverse.tables import Table, encode, interval, number, p_value, share, text

LONG = "open_clip:ViT-B-32-quickgelu/laion400m_e3"
COLUMNS = (text("model"), number("images"), interval("accuracy"), share("chance", signed=True), p_value())


def _table() -> Table:
    table = Table(COLUMNS)
    table.add(f"{LONG}1", 12345678, (2 / 3, 0.5, np.float64(0.75)), 0.1, 1e-7)
    table.add(f"{LONG}2", np.int64(7), None, float("nan"), None)
    return table


def _shown(width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(_table())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [200, 100, 80, 60, 40, 25])
def test_names_stay_whole_and_numbers_on_one_line_at_any_width(width: int) -> None:
    """Of two names with a long common beginning rich shows the same stub twice where there is little room."""
    said = _shown(width)
    assert max(map(len, said.splitlines())) <= width
    assert "…" not in said
    lines = said.splitlines()
    first = "".join(line.split()[0] for line in lines if re.match("  [^ ]", line))  # of the columns, where there are
    stacked = "".join(said.split())
    for name in (f"{LONG}1", f"{LONG}2"):
        assert name in first or name in stacked
    for figure in ("12,345,678", "66.7 [50.0, 75.0]", "+10.0", "< 0.001"):
        assert figure in " ".join(said.split())
    assert "nan" not in said


def test_numbers_are_aligned_to_the_right() -> None:
    first, second = _shown(200).splitlines()[1:]
    assert first.index("12,345,678") + len("12,345,678") == second.index(" 7 ") + 2


def test_programs_get_whole_numbers_under_all_keys() -> None:
    first, second = json.loads(encode([_table()], "json"))
    assert first == {
        "model": f"{LONG}1", "images": 12345678, "accuracy": 2 / 3, "accuracy_low": 0.5, "accuracy_high": 0.75,
        "chance": 0.1, "p": 1e-7,
    }  # fmt: skip
    assert second == dict.fromkeys(first) | {"model": f"{LONG}2", "images": 7}
    rows = list(csv.DictReader(io.StringIO(encode([_table(), _table()], "csv"))))
    assert len(rows) == 4
    assert float(rows[0]["accuracy"]) == 2 / 3
    assert rows[1]["accuracy"] == rows[1]["chance"] == ""


def test_an_empty_table_is_still_one_for_programs() -> None:
    empty = Table(COLUMNS)
    assert json.loads(encode([empty], "json")) == []
    assert encode([empty], "csv") == "model,images,accuracy,accuracy_low,accuracy_high,chance,p\n"


def test_markdown_keeps_a_cell_in_its_cell() -> None:
    table = Table((text("a"), text("hidden", ""), text("list")))
    table.add("x|y\nz", "never", ["p", "q"])
    assert encode([table], "md") == "| a | list |\n| :--- | :--- |\n| x\\|y z | p, q |\n"
    assert encode([table], "csv") == 'a,hidden,list\n"x|y\nz",never,p; q\n'


def test_a_cell_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        Table((text("a"),)).add("x", "y")
    with pytest.raises(ValueError, match="2 values for the keys accuracy, accuracy_low"):
        Table((interval("accuracy"),)).add((0.1, 0.2))
