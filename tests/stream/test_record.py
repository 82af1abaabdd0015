"""A stream that is kept and played back.

What could be silently wrong: another order, a picture under another's label, weights that are lost, pictures that stand
twice or are missing after a resume.
"""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import DatasetError
from torchmultiverse.scenes import parse_spec
from torchmultiverse.store import open_dataset, verify
from torchmultiverse.stream import Adaptive, RenderStream, Replay

SPEC = {"World_Name": ["Desert", "Snow"], "Camera_Yaw": [0, 30, 60, 90, 120], "Character_Name": ["Zebra", "Camel"]}


def stream(out: Path | None, source: Any = SPEC, **more: Any) -> RenderStream:
    return RenderStream(source, MarkerEngine, size=48, record=out, **more)


def same(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a["image"], b["image"])
        and {k: v for k, v in a.items() if k != "image"} == {k: v for k, v in b.items() if k != "image"}
        for a, b in zip(first, second, strict=True)
    )


def test_what_was_shown_is_played_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchmultiverse.stream.record.SHARD_ROWS", 7)
    with stream(tmp_path / "d") as live:
        shown = [*live, *live]
    assert len(shown) == 40
    assert same(shown, list(Replay(tmp_path / "d")))
    made = open_dataset(tmp_path / "d")
    assert len(made) == 40
    assert made.manifest.counts["world_name"] == {"Desert": 20, "Snow": 20}
    assert len(made.at(World_Name="Snow", Camera_Yaw=30)) == 4
    assert not verify(tmp_path / "d").problems
    loader = DataLoader(Replay(tmp_path / "d"), batch_size=None, num_workers=2)
    assert sorted(item["scene_id"] for item in loader) == sorted(item["scene_id"] for item in shown)


def test_weights_and_feedback_of_an_adaptive_stream(tmp_path: Path) -> None:
    sampler = Adaptive(parse_spec(SPEC).build(), factors=["World_Name"], seed=1)
    shown = []
    with stream(tmp_path / "d", sampler, window=8, prefetch=8) as live:
        for item in islice(live, 60):
            shown.append(item)
            live.feedback([item["scene_id"]], [5.0 if item["world_name"] == "Snow" else 0.1])
    assert len({item["weight"] for item in shown}) > 1
    replay = Replay(tmp_path / "d")
    played = []
    for item in replay:
        played.append(item)
        replay.feedback([item["scene_id"]], [1.0])
    assert same(shown, played)


@pytest.mark.parametrize("stop", [1, 6, 13, 19])
def test_a_resume_keeps_every_picture_once(stop: int, tmp_path: Path) -> None:
    with stream(tmp_path / "calm") as live:
        calm = list(live)
    with stream(tmp_path / "d") as live:
        list(islice(live, stop))
        state = json.loads(json.dumps(live.state_dict()))
        list(islice(live, 3))  # shown after the state was saved, and lost with the process
    with stream(tmp_path / "d") as live:
        live.load_state_dict(state)
        rest = list(live)
    assert same(calm, list(Replay(tmp_path / "d")))
    assert len(rest) == 20 - stop
    replay = Replay(tmp_path / "d")
    list(islice(replay, stop))
    again = Replay(tmp_path / "d")
    again.load_state_dict(replay.state_dict())
    assert same(calm[stop:], list(again))


def test_readers_have_folders_of_their_own(tmp_path: Path) -> None:
    loader = DataLoader(stream(tmp_path / "d"), batch_size=None, num_workers=2)
    shown = [item["scene_id"] for item in loader]
    del loader
    parts = [open_dataset(tmp_path / "d" / f"reader-{i}-of-2") for i in range(2)]
    kept = [scene for part in parts for scene in part.table(["scene_id"])["scene_id"].to_pylist()]
    assert sorted(kept) == sorted(shown)
    assert len(set(kept)) == 20


def test_a_folder_that_holds_something_is_not_touched(tmp_path: Path) -> None:
    with stream(tmp_path / "d") as live:
        list(live)
    with stream(tmp_path / "d") as live, pytest.raises(DatasetError, match="holds a recording already"):
        next(iter(live))
    with stream(tmp_path / "d", seed=4) as live, pytest.raises(DatasetError, match="no earlier recording"):
        next(iter(live))
    assert len(Replay(tmp_path / "d")) == 20
    from torchmultiverse.farm import generate

    generate(SPEC, tmp_path / "other", MarkerEngine, size=48, progress=False)
    with pytest.raises(DatasetError, match="not the recording of a stream"):
        Replay(tmp_path / "other")


def test_a_stream_of_a_design_with_labels(tmp_path: Path) -> None:
    spec = {
        "name": "r", "family": "AR4T",
        "design": {
            "kind": "ar4t_relations", "worlds": ["Desert"], "assets": ["Camel", "Zebra"], "pairs": 1, "single": 1
        },
    }  # fmt: skip
    with stream(tmp_path / "d", spec) as live:
        items = list(live)
    assert len(items) == 23
    assert {item["Relation"] for item in items} >= {"above", "inside"}
    made = open_dataset(tmp_path / "d")
    assert [made.row(i, ["scene_id"])["scene_id"] for i in range(23)] == [item["scene_id"] for item in items]
    assert all(made.table(["caption"])["caption"].to_pylist())


def test_a_recording_that_was_killed_in_its_first_file_goes_on(tmp_path: Path) -> None:
    # What was left, a folder without a manifest, was taken for something else, and its hidden file stayed.
    (tmp_path / "d/data").mkdir(parents=True)
    (tmp_path / "d/data/.train-00000.parquet.123.456.tmp").write_bytes(b"half")
    with stream(tmp_path / "d") as live:
        first = next(iter(live))
        assert (tmp_path / "d/manifest.json").exists()
    assert same([first], list(islice(Replay(tmp_path / "d"), 1)))
    assert not list((tmp_path / "d").rglob("*.tmp"))


def test_a_recording_is_of_one_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silently wrong would be: a stream that goes on after an update, with pictures drawn by other rules."""
    with stream(tmp_path / "d") as live:
        list(islice(live, 5))
        state = live.state_dict()
    before = (tmp_path / "d" / "manifest.json").read_bytes()
    catalogue = MarkerEngine().catalogue()
    other = catalogue.model_copy(update={"fingerprint": "builtin-0.1.0-r3-llvm_ad_rgb-0"})
    monkeypatch.setattr(MarkerEngine, "catalogue", lambda self: other)
    with stream(tmp_path / "d") as live:
        live.load_state_dict(state)
        with pytest.raises(DatasetError, match="revision 1, this engine's are of revision 3"):
            list(live)
    assert (tmp_path / "d" / "manifest.json").read_bytes() == before
