"""Pictures and scenes of an engine that knows no ids: nothing is handed out before its order is proven.

An answer to a ``pug`` request says nothing but its pixels. If the engine answers one request twice, the second picture
is taken for the answer to the next request, that one's for the answer after it, and so on: every later row is wrong and
every file is whole. So pictures are held back, at most `BATCH` of them, until a *proof* that no answer is too many:

- *Probes.* After the last scene A of a batch, another scene B that looks unlike it is asked for, and both again:
  A, B, B, A, B. The answers have to be alike where the scenes are the same, and unlike where they are not. If the
  engine is one or two pictures behind, one of the later Bs is answered by an A, or the other way round, whatever the
  pictures before them were; if it is further behind, the first answers are three or more pictures of other scenes,
  which would have to look like A, B and B. No reference picture is needed, and none can be wrong.
- *Silence.* An engine that is behind has a picture to deliver yet. If nothing comes for three times as long as the
  slowest answer took, and for two seconds at least where nothing is awaited, none is. This is the proof where no two
  scenes look unlike each other, and where an answer stays out: then the pictures before it were right.

Between proofs an answer that comes *early*, in less than half the time of the quickest quarter of the latest ones, is
suspected to be a picture too many: before anything else is asked, the client listens until the right answer, if this is
none, would have come. Otherwise a request that follows too soon may be lost in the engine, the order would be right
again at the next proof, and the rows between would be wrong.

"Alike" is relative, because renderers are stochastic and JPEG is lossy: the pictures of one scene have to differ less
than half as much, in the means of blocks of pixels, as those of two scenes.

When a proof fails, or a picture comes that nobody asked for, the connection ends and the batch is rendered again, half
as many scenes at a time; after `PATIENCE` failures in a row the engine counts as lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

from torchmultiverse.engines import likeness
from torchmultiverse.engines.connection import ConnectionLost
from torchmultiverse.engines.contract import Failure, Frame, RenderOptions
from torchmultiverse.errors import EngineError
from torchmultiverse.scenes import Scene

log = logging.getLogger(__name__)
BATCH = 44
"""Pictures that wait for one proof; with its probes fewer than 50."""
MAX_HOLD = 60.0
"""Seconds after which a proof is due, however few pictures wait for it."""
PATIENCE = 16
MIN_SILENCE = 2.0
"""Seconds of silence that prove something, at least."""
MIN_DIFFERENCE = 4.0
"""Grey levels (of 255) in the mean of a block, on average, from which two scenes make a probe."""
_PATTERN = "ABBAB"
_GRACE = 0.1
_KNOWN = 64
_FIRST = 4
_LATEST = 32


class UnexpectedFrame(ConnectionLost):
    """A picture came that nobody had asked for."""


class FrameTimeout(ConnectionLost):
    """A picture did not come."""

    def __init__(self, reason: str, seconds: float) -> None:
        super().__init__(reason)
        self.seconds = seconds


@dataclass
class TimedFrame:
    """One answer: the frame, the means of its blocks, and the seconds from the request to it."""

    frame: Frame
    view: likeness.Blocks
    seconds: float


class FrameRequester(Protocol):
    """What asks the engine; one picture in flight."""

    async def request(self, scene: Scene, options: RenderOptions) -> TimedFrame:
        """Ask for a picture on a connection that stands.

        Raises:
            ConnectionLost: it did not come, or came broken; the connection has ended where that leaves it in doubt.
            EngineError: the engine is lost.
        """
        ...

    async def listen(self, seconds: float) -> None:
        """Wait, and raise `UnexpectedFrame` when a picture comes; the connection has ended then."""
        ...

    async def end(self) -> None:
        """End the connection, so that what still comes finds nobody."""
        ...

    def session(self) -> int:
        """Return a number of the connection; another one has another number."""
        ...


@dataclass
class _Asked:
    scene: Scene
    options: RenderOptions
    answer: asyncio.Future[Frame | Failure]
    attempts: int = 0

    def settle(self, answer: Frame | Failure) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


@dataclass
class _Unproven:
    asked: _Asked
    picture: TimedFrame


@dataclass
class _Seen:
    scene: Scene
    options: RenderOptions
    view: likeness.Blocks


def matches_pattern(views: Sequence[likeness.Blocks]) -> bool:
    """Whether the answers to a proof are those of its scenes, in their order."""
    alike: list[float] = []
    unlike: list[float] = []
    for i, k in combinations(range(len(_PATTERN)), 2):
        (alike if _PATTERN[i] == _PATTERN[k] else unlike).append(likeness.mean(views[i], views[k]))
    return max(alike) < 0.5 * min(unlike)


class Pairing:
    """Asks for scenes one after the other and hands pictures out when they are proven.

    Args:
        requester: what asks.
        batch: pictures that wait for one proof, at most.
        hold: seconds after which a proof is due.
        retries: how often a scene that gets no answer is asked for again.
    """

    def __init__(
        self, requester: FrameRequester, *, batch: int = BATCH, hold: float = MAX_HOLD, retries: int = 3
    ) -> None:
        self._requester = requester
        self._batch, self._limit = batch, min(batch, _FIRST)
        self._hold = hold
        self._retries = retries
        self._queue: deque[_Asked] = deque()
        self._unproven: list[_Unproven] = []
        self._known: deque[_Seen] = deque(maxlen=_KNOWN)  # proven
        self._took: deque[float] = deque(maxlen=_LATEST)  # seconds of the latest answers
        self._session = 0  # of the pictures that are held
        self._since = 0.0
        self._doubts = 0  # in a row
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def render(self, scene: Scene, options: RenderOptions) -> Frame | Failure:
        """Return the picture of a scene when it is proven; may be called several times at once.

        Raises:
            EngineError: the engine is lost.
        """
        loop = asyncio.get_running_loop()
        asked = _Asked(scene, options, loop.create_future())
        self._queue.append(asked)
        self._wake.set()
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._run())
        return await asked.answer

    async def close(self) -> None:
        """Stop; who still waits is cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while True:
                due = self._unproven and (len(self._unproven) >= self._limit or _now() - self._since > self._hold)
                asked = None if due else await self._next()
                if asked is None and not self._unproven:
                    return
                # A scene of other options, or one that was in flight when a connection broke, must not put at stake
                # what is held.
                if asked is None or (
                    self._unproven and (asked.attempts or asked.options != self._unproven[0].asked.options)
                ):
                    if asked is not None:
                        self._queue.appendleft(asked)
                    await self._prove()
                else:
                    await self._ask(asked)
        except BaseException as error:
            waiting = [*(held.asked for held in self._unproven), *self._queue]
            self._unproven.clear()
            self._queue.clear()
            for one in waiting:
                if not one.answer.done():
                    one.answer.set_exception(error) if isinstance(error, Exception) else one.answer.cancel()
            if not isinstance(error, Exception):
                raise

    async def _next(self) -> _Asked | None:
        """Return what is asked next; ``None`` when nobody asks for anything."""
        for patient in (bool(self._unproven), False):
            while self._queue:
                if not (asked := self._queue.popleft()).answer.done():
                    return asked
            if patient:
                self._wake.clear()
                try:
                    async with asyncio.timeout(_GRACE):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        return None

    async def _ask(self, asked: _Asked) -> None:
        try:
            picture = await self._picture(asked.scene, asked.options)
        except FrameTimeout as error:
            await self._silent(error)
            await self._again(asked, str(error))
        except UnexpectedFrame as error:
            if self._unproven:
                self._queue.appendleft(asked)
                await self._doubt(str(error))
            else:
                await self._again(asked, str(error))
        except ConnectionLost as error:
            await self._again(asked, str(error))
            if self._unproven and self._requester.session() != self._session:
                await self._doubt(str(error))
        else:
            if not self._unproven:
                self._session, self._since = self._requester.session(), _now()
            self._unproven.append(_Unproven(asked, picture))

    async def _picture(self, scene: Scene, options: RenderOptions) -> TimedFrame:
        picture = await self._requester.request(scene, options)
        if self._unproven and self._requester.session() != self._session:
            await self._requester.end()
            raise UnexpectedFrame("the connection was made anew in between")
        usual = sorted(self._took)[len(self._took) // 4] if len(self._took) >= _FIRST else 0.0
        if picture.seconds < usual / 2:
            await self._requester.listen(2 * usual - picture.seconds)
        self._took.append(picture.seconds)
        return picture

    async def _again(self, asked: _Asked, reason: str) -> None:
        asked.attempts += 1
        log.warning("scene %s: %s", asked.scene.scene_id, reason)
        if asked.attempts > self._retries:
            asked.settle(Failure(asked.scene, reason, asked.attempts))
            return
        self._queue.appendleft(asked)
        await asyncio.sleep(min(0.02 * 2**asked.attempts, 0.5))

    async def _prove(self) -> None:
        """Hand out what is held, or have it rendered again."""
        if all(held.asked.answer.done() for held in self._unproven):
            self._unproven.clear()  # nobody waits for it any more
            return
        last = self._unproven[-1]
        other = self._unlike(last)
        try:
            if other is None:
                await self._requester.listen(max(MIN_SILENCE, 3 * self._slowest()))
                self._release("silence")
                return
            views = [last.picture.view]
            for which in _PATTERN[1:]:
                scene = last.asked.scene if which == "A" else other
                views.append((await self._picture(scene, last.asked.options)).view)
            if not matches_pattern(views):
                await self._requester.end()
                raise UnexpectedFrame(
                    f"the answers to {last.asked.scene!r} and {other!r}, asked in turns, are not theirs"
                )
        except FrameTimeout as error:
            await self._silent(error)
        except ConnectionLost as error:
            await self._doubt(str(error))
        else:
            self._release("probes")

    async def _silent(self, error: FrameTimeout) -> None:
        """Take a silence for a proof, if it was long enough."""
        if self._unproven and error.seconds >= 3 * self._slowest():
            self._release("silence")
        elif self._unproven:
            await self._doubt(str(error))

    def _slowest(self) -> float:
        return max(held.picture.seconds for held in self._unproven)

    def _unlike(self, last: _Unproven) -> Scene | None:
        """Return the scene that looks least like the last one: one of its world, which costs no change, if possible."""
        seen = [_Seen(held.asked.scene, held.asked.options, held.picture.view) for held in self._unproven] + [
            *self._known
        ]
        apart = [(likeness.mean(one.view, last.picture.view), one) for one in seen if one.options == last.asked.options]
        clear = [(distance, one.scene) for distance, one in apart if distance >= MIN_DIFFERENCE]
        world = last.asked.scene["World_Name"]
        near = [(distance, scene) for distance, scene in clear if scene["World_Name"] == world] or clear
        return max(near, key=lambda entry: entry[0])[1] if near else None

    def _release(self, proof: str) -> None:
        group = self._unproven[0].asked.scene.scene_id[:8]
        for held in self._unproven:
            frame = held.picture.frame
            held.asked.settle(frame.instead_of(frame.scene, pairing={"proof": proof, "group": group}))
            self._known.append(_Seen(frame.scene, held.asked.options, held.picture.view))
        self._unproven.clear()
        self._doubts = 0
        self._limit = min(self._batch, 2 * self._limit)

    async def _doubt(self, reason: str) -> None:
        """Render what is held once more, in smaller batches.

        Raises:
            EngineError: this has happened too often in a row.
        """
        log.warning("%d pictures are rendered again: %s", len(self._unproven), reason)
        self._queue.extendleft(held.asked for held in reversed(self._unproven))
        self._unproven.clear()
        self._limit = max(1, self._limit // 2)
        self._doubts += 1
        await self._requester.end()
        if self._doubts >= PATIENCE:
            self._doubts = 0
            raise EngineError(
                f"which picture belongs to which scene could not be proven {PATIENCE} times in a row: {reason}. This "
                "engine knows no picture ids, and does not answer each request with one picture of what was asked"
            )


def _now() -> float:
    return asyncio.get_running_loop().time()
