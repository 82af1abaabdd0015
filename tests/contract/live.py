"""A real signalling server and a real streamer in this process, and faults that the streamer can be made to have."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np

from torchmultiverse.engines import Engine, Failure, Frame, RenderOptions
from torchmultiverse.engines.client import ClientOptions
from torchmultiverse.engines.marker import MarkerEngine
from torchmultiverse.errors import EngineError
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.serve.player import Player
from torchmultiverse.serve.signalling import SignallingServer
from torchmultiverse.serve.streamer import Streamer

Answer = Frame | Failure | EngineError


class Faults:
    """Which fault the next picture has: when is chance, each kind comes once a round, and all are counted."""

    def __init__(self, rate: float, kinds: list[str], seed: int = 0) -> None:
        self.rate = rate
        self.kinds = kinds
        self.rng = np.random.default_rng(seed)
        self.happened: Counter[str] = Counter()
        self._round: list[str] = []

    def draw(self) -> str:
        kind = "none"
        if self.happened and self.rng.random() < self.rate:  # never the first: some need one before
            self._round = self._round or list(self.rng.permutation(self.kinds))
            kind = str(self._round.pop())
        self.happened[kind] += 1
        return kind


class FaultyStreamer(Streamer):
    """A streamer whose answers are late, double, missing, stale, swapped, broken off or falsely described."""

    def __init__(self, *arguments: Any, faults: Faults, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.faults = faults
        self.before: Frame | None = None
        self.held: list[Callable[[], None]] = []

    def _deliver(self, player: Player, name: str, answer: Answer, options: RenderOptions) -> None:
        if not isinstance(answer, Frame):
            return super()._deliver(player, name, answer, options)
        send = super()._deliver
        loop = asyncio.get_running_loop()
        before, self.before = self.before, answer
        kind = self.faults.draw()
        held, self.held = self.held, []
        if kind == "delay":
            loop.call_later(0.15, send, player, name, answer, options)
        elif kind == "duplicate":
            send(player, name, answer, options)
            send(player, name, answer, options)
        elif kind == "drop":
            pass
        elif kind == "stale" and before is not None:
            # The engine had not applied the scene yet, and says so: pixels and id are the last picture's.
            send(player, name, before, options)
        elif kind == "stale pixels" and before is not None:
            # The engine applied the scene, but what it read back is the last picture.
            send(player, name, _mixed(answer, pixels=before), options)
        elif kind == "unsettled":
            send(player, name, _mixed(answer, settle={"settled": False}), options)
        elif kind == "reorder":
            self.held.append(lambda: send(player, name, answer, options))
            loop.call_later(0.5, self._release)
        elif kind == "crossed" and before is not None:
            # Two pictures under each other's names.
            for message in dc.encode_file(f"{name}.rgb.jpeg", "image/jpeg", before.encoded("rgb")):
                self._say(player, message)
            send(player, name, answer, options)
        elif kind == "truncated":
            messages = list(dc.encode_file(f"{name}.rgb.jpeg", "image/jpeg", answer.encoded("rgb")))
            cut = [*messages[:2], messages[2][: len(messages[2]) // 2]]
            self._say(player, *cut)
            self._say(player, *dc.encode_file("other.rgb.jpeg", "image/jpeg", b"x"))
        elif kind == "death":
            self._say(player, *list(dc.encode_file(f"{name}.rgb.jpeg", "image/jpeg", answer.encoded("rgb")))[:3])
            self._spawn(player.peer.close())
        else:
            send(player, name, answer, options)
        for one in held:
            one()

    def _release(self) -> None:
        held, self.held = self.held, []
        for one in held:
            one()

    def _freeze(self, player: Player, answer: Answer) -> None:
        if not isinstance(answer, Frame):
            return
        send = super()._freeze
        kind = self.faults.draw()
        if kind == "delay":
            asyncio.get_running_loop().call_later(1.0, self._late, send, player, answer)
        elif kind == "duplicate":
            send(player, answer)
            send(player, answer)
        elif kind != "drop":
            send(player, answer)

    def _late(self, send: Callable[[Player, Answer], None], player: Player, answer: Answer) -> None:
        # As Unreal does: whoever is connected when the picture is ready gets it.
        for one in self._players.values():
            send(one, answer)


def _mixed(answer: Frame, *, pixels: Frame | None = None, settle: dict[str, Any] | None = None) -> Frame:
    """Return an answer whose pixels belong to another scene, under hashes of the right ones."""
    mixed = Frame(
        answer.scene,
        encoded={name: (pixels or answer).encoded(name) for name in answer.passes},
        format=answer.format,
        settle=settle or answer.settle,
        engine=answer.engine,
    )
    if pixels is not None:
        right = {name: answer.sha256(name) for name in answer.passes}
        mixed.sha256 = lambda name="rgb": right[name]  # type: ignore[method-assign]
    return mixed


class Served:
    """What `serve` started."""

    def __init__(self, server: SignallingServer, streamer: Streamer, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.streamer = streamer
        self.loop = loop

    @property
    def url(self) -> str:
        return self.server.url


@contextmanager
def serve(
    make_engine: Callable[[], Engine] = MarkerEngine,
    *,
    faults: Faults | None = None,
    generation: Any = "modern",
    token: str | None = None,
    streamer_class: type[Streamer] | None = None,
    **streamer: Any,
) -> Iterator[Served]:
    """A signalling server and a streamer on free loopback ports, in a thread with its own event loop.

    Clients of this process wait for an answer to `hello` as long as a busy machine takes, unless they say how long.
    """
    up: list[Served | BaseException] = []
    ready = threading.Event()
    stop: list[Callable[[], None]] = []

    async def main() -> None:
        server = SignallingServer(generation=generation, token=token)
        await server.start()
        try:
            if faults is not None:
                one: Streamer = FaultyStreamer(make_engine, server.streamer_url, faults=faults, token=token, **streamer)
            else:
                one = (streamer_class or Streamer)(make_engine, server.streamer_url, token=token, **streamer)
            loop = asyncio.get_running_loop()
            up.append(Served(server, one, loop))
            running = asyncio.create_task(one.run(ready.set))
            stop.append(lambda: loop.call_soon_threadsafe(running.cancel))
            await asyncio.gather(running, return_exceptions=True)
        finally:
            await server.stop()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            up.insert(0, error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="served")
    thread.start()
    try:
        assert ready.wait(200)
        if isinstance(up[0], BaseException):
            raise up[0]
        with patch.dict(ClientOptions.__init__.__kwdefaults__, hello_timeout=60.0):
            yield up[0]
    finally:
        for one in stop:
            one()
        thread.join(100)
        assert not thread.is_alive()
