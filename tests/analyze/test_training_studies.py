"""Where to cut for unseen classes, what is learned first, and head against trunk over settings.

What could silently be wrong: an unseen class in training, a question with more pictures or classes than another, groups
of two sets that are taken for one, an epoch that is off by a checkpoint, or a correlation of other settings' numbers.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.analyze.class_shift import ClassQuestion, class_split, unseen_classes, unseen_study
from torchmultiverse.analyze.decoder_epochs import DrawnEpoch, epochs_study
from torchmultiverse.analyze.fidelity import FactorFidelity, Fidelity
from torchmultiverse.analyze.grids import (
    GridOptions,
    GridPoint,
    GridReading,
    grid_points,
    grid_study,
    parse_vary,
    settings_grid,
)
from torchmultiverse.analyze.layer_accuracy import LayerAccuracy, Reading, layer_readings
from torchmultiverse.analyze.learning import half_epoch, kept_checkpoints, learned_factor, learning_study
from torchmultiverse.analyze.misalignment import TrainingRecipe
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.features.extract import Features
from torchmultiverse.report import write_report
from torchmultiverse.stats import Intervals, mean_interval
from torchmultiverse.store import ImageList
from torchmultiverse.study import Study
from torchmultiverse.train import EncoderTraining

SMALL = EncoderTraining(method="simclr", size=16, head=(16, 8), epochs=1, batch_size=16)


def reading(outcomes: Any, layer: str = "trunk", factor: str = "colour", groups: Any = None) -> Reading:
    """A reading of planted outcomes."""
    right = np.asarray(outcomes, np.float64)
    names = np.arange(len(right)) if groups is None else np.asarray(groups)
    accuracy = LayerAccuracy(
        layer=layer, depth=0, factor=factor, probe="logistic", score=float(right.mean()), low=0, high=1, chance=0.25,
        validation=float(right.mean()), levels=4, train=1, test=len(right), group_column="", hyperparameters={},
    )  # fmt: skip
    return Reading(accuracy, right, names.astype(str))


def share(fraction: float, count: int = 200, seed: int = 0) -> np.ndarray:
    """Exactly so many right answers, at drawn places."""
    return np.random.default_rng(seed).permutation(np.arange(count) < round(fraction * count)).astype(float)


@pytest.mark.parametrize(("seen", "splits"), [(3, 2), (None, 3)])
def test_classes_are_divided_fairly(seen: int | None, splits: int) -> None:
    rng = np.random.default_rng(1)
    values = rng.permutation(np.repeat([f"c{k}" for k in range(12)], rng.integers(12, 30, 12)))
    found = class_split(values, ClassQuestion("animal", seen, splits), np.random.default_rng(0))
    count = seen or 12 // (splits + 1)
    assert set(found.asked) == {"seen", *(f"unseen {k + 1}" for k in range(splits))}
    assert {len(rows) for rows in found.asked.values()} == {
        count * (np.unique(values, return_counts=True)[1].min() // 2)
    }
    every = [name for mine in found.classes.values() for name in mine]
    assert len(set(every)) == len(every) == count * (splits + 1)
    for name, rows in found.asked.items():
        assert set(values[rows]) == set(found.classes[name])
        assert not set(rows.tolist()) & set(found.train.tolist())
    assert set(values[found.train]) == set(found.classes["seen"])
    with pytest.raises(DatasetError, match=r"animal has 12 classes: 6 unseen sets .* need 14"):
        class_split(values, ClassQuestion("animal", None, 6), np.random.default_rng(0))
    with pytest.raises(DatasetError, match=r"has 6 pictures; 10 are needed"):
        class_split(np.repeat(list("abcd"), 6), ClassQuestion("animal", 2, 1), np.random.default_rng(0))


@pytest.mark.slow
def test_a_head_that_knows_the_seen_classes_alone_is_cut_off_for_the_others() -> None:
    """The trunk holds all classes with noise; the head has the seen ones without noise, and of others nothing."""
    rng = np.random.default_rng(0)
    names = np.repeat([f"c{k:02}" for k in range(16)], 200)
    split = class_split(names, ClassQuestion("animal", 4, 3), np.random.default_rng(0))
    centres = 2.2 * rng.normal(size=(16, 12)) / np.sqrt(12)
    codes = np.unique(names, return_inverse=True)[1]
    known = np.isin(names, split.classes["seen"])
    trunk = centres[codes] + 0.8 * rng.normal(size=(len(names), 12))
    head = np.where(known[:, None], centres[codes], 0) + 0.25 * rng.normal(size=(len(names), 12))
    read = {}
    for question, rows in split.asked.items():
        layers: dict[str, Any] = {"trunk": trunk[rows].astype("f4"), "head.1": head[rows].astype("f4")}
        features = Features("m", "d", layers, {"animal": names[rows]}, rows, {})
        read[question] = [layer_readings(features, ["animal"], by="rows", quiet=True)[0]]
    found = unseen_study(read, split, ClassQuestion("animal", 4, 3), TrainingRecipe("planted", SMALL), "planted")
    lines = {line["classes"]: line for line in found.sections[0].table}
    assert lines["seen"]["high %"] < 0  # type: ignore[operator]
    assert lines["unseen"]["low %"] > 0.3  # type: ignore[operator]
    assert (lines["seen"]["best layer"], lines["unseen"]["best layer"]) == ("head.1", "trunk")
    assert lines["unseen"]["groups"] == 3 * lines["seen"]["groups"]  # type: ignore[operator]
    assert found.headline.startswith("Seen classes of animal: the head is better by")
    assert "unseen classes of animal: the trunk is better by" in found.headline
    assert [one.name for one in found.sections[1].charts[0].series][:2] == ["seen", "unseen, all sets"]


def test_half_of_a_gain_is_found_where_it_was_planted() -> None:
    """Colour jumps between epochs 1 and 2, shape rises in a line to 8, place is lost at once, size does not change."""
    epochs = [0, 1, 2, 4, 8]
    planted = {
        "colour": [0.25, 0.25, 0.85, 0.85, 0.85], "shape": [0.3, 0.375, 0.45, 0.6, 0.9],
        "place": [0.9, 0.5, 0.5, 0.5, 0.5], "size": [0.5, 0.5, 0.5, 0.5, 0.5],
    }  # fmt: skip
    expected = {"colour": 1.5, "shape": 4.0, "place": 0.5, "size": None}
    read = [
        {name: [reading(share(s, seed=k), factor=name)] for name, scores in planted.items() for s in [scores[k]]}
        for k in range(len(epochs))
    ]
    for name, half in expected.items():
        one = learned_factor(epochs, [[at[name][0] for at in read]])
        if half is None:
            assert one.half is None
            assert one.p > 0.05
            continue
        assert one.half == pytest.approx(half, abs=1e-9)
        assert one.half_low is not None
        assert one.half_high is not None
        assert one.half_low <= half <= one.half_high
        assert (one.gain > 0) == (name != "place")
    found = learning_study(epochs, [read], ("m",), "planted")
    assert found.headline.startswith("At trunk colour is half learned at epoch 1.5")
    assert "shape last, at 4.0" in found.headline
    assert found.headline.endswith("lost: place.")
    assert [line["factor"] for line in found.sections[0].table] == ["place", "colour", "shape", "size"]
    assert len(found.sections[1].table) == 4 * 5


def test_the_interval_of_the_epoch_holds() -> None:
    """150 worlds in which a factor rises from 0.3 to 0.9 in a line over 8 epochs, 20 groups of 6 pictures."""
    epochs, held, count = [0, 2, 4, 6, 8], 0, 150
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 6)
    for trial in range(count):
        shift = 0.05 * rng.normal(size=20)[groups]
        rows = [rng.random(120) < np.clip(0.3 + 0.075 * epoch + shift, 0, 1) for epoch in epochs]
        one = learned_factor(epochs, [[reading(row, groups=groups) for row in rows]], seed=trial, resamples=200)
        held += one.half_low is not None and one.half_high is not None and one.half_low <= 4 <= one.half_high
    assert held / count > 0.9


def test_half_epochs_of_curves_that_overshoot_or_do_not_move() -> None:
    assert np.isnan(half_epoch(np.array([0.0, 1]), np.array([0.5, 0.5])))
    assert half_epoch(np.array([0.0, 1, 2]), np.array([0.0, 1.0, 0.6])) == pytest.approx(0.3)


def grid(trunk: Any, head: Any) -> Study:
    """The study of planted accuracies of one setting's values."""
    points = [GridPoint({"learning_rate": f"{10.0**-k:g}"}, SMALL) for k in range(len(trunk))]
    found = [
        GridReading(point, {"colour": ([reading(share(t, 1000, 0))], [reading(share(h, 1000, 1), "head.2")])})
        for point, t, h in zip(points, trunk, head, strict=True)
    ]
    return grid_study(found, SMALL, "planted")


def test_a_head_that_swings_about_a_still_trunk_is_told() -> None:
    rng = np.random.default_rng(0)
    trunk, head = 0.8 + 0.01 * rng.normal(size=12), 0.5 + 0.15 * rng.normal(size=12)
    found = grid(trunk, head)
    assert "swings more than the trunk for colour" in found.headline
    line = found.sections[0].table[0]
    r = np.corrcoef(np.round(trunk, 3), np.round(head, 3))[0, 1]
    assert line["correlation"] == pytest.approx(r, abs=1e-6)
    assert line["low"] < 0 < line["high"]  # type: ignore[operator]
    scatter = found.sections[0].charts[0]
    assert [p.x for p in scatter.series[0].points] == pytest.approx(np.round(trunk, 3).tolist())  # type: ignore[union-attr]
    curve = found.sections[1].charts[0]
    assert [s.name for s in curve.series] == ["trunk", "head"]  # type: ignore[union-attr]
    assert [p.x for p in curve.series[0].points] == sorted(10.0**-k for k in range(12))  # type: ignore[union-attr]
    together = grid(np.linspace(0.4, 0.9, 12), np.linspace(0.3, 0.8, 12))
    assert "for no factor surely" in together.headline
    assert together.sections[0].table[0]["correlation"] == pytest.approx(1)
    assert "3 settings are too few" in grid([0.5, 0.6, 0.7], [0.5, 0.6, 0.7]).headline


def test_grids_are_read_and_made_once() -> None:
    base = EncoderTraining()
    points = grid_points(base, parse_vary(["head=64,128-64", "backbone_width=0.5,1"]))
    assert [p.training.head for p in points] == [(64,), (128, 64), (256, 256, 128), (256, 256, 128)]
    assert [p.training.backbone_width for p in points] == [1, 1, 0.5, 1]
    assert len(grid_points(base, {"epochs": ["1", "2"], "size": ["32", "64"]}, cross=True)) == 4
    for texts, said in (
        (["epochs"], "'epochs' varies nothing; NAME=VALUE,VALUE does"),
        (["epochs="], "varies nothing"),
        (["epochs=1", "epochs=2"], "epochs is varied twice"),
    ):
        with pytest.raises(ModelError, match=said):
            parse_vary(texts)
    with pytest.raises(ModelError, match=r"no setting 'epoch'.*epochs"):
        grid_points(base, {"epoch": ["1"]})
    with pytest.raises(ModelError, match="nothing is varied"):
        grid_points(base, {})


def animals() -> ImageList:
    """Six classes of 24 pictures: squares of a colour and a size."""
    from shapes import shapes

    source = shapes(144)
    rows = [{"animal": f"a{k % 6}", "colour": row["colour"]} for k, row in enumerate(source.table().to_pylist())]
    return ImageList([source.image(k) for k in range(144)], rows)


def drawn_epoch(epoch: int, ranks: Any, accuracies: Any) -> DrawnEpoch:
    """What a decoder of a checkpoint drew, planted: ranks of 20 pictures, and what is seen of two factors."""
    ranks = np.asarray(ranks)
    found = Fidelity(
        mean_rank=float(ranks.mean()), mrr=float((1 / ranks).mean()), hit1=float((ranks == 1).mean()), null_rank=50.5,
        null_mrr=0.05, candidates=100, ranks=tuple(ranks.tolist()),
    )  # fmt: skip
    factors = tuple(
        FactorFidelity(
            factor=name,
            accuracy=value,
            low=value - 0.1,
            high=value + 0.1,
            real_accuracy=real,
            chance=0.25,
            probe_accuracy=float("nan"),
        )
        for name, value, real in zip(("colour", "shape", "unseen"), (*accuracies, 0.9), (1.0, 0.9, 0.26), strict=True)
    )
    first = mean_interval((ranks == 1).astype(float), np.arange(len(ranks)), Intervals(), (0, 1))
    shade = np.full((2, 2, 8, 8, 3), 20 * epoch, np.uint8)
    return DrawnEpoch(epoch, found, first, first, factors, shade)


def test_a_sheet_of_epochs_has_the_pictures_of_each_in_its_column() -> None:
    """A factor that nobody sees in real pictures is no answer, however much it changes; untrusted ranks are told."""
    real = np.zeros((2, 8, 8, 3), np.uint8)
    good = np.where(np.arange(20) < 15, 1, 4)
    found = [drawn_epoch(0, good, (0.8, 0.3)), drawn_epoch(5, good, (0.9, 0.8))]
    study = epochs_study(found, real, "ssl:e", "toy", {})
    assert study.headline.startswith("Drawn pictures show shape in 30 % at epoch 0 and in 80 % [70, 90] at epoch 5")
    sheet = study.sections[0].pictures
    assert [row.label for row in sheet[:2]] == ["picture 1, noise 1", "picture 1, noise 2"]
    for row in sheet:
        shades = [int(np.asarray(Image.open(io.BytesIO(one.data)))[0, 0, 0]) for one in row.samples]
        assert shades == [0, 100], row.captions
    assert [line["first place %"] for line in study.sections[2].table] == [0.75, 0.75]
    assert study.sections[2].table[0]["chance %"] == 0.01
    assert [line["seen in drawn pictures %"] for line in study.sections[1].table[:4]] == [0.8, 0.9, 0.3, 0.8]
    published = [section for section in study.sections if section.reference]
    assert "precise shape only later" in published[0].about
    poor = epochs_study([found[0], drawn_epoch(5, 1 + good, (0.9, 0.8))], real, "ssl:e", "toy", {})
    assert poor.headline.startswith("0 % of the pictures of epoch 5 lead back to their vectors: the decoders are under")
    assert any("at epoch 5: there the decoder is under-trained" in note for note in poor.notes)


@pytest.mark.slow
def test_all_of_them_train_save_and_show(tmp_path: Path) -> None:
    pytest.importorskip("lightly")
    pytest.importorskip("timm")
    from torchmultiverse.analyze.learning import LearningOptions, learning_order
    from torchmultiverse.train import train_encoder

    run = RunOptions(store=tmp_path / "kept", quiet=True)
    data, question = animals(), ClassQuestion("animal", 2, 2)
    recipe = TrainingRecipe("planted", SMALL)
    found = unseen_classes(data, tmp_path / "unseen", question, recipe, group="rows", run=run, seeds=2)
    assert found.facts["trainings"] == 2
    assert found.facts["pictures trained on"] == 24
    config = json.loads((tmp_path / "unseen" / "encoders" / "planted" / "config.json").read_text())
    assert config["pictures"] == 24
    found.save(tmp_path / "unseen")
    page = write_report(Study.load(tmp_path / "unseen"), tmp_path / "unseen").read_text()
    assert "unseen, all sets" in page

    encoders = [
        f"ssl:{train_encoder(data, tmp_path / f'e{k}', SMALL.changed(epochs=2, keep=(0, 1, 2), seed=k), quiet=True)}"
        for k in (0, 1)
    ]
    order = learning_order(encoders, data, LearningOptions(group="rows"), run)
    assert order.facts["checkpoints"] == "0, 1, 2"
    assert {line["layer"] for line in order.sections[0].table} == {"trunk", "head.2"}
    with pytest.raises(ModelError, match="keeps 0 checkpoints, 2 are needed"):
        kept_checkpoints([f"ssl:{tmp_path / 'unseen' / 'encoders' / 'planted'}"])
    with pytest.raises(ModelError, match="no trained encoder with checkpoints"):
        kept_checkpoints(["timm:resnet18"])

    pytest.importorskip("diffusers")
    from torchmultiverse.analyze.decoder_epochs import DecoderEpochOptions, decoders_over_epochs
    from torchmultiverse.analyze.decoders import LayerDecoderOptions

    how = DecoderEpochOptions(
        decoder=LayerDecoderOptions(size=8, preset="tiny", steps=4, batch_size=8), epochs=(0, 2), count=8,
        samples_per_image=2, examples=3, steps=2,
    )  # fmt: skip
    drawn = decoders_over_epochs(encoders[0], data, tmp_path / "drawn", how, run)
    sheet = drawn.sections[0].pictures
    assert len(sheet) == 3 * 2
    assert {row.captions for row in sheet} == {("epoch 0", "epoch 2")}
    assert {len(row.samples) for row in sheet} == {2}
    assert drawn.facts["held-out pictures"] == 14
    assert drawn.facts["drawn from"] == 8
    made = (tmp_path / "drawn" / "decoders" / "2" / "model.pt").stat().st_mtime_ns
    again = decoders_over_epochs(encoders[0], data, tmp_path / "drawn", how, run)
    assert (tmp_path / "drawn" / "decoders" / "2" / "model.pt").stat().st_mtime_ns == made
    assert again.model_dump_json() == drawn.model_dump_json(), "a run that is finished draws the same"
    with pytest.raises(ModelError, match=r"keeps no checkpoint of epoch 7; it has 0, 1, 2"):
        decoders_over_epochs(encoders[0], data, tmp_path / "drawn", DecoderEpochOptions(epochs=(7,)), run)

    options = GridOptions({"learning_rate": ["1e-3", "1e9"], "backbone_width": ["0.25", "0.5"]}, group="rows")
    swept = settings_grid(data, tmp_path / "grid", options, SMALL.changed(epochs=2, optimizer="sgd"), run)
    assert "learning_rate=1e9 is left out" in " ".join(swept.notes)
    assert swept.facts["settings"] == 3


def test_of_equal_values_no_correlation_is_told() -> None:
    """It was told as 0 [-1, 1] with p 1, as if that had been measured."""
    study = grid([0.5] * 5, [0.3] * 5)
    line = study.sections[0].table[0]
    assert [line[name] for name in ("correlation", "low", "high", "p of equal spreads")] == [None] * 4
    assert line["trunk, spread %"] == 0
    assert "correlation undefined (equal at all settings)" in study.headline
    line = grid([0.5] * 5, [0.1, 0.3, 0.5, 0.7, 0.9]).sections[0].table[0]
    assert line["correlation"] is None
    assert line["p of equal spreads"] is not None
