"""What happens at the end of a run of very many rows.

What could be silently wrong: a faster search finds other pictures than comparing every two of them does, or a manifest
that is written less often forgets a file. And what must not come back: memory or time that grow with the square of a
factor's levels, of the rows that share one, or of the shards.
"""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from torchmultiverse.engines import Frame, RenderOptions
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.scenes import Factorial
from torchmultiverse.store import DatasetWriter, RowSchema, minimal, open_dataset, thumbnails, verify
from torchmultiverse.store.crossing import Crossing
from torchmultiverse.store.ids import Ids
from torchmultiverse.store.minimal import PAIRS, differences
from torchmultiverse.store.thumbnails import MAX_DIFFERENCE, Thumbnails


def kept(pictures: np.ndarray) -> Thumbnails:
    thumbs = Thumbnails(len(pictures))
    for row, picture in enumerate(pictures):
        thumbs.put(row, picture)
    return thumbs


def every_pair(crossing: Crossing, name: str, pictures: np.ndarray) -> dict[str, tuple[float, int]]:
    """Return the same as `differences`, from all minimal pairs, one after the other."""
    column, levels = crossing.names.index(name), crossing.levels[name]
    found: dict[str, list[float]] = defaultdict(list)
    for a, b in crossing.pairs(name, "here").tolist():
        pair = " / ".join(sorted(str(levels[crossing.codes[row, column]]) for row in (a, b)))
        if len(found[pair]) < PAIRS:
            found[pair].append(float(np.abs(pictures[a].astype(int) - pictures[b]).mean()))
    return {pair: (round(float(np.median(v)), 3), len(v)) for pair, v in sorted(found.items())}


def crossed(*sizes: int) -> pa.Table:
    codes = np.indices(sizes).reshape(len(sizes), -1)
    return pa.table({f"f{k}": [f"l{c}" for c in column] if k % 2 else column * 15 for k, column in enumerate(codes)})


def drawn(count: int, *sizes: int) -> pa.Table:
    rng = np.random.default_rng(count)
    return pa.table({f"f{k}": rng.integers(0, size, count) for k, size in enumerate(sizes)})


DESIGNS: dict[str, pa.Table] = {
    "crossed": crossed(4, 3, 5),
    "more pairs than are compared": crossed(3, 2, 110),
    "the same, the other way round": crossed(110, 2, 3),
    "some of all": drawn(120, 4, 5, 3),
    "levels that come many times": drawn(90, 3),
    "one row": crossed(1, 1),
    "none": crossed(2, 2).slice(0, 0),
    "nothing said": pa.table({"f0": [None, 1, 1, None], "f1": ["a", None, "a", None]}),
    "nobody's neighbour": pa.table({"f0": list(range(50)), "f1": list(range(50))}),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_what_a_factor_changes_is_what_all_pairs_say(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = DESIGNS[name]
    pictures = np.random.default_rng(0).integers(0, 255, (len(table), 16, 16, 3), dtype=np.uint8)
    for block in (minimal._BLOCK, 7):
        monkeypatch.setattr(minimal, "_BLOCK", block)
        # In parts, as files give them.
        crossing = Crossing([table.slice(at, 37) for at in range(0, max(len(table), 1), 37)])
        for factor in crossing.names:
            assert differences(crossing, factor, kept(pictures)) == every_pair(crossing, factor, pictures)


@pytest.mark.parametrize(("levels", "compared"), [(625, 625), (400, 200)])
def test_of_very_many_levels_each_is_compared_once(levels: int, compared: int) -> None:
    """625 of them were 195,000 pairs of levels, and a line of the report for each."""
    table = pa.table({"yaw": np.tile(np.arange(levels) * 0.576, 3), "world": np.repeat(["a", "b", "c"], levels)})
    pictures = np.zeros((len(table), 16, 16, 3), np.uint8)
    pictures[np.arange(len(table)) % levels >= levels // 2] = 100  # half of the turn looks different
    found = differences(Crossing(table), "yaw", kept(pictures))
    assert len(found) == compared
    assert len({level for pair in found for level in pair.split(" / ")}) == levels
    assert {count for _, count in found.values()} == {3}
    assert sum(least == 100 for least, _ in found.values()) == compared - levels % 2
    flat = differences(Crossing(table), "yaw", kept(np.zeros_like(pictures)))
    assert {least for least, _ in flat.values()} == {0.0}, "a factor that changes nothing is seen"


def test_memory_does_not_grow_with_the_square_of_anything() -> None:
    rng = np.random.default_rng(1)
    rows = 20_000
    designs = {
        "two classes and nothing else": pa.table({"class": rng.integers(0, 2, rows)}),
        "a yaw drawn for each row": pa.table({"yaw": rng.permutation(rows), "world": rng.integers(0, 4, rows)}),
        "a yaw of many levels": pa.table({"yaw": np.arange(rows) % 10_000, "world": np.arange(rows) // 10_000}),
        "many classes": pa.table({"class": rng.integers(0, 60, rows)}),
    }
    thumbs = kept(np.zeros((rows, 16, 16, 3), np.uint8))
    for name, table in designs.items():
        crossing = Crossing(table)
        tracemalloc.start()
        for factor in crossing.names:
            differences(crossing, factor, thumbs)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 300e6, f"{name}: {peak / 1e6:.0f} MB"


def every_two(pictures: np.ndarray) -> list[list[int]]:
    label = np.arange(len(pictures))
    for i in range(len(pictures)):
        for j in range(i):
            if np.abs(pictures[i].astype(int) - pictures[j]).max() <= MAX_DIFFERENCE:
                label[label == label[i]] = label[j]
    return [rows.tolist() for rows in thumbnails.runs(label)]


@pytest.mark.parametrize("held", [1 << 16, 64])
def test_what_looks_alike_is_what_comparing_every_two_says(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where thumbnails lie in a file and are searched in stretches."""
    monkeypatch.setattr(thumbnails, "IN_MEMORY", held)
    rng = np.random.default_rng(2)
    pictures = rng.integers(10, 240, (300, 16, 16, 3), dtype=np.uint8)
    for group in rng.permutation(300)[:60].reshape(-1, 3):
        pictures[group[1]] = pictures[group[0]]  # equal,
        noise = rng.integers(-1, 2, (16, 16, 3))  # and apart by noise
        pictures[group[2]] = (pictures[group[0]] + noise).astype(np.uint8)
    rows = np.flatnonzero(np.arange(300) != 17)
    wanted = [[int(rows[i]) for i in group] for group in every_two(pictures[rows])]
    assert len(wanted) == 20
    thumbs = kept(pictures)
    assert thumbs.near_duplicates(rows) == wanted
    some = rng.permutation(300)[:40]
    assert np.array_equal(thumbs.take(some), pictures[some])
    assert thumbs.near_duplicates(rows[:1]) == thumbs.near_duplicates(rows[:0]) == []


def test_ids_of_very_many_rows() -> None:
    names: list[str | None] = [f"{i:032x}" for i in range(1000)]
    names[7] = None
    names[900] = names[30]
    ids = Ids(names)
    assert ids.places([names[0], "no", names[999], None, names[30], ""]).tolist() == [0, -1, 999, -1, 900, -1]
    assert Ids([]).places(["a"]).tolist() == [-1]


def _written(out: Path, shards: int) -> tuple[DatasetWriter, Any]:
    design = Factorial.of({"World_Name": ["Desert"], "Camera_Yaw": [float(k) for k in range(shards)]})
    schema = RowSchema(None, design, ("rgb",))
    return DatasetWriter(out, design, schema, {"spec": "any"}, shard_rows=1), design


def _frames(design: Any) -> list[Frame]:
    return list(MarkerEngine().render(list(design), RenderOptions(size=(16, 16))))  # type: ignore[arg-type]


def test_the_manifest_is_not_written_after_every_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    save = DatasetWriter.save_manifest

    def counted(self: DatasetWriter) -> None:
        save(self)
        sizes.append((self.out / "manifest.json").stat().st_size)

    monkeypatch.setattr(DatasetWriter, "save_manifest", counted)
    writer, design = _written(tmp_path / "d", 120)
    for shard, frame in enumerate(_frames(design)):
        writer.add(frame)
        writer.finish_shard(shard)
    writer.save_manifest()
    writer.close()
    assert len(sizes) < 40
    assert sum(sizes) < 12 * sizes[-1]
    assert not (tmp_path / "d" / "_work").exists()


def test_a_killed_run_forgets_no_file_that_the_manifest_does_not_name_yet(tmp_path: Path) -> None:
    out = tmp_path / "d"
    writer, design = _written(out, 60)
    frames = _frames(design)
    for shard in range(59):
        writer.add(frames[shard])
        writer.finish_shard(shard)
    assert writer._unsaved
    writer._lock.release()  # as the system does when the process is killed
    assert len(open_dataset(out).manifest.shards) == 59
    result = verify(out)
    assert (result.rows, result.problems) == (59, {})
    again, _ = _written(out, 60)
    assert again.rows == again.durable_rows == 59
    assert again.missing(58) == []
    again.add(frames[59])
    again.finish_shard(59)
    again.save_manifest()
    again.close()
    assert not (out / "_work").exists()
    assert len(open_dataset(out).manifest.shards) == len(open_dataset(out)) == 60
