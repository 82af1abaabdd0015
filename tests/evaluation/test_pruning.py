"""Which caption is best, found from bounds: a wrong bound would drop the winner, and nobody would see it.

Winners, ties and margins must be those of all inner products, to the last bit, in any number of dimensions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from planted import Tagged

from torchmultiverse.evaluation import Provenance, Result, evaluate
from torchmultiverse.evaluation.projection import CONFIDENCE, Projection, all_dimensions, principal, projected, reduced
from torchmultiverse.evaluation.pruning import best_candidates
from torchmultiverse.evaluation.scores import VectorScores
from torchmultiverse.evaluation.scoring import Outcome, paired_scores, retrieval
from torchmultiverse.models import ModelInfo

WIDTH = 32
Case = tuple[NDArray[np.float32], NDArray[np.float32]]


def unit(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-30), np.float32)


def random(rng: np.random.Generator) -> Case:
    return unit(rng.normal(size=(60, WIDTH))), unit(rng.normal(size=(150, WIDTH)))


def planted(rng: np.random.Generator) -> Case:
    parts = [rng.normal(size=(count, WIDTH)) for count in (10, 5, 3)]
    every = parts[0][:, None, None] + parts[1][None, :, None] + parts[2][None, None]
    texts = every.reshape(-1, WIDTH) + 0.05 * np.sqrt(3) * rng.normal(size=(150, WIDTH))
    return unit(texts[rng.integers(0, 150, 60)] + rng.normal(size=(60, WIDTH))), unit(texts)


def low_rank(rng: np.random.Generator) -> Case:
    space = rng.normal(size=(4, WIDTH))
    return unit(rng.normal(size=(60, WIDTH))), unit(rng.normal(size=(150, 4)) @ space)


def duplicates(rng: np.random.Generator) -> Case:
    images, texts = planted(rng)
    return images, texts[rng.integers(0, 20, 150)]


def all_alike(rng: np.random.Generator) -> Case:
    images, texts = random(rng)
    return images, np.repeat(texts[:1], 150, axis=0)


def nearly_alike(rng: np.random.Generator) -> Case:
    """Captions that differ by one unit in the last place of one number."""
    images, texts = planted(rng)
    texts = texts[np.repeat(np.arange(30), 5)]
    place = rng.integers(0, WIDTH, 150)
    texts[np.arange(150), place] = np.nextafter(texts[np.arange(150), place], np.float32(np.inf))
    return images, texts


def at_the_tie(rng: np.random.Generator) -> Case:
    """Second best captions that are below the best by about as much as still counts as a tie."""
    images, texts = planted(rng)
    texts = texts[np.repeat(np.arange(30), 5)]
    texts *= (1 - np.float32(1e-6) * rng.uniform(0.9, 1.1, (150, 1))).astype(np.float32)
    return images, texts


def negative_scores(rng: np.random.Generator) -> Case:
    """The lowest score is larger in magnitude than the best one, on which ties depend."""
    images, texts = at_the_tie(rng)
    return np.repeat(images[:1], 60, axis=0), np.where(texts @ images[0][:, None] > 0, -texts, texts)


def zeros(rng: np.random.Generator) -> Case:
    images, texts = random(rng)
    images[::3], texts[::4] = 0, 0
    return images, texts


def tiny_and_long(rng: np.random.Generator) -> Case:
    images, texts = planted(rng)
    images[::2] *= np.float32(1e-25)
    return images, texts * rng.uniform(0.01, 50, (150, 1)).astype(np.float32)


CASES = (
    random, planted, low_rank, duplicates, all_alike, nearly_alike, at_the_tie, negative_scores, zeros, tiny_and_long,
)  # fmt: skip


def by_all_scores(
    images: NDArray[np.float32], texts: NDArray[np.float32], labels: NDArray[np.int64], scale: float
) -> Outcome:
    """Return outcomes of all inner products, each by itself."""
    every = [paired_scores(np.repeat(image[None], len(texts), axis=0), texts) for image in images]
    return retrieval(np.stack(every), labels, scale=scale)


def projections(
    images: NDArray[np.float32], texts: NDArray[np.float32], labels: NDArray[np.int64], scale: float
) -> list[Projection]:
    bases = [principal(texts, count) for count in (1, 4, 16, WIDTH)]
    wrong = principal(np.random.default_rng(5).normal(size=texts.shape).astype(np.float32), 6)
    chosen = projected(texts, images, labels, scale)
    return [all_dimensions(texts), chosen, *(reduced(texts, basis, 3.0) for basis in bases), reduced(texts, wrong, 0.0)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.__name__))
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_the_outcome_is_that_of_all_inner_products(case: Callable[[np.random.Generator], Case], scale: float) -> None:
    rng = np.random.default_rng(3)
    images, texts = case(rng)
    likely = (images.astype(np.float64) @ texts.T.astype(np.float64)).argmax(1)
    labels = np.where(rng.random(len(images)) < 0.5, likely, rng.integers(0, len(texts), len(images)))
    expected = by_all_scores(images, texts, labels, scale)
    for projection in projections(images, texts, labels, scale):
        found = best_candidates(images, labels, scale, projection)
        place = f"{projection.dimensions} dimensions"
        assert np.array_equal(found.outcome.correct, expected.correct), place
        assert np.array_equal(found.outcome.prediction, expected.prediction), place
        assert np.array_equal(found.outcome.margin, expected.margin), place
        assert np.abs(found.outcome.confidence - expected.confidence).max() <= CONFIDENCE + 1e-4, place
        assert 0 < found.exact <= 2


def test_bounds_hold_for_every_pair() -> None:
    """A bound below a score would drop a winner only now and then."""
    for case in CASES:
        images, texts = case(np.random.default_rng(4))
        scores = images.astype(np.float64) @ texts.T.astype(np.float64)
        for count in (1, 4, 16, WIDTH):
            projection = reduced(texts, principal(texts, count), 0.0)
            some = projection.of_images(images)
            near = some.inside.astype(np.float64) @ projection.coordinates[:, :-2].T.astype(np.float64)
            reach = some.outside[:, None] * projection.coordinates[None, :, -2] + some.errors[:, None]
            assert (np.abs(scores - near) <= reach).all(), (case.__name__, count)


def test_captions_near_a_subspace_are_compared_in_few_dimensions() -> None:
    rng = np.random.default_rng(0)
    texts = unit(rng.normal(size=(1500, 10)) @ rng.normal(size=(10, 256)) + 0.02 * rng.normal(size=(1500, 256)))
    labels = rng.integers(0, len(texts), 700)
    images = unit(texts[labels] + 0.03 * rng.normal(size=(700, 256)))
    outcome, search = VectorScores(images, texts, 100.0).retrieve(labels, len(texts))
    expected = retrieval(images @ texts.T, labels, scale=100.0)
    assert search.width == 256
    assert search.dimensions is not None
    assert search.dimensions < 256
    assert search.exact < 0.05
    assert np.array_equal(outcome.prediction, expected.prediction)
    assert np.array_equal(outcome.correct, expected.correct)
    assert np.allclose(outcome.margin, expected.margin, atol=2e-6)
    assert np.abs(outcome.confidence - expected.confidence).max() <= CONFIDENCE + 1e-4


def test_captions_near_no_subspace_are_compared_in_all_dimensions() -> None:
    rng = np.random.default_rng(0)
    images, texts = unit(rng.normal(size=(700, 256))), unit(rng.normal(size=(1500, 256)))
    labels = rng.integers(0, len(texts), 700)
    outcome, search = VectorScores(images, texts, 100.0).retrieve(labels, len(texts))
    expected = retrieval(images @ texts.T, labels, scale=100.0)
    assert search.dimensions == search.width == 256
    assert np.array_equal(outcome.prediction, expected.prediction)
    assert np.allclose(outcome.confidence, expected.confidence, atol=1e-4)


@pytest.mark.parametrize(("candidates", "width"), [(2, 64), (10, 64), (17, 64), (40, 3), (40, 17)])
def test_few_candidates_or_numbers_are_compared(candidates: int, width: int) -> None:
    rng = np.random.default_rng(0)
    images, texts = unit(rng.normal(size=(50, width))), unit(rng.normal(size=(candidates, width)))
    labels = rng.integers(0, candidates, 50)
    found = best_candidates(images, labels, 10.0, projected(texts, images, labels, 10.0))
    assert np.array_equal(found.outcome.correct, by_all_scores(images, texts, labels, 10.0).correct)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(side: int, bad: float) -> None:
    rng = np.random.default_rng(0)
    pair = [unit(rng.normal(size=(700, 16))), unit(rng.normal(size=(1500, 16)))]
    pair[side][3, 5] = bad
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="not finite"):
        VectorScores(pair[0], pair[1], 100.0).retrieve(np.zeros(700, np.int64), 1500)


class Words:
    """A model whose vectors lie near few dimensions: a picture's number, and the number that a caption names."""

    logit_scale = 100.0

    def __init__(self) -> None:
        self.info = ModelInfo("words", "image-text")
        rng = np.random.default_rng(0)
        self._known = unit(rng.normal(size=(1100, 10)) @ rng.normal(size=(10, 128)))

    def encode_image(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        colours = np.array([image.getpixel((0, 0)) for image in images])
        return self._known[colours @ [1 << 16, 1 << 8, 1]]

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._known[[int(text.rpartition(" ")[2]) for text in texts]]


def test_the_result_says_how_answers_were_found(tmp_path: Path) -> None:
    pictures = Tagged([{"number": str(index), "kind": str(index % 2)} for index in range(1100)])
    asked = {
        "kind": "choice", "name": "numbers", "version": 1, "title": "Numbers", "tasks": [
            {"task": task, "title": task, "truth": f"{{{task}}}", "names": "raw",
             "prompts": {"name": "plain", "templates": ["number {}"]}}
            for task in ("number", "kind")
        ],
    }  # fmt: skip
    (tmp_path / "numbers.json").write_text(json.dumps(asked))
    result = evaluate(pictures, Words(), tmp_path / "numbers.json", tmp_path / "out", quiet=True)
    (facts,) = result.provenance.searches  # between two answers there is nothing to find out
    assert (facts.model, facts.task, facts.setting, facts.width) == ("words", "number", "all", 128)
    assert facts.dimensions < 128
    assert facts.exact < 0.1
    assert [cell["accuracy"] for cell in result.cells(task="number", factor="all")] == [1.0]
    assert Result.load(tmp_path / "out").provenance == result.provenance


def test_a_result_of_before_is_read(tmp_path: Path) -> None:
    pictures = Tagged([{"number": str(index)} for index in range(4)])
    asked = {"kind": "choice", "name": "numbers", "version": 1, "title": "Numbers", "tasks": [
        {"task": "number", "title": "Number", "truth": "{number}", "names": "raw",
         "prompts": {"name": "plain", "templates": ["number {}"]}}]}  # fmt: skip
    (tmp_path / "numbers.json").write_text(json.dumps(asked))
    evaluate(pictures, Words(), tmp_path / "numbers.json", tmp_path / "out", quiet=True)
    path = tmp_path / "out" / "provenance.json"
    written = json.loads(path.read_text())
    assert written.pop("searches") == []
    path.write_text(json.dumps(written | {"schema_version": 1}))
    assert Provenance.load(tmp_path / "out").searches == ()
