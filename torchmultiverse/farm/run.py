"""Many scenes through engines into a dataset: the run as a whole."""

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from torchmultiverse.engines import Catalogue, Engine, Failure, Frame, RenderOptions, likeness
from torchmultiverse.errors import DatasetError, EngineError, SpecError, TorchMultiverseError
from torchmultiverse.farm.estimate import Cost, identity, remember_cost, render_options, select, world_seconds
from torchmultiverse.farm.parts import check_target, part_folder
from torchmultiverse.farm.progress import Tick, progress
from torchmultiverse.farm.schedule import LEASE, Schedule
from torchmultiverse.farm.worker import Answered, Job, Left, Nudges, Worker
from torchmultiverse.files import write_atomic
from torchmultiverse.images import rgb
from torchmultiverse.scenes import Scene, Spec, Value, load_spec, parse_spec
from torchmultiverse.store import (
    SHARD_ROWS,
    DatasetWriter,
    FailedScene,
    Inspection,
    RowSchema,
    StoredDataset,
    finish,
    open_dataset,
)
from torchmultiverse.version import __version__

HOPELESS = 100
"""A run ends when so many scenes in a row failed: then it is not the scenes."""
STATUS = "status.json"
"""How things stand, once a second; for people and for `torchmultiverse farm status`."""
MOST_CHECKED = 8
_DRAIN_SECONDS = 30.0


@dataclass
class GenerateReport:
    """What a run did.

    Attributes:
        out: folder of the dataset.
        pictures: rows of the dataset now.
        rendered: pictures rendered by this run.
        seconds: duration of this run.
        failures: scenes that could not be rendered.
        lost: what ended those workers that did not live to the end; the others did their work.
        quality: what was found in the pictures; None where there is none.
        checked: of scenes that were rendered once more, by id, the largest difference from the stored picture (of
            255), or None where the second try failed.
        untrusted: scenes whose stored picture shows something else than the second one, by id, and why.
    """

    out: Path
    pictures: int
    rendered: int
    seconds: float
    failures: list[Failure] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    quality: Inspection | None = None
    checked: dict[str, int | None] = field(default_factory=dict)
    untrusted: dict[str, str] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether every scene was rendered, and no picture is in doubt."""
        return not self.failures and not self.untrusted

    def __str__(self) -> str:
        rate = f", {self.rendered / self.seconds:.1f} pictures/s" if self.rendered and self.seconds else ""
        text = f"{self.out}: {self.pictures} pictures, {self.rendered} rendered now in {self.seconds:.0f} s{rate}"
        if self.quality is not None and not self.quality.good:
            text += f"\nquality: {self.quality}"
        if self.checked:
            apart = [value for value in self.checked.values() if value != 0]
            text += f"\nrendered once more: {len(self.checked)} pictures, "
            text += (
                "each the same" if not apart else f"{len(apart)} differ, by up to {max(v or 255 for v in apart)} of 255"
            )
        if self.untrusted:
            text += (
                f"\n{len(self.untrusted)} pictures cannot be trusted, all in manifest.json: rendered once more, they "
            )
            text += "show something else. To render them again, drop their shards and repeat the same command: "
            text += f"torchmultiverse verify {self.out} --drop-bad"
            text += "".join(f"\n  {scene_id} {reason}" for scene_id, reason in list(self.untrusted.items())[:10])
        for reason in self.lost:
            text += f"\na worker was lost on the way: {reason}"
        if self.failures:
            text += f"\n{len(self.failures)} scenes failed; the same command tries them again:"
            text += "".join(f"\n  {failure.error()}" for failure in self.failures[:10])
            if len(self.failures) > 10:
                text += f"\n  … and {len(self.failures) - 10} more, all in manifest.json"
        return text


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
    part: tuple[int, int] | None = None,
    retries: int = 1,
    lease: float = LEASE,
    recycle: int | None = None,
    memory: float | None = None,
    check: int | None = None,
    shard_rows: int = SHARD_ROWS,
    fresh: bool = False,
    extend: bool = False,
    progress: bool = True,
) -> GenerateReport:
    """Render a spec to a dataset; an unfinished one is continued.

    Args:
        spec: a spec, its decoded JSON, or its path.
        out: folder of the dataset.
        engine: as for `torchmultiverse.open_engine`, or a function that makes an engine; called once per worker, in the
            worker's thread, and again when an engine is lost.
        size: square size or (width, height) in pixels, instead of the spec's.
        where: only some scenes.
        limit: only the first scenes.
        samples: samples per pixel, instead of the spec's.
        workers: engines side by side.
        part: (i, n): only every n-th shard of the dataset, from the i-th, into a folder of its own inside ``out``;
            `torchmultiverse.farm.join` puts all n together.
        retries: further attempts for a scene that fails.
        lease: seconds without an answer after which a scene is given to another worker and its engine is made anew.
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
        SpecError: the spec is wrong, or names what the engine does not have.
        EngineError: every engine is lost, or scene after scene fails.
        DatasetError: the folder holds something else or cannot be written.
    """
    loaded = spec if isinstance(spec, Spec) else parse_spec(spec) if isinstance(spec, Mapping) else load_spec(spec)
    if workers < 1:
        raise SpecError(f"workers = {workers}: at least one is needed")
    if part is not None and not 0 <= part[0] < part[1]:
        raise SpecError(f"part = {part}: write (i, n) with i from 0 to n - 1")
    if part is not None and extend:
        raise SpecError("extend: a part has no pictures of the dataset to keep; extend it without parts")
    design = select(loaded, where, limit)
    options = render_options(loaded, size, samples)
    make = _factory(engine, design.sent, loaded.assets, lease)
    start = time.perf_counter()
    crew = [Worker(number, make) for number in range(workers)]
    crew[0].start()
    try:
        catalogue = crew[0].catalogue.result()
        if packs := catalogue.pack_problems(loaded.assets):
            raise SpecError(packs[0])
        catalogue.check(design)
        lacking = [name for name in options.passes if name not in catalogue.passes]
        if lacking:
            raise SpecError(f"render.passes: engine '{catalogue.engine}' cannot render {', '.join(lacking)}")
        schema = RowSchema(loaded, design, options.passes)
        who = identity(loaded, options, where, limit) | {"engine": catalogue.fingerprint}
        if part is not None and check_target(Path(out), who | {"shard_rows": shard_rows}, part[1], fresh):
            raise DatasetError(f"{out} holds this dataset already, whole: no part of it is missing")
        folder = Path(out) if part is None else part_folder(Path(out), part)
        writer = DatasetWriter(
            folder, design, schema, who, shard_rows=shard_rows, fresh=fresh, part=part, extend=extend
        )
    except BaseException:
        crew[0].dismiss(_DRAIN_SECONDS)
        raise
    try:
        _describe(writer, loaded, catalogue, crew[0].notes)
        run = _Run(
            writer,
            options,
            crew,
            retries,
            catalogue.fingerprint,
            Nudges.of(loaded, design),
            lease,
            recycle,
            None if memory is None else int(memory * 1e9),
            check,
        )
        try:
            run.go(progress)
        except KeyboardInterrupt:
            if progress:
                print(
                    f"\ninterrupted: {writer.safe} of {writer.expected} pictures are safe in {writer.out}; "
                    "the same command continues",
                    file=sys.stderr,
                )
            raise
        finally:
            # On the way out of an error the manifest may be what cannot be written; that error comes first.
            with suppress(DatasetError) if sys.exc_info()[0] else nullcontext():
                _conclude(writer, run)
        inspection: Inspection | None = None
        if writer.manifest.shards:
            inspection = finish(writer.out, unchanged=run.rendered == 0, card=part is None)
    finally:
        crew[0].dismiss(_DRAIN_SECONDS)
        writer.close()
    if run.cost is not None:
        remember_cost(catalogue.engine, options, workers, run.cost)
    seconds = time.perf_counter() - start
    return GenerateReport(
        writer.out, writer.rows, run.rendered, seconds, run.failures, run.lost, inspection, run.checked,
        writer.manifest.untrusted,
    )  # fmt: skip


class _Run:
    """The crew at work: frames come in, rows go out. Packing rows is parallel, writing them is not."""

    def __init__(
        self,
        writer: DatasetWriter,
        options: RenderOptions,
        crew: list[Worker],
        retries: int,
        fingerprint: str,
        nudges: Nudges | None = None,
        lease: float = LEASE,
        recycle: int | None = None,
        memory: int | None = None,
        check: int | None = None,
    ) -> None:
        self.failures: list[Failure] = []
        self.rendered = 0
        self.lost: list[str] = []
        self._writer = writer
        self._crew = crew
        self._schedule = Schedule(writer, retries, lease, check=True)
        self._results: queue.Queue[Answered | Left] = queue.Queue(maxsize=8)
        self._job = Job(writer.design, options, self._schedule, self._results, fingerprint, nudges, recycle, memory)
        self._packing: deque[tuple[int, Scene, Future[bytes], float]] = deque()
        self._threads = min(8, os.cpu_count() or 1)
        self._row = 0  # failures in a row
        self._first: float | None = None  # when the first picture came
        self._last = 0.0  # when the last one was stored
        self._loading: dict[Value, float] = {}  # seconds by world
        self._first_load = 0.0
        self._before = writer.settled
        self._lease = lease
        self._start = time.perf_counter()
        self._watched = 0.0
        self._ended: dict[int, float] = {}
        self._check = check
        self._comparing = False
        self._chosen: dict[int, int] = {}  # index → row
        self._stored: StoredDataset | None = None
        self._groups: set[str] = set()  # of pictures that were proven together, one of which shows something else
        self.checked: dict[str, int | None] = {}
        self.untrusted: dict[str, str] = {}

    @property
    def cost(self) -> Cost | None:
        """What this run cost, where there were enough pictures to say."""
        if self.rendered < 4 or self._first is None or self._last <= self._first:
            return None
        span = self._last - self._first
        loading = sum(self._loading.values()) / len(self._crew)
        later = loading - self._first_load / len(self._crew)  # the first world was loaded before the first picture
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
                for worker in self._crew:
                    worker.job.set_result(self._job)
                    if not worker.is_alive():
                        worker.start()
                self._collect(pool, tick)
            except BaseException:
                # Ctrl-C, a full disk: nothing more is begun, what is done stays done.
                self._schedule.stop()
                for worker in self._crew:
                    worker.stop()
                self._drain()
                raise

    def _collect(self, pool: ThreadPoolExecutor, tick: Tick) -> None:
        running, errors = len(self._crew), list[BaseException]()
        while self._packing or (running and not self._schedule.finished):
            if self._packing and (len(self._packing) > 2 * self._threads or self._results.empty()):
                self._store(*self._packing.popleft())
            else:
                self._watch(time.monotonic())
                try:
                    result = self._results.get(timeout=0.5)
                except queue.Empty:
                    continue
                if isinstance(result, Left):
                    running -= 1
                    if result.error is not None:
                        if not isinstance(result.error, EngineError):
                            raise result.error
                        errors.append(result.error)
                        self.lost.append(str(result.error))
                elif result.index in self._chosen:
                    self._compare(result.index, result.answer)
                elif isinstance(result.answer, Frame):
                    packed = pool.submit(self._writer.pack, result.answer)
                    loading = world_seconds(result.answer)
                    if self._first is None:
                        self._first = time.perf_counter()
                    self._packing.append((result.index, result.answer.scene, packed, loading))
                else:
                    self._fail(result.index, result.answer)
            for shard in self._schedule.ready():
                self._writer.finish_shard(shard)
            tick(self._before + self._schedule.found, self.rendered, len(self.failures))
            if self._schedule.finished and not self._packing:
                if not self._comparing:
                    self._compare_again()
                elif self._groups:
                    self._compare_groups()
        self._schedule.dismiss()
        for shard in self._schedule.ready():
            self._writer.finish_shard(shard)
        if len(errors) == len(self._crew) or not self._schedule.finished:
            raise errors[0] if errors else EngineError("the engines ended before every scene was rendered")
        self._leave()

    def _compare_again(self) -> None:
        """Have some of the stored scenes rendered once more, by whichever engine is free."""
        for shard in self._schedule.ready():
            self._writer.finish_shard(shard)
        self._comparing = True
        count = min(MOST_CHECKED, self.rendered // 100) if self._check is None else self._check
        stored = open_dataset(self._writer.out) if self._writer.manifest.shards and count else None
        chosen: dict[int, int] = {}
        ids: dict[str, int] = {}
        if stored is not None:
            shards = [n for n in self._writer.numbers if self._writer.complete(n)]
            rng = np.random.default_rng(self._job.options.seed)
            for shard in rng.choice(shards, min(count, len(shards) * self._writer.shard_rows)) if shards else ():
                index = int(rng.choice(self._writer.shard_range(int(shard))))
                ids[self._writer.design[index].scene_id] = index
            chosen = {ids[scene_id]: row for scene_id, row in stored.find(list(ids)).items()}
        self._chosen, self._stored = chosen, stored
        self._schedule.again(chosen)

    def _compare_groups(self) -> None:
        """Have everything rendered once more that was proven together with a picture that shows something else."""
        assert self._stored is not None
        groups, self._groups = self._groups, set()
        stored = self._stored.table(["scene_id", "annotations"]).to_pydict()
        rows = {
            scene_id: row
            for row, (scene_id, said) in enumerate(zip(stored["scene_id"], stored["annotations"], strict=True))
            if said and _group(said) in groups and scene_id not in self.checked
        }
        self._chosen = {}
        for shard in self._writer.numbers if rows else ():
            for index in self._writer.shard_range(shard):
                if (scene_id := self._writer.design[index].scene_id) in rows:
                    self._chosen[index] = rows[scene_id]
        self._schedule.again(self._chosen)

    def _compare(self, index: int, answer: Frame | Failure) -> None:
        if not self._schedule.is_open(index):
            return
        assert self._stored is not None
        scene_id, row = answer.scene.scene_id, self._chosen[index]
        self.checked[scene_id] = None
        if isinstance(answer, Frame):
            before = np.asarray(rgb(self._stored.image(row)))
            self.checked[scene_id] = int(np.abs(before.astype(int) - answer.array("rgb")).max())
            apart = likeness.largest(likeness.blocks(before), likeness.blocks(answer.array("rgb")))
            if apart > likeness.SAME:
                self.untrusted[scene_id] = f"differs by {apart:.0f} of 255 in the mean of a block of pixels"
                said = self._stored.row(row, ["annotations"])["annotations"]
                self._groups |= {group} if (group := _group(said)) else set()
        self._schedule.settle(index)

    def _watch(self, now: float) -> None:
        """End engines that do not answer, and say how things stand, once a second."""
        if now < self._watched + 1:
            return
        self._watched = now
        for number, seconds in self._schedule.longest().items():
            if seconds > self._lease and number not in self._ended:
                self._ended[number] = now
                self._crew[number].end_engine(f"nothing came from it for {seconds:.0f} s")
        self._ended = {number: since for number, since in self._ended.items() if now - since < self._lease}
        self._report()

    def _report(self, done: bool = False) -> None:
        rate = self.rendered / max(time.perf_counter() - self._start, 1e-9)
        found = self._before + self._schedule.found
        left = self._writer.expected - found - self.rendered - len(self.failures)
        longest = self._schedule.longest()
        status = {
            "host": platform.node(), "pid": os.getpid(), "updated": time.time(),
            "pictures": self._writer.expected, "found": found, "rendered": self.rendered,
            "failed": len(self.failures), "rate": round(rate, 3), "done": done,
            "seconds_left": round(left / rate, 1) if self.rendered else None, "repeated": self._schedule.repeated,
            "workers": [
                {
                    "number": w.number, "state": w.state, "world": w.world, "pictures": w.answers,
                    "restarts": w.restarts, "memory": w.memory, "waits": round(longest.get(w.number, 0.0), 1),
                }
                for w in self._crew
            ],
        }  # fmt: skip
        with suppress(OSError):  # nothing depends on it
            write_atomic(self._writer.out / STATUS, json.dumps(status).encode(), sync=False)

    def _leave(self) -> None:
        """Wait for the workers; end the engine of one that hangs over a scene that another one rendered."""
        end = time.monotonic() + _DRAIN_SECONDS
        hanging = set(self._schedule.longest())
        for worker in self._crew:
            worker.stop()
            if worker.number in hanging:
                worker.end_engine("another worker was quicker")
        while any(worker.is_alive() for worker in self._crew) and time.monotonic() < end:
            with suppress(queue.Empty):
                result = self._results.get(timeout=0.1)  # of no use any more, but its worker must not wait
                if isinstance(result, Left) and result.error is not None and not isinstance(result.error, EngineError):
                    raise result.error
        self._report(done=True)

    def _store(self, index: int, scene: Scene, packed: Future[bytes], loading: float) -> None:
        try:
            data = packed.result()
        except (TorchMultiverseError, ValueError, TypeError, KeyError) as error:
            self._fail(index, Failure(scene, f"its row cannot be made: {error}"))
            return
        if not self._schedule.is_open(index):
            return  # another worker was quicker
        self._writer.put(scene.scene_id, data)
        self._loading[scene["World_Name"]] = self._loading.get(scene["World_Name"], 0.0) + loading
        if not self.rendered:
            self._first_load = loading
        self._last = time.perf_counter()
        self.rendered += 1
        self._row = 0
        self._schedule.settle(index)

    def _fail(self, index: int, failure: Failure) -> None:
        if not self._schedule.is_open(index):
            return
        self.failures.append(failure)
        self._schedule.settle(index)
        self._row += 1
        if self._row >= HOPELESS:
            raise EngineError(f"{self._row} scenes in a row failed, so the run stops; the last: {failure.error()}")

    def _drain(self) -> None:
        """Wait until no engine renders; keep the pictures that still come, while the disk takes them."""
        end = time.monotonic() + _DRAIN_SECONDS
        with suppress(DatasetError):
            while self._packing:
                self._store(*self._packing.popleft())
        while any(worker.is_alive() for worker in self._crew) and time.monotonic() < end:
            with suppress(queue.Empty, DatasetError):
                result = self._results.get(timeout=0.1)
                if isinstance(result, Answered) and isinstance(result.answer, Frame):
                    self._writer.add(result.answer)


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
    levels = {str(v) for per in counts.values() for v in per}
    # A world may be named with the suffix of a view.
    levels |= {level.rpartition("_")[0] for level in levels if level.rpartition("_")[2].isdigit()}
    writer.manifest.set(
        name=spec.name,
        torchmultiverse=__version__,
        engine={"name": catalogue.engine, "version": catalogue.version, "fingerprint": catalogue.fingerprint},
        packs=catalogue.packs,
        assets=[a.model_dump() for a in catalogue.assets if a.name in levels],
        notes=notes,
        images=writer.design.count,
        counts={spec.table[name].column: {str(v): n for v, n in per.items()} for name, per in counts.items()},
    )
    writer.save_manifest()


def _group(annotations: str) -> str:
    """Return the name of the batch in which a picture was proven; empty where pictures have ids."""
    pairing = json.loads(annotations).get("pairing") or {}
    return str(pairing.get("group", ""))


def _conclude(writer: DatasetWriter, run: _Run) -> None:
    ordered = sorted(run.failures, key=lambda failure: failure.scene.canonical)
    manifest = writer.manifest
    manifest.failures = {f.scene.scene_id: FailedScene(scene=f.scene.wire, reason=f.reason) for f in ordered}
    manifest.checked = run.checked or manifest.checked
    if untrusted := {**manifest.untrusted, **run.untrusted}:
        manifest.untrusted = untrusted
    manifest.complete = writer.rows == writer.expected and not untrusted
    writer.save_manifest()
