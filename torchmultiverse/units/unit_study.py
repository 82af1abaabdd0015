"""What the units of a layer detect, as a study: neurons, random directions and sparse latents side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import RunOptions, factor_target
from torchmultiverse.documents import EncodedImage
from torchmultiverse.errors import counted
from torchmultiverse.evaluation import plain
from torchmultiverse.features import FeatureCache, Features, factor_names, features_of, last_of_trunk
from torchmultiverse.images import rgb, thumbnail
from torchmultiverse.models import load_model
from torchmultiverse.progress import progress_bar
from torchmultiverse.stats import auc_interval, auc_of
from torchmultiverse.store import ImageSet, open_images
from torchmultiverse.study import Bar, BarChart, Cell, ImageRow, LineChart, Point, Section, Series, Study
from torchmultiverse.train import AutoencoderTraining, SparseAutoencoder, kept_autoencoder, train_autoencoder
from torchmultiverse.units.detection import Concepts, Detections, Expression, UnitDetections, detect, parts
from torchmultiverse.units.semanticity import factor_embeddings, monosemanticity
from torchmultiverse.units.word_study import words_section

NEURONS, DIRECTIONS, LATENTS = "neurons", "random directions", "sparse latents"
_BINS = 8
_SHOWN = 40
_CARDS = 8
_PICTURES = 8
_IN_WORDS = 100
SOURCES = (
    "J. Mu, J. Andreas: Compositional explanations of neurons, NeurIPS 2020 (logical forms of concepts).",
    "N. Kalibhat et al.: Identifying interpretable subspaces in image representations, ICML 2023 (units, contrast).",
    "M. Pach et al.: Sparse autoencoders learn monosemantic features in vision-language models, arXiv 2504.02821.",
    "L. Gao et al.: Scaling and evaluating sparse autoencoders, 2024 (TopK).",
)


@dataclass(frozen=True)
class UnitOptions:
    """What is asked of units.

    Attributes:
        layer: whose units; the last before the head by default.
        factors: columns; all that vary by default.
        pairs: also two values joined by and, or, and not.
        permutations: of the control.
        rate: false-discovery rate at which a unit counts as a detector.
        explained_area, explained_overlap: AUROC, or intersection over union, from which a unit counts as explained.
        latents: sparse latents, as a multiple of the units; 0 for none.
        autoencoder: how they are trained.
        directions: random directions to compare with; as many as units by default, 0 for none.
        limit: so many pictures at most.
        words: an image-text model, or its string, whose captions put the surest units into words; none by default.
    """

    layer: str | None = None
    factors: Sequence[str] | None = None
    pairs: bool = True
    permutations: int = 100
    rate: float = 0.05
    explained_area: float = 0.9
    explained_overlap: float = 0.5
    latents: int = 0
    autoencoder: AutoencoderTraining = field(default_factory=AutoencoderTraining)
    directions: int | None = None
    limit: int | None = None
    words: Any = None


def concepts_of(features: Features, factors: Sequence[str] | None = None) -> Concepts:
    """Return the values of the factors of a dataset; numbers of many levels in eight ranges of as many pictures each.

    Args:
        features: with the columns.
        factors: columns; all that vary by default.

    Raises:
        DatasetError: no such column, or none that varies.
    """
    found: dict[str, tuple[NDArray[np.int64], Sequence[str]]] = {}
    for name in factor_names(features, factors):
        target = factor_target(features.columns, name)
        if target.numbers is None:
            found[name] = target.codes, target.levels
            continue
        numbers = features.columns[name].astype(np.float64)
        known = numbers[np.isfinite(numbers)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1))) if len(known) else np.zeros(0)
        if len(edges) < 3:
            continue
        codes = np.clip(np.searchsorted(edges, numbers, "right") - 1, 0, len(edges) - 2)
        names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
        if len(known) < len(numbers):
            codes[~np.isfinite(numbers)] = len(names)
            names.append("none")
        found[name] = codes, names
    return Concepts(found)


@dataclass(frozen=True)
class _HeldOut:
    """What a unit's best expression says of pictures that were not searched.

    Attributes:
        area: AUROC; not a number where too few have, or have not, the expression.
        overlap: intersection over union with as many of the most active ones.
        inside, outside: how many have the expression, and have not.
    """

    area: float = math.nan
    overlap: float = math.nan
    inside: int = 0
    outside: int = 0


@dataclass(frozen=True)
class _Kind:
    """Units of one kind and what they detect."""

    name: str
    activations: NDArray[np.float32]
    found: Detections
    held_out: Sequence[_HeldOut]
    options: UnitOptions
    semanticity: NDArray[np.float64]

    def detects(self, unit: UnitDetections) -> bool:
        """Tell whether a unit is a detector at the asked rate."""
        return bool(unit.expressions) and (np.isnan(unit.q) or unit.q <= self.options.rate)

    def explained(self, unit: UnitDetections) -> bool:
        """Tell whether its expression says enough of when it is active."""
        held_out = self.held_out[unit.unit]
        return self.detects(unit) and (
            held_out.area >= self.options.explained_area or held_out.overlap >= self.options.explained_overlap
        )

    def share(self, explained: bool = False) -> float:
        """Return the share of units that are detectors, or explained ones."""
        told = self.explained if explained else self.detects
        return float(np.mean([told(unit) for unit in self.found.units]))

    def areas(self) -> NDArray[np.float64]:
        """Return the AUROC of each unit's best expression in the other half; 1/2 where it cannot be told."""
        return np.asarray(np.nan_to_num(np.array([one.area for one in self.held_out]), nan=0.5))


def study_units(
    model: Any,
    dataset: str | Path | ImageSet,
    options: UnitOptions | None = None,
    run: RunOptions | None = None,
    out: str | Path | None = None,
) -> tuple[Study, list[dict[str, Cell]]]:
    """Ask what each unit of a layer detects.

    Args:
        model: a model string or model.
        dataset: folder of a dataset or of pictures, or an opened one; its columns are the factors.
        options: what is asked.
        run: seed, kept features, bars.
        out: folder in which a trained autoencoder is kept, and an interrupted one goes on.

    Returns:
        The study, and a line for every unit.

    Raises:
        ModelError: no such layer.
        DatasetError: no factor that varies, or too few pictures.
    """
    options, run = options or UnitOptions(), run or RunOptions()
    loaded = load_model(model) if isinstance(model, str) else model
    images = open_images(dataset)
    layer = options.layer or last_of_trunk(loaded)
    features = features_of(loaded, images, [layer], run.store, options.limit, run.seed, quiet=run.quiet)
    vectors = features.layers[layer]
    concepts = concepts_of(features, options.factors)
    kinds = [_asked(NEURONS, vectors, concepts, options, run, 0)]
    rng = np.random.default_rng((run.seed, 1))
    count = vectors.shape[1] if options.directions is None else options.directions
    if count:
        directions = rng.normal(size=(vectors.shape[1], count)).astype(np.float32)
        kinds.append(_asked(DIRECTIONS, (vectors - vectors.mean(0)) @ directions, concepts, options, run, 1))
    notes = []
    if options.latents:
        made = _autoencoder(vectors, features, layer, options, run, out)
        latents = made.encode(vectors)
        alive = (latents > 0).any(0)
        notes.append(
            f"{made.latents:,} latents, {made.active} active for each picture: {int((~alive).sum()):,} are never "
            f"active and left out; {made.unexplained(vectors):.1%} of the features' variance is lost."
        )
        kinds.append(_asked(LATENTS, latents[:, alive], concepts, options, run, 2))
    lines = [line for kind in kinds for line in _lines(kind)]
    words = [] if options.words is None else [_words(kinds[0], features, images, concepts, options, run)]
    study = _study(kinds, features, images, layer, concepts, notes, lines)
    return study.model_copy(update={"sections": (*study.sections, *words)}), lines


def _words(
    kind: _Kind, features: Features, images: ImageSet, concepts: Concepts, options: UnitOptions, run: RunOptions
) -> Section:
    """Return what an image-text model says of the surest detectors."""
    model = load_model(options.words) if isinstance(options.words, str) else options.words
    store = FeatureCache(run.store) if isinstance(run.store, str | Path) else run.store
    area = kind.areas()
    surest = sorted((unit for unit in kind.found.units if kind.detects(unit)), key=lambda unit: -area[unit.unit])
    rng = np.random.default_rng((run.seed, 3))
    return words_section(
        surest[:_IN_WORDS], kind.activations, concepts, images, features.rows, model, rng, store, run.quiet
    )


def _asked(
    name: str, activations: NDArray[Any], concepts: Concepts, options: UnitOptions, run: RunOptions, stream: int
) -> _Kind:
    units = activations.shape[1]
    with progress_bar(run.quiet) as bar:
        total = parts(concepts, units, options.pairs, options.permutations, 64)
        task = bar.add_task(f"what {name} detect", total=total)
        rng = np.random.default_rng((run.seed, 10 + stream))
        rows = np.random.default_rng(run.seed).permutation(concepts.images)  # the same halves for all kinds
        searched, other = np.sort(rows[: (len(rows) + 1) // 2]), np.sort(rows[(len(rows) + 1) // 2 :])
        found = detect(
            activations[searched], concepts.some(searched), rng, options.pairs, options.permutations,
            advance=lambda count: bar.advance(task, count),
        )  # fmt: skip
    rest = concepts.some(other)
    held_out = [_confirmed(activations[other, unit.unit], unit, rest) for unit in found.units]
    alike = monosemanticity(activations, factor_embeddings(concepts.codes))
    return _Kind(name, np.asarray(activations, np.float32), found, held_out, options, alike)


def _confirmed(activations: NDArray[Any], unit: UnitDetections, concepts: Concepts) -> _HeldOut:
    """Return what a unit's best expression says of other pictures."""
    if not unit.expressions:
        return _HeldOut()
    members = concepts.members(unit.expressions[0])
    inside, outside = int(members.sum()), int((~members).sum())
    if min(inside, outside) < 2:
        return _HeldOut(inside=inside, outside=outside)
    area = auc_of(activations[members].astype(np.float64), activations[~members].astype(np.float64))
    hits = int(members[np.argsort(-activations, kind="stable")[:inside]].sum())
    return _HeldOut(area, hits / (2 * inside - hits), inside, outside)


def _autoencoder(
    vectors: NDArray[np.float32], features: Features, layer: str, options: UnitOptions, run: RunOptions,
    out: str | Path | None,
) -> SparseAutoencoder:  # fmt: skip
    training = options.autoencoder.changed(width=options.latents, seed=run.seed)
    if out is None:
        return train_autoencoder(vectors, training, quiet=run.quiet)
    identity = {"model": features.model, "dataset": features.dataset, "layer": layer, "images": len(features)}
    return kept_autoencoder(vectors, training, Path(out) / "autoencoder", identity, run.quiet)


def _lines(kind: _Kind) -> list[dict[str, Cell]]:
    found: list[dict[str, Cell]] = []
    for unit, alike in zip(kind.found.units, kind.semanticity, strict=True):
        known, held_out = bool(unit.expressions), kind.held_out[unit.unit]
        ends: tuple[float | None, float | None] = (None, None)
        if held_out.area == held_out.area:
            ends = auc_interval(held_out.area, held_out.inside, held_out.outside)
        found.append(
            {
                "kind": kind.name, "unit": unit.unit, "detects": _said(unit.expressions[0]) if known else "nothing",
                "AUROC": _known(held_out.area), "low": ends[0], "high": ends[1], "IoU": _known(held_out.overlap),
                "pictures (other half)": held_out.inside, "AUROC where searched": unit.areas[0] if known else None,
                "best single value": unit.best_single, "false-discovery rate": unit.q, "monosemanticity": float(alike),
                "detector": "yes" if kind.detects(unit) else "no", "explained": "yes" if kind.explained(unit) else "no",
            }
        )  # fmt: skip
    return found


def _study(
    kinds: Sequence[_Kind], features: Features, images: ImageSet, layer: str, concepts: Concepts,
    notes: Sequence[str], lines: Sequence[Mapping[str, Cell]],
) -> Study:  # fmt: skip
    first, options = kinds[0], kinds[0].options
    units = len(first.found.units)
    detectors = [unit for unit in first.found.units if first.detects(unit)]
    explained = sum(first.explained(unit) for unit in first.found.units)
    tally = Counter(_factors(unit) for unit in detectors)
    most = f"; most of them {plain(tally.most_common(1)[0][0])}" if tally else ""
    headline = (
        f"{len(detectors):,} of {counted(units, 'unit')} of {layer} detect a value or two (at most "
        f"{100 * options.rate:.0f} % "
        f"of them by chance){most}; {explained:,} are explained by it."
    )
    return Study(
        kind="units", title=f"What the units of {features.model} detect", headline=headline, models=(features.model,),
        dataset=features.dataset,
        facts={
            "layer": layer, "pictures": len(features), "factors": ", ".join(map(plain, concepts.names)),
            "values": len(concepts.values), "chance (AUROC of one expression)": 0.5,
            "control (median best AUROC)": _median(first.found.control),
            "permutations": options.permutations, "false-discovery rate": options.rate,
            "explained from (AUROC)": options.explained_area, "explained from (IoU)": options.explained_overlap,
        },
        sections=(_compared(kinds), _by_factor(first), _table(first, lines), _pictures(first, images, features)),
        notes=(
            *notes,
            "Expressions were searched on one half of the pictures, drawn at random; AUROC, its interval and IoU are "
            "those of the other half, which the search did not see.",
            "The control exchanges activations over pictures, and searches as long: what it finds is what the best of "
            "so many expressions reaches by chance. Pictures of one scene are not independent; where there are such, "
            "it is too narrow.",
            "A unit may detect what is no factor of these data: it then counts as unexplained. IoU is that of an "
            "expression's pictures with as many of the most active ones.",
        ),
        sources=SOURCES,
    )  # fmt: skip


def _said(expression: Expression) -> str:
    """Return an expression as people say it."""
    first = f"{plain(expression.first[0])} {expression.first[1]}"
    if expression.second is None:
        return first
    return f"{first} {expression.operator} {plain(expression.second[0])} {expression.second[1]}"


def _factors(unit: UnitDetections) -> str:
    best = unit.expressions[0]
    names = [best.first[0], *([best.second[0]] if best.second else [])]
    return " and ".join(plain(name) for name in dict.fromkeys(names))


def _compared(kinds: Sequence[_Kind]) -> Section:
    shares = np.linspace(0, 1, 41)

    def line(name: str, areas: NDArray[np.float64], dashed: bool = False) -> Series:
        points = (Point(x=round(100 * s, 1), y=float(np.quantile(areas, 1 - s))) for s in shares)
        return Series(name=name, points=tuple(points), dashed=dashed)

    series = [line(kind.name, kind.areas()) for kind in kinds]
    if len(kinds[0].found.control):
        series.append(line("control", kinds[0].found.control, dashed=True))
    table: list[dict[str, Cell]] = [
        {
            "units": kind.name, "number": len(kind.found.units), "detectors %": kind.share(),
            "explained %": kind.share(True), "median AUROC": float(np.median(kind.areas())),
            "control (median AUROC)": _median(kind.found.control),
            "median monosemanticity": _median(kind.semanticity),
        }
        for kind in kinds
    ]  # fmt: skip
    return Section(
        title="How well anything is detected",
        about="The AUROC of each unit's best expression, the best first. Random directions show what any direction of "
        "the layer detects. Monosemanticity: how alike, in their factors, the pictures are that make a unit active.",
        charts=(
            LineChart(
                title="AUROC by share of units", x="share of units, %", y="AUROC", series=tuple(series),
                percent=False, chance=0.5,
            ),
        ),
        table=tuple(table),
    )  # fmt: skip


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _median(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else None


def _by_factor(kind: _Kind) -> Section:
    units = [unit for unit in kind.found.units if kind.detects(unit)]
    total = max(len(kind.found.units), 1)
    tally = Counter(_factors(unit) for unit in units).most_common(15)
    forms = Counter(unit.expressions[0].operator or "one value" for unit in units)
    return Section(
        title="What is detected",
        about="The factors of each detector's best expression, and its form.",
        charts=(
            BarChart(
                title="Factors", y="share of units",
                bars=tuple(Bar(name=name, value=count / total) for name, count in tally),
            ),
            BarChart(
                title="Forms", y="share of units",
                bars=tuple(Bar(name=name, value=forms[name] / total) for name in ("one value", "and", "or", "and not")),
            ),
        ),
    )  # fmt: skip


def _table(kind: _Kind, lines: Sequence[Mapping[str, Cell]]) -> Section:
    mine = [line for line in lines if line["kind"] == kind.name]
    mine.sort(key=lambda line: (line["detector"] == "no", -float(line["AUROC"] or 0)))
    left_out = ("kind", "AUROC where searched", "monosemanticity")
    return Section(
        title="The surest units",
        about=f"The {min(_SHOWN, len(mine))} units with the highest AUROC of {len(mine):,}; all are in units.csv.",
        table=tuple({name: value for name, value in line.items() if name not in left_out} for line in mine[:_SHOWN]),
    )


def _pictures(kind: _Kind, images: ImageSet, features: Features) -> Section:
    area = kind.areas()
    best = sorted((u for u in kind.found.units if kind.detects(u)), key=lambda u: -area[u.unit])
    seen: set[str] = set()
    rows: list[ImageRow] = []
    for unit in best:
        name = str(unit.expressions[0])
        if name in seen or len(rows) == _CARDS:  # what several units detect is shown once
            continue
        seen.add(name)
        order = np.argsort(-kind.activations[:, unit.unit], kind="stable")[:_PICTURES]
        asked = [int(features.rows[k]) for k in order]
        found = [EncodedImage(data=thumbnail(rgb(image))) for image in images.iter_images(asked)]
        rows.append(ImageRow(label=f"unit {unit.unit}: {_said(unit.expressions[0])}", inputs=(), samples=tuple(found)))
    return Section(
        title="Their most active pictures",
        about="Of units that detect different things: the pictures that make them most active.",
        pictures=tuple(rows),
    )
