"""The bridge dialect: one request per picture, with ids and hashes that prove which scene a picture shows.

Sans-I/O. The messages are in `torchmultiverse.protocol.messages`. `BridgeSession` is the client's end of one
connection: it takes data-channel events, and returns a `Delivery` only when the id, the applied scene and the hash of
every pass agree; everything else is a `Refusal` with the reason, never a picture. That holds whichever way the files
came: over the data channel, through shared memory, or over a WebSocket (`torchmultiverse.protocol.pixels`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torchmultiverse.errors import ProtocolError
from torchmultiverse.protocol.datachannel import Broken, Event, File, Response
from torchmultiverse.protocol.messages import Done, Failed, Message, RenderDone, parse, read
from torchmultiverse.scenes import Scene


@dataclass(frozen=True, slots=True)
class Delivery:
    """A picture that is proven to belong to its request."""

    request: str
    passes: dict[str, bytes]
    done: RenderDone


@dataclass(frozen=True, slots=True)
class Refusal:
    """No picture, or one that is not believed; it may be asked for again."""

    request: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The engine says that it cannot render this scene, now or later."""

    request: str
    reason: str


@dataclass(frozen=True, slots=True)
class Progress:
    """A sign of life: the request was accepted or has settled."""

    request: str
    state: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to ``hello`` or ``catalogue``."""

    request: str
    message: Message
    data: bytes = b""


Outcome = Delivery | Refusal | Rejected | Progress | Reply


@dataclass
class _Pending:
    scene: Scene
    passes: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)
    done: RenderDone | None = None  # while files are on their way over the WebSocket
    lost: bool = False  # whether some may have been when it broke


class Region(Protocol):
    """Shared memory as its reader sees it."""

    def take(self, offset: int, length: int) -> bytes:
        """Return what a slot holds, and give the slot back.

        Raises:
            ProtocolError: there is no such slot.
        """
        ...

    def free(self, offset: int) -> None:
        """Give a slot back unread."""
        ...


class BridgeSession:
    """The requests in flight on one connection.

    Attributes:
        region: where the files lie that come by shared memory; ``None`` while none is shared.
        socket: whether a WebSocket is open over which files may come.
    """

    def __init__(self) -> None:
        self.region: Region | None = None
        self.socket = False
        self._pending: dict[str, _Pending] = {}
        self._questions: dict[str, tuple[type[Done], bytes]] = {}

    def expect(self, request: str, scene: Scene, passes: Sequence[str]) -> None:
        """Remember what a request asked for."""
        self._pending[request] = _Pending(scene, tuple(passes))

    def expect_reply(self, request: str, answer: type[Done] = Done) -> None:
        """Remember a question (``hello``, ``catalogue``, ``pixels``), and as what its answer is read."""
        self._questions[request] = (answer, b"")

    def forget(self, request: str) -> None:
        """Stop waiting; whatever still comes for this request is dropped."""
        self._pending.pop(request, None)
        self._questions.pop(request, None)

    def socket_lost(self) -> list[Outcome]:
        """Refuse the pictures of which files may have been on their way over the WebSocket."""
        self.socket = False
        for pending in self._pending.values():
            pending.lost = True
        waiting = [request for request, pending in self._pending.items() if pending.done is not None]
        return [one for request in waiting for one in self._refuse(request, "the WebSocket of its files broke")]

    def feed(self, event: Event) -> list[Outcome]:
        """Take an event of the data channel. What belongs to no request in flight is ignored."""
        if isinstance(event, File):
            request, name = _split(event.extension)
            if request in self._questions:
                self._questions[request] = (self._questions[request][0], event.data)
            elif request in self._pending:
                return self._file(request, name, event.data)
            return []
        if isinstance(event, Broken):
            request, name = _split(event.extension)
            return self._refuse(request, f"the pass '{name}' is broken: {event.reason}")
        if not isinstance(event, Response):
            return []
        try:
            message = parse(event.text)
        except ProtocolError:
            return []  # belongs to no request of ours
        if message is None or not isinstance(message.get("state"), str):
            return []
        return self._answer(message["id"], message["state"], message)

    def _answer(self, request: str, state: str, message: dict[str, Any]) -> list[Outcome]:
        if request in self._questions and state in {"done", "failed"}:
            kind, data = self._questions.pop(request)
            try:
                if state == "failed":
                    return [Rejected(request, read(Failed, message).reason)]
                return [Reply(request, read(kind, message), data)]
            except ProtocolError as error:
                return [Refusal(request, f"the answer is not understood: {error}")]
        try:
            if request not in self._pending:
                if self.region is not None and state == "done" and message.get("slots"):
                    for offset, _ in (read(RenderDone, message).slots or {}).values():
                        self.region.free(offset)
                return []
            if state in {"accepted", "settled"}:
                return [Progress(request, state)]
            if state == "failed":
                return self._failed(request, read(Failed, message))
            if state == "done":
                done = read(RenderDone, message)
                return self._shared(request, done) or self._finish(request, done)
        except ProtocolError as error:
            return self._refuse(request, f"the answer is not understood: {error}")
        return []

    def _file(self, request: str, name: str, data: bytes) -> list[Outcome]:
        pending = self._pending[request]
        if name not in pending.passes:
            return self._refuse(request, f"the pass '{name[:40]}' came, which was not asked for")
        if pending.files.setdefault(name, data) != data:
            return self._refuse(request, f"the pass '{name}' came twice, and differed")
        if pending.done is not None and len(pending.files) == len(pending.passes):
            return self._finish(request, pending.done)
        return []

    def _failed(self, request: str, failed: Failed) -> list[Outcome]:
        if failed.again:
            return self._refuse(request, failed.reason)
        del self._pending[request]
        return [Rejected(request, failed.reason)]

    def _shared(self, request: str, done: RenderDone) -> list[Outcome]:
        """Take the files that lie in shared memory, all of them, and refuse the picture where that goes wrong."""
        wrong: list[Outcome] = []
        for name, (offset, length) in (done.slots or {}).items():
            if self.region is None:
                return self._refuse(request, f"the pass '{name[:40]}' lies in shared memory, which is not shared")
            try:
                data = self.region.take(offset, length)
            except ProtocolError as error:
                wrong += self._refuse(request, f"the pass '{name[:40]}': {error}")
                continue
            if request in self._pending:
                wrong += self._file(request, name, data)
        return wrong

    def _finish(self, request: str, done: RenderDone) -> list[Outcome]:
        pending = self._pending[request]
        if done.scene_id != pending.scene.scene_id:
            return self._refuse(
                request, f"the engine applied scene {done.scene_id!r}, asked was {pending.scene.scene_id!r}"
            )
        if done.sha256 is None:
            return self._refuse(request, "the answer carries no hashes")
        if done.settle is None or done.settle.get("settled") is not True:
            return self._refuse(request, f"the picture had not settled: {done.settle!r}")
        if done.by == "websocket" and len(pending.files) < len(pending.passes) and not pending.lost and self.socket:
            pending.done = done
            return [Progress(request, "sent")]
        for name in pending.passes:
            if name not in pending.files:
                return self._refuse(request, f"the pass '{name}' did not come")
            if hashlib.sha256(pending.files[name]).hexdigest() != done.sha256.get(name):
                return self._refuse(request, f"the pass '{name}' does not have the announced SHA-256")
        del self._pending[request]
        return [Delivery(request, {name: pending.files[name] for name in pending.passes}, done)]

    def _refuse(self, request: str, reason: str) -> list[Outcome]:
        return [Refusal(request, reason)] if self._pending.pop(request, None) is not None else []


def _split(extension: str) -> tuple[str, str]:
    """Split ``<request>.<pass>.<ext>``; UE may prefix a dot."""
    parts = extension.lstrip(".").split(".")
    return (parts[0], parts[1]) if len(parts) >= 3 else ("", "")
