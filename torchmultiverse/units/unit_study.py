"""What the units of a layer detect, as a study: neurons, random directions and sparse latents side by side."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.analyze import RunOptions
from torchmultiverse.connect import check_engine
from torchmultiverse.documents import EncodedImage
from torchmultiverse.errors import counted
from torchmultiverse.evaluation import plain
from torchmultiverse.features import Features, features_of, last_of_trunk
from torchmultiverse.images import rgb, thumbnail
from torchmultiverse.models import load_model
from torchmultiverse.store import ImageSet, columns_of, dataset_name, label_column, open_images
from torchmultiverse.study import Bar, BarChart, Cell, ImageRow, LineChart, Point, Section, Series, Study
from torchmultiverse.train import SparseAutoencoder, kept_autoencoder, train_autoencoder
from torchmultiverse.units.detection import Concepts
from torchmultiverse.units.further import Further
from torchmultiverse.units.unit_kinds import Kind, UnitOptions, asked_of, concepts_of, factors_of, said

NEURONS, DIRECTIONS, LATENTS = "neurons", "random directions", "sparse latents"
_SHOWN = 40
_CARDS = 8
_PICTURES = 8
SOURCES = (
    "J. Mu, J. Andreas: Compositional explanations of neurons, NeurIPS 2020 (logical forms of concepts).",
    "N. Kalibhat et al.: Identifying interpretable subspaces in image representations, ICML 2023 (units, contrast).",
    "R. Selvaraju et al.: Grad-CAM, International Journal of Computer Vision 2020 (activation maps).",
    "M. Pach et al.: Sparse autoencoders learn monosemantic features in vision-language models, arXiv 2504.02821.",
    "L. Gao et al.: Scaling and evaluating sparse autoencoders, 2024 (TopK).",
)


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
        QuestionError: no such column (label, group).
        SettingError: no such engine.
        DatasetError: no factor that varies, or too few pictures.
    """
    options, run = options or UnitOptions(), run or RunOptions()
    loaded = load_model(model) if isinstance(model, str) else model
    images = open_images(dataset)
    _check(options, images)
    layer = options.layer or last_of_trunk(loaded)
    features = features_of(loaded, images, [layer], run.store, options.limit, run.seed, quiet=run.quiet)
    vectors = features.layers[layer]
    concepts = concepts_of(features, options.factors)
    kinds = [asked_of(NEURONS, vectors, concepts, options, run, 0)]
    rng = np.random.default_rng((run.seed, 1))
    count = vectors.shape[1] if options.directions is None else options.directions
    if count:
        directions = rng.normal(size=(vectors.shape[1], count)).astype(np.float32)
        kinds.append(asked_of(DIRECTIONS, (vectors - vectors.mean(0)) @ directions, concepts, options, run, 1))
    notes = []
    if options.latents:
        made = _autoencoder(vectors, features, layer, options, run, out)
        latents = made.encode(vectors)
        alive = (latents > 0).any(0)
        notes.append(
            f"{made.latents:,} latents, {made.active} active for each picture: {int((~alive).sum()):,} are never "
            f"active and left out; {made.unexplained(vectors):.1%} of the features' variance is lost."
        )
        kinds.append(asked_of(LATENTS, latents[:, alive], concepts, options, run, 2))
    lines = [line for kind in kinds for line in _lines(kind)]
    further = Further(loaded, layer, vectors, features, images, concepts, kinds[0], run, out)
    more, told = further.sections()
    study = _study(kinds, features, images, layer, concepts, [*notes, *told], lines)
    return study.model_copy(update={"sections": (*study.sections, *more)}), lines


def _check(options: UnitOptions, images: ImageSet) -> None:
    """Refuse names that are asked for late, before anything is computed."""
    columns, name = columns_of(images), dataset_name(images)
    if options.errors or options.label is not None:
        label_column(columns, options.label, name)
    if options.group not in ("auto", "rows"):
        label_column(columns, options.group, name, "--group")
    if options.scenes:
        check_engine(options.engine)


def _autoencoder(
    vectors: NDArray[np.float32], features: Features, layer: str, options: UnitOptions, run: RunOptions,
    out: str | Path | None,
) -> SparseAutoencoder:  # fmt: skip
    training = options.autoencoder.changed(width=options.latents, seed=run.seed)
    if out is None:
        return train_autoencoder(vectors, training, quiet=run.quiet)
    identity = {"model": features.model, "dataset": features.dataset, "layer": layer, "images": len(features)}
    return kept_autoencoder(vectors, training, Path(out) / "autoencoder", identity, run.quiet)


def _lines(kind: Kind) -> list[dict[str, Cell]]:
    found: list[dict[str, Cell]] = []
    for unit, alike in zip(kind.found.units, kind.semanticity, strict=True):
        known, held_out = bool(unit.expressions), kind.held_out[unit.unit]
        found.append(
            {
                "kind": kind.name, "unit": unit.unit, "detects": said(unit.expressions[0]) if known else "nothing",
                "AUROC": _known(held_out.area), "low": _known(held_out.low), "high": _known(held_out.high),
                "IoU": _known(held_out.overlap),
                "pictures (other half)": held_out.inside, "AUROC where searched": unit.areas[0] if known else None,
                "best single value": _known(held_out.single), "false-discovery rate": unit.q,
                "monosemanticity": float(alike), "detector": _told(kind, kind.detects(unit)),
                "explained": _told(kind, kind.explained(unit)),
            }
        )  # fmt: skip
    return found


def _study(
    kinds: Sequence[Kind], features: Features, images: ImageSet, layer: str, concepts: Concepts,
    notes: Sequence[str], lines: Sequence[Mapping[str, Cell]],
) -> Study:  # fmt: skip
    first, options = kinds[0], kinds[0].options
    units = len(first.found.units)
    detectors = [unit for unit in first.found.units if first.detects(unit)]
    explained = sum(first.explained(unit) for unit in first.found.units)
    tally = Counter(factors_of(unit) for unit in detectors)
    most = f"; most of them {plain(tally.most_common(1)[0][0])}" if tally else ""
    chance = f"at most {100 * options.rate:.0f} % of them by chance" if len(first.found.control) else "no control"
    headline = (
        f"{len(detectors):,} of {counted(units, 'unit')} of {layer} detect a value or two ({chance}){most}; "
        f"{explained:,} are explained by it."
    )
    if first.needed:
        headline = f"What the {counted(units, 'unit')} of {layer} detect cannot be told: {_too_few(first)}."
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
            *(f"{kind.name}: {_too_few(kind)}." for kind in kinds if kind.needed),
            *notes,
            "Expressions were searched on one half of the pictures, drawn at random; AUROC, its interval and IoU are "
            "those of the other half, which the search did not see; so is that of the best single value. A detector "
            "reaches the false-discovery rate where it was searched, and the interval of its AUROC is above 0.5.",
            "The control exchanges activations over pictures, and searches as long: what it finds is what the best of "
            "so many expressions reaches by chance. Pictures of one scene are not independent; where there are such, "
            "it is too narrow.",
            "A unit may detect what is no factor of these data: it then counts as unexplained. IoU is that of an "
            "expression's pictures with as many of the most active ones.",
        ),
        sources=SOURCES,
    )  # fmt: skip


def _too_few(kind: Kind) -> str:
    """Say why no unit can be a detector."""
    least = 1 / (1 + len(kind.found.control))
    return (
        f"too few permutations: with {kind.options.permutations} of {counted(len(kind.found.units), 'unit')} no "
        f"false-discovery rate is below {least:.2g}; for {kind.options.rate:g} at least {kind.needed} are needed "
        "(--permutations)"
    )


def _compared(kinds: Sequence[Kind]) -> Section:
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


def _told(kind: Kind, yes: bool) -> str:
    return "–" if kind.needed else "yes" if yes else "no"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _median(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return round(float(np.median(known)), 4) if len(known) else None


def _by_factor(kind: Kind) -> Section:
    units = [unit for unit in kind.found.units if kind.detects(unit)]
    total = max(len(kind.found.units), 1)
    tally = Counter(factors_of(unit) for unit in units).most_common(15)
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


def _table(kind: Kind, lines: Sequence[Mapping[str, Cell]]) -> Section:
    mine = [line for line in lines if line["kind"] == kind.name]
    mine.sort(key=lambda line: (line["detector"] == "no", -float(line["AUROC"] or 0)))
    left_out = ("kind", "AUROC where searched", "monosemanticity")
    return Section(
        title="The surest units",
        about=f"The {min(_SHOWN, len(mine))} units with the highest AUROC of {len(mine):,}; all are in units.csv.",
        table=tuple({name: value for name, value in line.items() if name not in left_out} for line in mine[:_SHOWN]),
    )


def _pictures(kind: Kind, images: ImageSet, features: Features) -> Section:
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
        rows.append(ImageRow(label=f"unit {unit.unit}: {said(unit.expressions[0])}", inputs=(), samples=tuple(found)))
    return Section(
        title="Their most active pictures",
        about="Of units that detect different things: the pictures that make them most active.",
        pictures=tuple(rows),
    )
