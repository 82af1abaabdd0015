"""Register levels of the project as worlds: fills the table of worlds, and has the levels packaged.

    import tmv_worlds; tmv_worlds.run("/Game/Maps")

Each level is a row with its stage at the origin. An actor with the tag ``TmvStage`` in a level moves it there: its
location is the middle of the stage, its yaw where the camera looks; with several of them the level has views, named
``LEVEL_0``, ``LEVEL_1``, … in the order of their labels.
"""

from __future__ import annotations

import sys
from typing import Any

import tmv_editor
import tmv_rows
import unreal

TAG = "TmvStage"


def levels_in(folder: str) -> list[str]:
    """Return the packages of the levels in a folder of the project."""
    paths = unreal.EditorAssetLibrary.list_assets(folder, recursive=True)
    packages = sorted({str(path).split(".")[0] for path in paths})
    return [p for p in packages if isinstance(unreal.EditorAssetLibrary.load_asset(p), unreal.World)]


def stages(actors: list[Any]) -> list[Any]:
    """Return the actors that are stages, in the order of their labels."""
    return sorted((a for a in actors if a.actor_has_tag(TAG)), key=lambda actor: str(actor.get_actor_label()))


def rows_of(level: str, actors: list[Any]) -> list[tmv_rows.World]:
    """Return the rows of a level, by the stages in it."""
    name = tmv_rows.level_name(level.rsplit("/", 1)[1])
    found = stages(actors)
    if not found:
        return [tmv_rows.World(name, level)]
    made = []
    for number, actor in enumerate(found):
        at, turn = actor.get_actor_location(), actor.get_actor_rotation()
        label = name if len(found) == 1 else f"{name}_{number}"
        made.append(tmv_rows.World(label, level, (at.x, at.y, at.z), turn.yaw))
    return made


def run(folder: str) -> list[str]:
    """Register the levels of a folder; return the names of the worlds. Partitioned worlds are left out.

    Raises:
        RowError: a level's name gives no row.
    """
    rows: list[tmv_rows.World] = []
    kept = []
    for level in levels_in(folder):
        unreal.EditorLoadingAndSavingUtils.load_map(level)
        actors = list(unreal.EditorLevelLibrary.get_all_level_actors())
        if any(isinstance(actor, unreal.WorldDataLayers) for actor in actors):
            unreal.log_warning(f"TorchMultiverse: {level} is a partitioned world and cannot be streamed as one level")
            continue
        rows += rows_of(level, actors)
        kept.append(level)
    tmv_editor.fill("Worlds", rows)
    tmv_editor.edit_ini("DefaultGame.ini", tmv_editor.PACKAGING, tmv_rows.maps_to_cook(kept), add=True)
    return [row.name for row in rows]


if __name__ == "__main__":
    run(sys.argv[1])
