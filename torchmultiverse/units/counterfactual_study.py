"""How far activations move where one factor of a scene is rendered anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.documents import EncodedImage
from torchmultiverse.evaluation import plain
from torchmultiverse.images import rgb, thumbnail
from torchmultiverse.models import FloatArray
from torchmultiverse.stats import Intervals, Paired, mean_interval
from torchmultiverse.store import StoredDataset
from torchmultiverse.study import Bar, BarChart, Cell, ImageRow, Point, ScatterChart, Section, Series
from torchmultiverse.units.counterfactuals import Change

_SHOWN = 3


@dataclass(frozen=True)
class Shift:
    """How far a unit's activation moves with one factor of its expression.

    Attributes:
        unit: whose.
        factor: column.
        removed: whether the expression became false; else it became true.
        moved: mean change of the activation over scenes, with its interval; in standard deviations over the dataset.
        control: the same where another factor was changed in the same scenes; ``None`` where there is none.
        scenes: what was changed.
    """

    unit: int
    factor: str
    removed: bool
    moved: Paired
    control: Paired | None
    scenes: Sequence[Change]

    @property
    def follows(self) -> bool:
        """Whether the activation surely moves as the factor says: down where it was taken away, else up."""
        return self.moved.high < 0 if self.removed else self.moved.low > 0


def shifts_of(
    changes: Sequence[Change], activations: FloatArray, rows: Mapping[str, int], deviation: NDArray[np.float64],
    seed: int = 0,
) -> list[Shift]:  # fmt: skip
    """Return how far activations move, by unit, factor and direction; scenes are what is independent.

    Args:
        changes: of `plan_changes`.
        activations: of the rendered pictures, (M, U).
        rows: of scenes by their id; those that could not be rendered are missing.
        deviation: standard deviation of each unit over the dataset, (U,).
        seed: of the intervals.
    """
    intervals = Intervals(seed)

    def moved(some: Sequence[Change]) -> Paired | None:
        both = [(rows[c.before.scene_id], rows[c.after.scene_id], c.unit) for c in some if _there(c, rows)]
        if not both:
            return None
        before, after, units = np.array(both).T
        change = (activations[after, units] - activations[before, units]) / np.maximum(deviation[units], 1e-30)
        scenes = np.unique(before, return_inverse=True)[1]
        return mean_interval(change.astype(np.float64), scenes, intervals)

    found = []
    for key in dict.fromkeys((c.unit, c.factor, c.removed) for c in changes):
        mine = [c for c in changes if (c.unit, c.factor, c.removed) == key]
        real = [c for c in mine if not c.control and _there(c, rows)]
        if (mean := moved(real)) is not None:
            found.append(Shift(*key, mean, moved([c for c in mine if c.control]), real))
    return found


def _there(change: Change, rows: Mapping[str, int]) -> bool:
    return change.before.scene_id in rows and change.after.scene_id in rows


def counterfactual_section(
    shifts: Sequence[Shift], said: Mapping[int, str], observed: Mapping[int, float],
    pictures: StoredDataset, activations: FloatArray, rows: Mapping[str, int],
    deviation: NDArray[np.float64], notes: Sequence[str],
) -> Section:  # fmt: skip
    """Return what was found, as a section.

    Args:
        shifts: of `shifts_of`.
        said: what units detect.
        observed: mean activation of pictures with the expression less that of the others, in standard deviations.
        pictures, activations, rows: what was rendered, and what the model makes of it.
        deviation: standard deviation of each unit over the dataset.
        notes: why some factors have none.
    """
    sure = sum(shift.follows for shift in shifts)
    about = (
        "Scenes of the dataset are rendered anew as they are, and with one factor changed and nothing else; "
        "activations are in standard deviations over the dataset, intervals over scenes. Observed is the difference in "
        "the data between pictures with and without what the unit detects: what the data show together is no proof "
        "that the unit looks at this factor, what a change of it alone does is. Control: another factor is changed in "
        f"the same scenes. In {sure} of {len(shifts)} cases the activation surely follows the factor."
    )
    if notes:
        about += " " + " ".join(notes)
    lines: list[Mapping[str, Cell]] = []
    bars: list[Bar] = []
    for shift in shifts:
        verb = "taken away" if shift.removed else "put in"
        expected = -observed[shift.unit] if shift.removed else observed[shift.unit]
        control = shift.control
        lines.append(
            {
                "unit": shift.unit, "detects": said[shift.unit], "changed": plain(shift.factor), "which is": verb,
                "moves": shift.moved.mean, "low": shift.moved.low, "high": shift.moved.high, "observed": expected,
                "control": None if control is None else control.mean,
                "control, low": None if control is None else control.low,
                "control, high": None if control is None else control.high,
                "scenes": shift.moved.clusters, "follows": "yes" if shift.follows else "not shown",
            }
        )  # fmt: skip
        if shift.removed:
            bars.append(_bar(f"unit {shift.unit}: {plain(shift.factor)}", shift.moved, "this factor"))
            if control is not None:
                bars.append(_bar(f"unit {shift.unit}: control of {plain(shift.factor)}", control, "another factor"))
    return Section(
        title="Counterfactuals, rendered", about=about,
        charts=_charts(shifts, observed, bars),
        table=tuple(lines), pictures=_pictures(shifts, pictures, activations, rows, deviation),
    )  # fmt: skip


def _bar(name: str, moved: Paired, group: str) -> Bar:
    return Bar(name=name, value=moved.mean, low=moved.low, high=moved.high, group=group)


def _charts(
    shifts: Sequence[Shift], observed: Mapping[int, float], bars: Sequence[Bar]
) -> tuple[BarChart | ScatterChart, ...]:
    if not bars:
        return ()
    points = tuple(
        Point(x=observed[s.unit], y=-s.moved.mean if s.removed else s.moved.mean, label=plain(s.factor))
        for s in shifts
    )  # fmt: skip
    return (
        BarChart(
            title="Taken away", y="change of the activation, in standard deviations", bars=tuple(bars), percent=False
        ),
        ScatterChart(
            title="Observed and rendered", x="observed difference", y="change with the factor", diagonal=True,
            series=(Series(name="", points=points),),
            note="On the line: all that the data show of the unit comes from this factor. At 0: none of it.",
        ),
    )  # fmt: skip


def _pictures(
    shifts: Sequence[Shift], pictures: StoredDataset, activations: FloatArray, rows: Mapping[str, int],
    deviation: NDArray[np.float64],
) -> tuple[ImageRow, ...]:  # fmt: skip
    found = []
    for shift in shifts:
        samples, captions = [], []
        for change in shift.scenes[: _SHOWN if shift.removed else 0]:
            before, after = rows[change.before.scene_id], rows[change.after.scene_id]
            moved = (activations[after, shift.unit] - activations[before, shift.unit]) / deviation[shift.unit]
            for row in (before, after):
                samples.append(EncodedImage(data=thumbnail(rgb(pictures.image(row)))))
            captions += [change.values[0], f"{change.values[1]}: {moved:+.1f}"]
        if samples:
            label = f"unit {shift.unit}: {plain(shift.factor)} changed"
            found.append(ImageRow(label=label, inputs=(), samples=tuple(samples), captions=tuple(captions)))
    return tuple(found)
