"""``evaluate``: models and a dataset in, a result out."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, ModelError, SpecError, TorchMultiverseError
from torchmultiverse.evaluation.evaluators import Evaluator, evaluator_of, note
from torchmultiverse.evaluation.gallery import gallery_images
from torchmultiverse.evaluation.outcomes import TaskOutcome, outcomes
from torchmultiverse.evaluation.outputs import Outputs, RehearsalOutputs
from torchmultiverse.evaluation.protocol import Protocol
from torchmultiverse.evaluation.provenance import (
    Audit,
    DatasetFacts,
    IntervalFacts,
    ModelFacts,
    Provenance,
    SearchFacts,
    TaskFacts,
    search_facts,
    task_facts,
)
from torchmultiverse.evaluation.registry import choose_protocol, load_protocol
from torchmultiverse.evaluation.result import TABLE, Result, rows_table
from torchmultiverse.evaluation.spar import COLUMNS
from torchmultiverse.evaluation.summary import row_parts, summarise
from torchmultiverse.evaluation.task import Task
from torchmultiverse.features import BatchSize, FeatureCache
from torchmultiverse.files import check_folder
from torchmultiverse.models import HasDevice, HasModule, HasMutableInfo, Model, Precision, Preprocess, as_models
from torchmultiverse.paths import scene_name
from torchmultiverse.resources import versions
from torchmultiverse.scenes import FACTORS, in_level_order, level_words
from torchmultiverse.stats import LEVEL, RESAMPLES, Intervals
from torchmultiverse.store import (
    ImageSet,
    StoredDataset,
    columns_of,
    dataset_name,
    factor_table,
    facts_of,
    manifest_hash,
    open_images,
)

_PACKAGES = (
    "torchmultiverse", "numpy", "pillow", "pyarrow", "torch", "torchvision", "timm", "open_clip_torch", "transformers",
)  # fmt: skip


class PartialEvaluationError(ModelError):
    """Some of several models failed.

    Attributes:
        result: of the others.
    """

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


def evaluate(
    dataset: str | Path | ImageSet,
    models: Any,
    protocol: str | Path | Protocol = "auto",
    out: str | Path | None = None,
    *,
    seed: int = 0,
    batch_size: int | Literal["auto"] = "auto",
    quiet: bool = False,
    embeddings: str | Path | None = None,
    precision: Precision | Literal["auto"] = "auto",
    audit: int = 0,
) -> Result:
    """Score models on a dataset.

    Of several models, those that are not of a library's weights are shown two pictures before the first is scored, so
    that a function that fails is found before the others run. Where one fails later, the others are scored and kept all
    the same.

    Args:
        dataset: a dataset's folder, an opened one, or any `ImageSet`.
        models: a model string, a model, any callable, or a list of these; see ``torchmultiverse.models.load_model``.
        protocol: ``auto`` chooses by the dataset's columns; or a name, a JSON file, a protocol.
        out: folder to save the result in.
        seed: of the bootstrap.
        batch_size: pictures per call of a model; ``auto`` finds it by trying on a GPU and takes 64 elsewhere. Halved
            where memory runs out.
        quiet: show no progress bars.
        embeddings: folder that keeps what models make of pictures, so that none passes twice through one; by default
            nothing is kept.
        precision: of encoding; scores are float32 in any case. ``auto``: bfloat16 on a GPU, float32 elsewhere.
        audit: this many pictures are encoded once more, one by one and in float32; the result says how many answers
            that changes.

    Raises:
        DatasetError: the dataset lacks what the protocol asks about, or ``out`` cannot be written.
        ModelError: a model that cannot be had, or that fails or breaks its contract.
        PartialEvaluationError: one that fails later than others, whose result it holds.
        SpecError: no such protocol.
    """
    if out is not None:
        check_folder(Path(out))
    images = open_images(dataset)
    columns = columns_of(images)
    if isinstance(protocol, str | Path):
        protocol = choose_protocol(tuple(columns)) if protocol == "auto" else load_protocol(protocol)
    loaded = as_models(models)
    if not loaded:
        raise ModelError("no model to score")
    run = _EvaluationRun(images, columns, protocol, quiet, _batches(batch_size))
    declared = [model.info for model in loaded]
    try:
        for model in loaded:
            _set_precision(model, precision)
            if protocol.preprocess is not None:
                _prescribe(model, protocol.preprocess.preprocess(), run.notes)
        cache = None if embeddings is None else FeatureCache(embeddings)
        if cache is not None:
            cache.expect(model.info.preprocess for model in loaded)
        if len(loaded) > 1:
            # What the cache recognises is a model of a library, of which each image is shown once and kept.
            run.rehearse([model for model in loaded if cache is None or model.info.weights_sha256 is None])
        run.score(loaded, cache, Intervals(seed), audit)
        result = run.result(seed)
    finally:  # models of the caller's are given back as they came
        for model, info in zip(loaded, declared, strict=True):
            if model.info != info:
                model.change(preprocess=info.preprocess, precision=info.precision)  # type: ignore[union-attr]
    if out is not None:
        result.save(out)
    run.raise_failures(result, out)
    return result


class _EvaluationRun:
    """One call of `evaluate`: what was scored so far, and what failed."""

    def __init__(
        self, images: ImageSet, columns: Mapping[str, NDArray[Any]], protocol: Protocol, quiet: bool, batch: BatchSize
    ) -> None:
        self._images, self._columns, self._protocol = images, columns, protocol
        self._quiet, self._batch = quiet, batch
        self._name = dataset_name(images)
        self._tasks = _compiled(protocol, columns, self._name)
        self._ids = _ids(images, columns)
        self._cells: list[dict[str, Any]] = []
        self._rows: list[dict[str, Any]] = []
        self._outcomes: dict[str, TaskFacts] = {}
        self._done: list[Model] = []
        self._audits: dict[str, Audit] = {}
        self._searches: list[SearchFacts] = []
        self._failed: dict[str, ModelError] = {}
        self._ended: DatasetError | KeyboardInterrupt | None = None
        self.notes: list[str] = []
        if protocol.dataset is not None and protocol.dataset != self._name:
            self.notes.append(f"protocol '{protocol.name}' is meant for '{protocol.dataset}', not '{self._name}'")

    def rehearse(self, models: Sequence[Model]) -> None:
        """Ask each model its first task of two images, so that what fails at once fails before others run."""
        outputs = RehearsalOutputs(self._images, self._batch, True)
        for model in models:
            next(self._answers(evaluator_of(model, outputs), []))

    def score(self, models: Sequence[Model], cache: FeatureCache | None, intervals: Intervals, audit: int) -> None:
        """Ask every model all tasks; one that fails keeps nobody from being scored.

        Raises:
            DatasetError, KeyboardInterrupt, ModelError: what happened, where no model was scored.
        """
        outputs = Outputs(self._images, self._batch, self._quiet, cache)
        for model in models:
            name = model.info.name
            try:
                evaluator = evaluator_of(model, outputs)
                scored = list(self._answers(evaluator, self.notes))
                audited = evaluator.audit(audit, intervals.seed) if audit else None
            except ModelError as error:
                self._failed[name] = error
                self.notes.append(f"{name}: not scored. {error}")
                continue
            except (DatasetError, KeyboardInterrupt) as error:
                self._ended = error
                self.notes.append(f"{name}: not scored, nor what follows it. {error}")
                break
            self._done.append(model)
            self._audits |= {} if audited is None else {name: audited}
            for item in scored:
                if item.candidates == 1:
                    told = "there is one answer only, which every model gives; the average leaves it out"
                    note(self.notes, f"{item.task.name}: {told}")
            self._searches += search_facts(name, scored)
            for facts in task_facts(item.task for item in scored):
                self._outcomes.setdefault(facts.name, facts)
            base = {"model": name, "dataset": self._name, "protocol": self._protocol.name}
            self._cells += ({**base, **cell} for cell in summarise(scored, intervals))
            self._rows += ({"model": name, **part} for part in row_parts(scored, self._ids))
        if not self._done:
            raise self._ended or next(iter(self._failed.values()))

    def _answers(self, evaluator: Evaluator, notes: list[str]) -> Iterator[TaskOutcome]:
        """Yield what became of every task.

        Raises:
            DatasetError: there is none.
        """
        tasks = evaluator.accept(self._tasks, notes)
        if not tasks:
            why = sorted({f": {reason}" for task in self._tasks if not len(task.rows) for reason in task.excluded})
            raise DatasetError(
                f"protocol '{self._protocol.name}' found nothing to ask of '{evaluator.name}' on '{self._name}'"
                + "".join(why)
            )
        for task in tasks:
            yield from outcomes(task, evaluator.scores(task))

    def result(self, seed: int) -> Result:
        """Return the result of all models that were scored."""
        rows = rows_table(self._rows)
        declared = {facts.name: facts for facts in task_facts(self._tasks)}
        provenance = Provenance(
            dataset=_dataset_facts(self._images, self._name, self._columns),
            protocol=self._protocol.model_dump(mode="json"),
            models=tuple(ModelFacts(**json.loads(json.dumps(model.info.as_dict()))) for model in self._done),
            tasks=tuple({**self._outcomes, **declared}.values()),
            notes=tuple(self.notes),
            seed=seed,
            interval=IntervalFacts(level=LEVEL, resamples=RESAMPLES),
            packages=versions(_PACKAGES),
            python=platform.python_version(),
            platform=platform.platform(),
            command=(Path(sys.argv[0]).name, *sys.argv[1:]),
            audits=self._audits,
            searches=tuple(self._searches),
        )
        table = pa.Table.from_pylist(self._cells, schema=TABLE)
        shown = gallery_images(self._images, rows) if self._images.keeps_pixels else {}
        return Result(table, rows, provenance, shown, factor_table(self._columns))

    def raise_failures(self, result: Result, out: str | Path | None) -> None:
        """Raise what ended the evaluation, or that some models failed.

        Raises:
            DatasetError, KeyboardInterrupt: what ended it.
            PartialEvaluationError: some models failed.
        """
        if self._ended is not None:
            raise self._ended
        if self._failed:
            names = [model.info.name for model in self._done]
            kept = f"{', '.join(names)} {'was' if len(names) == 1 else 'were'} scored"
            where = "" if out is None else f" and kept in {out}"
            raise PartialEvaluationError(
                "; ".join(str(error) for error in self._failed.values()) + f". {kept}{where}", result
            )


def _compiled(protocol: Protocol, columns: Mapping[str, NDArray[Any]], dataset: str) -> list[Task]:
    """Return the tasks of a protocol.

    Raises:
        SpecError: a protocol of another package fails.
    """
    try:
        return list(protocol.compile(columns))
    except TorchMultiverseError:
        raise
    except Exception as error:
        raise SpecError(f"protocol '{protocol.name}' fails on '{dataset}': {type(error).__name__}: {error}") from error


def _ids(images: ImageSet, columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return the ids of pictures, (N,); of those that have none, their numbers.

    Raises:
        DatasetError: those of a dataset's folder are no scenes' ids.
    """
    if "scene_id" not in columns:
        return np.array([f"{i:06d}" for i in range(len(images))], dtype=object)
    if isinstance(images, StoredDataset):
        for scene_id in columns["scene_id"].tolist():
            scene_name(scene_id, images.path)
    return columns["scene_id"]


def _set_precision(model: Model, precision: str) -> None:
    """Set the precision of models that have a choice and were not given one by an option."""
    asked = "precision=" in model.info.source.partition("?")[2]
    if asked or not (isinstance(model, HasMutableInfo) and isinstance(model, HasModule)):
        return
    gpu = isinstance(model, HasDevice) and model.device.type == "cuda"
    usual = "bfloat16" if gpu else "float32"
    model.change(precision=usual if precision == "auto" else precision)


def _prescribe(model: Model, preprocess: Preprocess, notes: list[str]) -> None:
    """Give a model the preprocessing of a protocol, if it can take another than its own."""
    if not isinstance(model, HasMutableInfo) or model.info.preprocess is None:
        notes.append(f"{model.info.name}: prepares pictures in a way of its own, not in that of the protocol")
        return
    own = model.info.preprocess.size
    if own != preprocess.size:
        notes.append(f"{model.info.name}: its input is {own[1]} × {own[0]}, not the protocol's {preprocess.size[1]}")
    model.change(preprocess=preprocess)


def _batches(size: int | str) -> BatchSize:
    if isinstance(size, int):
        return BatchSize(size, grow=False)
    torch = sys.modules.get("torch")
    return BatchSize(64, grow=torch is not None and torch.cuda.is_available())


def _dataset_facts(images: ImageSet, name: str, columns: Mapping[str, NDArray[Any]]) -> DatasetFacts:
    levels = {f: sorted({str(v) for v in set(columns[f].tolist())}) for f in COLUMNS if f in columns}
    conditions = [f.column for f in FACTORS if f.group and f.column in columns]
    levels |= {f: in_level_order(set(level_words(f, columns[f]))) for f in conditions}
    return DatasetFacts(
        name=name,
        images=len(images),
        manifest_sha256=manifest_hash(images),
        facts=facts_of(images.manifest),
        levels={factor: values for factor, values in levels.items() if len(values) <= 100},
    )
