"""Parts, unions, differences and draws of designs are counted and indexed without being made.

Silently wrong would be one that skips, repeats or reorders a scene: a dataset with wrong counts, and other scenes for a
spec than those that it had. So small ones are compared with lists that are made in the plainest way, and drawn ones
with what they were before.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest

from torchmultiverse.errors import SpecError
from torchmultiverse.scenes import FACTORS, Factorial, Scene, expanded, parse_spec, parse_where, sampling, subsets
from torchmultiverse.scenes.sampling import PointSequence, RandomSubset, hypergeometric

WORLDS = ["Desert", "Arena", "Museum", "Snow", "Bar"]
CHARACTERS = ["Cat", "Wolf", "Bear"]
PLACES = [{"Character1_Pos": a, "Character2_Pos": b} for a in ("left", "top") for b in ("right", "bottom", "top")]
FILTERS = [
    "World_Name = Snow", "World_Name in (Desert, Bar)", "Character_Name != Cat", "Camera_Yaw > 60", "Camera_Roll = 0",
    "Character_Texture = Blue", "Character1_Pos = left", "Character2_Pos in (top, right)", "Camera_Pitch > 1",
]  # fmt: skip


EMPTY = ("leave no scene", "only 1 different", "one_in = 3")
"""What is said where a part of a design has no scenes, or fewer than are drawn."""


def some(rng: np.random.Generator, values: list[Any], least: int = 1) -> list[Any]:
    return [values[n] for n in rng.permutation(len(values))[: rng.integers(least, len(values) + 1)]]


def factorial(rng: np.random.Generator) -> dict[str, Any]:
    factors: dict[str, Any] = {"World_Name": some(rng, WORLDS, 3)}
    if rng.integers(2):
        factors["Character_Name"] = some(rng, CHARACTERS)
    if rng.integers(2):
        factors["Camera_Yaw"] = some(rng, [0, 45, 90, 120])
    if rng.integers(2):
        factors["Character_Texture"] = some(rng, ["Default", "Blue"])
    names = [list(factors)[n] for n in rng.permutation(len(factors))]
    return {"factors": {n: factors[n] for n in names}, "linked": [some(rng, PLACES)] if rng.integers(2) else []}


def design(rng: np.random.Generator, depth: int = 0) -> dict[str, Any]:
    kinds = ["factorial", "fraction", "random", "explicit"] + ["union", "difference"] * (4 if depth < 2 else 0)
    kind = str(rng.choice(kinds))
    made: dict[str, Any] = {"kind": kind}
    if kind == "union":
        made["of"] = [design(rng, depth + 1) for _ in range(rng.integers(1, 4))]
    elif kind == "difference":
        made |= {"of": design(rng, depth + 1), "minus": [design(rng, depth + 1) for _ in range(rng.integers(1, 3))]}
    elif kind == "explicit":
        scenes = [{"World_Name": w, "Character_Name": c} for w in some(rng, WORLDS) for c in some(rng, CHARACTERS)]
        made["scenes"] = scenes
    else:
        made |= factorial(rng) | {"fraction": {"one_in": 3}, "random": {"pictures": 2}}.get(kind, {})
    if rng.integers(4) == 0:
        made["only"] = some(rng, FILTERS)[:3]
    if rng.integers(2):
        made["exclude"] = [" and ".join(some(rng, FILTERS, 2)[:3]) for _ in range(rng.integers(1, 4))]
    return made


def plain(made: dict[str, Any], seed: int) -> list[Scene]:
    """Return the scenes of a design in the plainest way."""
    kind = made["kind"]
    if kind == "union":
        found = list(dict.fromkeys(scene for part in made["of"] for scene in plain(part, seed)))
    elif kind == "difference":
        gone = {scene for part in made["minus"] for scene in plain(part, seed)}
        found = [scene for scene in plain(made["of"], seed) if scene not in gone]
    elif kind == "explicit":
        found = [Scene(row) for row in made["scenes"]]
    else:
        axes = [[{name: level} for level in levels] for name, levels in made["factors"].items()] + made["linked"]
        rows = list(itertools.product(*(range(len(axis)) for axis in axes)))
        if kind == "fraction":
            rest = seed % min(made["one_in"], max(map(sum, rows)) + 1)
            rows = [row for row in rows if sum(row) % made["one_in"] == rest]
        elif kind == "random":
            picked = np.random.default_rng(seed).choice(len(rows), made["pictures"], replace=False)
            rows = [rows[n] for n in sorted(picked.tolist())]
        found = [Scene({k: v for axis, n in zip(axes, row, strict=True) for k, v in axis[n].items()}) for row in rows]

    def passes(scene: Scene, texts: list[str]) -> bool:
        return any(all(c.holds(scene[c.factor]) for c in parse_where(text)) for text in texts)

    found = [scene for scene in found if passes(scene, made.get("only", ["Camera_Roll = 0"]))]
    return [scene for scene in found if not passes(scene, made.get("exclude", []))]


@pytest.mark.parametrize("by_axes", [True, False])
@pytest.mark.parametrize("block", range(6))
def test_any_design_has_the_scenes_of_its_plainest_reading(
    block: int, by_axes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By axes, and where a rule is too large for that by looking at one scene after the other."""
    if not by_axes:
        monkeypatch.setattr(subsets, "_MOST_PLACES", 8)
    tried = 0
    for number in range(40):
        rng = np.random.default_rng([block, number])
        made, seed = design(rng), number % 4
        try:
            found = parse_spec({"name": "x", "design": made, "seed": seed}).build()
        except SpecError as error:
            if not any(why in str(error) for why in EMPTY):
                raise
            continue
        tried += 1
        expected = plain(made, seed)
        assert found.count == len(expected), made
        assert list(found) == expected, made
        assert found[-1] == expected[-1]
        table = expanded(found)
        assert list(table) == expected
        assert found.places(table).tolist() == list(range(len(expected)))
        chosen = rng.integers(found.count, size=5)
        assert list(found.part(chosen)) == [expected[n] for n in chosen]
        for name, uses in found.first_uses().items():
            levels = [scene[name] for scene in expected]
            assert list(uses.items()) == [(level, levels.count(level)) for level in dict.fromkeys(levels)], made
            assert uses == found.level_counts()[name]
        kept = found.where(parse_where(FILTERS[number % len(FILTERS)]))
        assert list(kept) == plain({"kind": "union", "of": [made], "only": [FILTERS[number % len(FILTERS)]]}, seed)
    assert tried >= 20


RANGES = {
    "World_Name": ["Desert", "Arena", "Museum", "Snow"], "Camera_Yaw": {"from": 0, "to": 360},
    "Character_Scale": {"from": 0.5, "to": 2}, "Character_Name": ["Cat", "Wolf", "Bear"],
}  # fmt: skip
LISTS = {
    "World_Name": ["Desert", "Arena", "Museum", "Snow"], "Character_Name": ["Cat", "Wolf", "Bear"],
    "Camera_Yaw": {"from": 0, "to": 360, "count": 90}, "Character_Scale": {"from": 0.5, "to": 2, "count": 16},
}  # fmt: skip
LINKED = [
    [{"Character1_Pos": "left", "Character2_Pos": "right"}, {"Character1_Pos": "top", "Character2_Pos": "bottom"}]
]


@pytest.mark.parametrize("most", [1000, 999], ids=["as a table", "as a sequence"])
@pytest.mark.parametrize(
    ("kind", "factors", "seed", "digest"),
    [
        ("random", LISTS, 0, "c71ffd3fdc1b4d5b"),
        ("random", LISTS, 5, "891f3ae1dd22965b"),
        ("random", RANGES, 0, "a56219d77078f877"),
        ("random", RANGES, 5, "1f402c2fccf7a97d"),
        ("latin_hypercube", RANGES, 0, "d78f4244f61affef"),
        ("latin_hypercube", RANGES, 5, "fb414c5dd5bbf3f3"),
        ("sobol", RANGES, 0, "56b7811e496d28bb"),
        ("sobol", RANGES, 5, "86d510d9e2cce988"),
    ],
)
def test_a_seed_draws_what_it_always_drew(
    kind: str, factors: dict[str, Any], seed: int, digest: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scenes, their order, and that of levels, which samplers draw from: of before draws were made as arrays."""
    monkeypatch.setattr(sampling, "MOST_AT_ONCE", most)
    monkeypatch.setattr(sampling, "_BLOCK", 256)
    made = {"kind": kind, "pictures": 1000, "factors": factors, "linked": LINKED}
    found = parse_spec({"name": "x", "seed": seed, "design": made}).build()
    counts = [[name, list(per.items())] for name, per in found.level_counts().items()]
    text = json.dumps([[scene.scene_id for scene in found], counts])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest


def test_rounding_is_that_of_python() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate(
        [rng.uniform(-400, 400, 2000), np.arange(-999, 999) / 2000, rng.integers(0, 9, 50) + 0.0005]
    )
    assert sampling._rounded(values).tolist() == [round(value, 3) for value in values.tolist()]


LARGE: dict[str, Any] = {
    "World_Name": [f"W{n}" for n in range(100)], "Character_Name": [f"C{n}" for n in range(100)],
    "Camera_Yaw": {"from": 0, "to": 360, "count": 100}, "Camera_Pitch": {"from": 0, "to": 50, "count": 10},
}  # fmt: skip
HALF = {"kind": "factorial", "factors": {**LARGE, "World_Name": LARGE["World_Name"][:60]}}
OTHER = {"kind": "factorial", "factors": {**LARGE, "World_Name": LARGE["World_Name"][40:]}}
WIDE = {**LARGE, "Camera_Yaw": {"from": 0, "to": 360}, "Camera_Pitch": {"from": 0, "to": 60}}
TEN = 10**7


@pytest.mark.parametrize(
    ("made", "count"),
    [
        ({"kind": "factorial", "factors": LARGE, "exclude": ["World_Name = W3 and Camera_Yaw > 180"]}, TEN - 49_000),
        ({"kind": "union", "of": [HALF, OTHER]}, TEN),
        ({"kind": "difference", "of": {"kind": "union", "of": [OTHER, HALF]}, "minus": [HALF]}, 4 * TEN // 10),
        ({"kind": "fraction", "one_in": 10, "factors": {**LARGE, "Camera_Roll": list(range(10))}}, TEN),
        ({"kind": "random", "pictures": TEN, "factors": {**LARGE, "Camera_Roll": list(range(40))}}, TEN),
        ({"kind": "random", "pictures": TEN, "factors": WIDE}, TEN),
        ({"kind": "sobol", "pictures": TEN, "factors": WIDE}, TEN),
        (
            {"kind": "one_at_a_time", "reference": {"World_Name": "W0"}, "vary": {"Camera_Yaw": list(range(100))},
             "over": {"Character_Name": LARGE["Character_Name"], "Camera_Roll": {"from": 0, "to": 90, "count": 1000}},
             "exclude": ["Character_Name = C1 and Camera_Yaw < 50"]},
            TEN - 50_000,
        ),
    ],
)  # fmt: skip
def test_ten_million_scenes_are_counted_and_not_made(made: dict[str, Any], count: int) -> None:
    parse_spec({"name": "x", "design": {"kind": "sobol", "pictures": 2, "factors": WIDE}})  # imports what Sobol's needs
    tracemalloc.start()
    try:
        found = parse_spec({"name": "x", "design": made}).build()
        assert found.count == count
        first = [found[n] for n in range(100)]
        assert len(set(first)) == 100
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
    again = parse_spec({"name": "x", "design": made}).build()
    assert list(again.part(np.array([99, 3, 50]))) == [first[99], first[3], first[50]]


@pytest.mark.parametrize(("good", "bad", "draws"), [(5, 7, 4), (3, 90, 60), (1000, 500, 700), (10**6, 10**7, 5000)])
def test_quantiles_are_those_of_the_hypergeometric_distribution(good: int, bad: int, draws: int) -> None:
    """Silently wrong would be a subset in which one half of the scenes is drawn more often."""
    from scipy.stats import hypergeom

    for u in np.random.default_rng(good).random(50).tolist():
        assert hypergeometric(good, bad, draws, u) == hypergeom.ppf(u, good + bad, good, draws)


def test_subsets_of_large_factorials_are_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_AT_ONCE", 2)
    frame = Factorial.of({"World_Name": WORLDS, "Character_Name": CHARACTERS, "Camera_Yaw": [0, 90]})
    order = {scene.scene_id: n for n, scene in enumerate(frame)}
    seen, together = np.zeros(frame.count), 0
    for seed in range(500):
        places = [order[scene.scene_id] for scene in RandomSubset(frame, 12, seed)]
        assert places == sorted(set(places)), "all different, and in the order of the factorial"
        seen[places] += 1
        together += {0, 29} <= set(places)
    assert (np.abs(seen - 200) < 5 * np.sqrt(200 * 0.6)).all(), seen
    assert abs(together - 500 * 12 * 11 / (30 * 29)) < 5 * np.sqrt(76)
    subset = RandomSubset(frame, 12, 7)
    assert list(subset.part(np.array([11, 0, 5, 5]))) == [subset[11], subset[0], subset[5], subset[5]]
    assert sum(subset.level_counts()["World_Name"].values()) == 12
    assert list(subset.where(parse_where("Camera_Yaw = 90"))) == [s for s in subset if s["Camera_Yaw"] == 90]


@pytest.mark.parametrize("method", ["random", "sobol"])
@pytest.mark.parametrize("wide", [False, True])
def test_sequences_pass_over_what_was_there(method: Any, wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_BLOCK", 16)
    spans: Any = {"Camera_Yaw": [(0.0, 360.0) if wide else (0.0, 0.004)]}
    more = [[{name: 0}] for name in ("Camera_Pitch", "Camera_Roll", "Character_Rotation_Yaw")] if wide else []
    if wide:  # more places than 64 bits can tell apart
        spans |= {row[0].popitem()[0]: [(0.0, 359.0)] for row in more}
        more = [[{name: 0}] for name in list(spans)[1:]]
    frame = Factorial([[{"World_Name": world} for world in WORLDS], [{"Camera_Yaw": 0}], *more], FACTORS)
    count = 300 if wide else 20
    found = PointSequence(method, count, frame, spans, (3, 0))
    points = found._draw(0, 512)
    scenes = list(sampling._scenes(points, frame, spans))
    expected = list(dict.fromkeys(scenes))[:count]
    assert wide or len(set(scenes[:count])) < count, "some of the first repeat"
    assert list(found) == expected
    assert found[count - 1] == expected[-1]
    assert list(PointSequence(method, count, frame, spans, (3, 0)).part(np.array([count - 1, 0]))) == [
        found[-1],
        found[0],
    ]
    assert list(pickle.loads(pickle.dumps(found))) == expected
    if not wide:
        with pytest.raises(SpecError, match=r"reaches only \d+ different ones; ask for fewer"):
            PointSequence(method, 400, frame, spans, (3, 0))[399]


def test_what_is_too_large_to_be_drawn_is_said() -> None:
    narrow = {"World_Name": WORLDS, "Camera_Yaw": {"from": 0, "to": 100}}
    with pytest.raises(SpecError, match="repeats some however it is drawn; ask for fewer"):
        parse_spec({"name": "x", "design": {"kind": "random", "pictures": 60_000, "factors": narrow}})
    for kind, message in (("latin_hypercube", "at most 5,000,000 of kind"), ("sobol", "only 9 different scenes")):
        made = {"kind": kind, "pictures": TEN, "factors": WIDE if kind == "latin_hypercube" else {
            "World_Name": WORLDS[:3], "Character_Name": CHARACTERS}}  # fmt: skip
        with pytest.raises(SpecError, match=message):
            parse_spec({"name": "x", "design": made})
