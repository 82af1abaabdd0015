"""A stream kept as a dataset, and played back without an engine."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from torch.utils.data import IterableDataset, get_worker_info

from torchmultiverse.engines import Frame, RenderOptions
from torchmultiverse.errors import DatasetError
from torchmultiverse.files import (
    FolderLock,
    atomic_file,
    disk_errors,
    foreign_files,
    remove_temporary_files,
    sha256_file,
)
from torchmultiverse.scenes import Design, Scene, Spec, level_text, may_be_own
from torchmultiverse.store import (
    FORMAT,
    GROUP_ROWS,
    SHARD_ROWS,
    Manifest,
    RowSchema,
    ShardEntry,
    engine_difference,
    huggingface,
    open_dataset,
    reading,
    table_of,
    write_groups,
)
from torchmultiverse.stream.dataset import to_tensor

WEIGHT = "weight"
"""Column with the importance weight that a picture was shown with."""


class Recorder:
    """Writes what a stream shows, in the order in which it is shown.

    A file is written whenever `SHARD_ROWS` pictures came, and by `flush`. Nothing that `flush` wrote is lost.

    Args:
        out: folder of the dataset; an earlier recording of the same stream is continued.
        spec: what the stream is of, where it is of a spec.
        design: the scenes that may be shown.
        options: how they are rendered.

    Raises:
        DatasetError: the folder holds something else, or cannot be written.
    """

    def __init__(self, out: str | Path, spec: Spec | None, design: Design, options: RenderOptions) -> None:
        self.out = Path(out)
        self._rows = RowSchema(spec, design, ("rgb",))
        fields = dict(zip(self._rows.arrow.names, self._rows.arrow.types, strict=True))
        self._schema = huggingface({**fields, WEIGHT: pa.float64()})
        self._design = design
        identity: dict[str, Any] = {
            "format": FORMAT, "recorded": True, "size": list(options.size), "samples": options.samples,
            "seed": options.seed, "family": spec.family if spec else "Custom", "factors": design.factors,
        }  # fmt: skip
        if spec is not None:
            identity["spec"] = spec.model_dump(mode="json")
        self._waiting: list[dict[str, Any]] = []
        with disk_errors(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(self.out)
            try:
                manifest = Manifest.load(self.out)
                if manifest.identity != json.loads(json.dumps(identity)):
                    if foreign_files(self.out):
                        raise DatasetError(f"{self.out} is not empty and no earlier recording of this stream")
                    manifest = Manifest(identity=identity, name=self.out.name, shards={}, complete=True, assets=[])
                self._manifest, self._shards = manifest, manifest.shards
                self._engine = self._first_engine()
                self._save()  # whatever is left of this recording is known by it
                (self.out / "data").mkdir(exist_ok=True)
                remove_temporary_files(self.out, self.out / "data")
            except BaseException:
                self._lock.release()
                raise

    @property
    def rows(self) -> int:
        """Number of pictures that are kept, those that are not written yet as well."""
        return self._written + len(self._waiting)

    @property
    def _written(self) -> int:
        return self._manifest.rows

    def add(self, scene: Scene, frame: Frame, weight: float) -> None:
        """Keep a picture.

        Raises:
            DatasetError: it is of another engine than those that are kept.
        """
        if frame.engine != self._engine:
            if self._engine is not None:
                difference = engine_difference(self._engine, frame.engine)
                raise DatasetError(
                    f"{self.out} holds a recording made otherwise: {difference}. Record to another folder"
                )
            self._engine = frame.engine
        shown = frame if frame.scene == scene else frame.instead_of(scene)
        self._waiting.append({**self._rows.row(shown), WEIGHT: weight})
        if len(self._waiting) >= SHARD_ROWS:
            self.flush()

    def flush(self) -> int:
        """Write what waits; return the number of pictures that are kept."""
        if self._waiting:
            name = f"train-{len(self._shards):05d}.parquet"
            with disk_errors(self.out):
                with atomic_file(self.out / "data" / name) as file:
                    starts = range(0, len(self._waiting), GROUP_ROWS)
                    groups = (self._waiting[start : start + GROUP_ROWS] for start in starts)
                    write_groups(file, self._schema, (pa.Table.from_pylist(g, schema=self._schema) for g in groups))
                path = self.out / "data" / name
                entry = ShardEntry(rows=len(self._waiting), bytes=path.stat().st_size, sha256=sha256_file(path))
                self._shards[name] = entry
                self._count(self._waiting)
                self._waiting = []
                self._save()
        return self.rows

    def rewind(self, rows: int) -> None:
        """Forget what came after the first ``rows`` pictures: the stream continues from there.

        Raises:
            DatasetError: so many are not there, or a file goes across: the state is not of this recording.
        """
        self._waiting = []
        kept = 0
        for name in sorted(self._shards):
            if kept >= rows:
                del self._shards[name]
                self._manifest.counts = {}
                for other in self._shards:
                    with reading(self.out / "data" / other) as file:
                        labels = file.read(self._labels)
                    self._count(labels.to_pylist())
                self._save()
                (self.out / "data" / name).unlink(missing_ok=True)
            else:
                kept += self._shards[name].rows
        if kept != rows:
            raise DatasetError(f"{self.out}: {kept} pictures are there, the stream's state knows of {rows}")
        self._engine = self._first_engine()

    def close(self) -> None:
        """Write what waits and let go of the folder; may be called twice."""
        if self._lock.held:
            try:
                self.flush()
            finally:
                self._lock.release()

    def _first_engine(self) -> str | None:
        """Return the engine of what is kept already."""
        for name in sorted(self._shards):
            with reading(self.out / "data" / name) as file:
                return str(next(file.iter_batches(1, columns=["engine"])).column(0)[0])
        return None

    @property
    def _labels(self) -> list[str]:
        return [name for name in self._schema.names if name in self._design.table]

    def _count(self, rows: Sequence[Mapping[str, Any]]) -> None:
        counts = self._manifest.counts
        for name in self._labels:
            found = Counter(counts.get(name, {}))
            found.update(level_text(self._design.table[name], row[name]) for row in rows)
            counts[name] = dict(found)
        self._manifest.counts = counts

    def _save(self) -> None:
        self._manifest.images = self._written
        self._manifest.save(self.out)


class Replay(IterableDataset[dict[str, Any]]):
    """A recorded stream, played back: the same items in the same order, without an engine.

    Args:
        path: folder of the recording.
        transform: applied to the PIL picture; by default a float32 tensor (3, H, W) in 0..1.

    Raises:
        DatasetError: no recording there.
    """

    def __init__(self, path: str | Path, transform: Callable[[Any], Any] | None = None) -> None:
        self.stored = open_dataset(path)
        if WEIGHT not in self.stored.columns:
            raise DatasetError(f"{path} is a dataset, not the recording of a stream; torchmultiverse.Dataset reads it")
        self._transform = transform or to_tensor
        self._next = 0

    def __len__(self) -> int:
        return len(self.stored)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        columns = [*self.stored.factors, "scene_id", WEIGHT]
        labels = self.stored.labels(columns).to_pylist()
        factors = table_of(self.stored.manifest)
        numbers = [name for name in self.stored.factors if may_be_own(factors[name])]
        worker = get_worker_info()
        start, step = (worker.id, worker.num_workers) if worker is not None else (0, 1)
        begin, self._next = self._next, 0
        for index in range(begin + start, len(labels), step):
            self._next = index + 1
            own = {name: math.nan for name in numbers if labels[index][name] is None}
            yield {"image": self._transform(self.stored.image(index)), **labels[index], **own}
        self._next = 0

    def feedback(self, scene_ids: Sequence[str], losses: Iterable[float]) -> None:
        """Accepted, so that the same loop runs, and without effect: what comes was decided when it was recorded."""

    def state_dict(self) -> dict[str, Any]:
        """Return where it stands."""
        return {"next": self._next}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state; call it before iterating."""
        self._next = int(state["next"])
