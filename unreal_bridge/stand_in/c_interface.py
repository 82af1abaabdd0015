"""The functions of the C++ bridge core for ctypes (`unreal_bridge/core/include/tmv/c_api.h`): the one table of them."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_double, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

ABI = 1


class Facts(ctypes.Structure):
    """What still loads in a frame."""

    _fields_ = (("levels", c_uint32), ("textures", c_uint32), ("shaders", c_uint32), ("other", c_uint32))


_ERROR = POINTER(c_void_p)
_TEXT = (c_char_p, c_size_t)
# Results, then arguments. Buffers and bridges are pointers that nobody looks into.
SIGNATURES: dict[str, tuple[Any, ...]] = {
    "tmv_abi": (c_int,),
    "tmv_buffer_data": (c_void_p, c_void_p),
    "tmv_buffer_size": (c_size_t, c_void_p),
    "tmv_buffer_free": (None, c_void_p),
    "tmv_messages_count": (c_size_t, c_void_p),
    "tmv_messages_data": (c_void_p, c_void_p, c_size_t),
    "tmv_messages_size": (c_size_t, c_void_p, c_size_t),
    "tmv_messages_free": (None, c_void_p),
    "tmv_bridge_new": (c_void_p, *_TEXT, _ERROR),
    "tmv_bridge_free": (None, c_void_p),
    "tmv_bridge_receive": (None, c_void_p, c_char_p, *_TEXT),
    "tmv_bridge_left": (None, c_void_p, c_char_p),
    "tmv_bridge_backlog": (None, c_void_p, c_char_p, c_uint64),
    "tmv_bridge_frame": (None, c_void_p, POINTER(Facts), c_double),
    "tmv_bridge_world_lost": (None, c_void_p),
    "tmv_bridge_applied": (c_int, c_void_p, c_uint64, *_TEXT, _ERROR),
    "tmv_bridge_refused": (c_int, c_void_p, c_uint64, *_TEXT, c_int, _ERROR),
    "tmv_bridge_captured": (c_int, c_void_p, c_uint64, c_char_p, *_TEXT, c_char_p, _ERROR),
    "tmv_bridge_captured_all": (c_int, c_void_p, c_uint64, *_TEXT, _ERROR),
    "tmv_bridge_next": (c_void_p, c_void_p),
    "tmv_bridge_file": (c_void_p, c_void_p),
    "tmv_sha256": (c_void_p, *_TEXT),
    "tmv_canonical_json": (c_void_p, *_TEXT, _ERROR),
    "tmv_scene_canonical": (c_void_p, *_TEXT, c_char_p, _ERROR),
    "tmv_scene_id": (c_void_p, *_TEXT, c_char_p, _ERROR),
    "tmv_read_request": (c_void_p, *_TEXT),
    "tmv_encode_response": (c_void_p, *_TEXT),
    "tmv_encode_file": (c_void_p, c_char_p, c_char_p, *_TEXT),
    "tmv_decode_input": (c_void_p, *_TEXT, _ERROR),
}
"""Function → its result, then its arguments."""


def load(path: str | Path) -> Any:
    """Return the shared library with the types of its functions set.

    Raises:
        OSError: it cannot be loaded.
        AttributeError: it lacks a function.
    """
    raw = ctypes.CDLL(str(path))
    for name, (result, *arguments) in SIGNATURES.items():
        function = getattr(raw, name)
        function.restype, function.argtypes = result, arguments
    return raw
