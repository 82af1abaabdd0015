"""What could silently be wrong: a severity that is another one, a constant that is not the published one, a length that
does not follow the size of the picture, a picture that depends on what was drawn before it."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from torchmultiverse.corruptions import (
    CORRUPTIONS,
    IMAGENET_C,
    SEVERITIES,
    corrupt,
    corruption_names,
    matched_severity,
    parse_severities,
    picture_rng,
    psnr,
    rms_contrast,
)
from torchmultiverse.corruptions.filters import disc, gaussian, line_blur, plasma, smooth, unit
from torchmultiverse.corruptions.spatial import in_air, shading
from torchmultiverse.corruptions.weather import ice
from torchmultiverse.errors import SpecError

SIDE = 224
_GREY = np.full((SIDE, SIDE, 3), 128, np.uint8)
_STEP = np.zeros((SIDE, SIDE, 3), np.uint8)
_STEP[:, SIDE // 2 :] = 255
_POINT = np.zeros((SIDE, SIDE, 3), np.uint8)
_POINT[SIDE // 2, SIDE // 2] = 255


def _scene(height: int = SIDE, width: int = SIDE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (max(2, height // 16), max(2, width // 16), 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    depth = np.broadcast_to(np.linspace(30, 2, height)[:, None], (height, width)).astype(np.float32).copy()
    depth[: height // 5] = np.inf
    depth[height // 3 : 2 * height // 3, width // 3 : width // 2] = 2.5
    return image, depth


def _of(name: str, severity: float, image: np.ndarray = _GREY, seed: int = 0, **more: object) -> np.ndarray:
    return corrupt(image, name, severity, np.random.default_rng(seed), **more).astype(float) / 255  # type: ignore[arg-type]


def test_there_are_the_15_and_the_4_of_imagenet_c() -> None:
    assert len(IMAGENET_C) == 15
    assert len(corruption_names("extra")) == 4
    assert len(corruption_names("depth")) == 6
    assert len(corruption_names("all")) == len(CORRUPTIONS) == 28
    assert len(corruption_names("all", depth=False)) == 22


@pytest.mark.parametrize(
    ("severity", "noise", "photons", "share", "speckle"),
    [(1, 0.08, 60, 0.03, 0.15), (2, 0.12, 25, 0.06, 0.2), (3, 0.18, 12, 0.09, 0.35), (4, 0.26, 5, 0.17, 0.45),
     (5, 0.38, 3, 0.27, 0.6)],
)  # fmt: skip
def test_noise_has_the_published_moments(
    severity: int, noise: float, photons: float, share: float, speckle: float
) -> None:
    middle = 128 / 255
    clipped = np.clip(middle + noise * np.random.default_rng(1).standard_normal(400_000), 0, 1)
    assert _of("gaussian_noise", severity).std() == pytest.approx(clipped.std(), abs=0.003)
    counted = np.clip(np.random.default_rng(1).poisson(middle * photons, 400_000) / photons, 0, 1)
    assert _of("shot_noise", severity).std() == pytest.approx(counted.std(), abs=0.003)
    found = _of("impulse_noise", severity)
    assert (found != middle).mean() == pytest.approx(share, abs=0.004)
    assert (found == 1).sum() / (found != middle).sum() == pytest.approx(0.5, abs=0.02)
    clipped = np.clip(middle * (1 + speckle * np.random.default_rng(1).standard_normal(400_000)), 0, 1)
    assert _of("speckle_noise", severity).std() == pytest.approx(clipped.std(), abs=0.003)


@pytest.mark.parametrize(
    ("severity", "sigma", "radius", "edge"),
    [(1, 1, 3, 0.1), (2, 2, 4, 0.5), (3, 3, 6, 0.5), (4, 4, 8, 0.5), (5, 6, 10, 0.5)],
)
def test_blurs_have_the_published_widths(severity: int, sigma: float, radius: float, edge: float) -> None:
    profile = np.diff(_of("gaussian_blur", severity, _STEP)[SIDE // 2, :, 0])
    places = np.arange(len(profile)) - (SIDE // 2 - 1)
    assert math.sqrt((profile * places**2).sum() / profile.sum()) == pytest.approx(sigma, abs=0.1)
    kernel = disc(radius, edge)
    assert kernel.sum() == pytest.approx(1)
    half = kernel.shape[0] // 2
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1]
    variance = (kernel * (rows**2 + columns**2)).sum()
    inside = rows**2 + columns**2 <= radius**2
    assert variance == pytest.approx((rows**2 + columns**2)[inside].mean(), abs=1.2)
    found = corrupt(_STEP, "defocus_blur", severity, np.random.default_rng(0))[SIDE // 2, :, 0]
    assert np.count_nonzero((found > 0) & (found < 255)) == pytest.approx(2 * radius, abs=3)


@pytest.mark.parametrize(("severity", "half", "sigma"), [(1, 10, 3), (2, 15, 5), (3, 15, 8), (4, 15, 12), (5, 20, 15)])
def test_motion_blur_is_a_one_sided_gaussian(severity: int, half: int, sigma: float) -> None:
    assert CORRUPTIONS["motion_blur"].constants(severity) == (half, sigma)
    found = line_blur(unit(_POINT), half, sigma, 0)[SIDE // 2, :, 0]
    taps = np.flatnonzero(found)
    assert taps.max() == SIDE // 2, "blurred to one side"
    assert 2 * half + 1 >= len(taps) >= min(2 * half + 1, 4 * sigma)
    weights = found[taps][::-1]
    assert weights[3] / weights[0] == pytest.approx(math.exp(-9 / (2 * sigma**2)), rel=1e-3)
    assert _of("motion_blur", severity, _POINT).sum() <= 3.01


@pytest.mark.parametrize(("severity", "shift", "factor"), [(1, 0.1, 0.4), (2, 0.2, 0.3), (3, 0.3, 0.2), (4, 0.4, 0.1),
                                                           (5, 0.5, 0.05)])  # fmt: skip
def test_brightness_and_contrast_are_the_published_ones(severity: int, shift: float, factor: float) -> None:
    dark = np.full((8, 8, 3), (60, 40, 20), np.uint8)
    found = _of("brightness", severity, dark)
    assert found.max(2).mean() == pytest.approx(60 / 255 + shift, abs=0.005)
    assert (found[..., 2] / found[..., 0]).mean() == pytest.approx(1 / 3, abs=0.02), "hue and saturation stay"
    image, _ = _scene()
    assert _of("contrast", severity, image).std((0, 1)) == pytest.approx(factor * (image / 255).std((0, 1)), rel=0.05)
    assert _of("contrast", severity, image).mean((0, 1)) == pytest.approx((image / 255).mean((0, 1)), abs=0.005)


@pytest.mark.parametrize(("severity", "factor", "summand"), [(1, 0.3, 0), (2, 0.1, 0), (3, 2, 0), (4, 5, 0.1),
                                                             (5, 20, 0.2)])  # fmt: skip
def test_saturation_is_that_of_hsv(severity: int, factor: float, summand: float) -> None:
    from skimage.color import hsv2rgb, rgb2hsv

    image, _ = _scene(32, 32)
    hsv = rgb2hsv(image / 255)
    hsv[..., 1] = np.clip(hsv[..., 1] * factor + summand, 0, 1)
    assert np.abs(_of("saturate", severity, image) - hsv2rgb(hsv)).max() <= 1.2 / 255
    hsv = rgb2hsv(image / 255)
    hsv[..., 2] = np.clip(hsv[..., 2] + severity / 10, 0, 1)
    assert np.abs(_of("brightness", severity, image) - hsv2rgb(hsv)).max() <= 1.2 / 255
    assert tuple(np.round(_of("saturate", 5, _GREY)[0, 0] / (128 / 255), 2)) == (1, 0.8, 0.8), "grey has the hue of red"


@pytest.mark.parametrize(("severity", "quality", "kept"), [(1, 25, 134), (2, 18, 112), (3, 15, 89), (4, 10, 67),
                                                           (5, 7, 56)])  # fmt: skip
def test_jpeg_and_pixels_are_the_published_ones(severity: int, quality: int, kept: int) -> None:
    image, _ = _scene()
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    assert np.array_equal(corrupt(image, "jpeg_compression", severity, np.random.default_rng(0)),
                          np.asarray(Image.open(buffer)))  # fmt: skip
    blocks = corrupt(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8), "pixelate", severity,
                     np.random.default_rng(0))  # fmt: skip
    assert 1 + np.count_nonzero(np.abs(np.diff(blocks[0].astype(int), axis=0)).sum(1)) == kept


@pytest.mark.parametrize(("severity", "amount", "decay"), [(1, 1.5, 2), (2, 2, 2), (3, 2.5, 1.7), (4, 2.5, 1.5),
                                                           (5, 3, 1.4)])  # fmt: skip
def test_fog_is_a_plasma_over_the_picture(severity: int, amount: float, decay: float) -> None:
    bright = np.full((SIDE, SIDE, 3), 255, np.uint8)
    field = plasma((SIDE, SIDE), decay, np.random.default_rng(0))
    assert _of("fog", severity, bright)[..., 0] == pytest.approx((1 + amount * field) / (1 + amount), abs=0.005)


def test_a_plasma_is_rougher_where_it_decays_less() -> None:
    for decay in (2.0, 1.4):
        whole = plasma((256, 256), decay, np.random.default_rng(0))
        assert (whole.min(), whole.max()) == (0, 1)
    rough = [np.abs(np.diff(plasma((256, 256), d, np.random.default_rng(0)), axis=1)).mean() for d in (2, 1.7, 1.4)]
    assert rough == sorted(rough)
    field = plasma((256, 256), 2, np.random.default_rng(3))
    assert abs(float(field[0, 0] - field[0, -1])) < 0.1, "it wraps around"


def test_frost_is_as_bright_as_the_ice_of_the_source() -> None:
    tones = np.array([ice((96, 96), np.random.default_rng(seed)) for seed in range(8)])
    assert 0.4 < tones.mean() < 0.75
    assert 0.06 < tones.std((1, 2)).mean() < 0.2
    black = np.zeros((32, 32, 3), np.uint8)
    for severity, share in zip(SEVERITIES, (0.4, 0.6, 0.7, 0.7, 0.75), strict=True):
        expected = share * ice((32, 32), np.random.default_rng(0))
        assert _of("frost", severity, black) == pytest.approx(expected, abs=0.005)


def test_elastic_fields_are_smooth_and_as_large_as_published() -> None:
    from scipy.ndimage import gaussian_filter

    field = np.random.default_rng(0).uniform(-1, 1, (64, 96)).astype(np.float32)
    for sigma in (2.4, 19.5):
        expected = gaussian_filter(field.astype(float), sigma, mode="reflect", truncate=3)
        assert smooth(field, sigma) == pytest.approx(expected, abs=1e-5)
    assert [CORRUPTIONS["elastic_transform"].constants(s)[0] for s in SEVERITIES] == pytest.approx(
        [488, 488, 12.2, 17.08, 29.28]
    )
    flat = corrupt(_GREY, "elastic_transform", 5, np.random.default_rng(0))
    assert np.ptp(flat.astype(int)) <= 1, "a map moves values, and makes none"


def test_glass_takes_values_from_near() -> None:
    edge = _of("glass_blur", 5, _STEP, seed=2)[..., 0]
    mixed = np.flatnonzero((np.abs(edge - edge[:, :1]) > 0.02).any(0) & (edge < 0.98).any(0))
    assert mixed.min() > SIDE // 2 - 40
    assert mixed.max() < SIDE // 2 + 40
    assert np.array_equal(_of("glass_blur", 3), _of("glass_blur", 3, seed=9)), "grey stays grey"


def test_snow_and_spatter_only_brighten_and_stain_where_they_should() -> None:
    image, _ = _scene()
    snowy = np.array([_of("snow", s, image).mean() for s in SEVERITIES])
    assert (snowy > image.mean() / 255).all()
    assert (_of("spatter", 2, image) >= image / 255 - 0.005).all(), "water adds light"
    mud = _of("spatter", 5, image)
    stained = np.abs(mud - np.array([63, 42, 20]) / 255).max(2) < 0.08
    assert 0.02 < stained.mean() < 0.6


def test_zoom_blur_keeps_the_middle() -> None:
    image, _ = _scene(225, 225)
    for severity, count in zip(SEVERITIES, (12, 16, 11, 13, 11), strict=True):
        end, step = CORRUPTIONS["zoom_blur"].constants(severity)
        assert len(np.arange(1, end, step)) == count, "as many as the released loop has"
    middle = image[112, 112] / 255
    assert _of("zoom_blur", 3, image)[112, 112] == pytest.approx(middle, abs=0.02)


# With depth -----------------------------------------------------------------------------------------------


def test_fog_falls_with_depth_as_koschmieder_says() -> None:
    image, depth = _scene()
    found = in_air(image, depth, 3.912 / 20)
    x = image / 255
    light = x.mean()
    expected = light + (x - light) * np.exp(-3.912 * depth / 20)[..., None]
    assert found / 255 == pytest.approx(expected, abs=0.006)
    for severity, alpha in zip(SEVERITIES, (4, 8, 12, 16, 20), strict=True):
        beta = alpha / 15.625 * 2.5 / np.median(depth[np.isfinite(depth)])
        assert np.array_equal(corrupt(image, "fog_3d", severity, np.random.default_rng(0), depth),
                              in_air(image, depth, beta))  # fmt: skip


def test_what_is_in_focus_stays_and_what_is_far_blurs() -> None:
    image, depth = _scene()
    near = corrupt(image, "near_focus", 5, np.random.default_rng(0), depth).astype(float)
    far = corrupt(image, "far_focus", 5, np.random.default_rng(0), depth).astype(float)

    def detail(values: np.ndarray, rows: slice) -> float:
        return float(np.abs(np.diff(values[rows], axis=1)).mean())

    bottom, top = slice(-20, None), slice(0, SIDE // 5 - 8)
    assert detail(near, bottom) > 0.8 * detail(image.astype(float), bottom)
    assert detail(near, top) < 0.6 * detail(image.astype(float), top)
    assert detail(far, bottom) < 0.6 * detail(image.astype(float), bottom)


def test_blur_by_motion_falls_with_depth() -> None:
    bars = np.zeros((SIDE, SIDE, 3), np.uint8)
    bars[:, ::2] = 255
    depth = np.full((SIDE, SIDE), 400, np.float32)
    depth[SIDE // 2 :] = 2
    found = corrupt(bars, "xy_motion_blur", 5, np.random.default_rng(0), depth).astype(float)
    assert np.abs(np.diff(found[: SIDE // 3], axis=1)).mean() > 150
    assert np.abs(np.diff(found[-SIDE // 3 :], axis=1)).mean() < 40
    sky = corrupt(bars, "xy_motion_blur", 5, np.random.default_rng(0), np.full_like(depth, np.inf))
    assert np.array_equal(sky, bars), "sky does not move"


def test_moving_forwards_leaves_the_middle_and_the_sky() -> None:
    image, depth = _scene(225, 225)
    found = corrupt(image, "z_motion_blur", 5, np.random.default_rng(0), np.full((225, 225), 3, np.float32))
    assert np.abs(found[112, 112].astype(int) - image[112, 112]).max() <= 12
    assert psnr(found, image) < 30
    assert np.array_equal(
        corrupt(image, "z_motion_blur", 5, np.random.default_rng(0), np.full_like(depth, np.inf)), image
    )


def test_a_flash_lights_what_is_near_and_faces_the_camera() -> None:
    facing = np.full((64, 64), 3, np.float32)
    assert shading(facing, 100)[32, 32] == pytest.approx(1, abs=0.01)
    facing[:, 32:] = 6
    light = shading(facing, 100)
    assert light[32, 56] / light[32, 8] == pytest.approx(0.25, rel=0.1), "inverse square"
    columns = (np.arange(64) - 31.5) / 100
    slanted = np.broadcast_to(3 / (1 - columns), (64, 64)).astype(np.float32)  # a wall turned by 45 degrees
    fall = (np.quantile(slanted, 0.05) / 3) ** 2
    assert shading(slanted, 100)[32, 32] / fall == pytest.approx(math.cos(math.pi / 4), abs=0.03)
    facing[:] = np.inf
    assert not shading(facing, 100).any()


# Any picture ----------------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(sorted(CORRUPTIONS)), st.sampled_from(SEVERITIES))
def test_any_size_comes_back_as_it_was(height: int, width: int, name: str, severity: int) -> None:
    image, depth = _scene(height, width)
    found = corrupt(image, name, severity, picture_rng(name, 0, b"a"), depth)
    assert (found.shape, found.dtype) == (image.shape, np.uint8)


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_of_a_few_pixels_nothing_fails(name: str) -> None:
    """Of two and fewer an elastic map had no three points, and of one the light of a flash no slope."""
    for height, width in ((1, 1), (1, 6), (6, 1), (2, 2), (2, 9), (3, 3)):
        image, depth = _scene(height, width)
        for severity in (1, 5):
            assert corrupt(image, name, severity, picture_rng(name, 0, b"a"), depth).shape == image.shape


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_a_picture_follows_from_name_severity_and_seed_alone(name: str) -> None:
    image, depth = _scene(48, 64)
    before = image.copy()
    first = corrupt(image, name, 3, picture_rng(name, 0, b"a"), depth)
    corrupt(image, "frost", 5, picture_rng("frost", 0, b"a"))
    assert np.array_equal(first, corrupt(image, name, 3, picture_rng(name, 0, b"a"), depth))
    assert np.array_equal(image, before), "the given picture is not changed"
    drawn = {"gaussian_noise", "snow", "frost", "fog", "spatter", "elastic_transform", "glass_blur", "motion_blur"}
    if name in drawn:
        assert not np.array_equal(first, corrupt(image, name, 3, picture_rng(name, 1, b"a"), depth))
        assert not np.array_equal(first, corrupt(image, name, 3, picture_rng(name, 0, b"b"), depth))


@pytest.mark.parametrize("name", ["gaussian_blur", "defocus_blur", "glass_blur", "pixelate"])
def test_lengths_follow_the_size_of_the_picture(name: str) -> None:
    large, _ = _scene(448, 448)
    small = np.asarray(Image.fromarray(large).resize((SIDE, SIDE), Image.Resampling.BOX))
    shrunk = Image.fromarray(corrupt(large, name, 3, np.random.default_rng(0))).resize(
        (SIDE, SIDE), Image.Resampling.BOX
    )
    least = 22 if name == "glass_blur" else 27  # other pixels are drawn
    assert psnr(np.asarray(shrunk), corrupt(small, name, 3, np.random.default_rng(0))) > least


def test_a_strength_between_severities_is_found() -> None:
    image, depth = _scene(96, 96)
    for name in ("gaussian_noise", "fog", "fog_3d", "near_focus", "xy_motion_blur", "brightness", "jpeg_compression"):
        wanted = psnr(corrupt(image, name, 2, picture_rng(name, 0, b""), depth), image)
        severity, found = matched_severity(
            lambda s, name=name: corrupt(image, name, s, picture_rng(name, 0, b""), depth), image, wanted
        )
        assert severity == pytest.approx(2, abs=0.3), name
        assert psnr(found, image) == pytest.approx(wanted, abs=0.3), name
    assert rms_contrast(_STEP) == pytest.approx(0.5)
    assert psnr(image, image) == float("inf")


def test_errors_name_what_would_be_right() -> None:
    with pytest.raises(SpecError, match=r"no corruption 'gausian_noise'.*gaussian_noise"):
        corruption_names("gausian_noise")
    with pytest.raises(SpecError, match=r"bit_error.*needs a video"):
        corruption_names("bit_error")
    with pytest.raises(SpecError, match=r"fog_3d: the pictures have no depth\..*passes"):
        corruption_names("fog,fog_3d", depth=False)
    with pytest.raises(SpecError, match="1,3,5"):
        parse_severities("1,6")
    with pytest.raises(SpecError, match="uint8"):
        corrupt(_GREY.astype(float), "fog", 1, np.random.default_rng(0))  # type: ignore[arg-type]
    assert CORRUPTIONS["fog_3d"].constants(6) == (24,)
    with pytest.raises(SpecError, match="severity 6"):
        corrupt(_GREY, "fog", 6, np.random.default_rng(0))
    with pytest.raises(SpecError, match="1, 2, 3, 4 or 5"):
        corrupt(_GREY, "spatter", 2.5, np.random.default_rng(0))
    with pytest.raises(SpecError, match="needs the depth"):
        corrupt(_GREY, "fog_3d", 1, np.random.default_rng(0))
    assert gaussian(unit(_GREY), 0).shape == _GREY.shape
