"""Which factor of a hidden object was remembered, where one was planted.

What could silently be wrong: a factor called because another one was remembered, or because the background shows it;
shares that chance makes incomparable; intervals of pictures that are not independent; neighbours of one factor's k.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from torchmultiverse.analyze.dejavu import InferencePair, dejavu_scores
from torchmultiverse.analyze.dejavu_factor_study import factor_memory_study
from torchmultiverse.analyze.dejavu_factors import FactorMemory, factor_memories, factor_question
from torchmultiverse.analyze.dejavu_protocol import ModelFeatures, score_model_pair
from torchmultiverse.analyze.label_inference import Inference
from torchmultiverse.analyze.memorization import LayerMemorization, Memorization
from torchmultiverse.errors import DatasetError
from torchmultiverse.report import write_report

SIZES = {"A": 600, "B": 600, "held out": 300, "public": 1500}
FACTORS = ("character_name", "texture", "yaw", "light")
LEVELS = {"character_name": 12, "texture": 4, "light": 3}


def planted(share: float, seed: int = 0) -> tuple[list[ModelFeatures], dict[str, Any], dict[str, NDArray[Any]]]:
    """Two models that see light in any crop, and the texture of the object that is gone in a share of their own."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum(list(SIZES.values()))
    rows = dict(zip(SIZES, np.split(np.arange(ends[-1]), ends[:-1]), strict=True))
    columns: dict[str, NDArray[Any]] = {
        name: np.array([f"{name} {k}" for k in range(count)])[rng.integers(0, count, ends[-1])]
        for name, count in LEVELS.items()
    }
    columns["yaw"] = rng.uniform(-180, 180, ends[-1])
    blocks = {
        name: 4.0 * np.eye(count)[np.unique(columns[name], return_inverse=True)[1]] for name, count in LEVELS.items()
    }
    angle = np.deg2rad(columns["yaw"])
    blocks["yaw"] = 4.0 * np.stack([np.sin(angle), np.cos(angle)], 1)

    def features(mine: NDArray[np.int64], shown: dict[str, Any]) -> NDArray[np.float32]:
        parts = [blocks[name][mine] * np.broadcast_to(shown.get(name, 0.0), len(mine))[:, None] for name in blocks]
        made = np.concatenate(parts, 1)
        return (made + 0.5 * rng.normal(size=made.shape)).astype(np.float32)

    models = []
    for own in ("A", "B"):
        crops = {
            name: features(rows[name], {"light": 1.0, "texture": (rng.random(len(rows[name])) < share) * (name == own)})
            for name in ("A", "B", "held out")
        }
        models.append(ModelFeatures(crops, features(rows["public"], dict.fromkeys(blocks, 1.0))))
    return models, rows, columns


def asked(models: list[ModelFeatures], rows: dict[str, Any], columns: dict[str, Any]) -> dict[str, FactorMemory]:
    sets = {name: mine for name, mine in rows.items() if name != "public"}
    questions = [factor_question(columns, name, sets, rows["public"]) for name in FACTORS]
    return {one.factor: one for one in factor_memories(models, questions, "trunk", k=30)}


@pytest.mark.parametrize("both", [True, False])
def test_the_one_factor_that_was_remembered_is_called(both: bool) -> None:
    """DV_100 = m (1 − 1/C) of m remembered pictures, so that the share is m; nothing else is called."""
    models, rows, columns = planted(0.5)
    found = asked(models[: 1 + both], rows, columns)
    assert [name for name, one in found.items() if one.remembered] == ["texture"]
    texture = found["texture"]
    assert texture.share == pytest.approx(0.5, abs=0.06)
    assert texture.low <= 0.5 <= texture.high
    assert texture.score.at(1.0).score == pytest.approx(texture.share * (1 - texture.controls.chance))
    for one in found.values():
        assert one.controls.shuffled_accuracy == pytest.approx(one.controls.chance, abs=0.05)
        assert one.controls.held_out is not None
        if one is not texture:
            assert one.low <= 0 <= one.high
    # The background shows the light to everybody: known, and not remembered.
    assert found["light"].score.at(1.0).reference_accuracy > 0.95
    assert (found["yaw"].levels, found["texture"].levels) == (8, 4)
    # Assets are resampled, and what says the assets is resampled picture by picture.
    assert (texture.by, texture.groups, found["character_name"].by) == ("character_name", 12, "")
    # Each factor is answered as if it had been asked alone.
    if both:
        targets = {name: np.unique(columns["texture"], return_inverse=True)[1][rows[name]] for name in rows}
        mine = {name: targets[name] for name in ("A", "B", "held out")}
        alone, controls, _ = score_model_pair(models[0], models[1], mine, targets["public"], k=30)
        assert controls.shuffled_accuracy == texture.controls.shuffled_accuracy
        assert alone.at(1.0).score == texture.score.at(1.0).score
        assert texture.controls.swapped_score == pytest.approx(alone.at(1.0).score, abs=1e-12)


def test_nothing_is_called_where_nothing_was_remembered_and_the_page_says_which(tmp_path: Any) -> None:
    models, rows, columns = planted(0.0, seed=1)
    nothing = asked(models, rows, columns)
    assert not any(one.remembered for one in nothing.values())
    models, rows, columns = planted(0.4, seed=2)
    for found, words in ((nothing, "Of no factor"), (asked(models, rows, columns), "Remembered most: texture, of ")):
        layers = tuple(
            LayerMemorization(layer=one.layer, score=one.score, controls=one.controls, curve=())
            for one in found.values()
        )
        record = Memorization(
            dataset="planted", target_model="a", reference_model="b", removal="boxes", reference="model",
            label="character_name", images=1200, layers=layers[:1], factors=tuple(found.values()),
            not_asked={"scene": "'scene' is the same in all pictures"},
        )  # fmt: skip
        study = factor_memory_study(record)
        assert study.headline.startswith(words)
        assert [section.title for section in study.sections] == ["By factor", "By confidence", "Controls", "Published"]
        assert [section.reference for section in study.sections] == [False, False, False, True]
        assert study.sections[0].table[0]["factor"] == max(found.values(), key=lambda one: one.share).factor
        assert any("'scene' is the same" in note for note in study.notes)
        assert words in write_report(study, tmp_path).read_text()
    with pytest.raises(DatasetError, match="no factor was asked"):
        factor_memory_study(record.model_copy(update={"factors": ()}))


def test_pictures_of_one_group_are_drawn_together() -> None:
    """Four pictures that always agree are one answer: their interval is twice as wide as that of single pictures."""
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random((2, 100)) < [[0.6], [0.3]], 4, axis=1)
    zero = np.zeros(400, np.int64)
    one, two = (Inference(zero, rng.random(400), correct, correct) for correct in right)
    side, groups = InferencePair(one, two), np.repeat(np.arange(100), 4)
    single, together = (dejavu_scores([side], 5, (1.0,), groups=of).at(1.0) for of in (None, [groups]))
    assert together.score == single.score
    assert (together.high - together.low) / (single.high - single.low) == pytest.approx(2, abs=0.3)


def test_what_cannot_be_asked_is_told() -> None:
    columns: dict[str, NDArray[Any]] = {
        "same": np.array(["x"] * 60), "rare": np.array(["a"] * 59 + ["b"]), "light": np.tile(["day", "night"], 30),
    }  # fmt: skip
    rows = {"A": np.arange(20)}
    for name, words in (
        ("same", "'same' is the same in all pictures"),
        ("rare", "'rare' b has 1 public pictures, 5 are needed"),
        ("ligth", "no column 'ligth'. Did you mean 'light'"),
    ):
        with pytest.raises(DatasetError, match=words):
            factor_question(columns, name, rows, np.arange(20, 60))
    assert factor_question(columns, "light", rows, np.arange(20, 60)).levels == ("day", "night")
