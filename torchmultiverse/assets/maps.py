"""Files of environment maps (Radiance HDR, OpenEXR) as linear radiance. Mitsuba decodes them; what may be decoded, and
what the numbers of other people's files mean, is decided here.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchmultiverse.assets.files import MAX_FILE_BYTES
from torchmultiverse.errors import AssetError

MAP_SUFFIXES = (".hdr", ".exr")
MAX_PIXELS = 16384 * 8192
KEPT_WIDTH = 4096
"""A wider map is averaged down: 40 of its 360 degrees fill a picture."""
BRIGHTEST = 1e12
"""What is brighter is taken for infinite; the sun's disc is a thousandth of this in any unit."""
_MAX_HEADER = 1 << 20
_DEEP, _PARTS = 0x800, 0x1000


def read_map(path: Path, what: str) -> tuple[NDArray[np.float32], list[str]]:
    """Return a latitude-longitude map as linear radiance, float32 (H, 2H, 3) in sRGB, and remarks.

    The first row is the zenith; columns run with the azimuth from +x to +y. The middle of the file is at +y, where the
    camera looks at yaw 0.

    Raises:
        AssetError: it cannot be read, is too large, no such map, or holds no light.
    """
    notes: list[str] = []
    width, height = _dimensions(path, what, notes)
    if width * height > MAX_PIXELS:
        raise AssetError(f"{what}: {width} × {height} pixels; at most {MAX_PIXELS:,} are read")
    if width != 2 * height or height < 2:
        raise AssetError(
            f"{what}: {width} × {height} pixels; a map of all directions (latitude-longitude) is twice as wide as high"
        )
    values = _decoded(path, what, notes)
    if values.shape != (height, width, 3):
        raise AssetError(f"{what}: {path.name} holds an array {values.shape}, its header says {height} × {width}")
    values = _light(values, what, notes)
    if float(values[: height // 2].mean()) <= 0:
        raise AssetError(f"{what}: its upper half is black, nothing would be lit")
    while values.shape[1] > KEPT_WIDTH:
        if values.shape[0] % 2 or values.shape[1] % 2:
            values = values[: values.shape[0] // 2 * 2, : values.shape[1] // 2 * 2]
        values = np.float32(0.25) * (values[::2, ::2] + values[1::2, ::2] + values[::2, 1::2] + values[1::2, 1::2])
    if float(values.max()) < 4 * float(np.median(values[: len(values) // 2])):
        notes.append("it has no strong light: things will hardly cast a shadow")
    # A picture runs clockwise as seen from above (to the right), azimuth the other way; its middle goes to 90 degrees.
    azimuth = values[:, ::-1]
    return np.ascontiguousarray(np.roll(azimuth, -(azimuth.shape[1] // 4), axis=1), np.float32), notes


def _light(values: NDArray[np.float32], what: str, notes: list[str]) -> NDArray[np.float32]:
    """Return radiance that is finite and not negative.

    What is infinite is the sun in a file of half floats, which end at 65,504: it becomes the largest finite value. A
    negative channel beside others is a colour beyond sRGB, of a file of wider primaries, and is cut off at zero.
    """
    infinite = values > BRIGHTEST
    with np.errstate(invalid="ignore"):
        bad = ~(np.where(infinite, 0, values).sum(2) >= 0)
    infinite &= ~bad[..., None]
    if float(bad.mean()) > 0.01:
        raise AssetError(f"{what}: {int(bad.sum()):,} of {bad.size:,} pixels are no light")
    if bad.any():
        notes.append(f"{int(bad.sum())} pixels that are no light are black")
        values = np.where(bad[..., None], np.float32(0), values)
    if infinite.any():
        largest = float(values[~infinite].max(initial=0))
        if largest <= 0:
            raise AssetError(f"{what}: its only light is infinite")
        notes.append(f"{int(infinite.any(2).sum())} infinite pixels have the largest finite value, {largest:g}")
        values = np.where(infinite, np.float32(largest), values)
    beyond = float((values < 0).any(2).mean())
    if beyond > 0.01:
        notes.append(f"{beyond:.0%} of its pixels have colours beyond sRGB: cut off")
    return np.maximum(values, 0).astype(np.float32)


def _decoded(path: Path, what: str, notes: list[str]) -> NDArray[np.float32]:
    """Return the colours of a file, float32 (H, W, 3), with the primaries of sRGB.

    Raises:
        AssetError: it cannot be read, or does not say which of its layers is the picture.
    """
    from torchmultiverse.engines.builtin import use_library

    use_library()
    import mitsuba as mi

    try:
        bitmap: Any = mi.Bitmap(str(path))
        if bitmap.pixel_format() == mi.Bitmap.PixelFormat.MultiChannel:
            return _layer(np.array(bitmap), [one.name for one in bitmap.struct_()], what, notes)
        return np.array(bitmap.convert(mi.Bitmap.PixelFormat.RGB, mi.Struct.Type.Float32, False))
    except (RuntimeError, ValueError, TypeError, IndexError, MemoryError) as error:
        raise AssetError(f"{what}: {path} cannot be read: {str(error)[:300]}") from None


def _layer(values: NDArray[Any], channels: list[str], what: str, notes: list[str]) -> NDArray[np.float32]:
    """Return the layer of a picture of many channels that has colours."""
    layers: dict[str, dict[str, int]] = {}
    for k, channel in enumerate(channels):
        layer, _, name = channel.rpartition(".")
        layers.setdefault(layer, {})[name.upper()] = k
    colored = {layer: at for layer, at in layers.items() if all(name in at for name in "RGB")}
    combined = [layer for layer in colored if layer.rpartition(".")[2].lower() in ("combined", "beauty", "rgba")]
    chosen = "" if "" in colored else next(iter(combined if len(combined) == 1 else colored), None)
    if chosen is None or (len(colored) > 1 and chosen != "" and len(combined) != 1):
        found = ", ".join(f"'{name[:60]}'" for name in list(colored or dict.fromkeys(channels))[:8])
        why = "none of its layers has the channels R, G and B" if not colored else "several of its layers have colours"
        raise AssetError(f"{what}: {why} ({found}); export the one that is the map")
    if set(channels) - {f"{chosen}.{name}".removeprefix(".") for name in "RGBA"}:
        of = f" of '{chosen[:60]}'" if chosen else ""
        notes.append(f"of its {len(channels)} channels only the colours{of} are read")
    return np.asarray(values[..., [colored[chosen][name] for name in "RGB"]], np.float32)


# -- headers ----------------------------------------------------------------------------------------------------------


def _dimensions(path: Path, what: str, notes: list[str]) -> tuple[int, int]:
    """Return width and height from a file's header, before anything is unpacked, and remark on what it says besides.

    Raises:
        AssetError: no such header.
    """
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            head = file.read(_MAX_HEADER)
    except OSError as error:
        raise AssetError(f"{what}: {path} cannot be read: {error.strerror or error}") from None
    if size > MAX_FILE_BYTES:
        raise AssetError(f"{what}: {path} is larger than {MAX_FILE_BYTES / 2**20:.0f} MiB, the most that is read")
    return (_radiance if path.suffix.lower() == ".hdr" else _exr)(head, f"{what}: {path.name}", notes)


def _radiance(head: bytes, place: str, notes: list[str]) -> tuple[int, int]:
    found = re.search(rb"\n-Y (\d{1,6}) \+X (\d{1,6})\n", head) if head.startswith(b"#?") else None
    if found is None:
        raise AssetError(f"{place} is no Radiance HDR file with rows from the top")
    header = head[: found.start()]
    if re.search(rb"\nFORMAT\s*=\s*32-bit_rle_xyze", header):
        notes.append("its colours are CIE XYZ: taken to have the white of daylight (D65)")
    for name in ("PRIMARIES", "COLORCORR"):
        if re.search(rb"\n%s\s*=" % name.encode(), header):
            notes.append(f"not read of its header: {name}")
    return int(found[2]), int(found[1])


def _exr(head: bytes, place: str, notes: list[str]) -> tuple[int, int]:
    if not head.startswith(b"\x76\x2f\x31\x01"):
        raise AssetError(f"{place} is no OpenEXR file")
    flags = struct.unpack("<I", head[4:8])[0] if len(head) >= 8 else 0
    if flags & _DEEP:
        raise AssetError(f"{place} is a deep OpenEXR file: it has many values for a pixel; export it flat")
    if flags & _PARTS:
        notes.append("only the first of its parts is read")
    attributes = _attributes(head, place)
    windows = []
    for name in ("dataWindow", "displayWindow"):
        if len(attributes.get(name, b"")) != 16:
            raise AssetError(f"{place} does not say how large it is: it has no {name}")
        left, top, right, bottom = struct.unpack("<4i", attributes[name])
        if right < left or bottom < top:
            raise AssetError(f"{place} says that it has no pixels")
        windows.append((right - left + 1, bottom - top + 1))
    if windows[0] != windows[1]:
        notes.append("its pixels are not those of its display window: they are taken for all directions")
    return windows[0]


def _attributes(head: bytes, place: str) -> dict[str, bytes]:
    """Return the attributes of an OpenEXR header (of the first part)."""
    found: dict[str, bytes] = {}
    at = 8
    try:
        while head[at]:
            end = head.index(b"\0", at, at + 256)
            kind = head.index(b"\0", end + 1, end + 257)
            (size,) = struct.unpack_from("<i", head, kind + 1)
            if size < 0 or kind + 5 + size > len(head):
                raise ValueError
            found[head[at:end].decode("latin-1")] = head[kind + 5 : kind + 5 + size]
            at = kind + 5 + size
    except (IndexError, ValueError, struct.error):
        raise AssetError(f"{place} has a broken OpenEXR header") from None
    return found
