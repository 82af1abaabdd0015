"""One codec for every pass, used by all engines and by the dataset, so that bytes agree whichever way they came.

| pass | file | content |
|---|---|---|
| rgb | PNG or JPEG (quality 95, 4:4:4) | sRGB, 8 bit |
| mask | PNG, 8 bit grey | instance number |
| class | PNG, 8 bit grey; 16 bit where a number is above 255 | class number |
| depth | TIFF, float32, deflate | metres along the viewing axis, inf for sky |
| normals | PNG, 8 bit RGB | (n + 1) · 127.5, rounded; 0,0,0 stands for no normal |
| flow_forward, flow_backward | TIFF, float32, deflate, of twice the height | see below |
| hidden_forward, hidden_backward | PNG, 8 bit grey | 0 seen in the other frame, 1 hidden, 2 outside, 3 unknown |
| track | PNG, 8 bit grey; 16 bit where a number is above 255 | number of the object in its clip |

Optical flow is in pixels, NaN where it is not known: in the upper half of its picture the motion to the right, in the
lower half that downwards; as an array (H, W, 2). It is rounded to 1/1024 pixel, which takes less than half the space.

In the format ``raw`` each pass is instead a NumPy file (``.npy``, version 1.0) of the same numbers without compression,
with a header of 128 bytes: what `numpy.load` reads, and for equal arrays the same bytes everywhere.
"""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse import images
from torchmultiverse.errors import ProtocolError

PNG_LEVEL = 4
"""zlib level: 6 is 4 % smaller and twice as slow on rendered pictures."""
MAX_PIXELS = 4096 * 4096
EXTENSIONS = {
    "rgb": "png", "mask": "png", "class": "png", "depth": "tiff", "normals": "png", "flow_forward": "tiff",
    "flow_backward": "tiff", "hidden_forward": "png", "hidden_backward": "png", "track": "png",
}  # fmt: skip
LAYOUTS: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "rgb": ((3,), ("uint8",)), "mask": ((), ("uint8",)), "class": ((), ("uint8", "uint16")),
    "depth": ((), ("float32",)), "normals": ((3,), ("float32",)), "flow_forward": ((2,), ("float32",)),
    "flow_backward": ((2,), ("float32",)), "hidden_forward": ((), ("uint8",)), "hidden_backward": ((), ("uint8",)),
    "track": ((), ("uint8", "uint16")),
}  # fmt: skip
"""Channels of each pass as an array (H, W, …), and the dtypes that it may have."""
MIME = {
    "png": "image/png", "jpeg": "image/jpeg", "tiff": "image/tiff", "npy": "application/x-npy",
    "json": "application/json",
}  # fmt: skip
_FLOW = ("flow_forward", "flow_backward")
_NUMBERS = ("class", "track")
_STEPS = np.float32(1024)
"""Of a pixel, in which motion is kept."""
_FLOATS = {317: 3}
"""Tag of a TIFF: differences of the bytes of floating-point numbers, which halves what smooth motion takes."""
_NPY = b"\x93NUMPY\x01\x00\x76\x00"
_NPY_HEADER = 128
_NPY_FACTS = re.compile(
    rb"\{'descr': '([<|][uf][124])', 'fortran_order': False, 'shape': \((\d{1,4}), (\d{1,4})(, [23])?\), \} *\n"
)
_RAW_DTYPES: dict[str, np.dtype[Any]] = {"|u1": np.dtype(np.uint8), "<u2": np.dtype("<u2"), "<f4": np.dtype("<f4")}


def extension(name: str, format: str) -> str:
    """Return the file extension of a pass: ``png``, ``jpeg``, ``tiff`` or ``npy``."""
    if format == "raw":
        return "npy"
    return "jpeg" if name == "rgb" and format == "jpeg" else EXTENSIONS[name]


def class_numbers(array: NDArray[Any]) -> NDArray[Any]:
    """Return numbers of classes (H, W), 0 to 65,535, as the pass ``class`` holds them: uint8, or uint16 where one is
    above 255.
    """
    return array.astype(np.uint8 if array.size == 0 or array.max() <= 255 else np.uint16, copy=False)


def encode(name: str, array: NDArray[Any], format: str = "png") -> bytes:
    """Encode a pass. Deterministic: equal arrays give equal bytes with equal library versions."""
    if name in _FLOW:
        array = np.rint(np.asarray(array, np.float32) * _STEPS) / _STEPS
    if format == "raw":
        return _encode_raw(name, array)
    buffer = io.BytesIO()
    if name == "depth":
        Image.fromarray(array.astype(np.float32, copy=False)).save(buffer, "TIFF", compression="tiff_deflate")
    elif name in _FLOW:
        planes = np.concatenate([array[..., 0], array[..., 1]])
        Image.fromarray(planes).save(buffer, "TIFF", compression="tiff_deflate", tiffinfo=_FLOATS)
    elif name == "normals":
        Image.fromarray(_packed_normals(array)).save(buffer, "PNG", compress_level=PNG_LEVEL)
    elif extension(name, format) == "jpeg":
        Image.fromarray(array).save(buffer, "JPEG", quality=95, subsampling=0)
    elif name in _NUMBERS:
        Image.fromarray(class_numbers(array)).save(buffer, "PNG", compress_level=PNG_LEVEL)
    else:
        Image.fromarray(array).save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()


def dimensions(data: bytes, name: str = "rgb") -> tuple[int, int]:
    """Return width and height of an encoded picture without decoding it.

    Args:
        data: the picture.
        name: of its pass, by which one without compression is checked.

    Raises:
        ProtocolError: the bytes are no picture.
    """
    if is_raw(data):
        _, (height, width, *_) = _raw_layout(name, data)
        return width, height
    try:
        return images.size(data, "the answer")
    except images.ImageError as error:
        raise ProtocolError(str(error)) from None


def decode(name: str, data: bytes) -> NDArray[Any]:
    """Decode a pass. What is ``raw`` is not copied: but for ``normals``, the array is a read-only view of the bytes.

    Raises:
        ProtocolError: the bytes are no picture of the expected kind, or one of more than 4096 × 4096 pixels.
    """
    if is_raw(data):
        return _decode_raw(name, data)
    try:
        most = MAX_PIXELS * 2 if name in _FLOW else MAX_PIXELS
        picture = images.decode(data, name, formats=("PNG", "JPEG", "TIFF"), max_pixels=most)
        if name == "depth":
            array = np.array(picture, dtype=np.float32)
        elif name in _FLOW:
            array = _from_planes(name, picture)
        elif name in _NUMBERS and (picture.mode == "I" or picture.mode.startswith("I;16")):
            array = _sixteen_bits(picture)
        elif name in ("mask", "hidden_forward", "hidden_backward", *_NUMBERS):
            array = np.array(picture.convert("L"))
        else:
            array = np.array(images.rgb(picture, name))
    except (images.ImageError, ValueError) as error:
        raise ProtocolError(str(error)) from None
    return _unpacked_normals(array) if name == "normals" else array


def _from_planes(name: str, picture: Image.Image) -> NDArray[np.float32]:
    """Return motion (H, W, 2) of the picture that holds one component above the other."""
    if picture.mode != "F" or picture.height % 2:
        raise ProtocolError(f"{name}: {picture.mode} {picture.size}; a TIFF of float32, of twice the height, is right")
    return np.stack(np.split(np.array(picture, np.float32), 2), -1)


def _packed_normals(array: NDArray[Any]) -> NDArray[np.uint8]:
    valid = np.any(array != 0, axis=-1, keepdims=True)
    return np.where(valid, np.rint((array + 1) * 127.5), 0).clip(0, 255).astype(np.uint8)


def _unpacked_normals(array: NDArray[Any]) -> NDArray[np.float32]:
    valid = np.any(array != 0, axis=-1, keepdims=True)
    return np.where(valid, array.astype(np.float32) / 127.5 - 1, 0).astype(np.float32)


# Without compression --------------------------------------------------------------------------------------


def is_raw(data: bytes) -> bool:
    """Tell whether an encoded pass is of the format ``raw``."""
    return data.startswith(_NPY)


def _raw_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    facts = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return (_NPY + facts).ljust(_NPY_HEADER - 1) + b"\n"


def _encode_raw(name: str, array: NDArray[Any]) -> bytes:
    if name == "normals":
        array = _packed_normals(array)
    elif name in _NUMBERS:
        array = class_numbers(array)
    kind = "<f4" if name in ("depth", *_FLOW) else "<u2" if array.dtype.itemsize == 2 else "|u1"
    plain = np.ascontiguousarray(array, _RAW_DTYPES[kind])
    return b"".join((_raw_header(kind, plain.shape), plain.data.cast("B") if plain.size else b""))


def _raw_layout(name: str, data: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return dtype and shape that the header names, checked against the length of the data.

    Raises:
        ProtocolError: the header is not the one that `encode` writes, or announces more or less than there is.
    """
    head = bytes(data[:_NPY_HEADER])
    facts = _NPY_FACTS.fullmatch(head[len(_NPY) :])
    dtype = _RAW_DTYPES.get(facts[1].decode()) if facts else None
    if facts is None or dtype is None:
        raise ProtocolError(f"{name}: the header of an uncompressed picture is {head!r}; see the codec's table")
    shape = (int(facts[2]), int(facts[3]), *((int(facts[4][2:]),) if facts[4] else ()))
    if head != _raw_header(facts[1].decode(), shape) or not 0 < shape[0] * shape[1] <= MAX_PIXELS:
        raise ProtocolError(f"{name}: an uncompressed picture of {shape[1]} × {shape[0]} pixels; at most 4096 × 4096")
    channels, dtypes = LAYOUTS[name] if name != "normals" else ((3,), ("uint8",))
    if shape[2:] != channels or dtype.name not in dtypes:
        right = f"{' or '.join(dtypes)} (H, W{''.join(f', {n}' for n in channels)})"
        raise ProtocolError(f"{name}: an uncompressed picture of {dtype.name} {shape}; {right} is right")
    expected = _NPY_HEADER + dtype.itemsize * math.prod(shape)
    if len(data) != expected:
        raise ProtocolError(f"{name}: {len(data)} bytes of an uncompressed picture; {expected} were announced")
    return dtype, shape


def _decode_raw(name: str, data: bytes) -> NDArray[Any]:
    dtype, shape = _raw_layout(name, data)
    array = np.frombuffer(data, dtype, offset=_NPY_HEADER).reshape(shape)
    return _unpacked_normals(array) if name == "normals" else array


def _sixteen_bits(picture: Image.Image) -> NDArray[Any]:
    """Return grey of 16 bits as numbers of classes; Pillow has some of it as integers of 32."""
    values = np.asarray(picture)
    if values.size and not 0 <= values.min() <= values.max() <= 65535:
        raise ProtocolError(f"numbers from {values.min()} to {values.max()}; there is room for 0 to 65,535")
    return class_numbers(values)
