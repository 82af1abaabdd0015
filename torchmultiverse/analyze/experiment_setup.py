"""What an experiment with a decoder needs: its samples, the real pictures, probes of the factors, and distances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse.analyze.decoders import ConditionedDecoder, decoder_pixels, square
from torchmultiverse.analyze.probes import LinearProbe, ProbeData, logistic
from torchmultiverse.analyze.rcdm import sample
from torchmultiverse.analyze.splits import factor_target
from torchmultiverse.errors import QuestionError
from torchmultiverse.features import LayerExtractor, factor_names
from torchmultiverse.images import rgb
from torchmultiverse.models import FloatArray
from torchmultiverse.store import usual_label

Pixels = NDArray[np.uint8]

EPSILONS = (0.0, 0.01, 0.025, 0.05, 0.1, 0.25)
"""By how much of the range of a pixel pictures are changed to deceive."""


@dataclass(frozen=True)
class AttackOptions:
    """How pictures are changed to deceive.

    Attributes:
        epsilons: largest changes of a pixel, as fractions of its range, 0 to 1.
        target: class that is to be seen; by default the one after each picture's own.
    """

    epsilons: Sequence[float] = EPSILONS
    target: str | None = None


class ExperimentSetup:
    """A decoder with its model and pictures, ready for experiments.

    Args:
        one: the decoder, its model and the dataset.
        samples_per_image: images drawn of each vector.
        examples: pictures whose rows are kept.
        steps, sampler, seed: of sampling, and of all draws.
        label: column of the classes; by default the usual one, `torchmultiverse.store.usual_label`, and without any
            the factor that the layer's vectors tell best.
        quiet: show no bars.
        attack: how pictures are changed to deceive.

    Raises:
        DatasetError: no such column.
    """

    def __init__(
        self,
        one: ConditionedDecoder,
        samples_per_image: int = 4,
        examples: int = 3,
        steps: int = 50,
        sampler: str = "ddim",
        seed: int = 0,
        label: str | None = None,
        quiet: bool = False,
        attack: AttackOptions | None = None,
    ) -> None:
        self.attack = attack or AttackOptions()
        self.conditioned, self.samples_per_image, self.examples = one, samples_per_image, examples
        self._sampling = {"steps": steps, "sampler": sampler, "seed": seed, "quiet": quiet}
        self.seed = seed
        self._asked = label
        if label is not None:
            factor_names(one.features, [label])  # refuses what is no column
        self.extractor = LayerExtractor(one.model, [one.layer])

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Pictures that the decoder did not learn, in an order drawn once; all of another dataset than its own."""
        return np.random.default_rng(self.seed).permutation(self.conditioned.held_out_rows)

    @cached_property
    def training_rows(self) -> NDArray[np.int64]:
        """Pictures that the decoder learnt; of another dataset all."""
        return self.conditioned.training_rows if len(self.conditioned.training_rows) else self.conditioned.held_out_rows

    @cached_property
    def codes(self) -> Mapping[str, tuple[NDArray[np.int64], tuple[str, ...]]]:
        """Levels of each factor that has levels: codes (N,) and names."""
        found = {}
        for name in dict.fromkeys([*([self._asked] if self._asked else []), *factor_names(self.conditioned.features)]):
            target = factor_target(self.conditioned.features.columns, name)
            if target.numbers is None:
                found[name] = target.codes, target.levels
        if not found or (self._asked is not None and self._asked not in found):
            raise QuestionError(f"'{self._asked or 'every column'}' is a number; a column of classes is needed")
        return found

    @cached_property
    def label(self) -> str:
        """The column of the classes."""
        if self._asked is not None:
            return self._asked
        usual = usual_label(self.conditioned.features.columns)
        if usual is not None and usual in self.codes:
            return usual
        accuracies = {}
        for name, (codes, _) in self.codes.items():
            prediction = self.probes[name].probabilities(self.conditioned.vectors[self.rows]).argmax(1)
            chance = float(np.bincount(codes[self.rows]).max() / len(self.rows))
            accuracies[name] = (float((prediction == codes[self.rows]).mean()) - chance) / max(1 - chance, 1e-9)
        return max(accuracies, key=lambda name: accuracies[name])

    @cached_property
    def probes(self) -> Mapping[str, LinearProbe]:
        """A linear probe of each factor of the layer's vectors, from the pictures that the decoder learnt."""
        order = np.random.default_rng(self.seed).permutation(self.training_rows)
        validation, train = np.split(order, [max(1, len(order) // 5)])
        found = {}
        for name, (codes, levels) in self.codes.items():
            x = self.conditioned.vectors
            data = ProbeData(x[train], x[validation], x[:1], codes[train], codes[validation], len(levels))
            probe = logistic(data, np.random.default_rng(self.seed)).probe
            assert probe is not None
            found[name] = probe
        return found

    @cached_property
    def mean_distance(self) -> float:
        """How far apart the vectors of two pictures are: the root of the mean squared distance."""
        return float(np.sqrt(2 * self.conditioned.vectors.astype(np.float64).var(0).sum()))

    def sample(self, vectors: FloatArray, count: int | None = None, same_noise: bool = True) -> Pixels:
        """Return pictures of vectors, (N, count, S, S, 3); the k-th of all begin from the same noise."""
        decoder, count = self.conditioned.decoder, count or self.samples_per_image
        return sample(decoder, vectors, count, same_noise=same_noise, **self._sampling)  # type: ignore[arg-type]

    def real_images(self, rows: NDArray[np.int64]) -> Pixels:
        """Return pictures of the dataset at the decoder's size."""
        return decoder_pixels(self.conditioned.images, np.asarray(rows), self.conditioned.decoder.config.size)

    def resized(self, image: Image.Image) -> Pixels:
        """Return any picture at the decoder's size."""
        side = self.conditioned.decoder.config.size
        return np.asarray(square(rgb(image)).resize((side, side), Image.Resampling.LANCZOS))

    def images(self, rows: NDArray[np.int64]) -> list[Image.Image]:
        """Return pictures as they are."""
        return [rgb(image) for image in self.conditioned.images.iter_images([int(row) for row in rows])]

    def relative_distance(self, vectors: FloatArray, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how far vectors are from those of pictures, as a fraction of the distance of two pictures, (N,)."""
        apart = vectors.astype(np.float64) - self.conditioned.vectors[rows].astype(np.float64)
        return np.asarray(np.linalg.norm(apart, axis=1) / max(self.mean_distance, 1e-30))

    def predicted_levels(self, drawn: Pixels, factor: str) -> NDArray[np.int64]:
        """Return what the layer's own linear probe sees in drawn pictures, codes (N,)."""
        return np.asarray(self.probes[factor].probabilities(self.conditioned.encode_pixels(drawn)).argmax(1))
