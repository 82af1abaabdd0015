"""The result: one long table of numbers, one table of per-picture outcomes, and where both came from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from torchmultiverse.errors import DatasetError, QuestionError, nearest
from torchmultiverse.evaluation.provenance import ModelFacts, Provenance, TaskFacts
from torchmultiverse.files import write_atomic
from torchmultiverse.paths import component
from torchmultiverse.remote import local_copy

AVERAGE = "average"
"""The task of the mean over all tasks."""
IMAGES = "images"
_OLD_IMAGES = "pictures"
_word = pa.dictionary(pa.int32(), pa.string())

TABLE = pa.schema(
    [
        ("model", pa.string()),
        ("dataset", pa.string()),
        ("protocol", pa.string()),
        ("task", pa.string()),  # "average" is the mean over the tasks of the leaderboard
        ("setting", pa.string()),  # what the task was split by: a texture, positions, a label space; "all" pools them
        ("scope", pa.string()),  # plain; background: captions name the world too
        ("metric", pa.string()),  # top1 among all candidates; hard_negative: among two
        ("factor", pa.string()),  # "all", or by what the cell is broken down: world, animal, camera_yaw, …
        ("level", pa.string()),  # "all", or the level of that factor
        ("n", pa.int64()),  # pictures
        ("clusters", pa.int64()),  # independent groups of pictures; equals n where rows are independent
        ("candidates", pa.int64()),  # how many answers there were to choose from
        ("correct", pa.float64()),  # ties count 1/k, so that this need not be whole
        ("accuracy", pa.float64()),  # correct / n, in [0, 1]
        ("low", pa.float64()),  # 95 % interval
        ("high", pa.float64()),
        ("interval", pa.string()),  # how it was made
        ("chance", pa.float64()),  # accuracy of a blind guess
    ]
)
ROWS = pa.schema(
    [
        ("model", _word),
        ("task", _word),
        ("setting", _word),
        ("scope", _word),
        ("metric", _word),
        ("index", pa.int64()),  # row of the picture in the dataset
        ("scene_id", _word),
        ("label", _word),  # the true caption or class
        ("prediction", _word),  # what the model chose; the first of tied ones
        ("cluster", _word),  # rows of one cluster are not independent; "" where each is one of its own
        ("margin", pa.float32()),  # score of the truth minus the best other score
        ("confidence", pa.float32()),  # probability that the model gives to what it chose; NaN where it gives none
        ("correct", pa.float64()),
    ]
)


@dataclass
class Result:
    """What an evaluation found.

    Attributes:
        table: the numbers, schema :data:`TABLE`.
        rows: per-picture outcomes, schema :data:`ROWS`.
        provenance: dataset, models, protocol, tasks, seed, packages, command.
        images: small JPEG images for galleries, by scene id as `paths.component` writes it.
        factors: the factor columns of the whole dataset; row i is the picture with ``index`` i.
    """

    table: pa.Table
    rows: pa.Table
    provenance: Provenance
    images: dict[str, bytes] = field(default_factory=dict)
    factors: pa.Table = field(default_factory=lambda: pa.table({}))

    @property
    def models(self) -> list[str]:
        """Names of the models, in the order they were given."""
        return [model.name for model in self.provenance.models]

    def facts(self, model: str) -> ModelFacts:
        """Return what is declared of a model.

        Raises:
            DatasetError: the result has no such model.
        """
        for facts in self.provenance.models:
            if facts.name == model:
                return facts
        raise QuestionError(f"the result has no model '{model}'.{nearest(model, self.models)}")

    def task(self, name: str) -> TaskFacts:
        """Return what is declared of a task; of the average, and of a task that nothing is known of, its name."""
        for facts in self.provenance.tasks:
            if facts.name == name:
                return facts
        if name == AVERAGE:
            return TaskFacts(name=name, title="Average of the tasks", metric="mean")
        return TaskFacts(name=name, title=name.replace("_", " "))

    def cells(self, **where: str) -> list[dict[str, Any]]:
        """Return the rows of the table whose columns have these values.

        ``result.cells(task="relation", factor="all")`` are the accuracies of all models on one task.
        """
        return [cell for cell in self.table.to_pylist() if all(cell[k] == v for k, v in where.items())]

    def save(self, folder: str | Path) -> Path:
        """Write ``results``, ``rows`` and ``factors`` in Parquet, ``results.json``, ``provenance.json``, ``images/``.

        Every file is complete or absent; an older result in the folder is replaced.
        """
        folder = Path(folder)
        (folder / IMAGES).mkdir(parents=True, exist_ok=True)
        for name in (IMAGES, _OLD_IMAGES):
            for old in (folder / name).glob("*.jpg"):
                old.unlink()
        for scene_id, data in self.images.items():
            write_atomic(folder / IMAGES / f"{component(scene_id)}.jpg", data)
        for name, table in (("results", self.table), ("rows", self.rows), ("factors", self.factors)):
            path = folder / f"{name}.parquet"
            part = path.with_suffix(".part")
            pq.write_table(table, part, compression="zstd")
            os.replace(part, path)
        write_atomic(folder / "results.json", _json(self.table.to_pylist()))
        self.provenance.save(folder)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Result:
        """Read a saved result, also one of an older version.

        Raises:
            DatasetError: the folder holds none.
        """
        folder = local_copy(folder)
        try:
            table = pq.read_table(folder / "results.parquet")
            rows = pq.read_table(folder / "rows.parquet")
            factors = pq.read_table(folder / "factors.parquet")
            provenance = Provenance.load(folder)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise DatasetError(f"{folder} holds no results (write them with torchmultiverse eval): {error}") from None
        paths = [path for name in (IMAGES, _OLD_IMAGES) for path in sorted((folder / name).glob("*.jpg"))]
        if rows.column_names != ROWS.names or table.column_names != TABLE.names:
            raise DatasetError(f"{folder}: results of another version of torchmultiverse; evaluate once more")
        return cls(table, rows, provenance, {path.stem: path.read_bytes() for path in paths}, factors)


def rows_table(parts: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return the per-picture table of some tasks; constants of a part are repeated for its pictures."""
    tables = []
    for part in parts:
        length = len(part["index"])
        arrays = []
        for column in ROWS:
            value = part[column.name]
            if isinstance(value, str):
                value = pa.DictionaryArray.from_arrays(pa.array([0] * length, pa.int32()), pa.array([value]))
            elif pa.types.is_dictionary(column.type) and not isinstance(value, pa.Array):
                value = pa.array(value, pa.string()).dictionary_encode()
            arrays.append(value if isinstance(value, pa.Array) else pa.array(value, column.type))
        tables.append(pa.table(arrays, schema=ROWS))
    return pa.concat_tables(tables).unify_dictionaries() if tables else ROWS.empty_table()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
