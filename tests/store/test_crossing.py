"""Rows by factors. Silently wrong would be a minimal pair that differs in two factors, or one that is left out."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchmultiverse.errors import DatasetError
from torchmultiverse.farm import generate
from torchmultiverse.store import open_dataset
from torchmultiverse.store.crossing import Crossing

_ROWS = st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.integers(0, 1)), min_size=1, max_size=40)


@settings(deadline=None)
@given(_ROWS)
def test_neighbours_and_pairs_are_those_of_the_definition(rows: list[tuple[int, str, int]]) -> None:
    crossing = Crossing(pa.table({name: [row[k] for row in rows] for k, name in enumerate("xyz")}))

    def apart(i: int, j: int) -> list[int]:
        return [k for k in range(3) if rows[i][k] != rows[j][k]]

    for i in range(len(rows)):
        assert crossing.neighbours(i).tolist() == [j for j in range(len(rows)) if len(apart(i, j)) == 1]
    for k, name in enumerate("xyz"):
        expected = [[i, j] for i, j in itertools.combinations(range(len(rows)), 2) if apart(i, j) == [k]]
        assert crossing.pairs(name, "here").tolist() == expected
    assert crossing.at({"y": rows[0][1], "z": rows[0][2]}, "here").tolist() == [
        i for i, row in enumerate(rows) if row[1:] == rows[0][1:]
    ]


def test_the_whole_of_animals_is_no_effort() -> None:
    sizes = (64, 70, 3, 4, 4)
    codes = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), 1).astype(np.int32)
    table = pa.table({f"f{k}": codes[:, k] for k in range(5)})
    crossing = Crossing(table)
    assert len(crossing.neighbours(100_000)) == sum(n - 1 for n in sizes)
    pairs = crossing.pairs("f4", "here")
    assert len(pairs) == 64 * 70 * 3 * 4 * 6
    assert ((codes[pairs[:, 0]] != codes[pairs[:, 1]]).sum(1) == 1).all()


def test_by_the_names_of_specs_and_of_columns(tmp_path: Path) -> None:
    spec = {"World_Name": ["Desert", "Snow"], "Camera_Yaw": [0, 45, 90], "Character_Name": ["Zebra"]}
    generate(spec, tmp_path / "d", "marker", size=48, progress=False)
    stored = open_dataset(tmp_path / "d")
    assert stored.at(World_Name="Snow", camera_yaw=45).tolist() == [4]
    assert stored.at(Camera_Yaw=-315).tolist() == [1, 4], "an angle is the same after a turn"
    assert stored.neighbours(-2).tolist() == [1, 3, 5]
    assert stored.pairs("World_Name").tolist() == [[0, 3], [1, 4], [2, 5]]
    assert stored.where("camera_yaw != 45").pairs("world_name").tolist() == [[0, 2], [1, 3]]
    with pytest.raises(DatasetError, match="Did you mean 'Snow'"):
        stored.at(World_Name="Snw")
    with pytest.raises(DatasetError, match="no factor 'world'"):
        stored.pairs("world")
    with pytest.raises(IndexError):
        stored.neighbours(6)
