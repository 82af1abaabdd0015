"""Published numbers. What could silently be wrong: a digit, or a row that stands for another question."""

from __future__ import annotations

import pytest
from planted import Planted, Tagged, spar_rows

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluate import evaluate
from torchmultiverse.evaluate.reference import beside, correlate, imagenet_accuracies, tables


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
    for table in tables():
        for row in table["rows"]:
            assert len(row["values"]) == len(table["models"])
            assert all(v is None or 0 <= v <= 100 for v in row["values"])


def test_own_numbers_stand_beside_published_ones_of_the_same_question() -> None:
    pictures = Tagged(spar_rows(worlds=("Desert", "SaltFlats")))
    found = beside(evaluate(pictures, Planted(pictures, "oracle", ["world", "animals"]), quiet=True))
    keys = {(p.task, p.setting, p.scope, p.metric, p.factor, p.level) for p in found}
    assert ("relation", "left/right", "background", "hard_negative", "all", "all") in keys
    assert ("two_animals", "Default", "plain", "top1", "world", "SaltFlats") in keys
    assert all(p.own == {"oracle": 100} for p in found)
    assert not any(p.same_protocol for p in found)
    assert all(p.values["FLAVA"] < 61 for p in found)


def test_imagenet_accuracies_from_a_file(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("model,top1,top5\nresnet50,80.4,95\n")
    assert imagenet_accuracies(tmp_path / "a.csv") == {"resnet50": 80.4}
    with pytest.raises(DatasetError, match="model and accuracy"):
        imagenet_accuracies(tmp_path / "none.csv")
    with pytest.raises(DatasetError, match="four are needed"):
        correlate({"a": 1, "b": 2}, {"f": {"a": 1, "b": 2}})
