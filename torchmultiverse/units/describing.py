"""Pictures and captions in the eyes of an image-text model, and the crops of pictures that units are described by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.features import FeatureCache, encode_images, text_vectors, unit_maps
from torchmultiverse.images import rgb
from torchmultiverse.models import FloatArray, ImageTextModel, Model
from torchmultiverse.store import ImageSet
from torchmultiverse.units.crops import CroppedImages, combined, crop_of
from torchmultiverse.units.detection import Concepts
from torchmultiverse.units.words import CaptionBank, WordOptions

MOST_CAPTIONS = 400
"""Of each choice of factors."""
MOST_CROPS = 32
"""Pictures of a unit that are cropped, the most active first."""
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def phrase(value: str) -> str:
    """Return a value as words of a caption; "" for one without words.

    >>> phrase("AustralianRoad"), phrase("red-crowned crane"), phrase("0.83")
    ('australian road', 'red crowned crane', '')
    """
    return " ".join(_PARTS.findall(value)).lower()


def bank_of(
    concepts: Concepts, model: ImageTextModel, rng: np.random.Generator, store: FeatureCache | None, quiet: bool
) -> CaptionBank:
    """Return captions of one to three values of different factors, each value being one word of the bank.

    Values without words (numbers, ``none``) are in no caption.

    Args:
        concepts: factors and values.
        model: whose vectors.
        rng: draws captions where there are more than 400 of the same factors.
        store: keeps vectors.
        quiet: show no bar.

    Raises:
        ModelError: no value has words.
    """
    named = {name: [v for v in values if phrase(v)] for name, values in concepts.names.items()}
    named = {name: values for name, values in named.items() if values}
    if not named:
        raise ModelError("no factor has values with words: captions cannot be made of numbers alone")
    captions: dict[str, frozenset[str]] = {}
    for count in range(1, min(3, len(named)) + 1):
        for some in combinations(named, count):
            every = list(product(*(named[name] for name in some)))
            if len(every) > MOST_CAPTIONS:
                every = [every[k] for k in np.sort(rng.choice(len(every), MOST_CAPTIONS, replace=False))]
            for values in every:
                captions["a picture of " + ", ".join(phrase(v) for v in values)] = frozenset(map(phrase, values))
    texts, vectors = text_vectors(model, list(captions), quiet, store)
    return CaptionBank(vectors, [captions[text] for text in texts])


@dataclass(frozen=True)
class Viewer:
    """An image-text model that has seen the pictures.

    Attributes:
        model: the image-text model.
        images, rows: the pictures.
        bank: captions of the values of their factors.
        vectors: of the pictures, (N, E).
        store, quiet: where vectors are kept, and whether no bar is shown.
        options: how units are put into words.
    """

    model: ImageTextModel
    images: ImageSet
    rows: NDArray[np.int64]
    bank: CaptionBank
    vectors: FloatArray
    store: FeatureCache | None
    quiet: bool
    options: WordOptions

    def encode(self, images: ImageSet) -> FloatArray:
        """Return vectors of other pictures, (P, E)."""
        return _encoded(self.model, images, np.arange(len(images)), self.store, self.quiet)


def viewer_of(
    model: Model, images: ImageSet, rows: NDArray[np.int64], concepts: Concepts, rng: np.random.Generator,
    store: FeatureCache | None = None, quiet: bool = False, options: WordOptions | None = None,
) -> Viewer:  # fmt: skip
    """Show pictures to an image-text model.

    Args:
        model: an image-text model.
        images, rows: the pictures.
        concepts: their factors, of whose values captions are made.
        rng, store, quiet: as in `bank_of`.
        options: how units are put into words.

    Raises:
        ModelError: no image-text model, or no value has words.
    """
    if not isinstance(model, ImageTextModel):
        raise ModelError(f"{model.info.name} has no captions: an image-text model is needed for words, as open_clip:…")
    bank = bank_of(concepts, model, rng, store, quiet)
    vectors = _encoded(model, images, rows, store, quiet)
    options = options or WordOptions(deviations=1.0, each=True)
    return Viewer(model, images, rows, bank, vectors, store, quiet, options)


def _encoded(
    model: ImageTextModel, images: ImageSet, rows: NDArray[np.int64], store: FeatureCache | None, quiet: bool
) -> FloatArray:
    return encode_images(model, "image", model.encode_image, images, rows, quiet=quiet, cache=store)


@dataclass(frozen=True)
class Asked:
    """Units of a layer, of which crops are wanted.

    Attributes:
        units: one, or those of a group.
        high: pictures that make them active (places among the features), the most active first.
    """

    units: tuple[int, ...]
    high: NDArray[np.int64]


@dataclass(frozen=True)
class Described:
    """The parts of pictures that make units active.

    Attributes:
        vectors: of an image-text model, (T, E).
        pictures: the first few of them, to be shown.
    """

    vectors: FloatArray
    pictures: tuple[Image.Image, ...]


def described_crops(
    viewer: Viewer, model: Any, layer: str, asked: Sequence[Asked], most: int = MOST_CROPS, shown: int = 8
) -> list[Described]:
    """Return the parts of their most active pictures at which units are active, as an image-text model sees them.

    Of a group the maps of its units are intersected.

    Args:
        viewer: the pictures, and who describes them.
        model, layer: whose units.
        asked: units and their pictures.
        most: pictures of each, the most active first.
        shown: crops of each that are kept as pictures.

    Raises:
        ModelError: nothing at or before the layer has places.
    """
    of, rows, units = _pairs(asked, most)
    if not len(of):
        return [Described(np.zeros((0, viewer.vectors.shape[1]), np.float32), ()) for _ in asked]
    maps = unit_maps(model, layer, viewer.images, viewer.rows[rows], units, quiet=viewer.quiet)
    preprocess = getattr(model.info, "preprocess", None)
    crops, places, start = [], [], 0
    owners: list[int] = []
    while start < len(of):
        size = len(asked[of[start]].units)
        picture = int(viewer.rows[rows[start]])
        whole = viewer.images.image(picture).size
        view = preprocess.view(whole) if preprocess is not None else None
        crops.append(crop_of(combined(list(maps[start : start + size])), whole, view))
        places.append(picture)
        owners.append(int(of[start]))
        start += size
    cropped = CroppedImages(viewer.images, np.array(places, np.int64), crops)
    vectors = viewer.encode(cropped)
    mine = [np.flatnonzero(np.array(owners) == k) for k in range(len(asked))]
    return [Described(vectors[k], tuple(cropped.image(int(p)) for p in k[:shown])) for k in mine]


def cropped_at(
    model: Any, layer: str, images: ImageSet, rows: NDArray[np.int64], units: NDArray[np.int64], quiet: bool = False
) -> list[Image.Image]:
    """Return the part of each picture at which a unit is active.

    Args:
        model, layer: whose units.
        images: the dataset.
        rows: of it, (P,).
        units: of the layer, (P,).
        quiet: show no bar.

    Raises:
        ModelError: nothing at or before the layer has places.
    """
    maps = unit_maps(model, layer, images, rows, units, quiet=quiet)
    preprocess = getattr(model.info, "preprocess", None)
    found = []
    for activity, row in zip(maps, rows.tolist(), strict=True):
        picture = rgb(images.image(row))
        view = preprocess.view(picture.size) if preprocess is not None else None
        found.append(picture.crop(crop_of(activity, picture.size, view)))
    return found


def _pairs(asked: Sequence[Asked], most: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return which of the asked, which picture and which unit each map is of; units of a picture beside each other."""
    found = [
        (number, int(row), unit)
        for number, one in enumerate(asked)
        for row in one.high[:most]
        for unit in one.units
    ]  # fmt: skip
    table = np.array(found, np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]
