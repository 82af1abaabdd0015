"""Many scenes through engines into a dataset: schedule, retry, progress, resume."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from torchmultiverse import __version__
from torchmultiverse.engines import Catalogue, Engine, Failure, Frame, RenderOptions
from torchmultiverse.errors import EngineError, SpecError
from torchmultiverse.farm.plan import remember_rate, select
from torchmultiverse.spec import Design, Spec, load_spec, parse_spec
from torchmultiverse.store import SHARD_ROWS, DatasetWriter, RowSchema, open_dataset, write_card

ENGINE_RESTARTS = 3
_FLUSH_SECONDS = 5.0


@dataclass
class GenerateReport:
    """What a run did."""

    out: Path
    pictures: int
    rendered: int
    seconds: float
    failures: list[Failure] = field(default_factory=list)

    def __str__(self) -> str:
        rate = f", {self.rendered / self.seconds:.1f} pictures/s" if self.rendered and self.seconds else ""
        text = f"{self.out}: {self.pictures} pictures, {self.rendered} rendered now in {self.seconds:.0f} s{rate}"
        if self.failures:
            text += f"\n{len(self.failures)} scenes failed; the same command tries them again. First: "
            text += str(self.failures[0].error())
        return text


class _Schedule:
    """Hands out the indices of missing rows, shard by shard, those of one world together."""

    def __init__(self, writer: DatasetWriter, retries: int) -> None:
        self._writer = writer
        self._lock = threading.Lock()
        self._queue: deque[int] = deque()
        self._next = 0
        self._tries: dict[int, int] = {}
        self._retries = retries
        self._stopped = False
        self.open: dict[int, set[int]] = {}

    def take(self) -> int | None:
        """Return an index, or ``None`` when nothing is left to begin."""
        with self._lock:
            while not self._queue and self._next < self._writer.shards and not self._stopped:
                shard, self._next = self._next, self._next + 1
                missing = self._writer.missing(shard)
                if missing:
                    self.open[shard] = set(missing)
                    design = self._writer.design
                    self._queue.extend(sorted(missing, key=lambda i: (str(design[i]["World_Name"]), i)))
                elif not self._writer.complete(shard):
                    self._writer.finish_shard(shard)
            return None if self._stopped or not self._queue else self._queue.popleft()

    def give_back(self, index: int) -> None:
        """Put back an index that a lost engine had."""
        with self._lock:
            self._queue.appendleft(index)

    def retry(self, index: int) -> bool:
        """Put back a failed index while its budget lasts."""
        with self._lock:
            self._tries[index] = self._tries.get(index, 0) + 1
            if self._tries[index] > self._retries:
                return False
            self._queue.append(index)
            return True

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._lock:
            self._stopped = True

    def settle(self, index: int) -> int | None:
        """Mark an index as done or given up; return its shard when that was the last one."""
        shard = index // self._writer.shard_rows
        self.open[shard].discard(index)
        if self.open[shard]:
            return None
        del self.open[shard]
        return shard


_Result = tuple[int, Frame | Failure]


class _Worker(threading.Thread):
    """One engine in one thread."""

    def __init__(
        self, make: Callable[[], Engine], schedule: _Schedule, results: queue.Queue[_Result | BaseException | None],
        options: RenderOptions, design: Design,
    ) -> None:  # fmt: skip
        super().__init__(name="farm", daemon=True)
        self._make = make
        self._schedule = schedule
        self._results = results
        self._options = options
        self._design = design
        self.stopping = False

    def run(self) -> None:
        """Render until nothing is left; a lost engine is made again a few times."""
        lost = 0
        while True:
            begun: deque[int] = deque()
            engine: Engine | None = None
            try:
                engine = self._make()
                while self._render(engine, begun):
                    pass
                break
            except EngineError as error:
                lost += 1
                for index in reversed(begun):
                    self._schedule.give_back(index)
                if lost > ENGINE_RESTARTS or self.stopping:
                    self._results.put(error)
                    return
            except BaseException as error:
                self._results.put(error)
                return
            finally:
                if engine is not None:
                    engine.close()
        self._results.put(None)

    def _render(self, engine: Engine, begun: deque[int]) -> bool:
        first = self._schedule.take()
        if first is None:
            return False

        def scenes() -> Iterator[Any]:
            index: int | None = first
            while index is not None:
                begun.append(index)
                yield self._design[index]
                index = None if self.stopping else self._schedule.take()

        for answer in engine.render(scenes(), self._options):
            index = begun.popleft()
            wanted = self._design[index]
            if isinstance(answer, Frame) and (answer.scene_id != wanted.scene_id or answer.scene != wanted):
                answer = Failure(wanted, f"the engine answered with scene {answer.scene_id}")
            if isinstance(answer, Failure) and not self.stopping and self._schedule.retry(index):
                continue
            self._results.put((index, answer))
        return True


def generate(
    spec: Spec | Mapping[str, Any] | str | Path,
    out: str | Path,
    engine: Callable[[], Engine] | str | Engine = "builtin",
    *,
    size: int | tuple[int, int] | None = None,
    where: str | None = None,
    limit: int | None = None,
    samples: int | None = None,
    workers: int = 1,
    retries: int = 1,
    shard_rows: int = SHARD_ROWS,
    fresh: bool = False,
    progress: bool = True,
) -> GenerateReport:
    """Render a spec to a dataset; an unfinished one is continued.

    Args:
        spec: a spec, its decoded JSON, or its path.
        out: folder of the dataset.
        engine: as for `torchmultiverse.connect`, or a function that makes an engine; called once per worker.
        size: square size or (width, height) in pixels, instead of the spec's.
        where: only some scenes.
        limit: only the first scenes.
        samples: samples per pixel, instead of the spec's.
        workers: engines side by side.
        retries: further attempts for a scene that fails.
        shard_rows: rows of a Parquet shard.
        fresh: delete what the folder holds first.
        progress: show a progress bar on a terminal, or a line every few seconds elsewhere.

    Raises:
        SpecError: the spec is wrong, or names what the engine does not have.
        EngineError: every engine is lost.
        DatasetError: the folder holds something else or cannot be written.
    """
    loaded = spec if isinstance(spec, Spec) else parse_spec(spec) if isinstance(spec, Mapping) else load_spec(spec)
    design = select(loaded, where, limit)
    if design.count == 0:
        raise SpecError(f"no scene of '{loaded.name}' passes the filter {where!r}")
    make = _factory(engine)
    width, height = loaded.render.size if size is None else (size, size) if isinstance(size, int) else size
    options = RenderOptions(
        size=(width, height),
        passes=tuple(loaded.render.passes),
        format=loaded.render.format,
        seed=loaded.seed,
        samples=loaded.render.samples if samples is None else samples,
    )
    start = time.perf_counter()
    first = make()  # the first worker's engine also tells the catalogue
    try:
        catalogue = first.catalogue()
        catalogue.check(design)
        schema = RowSchema(loaded, design, options.passes, "train")
        identity = {
            "spec": loaded.model_dump(mode="json"), "where": where, "limit": limit, "size": list(options.size),
            "samples": options.samples, "engine": catalogue.fingerprint,
        }  # fmt: skip
        writer = DatasetWriter(Path(out), design, schema, identity, shard_rows=shard_rows, fresh=fresh)
    except BaseException:
        first.close()
        raise
    engines = [first]
    try:
        _describe(writer, loaded, catalogue, first)
        failures, rendered = _run(
            lambda: engines.pop() if engines else make(), writer, options, workers, retries, progress
        )
        writer.manifest["failures"] = {f.scene.scene_id: {"scene": f.scene.wire, "reason": f.reason} for f in failures}
        writer.manifest["complete"] = not failures
        writer.save_manifest()
        if writer.manifest["shards"]:
            write_card(writer.out, loaded, design, writer.manifest, open_dataset(writer.out))
    finally:
        for unused in engines:
            unused.close()
        writer.close()
    seconds = time.perf_counter() - start
    if rendered >= 4:
        remember_rate(catalogue.engine, options, rendered / seconds)
    pictures = sum(entry["rows"] for entry in writer.manifest["shards"].values())
    return GenerateReport(writer.out, pictures, rendered, seconds, failures)


def _run(
    make: Callable[[], Engine], writer: DatasetWriter, options: RenderOptions, workers: int, retries: int, show: bool
) -> tuple[list[Failure], int]:
    schedule = _Schedule(writer, retries)
    results: queue.Queue[_Result | BaseException | None] = queue.Queue(maxsize=64)
    crew = [_Worker(make, schedule, results, options, writer.design) for _ in range(workers)]
    failures: list[Failure] = []
    rendered, running, errors = 0, len(crew), list[BaseException]()
    done = sum(writer.manifest["shards"][n]["rows"] for n in writer.manifest["shards"])
    with _bar(writer.out.name, writer.design.count, done, show) as tick:
        for worker in crew:
            worker.start()
        try:
            while running:
                result = results.get()
                if result is None:
                    running -= 1
                elif isinstance(result, BaseException):
                    running -= 1
                    errors.append(result)
                else:
                    index, answer = result
                    if isinstance(answer, Frame):
                        writer.add(answer)
                        rendered += 1
                    else:
                        failures.append(answer)
                    tick(rendered, len(failures))
                    shard = schedule.settle(index)
                    if shard is not None:
                        writer.finish_shard(shard)
        except BaseException:
            # Ctrl-C, a full disk: nothing more is begun; what is done stays done.
            schedule.stop()
            for worker in crew:
                worker.stopping = True
            _drain(results, crew)
            raise
    if errors and (len(errors) == len(crew) or not isinstance(errors[0], EngineError)):
        raise errors[0]
    if schedule.open:
        raise errors[0] if errors else EngineError("the engines ended before every scene was rendered")
    return failures, rendered


def _drain(results: queue.Queue[Any], crew: list[_Worker]) -> None:
    end = time.monotonic() + 30
    while any(worker.is_alive() for worker in crew) and time.monotonic() < end:
        with contextlib.suppress(queue.Empty):
            results.get(timeout=0.1)


def _factory(engine: Callable[[], Engine] | str | Engine) -> Callable[[], Engine]:
    if isinstance(engine, Engine):
        raise SpecError("engine: pass a name, or a function that makes one, so that every worker has its own")
    if callable(engine):
        return engine
    from torchmultiverse.multiverse import connect

    name = engine
    return lambda: connect(name)


def _describe(writer: DatasetWriter, spec: Spec, catalogue: Catalogue, engine: Engine) -> None:
    levels = {str(v) for values in writer.design.levels().values() for v in values}
    writer.manifest |= {
        "name": spec.name,
        "torchmultiverse": __version__,
        "engine": {"name": catalogue.engine, "version": catalogue.version, "fingerprint": catalogue.fingerprint},
        "assets": [a.model_dump() for a in catalogue.assets if a.name in levels],
        "notes": list(engine.manifest_notes()) if hasattr(engine, "manifest_notes") else [],
        "pictures": writer.design.count,
    }
    writer.save_manifest()


@contextlib.contextmanager
def _bar(name: str, total: int, done: int, show: bool) -> Iterator[Callable[[int, int], None]]:
    console = Console(stderr=True)
    start = time.perf_counter()
    if not show:
        yield lambda rendered, failed: None
        return
    if not console.is_terminal:
        last = [start]

        def line(rendered: int, failed: int) -> None:
            now = time.perf_counter()
            if now - last[0] >= _FLUSH_SECONDS:
                last[0] = now
                rate = rendered / (now - start)
                left = (total - done - rendered) / rate
                print(
                    f"{name}: {done + rendered}/{total}, {rate:.1f} pictures/s, {failed} failed, {left:.0f} s left",
                    file=sys.stderr, flush=True,
                )  # fmt: skip

        yield line
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[failed]}"),
    )  # fmt: skip
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(name, total=total, completed=done, rate="", failed="")

        def tick(rendered: int, failed: int) -> None:
            rate = rendered / (time.perf_counter() - start)
            bars.update(
                task, completed=done + rendered + failed, rate=f"{rate:.1f} pictures/s",
                failed=f"[red]{failed} failed" if failed else "",
            )  # fmt: skip

        yield tick
