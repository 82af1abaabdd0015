"""What a study prints, in every format.

What could silently be wrong: a format that prints no numbers, or one in which columns cannot be told apart.
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from torchmultiverse.cli.output import printing
from torchmultiverse.cli.study_out import show_study
from torchmultiverse.study import Bar, BarChart, Section, Study, machine_names

LEVEL = {"level": "far; away", "accuracy %": 0.5, "low %": 0.25, "high %": 0.75, "n": 12}
ODDS = ({"step": "one", "odds": 1.5, "low": None, "high": None}, {"step": 2, "odds": 2, "low": 1, "high": 3})
STUDY = Study(
    kind="test", title="A title", headline="One answer.", dataset="toy",
    sections=(Section(title="By level", table=(LEVEL,)), Section(title="Odds", table=ODDS)),
)  # fmt: skip


@pytest.mark.parametrize("form", ["table", "json", "csv", "md"])
def test_every_format_has_all_numbers(form: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with printing(form):
        show_study(STUDY)
    said = capsys.readouterr().out
    if form == "json":
        rows = json.loads(said)
        asked = {"level": "far; away", "accuracy": 0.5, "accuracy_low": 0.25, "accuracy_high": 0.75, "n": 12}
        assert rows[0] == {"section": "By level", "row": asked}
        assert len(rows) == 3
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(said)))
        assert rows[0]["level"] == "far; away"
        assert (rows[0]["accuracy"], rows[0]["odds"]) == ("0.5", "")
        assert (rows[2]["section"], rows[2]["step"], rows[2]["odds_high"]) == ("Odds", "2", "3")
    else:
        assert "50.0 [25.0, 75.0]" in said
        assert "2 [1, 3]" in said
        assert "None" not in said
    if form == "md":
        assert "| far; away | 50.0 [25.0, 75.0] | 12 |" in said


def test_programs_get_shares_under_names_without_percent() -> None:
    columns = ["gap %", "low %", "high %", "odds", "low", "high", "told %", "told, low %", "told, high %", "Cramér's V"]
    assert list(machine_names(columns).values()) == [
        "gap", "gap_low", "gap_high", "odds", "odds_low", "odds_high", "told", "told_low", "told_high", "Cramérs_V",
    ]  # fmt: skip
    assert list(machine_names(["rank", "rank %", "a b", "a-b"]).values()) == ["rank", "rank_2", "a_b", "a_b_2"]


def test_every_interval_is_shown_in_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    line = {"factor": "yaw", "told %": 0.5, "told, low %": 0.4, "told, high %": 0.6, "odds": 1.5, "odds, low": 1.0,
            "odds, high": 2.0, "cost points %": 0.1, "cost, low %": 0.0, "cost, high %": 0.2}  # fmt: skip
    with printing("md"):
        show_study(STUDY.model_copy(update={"sections": (Section(title="One", table=(line,)),)}))
    said = capsys.readouterr().out
    assert "50.0 [40.0, 60.0]" in said
    assert "1.5 [1, 2]" in said
    assert "10.0 [0.0, 20.0]" in said
    assert "low" not in said


def test_published_tables_leave_the_terminal_to_what_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    lines = tuple({"model": f"m{k}", "top-1 %": k / 100} for k in range(30))
    sections = (Section(title="Own", table=lines), Section(title="Theirs", table=lines, reference=True))
    show_study(STUDY.model_copy(update={"sections": sections}))
    own, theirs = capsys.readouterr().out.split("Theirs")
    assert own.count("\n  m") + own.count("\nm") + own.count(" m") >= 30
    assert "m29" not in theirs
    assert "25 more: on the page" in theirs


def test_a_section_without_a_table_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked for and has no answer would else be passed over in silence."""
    chart = BarChart(title="Bars", y="share", bars=(Bar(name="a", value=0.5),))
    sections = (
        Section(title="Groups", about="There is none. A long text follows."),
        Section(title="Shares", about="A long text.", charts=(chart,)),
    )
    with printing("table"):
        show_study(STUDY.model_copy(update={"sections": sections}))
    said = capsys.readouterr().out
    assert "Groups: There is none.\n" in said
    assert "Shares: charts on the page\n" in said
    assert "long text" not in said
