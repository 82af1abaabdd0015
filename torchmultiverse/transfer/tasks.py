"""What a representation is asked after it was trained on classes: every other factor, and classes it never saw.

A task is a column of some pictures and who learns from which of them. Numbers are cut into bins, since log-odds are of
accuracies: the sectors of a circle, or bins of as many pictures each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import FactorTarget, ProbeData, Split, factor_target, probe_of, split
from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.models import FloatArray
from torchmultiverse.scenes import FACTORS

UNSEEN = "unseen classes"
"""Name of the task that asks for classes which training did not see."""
SECTORS, BINS = 8, 4
FRACTIONS = (0.5, 0.15, 0.35)
"""Of train, validation and test: more of the test than elsewhere, since models are told apart by its groups."""
_POSE = ("yaw", "pitch", "roll", "rotation", "angle")


@dataclass(frozen=True)
class Task:
    """A column that is read, of which pictures, and how they are divided.

    Attributes:
        name: the column, or `UNSEEN`.
        rows: pictures of the dataset, (N,).
        codes: what is asked of each, 0 to C − 1, (N,).
        levels: names of the answers.
        parts: places in ``rows``.
        groups: of each picture, as the whole dataset numbers them, (N,); pictures of one group are not independent.
    """

    name: str
    rows: NDArray[np.int64]
    codes: NDArray[np.int64]
    levels: tuple[str, ...]
    parts: Split
    groups: NDArray[np.int64]

    @property
    def by(self) -> str:
        """The column that groups, or ``rows``."""
        return self.parts.by or "rows"

    @property
    def test_groups(self) -> NDArray[np.int64]:
        """Groups of the test pictures."""
        found: NDArray[np.int64] = self.groups[self.parts.test]
        return found

    @property
    def chance(self) -> float:
        """Accuracy of the most frequent answer, on the test pictures."""
        found = self.codes[self.parts.test]
        return float(np.bincount(found).max() / len(found))

    @property
    def test_rows(self) -> NDArray[np.int64]:
        """Test pictures, places in the dataset."""
        found: NDArray[np.int64] = self.rows[self.parts.test]
        return found


def is_pose(factor: str) -> bool:
    """Tell whether a column says how something is turned.

    >>> is_pose("camera_yaw"), is_pose("world_name")
    (True, False)
    """
    return any(word in factor.lower() for word in _POSE)


def binned(factor: str, values: NDArray[Any]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return numbers as bins, (N,), and the names of the bins.

    Args:
        factor: the column: of an angle that goes round, eight sectors around 0, 45, … degrees.
        values: (N,); of others four bins with as many values each.

    >>> binned("camera_yaw", np.array([350.0, 10.0, 95.0, 181.0]))
    (array([0, 0, 1, 2]), ('around 0°', 'around 90°', 'around 180°'))
    >>> binned("size", np.arange(4.0))[1]
    ('up to 0.75', 'up to 1.5', 'up to 2.25', 'up to 3')
    """
    numbers = np.asarray(values, np.float64)
    period = FACTORS[factor].period if factor in FACTORS else None
    if period or (is_pose(factor) and np.ptp(numbers) > 180):
        width = (period or 360) / SECTORS
        codes = np.round(numbers / width).astype(np.int64) % SECTORS
        names = [f"around {k * width:g}°" for k in range(SECTORS)]
    else:
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)))
        codes = np.clip(np.searchsorted(edges[1:], numbers), 0, max(0, len(edges) - 2))
        names = [f"up to {edge:.3g}" for edge in edges[1:]]
    used, codes = np.unique(codes, return_inverse=True)
    return codes.astype(np.int64), tuple(names[k] for k in used)


def task_of(
    columns: Mapping[str, NDArray[Any]], factor: str, rows: NDArray[np.int64], rng: np.random.Generator,
    group: str = "auto", name: str | None = None, fractions: tuple[float, float, float] = FRACTIONS,
) -> Task:  # fmt: skip
    """Return the task of reading a column of some pictures.

    Args:
        columns: of the dataset.
        factor: the column.
        rows: pictures, (N,).
        rng: divides them.
        group: column whose groups are in one part only; see `torchmultiverse.analyze.split`.
        name: of the task; the column by default.
        fractions: of train, validation and test.

    Raises:
        DatasetError: no such column, one that does not vary in these pictures, or a grouping that cannot be.
    """
    some = {key: values[rows] for key, values in columns.items()}
    target = factor_target(some, factor)
    codes, levels = target.codes, target.levels
    if target.numbers is not None:
        codes, levels = binned(factor, some[factor])
    if len(levels) < 2:
        raise QuestionError(f"'{factor}' is the same in all {len(rows)} pictures")
    parts = split(some, FactorTarget(factor, codes, levels), rng, group, fractions)
    every = np.arange(len(columns[factor]))
    if parts.by:
        every = np.unique(columns[parts.by].astype(str), return_inverse=True)[1].astype(np.int64)
    return Task(name or factor, rows, codes, levels, parts, every[rows])


def transfer_tasks(
    columns: Mapping[str, NDArray[Any]], train_task: str, factors: Sequence[str], unseen: Sequence[str] = (),
    group: str = "auto", seed: int = 0,
) -> tuple[Task, tuple[Task, ...], tuple[str, ...]]:  # fmt: skip
    """Return the task that models were trained on, the tasks of transfer, and what could not be asked and why.

    Args:
        columns: of the dataset.
        train_task: the column of classes.
        factors: other columns.
        unseen: classes that training did not see: the task of training is without them, and a task of transfer has
            them alone.
        group: column whose groups are in one part only.
        seed: of the divisions.

    Raises:
        DatasetError: no such column or class, or nothing to ask.
    """
    if train_task not in columns:
        raise QuestionError(f"no column '{train_task}' (--train-task).{nearest(train_task, columns)}")
    classes = columns[train_task].astype(str)
    for one in unseen:
        if one not in classes:
            raise QuestionError(
                f"--unseen {one}: '{train_task}' of these pictures is never that."
                f"{nearest(one, np.unique(classes).tolist())}"
            )
    new = np.isin(classes, list(unseen))
    rng = [np.random.default_rng((seed, k)) for k in range(len(factors) + 2)]
    training = task_of(columns, train_task, np.flatnonzero(~new), rng[0], group)
    found: list[Task] = []
    notes: list[str] = []
    asked = [(factor, np.arange(len(new)), None) for factor in factors if factor != train_task]
    if len(unseen) > 1:
        asked.insert(0, (train_task, np.flatnonzero(new), UNSEEN))  # type: ignore[arg-type]
    elif unseen:
        notes.append(f"{UNSEEN}: one class alone cannot be told from others; at least two are needed")
    for k, (factor, rows, name) in enumerate(asked, 1):
        try:
            found.append(task_of(columns, factor, rows, rng[k], group, name))
        except DatasetError as error:
            notes.append(f"{name or factor}: {error}")
    if not found:
        raise DatasetError(f"there is no task of transfer beside '{train_task}'. {'; '.join(notes)}")
    return training, tuple(found), tuple(notes)


def outcomes_of(task: Task, vectors: FloatArray, probe: str = "logistic", seed: int = 0) -> NDArray[np.float64]:
    """Return whether a probe of features reads each test picture of a task, 0 or 1, (T,).

    Args:
        task: what is asked.
        vectors: features of all pictures of the dataset, (N, D).
        probe: of `torchmultiverse.analyze.PROBES`.
        seed: of the probe.
    """
    mine, parts = vectors[task.rows], task.parts
    data = ProbeData(
        mine[parts.train], mine[parts.validation], mine[parts.test], task.codes[parts.train],
        task.codes[parts.validation], len(task.levels),
    )  # fmt: skip
    found = probe_of(probe)(data, np.random.default_rng(seed))
    right: NDArray[np.float64] = (found.prediction == task.codes[parts.test]).astype(np.float64)
    return right
