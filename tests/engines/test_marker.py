"""The test card: what it says must survive what happens to pictures, and nothing else may say anything."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from torchmultiverse.engines.marker import draw_marker, read_marker
from torchmultiverse.scenes import Scene

IDS = [Scene({"World_Name": "Desert", "Camera_Yaw": n}).scene_id for n in range(25)]


@pytest.mark.parametrize("side", [64, 100, 224, 256, 512])
def test_it_survives_jpeg_and_resizing(side: int) -> None:
    for scene_id in IDS:
        picture = Image.fromarray(draw_marker(scene_id, side, side * 3 // 4))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=50)
        with Image.open(buffer) as jpeg:
            assert read_marker(np.asarray(jpeg)) == scene_id
            for other in (side * 2 // 3, side * 3 // 2):
                assert read_marker(np.asarray(jpeg.resize((other, other)))) == scene_id
            assert read_marker(np.asarray(jpeg.convert("L"))) == scene_id


def test_noise_flat_pictures_and_damaged_cards_say_nothing() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert read_marker(rng.integers(0, 256, (96, 96, 3))) is None
    for level in (0, 127, 255):
        assert read_marker(np.full((96, 96, 3), level, np.uint8)) is None
    for scene_id in IDS:
        card = draw_marker(scene_id, 96, 96)
        row, column = rng.integers(0, 12, 2) * 8
        card[row : row + 8, column : column + 8] = 255 - card[row : row + 8, column : column + 8]
        assert read_marker(card) is None


def test_half_of_one_card_and_half_of_another_say_nothing() -> None:
    one, two = draw_marker(IDS[0], 96, 96), draw_marker(IDS[1], 96, 96)
    assert read_marker(np.concatenate([one[:48], two[48:]])) is None
    blurred = Image.fromarray(one).filter(ImageFilter.GaussianBlur(2))
    assert read_marker(np.asarray(blurred)) == IDS[0]
