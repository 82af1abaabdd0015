"""From probes of layers under corruptions, and from conditions beside filters, to a record that a page can show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from torchmultiverse.analyze.corrupted_layers import CorruptedLayerOptions, CorruptedLayers, probe_corruptions
from torchmultiverse.analyze.filter_comparison import (
    DEEP,
    FLAT,
    PLAIN,
    REAL,
    WayErrors,
    chosen_conditions,
    compare_filters,
    condition_columns,
)
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.corruptions import CORRUPTIONS
from torchmultiverse.errors import counted
from torchmultiverse.evaluation import page_image, published_on_imagenet_c
from torchmultiverse.models import load_model
from torchmultiverse.stats import MIN_CLUSTERS, Intervals, Paired, mean_interval
from torchmultiverse.store import ImageSet, open_images
from torchmultiverse.study import Bar, BarChart, Cell, Heatmap, ImageRow, LineChart, Point, Section, Series, Study

_SOURCES = (
    "F. Bordes et al., Guillotine regularization: why removing layers is needed to improve generalization in "
    "self-supervised learning, TMLR 2023, table 1",
    "D. Hendrycks and T. Dietterich, Benchmarking neural network robustness to common corruptions and perturbations, "
    "ICLR 2019",
    "O. Kar et al., 3D common corruptions and data augmentation, CVPR 2022",
)


def analyze_corruptions(
    model: Any,
    dataset: str | Path | ImageSet,
    options: CorruptedLayerOptions | None = None,
    conditions: Sequence[str] | None = None,
    run: RunOptions | None = None,
) -> Study:
    """Return what corruptions cost at every layer, and conditions beside filters, as a record for a page.

    Args:
        model: a model string or model.
        dataset: folder of a dataset or of pictures in folders of classes, or an opened one.
        options: what is asked of layers.
        conditions: columns of rendered conditions that are compared with filters; by default all that vary and have
            scenes that differ in them alone; an empty list asks for none.
        run: seed, where features are kept, and whether bars are shown.

    Raises:
        DatasetError, ModelError, SpecError: as of `probe_corruptions` and `compare_filters`.
    """
    options, run = options or CorruptedLayerOptions(), run or RunOptions()
    loaded = load_model(model) if isinstance(model, str) else model
    images = open_images(dataset)
    if conditions:
        chosen_conditions(images, conditions)  # before every picture is read under every corruption
    found = probe_corruptions(loaded, images, options, run)
    ways: list[WayErrors] = []
    if conditions or (conditions is None and condition_columns(images)):
        last = found.layers[-1]
        ways = compare_filters(loaded, images, conditions, found.label, last, options.side, run)
    return layer_study(found, ways, Intervals(run.seed), options)


def layer_study(
    found: CorruptedLayers, ways: Sequence[WayErrors], intervals: Intervals, options: CorruptedLayerOptions
) -> Study:
    """Return what was found as a record."""
    means = [found.mean_error(layer, intervals) for layer in range(len(found.layers))]
    best, last = found.chosen, len(found.layers) - 1
    gap = found.against_last(best)
    error = _percent(means[best].mean, means[best].low, means[best].high)
    alike = max(one.mean for one in means) - min(one.mean for one in means) < 1e-9
    if alike and len(means) > 1:
        headline = f"Under corruptions {found.label} is read alike at all {len(means)} layers: error {error}"
    elif best != last and gap.clusters >= MIN_CLUSTERS and gap.high >= 0:
        headline = (
            f"Under corruptions no layer is surely better than the last for {found.label}; validation pictures choose "
            f"{found.layers[best]}: error {error}"
        )
    else:
        headline = (
            f"Under corruptions {found.label} is best read at {found.layers[best]}, as validation pictures say: error "
            f"{error}"
        )
    if best != last and not alike:
        headline += f", at the last layer ({found.layers[last]}) {_percent(means[last].mean)}"
        headline += f"; {_against_last(gap)}" if gap.clusters >= MIN_CLUSTERS else ""
    sections = [_layers(found, intervals)]
    sections += [_before_the_end(found)] if len(found.layers) > 1 else []
    sections += [_types(found, intervals)]
    sections += [_conditions(ways, intervals)] if ways else []
    return Study(
        kind="corrupted layers", title=f"Corruptions at every layer of {found.model}", headline=headline + ".",
        models=(found.model,), dataset=found.dataset,
        facts={
            "asked for": found.label, "training pictures": found.train, "test pictures": len(found.groups),
            "groups of test pictures": int(found.groups.max()) + 1,
            "pictures of one group are in one part": found.group_column or "rows, one by one",
            "corruptions": len(found.names), "severities": ", ".join(map(str, found.severities)),
            "error of the most frequent answer": _percent(found.chance),
            "shorter side, pixels": options.side or "as it is",
        },
        sections=(*sections, _published()), notes=tuple(_notes(found, ways)), sources=_SOURCES,
    )  # fmt: skip


def _against_last(gap: Paired) -> str:
    """Return the error of the chosen layer minus that of the last, signed as in the table."""
    return f"chosen minus last {100 * gap.mean:+.1f} points [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"


def _percent(value: float, low: float | None = None, high: float | None = None) -> str:
    text = f"{100 * value:.1f} %"
    return text if low is None or high is None else f"{text} [{100 * low:.1f}, {100 * high:.1f}]"


def _layers(found: CorruptedLayers, intervals: Intervals) -> Section:
    """Plain and mean corrupted errors by layer."""
    rows: list[dict[str, Cell]] = []
    plain, under, moved = [], [], []
    for place, layer in enumerate(found.layers):
        before = intervals.of_mean(found.plain[place], found.groups)
        mean = found.mean_error(place, intervals)
        value = float(found.plain[place].mean())
        shift = float(found.shift[:, :, place].mean())
        rows.append({
            "layer": layer, "error under corruptions %": mean.mean, "low %": mean.low, "high %": mean.high,
            "plain error %": value, "moved": shift, "penalty": found.penalties[place],
            "n": len(found.groups), "chance %": found.chance,
        })  # fmt: skip
        plain.append(Point(x=layer, y=value, low=before.low, high=before.high))
        under.append(Point(x=layer, y=mean.mean, low=mean.low, high=mean.high))
        moved.append(Point(x=layer, y=shift))
    return Section(
        title="Error by layer",
        about="A probe of each layer learns from plain pictures and is asked about the test pictures, plain and under "
        "every corruption; the mean over corruptions and severities is divided by nothing (unnormalised mCE). 'Moved' "
        "is how far corruption moves features: squared distance to those of the plain picture over that between two "
        "plain pictures; at 1 it is as far as another picture.",
        charts=(
            LineChart(title="Error by layer", x="layer", y="error", chance=found.chance,
                      series=(Series(name="under corruptions", points=tuple(under)),
                              Series(name="plain", points=tuple(plain), dashed=True))),
            LineChart(title="How far features move", x="layer", y="moved", percent=False,
                      series=(Series(name=found.model, points=tuple(moved)),)),
        ),
        table=tuple(rows),
    )  # fmt: skip


def _before_the_end(found: CorruptedLayers) -> Section:
    """Mean error of each layer minus that of the last."""
    rows: list[dict[str, Cell]] = []
    for place, layer in enumerate(found.layers[:-1]):
        gap = found.against_last(place)
        few = gap.clusters < MIN_CLUSTERS
        rows.append({
            "layer": layer, "minus the last layer %": gap.mean, "low %": None if few else gap.low,
            "high %": None if few else gap.high, "chosen by validation": "yes" if place == found.chosen else "",
            "n": len(found.groups),
        })  # fmt: skip
    return Section(
        title="Is it better to read before the end?",
        about=f"Mean error under corruptions at each layer minus that at the last, {found.layers[-1]}, on the same "
        "pictures: below 0 corrupted pictures are read better there. Of many layers some look better by luck; the one "
        "that the validation pictures chose does not.",
        table=tuple(rows),
    )  # fmt: skip


def _types(found: CorruptedLayers, intervals: Intervals) -> Section:
    """Errors by type and layer."""
    rows: list[dict[str, Cell]] = []
    for row, name in enumerate(found.names):
        last = found.wrong[row, :, -1].mean(0)
        mean = mean_interval(last, found.groups, intervals, (0.0, 1.0))
        line: dict[str, Cell] = {"corruption": name, "family": CORRUPTIONS[name].family, "last layer %": mean.mean,
                                 "low %": mean.low, "high %": mean.high}  # fmt: skip
        chosen = found.chosen_by_type[row]
        line["layer chosen by validation"] = found.layers[chosen]
        line["there %"] = float(found.wrong[row, :, chosen].mean())
        line |= {"plain, last layer %": float(found.plain[-1].mean()), "n": len(found.groups)}
        rows.append(line)
    values = tuple(tuple(found.wrong[row].mean((0, 2)).tolist()) for row in range(len(found.names)))
    shifts = tuple(tuple(found.shift[row].mean(0).tolist()) for row in range(len(found.names)))
    return Section(
        title="Error by corruption and layer",
        about="Mean over severities, of test pictures. The layer is the one that validation pictures under that type "
        "choose, at the middle severity, so that its error here is not flattered by the choice.",
        charts=(
            Heatmap(title="Error", rows=found.names, columns=found.layers, values=values),
            Heatmap(title="How features move", rows=found.names, columns=found.layers, values=shifts, percent=False),
        ),
        table=tuple(rows),
    )  # fmt: skip


def _conditions(ways: Sequence[WayErrors], intervals: Intervals) -> Section:
    """Rendered conditions beside filters of the same strength."""
    rows: list[dict[str, Cell]] = []
    for one in ways:
        known = one.wrong[~np.isnan(one.wrong)]
        groups = np.unique(one.groups[~np.isnan(one.wrong)], return_inverse=True)[1]
        ends = intervals.of_mean(known, groups) if len(known) else (None, None, "")
        moved = mean_interval(one.shift, one.groups, intervals)
        towards = one.direction[~np.isnan(one.direction)]
        rows.append({
            "condition": one.condition, "level": one.level, "way": one.way, "filter": one.filter,
            "error %": float(known.mean()) if len(known) else None, "low %": ends[0], "high %": ends[1],
            "moved": moved.mean, "low": moved.low, "high": moved.high,
            "direction": float(towards.mean()) if len(towards) and one.way != PLAIN else None,
            "severity": one.severity, "PSNR, dB": one.psnr, "contrast": one.contrast, "n": len(one.wrong),
        })  # fmt: skip
    return Section(
        title="Rendered conditions beside filters of the same strength",
        about="Each scene was rendered plain and with the condition; the plain picture was also changed by a filter at "
        "the severity at which it differs from the plain picture by as much (PSNR). Error is of probes of the last "
        "layer that learnt from other scenes, plain; 'moved' is the squared distance of features to those of the plain "
        "picture over that between two plain pictures; 'direction' is the cosine between that move and the move of "
        "what was rendered: at 1 the filter changes what the model sees as the condition does, at 0 it changes "
        "something else. Where the PSNR of a filter is not that of what was rendered, its severity is at an end (5, or "
        "15 of types that can go on): it could not be as strong.",
        charts=(_directions(ways), _moves(ways, intervals)), table=tuple(rows),
        pictures=tuple(_pictures(ways)),
    )  # fmt: skip


def _directions(ways: Sequence[WayErrors]) -> BarChart:
    """Whether filters move features where the rendered condition moves them."""
    bars = []
    for one in (one for one in ways if one.way in (FLAT, DEEP)):
        known = one.direction[~np.isnan(one.direction)]
        if len(known):
            name = f"{one.condition} {one.level}: {one.filter}"
            bars.append(Bar(name=name, value=float(known.mean()), group=one.way))
    return BarChart(title="Direction: cosine with the rendered move", y="cosine", bars=tuple(bars), percent=False)


def _moves(ways: Sequence[WayErrors], intervals: Intervals) -> BarChart:
    """How far features move in each way."""
    bars = []
    for one in (one for one in ways if one.way != PLAIN):
        moved = mean_interval(one.shift, one.groups, intervals)
        name = f"{one.condition} {one.level}: {one.filter or one.way}"
        bars.append(Bar(name=name, value=moved.mean, low=moved.low, high=moved.high, group=one.way))
    return BarChart(title="How far features move", y="moved", bars=tuple(bars), percent=False)


def _pictures(ways: Sequence[WayErrors]) -> list[ImageRow]:
    rows = []
    for key in dict.fromkeys((one.condition, one.level) for one in ways):
        mine = {one.way: one for one in ways if (one.condition, one.level) == key}
        shown = [mine[way] for way in (REAL, FLAT, DEEP) if way in mine]
        captions = tuple(f"{one.way}{f': {one.filter}' if one.filter else ''}" for one in shown)
        samples = tuple(page_image(Image.fromarray(one.example)) for one in shown)
        plain = page_image(Image.fromarray(mine[PLAIN].example))
        rows.append(ImageRow(label=f"{key[0]} {key[1]}", inputs=(plain,), samples=samples, captions=captions))
    return rows


def _published() -> Section:
    about = published_on_imagenet_c()["layers"]
    rows = tuple({"layer": layer, "error under corruptions %": value} for layer, value in about["errors"].items())
    return Section(title="Published: a supervised ResNet-50", about=f"{about['source']}.", table=rows, reference=True)


def _notes(found: CorruptedLayers, ways: Sequence[WayErrors]) -> list[str]:
    notes = [
        "Chance is an error here, that of the commonest answer: of always giving the most frequent answer of the test "
        "pictures (1 minus its share of them)."
    ]
    if int(found.groups.max()) + 1 < MIN_CLUSTERS:
        notes.append(
            f"The test pictures are of {counted(int(found.groups.max()) + 1, 'group')}: too few for differences."
        )
    if "frost" in found.names:
        notes.append("frost lays made ice over pictures, the source photographs of ice.")
    if not ways:
        notes.append(
            "No condition was compared with filters: the dataset has no two scenes that differ in one condition alone."
        )
    elif not any(one.way == DEEP for one in ways):
        notes.append("The pictures have no depth: conditions are compared with 2-D filters alone.")
    if any(one.condition in ("character_speed", "camera_shutter") for one in ways):
        notes.append("A moving object is blurred alone; both filters of motion move the whole picture.")
    return notes
