"""Two places that say the version drift apart, and a dataset's manifest then names a release that did not make it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import torchmultiverse
from torchmultiverse.version import __version__

ROOT = Path(__file__).parents[2]


def test_the_version_is_said_in_one_place() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in settings["project"]
    assert settings["project"]["dynamic"] == ["version"]
    assert settings["tool"]["hatch"]["version"]["path"] == "torchmultiverse/version.py"
    assert torchmultiverse.__version__ == __version__


def test_no_module_asks_the_front_door_for_the_version() -> None:
    """`from torchmultiverse import …` inside the package goes back to what imports all of it."""
    inside = (ROOT / "torchmultiverse").rglob("*.py")
    assert [str(p) for p in inside if re.search(r"from torchmultiverse import .*__version__", p.read_text())] == []


def test_the_citation_names_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.*)$", citation, re.M) == [__version__]
