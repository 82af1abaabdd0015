"""Quality control. Silently wrong would be: a planted fault that is not found, or a good picture that is flagged."""

from __future__ import annotations

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from torchmultiverse.cli.app import app
from torchmultiverse.farm import generate
from torchmultiverse.store import inspect, open_dataset, verify
from torchmultiverse.store.quality import outside, quality


def scenery(rng: np.random.Generator, side: int = 64) -> np.ndarray:
    """Return a smooth coloured picture, uint8."""
    coarse = rng.integers(30, 220, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def dataset(path, pictures: list[np.ndarray], **columns: list) -> object:
    """Return a dataset with no more than an image column and some others."""
    rows = []
    for k, picture in enumerate(pictures):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG")
        rows.append({"bytes": buffer.getvalue(), "path": f"{k}.png"})
    image = pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pq.write_table(pa.table({"image": image, **columns}), path / "d.parquet")
    return open_dataset(path)


def test_good_pictures_pass(tmp_path):
    rng = np.random.default_rng(0)
    found = inspect(dataset(tmp_path, [scenery(rng) for _ in range(12)]))
    assert found.good, str(found)
    assert "nothing wrong" in str(found)


def test_each_planted_fault_is_found(tmp_path):
    rng = np.random.default_rng(1)
    pictures = [scenery(rng) for _ in range(6)]
    pictures[1] = np.zeros((64, 64, 3), np.uint8)
    pictures[2] = np.full((64, 64, 3), 128, np.uint8)
    spotted = pictures[3].copy()
    spotted[rng.integers(2, 62, 24), rng.integers(2, 62, 24)] = 255
    spotted[10:40, 10:40] = np.minimum(spotted[10:40, 10:40], 90)
    spotted[12:38:4, 12:38:4] = 255
    pictures[3] = spotted
    pictures[5] = pictures[0]
    found = inspect(dataset(tmp_path, pictures))
    assert found.failed["luminance"] == [1]
    assert found.failed["contrast"] == [1, 2]
    assert found.failed["fireflies"] == [3]
    assert found.failed["clipped"] == [1]
    assert found.identical == [[0, 5]]
    assert not found.near_duplicates


def test_pictures_that_only_look_alike_are_found(tmp_path):
    rng = np.random.default_rng(2)
    first = scenery(rng) // 2 * 2
    second = first.copy()
    second[0, 0, 0] += 1
    found = inspect(dataset(tmp_path, [first, second, scenery(rng)]))
    assert found.near_duplicates == [[0, 1]]
    assert not found.identical


def test_a_level_that_changes_nothing_is_named(tmp_path):
    rng = np.random.default_rng(3)
    pictures, worlds, yaws = [], [], []
    for world in ("Desert", "Snow"):
        base = scenery(rng).astype(int)
        for yaw in (0, 45, 90):
            shift = 0 if yaw < 90 else 25  # 45 degrees look like 0
            noise = rng.integers(-1, 2, base.shape)
            pictures.append(np.clip(base + shift + noise, 0, 255).astype(np.uint8))
            worlds.append(world)
            yaws.append(yaw)
    found = inspect(dataset(tmp_path, pictures, world_name=pa.array(worlds), camera_yaw=pa.array(yaws)))
    assert found.ineffective == ["camera_yaw 0 / 45"]
    assert found.factors["camera_yaw"]["0 / 90"][0] > 15
    assert found.factors["world_name"]["Desert / Snow"][1] == 3


def test_a_hidden_character_fails_and_an_unmeasured_one_does_not():
    values = quality(scenery(np.random.default_rng(4)))
    assert outside(values) == []
    assert outside(values | {"quality_visible1": 0.4, "quality_visible2": None}) == ["visible1"]
    assert outside(values | {"quality_visible1": 0.95}) == []


def test_fireflies_by_hand():
    picture = np.full((8, 8, 3), 40, np.uint8)
    picture[2, 2] = 250
    picture[5, 5] = picture[5, 6] = 250  # two beside each other are a highlight
    assert quality(picture)["quality_fireflies"] == pytest.approx(1 / 64)


SPEC = {
    "name": "q",
    "family": "Custom",
    "design": {
        "kind": "factorial",
        "factors": {"World_Name": ["Desert", "Snow"], "Camera_Yaw": [0, 45], "Character_Name": ["Elephant"]},
    },
    "render": {"size": [64, 64]},
}


def test_the_report_of_a_resumed_run_is_that_of_an_undisturbed_one(tmp_path, capsys):
    whole = generate(SPEC, tmp_path / "a", engine="marker", progress=False)
    generate(SPEC, tmp_path / "b", engine="marker", progress=False)
    shard = next((tmp_path / "b").glob("**/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-20])
    verify(tmp_path / "b", drop_bad=True)
    (tmp_path / "b" / "quality.json").unlink()
    again = generate(SPEC, tmp_path / "b", engine="marker", progress=False)
    assert again.rendered > 0
    report = (tmp_path / "a" / "quality.json").read_text()
    assert report == (tmp_path / "b" / "quality.json").read_text()
    assert json.loads(report)["pictures"] == 4
    assert whole.quality is not None
    assert "## Quality of the pictures" in (tmp_path / "a" / "README.md").read_text()
    with pytest.raises(SystemExit) as stop:
        app(["data", "quality", str(tmp_path / "a"), "--save", str(tmp_path / "q.json")])
    assert stop.value.code in (0, None)
    assert (tmp_path / "q.json").read_text() == report
    assert "4 pictures" in capsys.readouterr().out
