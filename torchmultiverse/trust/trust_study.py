"""Which pictures a probe of a layer can be trusted on, told without labels, as a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from torchmultiverse.analyze import RunOptions
from torchmultiverse.errors import QuestionError, TorchMultiverseError
from torchmultiverse.evaluation import plain
from torchmultiverse.features import Features, LayerExtractor, Sign, features_of, last_of_trunk, layers_of
from torchmultiverse.models import load_model
from torchmultiverse.store import ImageSet, label_column, open_images
from torchmultiverse.study import Cell, Section, Study
from torchmultiverse.trust.judgement import Judgement, judged
from torchmultiverse.trust.object_energy import (
    core_of,
    energy_levels_section,
    energy_section,
    measure_energy,
    require_masks,
)
from torchmultiverse.trust.scored import CONFIDENCE, SHUFFLED, Q, Scored, score_pictures
from torchmultiverse.trust.subset_probes import subset_accuracies, subset_section
from torchmultiverse.trust.trust_options import TrustOptions
from torchmultiverse.trust.trust_sections import (
    activity_section,
    compared_section,
    levels_section,
    pictures_section,
    published_section,
)
from torchmultiverse.trust.typicality import measure_typicality, typicality_section

_MOST_EMPTY = 0.5  # of test pictures without a score, above which nothing is concluded
_LOOKED_AT = 8  # pictures by which another layer is proposed
SOURCES = (
    "N. Kalibhat et al.: Measuring self-supervised representation quality for downstream classification using "
    "discriminative features, AAAI 2024.",
)


def study_trust(
    model: Any, dataset: str | Path | ImageSet, options: TrustOptions | None = None, run: RunOptions | None = None
) -> tuple[Study, list[dict[str, Cell]]]:
    """Ask whether the Q-Score, which sees no labels, tells which pictures a linear probe gets wrong.

    With exact masks also where in the picture the features are that speak for it; see `TrustOptions` for the rest.

    Args:
        model: a model string or model.
        dataset: folder of a dataset or of pictures, or an opened one.
        options: what is asked.
        run: seed, kept features, bars.

    Returns:
        The study, and a line for every test picture: row, score, whether the probe was right.

    Raises:
        ModelError: no such layer, or a decoder of another model.
        DatasetError: no such column, too few groups, or too few features for so high an epsilon.
    """
    options, run = options or TrustOptions(), run or RunOptions()
    loaded = load_model(model) if isinstance(model, str) else model
    images = open_images(dataset)
    layer = options.layer or last_of_trunk(loaded)
    features = features_of(loaded, images, [layer], run.store, options.limit, run.seed, quiet=run.quiet)
    vectors = features.layers[layer]
    sign = options.sign or ("positive" if float(vectors.min()) < 0 else "as it is")
    label = label_column(features.columns, options.label, features.dataset)
    found = score_pictures(vectors, features, label, sign, options, run.seed)
    rng = np.random.default_rng((run.seed, 2))
    judgements = {name: judged(scores, found.right, found.groups, rng) for name, scores in found.scores.items()}
    notes = _notes(loaded, images, layer, sign, found)
    sections = [compared_section(judgements, found), activity_section(found)]
    if options.subsets:
        results = subset_accuracies(found, options.band, np.random.default_rng((run.seed, 3)), run.quiet)
        sections.append(subset_section(results, found))
    else:
        notes.append("Whether the band is all that a probe needs was not asked; --subsets trains some fifty probes.")
    sections += levels_section(features, label, options.factors, found)
    sections += _energy(loaded, images, features, layer, label, sign, options, found, run, notes)
    if options.decoder is not None:
        weights = str(loaded.info.weights_sha256 or "")
        typical = measure_typicality(options.decoder, weights, images, features, found, options.unlike, run)
        sections.append(typicality_section(typical, images, features, label, options.factors, found, run.seed))
    elif options.unlike is not None:
        raise QuestionError("other pictures (--unlike) are compared by a decoder; name one with --decoder")
    sections += [*pictures_section(images, features, found), *published_section()]
    lines: list[dict[str, Cell]] = [
        {"row": int(features.rows[row]), "right": "yes" if right else "no"}
        | {name: float(scores[k]) for name, scores in found.scores.items()}
        for k, (row, right) in enumerate(zip(found.rows, found.right, strict=True))
    ]
    return Study(
        kind="trust", title=f"Which pictures {features.model} can be trusted on",
        headline=_headline(label, options, found, judgements), models=(features.model,), dataset=features.dataset,
        facts=_facts(features, layer, label, options, found), sections=tuple(sections), notes=tuple(notes),
        sources=SOURCES,
    ), lines  # fmt: skip


def _energy(
    loaded: Any, images: ImageSet, features: Features, layer: str, label: str, sign: Sign, options: TrustOptions,
    found: Scored, run: RunOptions, notes: list[str],
) -> list[Section]:  # fmt: skip
    """Return the sections about exact masks; none, and a note why, where they cannot be asked."""
    if not options.maps:
        return []
    core = core_of(label) if options.core is None else options.core
    rng = np.random.default_rng((run.seed, 6))
    try:
        require_masks(images)
    except TorchMultiverseError as error:
        notes.append(f"Core and spurious energy cannot be asked: {error}.")
        return []
    if not found.known.any():
        notes.append("Core and spurious energy was not asked: no test picture has an active discriminative feature.")
        return []
    try:
        energy = measure_energy(
            loaded, layer, images, features.rows, found, sign, core, options.maps, rng, run.quiet
        )  # fmt: skip
    except TorchMultiverseError as error:
        notes.append(f"Core and spurious energy cannot be asked: {error}.")
        return []
    levels = energy_levels_section(energy, features, label, options.factors, found)
    return [energy_section(energy, found), *levels]


def _headline(
    label: str, options: TrustOptions, found: Scored, judgements: Mapping[str, Judgement | None]
) -> str:  # fmt: skip
    mine, accuracy = judgements[Q], float(found.right.mean())
    if found.empty > _MOST_EMPTY:
        return (
            f"The Q-Score says nothing here: {found.empty:.0%} of the test pictures have no active feature that is "
            f"discriminative. Try a lower --epsilon, now {options.epsilon:g}, or another band (--low, --high)."
        )
    if mine is None:
        return f"The probe of {plain(label)} is right about {accuracy:.0%} of the pictures: nothing is left to tell."
    tells = "tells" if mine.roc_low > 0.5 else "tells the wrong way round" if mine.roc_high < 0.5 else "does not tell"
    said = (
        f"The Q-Score {tells} which pictures a probe of {plain(label)} gets right: AUROC {100 * mine.roc:.1f} % "
        f"[{100 * mine.roc_low:.1f}, {100 * mine.roc_high:.1f}], chance 50 %"
    )
    beside = {"a shuffled band": judgements[SHUFFLED], "the probe's own confidence": judgements[CONFIDENCE]}
    told = [f"{name}: {100 * one.roc:.1f} %" for name, one in beside.items() if one is not None]
    return "; ".join([said, *told]) + "."


def _facts(features: Features, layer: str, label: str, options: TrustOptions, found: Scored) -> dict[str, Cell]:
    by = found.parts.by
    return {
        "layer": layer, "probe": f"logistic regression of {plain(label)}", "classes": len(found.target.levels),
        "accuracy": f"{100 * float(found.right.mean()):.1f} %", "test pictures": len(found.rows),
        "training pictures": len(found.parts.train), "groups": len(np.unique(found.groups)),
        "grouped by": plain(by) if by else "nothing", "epsilon": options.epsilon,
        "band": f"{options.band[0]:g} to {options.band[1]:g} ({options.of})",
        "discriminative features": int(found.band.sum()),
        "of them never active": int((found.band & (found.active.activity() == 0)).sum()),
        "features": found.active.size, "test pictures without a score": f"{100 * found.empty:.1f} %",
    }  # fmt: skip


def _notes(loaded: Any, images: ImageSet, layer: str, sign: Sign, found: Scored) -> list[str]:
    dead = float((found.active.activity() == 0).mean())
    notes = [
        "The score needs no labels, but a representation whose units mean something each: rotate it and the score says "
        "nothing, while the probe stays the same. Where what all pictures share carries the length of the vectors it "
        "fails too: compare with the confidence, which needs labels of other pictures.",
        f"{found.empty:.1%} of the test pictures have no discriminative active feature: their score is 0. "
        f"{dead:.1%} of the features are never active.",
    ]
    if sign != "as it is":
        part = "size" if sign == "absolute" else "positive part"
        other = _positive_layer(loaded, images, layer)
        better = f" --layer {other} has none that is negative." if other else ""
        notes.insert(
            0, f"Some features are negative: their {part} was taken, for which the source makes no claim.{better}"
        )
    return notes


def _positive_layer(loaded: Any, images: ImageSet, layer: str) -> str:
    """Return the last layer before this one that is not negative for the first pictures; "" where there is none."""
    names = [one.name for one in layers_of(loaded) if one.size > 1]
    before = names[: names.index(layer)] if layer in names else []
    if not before:
        return ""
    few = list(images.iter_images(range(min(_LOOKED_AT, len(images)))))
    made = zip(before, LayerExtractor(loaded, before)(few), strict=True)
    return next((name for name, values in reversed(list(made)) if float(values.min()) >= 0), "")
