"""Signalling of Pixel Streaming, UE 5.0 to 5.7: the three roles as state machines. Sans-I/O: messages in and out.

Two generations differ in who chooses the streamer. A *legacy* server (UE 5.0) knows no ``identify``,
``listStreamers`` or ``subscribe``: the streamer gets a ``playerConnected`` for every player and the offer arrives
by itself. A *modern* server lets the player ask. Ids have been numbers and strings: both are accepted.

Peers of either generation meet on our server: a streamer that does not say who it is, and a player that asks for
nothing, are taken for those of UE 5.0 after a while (`ServerCore.assume_legacy`).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Literal

from torchmultiverse.errors import ProtocolError, nearest
from torchmultiverse.json_text import read_json

MAX_MESSAGE = 256 * 1024
"""Largest signalling message in characters; an SDP with many candidates has about 10,000."""
Message = dict[str, Any]
Generation = Literal["legacy", "modern"]


def parse(text: str | bytes) -> Message:
    """Return a signalling message.

    Raises:
        ProtocolError: too long, no JSON object, or without a ``type``.
    """
    if len(text) > MAX_MESSAGE:
        raise ProtocolError(f"a signalling message of {len(text)} characters; {MAX_MESSAGE} is the limit")
    try:
        message = read_json(text)
    except ValueError as error:
        raise ProtocolError(f"a signalling message that is no JSON: {error}") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ProtocolError("a signalling message without a 'type'")
    return message


def _id(message: Message, key: str) -> str:
    value = message.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ProtocolError(f"{message['type']}: {key} is {repr(value)[:80]}; a string or a number is right")
    return str(value)


def _sdp(message: Message) -> str:
    sdp = message.get("sdp")
    if not isinstance(sdp, str):
        raise ProtocolError(f"{message['type']}: no sdp")
    return sdp


def _candidate(message: Message) -> Message | None:
    candidate = message.get("candidate")
    if candidate is None:
        return None
    if not isinstance(candidate, dict) or not isinstance(candidate.get("candidate"), str):
        raise ProtocolError("iceCandidate: no candidate")
    return candidate


# What a session asks its owner to do ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message."""

    message: Message


@dataclass(frozen=True, slots=True)
class Offer:
    """A streamer offers a connection."""

    sdp: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A player answered."""

    sdp: str
    player: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """An ICE candidate of the other side; ``None`` ends them."""

    candidate: Message | None
    player: str = ""


@dataclass(frozen=True, slots=True)
class PlayerJoined:
    """Make an offer to this player."""

    player: str


@dataclass(frozen=True, slots=True)
class PlayerLeft:
    """Close the connection to this player."""

    player: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The stream is gone or refused."""

    reason: str


@dataclass(frozen=True, slots=True)
class WaitForStreamer:
    """No streamer is there yet: ask again later with `PlayerSession.ask`."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """There are streamers, and none has the id that is wanted."""

    reason: str


Action = Send | Offer | Answer | Candidate | PlayerJoined | PlayerLeft | Lost | WaitForStreamer | Unknown


class PlayerSession:
    """The player's side.

    After ``config`` it asks for streamers. A legacy server closes the connection on such a question, so unless
    ``config`` names a protocol version, the owner waits `GRACE` seconds for an offer and then calls `ask`. If the
    server then hangs up without having `answered`, the owner connects again with ``legacy=True``.

    Args:
        streamer_id: which of several streamers; the first by default.
        legacy: never ask, wait for the offer.
        wait_for_streamer: wait for one that is not there although others are: it was, and may be on its way back.
    """

    GRACE = 0.4

    def __init__(
        self, streamer_id: str | None = None, *, legacy: bool = False, wait_for_streamer: bool = False
    ) -> None:
        self.wanted = streamer_id
        self.wait_for_streamer = wait_for_streamer
        self.subscribed: str | None = None
        self.offered = False
        self.legacy = legacy
        self.asked = False
        self.answered = False
        self.ice_servers: list[Any] = []

    def ask(self) -> list[Action]:
        """Return the question for streamers, unless it is not needed or not understood."""
        if self.offered or self.legacy or self.subscribed:
            return []
        self.asked = True
        return [Send({"type": "listStreamers"})]

    def feed(self, message: Message) -> list[Action]:
        """Take a message of the server.

        Raises:
            ProtocolError: a message of a known type that lacks what it must have.
        """
        kind = message["type"]
        if kind == "config":
            options = message.get("peerConnectionOptions") or {}
            if isinstance(options, dict) and isinstance(options.get("iceServers"), list):
                self.ice_servers = options["iceServers"]
            return self.ask() if message.get("protocolVersion") else []
        if kind == "streamerList":
            return self._choose(message)
        if kind == "offer":
            self.offered = self.answered = True
            return [Offer(_sdp(message))]
        if kind == "iceCandidate":
            return [Candidate(_candidate(message))]
        if kind == "subscribeFailed":
            self.subscribed = None
            return [Lost(f"subscription refused: {message.get('message', 'no reason given')}")]
        if kind in {"streamerIdChanged", "streamerIDChanged"}:  # the second is that of 5.4
            self.subscribed = _id(message, "newID")
            return []
        if kind == "streamerDisconnected":
            self.subscribed, self.offered = None, False
            return [Lost("the streamer disconnected")]
        if kind == "ping":
            return [Send({"type": "pong", "time": message.get("time", 0)})]
        return []

    def _choose(self, message: Message) -> list[Action]:
        ids = message.get("ids")
        if not isinstance(ids, list):
            raise ProtocolError("streamerList: no ids")
        self.answered = True
        names = [str(i) for i in ids]
        if self.wanted is None:
            choice = names[0] if names else None
        else:
            choice = self.wanted if self.wanted in names else None
        if choice is None and names and not self.wait_for_streamer:
            there = ", ".join(f"'{name[:100]}'" for name in names[:12]) + (", …" if len(names) > 12 else "")
            hint = nearest(str(self.wanted), names) if len(names) > 1 else ""
            return [Unknown(f"there is no streamer '{self.wanted}'; there is {there}.{hint}")]
        if choice is None:
            return [WaitForStreamer()]
        self.subscribed = choice
        return [Send({"type": "subscribe", "streamerId": choice})]

    @staticmethod
    def answer(sdp: str) -> Message:
        """Return the reply to an offer."""
        return {"type": "answer", "sdp": sdp}


class StreamerSession:
    """The streamer's side.

    Args:
        streamer_id: asked for on every connection, whatever another server made of it before.
    """

    def __init__(self, streamer_id: str) -> None:
        self.wanted = self.id = streamer_id
        self.ice_servers: list[Any] = []

    def feed(self, message: Message) -> list[Action]:
        """Take a message of the server.

        Raises:
            ProtocolError: a message of a known type that lacks what it must have.
        """
        kind = message["type"]
        if kind == "config":
            options = message.get("peerConnectionOptions") or {}
            if isinstance(options, dict) and isinstance(options.get("iceServers"), list):
                self.ice_servers = options["iceServers"]
            return []
        if kind == "identify":
            return [Send({"type": "endpointId", "id": self.wanted, "protocolVersion": "1.0.0"})]
        if kind == "endpointIdConfirm":
            self.id = _id(message, "committedId")
            return []
        if kind == "playerConnected":
            return [PlayerJoined(_id(message, "playerId"))]
        if kind == "playerDisconnected":
            return [PlayerLeft(_id(message, "playerId"))]
        if kind == "answer":
            return [Answer(_sdp(message), _id(message, "playerId"))]
        if kind == "iceCandidate":
            return [Candidate(_candidate(message), _id(message, "playerId"))]
        if kind == "ping":
            return [Send({"type": "pong", "time": message.get("time", 0)})]
        return []

    @staticmethod
    def offer(sdp: str, player: str) -> Message:
        """Return an offer to a player."""
        return {"type": "offer", "sdp": sdp, "playerId": player}

    @staticmethod
    def candidate(candidate: Message, player: str) -> Message:
        """Return one ICE candidate for a player."""
        return {"type": "iceCandidate", "candidate": candidate, "playerId": player}


# The server -----------------------------------------------------------------------------------------------


@dataclass
class _Peer:
    key: Hashable
    role: Literal["streamer", "player"]
    name: str
    streamer: str | None = None  # of a player: whom it watches
    waits: bool = False  # of a player: for an offer that it will not ask for
    chooses: bool = False  # of a player: it asks
    identified: bool = True  # of a streamer


@dataclass(frozen=True, slots=True)
class Hangup:
    """Close the connection to this peer, after what was sent to it before."""

    reason: str


Out = tuple[Hashable, Message | Hangup]
_UNNAMED = "UnknownStreamer"
"""Name of a streamer that does not say who it is."""


@dataclass
class ServerCore:
    """Relays messages between streamers and players. Peers are known by any hashable key of the owner.

    Args:
        generation: ``modern`` asks streamers for their id and lets players choose; ``legacy`` does neither and
            numbers its players.
        max_peers: more are refused.
    """

    generation: Generation = "modern"
    ice_servers: list[Any] = field(default_factory=list)
    max_peers: int = 256
    _peers: dict[Hashable, _Peer] = field(default_factory=dict)
    _next: int = 100

    def join(self, key: Hashable, role: Literal["streamer", "player"]) -> list[Out]:
        """Let a peer in and return what is sent to whom.

        Raises:
            ProtocolError: too many peers.
        """
        if len(self._peers) >= self.max_peers:
            raise ProtocolError(f"{self.max_peers} peers are connected already")
        self._next += 1
        legacy = self.generation == "legacy"
        name = self._free(_UNNAMED) if role == "streamer" else str(self._next)
        self._peers[key] = _Peer(key, role, name, waits=legacy, identified=legacy or role == "player")
        config: Message = {"type": "config", "peerConnectionOptions": {"iceServers": self.ice_servers}}
        if not legacy:
            config["protocolVersion"] = "1.0.0"
        sent: list[Out] = [(key, config)]
        if role == "streamer":
            return [*sent, *(self._fill() if legacy else [(key, {"type": "identify"})])]
        if legacy:
            sent.append((key, {"type": "playerCount", "count": len(self._all("player"))}))
        return [*sent, *self._fill()]

    def assume_legacy(self, key: Hashable) -> list[Out]:
        """Take a peer that did not do what its role does first for one of UE 5.0.

        A streamer that did not say who it is, is listed under a name of ours. A player that asked for nothing gets an
        offer, now or when there is a streamer: the published client waits for it, and never says a word before.
        """
        peer = self._peers.get(key)
        if peer is None:
            return []
        peer.identified = True
        peer.waits = peer.waits or not peer.chooses
        return self._fill()

    def leave(self, key: Hashable) -> list[Out]:
        """Forget a peer that is gone and return what the others are told."""
        peer = self._peers.pop(key, None)
        if peer is None:
            return []
        if peer.role == "player":
            streamer = self._streamer(peer.streamer)
            return [(streamer.key, self._about(peer, {"type": "playerDisconnected"}))] if streamer else []
        watching = [player for player in self._all("player") if player.streamer == peer.name]
        return [out for player in watching for out in self._end(player, "the streamer disconnected")]

    def feed(self, key: Hashable, message: Message) -> list[Out]:
        """Take a message of a peer and return what is sent to whom.

        Raises:
            ProtocolError: a message that cannot be read; the peer should be disconnected.
        """
        peer = self._peers[key]
        kind = message["type"]
        if kind == "ping":
            return [(key, {"type": "pong", "time": message.get("time", 0)})]
        if kind == "pong":
            return []
        return self._from_streamer(peer, message) if peer.role == "streamer" else self._from_player(peer, message)

    def _from_streamer(self, peer: _Peer, message: Message) -> list[Out]:
        kind = message["type"]
        if kind == "endpointId" and self.generation == "modern":
            wanted = _id(message, "id")[:100] or peer.name
            name = self._free(wanted, peer)
            told: list[Out] = [(peer.key, {"type": "endpointIdConfirm", "committedId": name})]
            for watching in self._all("player"):
                if watching.streamer == peer.name != name:
                    watching.streamer = name
                    told.append((watching.key, {"type": "streamerIdChanged", "newID": name}))
            peer.name, peer.identified = name, True
            return [*told, *self._fill()]
        if kind in {"offer", "iceCandidate", "disconnectPlayer"}:
            player = next((p for p in self._all("player") if p.name == _id(message, "playerId")), None)
            if player is None or player.streamer != peer.name:
                return []  # it left a moment ago
            if kind == "disconnectPlayer":
                reason = message.get("reason")
                return self._end(player, f"the streamer ended it: {reason}" if reason else "the streamer ended it")
            return [(player.key, {k: v for k, v in message.items() if k != "playerId"})]
        return self._unknown("streamer", kind)

    def _from_player(self, peer: _Peer, message: Message) -> list[Out]:
        kind = message["type"]
        if kind in {"answer", "iceCandidate"}:
            streamer = self._streamer(peer.streamer)
            return [(streamer.key, self._about(peer, message))] if streamer else []
        if self.generation == "modern" and kind in {"listStreamers", "subscribe", "unsubscribe"}:
            peer.chooses, peer.waits = True, False
            if kind == "listStreamers":
                ids = [p.name for p in self._all("streamer") if p.identified]
                return [(peer.key, {"type": "streamerList", "ids": ids})]
            if kind == "subscribe":
                wanted = _id(message, "streamerId")
                streamer = self._streamer(wanted)
                if streamer is None:
                    return [
                        (peer.key, {"type": "subscribeFailed", "message": f"there is no streamer '{wanted[:100]}'"})
                    ]
                return [*self._unsubscribe(peer), *self._subscribe(peer, streamer)]
            return self._unsubscribe(peer)
        return self._unknown("player", kind)

    def _unknown(self, role: str, kind: str) -> list[Out]:
        """A server of UE 5.0 hangs up on what it does not know; later ones let it pass."""
        if self.generation == "legacy":
            raise ProtocolError(f"a {role} sent {kind[:100]!r}, which this server does not know")
        return []

    def _free(self, wanted: str, besides: _Peer | None = None) -> str:
        """Return a name that no streamer has: ``Name``, then, as Epic's server numbers them, ``Name1``, ``Name2``."""
        taken = {p.name for p in self._all("streamer") if p is not besides}
        if wanted not in taken:
            return wanted
        ends = [name[len(wanted) :] for name in taken if name.startswith(wanted)]
        return f"{wanted}{1 + max(int(end or 0) for end in ends if end == '' or (end.isascii() and end.isdigit()))}"

    def _fill(self) -> list[Out]:
        """Bring the players that wait for an offer to the first streamer, if there is one."""
        streamer = next((p for p in self._all("streamer") if p.identified), None)
        if streamer is None:
            return []
        waiting = [p for p in self._all("player") if p.waits and p.streamer is None]
        return [out for player in waiting for out in self._subscribe(player, streamer)]

    @staticmethod
    def _end(player: _Peer, reason: str) -> list[Out]:
        """Tell a player that its stream is over, and close its socket: Epic's front ends begin again only then."""
        player.streamer, player.waits = None, False
        return [(player.key, {"type": "streamerDisconnected"}), (player.key, Hangup(reason))]

    def _subscribe(self, player: _Peer, streamer: _Peer) -> list[Out]:
        player.streamer = streamer.name
        joined = {"type": "playerConnected", "dataChannel": True, "sfu": False}
        return [(streamer.key, self._about(player, joined))]

    def _unsubscribe(self, player: _Peer) -> list[Out]:
        streamer = self._streamer(player.streamer)
        player.streamer = None
        return [(streamer.key, self._about(player, {"type": "playerDisconnected"}))] if streamer else []

    def _about(self, player: _Peer, message: Message) -> Message:
        return {**message, "playerId": int(player.name) if self.generation == "legacy" else player.name}

    def _all(self, role: str) -> list[_Peer]:
        return [p for p in self._peers.values() if p.role == role]

    def _streamer(self, name: str | None) -> _Peer | None:
        return next((p for p in self._all("streamer") if p.name == name), None)
