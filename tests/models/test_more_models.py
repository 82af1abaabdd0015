"""Adapters beside open_clip, timm and transformers, model strings, and the self-test. What could silently be wrong: an
option that is shown in the report and not applied, a pattern that misses models, a self-test that passes whatever.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.models import (
    Classifier,
    ImageEncoder,
    ModelInfo,
    Prepared,
    Preprocess,
    as_model,
    family_forms,
    load_model,
    model_strings,
)
from torchmultiverse.models.contract import CAPABILITIES
from torchmultiverse.models.selftest import check_model, known_images

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")


def fails(model, **more) -> list[str]:
    return [finding.check for finding in check_model(model, **more) if finding.state == "fails"]


def test_torchvision(tmp_path: Path) -> None:
    model = load_model("torchvision:resnet18/random")
    assert isinstance(model, Classifier)
    assert model.classes is None
    assert fails(model) == []
    weights = torchvision.models.ResNet18_Weights.DEFAULT
    picture = known_images()[0].resize((512, 400), Image.Resampling.BICUBIC)
    expected = weights.transforms()(picture).numpy()
    assert np.abs(model.info.preprocess([picture])[0] - expected).max() < 1e-5
    module = torchvision.models.resnet18()
    torch.save(module.state_dict(), tmp_path / "a.pth")
    loaded = load_model(f"torchvision:resnet18//{tmp_path / 'a.pth'}")
    assert loaded.info.weights_sha256 != model.info.weights_sha256
    with pytest.raises(ModelError, match="Did you mean 'resnet50'"):
        load_model("torchvision:resnet5O")
    with pytest.raises(ModelError, match="Did you mean 'IMAGENET1K_V2'"):
        load_model("torchvision:resnet50/IMAGENET1K_V3")


HUBCONF = """
import torch
def small(): return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 224 * 224, 7))
def many(): return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 224 * 224, 1000))
def map(): return torch.nn.Conv2d(3, 4, 3)
"""


def test_torch_hub_from_a_folder(tmp_path: Path) -> None:
    (tmp_path / "hubconf.py").write_text(HUBCONF)
    encoder, classifier = load_model(f"hub:{tmp_path}:small"), load_model(f"hub:{tmp_path}:many")
    assert isinstance(encoder, ImageEncoder)
    assert isinstance(classifier, Classifier)
    assert fails(encoder) == fails(classifier) == []
    with pytest.raises(ModelError, match="Did you mean 'small'"):
        load_model(f"hub:{tmp_path}:smal")
    with pytest.raises(ModelError, match="one vector is needed"):
        load_model(f"hub:{tmp_path}:map")
    with pytest.raises(ModelError, match=r"no hubconf\.py"):
        load_model(f"hub:{Path(__file__).parent}:small")


@pytest.mark.parametrize(
    "name",
    [
        "open_clip:ViT-B-32/random",
        "open_clip:RN50/random",
        "timm:resnet50/random",
        "timm:vit_tiny_patch16_224/random",
        "timm:swin_tiny_patch4_window7_224/random",
        pytest.param("timm:vit_small_patch14_dinov2/random?size=518", marks=pytest.mark.slow),
    ],
)
def test_real_architectures_pass_the_self_test(name: str) -> None:
    assert fails(load_model(name)) == []


def test_a_self_supervised_timm_model_is_an_encoder() -> None:
    assert isinstance(load_model("timm:vit_small_patch14_dinov2/random"), ImageEncoder)


class _Bad:
    def __init__(self, encode):
        self.encode_image = encode


def _pixels(images) -> np.ndarray:
    return np.stack([np.asarray(image.resize((4, 4)), np.float32).ravel() for image in images])


def test_the_self_test_finds_what_it_is_for(tmp_path: Path) -> None:
    def of_batch(images):
        vectors = _pixels(images)
        return vectors - vectors.mean(0)

    assert fails(as_model(_Bad(_pixels))) == []
    assert "a picture alone and among others" in fails(as_model(_Bad(of_batch)))
    assert "one finite vector per picture" in fails(as_model(_Bad(lambda images: _pixels(images) * np.nan)))
    assert "different images, different vectors" in fails(as_model(_Bad(lambda images: np.ones((len(images), 3)))))
    good = tmp_path / "known.json"
    check_model(as_model(_Bad(_pixels)), save=good)
    assert fails(as_model(_Bad(_pixels)), against=good) == []
    assert fails(as_model(_Bad(lambda images: _pixels(images)[:, ::-1])), against=good) == ["known vectors"]
    with pytest.raises(ModelError, match="holds no vectors"):
        check_model(as_model(_Bad(_pixels)), against=Path(__file__))


def test_padding_that_counts_and_a_wrong_activation_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model("open_clip:RN50-quickgelu/random")
    model.info = replace(model.info, name="open_clip:RN50-quickgelu/openai")
    assert "activation" not in fails(model)
    model.info = replace(model.info, name="open_clip:ViT-B-32/laion2b_s34b_b79k")
    real = model.encode_text

    def padded(texts):
        vectors = real(texts)
        return vectors + max(len(t) for t in texts) / 500

    monkeypatch.setattr(model, "encode_text", padded)
    assert {"activation", "a caption alone and beside a longer one (padding)"} <= set(fails(model))


def test_options_are_applied_not_only_shown() -> None:
    plain, changed = (
        load_model("timm:resnet18/random"),
        load_model("timm:resnet18/random?resize=squash&size=64&norm=half"),
    )
    assert changed.info.name == "timm:resnet18/random?resize=squash&size=64&norm=half"
    assert changed.info.preprocess == Preprocess((64, 64), "squash", 1.0, "bicubic", (0.5,) * 3, (0.5,) * 3)
    assert changed.batch(known_images()).shape == (4, 3, 64, 64)
    assert np.abs(plain.logits(known_images()) - changed.logits(known_images())).max() > 1e-4
    with pytest.raises(ModelError, match=r"unknown option 'resise'\. Did you mean 'resize'"):
        load_model("timm:resnet18/random?resise=squash")
    with pytest.raises(ModelError, match="resize is shortest or squash or longest"):
        load_model("timm:resnet18/random?resize=half")
    with pytest.raises(ModelError, match="size is 1 to 4096"):
        load_model("timm:resnet18/random?size=0")


def test_bfloat16_changes_little_and_can_be_taken_back() -> None:
    model = load_model("timm:resnet18/random?precision=bfloat16")
    low = model.logits(known_images())
    model.change(precision="float32")
    full = model.logits(known_images())
    assert model.info.precision == "float32"
    assert 1e-6 < np.abs(low - full).max() < 0.1 * np.abs(full).max()
    np.testing.assert_array_equal(full, load_model("timm:resnet18/random").logits(known_images()))


def test_prepared_pictures_are_what_the_model_would_have_made() -> None:
    model = load_model("timm:resnet18/random")
    prepared = Prepared(model.info.preprocess.pixels(known_images()))
    np.testing.assert_array_equal(model.logits(prepared), model.logits(known_images()))
    with pytest.raises(ValueError, match="is needed"):
        model.logits(Prepared(np.zeros((1, 8, 8, 3), np.uint8)))


def test_patterns_and_files_of_model_strings(tmp_path: Path) -> None:
    found = model_strings(["open_clip:ViT-B-32/laion2b_*"])
    assert "open_clip:ViT-B-32/laion2b_s34b_b79k" in found
    assert all(name.startswith("open_clip:ViT-B-32/laion2b_") for name in found)
    assert len(model_strings(["timm:resnet50.*?precision=bfloat16"])) > 10
    assert model_strings(["torchvision:vit_b_16/*"])
    (tmp_path / "models.txt").write_text(
        "timm:resnet18  # small\n\n# none\nopen_clip:ViT-B-32/laion2b_*\ntimm:resnet18\n"
    )
    assert model_strings([f"@{tmp_path / 'models.txt'}"]) == ["timm:resnet18", *found]
    with pytest.raises(ModelError, match="no model is called"):
        model_strings(["timm:resnot*"])
    with pytest.raises(ModelError, match="cannot list its models"):
        model_strings(["python:*"])
    with pytest.raises(ModelError, match="No such file"):
        model_strings(["@nowhere.txt"])


def install(folder: Path, value: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package on the path whose metadata name an entry point, as pip would install it."""
    (folder / "my_plugin.py").write_text(text)
    info = folder / "my_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[torchmultiverse.models]\nmine = {value}\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "my_plugin", raising=False)
    importlib.invalidate_caches()


def test_a_plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "def load(rest):\n    return lambda images: [[float(rest), 0.0]] * len(images)\n"
    install(tmp_path, "my_plugin:load", text, monkeypatch)
    assert family_forms()["mine"] == "mine:…"
    assert "my_plugin" not in sys.modules, "nothing is imported before a model of the family is loaded"
    model = load_model("mine:3")
    assert isinstance(model, Classifier)
    assert model.logits(known_images())[0].tolist() == [3, 0]
    with pytest.raises(ModelError, match=r"unknown model family 'mien'.*'mine'"):
        load_model("mien:3")


def test_a_plug_in_that_says_how_its_strings_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "from torchmultiverse.models import ModelFamily\n"
        "def load(rest):\n    return lambda images: [[1.0, 0.0]] * len(images)\n"
        "family = ModelFamily(load, 'mine:SIZE', lambda: ['mine:small', 'mine:large'])\n"
    )
    install(tmp_path, "my_plugin:family", text, monkeypatch)
    assert model_strings(["mine:s*"]) == ["mine:small"]
    assert isinstance(load_model("mine:small"), Classifier)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_module", r"model family 'mine' \(my_plugin:load, of my-plugin\) cannot be imported.*no_such"),
        ("load = 3", r"model family 'mine' .* is a int; a function from what stands behind 'mine:' to a model"),
    ],
)
def test_a_broken_plug_in_breaks_nothing_but_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    install(tmp_path, "my_plugin:load", text + "\n", monkeypatch)
    load_model("torchvision:resnet18/random")
    with pytest.raises(ModelError, match=message):
        load_model("mine:3")


class _Claims:
    """A classifier that claims capabilities and has none of them."""

    info = ModelInfo("claims", "classifier")
    classes = ("a", "b", "c")
    max_candidates = 0

    def logits(self, images):
        return np.stack([np.asarray(i.resize((1, 1)), np.float32)[0, 0] for i in images])

    def change(self, **facts):
        pass

    def tokens(self, texts):
        return np.zeros((1, 2))


def test_capabilities_that_are_claimed_are_tried() -> None:
    assert fails(_Claims()) == ["its facts can be changed", "tokens of captions", "largest number of candidates"]


def test_every_family_has_the_capabilities_that_its_models_need() -> None:
    model = load_model("torchvision:resnet18/random")
    assert [one.__name__ for one in CAPABILITIES if isinstance(model, one)] == [
        "HasMutableInfo", "HasAdapterName", "HasModule", "HasDevice", "HasLayers",
    ]  # fmt: skip
    checked = {one.check for one in check_model(model)}
    assert {"its facts can be changed", "a module on its device, in evaluation mode", "forward gives its output"} <= (
        checked
    )
    logits = model.logits
    model.logits = lambda images: -logits(images)  # type: ignore[method-assign]
    assert fails(model) == ["forward gives its output"]
