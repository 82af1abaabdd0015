"""Pictures that stay where they were traced.

What could be silently wrong: another picture than the one that the host makes (a blur with another edge, a haze with
another veil), an array or a file of the frame that is not its tensor.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.engines import RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.engines.builtin.variant import probe
from torchmultiverse.scenes import Scene

torch = pytest.importorskip("torch", reason="torch is not installed")
WORLDS = ["SaltFlats", "OceanFloor", "ArcadeClub", "ElvenRuins", "TokyoNight", "Circus"]


@pytest.fixture(scope="module")
def engines() -> tuple[BuiltinEngine, BuiltinEngine]:
    if probe().chosen == "scalar_rgb":
        pytest.skip("the scalar variant has no device")
    host, device = BuiltinEngine(), BuiltinEngine()
    device.on_device = True
    return host, device


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("light", ["255,255,255,0", "255,0,0,0"])
def test_it_is_the_picture_that_the_host_makes(
    world: str, light: str, engines: tuple[BuiltinEngine, BuiltinEngine]
) -> None:
    scene = Scene({"World_Name": world, "Character_Name": "Zebra", "Scene_Light": light})
    options = RenderOptions(size=(72, 48), samples=4, passes=("rgb", "mask", "depth"))
    (host,), (device,) = (list(engine.render([scene], options)) for engine in engines)
    assert host.tensor() is None
    tensor = device.tensor()
    assert tensor.dtype == torch.uint8
    assert tuple(tensor.shape) == (48, 72, 3)
    apart = np.abs(host.array().astype(int) - tensor.cpu().numpy().astype(int))
    assert apart.max() <= 2
    assert apart.mean() < 0.05
    assert np.array_equal(device.array(), tensor.cpu().numpy())
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(device.encoded()))), device.array())
    assert np.array_equal(host.array("mask"), device.array("mask"))
    for ours, theirs in zip(host.info["objects"], device.info["objects"], strict=True):
        assert abs(ours.pop("figure_ground") - theirs.pop("figure_ground")) < 0.2, "of pictures two levels apart"
        assert ours == theirs
    assert device.passes == ("rgb", "mask", "depth")


def test_many_samples_in_several_rounds(
    engines: tuple[BuiltinEngine, BuiltinEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchmultiverse.engines.builtin.tracer.tracer.WAVEFRONT", 4000)
    scene = Scene({"World_Name": "Museum", "Character_Name": "Zebra"})
    (host,), (device,) = (list(e.render([scene], RenderOptions(size=(32, 32), samples=16))) for e in engines)
    assert np.abs(host.array().astype(int) - device.array().astype(int)).max() <= 2


@pytest.mark.parametrize("world", ["OceanFloor", "TokyoNight"])
def test_a_picture_without_annotations_is_the_same(world: str, engines: tuple[BuiltinEngine, BuiltinEngine]) -> None:
    """Beams of light in water end at what is at the pixels' centres, which annotations are made from as well."""
    scene = Scene({"World_Name": world, "Character_Name": "Zebra"})
    options = RenderOptions(size=(48, 40), samples=2)
    for engine in engines:
        (whole,) = engine.render([scene], options)
        engine.annotated = False
        try:
            (picture,) = engine.render([scene], options)
            (masked,) = engine.render([scene], RenderOptions(size=(48, 40), samples=2, passes=("rgb", "mask")))
        finally:
            engine.annotated = True
        assert np.array_equal(whole.array(), picture.array())
        assert whole.info["objects"][0]["pixels"] == np.count_nonzero(masked.array("mask")) > 0
        assert "objects" not in picture.info
