"""Import a folder of meshes as characters, and fill the table of characters.

In the editor: Tools, Execute Python Script; or in its Python console

    import tmv_import; tmv_import.run("/home/me/animals")

A file ``characters.csv`` in the folder says more of each file: name, class, yaw, size, licence (see
`tmv_rows.read_table`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tmv_editor
import tmv_rows
import unreal


def mesh_of(paths: list[str]) -> Any | None:
    """Return the mesh among what a file gave: a skeletal one before a static one, as the plugin prefers it."""
    loaded = [unreal.EditorAssetLibrary.load_asset(path) for path in paths]
    for kind in (unreal.SkeletalMesh, unreal.StaticMesh):
        for one in loaded:
            if isinstance(one, kind):
                return one
    return None


def run(folder: str, into: str = tmv_editor.FOLDER + "/Meshes") -> list[str]:
    """Import all meshes of a folder; return the names of the characters.

    Raises:
        RowError: the folder's table or a name is wrong; nothing is imported then.
    """
    root = Path(folder).expanduser()
    files = tmv_rows.mesh_files(root)
    said = tmv_rows.read_table(root)
    names = [path.relative_to(root).as_posix() for path in files]
    rows = []
    for name, paths in zip(names, tmv_editor.import_files(files, into)):  # noqa: B905 - Python 3.9
        mesh = mesh_of(paths)
        if mesh is None:
            unreal.log_warning(f"TorchMultiverse: {name} gave no mesh and is left out")
            continue
        package = mesh.get_path_name().split(".")[0]
        rows.append(tmv_rows.character(name, package, isinstance(mesh, unreal.SkeletalMesh), said.get(name)))
    tmv_editor.fill("Characters", rows)
    unreal.log(f"TorchMultiverse: {len(rows)} characters of {len(files)} files")
    return [row.name for row in rows]


if __name__ == "__main__":
    run(sys.argv[1])
