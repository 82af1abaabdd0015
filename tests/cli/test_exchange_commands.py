"""Datasets out of the command line and into it: what it says, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_cli import run

from torchmultiverse.errors import DatasetError


@pytest.fixture
def dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    spec = {
        "name": "small", "family": "Animals", "render": {"size": [32, 32]},
        "design": {"kind": "factorial", "factors": {"World_Name": ["Desert", "Snow"], "Character_Name": ["Camel"]}},
        "about": {"creators": "Two people", "contact": "us"},
    }  # fmt: skip
    (tmp_path / "small.json").write_text(json.dumps(spec))
    out = tmp_path / "small"
    assert (
        run(capsys, monkeypatch, "render", str(tmp_path / "small.json"), "--out", str(out), "--engine", "marker")[0]
        == 0
    )
    assert "Two people" in (out / "README.md").read_text()
    return out


def test_out_and_in_again(dataset: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    png, back, tars = (str(tmp_path / name) for name in ("png", "back", "tars"))
    code, text, _ = run(capsys, monkeypatch, "data", "export", str(dataset), "--out", png)
    assert (code, "2 pictures and labels_pug_animal.csv" in " ".join(text.split())) == (0, True)
    code, text, _ = run(capsys, monkeypatch, "data", "import", png, "--out", back)
    assert (code, "2 pictures of the family Animals" in " ".join(text.split())) == (0, True)
    code, text, _ = run(capsys, monkeypatch, "data", "export", str(dataset), "--out", tars, "--layout", "webdataset",
                        "--where", "world_name = Snow")  # fmt: skip
    assert (code, "1 tar files" in " ".join(text.split())) == (0, True)
    code, _, error = run(
        capsys, monkeypatch, "data", "export", str(dataset), "--out", png, "--where", "world_name = Beach"
    )
    assert code == DatasetError.exit_code
    assert "no row" in error
    code, text, _ = run(capsys, monkeypatch, "data", "diff", str(dataset), str(dataset))
    assert (code, "nothing differs" in " ".join(text.split())) == (0, True)
    code, text, _ = run(capsys, monkeypatch, "data", "diff", str(dataset), back)
    assert code == 1
    assert "columns that only one has" in text
    assert "pictures differ" not in text
    code, _, error = run(
        capsys, monkeypatch, "data", "merge", str(dataset), back, "--out", str(tmp_path / "m"), "--common"
    )
    assert code == DatasetError.exit_code
    assert "both have the scene" in error
    code, text, _ = run(
        capsys,
        monkeypatch,
        "data",
        "merge",
        str(dataset),
        back,
        "--out",
        str(tmp_path / "m"),
        "--common",
        "--keep-first",
    )
    assert (code, "2 pictures from 2 datasets" in " ".join(text.split())) == (0, True)
    code, _, error = run(capsys, monkeypatch, "data", "import", png, "--out", str(dataset))
    assert code == DatasetError.exit_code
    assert "holds something else" in error


def test_push_says_what_it_would_send_and_why_it_cannot(dataset: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    code, text, _ = run(capsys, monkeypatch, "data", "push", str(dataset), "me/small", "--dry-run")
    assert code == 0
    assert "data/train-00000.parquet" in text
    assert "would go to me/small (private)" in text
    pytest.importorskip("huggingface_hub", reason="the Hub's client is not installed")
    code, _, error = run(capsys, monkeypatch, "data", "push", str(dataset), "not a name")
    assert code == DatasetError.exit_code
    assert "not a name" in error
    manifest = json.loads((dataset / "manifest.json").read_text())
    (dataset / "manifest.json").write_text(json.dumps(manifest | {"complete": False}))
    code, _, error = run(capsys, monkeypatch, "data", "push", str(dataset), "me/small")
    assert code == DatasetError.exit_code
    assert "is not finished" in error
    code, _, error = run(capsys, monkeypatch, "data", "push", str(tmp_path), "me/small")
    assert code == DatasetError.exit_code
    assert "no dataset" in error
