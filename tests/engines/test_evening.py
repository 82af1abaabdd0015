"""Light in the windows of houses after sunset.

What could silently be wrong: light that is on in scenes that ask for no sun, whose pictures would change; the panes of
cars taken for windows; windows a hundred times too bright, since nothing else in the picture says how bright they are.
"""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.engines import Failure, RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine, daylight
from torchmultiverse.engines.builtin.evening import has_evening, windows, with_lit_windows
from torchmultiverse.engines.builtin.lighting import has_lamps, with_lamps
from torchmultiverse.engines.builtin.mesh import Mesh, merge
from torchmultiverse.engines.builtin.sky import horizontal_irradiance
from torchmultiverse.engines.builtin.world_builder import load_world
from torchmultiverse.engines.builtin.world_conditions import apply_conditions, world_conditions_of
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import Scene


def box(width, depth, height, at, yaw=0.0):
    corners = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0, 1)], np.float32)
    faces = np.array([(0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3), (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5),
                      (0, 4, 5), (0, 5, 1), (2, 3, 7), (2, 7, 6)], np.uint32)  # fmt: skip
    return Mesh(corners * np.float32([width, depth, height]), faces).moved(at, yaw=yaw)


def test_windows_are_thin_upright_panes():
    mesh = merge([
        box(0.9, 0.16, 1.2, (3, -2, 1.0), yaw=0.7),
        box(1.4, 2.5, 0.6, (0, 0, 0.9)),  # the cabin of a car
        box(0.5, 0.2, 0.3, (9, 0, 1.7)),
        box(0.9, 0.16, 1.2, (0, 9, 0.0)),  # a door
    ])  # fmt: skip
    (pane,) = windows(mesh)
    assert pane.shape == (2, 4, 3)
    for face in pane:
        assert np.ptp(face[:, 2]) == pytest.approx(1.2, abs=1e-3)
        assert np.linalg.norm(face[1] - face[0]) == pytest.approx(0.9, abs=1e-3)
        out = np.cross(face[1] - face[0], face[2] - face[1])
        assert out @ (face.mean(0) - [3, -2, 1.6]) > 0, "it faces the wall"


def test_a_share_of_the_windows_is_as_bright_as_a_lit_room():
    plain = load_world("VillageSquare")
    lit = with_lit_windows(plain)
    assert lit.parts[:-1] == plain.parts
    assert with_lit_windows(lit) is lit
    count = sum(len(windows(part.mesh)) for part in plain.parts if part.material.name == "plain 0.05 0.9 0 0")
    part = lit.parts[-1]
    assert len(part.mesh.vertices) / 8 == pytest.approx(0.6 * count, abs=3 * np.sqrt(0.24 * count))
    lux = float(horizontal_irradiance(plain.environment) @ daylight.LUMINANCE)
    candelas = part.material.emission * (part.mesh.colors @ daylight.LUMINANCE).mean() / lux
    assert candelas * daylight.illuminance(plain.spec.sky.sun_elevation) == pytest.approx(60, rel=1e-3)


def test_light_is_on_after_sunset_alone():
    def lit(world="VillageSquare", **levels):
        asked = world_conditions_of(Scene({"World_Name": world, **levels}))
        return apply_conditions(load_world(world, asked.region), asked).evening

    assert not any(lit(**levels) for levels in ({}, {"Sun_Elevation": 0}, {"Overcast": 1}, {"Sun_Azimuth": 9}))
    assert lit(Sun_Elevation=-0.5)
    assert lit(Sun_Elevation=-12, Lamps=2)
    assert not lit("Desert", Sun_Elevation=-6)
    assert has_evening("ShadyRoad", "mediterranean")
    assert not has_evening("ShadyRoad")
    assert not has_evening("VillageOutskirt", "west_africa")


def test_lamps_are_these_windows():
    plain = load_world("VillageSquare")
    lit = with_lit_windows(plain)
    assert has_lamps(lit)
    assert not has_lamps(plain)
    assert with_lamps(lit, 3).parts[-1].material.emission == pytest.approx(3 * lit.parts[-1].material.emission)
    with pytest.raises(SpecError, match="lit when the sun has set; leave it 1, or set Sun_Elevation below 0"):
        with_lamps(plain, 2)


@pytest.mark.slow
def test_they_are_seen_and_go_out():
    engine = BuiltinEngine()
    base = Scene({"World_Name": "VillageSquare", "Character_Name": "Zebra"})
    evening = base.changed(Sun_Elevation=-9, Camera_Exposure=10)
    scenes = [base, evening, evening.changed(Lamps=0), base.changed(Lamps=2), base]
    own, lit, dark, refused, again = engine.render(scenes, RenderOptions(size=(96, 96), samples=4))
    assert own.sha256() == again.sha256()
    assert isinstance(refused, Failure)
    assert np.percentile(lit.array(), 99.5) > 150
    assert dark.array().max() < 60
