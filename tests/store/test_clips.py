"""Datasets of clips. What can be silently wrong: a clip in two shards, row groups or splits; flow to a frame of another
clip, or over one that is missing; flow that a resumed run leaves as it was; an MP4 with the frames of another clip, in
another order or at another speed."""

from __future__ import annotations

import csv
import json
import sys
import tarfile

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from stage import FOCAL, Listed, Stage, listed_spec, spec

from torchmultiverse.engines import codec, motion
from torchmultiverse.errors import DatasetError, MissingExtra
from torchmultiverse.farm import generate, join
from torchmultiverse.store import (
    clip_rows,
    dataset_sheet,
    export_folder,
    export_mp4,
    export_webdataset,
    import_dataset,
    open_dataset,
    verify,
)

CLIP_PASSES = ("flow_forward", "flow_backward", "hidden_forward", "track")


def rendered(out, engine=Stage, **settings):
    given = settings.pop("spec", spec())
    return generate(given, out, engine, options=None, progress=False, check=0, **settings)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    out = tmp_path_factory.mktemp("clips") / "d"
    rendered(out, shard_rows=15)
    return open_dataset(out)


def passes(dataset, row):
    return {name: codec.decode(name, dataset.image_bytes(row, name)) for name in CLIP_PASSES}


def content(path):
    """All data columns of a dataset, by scene."""
    dataset = open_dataset(path)
    names = [name for name in dataset.columns if name not in ("render_ms",)]
    return {row["scene_id"]: row for row in dataset.table(names).to_pylist()}


def test_a_clip_is_a_row_group_in_one_shard(stored):
    groups = []
    for file in stored.files:
        with pq.ParquetFile(file) as parquet:
            for group in range(parquet.metadata.num_row_groups):
                rows = parquet.read_row_group(group, columns=["clip", "frame", "frame_time"]).to_pylist()
                assert [row["frame"] for row in rows] == list(range(6))
                np.testing.assert_allclose([row["frame_time"] for row in rows], np.arange(6) / 6)
                groups += {row["clip"] for row in rows}
    assert len(groups) == len(set(groups)) == 4
    assert len(stored.files) == 2  # 15 rows have room for two clips


def test_flow_is_that_of_the_next_frame_of_the_same_clip(stored):
    u = (np.arange(32) + 0.5 - 16) / FOCAL
    for rows in clip_rows(stored).values():
        for place, row in enumerate(rows):
            found = passes(stored, row)
            closed = (np.tan(np.arctan(u) - np.radians(5)) - u) * FOCAL  # 5 degrees a frame, to the right
            if place < 5:
                np.testing.assert_allclose(found["flow_forward"][16, :, 0], closed, atol=1e-2)
            else:
                assert np.isnan(found["flow_forward"]).all()
                assert (found["hidden_forward"] == motion.UNDEFINED).all()
            assert np.isnan(found["flow_backward"]).all() == (place == 0)
            assert (found["track"] == codec.decode("mask", stored.image_bytes(row, "mask"))).all()
            (object_,) = json.loads(stored.row(row, ["annotations"])["annotations"])["objects"]
            assert object_["track"] == 1


def test_a_missing_frame_leaves_its_neighbours_without_flow_until_it_comes(stored, tmp_path):
    report = rendered(tmp_path / "d", lambda: Stage(fails=(10.0,)), shard_rows=15, retries=0)
    assert len(report.failures) == 4
    dataset = open_dataset(tmp_path / "d")
    for rows in clip_rows(dataset).values():
        assert [bool(np.isnan(passes(dataset, row)["flow_forward"]).all()) for row in rows] == [0, 1, 0, 0, 1]
        assert [bool(np.isnan(passes(dataset, row)["flow_backward"]).all()) for row in rows] == [1, 0, 1, 0, 0]
    rendered(tmp_path / "d", shard_rows=15)
    assert content(tmp_path / "d") == content(stored.path)
    assert not verify(tmp_path / "d").problems


def test_parts_and_several_engines_make_the_same_rows(stored, tmp_path):
    for part in range(2):
        rendered(tmp_path / "d", shard_rows=15, part=(part, 2), workers=2)
    join(tmp_path / "d")
    assert content(tmp_path / "d") == content(stored.path)


def test_no_clip_is_in_two_splits(tmp_path):
    rendered(tmp_path / "d", spec=spec(splits={"test": [{"share": 0.7}]}))
    table = open_dataset(tmp_path / "d").table(["clip", "split"]).to_pylist()
    splits = {}
    for row in table:
        splits.setdefault(row["clip"], set()).add(row["split"])
    assert sorted(len(found) for found in splits.values()) == [1] * 4
    assert {split for found in splits.values() for split in found} == {"train", "test"}


def test_a_selection_of_frames_is_what_there_is(tmp_path):
    rendered(tmp_path / "d", where="Frame in (1, 2, 4) and World_Name = Snow")
    dataset = open_dataset(tmp_path / "d")
    assert dataset.table(["frame"])["frame"].to_pylist() == [1, 2, 4] * 2
    assert [bool(np.isnan(passes(dataset, row)["flow_forward"]).all()) for row in range(3)] == [0, 1, 1]


def test_an_engine_that_does_not_say_where_its_camera_is_has_no_flow(tmp_path):
    report = rendered(tmp_path / "d", lambda: Stage(camera=False), retries=0)
    assert len(report.failures) == 24
    assert "no camera with 'K' and 'Rt'" in report.failures[0].reason


def test_cards_and_sheets_show_film_strips(stored):
    text = (stored.path / "README.md").read_text()
    assert "They are the frames of 4 clips" in text
    assert "in each row 6 frames of one" in text
    sheet = dataset_sheet(stored, np.random.default_rng(0), count=16)
    rows = clip_rows(stored)
    assert len(sheet.rows) == 12
    assert list(sheet.rows[:6]) in rows.values()
    assert list(sheet.rows[6:]) in rows.values()


def test_an_mp4_shows_the_frames_of_its_clip(stored, tmp_path):
    av = pytest.importorskip("av")
    files = export_mp4(stored, tmp_path / "v")
    rows = clip_rows(stored)
    assert [file.stem for file in files] == list(rows)
    for file in files:
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            assert stream.average_rate == 6
            frames = [(float(f.pts * f.time_base), f) for f in container.decode(stream)]
        np.testing.assert_allclose([time for time, _ in frames], np.arange(6) / 6, atol=1e-3)
        for (_, frame), row in zip(frames, rows[file.stem], strict=True):
            shown = frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray().astype(float)
            error = np.mean((shown - np.asarray(stored.image(row))) ** 2)
            assert 10 * np.log10(255**2 / error) > 35
    with (tmp_path / "v" / "metadata.csv").open() as sheet:
        said = list(csv.DictReader(sheet))
    assert [line["clip"] for line in said] == list(rows)
    assert {(line["frames"], line["fps"]) for line in said} == {("6", "6")}
    assert {line["world_name"] for line in said} == {"Desert", "Snow"}
    # Camera_Yaw moves: one column could not say what it is, and would be empty.
    assert list(said[0])[-2:] == ["camera_yaw_start", "camera_yaw_end"]
    assert {(float(line["camera_yaw_start"]), float(line["camera_yaw_end"])) for line in said} == {(0, 25)}
    assert all(value for line in said for value in line.values())
    before = {file: file.read_bytes() for file in files}
    assert {file: file.read_bytes() for file in export_mp4(stored, tmp_path / "v")} == before


def test_lists_of_objects_are_exported_as_a_spec_has_them(tmp_path):
    # Silently wrong: a list as Python writes it, which nobody reads again.
    pytest.importorskip("av")
    rendered(tmp_path / "d", Listed, spec=listed_spec())
    dataset = open_dataset(tmp_path / "d")
    export_mp4(dataset, tmp_path / "v")
    with (tmp_path / "v" / "metadata.csv").open() as sheet:
        said = [json.loads(line["objects"]) for line in csv.DictReader(sheet)]
    assert sorted(said, key=len) == [[], [{"Name": "Camel", "Location": "0,150,0", "Scale": 0.7}]]
    export_folder(dataset, tmp_path / "f")
    for sheet in ("labels.csv", "metadata.csv"):
        back = import_dataset(tmp_path / "f" / sheet, tmp_path / sheet, family="Custom")
        for column in ("scene_id", "scene", "clip", "frame"):
            assert sorted(back.table([column])[column].to_pylist()) == sorted(
                dataset.table([column])[column].to_pylist()
            )
    export_webdataset(dataset, tmp_path / "w")
    with tarfile.open(tmp_path / "w" / "000000.tar") as tar:
        texts = {json.load(tar.extractfile(name))["objects"] for name in tar.getnames() if name.endswith(".json")}
    assert sorted(map(json.loads, texts), key=len) == sorted(said, key=len)


def test_an_mp4_of_no_clips_is_refused(tmp_path):
    pytest.importorskip("av")
    generate({"World_Name": ["Desert"]}, tmp_path / "d", Stage, size=32, progress=False)
    with pytest.raises(DatasetError, match="has no clips"):
        export_mp4(open_dataset(tmp_path / "d"), tmp_path / "v")


def test_without_the_library_the_extra_is_named(stored, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra, match=r"pip install 'torchmultiverse\[video\]'"):
        export_mp4(stored, tmp_path / "v")


def test_a_clip_whose_name_is_a_path_is_not_written(stored, tmp_path, monkeypatch):
    pytest.importorskip("av")
    evil = {"../../x": [0, 1]}
    monkeypatch.setattr("torchmultiverse.store.mp4.clip_rows", lambda dataset: evil)
    with pytest.raises(DatasetError, match="16 hexadecimal digits"):
        export_mp4(stored, tmp_path / "v")


def test_pictures_are_upright_images(stored):
    assert isinstance(stored.image(0), Image.Image)
    assert stored.image(0, "flow_forward").size == (32, 64)
