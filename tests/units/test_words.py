"""Words of units in a world whose units are known.

What could silently be wrong: a word that only goes along with what the unit is about (all red things are cars) passes
for it, or the contrast takes away the word itself.
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from torchmultiverse.errors import DatasetError
from torchmultiverse.units import (
    CaptionBank,
    Concepts,
    WordOptions,
    detect,
    interpretability,
    map_units,
    unit_groups,
    words_of,
)
from torchmultiverse.units.group_study import groups_of
from torchmultiverse.units.transfer_study import transferred
from torchmultiverse.units.word_study import published
from torchmultiverse.units.words import active_rows, contrast_rows, rows_of_length_one

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
    assert [score for _, score in found.raw[:2]] == pytest.approx([0.83, 0.83], abs=0.03)
    assert len({"red", "mug"} & set(dict(found.words))) == 1


def test_a_unit_of_two_things_has_both_at_half_the_score() -> None:
    features, images, bank = world(0)
    found = words_of(features, 5, images, bank)
    assert found is not None
    scores = dict(found.raw)
    assert sorted([scores["blue"], scores["cube"]]) == pytest.approx([0.38, 0.53], abs=0.03)
    assert [scores["dim"], scores["bright"]] == pytest.approx([0.42, 0.40], abs=0.07)  # as all pictures have: between
    lifted = sorted(found.lift, key=lambda word: -found.lift[word])
    assert {"cube", "blue"} == set(lifted[:2])
    assert found.words[0][0] == lifted[0]  # therefore the words are in the order of their lift


def test_the_contrast_is_never_empty() -> None:
    """With the source's limit of 0.7 on the dot product it is, and nothing is struck out without a word about it."""
    features, images, bank = world(0)
    rows = rows_of_length_one(features)
    for unit in range(6):
        high = active_rows(rows, unit, 3)
        low, alike = contrast_rows(rows, unit, high[:200], 10)
        assert len(low) == 10
        assert (rows[low, unit] < rows[:, unit].mean()).all()
        rest = np.delete(rows, unit, 1)
        assert not (rest @ rest[high].mean(0) >= 0.7)[rows[:, unit] < rows[:, unit].mean()].any()
        found = words_of(features, unit, images, bank)
        assert found is not None
        assert found.low_similarity == pytest.approx(alike)


def test_pictures_of_a_unit_that_means_nothing_are_no_more_alike_than_any() -> None:
    features, images, _ = world(0)
    rng = np.random.default_rng(1)
    everything = interpretability(images)
    drawn = rng.random(PICTURES)
    assert interpretability(images[np.argsort(-drawn)[:200]]) == pytest.approx(everything, abs=0.02)
    red = active_rows(rows_of_length_one(features), 0, 3)
    assert interpretability(images[red]) > everything + 0.2
    assert interpretability(images[np.argsort(-drawn)[:200]]) < 0.8  # the source's limit


def test_what_is_published_obeys_its_own_identity() -> None:
    """Recall of the first K is that of the related ones among six: K times precision at K over six times that at 6."""
    rows = {int(line["first words"]): line for line in published()[0].table}
    for count, line in rows.items():
        expected = count * float(line["precision %"]) / (6 * float(rows[6]["precision %"]))
        assert float(line["recall %"]) == pytest.approx(expected, abs=2e-3)
    assert all(section.reference for section in published())


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
    assert b[groups[0, 1]].mean() == pytest.approx(0.90, abs=0.03)
    both = (features[:, 0] > 0.3) & (features[:, 1] > 0.3)
    assert b[both].mean() == pytest.approx(0.15 / (0.15 + 0.85 * 0.15**2), abs=0.02)  # 0.87
    assert both.sum() / len(groups[0, 1]) == pytest.approx(0.9**-10, rel=0.1)  # no distractor of ten: a third of them
    names = ("no", "yes")
    concepts = Concepts({name: (one.astype(int), names) for name, one in (("a", a), ("b", b), ("c", c))})
    halves = np.arange(0, 4000, 2), np.arange(1, 4000, 2)
    found = {one.units: one for one in groups_of(features, concepts, *halves, 1.0, rng, pairs=False)}[0, 1]
    assert str(found.expression) == "b=yes"
    assert found.exactly
    assert found.purity == pytest.approx(0.90, abs=0.05)
    assert found.alone == pytest.approx(0.53, abs=0.05)
    assert found.least[1] / found.least[0] == pytest.approx(0.87, abs=0.05)
    assert found.chance == pytest.approx(0.15, abs=0.03)


def test_pairs_are_asked_where_no_set_of_units_comes_twice() -> None:
    rng = np.random.default_rng(3)
    a = rng.random(600) < 0.2
    features = rng.normal(size=(600, 40))
    features[:, :2] += 3 * a[:, None]
    assert not any(len(units) > 1 for units in unit_groups(features.astype(np.float32), 0.8, each=True))
    concepts = Concepts({"a": (a.astype(int), ("no", "yes"))})
    found = groups_of(features, concepts, np.arange(300), np.arange(300, 600), 0.8, rng)
    assert found[0].units == (0, 1)
    assert not found[0].exactly
    assert str(found[0].expression) == "a=yes"
    assert found[0].purity > 0.95


@pytest.mark.parametrize(("size", "least", "most"), [(16, 0, 0), (17, 0.2, 0.8), (18, 1, 1), (64, 1, 1), (128, 1, 1)])
def test_units_of_another_model_are_found(size: int, least: float, most: float) -> None:
    """One weight of 1 in R is above the mean and four deviations, 1/R + 4 √(1/R − 1/R²), from R = 18 on only."""
    rng = np.random.default_rng(0)
    source = rng.normal(size=(1000, size))
    order = rng.permutation(size)
    target = source[:, order] + 0.01 * rng.normal(size=(1000, size))
    found = map_units(source.astype(np.float32), target.astype(np.float32))
    expected = np.argsort(order)
    assert (found.best == expected).all()  # the largest weight finds all
    rule = np.mean([places == (expected[k],) for k, places in enumerate(found.above)])
    assert least <= rule <= most


def test_units_of_another_model_detect_the_same() -> None:
    rng = np.random.default_rng(4)
    red, mug = rng.integers(0, 2, (2, 800))
    concepts = Concepts({"colour": (red, ("blue", "red")), "object": (mug, ("cup", "mug"))})
    source = rng.normal(0, 0.3, (800, 64))
    source[:, 0] += red
    source[:, 1] += red & mug
    order = rng.permutation(64)
    target = 5 * source[:, order] + rng.normal(0, 0.1, (800, 64)) + 7
    searched, other = np.arange(400), np.arange(400, 800)
    units = detect(source[searched, :2], concepts.some(searched), rng, permutations=0).units
    found = transferred(units, source, target, concepts, searched, other)
    assert [line.best for line in found] == np.argsort(order)[:2].tolist()
    for line in found:
        assert line.rule == (line.best,)
        assert line.area == pytest.approx(line.own, abs=0.01)
        assert line.together == pytest.approx(line.own, abs=0.02)
        assert line.drawn == pytest.approx(0.5, abs=0.03)
        assert line.low > 0.9


def test_features_of_other_pictures_are_not_mapped() -> None:
    with pytest.raises(DatasetError, match="of 3 and of 2 pictures"):
        map_units(np.zeros((3, 2)), np.zeros((2, 2)))


def test_pictures_of_one_thing_are_alike() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(30, 8)).astype(np.float32)
    assert interpretability(np.repeat(vectors[:1], 5, 0)) == pytest.approx(1)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [float(unit[a] @ unit[b]) for a, b in combinations(range(30), 2)]
    assert interpretability(vectors) == pytest.approx(np.mean(pairs), abs=1e-6)
