"""Log-odds of accuracies, and their mean over tasks: one number of how well a representation transfers. Pure.

A mean of accuracies is moved most by tasks in the middle of the scale; from 98 % to 99 % halves the errors and counts
one point. Log-odds count a halving of the odds of an error alike wherever a task stands, so tasks of different
difficulty can be averaged.

Source: M. B. Sarıyıldız et al., *No reason for no supervision: improved generalization in supervised models*, ICLR
2023, section 4.1, equation 4.3 in the thesis; S. Kornblith et al., *Do better ImageNet models transfer better?*, CVPR
2019. The mean is that of the log-odds of tasks, not the log-odds of a mean accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError
from torchmultiverse.stats import Intervals


class TaskScore(NamedTuple):
    """The accuracy of one task.

    Attributes:
        task: its name.
        accuracy: 0 to 1, with the ends of its interval ``low`` and ``high``.
        n: test pictures.
        chance: accuracy of the best guess that does not look, 0 to 1.
    """

    task: str
    accuracy: float
    low: float
    high: float
    n: int
    chance: float


class MeanLogOdds(NamedTuple):
    """A mean of log-odds over tasks, with its interval.

    Attributes:
        mean: natural logarithm; 0 is an accuracy of one half.
        low, high: ends of the interval.
        tasks: how many.
    """

    mean: float
    low: float
    high: float
    tasks: int


def odds_of(accuracy: float, n: int) -> float:
    """Return the log-odds of an accuracy, ln(p / (1 − p)); 0 and 1 are taken as half an answer from the end.

    Args:
        accuracy: 0 to 1.
        n: test pictures, at least 1; the accuracy is held in [1/(2n), 1 − 1/(2n)], so that none is infinite.

    Raises:
        DatasetError: an accuracy outside [0, 1], or no picture.

    >>> round(odds_of(0.9, 1000), 4), odds_of(0.5, 10), round(odds_of(1.0, 50), 4)
    (2.1972, 0.0, 4.5951)
    """
    if not 0 <= accuracy <= 1:
        raise DatasetError(f"accuracy {accuracy}: log-odds are of accuracies from 0 to 1, such as 0.75 for 75 %")
    if n < 1:
        raise DatasetError(f"{n} test pictures: log-odds need at least one")
    p = min(max(accuracy, 1 / (2 * n)), 1 - 1 / (2 * n))
    return float(np.log(p / (1 - p)))


def task_score(
    task: str, correct: NDArray[Any], clusters: NDArray[Any] | None, chance: float, intervals: Intervals | None = None
) -> TaskScore:
    """Return the accuracy of a task with its interval over clusters of pictures.

    Args:
        task: its name.
        correct: 0 or 1 (or fractions: means over seeds) of each test picture, (N,).
        clusters: assets or scenes that pictures share, (N,), or ``None`` where pictures are independent.
        chance: 0 to 1.
        intervals: how intervals are made; default: 95 %.

    Raises:
        DatasetError: no test picture.

    >>> found = task_score("world", np.array([1, 1, 0, 1]), None, chance=0.5)
    >>> found.accuracy, found.n, round(found.low, 2), round(found.high, 2)
    (0.75, 4, 0.3, 0.95)
    """
    values = np.asarray(correct, np.float64)
    if not len(values):
        raise DatasetError(f"task '{task}' has no test pictures")
    low, high, _ = (intervals or Intervals()).of_mean(values, clusters)
    return TaskScore(task, float(values.mean()), low, high, len(values), chance)


def mean_log_odds(scores: Sequence[TaskScore], *, independent: bool) -> MeanLogOdds:
    """Return the mean over tasks of their log-odds.

    The interval comes from those of the tasks: their distances from each task's log-odds are added as squares where
    tasks are of different pictures, and as they are, which is cautious, where tasks ask different questions of the
    same pictures.

    Args:
        scores: of the tasks; the task that a model was trained on does not belong here.
        independent: whether tasks are of different pictures.

    Raises:
        DatasetError: no task.

    Source of the interval of independent tasks: G. Y. Zou and A. Donner, *Construction of confidence limits about
    effect measures: a general approach*, Statistics in Medicine 2008.

    >>> tasks = [TaskScore("pose", 0.9, 0.8, 0.95, 100, 0.2), TaskScore("world", 0.5, 0.4, 0.6, 100, 0.1)]
    >>> [round(value, 2) for value in mean_log_odds(tasks, independent=True)]
    [1.1, 0.65, 1.52, 2]
    """
    if not scores:
        raise DatasetError("a mean of log-odds needs at least one task")
    middle, low, high = (
        np.array([odds_of(value, score.n) for value, score in zip(values, scores, strict=True)])
        for values in ([s.accuracy for s in scores], [s.low for s in scores], [s.high for s in scores])
    )
    down, up = middle - low, high - middle
    if independent:
        below, above = np.sqrt((down**2).sum()), np.sqrt((up**2).sum())
    else:
        below, above = down.sum(), up.sum()
    mean, count = float(middle.mean()), len(scores)
    return MeanLogOdds(mean, mean - float(below) / count, mean + float(above) / count, count)
