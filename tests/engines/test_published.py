"""What the published families name is there, and each of it renders.

Silently wrong would be: a name that is missing or spelt otherwise, two worlds or animals that captions cannot tell
apart, an animal that floats, leaves the frame or stands in the dark, a texture or light that changes nothing.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from torchmultiverse.engines import RenderOptions
from torchmultiverse.engines.builtin import BuiltinEngine
from torchmultiverse.engines.builtin.characters import character_names, texture_names
from torchmultiverse.engines.builtin.characters.library import load_species
from torchmultiverse.engines.builtin.world import load_spec, world_names
from torchmultiverse.scenes import LIGHTS, Scene
from torchmultiverse.store.quality import outside, quality, visibility

WORLDS = """
Egypt Desert AmusementPark ArcadeClub Arena Battleground Catacombs Tableland EuropeanStreet JunkYard OceanFloor
Racetrack Ruins SciFiCity SciFiGarage SpaceIsland SpaceHangar SpatialStation TokyoDay TokyoNight TrainStation Bridge
Beach BusStationInterior BusStationExterior Subway IndoorStairs Bar ScreeningCheckpoint Circus Appartment Hallway
TrashRoom FuturisticSubway Footbridge BoxingRing Hangar Mansion ShoppingMall ConferenceRoom SpacePort VillageOutskirt
VillageSquare Courtyard ElvenRuins Forge Library Museum Gallery ModernGallery Opera AncientAgora Restaurant
RuralAustralia AustralianRoad ShadyRoad SaltFlats Castle StylizedEgypt Temple Snow Grass DryGrass Forest
Cliff FightingArena IceRoad Jungle
""".split()  # noqa: SIM905
ANIMALS = """
Goldfish Caribou Elephant Camel Penguin Cassowary Zebra Turtle Bear Beaver Capybara Crocodile Armadillo Cat Gecko Crow
GiantAnteater GiantTortoise KomodoDragon Rhinoceros Dolphin EarlessSeal FruitBat Goat Hippopotamus Horse Impala Lion
Orca Pig Rabbit Squirrel Tapir Wildbeest Wolf Anlylosaurus BlackRockFish Parasaurolophus PoisonDartFrog Spinosaurus
Triceraptos Chicken HarpyEagle Ostrich Raven RedCrownedCrane Robin Seagull Secretarybird Shoebill Swan Toucan Vulture
Ammonite Ant Scorpion GoldBeetle Hornet SnowCrab Tarantula WhiteShark Tuna Arowana Ayu Betta Koi Pirarucu Salmon Cattle
Jerboa
""".split()  # noqa: SIM905
SMALL = RenderOptions(size=(64, 64), samples=4)


@pytest.fixture(scope="module")
def engine():
    made = BuiltinEngine()
    yield made
    made.close()


def one(engine, **factors):
    (frame,) = engine.render([Scene({"World_Name": "SaltFlats", **factors})], SMALL)
    return frame


def test_everything_that_is_named_is_there():
    assert len(WORLDS) == len(set(WORLDS)) == 68
    assert len(ANIMALS) == len(set(ANIMALS)) == 70
    assert sorted(WORLDS) == world_names()
    assert sorted(ANIMALS) == sorted(character_names())


def test_no_two_have_one_name_in_captions():
    worlds = [load_spec(name)[0].caption for name in WORLDS]
    animals = [load_species(name).display_name for name in ANIMALS]
    assert len(set(animals)) == 70
    assert sorted({c for c in worlds if worlds.count(c) > 1}) == []


@pytest.mark.parametrize("name", ANIMALS)
def test_every_animal_is_seen_whole_and_casts_no_fault(engine, name):
    yaw = 45 * (ANIMALS.index(name) % 8)
    frame = one(engine, Character_Name=name, Camera_Yaw=yaw)
    assert outside(quality(frame.array("rgb")) | visibility(frame)) == []
    (found,) = frame.info["objects"]
    assert found["pixels"] > 25
    assert found["truncated_fraction"] == 0.0


def test_every_texture_changes_the_picture(engine):
    pictures = {t: one(engine, Character_Name="Elephant", Character_Texture=t).array("rgb") for t in texture_names()}
    for (a, first), (b, second) in itertools.combinations(pictures.items(), 2):
        assert np.abs(first.astype(int) - second).mean() > 0.4, f"{a} and {b} look the same"


def test_every_light_changes_the_picture(engine):
    pictures = {
        light: one(engine, Character_Name="Elephant", Scene_Light=light).array("rgb") for light in LIGHTS.values()
    }
    for (a, first), (b, second) in itertools.combinations(pictures.items(), 2):
        assert np.abs(first.astype(int) - second).mean() > 5, f"{a} and {b} look the same"
