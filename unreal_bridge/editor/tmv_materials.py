"""Make the two materials that the plugin needs, and switch on custom depth with stencil.

    import tmv_materials; tmv_materials.run()

``M_TmvStencil``: post-process, writes the stencil of what is seen. Custom depth is drawn without regard to what stands
in front, so the stencil counts only where the custom depth is no further than the scene's depth.
``M_TmvMarker``: post-process, shows the texture parameter ``Card`` over the whole picture.
"""

from __future__ import annotations

from typing import Any

import tmv_editor
import unreal

EDIT = unreal.MaterialEditingLibrary
SLACK = 1.0
"""Centimetres by which custom depth may lie behind the scene's: both are of the same surface, rounded differently."""


def _material(name: str) -> Any:
    path = f"{tmv_editor.FOLDER}/{name}"
    if unreal.EditorAssetLibrary.does_asset_exist(path):
        unreal.EditorAssetLibrary.delete_asset(path)
    tools = unreal.AssetToolsHelpers.get_asset_tools()
    made = tools.create_asset(name, tmv_editor.FOLDER, unreal.Material, unreal.MaterialFactoryNew())
    made.set_editor_property("material_domain", unreal.MaterialDomain.MD_POST_PROCESS)
    made.set_editor_property("blendable_location", unreal.BlendableLocation.BL_REPLACING_TONEMAPPER)
    return made


def _connect(one: Any, output: str, other: Any, pin: str) -> None:
    if not EDIT.connect_material_expressions(one, output, other, pin):
        names = f"{type(one).__name__} {output!r} to {type(other).__name__} {pin!r}"
        raise RuntimeError(f"Unreal did not connect {names}; its names of pins differ from those in this script")


def _scene_texture(material: Any, which: Any, y: int) -> Any:
    node = EDIT.create_material_expression(material, unreal.MaterialExpressionSceneTexture, -900, y)
    node.set_editor_property("scene_texture_id", which)
    red = EDIT.create_material_expression(material, unreal.MaterialExpressionComponentMask, -650, y)
    red.set_editor_property("r", True)
    for channel in ("g", "b", "a"):
        red.set_editor_property(channel, False)
    _connect(node, "Color", red, "")
    return red


def _finish(material: Any, node: Any, output: str = "") -> str:
    if not EDIT.connect_material_property(node, output, unreal.MaterialProperty.MP_EMISSIVE_COLOR):
        raise RuntimeError(f"Unreal did not connect {type(node).__name__} {output!r} to the emissive color")
    EDIT.recompile_material(material)
    path = material.get_path_name().split(".")[0]
    unreal.EditorAssetLibrary.save_asset(path)
    return path


def stencil() -> str:
    """Make ``M_TmvStencil`` and return its path."""
    made = _material("M_TmvStencil")
    number = _scene_texture(made, unreal.SceneTextureId.PPI_CUSTOM_STENCIL, 0)
    own = _scene_texture(made, unreal.SceneTextureId.PPI_CUSTOM_DEPTH, 250)
    seen = _scene_texture(made, unreal.SceneTextureId.PPI_SCENE_DEPTH, 500)
    slack = EDIT.create_material_expression(made, unreal.MaterialExpressionAdd, -450, 500)
    slack.set_editor_property("const_b", SLACK)
    _connect(seen, "", slack, "A")
    none = EDIT.create_material_expression(made, unreal.MaterialExpressionConstant, -450, 700)
    none.set_editor_property("r", 0.0)
    choose = EDIT.create_material_expression(made, unreal.MaterialExpressionIf, -200, 250)
    for node, pin in ((own, "A"), (slack, "B"), (none, "A > B"), (number, "A == B"), (number, "A < B")):
        _connect(node, "", choose, pin)
    return _finish(made, choose)


def marker() -> str:
    """Make ``M_TmvMarker`` and return its path."""
    made = _material("M_TmvMarker")
    card = EDIT.create_material_expression(made, unreal.MaterialExpressionTextureSampleParameter2D, -500, 0)
    card.set_editor_property("parameter_name", "Card")
    return _finish(made, card, "RGB")


def run() -> None:
    """Make both, name them in the plugin's settings, and set ``r.CustomDepth=3`` for the project."""
    tmv_editor.set_settings({"StencilMaterial": stencil(), "MarkerMaterial": marker()})
    tmv_editor.edit_ini("DefaultEngine.ini", tmv_editor.RENDERER, [("r.CustomDepth", "3")])


if __name__ == "__main__":
    run()
