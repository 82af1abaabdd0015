"""What a world cannot have. What could silently be wrong: rain in a museum, or a refusal that tells nothing."""

from __future__ import annotations

import numpy as np
import pytest

from torchmultiverse.engines.builtin import offers
from torchmultiverse.engines.builtin.world import World, load_spec, world_names
from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import Scene


def bare(name: str) -> World:
    return World(name, load_spec(name)[0], [], [], np.zeros((4, 8, 3)), np.zeros((5, 5)), 1.0)


@pytest.mark.parametrize("wire", ["Rain", "Snow", "Wetness", "Snow_Cover"])
def test_there_is_no_weather_where_there_is_no_sky(wire):
    for name, setting in {
        "Museum": "indoors", "OceanFloor": "under water", "SpaceIsland": "in space", "TrainStation": "under a roof",
    }.items():  # fmt: skip
        scene = Scene({"World_Name": name, wire: 1})
        with pytest.raises(SpecError, match=rf"{wire} = 1: {name} is {setting}.*worlds that are outdoors can have it"):
            offers.refuse(bare(name), scene)
    offers.refuse(bare("Desert"), Scene({"World_Name": "Desert", wire: 1}))
    offers.refuse(bare("Museum"), Scene({"World_Name": "Museum", wire: 0}))


def test_every_world_says_whether_it_is_open_to_the_sky():
    settings = [load_spec(name)[0].setting for name in world_names()]
    assert {name: settings.count(name) for name in set(settings)} == {
        "outdoors": 37, "indoors": 28, "under a roof": 1, "under water": 1, "in space": 1,
    }  # fmt: skip
    assert load_spec("OceanFloor")[0].about == "ocean floor, under water"
