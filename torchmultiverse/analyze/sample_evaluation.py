"""Whether pictures that a decoder draws can be trusted, and which factors they show that the layer keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from torchmultiverse.analyze import migrations
from torchmultiverse.analyze.decoders import (
    ConditionedDecoder,
    DecoderFacts,
    decoder_pixels,
    encoded,
    load_conditioned_decoder,
    load_evaluator,
)
from torchmultiverse.analyze.fidelity import (
    FactorFidelity,
    Fidelity,
    SampleQuality,
    factor_fidelity,
    measure_fidelity,
    sample_quality,
)
from torchmultiverse.analyze.layer_accuracy import probe_layers
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.rcdm import interpolate, sample
from torchmultiverse.analyze.splits import factor_target
from torchmultiverse.documents import Document, EncodedImage
from torchmultiverse.features import factor_names
from torchmultiverse.store import usual_label

Images = tuple[EncodedImage, ...]
_PATHS = 3  # interpolations that are shown
_STEPS = 7  # pictures of each


@dataclass(frozen=True)
class SamplingOptions:
    """What is drawn to evaluate a decoder, and how.

    Attributes:
        count: vectors that are drawn from.
        samples_per_image: images of each.
        examples: vectors whose pictures the record keeps.
        steps, sampler: of sampling.
        evaluator: model whose last features say what pictures show; the decoder's own layer by default.
    """

    count: int = 100
    samples_per_image: int = 4
    examples: int = 8
    steps: int = 50
    sampler: str = "ddim"
    evaluator: str | None = None


class SampleEvaluation(Document):
    """What a decoder shows of a layer.

    Attributes:
        config: of the decoder.
        dataset: name of what it was asked about.
        held_out: whether those were pictures that it never saw; ``None`` of records that do not say.
        fidelity: of its pictures.
        factors: what is kept of each.
        quality: of all drawn pictures together.
        samples: the real picture and those drawn for it.
        interpolations: drawn between two real pictures, which are the first and the last.
    """

    file: ClassVar[str] = "rcdm.json"
    config: DecoderFacts
    dataset: str
    held_out: bool | None = None
    fidelity: Fidelity
    factors: tuple[FactorFidelity, ...]
    quality: SampleQuality
    samples: tuple[Images, ...] = ()
    interpolations: tuple[Images, ...] = ()

    @override
    @classmethod
    def migrate(cls, data: dict[str, Any], version: int) -> dict[str, Any]:
        return migrations.sample_evaluation(data) if version < 1 else data


def evaluate_samples(
    decoder: str | Path | ConditionedDecoder,
    dataset: Any,
    factors: Sequence[str] | None = None,
    options: SamplingOptions | None = None,
    run: RunOptions | None = None,
) -> SampleEvaluation:
    """Draw pictures for vectors of pictures that the decoder never saw, and score them.

    Args:
        decoder: its folder, or the decoder with what it is conditioned on.
        dataset: that it was trained on (its held-out tenth is used), or another.
        factors: columns; all that vary by default.
        options: what is drawn.
        run: seed, store of features, and so on.

    Raises:
        ModelError: see `load_conditioned_decoder`; no such evaluator.
        DatasetError: no such column.
    """
    options, run = options or SamplingOptions(), run or RunOptions()
    one = decoder if isinstance(decoder, ConditionedDecoder) else load_conditioned_decoder(decoder, dataset, run)
    vectors, candidates = one.vectors, one.held_out_rows
    asked = np.sort(np.random.default_rng(run.seed).permutation(candidates)[: options.count])
    drawn = sample(
        one.decoder,
        vectors[asked],
        options.samples_per_image,
        options.steps,
        options.sampler,
        run.seed,
        quiet=run.quiet,
    )
    flat = drawn.reshape(-1, *drawn.shape[2:])
    rows = np.repeat(asked, options.samples_per_image)
    seen = one.encode_pixels(flat)
    fidelity = measure_fidelity(vectors[candidates], seen, np.searchsorted(candidates, rows))
    columns = one.features.columns
    targets = [factor_target(columns, name) for name in factor_names(one.features, factors)]
    codes = {target.factor: target.codes for target in targets if target.numbers is None}
    probed = probe_layers(one.features, list(codes), by="rows", seed=run.seed, quiet=True)
    accuracies = {accuracy.factor: accuracy.score for accuracy in probed.accuracies}
    evaluator = one if options.evaluator is None else load_evaluator(options.evaluator, one.images, run)
    judged = seen if options.evaluator is None else evaluator.encode_pixels(flat)
    rest = one.training_rows if len(one.training_rows) else candidates
    label = usual_label({name: columns[name] for name in codes}) or next(iter(codes))
    return SampleEvaluation(
        config=asdict(one.decoder.config),
        dataset=one.features.dataset,
        held_out=len(one.training_rows) > 0,
        fidelity=fidelity,
        factors=tuple(factor_fidelity(evaluator.vectors, codes, judged, rows, accuracies, run.seed)),
        quality=sample_quality(
            evaluator.name, judged, evaluator.vectors[candidates], evaluator.vectors[rest], label, codes[label][rest],
            run.seed,
        ),
        samples=tuple(_shown(one, asked[k], drawn[k]) for k in range(min(options.examples, len(asked)))),
        interpolations=tuple(_interpolations(one, asked, options, run)),
    )  # fmt: skip


def _shown(one: ConditionedDecoder, row: np.int64, drawn: NDArray[np.uint8]) -> Images:
    return encoded([*decoder_pixels(one.images, np.array([row]), one.decoder.config.size), *drawn])


def _interpolations(
    one: ConditionedDecoder, asked: NDArray[np.int64], options: SamplingOptions, run: RunOptions
) -> list[Images]:
    found = []
    for k in range(0, min(2 * _PATHS, len(asked) - 1), 2):
        ends = asked[[k, k + 1]]
        start, end = one.vectors[ends]
        path = interpolate(start, end, _STEPS)
        line = sample(one.decoder, path, 1, options.steps, options.sampler, run.seed, same_noise=True, quiet=True)
        real = decoder_pixels(one.images, ends, one.decoder.config.size)
        found.append(encoded([real[0], *line[:, 0], real[1]]))
    return found
