"""Where in a picture a unit is active.

What could silently be wrong: maps of another unit or picture, maps that are turned or shifted, a channel that Grad-CAM
would show otherwise, class tokens taken for places.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.features import unit_maps
from torchmultiverse.models import ModelInfo, Preprocess
from torchmultiverse.models.modules import ModuleClassifier
from torchmultiverse.store import ImageList

torch = pytest.importorskip("torch")


class Quarters(torch.nn.Module):
    """Units 0 to 2 are the means of red, green and blue; ``mixed`` mixes them; tokens are 4 × 4 places and a class."""

    def __init__(self) -> None:
        super().__init__()
        self.map = torch.nn.AvgPool2d(4)
        self.mean = torch.nn.AdaptiveAvgPool2d(1)
        self.mixed = torch.nn.Linear(3, 2, bias=False)
        with torch.no_grad():
            self.mixed.weight[:] = torch.tensor([[1.0, 0, 0], [0, 1, -1]])
        self.tokens = torch.nn.Identity()
        self.read = torch.nn.Identity()

    def forward(self, x):  # type: ignore[no-untyped-def]
        x = self.map(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = self.tokens(torch.cat([tokens.mean(1, keepdim=True), tokens], 1))
        return self.mixed(self.mean(x).flatten(1)) + 0 * self.read(tokens[:, 0]).sum()


@pytest.fixture(scope="module")
def model() -> ModuleClassifier:
    info = ModelInfo("quarters", "classifier", Preprocess((16, 16), "squash", mean=(0, 0, 0), std=(1, 1, 1)))
    return ModuleClassifier(Quarters(), info, ["a", "b"])


@pytest.fixture(scope="module")
def images() -> ImageList:
    """Red above on the left, green below on the right, in one picture; the other is mirrored."""
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:4, :4, 0] = 255
    pixels[12:, 12:, 1] = 255
    return ImageList([Image.fromarray(p) for p in (pixels, np.ascontiguousarray(pixels[:, ::-1]))], [{}, {}])


def test_a_channel_is_the_map_of_its_mean(model: ModuleClassifier, images: ImageList) -> None:
    maps = unit_maps(model, "map", images, np.array([0, 1, 0]), np.array([0, 0, 1]), quiet=True)
    expected = np.zeros((3, 4, 4))
    expected[0, 0, 0] = expected[1, 0, 3] = expected[2, 3, 3] = 1 / 16
    assert maps == pytest.approx(expected, abs=1e-6)


def test_tokens_are_places_without_the_class(model: ModuleClassifier, images: ImageList) -> None:
    maps = unit_maps(model, "tokens", images, np.array([1, 1]), np.array([0, 1]), quiet=True)
    expected = np.zeros((2, 4, 4))
    expected[0, 0, 3] = expected[1, 3, 0] = 1 / 16
    assert maps == pytest.approx(expected, abs=1e-6)


def test_of_a_vector_the_map_is_grad_cam(model: ModuleClassifier, images: ImageList) -> None:
    """Unit 1 is green less blue, by hand: a gradient of 1/16 in green; what speaks against a unit is no part of it."""
    for batch_size in (1, 32):
        maps = unit_maps(model, "mixed", images, np.array([0, 1, 0]), np.array([1, 1, 0]), batch_size, quiet=True)
        expected = np.zeros((3, 4, 4))
        expected[0, 3, 3] = expected[1, 3, 0] = expected[2, 0, 0] = 1 / 16
        assert maps == pytest.approx(expected, abs=1e-7)


def test_what_has_no_places_is_refused(model: ModuleClassifier, images: ImageList) -> None:
    with pytest.raises(ModelError, match="units 0 to 1, not 2"):
        unit_maps(model, "mixed", images, np.array([0]), np.array([2]), quiet=True)
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(768, 2))
    info = ModelInfo("flat", "classifier", Preprocess((16, 16), "squash"))
    with pytest.raises(ModelError, match="nothing before layer '1' of 'flat' has places"):
        unit_maps(ModuleClassifier(flat, info, ["a", "b"]), "1", images, np.array([0]), np.array([0]), quiet=True)
