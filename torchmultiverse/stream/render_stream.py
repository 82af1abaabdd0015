"""Pictures rendered while a model trains: a torch iterable dataset over engines in the background.

Scenes are drawn a window at a time and ordered by world within it, because a change of world is what costs an engine
most; then they are handed out in short chunks, and come out in that order whichever engine is quicker. So the order
depends on the seed alone, and is random but for the runs of one world within a window.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info

from torchmultiverse.engines import Engine, Failure, Frame, RenderOptions
from torchmultiverse.errors import DatasetError, EngineError, ProtocolError, SpecError
from torchmultiverse.spec import Design, Scene, Spec, load_spec, parse_spec
from torchmultiverse.stream.dataset import to_tensor
from torchmultiverse.stream.record import Recorder
from torchmultiverse.stream.samplers import Sampler, Uniform

_CHUNK = 4
_RESTARTS = 3
"""How often in a row an engine is made anew without a picture in between."""
_REMEMBERED = 65_536
"""Scenes that feedback may still name."""
Item = dict[str, Any]


class RenderStream(IterableDataset[Item]):
    """Live pictures and labels.

    Items are ``{"image": float32 (3, H, W) in 0..1 or what ``transform`` makes of the PIL picture, column: level, …,
    "scene_id": …, "weight": importance weight}``; ``torch.utils.data.DataLoader`` batches and pins them.

    With DataLoader workers, ranks of ``torch.distributed``, or both, a design is shared without overlap; every reader
    has its own engines. A sampler of another kind draws for each reader with random numbers of its own.

    Args:
        source: a spec, its path or decoded JSON, a design, or a sampler.
        engine: as for `torchmultiverse.connect`, or a function that makes an engine; called ``workers`` times, when
            the first picture is asked for.
        workers: engines side by side.
        size: square size or (width, height); by default the spec's, or 224.
        samples: samples per pixel; by default the spec's, or the engine's.
        ahead: pictures that may be rendered before they are asked for; bounds memory.
        window: scenes that are drawn, and ordered by world, at a time.
        transform: applied to the PIL picture.
        on_failure: whether a scene that cannot be rendered ends the stream, or is left out and kept in ``failures``.
        seed: of the order, and of the pictures.
        device: where pictures are wanted, such as ``"cuda"``; items then hold tensors there, and ``transform`` is
            given the float32 tensor (3, H, W) instead of the PIL picture. With ``engine="inprocess"`` on the same GPU
            a picture never leaves it; from other engines it is copied there once, from pinned memory.
        record: folder that keeps what is shown, as a dataset (see `torchmultiverse.stream.Replay`). Of several
            readers each has a folder in it, ``reader-0-of-2`` and so on; ``torchmultiverse merge`` makes them one.

    Raises:
        SpecError: the source is wrong, or a number is out of range.
        RenderError: (while iterating) a scene cannot be rendered.
        EngineError: (while iterating) an engine is lost for good.
    """

    def __init__(
        self,
        source: Spec | Mapping[str, Any] | str | Path | Design | Sampler,
        engine: str | Callable[[], Engine] = "builtin",
        *,
        workers: int = 1,
        size: int | tuple[int, int] | None = None,
        samples: int | None = None,
        ahead: int = 32,
        window: int = 64,
        transform: Callable[[Any], Any] | None = None,
        on_failure: Literal["raise", "skip"] = "raise",
        seed: int = 0,
        device: str | torch.device | None = None,
        record: str | Path | None = None,
    ) -> None:
        if workers < 1 or window < 1 or ahead < workers:
            raise SpecError(
                f"workers = {workers}, window = {window}, ahead = {ahead}: at least 1, 1, and one per worker"
            )
        if on_failure not in ("raise", "skip"):
            raise SpecError(f"on_failure = {on_failure!r}: 'raise' or 'skip'")
        spec: Spec | None = None
        if isinstance(source, str | Path):
            spec = load_spec(source)
        elif isinstance(source, Mapping):
            spec = parse_spec(source)
        elif isinstance(source, Spec):
            spec = source
        self.design: Design = spec.build() if spec else source.design if isinstance(source, Sampler) else source  # type: ignore[assignment]
        self._sampler: Sampler | None = source if isinstance(source, Sampler) else None
        self._seed = seed
        wanted = size or (spec.render.size if spec else 224)
        width, height = (wanted, wanted) if isinstance(wanted, int) else wanted
        self.options = RenderOptions(
            (width, height), seed=seed, samples=samples or (spec.render.samples if spec else None)
        )
        self._device = None if device is None else torch.device(device)
        self._spec = spec
        self._record = None if record is None else Path(record)
        self._recorder: Recorder | None = None
        self._recorded: int | None = None  # of the state that was loaded
        self._make = engine if callable(engine) else _factory(engine, self.design, spec.assets if spec else [])
        self._workers = workers
        self._ahead = ahead
        self._window = window
        self._transform = transform or (to_tensor if device is None else lambda tensor: tensor)
        self._on_failure = on_failure
        self.failures: list[Failure] = []
        self._pending: deque[tuple[Scene, float]] = deque()
        self._seen: OrderedDict[str, Scene] = OrderedDict()
        self._crew: _Crew | None = None
        self._times = {"wait": 0.0, "prepare": 0.0, "outside": 0.0}
        self._yielded = 0
        self._ended = False  # the sampler has no more for this epoch

    def __getstate__(self) -> dict[str, Any]:
        if self._crew is not None:
            raise SpecError("a stream that renders already cannot be sent to DataLoader workers; make the loader first")
        return self.__dict__.copy()

    def __iter__(self) -> Iterator[Item]:
        sampler = self._share()
        self._recording()
        crew = self._started()
        crew.forget()
        self._ended = self._ended and bool(self._pending)
        waiting: deque[tuple[Scene, float]] = deque()  # handed to the engines, in order
        first = crew.next
        left = time.perf_counter()
        try:
            while True:
                self._hand_out(crew, sampler, waiting)
                if not waiting:
                    return
                begun = time.perf_counter()
                self._times["outside"] += begun - left
                answer = crew.get(first)
                came = time.perf_counter()
                self._times["wait"] += came - begun
                scene, weight = waiting.popleft()
                self._pending.popleft()
                first += 1
                item = self._item(scene, weight, answer)
                left = time.perf_counter()
                self._times["prepare"] += left - came
                if item is not None:
                    yield item
        finally:
            crew.forget()
            if self._recorder is not None:
                self._recorder.flush()  # a reader in another process is not told when it ends

    def feedback(self, scene_ids: Sequence[str], losses: Iterable[float]) -> None:
        """Tell the sampler how hard pictures were; scenes by the ids of a batch, losses as numbers or a tensor.

        Raises:
            SpecError: a scene that this stream has not shown, or not of late.
        """
        values = losses.tolist() if hasattr(losses, "tolist") else list(losses)
        sampler = self._share()
        for scene, loss in zip(self.scenes(scene_ids), values, strict=True):
            sampler.feedback(scene, float(loss))

    def scenes(self, scene_ids: Sequence[str]) -> list[Scene]:
        """Return scenes that were shown, by their ids.

        Raises:
            SpecError: one that was not, or not of late.
        """
        unknown = [name for name in scene_ids if name not in self._seen]
        if unknown:
            raise SpecError(f"scene '{unknown[0]}' is not among the last {_REMEMBERED} of this stream")
        return [self._seen[name] for name in scene_ids]

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
        engine = self._make()
        try:
            for (of, scene), answer in zip(
                changed, engine.render([scene.unlabelled for _, scene in changed], self.options), strict=True
            ):
                item = self._item(scene, 1.0, answer)
                if item is not None:
                    yield {**item, "of": of}
        finally:
            engine.close()

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream stands, as JSON values: what comes next is what would have come."""
        pending = [[scene.canonical, weight] for scene, weight in self._pending]
        sampler = self._share().state_dict()
        state = {"sampler": sampler, "pending": pending, "yielded": self._yielded, "ended": self._ended}
        return state if self._recorder is None else {**state, "recorded": self._recorder.flush()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state; call it before iterating."""
        self._share().load_state_dict(state["sampler"])
        table = self.design.table
        self._pending = deque((Scene.from_json(text, table), float(weight)) for text, weight in state["pending"])
        self._yielded = int(state["yielded"])
        self._ended = bool(state["ended"])
        self._recorded = state.get("recorded")
        if self._recorder is not None and self._recorded is not None:
            self._recorder.rewind(self._recorded)
            self._recorded = None

    def _recording(self) -> None:
        """Begin to record, or to go on, where that is wanted."""
        if self._record is None or self._recorder is not None:
            return
        i, n = _reader()
        out = self._record if n == 1 else self._record / f"reader-{i}-of-{n}"
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
        crew = self._crew
        times = dict(self._times) | {"render": crew.busy if crew else 0.0, "idle": crew.idle if crew else 0.0}
        named = {"wait": "rendering", "prepare": "preparing", "outside": "training"}
        limit = named[max(named, key=lambda key: times[key])]
        return {**{k: round(v, 3) for k, v in times.items()}, "pictures": self._yielded, "limit": limit}

    def __repr__(self) -> str:
        found = self.stats()
        total = sum(found[key] for key in ("wait", "prepare", "outside")) or 1.0
        shares = ", ".join(f"{key} {100 * found[key] / total:.0f} %" for key in ("wait", "prepare", "outside"))
        return f"RenderStream({self._yielded} pictures, {self._workers} engines; {shares}; limit: {found['limit']})"

    def close(self) -> None:
        """End the engines; may be called twice."""
        if self._crew is not None:
            self._crew.close()
            self._crew = None
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None

    def __enter__(self) -> RenderStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_crew", None) is not None or getattr(self, "_recorder", None) is not None:
            self.close()

    def _share(self) -> Sampler:
        """Return this reader's sampler."""
        if self._sampler is None:
            self._sampler = Uniform(self.design, self._seed, part=_reader())
        elif not getattr(self, "_split", False) and _reader()[1] > 1:
            i, n = _reader()
            if isinstance(self._sampler, Uniform):
                self._sampler.share(i, n)
            else:
                self._sampler.rng = self._sampler.rng.spawn(n)[i]
        self._split = True
        return self._sampler

    def _started(self) -> _Crew:
        if self._crew is None:
            if self._device is not None and self._device.type == "cuda" and get_worker_info() is not None:
                raise SpecError("a stream on a GPU renders in the training process; use a DataLoader without workers")
            make = self._make if self._device is None else lambda: _staying(self._make())
            self._crew = _Crew(make, self._workers, self.options)
        return self._crew

    def _hand_out(self, crew: _Crew, sampler: Sampler, waiting: deque[tuple[Scene, float]]) -> None:
        """Keep the engines busy with what comes next, as far ahead as is allowed."""
        while len(waiting) < self._ahead:
            if len(self._pending) == len(waiting):
                drawn = [] if self._ended else list(islice(iter(sampler.draw, None), self._window))
                self._ended = len(drawn) < self._window
                drawn.sort(key=lambda found: str(found[0]["World_Name"]))
                self._pending.extend(drawn)
                if not drawn:
                    return
            chunk: list[Scene] = []
            for k in range(len(waiting), len(self._pending)):
                scene, weight = self._pending[k]
                full = len(chunk) == _CHUNK or len(waiting) == self._ahead
                if full or (chunk and scene["World_Name"] != chunk[0]["World_Name"]):
                    break
                chunk.append(scene)
                waiting.append((scene, weight))
            crew.submit(chunk)

    def _item(self, scene: Scene, weight: float, answer: Frame | Failure) -> Item | None:
        if isinstance(answer, Failure):
            self.failures.append(answer)
            if self._on_failure == "raise":
                raise answer.error()
            return None
        if answer.scene_id != scene.unlabelled.scene_id:
            raise EngineError(f"the engine answered {scene!r} with the picture of scene {answer.scene_id}")
        self._seen[scene.scene_id] = scene
        self._seen.move_to_end(scene.scene_id)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        self._yielded += 1
        if self._recorder is not None:
            self._recorder.add(scene, answer, weight)
        columns = {scene.table[name].column: scene[name] for name in self.design.factors}
        image = self._transform(answer.image if self._device is None else self._there(answer))
        return {"image": image, **columns, "scene_id": scene.scene_id, "weight": weight}

    def _there(self, frame: Frame) -> torch.Tensor:
        """Return a picture on the wanted device, float32 (3, H, W) in 0..1."""
        held = frame.tensor()
        if held is None:
            held = torch.from_numpy(frame.array().copy())
            if self._device is not None and self._device.type == "cuda":
                held = held.pin_memory()
        there: torch.Tensor = held.to(self._device, non_blocking=True)
        return there.permute(2, 0, 1).float().div_(255)


class _Crew:
    """Engines in threads; chunks go in, answers come out by number."""

    def __init__(self, make: Callable[[], Engine], workers: int, options: RenderOptions) -> None:
        self._make = make
        self._options = options
        self._changed = threading.Condition()
        self._chunks: deque[tuple[int, int, list[Scene]]] = deque()  # number of the first, turn, scenes
        self._answers: dict[int, Frame | Failure] = {}
        self._error: BaseException | None = None
        self._closed = False
        self._turn = 0
        self.next = 0
        self.busy = 0.0
        self.idle = 0.0
        self._threads = [threading.Thread(target=self._run, name=f"stream-{k}", daemon=True) for k in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, scenes: list[Scene]) -> None:
        """Hand in scenes; they are numbered from ``next``."""
        with self._changed:
            self._chunks.append((self.next, self._turn, scenes))
            self.next += len(scenes)
            self._changed.notify_all()

    def get(self, number: int) -> Frame | Failure:
        """Return the answer to a scene, by its number.

        Raises:
            EngineError: no engine is left.
        """
        with self._changed:
            while number not in self._answers:
                if self._error is not None:
                    raise self._error
                # In steps, so that Ctrl-C comes through.
                self._changed.wait(0.5)
            return self._answers.pop(number)

    def forget(self) -> None:
        """Drop what nobody waits for any more."""
        with self._changed:
            self._turn += 1
            self._chunks.clear()
            self._answers.clear()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._chunks.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        engine: Engine | None = None
        lost = 0
        try:
            while True:
                begun = time.perf_counter()
                with self._changed:
                    while not self._chunks and not self._closed:
                        self._changed.wait()
                    if self._closed:
                        return
                    first, turn, scenes = self._chunks.popleft()
                    self.idle += time.perf_counter() - begun
                done = 0
                while done < len(scenes):
                    begun = time.perf_counter()
                    try:
                        engine = engine or self._make()
                        for answer in engine.render([s.unlabelled for s in scenes[done:]], self._options):
                            lost = 0
                            self._put(first + done, turn, answer)
                            done += 1
                        if done < len(scenes):
                            raise EngineError("the engine left scenes unanswered")
                    except (EngineError, ProtocolError, OSError) as error:
                        broken, engine = engine, None
                        if broken is not None:
                            with suppress(Exception):  # it is broken: what matters is the next one
                                broken.close()
                        lost += 1
                        if lost > _RESTARTS or self._closed:
                            raise EngineError(
                                f"the engine was lost {lost} times in a row; the last: {error}"
                            ) from error
                    finally:
                        with self._changed:
                            self.busy += time.perf_counter() - begun
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()
        finally:
            if engine is not None:
                engine.close()

    def _put(self, number: int, turn: int, answer: Frame | Failure) -> None:
        if isinstance(answer, Frame) and answer.tensor() is None:
            answer.array("rgb")  # decoded here, beside the other engines
        with self._changed:
            if turn == self._turn:
                self._answers[number] = answer
                self._changed.notify_all()


def _staying(engine: Engine) -> Engine:
    """Have an engine that can leave its pictures where they are traced do so."""
    inner = getattr(engine, "_engine", engine)
    if hasattr(inner, "on_device"):
        inner.on_device = True
    return engine


def _reader() -> tuple[int, int]:
    """Return which of how many readers this is: DataLoader workers times ranks."""
    worker = get_worker_info()
    i, n = (worker.id, worker.num_workers) if worker is not None else (0, 1)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    else:
        rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    return rank * n + i, ranks * n


def _factory(name: str, design: Design, assets: Sequence[str]) -> Callable[[], Engine]:
    from functools import partial

    from torchmultiverse.multiverse import connect

    return partial(connect, name, factor_order=design.sent, assets=assets)
