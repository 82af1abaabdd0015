"""The reader of pictures. What could silently be wrong: a picture that is read without an error and is another one
than its author sees, white instead of grey, lying on its side, or with damaged pixels."""

from __future__ import annotations

import io
import struct
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

from torchmultiverse import images
from torchmultiverse.images import ImageError
from torchmultiverse.models.preprocess import pil_list
from torchmultiverse.store import open_dataset
from torchmultiverse.store.image_folder import ImageFolder
from torchmultiverse.store.schema import IMAGE

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of EXIF that is broken on purpose

GREY = 20000
"""Of 65,535: 78 of 255."""


def encoded(picture: Image.Image, format: str = "PNG", **facts: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **facts)
    return buffer.getvalue()


def grey16(kind: str = "<u2") -> Image.Image:
    return Image.fromarray(np.full((4, 6), GREY, kind))


def sideways(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def gradient(width: int = 12, height: int = 8) -> Image.Image:
    """One that looks otherwise in each of its eight orientations."""
    across = np.linspace(0, 250, width)[None, :, None] * [1, 0, 0] + np.linspace(0, 250, height)[:, None, None] * [
        0,
        1,
        0,
    ]
    return Image.fromarray(np.broadcast_to(across, (height, width, 3)).astype(np.uint8))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_is_scaled(format: str) -> None:
    # Pillow's convert() cuts it off at 255: a mid grey becomes white.
    picture = images.read(encoded(grey16(), format), "a.png")
    assert picture.mode == "RGB"
    assert picture.getpixel((2, 2)) == (78, 78, 78)
    assert images.rgba(grey16()).getpixel((0, 0)) == (78, 78, 78, 255)


def test_grey_of_every_depth_in_memory_is_scaled() -> None:
    modes = [grey16(), grey16(">u2"), Image.fromarray(np.full((4, 6), GREY, np.int32))]
    modes.append(Image.fromarray(np.full((4, 6), GREY / 65535, np.float32)))
    assert {picture.mode for picture in modes} == {"I;16", "I;16B", "I", "F"}
    for picture in pil_list(modes):
        assert picture.getpixel((0, 0)) == (78, 78, 78)


@pytest.mark.parametrize("values", [np.full((2, 2), 70000, np.int32), np.full((2, 2), -1, np.int32),
                                    np.full((2, 2), 7.3, np.float32), np.full((2, 2), np.nan, np.float32)])  # fmt: skip
def test_values_without_a_known_white_are_refused(values: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"^a\.tiff has grey values from"):
        images.rgb(Image.fromarray(values), "a.tiff")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stands_as_its_camera_says(format: str, orientation: int) -> None:
    # What each number means: EXIF 2.32, table 6; as NumPy operations on what is stored, written down independently.
    upright = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, -1), 7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a),
    }[orientation](np.asarray(gradient()).astype(int))  # fmt: skip
    data = encoded(gradient(), format, exif=sideways(orientation), **({"lossless": True} if format == "WEBP" else {}))
    read = np.asarray(images.read(data, "a")).astype(int)
    assert read.shape == upright.shape
    assert np.abs(read - upright).max() <= (40 if format == "JPEG" else 0)  # other orientations are 250 apart
    assert images.size(data, "a") == (upright.shape[1], upright.shape[0])
    # The coordinates of a texture are of the picture as it is stored.
    if format != "TIFF":
        assert images.decode(data, "a", upright=False).size == (12, 8)


def test_a_size_is_that_of_the_upright_picture_wherever_the_orientation_stands() -> None:
    """Headers are read without Pillow where nothing in them can turn the picture; one that is overlooked swaps width
    and height."""
    turned = sideways(6)
    jpeg = encoded(gradient(), "JPEG", exif=turned)
    place = jpeg.index(b"\xff\xe1")
    (length,) = struct.unpack_from(">H", jpeg, place + 2)
    exif = jpeg[place : place + 2 + length]
    rest = jpeg.replace(exif, b"")
    scan = rest.index(b"\xff\xda")
    png = encoded(gradient(), "PNG", exif=turned)
    _, start, length = next(c for c in chunks(png) if c[0] == b"eXIf")
    whole = png[start - 8 : start + length + 4]
    behind = png.replace(whole, b"").replace(png[-12:], whole + png[-12:])
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n8\n" + turned.tobytes().hex())
    files = [jpeg, rest[:scan] + exif + rest[scan:], png, behind, encoded(gradient(), "PNG", pnginfo=text)]
    for file in files:
        assert images.decode(file, "a").size == images.size(file, "a") == (8, 12)
    plain = [
        encoded(gradient()), encoded(gradient(), "JPEG"), encoded(gradient(), "JPEG", progressive=True, comment="no"),
        encoded(gradient(), "JPEG", subsampling=2, icc_profile=b"1" * 70_000), encoded(grey16().resize((12, 8))),
        encoded(gradient().convert("CMYK"), "JPEG"), encoded(gradient().convert("P"), "PNG", transparency=0),
    ]  # fmt: skip
    for file in plain:
        assert images.decode(file, "a").size == images.size(file, "a") == (12, 8)


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_the_size_of_a_picture_that_nothing_turns_is_read_without_its_pixels(format: str) -> None:
    data = bytearray(encoded(gradient(), format))
    start = bytes(data).index(b"IDAT" if format == "PNG" else b"\xff\xda") + 14
    data[start : start + 8] = bytes(8)
    assert images.size(bytes(data), "a") == (12, 8)


def test_the_size_of_a_png_with_a_broken_header_is_refused_by_name() -> None:
    data = encoded(gradient())
    for keep in range(data.index(b"IDAT")):
        with pytest.raises(ImageError, match=r"^pictures/a is no picture that can be read: "):
            images.size(data[:keep], "pictures/a")
    for place in range(12, 33):  # name, content and checksum of the header
        broken = bytearray(data)
        broken[place] ^= 255
        with pytest.raises(ImageError, match=r"^pictures/a "):
            images.size(bytes(broken), "pictures/a")


def test_an_orientation_that_nobody_can_read_is_none() -> None:
    assert images.read(encoded(gradient(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"), "a.jpg").size == (12, 8)


def chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """Name, start and length of the content of each chunk of a PNG."""
    found, place = [], 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        found.append((data[place + 4 : place + 8], place + 8, length))
        place += 12 + length
    return found


def test_a_png_with_a_wrong_checksum_is_refused() -> None:
    # The pixels of a stored (not packed) block are changed, and zlib's own checksum with them: only the CRC tells.
    pixels = np.zeros((8, 8, 3), np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in pixels)
    data = bytearray(encoded(Image.fromarray(pixels), compress_level=0))
    _, start, length = next(c for c in chunks(bytes(data)) if c[0] == b"IDAT")
    changed = bytearray(raw)
    changed[40] = 255
    packed = zlib.compress(bytes(changed), 0)
    assert len(packed) == length
    data[start : start + length] = packed
    assert np.asarray(Image.open(io.BytesIO(data))).max() == 255  # Pillow alone shows it
    with pytest.raises(ImageError, match=r"^p2\.png is no picture that can be read: .*IDAT"):
        images.read(bytes(data), "p2.png")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM"])
def test_every_cut_of_a_picture_is_refused_by_name(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format)
    assert images.read(data, "a").size == (16, 16)
    # A JPEG without its last two bytes and a GIF without its last one have all their pixels.
    for keep in range(0, len(data) - 3, 7):
        with pytest.raises(ImageError, match=r"^pictures/a is no picture that can be read: "):
            images.read(data[:keep], "pictures/a")


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    data = bytearray(encoded(gradient()))
    _, start, length = chunks(bytes(data))[0]
    data[start : start + length + 4] = header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    for read in (images.read, images.size):
        with pytest.raises(ImageError, match=r"a\.png"):
            read(bytes(data), "a.png")
    with pytest.raises(ImageError, match="12 × 8 pixels; at most 95 are read"):
        images.decode(encoded(gradient()), "a.png", max_pixels=95)


def test_grey_alpha_palettes_and_print_colours() -> None:
    red = Image.new("RGB", (4, 4), (200, 30, 40))
    palette = red.convert("P", palette=Image.Palette.ADAPTIVE)
    clear = red.copy()
    clear.putalpha(0)
    with_holes = encoded(palette, transparency=bytes([0] * 256))
    for data in (encoded(palette), with_holes, encoded(clear), encoded(red, "BMP")):
        assert images.read(data, "a").getpixel((1, 1)) == (200, 30, 40)
    assert images.rgba(images.decode(with_holes, "a")).getpixel((1, 1))[3] == 0
    assert images.read(encoded(Image.new("LA", (4, 4), (90, 5))), "a").getpixel((1, 1)) == (90, 90, 90)
    assert images.read(encoded(Image.new("1", (4, 4), 1)), "a").getpixel((1, 1)) == (255, 255, 255)
    printed = images.read(encoded(red.convert("CMYK"), "JPEG", quality=100), "a").getpixel((1, 1))
    assert np.abs(np.subtract(printed, (200, 30, 40))).max() <= 3


def test_a_folder_is_known_by_its_pictures(tmp_path: Path) -> None:
    # It was known by names and sizes: pictures without compression have one size, and other pictures passed for them.
    (tmp_path / "Élan").mkdir()
    hashes = set()
    for shade in (0, 200):
        (tmp_path / "Élan/a.bmp").write_bytes(encoded(Image.new("RGB", (4, 4), (shade, 0, 0)), "BMP"))
        hashes.add(ImageFolder(tmp_path).manifest.files_sha256)
    assert len(hashes) == 2
    (tmp_path / "Élan").rename(tmp_path / unicodedata.normalize("NFD", "Élan"))
    assert ImageFolder(tmp_path).table()["label"].to_pylist() == ["Élan"]
    assert ImageFolder(tmp_path).manifest.files_sha256 in hashes


def test_folders_datasets_and_models_read_alike(tmp_path: Path) -> None:
    # Each had an opener of its own, and each was wrong in its own way.
    files = {"grey.png": encoded(grey16()), "turned.jpg": encoded(gradient(), "JPEG", exif=sideways(6))}
    (tmp_path / "folder/class").mkdir(parents=True)
    for name, data in files.items():
        (tmp_path / "folder/class" / name).write_bytes(data)
    rows = [{"bytes": data, "path": name} for name, data in files.items()]
    (tmp_path / "stored").mkdir()
    pq.write_table(pa.table({"image": pa.array(rows, IMAGE)}), tmp_path / "stored/a.parquet")
    expected = [images.read(data, name) for name, data in files.items()]
    assert [p.size for p in expected] == [(6, 4), (8, 12)]
    assert expected[0].getpixel((0, 0)) == (78, 78, 78)
    for opened in (ImageFolder(tmp_path / "folder"), open_dataset(tmp_path / "stored")):
        for picture, right in zip(pil_list(list(opened.iter_images())), expected, strict=True):
            assert np.array_equal(np.asarray(picture), np.asarray(right))
