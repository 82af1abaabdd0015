"""A decoder ready to be asked, and the form of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.analyze.portraits import Sitter, pixels_of, square
from torchmultiverse.analyze.probes import Data, Plane, logistic
from torchmultiverse.analyze.rcdm import sample
from torchmultiverse.analyze.splits import question
from torchmultiverse.errors import DatasetError
from torchmultiverse.features import LayerExtractor, factor_names
from torchmultiverse.images import rgb
from torchmultiverse.models import FloatArray

Pixels = NDArray[np.uint8]
_TOLD = 0.25  # of what is above chance: read by a layer


@dataclass(frozen=True)
class Row:
    """Pictures that belong together.

    Attributes:
        label: what they are.
        given: what the vector was made of, (S, S, 3) uint8 each.
        drawn: pictures drawn for the vector, or others to compare with.
        captions: under each drawn picture; none by default.
        wrong: whether the row is one in which the model is deceived.
    """

    label: str
    given: tuple[Pixels, ...]
    drawn: tuple[Pixels, ...]
    captions: tuple[str, ...] = ()
    wrong: bool = False


@dataclass(frozen=True)
class Study:
    """The answer to one question.

    Attributes:
        name, title, about: its key, its heading, and how to read it.
        rows: of pictures.
        numbers: a table; each line has the same columns. Shares are 0 to 1, under names that end in ``%``.
    """

    name: str
    title: str
    about: str
    rows: tuple[Row, ...]
    numbers: tuple[Mapping[str, Any], ...] = ()


class Studio:
    """A decoder with its model and pictures, ready to be asked.

    Args:
        one: the decoder, its model and the dataset.
        each: pictures drawn of each vector.
        shown: pictures that are asked about in rows.
        steps, sampler, seed: of sampling, and of all draws.
        label: column of the classes; by default the animal or the label where the layer's vectors tell it, else the
            factor that they tell best.
        quiet: show no bars.

    Raises:
        DatasetError: no such column.
    """

    def __init__(
        self,
        one: Sitter,
        each: int = 4,
        shown: int = 3,
        steps: int = 50,
        sampler: str = "ddim",
        seed: int = 0,
        label: str | None = None,
        quiet: bool = False,
    ) -> None:
        self.one, self.each, self.shown = one, each, shown
        self._sampling = {"steps": steps, "sampler": sampler, "seed": seed, "quiet": quiet}
        self.seed = seed
        self._asked = label
        if label is not None:
            factor_names(one.features, [label])  # refuses what is no column
        self.tap = LayerExtractor(one.model, [one.layer])

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Pictures that the decoder did not learn, in an order drawn once; all of another dataset than its own."""
        return np.random.default_rng(self.seed).permutation(self.one.held)

    @cached_property
    def learnt(self) -> NDArray[np.int64]:
        """Pictures that the decoder learnt; of another dataset all."""
        return self.one.learnt if len(self.one.learnt) else self.one.held

    @cached_property
    def codes(self) -> Mapping[str, tuple[NDArray[np.int64], tuple[str, ...]]]:
        """Levels of each factor that has levels: codes (N,) and names."""
        found = {}
        for name in dict.fromkeys([*([self._asked] if self._asked else []), *factor_names(self.one.features)]):
            what = question(self.one.features.columns, name)
            if what.numbers is None:
                found[name] = what.codes, what.levels
        if not found or (self._asked is not None and self._asked not in found):
            raise DatasetError(f"'{self._asked or 'every column'}' is a number; a column of classes is needed")
        return found

    @cached_property
    def label(self) -> str:
        """The column of the classes."""
        if self._asked is not None:
            return self._asked
        told = {}
        for name, (codes, _) in self.codes.items():
            said = self.planes[name].shares(self.one.vectors[self.rows]).argmax(1)
            chance = float(np.bincount(codes[self.rows]).max() / len(self.rows))
            told[name] = (float((said == codes[self.rows]).mean()) - chance) / max(1 - chance, 1e-9)
        usual = next((name for name in ("character_name", "label") if told.get(name, 0.0) > _TOLD), None)
        return usual or max(told, key=lambda name: told[name])

    @cached_property
    def planes(self) -> Mapping[str, Plane]:
        """A linear reader of each factor from the layer's vectors, from the pictures that the decoder learnt."""
        order = np.random.default_rng(self.seed).permutation(self.learnt)
        validation, train = np.split(order, [max(1, len(order) // 5)])
        found = {}
        for name, (codes, levels) in self.codes.items():
            x = self.one.vectors
            data = Data(x[train], x[validation], x[:1], codes[train], codes[validation], len(levels))
            plane = logistic(data, np.random.default_rng(self.seed)).plane
            assert plane is not None
            found[name] = plane
        return found

    @cached_property
    def spread(self) -> float:
        """How far apart the vectors of two pictures are: the root of the mean squared distance."""
        return float(np.sqrt(2 * self.one.vectors.astype(np.float64).var(0).sum()))

    def draw(self, vectors: FloatArray, each: int | None = None, same_noise: bool = True) -> Pixels:
        """Return pictures of vectors, (N, each, S, S, 3); the k-th of all begin from the same noise."""
        return sample(self.one.decoder, vectors, each or self.each, same_noise=same_noise, **self._sampling)  # type: ignore[arg-type]

    def real(self, rows: NDArray[np.int64]) -> Pixels:
        """Return pictures of the dataset at the decoder's size."""
        return pixels_of(self.one.pictures, np.asarray(rows), self.one.decoder.config.size)

    def small(self, image: Image.Image) -> Pixels:
        """Return any picture at the decoder's size."""
        side = self.one.decoder.config.size
        return np.asarray(square(rgb(image)).resize((side, side), Image.Resampling.LANCZOS))

    def images(self, rows: NDArray[np.int64]) -> list[Image.Image]:
        """Return pictures as they are."""
        return [rgb(image) for image in self.one.pictures.iter_images([int(row) for row in rows])]

    def moved(self, vectors: FloatArray, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how far vectors are from those of pictures, as a share of the distance of two pictures, (N,)."""
        apart = vectors.astype(np.float64) - self.one.vectors[rows].astype(np.float64)
        return np.asarray(np.linalg.norm(apart, axis=1) / max(self.spread, 1e-30))

    def seen(self, drawn: Pixels, factor: str) -> NDArray[np.int64]:
        """Return what the layer's own linear reader sees in drawn pictures, codes (N,)."""
        return np.asarray(self.planes[factor].shares(self.one.look(drawn)).argmax(1))


def sheet(study: Study, gap: int = 2) -> Image.Image:
    """Return all rows of a study as one picture, given ones first."""
    side = next(len(picture) for row in study.rows for picture in (*row.given, *row.drawn))
    given = max(len(row.given) for row in study.rows)
    wide = given + max(len(row.drawn) for row in study.rows)
    step = side + gap
    out = Image.new("RGB", (wide * step + (4 * gap if given else 0), len(study.rows) * step), (255, 255, 255))
    for at, row in enumerate(study.rows):
        for k, picture in enumerate(row.given):
            out.paste(Image.fromarray(picture), ((given - len(row.given) + k) * step, at * step))
        for k, picture in enumerate(row.drawn):
            out.paste(Image.fromarray(picture), ((given + k) * step + (4 * gap if given else 0), at * step))
    return out
