"""Pictures rendered while a model trains: a torch iterable dataset over engines in the background.

Scenes are drawn a window at a time and ordered by world within it, because a change of world is what costs an engine
most; then a supervisor's engines render them, and they come out in that order whichever engine is quicker. So the
order depends on the seed alone, and is random but for the runs of one world within a window.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import replace
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info

from torchmultiverse.engines import (
    RESTARTS,
    Annotates,
    Engine,
    Failure,
    Frame,
    Limits,
    RenderOptions,
    RendersOnDevice,
    Supervisor,
    capability,
)
from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.scenes import Design, Scene, Spec, as_number, load_spec, parse_spec
from torchmultiverse.stream.dataset import to_tensor
from torchmultiverse.stream.options import StreamOptions
from torchmultiverse.stream.record import Recorder
from torchmultiverse.stream.samplers import Sampler, Uniform
from torchmultiverse.stream.shared import REMEMBERED, Reader, SharedState

_TIMES = ("wait", "prepare", "outside", "render", "idle")
Item = dict[str, Any]
Rendering = tuple[Scene, float, Future[Frame | Failure]]
"""A scene, its weight, and what becomes of it."""


class RenderStream(IterableDataset[Item]):
    """Live pictures and labels.

    Items are ``{"image": float32 (3, H, W) in 0..1 or what ``transform`` makes of the PIL picture, column: level, …,
    "scene_id": …, "weight": importance weight}``; ``torch.utils.data.DataLoader`` batches and pins them. A
    number that is the world's or the layout's own is NaN.

    With DataLoader workers, ranks of ``torch.distributed``, or both, a design is shared without overlap; every reader
    has its own engines. A sampler of another kind draws for each reader with random numbers of its own. What the
    training process says (`feedback`, `load_state_dict`) reaches the workers, `scenes`, `counterfactuals`, `failures`
    and `stats` know of what they showed, and each epoch goes on where the workers of the last one ended, also where
    it was left early: then what they had fetched ahead is not shown. Workers fetch ahead, so the stream cannot tell
    which of their pictures the training loop has had: the state in the middle of an epoch is that of the loader,
    `torchdata.stateful_dataloader.StatefulDataLoader`, which takes the place of ``DataLoader``.

    Args:
        source: a spec, its path or decoded JSON, a design, or a sampler.
        engine: as for `torchmultiverse.open_engine`, or a function that makes an engine; called ``workers`` times, when
            the first picture is asked for. By default ``builtin``, and ``inprocess`` with a GPU as ``device``.
        options: how; see `StreamOptions`.
        settings: fields of `StreamOptions` by name, instead of those in ``options``.

    Raises:
        SpecError: the source is wrong, or a number is out of range.
        RenderError: (while iterating) a scene cannot be rendered.
        EngineError: (while iterating) an engine is lost for good.
    """

    def __init__(
        self,
        source: Spec | Mapping[str, Any] | str | Path | Design | Sampler,
        engine: str | Callable[[], Engine] | None = None,
        *,
        options: StreamOptions | None = None,
        **settings: Any,
    ) -> None:
        self._settings = chosen = replace(options or StreamOptions(), **settings)
        self._spec = _spec(source)
        self.design = _design(source, self._spec)
        self.options = _rendering(self._spec, chosen)
        self._sampler = source if isinstance(source, Sampler) else Uniform(self.design, chosen.seed)
        self._part: Reader = (0, 1)  # what the sampler draws for
        self._device = None if chosen.device is None else torch.device(chosen.device)
        self._recorder: Recorder | None = None
        self._recorded: int | None = None  # of the state that was loaded
        if engine is None:
            engine = "inprocess" if self._device is not None and self._device.type == "cuda" else "builtin"
        assets = self._spec.assets if self._spec else []
        self._workers = self._side_by_side(engine)
        self._make = engine if callable(engine) else _factory(engine, self.design, assets)
        self._transform = chosen.transform or (to_tensor if self._device is None else lambda tensor: tensor)
        self._failures: list[Failure] = []
        self._loaded: tuple[Mapping[str, Any], int] | None = None  # a state to go on from, and the process it came to
        self._shared = SharedState()
        self._last_feedback = 0  # the last feedback from the training process that a copy's sampler knows of
        self._begun = 0  # the process in which this object has begun to show pictures
        self._worker = (0, 0, 0)  # of which process it is known that it is a DataLoader worker; which, of how many
        self._pending: deque[tuple[Scene, float]] = deque()
        self._seen: OrderedDict[str, Scene] = OrderedDict()
        self._engines: Supervisor | None = None
        self._times = {"wait": 0.0, "prepare": 0.0, "outside": 0.0}
        self._earlier: dict[str, float] = {}  # the same, of the copies before this one
        self._yielded = 0
        self._ended = False  # the sampler has no more for this epoch
        self._annotated = False  # whether anybody looks at what frames say of themselves

    def __getstate__(self) -> dict[str, Any]:
        if self._engines is not None:
            raise SpecError("a stream that renders already cannot be sent to DataLoader workers; make the loader first")
        return self.__dict__.copy()

    def __iter__(self) -> Iterator[Item]:
        sampler = self._ready()
        self._begun = os.getpid()
        self._recording()
        engines = self._started()
        self._ended = self._ended and bool(self._pending)
        rendering: deque[Rendering] = deque()  # in order
        left = time.perf_counter()
        try:
            while True:
                self._hand_out(engines, sampler, rendering)
                if not rendering:
                    return
                begun = time.perf_counter()
                self._times["outside"] += begun - left
                scene, weight, future = rendering[0]
                answer = future.result()
                came = time.perf_counter()
                self._times["wait"] += came - begun
                rendering.popleft()
                self._pending.popleft()
                item = self._item(scene, weight, answer)
                left = time.perf_counter()
                self._times["prepare"] += left - came
                if item is not None:
                    yield item
        finally:
            for _, _, future in rendering:
                future.cancel()
            if self._recorder is not None:
                self._recorder.flush()  # a reader in another process is not told when it ends
            self._keep()

    @property
    def failures(self) -> list[Failure]:
        """Scenes that could not be rendered, here or in DataLoader workers."""
        if self._copied():
            return self._failures
        table = self.design.table
        elsewhere = (
            Failure(Scene.from_json(text, table), reason, tries) for text, reason, tries in self._shared.failures()
        )
        return [*self._failures, *elsewhere]

    def feedback(self, scene_ids: Sequence[str], losses: Iterable[float]) -> None:
        """Tell the sampler how hard pictures were; scenes by the ids of a batch, losses as numbers or a tensor.

        The samplers of DataLoader workers learn it when they next draw.

        Raises:
            SpecError: a scene that this stream has not shown, or not of late; not one number each, or one that the
                sampler cannot learn from. Nothing of it is told then.
        """
        given = losses.tolist() if hasattr(losses, "tolist") else losses
        try:
            values = [float(loss) for loss in given]
        except (TypeError, ValueError):
            raise SpecError(f"losses = {str(given)[:80]}: one number per scene is needed") from None
        shown = self.scenes(scene_ids)
        if len(values) != len(shown):
            raise SpecError(f"{len(values)} losses for {len(shown)} scenes; one each is needed")
        for loss in values:  # here, where it is said: in a worker it would end the loader, and each one after it
            self._sampler.check(loss)
        pairs = list(zip(shown, values, strict=True))
        if self._shared.exists and not self._copied():
            self._shared.add_feedback((scene.canonical, loss) for scene, loss in pairs)
            if self._begun != os.getpid():  # nothing is drawn here
                return
        sampler = self._ready()
        for scene, loss in pairs:
            sampler.feedback(scene, loss)

    def scenes(self, scene_ids: Sequence[str]) -> list[Scene]:
        """Return scenes that were shown, here or by DataLoader workers, by their ids.

        Raises:
            SpecError: one that was not, or not of late.
        """
        missing = [name for name in scene_ids if name not in self._seen]
        elsewhere = self._shared.scenes(missing) if missing else {}
        found = {name: Scene.from_json(text, self.design.table) for name, text in elsewhere.items()}
        unknown = [name for name in missing if name not in found]
        if unknown:
            raise SpecError(f"scene '{unknown[0]}' is not among the last {REMEMBERED} of this stream")
        return [self._seen[name] if name in self._seen else found[name] for name in scene_ids]

    def counterfactuals(
        self, scene_ids: Sequence[str], factor: str, levels: Sequence[Any] | None = None
    ) -> Iterator[Item]:
        """Yield pictures of shown scenes with one factor changed to each of its other levels.

        Items have ``"of"``, the id of the scene they differ from. Rendered by an engine of their own for the while.

        Raises:
            SpecError: an unknown scene or factor.
        """
        wire = self.design.table[factor].wire
        every = list(levels) if levels is not None else self.design.levels().get(wire, [])
        changed = [
            (scene.scene_id, scene.changed(**{wire: level}))
            for scene in self.scenes(scene_ids)
            for level in every
            if scene.table[wire].canonical(level) != scene[wire]
        ]
        with closing(self._supervise(1)) as engines:
            coming = iter(changed)
            rendering: deque[tuple[str, Scene, Future[Frame | Failure]]] = deque()
            while True:
                for of, scene in islice(coming, self._settings.prefetch - len(rendering)):
                    rendering.append((of, scene, engines.submit(scene, self.options)))
                if not rendering:
                    return
                of, scene, future = rendering.popleft()
                item = self._item(scene, 1.0, future.result())
                if item is not None:
                    yield {**item, "of": of}

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream stands, as JSON values: what comes next is what would have come.

        Raises:
            SpecError: pictures are shown by DataLoader workers, which fetch ahead of the training loop.
        """
        if self._shared.exists and not self._copied():
            raise SpecError(
                "this stream is read by DataLoader workers, which fetch ahead: only the loader knows what it has "
                "handed out. Use torchdata.stateful_dataloader.StatefulDataLoader in the place of DataLoader and save "
                "its state_dict(), or num_workers=0"
            )
        sampler = self._ready().state_dict()
        pending = [[scene.canonical, weight] for scene, weight in self._pending]
        state = {
            "sampler": sampler, "pending": pending, "yielded": self._yielded, "ended": self._ended,
            "reader": list(self._part),
        }  # fmt: skip
        return state if self._recorder is None else {**state, "recorded": self._recorder.flush()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state; call it before iterating, or before a DataLoader with workers is iterated.

        Raises:
            SpecError: this is no such state; or (when pictures are asked for) that of another number of readers.
        """
        wanted = ("sampler", "pending", "yielded", "ended")
        lacking = [key for key in wanted if key not in state] if isinstance(state, Mapping) else wanted
        if lacking:
            raise SpecError(f"this is no state of a RenderStream: it has no '{lacking[0]}'")
        self._loaded = (state, os.getpid())
        if not self._copied():
            self._shared.clear()

    def _ready(self) -> Sampler:
        """Return the sampler, with this reader's share of the work, where the stream goes on.

        In a DataLoader worker that is where the copy before this one ended, unless the worker itself was given a
        state; else what the training process was given, which this object was a copy of.
        """
        part = _reader(*self._worker[1:] if self._copied() else (0, 1))
        if part != self._part:  # copied from the training process, whose sampler draws for fewer readers
            self._pending.clear()
            self._ended = False
            if isinstance(self._sampler, Uniform):
                self._sampler.shard(*part)
            else:
                self._sampler.rng = self._sampler.rng.spawn(part[1])[part[0]]
            self._part = part
        loaded, here = self._loaded or (None, 0)
        if self._copied() and self._begun != os.getpid():
            earlier, self._last_feedback, self._earlier = self._shared.load_state(part)
            if here != os.getpid():
                loaded = earlier or loaded
        self._loaded = None
        if loaded is not None:
            self._restore(loaded)
        return self._sampler

    def _restore(self, state: Mapping[str, Any]) -> None:
        of = tuple(state.get("reader", self._part))
        if of != self._part:
            raise SpecError(
                f"the state is that of reader {of[0]} of {of[1]}, this is reader {self._part[0]} of {self._part[1]}: "
                "continue with as many DataLoader workers and ranks as when it was saved"
            )
        self._sampler.load_state_dict(state["sampler"])
        table = self.design.table
        self._pending = deque((Scene.from_json(text, table), float(weight)) for text, weight in state["pending"])
        self._yielded = int(state["yielded"])
        self._ended = bool(state["ended"])
        self._recorded = state.get("recorded")
        if self._recorder is not None and self._recorded is not None:
            self._recorder.rewind(self._recorded)
            self._recorded = None

    def _copied(self) -> bool:
        """Return whether this is a copy in a DataLoader worker, which torch denies while the worker ends."""
        if (worker := get_worker_info()) is not None:
            self._worker = (os.getpid(), worker.id, worker.num_workers)
        return self._worker[0] == os.getpid()

    def _keep(self) -> None:
        """Leave this copy's state for the next one."""
        if self._copied():
            self._shared.save_state(self._part, self.state_dict(), self._last_feedback, self._spent())

    def _recording(self) -> None:
        """Begin to record, or to go on, where that is wanted."""
        if self._settings.record is None or self._recorder is not None:
            return
        i, n = self._part
        out = Path(self._settings.record)
        if n > 1:
            out /= f"reader-{i}-of-{n}"
        self._recorder = Recorder(out, self._spec, self.design, self.options)
        if self._recorded is not None:
            self._recorder.rewind(self._recorded)
            self._recorded = None
        elif self._recorder.rows:
            self._recorder.close()
            self._recorder = None
            raise DatasetError(f"{out} holds a recording already; load the stream's state to continue it")

    def stats(self) -> dict[str, Any]:
        """Return how time was spent, in seconds, and what limits the stream.

        ``wait``: for pictures; ``prepare``: decoding and transforming; ``outside``: in the training loop; ``render``:
        summed over engines; ``idle``: engines without work. ``limit`` is ``rendering``, ``preparing`` or ``training``.
        """
        every = [self._spent(), *([] if self._copied() else self._shared.stats())]
        times = {key: sum(spent[key] for spent in every) for key in (*_TIMES, "images")}
        named = {"wait": "rendering", "prepare": "preparing", "outside": "training"}
        limit = named[max(named, key=lambda key: times[key])]
        return {**{key: round(times[key], 3) for key in _TIMES}, "images": times["images"], "limit": limit}

    def _spent(self) -> dict[str, Any]:
        engines = self._engines
        here = {**self._times, "render": engines.busy if engines else 0.0, "idle": engines.idle if engines else 0.0}
        return {key: here[key] + self._earlier.get(key, 0.0) for key in _TIMES} | {"images": self._yielded}

    def __repr__(self) -> str:
        found = self.stats()
        total = sum(found[key] for key in ("wait", "prepare", "outside")) or 1.0
        shares = ", ".join(f"{key} {100 * found[key] / total:.0f} %" for key in ("wait", "prepare", "outside"))
        engines = self._workers
        return f"RenderStream({found['images']} pictures, {engines} engines; {shares}; limit: {found['limit']})"

    def close(self) -> None:
        """End the engines; may be called twice."""
        if self._engines is not None:
            self._engines.close()
            self._engines = None
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None

    def __enter__(self) -> RenderStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_engines", None) is not None or getattr(self, "_recorder", None) is not None:
            self.close()

    def _started(self) -> Supervisor:
        if self._engines is None:
            if self._device is not None and self._device.type == "cuda" and get_worker_info() is not None:
                raise SpecError("a stream on a GPU renders in the training process; use a DataLoader without workers")
            self._engines = self._supervise(self._share())
        return self._engines

    def _side_by_side(self, engine: object) -> int:
        from torchmultiverse.connect import side_by_side

        return side_by_side(engine, self._settings.workers)

    def _share(self) -> int:
        """Return how many engines this copy runs: DataLoader workers share the instances of a launch profile."""
        info = get_worker_info()
        if self._settings.workers is not None or info is None:
            return self._workers
        return max(self._workers // info.num_workers, 1)

    def _supervise(self, workers: int) -> Supervisor:
        # A scene over which engines are lost goes to one engine more than an engine is made anew, so that an engine
        # that never works is said to be lost, and not the scene to be wrong.
        limits = Limits(
            lease=self._settings.lease, losses=RESTARTS + 1, max_in_flight=ceil(self._settings.prefetch / workers)
        )
        make, device = self._make, self._device
        annotated = self._annotated or self._settings.record is not None

        def engine() -> Engine:
            made = make() if device is None else keep_on_device(make())
            return made if annotated else without_annotations(made)

        return Supervisor(engine, workers, limits=limits, name="stream")

    def _hand_out(self, engines: Supervisor, sampler: Sampler, rendering: deque[Rendering]) -> None:
        """Keep the engines busy with what comes next, as far ahead as is allowed."""
        while len(rendering) < self._settings.prefetch:
            if len(self._pending) == len(rendering):
                self._learn(sampler)
                size = -(-self._settings.window // sampler.together) * sampler.together
                drawn = [] if self._ended else list(islice(iter(sampler.draw, None), size))
                self._ended = len(drawn) < size
                runs = [drawn[k : k + sampler.together] for k in range(0, len(drawn), sampler.together)]
                runs.sort(key=lambda run: str(run[0][0]["World_Name"]))
                self._pending.extend(found for run in runs for found in run)
                if self._recorder is None:  # whose state means another file
                    self._keep()
                if not drawn:
                    return
            coming = list(islice(self._pending, len(rendering), self._settings.prefetch))
            if self._copied():
                self._shared.add_scenes((scene.scene_id, scene.canonical) for scene, _ in coming)
            rendering.extend((scene, weight, engines.submit(scene, self.options)) for scene, weight in coming)

    def _learn(self, sampler: Sampler) -> None:
        """Let a copy's sampler know what the training process said since it last drew."""
        if self._copied():
            for number, text, loss in self._shared.feedback(self._last_feedback):
                sampler.feedback(Scene.from_json(text, self.design.table), loss)
                self._last_feedback = number

    def _item(self, scene: Scene, weight: float, answer: Frame | Failure) -> Item | None:
        if isinstance(answer, Failure):
            self._failures.append(answer)
            if self._copied():
                self._shared.add_failure(answer.scene.canonical, answer.reason, answer.attempts)
            if self._settings.on_failure == "raise":
                raise answer.error()
            return None
        self._seen[scene.scene_id] = scene
        self._seen.move_to_end(scene.scene_id)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        self._yielded += 1
        if self._recorder is not None:
            self._recorder.add(scene, answer, weight)
        factors = [scene.table[name] for name in self.design.factors]
        columns = {factor.column: as_number(factor, scene[factor.wire]) for factor in factors}
        image = self._transform(answer.image if self._device is None else self._there(answer))
        return {"image": image, **columns, "scene_id": scene.scene_id, "weight": weight}

    def _there(self, frame: Frame) -> torch.Tensor:
        """Return a picture on the wanted device, float32 (3, H, W) in 0..1."""
        held = frame.tensor()
        if held is None:
            held = torch.from_numpy(frame.array().copy())
            if self._device is not None and self._device.type == "cuda":
                held = held.pin_memory()
        elif held.is_cuda:
            # Its memory must not serve the next picture before this queue, which may be another one, has read it.
            held.record_stream(torch.cuda.current_stream(held.device))
        there: torch.Tensor = held.to(self._device, non_blocking=True)
        return there.permute(2, 0, 1).float().div_(255)


def _spec(source: object) -> Spec | None:
    """Return the spec of a source that is one, or names one."""
    if isinstance(source, str | Path):
        return load_spec(source)
    if isinstance(source, Mapping):
        return parse_spec(source)
    return source if isinstance(source, Spec) else None


def _design(source: object, spec: Spec | None) -> Design:
    if spec is not None:
        return spec.build()
    design = source.design if isinstance(source, Sampler) else source
    if not isinstance(design, Design):
        raise SpecError(f"a {type(source).__name__} is no source of scenes: a spec, its file or name, or a sampler")
    return design


def _rendering(spec: Spec | None, chosen: StreamOptions) -> RenderOptions:
    wanted = (spec.render.size if spec else 224) if chosen.size is None else chosen.size
    samples = chosen.samples or (spec.render.samples if spec else None)
    width, height = (wanted, wanted) if isinstance(wanted, int) else wanted
    # Pictures that nobody keeps need not be compressed on their way here.
    return RenderOptions(
        (width, height), format="raw" if chosen.record is None else "png", seed=chosen.seed, samples=samples
    )


def keep_on_device(engine: Engine) -> Engine:
    """Have an engine that can leave its pictures where they are traced do so; return it."""
    if (found := capability(engine, RendersOnDevice)) is not None:
        found.on_device = True
    return engine


def without_annotations(engine: Engine) -> Engine:
    """Have an engine that can leave out what its frames say of their characters do so; return it."""
    if (found := capability(engine, Annotates)) is not None:
        found.annotated = False
    return engine


def _reader(i: int, n: int) -> Reader:
    """Return which of how many readers worker ``i`` of ``n`` is: workers times ranks."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    else:
        rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    return rank * n + i, ranks * n


def _factory(name: str, design: Design, assets: Sequence[str]) -> Callable[[], Engine]:
    from functools import partial

    from torchmultiverse.connect import open_engine

    return partial(open_engine, name, factor_order=design.sent, assets=assets)
