"""What could silently be wrong: features of one corruption kept under the name of another, pictures that depend on the
order in which they are asked for, depth of another picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.corruptions import corrupt, picture_rng
from torchmultiverse.engines import codec
from torchmultiverse.errors import DatasetError, SpecError
from torchmultiverse.features import features_of
from torchmultiverse.models import ModelInfo, Preprocess
from torchmultiverse.models.modules import ModuleClassifier
from torchmultiverse.models.torch_tools import weights_hash
from torchmultiverse.store import CorruptedImages, ImageFolder, ImageList, ImageSubset


class _Deep(ImageList):
    """Pictures in memory that have depth."""

    passes = ("depth",)

    def annotation(self, index: int, name: str) -> np.ndarray:
        depth = np.full((48, 64), 2 + index, np.float32)
        return codec.decode(name, codec.encode(name, depth))


def _images(count: int = 3, seed: int = 0) -> list[Image.Image]:
    rng = np.random.default_rng(seed)
    return [Image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)) for _ in range(count)]


def _folder(path: Path, count: int = 3) -> ImageFolder:
    for number, image in enumerate(_images(count)):
        (path / "cat").mkdir(parents=True, exist_ok=True)
        image.save(path / "cat" / f"{number}.png")
    return ImageFolder(path)


def test_pictures_are_those_of_the_functions_in_any_order(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    found = CorruptedImages(folder, "gaussian_noise", 2, seed=5, side=None)
    expected = [
        corrupt(
            np.asarray(folder.image(i)), "gaussian_noise", 2, picture_rng("gaussian_noise", 5, folder.image_bytes(i))
        )
        for i in range(3)
    ]
    for order in ([2, 0, 1], [0, 1, 2, 2]):
        for index, image in zip(order, found.iter_images(order), strict=True):
            assert np.array_equal(np.asarray(image), expected[index])
    assert np.array_equal(np.asarray(found[1]["image"]), expected[1])
    assert found.table().equals(folder.table())


def test_a_broken_picture_is_named_by_its_file(tmp_path: Path) -> None:
    _folder(tmp_path)
    (tmp_path / "cat" / "1.png").write_bytes(b"no picture")
    for images in (ImageFolder(tmp_path), ImageSubset(ImageFolder(tmp_path), np.array([0, 1]))):
        with pytest.raises(DatasetError, match=r"cat.1\.png"):
            list(CorruptedImages(images, "fog", 1).iter_images())


def test_pictures_in_memory_are_as_those_of_files(tmp_path: Path) -> None:
    first = CorruptedImages(ImageList(_images(), [{"label": "cat"}] * 3), "fog", 3)
    again = CorruptedImages(ImageList(_images(), [{"label": "cat"}] * 3), "fog", 3)
    assert np.array_equal(first.pixels(1), again.pixels(1))
    assert first.pixels(1).shape == (224, 299, 3), "the shorter side has 224 pixels"
    assert not first.has_bytes


def test_bytes_tell_corruptions_severities_and_seeds_apart(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    ways = [(None, 0, 0, 224), ("fog", 1, 0, 224), ("fog", 2, 0, 224), ("fog", 2, 1, 224), ("fog", 2, 1, None),
            ("frost", 2, 1, None)]  # fmt: skip
    kept = {CorruptedImages(folder, *way).image_bytes(0) for way in ways}
    assert len(kept) == len(ways)
    assert folder.image_bytes(0) not in kept
    hashes = {str(CorruptedImages(folder, *way).manifest.identity) for way in ways}
    assert len(hashes) == len(ways)


def test_depth_goes_with_its_picture() -> None:
    deep = _Deep(_images(), [{"label": "cat"}] * 3)
    subset = ImageSubset(deep, np.array([2, 0]))
    found = CorruptedImages(subset, "fog_3d", 1, side=None)
    expected = CorruptedImages(deep, "fog_3d", 1, side=None)
    assert np.array_equal(found.pixels(0), expected.pixels(2))
    assert CorruptedImages(deep, "near_focus", 1).pixels(0).shape == (224, 299, 3)
    with pytest.raises(SpecError, match="no depth"):
        CorruptedImages(ImageList(_images(), [{"label": "cat"}] * 3), "fog_3d", 1)
    plain = ImageList(_images(), [{"label": "cat"}] * 3)
    with pytest.raises(DatasetError, match="no pass 'mask'"):
        plain.annotation(0, "mask")


def test_features_are_kept_and_no_pixels(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    folder = _folder(tmp_path / "data")
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    info = ModelInfo("small", "classifier", Preprocess((32, 32), "squash"), weights_sha256=weights_hash(module))
    model = ModuleClassifier(module, info, ["a", "b"])
    store = tmp_path / "features"
    first = features_of(model, CorruptedImages(folder, "contrast", 5), "every", store, quiet=True)
    other = features_of(model, CorruptedImages(folder, "contrast", 1), "every", store, quiet=True)
    again = features_of(model, CorruptedImages(folder, "contrast", 5), "every", store, quiet=True)
    last = list(first.layers)[-1]
    assert np.array_equal(first.layers[last], again.layers[last])
    assert not np.array_equal(first.layers[last], other.layers[last])
    assert not list(store.glob("pixels/*/*.npy")), "75 copies of a dataset would fill a disk"
