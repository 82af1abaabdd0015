"""The C++ bridge core from Python, through its C interface: what tests call."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator, Mapping
from ctypes import byref, c_void_p
from functools import cache
from typing import Any

from stand_in.c_interface import ABI, Facts, load
from unreal.native_build import library


class CoreError(Exception):
    """The core refused something, and said why."""


@cache
def _raw() -> Any:
    raw = load(library())
    assert raw.tmv_abi() == ABI
    return raw


def _utf8(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _take(buffer: int | None) -> bytes | None:
    if not buffer:
        return None
    raw = _raw()
    try:
        return ctypes.string_at(raw.tmv_buffer_data(buffer), raw.tmv_buffer_size(buffer))
    finally:
        raw.tmv_buffer_free(buffer)


def _call(name: str, *arguments: Any) -> Any:
    """Call a function whose last argument is where it says what is wrong."""
    error = c_void_p()
    found = getattr(_raw(), name)(*arguments, byref(error))
    if (said := _take(error.value)) is not None:
        raise CoreError(said.decode("utf-8", "surrogatepass"))
    return found


def _text(buffer: int | None) -> str:
    found = _take(buffer)
    assert found is not None
    return found.decode()


def canonical_json(text: str | bytes) -> str:
    data = _utf8(text)
    return _text(_call("tmv_canonical_json", data, len(data)))


def scene_canonical(levels: str, factors: str | None = None) -> str:
    data = _utf8(levels)
    return _text(_call("tmv_scene_canonical", data, len(data), None if factors is None else _utf8(factors)))


def scene_id(levels: str, factors: str | None = None) -> str:
    data = _utf8(levels)
    return _text(_call("tmv_scene_id", data, len(data), None if factors is None else _utf8(factors)))


def sha256(data: bytes) -> str:
    return _text(_raw().tmv_sha256(data, len(data)))


def read_request(text: str | bytes) -> dict[str, Any]:
    data = _utf8(text)
    return dict(json.loads(_text(_raw().tmv_read_request(data, len(data)))))


def _messages(found: int) -> list[bytes]:
    raw = _raw()
    try:
        count = raw.tmv_messages_count(found)
        return [
            ctypes.string_at(raw.tmv_messages_data(found, n), raw.tmv_messages_size(found, n)) for n in range(count)
        ]
    finally:
        raw.tmv_messages_free(found)


def encode_response(text: str) -> list[bytes]:
    data = _utf8(text)
    return _messages(_raw().tmv_encode_response(data, len(data)))


def encode_file(extension: str, mime: str, data: bytes) -> list[bytes]:
    return _messages(_raw().tmv_encode_file(extension.encode(), mime.encode(), data, len(data)))


def decode_input(data: bytes) -> dict[str, str]:
    return dict(json.loads(_text(_call("tmv_decode_input", data, len(data)))))


class NativeBridge:
    """A bridge of the core's; see `unreal_bridge/core/include/tmv/bridge.hpp`."""

    def __init__(self, config: Mapping[str, Any] | str) -> None:
        data = _utf8(config if isinstance(config, str) else json.dumps(config))
        self._bridge = _call("tmv_bridge_new", data, len(data))

    def __del__(self) -> None:
        if getattr(self, "_bridge", None):
            _raw().tmv_bridge_free(self._bridge)

    def receive(self, player: str, text: str | bytes) -> None:
        data = _utf8(text)
        _raw().tmv_bridge_receive(self._bridge, player.encode(), data, len(data))

    def left(self, player: str) -> None:
        _raw().tmv_bridge_left(self._bridge, player.encode())

    def backlog(self, player: str, size: int) -> None:
        _raw().tmv_bridge_backlog(self._bridge, player.encode(), size)

    def frame(self, now_ms: float, **loading: int) -> None:
        _raw().tmv_bridge_frame(self._bridge, byref(Facts(**loading)), now_ms)

    def world_lost(self) -> None:
        _raw().tmv_bridge_world_lost(self._bridge)

    def applied(self, request: int, levels: Mapping[str, Any] | str) -> None:
        data = _utf8(levels if isinstance(levels, str) else json.dumps(levels))
        _call("tmv_bridge_applied", self._bridge, request, data, len(data))

    def refused(self, request: int, reason: str, again: bool = False) -> None:
        data = _utf8(reason)
        _call("tmv_bridge_refused", self._bridge, request, data, len(data), again)

    def captured(self, request: int, name: str, data: bytes, extension: str = "png") -> None:
        _call("tmv_bridge_captured", self._bridge, request, name.encode(), data, len(data), extension.encode())

    def captured_all(self, request: int, facts: str = "") -> None:
        data = _utf8(facts)
        _call("tmv_bridge_captured_all", self._bridge, request, data, len(data))

    def commands(self) -> Iterator[dict[str, Any]]:
        """Take what is to be done; ``data`` is the content of a file."""
        while (found := _take(_raw().tmv_bridge_next(self._bridge))) is not None:
            command = json.loads(found)
            if command["command"] == "send_file":
                command["data"] = _take(_raw().tmv_bridge_file(self._bridge))
                assert len(command["data"]) == command["size"]
            yield command
