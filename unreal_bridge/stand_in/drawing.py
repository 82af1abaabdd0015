"""Test cards that show a scene id, and the files of every pass. The code of the cards is documented in
`torchmultiverse/engines/marker.py`; this is another writing of it.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CELLS = 12
Picture = NDArray[np.uint8]
MIME = {"png": "image/png", "jpeg": "image/jpeg", "tiff": "image/tiff"}


def card(scene_id: str, width: int, height: int) -> Picture:
    """Return the test card of a scene id (32 hex digits): uint8 (height, width, 3).

    144 cells, each of the darker or the lighter of two colours: the bits of the id from the highest, then those of its
    CRC-16/CCITT (polynomial 0x1021, begun with 0xFFFF).
    """
    number, crc = int(scene_id, 16), 0xFFFF
    for byte in number.to_bytes(16, "big"):
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    text = f"{number << 16 | crc:0{CELLS * CELLS}b}"
    light = np.array([bit == "1" for bit in text]).reshape(CELLS, CELLS)
    tint = [int(scene_id[at : at + 2], 16) // 4 for at in range(0, 12, 2)]
    palette = np.array([tint[:3], [255 - part for part in tint[3:]]], np.uint8)
    inside = light[np.ix_(np.arange(height) * CELLS // height, np.arange(width) * CELLS // width)]
    return palette[inside.astype(np.intp)]


def blend(old: Picture, new: Picture, weight: float) -> Picture:
    """Return ``new`` with ``old`` showing through by ``weight``, 0 to 1."""
    if weight <= 0 or old.shape != new.shape:
        return new
    mixed = old.astype(np.float32) * weight + new.astype(np.float32) * (1 - weight)
    return np.rint(mixed).astype(np.uint8)


def files(view: Picture, passes: list[str], form: str, pad: int = 0) -> dict[str, tuple[str, bytes]]:
    """Return the file of each pass, read back of one view, as file extension and content.

    Args:
        view: uint8 (height, width, 3).
        passes: of ``rgb``, ``mask``, ``depth``, ``normals``.
        form: of rgb, ``png`` or ``jpeg``.
        pad: bytes by which an rgb PNG is larger than it need be.
    """
    made: dict[str, tuple[str, bytes]] = {}
    for name in passes:
        if name == "rgb" and form == "jpeg":
            made[name] = "jpeg", _saved(view, "JPEG", quality=95, subsampling=0)
        elif name == "rgb":
            made[name] = "png", _padded(_saved(view, "PNG", compress_level=4), pad)
        elif name == "mask":
            made[name] = "png", _saved((view[..., 0] > 127).astype(np.uint8), "PNG", compress_level=4)
        elif name == "depth":
            made[name] = "tiff", _saved(view[..., 0].astype(np.float32) / 10, "TIFF", compression="tiff_deflate")
        elif name == "normals":
            toward = np.rint((np.array([0.0, 0.0, -1.0]) + 1) * 127.5).astype(np.uint8)
            made[name] = "png", _saved(np.broadcast_to(toward, view.shape), "PNG", compress_level=4)
        else:
            raise ValueError(f"there is no pass {name!r}")
    return made


def _padded(png: bytes, count: int) -> bytes:
    """Return a PNG with noise in a chunk of its own, before its last one, that readers skip."""
    if not count:
        return png
    chunk = b"tmVp" + np.random.default_rng(zlib.crc32(png)).bytes(count)
    return b"".join([png[:-12], struct.pack(">I", count), chunk, struct.pack(">I", zlib.crc32(chunk)), png[-12:]])


def _saved(array: NDArray[Any], form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, form, **options)
    return buffer.getvalue()
