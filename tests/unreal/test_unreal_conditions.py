"""What the plugin's documents say of conditions. What could silently be wrong: a condition of the table of which nobody
reads whether a project has it, or a catalogue as the documents show it that is none.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from torchmultiverse.engines import Catalogue
from torchmultiverse.scenes import FACTORS, Scene

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "unreal.md").read_text("utf-8")
PLUGIN = (ROOT / "unreal_bridge" / "TorchMultiverseBridge" / "README.md").read_text("utf-8")
STAND_IN = json.loads((ROOT / "unreal_bridge" / "stand_in" / "catalogue.json").read_text("utf-8"))
CONDITIONS = {factor.wire: factor for factor in FACTORS if factor.group}


def test_every_condition_is_the_plugins_or_named_as_one_that_it_does_not_make() -> None:
    rows = {name for line in PLUGIN.splitlines() if line.startswith("| `") for name in _named(line.split("|")[1])}
    sentence = re.search(r"The plugin does not make (.*?)\. A project", GUIDE, re.DOTALL)
    assert sentence is not None
    others = _named(sentence[1])
    made = rows & CONDITIONS.keys()
    assert not made & others
    assert made | others == CONDITIONS.keys()
    assert made == STAND_IN["factors"].keys() & CONDITIONS.keys(), "the stand-in offers what a plugin may"


def test_the_catalogue_that_the_guide_shows_is_one() -> None:
    (block,) = re.findall(r'```json\n(\{"factors".*?)\n```', GUIDE, re.DOTALL)
    catalogue = Catalogue.model_validate({"engine": "mine", **json.loads(block)})
    catalogue = catalogue.model_copy(update={"factors": {**catalogue.factors, **_worlds()}})
    scene = Scene({"World_Name": "Desert", "World_Region": "east_asia", "Rain": 20, "Fog_Visibility": "own"})
    catalogue.check(scene)
    for level in catalogue.factors["Occluder"].levels or []:
        catalogue.check(scene.changed(Occluder=level))
    for name, choice in catalogue.factors.items():
        if CONDITIONS.get(name) is not None and CONDITIONS[name].kind == "category":
            assert CONDITIONS[name].default in (choice.levels or []), name


def _worlds() -> dict[str, object]:
    return dict(Catalogue.model_validate({"engine": "x", "factors": {"World_Name": {"levels": ["Desert"]}}}).factors)


def _named(text: str) -> set[str]:
    return set(re.findall(r"`([A-Z][A-Za-z_]+)`", text))
