"""Which units carry wrong answers.

What could silently be wrong: parts of another class or unit, a factor that is in right answers as often, and pictures
or classes that are shown under another's name.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import DatasetError
from torchmultiverse.features import Features
from torchmultiverse.store import ImageList
from torchmultiverse.units.error_study import answers_of, carriers, contributions, error_section

pytest.importorskip("torch")
CLASSES, WORLDS = ("cat", "dog", "fox"), ("snow", "sand", "road")


def test_parts_add_up_to_the_logit() -> None:
    rng = np.random.default_rng(0)
    features, weights = rng.normal(size=(20, 7)), rng.normal(size=(7, 3))
    said, true = rng.integers(0, 3, (2, 20))
    logits = features @ weights
    rows = np.arange(20)
    assert contributions(features, weights, said).sum(1) == pytest.approx(logits[rows, said])
    assert contributions(features, weights, said, true).sum(1) == pytest.approx(logits[rows, said] - logits[rows, true])
    assert carriers(np.array([[1.0, 3.0, 2.0, -5.0]]), 2).tolist() == [[1, 2]]


def world(seed: int) -> Features:
    """Units 0 to 2 see the class faintly, 3 to 5 the world clearly, 6 to 9 nothing; nine of ten go together."""
    rng = np.random.default_rng(seed)
    animal = rng.integers(0, 3, 900)
    place = np.where(rng.random(900) < 0.9, animal, rng.integers(0, 3, 900))
    vectors = np.abs(rng.normal(0, 0.05, (900, 10)))
    vectors[np.arange(900), animal] += np.abs(rng.normal(0.15, 0.15, 900))
    vectors[np.arange(900), 3 + place] += 1
    columns = {
        "label": np.array(CLASSES, object)[animal], "world": np.array(WORLDS, object)[place],
        "scene": np.arange(900).astype(str).astype(object),
    }  # fmt: skip
    return Features("toy", "toys", {"1": vectors.astype(np.float32)}, columns, np.arange(900), {})


def test_where_the_world_tells_the_class_wrong_answers_are_carried_by_units_that_see_the_world() -> None:
    features = world(0)
    vectors = features.layers["1"]
    answers = answers_of(vectors, features, None, "rows", np.random.default_rng(0))
    assert answers.label == "label"
    wrong = answers.wrong
    assert 5 <= wrong.sum() < 0.2 * len(wrong)
    first = carriers(answers.parts[wrong], 1)[:, 0]
    worlds = np.array([WORLDS.index(name) for name in features.columns["world"]])[answers.rows[wrong]]
    assert (first == 3 + worlds).all()  # the world that the picture shows, in every wrong answer
    images = ImageList([Image.new("RGB", (8, 8))] * 900, [{"label": "a"}] * 900)
    names = {unit: ("label", "world")[unit >= 3] for unit in range(6)}
    detected = {unit: f"{name} {(CLASSES + WORLDS)[unit]}" for unit, name in names.items()}
    section = error_section(
        answers, detected, {unit: (name,) for unit, name in names.items()}, images, features.rows,
        words={3: "snow, white"},
    )  # fmt: skip
    rows = {line["factor"]: line for line in section.table}
    assert rows["world"]["wrong answers %"] == pytest.approx(1 / 3, abs=0.02)  # one of three: the world's own unit
    assert float(rows["label"]["difference %"] or 0) < 0.1
    assert float(rows["label"]["low %"] or 0) <= float(rows["label"]["difference %"] or 0)
    for row, place in zip(section.pictures, np.flatnonzero(wrong), strict=False):
        said = row.label.split(". ")[0].split(", taken for ")
        assert said[0] != said[1]
        assert row.misclassified
        assert place < len(wrong)
        assert f"Over the true answer: world {WORLDS[CLASSES.index(said[1])]}" in row.label
    assert any("world snow (“snow, white”)" in row.label for row in section.pictures)


def test_what_cannot_be_asked_is_refused() -> None:
    features = world(1)
    rng = np.random.default_rng(0)
    with pytest.raises(DatasetError, match=r"no column 'lable'.* 'label'"):
        answers_of(features.layers["1"], features, "lable", "rows", rng)
    columns = {"angle": np.arange(900.0)}
    other = Features("toy", "toys", features.layers, columns, features.rows, {})
    with pytest.raises(DatasetError, match="'angle' is a number"):
        answers_of(features.layers["1"], other, "angle", "rows", rng)
    with pytest.raises(DatasetError, match="name one with --label"):
        answers_of(features.layers["1"], other, None, "rows", rng)
