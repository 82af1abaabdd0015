"""Models on a dataset under corruptions: every picture under every type and severity, once through each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchmultiverse.corruptions import IMAGENET_C, SEVERITIES, SIDE, corruption_names
from torchmultiverse.errors import DatasetError, ModelError, SettingError, nearest
from torchmultiverse.evaluation.classification import ClassificationProtocol
from torchmultiverse.evaluation.corruption_errors import PLAIN, Condition, ModelErrors, model_errors
from torchmultiverse.evaluation.imagenet_c import (
    NamedClasses,
    corruption_folders,
    file_names,
    is_imagenet,
    open_condition,
    whole_imagenet_c,
)
from torchmultiverse.evaluation.protocol import Protocol
from torchmultiverse.evaluation.registry import choose_protocol, load_protocol
from torchmultiverse.evaluation.result import Result
from torchmultiverse.evaluation.run import PartialEvaluationError, evaluate
from torchmultiverse.models import Model, as_models
from torchmultiverse.paths import address_of
from torchmultiverse.progress import progress_bar
from torchmultiverse.store import CorruptedImages, ImageSet, columns_of, dataset_name, open_images


@dataclass(frozen=True)
class CorruptionOptions:
    """What is asked, and how.

    Attributes:
        names: of corruptions, or sets of them, with commas; ``all`` is all that the pictures can have.
        severities: of 1 to 5.
        baseline: name of one of the models, that errors of the others are relative to.
        task: one task of the protocol; the average of all by default.
        side: pixels of the shorter side that pictures are resized to before; ``None`` leaves them.
        plain: folder of the plain pictures of a folder that is laid out as ImageNet-C.
        protocol: as of `evaluate`.
        precision: of encoding, as of `evaluate`.
        batch_size: pictures per call of a model, as of `evaluate`.
    """

    names: str = "all"
    severities: Sequence[int] = SEVERITIES
    baseline: str | None = None
    task: str | None = None
    side: int | None = SIDE
    plain: str | Path | None = None
    protocol: str | Path | Protocol = "auto"
    precision: Any = "auto"
    batch_size: Any = "auto"


@dataclass(frozen=True)
class CorruptionErrors:
    """What was found.

    Attributes:
        dataset: name.
        names, severities: what was asked.
        models: errors of each model, in their order.
        failed: models that were not scored, and why.
        images: the plain pictures; ``None`` where there are none.
        ready: whether pictures were corrupted before, as those of ImageNet-C.
        imagenet_c: whether they are ImageNet-C's, so that AlexNet's published errors apply.
        options: what was asked.
        notes: of the evaluation.
    """

    dataset: str
    names: tuple[str, ...]
    severities: tuple[int, ...]
    models: tuple[ModelErrors, ...]
    failed: Mapping[str, str]
    images: ImageSet | None
    ready: bool
    imagenet_c: bool
    options: CorruptionOptions
    notes: tuple[str, ...] = ()


def errors_under_corruptions(
    dataset: str | Path | ImageSet,
    models: Any,
    options: CorruptionOptions | None = None,
    seed: int = 0,
    embeddings: str | Path | None = None,
    quiet: bool = False,
) -> CorruptionErrors:
    """Return the errors of models on plain and on corrupted pictures.

    A folder that is laid out as ImageNet-C (``TYPE/SEVERITY/CLASS/…``) is read as it is. Pictures of any other dataset
    are corrupted as they are asked for; models see the same ones.

    Args:
        dataset: folder of a dataset, of classes, or of corruptions; or an opened dataset.
        models: as of `evaluate`.
        options: what is asked.
        seed: of what is random in corruptions, and of intervals.
        embeddings: folder that keeps what models make of pictures, so that an interrupted run goes on.
        quiet: show no bar.

    Raises:
        DatasetError: what the protocol asks about is not there.
        ModelError: no model could be scored, or the baseline is none of them.
        SpecError: no such corruption, or one that the pictures cannot have.
    """
    options = options or CorruptionOptions()
    loaded = as_models(models)
    names = [model.info.name for model in loaded]
    if options.baseline is not None and options.baseline not in names:
        raise SettingError(f"no model '{options.baseline}' to be the baseline.{nearest(options.baseline, names)}")
    conditions, facts = _conditions(dataset, options, seed)
    run = _Run(loaded, options, seed, embeddings, quiet)
    results = run.all(conditions)
    scored = [name for name in names if all(name in result.models for result in results.values())]
    failed = {name: run.reasons.get(name, "not scored") for name in names if name not in scored}
    if not scored:
        raise ModelError("; ".join(f"{name}: {why}" for name, why in failed.items()) or "no model to score")
    found = tuple(model_errors(results, name, options.task) for name in scored)
    return CorruptionErrors(models=found, failed=failed, options=options, notes=tuple(run.notes), **facts)


def _conditions(
    dataset: str | Path | ImageSet, options: CorruptionOptions, seed: int
) -> tuple[dict[Condition, ImageSet], dict[str, Any]]:
    """Return the pictures under every condition, the plain ones first, and facts of them."""
    folders = {}
    if isinstance(dataset, str | Path) and address_of(dataset) is None:
        folders = corruption_folders(dataset)
    if folders:
        return _ready(Path(str(dataset)), folders, options)
    if options.plain is not None:
        raise DatasetError(f"{dataset}: plain pictures are of a folder laid out as ImageNet-C, TYPE/SEVERITY/CLASS")
    images = _labelled(dataset)
    names, severities = corruption_names(options.names, "depth" in images.passes), tuple(options.severities)
    found: dict[Condition, ImageSet] = {PLAIN: CorruptedImages(images, side=options.side)}
    for name in names:
        for severity in severities:
            found[name, severity] = CorruptedImages(images, name, severity, seed, options.side)
    facts = {"dataset": dataset_name(images), "names": names, "severities": severities, "images": found[PLAIN],
             "ready": False, "imagenet_c": False}  # fmt: skip
    return found, facts


def _ready(
    root: Path, folders: Mapping[Condition, Path], options: CorruptionOptions
) -> tuple[dict[Condition, ImageSet], dict[str, Any]]:
    """Return the pictures of a folder laid out as ImageNet-C."""
    there = tuple(dict.fromkeys(name for name, _ in folders))
    wanted = there if options.names == "all" else corruption_names(options.names)
    severities = tuple(options.severities)
    if missing := [f"{n}/{s}" for n in wanted for s in severities if (n, s) not in folders]:
        others = f", nor {len(missing) - 1} others" if missing[1:] else ""
        raise DatasetError(f"{root} has no {missing[0]}{others}. {_what_there_is(folders, wanted, severities)}")
    found: dict[Condition, ImageSet] = {}
    expected: list[str] | None = None
    for condition in [(n, s) for n in wanted for s in severities]:
        opened = open_condition(folders[condition], expected)
        expected = expected or file_names(opened)
        found[condition] = opened
    if options.plain is not None:  # after the others, so that where it alone differs it is what is named
        try:
            found = {PLAIN: open_condition(Path(str(options.plain)), expected), **found}
        except DatasetError as error:
            raise DatasetError(f"--plain: {error}") from None
    first = next(iter(found.values()))
    assert isinstance(first, NamedClasses)
    is_c = is_imagenet(first) and whole_imagenet_c(folders, wanted, severities) and set(wanted) >= set(IMAGENET_C)
    facts = {
        "dataset": root.name, "names": wanted, "severities": severities, "images": found.get(PLAIN), "ready": True,
        "imagenet_c": is_c and severities == SEVERITIES,
    }  # fmt: skip
    return found, facts


def _what_there_is(folders: Mapping[Condition, Path], wanted: Sequence[str], severities: Sequence[int]) -> str:
    """Return the types and severities that a folder has, and the options that ask for them."""
    there: dict[str, list[int]] = {}
    for name, severity in sorted(folders, key=lambda condition: condition[1]):
        there.setdefault(name, []).append(severity)
    there = {name: there[name] for name in dict.fromkeys(name for name, _ in folders)}
    alike: dict[tuple[int, ...], list[str]] = {}
    for name, known in there.items():
        alike.setdefault(tuple(known), []).append(name)
    told = "; ".join(f"{', '.join(names)} at severities {', '.join(map(str, s))}" for s, names in alike.items())
    names = [name for name in there if name in wanted] or list(there)
    common = [s for s in SEVERITIES if all(s in there[name] for name in names)]
    if not common:
        names = names[:1]
        common = there[names[0]]
    asked = [s for s in common if s in severities] or common
    return f"It has {told}: --corruptions {','.join(names)} --severity {','.join(map(str, asked))}"


def _labelled(dataset: str | Path | ImageSet) -> ImageSet:
    """Return a dataset; of a folder of classes one whose classes have names."""
    images = open_images(dataset)
    plain_folder = images.path is not None and set(images.table().column_names) == {"label", "filename"}
    return NamedClasses(images.path) if plain_folder and images.path is not None else images


class _Run:
    """One call of `errors_under_corruptions`: condition by condition, with one bar for all."""

    def __init__(
        self, models: list[Model], options: CorruptionOptions, seed: int, embeddings: str | Path | None, quiet: bool
    ) -> None:
        self._models, self._options, self._seed, self._embeddings = models, options, seed, embeddings
        self._quiet = quiet
        self.notes: dict[str, None] = {}
        self.reasons: dict[str, str] = {}

    def all(self, conditions: Mapping[Condition, ImageSet]) -> dict[Condition, Result]:
        """Return the result of every condition; a model that fails is left out of those that follow."""
        first = next(iter(conditions.values()))
        protocol = self._protocol(first)
        results: dict[Condition, Result] = {}
        with progress_bar(self._quiet) as progress:
            bar = progress.add_task("corruptions", total=len(first) * len(conditions))
            for (name, severity), images in conditions.items():
                progress.update(bar, description=f"{name} {severity}" if name else "plain")
                results[name, severity] = self._one(images, protocol)
                progress.advance(bar, len(first))
        return results

    def _one(self, images: ImageSet, protocol: Protocol) -> Result:
        try:
            found = evaluate(
                images, self._models, protocol, seed=self._seed, quiet=True, embeddings=self._embeddings,
                precision=self._options.precision, batch_size=self._options.batch_size,
            )  # fmt: skip
        except PartialEvaluationError as error:
            found = error.result
            for model in self._models:
                if model.info.name not in found.models:
                    self.reasons[model.info.name] = str(error)
        self._models = [model for model in self._models if model.info.name in found.models]
        self.notes.update((note, None) for note in found.provenance.notes)
        return found

    def _protocol(self, images: ImageSet) -> Protocol:
        given = self._options.protocol
        if isinstance(given, Protocol):
            return given
        if given != "auto":
            return load_protocol(given)
        found = choose_protocol(tuple(columns_of(images)))
        if isinstance(found, ClassificationProtocol) and "label" in images.table().column_names:
            return found.model_copy(update={"label_columns": (*found.label_columns, "label")})
        return found
