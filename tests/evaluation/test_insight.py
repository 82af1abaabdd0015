"""Summaries of one model. What could silently be wrong: an interaction that is only two main effects, a calibration
that looks good because bins are empty, a drop from the wrong level.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_comparing import Looking, _evaluate, _rows

from torchmultiverse.evaluation.breakdown import calibration, factor_scores, in_order, interactions, strongest_pair
from torchmultiverse.evaluation.paired import Rows, RowView


def _view(right, copies: int = 6, noise: float = 0.0) -> RowView:
    rows = _rows(copies)
    return RowView(_evaluate(rows, Looking(rows, "m", right, noise)))


def test_the_worst_level_its_drop_and_its_error_ratio() -> None:
    view = _view(lambda r: r["world_name"] != "Snow" or r["camera_yaw"] == 0)
    first, *others = factor_scores(view, "m", view.question(None))
    assert first.factor == "world_name"
    assert first.worst.level == "Snow"
    assert first.worst.accuracy == pytest.approx(0.25)
    assert first.drop == pytest.approx(0.75)
    assert first.worst.error_ratio == pytest.approx(3)
    yaw = next(f for f in others if f.factor == "camera_yaw")
    assert [s.level for s in yaw.levels] == ["0", "90", "180", "270"]
    assert yaw.default is not None
    assert yaw.default.level == "0"
    assert yaw.drop == pytest.approx(1 / 3)


def test_an_interaction_is_what_two_effects_do_not_add_up_to() -> None:
    both = _view(lambda r: (r["world_name"], r["camera_yaw"]) != ("Snow", 90))
    line = both.question(None)
    assert strongest_pair(both, "m", line) == ("world_name", "camera_yaw")
    cells = interactions(both, "m", line, "world_name", "camera_yaw")
    assert (cells[0].first, cells[0].second) == (("world_name", "Snow"), ("camera_yaw", "90"))
    # −1 in one of 3 × 4 cells: −(1 − 1/3)(1 − 1/4).
    assert cells[0].effect == pytest.approx(-0.5)
    assert 0 < cells[0].p < 0.01, "24 rows that agree are no certainty"
    assert sum(c.effect for c in cells) == pytest.approx(0, abs=1e-9)
    apart = _view(lambda r: r["world_name"] != "Snow", noise=0.2)
    for cell in interactions(apart, "m", apart.question(None), "world_name", "camera_yaw"):
        assert cell.low <= cell.effect <= cell.high
        assert abs(cell.effect) < 0.2
        assert cell.p > 0.01


def _with(confidence: list[float], correct: list[float]) -> Rows:
    n = len(confidence)
    words = np.array(["x"] * n, object)
    return Rows(
        np.arange(n), np.array(correct, float), np.arange(n), False, words, words, np.array(confidence, np.float32)
    )


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0.01, 1), st.booleans()), min_size=1, max_size=80))
def test_calibration_is_between_the_overall_gap_and_one(answers: list[tuple[float, bool]]) -> None:
    found = calibration(_with([c for c, _ in answers], [float(right) for _, right in answers]))
    assert found is not None
    assert sum(n for *_, n in found.bins) == len(answers)
    assert abs(found.confidence - found.accuracy) - 1e-6 <= found.error <= 1


def test_a_calibrated_and_an_overconfident_model() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.2, 1, 6000)
    good = calibration(_with(list(confidence), list((rng.random(6000) < confidence).astype(float))))
    sure = calibration(_with([0.99] * 100, [1.0, 0.0] * 50))
    assert good is not None
    assert sure is not None
    assert good.error < 0.03
    assert sure.error == pytest.approx(0.49, abs=1e-6)
    assert calibration(_with([float("nan")], [1.0])) is None


def test_levels_follow_each_other_as_numbers() -> None:
    assert in_order(["10", "9", "-3"]) == ["-3", "9", "10"]
    assert in_order(["b", "10", "a"]) == ["10", "a", "b"]
