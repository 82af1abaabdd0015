"""What a spec would cost: counts, time and disk, before anything is rendered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

from torchmultiverse.engines import Catalogue, RenderOptions
from torchmultiverse.resources import cache_folder
from torchmultiverse.spec import Condition, Design, Spec, Value, parse_where
from torchmultiverse.store.writer import write_atomic

GUESSED_MEGAPIXEL_SECONDS = 8.0
"""Seconds per million pixels where nothing was measured here yet: two CPU cores with LLVM at 16 samples."""
BYTES_PER_PIXEL = {"png": 1.5, "jpeg": 0.35}
"""Measured on the built-in worlds; published PUG pictures have 1.5 as PNG."""
_ANNOTATION_BYTES = {"mask": 0.02, "depth": 1.6, "normals": 1.0}


class Limited(Design):
    """The first scenes of a design."""

    def __init__(self, design: Design, limit: int) -> None:
        self._design = design
        self._limit = limit
        self.table = design.table

    @property
    def count(self) -> int:
        """Number of scenes."""
        return min(self._design.count, self._limit)

    def values(self, index: int) -> dict[str, Value]:
        """Return the assignment at an index."""
        return self._design.values(index)

    def level_counts(self) -> dict[str, dict[Value, int]]:
        """Count by going through the scenes: a limit is small."""
        if self._limit >= self._design.count:
            return self._design.level_counts()
        counts: dict[str, dict[Value, int]] = {name: {} for name in self._design.factors}
        for index in range(self.count):
            scene = self[index]
            for name, per in counts.items():
                per[scene[name]] = per.get(scene[name], 0) + 1
        return counts

    def where(self, conditions: Sequence[Condition]) -> Design:
        """Filter first, then take the first scenes."""
        return Limited(self._design.where(conditions), self._limit)


def select(spec: Spec, where: str | None = None, limit: int | None = None) -> Design:
    """Return the design of a spec, filtered and cut.

    Raises:
        SpecError: the filter cannot be read.
    """
    design = spec.build()
    if where:
        design = design.where(parse_where(where, spec.table))
    return design if limit is None else Limited(design, limit)


@dataclass(frozen=True)
class Plan:
    """What a run would do. ``measured`` says whether the rate was seen on this machine."""

    name: str
    pictures: int
    counts: dict[str, dict[Value, int]]
    problems: list[str]
    pictures_per_second: float
    measured: bool
    bytes: int

    @property
    def seconds(self) -> float:
        """Estimated time."""
        return self.pictures / self.pictures_per_second

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table("factor", "levels", "pictures per level", box=None, padding=(0, 2))
        for name, counts in self.counts.items():
            shown = ", ".join(f"{level} {n:,}" for level, n in list(counts.items())[:6])
            table.add_row(name, str(len(counts)), shown + (", …" if len(counts) > 6 else ""))
        yield table
        rate = f"{self.pictures_per_second:.2g} pictures/s, {'measured here' if self.measured else 'a guess'}"
        yield f"{self.name}: {self.pictures:,} pictures, about {_duration(self.seconds)} ({rate}), {_size(self.bytes)}"
        for problem in self.problems:
            yield f"[red]{problem}[/]"
        if not self.problems:
            yield "every level is in the engine's catalogue"


def plan(
    spec: Spec,
    catalogue: Catalogue,
    *,
    size: int | tuple[int, int] | None = None,
    where: str | None = None,
    limit: int | None = None,
    samples: int | None = None,
    workers: int = 1,
) -> Plan:
    """Return what rendering a spec would cost; works for designs of any size."""
    design = select(spec, where, limit)
    width, height = spec.render.size if size is None else (size, size) if isinstance(size, int) else size
    options = RenderOptions(
        (width, height), tuple(spec.render.passes), spec.render.format, spec.seed, samples or spec.render.samples
    )
    counts = design.level_counts()
    seen = _rates().get(_key(catalogue.engine, options))
    rate = seen or 1e6 / (GUESSED_MEGAPIXEL_SECONDS * width * height * (options.samples or 16) / 16)
    per_pixel = BYTES_PER_PIXEL[options.format] + sum(_ANNOTATION_BYTES.get(name, 0) for name in options.passes)
    problems = catalogue.problems({name: list(levels) for name, levels in counts.items()}, design.table)
    # Engines on one machine share its cores, so more workers do not add up in the estimate.
    del workers
    return Plan(
        spec.name,
        design.count,
        counts,
        problems,
        rate,
        seen is not None,
        int(design.count * width * height * per_pixel),
    )


def remember_rate(engine: str, options: RenderOptions, rate: float) -> None:
    """Keep the measured rate for the next plan on this machine."""
    rates = _rates()
    rates[_key(engine, options)] = rate
    write_atomic(_rates_path(), json.dumps(rates).encode(), sync=False)


def _rates() -> dict[str, float]:
    try:
        data = json.loads(_rates_path().read_text())
        return {str(k): float(v) for k, v in data.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _rates_path() -> Path:
    return cache_folder() / "rates.json"


def _key(engine: str, options: RenderOptions) -> str:
    return f"{engine} {options.size[0]}x{options.size[1]} {options.samples} {'+'.join(options.passes)}"


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
