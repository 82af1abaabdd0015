"""Rain and snow in the air. What could silently be wrong: a rate that is drawn as another rate, so that curves over it
have a wrong axis: too many drops, streaks of a wrong length, or air that hides more than it does at that rate.
"""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.engines.builtin.conditions import KOSCHMIEDER
from torchmultiverse.engines.builtin.falling import (
    NEAREST,
    WIND,
    Streaks,
    furthest,
    hidden,
    streaks,
    through_fall,
)
from torchmultiverse.engines.builtin.lens import Lens
from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.precipitation import Precipitation

RNG = np.random.default_rng
SIDE = 128
FOCAL = SIDE / 2 / np.tan(np.radians(20))
LEVEL = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # looks along +y
VIEW = View(np.array([0, 0, 1.5]), LEVEL, FOCAL, (SIDE, SIDE))
FAR = np.full((SIDE, SIDE), np.inf, np.float32)


@pytest.mark.parametrize("rate", [1.0, 5.0, 20.0, 100.0])
def test_rain_hides_what_was_measured_for_its_rate(rate):
    visible = KOSCHMIEDER / Precipitation("rain", rate).extinction / 1000
    assert visible == pytest.approx(11.6 * rate**-0.63, rel=0.1), "Atlas, 1953: 11.6 R^-0.63 km"


def test_snow_hides_what_the_weather_service_says_of_it():
    seen = {rate: KOSCHMIEDER / Precipitation("snow", rate).extinction for rate in (0.5, 1.0, 2.5, 4.0, 10.0)}
    assert seen[0.5] > 1000, "light: more than a kilometre"
    assert 500 < seen[1.0] < 1000, "moderate"
    assert seen[4.0] < 400, "heavy: less than 400 metres"
    assert sorted(seen.values(), reverse=True) == list(seen.values())


@pytest.mark.parametrize("kind", ["rain", "snow"])
@pytest.mark.parametrize("rate", [1.0, 5.0, 20.0])
def test_what_falls_is_the_rate(kind, rate):
    falling = Precipitation(kind, rate)
    diameters = falling.diameters(40_000, RNG(0))
    volume = np.pi / 6 * (diameters * 1e-3) ** 3
    millimetres = falling.number * float((volume * falling.speeds(diameters)).mean()) * 3600 * 1000
    # The spectra are fits to measurements, which do not add up to the rate exactly.
    assert millimetres == pytest.approx(falling.water, rel=0.35)


def test_drops_fall_as_gunn_and_kinzer_measured():
    measured = {0.5: 2.06, 1.0: 4.03, 2.0: 6.49, 3.0: 8.06, 4.0: 8.83, 5.0: 9.09}
    found = Precipitation("rain", 1).speeds(np.array(list(measured)))
    assert found == pytest.approx(list(measured.values()), rel=0.05)
    assert 0.5 < Precipitation("snow", 1).speeds(np.array([0.5, 3.0])).mean() < 1.2, "about 1 m/s"


def test_flakes_are_larger_than_the_drops_they_melt_to():
    assert Precipitation("snow", 1).widths(np.array([1.0]))[0] == pytest.approx(2.4e-3, rel=0.05)
    assert Precipitation("rain", 1).widths(np.array([1.0]))[0] == 1e-3


@pytest.mark.parametrize(("kind", "rate"), [("rain", 5.0), ("rain", 100.0), ("snow", 2.0)])
def test_there_are_as_many_as_a_cubic_metre_holds(kind, rate):
    falling = Precipitation(kind, rate)
    found = streaks(falling, VIEW, 1 / 60, RNG(1))
    middle = (found.start + found.end) / 2
    near, far = 0.5, min(furthest(falling, VIEW), 5.0)
    inside = (np.abs(middle[:, :2]) < middle[:, 2:] * np.tan(np.radians(20))).all(1)
    inside &= (middle[:, 2] > near) & (middle[:, 2] < far)
    volume = (2 * np.tan(np.radians(20))) ** 2 * (far**3 - near**3) / 3
    mean = falling.number * volume
    assert inside.sum() == pytest.approx(mean, abs=4 * mean**0.5)


@pytest.mark.parametrize(("depth", "width"), [(0.5, 0.004), (1.0, 0.003), (3.0, 0.003)])
def test_a_streak_is_speed_times_time_times_focal_length_by_depth(depth, width):
    speed, shutter = 8.0, 1 / 60
    half = speed * shutter / 2
    one = Streaks(np.array([[0, -half, depth]]), np.array([[0, half, depth]]), np.array([width]))
    drawn = hidden(one, VIEW, FAR)
    rows = drawn.sum(1)
    assert (rows > rows.max() / 2).sum() == pytest.approx(min(speed * shutter * FOCAL / depth, SIDE), abs=2)
    if speed * shutter * FOCAL / depth < SIDE:
        assert drawn.sum() == pytest.approx(np.pi / 4 * (width * FOCAL / depth) ** 2, rel=1e-6)
    assert not hidden(one, VIEW, np.full_like(FAR, depth * 0.9)).any(), "it falls behind what is seen"
    open_lens = Lens(aperture=0.02, focus=5.0)
    blurred = hidden(one, View(VIEW.position, LEVEL, FOCAL, VIEW.size, open_lens), FAR)
    across = open_lens.blur(depth, FOCAL)
    if across > 3:
        assert (blurred.sum(0) > blurred.sum(0).max() / 2).sum() == pytest.approx(across, rel=0.6)
        assert blurred.max() < drawn.max() / 2


def test_drops_fall_down_and_with_the_wind():
    found = streaks(Precipitation("rain", 10), VIEW, 0.01, RNG(2))
    way = (found.end - found.start) / 0.01  # camera: x right, y down
    assert way[:, 0].mean() == pytest.approx(WIND[0], abs=0.02)
    speeds = Precipitation("rain", 10).speeds(np.sort(found.width) * 1000)
    assert way[:, 1].mean() == pytest.approx(speeds.mean(), rel=0.01)
    assert found.start[:, 2].min() > NEAREST - 0.1


@pytest.mark.parametrize(("kind", "rate"), [("rain", 50.0), ("snow", 2.0)])
def test_drops_hide_half_of_what_the_air_does(kind, rate):
    """Half of the extinction is light that is bent by less than a pixel."""
    falling = Precipitation(kind, rate)
    found = np.mean([hidden(streaks(falling, VIEW, 1 / 200, RNG(k)), VIEW, FAR).mean() for k in range(4)])
    assert found == pytest.approx(falling.extinction / 2 * furthest(falling, VIEW), rel=0.3)


@pytest.mark.parametrize(("kind", "rate"), [("rain", 100.0), ("snow", 3.0)])
def test_contrast_falls_with_distance_as_the_rate_says(kind, rate):
    falling = Precipitation(kind, rate)
    light = np.full((64, 128, 3), 0.7, np.float32)
    contrast = []
    for distance in (100.0, 400.0):
        way = np.full((SIDE, SIDE), distance, np.float32)
        bright, dark = (
            through_fall(np.full((SIDE, SIDE, 3), value, np.float32), way, falling, VIEW, light, 1 / 60, RNG(3))
            for value in (1.0, 0.0)
        )
        contrast.append(float((bright - dark).mean()))
    assert contrast[1] / contrast[0] == pytest.approx(np.exp(-falling.extinction * 300), rel=1e-3)


def test_the_same_seed_gives_the_same_drops():
    first, again, other = (streaks(Precipitation("rain", 5), VIEW, 0.01, RNG(k)) for k in (7, 7, 8))
    assert np.array_equal(first.start, again.start)
    assert first.start.shape != other.start.shape or not np.array_equal(first.start, other.start)
