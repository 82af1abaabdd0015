"""What a spec would cost: counts, time and disk, before anything is rendered."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text
from typing_extensions import override

from torchmultiverse.documents import renamed
from torchmultiverse.engines import Catalogue, Engine, Failure, Frame, RenderOptions
from torchmultiverse.errors import SpecError
from torchmultiverse.farm.places import at_their_places
from torchmultiverse.files import write_atomic
from torchmultiverse.resources import cache_folder
from torchmultiverse.scenes import (
    CLIP_PASSES,
    Condition,
    Design,
    Explicit,
    Factorial,
    Spec,
    Value,
    expanded,
    level_name,
    parse_where,
    unit_of,
)
from torchmultiverse.tables import Table, number, text


@dataclass(frozen=True)
class Cost:
    """What pictures cost, in seconds.

    Attributes:
        image: each image of a run.
        world: each world of it on top, once.
        start: the run on top, until its first picture.
    """

    image: float
    world: float = 0.0
    start: float = 0.0


def default_cost(options: RenderOptions) -> Cost:
    """Return the estimate where nothing was measured here yet: the built-in engine, LLVM, two quiet CPU cores.

    A fit over sizes of 64 to 256 pixels and 4 to 16 samples in three worlds (docs/measured.md).
    """
    pixels = options.size[0] * options.size[1]
    return Cost(0.05 + pixels * (2.4e-6 + 3.5e-7 * (options.samples or 16)), world=1.5, start=6.0)


BYTES_PER_PIXEL = {"png": 1.5, "jpeg": 0.35}
"""Measured on the built-in worlds; published PUG pictures have 1.5 as PNG."""
MOST_COUNTED = 500_000
"""Scenes of a draw, and of a design with splits, up to which a dry run expands it to count its levels and splits."""
_PART = 65_536
"""Scenes that are counted at once."""
_ANNOTATION_BYTES = {
    "mask": 0.02, "class": 0.02, "depth": 1.6, "normals": 1.0, "flow_forward": 2.0, "flow_backward": 2.0,
    "hidden_forward": 0.05, "hidden_backward": 0.05, "track": 0.02,
}  # fmt: skip


class Limited(Design):
    """The first scenes of a design."""

    def __init__(self, design: Design, limit: int) -> None:
        self._design = design
        self._limit = limit
        self.table = design.table

    @property
    @override
    def count(self) -> int:
        return min(self._design.count, self._limit)

    @property
    @override
    def factors(self) -> list[str]:
        return self._design.factors

    @property
    @override
    def drawn(self) -> bool:
        return self._design.drawn

    @override
    def values(self, index: int) -> dict[str, Value]:
        return self._design.values(index)

    @override
    def part(self, indices: NDArray[np.int64]) -> Explicit:
        return self._design.part(indices)

    @override
    def level_counts(self) -> dict[str, dict[Value, int]]:
        if self._limit >= self._design.count:
            return self._design.level_counts()
        counts: dict[str, dict[Value, int]] = {name: {} for name in self._design.factors}
        if isinstance(self._design, Factorial):
            # Row i of an axis comes `stride` times in a row, once in every `stride * len(axis)` scenes.
            stride = 1
            for axis in reversed(self._design.axes):
                turns, rest = divmod(self._limit, stride * len(axis))
                for i, row in enumerate(axis):
                    n = turns * stride + min(max(rest - i * stride, 0), stride)
                    for name, value in row.items():
                        if n:
                            counts[name][value] = counts[name].get(value, 0) + n
                stride *= len(axis)
            return counts
        for start in range(0, self.count, _PART):
            table = self._design.part(np.arange(start, min(start + _PART, self.count)))
            uses = table.first_uses()
            for name, per in counts.items():
                default = self.table[name].default
                for level, n in uses[name].items() if name in uses else [(default, table.count)]:
                    assert level is not None
                    per[level] = per.get(level, 0) + n
        return counts

    @override
    def where(self, conditions: Sequence[Condition]) -> Design:
        # Filter first, then take the first scenes.
        return Limited(self._design.where(conditions), self._limit)


def select(spec: Spec, where: str | None = None, limit: int | None = None) -> Design:
    """Return the design of a spec, filtered and cut.

    Raises:
        SpecError: the filter cannot be read, or leaves nothing.
    """
    if limit is not None and limit < 1:
        raise SpecError(f"limit = {limit}: at least one scene is needed")
    design = spec.build()
    if where:
        design = design.where(parse_where(where, spec.table))
    if design.count == 0:
        raise SpecError(f"no scene of '{spec.name}' passes the filter {where!r}")
    return design if limit is None else Limited(design, limit)


def render_options(spec: Spec, size: int | tuple[int, int] | None = None, samples: int | None = None) -> RenderOptions:
    """Return how a spec's pictures are rendered, with what the caller wants otherwise."""
    width, height = spec.render.size if size is None else (size, size) if isinstance(size, int) else size
    return RenderOptions(
        size=(width, height),
        passes=tuple(name for name in spec.render.passes if name not in CLIP_PASSES),
        format=spec.render.format,
        seed=spec.seed,
        samples=spec.render.samples if samples is None else samples,
    )


def identity(spec: Spec, options: RenderOptions, where: str | None, limit: int | None) -> dict[str, Any]:
    """Return what must be equal for two runs to make one dataset, as far as no engine has to be asked; JSON values."""
    return {
        "spec": spec.model_dump(mode="json"), "where": where, "limit": limit, "size": list(options.size),
        "samples": options.samples,
    }  # fmt: skip


@dataclass(frozen=True)
class DryRun:
    """What a run would do.

    Attributes:
        name: of the dataset.
        images: how many; exact.
        counts: pictures per factor (wire name) and level; exact.
        problems: one line for each factor whose levels, and each pass, that the engine cannot render.
        throughput: images per second; estimate, without what is in ``overhead``.
        source: where the estimate comes from.
        bytes: estimate of the space the pictures take.
        splits: pictures per declared split; empty where none is.
        overhead: estimate of the seconds that go to starting, and to loading each world once.
        unsupported: levels per factor (wire name) that the engine cannot render.
    """

    name: str
    images: int
    counts: dict[str, dict[Value, int]]
    problems: list[str]
    throughput: float
    source: str
    bytes: int
    splits: dict[str, int] = field(default_factory=dict)
    overhead: float = 0.0
    unsupported: dict[str, list[Value]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Estimated time."""
        return self.overhead + self.images / self.throughput

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table((text("factor"), number("levels"), text("counts", "pictures per level")))
        for name, counts in self.counts.items():
            shown = ", ".join(f"{level_name(str(level), name)} {n:,}" for level, n in list(counts.items())[:6])
            unit = f" ({unit_of(name)})" if unit_of(name) else ""
            table.add(name + unit, len(counts), shown + (", …" if len(counts) > 6 else ""))
        yield table
        rate = f"{self.throughput:.2g} pictures/s, {self.source}"
        yield Text(
            f"{self.name}: {self.images:,} pictures, about {_duration(self.seconds)} ({rate}), {_size(self.bytes)}"
        )
        if self.splits:
            yield Text("splits: " + ", ".join(f"{name} {n:,}" for name, n in self.splits.items()))
        if not self.counts:
            yield Text("its levels were neither counted nor looked up: that takes all of its scenes")
        elif not self.problems:
            yield Text("every level is in the engine's catalogue")


def dry_run(
    spec: Spec,
    catalogue: Catalogue,
    *,
    size: int | tuple[int, int] | None = None,
    where: str | None = None,
    limit: int | None = None,
    samples: int | None = None,
    workers: int = 1,
    probe: Engine | None = None,
) -> DryRun:
    """Return what rendering a spec would cost; works for designs of any size.

    Args:
        spec: what to render.
        catalogue: of the engine that would.
        size, where, limit, samples, workers: as for `torchmultiverse.farm.generate`.
        probe: an engine on which four scenes are rendered to measure time and disk; without one the cost in an
            earlier run on this machine is used, and without that a stated guess.

    Raises:
        SpecError: the filter cannot be read, or leaves nothing.
    """
    design = select(spec, where, limit)
    options = render_options(spec, size, samples)
    # What a draw gives each level is known when all of it is drawn, which takes a while.
    counted = not design.drawn or design.count <= MOST_COUNTED
    counts = design.level_counts() if counted else {}
    levels = {name: list(of) for name, of in counts.items()}
    problems = catalogue.problems(levels, design.table)
    problems += catalogue.misplaced(design) if counted and not problems else []
    problems = at_their_places(problems, spec, design, catalogue)
    problems += [
        f"engine '{catalogue.engine}' cannot render {name}" for name in options.passes if name not in catalogue.passes
    ]
    problems += catalogue.pack_problems(spec.assets)
    pixels = options.size[0] * options.size[1]
    size_of_one = pixels * (
        BYTES_PER_PIXEL[options.format] + sum(_ANNOTATION_BYTES.get(n, 0) for n in spec.render.passes)
    )
    costs = _costs()
    measured = None if probe is None or problems else _probe(probe, design, options)
    if measured is not None:
        cost, size_of_one = measured
        source = "some scenes were rendered to see"
    elif (seen := costs.get(_key(catalogue.engine, options, workers))) is not None:
        cost, source = seen, "measured here"
    elif (seen := costs.get(_key(catalogue.engine, options, 1))) is not None:
        cost, source = seen, "measured here with one worker"
    else:
        cost, source = default_cost(options), "a guess: nothing was rendered here yet"
    overhead = cost.start + cost.world * len(counts.get("World_Name", [0]))
    splits = spec.split_rules().counts(expanded(design)) if spec.splits and design.count <= MOST_COUNTED else {}
    return DryRun(
        spec.name, design.count, counts, problems, 1 / cost.image, source, int(design.count * size_of_one), splits,
        overhead, catalogue.unsupported(levels, design.table),
    )  # fmt: skip


def _probe(engine: Engine, design: Design, options: RenderOptions) -> tuple[Cost, float] | None:
    """Return the cost and the bytes of a picture of two pairs of neighbouring scenes; the first one warms up."""
    middle = design.count // 2
    seconds, loading, sizes = [], [], []
    for index in (0, min(1, design.count - 1), middle, min(middle + 1, design.count - 1)):
        start = time.perf_counter()
        (answer,) = engine.render([design[index].unlabelled], options)
        if isinstance(answer, Failure):
            return None
        sizes.append(sum(len(answer.encoded(name)) for name in options.passes))
        loading.append(world_seconds(answer))
        seconds.append(time.perf_counter() - start - loading[-1])
    picture = max(sum(seconds[1:]) / 3, 1e-9)
    return Cost(picture, max(loading), max(seconds[0] - picture, 0.0)), sum(sizes) / 4


def world_seconds(frame: Frame) -> float:
    """Return the share of a frame's time that went to loading its world."""
    return frame.timings.get("world_ms", 0.0) / 1000


def remember_cost(engine: str, options: RenderOptions, workers: int, cost: Cost) -> None:
    """Keep the measured cost for the next dry run on this machine, where its cache can be written."""
    with suppress(OSError):
        costs = {key: asdict(seen) for key, seen in _costs().items()}
        costs[_key(engine, options, workers)] = asdict(cost)
        write_atomic(_costs_path(), json.dumps(costs).encode(), sync=False)


def _costs() -> dict[str, Cost]:
    try:
        data = json.loads(_costs_path().read_text())
        return {str(k): Cost(**{name: float(n) for name, n in _migrated(v).items()}) for k, v in data.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _migrated(data: dict[str, float]) -> dict[str, float]:
    return renamed(data, picture="image")


def _costs_path() -> Path:
    return cache_folder() / "costs.json"


def _key(engine: str, options: RenderOptions, workers: int) -> str:
    passes = "+".join(options.passes)
    return f"{engine} {options.size[0]}x{options.size[1]} {options.samples} {passes} x{workers}"


def _duration(seconds: float) -> str:
    for limit, unit, divisor in ((120, "seconds", 1), (7200, "minutes", 60), (172_800, "hours", 3600)):
        if seconds < limit:
            return f"{seconds / divisor:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
