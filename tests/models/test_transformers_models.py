"""What could silently be wrong: a vector from the wrong token or before the projection, pictures squeezed another way
than the checkpoint was trained with, captions padded so that the padding counts. Real architectures with few and narrow
layers, in full size where there is time; random weights; each is compared with what transformers itself does.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchmultiverse.errors import ModelError
from torchmultiverse.models import Classifier, ImageEncoder, ImageTextModel, Scorer, load_model
from torchmultiverse.models.selftest import check_model, known_images

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from small_transformers import folder_of, tokenizer  # noqa: E402

CAPTIONS = ["a photo of a zebra", "a photo of a giant tortoise on the left of the picture in a desert environment"]


NARROW = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
SIZES = [pytest.param(NARROW, id="narrow"), pytest.param({}, id="full", marks=pytest.mark.slow)]


def clip(folder: Path, size: dict[str, int]) -> Path:
    words = {"eos_token_id": 3, "bos_token_id": 2, "pad_token_id": 0}
    config = transformers.CLIPConfig(text_config={**words, **size}, vision_config=size)
    return folder_of(folder, config, "CLIPModel", transformers.CLIPImageProcessor())


def siglip(folder: Path, size: dict[str, int]) -> Path:
    words = {"projection_size": size["hidden_size"]} if size else {}
    config = transformers.SiglipConfig(text_config={**words, **size}, vision_config=size)
    return folder_of(folder, config, "SiglipModel", transformers.SiglipImageProcessor())


def flava(folder: Path, size: dict[str, int]) -> Path:
    config = transformers.FlavaConfig(image_config=size, text_config=size, multimodal_config=size)
    return folder_of(folder, config, "FlavaModel", transformers.FlavaImageProcessor())


def blip(folder: Path, size: dict[str, int]) -> Path:
    # transformers' default leaves the vision part at zero.
    words = {"encoder_hidden_size": size["hidden_size"]} if size else {}
    config = transformers.BlipConfig(text_config={**words, **size}, vision_config={"initializer_range": 0.02, **size})
    return folder_of(folder, config, "BlipForImageTextRetrieval", transformers.BlipImageProcessor())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("make", "length"),
    [(clip, 512), (siglip, None), (flava, 768), (blip, 256)],
    ids=["clip", "siglip", "flava", "blip"],
)
def test_image_text_models(make, length: int | None, size: dict[str, int], tmp_path: Path) -> None:
    model = load_model(f"hf:{make(tmp_path / 'm', size)}/random")
    assert isinstance(model, ImageTextModel)
    assert model.info.embedding == (length or size.get("hidden_size", 768))  # SigLIP has no projection
    assert [f for f in check_model(model) if f.state == "fails"] == []
    pixels = torch.from_numpy(model.info.preprocess(known_images()[:1]))
    tokens = model._tokens(CAPTIONS[:1])
    with torch.inference_mode():
        if make is blip:
            scores = model.module(pixel_values=pixels, **tokens, use_itm_head=False).itm_score
            np.testing.assert_allclose(
                model.encode_image(known_images()[:1]) @ model.encode_text(CAPTIONS[:1]).T, scores.numpy(), atol=1e-5
            )
            return
        if make is flava:
            output = model.module(pixel_values=pixels, input_ids=tokens["input_ids"], skip_multimodal_encoder=True,
                                  attention_mask=tokens["attention_mask"])  # fmt: skip
            image = model.module.image_projection(output.image_embeddings)[:, 0]
            text = model.module.text_projection(output.text_embeddings)[:, 0]
        else:
            output = model.module(pixel_values=pixels, **tokens)
            image, text = output.image_embeds, output.text_embeds
    for mine, theirs in ((model.encode_image(known_images()[:1]), image), (model.encode_text(CAPTIONS[:1]), text)):
        theirs = theirs.numpy() / np.linalg.norm(theirs.numpy())
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_dinov2_is_an_encoder(size: dict[str, int], tmp_path: Path) -> None:
    processor = transformers.BitImageProcessor(size={"shortest_edge": 256}, resample=3, crop_size=224)
    folder = folder_of(tmp_path / "m", transformers.Dinov2Config(**size), "Dinov2Model", processor, words=False)
    model = load_model(f"hf:{folder}/random")
    assert isinstance(model, ImageEncoder)
    assert not isinstance(model, ImageTextModel)
    assert [f for f in check_model(model) if f.state == "fails"] == []
    with torch.inference_mode():
        expected = model.module(torch.from_numpy(model.info.preprocess(known_images()))).pooler_output.numpy()
    np.testing.assert_allclose(model.encode_image(known_images()), expected, atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_vit_is_a_classifier_with_its_own_classes(size: dict[str, int], tmp_path: Path) -> None:
    config = transformers.ViTConfig(num_labels=3, id2label={0: "zebra", 1: "penguin", 2: "goldfish"}, **size)
    processor = transformers.ViTImageProcessor()
    folder = folder_of(tmp_path / "m", config, "ViTForImageClassification", processor, words=False)
    model = load_model(f"hf:{folder}/random")
    assert isinstance(model, Classifier)
    assert model.classes == ("zebra", "penguin", "goldfish")
    assert [f for f in check_model(model) if f.state == "fails"] == []
    with torch.inference_mode():
        expected = model.module(torch.from_numpy(model.info.preprocess(known_images()))).logits.numpy()
    np.testing.assert_allclose(model.logits(known_images()), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("names", "known", "first"),
    [
        (["tench", *map(str, range(998)), "toilet tissue"], False, 0),
        (["background", "tench", *map(str, range(998)), "toilet tissue"], False, 1),
        ([f"LABEL_{i}" for i in range(1000)], False, 0),
        ([f"dish {i}" for i in range(1000)], True, 0),
    ],
)
def test_a_thousand_classes_are_not_always_imagenet(names: list[str], known: bool, first: int, tmp_path: Path) -> None:
    """A background class in front shifts every answer by one; a thousand dishes are no ImageNet."""
    config = transformers.ViTConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32,
        id2label=dict(enumerate(names)), num_labels=len(names),
    )  # fmt: skip
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    model = load_model(
        f"hf:{folder_of(tmp_path / 'm', config, 'ViTForImageClassification', processor, words=False)}/random"
    )
    assert isinstance(model, Classifier)
    assert model.classes == (tuple(names) if known else None)
    with torch.inference_mode():
        whole = model.module(torch.from_numpy(model.info.preprocess(known_images()))).logits.numpy()
    np.testing.assert_allclose(model.logits(known_images()), whole[:, first:], atol=1e-5)
    assert model.info.embedding == 1000


def test_saved_weights_come_back(tmp_path: Path) -> None:
    config = transformers.CLIPConfig(
        text_config={"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
                     "eos_token_id": 3, "bos_token_id": 2, "vocab_size": 100},
        vision_config={"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
        projection_dim=16,
    )  # fmt: skip
    torch.manual_seed(3)
    module = transformers.CLIPModel(config).eval()
    folder = folder_of(tmp_path / "m", config, "CLIPModel", transformers.CLIPImageProcessor())
    module.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    model, untrained = load_model(f"hf:{folder}"), load_model(f"hf:{folder}/random")
    assert model.info.weights_sha256 != untrained.info.weights_sha256
    assert model.info.license == "mit"
    with torch.inference_mode():
        pixels = torch.from_numpy(model.info.preprocess(known_images()))
        output = module.get_image_features(pixel_values=pixels)
    expected = (output if isinstance(output, torch.Tensor) else output.pooler_output).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(model.encode_image(known_images()), expected, atol=1e-5)


def test_weights_without_a_preprocessing_are_refused(tmp_path: Path) -> None:
    config = transformers.ViTConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    folder = folder_of(tmp_path / "m", config, "ViTForImageClassification", words=False)
    transformers.ViTForImageClassification(config).save_pretrained(folder)
    with pytest.raises(ModelError, match="does not say how pictures are preprocessed"):
        load_model(f"hf:{folder}")
    assert isinstance(load_model(f"hf:{folder}/random"), Classifier)


def test_without_a_network_a_hub_name_fails_quickly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"HF_HUB_OFFLINE is set, and they are not in the cache .*hf:FOLDER") as error:
        load_model("hf:openai/clip-vit-base-patch32")
    assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="no folder"):
        load_model("hf:./nowhere")


def test_what_has_no_vectors_of_both_is_refused_by_name(tmp_path: Path) -> None:
    """BLIP for questions has one encoder that reads a picture and a question together: no vectors to compare."""
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.BlipConfig(
        text_config={**small, "vocab_size": 80, "encoder_hidden_size": 32},
        vision_config={**small, "image_size": 32, "patch_size": 8},
    )
    image = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    folder = folder_of(tmp_path / "m", config, "BlipForQuestionAnswering", image)
    with pytest.raises(ModelError, match=r"BlipForQuestionAnswering gives no vectors.*Salesforce/blip-itm-base-coco"):
        load_model(f"hf:{folder}/random")
    (folder / "config.json").write_text('{"model_type": "xvlm", "architectures": ["XVLM"]}')
    with pytest.raises(ModelError, match=r"no architecture of transformers .*python:MODULE:FUNCTION"):
        load_model(f"hf:{folder}")


def _tiny_blip(folder: Path) -> Path:
    small = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.BlipConfig(
        text_config={**small, "vocab_size": 80, "encoder_hidden_size": 48, "bos_token_id": 2, "sep_token_id": 3,
                     "eos_token_id": 3, "pad_token_id": 0},
        vision_config={**small, "image_size": 32, "patch_size": 8},
    )  # fmt: skip
    image = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    folder = folder_of(folder, config, "BlipForConditionalGeneration", image)
    transformers.BlipProcessor(image, transformers.AutoTokenizer.from_pretrained(folder)).save_pretrained(folder)
    torch.manual_seed(0)
    transformers.BlipForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_a_generative_model_answers_by_likelihood(tmp_path: Path) -> None:
    """Taught four pictures, it must find each caption the likeliest of its own picture."""
    folder = _tiny_blip(tmp_path / "m")
    model = load_model(f"hf:{folder}")
    assert isinstance(model, Scorer)
    pictures = known_images()
    captions = [f"a photo of a {name} in the {place}" for name, place in zip(
        ("zebra", "penguin", "elephant", "goldfish"), ("desert", "snow", "desert", "snow"), strict=True)]  # fmt: skip
    inputs = model.processor(images=pictures, text=captions, return_tensors="pt", padding=True)
    optimizer = torch.optim.Adam(model.module.parameters(), 3e-3)
    before = model.score(pictures, captions)
    model.module.train()
    for _ in range(60):
        loss = model.module(**inputs, labels=inputs["input_ids"]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.module.eval()
    for likelihood in ("token", "sum"):
        model.change(likelihood=likelihood)
        assert model.score(pictures, captions).argmax(1).tolist() == [0, 1, 2, 3], likelihood
    known, grey = model.score(pictures, captions), model.score([Image.new("RGB", (224, 224), (128,) * 3)], captions)
    model.change(likelihood="gain")
    np.testing.assert_allclose(model.score(pictures, captions), known - grey, atol=1e-3)
    assert before.argmax(1).tolist() != [0, 1, 2, 3]


def test_the_likelihood_is_that_of_the_captions_tokens(tmp_path: Path) -> None:
    model = load_model(f"hf:{_tiny_blip(tmp_path / 'm')}?likelihood=sum")
    captions = ["a photo of a zebra", "a zebra in the snow on the left of the picture"]
    picture = known_images()[0]
    together = model.score([picture], captions)[0]
    for caption, got in zip(captions, together, strict=True):
        inputs = model.processor(images=[picture], text=[caption], return_tensors="pt")
        with torch.inference_mode():
            chances = torch.log_softmax(model.module(**inputs).logits[0], -1)
        ids = inputs["input_ids"][0]
        expected = sum(chances[i - 1, ids[i]].item() for i in range(1, len(ids)))
        assert got == pytest.approx(expected, abs=1e-3)


def test_llava_with_an_image_token(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    words = tokenizer(folder, special=["<image>"], additional_special_tokens=["<image>"])
    text = {"model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 90}  # fmt: skip
    vision = {"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
              "num_attention_heads": 4, "image_size": 32, "patch_size": 8}  # fmt: skip
    token = words.convert_tokens_to_ids("<image>")
    config = transformers.LlavaConfig(vision_config=vision, text_config=text, image_token_index=token)
    processor = transformers.LlavaProcessor(
        transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32), words, patch_size=8,
        vision_feature_select_strategy="default", num_additional_image_tokens=1, image_token="<image>",
    )  # fmt: skip
    folder_of(folder, config, "LlavaForConditionalGeneration", words=False)
    processor.save_pretrained(folder)
    model = load_model(f"hf:{folder}/random")
    captions = ["a photo of a zebra", "a zebra in the snow", "a photo of a goat"]
    scores = model.score(known_images(), captions)
    assert scores.shape == (4, 3)
    assert np.isfinite(scores).all()
    assert np.abs(scores[0] - scores[1]).max() > 1e-6, "the picture must matter"
    one = np.array([model.score([p], [c])[0, 0] for p, c in itertools.product(known_images(), captions)])
    np.testing.assert_allclose(scores.ravel(), one, atol=1e-4)


def test_options_of_a_model_string(tmp_path: Path) -> None:
    folder = _tiny_blip(tmp_path / "m")
    with pytest.raises(ModelError, match="likelihood is token or sum or gain"):
        load_model(f"hf:{folder}?likelihood=most")
    with pytest.raises(ModelError, match="in a way of its own"):
        load_model(f"hf:{folder}?resize=squash")
    assert json.dumps(load_model(f"hf:{folder}?name=mine").info.as_dict())
