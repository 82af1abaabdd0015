"""Probes of levels. What could silently be wrong: levels that are shuffled, labels that leak, features that are
normalised over all rows or by dimension, groups that are both learnt and asked about, validation pictures among those
that are learnt from, and probes of other features that are taken from disk.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from torchmultiverse.errors import DatasetError
from torchmultiverse.scenes import class_table
from torchmultiverse.store import ImageList
from torchmultiverse.transfer import (
    ALL,
    ConceptData,
    ConceptLevels,
    ConceptOptions,
    LevelOptions,
    ProbeProtocol,
    concept_data,
    concept_study,
    make_levels,
    measure_concepts,
    probe_levels,
    shipped_wordnet,
)
from torchmultiverse.transfer.concept_factors import appearance_split, equal_pictures, shared_factors
from torchmultiverse.transfer.concept_probes import ClassPictures, _problem, held_out, most_shots
from torchmultiverse.transfer.concept_record import costs_more
from torchmultiverse.transfer.concepts import AppearanceCost, Share

ORDER = json.loads((Path(__file__).parent / "published_order.json").read_text())


def planted_levels() -> ConceptLevels:
    """Every third class seen, five levels of 18 over the others."""
    classes = {one.name: one.synset for one in class_table() if one.kind == "object" and one.name != "Shirt"}
    return make_levels(classes, [classes[name] for name in ORDER[::3]], shipped_wordnet(), 5, 18)


def planted(levels: ConceptLevels, seed: int, gain: float | None = None) -> tuple[np.ndarray, ConceptData]:
    """Features of 40 training and 100 test pictures of each class: means that fade with distance from what was seen."""
    rng = np.random.default_rng(seed)
    features, pictures, start = [], {}, 0
    for level in levels.every:
        count = len(level.concepts)
        means = rng.normal(size=(count, 64))
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        gains = np.array([0.3 + 0.7 * one.similarity if gain is None else gain for one in level.concepts])
        codes = np.repeat(np.arange(count), 140)
        features.append(gains[codes, None] * means[codes] + 0.22 * rng.normal(size=(len(codes), 64)))
        train = np.tile(np.arange(140) < 40, count)
        places = np.arange(start, start + len(codes))
        start += len(codes)
        pictures[level.name] = ClassPictures(
            places, codes, np.arange(len(codes)), np.flatnonzero(train), np.flatnonzero(~train)
        )
    rows = np.arange(start)
    data = ConceptData("planted", levels, rows, {}, np.zeros(start, object), pictures, "rows", (), None, ())
    return np.concatenate(features).astype(np.float32), data


FIXED = ProbeProtocol(validation="none", seeds=1)  # C = 10


def _accuracies(levels: ConceptLevels, seeds: int, protocol: ProbeProtocol, gain: float | None = None) -> np.ndarray:
    found = []
    for seed in range(seeds):
        features, data = planted(levels, seed, gain)
        results = probe_levels({"m": features}, data, ConceptOptions(shots=(ALL,), protocol=protocol), quiet=True)
        found.append([results.score("m", level.name).accuracy for level in levels.every])
    return 100 * np.mean(found, 0)


def test_the_planted_gain_is_read_at_every_level() -> None:
    levels = planted_levels()
    assert len(levels.every) == 6
    found = _accuracies(levels, 5, FIXED)
    assert found == pytest.approx([98.0, 90.9, 83.9, 76.3, 67.4, 50.2], abs=1)
    assert np.allclose(_accuracies(levels, 5, FIXED, 0.8), 88.9, atol=1), "flat where nothing fades"


def test_a_chosen_penalty_reads_as_much() -> None:
    levels = planted_levels()
    fixed, chosen = _accuracies(levels, 2, FIXED), _accuracies(levels, 2, ProbeProtocol(seeds=2))
    assert (chosen > fixed - 1).all()
    assert (chosen < fixed + 7).all()


@pytest.mark.slow
def test_the_protocol_of_the_source_reads_as_much_on_the_planted_levels() -> None:
    """30 trials of 100 epochs: half a point on average from L-BFGS; a single level of 18 classes varies more."""
    levels = planted_levels()
    one, two = (_accuracies(levels, 2, ProbeProtocol(solver, seeds=2)) for solver in ("lbfgs", "sgd"))
    assert abs((one - two).mean()) < 0.5
    assert np.abs(one - two).max() < 2.5


def test_more_shots_read_more_and_vary_less() -> None:
    features, data = planted(planted_levels(), 0)
    options = ConceptOptions(shots=(1, 4, 16, 32, 64, ALL), protocol=ProbeProtocol(seeds=3))
    results = probe_levels({"m": features}, data, options, quiet=True)
    for level in ("seen", "L1", "L5"):
        curve = [results.score("m", level, shots).accuracy for shots in (1, 4, 16, 32, ALL)]
        assert curve == sorted(curve), level
    assert any("64 shots are left out" in note for note in results.notes)  # 40 pictures, 8 of them for validation
    study = concept_study(results)
    assert "unseen classes" in study.headline
    assert study.sections[-1].reference


def test_the_scale_of_features_is_no_matter_and_that_of_a_row_neither() -> None:
    features, data = planted(planted_levels(), 1)
    rows = np.random.default_rng(0).uniform(0.1, 10, (len(features), 1)).astype(np.float32)
    options = ConceptOptions(shots=(8,), protocol=ProbeProtocol(seeds=1))
    one, two = (
        probe_levels({"m": of}, data, options, quiet=True).score("m", "L1", 8).accuracy
        for of in (features, 1000 * rows * features)
    )
    assert one == pytest.approx(two, abs=0.003)


def test_validation_pictures_are_not_learnt_from_and_a_small_class_keeps_some() -> None:
    codes = np.repeat([0, 1, 2], [4, 60, 60])
    train = np.arange(len(codes))
    pictures = ClassPictures(np.arange(len(codes)), codes, np.arange(len(codes)), train, train[:0])
    features = np.arange(len(codes), dtype=np.float32)[:, None]
    for number in range(5):
        made = _problem(features, pictures, ALL, ProbeProtocol(), number)
        fit, held = set(made.fit[:, 0].astype(int)), set(made.validation[:, 0].astype(int))
        assert not fit & held
        assert fit | held == set(range(len(codes)))
        assert np.bincount(codes[sorted(held)]).tolist() == [1, 12, 12]
        assert made.final is not None
        few = _problem(features, pictures, 3, ProbeProtocol(), number)
        assert np.bincount(codes[few.fit[:, 0].astype(int)]).tolist() == [3, 3, 3]
        assert np.bincount(codes[few.validation[:, 0].astype(int)]).tolist() == [1, 3, 3]
        assert set(few.fit[:, 0]) <= {float(k) for k in fit}
        full = _problem(features, pictures, 3, ProbeProtocol(validation="full"), number)
        assert len(full.validation) == 25
    assert most_shots(pictures, ProbeProtocol()) == 3


def test_groups_are_on_one_side_only() -> None:
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(6), 40)
    worlds = np.tile(np.repeat(np.arange(8), 5), 6)
    out = held_out(codes, worlds, 0.25, rng)
    assert out is not None
    assert len(np.unique(worlds[out])) == 2
    assert not set(worlds[out]) & set(worlds[~out])
    assets = codes * 100 + np.tile(np.repeat(np.arange(4), 10), 6)
    out = held_out(codes, assets, 0.25, rng)
    assert out is not None
    assert not set(assets[out]) & set(assets[~out])
    assert np.bincount(codes[out]).tolist() == [10] * 6
    assert held_out(codes, codes, 0.25, rng) is None  # a class of one asset cannot be divided


ANIMALS = ("Zebra", "Lion", "Goldfish", "Ostrich", "EarlessSeal", "Crow", "Raven", "Koi", "Rhinoceros", "Tapir",
           "Ayu", "FruitBat", "Shoebill", "Capybara")  # fmt: skip
WORLDS, YAWS = ("Desert", "Grass", "Snow", "Museum", "Castle", "Beach", "Bar", "Opera"), (0, 45, 90, 180)


def factorial(drop: tuple[str, str] | None = None) -> ImageList:
    rows = [
        {"character_name": name, "world_name": world, "camera_yaw": yaw, "character_texture": texture}
        for name in ANIMALS for world in WORLDS for yaw in YAWS for texture in ("Default", "Sky")
        if drop is None or (name, world) != drop
    ]  # fmt: skip
    blank = Image.new("RGB", (4, 4))
    return ImageList([blank] * len(rows), rows, name="animals")


def codes_of(values: np.ndarray) -> np.ndarray:
    return np.unique(np.asarray(values, object).astype(str), return_inverse=True)[1]


def appearances(data: ConceptData, seed: int = 0, pose: float = 0.0, far: float = 1.0) -> np.ndarray:
    """Features of a class, that turn into those of another class with the yaw, and fade in the last level."""
    rng = np.random.default_rng(seed)
    names = codes_of(data.labels)
    means = rng.normal(size=(names.max() + 1, 96))
    strength = np.ones(len(names))
    last = set(data.levels.levels[-1].labels)
    strength[[label in last for label in data.labels]] = far
    found = strength[:, None] * means[names] + rng.normal(size=(len(names), 96)) * 0.8
    turned = np.asarray(data.columns["camera_yaw"]) >= 90
    found[turned] += pose * (means[(names[turned] + 1) % len(means)] - means[names[turned]])
    return found.astype(np.float32)


OPTIONS = ConceptOptions(LevelOptions(levels=2), (ALL,), ProbeProtocol(seeds=2))


def test_pictures_are_held_equal_and_divided_by_world() -> None:
    data = concept_data(factorial(("Crow", "Snow")), OPTIONS.classes)
    assert data.by == "world_name"
    assert data.equal is not None
    assert set(data.equal.factors) == {"world_name", "camera_yaw", "character_texture"}
    assert (data.equal.cells, data.equal.each) == (56, 56)  # no Snow, for no class
    assert "Snow" not in set(data.columns["world_name"])
    cells = [f"{w} {y}" for w, y in zip(data.columns["world_name"], data.columns["camera_yaw"], strict=True)]
    table = {name: sorted(c for c, n in zip(cells, data.labels, strict=True) if n == name) for name in set(data.labels)}
    assert len({tuple(one) for one in table.values()}) == 1
    tested = [set(data.columns["world_name"][p.rows[p.test]]) for p in data.pictures.values()]
    learnt = [set(data.columns["world_name"][p.rows[p.train]]) for p in data.pictures.values()]
    assert all(one == tested[0] for one in tested)
    assert not tested[0] & set.union(*learnt)
    assert any("held equal" in note for note in data.notes)
    free = concept_data(factorial(("Crow", "Snow")), OPTIONS.classes, equal=False)
    assert len(free.rows) == len(data.rows) + 8 * (len(set(data.labels)) - 1)


def test_a_hard_look_does_not_tilt_a_level() -> None:
    """Tested on other shares of a hard look, levels that are equal would silently differ."""
    looks = ("photo", "sketch", "toy")
    rows = [{"label": name, "folder_2": look} for name in ANIMALS for look in looks for _ in range(7)]
    images = ImageList([Image.new("RGB", (4, 4))] * len(rows), rows, name="looks")
    for seed in range(3):
        data = concept_data(images, OPTIONS.classes, seed=seed)
        assert (data.by, data.equal is not None and data.equal.factors) == ("rows", ("folder_2",))
        shown = codes_of(data.columns["folder_2"])
        features = np.eye(16, dtype=np.float32)[codes_of(data.labels)]
        features[shown == 1] = np.eye(16)[15]  # of a sketch nothing is told
        results = probe_levels({"m": features}, data, replace(OPTIONS, appearance=False), quiet=True)
        tested = []
        for level in data.levels.levels:
            pictures = data.pictures[level.name]
            pairs = pictures.codes[pictures.test] * 3 + shown[pictures.rows[pictures.test]]
            tested += np.bincount(pairs, minlength=3 * pictures.classes).reshape(-1, 3).tolist()
        assert tested == [tested[0]] * len(tested), "the same looks of every class"
        assert sum(tested[0]) == 5  # a quarter of 21
        assert set(tested[0]) == {1, 2}
        levels = [results.score("m", level.name).accuracy for level in data.levels.levels]
        assert len(levels) == 2
        assert levels[0] == levels[1] < 1
        by_factor = next(one for one in concept_study(results).sections if one.title == "By factor").table
        for level in data.levels.levels:
            cells = [line[f"{level.name}, n"] for line in by_factor]
            assert sum(cells) == 5 * len(level.concepts), "n of a cell is of one level"
            assert cells == [n * len(level.concepts) for n in tested[0]]


def test_looks_are_held_out_alike_of_groups_too() -> None:
    rng = np.random.default_rng(0)
    codes, assets = np.repeat(np.arange(4), 60), np.arange(240) // 6
    cells = np.tile([0, 0, 0, 1, 1, 1] * 5 + [2] * 30, 4)  # five assets of two looks, five of a third
    for _ in range(5):
        out = held_out(codes, assets, 0.2, rng, cells)
        assert out is not None
        assert not set(assets[out]) & set(assets[~out])
        assert [np.bincount(cells[out & (codes == k)]).tolist() for k in range(4)] == [[3, 3, 6]] * 4


def test_a_factor_of_which_classes_share_too_little_is_let_go() -> None:
    rng = np.random.default_rng(0)
    columns = {"a": rng.integers(0, 3, 400).astype(str).astype(object), "b": rng.integers(0, 99, 400)}
    labels = np.array(["x", "y"], object)[rng.integers(0, 2, 400)]
    assert shared_factors(columns, labels, []) == ["a", "b"]
    found = equal_pictures(columns, labels, np.arange(400), ["a", "b"], rng)
    assert found.factors == ("a",)
    assert found.dropped == ("b",)
    counts = {(a, n): 0 for a in "012" for n in "xy"}
    for row in found.rows:
        counts[columns["a"][row], labels[row]] += 1
    assert all(counts[a, "x"] == counts[a, "y"] for a in "012")
    with pytest.raises(DatasetError, match="no column 'c'"):
        shared_factors(columns, labels, [], ["c"])


def test_far_is_far_the_shorter_way_round() -> None:
    split = appearance_split(np.array([0, 0, 45, 90, 180, 315]), "camera_yaw", np.random.default_rng(0))
    assert split is not None
    assert split.near == ("0", "45", "315")
    assert split.far == ("90", "180")
    assert appearance_split(np.array(["a", "a"], object), "x", np.random.default_rng(0)) is None


def test_what_costs_more_is_what_was_planted() -> None:
    data = concept_data(factorial(), OPTIONS.classes)
    by_pose = probe_levels({"m": appearances(data, pose=0.9)}, data, OPTIONS, quiet=True)
    costs = {one.factor: one for one in by_pose.costs}
    assert set(costs) == {"world_name", "camera_yaw", "character_texture"}
    assert costs["camera_yaw"].near == ("0", "45")
    assert costs["camera_yaw"].more.high < 0
    assert costs["character_texture"].appearance.low < 0 < costs["character_texture"].appearance.high
    assert costs_more(costs["camera_yaw"]).startswith("Appearance costs more than meaning")
    by_meaning = probe_levels({"m": appearances(data, far=0.0)}, data, OPTIONS, quiet=True)
    worst = max(by_meaning.costs, key=lambda one: one.appearance.value)
    assert worst.more.low > 0
    assert costs_more(worst).startswith("Meaning costs more than appearance")
    assert "Meaning costs more" in concept_study(by_meaning).headline
    none = AppearanceCost("m", "pose", (), (), *[Share(0.5, 0.3, 0.7)] * 5, Share(0.0, -0.2, 0.2))
    assert "cannot be told" in costs_more(none)


def test_a_model_is_compared_on_the_same_pictures() -> None:
    data = concept_data(factorial(), OPTIONS.classes)
    features = {"good": appearances(data), "bad": appearances(data, 1, far=0.1), "same": appearances(data)}
    results = probe_levels(features, data, replace(OPTIONS, baseline="good", appearance=False), quiet=True)
    assert results.difference("same", "good", "L2").mean == 0
    assert results.difference("bad", "good", "L2").mean < -0.2
    study = concept_study(results)
    titles = [section.title for section in study.sections]
    assert "Against good" in titles
    assert "By factor" in titles
    assert [one["model"] for one in study.sections[titles.index("Against good")].table] == ["bad"] * 3 + ["same"] * 3
    with pytest.raises(DatasetError, match=r"no model is called 'god'\. Did you mean 'good'"):
        probe_levels(features, data, replace(OPTIONS, baseline="god"), quiet=True)
    with pytest.raises(DatasetError, match="rows are needed"):
        probe_levels({"m": features["good"][:5]}, data, OPTIONS, quiet=True)


def test_finished_probes_are_kept_and_those_of_others_are_not_taken(tmp_path: Path, monkeypatch) -> None:
    from torchmultiverse.transfer import concept_probes

    data = concept_data(factorial(), OPTIONS.classes)
    one = probe_levels({"m": appearances(data)}, data, OPTIONS, tmp_path, quiet=True)
    files = sorted((tmp_path / "probes").glob("*.npz"))
    assert len(files) == 3 + 2 * 3
    files[0].write_bytes(b"damaged")
    solve, calls = concept_probes._solved, []
    monkeypatch.setattr(concept_probes, "_solved", lambda *of: calls.append(0) or solve(*of))
    two = probe_levels({"m": appearances(data)}, data, OPTIONS, tmp_path, quiet=True)
    assert len(calls) == 1
    assert [s.accuracy for s in one.scores] == [s.accuracy for s in two.scores]
    probe_levels({"m": appearances(data, 5)}, data, OPTIONS, tmp_path, quiet=True)
    assert len(calls) == 1 + 9


@pytest.mark.slow
def test_pictures_of_a_model_are_read_at_its_layer() -> None:
    rng = np.random.default_rng(0)
    rows = [{"label": name} for name in ANIMALS for _ in range(12)]
    pixels = rng.integers(0, 255, (len(rows), 24, 24, 3), dtype=np.uint8)
    for k, row in enumerate(rows):
        pixels[k, :, :, 0] = 18 * ANIMALS.index(row["label"])
    images = ImageList([Image.fromarray(one) for one in pixels], rows, name="folder")
    pytest.importorskip("timm")
    options = replace(OPTIONS, shots=(1, ALL))
    results = measure_concepts(["timm:resnet10t/random"], images, options)
    assert any("taken as independent" in note for note in results.notes)
    assert any("number of pictures alone" in note for note in results.notes)
    assert not results.costs
    study = concept_study(results, images)
    assert [len(row.samples) for row in next(s for s in study.sections if s.pictures).pictures] == [4, 5, 5]
    assert 0 <= results.score("timm:resnet10t/random", "L1").low <= 1


def test_sources_trends_are_in_the_published_numbers() -> None:
    """More pictures read no less in all 1488 pairs; a farther level less in 154 of 155 pairs, but for CLIP's L4."""
    from torchmultiverse.resources import data_folder

    table = json.loads((data_folder("benchmarks") / "reference" / "imagenet_cog.json").read_text())
    values = {(row["model"], row["level"]): row["values"] for row in table["rows"]}
    assert len(values) == 31 * 6
    assert all(a <= b for of in values.values() for a, b in pairwise(of))
    models = {model for model, _ in values}
    risen = [
        (model, one)
        for model in models for one, two in pairwise(table["levels"])
        if values[model, two][-1] >= values[model, one][-1]
    ]  # fmt: skip
    assert risen == [("d-CLIP", "L3")]
    assert [values["ResNet50", level][-1] for level in table["levels"]] == [75.8, 67.9, 63.1, 59.0, 58.1, 52.0]
    assert values["r-CutMix", "IN1K"][-1] == 78.3
    assert values["s-DINO", "L5"][-1] == 57.6
