"""The command renders the steps of a spec, trains, says the answer first, and goes on from what is there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from command import run

from torchmultiverse.store import open_dataset

pytest.importorskip("timm")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "trends"))
from glyphs import glyphs

SETTINGS = ["--set", "model=test_resnet", "--set", "size=32", "--set", "epochs=1", "--set", "batch_size=16"]


def saved(tmp_path: Path) -> Path:
    """A folder of pictures in folders of classes that are called as people write characters of the marker engine."""
    for k, image in enumerate(glyphs(8, (), 0, classes=3).iter_images()):
        folder = tmp_path / "photos" / ("camel", "elephant", "zebra")[k // 8]
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{k}.png")
    return tmp_path / "photos"


@pytest.mark.slow
def test_a_spec_is_rendered_step_by_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos, spec = saved(tmp_path), tmp_path / "spec.json"
    levels = {
        "World_Name": ["Desert", "Snow"], "Character_Name": ["Camel", "Elephant", "Zebra"],
        "Camera_Yaw": {"from": 0, "to": 360},
    }  # fmt: skip
    spec.write_text(json.dumps({"name": "toy", "design": {"kind": "random", "pictures": 9, "factors": levels}}))
    arguments = [
        "analyze", "ladder", str(spec), "--target", str(photos), "--steps", "narrow,poses,full,x2", "--budget", "15",
        "--engine", "marker", "--size", "48", "--seeds", "1", *SETTINGS, "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    code, shown, errors = run(capsys, monkeypatch, *arguments)
    assert code == 0, errors
    assert shown.splitlines()[0].startswith("On photos ")
    assert "group is worth" not in shown.splitlines()[0]
    sizes = {folder.name: len(open_dataset(folder)) for folder in (tmp_path / "out" / "pictures").iterdir()}
    assert sizes == {"narrow": 21, "poses": 21, "full": 21, "x2": 36, "without-worlds": 21, "without-poses": 21}
    assert len(list((tmp_path / "out" / "runs").glob("*/run.json"))) == 6
    assert (tmp_path / "out" / "index.html").is_file()
    rows = json.loads(run(capsys, monkeypatch, *arguments, "--format", "json")[1])
    steps, groups = (
        [row["row"][key] for row in rows if row["section"] == section]
        for section, key in (("Accuracy of each step", "step"), ("Which factor's widening pays", "group"))
    )
    assert steps == ["narrow", "poses", "full", "x2"]
    assert set(groups) == {"worlds", "poses"}


def test_what_is_missing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = ("--target", saved(tmp_path))
    for arguments, code, message in (
        ((), 2, "either a spec or dataset"), (("--step", "photos"), 2, "write NAME=FOLDER"),
        (("anmals",), 2, "no spec at anmals"),
    ):  # fmt: skip
        found, _, errors = run(capsys, monkeypatch, "analyze", "ladder", *arguments, *target)
        assert found == code
        assert message in errors
