"""Words of units in a world whose units are known.

What could silently be wrong: a word that only goes along with what the unit is about (all red things are cars) passes
for it, or the contrast takes away the word itself.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from torchmultiverse.errors import DatasetError
from torchmultiverse.units import CaptionBank, WordOptions, interpretability, map_units, unit_groups, words_of

FACTORS = {
    "colour": ("red", "green", "blue", "yellow", "black", "white"),
    "object": ("mug", "car", "cube", "ball", "chair", "lamp", "shoe", "bowl"),
    "background": ("snow", "sand", "grass", "street", "room"),
    "texture": ("striped", "dotted", "plain", "rough"),
    "size": ("small", "medium", "large"),
    "light": ("dim", "bright"),
}
WEIGHTS = dict(zip(FACTORS, (1, 1.2, 0.9, 0.7, 0.5, 0.5), strict=True))
SIZE, PICTURES, UNITS = 64, 3000, 64


def world(seed: int) -> tuple[np.ndarray, np.ndarray, CaptionBank]:
    """Return features (N, 64), image vectors (N, 64) and captions; four of five red things are cars.

    Units 0 to 3 are red, mug, snow and striped, 4 is a red mug, 5 a cube or anything blue.
    """
    rng = np.random.default_rng(seed)
    vectors = {word: rng.normal(0, SIZE**-0.5, SIZE) for words in FACTORS.values() for word in words}
    codes = {name: rng.integers(0, len(words), PICTURES) for name, words in FACTORS.items()}
    red = codes["colour"] == 0
    codes["object"][red & (rng.random(PICTURES) < 0.8)] = 1
    images = rng.normal(0, 0.75 * SIZE**-0.5, (PICTURES, SIZE))
    for name, words in FACTORS.items():
        images += WEIGHTS[name] * np.array([vectors[word] for word in words])[codes[name]]
    captions, held = [], []
    for count in (2, 3, 4):
        for some in combinations(FACTORS, count):
            every = list(product(*(FACTORS[name] for name in some)))
            if len(every) > 400:
                every = [every[k] for k in rng.choice(len(every), 400, replace=False)]
            for words in every:
                captions.append(sum(vectors[word] for word in words))
                held.append(frozenset(words))
    features = np.abs(rng.normal(0, 0.02, (PICTURES, UNITS)))
    planted = [red, codes["object"] == 0, codes["background"] == 0, codes["texture"] == 0]
    planted += [red & (codes["object"] == 0), (codes["object"] == 2) | (codes["colour"] == 2)]
    for unit, true in enumerate(planted):
        features[true, unit] += rng.uniform(0.5, 0.6, true.sum())
    unit = len(planted)
    for name in ("object", "background", "texture", "colour"):
        for value in range(1 if name == "colour" else 0, len(FACTORS[name])):
            true = codes[name] == value
            features[true, unit] += rng.uniform(0.3, 0.35, true.sum())
            unit += 1
    rows = np.array(captions, np.float32)
    bank = CaptionBank(rows / np.linalg.norm(rows, axis=1, keepdims=True), held)
    return features.astype(np.float32), images.astype(np.float32), bank


@pytest.mark.parametrize("seeds", [range(2), pytest.param(range(2, 10), marks=pytest.mark.slow)])
def test_words_are_those_that_were_planted(seeds: range) -> None:
    for seed in seeds:
        features, images, bank = world(seed)
        for unit, word in enumerate(("red", "mug", "snow", "striped")):
            found = words_of(features, unit, images, bank)
            assert found is not None
            assert found.words[0][0] == found.raw[0][0] == word
            if word == "red":
                assert "car" in dict(found.raw)
                assert "car" not in dict(found.words)
                assert "car" in found.discarded


def test_of_a_conjunction_the_contrast_takes_one_word_away() -> None:
    """Therefore both lists are returned: the nearest pictures that leave the unit cold keep one of the two."""
    features, images, bank = world(0)
    found = words_of(features, 4, images, bank)
    assert found is not None
    assert {word for word, _ in found.raw[:2]} == {"red", "mug"}
    assert found.raw[0][1] == pytest.approx(0.83, abs=0.03)
    assert len({"red", "mug"} & set(dict(found.words))) == 1


def test_a_unit_of_two_things_has_both_at_half_the_score() -> None:
    features, images, bank = world(0)
    found = words_of(features, 5, images, bank)
    assert found is not None
    scores = dict(found.raw)
    assert 0.3 < scores["cube"] < 0.7
    assert 0.3 < scores["blue"] < 0.7
    lifted = sorted(found.lift, key=lambda word: -found.lift[word])
    assert {"cube", "blue"} & set(lifted[:2])


def test_of_few_pictures_nothing_is_said() -> None:
    features, images, bank = world(0)
    assert words_of(features, UNITS - 1, images, bank, WordOptions(deviations=30)) is None


def test_groups_are_purer_than_their_units() -> None:
    """Unit 0 is a or b, unit 1 is b or c: both together are b."""
    rng = np.random.default_rng(0)
    a, b, c = rng.random((3, 4000)) < 0.15
    features = np.abs(rng.normal(0, 0.02, (4000, 12)))
    features[:, 0] += 0.6 * (a | b)
    features[:, 1] += 0.6 * (b | c)
    for unit in range(2, 12):
        features[rng.random(4000) < 0.1, unit] += 0.6
    groups = unit_groups(features.astype(np.float32), 2)
    alone = features[:, 0] > 0.3
    assert b[alone].mean() == pytest.approx(0.53, abs=0.03)
    assert b[groups[0, 1]].mean() == pytest.approx(0.90, abs=0.05)
    both = (features[:, 0] > 0.3) & (features[:, 1] > 0.3)
    assert b[both].mean() == pytest.approx(0.15 / (0.15 + 0.85 * 0.15**2), abs=0.03)
    assert both.sum() > 2 * len(groups[0, 1])


def test_units_of_another_model_are_found() -> None:
    rng = np.random.default_rng(0)
    for size, least, most in ((64, 1.0, 1.0), (128, 1.0, 1.0), (16, 0.0, 0.6)):
        source = rng.normal(size=(1000, size))
        order = rng.permutation(size)
        found = map_units(source.astype(np.float32), source[:, order].astype(np.float32))
        expected = np.argsort(order)
        assert (found.best == expected).all()
        rule = np.mean([places == (expected[k],) for k, places in enumerate(found.above)])
        assert least <= rule <= most
    with pytest.raises(DatasetError, match="of 3 and of 2 pictures"):
        map_units(np.zeros((3, 2)), np.zeros((2, 2)))


def test_pictures_of_one_thing_are_alike() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(30, 8)).astype(np.float32)
    assert interpretability(np.repeat(vectors[:1], 5, 0)) == pytest.approx(1)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [float(unit[a] @ unit[b]) for a, b in combinations(range(30), 2)]
    assert interpretability(vectors) == pytest.approx(np.mean(pairs), abs=1e-6)
