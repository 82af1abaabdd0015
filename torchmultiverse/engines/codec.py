"""One codec for every pass, used by all engines and by the dataset, so that bytes agree whichever way they came.

| pass | file | content |
|---|---|---|
| rgb | PNG or JPEG (quality 95, 4:4:4) | sRGB, 8 bit |
| mask | PNG, 8 bit grey | instance number |
| class | PNG, 8 bit grey; 16 bit where a number is above 255 | class number |
| depth | TIFF, float32, deflate | metres along the viewing axis, inf for sky |
| normals | PNG, 8 bit RGB | (n + 1) · 127.5, rounded; 0,0,0 stands for no normal |
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from torchmultiverse import images
from torchmultiverse.errors import ProtocolError

PNG_LEVEL = 4
"""zlib level: 6 is 4 % smaller and twice as slow on rendered pictures."""
MAX_PIXELS = 4096 * 4096
EXTENSIONS = {"rgb": "png", "mask": "png", "class": "png", "depth": "tiff", "normals": "png"}
LAYOUTS: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "rgb": ((3,), ("uint8",)), "mask": ((), ("uint8",)), "class": ((), ("uint8", "uint16")),
    "depth": ((), ("float32",)), "normals": ((3,), ("float32",)),
}  # fmt: skip
"""Channels of each pass as an array (H, W, …), and the dtypes that it may have."""
MIME = {"png": "image/png", "jpeg": "image/jpeg", "tiff": "image/tiff", "json": "application/json"}


def extension(name: str, format: str) -> str:
    """Return the file extension of a pass: ``png``, ``jpeg`` or ``tiff``."""
    return "jpeg" if name == "rgb" and format == "jpeg" else EXTENSIONS[name]


def class_numbers(array: NDArray[Any]) -> NDArray[Any]:
    """Return numbers of classes (H, W), 0 to 65,535, as the pass ``class`` holds them: uint8, or uint16 where one is
    above 255.
    """
    return array.astype(np.uint8 if array.size == 0 or array.max() <= 255 else np.uint16, copy=False)


def encode(name: str, array: NDArray[Any], format: str = "png") -> bytes:
    """Encode a pass. Deterministic: equal arrays give equal bytes with equal library versions."""
    buffer = io.BytesIO()
    if name == "depth":
        Image.fromarray(array.astype(np.float32, copy=False)).save(buffer, "TIFF", compression="tiff_deflate")
    elif name == "normals":
        valid = np.any(array != 0, axis=-1, keepdims=True)
        packed = np.where(valid, np.rint((array + 1) * 127.5), 0).clip(0, 255).astype(np.uint8)
        Image.fromarray(packed).save(buffer, "PNG", compress_level=PNG_LEVEL)
    elif extension(name, format) == "jpeg":
        Image.fromarray(array).save(buffer, "JPEG", quality=95, subsampling=0)
    elif name == "class":
        Image.fromarray(class_numbers(array)).save(buffer, "PNG", compress_level=PNG_LEVEL)
    else:
        Image.fromarray(array).save(buffer, "PNG", compress_level=PNG_LEVEL)
    return buffer.getvalue()


def dimensions(data: bytes) -> tuple[int, int]:
    """Return width and height of an encoded picture without decoding it.

    Raises:
        ProtocolError: the bytes are no picture.
    """
    try:
        return images.size(data, "the answer")
    except images.ImageError as error:
        raise ProtocolError(str(error)) from None


def decode(name: str, data: bytes) -> NDArray[Any]:
    """Decode a pass.

    Raises:
        ProtocolError: the bytes are no picture of the expected kind, or one of more than 4096 × 4096 pixels.
    """
    try:
        picture = images.decode(data, name, formats=("PNG", "JPEG", "TIFF"), max_pixels=MAX_PIXELS)
        if name == "depth":
            array = np.array(picture, dtype=np.float32)
        elif name == "class" and (picture.mode == "I" or picture.mode.startswith("I;16")):
            array = _sixteen_bits(picture)
        elif name in ("mask", "class"):
            array = np.array(picture.convert("L"))
        else:
            array = np.array(images.rgb(picture, name))
    except (images.ImageError, ValueError) as error:
        raise ProtocolError(str(error)) from None
    if name == "normals":
        valid = np.any(array != 0, axis=-1, keepdims=True)
        array = np.where(valid, array.astype(np.float32) / 127.5 - 1, 0).astype(np.float32)
    return array


def _sixteen_bits(picture: Image.Image) -> NDArray[Any]:
    """Return grey of 16 bits as numbers of classes; Pillow has some of it as integers of 32."""
    values = np.asarray(picture)
    if values.size and not 0 <= values.min() <= values.max() <= 65535:
        raise ProtocolError(f"class: numbers from {values.min()} to {values.max()}; there is room for 0 to 65,535")
    return class_numbers(values)
