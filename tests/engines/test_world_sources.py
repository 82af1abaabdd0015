"""Built worlds and characters are kept under a hash of the code that makes them. A module that is left out of the hash
lets an old one outlive its code: it shows an old picture under a new label, and nothing says so."""

from __future__ import annotations

import ast
from pathlib import Path

from torchmultiverse.engines.builtin import world_builder
from torchmultiverse.engines.builtin.characters import library, plans

PACKAGE = "torchmultiverse.engines.builtin"
FOLDER = Path(world_builder.__file__).parent


def _file(module: str) -> Path | None:
    """Return the file of a module of the built-in engine; its front door holds no code that makes meshes."""
    inner = module.removeprefix(PACKAGE).strip(".")
    if not module.startswith(PACKAGE) or not inner:
        return None
    base = FOLDER.joinpath(*inner.split("."))
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)


def _imported(file: Path) -> set[Path]:
    tree = ast.parse(file.read_text())
    # What only types need makes nothing.
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found |= {path for name in names if (path := _file(name))}
        elif isinstance(node, ast.Import):
            found |= {path for alias in node.names if (path := _file(alias.name))}
    return found


def test_all_code_of_worlds_is_hashed() -> None:
    hashed = set(world_builder._code())
    assert FOLDER / "blocks" / "terrain.py" in hashed
    assert all(file.is_file() for file in hashed)
    for file in hashed:
        assert _imported(file) <= hashed, f"{file.name} uses code that the hash of worlds leaves out"


def test_all_code_of_characters_is_hashed() -> None:
    """What a plan grows is hashed as data, so that the plans' own code need not be."""
    hashed = {Path(path) for path in library._CODE}
    grown = {Path(plans.__file__), Path(plans.__file__).parent.parent / "__init__.py"}
    for file in hashed:
        assert _imported(file) - grown <= hashed, f"{file.name} uses code that the hash of characters leaves out"
