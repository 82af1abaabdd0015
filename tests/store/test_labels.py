"""Which columns folders of images have, which of them is the class, and which images are drawn.

What could silently be wrong: commands that ask the same folder about different classes, or about different images.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import DatasetError
from torchmultiverse.features import Features, factor_names
from torchmultiverse.store import (
    ImageFolder,
    columns_of,
    dataset_name,
    drawn_images,
    label_column,
    open_images,
    rows_where,
    usual_label,
)


@pytest.fixture
def folder(tmp_path: Path) -> ImageFolder:
    for place in range(24):
        file = tmp_path / ("photo", "sketch")[place % 2] / ("cat", "dog", "cow")[place % 3] / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (place, 0, 0)).save(file)
    return ImageFolder(tmp_path)


def test_deeper_folders_are_columns_of_every_reader(folder: ImageFolder) -> None:
    columns = columns_of(folder)
    assert sorted(set(columns["folder_2"])) == ["cat", "cow", "dog"]
    assert set(columns) == {"label", "filename", "folder_2"}
    features = Features("", "toy", {}, columns, np.arange(len(folder)), {})
    assert factor_names(features) == ["label", "folder_2"]
    assert rows_where(folder, "folder_2 = dog").sum() == 8
    (folder.path / "photo" / "bird.png").write_bytes((folder.path / folder.names[0]).read_bytes())
    assert "folder_2" not in columns_of(ImageFolder(folder.path))  # not all images lie so deep


def test_one_rule_says_which_column_is_the_class() -> None:
    same, two = np.array(["a", "a"]), np.array(["a", "b"])
    assert usual_label({"label": two, "character_name": two, "character_label": two}) == "character_label"
    assert usual_label({"label": two, "character_name": same}) == "label"
    assert usual_label({"Actor1Name": two, "Actor1Category": two}) == "Actor1Category"
    assert usual_label({"yaw": two}) is None
    with pytest.raises(DatasetError, match="name the one of classes by --classes"):
        label_column({"yaw": two}, None, "toy", "--classes")
    with pytest.raises(DatasetError, match=r"toy has no column 'lable' \(--label\)\. Did you mean 'label'"):
        label_column({"label": two}, "lable", "toy")


def test_drawn_images_are_those_of_the_seed(folder: ImageFolder) -> None:
    some = drawn_images(folder, 7, 3)
    names = some.table(["filename"])["filename"].to_pylist()
    assert names == drawn_images(folder, 7, 3).table(["filename"])["filename"].to_pylist()
    assert names != drawn_images(folder, 7, 4).table(["filename"])["filename"].to_pylist()
    assert dataset_name(some).endswith(", 7 pictures")


def test_empty_folders_of_classes_are_said_to_be_empty(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
    (tmp_path / "cat" / ".DS_Store").touch()
    with pytest.raises(DatasetError, match=r"there are no pictures in .*, nor in the folders below it \('cat, dog'\)"):
        open_images(tmp_path)
