"""Every record becomes a page, the same one each time it is asked for.

What could silently be wrong: a page that needs what the record does not keep, a record of another kind taken for the
one that was meant, an old folder that is no longer read, or images inside the JSON.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchmultiverse.analyze import Experiments, MemorizationSweep
from torchmultiverse.analyze.experiment import experiment, image_row
from torchmultiverse.documents import Document
from torchmultiverse.errors import DatasetError
from torchmultiverse.report import load_record, write_report
from torchmultiverse.report.writing import KINDS

OLD = Path(__file__).parents[1] / "golden" / "records"


def experiments() -> Experiments:
    pixels = [np.full((8, 8, 3), value, np.uint8) for value in (0, 90, 200)]
    rows = [image_row("a row", pixels[:1], pixels[1:], ["as it should be"])]
    table = [{"image": "as it is", "vector moved by %": float("nan"), "times": 3}]
    one = experiment("changes", "When the picture changes", "About it.", rows, table)
    return Experiments(
        config={"layer": "trunk", "model": "m", "size": 8, "features": 3}, dataset="d", experiments=(one,)
    )


def test_a_page_is_the_same_from_the_saved_record(tmp_path: Path) -> None:
    record = experiments()
    first = write_report(record, tmp_path / "first").read_text()
    path = record.save(tmp_path / "saved")
    assert "base64" not in path.read_text()
    assert len(list((tmp_path / "saved" / "images").iterdir())) == 3
    again, place = load_record(tmp_path / "saved")
    assert place == tmp_path / "saved"
    assert write_report(again, place).read_text() == first
    assert (place / "changes.png").read_bytes() == (tmp_path / "first" / "changes.png").read_bytes()
    assert "–" in first  # for what is not a number


def test_every_class_of_documents_of_analyses_has_a_page() -> None:
    import torchmultiverse.analyze as analyze

    documents = {
        name for name in analyze.__all__
        if isinstance(getattr(analyze, name), type) and issubclass(getattr(analyze, name), Document)
    }  # fmt: skip
    assert documents - {"HeldOutSplits"} | {"Study"} == {
        kind.record.__name__ for kind in KINDS if issubclass(kind.record, Document)
    }


@pytest.mark.parametrize("kind", ["analysis", "memory", "memory_alone", "misalignment", "portrait", "studies", "sweep"])
def test_a_folder_of_before_there_were_versions_is_read_and_saved_anew(kind: str, tmp_path: Path) -> None:
    record, _ = load_record(OLD / kind)
    path = record.save(tmp_path)
    assert json.loads(path.read_text())["schema_version"] == type(record).version
    again, _ = load_record(path)
    assert again.model_dump_json() == record.model_dump_json()


def test_a_folder_without_a_record_or_with_several_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no record that has a page.*results\.parquet.*sweep\.json"):
        load_record(tmp_path)
    with pytest.raises(DatasetError, match="nowhere: no such folder"):
        load_record(tmp_path / "nowhere")
    (tmp_path / "found.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"found\.json is no record that has a page"):
        load_record(tmp_path / "found.json")
    for kind, file in (("sweep", "sweep.json"), ("portrait", "rcdm.json")):
        shutil.copy(OLD / kind / file, tmp_path)
    with pytest.raises(DatasetError, match=r"several records: name one of rcdm\.json, sweep\.json"):
        load_record(tmp_path)
    record, place = load_record(tmp_path / "sweep.json")
    assert isinstance(record, MemorizationSweep)
    assert place == tmp_path
    unknown: Any = object()
    with pytest.raises(DatasetError, match="object has no page"):
        write_report(unknown, tmp_path)


def damage(data: dict[str, Any], place: str) -> None:
    """Take a part out of a record: what is at ``a/0/b``."""
    *path, last = place.split("/")
    at: Any = data
    for part in path:
        at = at[int(part) if isinstance(at, list) else part]
    del at[int(last) if isinstance(at, list) else last]


@pytest.mark.parametrize(
    ("kind", "place", "message"),
    [
        ("memory", "layers/0/score/scores/0", r"layers: \w+ has no score at fraction 1"),
        ("memory", "layers", "layers"),
        ("misalignment", "gaps/1", "gaps of 1 recipes, and 2 recipes"),
        ("portrait", "config/layer", "config: .*no layer of the decoder"),
        ("studies", "experiments/0/table/1/*", r"experiments\.0: .*table: line 1 has no "),
    ],
)
def test_a_record_in_which_something_is_missing_is_refused_by_place(
    kind: str, place: str, message: str, tmp_path: Path
) -> None:
    """It would be a valid record that no page can be made of, and `report` a traceback."""
    record, _ = load_record(OLD / kind)
    path = record.save(tmp_path)
    data = json.loads(path.read_text())
    if place.endswith("*"):
        line = data["experiments"][0]["table"][1]
        place = place.replace("*", next(iter(line)))
    damage(data, place)
    path.write_text(json.dumps(data))
    with pytest.raises(DatasetError, match=message):
        load_record(tmp_path)
