"""A pack on one picture: its assets from a few sides, by class, to be accepted or dropped at a glance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import Image

from torchmultiverse.assets.library import Item, Pack
from torchmultiverse.assets.packs import LayeredAssets, PackAssets
from torchmultiverse.engines import Engine, Frame, RenderOptions
from torchmultiverse.scenes import Scene
from torchmultiverse.sheets import Tile, contact_sheet

SHEET_YAWS = (0, 45, 315)
_WORLD = "SaltFlats"


def pack_sheet(
    pack: Pack,
    names: Sequence[str] = (),
    side: int = 128,
    columns: int = 4,
    progress: Callable[[str], None] = lambda name: None,
) -> Image.Image:
    """Return a contact sheet of a pack's characters, RGB: each from `SHEET_YAWS`, with its name, class and licence.

    Args:
        pack: a pack.
        names: only these; all by default.
        side: of each picture, pixels.
        columns: how many assets stand in a row.
        progress: called with the name of each asset before it is rendered.

    Raises:
        EngineError: the built-in engine does not work here.
        RenderError: an asset cannot be rendered.
        ImageError: there are none, or too many for one picture.
    """
    from torchmultiverse.engines.builtin import BuiltinEngine, ProceduralAssets

    items = [item for item in pack.manifest.assets if item.kind == "character" and (not names or item.name in names)]
    items.sort(key=lambda item: (item.class_name or item.name, item.name))
    engine = BuiltinEngine(assets=LayeredAssets([PackAssets(pack), ProceduralAssets()]))
    tiles: list[list[Tile]] = []
    try:
        for item in items:
            progress(item.name)
            tiles.append(_tiles(engine, item, side))
    finally:
        engine.close()
    rows = [[tile for one in tiles[k : k + columns] for tile in one] for k in range(0, len(tiles), columns)]
    return contact_sheet(rows, side, group=len(SHEET_YAWS))


def _tiles(engine: Engine, item: Item, side: int) -> list[Tile]:
    scenes = [
        Scene({"World_Name": _WORLD, "Character_Name": item.name, "Camera_Yaw": float(yaw)}) for yaw in SHEET_YAWS
    ]
    labels = [item.name, item.class_name if item.class_name != item.name else "", item.license]
    found = []
    for label, answer in zip(labels, engine.render(scenes, RenderOptions(size=(side, side))), strict=True):
        if not isinstance(answer, Frame):
            raise answer.error()
        found.append(Tile(answer.image, label))
    return found
