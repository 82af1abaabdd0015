"""Clips do not flicker. What could silently be wrong: something of a world, its light or its exposure depends on
the camera's exact place or on a scene's id, and so jumps from frame to frame; noise that does not average out."""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.engines import RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.engines.builtin.conditions import conditions_of
from torchmultiverse.scenes import Scene

FRAMES = 6
HARDLY = 1e-6  # degrees: another scene with another seed, and the same view to a hundred-thousandth of a pixel


def deviations(engine, world, moving, **more):
    """Deviation of pixels over frames that hardly move and over seeds of one frame; how far their means are apart."""
    base = {"World_Name": world, "Character_Name": "Elephant", "Camera_Yaw": 10, "Character_Rotation_Yaw": 20, **more}
    options = RenderOptions(size=(64, 64))

    def pictures(scenes, seeds):
        found = [
            next(iter(engine.render([s], RenderOptions(options.size, seed=k))))
            for s, k in zip(scenes, seeds, strict=True)
        ]
        return np.stack([frame.array().astype(float) for frame in found])

    frames = pictures([Scene({**base, moving: base[moving] + HARDLY * k}) for k in range(FRAMES)], [0] * FRAMES)
    seeds = pictures([Scene(base)] * FRAMES, range(1, FRAMES + 1))
    assert (frames[0] != frames[1]).any()  # noise of its own
    spread = [np.sqrt(some.var(0, ddof=1).mean()) for some in (frames, seeds)]
    apart = np.abs(frames.mean((0, 3)) - seeds.mean((0, 3)))
    return spread, apart, seeds.mean(3).std(0, ddof=1)


def check(engine, world, moving, **more):
    (frames, seeds), apart, noise = deviations(engine, world, moving, **more)
    assert 0.85 < frames / seeds < 1.15
    # Means of frames and of seeds are as far apart as means of six are.
    assert apart.mean() < 1.3 * (noise * np.sqrt(2 / FRAMES)).mean()


@pytest.fixture(scope="module")
def engine():
    made = BuiltinEngine()
    yield made
    made.close()


def test_a_world_changes_by_its_noise_alone(engine):
    check(engine, "VillageSquare", "Camera_Yaw")


@pytest.mark.slow
@pytest.mark.parametrize("world", ["Desert", "TokyoNight", "Museum", "Forest", "Snow"])
@pytest.mark.parametrize("moving", ["Camera_Yaw", "Character_Rotation_Yaw"])
def test_worlds_change_by_their_noise_alone(engine, world, moving):
    check(engine, world, moving)


def test_two_frames_in_which_nothing_moves_are_one_picture(engine):
    scene = Scene({"World_Name": "VillageSquare", "Character_Name": "Elephant", "Clip": "a", "Frame": 1})
    other = scene.changed(Frame=2)
    assert scene.scene_id != other.scene_id
    options = RenderOptions(size=(32, 32), samples=2)
    first, second = (next(iter(engine.render([one.unlabelled], options))).array() for one in (scene, other))
    np.testing.assert_array_equal(first, second)


def test_drops_on_the_lens_stay_where_they_are():
    """In all frames of a clip, and in no other world."""
    scene = Scene({"World_Name": "VillageSquare", "Character_Name": "Cat", "Lens_Drops": 25})
    first, later, other, again = (
        conditions_of(one, seed).setting
        for one, seed in (
            (scene, 0),
            (scene.changed(Camera_Yaw=40, Fog_Visibility=60, Clip="a", Frame=3), 0),
            (scene.changed(World_Name="Desert"), 0),
            (scene, 1),
        )
    )
    assert first == later
    assert len({first, other, again}) == 3
