"""What trainings say of their course reaches the logger's own files.

Silently wrong would be a curve whose steps are counted twice after a run was continued, or one training's values under
the name of another.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from test_loop import Line

from torchmultiverse.errors import ModelError
from torchmultiverse.train import Loop, LoopSettings, log_to, open_loggers

SETTINGS = LoopSettings(epochs=2, steps=8, learning_rate=0.1)


class Kept:
    """A logger of one's own: keeps everything."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, int, dict[str, Any]]] = []
        self.values: list[tuple[int, dict[str, float]]] = []
        self.ended = 0

    def start(self, name: str, settings: Mapping[str, Any], step: int) -> None:
        self.runs.append((name, step, dict(settings)))

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.values.append((step, dict(values)))

    def finish(self) -> None:
        self.ended += 1


def _train(checkpoint: Path | None = None, **line: Any) -> Loop:
    return Loop(Line(**line), SETTINGS, checkpoint=checkpoint, identity={"data": "points"}, quiet=True).run()


def test_every_step_and_epoch_is_heard_of() -> None:
    kept = Kept()
    with log_to(kept):
        first = _train()
        _train()
    _train()  # outside of the block
    assert [(name, step) for name, step, _ in kept.runs] == [("line", 0), ("line-2", 0)]
    assert kept.ended == 2
    assert kept.runs[0][2]["learning_rate"] == 0.1
    assert kept.runs[0][2]["data"] == "points"
    values = kept.values[: len(kept.values) // 2]
    assert [step for step, value in values if "loss" in value] == [*range(1, 9)]
    assert [value["epoch_loss"] for _, value in values if "epoch_loss" in value] == first.losses
    assert values[0][1] == {"loss": first.first_loss, "learning_rate": 0.1}


def test_a_training_that_breaks_off_is_ended_and_goes_on_with_its_step(tmp_path: Path) -> None:
    kept = Kept()
    with log_to(kept), pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "running.pt", stop_at=7)
    assert (kept.ended, kept.values[-1][0]) == (1, 6)
    after = Kept()
    with log_to(after):
        _train(tmp_path / "running.pt")
    assert after.runs[0][1] == 4, "the checkpoint is that of the first epoch"
    assert [step for step, value in after.values if "loss" in value] == [5, 6, 7, 8]


def test_tensorboard_shows_each_step_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    loggers = open_loggers(["tensorboard"], tmp_path)
    with log_to(*loggers), pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "running.pt", stop_at=7)
    with log_to(*loggers):
        loop = _train(tmp_path / "running.pt")
    events = EventAccumulator(str(tmp_path / "tensorboard" / "line"))
    events.Reload()
    assert {"loss", "learning_rate", "epoch_loss"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == [*range(1, 9)]
    assert [event.value for event in events.Scalars("epoch_loss")] == pytest.approx(loop.losses)


def test_the_place_of_event_files_can_be_named(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with log_to(*open_loggers([f"tensorboard:{tmp_path / 'runs'}"], tmp_path / "out")):
        _train()
    assert list((tmp_path / "runs" / "line").glob("events*"))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_wandb_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    loggers = open_loggers(["wandb:worlds"], tmp_path)
    with log_to(*loggers):
        _train()
    assert list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.mark.slow
def test_mlflow_in_a_local_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path / 'store'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri(f"file://{tmp_path / 'store'}")
    with log_to(*open_loggers(["mlflow:worlds"], tmp_path)):
        loop = _train()
    client = mlflow.tracking.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("worlds").experiment_id])
    assert (run.info.run_name, run.info.status) == ("line", "FINISHED")
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")] == [*range(1, 9)]
    assert run.data.metrics["epoch_loss"] == pytest.approx(loop.losses[-1])
    assert run.data.params["data"] == "points"


def test_an_unknown_logger_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no logger 'tensorbord'\. Did you mean 'tensorboard'"):
        open_loggers(["tensorbord"], tmp_path)
