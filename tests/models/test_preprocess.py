"""What could silently be wrong: a picture resized, cropped or normalised otherwise than the model was trained with.
The libraries' own transforms are the truth."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.models import Preprocess
from torchmultiverse.models.preprocess import pil_list

open_clip = pytest.importorskip("open_clip")
timm = pytest.importorskip("timm")

from open_clip.transform import PreprocessCfg, image_transform_v2  # noqa: E402

from torchmultiverse.models.clip import declared  # noqa: E402


def _picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng((width, height))
    small = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    noise = rng.integers(0, 40, (height, width, 3))
    smooth = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8))


SIZES = [(256, 256), (512, 512), (300, 200), (200, 301), (64, 64), (224, 224), (97, 224)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_same_as_open_clip(size: tuple[int, int], mode: str, interpolation: str) -> None:
    config = {
        "size": (224, 224),
        "mode": "RGB",
        "mean": (0.48, 0.46, 0.41),
        "std": (0.27, 0.26, 0.28),
        "interpolation": interpolation,
        "resize_mode": mode,
        "fill_color": 7,
    }
    transform = image_transform_v2(PreprocessCfg(**config), is_train=False)
    picture = _picture(*size)
    np.testing.assert_allclose(declared(config)([picture])[0], transform(picture).numpy(), atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop", [0.875, 0.95, 1.0])
@pytest.mark.parametrize(("mode", "ours"), [("center", "shortest"), ("squash", "squash")])
def test_same_as_timm(size: tuple[int, int], crop: float, mode: str, ours: str) -> None:
    transform = timm.data.create_transform((3, 224, 224), crop_pct=crop, crop_mode=mode, interpolation="bicubic")
    picture = _picture(*size)
    mine = Preprocess((224, 224), ours, crop, "bicubic")  # type: ignore[arg-type]
    np.testing.assert_allclose(mine([picture])[0], transform(picture).numpy(), atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop", [0.875, 1.0])
def test_timms_border_is_padded_with_the_mean_colour(size: tuple[int, int], crop: float) -> None:
    """With black borders instead, every picture that is not square looks like a film to the model."""
    mean = (0.485, 0.456, 0.406)
    transform = timm.data.create_transform((3, 224, 224), crop_pct=crop, crop_mode="border", interpolation="bicubic")
    mine = Preprocess((224, 224), "longest", crop, "bicubic", fill=tuple(round(255 * v) for v in mean))  # type: ignore[arg-type]
    picture = _picture(*size)
    np.testing.assert_allclose(mine([picture])[0], transform(picture).numpy(), atol=2e-6)


@pytest.mark.parametrize("size", SIZES)
def test_an_input_that_is_not_square_is_covered_not_cut_from_a_square(size: tuple[int, int]) -> None:
    picture = _picture(*size)
    config = {"size": (192, 256), "interpolation": "bicubic", "resize_mode": "shortest", "fill_color": (9, 8, 7)}
    theirs = image_transform_v2(PreprocessCfg(**{**config, "mean": (0.5,) * 3, "std": (0.5,) * 3}), is_train=False)
    mine = declared({**config, "mean": (0.5,) * 3, "std": (0.5,) * 3})
    np.testing.assert_allclose(mine([picture])[0], theirs(picture).numpy(), atol=2e-6)
    transform = timm.data.create_transform((3, 192, 256), crop_pct=0.9, crop_mode="center", interpolation="bicubic")
    mine = Preprocess((192, 256), "shortest", 0.9, "bicubic")
    np.testing.assert_allclose(mine([picture])[0], transform(picture).numpy(), atol=2e-6)


def test_a_batch_of_arrays_is_a_list_of_pictures() -> None:
    pictures = [_picture(40, 40), _picture(40, 40).rotate(90)]
    preprocess = Preprocess((32, 32), "squash")
    batch = np.stack([np.asarray(p) for p in pictures])
    assert np.array_equal(preprocess(batch), preprocess(pictures))
    assert preprocess(pictures).shape == (2, 3, 32, 32)
    assert preprocess(pictures).dtype == np.float32


def test_other_modes_become_rgb_and_other_things_are_refused() -> None:
    assert pil_list([Image.new("L", (4, 4)), Image.new("RGBA", (4, 4))])[1].mode == "RGB"
    with pytest.raises(TypeError, match="float32"):
        pil_list(np.zeros((1, 4, 4, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="str"):
        pil_list(["a.png"])  # type: ignore[list-item]
