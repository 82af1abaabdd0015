"""Where the course of trainings is logged: TensorBoard, Weights & Biases, MLflow, or a logger of one's own.

A logger is three methods (`RunLogger`). Those of a `log_to` block hear of every training inside it, however deep: the
trainings of an analysis as well.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

from torchmultiverse.errors import MissingExtra, SettingError, nearest
from torchmultiverse.paths import component


class RunLogger(Protocol):
    """What hears of trainings, one after the other."""

    def start(self, name: str, settings: Mapping[str, Any], step: int) -> None:
        """Begin a training.

        Args:
            name: of it; the second of a name in one `log_to` block is ``name-2``.
            settings: numbers, text and lists of them that say how and on what is trained.
            step: how many steps are done already, where an interrupted training goes on.
        """
        ...

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take values of a step, the first of which is 1: ``loss`` and ``learning_rate``, or ``epoch_loss``."""
        ...

    def finish(self) -> None:
        """End the training that was started last, whether or not it came to its end."""
        ...


class TensorBoardLogger:
    """Event files for TensorBoard, a folder for each training.

    Args:
        folder: of all; ``tensorboard --logdir FOLDER`` shows them.

    Raises:
        MissingExtra: tensorboard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingExtra("tensorboard", "tensorboard", "logging to TensorBoard") from None
        self._folder, self._make = Path(folder), SummaryWriter
        self._writer: Any = None

    def start(self, name: str, settings: Mapping[str, Any], step: int) -> None:
        """Open an event file; steps that an interrupted training repeats replace those that were logged."""
        purge = {"purge_step": step + 1} if step else {}
        self._writer = self._make(str(self._folder / component(name)), **purge)
        lines = "\n".join(f"| {key} | {value} |" for key, value in settings.items())
        self._writer.add_text("settings", f"| setting | value |\n|---|---|\n{lines}", step)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write scalars."""
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)

    def finish(self) -> None:
        """Close the file."""
        self._writer.close()


class WandbLogger:
    """Runs of Weights & Biases, one for each training; where and how is the environment's (``WANDB_MODE=offline``).

    Args:
        project: of the runs.
        out: folder of what is trained: a training that goes on there is the same run.

    Raises:
        MissingExtra: wandb is not installed.
    """

    def __init__(self, project: str, out: str | Path) -> None:
        try:
            import wandb
        except ImportError:
            raise MissingExtra("wandb", "wandb", "logging to Weights & Biases") from None
        self._library, self._project, self._out = wandb, project, Path(out).resolve()
        self._run: Any = None

    def start(self, name: str, settings: Mapping[str, Any], step: int) -> None:
        """Begin a run, or go on with the one that was interrupted."""
        key = hashlib.sha256(f"{self._project}\n{self._out}\n{name}".encode()).hexdigest()[:16]
        resume = {"id": key, "resume": "allow"} if step else {}
        self._run = self._library.init(
            project=self._project, name=f"{self._out.name}/{name}", config=dict(settings), dir=str(_made(self._out)),
            **({"id": key} | resume), reinit="finish_previous",
        )  # fmt: skip

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log values of a step."""
        self._run.log(dict(values), step=step)

    def finish(self) -> None:
        """End the run."""
        self._run.finish()


class MlflowLogger:
    """Runs of MLflow, one for each training; the server is the environment's (``MLFLOW_TRACKING_URI``).

    Args:
        experiment: of the runs.

    Raises:
        MissingExtra: mlflow is not installed.
    """

    def __init__(self, experiment: str) -> None:
        try:
            from mlflow.tracking import MlflowClient
        except ImportError:
            raise MissingExtra("mlflow", "mlflow", "logging to MLflow") from None
        self._client = MlflowClient()
        found = self._client.get_experiment_by_name(experiment)
        self._experiment = found.experiment_id if found else self._client.create_experiment(experiment)
        self._run = ""

    def start(self, name: str, settings: Mapping[str, Any], step: int) -> None:
        """Begin a run; a training that goes on has a run of its own, with its steps."""
        self._run = self._client.create_run(self._experiment, run_name=name).info.run_id
        for key, value in settings.items():
            self._client.log_param(self._run, key, str(value)[:6000])

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log values of a step."""
        for key, value in values.items():
            self._client.log_metric(self._run, key, value, step=step)

    def finish(self) -> None:
        """End the run."""
        self._client.set_terminated(self._run)


LOGGERS: dict[str, Callable[[str, Path], RunLogger]] = {
    "tensorboard": lambda where, out: TensorBoardLogger(where or out / "tensorboard"),
    "wandb": lambda where, out: WandbLogger(where or "torchmultiverse", out),
    "mlflow": lambda where, out: MlflowLogger(where or "torchmultiverse"),
}
"""What ``--log`` takes: from what stands behind the colon, and the folder of what is trained, to a logger."""


def open_loggers(texts: Sequence[str], out: str | Path) -> list[RunLogger]:
    """Return loggers of ``tensorboard``, ``tensorboard:FOLDER``, ``wandb:PROJECT``, ``mlflow:EXPERIMENT``.

    Args:
        texts: one for each logger.
        out: folder of what is trained; TensorBoard's files are in it by default.

    Raises:
        ModelError: no such kind of logger.
        MissingExtra: its package is not installed.
    """
    found = []
    for text in texts:
        kind, _, where = text.partition(":")
        if kind not in LOGGERS:
            raise SettingError(f"no logger '{kind}'.{nearest(kind, LOGGERS)}")
        found.append(LOGGERS[kind](where, Path(out)))
    return found


_Log = Callable[[Mapping[str, float], int], None]
_ACTIVE: ContextVar[_Active | None] = ContextVar("loggers", default=None)


class _Active:
    """The loggers of a block, and how often each name has been taken."""

    def __init__(self, loggers: Sequence[RunLogger]) -> None:
        self.loggers, self.names = list(loggers), dict[str, int]()


@contextlib.contextmanager
def log_to(*loggers: RunLogger) -> Iterator[None]:
    """Log every training of the block to these loggers, and to no others."""
    before = _ACTIVE.set(_Active(loggers))
    try:
        yield
    finally:
        _ACTIVE.reset(before)


@contextlib.contextmanager
def logged_run(name: str, settings: Mapping[str, Any], step: int) -> Iterator[_Log]:
    """Start a training with all loggers of the block that it is in; yields what takes the values of a step."""
    active = _ACTIVE.get()
    with contextlib.ExitStack() as stack:
        loggers = active.loggers if active else []
        if active:
            count = active.names[name] = active.names.get(name, 0) + 1
            name = name if count == 1 else f"{name}-{count}"
        for logger in loggers:
            logger.start(name, settings, step)
            stack.callback(logger.finish)

        def log(values: Mapping[str, float], at: int) -> None:
            for logger in loggers:
                logger.log(values, at)

        yield log


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
