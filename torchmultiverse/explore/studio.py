"""What the page looks through: one engine, up to four models, and a thread that works on what was asked last."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from PIL import Image

from torchmultiverse.connect import HostedEngine
from torchmultiverse.documents import EncodedImage
from torchmultiverse.engines import Catalogue, Engine, Failure, Frame, RenderOptions
from torchmultiverse.errors import EngineError, RenderError, SpecError, TorchMultiverseError
from torchmultiverse.explore.controls import Control, engine_controls
from torchmultiverse.explore.events import (
    Ask,
    Busy,
    Done,
    Event,
    Example,
    Look,
    ModelCard,
    Notice,
    Open,
    Opened,
    Picture,
    Pin,
    Pinned,
    Point,
    Problem,
    Readings,
    Ready,
    Request,
    Search,
    Share,
    Shared,
    Stop,
    Sweep,
)
from torchmultiverse.explore.finding import Finding, ModelFacts, neighbourhood, read_finding
from torchmultiverse.explore.readers import Reader, Reading, merged
from torchmultiverse.explore.searching import Limits, Searcher
from torchmultiverse.images import jpeg, thumbnail
from torchmultiverse.scenes import BLANK, Scene, Value, class_of, spoken

log = logging.getLogger(__name__)
MOST_MODELS = 4
FIRST_SAMPLES = 1
"""Per pixel, of the picture that comes at once."""
THUMBNAIL = 112
_JPEG_QUALITY = 88
_RESTARTS = 3
_FAILS_ALREADY = "the scene that is shown is a failure already: show one that the model gets right to search from there"


@dataclass
class _View:
    """What is shown: the scene, its final picture and what was said of it."""

    scene: Scene
    frame: Frame
    readings: list[Reading]


class _Revived:
    """Asked for when the engine's process died: to see that it is back."""


class Studio:
    """The state of one explorer.

    Everything that renders or runs a model happens in one thread of its own; events are handed out from there.

    Args:
        start: makes the engine; called again when it was lost.
        readers: the models.
        tell: takes each event.
        options: size, seed and samples of the final pictures.
        first: the scene that is shown first.
        examples: of a dataset, to go on from.
    """

    def __init__(
        self,
        start: Callable[[], Engine],
        readers: Sequence[Reader],
        tell: Callable[[Event], None],
        options: RenderOptions = RenderOptions(size=(256, 256), format="raw"),  # noqa: B008 - frozen
        first: Scene | None = None,
        examples: Sequence[Example] = (),
    ) -> None:
        if len(readers) > MOST_MODELS:
            raise SpecError(f"{len(readers)} models: the explorer shows {MOST_MODELS} side by side at most")
        self._start, self._readers, self._tell, self.options = start, list(readers), tell, options
        self._engine: Engine | None = None
        self._catalogue: Catalogue | None = None
        self._controls: list[Control] = []
        self._first = first
        self._examples = list(examples)
        self._captions: list[str] = []
        self._worlds: set[Value] = set()
        self._view: _View | None = None
        self._pinned: _View | None = None
        self._changed = threading.Condition()
        self._look: Look | None = None
        self._jobs: deque[Request] = deque(maxlen=16)
        self._died = ""
        self._stopping = False
        self._stop_job = False
        self._thread = threading.Thread(target=self._run, name="explorer", daemon=True)

        self.failed: TorchMultiverseError | None = None
        """Why the engine could not be started."""
        self.ended = threading.Event()

    def open(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """End; what is being rendered is finished first."""
        with self._changed:
            self._stopping = self._stop_job = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def ask(self, request: Request) -> None:
        """Have something done; a newer look takes the place of an older one."""
        with self._changed:
            if isinstance(request, Look):
                self._look = request
                self._stop_job = True
            elif isinstance(request, Stop):
                self._stop_job = True
            else:
                self._jobs.append(request)
            self._changed.notify_all()

    def greet(self) -> Ready | None:
        """Return the first message for somebody who comes later; ``None`` before the engine is there."""
        catalogue = self._catalogue
        if catalogue is None:
            return None
        scene = self._view.scene if self._view else self._first
        cards = [
            ModelCard(
                name=reader.info.name, kind=reader.info.kind, about=reader.info.about,
                parameters=reader.info.parameters, weights_sha256=reader.info.weights_sha256,
            )
            for reader in self._readers
        ]  # fmt: skip
        factors = dict(scene.wire) if scene else {}
        return Ready(
            engine=catalogue.engine, controls=self._controls, models=cards, factors=factors, captions=self._captions,
            examples=self._examples,
        )  # fmt: skip

    # The thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            try:
                self._alive()
            except TorchMultiverseError as error:
                self.failed = error
                self._tell(Problem(text=str(error), lasting=True))
                return
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping or self._look or self._jobs or self._died)
                    if self._stopping:
                        break
                    look, self._look = self._look, None
                    job = self._jobs.popleft() if self._jobs and not look else None
                    self._stop_job = False
                self._guarded(look or job or _Revived())
        except Exception as error:  # the page has to know why nothing comes
            log.exception("the explorer's thread ended")
            self._tell(Problem(text=f"the explorer broke down: {error}", lasting=True))
        finally:
            if self._engine is not None:
                self._engine.close()
            self.ended.set()

    def _alive(self) -> Engine:
        """Return the engine, started now if there is none."""
        if self._engine is None:
            self._tell(Busy(text="starting the engine"))
            self._engine = self._start()
            if isinstance(self._engine, HostedEngine):
                self._engine.watch(self._restarted)
            self._catalogue = self._engine.catalogue()
            self._controls = engine_controls(self._catalogue)
            for reader in self._readers:
                reader.expect(self._catalogue.classes)
            self._worlds.clear()
            if self._first is None:
                self._first = _some_scene(self._catalogue)
            ready = self.greet()
            assert ready is not None
            self._tell(ready)
        return self._engine

    def _restarted(self, why: str) -> None:
        """Hear, from another thread, that the engine's process died and is started again."""
        with self._changed:
            self._died = why
            self._changed.notify_all()
        self._tell(Notice(text=f"{why}; it is started again, and what was asked for comes when it is back"))

    def _revived(self) -> None:
        """Wait until an engine whose process died is back, and tell."""
        why, self._died = self._died, ""
        scene = self._view.scene if self._view else self._first
        if scene is not None:
            self._rendered(self._alive(), scene, FIRST_SAMPLES)
        self._tell(Notice(text=f"{why}, and came back"))

    def _guarded(self, request: Request | _Revived) -> None:
        number = request.number if isinstance(request, Look) else None
        for attempt in range(_RESTARTS):
            try:
                self._answer(request)
                return
            except RenderError as error:  # of this scene alone: the engine is as well as before
                self._tell(Problem(text=str(error), number=number))
                return
            except EngineError as error:
                self._lose_engine()
                lasting = attempt == _RESTARTS - 1
                again = "" if lasting else "; it is started again"
                self._tell(
                    Problem(text=f"the engine is lost: {error}{again}", number=number, lasting=lasting, again=True)
                )
                if lasting:
                    return
            except TorchMultiverseError as error:
                self._tell(Problem(text=str(error), number=number))
                return

    def _lose_engine(self) -> None:
        """Let go of an engine that broke, and of its processes."""
        engine, self._engine = self._engine, None
        if engine is not None:
            try:
                engine.close()
            except Exception as error:  # it is broken: however it ends, another one is started
                log.warning("closing the engine that is lost: %r", error)

    def _answer(self, request: Request | _Revived) -> None:
        match request:
            case Look():
                self._show(request)
            case Pin():
                self._pin()
            case Ask():
                self._ask(request)
            case Sweep():
                self._sweep(request)
            case Search():
                self._search(request)
            case Share():
                self._share(request)
            case Open():
                self._open(request)
            case _Revived():
                self._revived()

    # What is asked -------------------------------------------------------------------------------------------------

    def _show(self, look: Look) -> None:
        scene = Scene(look.factors).unlabelled
        engine = self._alive()
        assert self._catalogue is not None
        self._catalogue.check(scene)
        if (world := scene["World_Name"]) not in self._worlds:
            self._tell(Busy(text=f"loading {world}"))
        start = time.perf_counter()
        frame = self._rendered(engine, scene, FIRST_SAMPLES)
        self._worlds.add(world)
        final = frame.settle.get("samples") != FIRST_SAMPLES or self.options.samples == FIRST_SAMPLES
        self._tell(self._picture(look, "final" if final else "first", frame, start))
        if not final:
            if self._overtaken():
                return
            frame = self._rendered(engine, scene, self.options.samples)
            self._tell(self._picture(look, "final", frame, start))
        if self._overtaken():
            return
        readings = self._read(frame)
        self._view = _View(scene, frame, readings)
        self._tell_readings(look.number, readings)

    def _tell_readings(self, number: int, readings: list[Reading]) -> None:
        reference = self._pinned.readings if self._pinned else []
        self._tell(Readings(number=number, readings=readings, reference=reference, captions=self._captions))

    def _overtaken(self) -> bool:
        """Whether a newer look waits."""
        return self._look is not None or self._stopping

    def _rendered(self, engine: Engine, scene: Scene, samples: int | None) -> Frame:
        options = replace(self.options, samples=samples, passes=("rgb",))
        (answer,) = engine.render([scene], options)
        if isinstance(answer, Failure):
            if answer.engine_lost:
                raise EngineError(answer.reason)
            raise RenderError(answer.reason)
        return answer

    def _picture(self, look: Look, stage: Any, frame: Frame, start: float) -> Picture:
        image = encoded(frame.image, "JPEG" if stage == "first" else "PNG")
        visible, area = seen(frame)
        return Picture(
            number=look.number, stage=stage, scene_id=frame.scene_id, factors=dict(frame.scene.wire), image=image,
            small=small_picture(frame.image) if stage == "final" else None,
            milliseconds=(time.perf_counter() - start) * 1000,
            engine_milliseconds=float(frame.timings.get("render_ms", 0.0)),
            samples=frame.settle.get("samples"), visible=visible, area=area,
        )  # fmt: skip

    def _read(self, frame: Frame) -> list[Reading]:
        true = self._true(frame.scene)
        found = []
        for reader in self._readers:
            start = time.perf_counter()
            try:
                reading = reader.read(frame.image, true)
            except Exception as error:  # whatever a user's model raises must not end the explorer
                log.warning("model %s: %r", reader.info.name, error)
                reading = Reading(
                    model=reader.info.name, kind=reader.info.kind, error=f"{type(error).__name__}: {error}"
                )
            took = (time.perf_counter() - start) * 1000
            found.append(reading.model_copy(update={"milliseconds": took}))
        return found

    def _true(self, scene: Scene) -> list[str]:
        names = [scene.get_str(f"{prefix}_Name") for prefix in ("Character", "Character2")]
        return [display(name) for name in names if name != BLANK]

    def _pin(self) -> None:
        view = self._view
        if view is None:
            raise SpecError("there is no picture yet to take as the reference")
        for reader in self._readers:
            reader.pin()
        view.readings = self._read(view.frame)
        self._pinned = view
        self._tell_pinned(view)

    def _tell_pinned(self, view: _View) -> None:
        image = encoded(view.frame.image, "JPEG")
        self._tell(Pinned(factors=dict(view.scene.wire), image=image, readings=view.readings))

    def _ask(self, request: Ask) -> None:
        self._take_captions(request.captions)
        if self._pinned:
            self._pinned.readings = self._read(self._pinned.frame)
        if self._view:
            self._view.readings = self._read(self._view.frame)
            self._tell_readings(0, self._view.readings)

    def _take_captions(self, captions: Sequence[str]) -> None:
        for reader in self._readers:
            reader.ask(captions)
        self._captions = merged(captions)

    def _sweep(self, request: Sweep) -> None:
        view = self._shown()
        scenes = [view.scene.changed(**{request.factor: level}) for level in request.levels]
        start = time.perf_counter()
        for k, (scene, level) in enumerate(zip(scenes, request.levels, strict=True)):
            if self._stop_job:
                self._tell(Done(of="sweep", text="stopped"))
                return
            point = Point(
                of="sweep", done=k + 1, total=len(scenes), factor=request.factor, level=level,
                factors=dict(scene.wire), seconds_left=(time.perf_counter() - start) / (k + 1) * (len(scenes) - k - 1),
            )  # fmt: skip
            try:
                frame = self._rendered(self._alive(), scene, self.options.samples)
                shown = {"image": small_picture(frame.image), "readings": self._read(frame)}
            except (SpecError, RenderError) as error:  # a level that cannot be leaves a gap
                shown = {"problem": str(error)}
            self._tell(point.model_copy(update=shown))
        self._tell(Done(of="sweep"))

    def _search(self, request: Search) -> None:
        view = self._shown()
        reader = self._reader(request.model)
        free = [one for one in self._controls if one.factor in request.factors]
        searcher = Searcher(view.scene, free, Limits(request.visible, request.area))
        start = time.perf_counter()
        best: Scene | None = None
        unjudged = 0
        for k in range(request.pictures):
            if self._stop_job:
                self._tell(Done(of="search", text="stopped", factors=dict(best.wire) if best else {}))
                return
            scene = searcher.propose()
            try:
                frame = self._rendered(self._alive(), scene, max(1, (self.options.samples or 16) // 4))
            except (SpecError, RenderError) as error:
                searcher.refused(str(error))
                continue
            reading = reader.read(frame.image, self._true(scene))
            easy = searcher.judge(scene, reading.margin, *seen(frame))
            left = (time.perf_counter() - start) / (k + 1) * (request.pictures - k - 1)
            if reading.right is None:
                raise SpecError(f"model '{request.model}' was asked for nothing that is true of the scene")
            unjudged += reading.margin is None
            if easy and searcher.best is scene:
                best = scene
                self._tell(
                    Point(
                        of="search", done=k + 1, total=request.pictures, factors=dict(scene.wire), seconds_left=left,
                        margin=reading.margin, image=small_picture(frame.image), readings=[reading],
                    )
                )  # fmt: skip
                if reading.verdict == "wrong" and self._confirmed(reader, scene):
                    text = f"a failure after {k + 1} pictures" if k else _FAILS_ALREADY
                    self._tell(Done(of="search", found=True, factors=dict(scene.wire), text=text))
                    return
            elif k % 5 == 4:
                self._tell(Point(of="search", done=k + 1, total=request.pictures, seconds_left=left))
        text = f"no failure among {request.pictures} pictures" + ("; the nearest is kept" if best else "")
        if unjudged:
            text += f"; {unjudged} of them are not judged, since their likeliest answer is not"
        self._tell(Done(of="search", factors=dict(best.wire) if best else {}, text=text))

    def _reader(self, name: str) -> Reader:
        found = next((one for one in self._readers if one.info.name == name), None)
        if found is None:
            known = ", ".join(one.info.name for one in self._readers) or "there is none"
            raise SpecError(f"model = '{name}': {known}")
        return found

    def _confirmed(self, reader: Reader, scene: Scene) -> bool:
        """Whether the final picture of a scene is a failure as well, and not its noise."""
        reading = reader.read(self._rendered(self._alive(), scene, self.options.samples).image, self._true(scene))
        return reading.verdict == "wrong"

    def _shown(self) -> _View:
        if self._view is None:
            raise SpecError("there is no picture yet")
        return self._view

    def _share(self, request: Share) -> None:
        view = self._shown()
        image = encoded(view.frame.image, "PNG")
        finding = Finding(
            scene=dict(view.scene.wire), reference=dict(self._pinned.scene.wire) if self._pinned else None,
            image=image, image_sha256=hashlib.sha256(image.data).hexdigest(), size=self.options.size,
            samples=view.frame.settle.get("samples"), seed=self.options.seed, engine=view.frame.engine,
            models=[
                ModelFacts(
                    name=reader.info.name, source=reader.info.source, kind=reader.info.kind,
                    weights_sha256=reader.info.weights_sha256,
                )
                for reader in self._readers
            ],
            readings=view.readings, captions=self._captions, note=request.note,
        )  # fmt: skip
        name = f"finding-{view.scene.scene_id[:8]}"
        spec = neighbourhood(
            view.scene, name, self.options.size, samples=view.frame.settle.get("samples"), seed=self.options.seed
        )
        self._tell(Shared(name=name, finding=finding.text(), spec=json.dumps(spec, indent=1) + "\n"))

    def _open(self, request: Open) -> None:
        found = read_finding(request.finding)
        self._alive()
        assert self._catalogue is not None
        here = {reader.info.weights_sha256 or reader.info.name for reader in self._readers}
        missing = [one.name for one in found.models if (one.weights_sha256 or one.name) not in here]
        if self._captions != found.captions:
            self._take_captions(found.captions)
        if found.reference is not None:
            self._pin_scene(Scene(found.reference).unlabelled)
        self._tell(
            Opened(
                factors=found.scene, note=found.note, image=found.image, readings=found.readings,
                same_engine=found.engine == self._catalogue.fingerprint, missing=missing,
            )
        )  # fmt: skip

    def _pin_scene(self, scene: Scene) -> None:
        """Take a scene as the reference that is not shown: that of a finding."""
        assert self._catalogue is not None
        try:
            self._catalogue.check(scene)
            frame = self._rendered(self._alive(), scene, self.options.samples)
        except (SpecError, RenderError) as error:
            self._tell(Notice(text=f"the finding's reference cannot be shown here: {error}"))
            return
        for reader in self._readers:
            reader.pin()
        self._pinned = _View(scene, frame, self._read(frame))
        self._tell_pinned(self._pinned)


def encoded(image: Image.Image, format: Literal["PNG", "JPEG"]) -> EncodedImage:
    """Return a picture as the bytes of a file, quickly."""
    if format == "JPEG":
        return EncodedImage(data=jpeg(image, _JPEG_QUALITY))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return EncodedImage(data=buffer.getvalue())


def small_picture(image: Image.Image) -> EncodedImage:
    """Return a small JPEG of a picture."""
    return EncodedImage(data=thumbnail(image, THUMBNAIL))


def seen(frame: Frame) -> tuple[float | None, float | None]:
    """Return how much of the first character's outline is seen, and its share of the picture, where the engine says."""
    objects: Iterator[Mapping[str, Any]] = iter(frame.info.get("objects") or ())
    one = next((found for found in objects if found.get("instance") == 1), None)
    if one is None:
        return None, None
    height, width = frame.array("rgb").shape[:2]
    return one.get("visible_fraction"), float(one.get("pixels", 0)) / (width * height)


def display(name: str) -> str:
    """Return what people call the class of a character."""
    found = class_of(name)
    return spoken(name) if found is None else found.display


_LIKED = ("SaltFlats", "Zebra")


def _some_scene(catalogue: Catalogue) -> Scene:
    """Return a scene to begin with: a zebra on a plain, or else the first world and the first character that is one."""
    found: dict[str, str] = {"World_Name": "Desert"}
    for wire, liked in zip(("World_Name", "Character_Name"), _LIKED, strict=True):
        choice = catalogue.factors.get(wire)
        levels = [level for level in (choice.levels if choice else None) or () if level != BLANK]
        if levels:
            found[wire] = liked if liked in levels else levels[0]
    return Scene(found)
