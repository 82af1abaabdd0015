"""What a streamer says to the interactions of its players, in both dialects: requests in, pictures out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Literal

from torchmultiverse.engines import Catalogue, Engine, Failure, Frame, Limits, RenderOptions, Supervisor, codec
from torchmultiverse.errors import EngineError, ProtocolError, SpecError
from torchmultiverse.json_text import read_json
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.protocol import messages, printable, pug
from torchmultiverse.scenes import FACTORS, Scene
from torchmultiverse.serve.pixels import Outlets
from torchmultiverse.serve.player import Player

log = logging.getLogger(__name__)
RenderOutcome = Frame | Failure | EngineError
MAX_QUEUE = 1024
"""Requests that may wait for the engine; more are answered with a failure that may pass."""
PUG_FIRST = 0.5
"""Seconds without a further factor after which a player's first scene is complete: how many make one is not known."""
PUG_DOUBT = 2.0
"""The same while factors are missing that the player's last scene had: a packet that is lost holds them up so long."""


class Answers:
    """Has an engine render what players ask for.

    Args:
        make_engine: called in the engine's thread, and again when the engine breaks.
        limits: of its supervisor.
        pug_quiet: seconds without a further factor after which the ``pug`` dialect's scene is complete that has those
            of the last one; see `PUG_FIRST` and `PUG_DOUBT` for others.
        outlets: ways of files besides the data channel.
    """

    def __init__(self, make_engine: Callable[[], Engine], limits: Limits, pug_quiet: float, outlets: Outlets) -> None:
        self._engines = Supervisor(make_engine, limits=limits, name="engine")
        self._catalogue: Catalogue
        self._latest: Frame | None = None
        self._pug_quiet = pug_quiet
        self._outlets = outlets

    def _say(self, player: Player, *messages: bytes) -> None:
        player.say(*messages)

    def _respond(self, player: Player, reply: messages.Message) -> None:
        self._say(player, _response(reply))

    def _interaction(self, player: Player, text: str) -> None:
        message = messages.parse(text)
        if message is None:
            self._pug(player, text)
            return
        name = message["id"]
        try:
            request = messages.read_request(message)
            if isinstance(request, messages.RenderRequest):
                self._render(player, request)
                return
        except (ProtocolError, SpecError) as error:
            self._respond(player, messages.Failed(id=name, reason=str(error)))
            return
        if isinstance(request, messages.Hello):
            engine = self._catalogue
            done = messages.HelloDone(
                id=name, engine=engine.engine, version=engine.version, fingerprint=engine.fingerprint,
                pixels=list(self._outlets.offered) or None,
            )  # fmt: skip
            self._respond(player, done)
        elif isinstance(request, messages.PixelsRequest):
            if player.opening is None or player.opening.done():
                player.opening = asyncio.get_running_loop().create_task(self._open_outlet(player, request))
            else:
                self._respond(player, messages.Failed(id=name, reason="another way of pixels is being opened"))
        else:
            data = self._catalogue.model_dump_json().encode()
            self._say(player, *dc.encode_file(f"{name}.catalogue.json", codec.MIME["json"], data))
            self._respond(player, messages.Done(id=name))

    async def _open_outlet(self, player: Player, request: messages.PixelsRequest) -> None:
        """Prepare another way for the files of a player, which is taken from when the player is ready."""
        reply: messages.Message
        try:
            place, key = await self._outlets.open(request.by, player.use)
            reply = messages.PixelsDone(id=request.id, place=place, key=key)
        except EngineError as error:
            reply = messages.Failed(id=request.id, reason=str(error))
        self._respond(player, reply)

    def _render(self, player: Player, request: messages.RenderRequest) -> None:
        name = request.id
        scene, options = read_request(request)
        if self._engines.waiting >= MAX_QUEUE:
            self._respond(player, messages.Failed(id=name, again=True, reason=f"{MAX_QUEUE} requests wait already"))
            return
        if request.quiet:
            player.quiet.add(name)
        else:
            self._respond(player, messages.Accepted(id=name))
        self._submit(player, scene, options, lambda answer: self._deliver(player, name, answer, options))

    def _submit(
        self, player: Player, scene: Scene, options: RenderOptions, deliver: Callable[[RenderOutcome], None]
    ) -> None:
        """Have a scene rendered for a player who is still there when it is its turn."""
        loop = asyncio.get_running_loop()

        def done(future: Future[Frame | Failure]) -> None:
            if future.cancelled():
                return
            answer = _encoded(future, scene, options)
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                loop.call_soon_threadsafe(deliver, answer)

        self._engines.submit(scene, options, wanted=lambda: not player.absent()).add_done_callback(done)

    def _deliver(self, player: Player, name: str, answer: RenderOutcome, options: RenderOptions) -> None:
        quiet = name in player.quiet
        player.quiet.discard(name)
        if not isinstance(answer, Frame):
            again = not isinstance(answer, Failure) or answer.engine_lost
            reason = answer.reason if isinstance(answer, Failure) else str(answer)
            self._respond(player, messages.Failed(id=name, reason=reason, again=again))
            return
        self._latest = answer
        kinds = {one: codec.extension(one, options.format) for one in options.passes}
        files = {one: (f"{name}.{one}.{kind}", answer.encoded(one)) for one, kind in kinds.items()}
        sent = player.outlet.put(files) if player.outlet is not None else None
        done = messages.RenderDone(
            id=name, scene_id=answer.scene_id, sha256={one: answer.sha256(one) for one in options.passes},
            settle=answer.settle, timings=answer.timings, engine=answer.engine, info=answer.info, **(sent or {}),
        )  # fmt: skip
        parts = [] if quiet else [_response(messages.Settled(id=name, settle=answer.settle))]
        if sent is None:
            for one, (extension, data) in files.items():
                parts += dc.encode_file(extension, codec.MIME[kinds[one]], data, chunk=_chunk(player))
        self._say(player, *parts, _response(done))

    def _pug(self, player: Player, text: str) -> None:
        try:
            values = read_json(text)
        except ValueError:
            raise ProtocolError(f"no JSON: {text[:80]!r}") from None
        if not isinstance(values, dict):
            raise ProtocolError(f"no JSON object: {text[:80]!r}")
        if "Resolution" in values:
            width, height = pug.number(values.get("X")), pug.number(values.get("Y"))
            if (
                isinstance(width, int)
                and isinstance(height, int)
                and 16 <= min(width, height) <= max(width, height) <= 4096
            ):
                player.resolution = (width, height)
            else:
                log.warning("resolution: %s; X and Y from 16 to 4096 are right", text[:80])
            return
        if "PoolSize" in values:
            return
        if unknown := [name for name in values if name not in FACTORS]:
            raise ProtocolError(f"unknown factor {unknown[0][:80]!r}")
        player.factors.update({name: pug.value(name, value) for name, value in values.items()})
        player.said.update(values)
        # Nothing marks the last factor. A picture of half a scene would be taken for the whole one's, and that one's
        # for the next scene's, and so on.
        if not player.complete:
            quiet = max(self._pug_quiet, PUG_FIRST)
        elif not player.complete <= player.said:
            quiet = max(self._pug_quiet, PUG_DOUBT)
        else:
            quiet = self._pug_quiet
        if player.pending_pug is not None:
            player.pending_pug.cancel()
        player.pending_pug = asyncio.get_running_loop().call_later(quiet, self._render_pug, player)

    def _render_pug(self, player: Player) -> None:
        player.pending_pug = None
        player.complete, player.said = frozenset(player.said), set()
        try:
            scene = Scene(player.factors)
            options = RenderOptions(size=player.resolution, format="jpeg")
        except SpecError as error:
            log.warning("pug scene: %s", printable(str(error)))  # the dialect has no way to say so
            return
        self._submit(player, scene, options, lambda answer: self._freeze(player, answer))

    def _freeze(self, player: Player, answer: RenderOutcome) -> None:
        if not isinstance(answer, Frame):
            log.warning("pug scene failed: %s", answer)
            return
        self._latest = answer
        self._say(player, *dc.encode_chunks("FreezeFrame", answer.encoded("rgb")))


def _encoded(future: Future[Frame | Failure], scene: Scene, options: RenderOptions) -> RenderOutcome:
    """Return what became of a scene, encoded here, in the engine's thread, and not on the event loop."""
    if (error := future.exception()) is not None:
        return error if isinstance(error, EngineError) else EngineError(str(error))
    answer = future.result()
    if isinstance(answer, Frame):
        try:
            if "raw" in (answer.format, options.format):
                answer = answer.in_format(options.format)
            for name in options.passes:
                answer.encoded(name)
        except Exception as error:  # the picture is somebody's code's: its scene fails, the server goes on
            log.exception("a picture cannot be encoded")
            return Failure(scene, f"{type(error).__name__}: {error}", engine_lost=True)
    return answer


def _chunk(player: Player) -> int:
    """Return how large the messages of a file are: each costs both ends the same, however much is in it."""
    return max(dc.CHUNK, player.peer.message_limit)


def _response(reply: messages.Message) -> bytes:
    return dc.encode_output("Response", reply.encode())


def read_request(request: messages.RenderRequest) -> tuple[Scene, RenderOptions]:
    """Return the scene and options of a render request.

    Raises:
        SpecError: what is wrong with it.
    """
    size = (request.size[0], request.size[1])
    format: Literal["png", "jpeg", "raw"] = "raw" if request.raw else request.format
    options = RenderOptions(size, tuple(request.passes), format, request.seed, request.samples)
    return Scene(request.scene), options
