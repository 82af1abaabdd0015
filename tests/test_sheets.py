"""Contact sheets. What can be silently wrong: a label that ends at the edge of its picture, so that two names read
alike; a label below the next picture; a picture of another size or place than its row and column say.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.images import ImageError
from torchmultiverse.sheets import Tile, _Text, contact_sheet, fitted, in_rows

LABELS = ["ScreeningCheckpoint at 315 degrees", "Llanfairpwllgwyngyllgogerychwyrndrobwll", "a", "Two\nlines", "a__b c"]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("room", [40, 100, 600])
def test_a_label_is_broken_and_not_cut(label, room):
    text = _Text(room)
    lines = text.lines(label, room)
    assert all(text.font.getlength(line) <= room for line in lines)
    assert "".join("".join(lines).split()) == "".join(label.split()), "something of it is not there"


def test_words_stay_whole_where_they_can():
    assert _Text(100).lines("a photo of a GiantTortoise", 100) == ["a photo of a", "GiantTortoise"]
    assert _Text(100).lines("FuturisticSubwayStation", 100) == ["FuturisticSubway", "Station"]


def test_nothing_is_drawn_over_another_place():
    blue = Image.new("RGB", (60, 40), "blue")
    tiles = [Tile(blue, label) for label in LABELS[:3]]
    sheet = np.asarray(contact_sheet([tiles, tiles], 60, heads=LABELS[:3], names=["ScreeningCheckpoint", "b"]))
    pictures = (sheet == (0, 0, 255)).all(2)
    rows, columns = np.flatnonzero(pictures.sum(1) > 150), np.flatnonzero(pictures.any(0))
    assert (len(rows), len(columns)) == (2 * 40, 3 * 60), "pictures are covered, or not where they should be"
    gaps = [k for k in range(columns[0], columns[-1]) if k not in set(columns)]
    assert len(gaps) == 2 * 6
    assert (sheet[:, gaps] == 255).all(), "a label reaches into the next column"
    assert (sheet[:, -6:] == 255).all()
    assert (sheet[-3:] == 255).all(), "the last label is cut"
    below = sheet[rows[-1] + 1 :]
    assert (below[:, columns[60:120]] < 128).any(1).sum() > (below[:, columns[120:]] < 128).any(1).sum() > 0


def test_pictures_keep_their_proportions_and_small_ones_their_pixels():
    assert fitted(Image.new("RGB", (640, 320)), 160).size == (160, 80)
    assert fitted(Image.new("L", (1, 900)), 160).size == (1, 160)
    checks = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("RGB")
    assert set(np.unique(np.asarray(fitted(checks, 161)))) == {0, 255}, "mixed pixels are not in the picture"
    assert fitted(checks, 161).size == (160, 160)


def test_a_sheet_that_no_program_shows_is_refused():
    tile = Tile(Image.new("RGB", (4, 4)))
    with pytest.raises(ImageError, match="100 rows and 400 columns"):
        contact_sheet(in_rows([tile] * 40_000, 400), 160)
    with pytest.raises(ImageError, match="too long"):
        contact_sheet([[tile]] * 4000, 16)
    with pytest.raises(ImageError):
        contact_sheet([], 16)
