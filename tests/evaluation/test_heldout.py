"""Held-out factors. What could silently be wrong: a held-out picture in training, a control that saw more, an animal
that was never seen at all.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import ANIMALS, draw

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation.heldout import held_out, held_out_split
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
    with pytest.raises(DatasetError, match="published, small, or a JSON file"):
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
