"""The one reader of picture files: for imports, folders, textures, training and evaluation.

Pillow's ``convert("RGB")`` alone is silently wrong: 16-bit grey saturates to white, the orientation that a camera
notes is not applied, and a PNG with a wrong checksum is shown as it is.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from torchmultiverse.errors import DatasetError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
"""What a dataset's pictures may be, told by their first bytes and not by their names."""
TEXTURE_FORMATS = (*FORMATS, "DDS", "TGA")
"""What textures of meshes may be, as well; TGA comes last, for it has no first bytes that tell it."""
MAX_PIXELS = 16384 * 8192
"""Larger pictures are refused before they are decoded: a small file may unpack to any size."""
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"))
"""Of files that are taken for pictures where a folder is searched for them."""
_TURNED = (5, 6, 7, 8)
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PLAIN_CHUNKS = frozenset((
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"bKGD", b"pHYs", b"tIME",
))  # fmt: skip
"""Of a PNG: all others may hold an orientation."""
_JPEG_START = b"\xff\xd8\xff"
_START_OF_FRAME = frozenset((0xC0, 0xC1, 0xC2))
_START_OF_SCAN = 0xDA
_PLAIN_SEGMENTS = _START_OF_FRAME | frozenset((0xC4, 0xDB, 0xDD, _START_OF_SCAN, 0xE0, 0xFE))
"""Of a JPEG: frame, tables, scan, JFIF and comment; of the others, one may hold an orientation."""


class ImageError(DatasetError):
    """A picture that cannot be read as it is meant; the message names it."""


def decode(
    data: bytes, what: str, *, upright: bool = True, formats: tuple[str, ...] = FORMATS, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Return the picture in a file, decoded, with the values and the mode that it is stored with.

    Args:
        data: the bytes of the file.
        what: names it in errors.
        upright: turned as its EXIF orientation says; textures are not, since their coordinates are of what is stored.
        formats: which of Pillow's formats are read.
        max_pixels: more are refused.

    Raises:
        ImageError: no picture, a part of one, one with a wrong checksum, or one that is too large.
    """
    with _reading(data, what):
        with _opened(data, what, formats, max_pixels) as image:
            if image.format == "PNG":
                # Decoding does not look at the checksums of the pixels. Checking uses the opened picture up.
                with Image.open(io.BytesIO(data), formats=("PNG",)) as checked:
                    checked.verify()
            image.load()
        if upright and _orientation(image) != 1:
            ImageOps.exif_transpose(image, in_place=True)
    return image


def read(data: bytes, what: str) -> Image.Image:
    """Return the picture in a file, upright, mode RGB with 8 bits: `decode` and `rgb`.

    Raises:
        ImageError: as those.
    """
    return rgb(decode(data, what), what)


def size(data: bytes, what: str, formats: tuple[str, ...] = FORMATS) -> tuple[int, int]:
    """Return width and height of the upright picture in a file; only its header is read.

    Raises:
        ImageError: no picture, or one that is too large.
    """
    if (plain := _plain_size(data, formats)) is not None:
        return plain
    with _reading(data, what), _opened(data, what, formats, MAX_PIXELS) as image:
        # Pillow turns the size of a TIFF by itself.
        turned = image.format != "TIFF" and _orientation(image) in _TURNED
        return (image.height, image.width) if turned else image.size


def rgb(image: Image.Image, what: str = "the picture") -> Image.Image:
    """Return a picture of any mode as RGB with 8 bits.

    16-bit grey is scaled, 65,535 being white, and so are floating-point values, 1 being white. Transparency is left
    out as the field's loaders do (``convert("RGB")``): what is behind a transparent pixel is not known.

    Raises:
        ImageError: the mode or the range of the values does not say what is white.
    """
    return _converted(image, "RGB", what)


def rgba(image: Image.Image, what: str = "the picture") -> Image.Image:
    """Return a picture of any mode as RGB and alpha with 8 bits; otherwise as `rgb`.

    Raises:
        ImageError: as `rgb`.
    """
    return _converted(image, "RGBA", what)


def _converted(image: Image.Image, mode: str, what: str) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _eight_bits(image, what)
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    try:
        return image.convert(mode)
    except (ValueError, OSError) as error:
        raise ImageError(f"{what} is of mode {image.mode}, not RGB or grey: {error}") from None


def _eight_bits(image: Image.Image, what: str) -> Image.Image:
    """Return grey of more than 8 bits with 8."""
    values = np.asarray(image)
    # "I" is what Pillow makes of 16-bit files of several formats; an integer of 32 bits has no agreed white.
    white = 1.0 if image.mode == "F" else 65535.0
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= white):
        raise ImageError(
            f"{what} has grey values from {low:g} to {high:g}; they are read from 0 to {white:g} (white): "
            "save it with 8 or 16 bits"
        )
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    """Return how a picture must be turned, 1 to 8; 1 where it does not say, or in a way that nobody can read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error):
        return 1


def _plain_size(data: bytes, formats: tuple[str, ...]) -> tuple[int, int] | None:
    """Return width and height of a PNG or JPEG that says nothing of how it must be turned; None of all else.

    Pillow takes a tenth of a millisecond for a header, and decodes a whole PNG in search of its orientation.
    """
    try:
        if data.startswith(_PNG_START) and "PNG" in formats:
            found = _png_size(data)
        elif data.startswith(_JPEG_START) and "JPEG" in formats:
            found = _jpeg_size(data)
        else:
            return None
    except (struct.error, IndexError):  # it ends too early: Pillow says how
        return None
    return found if found is not None and 0 < found[0] * found[1] <= MAX_PIXELS else None


def _png_size(data: bytes) -> tuple[int, int] | None:
    place = len(_PNG_START)
    head = data[place : place + 4]
    size: tuple[int, int] = struct.unpack_from(">II", data, place + 8)
    kind = b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        (checksum,) = struct.unpack_from(">I", data, end)
        if kind not in _PLAIN_CHUNKS or (kind != b"IDAT" and zlib.crc32(data[place + 4 : end]) != checksum):
            return None
        place = end + 4
    return size if head == b"\0\0\0\x0d" and data[12:16] == b"IHDR" else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    place, size = 2, None
    while True:
        start, kind, length = struct.unpack_from(">BBH", data, place)
        if start != 0xFF or kind not in _PLAIN_SEGMENTS:
            return None
        if kind == _START_OF_SCAN:
            return size
        if kind in _START_OF_FRAME:
            bits, height, width, components = struct.unpack_from(">BHHB", data, place + 4)
            if size is not None or bits != 8 or components not in (1, 3, 4):
                return None
            size = (width, height)
        place += 2 + length


def _opened(data: bytes, what: str, formats: tuple[str, ...], max_pixels: int) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=formats)
    if image.width * image.height > max_pixels:
        raise ImageError(f"{what} has {image.width} × {image.height} pixels; at most {max_pixels:,} are read")
    return image


@contextmanager
def _reading(data: bytes, what: str) -> Iterator[None]:
    """Name the picture in what Pillow says of a broken one, which comes as errors of many kinds."""
    try:
        yield
    except UnidentifiedImageError:
        # Its own message shows the address of a buffer.
        raise ImageError(
            f"{what} is no picture that can be read: {len(data):,} bytes in no format that is known here"
        ) from None
    except (
        OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, KeyError, OverflowError, struct.error,
        Image.DecompressionBombError,
    ) as error:  # fmt: skip
        raise ImageError(f"{what} is no picture that can be read: {len(data):,} bytes, {str(error)[:200]}") from None


def png(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """Return a picture, uint8 (H, W, 3), as a PNG file: without loss."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(image: Image.Image, quality: int) -> bytes:
    """Return a picture as a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def thumbnail(image: Image.Image, side: int = 96) -> bytes:
    """Return a picture as a small JPEG file: no larger than ``side`` pixels, and enlarged where it is smaller."""
    image = rgb(image)
    if max(image.size) < side:
        factor = -(-side // max(image.size))
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    else:
        image = image.copy()
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return jpeg(image, 86)
