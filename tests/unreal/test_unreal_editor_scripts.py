"""The editor scripts, against a stand-in for the module `unreal`. Silently wrong would be a row under a name that the
plugin never finds, a column that its row structure does not have, or a setting in the wrong section."""

from __future__ import annotations

import ast
import csv
import importlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from unreal import unreal_stub as stub

BRIDGE = Path(__file__).resolve().parents[2] / "unreal_bridge"
EDITOR = BRIDGE / "editor"
PUBLIC = BRIDGE / "TorchMultiverseBridge/Source/TorchMultiverseBridge/Public"
MODULES = ("tmv_rows", "tmv_editor", "tmv_import", "tmv_worlds", "tmv_materials")
IMPORTS = {
    ".glb": [("StaticMesh", ""), ("Texture2D", "_D")],
    ".fbx": [("Texture2D", "_D"), ("SkeletalMesh", "")],
    ".obj": [("Texture2D", "_D")],
}


@pytest.fixture
def unreal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    config = tmp_path / "Config"
    config.mkdir()
    module = stub.make(config, IMPORTS)
    monkeypatch.setitem(sys.modules, "unreal", module)
    monkeypatch.syspath_prepend(str(EDITOR))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield module
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def rows(unreal: ModuleType) -> ModuleType:
    return importlib.import_module("tmv_rows")


def _properties(struct: str) -> set[str]:
    text = (PUBLIC / "TmvTables.h").read_text()
    body = text[text.index(f"struct TORCHMULTIVERSEBRIDGE_API {struct}") :]
    body = body[: body.index("\n};")]
    return set(re.findall(r"^\tT?\S.*?\b(\w+)(?: = [^;]+)?;$", re.sub(r"UPROPERTY.*", "", body), re.M))


@pytest.mark.parametrize("path", sorted(EDITOR.glob("*.py")), ids=lambda path: path.name)
def test_scripts_are_python_3_9_and_only_need_unreal(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= {"unreal", *MODULES, *sys.stdlib_module_names}
    assert ("unreal" in imported) == (path.name != "tmv_rows.py")


def test_rows_have_the_properties_of_the_plugins_structures(rows: ModuleType) -> None:
    character = rows.Character("Zebra", static_mesh="/Game/A/Zebra").row()
    assert set(character) == _properties("FTmvCharacterRow")
    assert set(rows.World("Snow", "/Game/Maps/Snow").row()) == _properties("FTmvWorldRow")
    assert set(rows.Texture("Grass", "/Game/M/Grass").row()) == _properties("FTmvTextureRow")
    keys = set(re.findall(r"^\t[\w<>]+ (?:b)?(\w+)(?: = .*)?;$", (PUBLIC / "TmvSettings.h").read_text(), re.M))
    assert {"Worlds", "Characters", "Textures", "StencilMaterial", "MarkerMaterial"} <= keys


def test_tables_are_csv_with_each_name_once(rows: ModuleType) -> None:
    text = rows.table_csv([rows.World("Snow", "/Game/Maps/Snow", (1, 2.5, -3), 90, license='CC0, "free"')])
    head, row = list(csv.reader(io.StringIO(text)))
    found = dict(zip(head, row, strict=True))
    assert found["---"] == "Snow"
    assert found["Level"] == "/Game/Maps/Snow.Snow"
    assert found["Stage"] == "(X=1.000000,Y=2.500000,Z=-3.000000)"
    assert found["License"] == 'CC0, "free"'
    with pytest.raises(rows.RowError, match="snow stand twice"):
        rows.table_csv([rows.World("Snow", "/Game/A"), rows.World("snow", "/Game/B")])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda r: r.Character("a b", static_mesh="/Game/A").row(), "letters"),
        (lambda r: r.Character("A").row(), "one mesh"),
        (lambda r: r.Character("A", static_mesh="/Game/A", skeletal_mesh="/Game/B").row(), "one mesh"),
        (lambda r: r.Character("A", static_mesh="/Game/A", class_id=70000).row(), "class 70000"),
        (lambda r: r.Character("A", static_mesh="../etc").row(), "no path of an asset"),
        (lambda r: r.World("A", "/Game/A", elevation=90).row(), "elevation 90"),
        (lambda r: r.Texture("Default", "/Game/A").row(), "not 'Default'"),
        (lambda r: r.level_name("!!"), "gives no name"),
        (lambda r: r.character("a.glb", "/Game/A", False, {"yaw": "left"}), "'left' is no number"),
    ],
)
def test_what_is_wrong_is_named(rows: ModuleType, make: object, said: str) -> None:
    with pytest.raises(rows.RowError, match=said):
        make(rows)  # type: ignore[operator]


def test_ini_files_keep_what_else_is_in_them(rows: ModuleType) -> None:
    text = "; mine\n[A]\nx=1\ny=2\n\n[B]\nx=3\n"
    once = rows.set_ini(text, "A", "x", "9")
    assert once == "; mine\n[A]\ny=2\nx=9\n\n[B]\nx=3\n"
    assert rows.set_ini(once, "A", "x", "9") == once
    assert rows.set_ini("", "New", "k", "v") == "[New]\nk=v\n"
    added = rows.set_ini(rows.set_ini("", "P", "Maps", "1", add=True), "P", "Maps", "2", add=True)
    assert added == "[P]\n+Maps=1\n+Maps=2\n"
    assert rows.set_ini(added, "P", "Maps", "1", add=True) == added


def test_a_folder_is_imported_with_what_its_table_says(unreal: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "animals"
    (folder / "big").mkdir(parents=True)
    for name in ("zebra.glb", "big/Elephant 1.fbx", "broken.obj", "notes.txt"):
        (folder / name).write_bytes(b"")
    (folder / "characters.csv").write_text(
        "file,name,class_id,class_name,yaw,license\nzebra.glb,Zebra,70,Zebra,-90,CC0\n"
    )
    names = importlib.import_module("tmv_import").run(str(folder))
    assert names == ["Elephant_1", "Zebra"]
    table = list(csv.DictReader(io.StringIO(unreal.assets["/Game/TorchMultiverse/Characters"].csv)))
    elephant, zebra = table
    assert elephant["SkeletalMesh"] == "/Game/TorchMultiverse/Meshes/Elephant_1/Elephant_1.Elephant_1"
    assert (zebra["StaticMesh"], zebra["SkeletalMesh"]) == ("/Game/TorchMultiverse/Meshes/zebra/zebra.zebra", "")
    assert (zebra["ClassId"], zebra["License"], zebra["Turn"]) == (
        "70", "CC0", "(Pitch=0.000000,Yaw=-90.000000,Roll=0.000000)",
    )  # fmt: skip
    assert ("warning", "TorchMultiverse: broken.obj gave no mesh and is left out") in unreal.said
    ini = (tmp_path / "Config" / "DefaultGame.ini").read_text()
    assert ini == (
        "[/Script/TorchMultiverseBridge.TmvSettings]\nCharacters=/Game/TorchMultiverse/Characters.Characters\n\n"
        "[/Script/UnrealEd.ProjectPackagingSettings]\n"
        '+DirectoriesToAlwaysCook=(Path="/Game/TorchMultiverse")\n'
    )


def test_a_table_that_names_no_file_imports_nothing(unreal: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(b"")
    (tmp_path / "characters.csv").write_text("file,name\nb.glb,B\n")
    run = importlib.import_module("tmv_import").run
    with pytest.raises(ValueError, match=r"'b\.glb' is no mesh"):
        run(str(tmp_path))
    (tmp_path / "characters.csv").write_text("file,colour\na.glb,red\n")
    with pytest.raises(ValueError, match=r"columns \['colour'\]"):
        run(str(tmp_path))
    assert not unreal.assets


def test_levels_become_worlds_by_their_stages(unreal: ModuleType, tmp_path: Path) -> None:
    for name, kind in [("Snow", "World"), ("SaltFlats", "World"), ("Huge", "World"), ("Rock", "StaticMesh")]:
        asset = getattr(unreal, kind)()
        asset.path = f"/Game/Maps/{name}"
        unreal.assets[asset.path] = asset
    unreal.actors["/Game/Maps/SaltFlats"] = [
        stub.Actor("view B", ("TmvStage",), (100, 0, 50), 180),
        stub.Actor("view A", ("TmvStage", "x"), (0, 0, 0), 0),
        stub.Actor("stone", (), (9, 9, 9), 9),
    ]
    unreal.actors["/Game/Maps/Huge"] = [unreal.WorldDataLayers()]
    assert importlib.import_module("tmv_worlds").run("/Game/Maps") == ["SaltFlats_0", "SaltFlats_1", "Snow"]
    table = list(csv.DictReader(io.StringIO(unreal.assets["/Game/TorchMultiverse/Worlds"].csv)))
    assert [row["StageYaw"] for row in table] == ["0", "180", "0"]
    assert table[1]["Stage"] == "(X=100.000000,Y=0.000000,Z=50.000000)"
    assert table[0]["Level"] == table[1]["Level"] == "/Game/Maps/SaltFlats.SaltFlats"
    ini = (tmp_path / "Config" / "DefaultGame.ini").read_text()
    assert '+MapsToCook=(FilePath="/Game/Maps/SaltFlats")' in ini
    assert "Huge" not in ini
    assert any("Huge is a partitioned world" in text for _, text in unreal.said)


def test_the_stencil_counts_only_where_nothing_is_in_front(unreal: ModuleType, tmp_path: Path) -> None:
    importlib.import_module("tmv_materials").run()
    importlib.import_module("tmv_materials").run()  # again: they are made anew
    made = unreal.assets["/Game/TorchMultiverse/M_TmvStencil"]
    assert made.properties == {"material_domain": "post process", "blendable_location": "tone mapper"}
    pins = [pin for _, _, other, pin in unreal.connected if other == "MaterialExpressionIf"]
    assert pins[:5] == ["A", "B", "A > B", "A == B", "A < B"]
    assert ("MaterialExpressionIf", "", "emissive", "") in unreal.connected
    assert (tmp_path / "Config" / "DefaultEngine.ini").read_text() == (
        "[/Script/Engine.RendererSettings]\nr.CustomDepth=3\n"
    )
    ini = (tmp_path / "Config" / "DefaultGame.ini").read_text()
    assert "StencilMaterial=/Game/TorchMultiverse/M_TmvStencil.M_TmvStencil" in ini


def test_a_pin_with_another_name_is_said(unreal: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse = staticmethod(lambda one, output, other, pin: pin != "A > B")
    monkeypatch.setattr(unreal.MaterialEditingLibrary, "connect_material_expressions", refuse)
    with pytest.raises(RuntimeError, match="MaterialExpressionIf 'A > B'"):
        importlib.import_module("tmv_materials").run()


def test_without_the_plugin_the_tables_cannot_be_made(unreal: ModuleType) -> None:
    del unreal.TmvWorldRow  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="is not loaded"):
        importlib.import_module("tmv_editor").table("Worlds")
