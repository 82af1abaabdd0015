"""Comparisons of models. What could silently be wrong: a test that calls noise a difference, or that misses one that
was planted; a gap blamed on the wrong level; a slice that is reported because what it contains is bad, not itself.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import drawn_spar
from scipy.stats import false_discovery_control

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.evaluation import evaluate
from torchmultiverse.evaluation.acquisition import next_renders
from torchmultiverse.evaluation.attribution import explain_gap
from torchmultiverse.evaluation.comparison import compare, model_ranks
from torchmultiverse.evaluation.paired import RowView
from torchmultiverse.evaluation.result import Result
from torchmultiverse.evaluation.slices import search, worst_slices
from torchmultiverse.models import HistogramBaseline, as_model
from torchmultiverse.stats.significance import detectable, holm, mcnemar, sign_flip
from torchmultiverse.store import ImageList

WORLDS, ANIMALS, YAWS = ("Arena", "Desert", "Snow"), ("Cat", "Dog", "Fox", "Owl"), (0, 90, 180, 270)


def _rows(copies: int = 6) -> list[dict]:
    rows = product(range(copies), WORLDS, ANIMALS, YAWS)
    return [
        {"world_name": w, "character_name": a, "camera_yaw": y, "scene_id": f"{i:06d}", "camera_pitch": k}
        for i, (k, w, a, y) in enumerate(rows)
    ]


class Looking:
    """A classifier that knows each picture's row and answers by a rule; ``noise`` of the answers are wrong anyway."""

    classes = ANIMALS

    def __init__(self, rows, name, right, noise=0.0, seed=0):
        self.rows, self.name, self.right = rows, name, right
        self.slips = np.random.default_rng(seed).random(len(rows)) < noise

    def __call__(self, images):
        logits = np.zeros((len(images), len(ANIMALS)), np.float32)
        for i, image in enumerate(images):
            r, g, _ = image.getpixel((0, 0))
            index = r * 256 + g
            row = self.rows[index]
            place = ANIMALS.index(row["character_name"])
            good = self.right(row) and not self.slips[index]
            logits[i, place if good else (place + 1) % len(ANIMALS)] = 5
        return logits


def _evaluate(rows: list[dict], *models: Looking) -> Result:
    from PIL import Image

    images = [Image.new("RGB", (2, 2), (i // 256, i % 256, 0)) for i in range(len(rows))]
    made = [as_model(m.__call__, name=m.name, classes=ANIMALS) for m in models]
    return evaluate(ImageList(images, rows, "looked at"), made, "classification", quiet=True)


@pytest.fixture(scope="module")
def result() -> Result:
    rows = _rows()
    return _evaluate(
        rows,
        Looking(rows, "good", lambda r: True, 0.1, 1),
        Looking(rows, "as good", lambda r: True, 0.1, 2),
        Looking(rows, "no Snow", lambda r: r["world_name"] != "Snow", 0.1, 3),
    )


def test_a_planted_difference_is_found_and_none_where_there_is_none(result: Result) -> None:
    found = {(c.first, c.second): c for c in compare(result)}
    assert len(found) == 3
    for (first, second), c in found.items():
        assert c.low <= c.difference <= c.high
        assert c.n == 288
        if "no Snow" in (first, second):
            sign = 1 if first == "no Snow" else -1
            assert 0.2 < sign * c.difference < 0.4
            assert c.low * c.high > 0
        else:
            assert abs(c.difference) < 0.08
            assert c.low < 0 < c.high
            assert c.corrected > 0.05
            assert abs(c.difference) < c.detectable
    with pytest.raises(ModelError, match="Did you mean 'good'"):
        compare(result, ["goood", "no Snow"])


def test_places_and_groups(result: Result) -> None:
    places = model_ranks(result)
    assert [p.rank for p in places] == [1, 2, 3]
    assert places[2].model == "no Snow"
    assert places[0].groups == places[1].groups == "a"
    assert places[2].groups == "b"
    assert (places[2].rank_low, places[2].rank_high) == (3, 3)
    assert {places[0].rank_low, places[0].rank_high} == {1, 2}


def test_the_failing_level_is_named_and_nothing_that_follows_from_it(result: Result) -> None:
    (slice_,) = worst_slices(result, "no Snow")
    assert slice_.levels == {"world_name": "Snow"}
    assert slice_.accuracy == 0
    assert len(slice_.examples) == 8
    assert worst_slices(result, "good") == []
    with pytest.raises(DatasetError, match="Did you mean 'world_name'"):
        worst_slices(result, "good", factors=["world_nam"])


def test_a_failing_combination_is_named_as_one() -> None:
    rows = _rows(12)
    result = _evaluate(rows, Looking(rows, "m", lambda r: (r["world_name"], r["camera_yaw"]) != ("Snow", 90), 0.1, 5))
    found = worst_slices(result, "m")
    assert found[0].levels == {"world_name": "Snow", "camera_yaw": "90"}
    assert all(set(f.levels.items()) <= {("world_name", "Snow"), ("camera_yaw", "90")} for f in found)


def test_why_names_the_level_and_adds_up(result: Result) -> None:
    answer = explain_gap(result, "good", "no Snow")
    assert answer.same_images
    first = answer.parts[0]
    assert (first.factor, first.level) == ("world_name", "Snow")
    assert first.p < 0.01, "four animals are few clusters"
    for factor in {p.factor for p in answer.parts}:
        mine = [p for p in answer.parts if p.factor == factor]
        assert sum(p.contribution for p in mine) == pytest.approx(answer.gap)
        assert sum(p.excess for p in mine) == pytest.approx(0, abs=1e-9)
    assert all(p.p > 0.05 for p in answer.parts if p.factor not in ("world_name",))


def test_why_between_other_pictures_tells_shares_from_accuracies() -> None:
    """The same model, asked about more of what it fails at: the gap is a matter of shares alone."""
    rows = _rows(4)
    many = [r for r in rows if r["world_name"] == "Snow" or r["camera_pitch"] == 0]
    model = lambda rows: Looking(rows, "no Snow", lambda r: r["world_name"] != "Snow")  # noqa: E731
    answer = explain_gap(_evaluate(rows, model(rows)), "no Snow", "no Snow", other=_evaluate(many, model(many)))
    assert not answer.same_images
    assert answer.gap < -0.25
    assert answer.composition["world_name"] == pytest.approx(answer.gap)
    assert answer.composition["character_name"] == pytest.approx(0)
    assert any(name == "dataset.images" for name, _, _ in answer.settings)


def test_the_next_renders_go_where_two_models_differ(result: Result) -> None:
    plan = next_renders(result, "good", "no Snow", factors=["world_name"])
    assert plan.power > 0.99
    tight = next_renders(result, "good", "as good", factors=["world_name"], difference=0.01)
    assert tight.needed > 500
    assert tight.needed <= tight.needed_uniform
    assert sum(c.n + c.to_render for c in tight.cells) >= tight.needed
    assert tight.filters()[0].startswith("world_name = ")
    rows = _rows()
    noisy = _evaluate(
        rows,
        Looking(rows, "a", lambda r: True),
        Looking(rows, "b", lambda r: r["world_name"] != "Snow" or r["camera_pitch"] % 2 == 0),
    )
    first = next_renders(noisy, "a", "b", factors=["world_name"], difference=0.02).cells[0]
    assert first.levels == {"world_name": "Snow"}
    assert first.disagreement == pytest.approx(0.5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_correction_of_holm(p: list[float]) -> None:
    """By definition: Holm's is the running maximum of (m − k) p_(k)."""
    order, m = np.argsort(p, kind="stable"), len(p)
    expected = np.empty(m)
    for k in range(m):
        expected[order[k]] = min(1, max((m - j) * p[order[j]] for j in range(k + 1)))
    np.testing.assert_allclose(holm(p), expected, atol=1e-12)
    assert (np.array(holm(p)) >= false_discovery_control(p) - 1e-12).all()


@settings(max_examples=20)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9))
def test_the_randomisation_of_few_clusters_is_exact(sums: list[int]) -> None:
    p, name = sign_flip(np.array(sums, float), np.random.default_rng(0))
    moved = [s for s in sums if s]
    every = [
        abs(sum(a * s for a, s in zip(signs, moved, strict=True))) for signs in product((-1, 1), repeat=len(moved))
    ]
    assert p == pytest.approx(np.mean([e >= abs(sum(sums)) for e in every]))
    assert name.startswith("exact")


def test_mcnemar_and_detectable() -> None:
    assert mcnemar(0, 5) == pytest.approx(2 / 32)
    assert mcnemar(0, 0) == 1
    # Normal: (1.960 + 0.842) standard errors.
    assert detectable(0.01, 10**6) == pytest.approx(0.02802, abs=1e-5)


def test_a_slice_with_clusters_needs_clusters() -> None:
    """All failures are of one cluster: many pictures, and still no evidence about the level."""
    clusters = np.repeat(np.arange(20), 30)
    correct = np.where(clusters == 0, 0.0, 1.0)
    columns = {"level": np.where(clusters < 4, "few", "many").astype(object)}
    alone = {c.codes[0]: c.p for c in search(correct, columns)}
    grouped = {c.codes[0]: c.p for c in search(correct, columns, clusters)}
    assert alone[0] < 1e-10
    assert grouped[0] > 0.1


def test_results_keep_what_comparisons_need(result: Result, tmp_path) -> None:
    back = Result.load(result.save(tmp_path / "r"))
    assert compare(back) == compare(result)
    assert worst_slices(back, "no Snow") == worst_slices(result, "no Snow")
    assert isinstance(back.factors, pa.Table)
    assert back.factors.num_rows == 288


def test_a_null_model_has_slices_no_more_often_than_allowed() -> None:
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(200):
        columns = {
            f"f{k}": rng.integers(0, levels, 800).astype(str).astype(object) for k, levels in enumerate((8, 4, 3))
        }
        p = np.array([c.p for c in search((rng.random(800) < 0.7).astype(float), columns)])
        found += bool((false_discovery_control(p) <= 0.05).any())
    # 5 % are allowed; three standard errors of 200 runs above that is 9.6 %.
    assert found <= 19


def _asked_other_tasks() -> Result:
    """Two models on SPAR, of which the second was not asked the first task of the leaderboard."""
    pictures = drawn_spar(32)
    models = [HistogramBaseline.fit(drawn_spar(32, seed=k), name=name) for k, name in ((1, "first"), (2, "second"))]
    whole = evaluate(pictures, models, "spar", quiet=True)
    task = RowView(whole).questions[0].task

    def without(table: pa.Table) -> pa.Table:
        return table.filter((pc.field("model") != "second") | (pc.field("task") != task))

    return replace(whole, table=without(whole.table), rows=without(whole.rows))


def test_the_first_task_that_all_models_were_asked_is_taken() -> None:
    """Taken was the first of the leaderboard, and a model that was asked others only ended in an error."""
    result = _asked_other_tasks()
    view = RowView(result)
    first, *others = view.questions
    second = next(line for line in others if line.task != first.task)
    assert explain_gap(result, "first", "second").task == second.task
    assert explain_gap(result, "first", "first").task == first.task
    assert explain_gap(result, "second", "first", other=result).task == second.task
    assert next_renders(result, "first", "second").task == second.task
    assert view.question(None, models=["second"]).task == second.task
    worst_slices(result, "second")
    with pytest.raises(DatasetError, match="not all of 'first' and 'second' were asked"):
        explain_gap(result, "first", "second", task=first.task, metric=first.metric)


def test_a_task_can_be_asked_for_by_the_title_that_tables_have() -> None:
    view = RowView(_asked_other_tasks())
    for line in view.questions:
        assert line in view.fitting(line.title)
        assert line in view.fitting(view.result.task(line.task).title.upper())
    with pytest.raises(DatasetError, match="no task 'Relatoin'"):
        view.fitting("Relatoin")


def test_one_setting_of_a_task_can_be_asked_for() -> None:
    result = _asked_other_tasks()
    view = RowView(result)
    task, settings = "relation", ["bottom/top", "left/right"]
    whole = explain_gap(result, "first", "second", task=task)
    parts = [explain_gap(result, "first", "second", task=task, setting=setting) for setting in settings]
    assert (whole.setting, [part.setting for part in parts]) == ("all", settings)
    rows = [len(view.rows("second", view.question(task, setting=setting))) for setting in settings]
    assert sum(rows) == len(view.rows("second", view.question(task)))
    means = [part.gap * n for part, n in zip(parts, rows, strict=True)]
    assert sum(means) / sum(rows) == pytest.approx(whole.gap)
    assert next_renders(result, "first", "second", task=task, setting=settings[0]).setting == settings[0]
    with pytest.raises(DatasetError, match=f"no setting '{settings[0]}x' of the task '{task}'. Did you mean"):
        explain_gap(result, "first", "second", task=task, setting=f"{settings[0]}x")
    with pytest.raises(DatasetError, match=f"no metric 'tp1' of the task '{task}'.*top1"):
        explain_gap(result, "first", "second", task=task, metric="tp1")
