"""The manifest as a document, and the one interface of image sets.

Silently wrong would be a manifest that loses what it does not know when it is written again, one of a newer version
that is read as if it were of this one, and a set whose images have no files being taken for one whose images do:
features are kept by the bytes of files.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import DatasetError
from torchmultiverse.store import ImageFolder, ImageList, ImageSubset, Manifest, ShardEntry, manifest_hash

OLD = {
    "identity": {"format": 1, "where": None, "spec": {"design": {"factors": {"b": [1], "a": [2]}}}},
    "shards": {"train-00001.parquet": {"rows": 2, "bytes": 9, "sha256": "b"},
               "train-00000.parquet": {"rows": 3, "bytes": 9, "sha256": "a"}},
    "pictures": 5,
    "assets": [{"name": "Zebra", "license": "CC0-1.0"}],
    "of_a_later_version": {"x": 1.0},
}  # fmt: skip


def test_what_is_read_is_written_again_and_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(OLD))
    manifest = Manifest.load(tmp_path)
    assert (manifest.format, manifest.rows, manifest.images, manifest.assets[0].license) == (1, 5, 5, "CC0-1.0")
    again = manifest.to_bytes()
    assert json.loads(again) == OLD
    assert list(json.loads(again)["identity"]["spec"]["design"]["factors"]) == ["b", "a"]
    assert list(json.loads(again)["shards"]) == ["train-00000.parquet", "train-00001.parquet"]
    assert again.startswith(b'{\n "assets"')
    manifest.save(tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == again


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    for change, message in [
        ({"identity": {"format": 3}}, r"format 3, and this version .* reads up to 2: a newer one wrote it"),
        ({"complete": "yes"}, r"no manifest of this format: complete: Input should be a valid boolean"),
        ({"shards": {"../x.parquet": {"rows": 1, "sha256": "a"}}}, "names files that no dataset has"),
        ({"shards": {"train-00000.parquet": {"rows": "1", "sha256": "a"}}}, r"shards\.train-00000\.parquet\.rows"),
    ]:
        file.write_text(json.dumps({**OLD, **change}))
        with pytest.raises(DatasetError, match=message):
            Manifest.load(tmp_path)
    file.write_text('{"name": 5, "license": "MIT"}')
    assert not Manifest.load(tmp_path).known, "a file of somebody else's that is called so as well"
    file.unlink()
    assert not Manifest.load(tmp_path).known


def test_fields_are_checked_when_they_are_set() -> None:
    manifest = Manifest(shards={"train-00000.parquet": ShardEntry(rows=2, sha256="a")})
    with pytest.raises(ValueError, match="counts"):
        manifest.set(counts={"world_name": 3})
    manifest.set(images=2, license={"name": "MIT"})
    assert manifest.as_json()["pictures"] == 2
    assert manifest.license is not None
    assert manifest.license.name == "MIT"


def test_a_part_has_files_where_the_whole_has(tmp_path: Path) -> None:
    images = [Image.new("RGB", (4, 4), (level, 0, 0)) for level in (10, 20, 30)]
    for level, image in enumerate(images):
        image.save(tmp_path / f"{level}.png")
    folder, memory = ImageFolder(tmp_path), ImageList(images, [{"label": "a"}] * 3)
    rows = np.array([2, 0])
    part = ImageSubset(folder, rows)
    assert part.has_bytes
    assert part.image_bytes(0) == folder.image_bytes(2)
    assert [image.getpixel((0, 0)) for image in part.iter_images()] == [(30, 0, 0), (10, 0, 0)]
    assert manifest_hash(part) != manifest_hash(ImageSubset(folder, rows[::-1])) != manifest_hash(folder)
    assert not ImageSubset(memory, rows).has_bytes
    with pytest.raises(DatasetError, match="image 2 has no file"):
        ImageSubset(memory, rows).image_bytes(0)


def test_a_row_of_any_set_is_its_image_and_labels(tmp_path: Path) -> None:
    """Silently wrong would be a number past the end that wraps to another row: an iteration would then never end."""
    images = [Image.new("RGB", (8, 8), (40 * k, 0, 0)) for k in range(3)]
    memory = ImageList(images, [{"label": name} for name in "abc"])
    for name, image in zip("abc", images, strict=True):
        (tmp_path / name).mkdir()
        image.save(tmp_path / name / "1.png")
    for whole in (memory, ImageFolder(tmp_path), ImageSubset(memory, np.array([0, 1, 2]))):
        assert [(row["label"], row["image"].getpixel((0, 0))[0]) for row in whole] == [("a", 0), ("b", 40), ("c", 80)]
        assert whole[-1]["label"] == whole[np.int64(2)]["label"] == "c"
        for beyond in (3, -4):
            with pytest.raises(IndexError, match=f"has 3 rows, none of number {beyond}"):
                whole[beyond]
