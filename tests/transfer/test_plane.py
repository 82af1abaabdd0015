"""Training against transfer on planted features: what is read of each task is known.

What could silently be wrong: a class that training knew among the unseen ones, a task that is the training task under
another name, a gain that is a loss, or intervals over pictures that are not independent.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchmultiverse.analyze import RunOptions
from torchmultiverse.errors import DatasetError
from torchmultiverse.models import as_model
from torchmultiverse.store import ImageList, ImageSubset, columns_of
from torchmultiverse.transfer import mean_log_odds_of, measure_transfer, odds_of, plane_study, transfer_tasks
from torchmultiverse.transfer.plane_page import headline, published
from torchmultiverse.transfer.tasks import UNSEEN, binned, is_pose, outcomes_of

pytest.importorskip("torch")
pytest.importorskip("PIL")
from PIL import Image


def world() -> tuple[ImageList, dict[str, Any]]:
    """Pictures whose four corners are the class, the world, the yaw and noise: 6 × 24 × 4 of them."""
    rng = np.random.default_rng(0)
    images, rows = [], []
    for name in range(6):
        for place in range(24):
            for yaw in range(4):
                pixels = np.zeros((2, 2, 3), np.uint8)
                pixels[0, 0], pixels[0, 1], pixels[1, 0] = 40 * name, 10 * place, 60 * yaw
                pixels[1, 1] = rng.integers(0, 255, 3)
                images.append(Image.fromarray(pixels))
                rows.append(
                    {"character_name": f"animal {name}", "world_name": f"world {place}", "camera_yaw": 90 * yaw}
                )
    data = ImageList(images, rows, name="corners")
    table = data.table().to_pydict()
    return data, {
        key: np.array(values, object if isinstance(values[0], str) else None) for key, values in table.items()
    }


class Reader:
    """An encoder that sees some corners of the pictures, each as a one-hot vector, with noise."""

    def __init__(self, name: str, class_noise: float, yaw_noise: float) -> None:
        self.name, self.noise = name, (class_noise, yaw_noise)

    def encode_image(self, images: Any) -> Any:
        pixels = np.stack([np.asarray(image) for image in images]).astype(int)[..., 0]
        rng = np.random.default_rng(pixels.sum())
        parts = []
        for corner, noise, count, step in (((0, 0), self.noise[0], 6, 40), ((1, 0), self.noise[1], 4, 60)):
            wrong = rng.random(len(pixels)) < noise
            codes = np.where(wrong, rng.integers(0, count, len(pixels)), pixels[:, corner[0], corner[1]] // step)
            parts.append(np.eye(count)[codes])
        return np.concatenate([*parts, rng.normal(size=(len(pixels), 2)) * 0.1], 1).astype(np.float32)


def models() -> list[Any]:
    return [as_model(Reader("even", 0.3, 0.1), name="even"), as_model(Reader("sharp", 0.0, 0.6), name="sharp")]


def test_what_helps_the_class_and_costs_the_pose_is_said() -> None:
    data, _ = world()
    run = RunOptions(quiet=True)
    plane = measure_transfer(models(), data, "character_name", ["camera_yaw"], ["animal 4", "animal 5"], run=run)
    even, sharp = plane.models
    assert [task.name for task in plane.tasks] == [UNSEEN, "camera_yaw"]
    assert even.training.accuracy == pytest.approx(0.7 + 0.3 / 6, abs=0.08)
    assert sharp.training.accuracy == 1
    assert even.tasks[1].accuracy > 0.85
    assert sharp.tasks[1].accuracy == pytest.approx(0.4 + 0.6 / 4, abs=0.1)
    assert even.tasks[1].chance == pytest.approx(0.25, abs=0.05)
    by_task = {change.task: change for change in plane.changes}
    assert by_task["character_name"].sure
    assert by_task["character_name"].difference.mean > 0.15
    assert by_task["camera_yaw"].sure
    assert by_task["camera_yaw"].difference.mean < -0.25
    told = headline(plane)
    assert told.startswith("sharp reads character better than even by +")
    assert "reads worse: camera yaw" in told
    assert told.endswith("So it costs the pose.")
    expected = np.mean([odds_of(score.accuracy, score.n) for score in sharp.tasks])
    assert sharp.log_odds.mean == pytest.approx(expected)
    assert sharp.log_odds.low < expected < sharp.log_odds.high
    shift = plane.log_odds_changes["sharp"]
    assert shift.mean == pytest.approx(sharp.log_odds.mean - even.log_odds.mean)
    study = plane_study(plane)
    assert [section.reference for section in study.sections] == [False] * 4 + [True] * 2
    assert study.sections[2].table[0]["task"] == "character (trained on)"
    assert len(study.sections[2].table) == 6


def test_classes_that_training_did_not_see_are_in_no_other_part() -> None:
    _, columns = world()
    training, tasks, notes = transfer_tasks(columns, "character_name", ["camera_yaw"], ["animal 1", "animal 3"])
    names = columns["character_name"].astype(str)
    assert set(names[training.rows]) == {"animal 0", "animal 2", "animal 4", "animal 5"}
    assert set(names[tasks[0].rows]) == {"animal 1", "animal 3"}
    assert tasks[0].levels == ("animal 1", "animal 3")
    assert not notes
    for task in (training, *tasks):
        worlds = columns["world_name"].astype(str)[task.rows] if task.by == "world_name" else task.groups
        of = [set(worlds[part]) for part in (task.parts.train, task.parts.test)]
        assert not of[0] & of[1]
    _, _, notes = transfer_tasks(columns, "character_name", ["camera_yaw"], ["animal 1"])
    assert "at least two" in notes[0]
    with pytest.raises(DatasetError, match=r"--unseen animal 9: .* is never that.*animal"):
        transfer_tasks(columns, "character_name", ["camera_yaw"], ["animal 9"])
    with pytest.raises(DatasetError, match=r"no column 'character'.*character_name"):
        transfer_tasks(columns, "character", ["camera_yaw"])
    with pytest.raises(DatasetError, match="no task of transfer beside"):
        transfer_tasks(columns, "character_name", ["character_name"])


def test_numbers_are_asked_in_bins_that_go_round() -> None:
    codes, names = binned("camera_yaw", np.array([0.0, 359.0, 44.0, 180.0]))
    assert codes.tolist() == [0, 0, 1, 2]
    assert names == ("around 0°", "around 45°", "around 180°")
    codes, names = binned("size", np.arange(40.0))
    assert np.bincount(codes).tolist() == [10, 10, 10, 10]
    assert is_pose("character_rotation_yaw")
    assert not is_pose("world_name")
    rng = np.random.default_rng(0)
    numbers = {"size": rng.random(200), "label": np.arange(200).astype(str)}
    _, tasks, _ = transfer_tasks({**numbers, "kind": np.arange(200) % 2}, "kind", ["size"])
    assert len(tasks[0].levels) == 4
    vectors = np.stack([numbers["size"], rng.random(200)], 1).astype(np.float32)
    assert outcomes_of(tasks[0], vectors).mean() > 0.8


def test_the_interval_of_a_mean_is_of_groups_and_shared_by_tasks() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    right = (rng.random(20) < 0.7)[groups].astype(float)  # a whole group is right or wrong
    alone = mean_log_odds_of([right], [np.arange(200)], ["rows"])
    grouped = mean_log_odds_of([right], [groups], ["asset"])
    assert grouped.mean == alone.mean == pytest.approx(odds_of(float(right.mean()), 200))
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    opposite = mean_log_odds_of([right, 1 - right], [groups, groups], ["asset", "asset"])
    assert opposite.mean == pytest.approx(0)
    assert opposite.high - opposite.low < 1e-6  # what one task gains of a group the other loses
    same = mean_log_odds_of([right], [groups], ["asset"], minus=[right])
    assert same == (0, 0, 0, 20)


def test_published_log_odds_follow_from_published_accuracies() -> None:
    for row in published()["models"]:
        assert len(row["accuracies"]) == 13
        p = np.array(row["accuracies"]) / 100
        assert np.log(p / (1 - p)).mean() == pytest.approx(row["log_odds"], abs=0.003)


def test_encoders_say_themselves_which_classes_they_did_not_see(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    from shapes import shapes

    from torchmultiverse.train import EncoderTraining, train_encoder

    data = shapes(48)
    settings: dict[str, Any] = {"backbone": "resnet10t", "size": 16, "head": (8,), "epochs": 0, "crops": (1, 0)}
    one, two = (
        train_encoder(data, tmp_path / name, EncoderTraining(method="trex", **settings), "colour", None, True, unseen)
        for name, unseen in (("one", ["red"]), ("two", ["blue"]))
    )
    assert json.loads((one / "config.json").read_text())["unseen"] == ["red"]
    run = RunOptions(quiet=True)
    plane = measure_transfer([f"ssl:{one}"], data, "colour", ["label"], run=run)
    assert plane.unseen == ("red",)
    assert plane.training.levels == ("blue", "green")
    assert any("was trained on these pictures" in note for note in plane.notes)
    rest = ImageSubset(data, np.flatnonzero(columns_of(data)["colour"] != "red"))
    other = measure_transfer([f"ssl:{one}"], rest, "colour", ["label"], run=run)  # other data than it was trained on
    assert other.unseen == ()
    assert any("trained without red: no picture here has such a colour" in note for note in other.notes)
    with pytest.raises(DatasetError, match=r"--unseen red: 'colour' of these pictures is never that"):
        measure_transfer([f"ssl:{one}"], rest, "colour", ["label"], ["red"], run=run)
    with pytest.raises(DatasetError, match="trained without different classes"):
        measure_transfer([f"ssl:{one}", f"ssl:{two}"], data, "colour", ["label"], run=run)


def test_counts_of_a_line_belong_together() -> None:
    """59 test pictures of 106 groups stood in one line: pictures of the class, groups of all the other tasks."""
    data, _ = world()
    plane = measure_transfer(models()[:1], data, "character_name", ["camera_yaw"], run=RunOptions(quiet=True))
    (line,) = plane_study(plane, reference=False).sections[0].table
    assert line["n"] == len(plane.training.parts.test)
    assert line["groups"] == len(np.unique(plane.training.test_groups))
    assert line["answers of transfer"] == sum(len(task.parts.test) for task in plane.tasks)
    assert any("commonest answer" in note for note in plane_study(plane, reference=False).notes)
