"""From errors under corruptions to a record that a page can show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from torchmultiverse.corruptions import CORRUPTIONS, IMAGENET_C, LEFT_OUT, SIDE
from torchmultiverse.documents import EncodedImage
from torchmultiverse.errors import DatasetError
from torchmultiverse.evaluation.corruption_errors import (
    PLAIN,
    Answers,
    Estimate,
    ModelErrors,
    against_published,
    common_answers,
    estimate,
    mean_error,
    mean_ratio,
    relative_corruption_error,
    rise,
)
from torchmultiverse.evaluation.corruption_run import CorruptionErrors, CorruptionOptions, errors_under_corruptions
from torchmultiverse.evaluation.imagenet_c import alexnet_errors, published_on_imagenet_c
from torchmultiverse.images import jpeg, rgb
from torchmultiverse.stats import Intervals
from torchmultiverse.store import CorruptedImages, ImageSet, open_images
from torchmultiverse.study import (
    Bar,
    BarChart,
    Cell,
    Chart,
    Heatmap,
    ImageRow,
    LineChart,
    Point,
    Section,
    Series,
    Study,
)

_SHOWN = 160  # pixels of pictures on the page
SOURCES = (
    "D. Hendrycks and T. Dietterich, Benchmarking neural network robustness to common corruptions and perturbations, "
    "ICLR 2019",
    "O. Kar et al., 3D common corruptions and data augmentation, CVPR 2022",
)


def evaluate_corruptions(
    dataset: str | Path | ImageSet,
    models: Any,
    options: CorruptionOptions | None = None,
    seed: int = 0,
    embeddings: str | Path | None = None,
    quiet: bool = False,
) -> Study:
    """Return the errors of models on plain and on corrupted pictures, as a record for a page.

    Args:
        dataset, models, options, seed, embeddings, quiet: as of `errors_under_corruptions`.

    Raises:
        DatasetError, ModelError, SpecError: as of `errors_under_corruptions`.

    Example:
        >>> from PIL import Image
        >>> from torchmultiverse.store import ImageList
        >>> pictures = [Image.new("RGB", (32, 32), 3 * (level,)) for level in (40, 60, 180, 200)]
        >>> rows = [{"character_name": name} for name in ("cat", "cat", "dog", "dog")]
        >>> def bright(images, captions):  # says dog to bright pictures
        ...     light = [np.asarray(image).mean() > 110 for image in images]
        ...     return np.array([[dog == ("dog" in caption) for caption in captions] for dog in light], float)
        >>> asked = CorruptionOptions("brightness,gaussian_blur", (5,))
        >>> study = evaluate_corruptions(ImageList(pictures, rows), bright, asked, quiet=True)
        >>> [(line["corruption"], line["error %"]) for line in study.sections[1].table]
        [('brightness', 0.5), ('gaussian_blur', 0.0)]
    """
    found = errors_under_corruptions(dataset, models, options, seed, embeddings, quiet)
    return corruption_study(found, Intervals(seed), dataset)


def corruption_study(
    found: CorruptionErrors, intervals: Intervals, dataset: str | Path | ImageSet | None = None
) -> Study:
    """Return what was found as a record.

    Args:
        found: errors.
        intervals: of the run.
        dataset: whose first picture is shown under every corruption; none is shown without it.
    """
    base = next((one for one in found.models if one.model == found.options.baseline), None)
    sections = [_overview(found, base, intervals), _by_type(found, base, intervals), _by_severity(found, intervals)]
    if not found.ready and dataset is not None:
        sections.append(_gallery(found, open_images(dataset)))
    if found.imagenet_c:
        sections += _published(found)
    first = found.models[0]
    groups = first.groups
    return Study(
        kind="corruptions", title=f"Corruptions of {found.dataset}", headline=_headline(found, intervals),
        models=tuple(one.model for one in found.models), dataset=found.dataset,
        facts={
            "pictures": first.pictures, "answers": first.answers, "groups that are resampled": groups,
            "corruptions": len(found.names),
            "severities": ", ".join(map(str, found.severities)), "question": first.question,
            "error of a blind guess": _percent(first.chance),
            "shorter side, pixels": "as it is" if found.ready or found.options.side is None else found.options.side,
            **({} if base is None else {"baseline": base.model}),
        },
        sections=tuple(sections), notes=tuple(_notes(found, base)), sources=SOURCES,
    )  # fmt: skip


def _headline(found: CorruptionErrors, intervals: Intervals) -> str:
    parts = []
    for one in found.models[:2]:
        under = estimate(one, intervals, mean_error(one.names, one.severities))
        plain = f"{_percent(one.errors()[PLAIN])} on plain pictures and " if PLAIN in one.conditions else ""
        parts.append(f"{one.model} errs on {plain}{_percent(*under)} under corruptions")
    return "; ".join(parts) + _costliest(found.models[0]) + "."


def _costliest(one: ModelErrors) -> str:
    """Say which type costs most; of types that cost alike, or nothing, say that."""
    if len(one.names) < 2:
        return ""
    errors = one.errors()
    means = {name: mean_error([name], one.severities)(errors) for name in one.names}
    most = max(means.values())
    if PLAIN in one.conditions and most <= errors[PLAIN] + 1e-9:
        return f"; no type makes {one.model} err more than on plain pictures"
    worst = [name for name, mean in means.items() if mean > most - 1e-9]
    if len(worst) == len(means):
        return f"; all {len(worst)} types cost {one.model} alike"
    if len(worst) > 1:
        named = ", ".join(worst[:3]) + (f" and {len(worst) - 3} others" if len(worst) > 3 else "")
        return f"; {len(worst)} types cost {one.model} most, alike: {named}"
    return f"; the costliest for {one.model} is {worst[0]}"


def _percent(value: float, low: float | None = None, high: float | None = None) -> str:
    text = f"{100 * value:.1f} %"
    return text if low is None or high is None else f"{text} [{100 * low:.1f}, {100 * high:.1f}]"


def _ends(name: str, found: Estimate | None) -> dict[str, Cell]:
    value, low, high = found if found is not None else (None, None, None)
    return {f"{name} %": value, "low %": low, "high %": high}


def _overview(found: CorruptionErrors, base: ModelErrors | None, intervals: Intervals) -> Section:
    """One table: the plain error, the mean error under corruptions, and errors relative to something named."""
    rows = []
    for one in found.models:
        under = estimate(one, intervals, mean_error(one.names, one.severities))
        plain = one.cells.get(PLAIN)
        row: dict[str, Cell] = {"model": one.model, "what": "plain error", **_ends("value", plain), **_counted(one)}
        rows += [row] if plain is not None else []
        rows.append(
            {"model": one.model, "what": "mean error under corruptions", **_ends("value", under), **_counted(one)}
        )
        if plain is not None:
            more = estimate(one, intervals, rise(one.names, one.severities), bounded=False)
            rows.append(
                {"model": one.model, "what": "rise above the plain error", **_ends("value", more), **_counted(one)}
            )
        if base is not None:
            rows.append({"model": one.model, "what": f"error relative to {base.model} (mean over corruptions)",
                         **_relative(one, base, intervals)})  # fmt: skip
        if found.imagenet_c:
            rows += _mce(one, intervals)
    about = "The mean is over corruptions and severities, each counted alike, and is divided by nothing"
    if base is not None:
        about += (
            f"; relative to {base.model} is the sum of errors over severities over the same sum of {base.model}, then "
            "the mean over corruptions, both on the pictures that both models were asked about: 100 is as often wrong"
        )
    return Section(title="How much corruptions cost", about=about + ".", table=tuple(rows))


def _counted(one: ModelErrors) -> dict[str, Cell]:
    return {"n": one.pictures, "answers": one.answers}


def _comparable(one: ModelErrors, base: ModelErrors) -> bool:
    try:
        common_answers(one, base)
    except DatasetError:
        return False
    return True


def _relative(one: ModelErrors, base: ModelErrors, intervals: Intervals) -> dict[str, Cell]:
    """Return the error relative to the baseline on the pictures of both, and how many these are."""
    if not _comparable(one, base):
        return {**_ends("value", None), "n": 0, "answers": 0}
    ratio = mean_ratio(one, base, intervals, one.names, one.severities)
    return {**_ends("value", ratio), **_counted(common_answers(one, base)[0])}


def _relative_notes(found: CorruptionErrors, base: ModelErrors) -> list[str]:
    """Say where errors relative to the baseline are of fewer pictures, of other choices, or of nothing."""
    notes = []
    for one in found.models:
        try:
            mine, theirs = common_answers(one, base)
        except DatasetError as error:
            notes.append(f"{one.model}: no error relative to {base.model}. {error}.")
            continue
        if mine.answers < max(one.answers, base.answers):
            notes.append(
                f"{one.model} relative to {base.model} is of the {mine.answers:,} answers that both gave, of "
                f"{one.answers:,} and {base.answers:,}; other rows are of all that a model was asked."
            )
        for own, other in zip(mine.tasks, theirs.tasks, strict=True):
            if own.setting != other.setting or abs(own.chance - other.chance) > 1e-9:
                notes.append(
                    f"{one.model} and {base.model} do not choose among the same classes in {own.task} "
                    f"({_space(own)}; {_space(other)}): their ratio compares these choices, too."
                )
    return notes


def _space(answers: Answers) -> str:
    return f"'{answers.setting}', where a blind guess errs on {100 * (1 - answers.chance):.4g} %"


def _mce(one: ModelErrors, intervals: Intervals) -> list[dict[str, Cell]]:
    """Return the mCE with AlexNet's published errors, and the relative one where plain pictures were asked."""
    alexnet, severities = alexnet_errors(), one.severities
    found = against_published(one, alexnet, intervals, IMAGENET_C, severities)
    rows: list[dict[str, Cell]] = [
        {"model": one.model, "what": "mCE (AlexNet is 100)", **_ends("value", found), **_counted(one)}
    ]
    if PLAIN in one.conditions:
        ratio = estimate(
            one, intervals, lambda e: relative_corruption_error(e, alexnet, IMAGENET_C, severities), bounded=False
        )
        rows.append(
            {"model": one.model, "what": "relative mCE (AlexNet is 100)", **_ends("value", ratio), **_counted(one)}
        )
    return rows


def _by_type(found: CorruptionErrors, base: ModelErrors | None, intervals: Intervals) -> Section:
    """Errors by corruption and severity."""
    rows: list[dict[str, Cell]] = []
    charts: list[Chart] = []
    for one in found.models:
        for name in one.names:
            under = estimate(one, intervals, mean_error([name], one.severities))
            line: dict[str, Cell] = {"model": one.model, "corruption": name, "family": CORRUPTIONS[name].family}
            line |= _ends("error", under)
            line |= {f"severity {s} %": one.cells[name, s].value for s in one.severities}
            if PLAIN in one.conditions:
                line["plain error %"] = one.cells[PLAIN].value
            if base is not None:
                ratio = mean_ratio(one, base, intervals, [name], one.severities) if _comparable(one, base) else None
                line[f"relative to {base.model} %"] = None if ratio is None else ratio.value
            line |= {**_counted(one), "chance %": one.chance}
            rows.append(line)
        charts.append(_heat(one))
    return Section(
        title="By type and severity",
        about="Error in percent: the mean over severities with its 95 % interval over groups, then each severity. "
        "Chance is the error of a blind guess: at and above it nothing is left to lose.",
        charts=tuple(charts), table=tuple(rows),
    )  # fmt: skip


def _heat(one: ModelErrors) -> Heatmap:
    plain = PLAIN in one.conditions
    columns = (("plain",) if plain else ()) + tuple(f"severity {s}" for s in one.severities)
    values = tuple(
        ((one.cells[PLAIN].value,) if plain else ()) + tuple(one.cells[name, s].value for s in one.severities)
        for name in one.names
    )
    return Heatmap(title=f"Error of {one.model}", rows=one.names, columns=columns, values=values)


def _by_severity(found: CorruptionErrors, intervals: Intervals) -> Section:
    """The mean over corruptions, by severity, and by family."""
    series, bars = [], []
    for one in found.models:
        plain = one.cells.get(PLAIN)
        points = [] if plain is None else [Point(x=0, y=plain.value, low=plain.low, high=plain.high)]
        for severity in one.severities:
            mean = estimate(one, intervals, mean_error(one.names, [severity]))
            points.append(Point(x=severity, y=mean.value, low=mean.low, high=mean.high))
        series.append(Series(name=one.model, points=tuple(points)))
        for family in dict.fromkeys(CORRUPTIONS[name].family for name in one.names):
            names = [name for name in one.names if CORRUPTIONS[name].family == family]
            mean = estimate(one, intervals, mean_error(names, one.severities))
            title = family if len(found.models) == 1 else f"{family}, {one.model}"
            bars.append(Bar(name=title, value=mean.value, low=mean.low, high=mean.high, group=one.model))
    chance = found.models[0].chance
    return Section(
        title="By severity and by family",
        about="Mean over corruptions at each severity (0: plain pictures), and over the corruptions of a family.",
        charts=(
            LineChart(title="Error by severity", x="severity", y="error", series=tuple(series), chance=chance),
            BarChart(title="Error by family", y="error", bars=tuple(bars), chance=chance),
        ),
    )  # fmt: skip


def _gallery(found: CorruptionErrors, images: ImageSet) -> Section:
    """The first picture under every corruption."""
    rows = []
    plain = CorruptedImages(images, side=found.options.side).image(0)
    for name in found.names:
        made = [
            CorruptedImages(images, name, severity, side=found.options.side).image(0) for severity in found.severities
        ]
        captions = tuple(f"severity {severity}" for severity in found.severities)
        rows.append(
            ImageRow(label=name, inputs=(page_image(plain),), samples=tuple(map(page_image, made)), captions=captions)
        )
    return Section(
        title="What a model was shown", about="The first picture, plain and corrupted.", pictures=tuple(rows)
    )


def page_image(image: Image.Image, side: int = _SHOWN) -> EncodedImage:
    """Return a picture as a page shows it: small, as a JPEG."""
    small = rgb(image)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return EncodedImage(data=jpeg(small, 85))


def _published(found: CorruptionErrors) -> list[Section]:
    """Published errors on ImageNet-C, apart from ours."""
    about = published_on_imagenet_c()
    errors = alexnet_errors()
    rows: list[dict[str, Cell]] = []
    for name in IMAGENET_C:
        each: Sequence[float] = [errors[name, s] for s in range(1, 6)]
        rows.append({"corruption": name, "AlexNet %": float(np.mean(each)),
                     **{f"severity {s} %": v for s, v in enumerate(each, 1)}})  # fmt: skip
    resnet = about["resnet50"]
    return [
        Section(
            title="Published: AlexNet, by which mCE divides", table=tuple(rows), reference=True,
            about=f"{about['source']}. Its plain error is {_percent(errors[PLAIN])}.",
        ),
        Section(
            title="Published: ResNet-50", reference=True, about=f"{resnet['source']}.",
            table=({"model": "ResNet-50", "plain error %": resnet["plain"], "mCE %": resnet["mce"]},),
        ),
    ]  # fmt: skip


def _notes(found: CorruptionErrors, base: ModelErrors | None) -> list[str]:
    notes = [f"{name}: not scored. {why}" for name, why in found.failed.items()]
    if found.ready:
        if PLAIN not in found.models[0].conditions:
            notes.append("The plain pictures were not given, so that nothing is said of the rise: --plain FOLDER.")
        if not found.imagenet_c:
            notes.append(
                "No mCE: it is of all 15 types and five severities of ImageNet-C, of ImageNet's classes by WordNet id."
            )
        else:
            notes.append("Two pairs of ImageNet's classes have one name (crane, maillot): either of a pair counts.")
    else:
        notes.append(
            "AlexNet's published errors are of ImageNet-C's pictures and are not applied to others"
            + (": errors are relative to a model of this run." if base is not None else ": name one with --baseline.")
        )
        if "frost" in found.names:
            notes.append("frost lays made ice over pictures, the source photographs of ice.")
        if found.options.side is not None:
            notes.append(
                f"Pictures were first resized so that the shorter side has {found.options.side} pixels, the plain ones "
                "too" + ("" if found.options.side == SIDE else f"; constants are for {SIDE} and were scaled") + "."
            )
        missing = [name for name, one in CORRUPTIONS.items() if one.needs_depth and name not in found.names]
        if missing and found.options.names == "all":
            notes.append(f"Not asked: {', '.join(missing)}: the pictures have no depth.")
        if any(CORRUPTIONS[name].needs_depth for name in found.names):
            notes.append(f"Of 3D Common Corruptions, {', '.join(LEFT_OUT)} are not built.")
    if base is not None:
        notes += _relative_notes(found, base)
    if found.models[0].answers > found.models[0].pictures:
        notes.append("n is pictures; 'answers' is summed over tasks, a picture counting in each that asks about it.")
    if any(one.groups < 4 for one in found.models):
        notes.append("There are too few groups (fewer than 4) for intervals of means: those columns are empty.")
    return [*notes, *found.notes]
