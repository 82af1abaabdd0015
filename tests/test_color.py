"""Colour differences and how far a figure stands out.

Silently wrong would be: a formula that is right for most pairs but not across the wrap of the hue or in the blues (what
the published pairs were made to show), and a contrast that compares with the wrong side or with what lies beyond the
picture, so that a camouflaged animal counts as seen.
"""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000

from torchmultiverse.color import RING, figure_ground, lab

# Sharma, Wu and Dalal (2005), table 1: L*, a*, b* of two colours, and their difference.
PAIRS = np.array(
    [
        [50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425],
        [50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615],
        [50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412],
        [50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000],
        [50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669],
        [50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195],
        [50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045],
        [50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461],
        [50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065],
        [50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492],
        [50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977],
        [50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030],
        [50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000],
        [50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000],
        [60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644],
        [63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630],
        [61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731],
        [35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645],
        [22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373],
        [36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146],
        [90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441],
        [90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381],
        [6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377],
        [2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082],
    ]
)


def test_differences_are_the_published_ones_to_every_digit_both_ways() -> None:
    first, second, expected = PAIRS[:, :3], PAIRS[:, 3:6], PAIRS[:, 6]
    np.testing.assert_allclose(deltaE_ciede2000(first, second), expected, atol=5e-5)
    np.testing.assert_allclose(deltaE_ciede2000(second, first), expected, atol=5e-5)
    assert not deltaE_ciede2000(first, first).any()


def test_primaries_have_their_known_coordinates() -> None:
    """The values of sRGB's primaries under D65, as tables give them."""
    known = {
        (1, 0, 0): (53.24, 80.09, 67.20), (0, 1, 0): (87.73, -86.18, 83.18), (0, 0, 1): (32.30, 79.19, -107.86),
        (1, 1, 1): (100, 0, 0), (0, 0, 0): (0, 0, 0),
    }  # fmt: skip
    np.testing.assert_allclose(lab(list(known)), list(known.values()), atol=0.02)


def by_hand(rgb: np.ndarray, figure: np.ndarray) -> float:
    """The definition, pixel by pixel."""
    height, width = figure.shape
    apart = []
    for y in range(height):
        for x in range(width):
            beside = [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
            if figure[y, x] and any(0 <= a < height and 0 <= b < width and not figure[a, b] for a, b in beside):
                near = (slice(max(y - RING, 0), y + RING + 1), slice(max(x - RING, 0), x + RING + 1))
                mine, theirs = rgb[near][figure[near]], rgb[near][~figure[near]]
                apart.append(deltaE_ciede2000(lab(mine.mean(0) / 255), lab(theirs.mean(0) / 255)))
    return float(np.mean(apart))


def test_a_figure_is_compared_with_what_is_beside_it_and_with_nothing_else() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    for figure in (
        rgb[..., 0] > 180,
        np.add.outer(np.arange(40), np.arange(30)) < 30,
        np.arange(1200).reshape(40, 30) == 7,
    ):
        assert figure_ground(rgb, figure) == pytest.approx(by_hand(rgb, figure), abs=0.005)


def test_a_figure_in_its_own_colour_does_not_stand_out_whatever_is_further_off() -> None:
    rgb = np.full((64, 64, 3), 40, np.uint8)
    figure = np.zeros((64, 64), bool)
    figure[20:44, 20:44] = True
    assert figure_ground(rgb, figure) == 0
    rgb[:15], rgb[30:34, 30:34] = 255, 255  # bright, but more than a ring's width from the outline
    assert figure_ground(rgb, figure) == 0
    rgb[figure] = 255
    assert figure_ground(rgb, figure) > 70


def test_a_figure_that_fills_the_picture_or_is_not_there_has_no_outline() -> None:
    rgb = np.zeros((16, 16, 3), np.uint8)
    assert figure_ground(rgb, np.zeros((16, 16), bool)) is None
    assert figure_ground(rgb, np.ones((16, 16), bool)) is None
