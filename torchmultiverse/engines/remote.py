"""An engine behind an address, as a synchronous `Engine`: the asynchronous client in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from typing_extensions import override

from torchmultiverse.engines.client import AsyncClient
from torchmultiverse.engines.contract import Catalogue, Engine, Failure, Frame, RenderOptions
from torchmultiverse.errors import EngineError
from torchmultiverse.scenes import Scene

_CLOSED = "this engine is closed"
T = TypeVar("T")


class RemoteEngine(Engine):
    """Renders over WebRTC.

    Args:
        url: ``ws://host:port`` of a signalling server's player port.
        in_flight: pictures asked for ahead of the one that is awaited; as many as a batch in the ``pug`` dialect.
        client: fields of `ClientOptions`: token, dialect, timeout, retries, streamer_id, …

    Raises:
        EngineError: nothing answers at the address.
    """

    def __init__(self, url: str, *, in_flight: int = 4, **client: Any) -> None:
        self._in_flight = in_flight
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="webrtc", daemon=True)
        self._thread.start()
        self._client: AsyncClient | None = None
        try:
            self._client = self._wait(self._make(url, client))
            self._wait(self._client.connect())
        except BaseException:
            self.close()
            raise

    @property
    def client(self) -> AsyncClient:
        """The asynchronous client underneath; its coroutines belong to this engine's thread."""
        assert self._client is not None
        return self._client

    @property
    def pixels(self) -> str:
        """Which way pictures come: ``shared`` memory, a binary ``websocket``, or the data ``channel``."""
        return self.client.pixels

    @override
    def catalogue(self) -> Catalogue:
        return self._wait(self.client.catalogue())

    @override
    def render(
        self,
        scenes: Iterable[Scene],
        options: RenderOptions = RenderOptions(),  # noqa: B008 - frozen
    ) -> Iterator[Frame | Failure]:
        waiting: deque[Future[Frame | Failure]] = deque()
        ahead = max(self._in_flight, self.batch_size())
        try:
            for scene in scenes:
                waiting.append(self._submit(self.client.render(scene, options)))
                if len(waiting) >= ahead:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()

    def batch_size(self) -> int:
        """Return how many pictures wait for one proof: 1 where each has an id."""
        return max(self.client.pug_batch, 1) if self.client.dialect == "pug" else 1

    def manifest_notes(self) -> list[str]:
        """Return what a dataset made this way should say of itself."""
        return self.client.manifest_notes()

    @override
    def close(self) -> None:
        if self._loop.is_closed():
            return
        if self._client is not None:
            self._wait(self._client.close())
        self._wait(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    @staticmethod
    async def _make(url: str, arguments: dict[str, Any]) -> AsyncClient:
        return AsyncClient(url, **arguments)

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        if self._loop.is_closed():
            coroutine.close()
            raise EngineError(_CLOSED)
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._submit(coroutine).result()


def _result(future: Future[T]) -> T:
    """Wait for an answer.

    Raises:
        EngineError: the engine was closed meanwhile, by another thread.
    """
    try:
        return future.result()
    except CancelledError:
        raise EngineError(_CLOSED) from None


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
