"""The commands of training that transfers, as a new user runs them on a folder of pictures.

What could silently be wrong: an option that reaches nothing, a page that is not written, or tables that programs cannot
read.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("timm")

from shapes import shapes

from torchmultiverse.cli.app import app

SMALL = ["--backbone", "resnet10t", "--size", "16", "--head", "8", "--epochs", "1", "--batch", "16", "--crops", "1+0"]


def run(*words: str) -> str:
    found = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


@pytest.mark.slow
def test_from_a_folder_of_pictures_to_both_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHMULTIVERSE_CACHE", str(tmp_path / "cache"))
    data = shapes(80)
    for row, image in enumerate(data.iter_images()):
        folder = tmp_path / "pictures" / f"{data.table()['label'][row]} {data.table()['colour'][row]}"
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{row}.png")
    pictures = str(tmp_path / "pictures")
    for name, method in (("one", "trex"), ("two", "trex-ocm")):
        run("train", "ssl", pictures, "--method", method, "--augment", "image,fourier", "--unseen", "3",
            *SMALL, "--out", str(tmp_path / name))  # fmt: skip
    models = [f"{name}=ssl:{tmp_path / name}" for name in ("one", "two")]
    page = tmp_path / "fourier"
    said = run("analyze", "fourier", models[0], "--data", pictures, "--pairs", "16", "--pictures", "20", "--change",
               "phase", "--format", "json", "--out", str(page))  # fmt: skip
    rows = json.loads(said)
    assert {row["row"]["read_as_that_of"] for row in rows if "read_as_that_of" in row["row"]} == {
        "phase", "amplitude", "neither",
    }  # fmt: skip
    assert (page / "index.html").is_file()
    assert (page / "study.json").is_file()
    page = tmp_path / "plane"
    said = run("analyze", "transfer", *models, "--data", pictures, "--train-task", "label", "--format", "json",
               "--no-reference", "--out", str(page))  # fmt: skip
    tasks = [row["row"] for row in json.loads(said) if row["section"] == "Each task"]
    assert [(row["task"], row["answers"]) for row in tasks] == [("label (trained on)", 3)] * 2 + [
        ("unseen classes", 3)
    ] * 2
    assert "was trained on these pictures" in (page / "index.html").read_text()
