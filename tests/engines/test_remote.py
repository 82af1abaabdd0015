"""The engine behind an address, when things go wrong.

What could silently be wrong: a client that hangs for ever, gives up what it could have had, leaves threads and tasks
behind, or blames the wrong scene. (That it never mislabels a picture: `tests/contract/test_pairing.py`.)
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterable, Iterator

import pytest
from contract.live import Faults, serve
from typing_extensions import override
from waiting import eventually, soon

from torchmultiverse.engines import Failure, Frame, RenderOptions
from torchmultiverse.engines.client import AsyncClient
from torchmultiverse.engines.marker import MarkerEngine, read_marker
from torchmultiverse.engines.remote import RemoteEngine
from torchmultiverse.errors import EngineError
from torchmultiverse.scenes import Scene
from torchmultiverse.serve.signalling import SignallingServer
from torchmultiverse.serve.streamer import Streamer

OPTIONS = RenderOptions(size=(96, 96))
SCENES = [Scene({"World_Name": "Desert", "Camera_Yaw": n}) for n in range(12)]


class Breaking(MarkerEngine):
    """Raises on one scene."""

    @override
    def render(
        self,
        scenes: Iterable[Scene],
        options: RenderOptions = RenderOptions(),  # noqa: B008
    ) -> Iterator[Frame | Failure]:
        for scene in scenes:
            if scene["Camera_Yaw"] == 3:
                raise ZeroDivisionError("a bug in the engine")
            yield from super().render([scene], options)


class Held(MarkerEngine):
    """Draws when it is allowed to."""

    asked = threading.Event()
    go = threading.Event()

    @override
    def render(
        self,
        scenes: Iterable[Scene],
        options: RenderOptions = RenderOptions(),  # noqa: B008
    ) -> Iterator[Frame | Failure]:
        self.asked.set()
        self.go.wait(200)
        yield from super().render(scenes, options)


class Deadly(Streamer):
    """Loses its connections whenever a certain scene is asked for, as a binary that crashes on it would."""

    @override
    def _render(self, player, request):  # type: ignore[no-untyped-def]
        if request.scene.get("Camera_Yaw") == 3:
            for one in list(self._players):
                self._drop(one)
        else:
            super()._render(player, request)


def test_nobody_there_is_an_error_that_names_the_address() -> None:
    before = set(threading.enumerate())
    with socket.socket() as silent:  # a port that nobody else is given, and at which nobody listens
        silent.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(EngineError, match=url):
            RemoteEngine(url, reconnects=2)
    assert eventually(lambda: not set(threading.enumerate()) - before)


def test_a_server_without_a_streamer_is_an_error_that_says_so() -> None:
    async def test() -> None:
        server = SignallingServer()
        await server.start()
        for name, missing in ((None, "none is there"), ("left", "'left' is not there")):
            for patience in (0.4, 2.3, 20.3):  # a busy machine may need more to find out
                client = AsyncClient(server.url, reconnects=1, connect_timeout=patience, streamer_id=name)
                with pytest.raises(EngineError, match=f"no connection to a streamer within {patience} s") as error:
                    await client.connect()
                await client.close()
                if missing in str(error.value):
                    break
            else:
                raise AssertionError(f"{error.value}: {missing}")
        await server.stop()
        assert await soon(lambda: len(asyncio.all_tasks()) == 1), "tasks were left behind"

    asyncio.run(test())


def test_a_wrong_token_is_said_at_once() -> None:
    with serve(token="right") as served:
        with pytest.raises(EngineError, match="token"):
            RemoteEngine(served.url, token="wrong")
        with pytest.raises(EngineError, match="token"):
            RemoteEngine(served.url)
        engine = RemoteEngine(served.url, token="right")
        assert engine.catalogue().engine == "marker"
        engine.close()


def test_an_unknown_dialect_is_refused_with_the_known_ones() -> None:
    with pytest.raises(EngineError, match="Did you mean 'tmv'"):
        RemoteEngine("ws://127.0.0.1:1", dialect="tvm")


def test_a_scene_that_breaks_the_engine_fails_alone_and_is_named() -> None:
    with serve(Breaking) as served:
        engine = RemoteEngine(served.url, retries=2)
        answers = list(engine.render(SCENES[:5], OPTIONS))
        engine.close()
    assert [isinstance(answer, Frame) for answer in answers] == [True, True, True, False, True]
    failure = answers[3]
    assert isinstance(failure, Failure)
    assert failure.attempts == 3
    assert "a bug in the engine" in failure.reason
    assert SCENES[3].canonical in str(failure.error())


def test_a_scene_that_kills_the_connection_does_not_take_its_neighbours_along() -> None:
    with serve(streamer_class=Deadly) as served:
        engine = RemoteEngine(served.url, in_flight=4, dialect="tmv", retries=3)
        answers = list(engine.render(SCENES, OPTIONS))
        engine.close()
    assert [n for n, answer in enumerate(answers) if isinstance(answer, Failure)] == [3]
    for scene, answer in zip(SCENES, answers, strict=True):
        assert isinstance(answer, Failure) or read_marker(answer.array()) == scene.scene_id


def test_a_served_engine_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It held up every player for ever, and nobody was told."""
    monkeypatch.setattr("torchmultiverse.serve.streamer.LEASE", 1.0)
    made: list[threading.Event] = []

    class Hung(MarkerEngine):
        def __init__(self) -> None:
            super().__init__()
            self.closed = threading.Event()
            made.append(self.closed)

        @override
        def render(
            self,
            scenes: Iterable[Scene],
            options: RenderOptions = RenderOptions(),  # noqa: B008
        ) -> Iterator[Frame | Failure]:
            if self.closed is made[0]:
                self.closed.wait(200)
                raise EngineError("closed")
            yield from super().render(scenes, options)

        @override
        def close(self) -> None:
            self.closed.set()

    with serve(Hung) as served:
        engine = RemoteEngine(served.url, retries=20)  # a busy machine may keep the next engine from its work as long
        answers = list(engine.render(SCENES[:3], OPTIONS))
        engine.close()
    assert all(isinstance(answer, Frame) for answer in answers)
    assert len(made) > 1


def test_closing_it_from_another_thread_ends_a_render_that_waits() -> None:
    """How an engine that hangs is ended: a thread that goes on waiting is one that nobody ever gets back."""
    Held.asked.clear()
    Held.go.clear()
    ended: list[BaseException] = []

    def render() -> None:
        try:
            list(engine.render([SCENES[5]], OPTIONS))
        except BaseException as error:
            ended.append(error)

    with serve(Held) as served:
        engine = RemoteEngine(served.url)
        waiting = threading.Thread(target=render, daemon=True)
        waiting.start()
        try:
            assert Held.asked.wait(60)
            engine.close()
            waiting.join(60)
            assert not waiting.is_alive()
        finally:
            Held.go.set()
        # In the words of every engine: a supervisor takes any other error for one of its program, and logs it.
        with pytest.raises(EngineError, match="is closed"):
            list(engine.render([SCENES[5]], OPTIONS))
    assert [str(error) for error in ended if isinstance(error, EngineError)] == ["this engine is closed"]


def test_a_picture_that_never_comes_is_a_failure_after_the_budget() -> None:
    with serve(faults=Faults(1.0, ["drop"])) as served:
        engine = RemoteEngine(served.url, dialect="tmv", timeout=0.3, retries=2)
        list(engine.render(SCENES[:1], OPTIONS))  # the first is never hit
        begun = time.monotonic()
        (failure,) = engine.render(SCENES[1:2], OPTIONS)
        engine.close()
    assert isinstance(failure, Failure)
    assert failure.attempts == 3
    assert "no answer for 0.3 s" in failure.reason
    assert time.monotonic() - begun < 100, "it waited for something else: 120 s are the default"


def test_a_slow_picture_is_waited_for_and_the_loop_answers_meanwhile() -> None:
    """The engine renders in its own thread: a second player is served its catalogue while a picture takes its time."""
    Held.asked.clear()
    Held.go.clear()
    with serve(Held) as served:
        first, second = RemoteEngine(served.url), RemoteEngine(served.url, timeout=60, retries=0)
        answers = first.render([SCENES[5]], OPTIONS)
        waiting = threading.Thread(target=lambda: got.extend(answers))
        got: list[Frame | Failure] = []
        waiting.start()
        try:
            assert Held.asked.wait(60)
            assert second.catalogue().engine == "marker", "the event loop was blocked by the engine"
            assert not got
        finally:
            Held.go.set()
        waiting.join(60)
        assert isinstance(got[0], Frame)
        first.close()
        second.close()


def test_the_engine_is_found_again_after_the_signalling_server_was_gone() -> None:
    """An open data channel outlives its signalling server; a lost one is made anew over the next."""
    with serve() as served:
        engine = RemoteEngine(served.url, dialect="tmv")
        (one,) = engine.render(SCENES[:1], OPTIONS)
        asyncio.run_coroutine_threadsafe(served.server.stop(), served.loop).result(60)
        (two,) = engine.render(SCENES[1:2], OPTIONS)
        asyncio.run_coroutine_threadsafe(served.server.start(), served.loop).result(60)
        for name in list(served.streamer._players):
            served.loop.call_soon_threadsafe(served.streamer._drop, name)
        (three,) = engine.render(SCENES[2:3], OPTIONS)
        engine.close()
    for scene, answer in zip(SCENES, (one, two, three), strict=False):
        assert isinstance(answer, Frame)
        assert read_marker(answer.array()) == scene.scene_id


def test_an_engine_that_will_not_come_back_ends_the_waiting_with_the_reason() -> None:
    with serve() as served:
        reason: list[str] = []
        engine = RemoteEngine(served.url, lost=lambda: reason[0] if reason else None)
        reason.append("the engine died: out of memory")
        for name in list(served.streamer._players):
            served.loop.call_soon_threadsafe(served.streamer._drop, name)
        with pytest.raises(EngineError, match="out of memory"):
            list(engine.render(SCENES, OPTIONS))
        engine.close()


def test_a_picture_over_the_bound_is_refused() -> None:
    with serve() as served:
        engine = RemoteEngine(served.url, max_payload=2000, retries=0)
        answers = list(engine.render(SCENES[:1], RenderOptions(size=(512, 512), format="jpeg")))
        engine.close()
    assert isinstance(answers[0], Failure)
    assert "2000 is the limit" in answers[0].reason


def test_the_chosen_streamer_is_used_and_an_unknown_one_is_named_at_once_with_those_there_are() -> None:
    with serve(streamer_id="left") as served:
        engine = RemoteEngine(served.url, streamer_id="left")
        assert engine.catalogue().engine == "marker"
        engine.close()
        with pytest.raises(EngineError, match=r"there is no streamer 'right'; there is 'left'"):
            RemoteEngine(served.url, streamer_id="right", connect_timeout=1000, reconnects=1000)


def test_why_a_connection_is_refused_is_said_and_what_may_pass_is_tried_again() -> None:
    """What could silently be wrong: 'no connection' for a proxy's 403, a web server, a wrong address."""
    answers = {
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 22\r\n\r\nyour subscription\x1b\nend": "403: your subscription end",
        "HTTP/1.1 404 Not Found\r\n\r\n": "HTTP 404",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi": "HTTP 200: hi",
        "HTTP/1.1 503 Busy\r\nContent-Length: 7\r\n\r\nbooting": r"after 2 attempts: .*503: booting",
        "SSH-2.0-OpenSSH_9.2\r\n": r"after 2 attempts: .*does not answer as a signalling server",
    }

    async def test(answer: str, match: str) -> None:
        async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer.encode())
            writer.close()

        async with await asyncio.start_server(stranger, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            client = AsyncClient(url, reconnects=2, connect_timeout=60)
            with pytest.raises(EngineError, match=match) as error:
                await client.connect()
            assert url in str(error.value)
            await client.close()

    for answer, match in answers.items():
        asyncio.run(test(answer, match))
    for nonsense in ("http://127.0.0.1:1", "ws://", "ws://127.0.0.1:99999", "ws://[", "nowhere"):
        with pytest.raises(EngineError, match=r"is no address of a signalling server, such as ws://127\.0\.0\.1"):
            RemoteEngine(nonsense)


def test_why_a_server_hung_up_is_said() -> None:
    with serve() as served:
        served.server._core.max_peers = 1
        with pytest.raises(EngineError, match=r"closed the connection \(1013: 1 peers are connected already\)"):
            RemoteEngine(served.url, reconnects=1)


def test_the_asynchronous_client_renders_many_at_once_and_leaves_no_task() -> None:
    async def test(url: str) -> None:
        client = AsyncClient(url)
        answers = await asyncio.gather(*(client.render(scene, OPTIONS) for scene in SCENES))
        for scene, answer in zip(SCENES, answers, strict=True):
            assert isinstance(answer, Frame)
            assert read_marker(answer.array()) == scene.scene_id
        await client.close()
        await client.close()
        assert await soon(lambda: len(asyncio.all_tasks()) == 1), asyncio.all_tasks()

    with serve() as served:
        asyncio.run(test(served.url))


def test_many_connections_leave_no_descriptor_or_thread() -> None:
    from pathlib import Path

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with serve() as served:
        RemoteEngine(served.url).close()
        before, threads = descriptors(), threading.active_count()
        for _ in range(8):
            RemoteEngine(served.url).close()
        # One each would be eight more. A few may be new: those of a pool of threads, which keeps them.
        assert eventually(lambda: descriptors() < before + 8), (descriptors(), before)
        assert eventually(lambda: threading.active_count() < threads + 8), (threading.active_count(), threads)
