"""A dataset whose design grows keeps its pictures.

What could be silently wrong: a picture rendered again, one that is lost when the run is killed in between, rows in the
order in which they came instead of the design's, an old split or an old set of columns in the new dataset.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import DatasetError
from torchmultiverse.farm import generate
from torchmultiverse.files import write_atomic
from torchmultiverse.store import open_dataset


def spec(worlds: list[str], yaws: list[int], **more: Any) -> dict[str, Any]:
    design = {"World_Name": worlds, "Character_Name": ["Camel", "Zebra"], "Camera_Yaw": yaws}
    return {
        "name": "grow", "design": {"kind": "factorial", "factors": design}, "render": {"size": [48, 48]}, **more
    }  # fmt: skip


SMALL = spec(["Desert", "Snow"], [0, 45, 90])
LARGE = spec(["Desert", "Museum", "Snow"], [0, 30, 45, 90])


def render(what: dict[str, Any], out: Path, **more: Any) -> int:
    return generate(what, out, MarkerEngine, progress=False, shard_rows=5, **more).rendered


def content(out: Path) -> list[Any]:
    made = open_dataset(out)
    rows = [made.row(i) for i in range(len(made))]
    for row in rows:
        row.pop("render_ms")
    return [made.columns, rows]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("extend") / "small"
    assert render(SMALL, out) == 12
    return out


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    out = tmp_path_factory.mktemp("extend") / "large"
    render(LARGE, out)
    return content(out)


def test_only_new_cells_are_rendered(small: Path, large: list[Any], tmp_path: Path) -> None:
    out = tmp_path / "d"
    shutil.copytree(small, out)
    with pytest.raises(DatasetError, match="Use --extend to keep its pictures"):
        render(LARGE, out)
    assert render(LARGE, out, extend=True) == 24 - 12
    assert content(out) == large
    assert json.loads((out / "manifest.json").read_text())["complete"]
    assert render(LARGE, out) == 0


def test_a_new_factor_and_new_splits(small: Path, tmp_path: Path) -> None:
    what = spec(["Desert", "Snow"], [0, 45, 90], splits={"test": ["World_Name = Snow"]})
    what["design"]["factors"]["Character_Scale"] = [1, 1.3]
    out = tmp_path / "d"
    shutil.copytree(small, out)
    assert render(what, out, extend=True) == 12
    render(what, tmp_path / "new")
    assert content(out) == content(tmp_path / "new")
    assert len(open_dataset(out).where("split = test")) == 12
    assert "character_scale" in open_dataset(out).columns


def test_what_is_no_extension_is_refused(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "d"
    shutil.copytree(small, out)
    with pytest.raises(DatasetError, match="scenes the new design does not have"):
        render(spec(["Desert", "Museum"], [0, 45, 90]), out, extend=True)
    with pytest.raises(DatasetError, match=r"spec\.seed was 0, is 1"):
        render(LARGE | {"seed": 1}, out, extend=True)
    with pytest.raises(DatasetError, match="size"):
        render(LARGE, out, extend=True, size=64)
    assert content(out) == content(small)


def test_limit_then_all(tmp_path: Path, large: list[Any]) -> None:
    out = tmp_path / "d"
    assert render(LARGE, out, limit=7) == 7
    assert render(LARGE, out, extend=True) == 17
    assert content(out) == large


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@pytest.mark.parametrize("at", range(0, 22, 3))
def test_killed_at_any_moment_of_the_change(
    at: int, small: Path, large: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "d"
    shutil.copytree(small, out)
    writes = 0

    def dying(path: Path, data: bytes, **how: Any) -> None:
        nonlocal writes
        writes += 1
        if writes == at + 1:
            raise Killed
        if writes > at:
            raise DatasetError("nothing is written after the end")  # what the run expects of a disk while it ends
        write_atomic(path, data, **how)

    with monkeypatch.context() as patch:
        patch.setattr("torchmultiverse.store.writer.write_atomic", dying)
        with pytest.raises(Killed):
            render(LARGE, out, extend=True)
    back = tmp_path / "back"
    shutil.copytree(out, back)
    before = json.loads((small / "manifest.json").read_text())["identity"]
    grown = json.loads((out / "manifest.json").read_text())["identity"] != before
    rendered = render(LARGE, out, extend=True)
    assert content(out) == large
    assert rendered <= 12, "a picture that was there was rendered again"
    if not grown:  # the first spec may be taken up again as well
        render(SMALL, back)
        assert content(back) == content(small)
