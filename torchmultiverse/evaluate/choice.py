"""Questions of a protocol file over any columns of a dataset. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, nearest
from torchmultiverse.evaluate.protocol import ChoiceProtocol, ChoiceTask
from torchmultiverse.evaluate.spar import Task
from torchmultiverse.scenes import spoken


def choice_task(protocol: ChoiceProtocol, asked: ChoiceTask, columns: Mapping[str, NDArray[Any]]) -> Task:
    """Return a question of some pictures; its candidates are answers, not yet sentences.

    Raises:
        DatasetError: a column is missing, no picture takes part, or a true answer is not among the candidates.
    """
    place = f"protocol '{protocol.name}', task '{asked.task}'"
    slots = [name for _, name, _, _ in Formatter().parse(asked.truth) if name]
    if not slots:
        raise DatasetError(f"{place}: truth '{asked.truth}' names no column, such as {{world_name}}")
    for name in [*slots, *asked.only, *asked.by, *asked.cluster]:
        if name not in columns:
            raise DatasetError(f"{place}: the dataset has no column '{name}'.{nearest(name, columns)}")
    keep = np.ones(len(columns[slots[0]]), bool)
    if protocol.split is not None and "split" in columns:
        keep &= columns["split"].astype(str) == protocol.split
    for name, values in asked.only.items():
        keep &= np.isin(columns[name].astype(str), [str(value) for value in values])
    rows = np.flatnonzero(keep)
    if not len(rows):
        raise DatasetError(f"{place}: no picture takes part")
    say = spoken if asked.names == "spoken" else str
    told = {name: [say(str(value)) for value in columns[name][rows]] for name in slots}
    truths = [asked.truth.format(**dict(zip(told, values, strict=True))) for values in zip(*told.values(), strict=True)]
    candidates = asked.candidates or tuple(sorted(set(truths)))
    where = {answer: index for index, answer in enumerate(candidates)}
    for truth in set(truths):
        if truth not in where:
            raise DatasetError(f"{place}: '{truth}' is true of a picture and not among the candidates")
    clusters = None
    if asked.cluster:
        parts = [columns[name][rows].astype(str) for name in asked.cluster]
        clusters = np.array(["|".join(values) for values in zip(*parts, strict=True)], dtype=object)
    return Task(
        asked.task,
        "",
        "plain",
        rows,
        candidates,
        np.array([where[truth] for truth in truths], dtype=np.int64),
        None,
        clusters,
        {name: (columns[name][rows].astype(str).astype(object),) for name in asked.by},
    )
