"""Crops of pictures at activation maps.

What could silently be wrong: crops of another place than the map's (another view of the picture, x and y exchanged),
kept vectors of one crop that are taken for another's, and words of the surroundings where the unit looks at an object.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.analyze import RunOptions
from torchmultiverse.errors import DatasetError
from torchmultiverse.models import ModelInfo, Preprocess
from torchmultiverse.models.modules import ModuleClassifier
from torchmultiverse.store import ImageList
from torchmultiverse.units import UnitOptions, study_units
from torchmultiverse.units.crops import CroppedImages, combined, crop_of, hot_box
from torchmultiverse.units.describing import cropped_at

torch = pytest.importorskip("torch")
COLOURS = {"red": (250, 20, 20), "green": (20, 250, 20), "blue": (20, 20, 250)}


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (32, 32), (90, 17)])
@pytest.mark.parametrize(
    "preprocess",
    [
        Preprocess((16, 16), "shortest"), Preprocess((16, 16), "shortest", crop=0.8), Preprocess((16, 16), "squash"),
        Preprocess((16, 16), "longest"), Preprocess((16, 16), "shortest", window=17), Preprocess((16, 24), "shortest"),
    ],
)  # fmt: skip
def test_the_view_is_what_the_model_sees(preprocess: Preprocess, size: tuple[int, int]) -> None:
    """Pictures of their own coordinates: what stands in the middle of the input is the middle of the view."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    left, top, right, bottom = preprocess.view(size)
    for values, low, high in ((x, left, right), (y, top, bottom)):
        pixels = np.repeat(np.asarray(values, np.uint8)[..., None], 3, 2)
        seen = np.asarray(preprocess.image(Image.fromarray(pixels)))[..., 0].astype(float)
        middle = seen[seen.shape[0] // 2 - 1 : seen.shape[0] // 2 + 1, seen.shape[1] // 2 - 1 : seen.shape[1] // 2 + 1]
        assert middle.mean() + 0.5 == pytest.approx((low + high) / 2, abs=0.05 * max(size))


def test_the_crop_is_where_the_unit_is_active() -> None:
    activity = np.zeros((8, 8), np.float32)
    activity[1, 6] = 1
    assert crop_of(activity, (160, 80), None)[::2][0] > 100  # on the right
    view = Preprocess((16, 16), "shortest").view((160, 80))  # the middle square
    found = crop_of(activity, (160, 80), view)
    assert found.left == pytest.approx(40 + 80 * 6.5 / 8 - 10, abs=1)
    assert found.top == pytest.approx(max(0, 80 * 1.5 / 8 - 10), abs=3)
    assert found.right - found.left == found.bottom - found.top == 20  # a quarter: less says little
    assert crop_of(np.zeros((8, 8), np.float32), (50, 40)) == (5, 0, 45, 40)  # active nowhere: all of it


def test_the_largest_region_counts() -> None:
    activity = np.zeros((8, 8), np.float32)
    activity[0, 0] = 1
    activity[4:7, 4:7] = 0.9
    left, top, right, bottom = hot_box(activity)
    assert min(left, top) > 0.45
    assert max(right, bottom) < 0.95
    activity[4:7, 4:7] = 0.5  # below the cut
    assert max(hot_box(activity)[2:]) < 0.2


def test_of_a_group_maps_are_intersected() -> None:
    one, other = np.zeros((2, 4, 4), np.float32)
    one[:, :2], other[:2] = 5, 1
    assert combined([one, other])[:2, :2].min() == 1
    assert combined([one, other]).sum() == 4
    other[:] = 0
    other[3, 3] = 1  # nowhere together: both places count
    assert combined([one, other])[3, 3] == 0.5


def test_crops_are_pictures_of_their_own() -> None:
    pixels = np.arange(16 * 16, dtype=np.uint8).reshape(16, 16)
    images = ImageList([Image.fromarray(pixels)], [{"label": "a"}])
    crops = [crop_of(np.eye(4, dtype=np.float32), (16, 16)), crop_of(np.ones((4, 4), np.float32), (16, 16))]
    cropped = CroppedImages(images, np.array([0, 0]), crops)
    assert [cropped.image(k).size for k in range(2)] == [(c.right - c.left,) * 2 for c in crops]
    assert cropped.table()["label"].to_pylist() == ["a", "a"]
    with pytest.raises(DatasetError, match="1 crops for 2 pictures"):
        CroppedImages(images, np.array([0, 0]), crops[:1])


class _Names:
    """Pictures by their mean colour, captions by the colours that they name."""

    info = ModelInfo("names", "image-text")
    logit_scale = 1.0

    def encode_image(self, images: Any) -> np.ndarray:
        rows = np.stack([np.asarray(image, np.float32).mean((0, 1)) for image in images])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    def encode_text(self, texts: Any) -> np.ndarray:
        rows = np.array([np.sum([COLOURS[c] for c in COLOURS if c in text] or [(90, 90, 90)], 0) for text in texts])
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _redness() -> ModuleClassifier:
    """Unit ``u`` of layer ``2`` is the mean over places of the u-th colour less the two others, above 0.6."""
    module = torch.nn.Sequential(
        torch.nn.AvgPool2d(4), torch.nn.Conv2d(3, 3, 1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(), torch.nn.Linear(3, 1),
    )  # fmt: skip
    with torch.no_grad():
        module[1].weight[:] = (2 * torch.eye(3) - 1)[:, :, None, None]
        module[1].bias[:] = -0.6
    info = ModelInfo("redness", "classifier", Preprocess((32, 32), "squash", mean=(0,) * 3, std=(1,) * 3))
    return ModuleClassifier(module, info, ["a"])


def test_words_of_crops_name_the_object_and_those_of_pictures_its_surroundings() -> None:
    """A pixel unit: the share of red. Small squares of any colour stand on a ground of another one."""
    rng = np.random.default_rng(0)
    images, rows = [], []
    for number in range(240):
        names = list(COLOURS)
        mine = names[number % 3]
        ground = names[(number % 3 + 1 + number // 3 % 2) % 3]
        pixels = np.full((32, 32, 3), np.array(COLOURS[ground]) // 2, np.uint8)
        y, x = rng.integers(0, 6, 2) * 4
        pixels[y : y + 8, x : x + 8] = COLOURS[mine]
        images.append(Image.fromarray(pixels))
        rows.append({"square": mine, "ground": ground, "y": int(y), "x": int(x)})
    pictures = ImageList(images, rows, name="squares")
    model = _redness()
    crops = cropped_at(model, "2", pictures, np.arange(12), np.arange(12) % 3, quiet=True)
    for crop, row in zip(crops, rows, strict=False):
        assert np.abs(np.asarray(crop).mean((0, 1)) - COLOURS[str(row["square"])]).max() < 120
    options = UnitOptions(layer="2", factors=["square"], permutations=20, directions=0, words=_Names())
    study, lines = study_units(model, pictures, options, RunOptions(quiet=True))
    table = {
        (line["described"], line["words"]): line for section in study.sections if section.title == "In words"
        for line in section.table
    }  # fmt: skip
    assert [line["detects"] for line in lines] == [f"square {name}" for name in COLOURS]
    assert table["crops", "all"]["first word right %"] == 1
    assert float(table["whole pictures", "all"]["first word right %"] or 0) < 0.5
    assert not any("not of crops" in note for note in study.notes)
    cards = next(section for section in study.sections if section.title == "Where they look")
    assert len(cards.pictures) == 3
