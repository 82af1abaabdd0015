"""Drops on the lens. What could silently be wrong: another number of them than the scene says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from torchmultiverse.engines.builtin.lens_drops import Drops, lens_drops, through_drops

RNG = np.random.default_rng


@pytest.mark.parametrize("size", [(96, 96), (320, 180)])
@pytest.mark.parametrize("count", [1, 40, 500])
def test_there_are_exactly_as_many_and_all_within_the_picture(count, size):
    drops = lens_drops(count, size, RNG(count))
    assert len(drops.radius) == count
    assert (drops.radius > 0).all()
    reach = (drops.radius * (1 + drops.stretch))[:, None]
    assert (drops.centre - reach >= -1e-9).all()
    assert (drops.centre + reach <= np.asarray(size) + 1e-9).all()
    apart = np.linalg.norm(drops.centre[:, None] - drops.centre[None], axis=-1) - reach - reach.T
    apart[np.arange(count), np.arange(count)] = 1
    assert (apart > -1e-9).all(), "none is over another"
    assert np.pi * (drops.radius**2).sum() < 0.36 * size[0] * size[1]


@pytest.mark.parametrize("count", [1, 25])
def test_they_can_be_counted_in_the_picture(count):
    size = (256, 256)
    drops = lens_drops(count, size, RNG(5))
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None, :, None] * np.ones((256, 1, 3), np.float32)
    ramp[..., 1] = 1 - ramp[..., 1].T  # every place has a colour of its own
    seen = np.abs(through_drops(ramp, drops) - ramp).max(-1) > 0.15
    blobs, found = label(seen)
    biggest = np.bincount(blobs.ravel())[1:]
    assert found >= 1
    assert (biggest > 4).sum() >= count * 0.9
    for centre, radius in zip(drops.centre, drops.radius, strict=True):
        x, y = centre.astype(int)
        assert seen[max(y - int(radius), 0) : y + int(radius) + 1, max(x - int(radius), 0) : x + int(radius) + 1].any()


def test_a_drop_shows_the_scene_upside_down_and_the_wrong_way_round():
    drops = Drops(np.array([[64.0, 64.0]]), np.array([9.0]), np.array([0.1]))
    x, y = drops.centre[0]
    ahead = np.zeros((128, 128, 3), np.float32)
    ahead[: int(y), :, 0] = 1  # red above it
    ahead[:, : int(x), 1] = 1  # green at its left
    shown = through_drops(ahead, drops)
    step = int(max(2, drops.radius[0] / 2))
    assert shown[int(y) + step, int(x), 0] > 0.6 > 0.3 > shown[int(y) - step, int(x), 0]
    assert shown[int(y), int(x) + step, 1] > 0.6 > 0.3 > shown[int(y), int(x) - step, 1]


def test_without_drops_and_outside_of_them_the_picture_stays():
    image = RNG(1).random((64, 64, 3)).astype(np.float32)
    assert np.array_equal(through_drops(image, lens_drops(0, (64, 64), RNG(0))), image)
    drops = lens_drops(3, (64, 64), RNG(0))
    y, x = np.mgrid[:64, :64] + 0.5
    away = np.hypot(x[..., None] - drops.centre[:, 0], y[..., None] - drops.centre[:, 1]) / drops.radius
    outside = (away > 1.6).all(-1)
    assert np.array_equal(through_drops(image, drops)[outside], image[outside])
