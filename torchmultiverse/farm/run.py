"""Many scenes through engines into a dataset: a supervisor and a writer."""

from __future__ import annotations

import json
import os
import platform
import queue
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torchmultiverse.connect import side_by_side
from torchmultiverse.engines import LEASE, Catalogue, Engine, Failure, Frame, Limits, RenderOptions, Supervisor
from torchmultiverse.errors import DatasetError, EngineError, SpecError, TorchMultiverseError
from torchmultiverse.farm.backlog import Backlog
from torchmultiverse.farm.camera_retries import CameraRetries
from torchmultiverse.farm.estimate import Cost, identity, remember_cost, render_options, select, world_seconds
from torchmultiverse.farm.parts import check_target, part_folder
from torchmultiverse.farm.places import at_their_places
from torchmultiverse.farm.progress import progress
from torchmultiverse.farm.recheck import MOST_CHECKED, Recheck
from torchmultiverse.farm.report import MOST_NAMED, GenerateReport
from torchmultiverse.files import write_atomic
from torchmultiverse.scenes import Design, Scene, Spec, Value, load_spec, parse_spec, places_of
from torchmultiverse.store import SHARD_ROWS, DatasetWriter, FailedScene, Inspection, RowSchema, finish
from torchmultiverse.version import __version__

HOPELESS = 100
"""A run ends when so many scenes in a row failed: then it is not the scenes."""
STATUS = "status.json"
"""How things stand, once a second; for people and for `torchmultiverse farm status`."""
_AHEAD = 64
"""Scenes that wait, per engine, below which the next shard is begun: more than any engine reads ahead."""
_DRAIN_SECONDS = 30.0
_CLOSE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class GenerateOptions:
    """How a spec is rendered to a dataset.

    Attributes:
        size: square size or (width, height) in pixels, instead of the spec's.
        where: only some scenes.
        limit: only the first scenes.
        samples: samples per pixel, instead of the spec's.
        workers: engines side by side; by default one, and of a launch profile all its instances.
        part: (i, n): only every n-th shard of the dataset, from the i-th, into a folder of its own inside the
            dataset's; `torchmultiverse.farm.join` puts all n together.
        retries: further attempts for a scene that fails.
        lease: seconds without an answer after which a scene is given to another engine and this one is made anew.
        recycle: pictures after which an engine is made anew.
        memory: gigabytes of an engine's processes above which it is made anew.
        check: how many stored scenes are rendered once more at the end and compared; by default one in a hundred, 8 at
            most. Where one shows something else, so are those that were proven together with it (of an engine that
            knows no picture ids); the dataset is not complete then, and its manifest names what cannot be trusted.
        shard_rows: rows of a Parquet shard.
        fresh: delete what the folder holds first.
        extend: keep the pictures of a dataset whose design had fewer scenes, and render what is new.
        progress: show a progress bar on a terminal, or a line every few seconds elsewhere.

    Raises:
        SpecError: a number is out of range, or two options exclude each other.
    """

    size: int | tuple[int, int] | None = None
    where: str | None = None
    limit: int | None = None
    samples: int | None = None
    workers: int | None = None
    part: tuple[int, int] | None = None
    retries: int = 1
    lease: float = LEASE
    recycle: int | None = None
    memory: float | None = None
    check: int | None = None
    shard_rows: int = SHARD_ROWS
    fresh: bool = False
    extend: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise SpecError(f"workers = {self.workers}: at least one is needed")
        if self.part is not None and not 0 <= self.part[0] < self.part[1]:
            raise SpecError(f"part = {self.part}: write (i, n) with i from 0 to n - 1")
        if self.part is not None and self.extend:
            raise SpecError("extend: a part has no pictures of the dataset to keep; extend it without parts")

    @property
    def limits(self) -> Limits:
        """When an engine is given up, and how often a scene is tried."""
        memory = None if self.memory is None else int(self.memory * 1e9)
        return Limits(lease=self.lease, retries=self.retries, recycle=self.recycle, memory=memory)


def generate(
    spec: Spec | Mapping[str, Any] | str | Path,
    out: str | Path,
    engine: Callable[[], Engine] | str | Engine = "builtin",
    *,
    options: GenerateOptions | None = None,
    **settings: Any,
) -> GenerateReport:
    """Render a spec to a dataset; an unfinished one is continued.

    Args:
        spec: a spec, its decoded JSON, or its path.
        out: folder of the dataset.
        engine: as for `torchmultiverse.open_engine`, or a function that makes an engine; called once per worker, in the
            worker's thread, and again when an engine is lost.
        options: how; see `GenerateOptions`.
        settings: fields of `GenerateOptions` by name, instead of those in ``options``.

    Raises:
        SpecError: the spec is wrong, or names what the engine does not have.
        EngineError: every engine is lost, or scene after scene fails.
        DatasetError: the folder holds something else or cannot be written.
    """
    loaded = spec if isinstance(spec, Spec) else parse_spec(spec) if isinstance(spec, Mapping) else load_spec(spec)
    chosen = replace(options or GenerateOptions(), **settings)
    workers = side_by_side(engine, chosen.workers)
    chosen = replace(chosen, workers=workers)
    design = select(loaded, chosen.where, chosen.limit)
    rendering = render_options(loaded, chosen.size, chosen.samples)
    same = _SameEngine()
    make = _factory(engine, design.sent, loaded.assets, chosen.lease)
    start = time.perf_counter()
    engines = Supervisor(make, workers, limits=chosen.limits, by_world=True, check=same, name="farm")
    try:
        try:
            catalogue, notes = engines.start()
            same.fingerprint = catalogue.fingerprint
            writer = _writer(loaded, design, catalogue, rendering, Path(out), chosen)
        except KeyboardInterrupt:
            if chosen.progress:
                print("\ninterrupted before the first picture; the same command goes on", file=sys.stderr)
            raise
        try:
            _describe(writer, loaded, catalogue, notes)
            run = _Run(writer, rendering, engines, CameraRetries.of(loaded, design), chosen)
            inspection = _go(run, writer, chosen)
        finally:
            engines.close(_CLOSE_SECONDS)
            writer.close()
    finally:
        engines.close(_CLOSE_SECONDS)
    if run.cost is not None:
        remember_cost(catalogue.engine, rendering, workers, run.cost)
    return GenerateReport(
        writer.out, writer.rows, run.rendered, time.perf_counter() - start, run.failures, engines.lost, inspection,
        run.recheck.checked, writer.manifest.untrusted, _places(loaded, design, run),
    )  # fmt: skip


def _places(spec: Spec, design: Design, run: _Run) -> dict[str, str]:
    """Return where the spec writes out what failed, by the id of the failure's scene."""
    asked = [design[index] for index in run.failed[:MOST_NAMED]]
    found = places_of(spec, asked)
    pairs = zip(run.failures, asked, strict=False)
    return {f.scene.scene_id: found[scene.scene_id] for f, scene in pairs if scene.scene_id in found}


class _SameEngine:
    """One dataset has one engine: pictures of two would differ by engine and look like a factor's effect."""

    fingerprint = ""

    def __call__(self, fingerprint: str) -> None:
        if fingerprint != self.fingerprint:
            raise DatasetError(
                f"an engine with fingerprint '{fingerprint}' joined; this dataset is made with '{self.fingerprint}', "
                "and one dataset has one engine"
            )


def _writer(
    spec: Spec, design: Design, catalogue: Catalogue, rendering: RenderOptions, out: Path, options: GenerateOptions
) -> DatasetWriter:
    """Check that the engine can render all of it, and open the dataset."""
    if packs := catalogue.pack_problems(spec.assets):
        raise SpecError(packs[0])
    try:
        catalogue.check(design)
    except SpecError as error:
        raise SpecError("\n".join(at_their_places(str(error).splitlines(), spec, design, catalogue))) from None
    lacking = [name for name in rendering.passes if name not in catalogue.passes]
    if lacking:
        raise SpecError(f"render.passes: engine '{catalogue.engine}' cannot render {', '.join(lacking)}")
    schema = RowSchema(spec, design, tuple(spec.render.passes), catalogue.figure_ground)
    who = identity(spec, rendering, options.where, options.limit) | {"engine": catalogue.fingerprint}
    part, rows = options.part, options.shard_rows
    if part is not None and check_target(out, who | {"shard_rows": rows}, part[1], options.fresh):
        raise DatasetError(f"{out} holds this dataset already, whole: no part of it is missing")
    folder = out if part is None else part_folder(out, part)
    return DatasetWriter(
        folder, design, schema, who, shard_rows=rows, fresh=options.fresh, part=part, extend=options.extend
    )


def _go(run: _Run, writer: DatasetWriter, options: GenerateOptions) -> Inspection | None:
    """Render, and finish the dataset, whatever comes in between."""
    try:
        run.go(options.progress)
    except KeyboardInterrupt:
        if options.progress:
            print(
                f"\ninterrupted: {writer.durable_rows} of {writer.expected} pictures are safe in {writer.out}; "
                f"the same command {'without --fresh ' if options.fresh else ''}continues",
                file=sys.stderr,
            )
        raise
    finally:
        # On the way out of an error the manifest may be what cannot be written; that error comes first.
        with suppress(DatasetError) if sys.exc_info()[0] else nullcontext():
            _conclude(writer, run)
    if not writer.manifest.shards:
        return None
    return finish(writer.out, unchanged=run.rendered == 0, card=options.part is None)


class _Run:
    """Engines at work: frames come in, rows go out. Packing rows is parallel, writing them is not."""

    def __init__(
        self,
        writer: DatasetWriter,
        rendering: RenderOptions,
        engines: Supervisor,
        camera_retries: CameraRetries | None,
        options: GenerateOptions,
    ) -> None:
        self.failures: list[Failure] = []
        self.failed: list[int] = []  # places of their scenes in the design
        self.rendered = 0
        self.recheck = Recheck(writer, rendering.seed)
        self._writer = writer
        self._rendering = rendering
        self._engines = engines
        self._camera_retries = camera_retries
        self._check = options.check
        self._workers = options.workers or 1
        self._backlog = Backlog(writer)
        self._results: queue.Queue[tuple[int, Frame | Failure]] = queue.Queue(maxsize=8)
        self._error: BaseException | None = None
        self._out = 0  # scenes that engines are asked for
        self._rechecking = False
        self._packing: deque[tuple[int, Scene, Future[bytes], float]] = deque()
        self._threads = min(8, os.cpu_count() or 1)
        self._row = 0  # failures in a row
        self._first: float | None = None  # when the first picture came
        self._last = 0.0  # when the last one was stored
        self._loading: dict[Value, float] = {}  # seconds by world
        self._first_load = 0.0
        self._before = writer.settled
        self._start = time.perf_counter()
        self._reported = 0.0

    @property
    def cost(self) -> Cost | None:
        """What this run cost, where there were enough pictures to say."""
        if self.rendered < 4 or self._first is None or self._last <= self._first:
            return None
        span = self._last - self._first
        loading = sum(self._loading.values()) / self._workers
        later = loading - self._first_load / self._workers  # the first world was loaded before the first picture
        picture = max(span - later, span / 20) / (self.rendered - 1)
        start = max(self._first - self._start - self._first_load - picture, 0.0)
        return Cost(picture, loading / max(len(self._loading), 1), start)

    def go(self, show: bool) -> None:
        """Render everything that is missing.

        Raises:
            EngineError: every engine is lost, or scene after scene fails.
            DatasetError: the folder cannot be written.
        """
        writer = self._writer
        with (
            progress(writer.out.name, writer.expected, show) as tick,
            ThreadPoolExecutor(self._threads, "pack") as pool,
        ):
            try:
                while self._more():
                    self._collect(pool)
                    for shard in self._backlog.ready():
                        writer.finish_shard(shard)
                    tick(self._before + self._backlog.found, self.rendered, len(self.failures))
                self._engines.close(_DRAIN_SECONDS)
            except BaseException:
                # Ctrl-C, a full disk: nothing more is begun, what is done stays done.
                self._engines.stop()
                self._drain()
                raise
        self._report(done=True)

    def _more(self) -> bool:
        """Hand out what is missing, shard by shard, and then what is rendered once more; return whether there is any.

        The next shard is begun before an engine has nothing to do.
        """
        if not self._rechecking and (room := _AHEAD * self._workers - self._engines.waiting) > 0:
            missing: list[int] = []
            while len(missing) < room and (shard := self._backlog.begin()):
                missing += shard
            self._ask(missing)
        if self._out or self._packing:
            return True
        for number in self._backlog.ready():
            self._writer.finish_shard(number)
        if not self._rechecking:
            self._rechecking = True
            self._ask(
                self.recheck.choose(min(MOST_CHECKED, self.rendered // 100) if self._check is None else self._check)
            )
        else:
            self._ask(self.recheck.more())
        return self._out > 0

    def _ask(self, indices: list[int]) -> None:
        """Have scenes rendered, by the engines that are free."""
        self._out += len(indices)
        scenes = [self._writer.design[index] for index in indices]
        # In an engine's thread, never in this one, which takes what they put into a queue of limited length.
        callbacks = [partial(self._came, index, -1, None) for index in indices]
        self._engines.submit_all(scenes, self._rendering, callbacks)

    def _came(self, index: int, step: int, best: Frame | None, future: Future[Frame | Failure]) -> None:
        """Take what became of a scene, in the thread of its engine, which waits where rows are written more slowly."""
        if future.cancelled():
            return
        try:
            answer = self._judged(index, step, best, future.result())
        except BaseException as error:
            self._error = self._error or error
        else:
            if answer is not None:
                self._results.put((index, answer))

    def _judged(self, index: int, step: int, best: Frame | None, answer: Frame | Failure) -> Frame | Failure | None:
        """Return what a scene's row is made of; ``None`` where it is asked for again with the camera moved.

        Args:
            index: of the scene.
            step: how the camera was moved; −1: not.
            best: what was rendered before it and failed a check.
            answer: what came.
        """
        if isinstance(answer, Failure) or self._camera_retries is None:
            return answer if best is None else best
        scene = self._writer.design[index]
        frame = answer if step < 0 else self._camera_retries.labelled(answer, scene, step)
        failed = self._camera_retries.failed(frame)
        if best is not None and failed >= self._camera_retries.failed(best):
            frame = best
        if not failed or step + 1 == len(self._camera_retries.steps):
            return frame
        moved = self._engines.submit(self._camera_retries.scene(scene, step + 1), self._rendering, first=True)
        moved.add_done_callback(partial(self._came, index, step + 1, frame))
        return None

    def _collect(self, pool: ThreadPoolExecutor) -> None:
        """Take one step: store a row, or take an answer."""
        if self._packing and (len(self._packing) > 2 * self._threads or self._results.empty()):
            self._store(*self._packing.popleft())
            return
        self._report()
        try:
            index, answer = self._results.get(timeout=0.5)
        except queue.Empty:
            if self._error is not None:
                raise self._error from None
            return
        self._out -= 1
        if self._rechecking:
            self.recheck.compare(index, answer)
        elif isinstance(answer, Frame):
            if self._first is None:
                self._first = time.perf_counter()
            packed = pool.submit(self._writer.pack, answer)
            self._packing.append((index, answer.scene, packed, world_seconds(answer)))
        else:
            self._fail(index, answer)

    def _report(self, done: bool = False) -> None:
        """Say how things stand, once a second."""
        now = time.monotonic()
        if not done and now < self._reported + 1:
            return
        self._reported = now
        rate = self.rendered / max(time.perf_counter() - self._start, 1e-9)
        found = self._before + self._backlog.found
        left = self._writer.expected - found - self.rendered - len(self.failures)
        status = {
            "host": platform.node(), "pid": os.getpid(), "updated": time.time(),
            "images": self._writer.expected, "found": found, "rendered": self.rendered,
            "failed": len(self.failures), "rate": round(rate, 3), "done": done,
            "seconds_left": round(left / rate, 1) if self.rendered else None, "repeated": self._engines.repeated,
            "workers": [asdict(status) for status in self._engines.status()],
        }  # fmt: skip
        with suppress(OSError):  # nothing depends on it
            write_atomic(self._writer.out / STATUS, json.dumps(status).encode(), sync=False)

    def _store(self, index: int, scene: Scene, packed: Future[bytes], loading: float) -> None:
        try:
            data = packed.result()
        except (TorchMultiverseError, ValueError, TypeError, KeyError) as error:
            self._fail(index, Failure(scene, f"its row cannot be made: {error}"))
            return
        self._writer.put(scene.scene_id, data)
        self._loading[scene["World_Name"]] = self._loading.get(scene["World_Name"], 0.0) + loading
        if not self.rendered:
            self._first_load = loading
        self._last = time.perf_counter()
        self.rendered += 1
        self._row = 0
        self._backlog.settle(index)

    def _fail(self, index: int, failure: Failure) -> None:
        self.failures.append(failure)
        self.failed.append(index)
        self._backlog.settle(index)
        self._row += 1
        if self._row >= HOPELESS:
            raise EngineError(f"{self._row} scenes in a row failed, so the run stops; the last: {failure.error()}")

    def _drain(self) -> None:
        """Wait until no engine renders; keep the pictures that still come, while the disk takes them."""
        end = time.monotonic() + _DRAIN_SECONDS
        with suppress(DatasetError):
            while self._packing:
                self._store(*self._packing.popleft())
        while time.monotonic() < end:
            ended = self._engines.join(0)
            try:
                _, answer = self._results.get(timeout=0 if ended else 0.1)
            except queue.Empty:
                if ended:
                    return
                continue
            if isinstance(answer, Frame) and not self._rechecking:
                with suppress(DatasetError):
                    self._writer.add(answer)


def _factory(
    engine: Callable[[], Engine] | str | Engine, factors: list[str], assets: list[str], lease: float
) -> Callable[[], Engine]:
    if isinstance(engine, Engine) and not isinstance(engine, type):
        raise SpecError("engine: pass a name, or a function that makes one, so that every worker has its own")
    if callable(engine):
        return engine
    from torchmultiverse.connect import open_engine

    name = engine
    # An engine of the pug dialect keeps what it was last sent, and its own defaults may differ from ours: so every
    # factor of the spec is sent with every scene, in the spec's order.
    return lambda: open_engine(name, factor_order=factors, assets=assets, pug_hold=lease / 3)


def _describe(writer: DatasetWriter, spec: Spec, catalogue: Catalogue, notes: list[str]) -> None:
    counts = writer.design.level_counts()
    classes = catalogue.classes_among(counts)
    writer.manifest.set(
        name=spec.name,
        torchmultiverse=__version__,
        engine={"name": catalogue.engine, "version": catalogue.version, "fingerprint": catalogue.fingerprint},
        packs=catalogue.packs,
        assets=[asset.model_dump() for asset in catalogue.assets_among(counts)],
        **({"classes": [one.model_dump() for one in classes]} if classes else {}),
        notes=notes,
        images=writer.design.count,
        counts={spec.table[name].column: {str(v): n for v, n in per.items()} for name, per in counts.items()},
    )
    writer.save_manifest()


def _conclude(writer: DatasetWriter, run: _Run) -> None:
    ordered = sorted(run.failures, key=lambda failure: failure.scene.canonical)
    manifest = writer.manifest
    manifest.failures = {f.scene.scene_id: FailedScene(scene=f.scene.wire, reason=f.reason) for f in ordered}
    manifest.checked = run.recheck.checked or manifest.checked
    if untrusted := {**manifest.untrusted, **run.recheck.untrusted}:
        manifest.untrusted = untrusted
    manifest.complete = writer.rows == writer.expected and not untrusted
    writer.save_manifest()
