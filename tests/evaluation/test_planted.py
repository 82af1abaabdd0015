"""What could silently be wrong: a task whose true caption is not the true one, a hard negative that is also true,
ties that are counted as right or wrong, captions of one scope used in another. Models that know everything, nothing,
or one thing show it: their scores are known exactly."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from planted import ANIMALS, SETTINGS, WORLDS, Planted, Tagged, spar_rows

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.evaluation import evaluate
from torchmultiverse.models import ModelInfo


class Blind:
    """An image-text model that gives every picture one vector; captions differ."""

    info = ModelInfo("blind", "image-text")
    logit_scale = 100.0

    def encode_image(self, images):
        return np.full((len(images), 16), 0.25, np.float32)

    def encode_text(self, texts):
        vectors = np.array([np.random.default_rng(list(text.encode())).normal(size=16) for text in texts], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Constant(Blind):
    """One vector for every picture and one for every caption: everything ties."""

    info = ModelInfo("constant", "image-text")

    def encode_text(self, texts):
        vector = np.random.default_rng(3).normal(size=16).astype(np.float32)
        return np.tile(vector / np.linalg.norm(vector), (len(texts), 1))


@pytest.fixture(scope="module")
def tagged() -> Tagged:
    return Tagged(spar_rows(settings=(*SETTINGS, ("left", "right", "Grass", "Stone"))))


def test_a_model_that_knows_the_answer_scores_100(tagged: Tagged) -> None:
    result = evaluate(tagged, Planted(tagged, "oracle", ["world", "animals"]))
    cells = result.table.to_pylist()
    assert {(c["task"], c["metric"]) for c in cells} == {
        ("scene", "top1"),
        ("scene_with_animals", "top1"),
        ("single_animal", "top1"),
        ("position", "top1"),
        ("position", "hard_negative"),
        ("two_animals", "top1"),
        ("relation", "top1"),
        ("relation", "hard_negative"),
        ("attribute", "top1"),
        ("attribute", "hard_negative"),
        ("average", "mean"),
    }
    assert [c for c in cells if c["accuracy"] != 1] == []
    assert all(c["low"] < 1 and c["high"] == 1 for c in cells), "an interval of no width claims too much"
    rows = result.rows.to_pylist()
    assert all(row["label"] == row["prediction"] and row["margin"] > 0 for row in rows)


@pytest.mark.parametrize("model", [Blind(), Constant()], ids=lambda m: m.info.name)
def test_a_model_that_ignores_the_picture_scores_exactly_chance_on_hard_negatives(tagged: Tagged, model: Blind) -> None:
    cells = evaluate(tagged, model).cells(metric="hard_negative", factor="all")
    assert len(cells) == 2 * (1 + 2 + 1 + 2 + 1 + 2)  # pooled and apart, without and with the world
    for cell in cells:
        if cell["task"] == "position" and model.info.name == "blind":
            continue  # a favourite side is right for the one half of the pictures and wrong for the other: below
        assert cell["accuracy"] == 0.5, cell
        assert cell["low"] < 0.5 < cell["high"]
    for cell in evaluate(tagged, model).cells(metric="hard_negative", task="position", factor="animal"):
        assert cell["accuracy"] == 0.5, cell


def test_all_ties_are_a_blind_guess(tagged: Tagged) -> None:
    result = evaluate(tagged, Constant())
    for cell in result.table.to_pylist():
        assert cell["accuracy"] == pytest.approx(cell["chance"], abs=1e-12), cell
        assert cell["low"] <= cell["chance"] <= cell["high"]


def test_a_model_that_knows_only_the_world(tagged: Tagged) -> None:
    result = evaluate(tagged, Planted(tagged, "world", ["world"]))
    for cell in result.cells(factor="all"):
        if cell["task"].startswith("scene"):
            assert cell["accuracy"] == 1
        elif cell["metric"] == "hard_negative":
            assert cell["accuracy"] == 0.5
        elif cell["scope"] == "background":
            assert cell["accuracy"] == pytest.approx(cell["chance"] * len(WORLDS))
        elif cell["task"] != "average":
            assert cell["accuracy"] == pytest.approx(cell["chance"])


def test_a_model_that_knows_only_the_animals_cannot_tell_worlds(tagged: Tagged) -> None:
    result = evaluate(tagged, Planted(tagged, "animals", ["animals"]))
    for cell in result.cells(factor="all", metric="top1"):
        expected = 1 / len(WORLDS) if cell["scope"] == "background" or cell["task"].startswith("scene") else 1.0
        assert cell["accuracy"] == pytest.approx(expected), cell


def test_counts_levels_and_chance(tagged: Tagged) -> None:
    result = evaluate(tagged, Constant())
    animals, worlds = len(ANIMALS), len(WORLDS)
    pairs, ordered = animals * (animals + 1) // 2, animals * (animals - 1)
    expected = {
        ("scene", "all"): (worlds, worlds),
        ("scene_with_animals", "all"): (worlds * ((animals + 1) ** 2 - 1) * 4, worlds),
        ("single_animal", "Default"): (worlds * 2 * animals * 2, animals),
        ("single_animal", "Blue"): (worlds * 2 * animals, animals),
        ("position", "left/right"): (worlds * 2 * animals, 2 * animals),
        ("position", "bottom/top"): (worlds * 2 * animals, 2 * animals),
        ("two_animals", "Default"): (worlds * animals**2 * 2, pairs),
        ("two_animals", "Grass"): (worlds * animals**2, pairs),
        ("relation", "left/right"): (worlds * ordered, ordered),
        ("attribute", "Blue/Red"): (worlds * ordered, ordered),
        ("attribute", "Grass/Stone"): (worlds * ordered, ordered),
    }
    found = {
        (c["task"], c["setting"]): (c["n"], c["candidates"])
        for c in result.cells(factor="all", scope="plain", metric="top1")
    }
    assert {key: found[key] for key in expected} == expected
    levels = Counter((c["factor"]) for c in result.cells(task="relation", setting="all", scope="plain", metric="top1"))
    assert levels == {"all": 1, "world": worlds, "animal": animals}


def test_results_do_not_depend_on_order_or_batches(tagged: Tagged) -> None:
    model = Blind()
    one = evaluate(tagged, model, batch_size=7)
    two = evaluate(tagged, model, batch_size=64)
    assert one.table.equals(two.table)
    assert one.rows.equals(two.rows)
    assert not one.table.equals(evaluate(tagged, model, seed=1).table), "the seed moves the bootstrap"


def test_each_picture_is_encoded_once_per_model(tagged: Tagged) -> None:
    seen: list[int] = []

    class Counting(Blind):
        info = ModelInfo("counting", "image-text")
        texts: list[str] = []  # noqa: RUF012

        def encode_image(self, images):
            seen.extend(image.getpixel((0, 0))[2] << 0 | image.getpixel((0, 0))[1] << 8 for image in images)
            return super().encode_image(images)

        def encode_text(self, texts):
            self.texts.extend(texts)
            return super().encode_text(texts)

    model = Counting()
    evaluate(tagged, model)
    assert len(seen) == len(set(seen))
    assert len(model.texts) == len(set(model.texts))


def test_bad_inputs_are_named(tagged: Tagged) -> None:
    class Nan(Blind):
        def encode_image(self, images):
            return np.full((len(images), 4), np.nan, np.float32)

    with pytest.raises(ModelError, match="NaN"):
        evaluate(tagged, Nan())
    with pytest.raises(ModelError, match="two models are called 'blind'"):
        evaluate(tagged, [Blind(), Blind()])
    with pytest.raises(ModelError, match="no model"):
        evaluate(tagged, [])
    rows = [{key: value for key, value in row.items() if key != "character1_pos"} for row in tagged.rows]
    with pytest.raises(DatasetError, match="character1_pos missing"):
        evaluate(Tagged(rows), Blind(), protocol="spar")
