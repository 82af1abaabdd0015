"""How typical an input is for what a representation knows, by a decoder that is conditioned on the representation.

A decoder (a diffusion model conditioned on the features of a layer) has learnt what pictures with such features look
like. It is given the picture with noise and the picture's own features, and says what the noise was: where it is wrong,
the picture does not look like what its features promise.

Source: N. Kalibhat, thesis (University of Maryland, 2024), section 8.2, proposes generative models conditioned on
semantic representations for that, since those without are known to rate pixels and not meaning; it gives no measure.
Here it is the error of the predicted noise, averaged over fixed steps, the loss that the decoder has learnt.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import RunOptions, decoder_pixels, load_conditioned_decoder
from torchmultiverse.documents import EncodedImage
from torchmultiverse.errors import DatasetError, ModelError
from torchmultiverse.evaluation import plain
from torchmultiverse.features import Features
from torchmultiverse.images import rgb, thumbnail
from torchmultiverse.models import Decoder, FloatArray
from torchmultiverse.progress import progress_bar
from torchmultiverse.stats import Intervals, mean_interval
from torchmultiverse.store import ImageSet, columns_of, dataset_name, open_images
from torchmultiverse.study import Bar, BarChart, Cell, ImageRow, Section
from torchmultiverse.trust.judgement import Judgement, judged
from torchmultiverse.trust.scored import CONFIDENCE, Q, Scored
from torchmultiverse.trust.trust_sections import by_level

STEPS = tuple(range(50, 1000, 100))
"""Of the 1,000 of the diffusion, at which the error is taken."""
MOST = 200
_BATCH = 64
TYPICAL, GAIN = "typicality", "gain by its features"


def noise_errors(
    decoder: Decoder, pixels: NDArray[np.uint8], vectors: FloatArray, seed: int = 0, quiet: bool = True,
    steps: tuple[int, ...] = STEPS,
) -> NDArray[np.float64]:  # fmt: skip
    """Return how wrong a decoder is about the noise in pictures, (N, steps): mean squared error, 1 for knowing nothing.

    All pictures get the same noise at the same step, so that they can be compared.

    Args:
        decoder: trained.
        pixels: uint8 (N, S, S, 3).
        vectors: features, (N, D).
        seed: of the noise.
        quiet: show no bar.
        steps: of the diffusion, 0 to 999.

    Raises:
        ModelError: pictures or vectors that do not fit the decoder.
    """
    import torch

    side, width = decoder.config.size, decoder.config.features
    if pixels.shape[1:] != (side, side, 3) or vectors.shape != (len(pixels), width):
        raise ModelError(
            f"pictures {pixels.shape} and vectors {vectors.shape} do not fit a decoder of {side} pixels and "
            f"{width} features"
        )
    where = decoder.device
    draws = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(steps), 3, side, side, generator=draws).to(where)
    out = np.empty((len(pixels), len(steps)))
    decoder.module.eval()
    with progress_bar(quiet) as progress, torch.inference_mode():
        bar = progress.add_task("typicality", total=len(pixels))
        for start in range(0, len(pixels), _BATCH):
            part = torch.from_numpy(pixels[start : start + _BATCH]).to(where).permute(0, 3, 1, 2).float() / 127.5 - 1
            condition = torch.from_numpy(np.ascontiguousarray(vectors[start : start + _BATCH], np.float32)).to(where)
            for k, step in enumerate(steps):
                at = torch.full((len(part),), step, device=where, dtype=torch.int64)
                drawn = noise[k].expand_as(part)
                found = decoder.predict(decoder.scheduler.add_noise(part, drawn, at), at, condition).float()[:, :3]
                out[start : start + len(part), k] = ((found - drawn) ** 2).mean((1, 2, 3)).cpu().numpy()
            progress.advance(bar, len(part))
    return out


@dataclass(frozen=True)
class Typicality:
    """How typical some test pictures are.

    Attributes:
        test: places among the test pictures, (P,).
        own: minus the error with the picture's own features, (P,): high for what is typical.
        gain: error with the features of another picture, less that with its own, (P,): what the features told of it.
        learnt: whether the decoder has learnt the picture, (P,).
        layer: that the decoder is conditioned on.
        other: name of the other pictures; "" where none were asked about.
        apart: how well each score tells these from the others, by score.
        others: pictures of the other dataset.
    """

    test: NDArray[np.int64]
    own: NDArray[np.float64]
    gain: NDArray[np.float64]
    learnt: NDArray[np.bool_]
    layer: str
    other: str
    apart: dict[str, Judgement | None]
    others: int


def measure_typicality(
    decoder: str | Path, weights: str, images: ImageSet, features: Features, found: Scored, unlike: Any, run: RunOptions
) -> Typicality:
    """Ask a decoder how typical the test pictures are, and the pictures of another dataset.

    Args:
        decoder: folder.
        weights: hash of the model's weights, which the decoder must be of.
        images: the dataset.
        features: of any layer: rows and columns.
        found: scores.
        unlike: other pictures; ``None`` for none.
        run: seed and so on.

    Raises:
        ModelError: no decoder there, or one of another model.
    """
    held = load_conditioned_decoder(decoder, images, run)
    if held.decoder.config.weights_sha256 != weights:
        raise ModelError(
            f"{decoder} is a decoder of '{held.decoder.config.model}', not of this model; train one with "
            "'torchmultiverse train decoder'"
        )
    rng = np.random.default_rng((run.seed, 4))
    rows = features.rows[found.rows]
    learnt = np.isin(rows, held.training_rows)
    # Those that it has not learnt first: what was learnt by heart looks typical.
    test = np.sort(np.lexsort((rng.random(len(rows)), learnt))[:MOST])
    own, gain = _of(held.decoder, images, held.vectors, rows[test], rng, run)
    name, apart, others = "", {}, 0
    if unlike is not None:
        second = open_images(unlike)
        theirs = load_conditioned_decoder(decoder, second, run)
        if len(second) < 2:
            raise DatasetError(f"{dataset_name(second)} has {len(second)} pictures; two are needed to compare with")
        chosen = np.sort(rng.permutation(len(second))[:MOST])
        other, other_gain = _of(theirs.decoder, second, theirs.vectors, chosen, rng, run)
        groups = np.concatenate([_codes(found.groups[test]), len(test) + _groups(second, found, chosen)])
        groups = _codes(groups)
        known = np.concatenate([np.ones(len(test), bool), np.zeros(len(chosen), bool)])
        both = {TYPICAL: np.concatenate([own, other]), GAIN: np.concatenate([gain, other_gain])}
        apart = {score: judged(values, known, groups, rng) for score, values in both.items()}
        name, others = dataset_name(second), len(chosen)
    return Typicality(test, own, gain, learnt[test], held.layer, name, apart, others)


def _codes(values: NDArray[Any]) -> NDArray[np.int64]:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _groups(images: ImageSet, found: Scored, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return groups of other pictures, by the same column where they have it; else each is one of its own."""
    columns = columns_of(images)
    return _codes(columns[found.parts.by][rows].astype(str)) if found.parts.by in columns else np.arange(len(rows))


def _of(
    decoder: Decoder, images: ImageSet, vectors: FloatArray, rows: NDArray[np.int64], rng: np.random.Generator,
    run: RunOptions,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    pixels = decoder_pixels(images, rows, decoder.config.size, run.quiet)
    mine = vectors[rows]
    own = noise_errors(decoder, pixels, mine, run.seed, run.quiet).mean(1)
    shift = int(rng.integers(1, max(2, len(rows))))  # no picture keeps its own
    exchanged = noise_errors(decoder, pixels, np.roll(mine, shift, 0), run.seed, run.quiet).mean(1)
    return -own, exchanged - own


def typicality_section(
    typical: Typicality, images: ImageSet, features: Features, label: str, factors: Any, found: Scored, seed: int
) -> Section:
    """Return the section: what typicality tells, by level, and the least and most typical pictures."""
    rng = np.random.default_rng((seed, 5))
    right, groups = found.right[typical.test], _codes(found.groups[typical.test])
    scores = {TYPICAL: typical.own, GAIN: typical.gain, Q: found.scores[Q][typical.test],
              CONFIDENCE: found.scores[CONFIDENCE][typical.test]}  # fmt: skip
    lines: list[dict[str, Cell]] = []
    bars = []
    for name, values in scores.items():
        for asked, one in (("the probe is right", judged(values, right, groups, rng)),
                           (f"is not of {typical.other}", typical.apart.get(name))):  # fmt: skip
            if one is None:
                continue
            lines.append(
                {
                    "score": name, "tells": asked, "AUROC %": one.roc, "low %": one.roc_low, "high %": one.roc_high,
                    "AUPRC %": one.precision, "AUPRC of chance %": one.chance, "n": one.images, "groups": one.groups,
                }
            )  # fmt: skip
            bars.append(Bar(name=name, value=one.roc, low=one.roc_low, high=one.roc_high, group=asked))
    levels = _levels(typical, features, label, factors, found)
    learnt = int(typical.learnt.sum())
    known = f" {learnt:,} of the {len(typical.test):,} pictures were learnt by the decoder." if learnt else (
        " The decoder has learnt none of the pictures."
    )  # fmt: skip
    return Section(
        title="How typical inputs are",
        about="A decoder that is conditioned on the features of "
        f"{typical.layer} is given each picture with noise, and its features. Typicality is minus the error of the "
        "noise that it predicts (mean of ten steps; −1 is knowing nothing). Plain pictures are easy to predict, "
        "whatever they show; the gain takes that away: how much larger the error is with features of another "
        f"picture.{known}" + ("" if typical.other else " Name other pictures with --unlike to see whether it tells."),
        charts=((BarChart(title="What it tells", y="AUROC", bars=tuple(bars), chance=0.5),) if bars else ()) + levels,
        table=tuple(lines), pictures=_pictures(typical, images, features, found),
    )  # fmt: skip


def _levels(typical: Typicality, features: Features, label: str, factors: Any, found: Scored) -> tuple[BarChart, ...]:
    bars: dict[str, list[Bar]] = {}
    groups = found.groups[typical.test]
    for name, level, mine in by_level(features, factors, found.rows[typical.test], (label, found.parts.by)):
        of = mean_interval(typical.own[mine], _codes(groups[mine]), Intervals())
        bars.setdefault(name, []).append(Bar(name=level, value=-of.mean, low=-of.high, high=-of.low))
    return tuple(
        BarChart(title=plain(name), y="error of the noise", bars=tuple(some), percent=False)
        for name, some in bars.items()
        if 2 <= len(some) <= 12
    )


def _pictures(typical: Typicality, images: ImageSet, features: Features, found: Scored) -> tuple[ImageRow, ...]:
    order = np.argsort(typical.own, kind="stable")
    rows = []
    for label, places in (("least typical", order[:8]), ("most typical", order[::-1][:8])):
        test = typical.test[places]
        asked = [int(features.rows[found.rows[k]]) for k in test]
        shown = tuple(EncodedImage(data=thumbnail(rgb(image))) for image in images.iter_images(asked))
        captions = tuple(f"{value:.3f}" for value in typical.own[places])
        rows.append(ImageRow(label=label, inputs=(), samples=shown, captions=captions))
    return tuple(rows)
