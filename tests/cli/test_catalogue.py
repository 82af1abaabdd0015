"""What the catalogue lists. What can be silently wrong: a world that is listed twice, or not; a default or a range that
is not the factor's; a family that does not have the level; a pack's asset without its licence; a name that is listed
and not accepted.
"""

from __future__ import annotations

import json

import pytest
from command import run

from torchmultiverse.assets import everything
from torchmultiverse.cli import completion
from torchmultiverse.connect import engine_catalogue
from torchmultiverse.engines import LISTED, LISTED_FACTOR, Choice, catalogue_rows
from torchmultiverse.engines.builtin.characters import character_names, texture_names
from torchmultiverse.engines.builtin.objects import object_names
from torchmultiverse.engines.builtin.world import world_names
from torchmultiverse.scenes import FACTORS, LIGHTS, Scene, class_table, parse_spec, parse_where, published_levels

CATALOGUE = engine_catalogue("builtin")


@pytest.fixture(autouse=True)
def no_packs(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHMULTIVERSE_DATA", str(tmp_path))


def listed(capsys, monkeypatch, *words: str) -> list[dict]:
    code, out, _ = run(capsys, monkeypatch, "catalogue", *words, "--format", "json")
    assert code == 0
    return json.loads(out)


def test_every_level_is_listed_once(capsys, monkeypatch):
    names = {what: [row["level"] for row in listed(capsys, monkeypatch, what)] for what in LISTED_FACTOR}
    assert {*names, "factors", "classes"} == set(LISTED)
    assert names == {
        "worlds": world_names(),
        "characters": ["blank", *character_names(), *object_names()],
        "textures": texture_names(),
        "lights": list(LIGHTS.values()),
    }
    for what, levels in names.items():
        assert all(row["what"] for row in catalogue_rows(CATALOGUE, what)), "something of which nothing is said"
        CATALOGUE.check(Scene({"World_Name": "Desert", LISTED_FACTOR[what]: levels[-1]}))


def test_classes_are_those_of_the_table_and_their_characters_are_found_by_them(capsys, monkeypatch):
    rows = {row["name"]: row for row in listed(capsys, monkeypatch, "classes") if row["kind"] == "object"}
    table = {one.name: one for one in class_table() if one.kind == "object"}
    assert {name: row["id"] for name, row in rows.items()} == {name: table[name].id for name in rows}
    assert sum(row["count"] for row in rows.values()) == len(object_names())
    mug = rows["Cofee_Mug"]
    assert (mug["what"], mug["synset"], mug["imagenet"]) == ("coffee mug", "n03063599", ["504"])
    assert mug["characters"] == [name for name in object_names() if name.startswith("Cofee_Mug_")]
    for word in ("Cofee_Mug", "coffee mug"):
        assert [row["name"] for row in listed(capsys, monkeypatch, "characters", "--of", word)] == mug["characters"]
    both = listed(capsys, monkeypatch, "characters", "--of", "zebra", "--of", "objects")
    assert [row["name"] for row in both] == ["Zebra", *object_names()]
    assert [row["class"] for row in both] == ["Zebra", *(name.rpartition("_")[0] for name in object_names())]
    code, _, err = run(capsys, monkeypatch, "catalogue", "characters", "--of", "Coffe_Mug")
    assert code == 2
    assert "--of Coffe_Mug: no such class. Did you mean 'Cofee_Mug'" in err


def test_a_name_that_nobody_would_spell_so_is_found_by_what_it_is():
    """'mug' is near no name by its letters."""
    catalogue = CATALOGUE.model_copy(
        update={
            "factors": {
                "Character_Name": Choice(
                    levels=["Zebra", "Table_Lamb_1", "Table_Lamb_2", "Bycicle_1"],
                    about={"Table_Lamb_1": "table lamp", "Table_Lamb_2": "table lamp: brass", "Bycicle_1": "bicycle"},
                )
            }
        }
    )
    said = [
        catalogue.problems({"Character_Name": [name]}, FACTORS)[0].rpartition("'builtin'.")[2]
        for name in ("lamp", "Table_Lamp_2", "brass", "Xylophone", "(")
    ]
    assert said[0] == " Did you mean 'Table_Lamb_1' or 'Table_Lamb_2'?"
    assert said[1] == said[0], "misspelt as people write it"
    assert said[2] == " Did you mean 'Table_Lamb_2'?"
    assert said[3] == said[4] == " Known: Zebra, Table_Lamb_1, Table_Lamb_2, Bycicle_1."


def test_factors_are_those_of_the_table(capsys, monkeypatch):
    rows = {row["factor"]: row for row in listed(capsys, monkeypatch, "factors")}
    assert list(rows) == [factor.wire for factor in FACTORS if not factor.label]
    yaw, scale = rows["Camera_Yaw"], rows["Character_Scale"]
    assert (yaw["unit"], yaw["low"], yaw["high"], yaw["default"]) == ("degrees", -360, 360, "0")
    assert (scale["low"], scale["high"], scale["default"]) == (0.1, 4, "1")
    assert rows["World_Name"]["levels"] == f"{len(world_names())} worlds"
    assert rows["Character2_Texture"]["levels"] == f"{len(texture_names())} textures"
    assert rows["World_Name"]["default"] == "must be given"
    assert rows["Scene_Light"]["families"] == ["ImageNet"]
    assert rows["Character2_Name"]["families"] == ["SPAR", "AR4T"]


def test_people_get_a_table_of_the_same_names(capsys, monkeypatch):
    code, out, _ = run(capsys, monkeypatch, "catalogue", "worlds")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [[name, f"{name}_0"] for name in world_names()]


def test_families_have_what_is_said():
    """The numbers of the published families."""
    rows = catalogue_rows(CATALOGUE, "worlds")
    counts = {family: sum(family in row["families"] for row in rows) for family in published_levels()}
    assert counts == {"Animals": 64, "ImageNet": 64, "SPAR": 10, "AR4T": 28}
    characters = catalogue_rows(CATALOGUE, "characters")
    assert sum("Animals" in row["families"] for row in characters) == 70
    assert sum("SPAR" in row["families"] for row in characters) == 33
    textures = {row["name"]: row["families"] for row in catalogue_rows(CATALOGUE, "textures")}
    assert textures["Grass"] == ["Animals", "ImageNet", "SPAR"]
    assert textures["Stone"] == ["SPAR"], "the second character's alone"
    assert textures["Brick_1"] == ["AR4T"]


@pytest.mark.parametrize("kind", ["ar4t_relations", "ar4t_attributes"])
def test_what_pairs_are_drawn_from_is_known_without_drawing(kind):
    design = {"kind": kind, "worlds": ["Arena", "Beach"], "assets": {"A": ["A_1", "A_2"], "B": ["B_1"]}, "single": 9}
    design |= (
        {"pairs": 9} if kind == "ar4t_relations" else {"pairs": 2, "attributes": {"Red": ["R_1", "R_2"], "Big": 9}}
    )
    spec = parse_spec({"name": "x", "family": "AR4T", "design": design})
    said, built = spec.design.levels(spec.table, spec.seed), spec.build().levels()
    for factor, levels in said.items():
        assert not levels or set(levels) >= set(built[factor]) - {"blank"}, factor
    varied = {name for name, levels in built.items() if len(levels) > 1 and not spec.table[name].label}
    assert varied - {"Character2_Pos"} == {name for name in said if len(said[name]) != 1}


def test_a_light_is_named_or_written(capsys, monkeypatch):
    named, written = (Scene({"World_Name": "Opera", "Scene_Light": light}) for light in ("red", "255,0,0,0"))
    assert named.scene_id == written.scene_id
    assert named["Scene_Light"] == "255,0,0,0", "what an engine gets, and what stands in a dataset"
    (condition,) = parse_where("scene_light in (cyan, white)", FACTORS)
    assert condition.values == ("0,255,255,0", "255,255,255,0")
    spec = parse_spec({"World_Name": ["Opera"], "Scene_Light": ["white", "blue"]})
    assert spec.build().levels()["Scene_Light"] == ["255,255,255,0", "0,0,255,0"]


def test_names_are_completed():
    assert completion.worlds("Tokyo") == ["TokyoDay", "TokyoNight"]
    assert completion.characters("Ze") == ["Zebra"]
    assert completion.classes("Be") == ["Bear", "Beaver", "Betta", "Bell_Pepper"]
    assert completion.values("Character2_Tex") == ["Character2_Texture="]
    assert completion.values("Scene_Light=m") == ["Scene_Light=magenta"]
    assert completion.values("camera_yaw=") == completion.values("Nothing=") == completion.values("Subset=") == []
    assert completion.columns("world_n") == ["world_name"]


def test_nothing_is_started_for_it():
    """An engine that renders takes seconds to start, and a first start tries renderers."""
    assert CATALOGUE.fingerprint == ""
    assert engine_catalogue("marker").fingerprint
    assert everything() == ["procedural"]


def test_the_package_is_listed_among_the_packs_with_its_animals_and_objects(capsys, monkeypatch):
    code, out, _ = run(capsys, monkeypatch, "assets", "list", "--format", "json")
    assert code == 0
    (own,) = json.loads(out)
    assert (own["pack"], own["licences"]) == ("procedural", ["Apache-2.0"])
    assert own["characters"] == len([*character_names(), *object_names()])
    code, out, _ = run(capsys, monkeypatch, "assets", "show", "procedural", "--format", "json")
    assert code == 0
    found = {(row["kind"], row["asset"]) for row in json.loads(out)}
    assert found >= {("character", "Zebra"), ("character", object_names()[0]), ("world", "Desert")}
