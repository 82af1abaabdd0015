"""Conditions of the built-in engine. What could silently be wrong: a level that changes the picture by another amount
than its unit says, so that curves over it have a wrong axis, or a scene without conditions that is drawn otherwise.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine, conditions
from torchmultiverse.engines.builtin.conditions import Conditions, compressed, exposed, through_air
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import CONDITIONS, FACTORS, Scene

SCENE = Scene({"World_Name": "SaltFlats", "Character_Name": "Zebra"})
RNG = np.random.default_rng
WEATHER: tuple[dict[str, float], ...] = (
    {"Rain": 50},
    {"Snow": 3},
    {"Snow_Cover": 0.5},
    {"Wetness": 1},
    {"Lens_Drops": 60},
)


@pytest.fixture(scope="module")
def engine() -> BuiltinEngine:
    return BuiltinEngine(denoise=False)


def pictured(engine: BuiltinEngine, **levels: object):
    (frame,) = engine.render([SCENE.changed(**levels)], RenderOptions((64, 64), ("rgb", "mask", "depth"), samples=4))
    if isinstance(frame, Failure):
        raise frame.error()
    return frame


@pytest.mark.parametrize("visibility", [20.0, 300.0])
@pytest.mark.parametrize("name", ["fog", "dust"])
def test_contrast_falls_as_koschmieder_says(visibility, name):
    distance = np.array([[0.0, 5.0, visibility, 2 * visibility, np.inf]], np.float32)
    bright, dark = (
        through_air(np.full((1, 5, 3), value, np.float32), distance, np.full(3, 0.6), Conditions(**{name: visibility}))
        for value in (0.8, 0.0)
    )
    assert (bright - dark)[0, :, 0] / 0.8 == pytest.approx(
        np.exp(-3.912 * distance[0] / visibility), rel=2e-4, abs=1e-6
    )
    assert bright[0, 2, 0] - dark[0, 2, 0] == pytest.approx(0.02 * 0.8, rel=1e-3)
    assert bright[0, -1] == pytest.approx(dark[0, -1]), "nothing is seen at infinity but air"


@pytest.mark.parametrize(("electrons", "read"), [(100.0, 0.0), (1000.0, 30.0)])
def test_the_variance_of_noise_is_linear_in_radiance(electrons, read):
    for value in (0.01, 0.2, 1.0):
        flat = np.full((400, 400, 3), value, np.float32)
        read_out = exposed(flat, Conditions(electrons=electrons, read_noise=read), RNG(5))
        assert read_out.mean() == pytest.approx(value, rel=0.02)
        assert read_out.var() == pytest.approx(value / electrons + (read / electrons) ** 2, rel=0.02)
        assert abs(np.corrcoef(read_out[..., 0].ravel(), read_out[..., 1].ravel())[0, 1]) < 0.02


def test_exposure_is_in_stops():
    flat = np.full((4, 4, 3), 0.1, np.float32)
    assert exposed(flat, Conditions(exposure=2), RNG(0)) == pytest.approx(0.4)


def test_a_jpeg_is_the_one_of_that_quality():
    image = RNG(3).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=20)
    assert np.array_equal(compressed(image, 20), np.asarray(Image.open(buffer)))
    assert compressed(image, None) is image


def test_a_scene_without_conditions_is_drawn_as_ever(engine):
    plain = pictured(engine)
    own = {f.wire: f.default for f in FACTORS if f.group}
    again = pictured(engine, **own)
    assert again.scene.scene_id == plain.scene.scene_id
    assert again.sha256() == plain.sha256()


def test_a_longer_lens_enlarges_and_a_camera_further_off_makes_smaller(engine):
    own = pictured(engine).info["camera"]
    focal = own["K"][0][0]
    long = pictured(engine, Camera_Focal_Length=48).info["camera"]
    assert long["K"][0][0] == pytest.approx(64 * 48 / 24)
    assert long["Rt"] == own["Rt"]
    eye = {}
    for name, levels in {"own": {}, "far": {"Camera_Distance": 9.4}, "high": {"Camera_Height": 3.0}}.items():
        camera = pictured(engine, **levels).info["camera"]
        pose = np.array(camera["Rt"])
        eye[name] = -pose[:, :3].T @ pose[:, 3]
        assert camera["K"][0][0] == focal
    assert eye["high"][2] == pytest.approx(3.0, abs=0.02)
    assert np.linalg.norm(eye["far"] - [0, 0, 0.98]) == pytest.approx(9.4, abs=0.05)
    seen = [(pictured(engine, **levels).array("mask") == 1).sum() for levels in ({}, {"Camera_Distance": 9.4})]
    assert seen[0] / seen[1] == pytest.approx(4, rel=0.25)


def test_conditions_are_seen_in_pictures_and_leave_labels(engine):
    plain = pictured(engine)
    for levels in (
        {"Fog_Visibility": 15},
        {"Camera_Exposure": -2},
        {"Camera_Electrons": 50},
        {"JPEG_Quality": 5},
        *WEATHER,
    ):
        found = pictured(engine, **levels)
        assert np.abs(found.array().astype(int) - plain.array()).mean() > 2, levels
        for name in ("mask", "depth"):
            assert np.array_equal(found.array(name), plain.array(name)), levels
        assert found.sha256() == pictured(engine, **levels).sha256()


def test_what_is_not_offered_is_refused_and_what_cannot_be_is_told(engine, monkeypatch):
    monkeypatch.setattr(conditions, "OFFERED", conditions.OFFERED - {"Rain"})
    with pytest.raises(Exception, match="Rain = 5"):
        pictured(engine, Rain=5)
    with pytest.raises(Exception, match=r"Lens_Drops = 2.5: a number of drops is whole"):
        pictured(engine, Lens_Drops=2.5)
    with pytest.raises(Exception, match="Camera_Height = 20"):
        pictured(engine, Camera_Height=20)
    with pytest.raises(SpecError, match="Fog_Visibility = 3 is out of range: 5 to 100000 m"):
        SCENE.changed(Fog_Visibility=3)
    assert Scene({**SCENE.wire, "Fog_Visibility": "own"}) == SCENE


def test_the_table_of_conditions_is_sound():
    wires = [fields["wire"] for group in CONDITIONS.values() for fields in group]
    assert len(set(wires)) == len(wires)
    assert {factor.wire for factor in FACTORS if factor.group} >= conditions.OFFERED
    for fields in (fields for group in CONDITIONS.values() for fields in group):
        assert fields["doc"], fields["wire"]
        if fields["kind"] == "number":
            assert fields["default"] == "own" or fields["low"] <= fields["default"] <= fields["high"], fields["wire"]
