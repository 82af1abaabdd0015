"""Maps of radiance as other people's programs write them. What could silently be wrong: a sun that overflows half
floats becomes a black hole, and the exposure with it; colours of another layer, or of other primaries, taken for light.
"""

import struct

import numpy as np
import pytest
from test_folder import sky_map

from torchmultiverse.assets.maps import read_map
from torchmultiverse.errors import AssetError


def exr(path, values, channels=None):
    """Write an EXR of 32-bit floats; channels by name where there are others than R, G and B."""
    from torchmultiverse.engines.builtin.variant import use_library

    use_library()
    import mitsuba as mi

    values = np.ascontiguousarray(values, np.float32)
    if channels is None:
        mi.Bitmap(values).write(str(path))
    else:
        mi.Bitmap(values, mi.Bitmap.PixelFormat.MultiChannel, channels).write(str(path))
    return path


def with_attribute(path, name, kind, body):
    """Put an attribute into the header of an EXR; the places of its rows move by as much."""
    data = path.read_bytes()
    at = 8
    while data[at]:
        value = data.index(b"\0", data.index(b"\0", at) + 1) + 1
        at = value + 4 + struct.unpack_from("<i", data, value)[0]
    first = struct.unpack_from("<q", data, at + 1)[0]
    count = (first - at - 1) // 8
    added = name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(body)) + body
    rows = [row + len(added) for row in struct.unpack_from(f"<{count}q", data, at + 1)]
    path.write_bytes(data[:at] + added + b"\0" + struct.pack(f"<{count}q", *rows) + data[first:])


def test_an_infinite_sun_is_as_bright_as_the_largest_finite_value(tmp_path):
    values = sky_map(32)
    values[values == 400] = np.inf
    values[4, 12] = 300
    values[3, 3] = np.nan
    values[3, 5] = -1
    radiance, notes = read_map(exr(tmp_path / "a.exr", values), "x")
    assert float(radiance.max()) == 300
    assert (radiance == 300).all(2).sum() == (values == np.inf).all(2).sum() + 1
    assert any("infinite pixels have the largest finite value, 300" in note for note in notes)
    assert any("2 pixels that are no light are black" in note for note in notes)


@pytest.mark.parametrize(
    ("channels", "first"),
    [
        (["ViewLayer.Combined.R", "ViewLayer.Combined.G", "ViewLayer.Combined.B", "ViewLayer.Depth.Z"], 0),
        (["Z", "R", "G", "B"], 1),
        (["a.R", "a.G", "a.B", "R", "G", "B"], 3),
        (["a.R", "a.G", "a.B", "b.Combined.R", "b.Combined.G", "b.Combined.B"], 3),
        (["a.R", "a.G", "a.B", "b.R", "b.G", "b.B"], None),
        (["a.X", "a.Y", "b.R", "b.G"], None),
    ],
)
def test_of_layers_the_one_with_the_colours_is_read_or_the_file_is_refused(tmp_path, channels, first):
    sky = sky_map(16)
    values = np.zeros((16, 32, len(channels)), np.float32)
    values[..., (first or 0) : (first or 0) + 3] = sky[..., : len(channels)]
    path = exr(tmp_path / "a.exr", values, channels)
    if first is None:
        with pytest.raises(
            AssetError, match=r"x: (several|none) of its layers .*'b'.*; export the one that is the map|'a.X'"
        ):
            read_map(path, "x")
        return
    radiance, notes = read_map(path, "x")
    assert np.allclose(np.sort(radiance.reshape(-1, 3), 0), np.sort(sky.reshape(-1, 3), 0))
    assert any(f"of its {len(channels)} channels only the colours" in note for note in notes)


def test_colours_of_wider_primaries_are_turned_into_srgb(tmp_path):
    """White stays white; what lies beyond sRGB is cut off at zero and is no reason to refuse the file."""
    values = np.ones((8, 16, 3), np.float32)
    values[:, 8:] = (0, 1, 0)
    path = exr(tmp_path / "a.exr", values)
    wide = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)  # Rec. 2020
    with_attribute(path, "chromaticities", "chromaticities", struct.pack("<8f", *wide))
    radiance, notes = read_map(path, "x")
    white, green = (radiance[radiance.min(2) > 0.5], radiance[radiance.min(2) < 0.5])
    assert np.allclose(white, 1, atol=0.01)
    # The published matrix from Rec. 2020 to Rec. 709 turns its green into (-0.588, 1.133, -0.101).
    assert np.allclose(green, [0, 1.133, 0], atol=0.01)
    assert any("50% of its pixels have colours beyond sRGB" in note for note in notes)


def test_a_radiance_file_in_xyz_is_turned_into_srgb_and_its_white_is_named(tmp_path):
    path = tmp_path / "a.hdr"
    # 0.9505, 1, 1.089 is the white of daylight: mantissas over 256, times 2 ** (exponent - 128).
    pixel = bytes([round(0.9505 * 100), 100, 109, 129])
    path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_xyze\nPRIMARIES= 1 2\n\n-Y 4 +X 8\n" + pixel * 32)
    radiance, notes = read_map(path, "x")
    assert np.ptp(radiance[0, 0]) < 0.02 * radiance.mean()
    assert any("CIE XYZ" in note for note in notes)
    assert any("PRIMARIES" in note for note in notes)


def test_headers_are_checked_before_anything_is_unpacked(tmp_path):
    path = exr(tmp_path / "a.exr", sky_map(16))
    whole = path.read_bytes()

    def flagged(bit):
        return whole[:5] + bytes([whole[5] | bit]) + whole[6:]

    at = whole.index(b"displayWindow")
    other = whole[: at + 24] + struct.pack("<4i", 0, 0, 63, 31) + whole[at + 40 :]
    for data, message in [
        (flagged(0x08), "deep OpenEXR"),
        (whole[:40], "broken OpenEXR header"),
        (whole.replace(b"dataWindow", b"dataWindoe"), "does not say how large it is"),
        (whole[: len(whole) // 2], "cannot be read"),
        (b"\x76\x2f\x31\x01", "broken OpenEXR header"),
    ]:
        path.write_bytes(data)
        with pytest.raises(AssetError, match=message):
            read_map(path, "x")
    path.write_bytes(other)
    assert any("display window" in note for note in read_map(path, "x")[1])
