"""Which expression each unit detects.

What could silently be wrong: areas from sums of ranks that are not those of the expression (ties, unions, differences),
a search that passes over the best one, and a control that calls noise a detector.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from torchmultiverse.errors import DatasetError
from torchmultiverse.stats import auc_of
from torchmultiverse.units import Concepts, Expression, centred_ranks, detect, single_areas


def world(rng: np.random.Generator, images: int = 300) -> Concepts:
    sizes = {"colour": 4, "object": 3, "light": 2}
    return Concepts(
        {
            name: (rng.integers(0, size, images), tuple(f"{name[0]}{k}" for k in range(size)))
            for name, size in sizes.items()
        }
    )


def every(concepts: Concepts) -> list[Expression]:
    """Return all expressions that are no shorter one in other words."""
    found = [Expression(value) for value in concepts.values]
    for first, second in combinations(concepts.values, 2):
        found.append(Expression(first, "or", second))
        if first[0] != second[0]:
            found += [
                Expression(first, "and", second),
                Expression(first, "and not", second),
                Expression(second, "and not", first),
            ]
    return found


def area(unit: np.ndarray, inside: np.ndarray) -> float:
    return auc_of(unit[inside].astype(np.float64), unit[~inside].astype(np.float64))


def test_areas_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(1)
    concepts = world(rng)
    features = np.round(np.maximum(rng.normal(size=(300, 5)), 0), 1).astype(np.float32)  # half of them tied at 0
    areas = single_areas(centred_ranks(features), concepts)
    for k, value in enumerate(concepts.values):
        inside = concepts.members(Expression(value))
        assert areas[k] == pytest.approx([area(features[:, u], inside) for u in range(5)], abs=1e-5)
    for found in detect(features, concepts, rng, permutations=0, keep=200).units:
        unit = features[:, found.unit]
        mine = {str(e): a for e, a in zip(found.expressions, found.areas, strict=True)}
        assert list(found.areas) == sorted(found.areas, reverse=True)
        expected = {}
        for expression in every(concepts):
            inside = concepts.members(expression)
            if 10 <= inside.sum() <= 290:
                expected[str(expression)] = area(unit, inside)
        above = {name: value for name, value in expected.items() if name in mine}
        assert mine == pytest.approx(above, abs=1e-5)
        assert max(mine.values()) == pytest.approx(max(expected.values()), abs=1e-5)
        assert len(mine) > 60


def test_each_form_that_was_planted_is_found() -> None:
    rng = np.random.default_rng(2)
    concepts = world(rng, 2000)
    planted = [
        Expression(("colour", "c1")),
        Expression(("colour", "c1"), "and", ("object", "o2")),
        Expression(("colour", "c0"), "or", ("object", "o1")),
        Expression(("colour", "c0"), "or", ("colour", "c3")),
        Expression(("object", "o2"), "and not", ("colour", "c1")),
    ]
    clean = np.stack([concepts.members(one) for one in planted], 1)
    features = clean + rng.normal(0, 0.2, clean.shape)
    for one, found in zip(planted, detect(features, concepts, rng, permutations=10).units, strict=True):
        assert found.expressions[0] == one
        assert found.areas[0] == pytest.approx(area(features[:, found.unit], concepts.members(one)), abs=1e-5)
        assert found.overlaps[0] > 0.9
        assert found.q < 0.05


def test_overlap_is_that_of_as_many_most_active_pictures() -> None:
    rng = np.random.default_rng(3)
    concepts = Concepts({"colour": (np.repeat([0, 1], 50), ("red", "blue"))})
    unit = np.arange(100.0)
    unit[[10, 90]] = 90, 10  # one blue picture is hardly active, one red one is
    found = detect(unit[:, None], concepts, rng, permutations=0).units[0]
    best = found.expressions.index(Expression(("colour", "blue")))
    assert found.overlaps[best] == pytest.approx(49 / 51)


def test_noise_is_not_called_a_detector() -> None:
    """The rate of false discoveries is at most what it says, although the best of hundreds of expressions is taken."""
    rng = np.random.default_rng(4)
    concepts = world(rng, 400)
    noise = rng.normal(size=(400, 200))
    noise[:, :20] += 0.8 * concepts.members(Expression(("object", "o1")))[:, None]
    found = detect(noise, concepts, rng, permutations=60).units
    called = [one.unit for one in found if one.q < 0.1]
    false = [unit for unit in called if unit >= 20]
    assert len(called) - len(false) >= 18
    assert len(false) <= 5
    null = [one.p for one in found[20:]]
    assert 0.35 < np.mean(null) < 0.65


def test_the_same_seed_finds_the_same() -> None:
    concepts = world(np.random.default_rng(5))
    features = np.random.default_rng(6).normal(size=(300, 300)).astype(np.float16)
    one, other = (detect(features, concepts, np.random.default_rng(7), permutations=3).units for _ in range(2))
    assert one == other


def test_an_expression_that_is_a_single_value_in_other_words_is_left_out() -> None:
    rng = np.random.default_rng(8)
    object_of = rng.integers(0, 2, 200)
    concepts = Concepts({"object": (object_of, ("cup", "mug")), "kind": (object_of, ("a", "b"))})
    found = detect(object_of[:, None] + rng.normal(0, 0.1, (200, 1)), concepts, rng, permutations=0).units[0]
    assert [str(e) for e in found.expressions] == ["object=mug", "object=cup"]  # one name for each set of pictures


def test_what_can_be_said_in_two_ways_is_said_in_one() -> None:
    """Of a factor with two values, not the one is the other: "and not small" is "and large"."""
    rng = np.random.default_rng(10)
    concepts = Concepts(
        {
            "colour": (rng.integers(0, 3, 1200), ("red", "green", "blue")),
            "size": (rng.integers(0, 2, 1200), ("small", "large")),
            "light": (rng.integers(0, 2, 1200), ("dim", "bright")),
        }
    )
    red, small, dim = ("colour", "red"), ("size", "small"), ("light", "dim")
    planted = {
        Expression(red, "and not", small): "colour=red and size=large",
        Expression(small, "and not", dim): "size=small and light=bright",
        Expression(small, "and not", red): "size=small and not colour=red",
    }
    for one, said in planted.items():
        unit = concepts.members(one) + rng.normal(0, 0.1, 1200)
        found = detect(unit[:, None], concepts, rng, permutations=0, keep=100).units[0]
        assert str(found.expressions[0]) == said
        assert found.areas[0] == pytest.approx(1, abs=1e-3)
        members = [concepts.members(e).tobytes() for e in found.expressions]
        assert len(set(members)) == len(members)
        assert not any(e.operator == "and not" and e.second and e.second[0] != "colour" for e in found.expressions)


def test_what_cannot_be_is_refused() -> None:
    rng = np.random.default_rng(9)
    concepts = world(rng)
    with pytest.raises(DatasetError, match=r"\(299, 2\) for 300 pictures"):
        detect(np.zeros((299, 2)), concepts, rng)
    with pytest.raises(DatasetError, match="at least 20"):
        detect(np.zeros((2, 2)), Concepts({"a": (np.array([0, 1]), ("x", "y"))}), rng)
    with pytest.raises(DatasetError, match="outside 0 to 0"):
        Concepts({"a": (np.array([0, 1]), ("x",))})
    with pytest.raises(DatasetError, match="no factor"):
        Concepts({})
