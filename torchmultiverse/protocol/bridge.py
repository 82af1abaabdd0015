"""The bridge dialect: one request per picture, with ids and hashes that prove which scene a picture shows.

Sans-I/O. `BridgeSession` is the client's end of one connection: it makes request texts, takes data-channel events,
and returns a `Delivery` only when the id, the applied scene and the hash of every pass agree; everything else is
a `Refusal` with the reason, never a picture.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torchmultiverse.errors import ProtocolError
from torchmultiverse.protocol.datachannel import Broken, Event, File, Response
from torchmultiverse.scenes import Scene, canonical_json

DIALECT = "tmv"
VERSION = 1
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def hello(request: str) -> str:
    """Return the question whether the other side speaks this dialect."""
    return canonical_json({"tmv": VERSION, "do": "hello", "id": request})


def catalogue(request: str) -> str:
    """Return the question for the catalogue; it is answered by a file ``<request>.catalogue.json``."""
    return canonical_json({"tmv": VERSION, "do": "catalogue", "id": request})


def render(
    request: str,
    scene: Scene,
    *,
    size: tuple[int, int],
    passes: Sequence[str],
    format: str,
    seed: int,
    samples: int | None,
) -> str:
    """Return the request for a picture."""
    message: dict[str, Any] = {
        "tmv": VERSION, "do": "render", "id": request, "scene": scene.wire, "size": list(size),
        "passes": list(passes), "format": format, "seed": seed,
    }  # fmt: skip
    if samples is not None:
        message["samples"] = samples
    return canonical_json(message)


def parse(text: str) -> dict[str, Any] | None:
    """Return a message of this dialect, or ``None`` for any other text.

    Raises:
        ProtocolError: a message of this dialect that nobody could answer: of another version, or without a plain id.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or "tmv" not in message:
        return None
    if message["tmv"] != VERSION:
        raise ProtocolError(f"version {str(message['tmv'])[:20]!r} of the tmv dialect; {VERSION} is spoken here")
    if not isinstance(message.get("id"), str) or not _ID.fullmatch(message["id"]):
        raise ProtocolError(f"id is {str(message.get('id'))[:80]!r}; up to 64 letters, digits, '-' and '_' are right")
    return message


@dataclass(frozen=True, slots=True)
class Delivery:
    """A picture that is proven to belong to its request."""

    request: str
    passes: dict[str, bytes]
    done: dict[str, Any]


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
    message: dict[str, Any]
    data: bytes = b""


Outcome = Delivery | Refusal | Rejected | Progress | Reply


@dataclass
class _Pending:
    scene: Scene
    passes: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)


class BridgeSession:
    """The requests in flight on one connection."""

    def __init__(self) -> None:
        self._pending: dict[str, _Pending] = {}
        self._questions: dict[str, bytes] = {}

    def expect(self, request: str, scene: Scene, passes: Sequence[str]) -> None:
        """Remember what a request asked for."""
        self._pending[request] = _Pending(scene, tuple(passes))

    def expect_reply(self, request: str) -> None:
        """Remember a question (``hello``, ``catalogue``)."""
        self._questions[request] = b""

    def forget(self, request: str) -> None:
        """Stop waiting; whatever still comes for this request is dropped."""
        self._pending.pop(request, None)
        self._questions.pop(request, None)

    def feed(self, event: Event) -> list[Outcome]:
        """Take an event of the data channel. What belongs to no request in flight is ignored."""
        if isinstance(event, File):
            request, name = _split(event.extension)
            if request in self._questions:
                self._questions[request] = event.data
            elif request in self._pending:
                pending = self._pending[request]
                if name not in pending.passes:
                    return self._refuse(request, f"the pass '{name[:40]}' came, which was not asked for")
                if pending.files.setdefault(name, event.data) != event.data:
                    return self._refuse(request, f"the pass '{name}' came twice, and differed")
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
        request, state = message["id"], message["state"]
        if request in self._questions and state == "done":
            return [Reply(request, message, self._questions.pop(request))]
        if request not in self._pending:
            return []
        if state in {"accepted", "settled"}:
            return [Progress(request, state)]
        if state == "failed":
            reason = str(message.get("reason", "no reason given"))[:2000]
            if message.get("again") is True:
                return self._refuse(request, reason)
            del self._pending[request]
            return [Rejected(request, reason)]
        if state == "done":
            return self._finish(request, message)
        return []

    def _finish(self, request: str, done: dict[str, Any]) -> list[Outcome]:
        pending = self._pending[request]
        if done.get("scene_id") != pending.scene.scene_id:
            return self._refuse(
                request, f"the engine applied scene {done.get('scene_id')!r}, asked was {pending.scene.scene_id!r}"
            )
        hashes = done.get("sha256")
        if not isinstance(hashes, dict):
            return self._refuse(request, "the answer carries no hashes")
        settle = done.get("settle")
        if not isinstance(settle, dict) or settle.get("settled") is not True:
            return self._refuse(request, f"the picture had not settled: {settle!r}")
        for name in pending.passes:
            if name not in pending.files:
                return self._refuse(request, f"the pass '{name}' did not come")
            if hashlib.sha256(pending.files[name]).hexdigest() != hashes.get(name):
                return self._refuse(request, f"the pass '{name}' does not have the announced SHA-256")
        del self._pending[request]
        return [Delivery(request, {name: pending.files[name] for name in pending.passes}, done)]

    def _refuse(self, request: str, reason: str) -> list[Outcome]:
        return [Refusal(request, reason)] if self._pending.pop(request, None) is not None else []


def _split(extension: str) -> tuple[str, str]:
    """Split ``<request>.<pass>.<ext>``; UE may prefix a dot."""
    parts = extension.lstrip(".").split(".")
    return (parts[0], parts[1]) if len(parts) >= 3 else ("", "")
