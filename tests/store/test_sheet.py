"""Contact sheets and samples of datasets. What can be silently wrong: a picture in the row or column of another level;
a comparison of levels that differs in something else too; a sample that shows one level of a factor because its step
through the dataset is the design's.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import DatasetError
from torchmultiverse.scenes import FACTORS
from torchmultiverse.store import ImageList, dataset_sheet, drawn_rows
from torchmultiverse.store.sheet import _chosen, _said
from torchmultiverse.store.views import columns_of

WORLDS, YAWS, NAMES = ("Desert", "Arena", "Museum"), (0, 45, 225, 315), ("Zebra", "Camel")
ROWS = [
    {"world_name": world, "camera_yaw": yaw, "character_name": name, "scene_light": "255,0,0,0", "caption": f"{world}"}
    for world, yaw, name in product(WORLDS, YAWS, NAMES)
]
IMAGES = [Image.new("RGB", (32, 32), (10 * k, 255 - 10 * k, 128)) for k in range(len(ROWS))]
DATA = ImageList(IMAGES, ROWS)


def shown(sheet, top=0) -> list[int]:
    """Return the rows of a sheet by the colours of its pictures, line by line."""
    pixels = np.asarray(sheet.image)
    found = []
    for y, x in product(range(pixels.shape[0]), range(pixels.shape[1])):
        r, g, b = (int(v) for v in pixels[y, x])
        if (
            b == 128
            and r % 10 == 0
            and g == 255 - r
            and (y == 0 or tuple(pixels[y - 1, x]) != (r, g, b))
            and (x == 0 or tuple(pixels[y, x - 1]) != (r, g, b))
        ):
            found.append(r // 10)
    return found


def test_levels_stand_in_their_rows_and_columns_and_all_else_is_equal():
    sheet = dataset_sheet(DATA, np.random.default_rng(0), by="World_Name", across="camera_yaw", side=32)
    found = shown(sheet)
    assert found == list(sheet.rows)
    assert [(ROWS[k]["world_name"], ROWS[k]["camera_yaw"]) for k in found] == list(product(sorted(WORLDS), YAWS))
    names = {ROWS[k]["character_name"] for k in found}
    assert len(names) == 1, "levels are compared on different animals"
    assert sheet.same == {"character_name": names.pop()}


def test_a_missing_picture_leaves_its_place_empty():
    keep = [k for k, row in enumerate(ROWS) if (row["world_name"], row["camera_yaw"]) != ("Arena", 45)]
    some = ImageList([IMAGES[k] for k in keep], [ROWS[k] for k in keep])
    sheet = dataset_sheet(some, np.random.default_rng(0), by="world_name", across="camera_yaw", side=32)
    levels = [(ROWS[k]["world_name"], ROWS[k]["camera_yaw"]) for k in shown(sheet)]
    assert levels == [pair for pair in product(sorted(WORLDS), YAWS) if pair != ("Arena", 45)]


@pytest.mark.parametrize("axis", ["by", "across"])
def test_one_factor_gives_a_line_of_random_pictures_for_each_level(axis):
    sheet = dataset_sheet(DATA, np.random.default_rng(0), **{axis: "world_name"}, count=3, side=32)
    found = np.array(shown(sheet)).reshape(3, 3)
    lines = found if axis == "by" else found.T
    assert [{ROWS[k]["world_name"] for k in line} for line in lines] == [{name} for name in sorted(WORLDS)]
    assert len(set(found.ravel())) == 9


def test_a_sheet_at_random_is_that_of_its_seed():
    one, again, other = (dataset_sheet(DATA, np.random.default_rng(seed), count=6, side=32) for seed in (0, 0, 1))
    assert one.rows == again.rows != other.rows
    assert one.image.tobytes() == again.image.tobytes()
    assert sorted(shown(one)) == sorted(one.rows)


def test_pictures_are_labelled_with_their_conditions_and_defaults_are_left_out():
    names = ("world_name", "character_name", "rain", "occluder", "fog_visibility", "character_scale", "objects")
    rows = [
        ("Desert", "Zebra", 0, "none", "own", 1.0, 0),
        ("Arena", "Camel", 20.0, "none", "own", 1.0, 0),
        ("Arena", "Zebra", 20.0, "fence", "30", 1.0, 0),
        ("Museum", "Zebra", 0, "edge", "own", 1.5, 0),
    ]
    data = ImageList(IMAGES[:4], [dict(zip(names, row, strict=True)) for row in rows])
    columns = columns_of(data)
    chosen = [_chosen(names[:6], columns, row, FACTORS) for row in range(4)]
    assert chosen == [
        ["world_name", "character_name"],
        ["world_name", "rain"],
        ["rain", "occluder", "fog_visibility"],
        ["world_name", "occluder"],
    ]
    assert [_said("rain", 20.0, FACTORS), _said("occluder", "fence", FACTORS)] == ["rain 20 mm/h", "fence"]
    assert _said("occluder", "none", FACTORS) == "occluder none"
    some = dataset_sheet(data, np.random.default_rng(0), by="world_name", across="rain", side=32)
    assert some.same.keys().isdisjoint({"objects", "rain", "world_name"})
    one = dataset_sheet(data, np.random.default_rng(0), count=1, side=32)
    (row,) = one.rows
    off = {"rain": 0, "occluder": "none", "fog_visibility": "own", "character_scale": 1.0}
    assert {name for name in one.same if name in off} == {
        name for name, default in off.items() if columns[name][row] != default
    }


def test_what_cannot_be_shown_is_said(tmp_path):
    rng = np.random.default_rng(0)
    with pytest.raises(DatasetError, match=r"no column 'wrld_name'. Did you mean 'world_name'"):
        dataset_sheet(DATA, rng, by="wrld_name")
    with pytest.raises(DatasetError, match="both of 'world_name'"):
        dataset_sheet(DATA, rng, by="world_name", across="World_Name")
    with pytest.raises(DatasetError, match="too many for a sheet"):
        dataset_sheet(ImageList([IMAGES[0]] * 9, ROWS[:9]), rng, by="caption", across="camera_yaw", side=10_000)
    with pytest.raises(DatasetError, match="ends in"):
        dataset_sheet(DATA, rng).save(tmp_path / "sheet.gif")
    assert not list(tmp_path.iterdir())


def test_a_sample_is_not_a_step_through_the_design():
    """Every third row of a factorial whose fastest factor has three levels showed one of them alone."""
    rows = [{"world_name": f"w{k}", "character_scale": scale} for k in range(18) for scale in (0.7, 1.0, 1.3)]
    data = ImageList([IMAGES[0]] * 54, rows)
    sample = drawn_rows(data, 18)
    assert sample == sorted(set(sample)) == drawn_rows(data, 18)
    assert len(sample) == 18
    assert {rows[k]["character_scale"] for k in sample} == {0.7, 1.0, 1.3}
    assert len(set(np.diff(sample))) > 1
    assert drawn_rows(ImageList([IMAGES[0]] * 53, rows[:53]), 18) != sample, "another dataset has its own sample"
    assert drawn_rows(ImageList([IMAGES[0]] * 5, rows[:5]), 18) == [0, 1, 2, 3, 4]
