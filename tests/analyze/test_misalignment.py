"""Trainings that ask for other things than are asked of them later, told by the gap between trunk and head.

What could silently be wrong: a gap of the wrong sign, an encoder that was trained on the pictures it is asked about, or
levels of one factor under another's name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchmultiverse.analyze.analysis import Analysis, analyse, portrayed
from torchmultiverse.analyze.depth import depths, gaps
from torchmultiverse.analyze.mismatch import misalignment, read_recipe, usual_recipes
from torchmultiverse.errors import ModelError
from torchmultiverse.features.extract import Features
from torchmultiverse.store import ImageList
from torchmultiverse.train import EncoderTraining

pytest.importorskip("torch")


def planted() -> Features:
    """A trunk that has shape and colour, and a head that lost the colour and has cleaned the shape."""
    rng = np.random.default_rng(0)
    shape, colour = rng.integers(0, 4, 1200), rng.integers(0, 4, 1200)
    a, b = rng.normal(size=(4, 16)), rng.normal(size=(4, 16))
    trunk = np.concatenate([a[shape] + 1.6 * rng.normal(size=(1200, 16)), b[colour] + rng.normal(size=(1200, 16))], 1)
    head = a[shape] + 0.5 * rng.normal(size=(1200, 16))
    layers: dict[str, Any] = {"trunk": trunk.astype("f4"), "head": head.astype("f4")}
    return Features("planted", "data", layers, {"shape": shape, "colour": colour}, np.arange(1200), {})


def test_the_gap_has_the_sign_of_what_was_lost() -> None:
    found = {one.factor: one for one in gaps(planted(), by="rows", quiet=True)}
    assert found["colour"].low > 0.3
    assert found["shape"].high < 0
    assert found["colour"].gap == pytest.approx(found["colour"].first - found["colour"].last)


def test_levels_are_told_one_by_one() -> None:
    """One level is twice as noisy as the others: it is the hardest, and its pictures are counted."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 3, 1500)
    centres = 2.5 * np.eye(3)
    x = (centres[label] + np.where(label == 2, 3.0, 0.7)[:, None] * rng.normal(size=(1500, 3))).astype("f4")
    names = np.array(["easy", "fine", "hard"], object)[label]
    found = depths(Features("m", "d", {"only": x}, {"label": names}, np.arange(1500), {}), by="rows", quiet=True)
    scores = {one.level: one for one in found.levels}
    assert set(scores) == {"easy", "fine", "hard"}
    assert scores["hard"].high < min(scores["easy"].low, scores["fine"].low)
    assert sum(one.pictures for one in found.levels) == found.reaches[0].test
    whole = sum(one.score * one.pictures for one in found.levels) / found.reaches[0].test
    assert whole == pytest.approx(found.reaches[0].score)
    assert portrayed(found) == ["only"]


def test_recipes_are_read_and_have_sensible_defaults() -> None:
    base = EncoderTraining(method="vicreg", epochs=3)
    one = read_recipe("same animal: pairs=character_name augment=crop+flip", base)
    assert (one.name, one.training.pairs, one.training.augment) == ("same animal", "character_name", ("crop", "flip"))
    assert (one.training.method, one.training.epochs, one.label) == ("vicreg", 3, None)
    assert read_recipe("yaw: method=supervised label=camera_yaw", base).label == "camera_yaw"
    with pytest.raises(ModelError, match="is no recipe"):
        read_recipe("method=simclr", base)
    columns = {"character_name": np.array(["a", "b"]), "camera_yaw": np.array([0, 90])}
    usual = usual_recipes(columns, ["camera_yaw", "character_name"], base)
    assert [recipe.name for recipe in usual] == [
        "vicreg: views", "vicreg: views that keep colours", "vicreg: pairs of the same character",
        "supervised: character", "supervised: camera yaw",
    ]  # fmt: skip
    assert "color" not in usual[1].training.augment
    assert usual[2].training.pairs == "character_name"


def test_encoders_are_asked_about_pictures_that_they_never_saw(tmp_path: Path) -> None:
    pytest.importorskip("lightly")
    pytest.importorskip("timm")
    from test_ssl import shapes

    data: ImageList = shapes(160)
    small = EncoderTraining(method="vicreg", size=32, head=(16, 8), epochs=1, batch_size=16)
    recipes = [read_recipe("views: scale=0.5", small), read_recipe("colour: method=supervised label=colour", small)]
    found = misalignment(data, tmp_path, recipes, group="rows", store=tmp_path / "kept", quiet=True)
    assert [len(mine) for mine in found.gaps] == [2, 2]
    page = found.save(tmp_path).read_text()
    assert "views" in page
    lines = (tmp_path / "guillotine.csv").read_text().splitlines()
    assert len(lines) == 5
    import json

    assert json.loads((tmp_path / "encoders" / "01" / "config.json").read_text())["pictures"] == 80
    with pytest.raises(ModelError, match="one name"):
        misalignment(data, tmp_path / "two", [recipes[0], recipes[0]], quiet=True)


def test_a_limited_analysis_is_of_that_many_pictures(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    from test_ssl import shapes

    found = analyse(
        "timm:resnet10t/random?size=32", shapes(160), ["layer1.0", "layer4.0"], probes=["knn"], group="rows", few=True,
        against="timm:resnet10t/random?size=32", limit=120, store=tmp_path / "kept", quiet=True,
    )  # fmt: skip
    assert isinstance(found, Analysis)
    assert found.dataset["pictures"] == 120
    assert found.dataset["name"] == "pictures, 120 pictures"
    # Layers of the same weights are the same; the other way round the matrix would be turned.
    assert found.alike is not None
    for row, layer in enumerate(("layer1.0", "layer4.0")):
        assert found.alike.cka[row][found.alike.layers.index(layer)] == pytest.approx(1, abs=1e-6)
    shares = {one.share for one in found.budgets}
    assert len(shares) == 5
    whole = {(r.factor, r.layer): r.score for r in found.depths.reaches} if found.depths else {}
    for one in found.budgets:
        if one.share == 1:
            assert one.score == whole[one.factor, one.layer]
