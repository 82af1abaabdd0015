"""Head against trunk over many settings of the training: does the head say how good the trunk is?

Encoders are trained with other values of one setting at a time, or of all combinations, and all factors are read at
the trunk and at the end of the head. Where the head swings and the trunk does not, what is read at the head is no guide
to which setting is best. Widths and depths of backbone and head are settings as well.

Source: F. Bordes et al., *Guillotine regularization*, TMLR 2023, figures 5 and B6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from torchmultiverse.analyze.layer_accuracy import LayerGap, Reading, layer_readings
from torchmultiverse.analyze.misalignment import halves, seeded
from torchmultiverse.analyze.options import RunOptions
from torchmultiverse.analyze.published import published_sections
from torchmultiverse.analyze.trainings import group_notes, mean_gap, mean_reading
from torchmultiverse.errors import DivergedError, ModelError, SettingError, counted
from torchmultiverse.evaluation import plain
from torchmultiverse.features import features_of
from torchmultiverse.paths import component
from torchmultiverse.stats import LEVEL, MIN_PAIRS, holm, pearson, unequal_spread
from torchmultiverse.store import ImageSubset, dataset_name, open_images
from torchmultiverse.study import COMMONEST, Cell, Chart, LineChart, Point, ScatterChart, Section, Series, Study
from torchmultiverse.train import EncoderTraining, parse_setting, train_encoder

_EQUAL = 1e-12
"""Range up to which values are equal."""


@dataclass(frozen=True)
class GridOptions:
    """What is varied, and what is read.

    Attributes:
        vary: values as text by setting of the training, or ``option.NAME`` of the loss.
        cross: all combinations, rather than one setting at a time with the others at their base.
        seeds: encoders of each setting.
        factors: columns; all that vary by default.
        group: see `torchmultiverse.analyze.layer_accuracy.probe_layers`.
        label: column of classes, for ``supervised``.
    """

    vary: Mapping[str, Sequence[str]]
    cross: bool = False
    seeds: int = 1
    factors: Sequence[str] | None = None
    group: str = "auto"
    label: str | None = None


@dataclass(frozen=True)
class GridPoint:
    """One training of the grid.

    Attributes:
        values: of what is varied, as text.
        training: its settings.
    """

    values: Mapping[str, str]
    training: EncoderTraining

    @property
    def name(self) -> str:
        """The values in words."""
        return ", ".join(f"{name}={value}" for name, value in self.values.items())


def grid_points(base: EncoderTraining, vary: Mapping[str, Sequence[str]], cross: bool = False) -> list[GridPoint]:
    """Return the trainings of a grid, each once.

    Args:
        base: settings of all.
        vary: values as text by setting.
        cross: all combinations.

    Raises:
        ModelError: nothing to vary, or no such setting or value.

    >>> [one.name for one in grid_points(EncoderTraining(), {"epochs": ["1", "2"], "size": ["32"]})]
    ['epochs=1', 'epochs=2', 'size=32']
    >>> [one.name for one in grid_points(EncoderTraining(), {"epochs": ["1", "2"], "size": ["32"]}, cross=True)]
    ['epochs=1, size=32', 'epochs=2, size=32']
    """
    if not vary or not all(vary.values()):
        raise ModelError("nothing is varied; name a setting and its values, such as learning_rate=1e-4,1e-3,1e-2")
    if cross:
        chosen = [dict(zip(vary, values, strict=True)) for values in product(*vary.values())]
    else:
        chosen = [{name: value} for name, values in vary.items() for value in values]
    points: dict[str, GridPoint] = {}
    for values in chosen:
        training = base
        for name, value in values.items():
            training = parse_setting(training, name, value)
        point = GridPoint(values, training)
        points.setdefault(point.name, point)
    return list(points.values())


def parse_vary(texts: Sequence[str]) -> dict[str, list[str]]:
    """Return what is varied of texts such as ``learning_rate=1e-4,1e-3``; values of several parts have ``-`` or ``+``.

    Raises:
        ModelError: no setting or no values, or a setting twice.

    >>> parse_vary(["learning_rate=1e-4,1e-3", "head=256-128,512-512-128"])
    {'learning_rate': ['1e-4', '1e-3'], 'head': ['256-128', '512-512-128']}
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        some = [value.strip() for value in values.split(",") if value.strip()]
        if not name.strip() or not some:
            raise SettingError(f"'{text}' varies nothing; NAME=VALUE,VALUE does, such as learning_rate=1e-4,1e-3,1e-2")
        if name.strip() in found:
            raise ModelError(f"{name.strip()} is varied twice; name all of its values at once")
        found[name.strip()] = some
    return found


@dataclass(frozen=True)
class GridReading:
    """What came of one point of the grid: readings of each training at the trunk and at the end of the head, by factor.

    Attributes:
        point: the settings.
        ends: by factor, (trunk, head), one reading of each training.
    """

    point: GridPoint
    ends: Mapping[str, tuple[Sequence[Reading], Sequence[Reading]]]


def settings_grid(
    dataset: Any, out: str | Path, options: GridOptions, base: EncoderTraining | None = None,
    run: RunOptions | None = None,
) -> Study:  # fmt: skip
    """Train encoders with many settings on half of the pictures, and read all factors of the other half at both ends.

    Encoders lie below ``out/encoders``; what is there is not trained again. A training whose loss is no longer finite
    is noted and left out.

    Args:
        dataset: folder or opened dataset.
        out: folder.
        options: what is varied, and what is read.
        base: all other settings.
        run: seed of the halves and of probes, store of features, and so on.

    Raises:
        ModelError: no such setting or value.
        DatasetError: no such column.
        DivergedError: no training came to an end.
    """
    run = run or RunOptions()
    points = grid_points(base or EncoderTraining(), options.vary, options.cross)
    images = open_images(dataset)
    seen, rest = halves(len(images), run.seed)
    held_out = ImageSubset(images, rest)
    found: list[GridReading] = []
    notes: list[str] = []
    for point in points:
        ends: dict[str, tuple[list[Reading], list[Reading]]] = {}
        try:
            for place, training in seeded(component(point.name), point.training, options.seeds):
                folder = train_encoder(images, Path(out) / "encoders" / place, training, options.label, seen, run.quiet)
                layers = ["trunk", f"head.{len(training.head)}"]
                features = features_of(f"ssl:{folder}", held_out, layers, run.store, quiet=run.quiet)
                read, told = layer_readings(features, options.factors, by=options.group, seed=run.seed, quiet=run.quiet)
                notes += [f"not asked: {note}" for note in told]
                for factor, (trunk, head) in read.items():
                    firsts, lasts = ends.setdefault(factor, ([], []))
                    firsts.append(trunk)
                    lasts.append(head)
        except DivergedError as error:
            notes.append(f"{point.name} is left out: {error}")
            continue
        found.append(GridReading(point, ends))
    if not found:
        raise DivergedError(f"no training came to an end: {'; '.join(notes)}")
    names = tuple(dict.fromkeys(notes))
    return grid_study(found, base or EncoderTraining(), dataset_name(images), names, run.seed)


def grid_study(
    found: Sequence[GridReading], base: EncoderTraining, dataset: str, notes: tuple[str, ...] = (), seed: int = 0
) -> Study:
    """Return the study of a grid.

    Args:
        found: what was read, by point.
        base: settings that are not varied.
        dataset: name.
        notes: what is missing, and why.
        seed: of resampling.
    """
    factors = list(found[0].ends)
    gaps = {factor: [mean_gap(*one.ends[factor], seed=seed) for one in found] for factor in factors}
    spreads = [_spread(factor, mine) for factor, mine in gaps.items()]
    scatters = tuple(_scatter(found, factor, mine) for factor, mine in gaps.items())
    settings = list(dict.fromkeys(name for one in found for name in one.point.values))
    first = found[0].ends[factors[0]][0]
    limits = (
        *group_notes(trunk[0] for trunk, _ in found[0].ends.values()),
        "Correlations take the settings as independent draws; they hold for this grid, and another one has another.",
        *(("One training of each setting: differences between neighbouring settings contain chance.",)
          if len(first) == 1 else ()),
        COMMONEST, *notes,
    )  # fmt: skip
    return Study(
        kind="settings", title="Head against trunk over settings of the training",
        headline=_headline(found, gaps), models=tuple(one.point.name for one in found), dataset=dataset,
        facts={"settings": len(found), "trainings of each": len(first), "test pictures": len(first[0].outcomes),
               **{name: _plain(value) for name, value in base.as_dict().items() if name not in settings}},
        sections=(
            Section(
                title="Trunk and head", charts=scatters, table=tuple(spreads),
                about="Each point is a setting. Below the diagonal the trunk reads better, and the head is better cut "
                "off. Spreads are standard deviations over settings; p is that of equal spreads (Pitman and Morgan).",
            ),
            *_by_setting(found, settings, seed), Section(title="All settings", table=_all(found, gaps)),
            *published_sections("settings"),
        ),
        notes=limits,
        sources=(
            "F. Bordes et al., Guillotine regularization: why removing layers is needed to improve generalization in "
            "self-supervised learning, TMLR 2023, figures 5 and B6.",
        ),
    )  # fmt: skip


def _by_setting(found: Sequence[GridReading], settings: Sequence[str], seed: int) -> list[Section]:
    """Return the curves over each setting, where one at a time was varied."""
    if any(len(one.point.values) > 1 for one in found):
        return []
    sections = []
    for name in settings:
        mine = [one for one in found if name in one.point.values]
        charts = tuple(_curve(mine, name, factor, seed) for factor in found[0].ends)
        sections.append(Section(title=f"By {name}", charts=charts))
    return sections


def _all(found: Sequence[GridReading], gaps: Mapping[str, Sequence[LayerGap]]) -> tuple[dict[str, Cell], ...]:
    """Return the table of every setting and factor."""
    return tuple(
        {"setting": one.point.name, "factor": plain(factor), "trunk minus head %": gap.gap, "low %": gap.low,
         "high %": gap.high, "trunk %": gap.first, "trunk ± over trainings %": gap.first_std, "head %": gap.last,
         "head ± over trainings %": gap.last_std, "chance %": gap.chance, "groups": gap.groups}
        for k, one in enumerate(found) for factor, mine in gaps.items() for gap in (mine[k],)
    )  # fmt: skip


def _spread(factor: str, gaps: Sequence[LayerGap]) -> dict[str, Cell]:
    trunk, head = _ends(gaps)
    several = len(gaps) > 1
    known = min(np.ptp(trunk), np.ptp(head)) > _EQUAL  # of equal values no correlation is defined
    found = pearson(trunk, head) if known else None
    spread = max(np.ptp(trunk), np.ptp(head)) > _EQUAL
    return {
        "factor": plain(factor), "correlation": found.r if found else None, "low": found.low if found else None,
        "high": found.high if found else None,
        "settings": len(gaps), "trunk, mean %": float(np.mean(trunk)), "head, mean %": float(np.mean(head)),
        "trunk, spread %": float(np.std(trunk, ddof=1)) if several else None,
        "head, spread %": float(np.std(head, ddof=1)) if several else None,
        "p of equal spreads": unequal_spread(trunk, head) if spread else None,
    }  # fmt: skip


def _ends(gaps: Sequence[LayerGap]) -> tuple[list[float], list[float]]:
    return [gap.first for gap in gaps], [gap.last for gap in gaps]


def _scatter(found: Sequence[GridReading], factor: str, gaps: Sequence[LayerGap]) -> ScatterChart:
    """Return the chart of a factor: a point of each setting, in the colour of what is varied."""
    of_setting: dict[str, list[Point]] = {}
    for one, gap in zip(found, gaps, strict=True):
        names = list(one.point.values)
        point = Point(x=gap.first, y=gap.last, label=", ".join(one.point.values.values()))
        of_setting.setdefault(names[0] if len(names) == 1 else "all combinations", []).append(point)
    series = tuple(Series(name=name, points=tuple(points)) for name, points in of_setting.items())
    return ScatterChart(
        title=plain(factor), x="trunk", y="head", series=series, percent_x=True, percent_y=True, diagonal=True
    )


def _curve(found: Sequence[GridReading], name: str, factor: str, seed: int) -> Chart:
    """Return trunk and head over the values of one setting."""
    values = [one.point.values[name] for one in found]
    numbers = _numbers(values)
    log = bool(numbers) and min(numbers) > 0 and max(numbers) >= 20 * min(numbers)
    order = np.argsort(numbers, kind="stable").tolist() if numbers else range(len(values))
    series = []
    for k, (end, dashed) in enumerate((("trunk", False), ("head", True))):
        points = []
        for place in order:
            mean = mean_reading(found[place].ends[factor][k], seed)
            x = numbers[place] if numbers else values[place]
            points.append(Point(x=x, y=mean.score, low=mean.low, high=mean.high))
        series.append(Series(name=end, points=tuple(points), dashed=dashed))
    first = found[0].ends[factor][0][0].accuracy
    return LineChart(
        title=plain(factor), x=name, y="accuracy" if first.levels else "R²", series=tuple(series), chance=first.chance,
        log_x=log,
    )  # fmt: skip


def _numbers(values: Sequence[str]) -> list[float]:
    """Return what values say, where all are numbers."""
    try:
        return [float(value) for value in values]
    except ValueError:
        return []


def _headline(found: Sequence[GridReading], gaps: Mapping[str, Sequence[LayerGap]]) -> str:
    if len(found) < MIN_PAIRS:
        return (
            f"{counted(len(found), 'setting')} {'is' if len(found) == 1 else 'are'} too few to say how "
            f"head and trunk go together; {MIN_PAIRS} are needed."
        )
    corrected = holm([unequal_spread(*_ends(mine)) for mine in gaps.values()])
    more, said = [], []
    for (factor, mine), p in zip(gaps.items(), corrected, strict=True):
        trunk, head = _ends(mine)
        one, two = 100 * float(np.std(trunk, ddof=1)), 100 * float(np.std(head, ddof=1))
        r = pearson(trunk, head)
        together = f"correlation {r.r:.2f} [{r.low:.2f}, {r.high:.2f}]"
        if min(np.ptp(trunk), np.ptp(head)) <= _EQUAL:
            together = "correlation undefined (equal at all settings)"
        said.append((two - one, f"{plain(factor)}: trunk ± {one:.1f} points, head ± {two:.1f}, {together}"))
        if p < 1 - LEVEL and two > one:
            more.append(plain(factor))
    text = f"Over {len(found)} settings the head swings more than the trunk "
    text += f"for {', '.join(more)}" if more else "for no factor surely"
    most = max(said)[1]
    return f"{text}. {most[:1].upper()}{most[1:]}."


def _plain(value: Any) -> Cell:
    return value if isinstance(value, str | int | float) or value is None else ", ".join(map(str, value))
