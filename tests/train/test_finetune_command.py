"""What could silently be wrong: a fine-tuned model scored on the pictures that it was trained on, so that remembering
looks like learning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import DatasetError
from torchmultiverse.farm import generate
from torchmultiverse.store.views import ImageList, without
from torchmultiverse.study import Study

pytest.importorskip("torch")
pytest.importorskip("open_clip")

from torchmultiverse.cli.train import finetune
from torchmultiverse.models.tiny import build_tiny, save_tiny, tiny_config


def _dataset(folder: Path, worlds: list[str]) -> Path:
    names = ["blank", "Camel", "Zebra"]
    spec: dict[str, Any] = {
        "name": folder.name, "family": "SPAR", "render": {"size": [32, 32]},
        "design": {
            "kind": "factorial",
            "factors": {"World_Name": worlds, "Character_Name": names, "Character2_Name": names},
            "linked": [[{"Character1_Pos": "left", "Character2_Pos": "right"}]],
        },
    }  # fmt: skip
    generate(spec, folder, MarkerEngine, progress=False)
    return folder


def _scored(folder: Path) -> int:
    return len(set(pq.read_table(folder / "rows.parquet", columns=["scene_id"])["scene_id"].to_pylist()))


def test_only_pictures_that_were_not_trained_on_are_scored(tmp_path: Path) -> None:
    config = tiny_config(32)
    start = f"tiny:{save_tiny(tmp_path / 'start', build_tiny(config, 0)[0], 'tiny', config, {'seed': 0})}"
    data = _dataset(tmp_path / "d", ["Desert"])
    more: dict[str, Any] = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-5, "captions": "original", "seed": 0}
    more |= {"log": None, "format": "table"}
    with pytest.raises(DatasetError, match=r"every picture would be trained on.*--test"):
        finetune(dataset=data, model=start, out=tmp_path / "out", hard_negatives=False, test=None, **more)
    assert not (tmp_path / "out").exists(), "refused before anything is trained"
    with pytest.raises(DatasetError, match="absent") as caught:
        finetune(
            dataset=data, model=start, out=tmp_path / "out", hard_negatives=False, test=[tmp_path / "absent"], **more
        )
    assert "trained on" not in str(caught.value), "a folder that is not there has another remedy"
    wider = _dataset(tmp_path / "wider", ["Desert", "Snow"])
    finetune(dataset=data, model=start, out=tmp_path / "out", hard_negatives=False, test=[wider], **more)
    assert _scored(tmp_path / "out" / "results") == 8, "of 18, 9 were trained on; an empty one is not asked"
    (tmp_path / "out" / "results").rename(tmp_path / "out" / "results1")
    (tmp_path / "out" / "results-mine").mkdir()
    more["learning_rate"] = 2e-5
    with pytest.warns(UserWarning, match="holds a model of other settings, pictures or start; it is replaced"):
        finetune(dataset=data, model=start, out=tmp_path / "out", hard_negatives=False, test=[wider], **more)
    left = sorted(folder.name for folder in (tmp_path / "out").glob("results*"))
    assert left == ["results", "results-mine"], "no results of the model that was there before"


@pytest.mark.slow
def test_before_and_after_on_one_page(tmp_path: Path) -> None:
    """Also: a training that is finished is not done again, and one of other settings is."""
    config = tiny_config(32)
    start = f"tiny:{save_tiny(tmp_path / 'start', build_tiny(config, 0)[0], 'tiny', config, {'seed': 0})}"
    spec: dict[str, Any] = {
        "name": "relations", "family": "AR4T", "render": {"size": [32, 32]}, "splits": {"test": ["Sample >= 1"]},
        "design": {
            "kind": "ar4t_relations", "pairs": 2, "single": 1, "worlds": ["Museum"], "assets": ["Camel", "Zebra"],
            "distinct": True,
        },
    }  # fmt: skip
    generate(spec, tmp_path / "d", MarkerEngine, progress=False)
    more: dict[str, Any] = {"batch_size": 8, "learning_rate": 1e-4, "captions": "both", "seed": 0, "log": None}
    more |= {"dataset": tmp_path / "d", "model": start, "out": tmp_path / "out", "test": None, "format": "table"}
    more |= {"features": tmp_path / "features"}
    finetune(epochs=1, **more)
    study = Study.load(tmp_path / "out")
    titles = [section.title for section in study.sections]
    assert titles[:2] == ["Accuracy", "What changed"]
    lines = study.sections[0].table
    assert {line["n"] for line in lines if "text" in str(line["set"])} == {10}, "pairs of the test split"
    assert [line["without pictures %"] for line in lines if str(line["set"]).endswith(", text")] == [0, 0]
    assert len(study.models) == 2
    assert (tmp_path / "out" / "index.html").is_file()
    made = (tmp_path / "out" / "model.pt").stat().st_mtime_ns
    finetune(epochs=1, **more)
    assert (tmp_path / "out" / "model.pt").stat().st_mtime_ns == made
    finetune(epochs=2, **more)
    assert (tmp_path / "out" / "model.pt").stat().st_mtime_ns != made


def test_pictures_are_left_out_by_their_scene() -> None:
    from PIL import Image

    rows = [{"scene_id": name, "x": name} for name in "abcd"]
    pictures = ImageList([Image.new("RGB", (1, 1), (i, 0, 0)) for i in range(4)], rows)
    left = without(pictures, ["b", "d", "z"])
    assert left.table()["x"].to_pylist() == ["a", "c"]
    assert [image.getpixel((0, 0))[0] for image in left.iter_images()] == [0, 2]
    assert without(pictures, ["z"]) is pictures
    with pytest.raises(DatasetError, match="none is left"):
        without(pictures, list("abcd"))
