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
from torchmultiverse.study import Section, Study

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
        assert rows[0] == {"section": "By level", "row": dict(STUDY.sections[0].table[0])}
        assert len(rows) == 3
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(said)))
        assert rows[0]["level"] == "far; away"
        assert (rows[0]["accuracy %"], rows[0]["odds"]) == ("0.5", "")
        assert (rows[2]["section"], rows[2]["step"], rows[2]["high"]) == ("Odds", "2", "3")
    else:
        assert "50.0 [25.0, 75.0]" in said
        assert "2 [1, 3]" in said
        assert "None" not in said
    if form == "md":
        assert "| far; away | 50.0 [25.0, 75.0] | 12 |" in said
