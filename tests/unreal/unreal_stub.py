"""A stand-in for the module ``unreal`` of Unreal's editor: as much of it as the editor scripts call, with names of
Epic's Python reference. Assets are kept in a dictionary by path."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any


class Asset:
    """Anything with properties and a path."""

    path = ""

    def __init__(self) -> None:
        self.properties: dict[str, Any] = {}

    def set_editor_property(self, name: str, value: Any) -> None:
        self.properties[name] = value

    def get_editor_property(self, name: str) -> Any:
        return self.properties[name]

    def get_path_name(self) -> str:
        return f"{self.path}.{self.path.rsplit('/', 1)[1]}"


def make(config: Path, imports: dict[str, list[tuple[str, str]]]) -> types.ModuleType:
    """Return the module.

    Args:
        config: the project's folder of .ini files.
        imports: suffix of a file → the assets that it gives: their class and the end of their name.
    """
    module: Any = types.ModuleType("unreal")
    module.assets = {}
    module.said = []
    module.connected = []
    kinds = (  # noqa: SIM905
        "SkeletalMesh StaticMesh Texture2D World DataTable Material DataTableFactory MaterialFactoryNew "
        "AssetImportTask WorldDataLayers MaterialExpressionSceneTexture MaterialExpressionComponentMask "
        "MaterialExpressionAdd MaterialExpressionConstant MaterialExpressionIf "
        "MaterialExpressionTextureSampleParameter2D"
    ).split()
    for kind in kinds:
        setattr(module, kind, type(kind, (Asset,), {}))
    for row in ("TmvWorldRow", "TmvCharacterRow", "TmvTextureRow"):
        setattr(module, row, type(row, (), {"static_struct": classmethod(lambda cls: cls.__name__)}))
    module.log = lambda text: module.said.append(("log", text))
    module.log_warning = lambda text: module.said.append(("warning", text))

    class Paths:
        project_config_dir = staticmethod(lambda: str(config))
        convert_relative_path_to_full = staticmethod(lambda path: path)

    class EditorAssetLibrary:
        does_asset_exist = staticmethod(lambda path: path in module.assets)
        load_asset = staticmethod(lambda path: module.assets.get(path.split(".")[0]))
        save_asset = staticmethod(lambda path: path in module.assets)
        delete_asset = staticmethod(lambda path: module.assets.pop(path))

        @staticmethod
        def list_assets(folder: str, recursive: bool = True) -> list[str]:
            return [one.get_path_name() for path, one in module.assets.items() if path.startswith(f"{folder}/")]

    class Tools:
        @staticmethod
        def create_asset(name: str, folder: str, kind: Any, factory: Any) -> Any:
            made = kind()
            made.path = f"{folder}/{name}"
            made.factory = factory
            module.assets[made.path] = made
            return made

        @staticmethod
        def import_asset_tasks(tasks: list[Any]) -> None:
            for task in tasks:
                file = Path(task.get_editor_property("filename"))
                assert task.get_editor_property("automated")
                paths = []
                for kind, end in imports.get(file.suffix, []):
                    made = getattr(module, kind)()
                    name = file.stem.replace(" ", "_")  # as Unreal names assets
                    made.path = f"{task.get_editor_property('destination_path')}/{name}{end}"
                    module.assets[made.path] = made
                    paths.append(made.get_path_name())
                task.set_editor_property("imported_object_paths", paths)

    class DataTableFunctionLibrary:
        @staticmethod
        def fill_data_table_from_csv_string(table: Any, text: str) -> bool:
            table.csv = text
            return text.startswith('"---"')

    class MaterialEditingLibrary:
        @staticmethod
        def create_material_expression(material: Any, kind: Any, x: int, y: int) -> Any:
            return kind()

        @staticmethod
        def connect_material_expressions(one: Any, output: str, other: Any, pin: str) -> bool:
            module.connected.append((type(one).__name__, output, type(other).__name__, pin))
            return True

        @staticmethod
        def connect_material_property(node: Any, output: str, which: str) -> bool:
            module.connected.append((type(node).__name__, output, which, ""))
            return True

        recompile_material = staticmethod(lambda material: None)

    module.Paths = Paths
    module.EditorAssetLibrary = EditorAssetLibrary
    module.AssetToolsHelpers = types.SimpleNamespace(get_asset_tools=lambda: Tools)
    module.DataTableFunctionLibrary = DataTableFunctionLibrary
    module.MaterialEditingLibrary = MaterialEditingLibrary
    module.MaterialDomain = types.SimpleNamespace(MD_POST_PROCESS="post process")
    module.BlendableLocation = types.SimpleNamespace(BL_REPLACING_TONEMAPPER="tone mapper")
    module.MaterialProperty = types.SimpleNamespace(MP_EMISSIVE_COLOR="emissive")
    module.SceneTextureId = types.SimpleNamespace(
        PPI_CUSTOM_STENCIL="stencil", PPI_CUSTOM_DEPTH="custom depth", PPI_SCENE_DEPTH="scene depth"
    )
    module.opened = []
    module.actors = {}
    module.EditorLoadingAndSavingUtils = types.SimpleNamespace(load_map=module.opened.append)
    module.EditorLevelLibrary = types.SimpleNamespace(
        get_all_level_actors=lambda: module.actors.get(module.opened[-1], [])
    )
    return module


class Actor(Asset):
    """An actor in a level."""

    def __init__(self, label: str, tags: tuple[str, ...], at: tuple[float, float, float], yaw: float) -> None:
        super().__init__()
        self._label, self._tags, self._at, self._yaw = label, tags, at, yaw

    def actor_has_tag(self, tag: str) -> bool:
        return tag in self._tags

    def get_actor_label(self) -> str:
        return self._label

    def get_actor_location(self) -> Any:
        return types.SimpleNamespace(x=self._at[0], y=self._at[1], z=self._at[2])

    def get_actor_rotation(self) -> Any:
        return types.SimpleNamespace(yaw=self._yaw)
