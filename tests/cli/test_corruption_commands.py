"""The commands about corruptions, as a user meets them on a folder of pictures: what they say, write and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command import run
from PIL import Image

pytest.importorskip("timm")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for label in ("zebra", "goldfish"):
        (folder / label).mkdir()
        for number in range(10):
            small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            small[..., 0] //= 2 if label == "zebra" else 1
            Image.fromarray(small).resize((40, 48)).save(folder / label / f"{number}.png")
    return folder


@pytest.mark.slow
def test_a_folder_of_photographs_is_scored_under_corruptions(
    pictures: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    asked = (
        "eval", pictures, "--model", "small=timm:resnet10t/random", "--corruptions", "fog,jpeg_compression",
        "--severity", "1,5", "--baseline", "small", "--features", tmp_path / "kept", "--out", tmp_path / "out",
    )  # fmt: skip
    code, out, _ = run(capsys, monkeypatch, *asked)
    assert code == 0
    assert "small errs on" in out
    assert "error relative to small" in out
    page = (tmp_path / "out" / "index.html").read_text()
    assert "By type and severity" in page
    assert (tmp_path / "out" / "study.json").exists()
    code, again, _ = run(capsys, monkeypatch, *asked, "--format", "json")
    assert code == 0
    rows = [line["row"] for line in json.loads(again) if line["section"] == "By type and severity"]
    assert [row["corruption"] for row in rows] == ["fog", "jpeg_compression"]
    assert {row["n"] for row in rows} == {20}
    code, _, _ = run(capsys, monkeypatch, "report", tmp_path / "out")
    assert code == 0


def test_layers_under_corruptions(pictures: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    code, out, _ = run(
        capsys, monkeypatch, "analyze", "corruptions", "timm:resnet10t/random", "--data", pictures, "--corruptions",
        "contrast", "--severity", "5", "--side", "48", "--group", "rows", "--features", tmp_path / "kept", "--out",
        tmp_path / "out",
    )  # fmt: skip
    assert code == 0
    assert "Under corruptions label is read alike at all" in out  # a bright or a dark picture, told everywhere
    assert "Published: a supervised ResNet-50" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--corruptions", ""), "no corruption is named"),
        (("--corruptions", "fogg"), "Did you mean 'fog'"),
        (("--corruptions", "fog_3d"), "the pictures have no depth"),
        (("--corruptions", "fog", "--severity", "0"), "1,3,5"),
        (("--corruptions", "fog", "--baseline", "other"), "no model 'other' to be the baseline"),
        (("--corruptions", "shadow"), "not built"),
    ],
)
def test_refusals_name_what_would_be_right(
    options: tuple[str, ...], said: str, pictures: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    code, _, err = run(
        capsys,
        monkeypatch,
        "eval",
        pictures,
        "--model",
        "small=timm:resnet10t/random",
        *options,
        "--out",
        tmp_path / "o",
    )
    assert code != 0
    assert said in err
