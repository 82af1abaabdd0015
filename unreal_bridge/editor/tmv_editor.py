"""What the editor scripts share: calls of Unreal's editor. Pure logic is in `tmv_rows`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tmv_rows
import unreal

FOLDER = "/Game/TorchMultiverse"
STRUCTS = {"Worlds": "TmvWorldRow", "Characters": "TmvCharacterRow", "Textures": "TmvTextureRow"}
PACKAGING = "/Script/UnrealEd.ProjectPackagingSettings"
RENDERER = "/Script/Engine.RendererSettings"


def project_config(name: str) -> Path:
    """Return the path of an .ini file of the project, such as ``DefaultGame.ini``."""
    return Path(unreal.Paths.convert_relative_path_to_full(unreal.Paths.project_config_dir())) / name


def edit_ini(name: str, section: str, lines: Sequence[tuple[str, str]], *, add: bool = False) -> None:
    """Set keys in an .ini file of the project."""
    path = project_config(name)
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    for key, value in lines:
        text = tmv_rows.set_ini(text, section, key, value, add=add)
    path.write_text(text, encoding="utf-8")
    unreal.log(f"TorchMultiverse: {len(lines)} lines in {path.name}; they count after a restart of the editor")


def set_settings(paths: Mapping[str, str]) -> None:
    """Name assets in the plugin's settings, and have their folder packaged: settings alone do not bring them along."""
    edit_ini("DefaultGame.ini", tmv_rows.SETTINGS, tmv_rows.settings_lines(paths))
    edit_ini("DefaultGame.ini", PACKAGING, [("DirectoriesToAlwaysCook", f'(Path="{FOLDER}")')], add=True)


def table(kind: str) -> Any:
    """Return the data table of a kind (``Worlds``, ``Characters``, ``Textures``), made where there is none.

    Raises:
        RuntimeError: the plugin is not loaded, so that its row structure is not known.
    """
    path = f"{FOLDER}/{kind}"
    if unreal.EditorAssetLibrary.does_asset_exist(path):
        return unreal.EditorAssetLibrary.load_asset(path)
    struct = getattr(unreal, STRUCTS[kind], None)
    if struct is None:
        raise RuntimeError("the plugin TorchMultiverseBridge is not loaded: build the project and enable it")
    factory = unreal.DataTableFactory()
    factory.set_editor_property("struct", struct.static_struct())
    tools = unreal.AssetToolsHelpers.get_asset_tools()
    return tools.create_asset(kind, FOLDER, unreal.DataTable, factory)


def fill(kind: str, rows: Sequence[Any]) -> str:
    """Fill the table of a kind with rows, save it, name it in the settings, and return its path.

    Raises:
        RowError: a row is wrong.
        RuntimeError: Unreal did not take the rows; the output log says why.
    """
    made = table(kind)
    if not unreal.DataTableFunctionLibrary.fill_data_table_from_csv_string(made, tmv_rows.table_csv(rows)):
        raise RuntimeError(f"Unreal did not take the rows of {kind}; the output log says why")
    path = f"{FOLDER}/{kind}"
    unreal.EditorAssetLibrary.save_asset(path)
    set_settings({kind: path})
    return path


def import_files(files: Sequence[Path], folder: str) -> list[list[str]]:
    """Import files into a folder of the project, without questions; return the paths of what each file gave."""
    tasks = []
    for file in files:
        task = unreal.AssetImportTask()
        task.set_editor_property("filename", str(file))
        task.set_editor_property("destination_path", f"{folder}/{tmv_rows.level_name(file.stem)}")
        task.set_editor_property("automated", True)
        task.set_editor_property("replace_existing", True)
        task.set_editor_property("save", True)
        tasks.append(task)
    unreal.AssetToolsHelpers.get_asset_tools().import_asset_tasks(tasks)
    return [[str(path) for path in task.get_editor_property("imported_object_paths")] for task in tasks]
