"""All analyses of one representation, and the record of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from torchmultiverse.analyze import migrations
from torchmultiverse.analyze.decoders import LayerDecoderOptions, load_conditioned_decoder, train_layer_decoder
from torchmultiverse.analyze.experiment import Experiments
from torchmultiverse.analyze.experiment_setup import ExperimentSetup
from torchmultiverse.analyze.experiments import run_experiments
from torchmultiverse.analyze.geometry import LayerGeometry, cka_matrix, layer_geometry
from torchmultiverse.analyze.held_out import HeldOutSplits
from torchmultiverse.analyze.layer_accuracy import ProbeResults, label_budgets, probe_layers
from torchmultiverse.analyze.memorization import Memorization, MemorizationOptions, measure_memorization
from torchmultiverse.analyze.object_removal import ObjectRemoval
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.sample_evaluation import SampleEvaluation, SamplingOptions, evaluate_samples
from torchmultiverse.documents import Document, Record
from torchmultiverse.errors import DatasetError, MissingExtra
from torchmultiverse.features import Features, features_of
from torchmultiverse.models import load_model
from torchmultiverse.models import torch_tools as tools
from torchmultiverse.paths import component
from torchmultiverse.store import (
    dataset_name,
    drawn_images,
    manifest_hash,
    open_images,
    require_generative_use,
)

FRACTIONS = (0.02, 0.05, 0.15, 0.4, 1.0)
"""Label budgets: fractions of the training pictures."""
FACTORS = 6
"""Factors at most for which label budgets are tried."""


class LabelBudget(Record):
    """What is read with a fraction of the labels.

    Attributes:
        factor, layer, fraction: what was probed where, with how many.
        score, low, high: accuracy, or R² of a regression, with its interval.
    """

    factor: str
    layer: str
    fraction: float
    score: float
    low: float
    high: float


class LayerSimilarity(Record):
    """How similar the layers of two models are, shown the same pictures.

    Attributes:
        other: name of the other model.
        layers: of the other.
        cka: linear, by layer of the first and of the other, 0 to 1.
        debiased_cka: the same without the bias that few images give it; empty in older records.
    """

    other: str
    layers: tuple[str, ...]
    cka: tuple[tuple[float, ...], ...]
    debiased_cka: tuple[tuple[float, ...], ...] = ()


class Analysis(Document):
    """What came of analysing a model.

    Attributes:
        model: its facts, as `ModelInfo.as_dict` gives them.
        dataset: name, images and manifest hash of what it was shown.
        probing: what is read where, if it was asked.
        geometry: by layer, if it was asked.
        provenance: versions, seed and command.
        budgets: what is read with fewer labels, at the best cut and at the end.
        similarity: layers of another model beside these.
        samples: of decoders of layers.
        experiments: with the first decoder.
        memorization: what was memorized.
        notes: what was not asked, and why.
    """

    file: ClassVar[str] = "analysis.json"
    model: Mapping[str, Any]
    dataset: Mapping[str, Any]
    probing: ProbeResults | None = None
    geometry: tuple[LayerGeometry, ...] = ()
    provenance: Mapping[str, Any] = {}
    budgets: tuple[LabelBudget, ...] = ()
    similarity: LayerSimilarity | None = None
    samples: tuple[SampleEvaluation, ...] = ()
    experiments: Experiments | None = None
    memorization: Memorization | None = None
    notes: tuple[str, ...] = ()

    @override
    @classmethod
    def complete(cls, data: dict[str, Any], version: int, folder: Path) -> dict[str, Any]:
        if version < 1 and data.get("memory"):
            return {**data, "memory": {**data["memory"], **migrations.memorization_tables(folder)}}
        return data

    @override
    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        return migrations.analysis(data) if version < 1 else data

    def with_notes(self, *notes: str) -> Analysis:
        """Return the same with more notes."""
        return self.model_copy(update={"notes": (*self.notes, *notes)})


@dataclass(frozen=True)
class AnalysisOptions:
    """What is asked of a representation.

    Attributes:
        layers: see `torchmultiverse.features.extract.features_of`.
        factors, probes, group, labels: see `torchmultiverse.analyze.layer_accuracy.probe_layers`; ``group`` is ``by``
            there, and ``labels`` is ``train``.
        geometry: whether to ask for it.
        budgets: whether to ask what is read with fewer labels.
        against: another model whose layers are compared with these.
        limit: so many pictures at most, drawn at random.
    """

    layers: Sequence[str] | str = "cuts"
    factors: Sequence[str] | None = None
    probes: Sequence[str] = ("logistic",)
    group: str = "auto"
    labels: float | int | None = None
    geometry: bool = True
    budgets: bool = False
    against: str | None = None
    limit: int | None = None


def analyze_model(
    model: str, dataset: Any, options: AnalysisOptions | None = None, run: RunOptions | None = None
) -> Analysis:
    """Say what a model knows at every layer, where to cut it, and what geometry its layers have.

    Args:
        model: model string.
        dataset: folder or opened dataset.
        options: what is asked.
        run: seed, store of features, and so on.

    Raises:
        ModelError: no such model, layer or probe.
        DatasetError: no such column, or nothing to ask for.
    """
    options, run = options or AnalysisOptions(), run or RunOptions()
    images = drawn_images(open_images(dataset), options.limit, run.seed)
    features = features_of(load_model(model), images, options.layers, run.store, quiet=run.quiet)
    probing = probe_layers(
        features, options.factors, options.probes, options.group, options.labels, run.seed, run.quiet
    )
    geometry = layer_geometry(features, options.factors, run.seed) if options.geometry else []
    similarity = None
    if options.against is not None:
        other = features_of(options.against, images, "cuts", run.store, quiet=run.quiet)
        matrix = cka_matrix(features.layers, other.layers)
        debiased = cka_matrix(features.layers, other.layers, debiased=True)
        similarity = LayerSimilarity(
            other=other.model, layers=tuple(other.layers), cka=matrix.tolist(), debiased_cka=debiased.tolist()
        )
    return Analysis(
        model=features.facts,
        dataset={"name": features.dataset, "images": len(features), "manifest_sha256": manifest_hash(images)},
        probing=probing,
        geometry=tuple(geometry),
        budgets=_budgets(features, probing, options.group, run) if options.budgets else (),
        similarity=similarity,
    )


def _budgets(features: Features, found: ProbeResults, group: str, run: RunOptions) -> tuple[LabelBudget, ...]:
    cuts = found.first_cuts
    out = []
    for factor in list(dict.fromkeys(cut.factor for cut in found.cuts))[:FACTORS]:
        cut = cuts[factor]
        probe = "logistic" if cut.probe == "ridge" else cut.probe
        at = list(dict.fromkeys((cut.best, cut.end)))
        for fraction, some in label_budgets(features, factor, at, FRACTIONS, probe, group, run.seed, run.quiet).items():
            out += [
                LabelBudget(
                    factor=factor, layer=one.layer, fraction=fraction, score=one.score, low=one.low, high=one.high
                )
                for one in some.accuracies
            ]
    return tuple(out)


def sampled_layers(found: ProbeResults) -> list[str]:
    """Return the layers that decoders are trained of: where most is read that the end has lost, and the end."""
    end = found.layers[-1]
    costly = [cut for cut in found.first_cuts.values() if cut.lost]
    if not costly:
        return [end]
    return list(dict.fromkeys([max(costly, key=lambda cut: cut.cost).best, end]))


def default_decoder_training() -> tuple[LayerDecoderOptions, int]:
    """Return a training that this machine can do in some minutes, and how many steps of the sampler to take.

    64 pixels and the published network on a GPU.
    """
    if tools.device().type == "cuda":
        return LayerDecoderOptions(64, "64", 20_000, 128, 1e-4), 50
    return LayerDecoderOptions(32, "tiny", 2_000, 32, 2e-3), 25


def add_samples(
    analysis: Analysis,
    model: str,
    dataset: Any,
    out: str | Path,
    training: LayerDecoderOptions | None = None,
    layers: Sequence[str] | None = None,
    limit: int | None = None,
    licence: str | None = None,
    run: RunOptions | None = None,
) -> Analysis:
    """Return an analysis with samples of layers: decoders are trained in ``out/decoders``, and drawn from.

    What cannot be done, for the data's licence or without a library, is noted.

    Args:
        analysis: so far.
        model, dataset, limit, run: as in `analyze_model`.
        out: folder of the analysis.
        training: of the decoders; see `default_decoder_training`.
        layers: to be drawn from; see `sampled_layers`.
        licence: of data that forbid it, by name, from those who have other rights.
    """
    run = run or RunOptions()
    usual, steps = default_decoder_training()
    images = drawn_images(open_images(dataset), limit, run.seed)
    names = list(layers) if layers else sampled_layers(analysis.probing) if analysis.probing else []
    try:
        require_generative_use(images.manifest, dataset_name(images), licence)
        tools.need("diffusers", "pictures of layers", "rcdm")
    except (DatasetError, MissingExtra) as error:
        return analysis.with_notes(f"pictures of layers: {error}")
    decoders = []
    for name in names:
        place = Path(out) / "decoders" / component(name)
        folder = train_layer_decoder(model, images, place, name, training or usual, licence=licence, run=run)
        decoders.append(load_conditioned_decoder(folder, images, run))
    if not decoders:
        return analysis
    drawn = SamplingOptions(count=64, samples_per_image=4, examples=6, steps=steps)
    samples = tuple(evaluate_samples(one, images, None, drawn, run) for one in decoders)
    setups = [ExperimentSetup(one, 3, 2, steps, seed=run.seed, quiet=run.quiet) for one in decoders]
    return analysis.model_copy(update={"samples": samples, "experiments": run_experiments(setups[0], None, setups[1:])})


def add_memorization(
    analysis: Analysis,
    model: str,
    dataset: Any,
    splits: str | Path | None = None,
    reference: str | None = None,
    removal: ObjectRemoval | None = None,
    run: RunOptions | None = None,
) -> Analysis:
    """Return an analysis with what was memorized, where it is known which pictures the model saw.

    Args:
        analysis: so far.
        model, dataset, run: as in `analyze_model`.
        splits: file of `data split`; that of an encoder of this package by default, if it was trained on one.
        reference: model that saw B; without it the model is scored alone.
        removal: how the object is removed; boxes where they are known, corners else.
    """
    run = run or RunOptions()
    images = open_images(dataset)
    try:
        known = _known_splits(model, images) if splits is None else HeldOutSplits.load_for(splits, images)
    except DatasetError as error:
        if splits is not None:
            raise
        return analysis.with_notes(f"what was memorized: {error}")
    if known is None:
        return analysis.with_notes(
            "what was memorized: nothing says which pictures the model saw (--splits, of 'data split')"
        )
    if removal is None:
        removal = ObjectRemoval("boxes" if "annotations" in images.table().column_names else "corner")
    options = MemorizationOptions(removal, views=6)
    return analysis.model_copy(
        update={"memorization": measure_memorization(images, known, model, reference, options, run)}
    )


def _known_splits(model: str, images: Any) -> HeldOutSplits | None:
    """Return the splits that an encoder of this package keeps beside its weights, if it was trained on some."""
    rest = model.removeprefix("ssl:")
    folder = Path(rest.rpartition("@")[0] if "@" in rest else rest)
    file = folder / HeldOutSplits.file
    return HeldOutSplits.load_for(file, images) if model.startswith("ssl:") and file.is_file() else None
