"""What could silently be wrong: a checkpoint of transformers that is fed another crop, another order of channels or
another scale than its own image processor makes. Scores fall by ten to sixty points and nothing is said. Each class is
compared with itself on pictures of noise, in shapes that the code under test does not try.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.models import Classifier, Preprocess, load_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from small_transformers import folder_of  # noqa: E402

from torchmultiverse.models.processors import ImageProcessor, image_reader  # noqa: E402

SHAPES = ((300, 200), (211, 380), (512, 512), (90, 75))


def noise(width: int, height: int, seed: int = 5) -> Image.Image:
    rng = np.random.default_rng((seed, width, height))
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def made(name: str, **settings: Any) -> Any:
    """Return a processor, Pillow's where there are two (transformers 5) or the slow one (4)."""
    cls = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    return cls(**settings)


def off(reader: Preprocess | ImageProcessor, processor: Any, shapes: Any = SHAPES) -> float:
    """Return the largest difference from a processor, in grey levels."""
    level = 255 * np.array(reader.std if isinstance(reader, Preprocess) else (1.0,) * 3)[:, None, None]
    pictures = [noise(*shape) for shape in shapes]
    theirs = [np.asarray(processor(images=p, return_tensors="np")["pixel_values"], np.float32)[0] for p in pictures]
    assert all(reader([p])[0].shape == t.shape for p, t in zip(pictures, theirs, strict=True))
    return max(float(np.abs((reader([p])[0] - t) * level).max()) for p, t in zip(pictures, theirs, strict=True))


CLASSES = {
    "ConvNext 224": ("ConvNextImageProcessor", {"size": {"shortest_edge": 224}, "crop_pct": 0.875}),
    "ConvNext 384": ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
    "LeViT": ("LevitImageProcessor", {}),
    "PoolFormer": ("PoolFormerImageProcessor", {"crop_pct": 0.9}),
    "PoolFormer M": ("PoolFormerImageProcessor", {"crop_pct": 0.95}),
    "MobileViT": (
        "MobileViTImageProcessor", {"size": {"shortest_edge": 288}, "crop_size": {"height": 256, "width": 256}},
    ),
    "MobileNet": ("MobileNetV2ImageProcessor", {"size": {"shortest_edge": 256}, "crop_size": 224}),
    "EfficientNet": ("EfficientNetImageProcessor", {"size": {"height": 224, "width": 224}, "resample": 0}),
    "EfficientNet B7": ("EfficientNetImageProcessor", {"do_center_crop": True, "rescale_offset": True}),
    "ALIGN": (
        "EfficientNetImageProcessor",
        {"do_center_crop": True, "rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False,
         "include_top": False, "resample": 2},
    ),
    "no rescaling": ("ViTImageProcessor", {"do_rescale": False, "do_normalize": False}),
    "CLIP": ("CLIPImageProcessor", {}),
    "CLIP, another crop": ("CLIPImageProcessor", {"size": {"shortest_edge": 256}, "crop_size": 225}),
    "SigLIP": ("SiglipImageProcessor", {}),
    "BLIP": ("BlipImageProcessor", {}),
    "FLAVA": ("FlavaImageProcessor", {}),
    "ViT": ("ViTImageProcessor", {}),
    "DeiT": ("DeiTImageProcessor", {}),
    "DINOv2": ("BitImageProcessor", {"size": {"shortest_edge": 256}, "resample": 3, "crop_size": 224}),
}  # fmt: skip


@pytest.mark.parametrize("label", CLASSES)
def test_the_declaration_is_what_the_processor_does(label: str) -> None:
    name, settings = CLASSES[label]
    processor = made(name, **settings)
    declared = image_reader(processor, "here")
    assert isinstance(declared, Preprocess), "can be declared"
    assert off(declared, processor) <= 1e-5 * 255, "same arithmetic, same pixels"
    width = int(declared.size[1] / declared.crop) + 7
    shapes = [(width + k, int(declared.size[0] / declared.crop)) for k in range(4)]
    assert off(declared, processor, shapes) <= 1e-5 * 255, "half a pixel left of the crop"


@pytest.mark.parametrize("label", ["CLIP", "ViT", "SigLIP", "ConvNext 224"])
def test_torchvisions_twin_differs_by_rounding(label: str) -> None:
    """Its filters keep other intermediate digits; another crop would differ by a hundred levels on noise."""
    name, settings = CLASSES[label]
    processor = getattr(transformers, name)(**settings)
    if type(processor).__name__ != name or getattr(processor, "backend", "") != "torchvision":
        pytest.skip("this transformers has no torchvision twin under that name")
    declared = image_reader(made(name, **settings), "here")
    assert off(declared, processor, [(300, 280), (512, 512)]) <= 2.01


def test_what_has_no_declaration_runs_the_processor_itself() -> None:
    """Perceiver crops before it resizes, GLPN resizes to multiples of 32."""
    for name in ("PerceiverImageProcessor", "GLPNImageProcessor"):
        processor = made(name)
        own = image_reader(processor, "here")
        assert isinstance(own, ImageProcessor), name
        assert off(own, processor) == 0, name
    with pytest.raises(ModelError, match=r"makes pictures of 192 × 224 and 320 × 224.*batch size of 1"):
        own([noise(200, 230), noise(330, 230)])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Siglip2ImageProcessor", "makes pixel_attention_mask, spatial_shapes beside the pixels"),
        ("VideoMAEImageProcessor", r"array of shape \(1, 1, 3, 224, 224\)"),
        ("ImageGPTImageProcessor", "ImageGPT.* fails with a picture"),
    ],
)
def test_what_cannot_be_fed_is_refused_by_name(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=f"here: {name[:5]}.*{message}|here: .*{message}"):
        image_reader(made(name), "here")


def test_a_model_with_a_processor_of_its_own_is_scored(tmp_path: Path) -> None:
    config = transformers.ViTConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=64, num_labels=4
    )
    processor = made("PerceiverImageProcessor", size={"height": 64, "width": 64}, crop_size={"height": 90, "width": 90})
    model = load_model(f"hf:{folder_of(tmp_path / 'm', config, 'ViTForImageClassification', processor, False)}/random")
    assert isinstance(model, Classifier)
    assert model.info.preprocess is None
    assert "pictures by its own PerceiverImageProcessor" in model.info.about
    pictures = [noise(100, 80), noise(64, 200)]
    with torch.inference_mode():
        pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
        expected = model.module(torch.as_tensor(pixels)).logits.numpy()
    np.testing.assert_allclose(model.logits(pictures), expected, atol=1e-5)
    from torchmultiverse.features.layers import layers_of

    assert layers_of(model)


def test_channels_of_a_model_are_in_its_own_order(tmp_path: Path) -> None:
    """MobileViT was trained on BGR: fed RGB, it loses a fifth of its answers and says nothing."""
    config = transformers.MobileViTConfig(
        image_size=64, hidden_sizes=[16, 16, 16], neck_hidden_sizes=[8, 8, 8, 8, 8, 8, 16], num_labels=4
    )
    processor = made("MobileViTImageProcessor", size={"shortest_edge": 72}, crop_size={"height": 64, "width": 64})
    folder = folder_of(tmp_path / "m", config, "MobileViTForImageClassification", processor, words=False)
    model = load_model(f"hf:{folder}/random")
    pictures = [noise(100, 80), noise(80, 80)]
    with torch.inference_mode():
        expected = model.module(torch.as_tensor(np.stack(
            [np.asarray(processor(images=p, return_tensors="np")["pixel_values"])[0] for p in pictures]
        )).float()).logits.numpy()  # fmt: skip
    np.testing.assert_allclose(model.logits(pictures), expected, atol=1e-5)
    np.testing.assert_allclose(model.batch(pictures).cpu().numpy(), model.info.preprocess(pictures), atol=1e-6)
    assert "BGR" in str(model.info.preprocess)


def test_declarations_of_before_keep_their_identity() -> None:
    """Kept embeddings and pixels are found by these: a key more would make them all anew."""
    assert set(Preprocess().as_dict()) == {
        "size", "resize", "crop", "interpolation", "mean", "std", "fill", "window"
    }  # fmt: skip
    assert Preprocess(channels="BGR").geometry() == Preprocess().geometry()
    assert Preprocess(rounding="down").geometry() != Preprocess().geometry()


def every_processor() -> list[str]:
    ends = ("ImageProcessor", "ImageProcessorFast", "ImageProcessorPil")
    return sorted(name for name in dir(transformers) if name.endswith(ends))


@pytest.mark.slow
@pytest.mark.parametrize("name", every_processor())
def test_every_processor_class(name: str) -> None:
    """Declared and equal, run as it is, or refused by name: nothing in between."""
    try:
        processor = getattr(transformers, name)()
    except Exception as error:
        pytest.skip(f"not to be made without arguments: {type(error).__name__}")
    try:
        reader = image_reader(processor, "here")
    except ModelError as error:
        assert name.removesuffix("Fast").removesuffix("Pil") in str(error)  # noqa: PT017
        return
    if isinstance(reader, ImageProcessor):
        assert off(reader, processor, [(300, 200), (512, 512)]) == 0
        return
    exact = getattr(processor, "backend", "pil") == "pil" and not name.endswith("Fast")
    twin = hasattr(transformers, f"{name}Pil")  # which is what is read; this one rounds after each of two passes
    assert off(reader, processor) <= (1e-5 * 255 if exact else 2.01 if twin else 1.01)
