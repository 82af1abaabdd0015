"""Datasets with conditions, from the render to everything that reads them. What could silently be wrong: ``own``, which
is null in files, counted as nothing, found by no filter, refused by the check of labels, or lost on the way out and in.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conditioned import ConditionedEngine

from torchmultiverse.errors import DatasetError
from torchmultiverse.farm import generate
from torchmultiverse.scenes import parse_spec
from torchmultiverse.store import (
    StoredDataset,
    columns_of,
    dataset_sheet,
    diff,
    export_folder,
    import_dataset,
    inspect,
    merge,
    open_dataset,
    verify,
)

SPEC: dict[str, Any] = {
    "name": "fog", "family": "SPAR", "render": {"size": [32, 32]},
    "design": {"kind": "factorial", "factors": {
        "World_Name": ["Desert", "Snow"], "Character_Name": ["Zebra"], "Fog_Visibility": ["own", 120, 30.5],
        "Lamps": [1, 0],
    }},
    "splits": {"foggy": ["Fog_Visibility < 50"], "clear": ["Fog_Visibility = own and Lamps = 0"]},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> StoredDataset:
    out = tmp_path_factory.mktemp("own") / "d"
    generate(parse_spec(SPEC), out, ConditionedEngine, progress=False)
    return open_dataset(out)


def test_null_is_the_level_own_wherever_rows_are_chosen(made: StoredDataset) -> None:
    assert made.schema.field("fog_visibility").type == pa.float64()
    assert made.table(["fog_visibility"])["fog_visibility"].null_count == 4
    assert made.manifest.counts["fog_visibility"] == {"own": 4, "120": 4, "30.5": 4}
    for text, count in (
        ("Fog_Visibility = own", 4), ("fog_visibility != own", 8), ("Fog_Visibility in (own, 120)", 8),
        ("Fog_Visibility < 50", 4), ("Fog_Visibility >= 5", 8), ("Fog_Visibility not in (30.5)", 8), ("Lamps < 1", 6),
    ):  # fmt: skip
        assert len(made.where(text)) == count, text
    assert len(made.at(Fog_Visibility="own", World_Name="Snow")) == 2
    assert len(made.at(fog_visibility=30.5)) == 4
    with pytest.raises(DatasetError, match="no row has fog_visibility"):
        made.at(Fog_Visibility=7)
    assert set(made.crossing.levels["fog_visibility"]) == {"own", 120.0, 30.5}
    assert len(made.pairs("Fog_Visibility")) == 4 * 3
    rows = made.table(["split", "fog_visibility", "lamps"]).to_pylist()
    assert all((row["split"] == "foggy") == (row["fog_visibility"] == 30.5) for row in rows)
    assert all((row["split"] == "clear") == (row["fog_visibility"] is None and row["lamps"] == 0) for row in rows)


def test_labels_are_checked_and_levels_are_told_apart(made: StoredDataset) -> None:
    assert not verify(made.path).problems
    found = inspect(made)
    assert set(found.factors["fog_visibility"]) == {"120.0 / 30.5", "120.0 / own", "30.5 / own"}
    columns = columns_of(made)
    assert set(columns["fog_visibility"]) == {"own", "120", "30.5"}
    assert columns["lamps"].dtype == np.float64


def test_captions_cards_and_croissant_say_conditions(made: StoredDataset) -> None:
    by_fog = {row["fog_visibility"]: row for row in made.table(["caption", "fog_visibility", "lamps"]).to_pylist()}
    assert by_fog[None]["caption"].endswith(" environment, with the lamps off")
    assert by_fog[120]["caption"].endswith(" environment, with the lamps off, in fog with 120 m visibility")
    card = (made.path / "README.md").read_text("utf-8")
    assert "| `fog_visibility` | `Fog_Visibility` | 3 | 4 | own, 120, 30.5 (m) |" in card
    assert "(Koschmieder), m; null: own, as the world or the layout has it |" in card
    assert "null in `fog_visibility` is the level `own`" in card
    croissant = (made.path / "croissant.json").read_text("utf-8")
    fields = {one["name"]: one for record in json.loads(croissant)["recordSet"] for one in record["field"]}
    assert fields["fog_visibility"]["dataType"] == "sc:Float"
    assert "null: own" in fields["fog_visibility"]["description"]


def test_own_goes_out_and_comes_in_again(made: StoredDataset, tmp_path: Path) -> None:
    export_folder(made, tmp_path / "out")
    back = import_dataset(tmp_path / "out", tmp_path / "in")
    found = diff(made, back)
    assert found.common == 12
    assert not found.only_first
    assert not found.only_second
    assert not found.values
    assert back.manifest.counts["fog_visibility"] == made.manifest.counts["fog_visibility"]
    labels = tmp_path / "out" / "labels.csv"
    with labels.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["fog_visibility"] for row in rows)[:5] == ["", "", "", "", "120.0"]
    with labels.open("w", encoding="utf-8", newline="") as file:  # people write the word
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({**row, "fog_visibility": row["fog_visibility"] or "own"} for row in rows)
    again = import_dataset(tmp_path / "out", tmp_path / "written")
    assert again.manifest.counts["fog_visibility"] == made.manifest.counts["fog_visibility"]
    both = merge([made, back], tmp_path / "both", keep_first=True, common=True)
    assert both.manifest.counts["fog_visibility"] == {"own": 4, "120": 4, "30.5": 4}
    assert not verify(tmp_path / "in").problems


def test_a_sheet_has_own_first_and_units(made: StoredDataset) -> None:
    sheet = dataset_sheet(made, np.random.default_rng(0), by="Fog_Visibility", across="Lamps", side=32)
    assert len(sheet.rows) == 6
    order = [made.row(row, ["fog_visibility"])["fog_visibility"] for row in sheet.rows]
    assert order == [None, None, 30.5, 30.5, 120.0, 120.0]
