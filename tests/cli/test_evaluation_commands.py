"""The commands that read results, as a user meets them: what they say, what they write, how they end."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from command import run

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))

from test_comparing import Looking, _evaluate, _rows


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = _rows()
    models = [
        Looking(rows, "good", lambda r: True, 0.1, 1),
        Looking(rows, "also good", lambda r: True, 0.1, 2),
        Looking(rows, "no Snow", lambda r: r["world_name"] != "Snow", 0.1, 3),
        Looking(rows, "no Snow at 90", lambda r: (r["world_name"], r["camera_yaw"]) != ("Snow", 90), 0.02, 4),
    ]
    return _evaluate(rows, *models).save(tmp_path_factory.mktemp("results") / "r")


def test_compare(results: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    code, out, _ = run(capsys, monkeypatch, "eval", "compare", results, "--save", tmp_path / "c.json")
    assert code == 0
    assert "cannot be told apart" in out
    saved = json.loads((tmp_path / "c.json").read_text())
    assert len(saved["comparisons"]) == 6
    assert {s["model"] for s in saved["ranks"]} == {"good", "also good", "no Snow", "no Snow at 90"}
    code, _, err = run(capsys, monkeypatch, "eval", "compare", results, "--model", "god", "--model", "no Snow")
    assert code != 0
    assert "Did you mean 'good'" in err


def test_slices(results: Path, capsys, monkeypatch) -> None:
    code, out, _ = run(capsys, monkeypatch, "eval", "slices", results, "--model", "no Snow")
    assert code == 0
    assert "world_name = Snow" in out
    code, out, _ = run(capsys, monkeypatch, "eval", "slices", results, "--model", "good")
    assert (code, "no combination of up to 2 factors" in out) == (0, True)


def test_why_and_next_renders(results: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    code, out, _ = run(capsys, monkeypatch, "eval", "gap", results, "good", "no Snow")
    assert code == 0
    assert out.index("Snow") < out.index("Desert"), "the level that explains the gap comes first"
    code, out, _ = run(
        capsys, monkeypatch, "eval", "next-renders", results, "good", "also good", "--difference", "1",
        "--factor", "world_name", "--save", tmp_path / "n.json",
    )  # fmt: skip
    assert code == 0
    assert "more pictures, spread like this" in out
    assert all(f.startswith("world_name = ") for f in json.loads((tmp_path / "n.json").read_text())["filters"])


def test_interactions(results: Path, capsys, monkeypatch) -> None:
    code, out, _ = run(capsys, monkeypatch, "eval", "interactions", results, "--model", "no Snow at 90")
    assert code == 0
    first = next(line for line in out.splitlines() if "Snow" in line and "90" in line and "%" not in line)
    assert out.splitlines().index(first) <= 3
    code, _, err = run(capsys, monkeypatch, "eval", "interactions", results, "--factor", "world_name")
    assert code != 0
    assert "two columns" in err


def test_card_and_submission(results: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    code, out, _ = run(capsys, monkeypatch, "eval", "card", results, "--model", "no Snow")
    assert code == 0
    assert "world_name = Snow" in out
    entry = tmp_path / "e.json"
    assert run(capsys, monkeypatch, "eval", "leaderboard", "submit", results, "--out", entry)[0] != 0, (
        "which of four models?"
    )
    assert run(capsys, monkeypatch, "eval", "leaderboard", "submit", results, "--model", "good", "--out", entry)[0] == 0
    code, out, _ = run(capsys, monkeypatch, "eval", "leaderboard", "check", entry, "--results", results)
    assert (code, "numbers from rows" in out) == (0, True)
    claimed = json.loads(entry.read_text())
    claimed["scores"][0]["accuracy"] = claimed["scores"][0]["high"] = 1.0
    entry.write_text(json.dumps(claimed))
    code, out, _ = run(capsys, monkeypatch, "eval", "leaderboard", "check", entry, "--results", results)
    assert (code, "fails" in out) == (1, True)


def test_models(capsys, monkeypatch, tmp_path: Path) -> None:
    code, out, _ = run(capsys, monkeypatch, "models", "list")
    assert (code, "hf:OWNER/NAME" in out) == (0, True)
    code, out, _ = run(capsys, monkeypatch, "models", "list", "open_clip:RN50/*")
    assert "open_clip:RN50/openai" in out.splitlines()
    code, out, _ = run(capsys, monkeypatch, "models", "check", "timm:resnet10t/random", "--save", tmp_path / "k.json")
    assert (code, "fails" in out) == (0, False)
    code, out, _ = run(capsys, monkeypatch, "models", "check", "timm:resnet18/random", "--against", tmp_path / "k.json")
    assert (code, "known vectors" in out) == (1, True)


def test_correlate(results: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    (tmp_path / "i.csv").write_text("model,accuracy\ngood,80\nalso good,81\nno Snow,70\nno Snow at 90,75\n")
    code, out, _ = run(capsys, monkeypatch, "eval", "correlate", results, "--imagenet", tmp_path / "i.csv")
    assert code == 0
    assert "world_name" in out


def test_what_is_found_is_there_for_programs(results: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    """A number for programs is that of the saved record, to the last digit; notes do not stand amid it."""

    def rows(*command: object) -> list[dict[str, Any]]:
        code, out, _ = run(capsys, monkeypatch, "eval", *command, "--format", "json", "--save", tmp_path / "s.json")
        assert code == 0
        return json.loads(out)

    def saved(name: str) -> list[dict[str, Any]]:
        return json.loads((tmp_path / "s.json").read_text())[name]

    pairs = rows("compare", results)
    record = saved("comparisons")
    assert len(pairs) == len(record) == 6
    for row in pairs:
        same = next(c for c in record if (c["first"], c["second"]) == (row["first"], row["second"]))
        assert (row["difference"], row["difference_low"], row["p"]) == (
            same["difference"],
            same["low"],
            same["corrected"],
        )
    slices = rows("slices", results, "--model", "no Snow", "--top", "1")
    assert slices[0]["levels"] == saved("slices")[0]["levels"]
    assert (slices[0]["accuracy"], slices[0]["images"]) == (saved("slices")[0]["accuracy"], saved("slices")[0]["n"])
    assert rows("slices", results, "--model", "good") == []
    assert rows("gap", results, "good", "no Snow", "--top", "1")[0]["level"] == "Snow"
    wanted = rows("next-renders", results, "good", "also good", "--difference", "1", "--factor", "world_name")
    assert all(list(row["levels"]) == ["world_name"] for row in wanted)
    cells = rows("interactions", results, "--model", "no Snow at 90")
    assert {cells[0]["first_factor"], cells[0]["second_factor"]} == {"world_name", "camera_yaw"}


def test_rows_that_are_not_shown_are_told(results: Path, capsys, monkeypatch) -> None:
    _, _, all_of_it = run(capsys, monkeypatch, "eval", "gap", results, "good", "no Snow", "--top", "99")
    _, out, told = run(capsys, monkeypatch, "eval", "gap", results, "good", "no Snow", "--top", "1")
    assert "more; all: --top" not in all_of_it + out
    assert "more; all: --top" in told
