"""The déjà vu protocol on a dataset and one or two models: features, scores at every layer, and the record of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator
from typing_extensions import override

from torchmultiverse.analyze import migrations
from torchmultiverse.analyze.correlation import FactorAssociation, factor_associations, infer_from_backgrounds
from torchmultiverse.analyze.decoders import encoded
from torchmultiverse.analyze.dejavu import FRACTIONS, DejaVu, InferencePair, confidence_curve
from torchmultiverse.analyze.dejavu_factors import (
    FactorMemory,
    FactorQuestion,
    factor_memories,
    factor_question,
)
from torchmultiverse.analyze.dejavu_protocol import (
    ClassAccuracy,
    Controls,
    ModelFeatures,
    class_accuracies,
    score_model,
    score_model_pair,
    selections,
)
from torchmultiverse.analyze.held_out import HeldOutSplits
from torchmultiverse.analyze.label_inference import Inference, K
from torchmultiverse.analyze.membership import Membership, infer_membership, view_agreement
from torchmultiverse.analyze.neighbours import Backend, nearest_rows
from torchmultiverse.analyze.object_removal import ObjectFreeImages, ObjectRemoval, remove_objects
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.reconstruction import Reconstruction, reconstruct
from torchmultiverse.documents import Document, EncodedImage, Record
from torchmultiverse.errors import DatasetError, ModelError, QuestionError, nearest
from torchmultiverse.features import features_of, layers_of
from torchmultiverse.images import rgb, thumbnail
from torchmultiverse.models import FloatArray, load_model
from torchmultiverse.store import ImageSubset, columns_of, dataset_name, factor_table, open_images

_LEAST = 20  # answers below which a score is not shown at all
_RECONSTRUCTED = 64  # backgrounds from which pictures are drawn
_COARSE = 12  # pixels of a background's side, for a classifier of them
HELD_OUT, PIXELS = "held-out", "pixels"
SHOWN = 6
"""Pictures of each kind in the gallery."""

Codes = NDArray[np.int64]


class LayerMemorization(Record):
    """What models memorized, as seen at one layer.

    Attributes:
        layer: name.
        score, controls: see `torchmultiverse.analyze.dejavu`.
        curve: accuracy of target and reference by fraction of the most confident: (fraction, target, reference).
    """

    layer: str
    score: DejaVu
    controls: Controls
    curve: tuple[tuple[float, float, float], ...]


class ImageInference(Record):
    """What is inferred of one picture.

    Attributes:
        row, split, label: of the dataset, of whose pictures, and what it shows.
        prediction, reference_prediction: labels that the target and the reference infer.
        confidence, reference_confidence: negative entropies in nats.
    """

    row: int
    split: str
    label: str
    prediction: str
    reference_prediction: str
    confidence: float
    reference_confidence: float


class Neighbour(Record):
    """A public picture that is near to what was shown.

    Attributes:
        image: the picture.
        label: what it shows.
    """

    image: EncodedImage
    label: str


class GalleryImage(Record):
    """One picture of the gallery.

    Attributes:
        label: what is in it.
        image, crop: the picture, and what was shown of it.
        target_neighbours, reference_neighbours: the nearest public pictures of the crop in both models.
        target_samples, reference_samples: what decoders draw from the mean of the nearest five.
    """

    label: str
    image: EncodedImage
    crop: EncodedImage
    target_neighbours: tuple[Neighbour, ...] = ()
    reference_neighbours: tuple[Neighbour, ...] = ()
    target_samples: tuple[EncodedImage, ...] = ()
    reference_samples: tuple[EncodedImage, ...] = ()


class Memorization(Document):
    """What came of the protocol.

    Attributes:
        dataset, target_model, reference_model: names; the last is "" of one model alone.
        removal: how the object was removed.
        reference: ``model``, ``held-out`` pictures of the same model, or whose features a classifier of backgrounds
            has.
        label: column that was inferred.
        images: pictures of A and of B.
        layers: from the first to the last.
        classes: by class, at the last layer.
        inferences: by picture, at the last layer.
        gallery: most memorized and most correlated pictures of A, at the last layer.
        associations: how much other factors say of the label.
        membership: how well pictures that were trained on are told from others, by method.
        reconstruction: how often the object is seen in what decoders draw, if they were given.
        factors: what was remembered of each factor that was asked for, and of the label, by layer; none where none was.
        not_asked: factors that could not be asked, and why.
    """

    file: ClassVar[str] = "dejavu.json"
    dataset: str
    target_model: str
    reference_model: str
    removal: str
    reference: str
    label: str
    images: int
    layers: tuple[LayerMemorization, ...] = Field(min_length=1)
    classes: tuple[ClassAccuracy, ...] = ()
    inferences: tuple[ImageInference, ...] = ()
    gallery: Mapping[str, tuple[GalleryImage, ...]] = {}
    associations: tuple[FactorAssociation, ...] = ()
    membership: Mapping[str, Membership] = {}
    reconstruction: Reconstruction | None = None
    factors: tuple[FactorMemory, ...] = ()
    not_asked: Mapping[str, str] = {}

    @model_validator(mode="after")
    def _has_full_scores(self) -> Self:
        for one in self.layers:
            if not any(abs(score.fraction - 1) < 1e-9 for score in one.score.scores):
                raise ValueError(f"layers: {one.layer} has no score at fraction 1")
        return self

    @override
    @classmethod
    def complete(cls, data: dict[str, Any], version: int, folder: Path) -> dict[str, Any]:
        return data | migrations.memorization_tables(folder) if version < 1 else data

    @override
    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        return migrations.memorization(data) if version < 1 else data


@dataclass(frozen=True)
class MemorizationOptions:
    """How models are asked what they memorized.

    Attributes:
        removal: how the object is removed.
        layers: names; the trunk and the blocks of the head by default, or the last layer of other models.
        k: neighbours.
        backend: of neighbours.
        reference: of a model alone: ``held-out`` for the same model's answers on pictures that it never saw (those of
            B, and those held out); ``pixels``, or a model, for a classifier that learns from backgrounds of public
            pictures what goes with them.
        decoders: folders of decoders of both models that learnt public pictures; what they draw is shown.
        views: of each picture, to tell members by their agreement; 0 for none.
        factors: columns, beside the label, of which is asked what of the removed object was remembered; ``all`` for
            every column that varies.
    """

    removal: ObjectRemoval = field(default_factory=ObjectRemoval)
    layers: Sequence[str] | None = None
    k: int = K
    backend: Backend = "auto"
    reference: str = HELD_OUT
    decoders: tuple[str | Path, str | Path | None] | None = None
    views: int = 0
    factors: Sequence[str] = ()


@dataclass(frozen=True)
class _Measurement:
    """What the models are shown, and what they make of it.

    Attributes:
        images, splits, options, run: as they were given.
        models, layers: loaded, and names.
        codes, labels: of all pictures, (N,), and names by code.
        crops: pictures without their object, by split.
        features: of each model, by split (``public`` too) and layer.
    """

    images: Any
    splits: HeldOutSplits
    options: MemorizationOptions
    run: RunOptions
    models: list[Any]
    layers: list[str]
    codes: Codes
    labels: NDArray[np.str_]
    crops: Mapping[str, ObjectFreeImages]
    features: list[dict[str, dict[str, FloatArray]]]

    @property
    def public(self) -> Codes:
        return self.splits.rows["public"]

    @property
    def targets(self) -> dict[str, Codes]:
        return {name: self.codes[crops.rows] for name, crops in self.crops.items()}

    @property
    def fractions(self) -> list[float]:
        fewest = min(len(crops) for crops in self.crops.values())
        return [fraction for fraction in FRACTIONS if fraction == 1 or fraction * fewest >= _LEAST]

    def at(self, layer: str) -> list[ModelFeatures]:
        """Return the features of each model at a layer."""
        return [
            ModelFeatures({name: held[name][layer] for name in self.crops}, held["public"][layer])
            for held in self.features
        ]


@dataclass(frozen=True)
class _Backgrounds:
    """Features of backgrounds, of public pictures and of each set, by an encoder that saw none of them."""

    public: FloatArray
    rows: Codes
    crops: Mapping[str, FloatArray]

    def inferences(self, targets: Mapping[str, Codes], codes: Codes) -> dict[str, Inference]:
        """Return what a classifier of backgrounds infers, by set; it learns from those of public pictures."""
        return {
            name: infer_from_backgrounds(self.crops[name], mine, self.public, codes[self.rows])
            for name, mine in targets.items()
        }


def measure_memorization(
    dataset: Any,
    splits: str | Path | HeldOutSplits,
    target: Any,
    reference: Any = None,
    options: MemorizationOptions | None = None,
    run: RunOptions | None = None,
) -> Memorization:
    """Score what a model memorized of the pictures that it was trained on.

    Args:
        dataset: that was divided.
        splits: who saw what, or the file that says it.
        target: the model that saw A, as a string or a model.
        reference: the model that saw B, of the same architecture and training. Without it the model is scored alone.
        options: how they are asked.
        run: seed of resampling, store of features, and so on.

    Raises:
        DatasetError: splits of another dataset, or pictures without room beside their objects.
        ModelError: models that have not the same layers, or decoders of other models.
    """
    models = [
        load_model(m) if isinstance(m, str) else m for m in ((target,) if reference is None else (target, reference))
    ]
    measured = _measured(dataset, splits, models, options or MemorizationOptions(), run or RunOptions())
    backgrounds = _background_features(measured)
    questions, not_asked = _questions(measured, backgrounds)
    layers, sides = _scores(measured, backgrounds)
    own = [name for name in ("A", "B") if name in sides]
    targets = measured.targets
    alone = len(models) == 1
    # With the same model on other pictures as the reference no picture has an answer of its own beside it: the most
    # confident are shown.
    unpaired = alone and measured.options.reference == HELD_OUT
    pair = InferencePair(sides["A"].target, _no_inference(sides["A"].target)) if unpaired else sides["A"]
    chosen = {kind: places for kind, places in selections(pair, SHOWN).items() if len(places)}
    reconstruction, samples = _reconstructed(measured, pair.target, chosen)
    return Memorization(
        dataset=dataset_name(measured.images),
        target_model=models[0].info.name,
        reference_model="" if alone else models[1].info.name,
        removal=measured.options.removal.mode,
        reference=measured.options.reference if alone else "model",
        label=measured.splits.label,
        images=sum(len(targets[name]) for name in own),
        layers=tuple(layers),
        classes=tuple(class_accuracies([sides[n] for n in own], [targets[n] for n in own], measured.labels.tolist())),
        inferences=tuple(one for name in own for one in _inferences(measured, name, sides[name])),
        gallery=_gallery(measured, chosen, samples),
        associations=tuple(_associations(measured)),
        membership=_membership(measured, sides),
        reconstruction=reconstruction,
        factors=tuple(_factors(measured, questions)),
        not_asked=not_asked,
    )


def _measured(
    dataset: Any, splits: str | Path | HeldOutSplits, models: list[Any], options: MemorizationOptions, run: RunOptions
) -> _Measurement:
    images = open_images(dataset)
    divided = splits if isinstance(splits, HeldOutSplits) else HeldOutSplits.load_for(splits, images)
    columns = columns_of(images)
    if unknown := [name for name in options.factors if name not in columns and name != "all"]:
        raise QuestionError(f"no column '{unknown[0]}'.{nearest(unknown[0], columns)}")  # before anything is encoded
    layers = list(options.layers) if options.layers else _usual_layers(models[0])
    if not options.layers and len(models) > 1 and _usual_layers(models[1]) != layers:
        raise ModelError(f"'{models[0].info.name}' and '{models[1].info.name}' have not the same layers")
    labels, codes = np.unique(columns[divided.label].astype(str), return_inverse=True)
    crops = {
        name: remove_objects(images, divided.rows[name], options.removal, run.quiet)
        for name in ("A", "B", "held out") if len(divided.rows[name])
    }  # fmt: skip
    parts: dict[str, Any] = {"public": ImageSubset(images, divided.rows["public"]), **crops}
    features = []
    for model in models:
        found = {name: features_of(model, part, layers, run.store, quiet=run.quiet) for name, part in parts.items()}
        features.append({name: {layer: of.layers[layer] for layer in layers} for name, of in found.items()})
    return _Measurement(images, divided, options, run, models, layers, codes, labels, crops, features)


def _usual_layers(model: Any) -> list[str]:
    names = [layer.name for layer in layers_of(model)]
    blocks = [name for name in names if name.startswith("head.") and name.count(".") == 1]
    return ["trunk", *blocks] if blocks else names[-1:]


def _scores(
    measured: _Measurement, backgrounds: _Backgrounds | None
) -> tuple[list[LayerMemorization], dict[str, InferencePair]]:
    """Return the scores at every layer, and what is inferred at the last one, by split."""
    targets, options, seed = measured.targets, measured.options, measured.run.seed
    labels = measured.codes[measured.public]
    said = None if backgrounds is None else backgrounds.inferences(targets, measured.codes)
    layers: list[LayerMemorization] = []
    sides: dict[str, InferencePair] = {}
    for layer in measured.layers:
        parts, fractions = measured.at(layer), measured.fractions
        if len(parts) > 1:
            score, controls, sides = score_model_pair(
                parts[0], parts[1], targets, labels, options.k, fractions, seed, options.backend
            )
        else:
            score, controls, sides = score_model(
                parts[0], targets, labels, options.k, fractions, seed, options.backend, said
            )
        curve = confidence_curve([sides[name] for name in ("A", "B") if name in sides])
        layers.append(LayerMemorization(layer=layer, score=score, controls=controls, curve=tuple(curve)))
    return layers, sides


def _questions(measured: _Measurement, backgrounds: _Backgrounds | None) -> tuple[list[FactorQuestion], dict[str, str]]:
    """Return what is asked of each factor, the label first, and which cannot be asked and why; nothing by default."""
    label, named = measured.splits.label, list(measured.options.factors)
    if not named:
        return [], {}
    columns = columns_of(measured.images)
    if "all" in named:
        every = factor_table(columns).column_names
        named = [name for name in every if len(np.unique(columns[name].astype(str))) > 1]
    questions: list[FactorQuestion] = []
    not_asked: dict[str, str] = {}
    for name in dict.fromkeys([label, *named]):
        try:
            questions.append(_question(measured, backgrounds, columns, name))
        except DatasetError as error:
            not_asked[name] = str(error)
    if not questions:
        raise DatasetError(f"no factor can be asked: {next(iter(not_asked.values()))}")
    return questions, not_asked


def _question(
    measured: _Measurement, backgrounds: _Backgrounds | None, columns: Mapping[str, NDArray[Any]], name: str
) -> FactorQuestion:
    """Return what is asked of a factor.

    Raises:
        DatasetError: it cannot be asked.
    """
    rows = {split: crops.rows for split, crops in measured.crops.items()}
    question = factor_question(columns, name, rows, measured.public)
    codes = np.full(len(measured.codes), -1)
    codes[measured.public] = question.public
    for split, mine in rows.items():
        codes[mine] = question.targets[split]
    if len(measured.models) == 1 and backgrounds is None:
        unseen = [question.targets[split] for split in rows if split != "A"]
        if unseen and len(missing := np.setdiff1d(question.targets["A"], np.concatenate(unseen))):
            raise DatasetError(f"no picture that the model never saw has '{name}' {question.levels[missing[0]]}")
    seen = np.concatenate([rows["A"], measured.public])
    tests = factor_associations({name: codes[seen]}, measured.codes[seen], [name])
    return replace(
        question, backgrounds=None if backgrounds is None else backgrounds.inferences(question.targets, codes),
        association=max((test.cramers_v for test in tests if test.p_value < 0.01), default=0.0),
    )  # fmt: skip


def _factors(measured: _Measurement, questions: Sequence[FactorQuestion]) -> list[FactorMemory]:
    options, seed = measured.options, measured.run.seed
    found: list[FactorMemory] = []
    for layer in measured.layers if questions else ():
        parts = measured.at(layer)
        found += factor_memories(parts, questions, layer, options.k, measured.fractions, seed, options.backend)
    return found


def _background_features(measured: _Measurement) -> _Backgrounds | None:
    """Return features of backgrounds, by split and of public pictures, where a classifier of them is the reference."""
    reference, run = measured.options.reference, measured.run
    if len(measured.models) > 1 or reference == HELD_OUT:
        return None
    backgrounds = remove_objects(measured.images, measured.public, measured.options.removal, run.quiet)
    if reference == PIXELS:

        def encode(crops: ObjectFreeImages) -> FloatArray:
            small = [np.asarray(rgb(image).resize((_COARSE, _COARSE)), np.float32) for image in crops.iter_images()]
            return np.stack([pixels.ravel() for pixels in small])
    else:
        model = load_model(reference)
        name = layers_of(model)[-1].name

        def encode(crops: ObjectFreeImages) -> FloatArray:
            return features_of(model, crops, [name], run.store, quiet=run.quiet).layers[name]

    return _Backgrounds(
        encode(backgrounds), backgrounds.rows, {name: encode(crops) for name, crops in measured.crops.items()}
    )


def _inferences(measured: _Measurement, split: str, side: InferencePair) -> list[ImageInference]:
    labels, target, reference = measured.labels, side.target, side.reference
    return [
        ImageInference(
            row=row, split=split, label=str(labels[measured.codes[row]]), prediction=str(labels[target.prediction[at]]),
            reference_prediction=str(labels[reference.prediction[at]]), confidence=float(target.confidence[at]),
            reference_confidence=float(reference.confidence[at]),
        )
        for at, row in enumerate(measured.crops[split].rows.tolist())
    ]  # fmt: skip


def _reconstructed(
    measured: _Measurement, target: Inference, chosen: Mapping[str, Codes]
) -> tuple[Reconstruction | None, list[dict[int, NDArray[np.uint8]]]]:
    """Return how often the object is seen in what decoders draw, and what they draw by place, for each decoder."""
    options = measured.options
    if options.decoders is None:
        return None, []
    most_confident = np.argsort(-target.confidence, kind="stable")[:_RECONSTRUCTED]
    places = np.unique(np.concatenate([most_confident, *chosen.values()]))
    last = measured.layers[-1]
    inside = [(of["A"][last][places], of["public"][last]) for of in measured.features]
    found, pixels = reconstruct(
        options.decoders, measured.models, measured.images, inside, measured.crops["A"].rows[places],
        measured.public, measured.codes, options.backend, measured.run,
    )  # fmt: skip
    return found, [dict(zip(places.tolist(), some, strict=True)) for some in pixels]


def _membership(measured: _Measurement, sides: Mapping[str, InferencePair]) -> dict[str, Membership]:
    found = {}
    if "held out" in sides:
        members, others = (sides[name].target.confidence for name in ("A", "held out"))
        found["confidence of what is inferred"] = infer_membership(members, others)
    options, run = measured.options, measured.run
    if options.views:
        rows = [crops.rows for name, crops in measured.crops.items() if name != "A"]
        alike = [
            view_agreement(measured.models[0], measured.images, some, options.views, run.seed, run.quiet)
            for some in (measured.crops["A"].rows, np.concatenate(rows))
        ]
        found["agreement of views (EncoderMI)"] = infer_membership(alike[0], alike[1])
    return found


def _associations(measured: _Measurement) -> list[FactorAssociation]:
    columns = columns_of(measured.images)
    seen = np.concatenate([measured.splits.rows["A"], measured.public])
    factors = [
        name for name in factor_table(columns).column_names
        if name != measured.splits.label and 1 < len(np.unique(columns[name].astype(str))) <= 100
    ]  # fmt: skip
    return factor_associations({name: values[seen] for name, values in columns.items()}, measured.codes[seen], factors)


def _no_inference(target: Inference) -> Inference:
    """Return answers that are never right, to put beside those of a model."""
    wrong = np.zeros(len(target), bool)
    return Inference(np.full(len(target), -1), np.zeros(len(target)), wrong, wrong)


def _gallery(
    measured: _Measurement, chosen: Mapping[str, Codes], samples: Sequence[Mapping[int, NDArray[np.uint8]]]
) -> dict[str, tuple[GalleryImage, ...]]:
    layer, images, crops = measured.layers[-1], measured.images, measured.crops["A"]
    names = measured.labels[measured.codes]

    def small(image: Image.Image) -> EncodedImage:
        return EncodedImage(data=thumbnail(image))

    gallery = {}
    for kind, places in chosen.items():
        near = [
            nearest_rows(of["A"][layer][places], of["public"][layer], 3, measured.options.backend).rows
            for of in measured.features
        ]
        of_kind = []
        for at, place in enumerate(places.tolist()):
            row = int(crops.rows[place])
            neighbours = [
                tuple(
                    Neighbour(image=small(images.image(n)), label=str(names[n]))
                    for n in measured.public[rows[at]].tolist()
                )
                for rows in near
            ]
            drawn = [encoded(some[place]) for some in samples]
            of_kind.append(
                GalleryImage(
                    label=str(names[row]), image=small(images.image(row)), crop=small(crops.image(place)),
                    target_neighbours=neighbours[0],
                    reference_neighbours=neighbours[1] if len(neighbours) > 1 else (),
                    target_samples=drawn[0] if drawn else (), reference_samples=drawn[1] if len(drawn) > 1 else (),
                )
            )  # fmt: skip
        gallery[kind] = tuple(of_kind)
    return gallery
