"""A backlog that loses or repeats a row loses or repeats a picture; a run that hops between worlds is slow."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.farm import generate
from torchmultiverse.farm import progress as progress_module
from torchmultiverse.farm.backlog import Backlog
from torchmultiverse.farm.progress import progress
from torchmultiverse.scenes import Scene, parse_spec
from torchmultiverse.store import DatasetWriter, RowSchema

MIXED = {"Camera_Yaw": list(range(10)), "World_Name": ["Desert", "Snow", "Museum", "SaltFlats"]}


def writer_of(spec_data: dict, out: Path, shard_rows: int = 16) -> DatasetWriter:
    spec = parse_spec(spec_data)
    design = spec.build()
    return DatasetWriter(out, design, RowSchema(spec, design, ("rgb",)), {}, shard_rows=shard_rows)


def test_every_row_once_and_its_shard_when_it_is_settled(tmp_path: Path) -> None:
    writer = writer_of(MIXED, tmp_path / "d")
    backlog = Backlog(writer)
    begun = []
    while missing := backlog.begin():
        begun += missing
    assert begun == list(range(40))
    assert not backlog.finished
    for index in range(40):
        backlog.settle(index)
        assert backlog.ready() == ([index // 16] if index in (15, 31, 39) else [])
    assert backlog.finished
    writer.close()


def test_a_design_of_billions_is_begun_shard_by_shard(tmp_path: Path) -> None:
    wide = {"World_Name": ["Desert"], **{f"Camera_{axis}": list(range(360)) for axis in ("Yaw", "Pitch", "Roll")}}
    writer = writer_of(wide | {"Character_Rotation_Yaw": list(range(360))}, tmp_path / "d")
    backlog = Backlog(writer)
    assert [*backlog.begin(), *backlog.begin()] == list(range(32))
    assert not backlog.finished
    writer.close()


def test_one_engine_changes_worlds_as_often_as_it_must(tmp_path: Path) -> None:
    changes = []

    class Watched(MarkerEngine):
        def render(
            self,
            scenes: Iterable[Scene],
            options: RenderOptions = RenderOptions(),  # noqa: B008
        ) -> Iterator[Frame | Failure]:
            def watch() -> Iterator[Scene]:
                for scene in scenes:
                    if not changes or changes[-1] != scene["World_Name"]:
                        changes.append(scene["World_Name"])
                    yield scene

            return super().render(watch(), options)

    generate(MIXED, tmp_path / "d", Watched, size=48, shard_rows=20, progress=False)
    assert len(changes) <= 8, "four worlds in each of two shards"


def test_progress_says_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "_LINE_SECONDS", 0.0)
    console = Console(width=60, record=True, file=io.StringIO(), force_terminal=False)
    with progress("a [b]", 10, True, console) as tick:
        tick(0, 0, 1)
        tick(2, 3, 1)
    lines = console.export_text().splitlines()
    assert lines[0].startswith("a [b]: 0/10, 0.0 pictures/s, 1 failed, no picture yet")
    assert lines[1].startswith("a [b]: 5/10, ")
    assert lines[1].endswith(" s left")
    terminal = Console(width=150, record=True, file=io.StringIO(), force_terminal=True)
    with progress("a [b]", 10, True, terminal) as tick:
        tick(2, 3, 1)
    bar = terminal.export_text()
    assert "a [b]" in bar
    assert "5/10" in bar
    assert "1 failed" in bar
