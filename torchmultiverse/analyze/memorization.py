"""The déjà vu protocol on a dataset and two models: features, scores at every layer, and the folder of answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.analyze.correlation import Tie, correlation, ties
from torchmultiverse.analyze.dejavu import (
    SHARES,
    Controls,
    DejaVu,
    Inference,
    K,
    Representations,
    Side,
    attack,
    by_class,
    curve,
    selections,
    solo,
)
from torchmultiverse.analyze.membership import Membership, agreement, membership
from torchmultiverse.analyze.neighbours import Backend, nearest_rows
from torchmultiverse.analyze.reconstruct import Reconstruction, reconstruct
from torchmultiverse.analyze.withheld import Crops, Mode, Sets, without_object
from torchmultiverse.errors import ModelError
from torchmultiverse.evaluate import thumbnail
from torchmultiverse.features import FeatureCache, features_of, layers_of
from torchmultiverse.files import write_atomic
from torchmultiverse.images import rgb
from torchmultiverse.models import FloatArray, load_model
from torchmultiverse.store import ImageSubset, columns_of, dataset_name, factor_table, open_images

_LEAST = 20  # answers below which a score is not shown at all
_ASKED = 64  # backgrounds from which pictures are drawn
_COARSE = 12  # pixels of a background's side, for a classifier that reads them
HELD_OUT, PIXELS = "held-out", "pixels"
SHOWN = 6
"""Pictures of each kind on the page."""


@dataclass(frozen=True)
class LayerMemory:
    """What two models memorized, as seen at one layer.

    Attributes:
        layer: name.
        score, controls: see `torchmultiverse.analyze.dejavu`.
        curve: accuracy of target and reference by share.
    """

    layer: str
    score: DejaVu
    controls: Controls
    curve: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Shown:
    """One picture of the gallery.

    Attributes:
        label: what is in it.
        picture, crop: JPEG, as a browser reads it.
        target, reference: the nearest public pictures of the crop in both models, and their labels.
        target_drawn, reference_drawn: what decoders draw from the mean of the nearest five.
    """

    label: str
    picture: str
    crop: str
    target: tuple[tuple[str, str], ...]
    reference: tuple[tuple[str, str], ...]
    target_drawn: tuple[str, ...] = ()
    reference_drawn: tuple[str, ...] = ()


@dataclass(frozen=True)
class Memory:
    """What came of the protocol.

    Attributes:
        dataset, a, b, mode: what was asked, and how the object was taken out; b is "" of one model alone.
        reference: ``model`` b, ``held-out`` pictures of the same model, or whose features a classifier of backgrounds
            reads.
        label: column that was inferred.
        asked: pictures of A and of B.
        layers: from the first to the last.
        classes: by class, at the last layer.
        answers: by picture, at the last layer.
        gallery: most memorized and most correlated pictures of A, at the last layer.
        ties: how much other factors say of the label.
        membership: how well pictures that were trained on are told from others, by method.
        drawn: how often the object is seen in what decoders draw, if they were given.
    """

    dataset: str
    a: str
    b: str
    mode: str
    reference: str
    label: str
    asked: int
    layers: tuple[LayerMemory, ...]
    classes: tuple[dict[str, Any], ...]
    answers: tuple[dict[str, Any], ...]
    gallery: dict[str, tuple[Shown, ...]]
    ties: tuple[Tie, ...] = ()
    membership: Mapping[str, Membership] = field(default_factory=lambda: MappingProxyType({}))
    drawn: Reconstruction | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers as plain data."""
        plain = {name: getattr(self, name) for name in ("dataset", "a", "b", "mode", "reference", "label", "asked")}
        plain["layers"] = [asdict(one) for one in self.layers]
        plain["ties"] = [asdict(one) for one in self.ties]
        plain["membership"] = {name: asdict(one) for name, one in self.membership.items()}
        plain["drawn"] = asdict(self.drawn) if self.drawn else None
        return plain

    def save(self, out: str | Path) -> Path:
        """Write ``dejavu.json``, ``classes.csv``, ``answers.csv`` and the page; returns the page.

        Raises:
            DatasetError: the folder cannot be written.
        """
        from torchmultiverse.report import memory_page, rows_as_csv

        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        write_atomic(out / "dejavu.json", (json.dumps(self.as_dict(), indent=1) + "\n").encode())
        for name, rows in (("classes.csv", self.classes), ("answers.csv", self.answers)):
            write_atomic(out / name, rows_as_csv(rows).encode())
        write_atomic(out / "index.html", memory_page(self).encode())
        return out / "index.html"


def memory(
    dataset: Any,
    sets: str | Path | Sets,
    a: Any,
    b: Any = None,
    layers: Sequence[str] | None = None,
    mode: Mode = "boxes",
    boxes: str | Path | None = None,
    least: float = 0.2,
    k: int = K,
    engine: Any = None,
    backend: Backend = "torch",
    seed: int = 0,
    store: FeatureCache | str | Path | None = None,
    reference: str = HELD_OUT,
    decoders: tuple[str | Path, str | Path | None] | None = None,
    views: int = 0,
    quiet: bool = False,
) -> Memory:
    """Score what a model memorized of the pictures that it was trained on.

    Args:
        dataset: that was divided.
        sets: who saw what, or the file that says it.
        a: the model that saw A, as a string or a model.
        b: the model that saw B, of the same architecture and recipe. Without it the model is scored alone.
        layers: names; the trunk and the blocks of the head by default, or the last layer of other models.
        mode, boxes, least, engine: how the object is taken out; see `without_object`.
        k: neighbours.
        backend: of neighbours.
        seed: of resampling.
        store: where features are kept.
        reference: of a model alone: ``held-out`` for the same model's answers on pictures that it never saw (those of
            B, and those held out); ``pixels``, or a model, for a classifier that learns from backgrounds of public
            pictures what goes with them.
        decoders: folders of decoders of a and b that learnt public pictures; what they draw is shown.
        views: of each picture, to tell members by their agreement; 0 for none.
        quiet: show no bars.

    Raises:
        DatasetError: sets of another dataset, or pictures without room beside their objects.
        ModelError: models that have not the same layers, or decoders of other models.
    """
    pictures = open_images(dataset)
    divided = sets if isinstance(sets, Sets) else Sets.load(sets, pictures)
    models = [load_model(model) if isinstance(model, str) else model for model in ((a,) if b is None else (a, b))]
    names = list(layers) if layers else _usual(models[0])
    if not layers and b is not None and _usual(models[1]) != names:
        raise ModelError(f"'{models[0].info.name}' and '{models[1].info.name}' have not the same layers")
    columns = columns_of(pictures)
    values = columns[divided.label].astype(str)
    levels, codes = np.unique(values, return_inverse=True)
    asked = [name for name in ("A", "B", "held out") if len(divided.rows[name])]
    crops = {name: without_object(pictures, divided.rows[name], mode, boxes, least=least, engine=engine, quiet=quiet)
             for name in asked}  # fmt: skip
    public = divided.rows["public"]
    found = [_features(model, pictures, public, crops, names, store, quiet) for model in models]
    truth = {name: codes[held.rows] for name, held in crops.items()}
    fewest = min(len(held) for held in truth.values())
    shares = [share for share in SHARES if share == 1 or share * fewest >= _LEAST]
    behind = None
    if b is None and reference != HELD_OUT:
        behind = _backgrounds(
            reference, pictures, crops, truth, public, codes, mode, boxes, least, engine, store, quiet
        )
    scored: list[LayerMemory] = []
    sides: dict[str, Side] = {}
    for layer in names:
        parts = [Representations({name: held[name][layer] for name in asked}, held["public"][layer]) for held in found]
        if b is not None:
            score, controls, sides = attack(parts[0], parts[1], truth, codes[public], k, shares, seed, backend)
        else:
            score, controls, sides = solo(parts[0], truth, codes[public], k, shares, seed, backend, behind)
        mine = [sides[name] for name in ("A", "B") if name in sides]
        scored.append(LayerMemory(layer, score, controls, tuple(curve(mine))))
    own = [name for name in ("A", "B") if name in sides]
    classes = by_class([sides[name] for name in own], [truth[name] for name in own], len(levels))
    for row in classes:
        row["label"] = str(levels[int(row["label"])])  # type: ignore[assignment]
    answers = [
        {
            "row": int(row), "set": name, "label": str(levels[codes[row]]), "target": str(levels[side.target.said[at]]),
            "reference": str(levels[side.reference.said[at]]), "target_confidence": float(side.target.confidence[at]),
            "reference_confidence": float(side.reference.confidence[at]),
        }
        for name, side in sides.items() if name in own
        for at, row in enumerate(crops[name].rows.tolist())
    ]  # fmt: skip
    # With strangers as the reference no picture has an answer of its own beside it: the surest are shown.
    pair = sides["A"] if b is not None or behind is not None else Side(sides["A"].target, _nobody(sides["A"].target))
    shown = {kind: places for kind, places in selections(pair, SHOWN).items() if len(places)}
    made: list[dict[int, NDArray[np.uint8]]] = []
    drawn = None
    if decoders is not None:
        surest = np.argsort(-pair.target.confidence, kind="stable")[:_ASKED]
        places = np.unique(np.concatenate([surest, *shown.values()]))
        inside = [(parts["A"][names[-1]][places], parts["public"][names[-1]]) for parts in found]
        drawn, pixels = reconstruct(
            decoders, models, pictures, inside, crops["A"].rows[places], public, codes, seed, store, backend, quiet
        )
        made = [dict(zip(places.tolist(), some, strict=True)) for some in pixels]
    gallery = _gallery(pictures, crops["A"], shown, found, names[-1], public, values, made, backend)
    told = {}
    if "held out" in sides:
        sure = [sides[name].target.confidence for name in ("A", "held out")]
        told["confidence of what is inferred"] = membership(sure[0], sure[1])
    if views:
        strangers = np.concatenate([crop.rows for name, crop in crops.items() if name != "A"])
        alike = [agreement(models[0], pictures, rows, views, seed, quiet) for rows in (crops["A"].rows, strangers)]
        told["agreement of views (EncoderMI)"] = membership(alike[0], alike[1])
    seen = np.concatenate([divided.rows["A"], public])
    varied = factor_table(columns).column_names
    factors = [
        name for name in varied if name != divided.label and 1 < len(np.unique(columns[name].astype(str))) <= 100
    ]
    return Memory(
        dataset_name(pictures), models[0].info.name, models[1].info.name if b is not None else "", mode,
        "model" if b is not None else reference, divided.label, sum(len(truth[name]) for name in own), tuple(scored),
        tuple(classes), tuple(answers), gallery,
        tuple(ties({name: values[seen] for name, values in columns.items()}, codes[seen], factors)),
        told, drawn,
    )  # fmt: skip


def _backgrounds(
    reference: str, pictures: Any, crops: Mapping[str, Crops], truth: Mapping[str, NDArray[np.int64]],
    public: NDArray[np.int64], codes: NDArray[np.int64], mode: Mode, boxes: Any, least: float, engine: Any, store: Any,
    quiet: bool,
) -> dict[str, Inference]:  # fmt: skip
    """Return what a classifier of backgrounds infers, by set; it learns from the backgrounds of public pictures."""
    behind = without_object(pictures, public, mode, boxes, least=least, engine=engine, quiet=quiet)
    if reference == PIXELS:

        def see(crop: Crops) -> FloatArray:
            return np.stack(
                [
                    np.asarray(rgb(crop.image(k)).resize((_COARSE, _COARSE)), np.float32).ravel()
                    for k in range(len(crop))
                ]
            )
    else:
        model = load_model(reference)
        name = layers_of(model)[-1].name

        def see(crop: Crops) -> FloatArray:
            return features_of(model, crop, [name], store, quiet=quiet).layers[name]

    learnt, labels = see(behind), codes[behind.rows]
    return {name: correlation(see(crop), truth[name], learnt, labels) for name, crop in crops.items()}


def _usual(model: Any) -> list[str]:
    names = [layer.name for layer in layers_of(model)]
    blocks = [name for name in names if name.startswith("head.") and name.count(".") == 1]
    return ["trunk", *blocks] if blocks else names[-1:]


def _features(
    model: Any, pictures: Any, public: NDArray[np.int64], crops: dict[str, Crops], names: Sequence[str], store: Any,
    quiet: bool,
) -> dict[str, dict[str, FloatArray]]:  # fmt: skip
    parts: dict[str, Any] = {"public": features_of(model, ImageSubset(pictures, public), names, store, quiet=quiet)}
    parts |= {name: features_of(model, held, names, store, quiet=quiet) for name, held in crops.items()}
    return {name: {layer: part.layers[layer] for layer in names} for name, part in parts.items()}


def _nobody(target: Inference) -> Inference:
    """Return answers of someone who knows nothing, to put beside those of a model."""
    wrong = np.zeros(len(target), bool)
    return Inference(np.full(len(target), -1), np.zeros(len(target)), wrong, wrong)


def _gallery(
    pictures: Any, crops: Crops, shown: Mapping[str, NDArray[np.int64]], found: Any, layer: str,
    public: NDArray[np.int64], values: NDArray[Any], made: Sequence[Mapping[int, NDArray[np.uint8]]], backend: Backend,
) -> dict[str, tuple[Shown, ...]]:  # fmt: skip
    gallery = {}
    for kind, places in shown.items():
        near = [nearest_rows(part["A"][layer][places], part["public"][layer], 3, backend).rows for part in found]
        of_kind = []
        for at, place in enumerate(places.tolist()):
            row = int(crops.rows[place])
            both = [
                tuple((thumbnail(pictures.image(n)), str(values[n])) for n in public[rows[at]].tolist())
                for rows in near
            ]
            drawn = [tuple(thumbnail(Image.fromarray(pixels)) for pixels in some[place]) for some in made]
            of_kind.append(
                Shown(str(values[row]), thumbnail(pictures.image(row)), thumbnail(crops.image(place)), both[0],
                      both[1] if len(both) > 1 else (), drawn[0] if drawn else (), drawn[1] if len(drawn) > 1 else ())
            )  # fmt: skip
        gallery[kind] = tuple(of_kind)
    return gallery
