"""Heat maps of features, and how much of them lies on an object.

What could silently be wrong: a map of another layer or of the picture upside down, a mask that is cropped otherwise
than the picture, a map of nothing that counts as 0, and a share of the heat that the size of the object alone explains.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.analyze import RunOptions
from torchmultiverse.errors import ModelError
from torchmultiverse.features import HeatMaps, resized_maps
from torchmultiverse.models import ModelInfo, Preprocess
from torchmultiverse.models.modules import ModuleClassifier, ModuleEncoder
from torchmultiverse.models.torch_tools import weights_hash
from torchmultiverse.store import ImageList
from torchmultiverse.trust import TrustOptions, regions_of, study_trust
from torchmultiverse.trust.object_energy import core_of

torch = pytest.importorskip("torch")
QUIET = RunOptions(quiet=True)


def test_shares_are_those_of_their_definition() -> None:
    heat = np.array([[[4.0, 1.0], [2.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]])
    core = np.array([[[1.0, 0.0], [0.0, 0.0]]] * 2)
    found = regions_of(heat, core)
    assert found.core[0] == pytest.approx(4 / 8)
    assert found.area.tolist() == [0.25, 0.25]
    # The area above half of 4 is the 4 alone: all of it on the core; of the rest none.
    assert found.overlap_core[0] == pytest.approx(1.0)
    assert found.overlap_spurious[0] == 0
    assert regions_of(heat, core, 0.4).overlap_core[0] == pytest.approx(4 / 6)
    assert regions_of(heat, core, 0.4).overlap_spurious[0] == pytest.approx(2 / 8)
    assert found.soft_core[0] == pytest.approx(1 / (1 + 0.25 + 0.5 + 0.25))
    assert found.soft_spurious[0] == pytest.approx(1 / (1 + 3))
    assert np.isnan(found.core[1])  # a map of nothing lies nowhere
    assert np.isnan(found.overlap_core[1])


def test_what_an_answer_is_about() -> None:
    assert [core_of(name) for name in ("character_name", "label", "character2_name", "world_name")] == [1, 1, 2, 0]


def _module() -> Any:
    conv = torch.nn.Conv2d(3, 2, 1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.eye(3)[:2, :, None, None])
    return torch.nn.Sequential(conv, torch.nn.ReLU(inplace=True), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())


def _encoder(module: Any, side: int = 4) -> ModuleEncoder:
    info = ModelInfo("channels", "encoder", Preprocess((side, side), "squash", mean=(0, 0, 0), std=(1, 1, 1)),
                     weights_sha256=weights_hash(module))  # fmt: skip
    return ModuleEncoder(module, info)


@pytest.mark.parametrize("layer", ["0", "1", "3"])
def test_of_a_mean_over_a_map_the_heat_is_the_channel(layer: str) -> None:
    """Also where what follows changes the map in place, and where the layer is what is pooled of it."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    maps = HeatMaps(_encoder(_module()), layer)
    assert maps.place == ("0" if layer == "0" else "1")
    heat = maps(pixels, np.array([[1.0, 0.0], [0.0, 1.0]], np.float32))
    np.testing.assert_allclose(heat[0], pixels[0, ..., 0] / 255 / 16, rtol=1e-5)
    np.testing.assert_allclose(heat[1], pixels[1, ..., 1] / 255 / 16, rtol=1e-5)


def test_tokens_are_laid_out_as_patches_and_a_first_token_is_left_out() -> None:
    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = torch.nn.Linear(3, 3, bias=False)
            with torch.no_grad():
                self.blocks.weight.copy_(torch.eye(3))

        def forward(self, x: Any) -> Any:
            tokens = x.flatten(2).transpose(1, 2)
            return self.blocks(torch.cat([tokens[:, :1] * 0, tokens], 1)).mean(1)

    pixels = np.random.default_rng(1).integers(0, 256, (1, 3, 3, 3), dtype=np.uint8)
    heat = HeatMaps(_encoder(Tokens(), 3), "blocks")(pixels, np.array([[0.0, 0.0, 1.0]], np.float32))
    np.testing.assert_allclose(heat[0], pixels[0, ..., 2] / 255 / 10, rtol=1e-5)


def test_a_layer_without_places_before_it_has_no_map() -> None:
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5))
    with pytest.raises(ModelError, match="has places in the picture: no map"):
        HeatMaps(_encoder(module), "1")
    with pytest.raises(ModelError, match="has no layer '9'"):
        HeatMaps(_encoder(module), "9")


def test_maps_are_resized_without_a_shift() -> None:
    found = resized_maps(np.eye(3)[None], (9, 9))[0]
    assert (found == found.T).all()
    assert found[4, 4] == 1


class _Masked(ImageList):
    """Pictures with masks, as a rendered dataset has them."""

    def __init__(self, images: Any, rows: Any, masks: Any) -> None:
        super().__init__(images, rows, "masked")
        self._masks = masks

    @property
    def passes(self) -> list[str]:
        return ["mask"]

    def annotation(self, index: int, name: str) -> Any:
        return self._masks[index]


def _world(where: str) -> _Masked:
    """Six classes, each with three of 18 colours, at the object (a quarter of the picture, anywhere) or beside it."""
    rng = np.random.default_rng(0)
    images, rows, masks = [], [], []
    for number in range(240):
        kind = number % 6
        mask = np.zeros((12, 12), np.uint8)
        top, left = 4 * rng.integers(0, 2, 2)
        mask[top : top + 8, left : left + 8] = 1
        pixels = np.zeros((12, 12, 3), np.uint8)
        shown = np.argwhere(mask == (1 if where == "object" else 0))
        for shade in (8 * kind + 1, 8 * kind + 3):
            if rng.random() < 0.8:
                y, x = shown[rng.choice(len(shown), 12, replace=False)].T
                pixels[y, x, 0] = 4 * shade
        images.append(Image.fromarray(pixels))
        rows.append({"label": f"k{kind}", "side": "left" if left == 0 else "right", "asset": f"a{number % 48}"})
        masks.append(mask)
    return _Masked(images, rows, masks)


def _shades() -> ModuleClassifier:
    """Feature ``k`` of 48 is how much of the picture has the shade ``k``."""

    class Shades(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map, self.last = torch.nn.ReLU(), torch.nn.Linear(48, 1)

        def forward(self, x: Any) -> Any:
            shade = 255 * x[:, :1] / 4
            of = torch.arange(1, 49, device=x.device).view(1, -1, 1, 1)
            return self.last(self.map(1 - 2 * (shade - of).abs()).mean((2, 3)))

    module = Shades()
    info = ModelInfo("shades", "classifier", Preprocess((12, 12), "squash", mean=(0, 0, 0), std=(1, 1, 1)),
                     weights_sha256=weights_hash(module))  # fmt: skip
    return ModuleClassifier(module, info, ["a"])


def test_features_of_the_object_and_of_what_is_beside_it_are_told_apart() -> None:
    options = TrustOptions(layer="map", group="asset", epsilon=2, band=(1, 90), of="share")
    found = {}
    for where in ("object", "beside"):
        study, _ = study_trust(_shades(), _world(where), options, QUIET)
        (section,) = (one for one in study.sections if one.title == "Core and spurious")
        line = section.table[0]
        assert line["the probe is"] == "all"
        assert line["area of the core %"] == pytest.approx(4 / 9)
        found[where] = line
        (levels,) = (one for one in study.sections if one.title == "Core energy by factor")
        assert {(one["factor"], one["level"]) for one in levels.table} == {("side", "left"), ("side", "right")}
    assert found["object"]["energy on the core %"] == pytest.approx(1.0)
    assert found["beside"]["energy on the core %"] == pytest.approx(0.0)
    assert found["beside"]["spurious energy %"] == pytest.approx(1.0)
    assert 0.2 < found["object"]["mask of another %"] < 0.9  # the mask of another picture is elsewhere


def test_pictures_without_masks_are_told_plainly() -> None:
    masked = _world("object")
    images = ImageList([masked.image(k) for k in range(len(masked))], masked.table().to_pylist(), "folder")
    options = TrustOptions(layer="map", group="asset", epsilon=2, band=(1, 90), of="share")
    study, _ = study_trust(_shades(), images, options, QUIET)
    assert not any(one.title.startswith("Core") for one in study.sections)
    (note,) = (one for one in study.notes if one.startswith("Core and spurious energy cannot be asked"))
    assert "a folder of pictures has none" in note


def test_nothing_is_said_where_no_feature_is_discriminative(tmp_path: Path) -> None:
    from torchmultiverse.report import write_report

    options = TrustOptions(layer="map", group="asset", epsilon=2, band=(99, 100), of="share")
    study, lines = study_trust(_shades(), _world("object"), options, QUIET)
    assert study.headline.startswith("The Q-Score says nothing here: 100% of the test pictures")
    assert any("Core and spurious energy was not asked" in one for one in study.notes)
    titles = [one.title for one in study.sections]
    assert "By factor" not in titles
    assert "Pictures" not in titles
    assert all(line["Q-Score"] == 0 for line in lines)
    assert "says nothing here" in write_report(study, tmp_path).read_text()
