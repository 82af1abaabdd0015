"""``evaluate``: models and a dataset in, a result out."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.evaluate.asking import Asker, Rehearsal
from torchmultiverse.evaluate.gallery import gallery_images
from torchmultiverse.evaluate.protocol import (
    Protocol,
    choose_protocol,
    load_protocol,
)
from torchmultiverse.evaluate.result import TABLE, Result, rows_table
from torchmultiverse.evaluate.scored import Scored
from torchmultiverse.evaluate.spar import COLUMNS
from torchmultiverse.evaluate.summary import row_parts, summarise
from torchmultiverse.features import BatchSize, EmbeddingStore
from torchmultiverse.files import check_folder
from torchmultiverse.models import HasModule, HasMutableInfo, Model, Precision, Preprocess, as_model
from torchmultiverse.paths import scene_name
from torchmultiverse.resources import versions
from torchmultiverse.stats import Intervals
from torchmultiverse.store import (
    ImageSet,
    StoredDataset,
    columns_of,
    dataset_name,
    factor_table,
    facts_of,
    manifest_hash,
    manifest_of,
    open_images,
)

_PACKAGES = (
    "torchmultiverse", "numpy", "pillow", "pyarrow", "torch", "torchvision", "timm", "open_clip_torch", "transformers",
)  # fmt: skip


class PartlyScored(ModelError):
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
        dataset: a dataset's folder, an opened one, or anything with the methods of :class:`ImageSet`.
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
        PartlyScored: one that fails later than others, whose result it holds.
        SpecError: no such protocol.
    """
    if out is not None:
        check_folder(Path(out))
    pictures = open_images(dataset)
    columns = columns_of(pictures)
    if isinstance(protocol, str | Path):
        protocol = choose_protocol(tuple(columns)) if protocol == "auto" else load_protocol(protocol)
    loaded = _named(models)
    if not loaded:
        raise ModelError("no model to score")
    notes: list[str] = []
    declared = [model.info for model in loaded]
    if protocol.dataset is not None and protocol.dataset != dataset_name(pictures):
        notes.append(f"protocol '{protocol.name}' is meant for '{protocol.dataset}', not '{dataset_name(pictures)}'")
    try:
        for model in loaded:
            _set_precision(model, precision)
            if protocol.preprocess is not None:
                _prescribe(model, protocol.preprocess.preprocess(), notes)
        store = None if embeddings is None else EmbeddingStore(embeddings)
        if store is not None:
            store.expect(model.info.preprocess for model in loaded)
        ask = Asker(pictures, columns, _batches(batch_size), quiet, store, audit, seed)
        intervals = Intervals(seed)
        ids = _ids(pictures, columns)
        cells: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        name = dataset_name(pictures)
        if len(loaded) > 1:
            rehearse = Rehearsal(pictures, columns, _batches(batch_size), True)
            for model in loaded:
                # What the store recognises is a model of a library, of which each picture is shown once and kept.
                if store is None or model.info.weights_sha256 is None:
                    next(_questions(rehearse, model, protocol, name, []))
        done: list[Model] = []
        failed: dict[str, ModelError] = {}
        ended: DatasetError | KeyboardInterrupt | None = None
        for model in loaded:
            try:
                scored = list(_questions(ask, model, protocol, name, notes))
            except ModelError as error:
                failed[model.info.name] = error
                notes.append(f"{model.info.name}: not scored. {error}")
                continue
            except (DatasetError, KeyboardInterrupt) as error:
                ended = error
                notes.append(f"{model.info.name}: not scored, nor what follows it. {error}")
                break
            done.append(model)
            base = {"model": model.info.name, "dataset": name, "protocol": protocol.name}
            cells += ({**base, **cell} for cell in summarise(scored, intervals))
            rows += ({"model": model.info.name, **part} for part in row_parts(scored, ids))
        if not done:
            raise ended or next(iter(failed.values()))
        table = rows_table(rows)
        result = Result(
            pa.Table.from_pylist(cells, schema=TABLE),
            table,
            {**_provenance(pictures, name, done, protocol, seed, notes, columns), "audits": ask.audits},
            gallery_images(pictures, table),
            factor_table(columns),
        )
    finally:  # models of the caller's are given back as they came
        for model, info in zip(loaded, declared, strict=True):
            if model.info != info:
                model.change(preprocess=info.preprocess, precision=info.precision)  # type: ignore[union-attr]
    if out is not None:
        result.save(out)
    if ended is not None:
        raise ended
    if failed:
        kept = f"{', '.join(model.info.name for model in done)} {'was' if len(done) == 1 else 'were'} scored"
        where = "" if out is None else f" and kept in {out}"
        raise PartlyScored("; ".join(str(error) for error in failed.values()) + f". {kept}{where}", result)
    return result


def _ids(pictures: ImageSet, columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return the ids of pictures, (N,); of those that have none, their numbers.

    Raises:
        DatasetError: those of a dataset's folder are no scenes' ids.
    """
    if "scene_id" not in columns:
        return np.array([f"{i:06d}" for i in range(len(pictures))], dtype=object)
    if isinstance(pictures, StoredDataset):
        for scene_id in columns["scene_id"].tolist():
            scene_name(scene_id, pictures.path)
    return columns["scene_id"]


def _set_precision(model: Model, precision: str) -> None:
    """Set the precision of models that have a choice and were not given one by an option."""
    asked = "precision=" in model.info.name.partition("?")[2]
    if asked or not (isinstance(model, HasMutableInfo) and isinstance(model, HasModule)):
        return
    usual = "bfloat16" if model.device.type == "cuda" else "float32"
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


def _questions(ask: Asker, model: Model, protocol: Protocol, dataset: str, notes: list[str]) -> Iterator[Scored]:
    """Yield what became of every task.

    Raises:
        DatasetError: there is none.
    """
    scored = None
    for scored in ask(model, protocol, notes):
        yield scored
    if scored is None:
        raise DatasetError(f"protocol '{protocol.name}' found nothing to ask of '{model.info.name}' on '{dataset}'")


def _batches(size: int | str) -> BatchSize:
    if isinstance(size, int):
        return BatchSize(size, grow=False)
    torch = sys.modules.get("torch")
    return BatchSize(64, grow=torch is not None and torch.cuda.is_available())


def _named(models: Any) -> list[Model]:
    """Load what is named and give every model a name of its own."""
    if isinstance(models, str) or not isinstance(models, Sequence):
        models = [models]
    loaded: list[Model] = [as_model(model) for model in models]
    names = [model.info.name for model in loaded]
    for name in names:
        if names.count(name) > 1:
            raise ModelError(f"two models are called '{name}'; give each its own name: as_model(model, name=…)")
    return loaded


def _provenance(
    pictures: ImageSet,
    name: str,
    models: Sequence[Model],
    protocol: Protocol,
    seed: int,
    notes: list[str],
    columns: Mapping[str, NDArray[Any]],
) -> dict[str, Any]:
    levels = {f: sorted({str(v) for v in columns[f]}) for f in COLUMNS if f in columns}
    return {
        "dataset": {
            "name": name,
            "pictures": len(pictures),
            "manifest_sha256": manifest_hash(pictures),
            "facts": facts_of(manifest_of(pictures)),
            "levels": {factor: values for factor, values in levels.items() if len(values) <= 100},
        },
        "protocol": protocol.model_dump(mode="json"),
        "models": [model.info.as_dict() for model in models],
        "notes": notes,
        "seed": seed,
        "interval": {"level": 0.95, "resamples": Intervals().resamples},
        "packages": versions(_PACKAGES),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }
