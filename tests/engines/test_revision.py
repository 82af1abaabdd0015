"""The picture revision, against reference pictures.

Silently wrong would be: pictures that change while the engine says that it is the same, so that a half-made dataset
goes on with pictures of both kinds and its labels no longer say what is seen.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import references
from PIL import Image

from torchmultiverse.engines.builtin import engine as engine_module
from torchmultiverse.engines.builtin.engine import REVISION, BuiltinEngine, ProceduralAssets
from torchmultiverse.engines.builtin.variant import probe

HALF_A_LEVEL = 0.5
AGAIN = "If that is meant, raise REVISION in engines/builtin/engine.py and run: python tests/engines/references.py"


@pytest.mark.parametrize("variant", ["scalar_rgb", pytest.param("llvm_ad_rgb", marks=pytest.mark.slow)])
def test_the_pictures_of_a_revision_stay(variant: str, tmp_path: Path) -> None:
    kept = json.loads((references.FOLDER / "facts.json").read_text())
    assert kept["revision"] == REVISION, f"the reference pictures are of another revision. {AGAIN}"
    if kept["mitsuba"] != references.facts()["mitsuba"]:
        pytest.skip(f"the reference pictures were made with Mitsuba {kept['mitsuba']}")
    if variant == "llvm_ad_rgb" and probe().chosen == "scalar_rgb":
        pytest.skip("only the scalar variant works here")
    command = [sys.executable, references.__file__, "--variant", variant, "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    before = references.kept(variant).astype(float)
    now = references.kept(variant, tmp_path).astype(float)
    apart = np.abs(now - before).mean((1, 2, 3))
    changed = [f"{n}: {apart[n]:.2f} {references.SCENES[n]}" for n in np.flatnonzero(apart > HALF_A_LEVEL)]
    assert not changed, f"pictures of revision {REVISION} have changed, in grey levels. {AGAIN}\n" + "\n".join(changed)


def test_the_references_show_what_can_be_drawn() -> None:
    """Every kind of texture and every angle is in them."""
    from torchmultiverse.resources import data_folder

    shown = {str(value) for scene in references.SCENES for value in scene.values()}
    textures = json.loads((data_folder("scenes") / "textures.json").read_text())
    kinds = {texture["pattern"] for texture in textures.values()}
    assert {textures[name]["pattern"] for name in shown & textures.keys()} == kinds
    named = {factor for scene in references.SCENES for factor in scene}
    angles = {f"{of}_{axis}" for of in ("Camera", "Character_Rotation") for axis in ("Yaw", "Pitch", "Roll")}
    assert angles | {"Character2_Rotation_Yaw", "Scene_Light", "Character_Scale", "Character_Location"} <= named
    sheets = [Image.open(path) for path in references.FOLDER.glob("*.png")]
    assert all(sheet.size == (4 * 64, 3 * 64) for sheet in sheets)


def test_the_fingerprint_knows_the_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    before = BuiltinEngine().catalogue().fingerprint
    assert f"-r{REVISION}-" in before
    monkeypatch.setattr(engine_module, "REVISION", REVISION + 1)
    after = BuiltinEngine().catalogue().fingerprint
    assert after == before.replace(f"-r{REVISION}-", f"-r{REVISION + 1}-")


def test_the_fingerprint_knows_every_file_that_a_picture_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from torchmultiverse.resources import data_folder

    scenes = tmp_path / "scenes"
    shutil.copytree(data_folder("scenes"), scenes)
    monkeypatch.setattr(engine_module, "data_folder", lambda name: tmp_path / name)
    before = ProceduralAssets().fingerprint()
    for name in (
        "worlds/Museum.json",
        "props/chandelier.json",
        "characters/Zebra.json",
        "paints.json",
        "textures.json",
    ):
        text = (scenes / name).read_text()
        (scenes / name).write_text(text + "\n")
        assert ProceduralAssets().fingerprint() != before, name
        (scenes / name).write_text(text)
    assert ProceduralAssets().fingerprint() == before
