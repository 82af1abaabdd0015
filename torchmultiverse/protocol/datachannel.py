"""Messages of the Pixel Streaming data channel, both ways. Sans-I/O: bytes in, events out.

Ids are looked up in a `MessageIds`, whose defaults are those of UE 5.0 and which a ``Protocol`` message
(UE 5.1 and later) overrides. Integers are little-endian, texts UTF-16LE.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torchmultiverse.errors import ProtocolError
from torchmultiverse.json_text import read_json

TO_STREAMER = {
    "IFrameRequest": 0,
    "RequestQualityControl": 1,
    "StartStreaming": 4,
    "StopStreaming": 5,
    "LatencyTest": 6,
    "RequestInitialSettings": 7,
    "TestEcho": 8,
    "DataChannelLatencyTest": 9,
    "UIInteraction": 50,
    "Command": 51,
    "TextboxEntry": 52,
}
TO_PLAYER = {
    "QualityControlOwnership": 0,
    "Response": 1,
    "Command": 2,
    "FreezeFrame": 3,
    "UnfreezeFrame": 4,
    "VideoEncoderAvgQP": 5,
    "LatencyTest": 6,
    "InitialSettings": 7,
    "FileExtension": 8,
    "FileMimeType": 9,
    "FileContents": 10,
    "TestEcho": 11,
    "InputControlOwnership": 12,
    "GamepadResponse": 13,
    "DataChannelLatencyTest": 14,
    "Protocol": 255,
}
_TEXT_TO_STREAMER = {"UIInteraction", "Command", "TextboxEntry", "TestEcho", "DataChannelLatencyTest", "LatencyTest"}
_TEXT_TO_PLAYER = {
    "Response", "Command", "VideoEncoderAvgQP", "LatencyTest", "InitialSettings", "FileExtension", "FileMimeType",
    "TestEcho", "GamepadResponse", "DataChannelLatencyTest",
}  # fmt: skip
CHUNK = 16 * 1024
"""Largest message of a chunked payload, header included."""
MAX_TEXT = 65_535
MAX_PAYLOAD = 64 * 2**20
"""Largest picture or file that is accepted, in bytes."""


@dataclass
class MessageIds:
    """Which byte means which message, for each direction."""

    to_streamer: dict[str, int] = field(default_factory=lambda: dict(TO_STREAMER))
    to_player: dict[str, int] = field(default_factory=lambda: dict(TO_PLAYER))

    def update(self, direction: int, definition: Mapping[str, Any]) -> None:
        """Apply a ``Protocol`` message: direction 0 is to the streamer, 1 from it.

        Raises:
            ProtocolError: an entry without a byte as its id, or two names for one id.
        """
        announced: dict[str, int] = {}
        for name, entry in definition.items():
            if name == "Direction" or not isinstance(entry, Mapping):
                continue
            number = entry.get("id")
            if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 255:
                raise ProtocolError(f"Protocol: message {name[:40]!r} has no id from 0 to 255")
            if number in announced.values():
                raise ProtocolError(f"Protocol: message {name[:40]!r} has the id {number}, as another has")
            announced[name] = number
        before = self.to_streamer if direction == 0 else self.to_player
        # A message that is not announced keeps its id, unless the id means something else now.
        taken = set(announced.values())
        known = {n: number for n, number in before.items() if n not in announced and number not in taken} | announced
        if direction == 0:
            self.to_streamer = known
        else:
            self.to_player = known

    def encode_protocol(self, direction: int) -> bytes:
        """Return the ``Protocol`` message that announces these ids.

        Front ends of UE 5.0 to 5.2 leave out a message to the streamer without a ``byteLength``, the size of its
        numbers: nothing here has any. Later ones ignore it.
        """
        table = self.to_streamer if direction == 0 else self.to_player
        body: dict[str, Any] = {"Direction": direction}
        for name, number in table.items():
            text = name in (_TEXT_TO_STREAMER if direction == 0 else _TEXT_TO_PLAYER)
            body[name] = {"id": number, "structure": ["string"] if text else []}
            if direction == 0:
                body[name]["byteLength"] = 0
        return bytes([TO_PLAYER["Protocol"]]) + json.dumps(body).encode("utf-16-le")


# To the streamer ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Input:
    """A message that reached the streamer; ``text`` for those that carry one, else ``payload``."""

    name: str
    text: str = ""
    payload: bytes = b""


def encode_input(name: str, text: str | None = None, ids: MessageIds | None = None) -> bytes:
    """Encode a message to the streamer.

    Raises:
        ProtocolError: an unknown message, or a text of more than 65,535 UTF-16 code units.
    """
    table = (ids or MessageIds()).to_streamer
    if name not in table:
        raise ProtocolError(f"unknown message to the streamer: {name!r}")
    head = bytes([table[name]])
    if text is None:
        return head
    data = text.encode("utf-16-le", "surrogatepass")
    if len(data) // 2 > MAX_TEXT:
        raise ProtocolError(f"{name}: {len(data) // 2} UTF-16 code units are too many; {MAX_TEXT} is the limit")
    return head + struct.pack("<H", len(data) // 2) + data


def decode_input(data: bytes, ids: MessageIds | None = None) -> Input:
    """Decode a message to the streamer. Reads the layout of the public TorchMultiverse release as well.

    That release wrote a one-byte length and big-endian text with a zero byte after it: the same bytes for
    ASCII texts under 256 characters.

    Raises:
        ProtocolError: empty, or a text whose length field does not fit.
    """
    if not data:
        raise ProtocolError("empty message to the streamer")
    table = (ids or MessageIds()).to_streamer
    name = next((n for n, number in table.items() if number == data[0]), f"Unknown{data[0]}")
    if name not in _TEXT_TO_STREAMER or len(data) == 1:
        return Input(name, payload=data[1:])
    if len(data) < 3:
        raise ProtocolError(f"{name}: {len(data)} bytes are too short")
    (length,) = struct.unpack_from("<H", data, 1)
    if len(data) != 3 + 2 * length:
        raise ProtocolError(f"{name}: announces {length} code units, carries {(len(data) - 3) / 2:g}")
    return Input(name, text=_text(data[3:], name))


# To the player --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Response:
    """Text from the application."""

    text: str


@dataclass(frozen=True, slots=True)
class FreezeFrame:
    """A JPEG."""

    data: bytes


@dataclass(frozen=True, slots=True)
class File:
    """A file: its extension (in the bridge dialect ``<request>.<pass>.<ext>``), MIME type and content."""

    extension: str
    mime: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """A chunked payload that did not come whole: ``extension`` of the file, or ``""`` for a freeze frame."""

    extension: str
    reason: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Any other message."""

    name: str
    text: str = ""
    payload: bytes = b""


Event = Response | FreezeFrame | File | Broken | Notice


def encode_output(name: str, text: str | None = None, ids: MessageIds | None = None, payload: bytes = b"") -> bytes:
    """Encode a message to the player that is not chunked."""
    head = bytes([(ids or MessageIds()).to_player[name]])
    return head + (text.encode("utf-16-le", "surrogatepass") if text is not None else payload)


def encode_chunks(name: str, data: bytes, ids: MessageIds | None = None, chunk: int = CHUNK) -> Iterator[bytes]:
    """Encode a ``FreezeFrame`` or ``FileContents`` in messages of at most ``chunk`` bytes."""
    head = bytes([(ids or MessageIds()).to_player[name]]) + struct.pack("<i", len(data))
    step = chunk - len(head)
    body = memoryview(data)
    for start in range(0, max(len(data), 1), step):
        yield b"".join((head, body[start : start + step]))


def encode_file(
    extension: str, mime: str, data: bytes, ids: MessageIds | None = None, chunk: int = CHUNK
) -> Iterator[bytes]:
    """Encode a file: its extension, its MIME type, then its content, in messages of at most ``chunk`` bytes."""
    yield encode_output("FileExtension", extension, ids)
    yield encode_output("FileMimeType", mime, ids)
    yield from encode_chunks("FileContents", data, ids, chunk)


class Receiver:
    """The player's end: fed one message at a time, returns the events that are complete.

    Memory is bounded by ``max_payload``; whatever does not fit or breaks off gives a `Broken`, and the
    receiver goes on with the next message.
    """

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self.ids = MessageIds()
        self.max_payload = max_payload
        self._extension = ""
        self._mime = ""
        self._parts: dict[str, tuple[int, bytearray]] = {}

    def feed(self, data: bytes) -> list[Event]:
        """Take one data-channel message.

        Raises:
            ProtocolError: a message that cannot be read. State stays usable.
        """
        if not data:
            raise ProtocolError("empty message to the player")
        if data[0] == TO_PLAYER["Protocol"]:
            return [self._protocol(data)]
        name = next((n for n, number in self.ids.to_player.items() if number == data[0]), f"Unknown{data[0]}")
        if name in {"FreezeFrame", "FileContents"}:
            return self._chunk(name, data)
        if name == "FileExtension":
            broken = self._abandon("FileContents", "another file began before it was whole")
            self._extension, self._mime = _text(data[1:], name)[:1000], ""
            return broken
        if name == "FileMimeType":
            self._mime = _text(data[1:], name)[:1000]
            return []
        if name == "Response":
            return [Response(_text(data[1:], name))]
        if name in _TEXT_TO_PLAYER:
            return [Notice(name, text=_text(data[1:], name))]
        return [Notice(name, payload=data[1:])]

    def _protocol(self, data: bytes) -> Notice:
        # Older streamers of ours put the direction between id and text. No JSON begins with such a character.
        text = _text(data[2:] if data[1:2] in (b"\0", b"\1") else data[1:], "Protocol")
        try:
            definition = read_json(text)
        except ValueError as error:
            raise ProtocolError(f"Protocol: no JSON: {error}") from None
        if not isinstance(definition, dict):
            raise ProtocolError("Protocol: no JSON object")
        direction = definition.get("Direction")
        if type(direction) is not int or direction not in (0, 1):
            raise ProtocolError(f"Protocol: Direction is {str(direction)[:40]!r}; 0 or 1 is right")
        self.ids.update(direction, definition)
        return Notice("Protocol", text=text)

    def _chunk(self, name: str, data: bytes) -> list[Event]:
        if len(data) < 5:
            raise ProtocolError(f"{name}: {len(data)} bytes are too short")
        (total,) = struct.unpack_from("<i", data, 1)
        if not 0 <= total <= self.max_payload:
            self._parts.pop(name, None)
            return [Broken(self._who(name), f"{total} bytes announced; {self.max_payload} is the limit")]
        events: list[Event] = []
        if name in self._parts and self._parts[name][0] != total:
            events += self._abandon(name, "another payload began before it was whole")
        _, body = self._parts.setdefault(name, (total, bytearray()))
        body += memoryview(data)[5:]
        if len(body) < total:
            return events
        del self._parts[name]
        if len(body) > total:
            return [*events, Broken(self._who(name), f"{len(body)} bytes came, {total} were announced")]
        if name == "FreezeFrame":
            return [*events, FreezeFrame(bytes(body))]
        return [*events, File(self._extension, self._mime, bytes(body))]

    def _who(self, name: str) -> str:
        return self._extension if name == "FileContents" else ""

    def _abandon(self, name: str, reason: str) -> list[Event]:
        part = self._parts.pop(name, None)
        if part is None:
            return []
        return [Broken(self._who(name), f"{reason}: {len(part[1])} of {part[0]} bytes")]


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{name}: no UTF-16 text: {error.reason}") from None
