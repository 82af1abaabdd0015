"""Light from all sides. What could silently be wrong: rain that glows, or is black; fog that lets the ground through
under a clear sky; a sun that is lost between two pixels.
"""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.engines.builtin.conditions import Conditions
from torchmultiverse.engines.builtin.placement import View
from torchmultiverse.engines.builtin.sky import directions
from torchmultiverse.engines.builtin.surround import drop_light, mean_light, open_sky, sphere_phase, surround
from torchmultiverse.engines.builtin.tracer import RenderBuffers
from torchmultiverse.engines.builtin.weather import FOG_TOP, through_weather
from torchmultiverse.engines.builtin.world import World, WorldSpec

LEVEL = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
VIEW = View(np.array([0, 0, 1.5]), LEVEL, 44.0, (32, 32))


def world(sky: np.ndarray) -> World:
    spec = WorldSpec(caption="x", blocks=[{"kind": "none"}])
    return World("x", spec, [], [], sky.astype(np.float32), np.zeros((5, 5), np.float32), 1.0)


def test_in_even_light_all_is_as_bright_as_the_light():
    light = open_sky(world(np.full((512, 1024, 3), 0.4)))
    assert drop_light(light, VIEW) == pytest.approx(0.4, rel=1e-4)
    assert mean_light(light) == pytest.approx([0.4] * 3, rel=1e-4)


def test_the_sun_is_not_lost():
    sky = np.zeros((512, 1024, 3))
    sky[180:184, 300:304] = 1e4
    sine = np.sin((np.arange(512) + 0.5) / 512 * np.pi)[:, None, None]
    mean = (sky * sine).sum((0, 1)) / (sine.sum() * 1024)
    assert mean_light(open_sky(world(sky))) == pytest.approx(mean, rel=0.02)


def test_a_drop_is_a_picture_of_what_is_behind_it_165_degrees_wide():
    phase = sphere_phase()
    angle = (np.arange(90) + 0.5) * 2
    share = phase * np.sin(np.radians(angle))
    share /= share.sum()
    assert share[angle < 82.5].sum() > 0.85, "Garg and Nayar, 2007"
    z = directions(64, 128)[..., 2:]
    shown = drop_light(np.where(z > 0, 1.0, 0.1).astype(np.float32) * np.ones(3, np.float32), VIEW)
    assert shown[0].mean() > shown[-1].mean() > 0.15, "more of the sky above, and some of it below the horizon, too"


def test_things_stand_before_the_sky():
    def render(view: View, samples: int, seed: int) -> RenderBuffers:
        width, height = view.size
        down = view.rotation[2, 2] < -0.5
        distance = np.full((height, width), 3.0 if down else np.inf, np.float32)
        none = np.zeros((height, width, 3), np.float32)
        return RenderBuffers(none + 0.25, none, none, none, none[..., 0].astype(np.uint8), distance, none)

    found = surround(world(np.ones((512, 1024, 3))), render)
    assert found[-1] == pytest.approx(0.25)
    assert found[:32] == pytest.approx(1.0)
    assert 0.75 < mean_light(found)[0] < 0.95


def test_fog_fills_the_sky_at_the_horizon_and_thin_fog_leaves_it_overhead():
    color, sky = np.zeros((32, 32, 3), np.float32), np.full((32, 32), np.inf, np.float32)
    light = np.ones((64, 128, 3), np.float32)
    thick = through_weather(color, sky, VIEW, Conditions(fog=50.0), light, 0)
    assert thick == pytest.approx(1.0, abs=1e-3)
    up = View(VIEW.position, np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, 1]]), 44.0, (32, 32))
    thin = through_weather(color, sky, up, Conditions(fog=2000.0), light, 0)
    assert thin[16, 16, 0] == pytest.approx(1 - np.exp(-3.912 * FOG_TOP / 2000), rel=0.01)
