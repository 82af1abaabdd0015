"""The déjà vu protocol on a dataset and two models: features, scores at every layer, and the folder of answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.analyze.dejavu import (
    SHARES,
    Controls,
    DejaVu,
    K,
    Representations,
    Side,
    attack,
    by_class,
    curve,
    selections,
)
from torchmultiverse.analyze.features import features_of
from torchmultiverse.analyze.neighbours import Backend, nearest_rows
from torchmultiverse.analyze.withheld import Crops, Mode, Sets, without_object
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.evaluate.data import columns_of, dataset_name, open_pictures
from torchmultiverse.evaluate.embeddings import EmbeddingStore
from torchmultiverse.evaluate.gallery import data_uri, jpeg
from torchmultiverse.models import load_model
from torchmultiverse.models.layers import layers_of
from torchmultiverse.models.preprocess import FloatArray
from torchmultiverse.store.files import write_atomic

_LEAST = 20  # answers below which a score is not shown at all
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
    """

    label: str
    picture: str
    crop: str
    target: tuple[tuple[str, str], ...]
    reference: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Memory:
    """What came of the protocol.

    Attributes:
        dataset, a, b, mode: what was asked, and how the object was taken out.
        asked: pictures of A and of B.
        layers: from the first to the last.
        classes: by class, at the last layer.
        answers: by picture, at the last layer.
        gallery: most memorized and most correlated pictures of A, at the last layer.
    """

    dataset: str
    a: str
    b: str
    mode: str
    asked: int
    layers: tuple[LayerMemory, ...]
    classes: tuple[dict[str, Any], ...]
    answers: tuple[dict[str, Any], ...]
    gallery: dict[str, tuple[Shown, ...]]

    def save(self, out: str | Path) -> Path:
        """Write ``dejavu.json``, ``classes.csv``, ``answers.csv`` and the page; returns the page.

        Raises:
            DatasetError: the folder cannot be written.
        """
        from torchmultiverse.report.memory import memory_page
        from torchmultiverse.report.tables import rows_as_csv

        out = Path(out)
        out.mkdir(parents=True, exist_ok=True)
        plain = {name: getattr(self, name) for name in ("dataset", "a", "b", "mode", "asked")}
        plain["layers"] = [asdict(one) for one in self.layers]
        write_atomic(out / "dejavu.json", (json.dumps(plain, indent=1) + "\n").encode())
        for name, rows in (("classes.csv", self.classes), ("answers.csv", self.answers)):
            write_atomic(out / name, rows_as_csv(rows).encode())
        write_atomic(out / "index.html", memory_page(self).encode())
        return out / "index.html"


def memory(
    dataset: Any,
    sets: str | Path | Sets,
    a: Any,
    b: Any,
    layers: Sequence[str] | None = None,
    mode: Mode = "boxes",
    boxes: str | Path | None = None,
    least: float = 0.2,
    k: int = K,
    engine: Any = None,
    backend: Backend = "torch",
    seed: int = 0,
    store: EmbeddingStore | str | Path | None = None,
    quiet: bool = False,
) -> Memory:
    """Score what two models memorized of the pictures that each of them saw.

    Args:
        dataset: that was divided.
        sets: who saw what, or the file that says it.
        a, b: the models, as strings or models: of one architecture and one recipe.
        layers: names; the trunk and the blocks of the head by default, or the last layer of other models.
        mode, boxes, least, engine: how the object is taken out; see `without_object`.
        k: neighbours.
        backend: of neighbours.
        seed: of resampling.
        store: where features are kept.
        quiet: show no bars.

    Raises:
        DatasetError: sets of another dataset, or pictures without room beside their objects.
        ModelError: models that have not the same layers.
    """
    pictures = open_pictures(dataset)
    divided = sets if isinstance(sets, Sets) else Sets.load(sets, pictures)
    models = [load_model(model) if isinstance(model, str) else model for model in (a, b)]
    names = list(layers) if layers else _usual(models[0])
    if not layers and _usual(models[1]) != names:
        raise ModelError(f"'{models[0].info.name}' and '{models[1].info.name}' have not the same layers")
    values = columns_of(pictures)[divided.label].astype(str)
    levels, codes = np.unique(values, return_inverse=True)
    asked = [name for name in ("A", "B", "held out") if len(divided.rows[name])]
    crops = {name: without_object(pictures, divided.rows[name], mode, boxes, least=least, engine=engine, quiet=quiet)
             for name in asked}  # fmt: skip
    public = divided.rows["public"]
    found = [_features(model, pictures, public, crops, names, store, quiet) for model in models]
    truth = {name: codes[held.rows] for name, held in crops.items()}
    fewest = min(len(held) for held in truth.values())
    shares = [share for share in SHARES if share == 1 or share * fewest >= _LEAST]
    scored: list[LayerMemory] = []
    sides: dict[str, Side] = {}
    for layer in names:
        first, second = (
            Representations({name: parts[name][layer] for name in asked}, parts["public"][layer]) for parts in found
        )
        score, controls, sides = attack(first, second, truth, codes[public], k, shares, seed, backend)
        scored.append(LayerMemory(layer, score, controls, tuple(curve([sides["A"], sides["B"]]))))
    both = [sides["A"], sides["B"]]
    classes = by_class(both, [truth["A"], truth["B"]], len(levels))
    for row in classes:
        row["label"] = str(levels[int(row["label"])])  # type: ignore[assignment]
    answers = [
        {
            "row": int(row), "set": name, "label": str(levels[codes[row]]), "target": str(levels[side.target.said[at]]),
            "reference": str(levels[side.reference.said[at]]), "target_confidence": float(side.target.confidence[at]),
            "reference_confidence": float(side.reference.confidence[at]),
        }
        for name, side in (("A", sides["A"]), ("B", sides["B"]))
        for at, row in enumerate(crops[name].rows.tolist())
    ]  # fmt: skip
    gallery = _gallery(pictures, crops["A"], sides["A"], found, names[-1], public, values, backend)
    return Memory(
        dataset_name(pictures), models[0].info.name, models[1].info.name, mode, sum(len(truth[n]) for n in ("A", "B")),
        tuple(scored), tuple(classes), tuple(answers), gallery,
    )  # fmt: skip


def _usual(model: Any) -> list[str]:
    names = [layer.name for layer in layers_of(model)]
    blocks = [name for name in names if name.startswith("head.") and name.count(".") == 1]
    return ["trunk", *blocks] if blocks else names[-1:]


def _features(
    model: Any, pictures: Any, public: NDArray[np.int64], crops: dict[str, Crops], names: Sequence[str], store: Any,
    quiet: bool,
) -> dict[str, dict[str, FloatArray]]:  # fmt: skip
    parts: dict[str, Any] = {"public": features_of(model, _Some(pictures, public), names, store, quiet=quiet)}
    parts |= {name: features_of(model, held, names, store, quiet=quiet) for name, held in crops.items()}
    return {name: {layer: part.layers[layer] for layer in names} for name, part in parts.items()}


class _Some:
    """Some rows of a dataset."""

    def __init__(self, pictures: Any, rows: NDArray[np.int64]) -> None:
        self._pictures, self._rows = pictures, rows
        self.manifest: dict[str, Any] = {"name": dataset_name(pictures)}
        if not hasattr(pictures, "image_bytes"):
            raise DatasetError("a dataset whose pictures are files is needed")

    def __len__(self) -> int:
        return len(self._rows)

    def table(self, columns: Any = None) -> Any:
        import pyarrow as pa

        return self._pictures.table(columns).take(pa.array(self._rows))

    def image(self, index: int) -> Any:
        return self._pictures.image(int(self._rows[index]))

    def image_bytes(self, index: int) -> bytes:
        data: bytes = self._pictures.image_bytes(int(self._rows[index]))
        return data

    def iter_images(self, indices: Any = None) -> Any:
        places = range(len(self)) if indices is None else indices
        return self._pictures.iter_images([int(self._rows[int(place)]) for place in places])


def _gallery(
    pictures: Any, crops: Crops, side: Side, found: Any, layer: str, public: NDArray[np.int64], values: NDArray[Any],
    backend: Backend,
) -> dict[str, tuple[Shown, ...]]:  # fmt: skip
    gallery = {}
    for kind, places in selections(side, SHOWN).items():
        if not len(places):
            continue
        near = [nearest_rows(part["A"][layer][places], part["public"][layer], 3, backend).rows for part in found]
        shown = []
        for at, place in enumerate(places.tolist()):
            row = int(crops.rows[place])
            both = [
                tuple((_jpeg(pictures.image(n)), str(values[n])) for n in public[rows[at]].tolist()) for rows in near
            ]
            shown.append(
                Shown(str(values[row]), _jpeg(pictures.image(row)), _jpeg(crops.image(place)), both[0], both[1])
            )
        gallery[kind] = tuple(shown)
    return gallery


def _jpeg(image: Image.Image, side: int = 96) -> str:
    small = image.convert("RGB")
    small.thumbnail((side, side))
    return data_uri(jpeg(small, 85))
