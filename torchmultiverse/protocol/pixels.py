"""Ways of files besides the data channel: shared memory on one host, a binary WebSocket between hosts. Sans-I/O.

The data channel carries every message as before, and the files of pictures where nothing else was agreed on. What
another way changes is only how the bytes of a file reach the client; which picture they belong to, and that they are
its bytes, is proven as ever by the ids and hashes of `torchmultiverse.protocol.messages.RenderDone`.

*Shared memory*: the streamer writes each file to a slot of the player's region, announces it as ``[offset, bytes]`` in
``RenderDone.slots``, and uses the slot again when the player says that it has read it, in a packet of 8 bytes for each
offset. `Slots` keeps the books.

*WebSocket*: each file is cut into messages of at most `PART` bytes, each with a head that says of which file it is, how
long that is, and where in it the message belongs. `parts` cuts, `Assembler` puts together.
"""

from __future__ import annotations

import re
import struct
from bisect import insort
from collections.abc import Iterator
from typing import Literal, get_args

from torchmultiverse.errors import ProtocolError, SpecError, nearest, shortened
from torchmultiverse.protocol.datachannel import MAX_PAYLOAD, Broken, Event, File

By = Literal["shared", "websocket"]
Way = Literal["channel", "shared", "websocket"]
Choice = Literal["auto", "channel", "shared", "websocket"]
"""What may be asked for: one way, or ``auto``, the fastest that there is."""
WAYS: tuple[By, ...] = ("shared", "websocket")
"""Ways besides the data channel, the fastest first."""
NAME = re.compile(r"[0-9a-f]{32}")
"""What sockets and rooms are called: 128 random bits, which nobody guesses."""


def ways(choice: Choice) -> tuple[By, ...]:
    """Return the ways besides the data channel that a choice leaves, the fastest first.

    Raises:
        SpecError: it is none.
    """
    if choice not in get_args(Choice):
        raise SpecError(f"pixels = {shortened(choice)} is unknown.{nearest(choice, get_args(Choice))}")
    return WAYS if choice == "auto" else tuple(by for by in WAYS if by == choice)


# Shared memory --------------------------------------------------------------------------------------------

REGION = 256 * 2**20
"""Bytes of a player's region. Memory is only taken for what is written, and the lowest free slot is written first."""
MOST_RAW = REGION // 16
"""Bytes of a picture, counting four for each pixel and pass, up to which it is worth having it without compression: so
that the pictures ahead find room."""
READY = b"ready"
"""What the player says when it has looked at the region."""
_ALIGN = 4096
_FREED = struct.Struct("<Q")


class Slots:
    """Which bytes of a region are in use: the lowest place that is large enough is taken.

    Args:
        size: bytes of the region.
    """

    def __init__(self, size: int = REGION) -> None:
        self.size = size
        self._used: list[tuple[int, int]] = []  # begin and end, in order

    @property
    def used(self) -> int:
        """How many slots are in use."""
        return len(self._used)

    def take(self, length: int) -> int | None:
        """Return the offset of a slot for so many bytes; ``None`` where there is no room."""
        length = -(-max(length, 1) // _ALIGN) * _ALIGN
        place = 0
        for begin, end in self._used:
            if begin - place >= length:
                break
            place = end
        if place + length > self.size:
            return None
        insort(self._used, (place, place + length))
        return place

    def free(self, offset: int) -> None:
        """Take a slot back; an offset at which none begins is nobody's and is ignored."""
        self._used = [one for one in self._used if one[0] != offset]


def encode_freed(offsets: list[int]) -> bytes:
    """Return the packet that says which slots have been read."""
    return b"".join(map(_FREED.pack, offsets))


def decode_freed(packet: bytes) -> list[int]:
    """Return the slots that have been read.

    Raises:
        ProtocolError: the packet is no list of offsets.
    """
    if not packet or len(packet) % _FREED.size:
        raise ProtocolError(f"{len(packet)} bytes of freed slots; a multiple of {_FREED.size} is right")
    return [offset for (offset,) in _FREED.iter_unpack(packet)]


# WebSocket ------------------------------------------------------------------------------------------------

PART = 240 * 1024
"""Most bytes of a file in one message, which has to pass a signalling server (`signalling.MAX_MESSAGE`)."""
MAX_NAME = 200
_HEAD = struct.Struct("<4sHQQ")
_MAGIC = b"TMVP"


def parts(extension: str, data: bytes) -> Iterator[bytes]:
    """Cut a file into messages; it is called as over the data channel, ``<request>.<pass>.<ext>``."""
    name = extension.encode()
    view = memoryview(data)
    for start in range(0, max(len(data), 1), PART):
        yield b"".join((_HEAD.pack(_MAGIC, len(name), len(data), start), name, view[start : start + PART]))


class Assembler:
    """Puts files together again; memory is bounded by ``max_payload``.

    Args:
        max_payload: largest file that is accepted, in bytes.
    """

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self.max_payload = max_payload
        self._name = ""
        self._total = 0
        self._parts: list[memoryview] = []
        self._have = 0

    def feed(self, message: bytes) -> list[Event]:
        """Take a message; return the file that it completes, and what broke off before it.

        Raises:
            ProtocolError: a message that is no part of a file, or of one that is too large. State stays usable.
        """
        if len(message) < _HEAD.size:
            raise ProtocolError(f"{len(message)} bytes of a file's part are too short")
        magic, length, total, start = _HEAD.unpack_from(message)
        begin = _HEAD.size + length
        if magic != _MAGIC or not 0 < length <= MAX_NAME or len(message) < begin:
            raise ProtocolError(f"no part of a file: {message[:40]!r}")
        try:
            name = message[_HEAD.size : begin].decode()
        except UnicodeDecodeError as error:
            raise ProtocolError(f"the name of a file is no UTF-8 text: {error.reason}") from None
        body = memoryview(message)[begin:]
        if total > self.max_payload or start + len(body) > total:
            self._forget()
            return [Broken(name, f"bytes {start} to {start + len(body)} of {total}; {self.max_payload} is the limit")]
        events: list[Event] = []
        if self._name and (name, total, start) != (self._name, self._total, self._have):
            events.append(Broken(self._name, f"another part came after {self._have} of {self._total} bytes"))
            self._forget()
        if not self._name and start:
            return [*events, Broken(name, f"its beginning did not come, but bytes from {start}")]
        self._name, self._total = name, total
        self._parts.append(body)
        self._have += len(body)
        if self._have < total and body:
            return events
        data = b"".join(self._parts)
        self._forget()
        if len(data) < total:
            return [*events, Broken(name, f"{len(data)} of {total} bytes, and an empty part")]
        return [*events, File(name, "", data)]

    def _forget(self) -> None:
        self._name, self._parts, self._have = "", [], 0
