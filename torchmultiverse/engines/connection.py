"""One WebRTC connection of the client: from signalling to the open data channel, and its end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from torchmultiverse.errors import EngineError, ProtocolError
from torchmultiverse.protocol import datachannel as dc
from torchmultiverse.protocol import signalling, webrtc, websocket

log = logging.getLogger(__name__)


class ConnectionLost(Exception):
    """The connection is gone; what was in flight may be asked for again on another."""


class Connection:
    """One connection from signalling to the open data channel. Used once.

    Args:
        url: the server's player port.
        token: for a server that asks for one.
        streamer_id: which of several streamers.
        loopback: restrict WebRTC to 127.0.0.1.
        legacy: the server is known to be of UE 5.0.
        wait_for_streamer: wait for the streamer although others are there: it was there before.
        max_payload: largest picture that is accepted, in bytes.
        transport: the WebRTC stack: ``native``, ``aiortc``, or ``auto``: native where it is installed.
        on_event: called with everything that comes over the data channel.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        streamer_id: str | None = None,
        loopback: bool = False,
        legacy: bool = False,
        wait_for_streamer: bool = False,
        max_payload: int = dc.MAX_PAYLOAD,
        transport: webrtc.Transport = "auto",
        on_event: Callable[[dc.Event], None],
    ) -> None:
        self._on_event = on_event
        self._url = url
        self._token = token
        self._loopback = loopback
        self._session = signalling.PlayerSession(streamer_id, legacy=legacy, wait_for_streamer=wait_for_streamer)
        self._transport: webrtc.Transport = transport
        self._peer: webrtc.Peer | None = None
        self._open = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []
        self._socket: ClientConnection | None = None
        self._missing = "the server said nothing"
        self._refused = ""
        self.receiver = dc.Receiver(max_payload)
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def question_unanswered(self) -> bool:
        """Whether the server was asked for its streamers and never answered: a legacy server hangs up on that."""
        return self._session.asked and not self._session.answered

    async def open(self, timeout: float) -> None:
        """Connect.

        Raises:
            EngineError: the server refuses, or knows other streamers only.
            ConnectionLost: it did not work within ``timeout`` seconds; it may later.
        """
        try:
            async with asyncio.timeout(timeout):
                self._socket = await websocket.dial(self._url, self._token, timeout)
                self._tasks.append(asyncio.create_task(self._signalling(self._socket)))
                opened = asyncio.create_task(self._open.wait())
                self._tasks.append(opened)
                both: list[asyncio.Future[Any]] = [opened, self.lost]
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise ConnectionLost(f"no connection to a streamer within {timeout:g} s: {self._missing}") from None
        except ConnectionError as error:
            raise ConnectionLost(str(error)) from None
        if self._refused:
            raise EngineError(f"{self._url}: {self._refused}")
        if self.lost.done():
            raise ConnectionLost(self.lost.result())

    def send(self, text: str) -> None:
        """Send a ``UIInteraction``."""
        if self._peer is None:
            raise ConnectionLost("the data channel is closed")
        try:
            self._peer.send(dc.encode_input("UIInteraction", text, self.receiver.ids))
        except ConnectionError as error:
            raise ConnectionLost(str(error)) from None

    async def close(self) -> None:
        """End it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._peer is not None:
            await self._peer.close()
        if self._socket is not None:
            await self._socket.close()
        self._lose("closed")

    def _lose(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)

    async def _signalling(self, socket: ClientConnection) -> None:
        grace = asyncio.create_task(self._ask_later(socket, signalling.PlayerSession.GRACE))
        self._tasks.append(grace)
        try:
            async for message in socket:
                if isinstance(message, str):
                    for action in self._session.feed(signalling.parse(message)):
                        await self._act(socket, action)
        except ConnectionClosed:
            pass  # its last words are told below
        except Exception as error:
            self._lose(f"signalling broke: {type(error).__name__}: {error}")
        finally:
            grace.cancel()
        # An open data channel outlives its signalling server.
        if not self._open.is_set():
            self._lose(f"the signalling server closed the connection {websocket.farewell(socket)}")

    async def _ask_later(self, socket: ClientConnection, seconds: float) -> None:
        await asyncio.sleep(seconds)
        with suppress(ConnectionClosed):
            for action in self._session.ask():
                await self._act(socket, action)

    async def _act(self, socket: ClientConnection, action: signalling.Action) -> None:
        if isinstance(action, signalling.Send):
            if action.message["type"] in {"listStreamers", "subscribe"}:
                self._missing = f"no answer to '{action.message['type']}'"
            await socket.send(json.dumps(action.message))
        elif isinstance(action, signalling.WaitForStreamer):
            wanted = self._session.wanted
            self._missing = "none is there" if wanted is None else f"'{wanted}' is not there"
            self._tasks.append(asyncio.create_task(self._ask_later(socket, 0.5)))
        elif isinstance(action, signalling.Offer):
            answer = await self._answer(action.sdp)
            self._missing = "WebRTC does not get through"
            await socket.send(json.dumps(self._session.answer(answer)))
        elif isinstance(action, signalling.Candidate) and self._peer is not None:
            await self._peer.add_candidate(action.candidate)
        elif isinstance(action, signalling.Unknown):
            self._refused = action.reason
            self._lose(action.reason)
        elif isinstance(action, signalling.Lost):
            self._lose(action.reason)

    async def _answer(self, offer: str) -> str:
        before, self._peer = self._peer, None
        if before is not None:
            await before.close()
        events = webrtc.PeerEvents(
            opened=self._open.set,
            message=self._message,
            closed=lambda reason: self._lose(reason) if peer is self._peer else None,
        )
        self._peer = peer = webrtc.make_peer(events, loopback=self._loopback, transport=self._transport)
        return await peer.answer(offer)  # pictures come by data channel; the video is for browsers

    def _message(self, data: bytes) -> None:
        try:
            for event in self.receiver.feed(data):
                self._on_event(event)
        except ProtocolError as error:
            log.warning("data channel: %s", error)
