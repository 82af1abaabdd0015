"""Held-out factors. What could silently be wrong: a held-out picture in training, a control that saw more, an animal
that was never seen at all.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from planted import ANIMALS, draw

from torchmultiverse.errors import DatasetError, SettingError
from torchmultiverse.evaluation.heldout import HeldOutResult, _lost, held_out, held_out_split
from torchmultiverse.evaluation.heldout_grid import (
    HeldOutCell,
    HeldOutQuestion,
    held_out_grid,
    held_out_questions,
    held_out_study,
)
from torchmultiverse.report import write_report
from torchmultiverse.store import ImageList
from torchmultiverse.train.settings import SMALL, ClassifierTraining, classifier_training

pytest.importorskip("timm")

LEVELS = ("A", "B", "C", "D")


def _columns(copies: int = 2) -> dict[str, np.ndarray]:
    rows = [(animal, level) for animal in ANIMALS for level in LEVELS for _ in range(copies)]
    return {
        "character_name": np.array([r[0] for r in rows], object),
        "world_name": np.array([r[1] for r in rows], object),
    }


@settings(max_examples=40)
@given(st.integers(0, 3), st.sets(st.sampled_from(LEVELS), min_size=1, max_size=3), st.integers(0, 99))
def test_only_held_out_levels_of_the_other_animals_are_left_out(keep: int, held: set[str], seed: int) -> None:
    columns = _columns()
    train = held_out_split(columns, "world_name", sorted(held), keep, np.random.default_rng(seed))
    out = np.isin(columns["world_name"], sorted(held))
    assert train[~out].all()
    whole = [a for a in ANIMALS if train[columns["character_name"] == a].all()]
    assert len(whole) == keep
    assert not train[out & ~np.isin(columns["character_name"], whole)].any()


def test_what_cannot_be_held_out() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DatasetError, match="Did you mean 'world_name'"):
        held_out_split(_columns(), "world_nam", ["A"], 0, rng)
    with pytest.raises(DatasetError, match="has no level 'Z'"):
        held_out_split(_columns(), "world_name", ["Z"], 0, rng)
    with pytest.raises(DatasetError, match="no picture to train on"):
        held_out_split(_columns(), "world_name", list(LEVELS), 0, rng)
    with pytest.raises(DatasetError, match="keep is 0 to 3"):
        held_out_split(_columns(), "world_name", ["A"], 4, rng)
    with pytest.raises(SettingError, match="published, small, or a JSON file"):
        classifier_training("none.json")
    assert classifier_training("small") == SMALL
    assert classifier_training("published") == ClassifierTraining(epochs=100, batch_size=2048, model="resnet50")


def test_a_classifier_that_learns_the_place_fails_elsewhere() -> None:
    """Three animals stand on the left wherever they are seen in training; held out is the right side."""
    rng = np.random.default_rng(0)
    rows, images = [], []
    for animal in ("Elephant", "Goldfish", "Penguin"):
        for side in ("left", "bottom", "top", "right"):
            for _ in range(16):
                row = {"world_name": "Desert", "character_name": animal, "character2_name": "blank"}
                row |= {"character1_pos": side, "character2_pos": "right"}
                row |= {"character_texture": "Default", "character2_texture": "Default"}
                rows.append({"character_name": animal, "character1_pos": side})
                images.append(draw(row, rng, 48))
    recipe = ClassifierTraining(model="resnet10t", size=32, epochs=8, batch_size=24, learning_rate=2e-3)
    found = held_out(ImageList(images, rows), "character1_pos", ["right"], 0, recipe, quiet=True)
    assert (found.trained, found.tested) == (144, 48)
    assert found.held_out == ("right",)
    assert found.seen > 0.8
    assert found.low <= found.accuracy <= found.high
    assert found.control > 0.6
    assert set(found.by_level) == {"right"}


@pytest.mark.slow
def test_a_grid_is_kept_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell holds out what its axis says; a second run trains nothing; the page has the curves and the source."""
    rng = np.random.default_rng(0)
    rows = [{"label": f"c{k % 4}", "world_name": f"w{k // 4 % 4}"} for k in range(96)]
    images = [Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)) for _ in rows]
    data = ImageList(images, rows)
    questions = held_out_questions(data, ["world_name"], counts=[1, 2], each=True)
    assert [one.trained for one in questions] == [3, 2, "w0", "w1", "w2", "w3"]
    assert questions[2].levels == ("w1", "w2", "w3")
    recipe = ClassifierTraining(model="resnet10t", size=16, epochs=1, batch_size=48)
    chosen = [questions[0], questions[1], questions[3]]
    cells = held_out_grid(data, chosen, [0, 2], recipe, out=tmp_path, quiet=True)
    assert [(len(cell.result.held_out), cell.result.keep) for cell in cells] == [
        (1, 0), (1, 2), (2, 0), (2, 2), (3, 0), (3, 2),
    ]  # fmt: skip
    assert [cell.result.trained for cell in cells] == [72, 84, 48, 72, 24, 60]
    monkeypatch.setattr("torchmultiverse.evaluation.heldout_grid.held_out_of", None)  # nothing may be trained again
    again = held_out_grid(data, chosen, [0, 2], recipe, out=tmp_path, quiet=True)
    assert [cell.result.accuracy for cell in again] == [cell.result.accuracy for cell in cells]
    study = held_out_study(cells, data, recipe)
    numbers, names = study.sections[0].charts
    assert [point.x for point in numbers.series[0].points] == [2, 3]  # type: ignore[union-attr]
    assert [point.x for point in names.series[0].points] == ["w1"]  # type: ignore[union-attr]
    assert study.sections[-1].reference
    study.save(tmp_path)
    assert "C = 2" in write_report(study, tmp_path).read_text()
    with pytest.raises(DatasetError, match="--count 4: world_name has 4 levels; 1 to 3 can be held out"):
        held_out_questions(data, ["world_name"], counts=[4])
    with pytest.raises(DatasetError, match="nothing is held out"):
        held_out_questions(data, ["world_name"])


def _cell(name: str, held: float, control: float, lost: tuple[float, float, float]) -> HeldOutCell:
    result = HeldOutResult("world_name", ("x",), 0, 60, 40, 1.0, held, 0.0, 0.92, control, 0.0, 0.93, {}, *lost, 0.25)
    return HeldOutCell(HeldOutQuestion("world_name", ("x",), name), result)


def test_a_difference_whose_interval_includes_0_is_no_loss() -> None:
    """20 against 21 % in intervals of nearly all that is possible was told as what loses most."""
    unsure = _cell("Arena", 0.2, 0.21, (0.01, -0.3, 0.32))
    study = held_out_study([unsure], ImageList([], []), SMALL)
    assert study.headline.startswith("No loss is shown: the largest difference is that of ")
    assert "control minus held-out +1 points [-30, +32]" in study.headline
    (line,) = study.sections[0].table
    assert (line["chance %"], line["accuracy on training images %"]) == (0.25, 1.0)
    assert (line["control minus held-out, low %"], line["control minus held-out, high %"]) == (-0.3, 0.32)
    sure = _cell("Snow", 0.3, 0.9, (0.6, 0.4, 0.8))
    headline = held_out_study([unsure, sure], ImageList([], []), SMALL).headline
    assert headline.startswith("A loss is shown for")
    assert "Snow alone" in headline


def test_a_loss_is_taken_on_the_same_pictures_over_whole_animals() -> None:
    labels = np.repeat(np.arange(8), 5)
    differences = (np.random.default_rng(0).random(40) < 0.5).astype(float)
    mean, low, high = _lost(differences, labels)
    assert mean == differences.mean()
    assert 0 < low < mean < high < 1
    mean, low, high = _lost(np.ones(10), np.repeat([3, 7], 5))
    assert mean == 1
    assert np.isnan([low, high]).all()  # of two animals nothing is said
