"""What a rebuilding of the code must not change: datasets, scene ids, scores, kept features, records of earlier code.

Each of these can change silently: a pixel or a column of another value, a scene under another id (so that a dataset is
rendered from the start again and published ids mean nothing), a benchmark with other numbers under its old name, an
embedding that is computed again because its folder is called otherwise, and a dataset of last year that opens as an
empty one. The values were recorded by ``renew.py`` with the functions of ``golden.py``; the code is reached through
``reach.py`` alone.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import golden
import numpy as np
import pytest
import reach
from golden import COMPLETE, DATASETS
from values import RECORDS, coders, differences, files, load, plain


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("golden")
    golden.render_all(out)
    return out


def without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in names}


def copied(name: str, out: Path) -> Path:
    """Copy a record: opening one may leave something in its folder."""
    return Path(shutil.copytree(RECORDS / name, out / name))


# Datasets


def test_every_family_has_a_dataset_here() -> None:
    recorded = without(load("golden_datasets"), "coders")
    assert {entry["manifest"]["name"] for entry in recorded.values()} >= {
        "animals", "imagenet", "spar", "animal_attributes", "animal_relations", "plain",
    }  # fmt: skip
    splits = {name.partition("-")[0] for name in recorded["plain"]["files"]}
    assert splits == {"train", "validation", "test"}, "of several splits each has files of its own"


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_has_the_values_and_bytes_it_had(name: str, datasets: Path) -> None:
    recorded = load("golden_datasets")
    found = plain(golden.dataset_values(datasets / name))
    same_coders = coders() == recorded["coders"]
    left_out = () if same_coders else ("bytes", "sha256")  # other libraries compress the same to other bytes
    assert not differences(without(recorded[name], *left_out), without(found, *left_out))
    assert not reach.problems(datasets / name)


@pytest.mark.parametrize("name", load("golden_scenes"))
def test_the_scenes_of_a_shipped_spec_have_the_ids_they_had(name: str) -> None:
    assert golden.spec_values(name) == load("golden_scenes")[name]


def test_no_shipped_spec_is_without_recorded_ids() -> None:
    assert set(reach.spec_names()) == set(load("golden_scenes"))


# Scores


@pytest.mark.parametrize("protocol", load("golden_scores"))
def test_a_published_protocol_gives_the_numbers_it_gave(protocol: str, datasets: Path) -> None:
    assert not differences(load("golden_scores")[protocol], golden.score_values(datasets, protocol))


def test_no_protocol_is_without_recorded_numbers() -> None:
    assert set(reach.protocol_names()) - golden.PLANTED == set(load("golden_scores")) == set(golden.SCORED)


# Kept features


def test_features_are_kept_where_they_were(tmp_path: Path) -> None:
    recorded = load("golden_features")
    shown, found = golden.keep_features(copied("format1", tmp_path), tmp_path / "kept")
    values = golden.kept_values(tmp_path / "kept")
    assert shown == recorded["shown"] > 0
    assert not differences(recorded["found"], found)
    for case, entry in recorded["kept"].items():  # which packages are there is the installation's own
        assert not differences(without(entry, "packages"), without(values[case], "packages")), case
    assert values.keys() == recorded["kept"].keys()
    # What names the folder is what its own words say, less the model's name.
    expected = {golden.key_of(without(entry["how"], "name"), entry["packages"]) for entry in recorded["kept"].values()}
    assert {file.parent.name for file in (tmp_path / "kept").glob("*/encoder.json")} == expected


def test_every_adapter_keeps_its_outputs_where_it_did() -> None:
    pytest.importorskip("torch")
    recorded = load("golden_features")
    expected = {
        case: golden.key_of(how, recorded["adapters"]["packages"]) for case, how in recorded["adapters"]["how"].items()
    }
    assert golden.adapter_values() == expected


def test_decoded_pictures_are_kept_where_they_were() -> None:
    geometry = load("golden_features")["pixels"]
    assert reach.pixels_in(32) == golden.hashed(
        {"geometry": geometry, "pillow": golden.installed(["pillow"])["pillow"]}
    )


@pytest.mark.parametrize("folder", [False, True], ids=["dataset", "image folder"])
def test_what_was_kept_earlier_is_not_computed_again(folder: bool, tmp_path: Path) -> None:
    """The kept features are as committed, but for their folders' names, which hold the versions of packages."""
    recorded = load("golden_features")
    dataset = copied("format1", tmp_path)
    kept = golden.moved(RECORDS / "features", tmp_path / "kept", recorded["kept"]["hashed image"]["packages"])
    before = {file.relative_to(kept) for file in kept.glob("*/*.npy")}
    if folder:
        network = golden.module()
        pictures = golden.picture_folder(dataset, tmp_path / "pictures")
        found = reach.layer_features(reach.model_of(network, "network"), pictures, ["stem", "head"], kept)
        assert network.shown == 0
        assert all(len(array) == 8 for array in found.values())
    else:
        shown, again = golden.keep_features(dataset, kept)
        assert shown == 0
        assert not differences(recorded["found"], again)
    assert {file.relative_to(kept) for file in kept.glob("*/*.npy") if file.parent.name != "pictures"} == before


# Records


@pytest.mark.parametrize("name", COMPLETE)
def test_a_dataset_of_earlier_code_opens_and_holds_what_it_held(name: str) -> None:
    assert not differences(load("golden_records")[name], golden.record_values(name))
    assert not reach.problems(RECORDS / name)


def test_a_dataset_of_earlier_code_passes_the_command_that_verifies(tmp_path: Path) -> None:
    dataset = copied("format2", tmp_path)
    assert reach.check_by_command(dataset) == 0
    (damaged, *_) = sorted((dataset / "data").glob("*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-9] + b"something")
    assert reach.check_by_command(dataset) != 0


@pytest.mark.parametrize(("unfinished", "whole"), [("small", "format1"), ("split", "format2"), ("announced", None)])
def test_a_rendering_that_earlier_code_began_goes_on(unfinished: str, whole: str | None, tmp_path: Path) -> None:
    """Its process was killed: rows wait, and of many shards the last are announced but not in the manifest."""
    out = copied(f"unfinished_{unfinished}", tmp_path)
    name = unfinished.upper()
    shard_rows, (done, *_) = golden.UNFINISHED[name]
    spec = getattr(golden, name)
    count = 12 if whole is None else 8
    assert reach.render(spec, out, shard_rows=shard_rows) == (count, count - done)
    assert not reach.problems(out)
    fresh = tmp_path / "fresh"
    reach.render(spec, fresh, shard_rows=shard_rows)
    same_coders = coders() == load("golden_datasets")["coders"]
    for other in (fresh, *([RECORDS / whole] if whole else [])):
        expected, found = files(other), files(out)
        assert without(found, *(() if same_coders else ("bytes",))) == without(
            expected, *(() if same_coders else ("bytes",))
        )
        assert not differences(plain(reach.manifest(other)), plain(reach.manifest(out)))
        if same_coders:
            assert reach.file_hashes(out) == reach.file_hashes(other)


def test_the_record_with_an_announced_shard_has_one_that_its_manifest_does_not_name() -> None:
    """Else the test above would say nothing of announcements."""
    folder = RECORDS / "unfinished_announced"
    named = set(json.loads((folder / "manifest.json").read_text())["shards"])
    assert {file.name for file in (folder / "data").iterdir()} - named == {"train-00008.parquet"}


@pytest.mark.parametrize("name", ["format1", "format2"])
def test_a_finished_dataset_of_earlier_code_is_known_as_such(name: str, tmp_path: Path) -> None:
    assert reach.render(golden.SPECS[name], copied(name, tmp_path), shard_rows=3) == (8, 0)


def test_a_dataset_from_before_splits_had_files_is_kept_by_extending_it(tmp_path: Path) -> None:
    out = copied("splits_before_format2", tmp_path)
    assert len(list((out / "data").glob("train-*.parquet"))) == 3
    assert reach.render(golden.SPLIT, out, shard_rows=3, extend=True) == (8, 0)
    before = {row["scene_id"]: row for row in reach.rows(RECORDS / "format2")}
    assert {row["scene_id"]: row["image"] for row in reach.rows(out)} == {k: v["image"] for k, v in before.items()}
    assert set(files(out)["files"]) == set(files(RECORDS / "format2")["files"])


def test_parts_that_earlier_code_rendered_are_put_together(tmp_path: Path) -> None:
    out = copied("parts", tmp_path)
    reach.put_together(out)
    assert files(out) == files(RECORDS / "format2")
    if coders() == load("golden_datasets")["coders"]:
        assert reach.file_hashes(out) == reach.file_hashes(RECORDS / "format2")


def test_a_recording_of_earlier_code_is_played_back() -> None:
    items = reach.replay(RECORDS / "recording")
    rows = reach.rows(RECORDS / "recording")
    assert len(items) == len(rows) == 8
    pictures = reach.pixels(RECORDS / "recording")
    for item, row, picture in zip(items, rows, pictures, strict=True):
        assert {key: row[key] for key in item if key != "image"} == {k: v for k, v in item.items() if k != "image"}
        assert (item["image"].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8).tolist() == picture.tolist()


def test_a_recording_of_earlier_code_goes_on(tmp_path: Path) -> None:
    out = copied("recording_begun", tmp_path)
    assert len(reach.rows(out)) == 5
    state = json.loads((out / "state.json").read_text())
    items, _ = reach.record(golden.SPECS["recording"], out, state=state)
    assert len(items) == 3
    assert reach.rows(out) == reach.rows(RECORDS / "recording")


def test_what_earlier_code_exported_is_brought_in(tmp_path: Path) -> None:
    reach.bring_in(RECORDS / "exported", tmp_path / "in")
    before = {row["scene_id"]: row for row in reach.rows(RECORDS / "format2")}
    rows = reach.rows(tmp_path / "in")
    assert {row["scene_id"] for row in rows} == before.keys()
    for row in rows:
        whole = before[row["scene_id"]]
        for column in ("image", "split", "world_name", "character_name", "camera_yaw", "caption", "scene"):
            assert row[column] == whole[column], column


def test_an_export_is_as_it_was(tmp_path: Path) -> None:
    reach.export(RECORDS / "format2", tmp_path / "out")
    for file in sorted((RECORDS / "exported").rglob("*")):
        if file.suffix in (".png", ".csv"):
            assert (tmp_path / "out" / file.relative_to(RECORDS / "exported")).read_bytes() == file.read_bytes()


def test_the_files_for_the_hub_are_those_that_were() -> None:
    there = {file.relative_to(RECORDS / "hub") for file in (RECORDS / "hub").rglob("*") if file.is_file()}
    assert set(reach.pushed(RECORDS / "hub")) == there
