"""The documentation names the packages that are there, and of them what others may use.

What could silently be wrong: the build of the site checks no name in the README, in a table or in an example, so that
one that was renamed sends a reader into an error. `tests/cli/test_commands_named.py` holds commands and options.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import torchmultiverse

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "unreal_bridge" / "README.md"]
PAGES += sorted({*(ROOT / "docs").glob("*.md")} - {ROOT / "docs" / "measured.md"})  # which says what was measured


def test_the_architecture_names_every_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = {module.name for module in pkgutil.iter_modules(torchmultiverse.__path__) if module.ispkg}
    assert packages <= set(re.findall(r"^\| ([a-z]+) \|", text, re.M))
    assert packages <= set(re.findall(r"\w+", text[text.index("```text") :].split("```")[1]))


def _public(module: str, name: str) -> Any:
    """Return what a package lets others use, or a module below all packages has."""
    found = importlib.import_module(module)
    assert name in getattr(found, "__all__", dir(found)), f"{module} lets nobody use '{name}'"
    return getattr(found, name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_what_a_page_names_can_be_used(page: Path) -> None:
    text = page.read_text()
    for module, name, more in re.findall(r"`(torchmultiverse\.\w+)\.(\w+)`((?:, `\.\w+`)*)", text):
        for one in (name, *re.findall(r"\w+", more)):
            _public(module, one)
    for example in re.findall(r"```python\n(.*?)```", text, re.S):
        tree, known = ast.parse(example), dict[str, Any]()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torchmultiverse"):
                assert (node.module or "").count(".") < 2, f"{node.module} is inside a package"
                known |= {name.name: _public(node.module or "", name.name) for name in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in known:
                named = {str(keyword.arg): None for keyword in node.keywords}
                inspect.signature(known[node.func.id]).bind(*[None] * len(node.args), **named)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.name}")
def test_a_page_promises_no_time_without_the_machine(page: Path) -> None:
    """A time of one machine is a wrong promise on another. A page that gives one names the processor beside it."""
    for paragraph in page.read_text().split("\n\n"):
        promised = re.search(r"\b(few|a|\d+) (seconds?|minutes?)\b[^.|]*\bcores?\b", paragraph)
        assert not promised or re.search(r"Xeon|EPYC|Ryzen|Core i\d", paragraph), promised[0]
