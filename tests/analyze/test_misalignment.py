"""Trainings that ask for other things than are asked of them later, told by the gap between trunk and head.

What could silently be wrong: a gap of the wrong sign, an encoder that was trained on the pictures it is asked about, or
levels of one factor under another's name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchmultiverse.analyze.analysis import Analysis, AnalysisOptions, analyze_model, sampled_layers
from torchmultiverse.analyze.layer_accuracy import layer_gaps, layer_readings, probe_layers
from torchmultiverse.analyze.misalignment import Misalignment, default_recipes, measure_misalignment, parse_recipe
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.trainings import by_layer, mean_gap, mean_reading
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.features.extract import Features
from torchmultiverse.report import write_report
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
    found = {one.factor: one for one in layer_gaps(planted(), by="rows", quiet=True)}
    assert found["colour"].low > 0.3
    assert found["shape"].high < 0
    assert found["colour"].gap == pytest.approx(found["colour"].first - found["colour"].last)


def trained_again(seed: int, shift: float = 0.0) -> Features:
    """The planted features as another training leaves them: other noise, and more or less of it in the trunk."""
    rng, one = np.random.default_rng(seed), planted()
    trunk = one.layers["trunk"] + shift * rng.normal(size=one.layers["trunk"].shape).astype("f4")
    return Features("again", "data", {"trunk": trunk, "head": one.layers["head"]}, one.columns, one.rows, {})


def test_several_trainings_have_a_mean_a_deviation_and_a_wider_interval() -> None:
    """What differs between trainings is in the interval; trainings that agree leave that of the pictures."""
    for shifts, agree in (((0.0, 0.0, 0.0), True), ((0.0, 1.0, 2.5), False)):
        read = [layer_readings(trained_again(k, s), by="rows", quiet=True)[0] for k, s in enumerate(shifts)]
        layers = by_layer(read, "colour")
        gap, one = mean_gap(layers[0], layers[1]), mean_gap(layers[0][:1], layers[1][:1])
        singles = [mean_gap([a], [b]).gap for a, b in zip(*layers, strict=True)]
        assert gap.gap == pytest.approx(np.mean(singles))
        assert gap.gap_std == pytest.approx(np.std(singles, ddof=1))
        assert gap.image_low is not None
        assert (gap.trainings, one.trainings, one.gap_std) == (3, 1, None)
        if agree:
            assert gap.gap_std == pytest.approx(0, abs=1e-9)
            assert (gap.low, gap.high) == pytest.approx((gap.image_low, gap.image_high), abs=0.01)
        else:
            assert gap.low < gap.image_low - 0.05, "the interval forgets that another training differs"
        trunk = mean_reading(layers[0])
        assert trunk.score == pytest.approx(np.mean([one.accuracy.score for one in layers[0]]))
        assert trunk.low <= trunk.image_low <= trunk.score <= trunk.image_high <= trunk.high
    with pytest.raises(DatasetError, match="same test pictures"):
        mean_gap([layers[0][0], read[0]["shape"][0]], [layers[1][0], read[0]["shape"][1]])


def test_levels_are_told_one_by_one() -> None:
    """One level is twice as noisy as the others: it is the hardest, and its pictures are counted."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 3, 1500)
    centres = 2.5 * np.eye(3)
    x = (centres[label] + np.where(label == 2, 3.0, 0.7)[:, None] * rng.normal(size=(1500, 3))).astype("f4")
    names = np.array(["easy", "fine", "hard"], object)[label]
    found = probe_layers(Features("m", "d", {"only": x}, {"label": names}, np.arange(1500), {}), by="rows", quiet=True)
    scores = {one.level: one for one in found.levels}
    assert set(scores) == {"easy", "fine", "hard"}
    assert scores["hard"].high < min(scores["easy"].low, scores["fine"].low)
    assert sum(one.images for one in found.levels) == found.accuracies[0].test
    whole = sum(one.score * one.images for one in found.levels) / found.accuracies[0].test
    assert whole == pytest.approx(found.accuracies[0].score)
    assert sampled_layers(found) == ["only"]


def test_recipes_are_read_and_have_sensible_defaults() -> None:
    base = EncoderTraining(method="vicreg", epochs=3)
    one = parse_recipe("same animal: pairs=character_name augment=crop+flip", base)
    assert (one.name, one.training.pairs, one.training.augment) == ("same animal", "character_name", ("crop", "flip"))
    assert (one.training.method, one.training.epochs, one.label) == ("vicreg", 3, None)
    assert parse_recipe("yaw: method=supervised label=camera_yaw", base).label == "camera_yaw"
    with pytest.raises(ModelError, match="is no recipe"):
        parse_recipe("method=simclr", base)
    columns = {"character_name": np.array(["a", "b"]), "camera_yaw": np.array([0, 90])}
    usual = default_recipes(columns, ["camera_yaw", "character_name"], base)
    assert [recipe.name for recipe in usual] == [
        "vicreg: views", "vicreg: views that keep colours", "vicreg: pairs of the same character",
        "supervised: character", "supervised: camera yaw",
    ]  # fmt: skip
    assert "color" not in usual[1].training.augment
    assert usual[2].training.pairs == "character_name"


def test_encoders_are_asked_about_pictures_that_they_never_saw(tmp_path: Path) -> None:
    pytest.importorskip("lightly")
    pytest.importorskip("timm")
    from shapes import shapes

    data: ImageList = shapes(160)
    small = EncoderTraining(method="vicreg", size=32, head=(16, 8), epochs=1, batch_size=16)
    recipes = [parse_recipe("views: scale=0.5", small), parse_recipe("colour: method=supervised label=colour", small)]
    run = RunOptions(store=tmp_path / "kept", quiet=True)
    found = measure_misalignment(data, tmp_path, recipes, group="rows", run=run)
    assert [len(mine) for mine in found.gaps] == [2, 2]
    found.save(tmp_path)
    assert Misalignment.load(tmp_path).model_dump_json() == found.model_dump_json()
    page = write_report(found, tmp_path).read_text()
    assert ">asked</th>" in page, "heads of the published table are words"
    assert "views" in page
    lines = (tmp_path / "guillotine.csv").read_text().splitlines()
    assert len(lines) == 5
    import json

    assert json.loads((tmp_path / "encoders" / "01" / "config.json").read_text())["pictures"] == 80
    with pytest.raises(ModelError, match="one name"):
        measure_misalignment(data, tmp_path / "two", [recipes[0], recipes[0]], run=run)


@pytest.mark.slow
def test_several_seeds_and_other_datasets_stand_in_one_table(tmp_path: Path) -> None:
    pytest.importorskip("lightly")
    pytest.importorskip("timm")
    from shapes import shapes

    folder = tmp_path / "photographs"
    for k, image in enumerate(shapes(60).iter_images()):
        (folder / ("square", "bar")[k % 2]).mkdir(parents=True, exist_ok=True)
        image.save(folder / ("square", "bar")[k % 2] / f"{k}.png")
    small = EncoderTraining(method="vicreg", size=32, head=(16, 8), epochs=1, batch_size=16)
    recipe = parse_recipe("views: scale=0.5", small)
    run = RunOptions(store=tmp_path / "kept", quiet=True)
    data = shapes(160)
    found = measure_misalignment(data, tmp_path, [recipe], group="rows", run=run, seeds=2, also=[folder])
    assert found.datasets == ("pictures", "photographs")
    assert [(gap.dataset, gap.factor, gap.trainings) for gap in found.gaps[0]] == [
        ("", "label", 2), ("", "colour", 2), ("photographs", "label", 2),
    ]  # fmt: skip
    assert [one.layer for one in found.curves[0]][:3] == ["trunk", "head.1", "head.2"]
    weights = {(tmp_path / "encoders" / name / "model.pt").read_bytes() for name in ("01", "01-seed-1")}
    assert len(weights) == 2
    found.save(tmp_path)
    page = write_report(Misalignment.load(tmp_path), tmp_path).read_text()
    assert "gains on photographs" in page
    assert len((tmp_path / "layers.csv").read_text().splitlines()) == 10
    with pytest.raises(DatasetError, match=r"holds the same pictures as pictures; name another dataset with --also"):
        measure_misalignment(data, tmp_path, [recipe], run=run, also=[shapes(160)])
    with pytest.raises(ModelError, match="seeds are encoders of each recipe"):
        measure_misalignment(data, tmp_path, [recipe], run=run, seeds=0)


def test_a_limited_analysis_is_of_that_many_pictures(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    from shapes import shapes

    model = "timm:resnet10t/random?size=32"
    options = AnalysisOptions(
        ["layer1.0", "layer4.0"], probes=["knn"], group="rows", budgets=True, against=model, limit=120
    )
    found = analyze_model(model, shapes(160), options, RunOptions(store=tmp_path / "kept", quiet=True))
    assert isinstance(found, Analysis)
    assert found.dataset["images"] == 120
    assert found.dataset["name"] == "pictures, 120 pictures"
    # Layers of the same weights are the same; the other way round the matrix would be turned.
    assert found.similarity is not None
    for row, layer in enumerate(("layer1.0", "layer4.0")):
        assert found.similarity.cka[row][found.similarity.layers.index(layer)] == pytest.approx(1, abs=1e-6)
    fractions = {one.fraction for one in found.budgets}
    assert len(fractions) == 5
    whole = {(r.factor, r.layer): r.score for r in found.probing.accuracies} if found.probing else {}
    for one in found.budgets:
        if one.fraction == 1:
            assert one.score == whole[one.factor, one.layer]
