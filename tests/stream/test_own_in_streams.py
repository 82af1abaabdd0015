"""Labels of streams with conditions. What could silently be wrong: ``own`` among numbers stops a batch, or comes as a
number that some other level has.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from conditioned import ConditionedEngine
from torch.utils.data import DataLoader

from torchmultiverse.store import open_dataset, verify
from torchmultiverse.stream import Dataset, RenderStream, Replay

SPEC = {"World_Name": ["Desert"], "Fog_Visibility": ["own", 120, 15.5], "Sun_Azimuth": ["own", 90], "Rain": [0, 4]}
"""Whole numbers, others and ``own`` in one column."""


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """Values that compare: NaN as a word."""
    kept = {name: value for name, value in item.items() if name != "image"}
    return {name: "nan" if isinstance(value, float) and math.isnan(value) else value for name, value in kept.items()}


def test_own_is_nan_in_streams_their_recordings_and_datasets(tmp_path: Path) -> None:
    with RenderStream(SPEC, ConditionedEngine, size=32, record=tmp_path / "d") as live:
        shown = list(live)
    assert {type(item["fog_visibility"]) for item in shown} == {float}
    assert {plain(item)["fog_visibility"] for item in shown} == {"nan", 120.0, 15.5}
    batch = next(iter(DataLoader(shown, batch_size=12)))  # type: ignore[arg-type]
    assert batch["fog_visibility"].dtype == torch.float64
    assert int(torch.isnan(batch["fog_visibility"]).sum()) == 4
    assert [plain(item) for item in Replay(tmp_path / "d")] == [plain(item) for item in shown]
    assert not verify(tmp_path / "d").problems
    stored = open_dataset(tmp_path / "d")
    assert stored.manifest.counts["fog_visibility"] == {"own": 4, "120": 4, "15.5": 4}
    assert len(stored.where("Fog_Visibility = own and Sun_Azimuth = 90")) == 2
    for factor, count in (("fog_visibility", 4), ("sun_azimuth", 6)):
        found = next(iter(DataLoader(Dataset(tmp_path / "d"), batch_size=12)))[factor]  # type: ignore[arg-type]
        assert found.dtype == torch.float64
        assert int(torch.isnan(found).sum()) == count


def test_counterfactuals_go_to_own_and_back() -> None:
    with RenderStream(SPEC, ConditionedEngine, size=32) as live:
        first = next(iter(live))
        changed = list(live.counterfactuals([first["scene_id"]], "Fog_Visibility"))
    assert len(changed) == 2
    assert {plain(item)["fog_visibility"] for item in [first, *changed]} == {"nan", 120.0, 15.5}
