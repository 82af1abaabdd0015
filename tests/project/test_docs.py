"""The documentation names the packages that are there; the build of the site cannot see that one is missing. Commands
and options that it names are held by `tests/cli/test_commands_named.py`."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path

import torchmultiverse

ROOT = Path(__file__).parents[2]


def test_the_architecture_names_every_package() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = {module.name for module in pkgutil.iter_modules(torchmultiverse.__path__) if module.ispkg}
    assert packages <= set(re.findall(r"^\| ([a-z]+) \|", text, re.M))
    assert packages <= set(re.findall(r"\w+", text[text.index("```text") :].split("```")[1]))
