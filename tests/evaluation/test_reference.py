"""Published numbers. What could silently be wrong: a digit, or a row that stands for another question."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from planted import Planted, Tagged, spar_rows

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation import evaluate
from torchmultiverse.evaluation.reference import (
    correlate,
    imagenet_accuracies,
    never_right,
    published_cosines,
    published_rows,
    tables,
)
from torchmultiverse.resources import data_folder
from torchmultiverse.store import ImageList


def _imagenet() -> dict:
    return next(t for t in tables() if t["name"] == "PUG: ImageNet")


def test_the_published_correlations_follow_from_the_published_accuracies() -> None:
    """Table 7 from table 6: any wrong digit in a row would show."""
    table = _imagenet()
    wanted = table["correlation"]
    accuracy = dict(zip(table["models"], table["imagenet"], strict=True))
    kept = {name: accuracy[name] for name in wanted["models"]}
    by_factor = {row["level"]: dict(zip(table["models"], row["values"], strict=True)) for row in table["rows"]}
    found = {c.factor: c for c in correlate(kept, by_factor)}
    assert set(found) == set(wanted["r"])
    for factor, correlation in found.items():
        assert correlation.r == pytest.approx(wanted["r"][factor], abs=0.011), factor
        assert correlation.p == pytest.approx(wanted["p"][factor], abs=0.016), factor
        assert correlation.models == 9
        assert correlation.low < correlation.r < correlation.high
        assert correlation.low < 0 < correlation.high, "as published: none is significant"


def test_tables_are_whole() -> None:
    """Every cell is a number of pictures over all of them, to the printed digit: a misread digit seldom is."""
    seen = 0
    for table in tables():
        for row in table["rows"]:
            assert len(row["values"]) == len(table["models"])
            for value in row["values"]:
                if value is None:
                    continue
                digits = 1 if table["name"] == "PUG: ImageNet" else 2
                counts = {row["n"]} if "objects" not in row else {64 * objects for objects in row["objects"]}
                for n in counts:
                    assert 0 <= value <= 100
                    assert abs(100 * round(value * n / 100) / n - value) <= 0.501 * 10**-digits, (row, value, n)
                seen += 1
    assert seen == 130 + 28 * 10 - 1 + 151


def test_misprints_are_not_repeated() -> None:
    spar = next(t for t in tables() if t["name"] == "PUG: SPAR")
    rows = {(r["task"], r["setting"], r["metric"], r["level"]): r["values"] for r in spar["rows"]}
    assert rows["position", "left/right", "top1", "all"][3] is None, "printed 50.51: no count of 640"
    assert rows["position", "left/right", "top1", "all"][6:] == [14.06, 27.03, 22.03, 10.31]
    assert rows["single_animal", "Default", "top1", "SaltFlats"][6::3] == [64.06, 64.84]
    assert rows["position", "left/right", "top1", "SaltFlats"][:2] == [29.69, 37.5]


def test_the_accuracies_by_class_are_of_all_objects() -> None:
    table = next(t for t in tables() if t["name"] == "PUG: ImageNet by class")
    assert len({row["level"] for row in table["rows"]}) == 151
    assert {row["level"] for row in table["rows"]} == set(json.loads(
        (data_folder("benchmarks") / "imagenet_classes.json").read_text())["classes"])  # fmt: skip
    assert sum(row["n"] for row in table["rows"]) == 46_336
    assert sum(len(row["objects"]) == 1 for row in table["rows"]) == 114
    assert [row["level"] for row in table["rows"] if row["values"] == [0]] == ["Submarine", "Shirt", "Loupe"]


def test_published_facts_of_other_kinds() -> None:
    known = published_cosines()
    assert {factor for factor, _ in known} == {"world_name", "character_texture", "character_scale"}
    assert known["world_name", "image"] == (0.78, 0.04)
    assert known["character_scale", "text"] == (0.71, 0.11)
    (other,) = tables("datasets")
    assert all(set(row) == set(other["columns"]) for row in other["rows"])
    animals = json.loads((data_folder("scenes") / "animals.json").read_text())["design"]["factors"]
    mine = next(row for row in other["rows"] if row["name"] == "PUG: Animals")
    assert (mine["domains"], mine["categories"]) == (len(animals["World_Name"]), len(animals["Character_Name"]))


def test_classes_that_are_never_right_and_published_ones_beside_worlds_alone() -> None:
    """In a result of other subsets a class's accuracy answers another question than the published one."""
    rows = [
        {"character_label": label, "character_name": f"{label}{i}", "world_name": world, "subset": "Worlds"}
        for label in ("Goldfish", "Soccer_Ball") for i in range(2) for world in ("Desert", "Opera")
    ]  # fmt: skip
    images = [Image.new("RGB", (4, 4))] * len(rows)

    def always_ball(batch):
        return np.eye(1000, dtype=np.float32)[[805] * len(batch)]

    result = evaluate(ImageList(images, rows), always_ball, "imagenet_pug2023", quiet=True)
    setting = next(c["setting"] for c in result.cells(task="classification", factor="all") if "pug2023" in c["setting"])
    assert never_right(result, result.models[0], "classification", setting) == ["Goldfish"]
    found = {p.level: p for p in published_rows(result) if p.factor == "class"}
    assert found["Soccer_Ball"].values == {"ResNet101": 100.0}
    assert found["Soccer_Ball"].own == {result.models[0]: 100}
    rows[0] = {**rows[0], "subset": "Scene_Light"}
    mixed = evaluate(ImageList(images, rows), always_ball, "imagenet_pug2023", quiet=True)
    assert not [p for p in published_rows(mixed) if p.factor == "class"]


def test_own_numbers_stand_beside_published_ones_of_the_same_question() -> None:
    pictures = Tagged(spar_rows(worlds=("Desert", "SaltFlats")))
    found = published_rows(evaluate(pictures, Planted(pictures, "oracle", ["world", "animals"]), quiet=True))
    keys = {(p.task, p.setting, p.scope, p.metric, p.factor, p.level) for p in found}
    assert ("relation", "left/right", "background", "hard_negative", "all", "all") in keys
    assert ("two_animals", "Default", "plain", "top1", "world", "SaltFlats") in keys
    assert all(p.own == {"oracle": 100} for p in found)
    assert not any(p.same_protocol for p in found)
    assert all(p.values["FLAVA"] < 65 for p in found)


def test_imagenet_accuracies_from_a_file(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("model,top1,top5\nresnet50,80.4,95\n")
    assert imagenet_accuracies(tmp_path / "a.csv") == {"resnet50": 80.4}
    with pytest.raises(DatasetError, match="model and accuracy"):
        imagenet_accuracies(tmp_path / "none.csv")
    with pytest.raises(DatasetError, match="four are needed"):
        correlate({"a": 1, "b": 2}, {"f": {"a": 1, "b": 2}})
