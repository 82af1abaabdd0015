"""What could silently be wrong: a result that changes when it is saved, a table that disagrees with its rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planted import drawn_spar
from rich.console import Console

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import Result, evaluate, leaderboard
from torchmultiverse.models import HistogramBaseline
from torchmultiverse.store import ImageList


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("results")
    model = HistogramBaseline.fit(drawn_spar(32, seed=1))
    return evaluate(drawn_spar(32), model, out=folder), folder


def test_what_is_saved_is_what_was_found(result: tuple[Result, Path]) -> None:
    found, folder = result
    loaded = Result.load(folder)
    assert loaded.table.equals(found.table)
    assert loaded.rows.to_pylist() == found.rows.to_pylist()
    assert loaded.provenance == found.provenance
    assert loaded.images == found.images
    assert json.loads((folder / "results.json").read_text()) == found.table.to_pylist()
    assert not list(folder.rglob("*.part"))


def test_the_table_follows_from_the_rows(result: tuple[Result, Path]) -> None:
    found, _ = result
    rows = found.rows.to_pylist()
    for cell in found.cells(factor="all"):
        if cell["task"] == "average":
            continue
        mine = [
            row["correct"]
            for row in rows
            if all(row[key] == cell[key] for key in ("model", "task", "scope", "metric"))
            and cell["setting"] in ("all", row["setting"])
        ]
        assert len(mine) == cell["n"]
        assert np.mean(mine) == pytest.approx(cell["accuracy"])
        assert cell["low"] <= cell["accuracy"] <= cell["high"]


def test_a_bag_of_words_cannot_tell_who_is_where(result: tuple[Result, Path]) -> None:
    found, _ = result
    for task in ("relation", "attribute"):
        assert {c["accuracy"] for c in found.cells(task=task, metric="hard_negative", factor="all")} == {0.5}
    (scene,) = found.cells(task="scene_with_animals", factor="all")
    assert scene["low"] > scene["chance"], "colours tell the worlds apart"


def test_gallery_pictures_belong_to_rows(result: tuple[Result, Path]) -> None:
    found, _ = result
    known = set(found.rows["scene_id"].to_pylist())
    assert found.images
    assert set(found.images) <= known
    assert all(data.startswith(b"\xff\xd8") for data in found.images.values())


def test_provenance_names_everything(result: tuple[Result, Path]) -> None:
    provenance = result[0].provenance
    assert provenance.dataset.images == 150
    assert len(provenance.dataset.manifest_sha256 or "") == 64
    assert len(provenance.models[0].weights_sha256 or "") == 64
    assert {"torchmultiverse", "numpy"} <= set(provenance.packages)
    assert provenance.protocol["name"] == "spar"
    assert provenance.seed == 0


def test_the_leaderboard_prints_every_task(result: tuple[Result, Path]) -> None:
    console = Console(width=120, record=True, force_terminal=False, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(leaderboard(result[0]))
    text = console.export_text()
    for words in ("Spatial relation", "hard negative", "Average of the tasks", "colour histogram", "chance"):
        assert words in text


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no results"):
        Result.load(tmp_path)


def test_rows_in_memory_have_the_columns_of_all_and_one_type_in_each() -> None:
    """A column that the first row lacks was left out, and several types in one ended in Arrow's error."""
    images = [Image.new("RGB", (4, 4))] * 2
    pictures = ImageList(images, [{"scene_id": "a"}, {"scene_id": "b", "world_name": "Desert"}])
    assert pictures.table().to_pylist()[1] == {"scene_id": "b", "world_name": "Desert"}
    assert pictures.table(["world_name"])["world_name"].to_pylist() == [None, "Desert"]
    with pytest.raises(DatasetError, match="column 'world_name' of the rows holds values of the types str, int"):
        ImageList(images, [{"world_name": "Desert"}, {"world_name": 3}])
