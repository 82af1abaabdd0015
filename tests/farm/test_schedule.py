"""A schedule that loses or repeats an index loses or repeats a picture; one that hops between worlds is slow."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.farm import generate
from torchmultiverse.farm import progress as progress_module
from torchmultiverse.farm.progress import progress
from torchmultiverse.farm.schedule import Schedule
from torchmultiverse.scenes import Scene, parse_spec
from torchmultiverse.store import DatasetWriter, RowSchema

MIXED = {"Camera_Yaw": list(range(10)), "World_Name": ["Desert", "Snow", "Museum", "SaltFlats"]}


def writer_of(spec_data: dict, out: Path, shard_rows: int = 16) -> DatasetWriter:
    spec = parse_spec(spec_data)
    design = spec.build()
    return DatasetWriter(out, design, RowSchema(spec, design, ("rgb",)), {}, shard_rows=shard_rows)


def test_every_index_once_and_again_only_after_a_failure(tmp_path: Path) -> None:
    writer = writer_of(MIXED, tmp_path / "d")
    schedule = Schedule(writer, retries=1)
    taken = []
    while (index := schedule.take(len(taken) % 3)) is not None:
        taken.append(index)
    assert sorted(taken) == list(range(40))
    schedule.give_back(5, taken.index(5) % 3)
    assert schedule.take(0) == 5
    assert schedule.retry(5, 0)
    assert schedule.attempts(5) == 2
    assert schedule.take(1) == 5
    assert not schedule.retry(5, 1)
    for index in range(40):
        schedule.settle(index)
        assert schedule.ready() == ([index // 16] if index in (15, 31, 39) else [])
    assert schedule.finished
    writer.close()


def test_workers_keep_to_their_world_and_share_what_is_left(tmp_path: Path) -> None:
    writer = writer_of(MIXED, tmp_path / "d", shard_rows=40)
    schedule = Schedule(writer, retries=0)
    worlds: dict[int, list[str]] = {0: [], 1: []}
    for turn in range(40):
        index = schedule.take(turn % 2)
        assert index is not None
        worlds[turn % 2].append(str(writer.design[index]["World_Name"]))
    for of_one in worlds.values():
        assert sum(a != b for a, b in itertools.pairwise(of_one)) == 1, "ten of one world, ten of another"
    assert not set(worlds[0]) & set(worlds[1])
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


def test_what_one_worker_does_not_answer_another_one_gets(tmp_path: Path) -> None:
    """Silently wrong would be: a scene that is handed out for ever, or never again."""
    now = [0.0]
    writer = writer_of({"World_Name": ["Desert"], "Camera_Yaw": [0, 1, 2]}, tmp_path / "d", shard_rows=40)
    schedule = Schedule(writer, retries=0, lease=100, clock=lambda: now[0])
    assert [schedule.take(0), schedule.take(1)] == [0, 1]
    now[0] = 101
    assert schedule.take(0) == 1, "a lease that ran out comes before what is new"
    assert schedule.take(1) == 0
    assert schedule.take(2) == 2
    assert schedule.take(2) is None, "two have each of the others, and that is enough"
    schedule.came(0, 1)
    schedule.settle(0)
    assert not schedule.is_open(0)
    schedule.came(1, 0)
    schedule.settle(1)
    schedule.give_back(1, 1)  # the late one: nothing of it is put back
    assert schedule.take(1) is None
    assert schedule.longest() == {0: 101.0, 2: 0.0}, "the first one never answered for scene 0"
    assert schedule.wait(0.01)
    now[0] += 4 * 101  # the usual time is 101 s by now, and a worker is idle
    assert schedule.take(0) == 2
    assert schedule.retry(2, 0), "the other one still tries"
    assert not schedule.retry(2, 2)
    schedule.settle(2)
    assert schedule.finished
    assert not schedule.wait(0.01)
    assert schedule.repeated == 3
    writer.close()


def test_a_design_of_billions_is_begun_shard_by_shard(tmp_path: Path) -> None:
    wide = {"World_Name": ["Desert"], **{f"Camera_{axis}": list(range(360)) for axis in ("Yaw", "Pitch", "Roll")}}
    writer = writer_of(wide | {"Character_Rotation_Yaw": list(range(360))}, tmp_path / "d")
    schedule = Schedule(writer, retries=0)
    assert [schedule.take(0) for _ in range(20)] == list(range(20))
    assert len(schedule._open) == 2
    writer.close()


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
