"""What pictures show as an encoder is trained: one decoder for each kept checkpoint, and all of them on one sheet.

The same pictures, the same noise and the same recipe at each checkpoint: what differs in a row is what the encoder has
come to keep, or to lose.

Source: F. Bordes et al., *High fidelity visualization of what your self-supervised representation knows about*, TMLR
2022, figure 35 (one decoder each after 1, 5 and 50 epochs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze.decoders import (
    ConditionedDecoder,
    FeatureEvaluator,
    LayerDecoderOptions,
    decoder_pixels,
    encoded,
    load_conditioned_decoder,
    train_layer_decoder,
)
from torchmultiverse.analyze.fidelity import FactorFidelity, Fidelity, factor_fidelity, measure_fidelity
from torchmultiverse.analyze.learning import kept_checkpoints
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.published import published_drawings
from torchmultiverse.analyze.rcdm import sample
from torchmultiverse.analyze.splits import GROUPS, factor_target
from torchmultiverse.errors import DatasetError, SettingError
from torchmultiverse.evaluation import plain
from torchmultiverse.features import factor_names, features_of
from torchmultiverse.models import load_model
from torchmultiverse.stats import MIN_CLUSTERS, Intervals, Paired, mean_interval
from torchmultiverse.store import dataset_name, open_images
from torchmultiverse.study import Cell, ImageRow, LineChart, Point, Section, Series, Study

_TRUSTED = 0.5
"""First places of at least so many: drawn pictures can be trusted."""
_NOISES = 2
"""Rows of a picture on the sheet, each from a noise of its own."""


@dataclass(frozen=True)
class DecoderEpochOptions:
    """What is drawn over the checkpoints of a training.

    Attributes:
        layer: name; the trunk by default.
        epochs: of the checkpoints; all that are kept by default.
        decoder: how each decoder is trained.
        count, samples_per_image: vectors that numbers are taken of, and pictures of each.
        examples: pictures on the sheet.
        steps, sampler: of sampling.
        factors: columns to look for in what is drawn; all by default.
        licence: of the dataset by name, where it forbids training generative models and the user has other rights.
    """

    layer: str = "trunk"
    epochs: Sequence[int] = ()
    decoder: LayerDecoderOptions = field(default_factory=LayerDecoderOptions)
    count: int = 64
    samples_per_image: int = 4
    examples: int = 6
    steps: int = 50
    sampler: str = "ddim"
    factors: Sequence[str] | None = None
    licence: str | None = None


@dataclass(frozen=True)
class DrawnEpoch:
    """What was drawn at one checkpoint.

    Attributes:
        epoch: of the encoder.
        fidelity: where the vectors stand among those nearest to what was drawn from them.
        first: fraction of first places, with its interval.
        varies: variance of pictures of one vector, as a fraction of that of all, in pixels, with its interval.
        factors: what is seen in the pictures.
        sheet: pictures of the examples, uint8 (examples, noises, S, S, 3).
    """

    epoch: int
    fidelity: Fidelity
    first: Paired
    varies: Paired
    factors: tuple[FactorFidelity, ...]
    sheet: NDArray[np.uint8]


def decoders_over_epochs(
    encoder: str,
    dataset: Any,
    out: str | Path,
    options: DecoderEpochOptions | None = None,
    run: RunOptions | None = None,
) -> Study:
    """Train a decoder of each kept checkpoint of an encoder, and draw from all of them; an interrupted run goes on.

    Args:
        encoder: ``ssl:FOLDER``, trained with kept checkpoints.
        dataset: folder or opened dataset; a tenth of it is held out from the decoders and drawn from.
        out: folder of the decoders, ``decoders/EPOCH`` each.
        options: what is trained and drawn.
        run: seed of everything, store of features, and so on.

    Raises:
        ModelError: no such encoder, layer, or checkpoint; fewer than two of these.
        DatasetError: the dataset's licence forbids it, no such column, or fewer held-out pictures than two.
        MissingExtra: diffusers is not installed.
    """
    options, run = options or DecoderEpochOptions(), run or RunOptions()
    images = open_images(dataset)
    chosen = _chosen(encoder, options.epochs)
    last = load_model(chosen[-1][1])
    judge = FeatureEvaluator(
        last, options.layer, features_of(last, images, [options.layer], run.store, quiet=run.quiet)
    )
    targets = [factor_target(judge.features.columns, name) for name in factor_names(judge.features, options.factors)]
    codes = {one.factor: one.codes for one in targets if one.numbers is None}
    if not codes:
        raise DatasetError(f"{dataset_name(images)} has no column of levels to look for in what is drawn")
    found, shown, by = [], None, ""
    for epoch, model in chosen:
        folder = train_layer_decoder(
            model, images, Path(out) / "decoders" / str(epoch), options.layer, options.decoder, licence=options.licence,
            run=run,
        )  # fmt: skip
        one = load_conditioned_decoder(folder, images, run)
        rows = np.sort(np.random.default_rng(run.seed).permutation(one.held_out_rows)[: options.count])
        groups, by = _groups(judge.features.columns, rows)
        if shown is None:
            shown = decoder_pixels(images, rows[: options.examples], one.decoder.config.size)
        found.append(_drawn(epoch, one, judge, rows, codes, groups, options, run))
    assert shown is not None
    facts: dict[str, Cell] = {
        "layer": options.layer, "checkpoints": ", ".join(str(epoch) for epoch, _ in chosen),
        "decoder": f"{options.decoder.preset}, {options.decoder.size} pixels, {options.decoder.steps:,} steps",
        "held-out pictures": found[0].fidelity.candidates, "drawn from": len(found[0].fidelity.ranks)
        // options.samples_per_image, "pictures of each": options.samples_per_image, "intervals over": by,
    }  # fmt: skip
    return epochs_study(found, shown, encoder, dataset_name(images), facts)


def _chosen(encoder: str, epochs: Sequence[int]) -> list[tuple[int, str]]:
    """Return the epochs that were asked for, and their model strings."""
    kept, models = kept_checkpoints([encoder])
    if unknown := sorted(set(epochs) - set(kept)):
        raise SettingError(f"{encoder} keeps no checkpoint of epoch {unknown[0]}; it has {', '.join(map(str, kept))}")
    return [(epoch, model) for epoch, model in zip(kept, models[0], strict=True) if not epochs or epoch in epochs]


def _groups(columns: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], str]:
    """Return what of the pictures is not independent: their asset where there are enough of these, or themselves."""
    for name in GROUPS:
        if name in columns:
            codes = np.unique(columns[name][rows].astype(str), return_inverse=True)[1]
            if codes.max() + 1 >= MIN_CLUSTERS:
                return codes, plain(name)
    return np.arange(len(rows)), "picture"


def _drawn(
    epoch: int, one: ConditionedDecoder, judge: FeatureEvaluator, rows: NDArray[np.int64],
    codes: Mapping[str, NDArray[np.int64]], groups: NDArray[np.int64], options: DecoderEpochOptions, run: RunOptions,
) -> DrawnEpoch:  # fmt: skip
    """Draw from the decoder of a checkpoint, and measure."""
    each = max(_NOISES, options.samples_per_image)
    drawn = sample(one.decoder, one.vectors[rows], each, options.steps, options.sampler, run.seed, quiet=run.quiet)
    flat = drawn.reshape(-1, *drawn.shape[2:])
    asked, wide = np.repeat(rows, each), np.repeat(groups, each)
    candidates = one.held_out_rows
    fidelity = measure_fidelity(one.vectors[candidates], one.encode_pixels(flat), np.searchsorted(candidates, asked))
    factors = factor_fidelity(judge.vectors, codes, judge.encode_pixels(flat), asked, seed=run.seed, groups=wide)
    pixels = drawn.reshape(*drawn.shape[:2], -1).astype(np.float64) / 255
    whole = max(pixels.reshape(-1, pixels.shape[-1]).var(0, ddof=1).sum(), 1e-30)
    varies = pixels.var(1, ddof=1).sum(-1) / whole
    intervals = Intervals(run.seed)
    return DrawnEpoch(
        epoch, fidelity, mean_interval((np.array(fidelity.ranks) == 1).astype(float), wide, intervals, (0, 1)),
        mean_interval(varies, groups, intervals), tuple(factors), drawn[: options.examples, :_NOISES],
    )  # fmt: skip


def epochs_study(
    found: Sequence[DrawnEpoch], real: NDArray[np.uint8], encoder: str, dataset: str, facts: Mapping[str, Cell]
) -> Study:
    """Return the study of what was drawn at each checkpoint.

    Args:
        found: in the order of epochs.
        real: pictures of the sheet, uint8 (examples, S, S, 3).
        encoder, dataset: names.
        facts: settings.
    """
    rows = [
        ImageRow(
            label=f"picture {k + 1}, noise {noise + 1}", inputs=encoded([real[k]]),
            samples=encoded([one.sheet[k, noise] for one in found]),
            captions=tuple(f"epoch {one.epoch}" for one in found),
        )
        for k in range(len(real)) for noise in range(_NOISES)
    ]  # fmt: skip
    table: list[dict[str, Cell]] = [
        {"epoch": one.epoch, "first place %": one.first.mean, "low %": one.first.low, "high %": one.first.high,
         "chance %": 1 / one.fidelity.candidates, "mean reciprocal rank": one.fidelity.mrr,
         "that of any picture": one.fidelity.null_mrr, "mean rank": one.fidelity.mean_rank,
         "varies for one vector %": one.varies.mean, "varies from %": max(0.0, one.varies.low),
         "varies to %": one.varies.high}
        for one in found
    ]  # fmt: skip
    kept: list[dict[str, Cell]] = [
        {"factor": plain(factor.factor), "epoch": one.epoch, "seen in drawn pictures %": factor.accuracy,
         "low %": factor.low, "high %": factor.high, "in real ones %": factor.real_accuracy,
         "chance %": factor.chance, "n": factor.images}
        for k in range(len(found[0].factors)) for one in found for factor in (one.factors[k],)
    ]  # fmt: skip
    trusted = [one.fidelity.hit1 >= _TRUSTED for one in found]
    notes = (
        "One training, and one decoder of each checkpoint: intervals hold for other pictures, not for other trainings.",
        "What is seen is what a linear classifier of the last checkpoint's layer sees, at all checkpoints alike.",
        *(
            ()
            if all(trusted)
            else (
                "Fewer than half of what was drawn leads back to its vector at epoch "
                + ", ".join(str(one.epoch) for one, fine in zip(found, trusted, strict=True) if not fine)
                + ": there the decoder is under-trained, or many pictures share a vector; what varies says little.",
            )
        ),
    )
    sections = (
        Section(
            title="What is drawn at each epoch", pictures=tuple(rows),
            about="Framed: a held-out picture. Each column is a decoder of its own, trained in the same way on the "
            "vectors of one checkpoint, and begins from the same noise: what changes along a row is what the layer "
            "keeps. What two rows of a picture share is in its vector.",
        ),
        Section(
            title="Which factors drawn pictures show", charts=(_factor_chart(found),), table=tuple(kept),
            about="Share of drawn pictures in which the level of the real one is seen; real ones and chance are of the "
            "n pictures that were drawn from.",
        ),
        Section(
            title="Whether they can be trusted", charts=(_trust_chart(found),), table=tuple(table),
            about="First place: of all held-out vectors, that of a drawn picture is nearest to the one it was drawn "
            "from. Varies: variance of pictures of one vector, of that of all drawn pictures, in pixels.",
        ),
    )  # fmt: skip
    return Study(
        kind="rcdm epochs", title="What is drawn as training goes on", headline=_headline(found), models=(encoder,),
        dataset=dataset, facts=facts, sections=(*sections, *published_drawings("drawn epochs", "ranks")), notes=notes,
        sources=(
            "F. Bordes et al., High fidelity visualization of what your self-supervised representation knows about, "
            "TMLR 2022, figure 35 (epochs 1, 5 and 50).",
        ),
    )  # fmt: skip


def _factor_chart(found: Sequence[DrawnEpoch]) -> LineChart:
    series = [
        Series(
            name=plain(first.factor),
            points=tuple(
                Point(x=float(one.epoch), y=one.factors[k].accuracy, low=one.factors[k].low, high=one.factors[k].high)
                for one in found
            ),
        )
        for k, first in enumerate(found[0].factors)
    ]
    return LineChart(title="Seen in drawn pictures", x="epoch", y="accuracy", series=tuple(series))


def _trust_chart(found: Sequence[DrawnEpoch]) -> LineChart:
    points = tuple(Point(x=float(one.epoch), y=one.first.mean, low=one.first.low, high=one.first.high) for one in found)
    return LineChart(
        title="Leads back to its vector", x="epoch", y="first place", series=(Series(name="drawn", points=points),),
        chance=1 / found[0].fidelity.candidates,
    )  # fmt: skip


_SEEN = 0.1
"""Above chance in real pictures: what a classifier has to see for a factor to be the answer."""


def _headline(found: Sequence[DrawnEpoch]) -> str:
    first, last = found[0], found[-1]
    back = f"{100 * last.first.mean:.0f} % of the pictures of epoch {last.epoch} lead back to their vectors"
    if last.fidelity.hit1 < _TRUSTED:
        return f"{back}: the decoders are under-trained, or many pictures share a vector; draw no conclusions."
    both = zip(first.factors, last.factors, strict=True)
    told = [(end.retained - start.retained, start, end) for start, end in both if _is_seen(start) and _is_seen(end)]
    if not told:
        return f"{back}; no factor is seen in real pictures."
    _, start, end = max(told, key=lambda one: abs(one[0]))
    return (
        f"Drawn pictures show {plain(end.factor)} in {100 * start.accuracy:.0f} % at epoch {first.epoch} and in "
        f"{100 * end.accuracy:.0f} % [{100 * end.low:.0f}, {100 * end.high:.0f}] at epoch {last.epoch} (chance "
        f"{100 * end.chance:.0f} %); {back}."
    )


def _is_seen(one: FactorFidelity) -> bool:
    return one.real_accuracy - one.chance > _SEEN
