"""The C++ bridge core through its C interface (`unreal_bridge/core/include/tmv/c_api.h`)."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Mapping
from ctypes import byref, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stand_in.c_interface import ABI, Facts, load
from stand_in.command_line import Unusable

LIBRARY = "TMV_BRIDGE_LIBRARY"
"""Environment variable: path of the shared library; else the newest in the build folders of the core's presets."""
_ROOT = Path(__file__).resolve().parents[2]


class CoreError(Exception):
    """The core refused what it was told."""


@dataclass(frozen=True)
class Command:
    """What the core wants done: its name, its fields, and the content of a file."""

    name: str
    fields: Mapping[str, Any]
    data: bytes = b""


def find_library(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the shared library.

    Raises:
        Unusable: there is none; says how to build it.
    """
    if given := environment.get(LIBRARY):
        if not Path(given).is_file():
            raise Unusable(f"{LIBRARY} is {given!r}; there is no such file")
        return Path(given)
    folder = _ROOT / "build" / "unreal_core"
    found = sorted(folder.glob("*/libtmv_bridge.so"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise Unusable(
            f"no libtmv_bridge.so in {folder}: in {_ROOT / 'unreal_bridge' / 'core'} run 'cmake --preset release' and "
            f"'cmake --build --preset release', or name a library in {LIBRARY}"
        )
    return found[-1]


class Library:
    """The shared library, loaded."""

    def __init__(self, path: Path) -> None:
        try:
            self.raw = load(path)
        except AttributeError as error:  # a function that this version of the library has not
            raise Unusable(f"{path} is of another version: {error}") from None
        if self.raw.tmv_abi() != ABI:
            raise Unusable(f"{path} has version {self.raw.tmv_abi()} of the interface; {ABI} is right")

    def take(self, buffer: int | None) -> bytes | None:
        """Return the content of a buffer, and free it."""
        if not buffer:
            return None
        try:
            return ctypes.string_at(self.raw.tmv_buffer_data(buffer), self.raw.tmv_buffer_size(buffer))
        finally:
            self.raw.tmv_buffer_free(buffer)

    def checked(self, done: int | None, error: c_void_p) -> int:
        """Return what a call that may fail returned.

        Raises:
            CoreError: it failed; in its own words.
        """
        if not done:
            raise CoreError((self.take(error.value) or b"no reason given").decode(errors="replace"))
        return done

    def scene_id(self, levels: Mapping[str, Any]) -> str:
        """Return the id of a scene."""
        text, error = json.dumps(levels).encode(), c_void_p()
        found = self.checked(self.raw.tmv_scene_id(text, len(text), None, byref(error)), error)
        return (self.take(found) or b"").decode()

    def response(self, text: str) -> list[bytes]:
        """Return the messages of a ``Response``."""
        data = text.encode("utf-8", "surrogatepass")
        return self._messages(self.raw.tmv_encode_response(data, len(data)))

    def file(self, extension: str, mime: str, data: bytes) -> list[bytes]:
        """Return the messages of a file."""
        return self._messages(self.raw.tmv_encode_file(extension.encode(), mime.encode(), data, len(data)))

    def _messages(self, messages: int) -> list[bytes]:
        raw = self.raw
        try:
            return [
                ctypes.string_at(raw.tmv_messages_data(messages, index), raw.tmv_messages_size(messages, index))
                for index in range(raw.tmv_messages_count(messages))
            ]
        finally:
            raw.tmv_messages_free(messages)


class Bridge:
    """One bridge; of one thread.

    Raises:
        CoreError: a config that the core does not take.
    """

    def __init__(self, library: Library, config: Mapping[str, Any]) -> None:
        self._library, self._raw = library, library.raw
        text, error = json.dumps(config).encode(), c_void_p()
        self._bridge = library.checked(self._raw.tmv_bridge_new(text, len(text), byref(error)), error)

    def close(self) -> None:
        """Free it."""
        self._raw.tmv_bridge_free(self._bridge)

    def receive(self, player: str, text: str) -> None:
        """Tell the text of a ``UIInteraction``."""
        data = text.encode("utf-8", "surrogatepass")
        self._raw.tmv_bridge_receive(self._bridge, player.encode(), data, len(data))

    def left(self, player: str) -> None:
        """Tell that a player is gone."""
        self._raw.tmv_bridge_left(self._bridge, player.encode())

    def backlog(self, player: str, count: int) -> None:
        """Tell how many bytes wait for a player."""
        self._raw.tmv_bridge_backlog(self._bridge, player.encode(), count)

    def frame(self, pending: Mapping[str, int], now_ms: float) -> None:
        """Tell that a frame was drawn, and what still loads."""
        facts = Facts(pending["levels"], pending["textures"], pending["shaders"], 0)
        self._raw.tmv_bridge_frame(self._bridge, byref(facts), now_ms)

    def applied(self, request: int, levels: Mapping[str, Any]) -> None:
        """Tell what is really shown now."""
        text, error = json.dumps(levels).encode(), c_void_p()
        done = self._raw.tmv_bridge_applied(self._bridge, request, text, len(text), byref(error))
        self._library.checked(done, error)

    def refused(self, request: int, reason: str, *, again: bool) -> None:
        """Tell that something cannot be applied or captured."""
        text, error = reason.encode(), c_void_p()
        done = self._raw.tmv_bridge_refused(self._bridge, request, text, len(text), int(again), byref(error))
        self._library.checked(done, error)

    def captured(self, request: int, name: str, extension: str, data: bytes) -> None:
        """Hand over the file of a pass."""
        error = c_void_p()
        done = self._raw.tmv_bridge_captured(
            self._bridge, request, name.encode(), data, len(data), extension.encode(), byref(error)
        )
        self._library.checked(done, error)

    def captured_all(self, request: int, facts: Mapping[str, Any]) -> None:
        """Tell that every pass was handed over."""
        text, error = json.dumps(facts).encode(), c_void_p()
        done = self._raw.tmv_bridge_captured_all(self._bridge, request, text, len(text), byref(error))
        self._library.checked(done, error)

    def next(self) -> Command | None:
        """Return the next command, or ``None``."""
        text = self._library.take(self._raw.tmv_bridge_next(self._bridge))
        if text is None:
            return None
        fields = json.loads(text)
        name = fields.pop("command")
        data = self._library.take(self._raw.tmv_bridge_file(self._bridge)) if name == "send_file" else None
        return Command(name, fields, data or b"")
