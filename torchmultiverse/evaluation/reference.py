"""Published numbers, as data beside one's own; never mixed with them. And what ImageNet accuracy says of robustness."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation.result import Result
from torchmultiverse.resources import data_folder
from torchmultiverse.stats import pearson


@dataclass(frozen=True)
class Published:
    """One row of a published table, with a result's own cells for the same question.

    Attributes:
        source: the table.
        task, setting, scope, metric, factor, level: what was asked of which pictures.
        values: published accuracy in percent, by model.
        own: accuracy in percent, by model of the result.
        same_protocol: whether the result was made with the published protocol; else preprocessing or scores differ.
    """

    source: str
    task: str
    setting: str
    scope: str
    metric: str
    factor: str
    level: str
    values: dict[str, float]
    own: dict[str, float]
    same_protocol: bool


def tables(kind: str = "accuracy") -> list[dict[str, Any]]:
    """Return the published tables of a kind, as they lie in ``benchmarks/reference``.

    Args:
        kind: ``accuracy``, by task and model; ``equivariance``, mean cosines; ``datasets``, facts of datasets.
    """
    found = [json.loads(path.read_text()) for path in sorted((data_folder("benchmarks") / "reference").glob("*.json"))]
    return [table for table in found if table.get("kind", "accuracy") == kind]


def published_cosines() -> dict[tuple[str, str], tuple[float, float]]:
    """Return the published equivariance to each factor, by modality: mean over models, and its spread."""
    return {
        (row["factor"], row["modality"]): (row["values"][0], row["values"][1])
        for table in tables("equivariance")
        for row in table["rows"]
    }


def never_right(result: Result, model: str, task: str, setting: str) -> list[str] | None:
    """Return the classes of which no picture at all is answered rightly; ``None`` where classes are not known.

    Of a class that is right in some configuration of the factors, failures are due to the factors and not to what is
    rendered. Source: PUG (2023), appendix D.3.3.1.
    """
    cells = result.cells(model=model, task=task, setting=setting, scope="plain", factor="class")
    return sorted(c["level"] for c in cells if c["correct"] == 0) if cells else None


def published_rows(result: Result) -> list[Published]:
    """Return the published rows whose question the result answers too."""
    cells: dict[tuple[str, ...], dict[str, float]] = {}
    for cell in result.table.to_pylist():
        key = tuple(cell[name] for name in ("task", "setting", "scope", "metric", "factor", "level"))
        cells.setdefault(key, {})[cell["model"]] = 100 * cell["accuracy"]
    found = []
    for table in tables():
        # A table of some pictures speaks of a result of these alone.
        held = result.factors.column_names
        if any(
            name not in held or set(result.factors[name].to_pylist()) != {level}
            for name, level in table.get("only", {}).items()
        ):
            continue
        for row in table["rows"]:
            settings = {row["setting"] or "all"}
            if result.task(row["task"]).readings:
                settings = {k[1] for k in cells if k[0] == row["task"] and k[1].endswith(tuple(table["readings"]))}
            for setting in sorted(settings):
                own = cells.get((row["task"], setting, row["scope"], row["metric"], row["factor"], row["level"]))
                if own:
                    values = {m: v for m, v in zip(table["models"], row["values"], strict=True) if v is not None}
                    same = result.provenance.protocol["name"] == table["protocol"]
                    found.append(
                        Published(table["source"], row["task"], setting, row["scope"], row["metric"], row["factor"],
                                  row["level"], values, own, same)
                    )  # fmt: skip
    return found


@dataclass(frozen=True)
class Correlation:
    """Pearson's correlation of accuracy under one factor with ImageNet accuracy, over models.

    Attributes:
        factor: the subset or level.
        r, low, high: with a 95 % interval (R. Fisher 1915).
        p: two-sided, of no correlation.
        models: how many.
    """

    factor: str
    r: float
    low: float
    high: float
    p: float
    models: int


def correlate(accuracy: Mapping[str, float], by_factor: Mapping[str, Mapping[str, float]]) -> list[Correlation]:
    """Return how accuracy under each factor goes with accuracy on ImageNet.

    Args:
        accuracy: ImageNet accuracy by model.
        by_factor: factor to accuracy by model; models without ImageNet accuracy are left out.

    Raises:
        DatasetError: fewer than four models, too few for an interval.
    """
    found = []
    for factor, values in by_factor.items():
        names = [name for name in values if name in accuracy]
        if len(names) < 4:
            raise DatasetError(f"a correlation over {len(names)} models means nothing; four are needed at least")
        r, low, high, p, count = pearson([accuracy[n] for n in names], [values[n] for n in names])
        found.append(Correlation(factor, r, low, high, p, count))
    return found


def imagenet_accuracies(path: str | Path) -> dict[str, float]:
    """Read ``model,accuracy`` from a CSV file, as timm's result tables have it (``model,top1,…``).

    Raises:
        DatasetError: no such file or columns.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:  # as spreadsheets write it
            rows = list(csv.DictReader(file))
        column = next(c for c in ("accuracy", "top1", "imagenet") if c in rows[0])
        return {row["model"]: float(row[column]) for row in rows}
    except (OSError, StopIteration, IndexError, KeyError, ValueError) as error:
        raise DatasetError(f"{path}: a CSV with the columns model and accuracy (or top1) is needed: {error}") from None


def factor_accuracies(result: Result, setting: str | None = None) -> dict[str, dict[str, float]]:
    """Return accuracy by factor (the published subset, where there is one) and model, of one label space."""
    table: dict[str, dict[str, float]] = {}
    names = {facts.name for facts in result.provenance.tasks if facts.readings}
    cells = [cell for cell in result.table.to_pylist() if cell["task"] in names]
    chosen = setting or next((cell["setting"] for cell in cells if cell["factor"] == "all"), "")
    cells = [cell for cell in cells if cell["setting"] == chosen]
    for cell in cells:
        if cell["factor"] == "subset":
            table.setdefault(cell["level"], {})[cell["model"]] = cell["accuracy"]
    if table:
        return table
    sums: dict[tuple[str, str], list[float]] = {}
    for cell in cells:
        if cell["factor"] not in ("all", "class"):
            sums.setdefault((cell["factor"], cell["model"]), []).append(cell["accuracy"])
    for (factor, model), values in sums.items():
        table.setdefault(factor, {})[model] = float(np.mean(values))
    return table
