"""The table of what was renamed, against the code.

Silently wrong would be a name that lives on beside its successor: two words for one thing, and a reader who takes them
for two.
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from torchmultiverse.cli.app import app

ROOT = Path(__file__).resolve().parent.parent
with open(ROOT / "docs" / "renames.csv", newline="") as _file:
    ROWS = [tuple(row[column] for column in ("old", "new", "kind", "where")) for row in csv.DictReader(_file)]
DEFINITIONS = ("class", "function", "constant")
MEMBERS = ("attribute", "method", "property")
WORDS = ("column", "key", "timing", "file", "value")
KINDS = (*DEFINITIONS, *MEMBERS, *WORDS, "module", "parameter", "command", "option")


@cache
def _trees(where: str) -> dict[str, ast.Module]:
    """Return the syntax trees of a module, or of all modules of a package, by path below the root."""
    base = ROOT / where.replace(".", "/")
    files = sorted(base.rglob("*.py")) if base.is_dir() else [base.with_suffix(".py")]
    return {str(file.relative_to(ROOT)): _tree(file) for file in files}


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@cache
def _nodes(tree: ast.Module) -> dict[str, list[ast.AST]]:
    """Return the classes and functions of a module by name, wherever they stand."""
    found: dict[str, list[ast.AST]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.setdefault(node.name, []).append(node)
    return found


def _targets(node: ast.stmt) -> set[str]:
    found = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {name.id for target in found for name in ast.walk(target) if isinstance(name, ast.Name)}


def _defined(body: list[ast.stmt]) -> set[str]:
    """Return the names that statements at one level define."""
    names = {n.name for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return names.union(*map(_targets, body)) if body else names


@cache
def _at_top(tree: ast.Module) -> set[str]:
    return _defined(tree.body)


def _members(tree: ast.Module, owner: str) -> set[str]:
    """Return what a class defines: in its body, and on ``self``."""
    found = set()
    for node in _nodes(tree).get(owner, ()):
        if isinstance(node, ast.ClassDef):
            found |= _defined(node.body)
            stores = (n for n in ast.walk(node) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store))
            found |= {n.attr for n in stores if isinstance(n.value, ast.Name) and n.value.id == "self"}
    return found


def _parameters(tree: ast.Module, function: str) -> set[str]:
    """Return the parameters of functions of that name, and of the constructor of a class of that name."""
    found = set()
    for node in _nodes(tree).get(function, ()):
        body = [node]
        if isinstance(node, ast.ClassDef):
            found |= _defined(node.body)
            body = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        for one in body:
            if isinstance(one, ast.FunctionDef):
                found |= {a.arg for a in (*one.args.posonlyargs, *one.args.args, *one.args.kwonlyargs)}
    return found


@cache
def _strings(tree: ast.Module) -> set[str]:
    """Return the text constants of a module outside docstrings and outside what migrates old records."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        name = getattr(node, "name", "") or " ".join(_targets(node) if isinstance(node, ast.stmt) else ())
        if re.search(r"migrat|former", str(name), re.IGNORECASE):
            skipped |= {id(inner) for inner in ast.walk(node)}
    return {
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in skipped
    }


@cache
def _root() -> Any:
    return typer.main.get_command(app)


def _command(words: list[str]) -> Any:
    """Return a command of the command line; ``None`` if there is none of that name."""
    found: Any = _root()
    for word in words:
        found = getattr(found, "commands", {}).get(word)
    return found


def _commands(where: str) -> Iterator[Any]:
    """Yield the commands that an option's row names, ``eval run; report``; all of them for ``torchmultiverse``."""
    found = [_command([] if one == "torchmultiverse" else one.split()) for one in where.split("; ")]
    while found:
        command = found.pop()
        found += getattr(command, "commands", {}).values()
        yield command


def _lives(old: str, new: str, kind: str, where: str) -> list[str]:
    """Return where an old name is still defined."""
    if kind == "command":
        words = old.removeprefix("torchmultiverse ").split()
        return [old] if _command(words) is not None else []
    if kind == "option":
        return [c.name for c in _commands(where) if any(old in option.opts for option in c.params)]
    if kind == "module":
        place = old if old.startswith("torchmultiverse.") else f"{where}.{old}"
        base = ROOT / place.replace(".", "/")
        return [str(path) for path in (base.with_suffix(".py"), base / "__init__.py") if path.exists()]
    if kind in DEFINITIONS and old.startswith("torchmultiverse.") and _place(old.rpartition(".")[0]):
        where = old.rpartition(".")[0]  # moved to another module
    trees = _trees(where)
    if kind in DEFINITIONS:
        name = old.rpartition(".")[2]
        return [path for path, tree in trees.items() if name in _at_top(tree)]
    if kind in MEMBERS:
        name = old.rpartition(".")[2]
        owners = {text.split(".")[-2] for text in (old, new) if "." in text}
        return [path for path, tree in trees.items() if any(name in _members(tree, owner) for owner in owners)]
    if kind == "parameter":
        function, _, name = old.removesuffix("=)").rpartition("(")
        owners = {function.split(".")[-1], new.partition("(")[0].split(".")[-1]}
        return [path for path, tree in trees.items() if any(name in _parameters(tree, owner) for owner in owners)]
    word = old.split()[-1]
    return [path for path, tree in trees.items() if word in _strings(tree) and not path.endswith("migrations.py")]


def test_the_table_says_what_of_each_row_is_known() -> None:
    assert len(ROWS) > 100
    assert not [row for row in ROWS if not all(row) or row[2] not in KINDS]
    missing = {where for _, _, kind, where in ROWS if kind not in ("command", "option") and not _place(where)}
    assert not missing, "packages or modules that are not there"
    assert all(command is not None for row in ROWS if row[2] == "option" for command in _commands(row[3]))


def _place(where: str) -> bool:
    base = ROOT / where.replace(".", "/")
    return base.is_dir() or base.with_suffix(".py").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_no_old_name_lives_on(kind: str) -> None:
    alive = {row[:2]: found for row in ROWS if row[2] == kind and (found := _lives(*row))}
    assert not alive


def test_a_name_that_lives_on_is_found() -> None:
    # The test above cannot fail where its search finds nothing at all.
    assert _lives("Scene", "X", "class", "torchmultiverse.scenes")
    assert _lives("torchmultiverse.scenes.scene", "x", "module", "torchmultiverse")
    assert _lives("Scene.changed", "Scene.x", "method", "torchmultiverse.scenes")
    assert _lives("open_engine(token=)", "open_engine(x=)", "parameter", "torchmultiverse.connect")
    assert _lives("scene_id", "x", "column", "torchmultiverse.store")
    assert _lives("doctor", "x", "command", "torchmultiverse")
    assert _lives("--model", "--x", "option", "eval run; report")
