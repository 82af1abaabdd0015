"""Memorization where it was planted, in the shares that were planted.

What could silently be wrong: correlation counted as memorization, a score that depends on the order of ties, models
whose most confident pictures are chosen together, or crops that show a bit of the object.
"""

from __future__ import annotations

import subprocess
import sys
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from torchmultiverse.analyze.correlation import factor_associations, infer_from_backgrounds
from torchmultiverse.analyze.crops import Box, corner, periphery
from torchmultiverse.analyze.dejavu import InferencePair, confidence_curve, dejavu_scores, partition
from torchmultiverse.analyze.dejavu_protocol import (
    ModelFeatures,
    class_accuracies,
    score_model,
    score_model_pair,
    selections,
)
from torchmultiverse.analyze.label_inference import Inference, infer, top_accuracy
from torchmultiverse.analyze.membership import infer_membership
from torchmultiverse.analyze.neighbours import nearest_rows, searched_by
from torchmultiverse.errors import DatasetError

CLASSES, DIM = 20, 32


def planted(memorized: float, correlated: float, seed: int = 0, count: int = 1000) -> Any:
    """Two models that place crops at their class with a chance of ``memorized`` (own pictures) + ``correlated``."""
    rng = np.random.default_rng(seed)
    centres = 1.2 * rng.normal(size=(CLASSES, DIM))
    labels = np.repeat(np.arange(CLASSES), 200)
    public = centres[labels] + rng.normal(size=(len(labels), DIM))
    targets = {name: rng.integers(0, CLASSES, count) for name in ("A", "B", "held out")}
    together = {name: rng.random(count) < correlated for name in targets}
    own = {name: rng.random(count) < memorized for name in targets}

    def crops(trained_on: str) -> dict[str, NDArray[Any]]:
        out = {}
        for name, mine in targets.items():
            knows = together[name] | (own[name] & ~together[name] if name == trained_on else False)
            # Between three classes: what is not known is not said with confidence.
            elsewhere = centres[rng.integers(0, CLASSES, (count, 3))].mean(1)
            placed = np.where(knows[:, None], centres[mine], elsewhere)
            out[name] = (placed + 0.5 * rng.normal(size=(count, DIM))).astype(np.float32)
        return out

    models = [ModelFeatures(crops(name), public.astype(np.float32)) for name in ("A", "B")]
    return models, targets, labels


@pytest.mark.parametrize(("memorized", "correlated"), [(0, 0), (0.3, 0), (0.3, 0.3), (0, 0.5), (1, 0)])
def test_the_planted_shares_are_found(memorized: float, correlated: float) -> None:
    """Of m memorized pictures, 1/C would have been right by chance in the reference: DV_100 = m (1 − r)(1 − 1/C)."""
    models, targets, labels = planted(memorized, correlated)
    found, controls, _ = score_model_pair(*models, targets, labels)
    whole = found.at(1.0)
    expected = memorized * (1 - correlated) * (1 - 1 / CLASSES)
    assert whole.score == pytest.approx(expected, abs=0.03)
    assert whole.low <= expected <= whole.high
    assert found.partition.memorized >= expected - 0.03
    by_chance = (memorized + (1 - memorized) / CLASSES) / CLASSES
    assert found.partition.correlated == pytest.approx(correlated + (1 - correlated) * by_chance, abs=0.03)
    assert controls.held_out is not None
    assert controls.held_out.low <= 0 <= controls.held_out.high
    assert controls.swapped_score == pytest.approx(whole.score, abs=1e-12)
    assert controls.shuffled_accuracy == pytest.approx(controls.chance, abs=0.03)


@pytest.mark.parametrize(
    ("memorized", "correlated"),
    [pytest.param(0, 0, marks=pytest.mark.slow), pytest.param(0.3, 0, marks=pytest.mark.slow), (0.3, 0.3), (0, 0.5)],
)
def test_one_model_alone_is_scored_by_what_it_never_saw(memorized: float, correlated: float) -> None:
    """Correlation is in its answers on pictures that it never saw too: what is left is memory."""
    models, targets, labels = planted(memorized, correlated, count=2000)
    found, controls, sides = score_model(models[0], targets, labels)
    whole, expected = found.at(1.0), memorized * (1 - correlated) * (1 - 1 / CLASSES)
    assert whole.low <= expected <= whole.high
    assert whole.score == pytest.approx(expected, abs=0.04)
    assert controls.held_out is not None
    assert controls.held_out.low <= 0 <= controls.held_out.high
    assert len(sides["held out"].target) == 4000
    # A classifier that names what is correlated, and nothing else, says the same.
    rng = np.random.default_rng(7)
    backgrounds = {}
    for name, mine in targets.items():
        correct = rng.random(len(mine)) < correlated + (1 - correlated) / CLASSES
        backgrounds[name] = Inference(
            np.where(correct, mine, (mine + 1) % CLASSES), np.zeros(len(mine)), correct, correct
        )
    paired, controls, _ = score_model(models[0], targets, labels, background_inference=backgrounds)
    assert paired.at(1.0).score == pytest.approx(expected, abs=0.05)
    assert controls.held_out is not None
    assert abs(controls.held_out.score) < 0.04
    with pytest.raises(DatasetError, match="did not see"):
        score_model(models[0], {"A": targets["A"]}, labels)


def test_what_a_factor_says_of_the_label_is_told() -> None:
    rng = np.random.default_rng(0)
    label = np.repeat(np.arange(4), 250)
    columns = {
        "balanced": np.tile(np.arange(5), 200), "same": label.astype(str), "random": rng.integers(0, 5, 1000),
        "alone": np.zeros(1000),
    }  # fmt: skip
    found = {one.factor: one for one in factor_associations(columns, label, list(columns))}
    assert found["balanced"].cramers_v == pytest.approx(0, abs=1e-12)
    assert found["same"].cramers_v == pytest.approx(1)
    assert found["same"].p_value < 1e-6 < found["random"].p_value
    assert set(found) == {"balanced", "same", "random"}


def test_a_score_at_one_share_alone_misleads() -> None:
    """Many easy correlated pictures fill the confident share of both models: DV_20 falls, DV_100 does not."""
    scores = [score_model_pair(*(case := planted(0.3, fraction))[0], *case[1:])[0] for fraction in (0, 0.1, 0.3)]
    at20, at100 = ([one.at(fraction).score for one in scores] for fraction in (0.2, 1.0))
    assert at20[0] > at20[1] > at20[2]
    assert at20[0] - at20[2] > 0.3
    assert max(at100) - min(at100) < 0.12


def answers(rng: np.random.Generator, count: int) -> Inference:
    return Inference(
        np.zeros(count, np.int64), -rng.integers(0, 6, count) / 2, rng.random(count) < 0.4, rng.random(count) < 0.5
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 80), st.integers(1, 100))
def test_identities(seed: int, count: int, percent: int) -> None:
    rng = np.random.default_rng(seed)
    sides = [InferencePair(answers(rng, count), answers(rng, count)) for _ in range(2)]
    p = partition(sides)
    assert p.memorized + p.correlated + p.misrepresented + p.unassociated == pytest.approx(1, abs=1e-12)
    whole = dejavu_scores(sides, 5, (1.0,), resamples=10).at(1.0)
    assert whole.score == pytest.approx(p.memorized - p.misrepresented, abs=1e-12)
    assert whole.low <= whole.score <= whole.high
    # The order of pictures, and any monotone change of the confidence, change nothing.
    one = sides[0].target
    order = rng.permutation(count)
    fraction = percent / 100
    a = top_accuracy(one.correct, one.confidence, fraction)[0]
    assert top_accuracy(one.correct[order], np.exp(one.confidence[order]), fraction)[0] == pytest.approx(a, abs=1e-12)
    assert dejavu_scores([InferencePair(s.target, s.reference) for s in sides[::-1]], 5, (1.0,), resamples=10).at(
        1.0
    ).score == (pytest.approx(whole.score, abs=1e-12))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=6), st.integers(1, 6))
def test_the_confident_share_is_the_mean_over_all_orders_of_ties(answers: list[tuple[int, bool]], wanted: int) -> None:
    """Over every order, not over some that are drawn: of few answers a mean of draws is off by more than a mistake."""
    confidence = np.array([level for level, _ in answers]) / 3
    correct = np.array([right for _, right in answers])
    wanted = min(wanted, len(answers))
    fraction = wanted / len(answers)
    orders = np.array(list(permutations(range(len(answers)))))
    places = np.argsort(-confidence[orders], axis=1, kind="stable")[:, :wanted]
    exact = correct[np.take_along_axis(orders, places, 1)].mean()
    assert top_accuracy(correct, confidence, fraction)[0] == pytest.approx(exact, abs=1e-12)
    doubled = top_accuracy(correct, confidence, fraction, np.full((1, len(answers)), 2.0))
    assert doubled[0] == pytest.approx(exact, abs=1e-12)


def test_inference_is_that_of_the_equations() -> None:
    """Counted by hand from brute-force distances: prediction, negative entropy, and the five most frequent."""
    rng = np.random.default_rng(0)
    public, labels = rng.normal(size=(300, 6)).astype("f4"), rng.integers(0, 7, 300)
    crops, targets = rng.normal(size=(40, 6)).astype("f4"), rng.integers(0, 7, 40)
    found = infer(crops, targets, public, labels, k=25)
    for row in range(40):
        near = np.argsort(((public.astype("f8") - crops[row]) ** 2).sum(1))[:25]
        fraction = np.bincount(labels[near], minlength=7) / 25
        assert fraction[found.prediction[row]] == fraction.max()
        used = fraction[fraction > 0]
        assert found.confidence[row] == pytest.approx((used * np.log(used)).sum())
        assert found.correct[row] == (found.prediction[row] == targets[row])
        assert found.top5[row] or fraction[targets[row]] <= np.sort(fraction)[-5]


@pytest.mark.parametrize("backend", ["torch", "faiss"])
def test_neighbours_are_exact_in_blocks_and_far_from_zero(backend: Any) -> None:
    if backend == "faiss":
        pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    index = (1000 + rng.normal(size=(700, 16))).astype(np.float32)
    queries = (1000 + rng.normal(size=(50, 16))).astype(np.float32)
    found = nearest_rows(queries, index, 9, backend, chunk=7, block=100)
    exact = ((queries[:, None].astype("f8") - index[None].astype("f8")) ** 2).sum(-1)
    np.testing.assert_array_equal(found.rows, np.argsort(exact, 1)[:, :9])
    np.testing.assert_allclose(found.distances, np.sort(exact, 1)[:, :9], rtol=1e-3)


def test_equal_neighbours_come_in_the_order_of_rows() -> None:
    index = np.zeros((10, 2), np.float32)
    index[5:] = 1
    found = nearest_rows(np.zeros((1, 2), np.float32), index, 5, block=3)
    assert found.rows.tolist() == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("backend", ["torch", "faiss"])
@pytest.mark.parametrize(
    ("rows", "k", "block"), [(3000, 7, 1111), (3000, 3000, 512), (700, 5, 65_536), (3000, 130, 1111)]
)
def test_of_equally_near_rows_the_first_are_taken_whatever_the_blocks(
    rows: int, k: int, block: int, backend: Any
) -> None:
    """Silently wrong would be rows that depend on how the index is cut, where more are equally near than are asked for:
    corners of a cube, which have seven neighbours at three distances and hundreds of copies."""
    rng = np.random.default_rng(rows + k)
    half = rng.choice([-1, 1], (rows // 2, 3))
    index = rng.permutation(np.concatenate([half, -half])).astype(np.float32)  # of mean 0: all distances are exact
    queries = np.concatenate([index[:20], np.full((1, 3), 5, np.float32)])
    if backend == "faiss":
        pytest.importorskip("faiss")
    found = nearest_rows(queries, index, k, backend, chunk=8, block=block)
    exact = ((queries[:, None] - index[None]) ** 2).sum(-1)
    rows_ = np.argsort(exact, 1, kind="stable")[:, :k]
    np.testing.assert_array_equal(found.rows, rows_)
    np.testing.assert_array_equal(found.distances, np.take_along_axis(exact, rows_, 1))


def test_faiss_searches_where_it_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    monkeypatch.setattr("torchmultiverse.analyze.neighbours.device", lambda: SimpleNamespace(type="cpu"))
    monkeypatch.setattr("torchmultiverse.analyze.neighbours._ONE_OPENMP", False)
    assert [searched_by("auto", 100, rows) for rows in (1000, 1_000_000)] == ["torch", "faiss"]
    assert searched_by("torch", 100, 1_000_000) == "torch"
    monkeypatch.setattr("torchmultiverse.analyze.neighbours._ONE_OPENMP", True)
    assert searched_by("auto", 100, 1_000_000) == "torch"
    assert searched_by("faiss", 1, 1) == "faiss"


@pytest.mark.slow
@pytest.mark.parametrize("first", ["faiss", "torch"])
def test_faiss_and_torch_live_in_one_process(first: str) -> None:
    """Silently wrong, or the end of the process, would be two OpenMP runtimes that hinder each other: both search in
    turns, whichever was loaded first, and faiss leaves both libraries the threads that they had."""
    pytest.importorskip("faiss")
    code = f"""
import {first}, faiss, torch, numpy as np
from torchmultiverse.analyze.neighbours import nearest_rows, searched_by
rng = np.random.default_rng(0)
index, queries = (rng.normal(size=(n, 32)).astype("f4") for n in (20_000, 300))
torch.set_num_threads(1)
before = faiss.omp_get_max_threads()
for _ in range(3):
    one, two = (nearest_rows(queries, index, 20, backend) for backend in ("torch", "faiss"))
    assert (one.rows == two.rows).mean() > 0.99 and np.allclose(one.distances, two.distances, rtol=1e-4)
assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == (1, before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr


def test_the_most_memorized_and_the_classes() -> None:
    correct = np.array([1, 1, 1, 0, 1], bool)
    target = Inference(np.zeros(5, np.int64), np.array([-0.1, -0.5, -0.2, 0, -0.3]), correct, correct)
    other = np.array([0, 0, 1, 0, 1], bool)
    reference = Inference(np.zeros(5, np.int64), np.array([-2.0, -3.0, -0.1, 0, -1.0]), other, other)
    side = InferencePair(target, reference)
    chosen = selections(side)
    assert chosen["memorized"].tolist() == [1, 0]
    assert chosen["correlated"].tolist() == [2, 4]
    rows = class_accuracies([side], [np.array([0, 0, 1, 1, 1])], ["a", "b", "c"])
    assert [(row.label, row.images, row.gap) for row in rows] == [("a", 2, 1.0), ("b", 3, 0.0)]
    assert confidence_curve([side])[-1] == pytest.approx((1, 0.8, 0.4))


def test_what_cannot_be_scored_is_refused() -> None:
    rng = np.random.default_rng(0)
    public, labels = rng.normal(size=(50, 3)).astype("f4"), rng.integers(0, 2, 50)
    with pytest.raises(DatasetError, match="1 labels have no public picture"):
        infer(public[:3], np.array([0, 1, 4]), public, labels, 5)
    with pytest.raises(DatasetError, match="collapsed"):
        infer(public[:3], labels[:3], np.ones_like(public), labels, 5)
    with pytest.raises(DatasetError, match="not finite"):
        nearest_rows(np.full((2, 3), np.nan, "f4"), public, 5)
    with pytest.raises(DatasetError, match="60 neighbours"):
        nearest_rows(public, public, 60)
    side = InferencePair(answers(rng, 20), answers(rng, 20))
    with pytest.raises(DatasetError, match="less than one"):
        dejavu_scores([side], 2, (0.01,))
    assert "answers per side" in dejavu_scores([side], 2, (0.2,)).notes[0]


def touches(one: Box, two: Box) -> bool:
    return one.left < two.right and one.right > two.left and one.top < two.bottom and one.bottom > two.top


def brute(size: tuple[int, int], boxes: list[Box], least: int) -> Box | None:
    best = None
    for left in range(size[0]):
        for top in range(size[1]):
            for right in range(left + least, size[0] + 1):
                for bottom in range(top + least, size[1] + 1):
                    found = Box(left, top, right, bottom)
                    if any(touches(b, found) for b in boxes):
                        continue
                    key = (min(found.width, found.height), found.area)
                    if best is None or key > best[0]:
                        best = (key, found)
    return best[1] if best else None


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000))
def test_the_periphery_touches_no_box_and_is_the_largest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(4, 14)), int(rng.integers(4, 14)))
    boxes = []
    for _ in range(int(rng.integers(0, 4))):
        left, top = (int(rng.integers(-2, side)) for side in size)
        boxes.append(Box(left, top, left + int(rng.integers(1, 8)), top + int(rng.integers(1, 8))))
    found, exact = periphery(size, boxes, 2), brute(size, boxes, 2)
    assert (found is None) == (exact is None)
    if found is not None and exact is not None:
        assert (min(found.width, found.height), found.area) == (min(exact.width, exact.height), exact.area)
        assert not any(
            b.left < found.right and b.right > found.left and b.top < found.bottom and b.bottom > found.top
            for b in boxes
        )


def test_rectangles_over_several_bands_are_found() -> None:
    """The example at which looking at bands between box edges alone gives 150 × 200 pixels."""
    assert periphery((500, 375), [Box(150, 200, 350, 370)], 100) == Box(0, 0, 500, 200)
    assert periphery((100, 100), [Box(0, 0, 100, 90)]) is None
    assert corner((500, 375)) == Box(0, 375 - 112, 150, 375)


def test_the_corner_is_the_lower_left() -> None:
    box = corner((10, 10), 0.3)
    assert (box.width, box.height, box.left, box.bottom) == (3, 3, 0, 10)


def test_correlation_alone_explains_what_backgrounds_say() -> None:
    """Where seven backgrounds in ten say the label, the reference names those, and memory is the rest."""
    rng = np.random.default_rng(0)
    centres = 3 * rng.normal(size=(10, 16))

    def backgrounds(labels: NDArray[np.int64]) -> NDArray[Any]:
        told = rng.random(len(labels)) < 0.7
        place = np.where(told, labels, rng.integers(0, 10, len(labels)))
        return (centres[place] + rng.normal(size=(len(labels), 16))).astype(np.float32)

    labels, targets = rng.integers(0, 10, 3000), rng.integers(0, 10, 1000)
    reference = infer_from_backgrounds(backgrounds(targets), targets, backgrounds(labels), labels)
    assert reference.correct.mean() == pytest.approx(0.73, abs=0.05)
    knows_all = Inference(targets, np.zeros(1000), np.ones(1000, bool), np.ones(1000, bool))
    assert dejavu_scores([InferencePair(knows_all, reference)], 10, (1.0,)).at(1.0).score == pytest.approx(
        0.27, abs=0.05
    )


def test_membership_is_the_share_of_pairs() -> None:
    rng = np.random.default_rng(0)
    members, non_members = rng.integers(0, 30, 50) + 4.0, rng.integers(0, 30, 70).astype(float)
    pairs = members[:, None] - non_members[None]
    found = infer_membership(members, non_members)
    assert found.auc == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert found.low <= found.auc <= found.high
    assert found.true_positive_rate == pytest.approx((members > non_members.max()).mean())
    same = infer_membership(non_members, non_members)
    assert same.auc == 0.5
    with pytest.raises(DatasetError, match="members and non-members"):
        infer_membership(members, np.zeros(0))
